//! A map from 32-bit hashes to entries whose copies share all that they have in common.
//!
//! Flow tables are read by many threads without locks while one thread changes them. A reader works
//! on a copy that never changes; a writer on a copy of its own. With this map a copy costs one
//! reference count, and changing one entry of a copy costs the path to it: a few nodes of at most 32
//! slots. Changing it again costs nothing more, for what is shared with nobody is changed in place;
//! so a thousand changes published at once are about as cheap as with a plain map.
//!
//! It is a hash array mapped trie (Bagwell, *Ideal Hash Trees*, 2001): each level looks at five bits
//! of the hash, and a node has slots only for the children it has.
//!
//! ```text
//!   hash …00101 00010 ─► bitmap ..100 ─► slots [ leaf | branch ]   popcount below the bit = index
//!                                                     └─► bitmap, slots …
//! ```
//!
//! # Cost
//!
//! Looking up: one dependent load a level, about log32 of the entries. Memory: 24 bytes a slot and
//! 16 a node; with random hashes about 40 bytes an entry.
//!
//! Entries are keyed by hash alone: whoever has several things of one hash keeps them in one entry.

use std::sync::Arc;

/// Bits of the hash that a level looks at.
const BITS: u32 = 5;

/// A persistent map from hashes to entries.
#[derive(Clone, Debug)]
pub(super) struct HashTrie<E> {
    bitmap: u32,
    slots: Slots<E>,
    len: usize,
}

type Slots<E> = Arc<[Slot<E>]>;

#[derive(Clone, Debug, Default)]
enum Slot<E> {
    /// Only while a node is being rebuilt.
    #[default]
    Vacant,
    Leaf(u32, E),
    Branch(u32, Slots<E>),
}

impl<E> Default for HashTrie<E> {
    fn default() -> Self {
        Self { bitmap: 0, slots: Arc::new([]), len: 0 }
    }
}

impl<E: Clone> HashTrie<E> {
    /// The entry of a hash.
    #[inline]
    pub(super) fn get(&self, hash: u32) -> Option<&E> {
        let (mut bitmap, mut slots, mut rest) = (self.bitmap, &self.slots, hash);
        loop {
            let bit = 1 << (rest & 31);
            if bitmap & bit == 0 {
                return None;
            }
            match slots.get((bitmap & (bit - 1)).count_ones() as usize)? {
                Slot::Leaf(other, entry) => return (*other == hash).then_some(entry),
                Slot::Branch(below, children) => (bitmap, slots) = (*below, children),
                Slot::Vacant => return None,
            }
            rest >>= BITS;
        }
    }

    /// The entry of a hash, to be changed; it is made first if there is none.
    pub(super) fn entry(&mut self, hash: u32, make: impl FnOnce() -> E) -> &mut E {
        let mut made = false;
        let entry = upsert(&mut self.bitmap, &mut self.slots, hash, 0, || {
            made = true;
            make()
        });
        self.len += usize::from(made);
        entry
    }

    /// Removes the entry of a hash.
    pub(super) fn remove(&mut self, hash: u32) -> Option<E> {
        let entry = remove(&mut self.bitmap, &mut self.slots, hash, 0)?;
        self.len -= 1;
        Some(entry)
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> Iter<'_, E> {
        Iter { stack: vec![self.slots.iter()] }
    }
}

fn upsert<'a, E: Clone>(
    bitmap: &'a mut u32,
    slots: &'a mut Slots<E>,
    hash: u32,
    shift: u32,
    make: impl FnOnce() -> E,
) -> &'a mut E {
    let bit = 1u32 << (hash >> shift & 31);
    let at = (*bitmap & (bit - 1)).count_ones() as usize;
    if *bitmap & bit == 0 {
        *bitmap |= bit;
        insert_slot(slots, at, Slot::Leaf(hash, make()));
        return match &mut Arc::make_mut(slots)[at] {
            Slot::Leaf(_, entry) => entry,
            _ => unreachable!("a leaf was just put there"),
        };
    }
    let slot = &mut Arc::make_mut(slots)[at];
    if let Slot::Leaf(other, _) = slot
        && *other != hash
    {
        // Two hashes that agree so far: both move a level down.
        let below = 1 << (*other >> (shift + BITS) & 31);
        let leaf = std::mem::take(slot);
        *slot = Slot::Branch(below, Arc::new([leaf]));
    }
    match slot {
        Slot::Leaf(_, entry) => entry,
        Slot::Branch(below, children) => upsert(below, children, hash, shift + BITS, make),
        Slot::Vacant => unreachable!("no slot is vacant between two operations"),
    }
}

