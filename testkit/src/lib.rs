//! Laboratory for tests.
