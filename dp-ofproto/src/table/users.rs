//! How many rules use a group or a meter.
//!
//! Statistics tell it of every group, and there may be thousands of groups and a million rules: it is
//! kept while rules come and go, not looked for. A rule that names a group twice uses it once.

use smallvec::SmallVec;

use super::hash_trie::HashTrie;
use super::tables::number_hash;
use crate::action::Action;
use crate::group::GroupId;

/// Numbers of users.
#[derive(Clone, Debug, Default)]
pub(super) struct Users {
    groups: HashTrie<u32>,
    meters: HashTrie<u32>,
}

impl Users {
    /// How many rules use a group.
    pub(super) fn of_group(&self, group: GroupId) -> u32 {
        self.groups.get(number_hash(group.0)).copied().unwrap_or(0)
    }

    /// How many rules use a meter.
    pub(super) fn of_meter(&self, meter: u32) -> u32 {
        self.meters.get(number_hash(meter)).copied().unwrap_or(0)
    }

    /// A rule with these actions came or went.
    pub(super) fn count(&mut self, actions: &[Action], came: bool) {
        let mut used = Used::default();
        used.look_through(actions);
        for (trie, mut numbers) in
            [(&mut self.groups, used.groups), (&mut self.meters, used.meters)]
        {
            numbers.sort_unstable();
            numbers.dedup();
            for number in numbers {
                let hash = number_hash(number);
                let count = trie.entry(hash, || 0);
                *count = if came { count.saturating_add(1) } else { count.saturating_sub(1) };
                if *count == 0 {
                    trie.remove(hash);
                }
            }
        }
    }
}

#[derive(Default)]
struct Used {
    groups: SmallVec<[u32; 4]>,
    meters: SmallVec<[u32; 4]>,
}

impl Used {
    fn look_through(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Group(group) => self.groups.push(*group),
                Action::Meter(meter) => self.meters.push(*meter),
                Action::Controller(controller) => self.meters.extend(controller.meter),
                Action::WriteActions(list) | Action::Clone(list) => self.look_through(list),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dp_core::base::Instant;
    use proptest::prelude::*;

    use crate::action::Action;
    use crate::group::GroupId;
    use crate::matching::Match;
    use crate::table::{Command, FlowMod, Tables, uses_group, uses_meter};
    use dp_core::flow::FieldId;

    fn actions() -> impl Strategy<Value = Vec<Action>> {
        let one = prop_oneof![
            (0u32..3).prop_map(Action::Group),
            (1u32..3).prop_map(Action::Meter),
            (0u32..3).prop_map(|group| Action::Clone(vec![Action::Group(group)].into())),
        ];
        proptest::collection::vec(one, 0..4)
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_would_be_found(
            mods in proptest::collection::vec((0u8..4, 0u128..4, actions()), 1..30)
        ) {
            let tables = Tables::default();
            for (command, port, actions) in mods {
                let matching = Match::build().exact(FieldId::InPort, port).finish();
                let command = match command {
                    0 => Command::Delete,
                    1 => Command::Modify,
                    _ => Command::Add,
                };
                let flow_mod = FlowMod { command, ..FlowMod::add(0, 1, matching, actions) };
                // An order of actions that makes no sense changes nothing.
                let _ = tables.apply(&flow_mod, Instant(0));
                let set = tables.snapshot();
                for number in 0..3 {
                    let group = GroupId(number);
                    let found = set.rules().filter(|it| uses_group(it.actions(), group)).count();
                    prop_assert_eq!(set.group_users(group) as usize, found);
                    let found = set.rules().filter(|it| uses_meter(it.actions(), number)).count();
                    prop_assert_eq!(set.meter_users(number) as usize, found);
                }
            }
        }
    }
}