fn remove<E: Clone>(bitmap: &mut u32, slots: &mut Slots<E>, hash: u32, shift: u32) -> Option<E> {
    let bit = 1u32 << (hash >> shift & 31);
    if *bitmap & bit == 0 {
        return None;
    }
    let at = (*bitmap & (bit - 1)).count_ones() as usize;
    if let Slot::Leaf(other, _) = slots.get(at)? {
        if *other != hash {
            return None;
        }
        *bitmap &= !bit;
        return match remove_slot(slots, at) {
            Slot::Leaf(_, entry) => Some(entry),
            _ => None,
        };
    }
    let slot = Arc::make_mut(slots).get_mut(at)?;
    let Slot::Branch(below, children) = slot else { return None };
    let entry = remove(below, children, hash, shift + BITS)?;
    // A branch with one leaf is that leaf, one level up. (It never gets empty before that.)
    if children.len() == 1 && matches!(children.first(), Some(Slot::Leaf(..))) {
        *slot = remove_slot(children, 0);
    }
    Some(entry)
}

/// The slots, to be moved out: those of a node that is shared are copied.
fn take_slots<E: Clone>(slots: &mut Slots<E>) -> impl Iterator<Item = Slot<E>> {
    Arc::make_mut(slots).iter_mut().map(std::mem::take)
}

fn insert_slot<E: Clone>(slots: &mut Slots<E>, at: usize, slot: Slot<E>) {
    let len = slots.len();
    let mut all = Vec::with_capacity(len + 1);
    let mut old = take_slots(slots);
    all.extend(old.by_ref().take(at));
    all.push(slot);
    all.extend(old);
    *slots = all.into();
}

fn remove_slot<E: Clone>(slots: &mut Slots<E>, at: usize) -> Slot<E> {
    let mut all: Vec<_> = take_slots(slots).collect();
    let slot = all.remove(at);
    *slots = all.into();
    slot
}

/// Goes through all entries.
#[derive(Debug)]
pub(super) struct Iter<'a, E> {
    stack: Vec<std::slice::Iter<'a, Slot<E>>>,
}

impl<'a, E> Iterator for Iter<'a, E> {
    type Item = &'a E;

    fn next(&mut self) -> Option<&'a E> {
        loop {
            match self.stack.last_mut()?.next() {
                Some(Slot::Leaf(_, entry)) => return Some(entry),
                Some(Slot::Branch(_, children)) => self.stack.push(children.iter()),
                Some(Slot::Vacant) => {}
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::HashTrie;

    #[test]
    fn a_slot_takes_24_bytes() {
        assert_eq!(size_of::<super::Slot<super::super::bucket::Bucket>>(), 24);
    }

    proptest! {
        /// Hashes of few bits, so that they agree for several levels; all copies stay as they were.
        #[test]
        fn copies_agree_with_a_plain_map(
            steps in prop::collection::vec((any::<bool>(), 0u32..8, 0u32..8, any::<u32>()), 1..200),
        ) {
            let mut trie = HashTrie::default();
            let mut map = HashMap::new();
            let mut copies = Vec::new();
            for (add, low, high, value) in steps {
                let hash = low | high << 27;
                if add {
                    *trie.entry(hash, || value) = value;
                    map.insert(hash, value);
                } else {
                    prop_assert_eq!(trie.remove(hash), map.remove(&hash));
                }
                copies.push((trie.clone(), map.clone()));
            }
            for (trie, map) in copies {
                prop_assert_eq!(trie.len(), map.len());
                prop_assert_eq!(trie.is_empty(), map.is_empty());
                let mut entries: Vec<_> = trie.iter().copied().collect();
                let mut expect: Vec<_> = map.values().copied().collect();
                entries.sort_unstable();
                expect.sort_unstable();
                prop_assert_eq!(entries, expect);
                for low in 0..8 {
                    for high in 0..8 {
                        let hash = low | high << 27;
                        prop_assert_eq!(trie.get(hash), map.get(&hash));
                    }
                }
            }
        }
    }
}
