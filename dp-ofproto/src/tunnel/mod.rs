//! Tunnel ports of bridges: which packets are theirs, and how packets of theirs are sent.
//!
//! ```text
//!   in    datapath port + tunnel metadata ── table ──► bridge and port
//!   out   port's settings + flow ──► route ──► neighbour ──► headers ──► bridge underneath
//! ```
//!
//! All tunnels of one kind (and UDP port) share a port of the datapath; which of them a packet
//! belongs to is found by its key and its ends. The way to the other end comes from the routing
//! tables ([`dp_core::route`]), its MAC from the neighbours ([`crate::learn::Neighbours`]); a
//! neighbour that is not known is asked for, and packets for it wait until it answers, some of them
//! and for a while.
//!
//! | room | what |
//! |---|---|
//! | [`TunnelConfig`], [`read`] | a port's options |
//! | [`TunnelPorts`] | all ports, and which one a packet belongs to |
//! | [`Tunnels`] | what translation asks; routes, neighbours and devices underneath |
//! | `send` | a packet's way into a tunnel |
//! | [`ask`] | frames that ask for a neighbour |
//! | [`WaitingRoom`] | packets whose neighbour has not answered yet |

pub mod ask;
mod config;
mod ports;
mod send;
mod switch;
pub mod text;
mod waiting;

pub use config::{Erspan, Read, Setting, TunnelConfig, is_tunnel, kinds, read};
pub use ports::{TunnelPort, TunnelPorts};
pub use switch::{Device, Tunnels};
pub use waiting::{WaitingLimits, WaitingRoom};

#[cfg(test)]
mod tests;
