//! Which routing table is asked, in which order: rules by source and mark.
//!
//! As the kernel's policy database: rules are asked by priority, the lowest number first; the
//! first table that has a route decides. Every family begins with three rules: `local` (table 255)
//! first, `main` (254) and `default` (253) last.

use core::fmt;
use core::net::IpAddr;

use super::prefix::{Family, Prefix};

/// Number of a table by the name that rules may use for it.
#[must_use]
pub fn table_id(name: &str) -> Option<u32> {
    match name {
        "local" => Some(Rules::LOCAL),
        "main" => Some(Rules::MAIN),
        "default" => Some(Rules::DEFAULT),
        number => number.parse().ok().filter(|&id| id > 0),
    }
}

/// Who made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// A user of the switch.
    User,
    /// The kernel, or the switch itself at start.
    Cached,
}

/// Sends packets to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When it is asked: lower first.
    pub priority: u32,
    /// The sources that it is for; `None`: all, those not chosen yet included.
    pub from: Option<Prefix>,
    /// Whether it is for all other sources instead.
    pub invert: bool,
    /// The mark that it is for, value and mask; `None`: all.
    pub mark: Option<(u32, u32)>,
    /// The family that it is for.
    pub family: Family,
    /// The table that is asked.
    pub table: u32,
    /// Who made it.
    pub made_by: RuleSource,
}

impl Rule {
    /// Whether the rule applies to a packet of this family, source and mark.
    #[must_use]
    pub fn applies(&self, family: Family, source: Option<IpAddr>, mark: u32) -> bool {
        let from = match (self.from, source) {
            (None, _) => true,
            (Some(prefix), Some(source)) => prefix.contains(source),
            (Some(_), None) => false,
        };
        family == self.family
            && from != self.invert
            && self.mark.is_none_or(|(value, mask)| mark & mask == value & mask)
    }

    /// Whether it says the same as another, priority and maker aside.
    fn says_as(&self, other: &Self) -> bool {
        (self.from, self.invert, self.mark, self.family, self.table)
            == (other.from, other.invert, other.mark, other.family, other.table)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}from ", self.priority, if self.invert { "not " } else { "" })?;
        match self.from {
            Some(prefix) => write!(f, "{prefix}")?,
            None => f.write_str("all")?,
        }
        if let Some((value, mask)) = self.mark {
            write!(f, " fwmark {value:#x}")?;
            if mask != u32::MAX {
                write!(f, "/{mask:#x}")?;
            }
        }
        match self.table {
            Rules::LOCAL => f.write_str(" lookup local"),
            Rules::MAIN => f.write_str(" lookup main"),
            Rules::DEFAULT => f.write_str(" lookup default"),
            id => write!(f, " lookup {id}"),
        }
    }
}

/// The rules of both families, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Default for Rules {
    fn default() -> Self {
        let mut rules = Self(Vec::new());
        rules.reset_cached();
        rules
    }
}

impl Rules {
    /// Table of the switch's own addresses.
    pub const LOCAL: u32 = 255;
    /// The table that routes go to unless said otherwise.
    pub const MAIN: u32 = 254;
    /// The table asked last.
    pub const DEFAULT: u32 = 253;
    /// Rules of both families at most, those made at start included.
    pub const LIMIT: usize = 4096;

