//! Rules inside a trace's remarks: a clause of a conjunction, a rule that is learned.

use std::fmt;

use super::action_print::ActionsText;
use super::match_print::MatchText;
use super::names::NumbersOnly;
use crate::table::{FlowMod, Rule};

/// A rule's match, with its priority unless that is the usual one.
pub struct RuleMatchText<'a>(pub &'a Rule);

impl fmt::Display for RuleMatchText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let priority = self.0.priority();
        if priority != u32::from(FlowMod::DEFAULT_PRIORITY) {
            write!(f, "priority={priority}")?;
            if !self.0.matching().is_any() {
                f.write_str(",")?;
            }
        }
        write!(f, "{}", MatchText { matching: self.0.matching(), names: &NumbersOnly })
    }
}

/// A rule that a packet makes.
pub struct LearnedText<'a>(pub &'a FlowMod);

impl fmt::Display for LearnedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.0;
        write!(f, "table={}", flow.table.unwrap_or(0))?;
        if !flow.matching.is_any() {
            write!(f, " {}", MatchText { matching: &flow.matching, names: &NumbersOnly })?;
        }
        write!(f, " priority={}", flow.priority)?;
        if let Some(cookie) = flow.new_cookie.filter(|&cookie| cookie != 0) {
            write!(f, " cookie={cookie:#x}")?;
        }
        for (name, value) in [("idle", flow.idle_timeout), ("hard", flow.hard_timeout)] {
            if value != 0 {
                write!(f, " {name}={value}")?;
            }
        }
        if flow.flags.send_flow_removed {
            f.write_str(" send_flow_rem")?;
        }
        write!(f, " actions={}", ActionsText { actions: &flow.actions, names: &NumbersOnly })
    }
}
