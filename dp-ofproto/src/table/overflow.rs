//! What a full table does: refuse, or let another rule go (`Flow_Table flow_limit`,
//! `overflow_policy`, `groups` in `ovs-vswitchd.conf.db(5)`).
//!
//! Only rules that have a timeout are let go: the others somebody counts on. Rules stand in groups
//! of equal values in some subfields; the group with the most rules loses one, so that one user's
//! flood costs himself. In a group the least important goes first, of those the one that would end
//! soonest ([`super::eviction`]).

use crate::action::Subfield;

/// How many rules a table may hold, and what happens beyond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableLimit {
    /// How many; `None`: as many as any table.
    pub rules: Option<usize>,
    /// Let a rule go for a new one; otherwise the new one is refused.
    pub evict: bool,
    /// What groups rules; empty: all are one group.
    pub groups: Vec<Subfield>,
}

#[cfg(test)]
mod tests {
    use super::TableLimit;
    use crate::action::{Action, Learn, Subfield};
    use crate::table::{Change, FlowMod, FlowModError, Match, Removal, Tables};
    use dp_core::base::Instant;
    use dp_core::flow::FieldId;

    fn flow(port: u128, dst: u128, idle_timeout: u16) -> FlowMod {
        let matching =
            Match::build().exact(FieldId::InPort, port).exact(FieldId::EthDst, dst).finish();
        FlowMod { idle_timeout, ..FlowMod::add(0, 1, matching, Vec::new()) }
    }

    #[test]
    fn a_full_table_refuses_or_lets_the_largest_group_lose_one() {
        let tables = Tables::default();
        let limit = |evict| TableLimit {
            rules: Some(3),
            evict,
            groups: vec![Subfield::whole(FieldId::InPort)],
        };
        tables.set_limits([(0, limit(false))].into());
        for (port, dst, timeout) in [(1, 1, 0), (2, 1, 60), (2, 2, 30)] {
            tables.apply(&flow(port, dst, timeout), Instant(0)).unwrap();
        }
        let refused = tables.apply(&flow(1, 9, 5), Instant(0));
        assert!(matches!(refused, Err(FlowModError::TableFull { table: 0, limit: 3 })));
        tables.set_limits([(0, limit(true))].into());
        let changes = tables.apply(&flow(1, 9, 5), Instant(0)).unwrap();
        let [Change::Removed { rule, reason: Removal::Eviction }, Change::Added(_)] = &changes[..]
        else {
            panic!("{changes:?}")
        };
        assert_eq!(rule.idle_timeout(), 30);
        let one = TableLimit { rules: Some(1), ..limit(true) };
        let changes = tables.set_limits([(0, one)].into());
        assert_eq!((changes.len(), tables.snapshot().len()), (2, 1), "what has no timeout stays");
    }

    #[test]
    fn a_controller_may_say_that_rules_go_and_a_limit_ends_when_it_is_no_more() {
        let tables = Tables::default();
        let two = TableLimit { rules: Some(2), ..TableLimit::default() };
        tables.set_limits([(0, two)].into());
        for dst in [1, 2] {
            tables.apply(&flow(1, dst, 60), Instant(0)).unwrap();
        }
        assert!(tables.apply(&flow(1, 3, 60), Instant(0)).is_err());
        tables.set_eviction(0, true);
        assert_eq!(tables.apply(&flow(1, 3, 60), Instant(0)).unwrap().len(), 2);
        tables.set_eviction(0, false);
        assert!(tables.apply(&flow(1, 4, 60), Instant(0)).is_err());
        tables.set_limits([].into());
        assert_eq!(tables.limit(0), None);
        assert_eq!(tables.apply(&flow(1, 4, 60), Instant(0)).unwrap().len(), 1);
    }

    #[test]
    fn what_was_learned_goes_with_the_last_rule_that_learned_it() {
        let tables = Tables::default();
        let learner = |port| {
            let learn = Learn { cookie: 7, delete_learned: true, table: 5, ..Learn::default() };
            let matching = Match::build().exact(FieldId::InPort, port).finish();
            FlowMod::add(0, 1, matching, vec![Action::Learn(Box::new(learn))])
        };
        tables.apply(&learner(1), Instant(0)).unwrap();
        tables.apply(&learner(2), Instant(0)).unwrap();
        let learned = FlowMod { table: Some(5), new_cookie: Some(7), ..flow(1, 1, 0) };
        tables.apply(&learned, Instant(0)).unwrap();
        let delete =
            |port| FlowMod::delete(Some(0), Match::build().exact(FieldId::InPort, port).finish());
        tables.apply(&delete(1), Instant(0)).unwrap();
        assert_eq!(tables.snapshot().len(), 2);
        tables.apply(&delete(2), Instant(0)).unwrap();
        assert!(tables.snapshot().is_empty());
    }
}
