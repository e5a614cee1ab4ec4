//! The rules of the last table, which is the switch's own: what becomes of packets that no rule of
//! another table matches.
//!
//! Nobody looks these rules up: translation knows which of them a packet takes, and credits it.
//! They stand apart from the tables so that a change of a table has none of them to share. Users see
//! them, and what they count, in `bridge/dump-flows` and when they ask for the table by its number.

use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::flow::FieldId;

use super::rule::{Rule, RuleId};
use super::tables::INTERNAL_TABLE;
use super::{Match, TableCounters};
use crate::action::{Action, Controller, PacketInReason};

/// Which rule of its own the switch applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internal {
    /// A miss that goes to controllers.
    MissController,
    /// A miss that is dropped.
    MissDrop,
    /// A fragment that no table gets to see.
    Fragment,
}

/// The switch's own rules.
#[derive(Debug)]
pub struct InternalRules {
    /// Whoever sends a packet to the table itself takes this one.
    asked: Arc<Rule>,
    controller: Arc<Rule>,
    drop: Arc<Rule>,
    fragment: Arc<Rule>,
}

impl InternalRules {
    /// Rules that have counted nothing yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let counters = Arc::new(TableCounters::default());
        let rule = |priority, matching, actions: Vec<Action>| {
            // Rules of tables are numbered from 1.
            let (id, place) = (RuleId(0), (INTERNAL_TABLE, priority));
            Arc::new(Rule::of_switch(id, place, matching, actions.into(), &counters, now))
        };
        let numbered = |number| Match::build().exact(FieldId::Reg0, number).finish();
        let controller = Controller {
            reason: PacketInReason::ImplicitMiss,
            max_len: u16::MAX,
            ..Controller::default()
        };
        Self {
            asked: rule(2, Match::build().exact(FieldId::RecircId, 0).finish(), Vec::new()),
            controller: rule(0, numbered(1), vec![Action::Controller(Box::new(controller))]),
            drop: rule(0, numbered(2), Vec::new()),
            fragment: rule(0, numbered(3), Vec::new()),
        }
    }

    /// One of them.
    #[must_use]
    pub const fn get(&self, which: Internal) -> &Arc<Rule> {
        match which {
            Internal::MissController => &self.controller,
            Internal::MissDrop => &self.drop,
            Internal::Fragment => &self.fragment,
        }
    }

    /// All of them, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        [&self.asked, &self.controller, &self.drop, &self.fragment].into_iter()
    }
}
