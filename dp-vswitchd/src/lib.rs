//! The dp virtual switch daemon.

pub mod errno;
pub mod log;
pub mod ovsdb;