    /// The rules, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Rule] {
        &self.0
    }

    /// Drops all rules but the users' own, and puts in those that there are at start.
    pub fn reset_cached(&mut self) {
        self.0.retain(|rule| rule.made_by == RuleSource::User);
        for family in [Family::V4, Family::V6] {
            for (priority, table) in
                [(0, Self::LOCAL), (32_766, Self::MAIN), (32_767, Self::DEFAULT)]
            {
                let _ = self.add(Rule {
                    priority,
                    from: None,
                    invert: false,
                    mark: None,
                    family,
                    table,
                    made_by: RuleSource::Cached,
                });
            }
        }
    }

    /// Replaces all rules but the users' own by those that somebody else keeps. A family that he has
    /// none for keeps those that there are at start.
    pub fn set_cached(&mut self, rules: &[Rule]) {
        self.reset_cached();
        for family in [Family::V4, Family::V6] {
            let mut own = rules.iter().filter(|rule| rule.family == family).peekable();
            if own.peek().is_none() {
                continue;
            }
            self.0.retain(|rule| rule.made_by == RuleSource::User || rule.family != family);
            for rule in own {
                // Beyond the limit, the tables that are asked last are not asked.
                let _ = self.add(Rule { made_by: RuleSource::Cached, ..*rule });
            }
        }
    }

    /// Adds a rule behind those of the same priority. `false`: there are too many.
    #[must_use]
    pub fn add(&mut self, rule: Rule) -> bool {
        if self.0.len() >= Self::LIMIT {
            return false;
        }
        let at = self.0.partition_point(|other| other.priority <= rule.priority);
        self.0.insert(at, rule);
        true
    }

    /// The priority that a rule gets whose maker names none: the largest below `main`'s that no
    /// rule of the family has, so that later rules go before earlier ones.
    #[must_use]
    pub fn free_priority(&self, family: Family) -> Option<u32> {
        let taken = |priority: u32| {
            self.0.iter().any(|rule| rule.family == family && rule.priority == priority)
        };
        (1..32_766).rev().find(|&priority| !taken(priority))
    }

    /// Removes the first user's rule that says this, of this priority where one is named.
    #[must_use]
    pub fn remove(&mut self, rule: &Rule, priority: Option<u32>) -> bool {
        let found = self.0.iter().position(|other| {
            other.made_by == RuleSource::User
                && other.says_as(rule)
                && priority.is_none_or(|priority| priority == other.priority)
        });
        found.is_some_and(|at| {
            self.0.remove(at);
            true
        })
    }

    /// The tables to ask, in order.
    pub fn tables(
        &self,
        family: Family,
        source: Option<IpAddr>,
        mark: u32,
    ) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(move |rule| rule.applies(family, source, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Rule, RuleSource, Rules};

    fn rule(priority: u32, from: Option<&str>, table: u32) -> Rule {
        Rule {
            priority,
            from: from.map(|text| text.parse().expect("a prefix")),
            invert: false,
            mark: None,
            family: Family::V4,
            table,
            made_by: RuleSource::User,
        }
    }

    fn tables(rules: &Rules, source: Option<&str>, mark: u32) -> Vec<u32> {
        let source = source.map(|text| text.parse().expect("an address"));
        rules.tables(Family::V4, source, mark).map(|rule| rule.table).collect()
    }

    #[test]
    fn the_kernels_rules_take_the_place_of_those_at_start_and_leave_the_users_alone() {
        let mut rules = Rules::default();
        assert!(rules.add(rule(7, None, 70)));
        let v6_before = rules.tables(Family::V6, None, 0).count();
        rules.set_cached(&[rule(0, None, 255), rule(50, Some("10.0.0.0/8"), 50)]);
        assert_eq!(tables(&rules, Some("10.1.1.1"), 0), [255, 70, 50]);
        assert_eq!(rules.tables(Family::V6, None, 0).count(), v6_before, "none were named");
        rules.set_cached(&[]);
        assert_eq!(tables(&rules, Some("10.1.1.1"), 0), [255, 70, 254, 253]);
    }

    #[test]
    fn tables_are_asked_by_priority_source_and_mark() {
        let mut rules = Rules::default();
        assert_eq!(tables(&rules, None, 0), [255, 254, 253]);
        assert!(rules.add(rule(10, Some("10.0.0.0/8"), 10)));
        assert!(rules.add(Rule { invert: true, ..rule(5, Some("10.0.0.0/8"), 11) }));
        assert!(rules.add(Rule { mark: Some((4, 0xff)), ..rule(6, None, 12) }));
        assert_eq!(tables(&rules, Some("10.1.1.1"), 0), [255, 10, 254, 253]);
        assert_eq!(tables(&rules, Some("11.1.1.1"), 0x104), [255, 11, 12, 254, 253]);
        assert_eq!(tables(&rules, None, 0), [255, 11, 254, 253]);
        assert!(!rules.remove(&rule(0, Some("10.0.0.0/8"), 10), Some(9)));
        assert!(rules.remove(&rule(0, Some("10.0.0.0/8"), 10), None));
        assert!(!rules.remove(&rule(0, None, Rules::MAIN), None), "not the users' own");
    }

    #[test]
    fn there_is_a_bound() {
        let mut rules = Rules::default();
        let added = (0..2 * Rules::LIMIT).filter(|_| rules.add(rule(1, None, 1))).count();
        assert_eq!(added + 6, Rules::LIMIT);
    }

    #[test]
    fn a_rule_without_a_priority_goes_before_those_before() {
        let mut rules = Rules::default();
        assert_eq!(rules.free_priority(Family::V4), Some(32_765));
        assert!(rules.add(rule(32_765, None, 1)));
        assert_eq!(rules.free_priority(Family::V4), Some(32_764));
        assert_eq!(rules.free_priority(Family::V6), Some(32_765));
    }
}
