//! Which prefixes of one field a table's rules match on.
//!
//! Asked with a packet's value, a trie tells of which lengths some rule's prefix matches, and how
//! many leading bits of the value that answer rests on. A subtable whose prefixes have a length that
//! is not among them has no rule for the packet: it is skipped, and only those bits of the field
//! become part of the megaflow instead of all that the subtable looks at. That is what keeps a
//! packet to 192.0.2.1 from needing a megaflow of its own because somewhere a rule matches on
//! 10.0.0.1.
//!
//! A Patricia tree, bits from the most significant, leaves inline in their parents. Copies share
//! what they have in common, as [`super::hash_trie`]'s do.
//!
//! # Invariants
//!
//! A branch without rules of its own has two children; one with rules has at least one.

use std::sync::Arc;

/// What a trie knows about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixHit {
    /// Bit `n - 1` is set if a prefix of length `n` matches.
    lengths: u128,
    /// Leading bits of the value that decide which longer prefixes match: no prefix longer than
    /// this one matches any value that agrees in so many bits.
    decided: u8,
}

impl PrefixHit {
    /// `None` if a prefix of this length matches; else how many leading bits of the value are
    /// enough to say that none does.
    pub(super) fn misses(&self, len: u8) -> Option<u8> {
        let bit = 1u128.checked_shl(u32::from(len).checked_sub(1)?)?;
        (self.lengths & bit == 0).then(|| len.min(self.decided))
    }
}

/// Bits of a prefix, left-aligned.
pub(super) trait Bits: Copy + Eq + std::fmt::Debug {
    /// How many leading bits two values share.
    fn common(self, other: Self) -> u8;
    /// Bit `at` from the most significant.
    fn bit(self, at: u8) -> usize;
    /// The first `len` bits, the rest zero.
    fn prefix(self, len: u8) -> Self;
}

