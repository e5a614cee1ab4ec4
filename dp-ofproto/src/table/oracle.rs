//! The slow twin of the classifier: a list of rules, scanned from the highest priority down.
//!
//! It is what the classifier is judged by, and short enough to be seen to be right.

use std::sync::Arc;

use dp_core::flow::{FlowKey, FlowMask};

use super::{Match, Rule};

/// Rules in a list, highest priority first.
#[derive(Clone, Debug, Default)]
pub struct LinearTable {
    rules: Vec<Arc<Rule>>,
}

impl LinearTable {
    /// The first rule that matches. Makes every bit count in `wc` that any rule up to there looks
    /// at.
    pub fn lookup(&self, key: &FlowKey, wc: &mut FlowMask) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| {
            rule.matching().unwildcard(wc);
            rule.matching().matches(key)
        })
    }

    /// The rule with this very match and priority.
    #[must_use]
    pub fn get(&self, matching: &Match, priority: impl Into<u32>) -> Option<&Arc<Rule>> {
        let priority = priority.into();
        self.rules.iter().find(|rule| is(rule, matching, priority))
    }

    /// Adds a rule, or replaces the one with the same match and priority.
    pub fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        if let Some(old) =
            self.rules.iter_mut().find(|old| is(old, rule.matching(), rule.priority()))
        {
            return Some(std::mem::replace(old, rule));
        }
        let at = self.rules.partition_point(|other| other.priority() >= rule.priority());
        self.rules.insert(at, rule);
        None
    }

    /// Removes the rule with this very match and priority.
    pub fn remove(&mut self, matching: &Match, priority: impl Into<u32>) -> Option<Arc<Rule>> {
        let priority = priority.into();
        let at = self.rules.iter().position(|rule| is(rule, matching, priority))?;
        Some(self.rules.remove(at))
    }

    /// All rules.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

fn is(rule: &Rule, matching: &Match, priority: u32) -> bool {
    rule.priority() == priority && rule.matching() == matching
}
