//! JSON-RPC 1.0 over a byte stream (RFC 7047, section 4), without any I/O.
//!
//! ```text
//! bytes in ──► Parser (one document at a time, bounded) ──► Message ──► the owner
//! bytes out ◄── queue of encoded messages              ◄── Message ◄──
//!                     └─ Session: probes, activity, backlog
//! ```
//!
//! Both ends of a connection are peers: either sends requests and notifications. A [`Session`] is
//! one connection's state; [`Backoff`] says when the next one is due.

mod backoff;
mod message;
mod parser;
mod session;

pub use backoff::{Backoff, Phase};
pub use message::{Malformed, Message};
pub use parser::{Limits, ParseError, Parser};
pub use session::{Failure, Session};

/// How long a connection over a network may be silent before it is probed, in milliseconds.
///
/// A minute: with the few seconds that others use, a server of a large cluster that is busy for a
/// moment loses all of its clients at once.
pub const DEFAULT_PROBE_MS: u64 = 60_000;
