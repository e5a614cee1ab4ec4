//! The compressed trie: nodes of 64 branches, each two bit maps and two bases, in one array.
//!
//! ```text
//!   word 0-1   which of the 64 branches lead to a node
//!   word 2-3   at which branches the leaf value changes
//!   word 4     where the children begin, one after the other
//!   word 5     where the leaves begin, one after the other
//! ```
//!
//! A branch that leads nowhere takes the leaf that began at or before it: a run of equal leaves
//! stands once. A million routes fit into a few tens of megabytes, and a look-up is a bit count a
//! level (Asai and Ohara, "Poptrie", SIGCOMM 2015). Leaves are pushed down when the array is
//! built, so nothing is remembered on the way and any order among routes can be built in, not only
//! the longest prefix.
//!
//! # Cost
//!
//! One node (24 bytes) a six bits of the key, one leaf. Built in one go from sorted prefixes;
//! never changed.

use std::sync::Arc;

use crate::base::prefetch;

/// What a look-up gives; 0 is "nothing".
pub(super) type Leaf = u32;

/// Bits that a node decides.
const STRIDE: u8 = 6;
/// Words of a node.
const NODE: usize = 6;
const FAN: usize = 1 << STRIDE;

/// An address as a key: shifts of the narrow type where the address is narrow.
pub(super) trait Key: Copy {
    /// The six bits behind the first `offset`, zeros beyond the key's end.
    fn slot(self, offset: u8) -> u32;
}

impl Key for u32 {
    #[inline(always)]
    fn slot(self, offset: u8) -> u32 {
        self.wrapping_shl(Self::from(offset)) >> 26
    }
}

impl Key for u128 {
    #[inline(always)]
    fn slot(self, offset: u8) -> u32 {
        (self.wrapping_shl(u32::from(offset)) >> 122) as u32
    }
}

/// A prefix with what to make of the leaves it covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<T> {
    /// The prefix's bits at the top.
    pub(super) bits: u128,
    /// Its length.
    pub(super) len: u8,
    /// Handed to the function that combines.
    pub(super) value: T,
}

/// A built trie over the bits of a key from some offset on.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    words: Arc<[u32]>,
    offset: u8,
}

impl Slab {
    /// Builds the trie below the prefix `bits`/`offset`. `items` are sorted by bits, then length,
    /// all lie below that prefix and are longer than it; `inherited` is the leaf where none of
    /// them applies; `combine` gives the leaf where `value` applies on top of a leaf.
    pub(super) fn build<T: Copy>(
        bits: u128,
        offset: u8,
        width: u8,
        inherited: Leaf,
        items: &[Item<T>],
        combine: &mut dyn FnMut(Leaf, T) -> Leaf,
    ) -> Self {
        let mut builder = Builder { nodes: vec![[0; NODE]], leaves: Vec::new(), width, combine };
        builder.node(0, bits, offset, inherited, items);
        let Builder { mut nodes, leaves, .. } = builder;
        let first_leaf = words(nodes.len() * NODE);
        for node in &mut nodes {
            node[5] += first_leaf;
        }
        let words: Vec<u32> = nodes.iter().flatten().copied().chain(leaves).collect();
        Self { words: words.into(), offset }
    }

    /// The leaf of a key.
    #[inline(always)]
    pub(super) fn lookup<K: Key>(&self, key: K) -> Leaf {
        let mut offset = self.offset;
        let mut node = 0;
        loop {
            match self.step(node, key.slot(offset)) {
                Step::Child(child) => node = child,
                Step::Leaf(leaf) => return self.words.get(leaf).copied().unwrap_or(0),
            }
            offset += STRIDE;
        }
    }

    /// Begins to look a key up, a level at a time.
    #[inline(always)]
    pub(super) fn walk(&self) -> Walk<'_> {
        let walk = Walk { slab: self, offset: self.offset, at: Step::Child(0) };
        walk.ask();
        walk
    }

    #[inline(always)]
    fn step(&self, node: usize, slot: u32) -> Step {
        let at = node * NODE;
        let Some(&[b0, b1, l0, l1, children, leaves]) =
            self.words.get(at..).and_then(<[u32]>::first_chunk::<NODE>)
        else {
            return Step::Leaf(usize::MAX);
        };
        let below = u64::MAX >> (63 - slot);
        let branches = u64::from(b0) | u64::from(b1) << 32;
        if branches >> slot & 1 == 1 {
            Step::Child(children as usize + (branches & below).count_ones() as usize - 1)
        } else {
            let changes = u64::from(l0) | u64::from(l1) << 32;
            let before = (changes & below).count_ones() as usize;
            Step::Leaf((leaves as usize + before).wrapping_sub(1))
        }
    }

    /// Words that it takes.
    pub(super) fn size(&self) -> usize {
        self.words.len()
    }
}

/// Where a look-up goes: to a node by its number, or to the word of a leaf.
#[derive(Clone, Copy)]
enum Step {
    Child(usize),
    Leaf(usize),
}

/// A look-up on its way. What it reads next has been asked for.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    slab: &'a Slab,
    offset: u8,
    at: Step,
}

