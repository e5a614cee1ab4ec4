//! The dp virtual switch daemon.
//!
//! ```text
//!   daemon ─► event_loop ─► switch ◄── commands ◄── unixctl
//!                             ▲  ▼
//!                      config │  │ status
//!                          ovsdb::client ◄──► ovsdb-server
//! ```

mod census;
mod commands;
mod config;
pub mod daemon;
pub mod errno;
pub mod event_loop;
pub mod log;
mod metrics;
mod net;
mod openflow;
pub mod ovsdb;
mod switch;
pub mod unixctl;