macro_rules! bits {
    ($type:ty) => {
        impl Bits for $type {
            #[expect(clippy::cast_possible_truncation, reason = "a count of at most 128")]
            fn common(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            fn bit(self, at: u8) -> usize {
                usize::from(self.rotate_left(u32::from(at) + 1) & 1 != 0)
            }

            fn prefix(self, len: u8) -> Self {
                match Self::BITS - u32::from(len) {
                    Self::BITS => 0,
                    left => self >> left << left,
                }
            }
        }
    };
}

bits!(u32);
bits!(u128);

/// A set of prefixes, counted.
#[derive(Clone, Debug)]
pub(super) struct PrefixTrie<K> {
    root: Edge<K>,
}

#[derive(Clone, Debug, Default)]
enum Edge<K> {
    #[default]
    None,
    Leaf {
        prefix: K,
        rules: u32,
        len: u8,
    },
    Branch(Arc<Branch<K>>),
}

#[derive(Clone, Debug)]
struct Branch<K> {
    edges: [Edge<K>; 2],
    prefix: K,
    rules: u32,
    len: u8,
}

impl<K> Default for PrefixTrie<K> {
    fn default() -> Self {
        Self { root: Edge::None }
    }
}

impl<K: Bits> PrefixTrie<K> {
    /// Which prefixes match a value.
    pub(super) fn lookup(&self, value: K) -> PrefixHit {
        let mut hit = PrefixHit { lengths: 0, decided: 0 };
        let mut edge = &self.root;
        loop {
            let (prefix, len, rules, next) = match edge {
                Edge::None => return hit,
                Edge::Leaf { prefix, len, rules } => (*prefix, *len, *rules, None),
                Edge::Branch(node) => (node.prefix, node.len, node.rules, Some(&node.edges)),
            };
            let common = prefix.common(value);
            if common < len {
                hit.decided = common + 1;
                return hit;
            }
            if rules > 0 {
                hit.lengths |= 1 << (len - 1);
            }
            hit.decided = len;
            let Some(edges) = next else { return hit };
            // Whatever stands there or not, the next bit decided.
            hit.decided = len + 1;
            edge = &edges[value.bit(len)];
        }
    }

    /// Adds a prefix of `len` bits, at least 1; the value's further bits do not matter.
    pub(super) fn insert(&mut self, value: K, len: u8) {
        insert(&mut self.root, value.prefix(len), len);
    }

    /// Takes one of a prefix away that was added.
    pub(super) fn remove(&mut self, value: K, len: u8) {
        remove(&mut self.root, value.prefix(len), len);
    }
}

fn insert<K: Bits>(edge: &mut Edge<K>, prefix: K, len: u8) {
    let (other, other_len) = match edge {
        Edge::None => {
            *edge = Edge::Leaf { prefix, rules: 1, len };
            return;
        }
        Edge::Leaf { prefix: other, len: other_len, rules } => {
            if (*other, *other_len) == (prefix, len) {
                *rules += 1;
                return;
            }
            (*other, *other_len)
        }
        Edge::Branch(node) => (node.prefix, node.len),
    };
    let common = prefix.common(other).min(len).min(other_len);
    if common < other_len {
        // They part above what stands here: a new branch takes its place.
        let rules = u32::from(common == len);
        let mut branch = Branch {
            edges: [Edge::None, Edge::None],
            prefix: prefix.prefix(common),
            rules,
            len: common,
        };
        branch.edges[other.bit(common)] = std::mem::take(edge);
        if common < len {
            branch.edges[prefix.bit(common)] = Edge::Leaf { prefix, rules: 1, len };
        }
        *edge = Edge::Branch(Arc::new(branch));
        return;
    }
    // What stands here is a prefix of the new one.
    if let Edge::Leaf { prefix, rules, len } = *edge {
        let edges = [Edge::None, Edge::None];
        *edge = Edge::Branch(Arc::new(Branch { edges, prefix, rules, len }));
    }
    if let Edge::Branch(node) = edge {
        let node = Arc::make_mut(node);
        match len == node.len {
            true => node.rules += 1,
            false => insert(&mut node.edges[prefix.bit(other_len)], prefix, len),
        }
    }
}

fn remove<K: Bits>(edge: &mut Edge<K>, prefix: K, len: u8) {
    match edge {
        Edge::None => {}
        Edge::Leaf { prefix: other, rules, len: other_len } => {
            if (*other, *other_len) == (prefix, len) {
                *rules -= 1;
                if *rules == 0 {
                    *edge = Edge::None;
                }
            }
        }
        Edge::Branch(node) => {
            if node.len > len || prefix.common(node.prefix) < node.len {
                return;
            }
            let node = Arc::make_mut(node);
            match node.len == len {
                true => node.rules = node.rules.saturating_sub(1),
                false => remove(&mut node.edges[prefix.bit(node.len)], prefix, len),
            }
            *edge = match (node.rules, &mut node.edges) {
                (0, [Edge::None, other] | [other, Edge::None]) => std::mem::take(other),
                (1.., [Edge::None, Edge::None]) => {
                    Edge::Leaf { prefix: node.prefix, rules: node.rules, len: node.len }
                }
                _ => return,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Bits, Edge, PrefixTrie};

    /// Branches have children or rules, as the module says.
    fn check<K: Bits>(edge: &Edge<K>) {
        if let Edge::Branch(node) = edge {
            let children = node.edges.iter().filter(|edge| !matches!(edge, Edge::None)).count();
            assert!(children == 2 || (children == 1 && node.rules > 0));
            node.edges.iter().for_each(check);
        }
    }

    #[test]
    fn a_host_elsewhere_needs_few_bits() {
        let mut trie = PrefixTrie::default();
        trie.insert(0x0a00_0001u32, 32);
        trie.insert(0x0a01_0000, 16);
        let hit = trie.lookup(0xc000_0201);
        assert_eq!((hit.misses(32), hit.misses(16)), (Some(1), Some(1)));
        let hit = trie.lookup(0x0a01_0203);
        assert_eq!((hit.misses(32), hit.misses(16), hit.misses(8)), (Some(16), None, Some(8)));
        let hit = trie.lookup(0x0a00_0003);
        assert_eq!((hit.misses(32), hit.misses(16)), (Some(31), Some(16)));
        assert_eq!(size_of::<Edge<u32>>(), 16);
    }

    /// Prefixes that nest and part late.
    fn prefix() -> impl Strategy<Value = (u32, u8)> {
        let base = prop::sample::select(vec![0u32, 0x0a00_0000, 0x0a01_0203, u32::MAX]);
        (base, 0u32..32, any::<bool>(), 1u8..=32)
            .prop_map(|(base, flip, keep, len)| (if keep { base } else { base ^ 1 << flip }, len))
    }

    proptest! {
        #[test]
        fn a_trie_agrees_with_a_list(
            steps in prop::collection::vec((prefix(), 0usize..3), 1..60),
            probes in prop::collection::vec((prefix(), 0u32..32), 1..40),
        ) {
            let mut trie = PrefixTrie::default();
            let mut list: Vec<(u32, u8)> = Vec::new();
            let mut copies = Vec::new();
            for ((value, len), step) in steps {
                if step == 0 && !list.is_empty() {
                    let (value, len) = list.swap_remove(value as usize % list.len());
                    trie.remove(value, len);
                } else {
                    trie.insert(value, len);
                    list.push((value, len));
                }
                check(&trie.root);
                copies.push((trie.clone(), list.clone()));
            }
            for (trie, list) in copies.iter().step_by(7) {
                let matches = |value: u32, len: u8| {
                    list.iter().any(|&(v, l)| l == len && v.common(value) >= len)
                };
                for &((value, _), flip) in &probes {
                    let hit = trie.lookup(value);
                    for len in 1..=32 {
                        prop_assert_eq!(hit.misses(len).is_none(), matches(value, len));
                        // Values that agree in the bits that decided have no such prefix either.
                        if let Some(bits) = hit.misses(len) {
                            prop_assert!(bits <= len);
                            let other = if flip < u32::from(bits) {
                                value
                            } else {
                                value ^ (u32::MAX >> flip)
                            };
                            prop_assert!(other.common(value) >= bits);
                            prop_assert!(!matches(other, len));
                        }
                    }
                }
            }
            for (value, len) in list {
                trie.remove(value, len);
            }
            prop_assert!(matches!(trie.root, Edge::None));
        }
    }
}
