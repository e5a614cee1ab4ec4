//! Matches: what a rule asks of a packet.
//!
//! | room | what |
//! |---|---|
//! | [`mini`] | a match: only the words of the key it looks at |
//! | [`prereq`] | which fields a match may name, given what else it says |

pub mod mini;
pub mod prereq;

pub use mini::{Match, MatchBuilder, MiniMask};
pub use prereq::PrereqError;