impl Walk<'_> {
    /// Goes down a level, unless it has come to its leaf.
    #[inline(always)]
    pub(super) fn down<K: Key>(&mut self, key: K) {
        if let Step::Child(node) = self.at {
            self.at = self.slab.step(node, key.slot(self.offset));
            self.offset += STRIDE;
            self.ask();
        }
    }

    /// The leaf it has come to; nothing if it has not gone down far enough.
    #[inline(always)]
    pub(super) fn leaf(self) -> Leaf {
        match self.at {
            Step::Leaf(leaf) => self.slab.words.get(leaf).copied().unwrap_or(0),
            Step::Child(_) => 0,
        }
    }

    #[inline(always)]
    fn ask(&self) {
        let (first, last) = match self.at {
            // Most nodes lie within a cache line.
            Step::Child(node) => (node * NODE, node * NODE + NODE - 1),
            Step::Leaf(leaf) => (leaf, leaf),
        };
        for at in [first, last] {
            if let Some(word) = self.slab.words.get(at) {
                prefetch(word);
            }
        }
    }
}

/// An index as a word. A slab holds far fewer than 2³² words: it would not fit into memory.
fn words(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

struct Builder<'a, T> {
    nodes: Vec<[u32; NODE]>,
    leaves: Vec<Leaf>,
    width: u8,
    combine: &'a mut dyn FnMut(Leaf, T) -> Leaf,
}

impl<T: Copy> Builder<'_, T> {
    /// Fills node `at`, which decides the bits from `offset` on of keys that begin with `bits`.
    fn node(&mut self, at: usize, bits: u128, offset: u8, inherited: Leaf, items: &[Item<T>]) {
        let end = offset + STRIDE;
        let mut leaf = [inherited; FAN];
        let mut deeper = [(0_u32, 0_u32); FAN];
        let mut by_len: Vec<&Item<T>> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if item.len > end {
                let range = &mut deeper[item.bits.slot(offset) as usize];
                if range.1 == 0 {
                    range.0 = words(index);
                }
                range.1 = words(index + 1);
            } else if item.len > offset {
                by_len.push(item);
            }
        }
        by_len.sort_by_key(|item| item.len);
        for item in by_len {
            let first = item.bits.slot(offset) as usize;
            for leaf in leaf.iter_mut().skip(first).take(1 << (end - item.len)) {
                *leaf = (self.combine)(*leaf, item.value);
            }
        }
        let (mut branches, mut changes) = (0_u64, 0_u64);
        let first_leaf = self.leaves.len();
        let mut last = None;
        for slot in 0..FAN {
            if deeper[slot].1 > 0 && end < self.width {
                branches |= 1 << slot;
            } else if last != Some(leaf[slot]) {
                changes |= 1 << slot;
                last = Some(leaf[slot]);
                self.leaves.push(leaf[slot]);
            }
        }
        let first_child = self.nodes.len();
        self.nodes.resize(first_child + branches.count_ones() as usize, [0; NODE]);
        let (b, c) = (split(branches), split(changes));
        self.nodes[at] = [b.0, b.1, c.0, c.1, words(first_child), words(first_leaf)];
        let slots = (0..FAN).filter(|slot| branches >> slot & 1 == 1);
        for (child, slot) in (first_child..).zip(slots) {
            let (from, to) = deeper[slot];
            let below = bits | (slot as u128) << (128 - u32::from(end));
            let part = items.get(from as usize..to as usize).unwrap_or_default();
            self.node(child, below, end, leaf[slot], part);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
const fn split(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::{Item, Slab};

    fn item(text: &str, value: u32) -> Item<u32> {
        let prefix: super::super::Prefix = text.parse().expect("a prefix");
        Item { bits: prefix.bits(), len: prefix.len(), value }
    }

    #[test]
    fn the_longest_prefix_wins_at_every_length() {
        let items = [item("0.0.0.0/0", 0), item("10.0.0.0/8", 8), item("10.1.0.0/17", 17)];
        let mut items = items.to_vec();
        items.extend([item("10.1.0.0/30", 30), item("10.1.0.3/32", 32), item("11.0.0.0/7", 7)]);
        items.retain(|item| item.len > 0);
        items.sort_by_key(|item| (item.bits, item.len));
        let slab = Slab::build(0, 0, 32, 99, &items, &mut |_, value| value);
        let lookup = |text: &str| {
            let address: std::net::Ipv4Addr = text.parse().expect("an address");
            slab.lookup(address.to_bits())
        };
        assert_eq!(lookup("1.1.1.1"), 99);
        assert_eq!(lookup("11.1.1.1"), 7);
        assert_eq!(lookup("10.255.255.255"), 8);
        assert_eq!(lookup("10.1.127.255"), 17);
        assert_eq!(lookup("10.1.0.2"), 30);
        assert_eq!(lookup("10.1.0.3"), 32);
        assert_eq!(lookup("10.1.0.4"), 17);
    }

    #[test]
    fn ipv6_is_walked_to_its_last_bit() {
        let items = [item("2001:db8::/127", 1), item("2001:db8::1/128", 2)];
        let slab = Slab::build(0, 0, 128, 0, &items, &mut |_, value| value);
        let key = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("valid").to_bits();
        assert_eq!(slab.lookup(key("2001:db8::")), 1);
        assert_eq!(slab.lookup(key("2001:db8::1")), 2);
        assert_eq!(slab.lookup(key("2001:db8::2")), 0);
    }
}
