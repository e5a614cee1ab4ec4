//! Flow tables: rules, and how a packet finds its rule.
//!
//! | room | what |
//! |---|---|
//! | [`rule`] | one line of a table |
//! | [`flow_mod`] | requests to change tables, and what came of them |
//! | [`tables`] | the tables of a bridge: snapshots for readers, one writer |
//! | [`edit`] | a transaction of flow-mods |
//! | [`oracle`] | linear scan, the judge of the classifier |
//!
//! ```text
//!   controller ──FlowMod──► Edit ──commit──► Tables ──snapshot──► TableSet ──lookup──► Rule
//!                             │ Vec<Change>                          ▲ version: what
//!                             ▼                                      │ revalidation compares
//!                  flow-removed, monitors                       translation
//! ```

pub mod edit;
pub mod flow_mod;
pub mod oracle;
pub mod rule;
pub mod tables;

use std::sync::Arc;

use dp_core::flow::{FlowKey, FlowMask};

pub use crate::matching::{Match, MatchBuilder, MiniMask, PrereqError};
pub use edit::Edit;
pub use flow_mod::{Change, Command, FlowMod, FlowModError, Removal};
pub use rule::{Expiry, Rule, RuleFlags, RuleId, RuleStats, Version};
pub use tables::{INTERNAL_TABLE, TABLES, TableSet, Tables, TablesConfig};

/// One flow table at one version.
#[derive(Clone, Debug)]
pub struct Table {
    rules: oracle::LinearTable,
    pub(crate) version: Version,
}

impl Table {
    fn new(_config: &TablesConfig) -> Self {
        Self { rules: oracle::LinearTable::default(), version: Version(0) }
    }

    /// The version that last changed it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The rule that a packet takes; `None`: a miss. Makes every bit count in `wc` that the
    /// outcome rests on.
    #[must_use]
    pub fn lookup(&self, key: &FlowKey, wc: &mut FlowMask) -> Option<Arc<Rule>> {
        self.rules.lookup(key, wc).cloned()
    }

    /// The rule with this very match and priority.
    #[must_use]
    pub fn get(&self, matching: &Match, priority: u16) -> Option<&Arc<Rule>> {
        self.rules.get(matching, priority)
    }

    /// All rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    /// How many rules it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that have a timeout.
    fn mortal(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules().filter(|rule| rule.idle_timeout != 0 || rule.hard_timeout != 0)
    }

    fn insert(&mut self, rule: Rule) -> (Arc<Rule>, Option<Arc<Rule>>) {
        let rule = Arc::new(rule);
        let old = self.rules.insert(Arc::clone(&rule));
        (rule, old)
    }

    fn remove(&mut self, rule: &Rule) -> Option<Arc<Rule>> {
        self.rules.remove(rule.matching(), rule.priority())
    }
}

#[cfg(test)]
mod tests;
