//! How a packet finds its rule: tuple-space search in stages, with prefix tries.
//!
//! # What
//!
//! The rules of a table stand in subtables, one for each mask among them; a subtable is a map from
//! the masked key to the rule. A packet asks the subtables one after the other, those with the
//! highest priorities first, until no remaining one can hold a better rule. On its way it says which
//! bits of it the outcome rested on: these become the mask of its megaflow.
//!
//! # Why few bits matter
//!
//! The fewer bits count, the more packets share a megaflow. Three things keep them few:
//!
//! * **Priorities**: subtables that cannot hold a better rule are not asked.
//! * **Stages** ([`super::shape`]): a subtable without any rule for the packet's in-port (or
//!   Ethertype, or addresses) makes only the fields up to there count.
//! * **Prefix tries** ([`super::prefix_trie`]): a subtable whose prefixes cannot match the packet's
//!   address makes only those leading bits count that tell; likewise one whose rules have other
//!   ports ([`super::subtable`]).
//!
//! # Invariant
//!
//! For every two keys that agree in all bits that a look-up of one of them made count, look-up gives
//! the same rule and makes the same bits count: whatever look-up decides by has been made to count,
//! so both go
//! the same way. (The second half is what keeps megaflows alive: revalidation looks up
//! the masked key and must not find that it rests on more bits than before.)
//!
//! # Threads
//!
//! A table never changes under its readers: everything in it is shared with later versions by
//! reference counts, and copied along the path of a change ([`super::hash_trie`]). This was chosen
//! over rules that carry the versions they are visible in: snapshots need no safe-memory scheme and
//! no unsafe code, a transaction is rolled back by dropping it, and nothing is left to be cleaned up
//! afterwards. The price is copying some nodes for the first change after each publication.
//!
//! # Cost
//!
//! Figures in `docs/benchmarks.md`: `cargo bench -p dp-benches --bench classifier`.

use std::sync::Arc;

use dp_core::flow::{FieldId, FlowKey, FlowMask};
use smallvec::SmallVec;

use super::bucket::Bucket;
use super::hash_trie::HashTrie;
use super::prefixes::{Asked, PrefixFields, Prefixes};
use super::shape::Shape;
use super::subtable::Subtable;
use super::{Match, MiniMask, Rule, RuleId, TablesConfig, Version};

/// What a look-up comes to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The rule; `None`: a miss.
    pub rule: Option<Arc<Rule>>,
    /// The clauses, where it was found by a conjunction.
    pub conjunction: SmallVec<[Arc<Rule>; 1]>,
}

type Clauses<'a> = SmallVec<[&'a Arc<Rule>; 4]>;

/// One flow table at one version.
#[derive(Clone, Debug)]
pub struct Table {
    /// Highest priority first.
    subtables: Vec<Slot>,
    prefixes: Prefixes,
    /// The rules that have a timeout or may get one, by number.
    mortal: HashTrie<Bucket>,
    rules: usize,
    seed: u64,
    pub(super) version: Version,
}

/// A subtable, and what decides whether to look into it.
#[derive(Clone, Debug)]
struct Slot {
    subtable: Arc<Subtable>,
    mask_hash: u32,
    max_priority: u32,
}

impl Table {
    pub(super) fn new(config: &TablesConfig) -> Self {
        Self {
            subtables: Vec::new(),
            prefixes: Prefixes::new(config.prefixes),
            mortal: HashTrie::default(),
            rules: 0,
            seed: config.seed,
            version: Version(0),
        }
    }

    /// The version that last changed it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The rule that a packet takes; `None`: a miss. Makes every bit count in `wc` that the
    /// outcome rests on. Of rules with the same priority any may be found, but always the same.
    #[must_use]
    pub fn lookup(&self, key: &FlowKey, wc: &mut FlowMask) -> Option<Arc<Rule>> {
        self.find(key, wc).rule
    }

    /// The same, and the clauses of the conjunction that led to the rule.
    #[must_use]
    pub fn find(&self, key: &FlowKey, wc: &mut FlowMask) -> Found {
        let mut clauses = Clauses::new();
        let hard = self.best(key, wc, Some(&mut clauses));
        if !clauses.is_empty()
            && let Some(found) = self.conjunctive(key, wc, clauses, hard)
        {
            return found;
        }
        Found { rule: hard.cloned(), conjunction: SmallVec::new() }
    }

