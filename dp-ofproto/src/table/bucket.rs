//! The rules of one hash: nearly always one.
//!
//! More than one are rules with the same match and different priorities, or, rarely, with different
//! matches whose hashes collide. They stand in the order of priority.

use std::sync::Arc;

use super::{Match, Rule};

/// Rules, highest priority first.
#[derive(Clone, Debug, Default)]
pub(super) enum Bucket {
    /// Only while a bucket is being filled.
    #[default]
    Empty,
    One(Arc<Rule>),
    Many(Arc<Vec<Arc<Rule>>>),
}

impl Bucket {
    /// All rules, highest priority first.
    pub(super) fn rules(&self) -> &[Arc<Rule>] {
        match self {
            Self::Empty => &[],
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Many(rules) => rules,
        }
    }

    /// The rule with this very match and priority.
    pub(super) fn get(&self, matching: &Match, priority: u32) -> Option<&Arc<Rule>> {
        self.rules().iter().find(|rule| is(rule, matching, priority))
    }

    /// Adds a rule, or replaces the one with the same match and priority.
    pub(super) fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let mut rules = match std::mem::take(self) {
            Self::Empty => {
                *self = Self::One(rule);
                return None;
            }
            Self::One(old) if is(&old, rule.matching(), rule.priority()) => {
                *self = Self::One(rule);
                return Some(old);
            }
            Self::One(old) => Arc::new(vec![old]),
            Self::Many(rules) => rules,
        };
        let list = Arc::make_mut(&mut rules);
        let same = list.iter_mut().find(|old| is(old, rule.matching(), rule.priority()));
        let old = match same {
            Some(old) => Some(std::mem::replace(old, rule)),
            None => {
                let at = list.partition_point(|other| other.priority() >= rule.priority());
                list.insert(at, rule);
                None
            }
        };
        *self = Self::Many(rules);
        old
    }

    /// Removes the rule with this very match and priority.
    pub(super) fn remove(&mut self, matching: &Match, priority: u32) -> Option<Arc<Rule>> {
        let at = self.rules().iter().position(|rule| is(rule, matching, priority))?;
        match std::mem::take(self) {
            Self::Empty => None,
            Self::One(rule) => Some(rule),
            Self::Many(mut rules) => {
                let list = Arc::make_mut(&mut rules);
                let rule = list.remove(at);
                *self = match list.as_slice() {
                    [one] => Self::One(Arc::clone(one)),
                    _ => Self::Many(rules),
                };
                Some(rule)
            }
        }
    }
}

fn is(rule: &Rule, matching: &Match, priority: u32) -> bool {
    rule.priority() == priority && rule.matching() == matching
}
