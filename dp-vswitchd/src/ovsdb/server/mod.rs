//! The database served: what `ovsdb-server` does, without one beside the switch.
//!
//! ```text
//!   sockets ── task ──► Engine ── execute ──► Standalone (file, synced) ──► replies
//!                         └── monitors: what changed, to whom it matters ──► updates
//! ```
//!
//! RFC 7047 with the extensions that clients of the field use: `monitor_cond`,
//! `monitor_cond_since`, `monitor_cond_change`, `get_server_id`, `set_db_change_aware`, and the
//! database `_Server`, which describes the others. [`Engine`] has no sockets; `task` moves bytes.
//!
//! # Invariants
//! * What a client is told to be committed is on the disk: replies leave after the file is synced.
//! * A client sees the updates of a transaction before the reply to it.
//! * Whatever one client does costs that client and bounded memory.

mod convert;
mod engine;
mod locks;
mod managers;
mod monitor;
mod server_database;
pub(crate) mod task;

#[cfg(test)]
mod power;
#[cfg(test)]
mod tests;

pub(crate) use engine::{ClientId, Engine};
