//! Rules of the switch itself that stand before those of controllers; no flow-mod reaches them. (What
//! becomes of a packet that no rule matches is in [`super::internal`].)
//!
//! In-band control and fail-open are made of such rules (OpenFlow 1.3 leaves both to the switch). They
//! act on packets in table 0 as though their priorities, which are beyond 16 bits, stood there; they
//! are in no statistics, no limit counts them, and `bridge/dump-flows` shows them.

use std::sync::Arc;

use dp_core::base::Instant;

use super::edit::Edit;
use super::rule::Rule;
use super::{Match, Table};
use crate::action::Action;

/// A rule of the switch itself, as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenRule {
    /// More than 65,535: before all rules of controllers.
    pub priority: u32,
    /// Which packets.
    pub matching: Match,
    /// What becomes of them.
    pub actions: Vec<Action>,
}

/// The rules of the switch itself at one version.
#[derive(Clone, Debug)]
pub struct Hidden {
    pub(super) table: Table,
    in_band: bool,
}

impl Hidden {
    /// The rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.table.rules()
    }

    /// Whether the host behind the local port gets answers of DHCP servers whatever else becomes of
    /// them: it may need its address to speak with a controller.
    #[must_use]
    pub fn is_in_band(&self) -> bool {
        self.in_band
    }
}

impl Edit<'_> {
    /// Has these rules of the switch itself and no others. Those that are there already stay as they
    /// are, with what they counted. `in_band`: see [`Hidden::is_in_band`].
    pub fn set_hidden(&mut self, rules: &[HiddenRule], in_band: bool, now: Instant) {
        let before = self.set.hidden.clone();
        let same = |old: &Rule, new: &HiddenRule| {
            old.priority() == new.priority
                && *old.matching() == new.matching
                && old.actions()[..] == new.actions[..]
        };
        let old: Vec<_> = before.iter().flat_map(|it| it.table.rules()).map(Arc::clone).collect();
        let stays = |rule: &Arc<Rule>| rules.iter().any(|new| same(rule, new));
        let comes = |new: &HiddenRule| !old.iter().any(|rule| same(rule, new));
        let unchanged = old.iter().all(stays)
            && !rules.iter().any(comes)
            && before.as_ref().is_some_and(|it| it.in_band) == in_band;
        if unchanged {
            return;
        }
        let mut table = Table::new(self.tables.config());
        for rule in old.iter().filter(|rule| stays(rule)) {
            let kept = Rule {
                matching: rule.matching.clone(),
                actions: Arc::clone(&rule.actions),
                stats: Arc::clone(&rule.stats),
                counters: Arc::clone(&rule.counters),
                ..**rule
            };
            table.insert(kept);
        }
        for new in rules.iter().filter(|new| comes(new)) {
            let (matching, actions) = (new.matching.clone(), new.actions.as_slice().into());
            let (id, counters) = (self.next_id(), self.tables.counters(0));
            let rule = Rule::of_switch(id, (0, new.priority), matching, actions, &counters, now);
            table.insert(rule);
        }
        self.set.hidden =
            (in_band || !table.is_empty()).then(|| Arc::new(Hidden { table, in_band }));
        self.retuned = true;
    }
}
