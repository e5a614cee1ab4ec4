//! The rules of a table whose masks are equal, in a map from their hash.
//!
//! Where they look at ports, a trie knows which of them have rules here. A packet that agrees with
//! some rule up to its ports and finds none says by it how few leading bits of its ports made the
//! difference: then a list of forbidden ports does not cost a megaflow for each port that is not on
//! it. The trie is the subtable's own, so that what other masks say of ports does not matter.

use std::sync::Arc;

use dp_core::flow::layout::{TP_DST, TP_SRC};
use dp_core::flow::{FieldId, FlowKey, FlowMask};

use super::bucket::Bucket;
use super::hash_trie::{HashTrie, Iter};
use super::prefix_trie::PrefixTrie;
use super::prefixes::Asked;
use super::shape::{STAGES, Shape, finish, ports_of};
use super::{Match, Rule};

/// Rules of one shape.
#[derive(Clone, Debug)]
pub(super) struct Subtable {
    shape: Arc<Shape>,
    rules: HashTrie<Bucket>,
    /// For each stage but the last: how many rules have this hash up to there.
    partial: [HashTrie<u32>; STAGES - 1],
    /// The ports of its rules, up to the last bit that they look at.
    ports: PrefixTrie<u32>,
    /// How many rules have each priority, lowest first.
    priorities: Arc<Vec<(u32, u32)>>,
}

