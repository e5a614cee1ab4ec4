//! The order in which a full table lets rules go: the first costs no search through the table.
//!
//! Groups stand in the order of their size, the rules of a group in that of importance and end. A
//! rule's end moves on with every packet, and nobody tells: what stands here is the end as it was
//! when somebody last looked, never later than the true one. So the first rule of a group is looked
//! at again, and moved on, until one stands first that is where it belongs; each move is paid for by
//! packets that the rule saw since the last. Timeouts that become shorter, which only the end of a
//! connection causes (`fin_timeout`), are told by way of the table's counters.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::flow::Wide;

use super::flow_mod::Change;
use super::{Rule, RuleId, TableCounters};
use crate::action::Subfield;

/// Where a rule stands in its group: importance, end, and what makes it unique.
type Place = (u16, Instant, RuleId);

/// The rules of one table that may go.
#[derive(Debug)]
pub(super) struct EvictionOrder {
    grouped_by: Vec<Subfield>,
    counters: Arc<TableCounters>,
    groups: HashMap<Vec<Wide>, Group>,
    /// How many rules each group has, with the group's number.
    sizes: BTreeSet<(usize, u64)>,
    /// The values that the rules of a group have in common, by its number.
    values: HashMap<u64, Vec<Wide>>,
    /// Those without a place may get a timeout, but have none yet.
    rules: HashMap<RuleId, (Arc<Rule>, Option<Place>)>,
    next_group: u64,
}

#[derive(Debug)]
struct Group {
    number: u64,
    order: BTreeSet<Place>,
}

impl EvictionOrder {
    /// The order of these rules, which are those of a table that have a timeout or may get one.
    pub(super) fn new<'a>(
        grouped_by: Vec<Subfield>,
        counters: &Arc<TableCounters>,
        rules: impl Iterator<Item = &'a Arc<Rule>>,
    ) -> Self {
        counters.order(true);
        let mut order = Self {
            grouped_by,
            counters: Arc::clone(counters),
            groups: HashMap::new(),
            sizes: BTreeSet::new(),
            values: HashMap::new(),
            rules: HashMap::new(),
            next_group: 0,
        };
        for rule in rules {
            order.insert(rule);
        }
        order
    }

    /// What groups the rules.
    pub(super) fn groups(&self) -> &[Subfield] {
        &self.grouped_by
    }

    /// Takes over what changed in a table.
    pub(super) fn follow(&mut self, table: u8, changes: &[Change]) {
        for change in changes {
            let (old, new) = match change {
                Change::Added(new) => (None, Some(new)),
                Change::Replaced { old, new } | Change::Modified { old, new } => {
                    (Some(old), Some(new))
                }
                Change::Removed { rule, .. } => (Some(rule), None),
            };
            if let Some(old) = old.filter(|old| old.table() == table) {
                self.remove(old.id());
            }
            if let Some(new) = new.filter(|new| new.table() == table) {
                self.insert(new);
            }
        }
        for id in self.counters.take_hastened() {
            self.settle(id);
        }
    }

    /// The rule that goes first; `None` if all of them stay.
    pub(super) fn first(&mut self) -> Option<Arc<Rule>> {
        loop {
            let (_, number) = self.sizes.last()?;
            let group = self.groups.get(self.values.get(number)?)?;
            let &(_, stands, id) = group.order.first()?;
            let (rule, _) = self.rules.get(&id)?;
            if rule.ends().is_some_and(|ends| ends <= stands) {
                return Some(Arc::clone(rule));
            }
            self.settle(id);
        }
    }

    fn values_of(&self, rule: &Rule) -> Vec<Wide> {
        let value = |sub: &Subfield| {
            let (value, mask) = rule.matching().wide_field(sub.field);
            (value & mask) >> u32::from(sub.start) & Wide::ones(sub.bits)
        };
        self.grouped_by.iter().map(value).collect()
    }

    fn insert(&mut self, rule: &Arc<Rule>) {
        if rule.is_mortal() {
            self.rules.insert(rule.id(), (Arc::clone(rule), None));
            self.settle(rule.id());
        }
    }

    fn remove(&mut self, id: RuleId) {
        if let Some((rule, Some(place))) = self.rules.remove(&id) {
            self.take_out(&rule, place);
        }
    }

    /// Brings a rule to where it belongs now.
    fn settle(&mut self, id: RuleId) {
        let Some((rule, place)) = self.rules.get_mut(&id) else { return };
        let now = rule.ends().map(|ends| (rule.importance(), ends, id));
        let before = std::mem::replace(place, now);
        let rule = Arc::clone(rule);
        if let Some(place) = now {
            self.put_in(&rule, place);
        }
        if let Some(place) = before.filter(|_| before != now) {
            self.take_out(&rule, place);
        }
    }

    fn put_in(&mut self, rule: &Rule, place: Place) {
        let key = self.values_of(rule);
        let group = match self.groups.get_mut(&key) {
            Some(group) => group,
            None => {
                self.next_group += 1;
                let number = self.next_group;
                self.values.insert(number, key.clone());
                self.groups.entry(key).or_insert(Group { number, order: BTreeSet::new() })
            }
        };
        let before = group.order.len();
        group.order.insert(place);
        self.sizes.remove(&(before, group.number));
        self.sizes.insert((group.order.len(), group.number));
    }

    fn take_out(&mut self, rule: &Rule, place: Place) {
        let key = self.values_of(rule);
        let Some(group) = self.groups.get_mut(&key) else { return };
        let (before, number) = (group.order.len(), group.number);
        group.order.remove(&place);
        let left = group.order.len();
        self.sizes.remove(&(before, number));
        if left > 0 {
            self.sizes.insert((left, number));
        } else {
            self.groups.remove(&key);
            self.values.remove(&number);
        }
    }
}

impl Drop for EvictionOrder {
    fn drop(&mut self) {
        self.counters.order(false);
    }
}

#[cfg(test)]
mod tests;