    /// The best rule that is no clause; clauses that match and are better are collected.
    fn best<'a>(
        &'a self,
        key: &FlowKey,
        wc: &mut FlowMask,
        mut clauses: Option<&mut Clauses<'a>>,
    ) -> Option<&'a Arc<Rule>> {
        let mut asked = Asked::new(&self.prefixes, key);
        let mut best: Option<&Arc<Rule>> = None;
        for slot in &self.subtables {
            if best.is_some_and(|best| best.priority() >= slot.max_priority) {
                break;
            }
            for rule in slot.subtable.lookup(key, self.seed, &mut asked, wc) {
                if best.is_some_and(|best| best.priority() >= rule.priority()) {
                    break;
                }
                if !rule.matching().matches(key) {
                    continue;
                }
                if !rule.is_clause() {
                    best = Some(rule);
                    break;
                }
                if let Some(clauses) = clauses.as_deref_mut() {
                    clauses.push(rule);
                }
            }
        }
        best
    }

    /// The rule of the best conjunction of which all clauses match and that is better than `hard`.
    fn conjunctive<'a>(
        &'a self,
        key: &FlowKey,
        wc: &mut FlowMask,
        mut clauses: Clauses<'a>,
        hard: Option<&Arc<Rule>>,
    ) -> Option<Found> {
        clauses.retain(|rule| hard.is_none_or(|hard| rule.priority() > hard.priority()));
        clauses.sort_by_key(|rule| std::cmp::Reverse(rule.priority()));
        for level in clauses.chunk_by(|a, b| a.priority() == b.priority()) {
            let mut seen: SmallVec<[(u32, u64, u8); 4]> = SmallVec::new();
            for (id, clause, count) in level.iter().flat_map(|rule| rule.conjunctions()) {
                let bit = 1u64.checked_shl(u32::from(clause)).unwrap_or(0);
                match seen.iter_mut().find(|entry| entry.0 == id && entry.2 == count) {
                    Some(entry) => entry.1 |= bit,
                    None => seen.push((id, bit, count)),
                }
            }
            for (id, bits, count) in seen {
                if bits.count_ones() < u32::from(count) {
                    continue;
                }
                let mut key = key.clone();
                key.set(FieldId::ConjId, u128::from(id));
                if let Some(rule) = self.best(&key, wc, None) {
                    let of = |rule: &&&Arc<Rule>| rule.conjunctions().any(|part| part.0 == id);
                    let conjunction =
                        level.iter().filter(of).map(|&rule| Arc::clone(rule)).collect();
                    return Some(Found { rule: Some(Arc::clone(rule)), conjunction });
                }
            }
        }
        None
    }

    /// The rule with this very match and priority.
    #[must_use]
    pub fn get(&self, matching: &Match, priority: impl Into<u32>) -> Option<&Arc<Rule>> {
        let slot = &self.subtables[self.position(matching.minimask())?];
        slot.subtable.get(matching, priority.into(), self.seed)
    }

    /// All rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.subtables.iter().flat_map(|slot| slot.subtable.rules())
    }

    /// The rules that a match covers: those with the same or a tighter one.
    pub fn covered_by<'a>(&'a self, matching: &'a Match) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.subtables
            .iter()
            .filter(|slot| matching.minimask().within(&slot.subtable.shape().mask))
            .flat_map(|slot| slot.subtable.rules())
            .filter(|rule| matching.covers(rule.matching()))
    }

    /// A rule of this priority that overlaps a match: some packet matches both.
    #[must_use]
    pub fn overlapping(&self, matching: &Match, priority: impl Into<u32>) -> Option<&Arc<Rule>> {
        let priority = priority.into();
        self.subtables
            .iter()
            .filter(|slot| slot.subtable.has_priority(priority))
            .flat_map(|slot| slot.subtable.rules())
            .find(|rule| rule.priority() == priority && rule.matching().overlaps(matching))
    }

    /// How many rules it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules == 0
    }

    /// How many masks its rules have: what a look-up has to ask at most.
    #[must_use]
    pub fn masks(&self) -> usize {
        self.subtables.len()
    }

    /// The rules that have a timeout or may get one.
    pub(super) fn mortal(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.mortal.iter().flat_map(Bucket::rules)
    }

    /// Adds a rule, or replaces the one with the same match and priority.
    pub(super) fn insert(&mut self, mut rule: Rule) -> (Arc<Rule>, Option<Arc<Rule>>) {
        let mask = rule.matching.minimask();
        let at = match self.position(mask) {
            Some(at) => at,
            None => {
                let shape = Shape::new(mask, self.prefixes.fields());
                let slot = Slot {
                    subtable: Arc::new(Subtable::new(shape)),
                    mask_hash: mask_hash(mask),
                    max_priority: 0,
                };
                self.subtables.push(slot);
                self.subtables.len() - 1
            }
        };
        let slot = &mut self.subtables[at];
        rule.matching.share_mask(&slot.subtable.shape().mask);
        let rule = Arc::new(rule);
        let old = Arc::make_mut(&mut slot.subtable).insert(Arc::clone(&rule), self.seed);
        match &old {
            Some(old) => self.forget_mortal(old),
            None => {
                self.rules += 1;
                self.prefixes.insert(slot.subtable.shape(), rule.matching());
            }
        }
        self.remember_mortal(&rule);
        self.settle(at);
        (rule, old)
    }

    /// Removes the rule with the match and the priority of this one.
    pub(super) fn remove(&mut self, rule: &Rule) -> Option<Arc<Rule>> {
        let at = self.position(rule.matching.minimask())?;
        let slot = &mut self.subtables[at];
        slot.subtable.get(&rule.matching, rule.priority, self.seed)?;
        let subtable = Arc::make_mut(&mut slot.subtable);
        let rule = subtable.remove(&rule.matching, rule.priority, self.seed)?;
        self.rules -= 1;
        self.prefixes.remove(slot.subtable.shape(), rule.matching());
        self.forget_mortal(&rule);
        self.settle(at);
        Some(rule)
    }

    /// The fields that have a prefix trie.
    pub(super) fn prefixes(&self) -> &PrefixFields {
        self.prefixes.fields()
    }

    /// Chooses the fields that have a prefix trie; costs as much as adding all rules again.
    pub(super) fn set_prefixes(&mut self, fields: PrefixFields) {
        if *self.prefixes.fields() == fields {
            return;
        }
        let mut table = Self {
            subtables: Vec::with_capacity(self.subtables.len()),
            prefixes: Prefixes::new(fields),
            mortal: self.mortal.clone(),
            ..*self
        };
        for slot in &self.subtables {
            let mut subtable = Subtable::new(Shape::new(&slot.subtable.shape().mask, &fields));
            for rule in slot.subtable.rules() {
                table.prefixes.insert(subtable.shape(), rule.matching());
                subtable.insert(Arc::clone(rule), self.seed);
            }
            table.subtables.push(Slot { subtable: Arc::new(subtable), ..*slot });
        }
        *self = table;
    }

    /// Which subtable has this mask.
    fn position(&self, mask: &MiniMask) -> Option<usize> {
        let hash = mask_hash(mask);
        self.subtables
            .iter()
            .position(|slot| slot.mask_hash == hash && *slot.subtable.shape().mask == *mask)
    }

    /// Brings a subtable that changed to its place in the order, or removes it when it is empty.
    fn settle(&mut self, at: usize) {
        let slot = &mut self.subtables[at];
        let Some(max) = slot.subtable.max_priority() else {
            debug_assert!(slot.subtable.is_empty());
            self.subtables.remove(at);
            return;
        };
        slot.max_priority = max;
        // All others are in order: those before this one, and those behind it.
        let up = self.subtables[..at].partition_point(|slot| slot.max_priority >= max);
        let down = at + self.subtables[at + 1..].partition_point(|slot| slot.max_priority > max);
        if up < at {
            self.subtables[up..=at].rotate_right(1);
        } else if down > at {
            self.subtables[at..=down].rotate_left(1);
        }
    }

    fn remember_mortal(&mut self, rule: &Arc<Rule>) {
        if rule.is_mortal() {
            self.mortal.entry(id_hash(rule.id), Bucket::default).insert(Arc::clone(rule));
        }
    }

    /// Whether it was remembered or not: its timeouts may have changed since.
    fn forget_mortal(&mut self, rule: &Rule) {
        let hash = id_hash(rule.id);
        if self.mortal.get(hash).is_some() {
            let bucket = self.mortal.entry(hash, Bucket::default);
            bucket.remove(&rule.matching, rule.priority);
            if bucket.rules().is_empty() {
                self.mortal.remove(hash);
            }
        }
    }
}

fn id_hash(id: RuleId) -> u32 {
    (id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

fn mask_hash(mask: &MiniMask) -> u32 {
    let fold = |state, (index, mask): (u16, u64)| {
        dp_core::base::mix64(mask ^ state, 0xd6e8_feb8_6659_fd93 ^ u64::from(index))
    };
    super::shape::finish(mask.iter().fold(0, fold))
}

#[cfg(test)]
mod tests;
