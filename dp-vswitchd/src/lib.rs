//! The dp virtual switch daemon.
