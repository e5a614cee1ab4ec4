//! Datapath actions as text: what `ovs-appctl dpctl/dump-flows`, `dpctl/add-flow` and `ofproto/trace`
//! write behind `actions:`.
//!
//! The empty list is `drop`. Everything that is printed is read again, and printed the same.
//!
//! | room | what |
//! |---|---|
//! | [`parse_actions`] | reading |
//! | [`ActionsText`] | printing |

mod ct;
mod parse;
mod print;
mod set;
mod tunnel;
mod userspace;

pub use parse::parse_actions;
pub use print::ActionsText;

#[cfg(test)]
mod tests;
