//! Caches and tables that find the flow of a packet, a burst at a time.
//!
//! ```text
//!   BurstKeys ──► simple     ports whose flows look at little          ── hit ──► FlowRef
//!                  │ others
//!                  ▼
//!                guess      the megaflow of packets like this one     ── hit ──► FlowRef
//!                  │ wrong
//!                  ▼
//!                emc        exact match, 2 cache lines a hit          ── hit ──► FlowRef
//!                  │ miss
//!                  ▼
//!                smc        signatures, a million of them, if it is on ── hit ──► FlowRef
//!                  │ miss
//!                  ▼
//!                megaflow    tuple space: one hash table a mask         ── hit ──► FlowRef
//!                  │ miss
//!                  ▼
//!                (upcall: not here)
//! ```
//!
//! Everything here belongs to one packet thread: no atomics, no locks, `&mut` to change. What a
//! flow carries (`T`) is the caller's; the tables only find it.
//!
//! | room | what |
//! |---|---|
//! | [`hash`] | the hash of key lanes: multiply-add over secret words, the same in every kernel |
//! | [`flows`] | the slab of flows with generations, so that a reference never dangles |
//! | [`simple`] | flows that match port, Ethertype and tags alone |
//! | [`guess`] | guesses, held against the megaflow |
//! | [`emc`] | the exact-match cache |
//! | [`smc`] | the signature match cache |
//! | [`megaflow`] | the megaflow table |
//! | [`kernel`] | which machine code does the look-ups |
//! | [`oracle`] | a linear scan, the judge |

pub mod emc;
pub mod flows;
pub mod guess;
pub mod hash;
pub mod kernel;
pub mod megaflow;
pub mod oracle;
pub mod simple;
pub mod smc;

pub use emc::{Emc, Hashes};
pub use flows::{BurstFlows, FlowRef, Flows};
pub use guess::{Guessed, Guesses};
pub use hash::KeyHasher;
pub use kernel::Kernel;
pub use megaflow::{InsertError, Inserted, Looked, Megaflows};
pub use oracle::Oracle;
pub use simple::Simple;
pub use smc::Smc;
