//! OpenFlow sessions: what a switch does with the messages of its controllers.
//!
//! ```text
//!   bytes ──► Service::input ──► Connection ──► handlers ──► tables, groups, Host
//!                                    │             │ Events: what changed, by whose doing
//!   bytes ◄── Service::output ◄── Outbox ◄─────────┴──► every connection that wants to know
//! ```
//!
//! One [`Service`] for each bridge holds all its connections. It does no I/O: whoever has the
//! sockets hands in what was received and takes what is to be sent; time is an argument. What the
//! bridge's surroundings have to do (ports, datapath, conntrack) is asked of a [`Host`].
//!
//! | room | what |
//! |---|---|
//! | [`service`] | all connections of a bridge |
//! | [`connection`] | one connection: negotiation, liveness, role, formats |
//! | [`outbox`] | what waits to be sent, bounded |
//! | `pace` | how fast packets go to a controller, and whose turn it is |
//! | [`host`] | what is asked of the surroundings |
//! | `handle` | one message: to whom it goes |
//! | `flows`, `groups`, `ports`, `meters`, `packets`, `statistics`, `features`, `bundles`, `monitors`, `tlv` | the requests, by family |
//! | `events`, `tables` | what is told unasked; of tables that fill up |
//!
//! # Invariants
//!
//! * A message is carried out wholly before the next one of its connection, so a barrier needs
//!   nothing but its place in the stream.
//! * Replies may be long, but a connection is not read while more than a fixed number of bytes
//!   waits to be sent to it, and what it was not asked for is dropped then.

mod bundles;
pub mod connection;
mod events;
mod features;
mod flows;
mod groups;
mod handle;
pub mod host;
mod meters;
mod monitors;
pub mod outbox;
mod pace;
mod packets;
mod ports;
pub mod service;
mod statistics;
mod tables;
mod tlv;

pub use connection::{Connection, ConnectionKind, PACKET_QUEUE};
pub use events::PortChange;
pub use host::{Host, HostPort, QueueInfo};
pub use outbox::Outbox;
pub use pace::{PaceStats, RateLimit};
pub use packets::PacketInEvent;
pub use service::{ConnectionId, Service, Settings};

#[cfg(test)]
mod tests;
