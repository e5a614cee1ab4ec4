//! Packet threads: what one does in a turn, and how it lives.
//!
//! ```text
//!   control side ── commands ──►┐
//!                               ▼ one turn
//!     rx queue ─► receive ─► Pipeline::process ─┐   each receive queue in its order
//!     rx queue ─► receive ─► Pipeline::process ─┤
//!                                               ▼
//!                            flush: transmit, port by port
//! ```
//!
//! A [`Pmd`] is all that one packet thread owns: its pipeline with caches and megaflows, its
//! receive queues, a transmit queue of every port. Nobody else touches any of it; the control side
//! sends commands, which take effect between turns. A thread of its own drives it
//! ([`thread`]), or whoever has the datapath, turn by turn under a clock of his own.
//!
//! | room | what |
//! |---|---|
//! | [`Pmd`] | the turn |
//! | [`assign`] | which thread serves which receive queue |
//! | [`command`] | what the control side may ask, and the mailbox |
//! | [`counters`] | what is counted: by queue, by thread |
//! | [`perf`] | what single turns were like, while somebody wants to know |
//! | [`suspect`] | turns that took too long, to be told with those around them |
//! | [`fairness`] | what keeps a storm of new flows from starving others |
//! | [`rest`] | what a thread does when there is nothing to do |
//! | [`thread`] | the loop on a thread |

pub mod assign;
pub(crate) mod command;
pub mod counters;
mod fairness;
pub(crate) mod perf;
pub mod rest;
pub mod suspect;
pub(crate) mod thread;
mod turn;

pub(crate) use command::{Command, Mailbox};
pub use counters::{LoopCounters, RxCounters, TxCounters};
pub use rest::{Idle, NapLimit};
pub(crate) use turn::{End, Pmd, RxSlot, TxSlot};
