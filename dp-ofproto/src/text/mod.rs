//! Flow text as `ovs-ofctl` reads and writes it (`ovs-ofctl(8)`, `ovs-fields(7)`,
//! `ovs-actions(7)`).
//!
//! ```text
//!   priority=5,tcp,nw_dst=10.0.0.0/8,tp_dst=80 actions=mod_dl_dst:00:11:22:33:44:55,output:2
//!   └── keywords ──┘└────── match ───────────┘         └──────────── actions ──────────────┘
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`flow`] | whole lines and files, and the lines of a dump |
//! | [`matching`], [`match_print`] | the match |
//! | [`action_parse`], [`action_print`] | the actions |
//! | `control`, `choose`, `ct`, `encap`, `learn` | those with a grammar of their own |
//! | [`value`], [`value_print`] | values with masks, by the format of their field |
//! | [`group`] | groups and meters |
//! | [`names`] | port names |
//! | [`remark`] | rules inside a trace's remarks |
//! | [`piece`], [`error`] | pieces of a line that know where they stand; what is wrong with one |
//!
//! Reading is stricter than the reference in one respect: what it would silently ignore (a port
//! without its protocol, bits beyond the width of a field, contradictions) is an error here.

pub mod action_parse;
pub mod action_print;
mod choose;
mod control;
mod ct;
mod encap;
pub mod error;
mod exact;
pub mod flow;
pub mod group;
mod learn;
pub mod match_print;
pub mod matching;
pub mod names;
pub mod piece;
pub mod remark;
pub mod value;
pub mod value_print;

pub use action_parse::{parse_actions, parse_subfield};
pub use action_print::{ActionsText, SubfieldText};
pub use error::{Problem, TextError};
pub use exact::{ExactError, parse_exact};
pub use flow::{FlowModText, FullRuleText, RuleText, parse_file, parse_flow};
pub use group::{GroupModText, GroupText, MeterText, parse_group, parse_meter};
pub use match_print::MatchText;
pub(crate) use match_print::PacketText;
pub use matching::parse_match;
pub use names::{NumbersOnly, PortMap, PortNames};
pub use remark::{LearnedText, RuleMatchText};
pub use value_print::SubfieldValue;

#[cfg(test)]
mod tests;