impl Subtable {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape: Arc::new(shape),
            rules: HashTrie::default(),
            partial: Default::default(),
            ports: PrefixTrie::default(),
            priorities: Arc::default(),
        }
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The rules among which a packet's may be, highest priority first: all that have its hash.
    /// Makes every bit count in `wc` that the answer rests on.
    pub(super) fn lookup(
        &self,
        key: &FlowKey,
        seed: u64,
        asked: &mut Asked<'_>,
        wc: &mut FlowMask,
    ) -> &[Arc<Rule>] {
        let mut state = seed;
        for (at, stage) in self.shape.stages.iter().enumerate() {
            if let Some(n) = stage.prefixes.iter().position(|&prefix| asked.rules_out(prefix, wc)) {
                // This prefix alone would prove it, but the way here must be the same for all
                // packets that the mask covers, so what was asked before counts too.
                self.shape.stages[..at].iter().for_each(|stage| stage.unwildcard(wc));
                stage.prefixes[..n].iter().for_each(|prefix| prefix.unwildcard(wc));
                return &[];
            }
            state = stage.hash_key(key, state);
            if at == self.shape.last {
                break;
            }
            if !stage.is_empty() && self.partial[at].get(finish(state)).is_none() {
                self.shape.stages[..=at].iter().for_each(|stage| stage.unwildcard(wc));
                return &[];
            }
        }
        let found = self.rules.get(finish(state)).map_or(&[][..], |bucket| bucket.rules());
        // All rules of a bucket whose hashes did not collide have one match.
        if !found.iter().any(|rule| rule.matching().matches(key)) && self.ports_rule_out(key, wc) {
            let before = &self.shape.stages[..self.shape.last];
            before.iter().for_each(|stage| stage.unwildcard(wc));
            return &[];
        }
        self.shape.mask.unwildcard(wc);
        found
    }

    /// Whether no rule has such ports. If so, makes the bits of them count in `wc` that say so.
    fn ports_rule_out(&self, key: &FlowKey, wc: &mut FlowMask) -> bool {
        let mask = self.shape.ports;
        if mask == 0 {
            return false;
        }
        let ports = ports_of(key.load(TP_SRC), key.load(TP_DST)) & mask;
        let Some(bits) = self.ports.lookup(ports).misses(last_bit(mask)) else { return false };
        let told = mask & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        wc.unwildcard_bits_at(TP_SRC, u128::from(told >> 16));
        wc.unwildcard_bits_at(TP_DST, u128::from(told & 0xffff));
        true
    }

    /// The rule with this match, which has this shape, and priority.
    pub(super) fn get(&self, matching: &Match, priority: u32, seed: u64) -> Option<&Arc<Rule>> {
        self.rules.get(self.shape.hash(matching, seed))?.get(matching, priority)
    }

    /// Adds a rule of this shape, or replaces the one with the same match and priority.
    pub(super) fn insert(&mut self, rule: Arc<Rule>, seed: u64) -> Option<Arc<Rule>> {
        let hash = self.shape.hash(rule.matching(), seed);
        let counted = Arc::clone(&rule);
        let old = self.rules.entry(hash, Bucket::default).insert(rule);
        if old.is_none() {
            self.count(&counted, seed, true);
        }
        old
    }

    /// Removes the rule with this match, which has this shape, and priority.
    pub(super) fn remove(
        &mut self,
        matching: &Match,
        priority: u32,
        seed: u64,
    ) -> Option<Arc<Rule>> {
        let hash = self.shape.hash(matching, seed);
        self.rules.get(hash)?.get(matching, priority)?;
        let bucket = self.rules.entry(hash, Bucket::default);
        let rule = bucket.remove(matching, priority)?;
        if bucket.rules().is_empty() {
            self.rules.remove(hash);
        }
        self.count(&rule, seed, false);
        Some(rule)
    }

    /// The highest priority of a rule; `None` if there is none.
    pub(super) fn max_priority(&self) -> Option<u32> {
        self.priorities.last().map(|&(priority, _)| priority)
    }

    /// Whether some rule has this priority.
    pub(super) fn has_priority(&self, priority: u32) -> bool {
        self.priorities.binary_search_by_key(&priority, |entry| entry.0).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// All rules, in no order.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules { buckets: self.rules.iter(), rules: [].iter() }
    }

    /// Counts a rule that came or went: in the partial hashes, the ports and the priorities.
    fn count(&mut self, rule: &Rule, seed: u64, came: bool) {
        if self.shape.ports != 0 {
            let ports = {
                let port = |field| rule.matching().field(field).0;
                ports_of(port(FieldId::TcpSrc), port(FieldId::TcpDst))
            };
            match came {
                true => self.ports.insert(ports, last_bit(self.shape.ports)),
                false => self.ports.remove(ports, last_bit(self.shape.ports)),
            }
        }
        let mut state = seed;
        for (at, stage) in self.shape.stages.iter().enumerate().take(self.shape.last) {
            state = stage.hash_match(rule.matching().words(), state);
            if stage.is_empty() {
                continue;
            }
            let hash = finish(state);
            let rules = self.partial[at].entry(hash, || 0);
            *rules = if came { *rules + 1 } else { rules.saturating_sub(1) };
            if *rules == 0 {
                self.partial[at].remove(hash);
            }
        }
        let priorities = Arc::make_mut(&mut self.priorities);
        match priorities.binary_search_by_key(&rule.priority(), |entry| entry.0) {
            Ok(at) if came => priorities[at].1 += 1,
            Ok(at) if priorities[at].1 > 1 => priorities[at].1 -= 1,
            Ok(at) => {
                priorities.remove(at);
            }
            Err(at) if came => priorities.insert(at, (rule.priority(), 1)),
            Err(_) => {}
        }
    }
}

/// How many leading bits of the ports a mask looks at, up to its last one.
#[expect(clippy::cast_possible_truncation, reason = "at most 32")]
fn last_bit(mask: u32) -> u8 {
    (u32::BITS - mask.trailing_zeros()) as u8
}

/// Goes through the rules of a subtable.
pub(super) struct Rules<'a> {
    buckets: Iter<'a, Bucket>,
    rules: std::slice::Iter<'a, Arc<Rule>>,
}

impl<'a> Iterator for Rules<'a> {
    type Item = &'a Arc<Rule>;

    fn next(&mut self) -> Option<&'a Arc<Rule>> {
        loop {
            if let Some(rule) = self.rules.next() {
                return Some(rule);
            }
            self.rules = self.buckets.next()?.rules().iter();
        }
    }
}
