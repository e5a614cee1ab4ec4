//! What a bridge does of its own accord: protocols as state machines.
//!
//! Each is fed frames and the time, and asked for frames and its state: bytes in, bytes and answers
//! out. None of them does I/O, has a clock, or knows a bridge, a table or another protocol.
//! Randomness (jitter, discriminators) comes from a seed that the maker gives.
//!
//! | room | what | standard |
//! |---|---|---|
//! | [`bfd`] | bidirectional forwarding detection | RFC 5880, 5881 |
//! | [`cfm`] | connectivity fault management | IEEE 802.1ag |
//! | [`lacp`] | link aggregation control | IEEE 802.1AX |
//! | [`lldp`] | link layer discovery, auto-attach | IEEE 802.1AB |
//! | [`mcast`] | multicast snooping | RFC 4541 |
//! | [`stp`], [`bpdu`] | spanning tree, and its data units | IEEE 802.1D |
//! | [`rstp`] | rapid spanning tree | IEEE 802.1D-2004 |

pub mod bfd;
pub mod bpdu;
pub mod cfm;
#[cfg(test)]
mod lab;
pub mod lacp;
pub mod lldp;
pub mod mcast;
mod random;
pub mod rstp;
pub mod stp;
