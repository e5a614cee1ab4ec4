//! The dp virtual switch daemon.

pub mod errno;
pub mod event_loop;
pub mod log;
pub mod ovsdb;

pub mod unixctl;
