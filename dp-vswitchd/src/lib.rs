//! The dp virtual switch daemon.

pub mod ovsdb;
