//! Longest-prefix matching that is changed a little at a time: tries of chunks.
//!
//! ```text
//!   IPv4   65,536 entries by the first 16 bits ──► a slab each for the rest, or a leaf
//!   IPv6   one slab over the first 32 bits     ──► a slab each for the rest, or a leaf
//! ```
//!
//! A change of a long prefix rebuilds the one slab that it lies in; a change of a short prefix
//! rebuilds those below it whose inherited leaf is another now. Everything that is built is shared
//! by reference with the snapshots that readers hold, so that a reader is never waited for and
//! never sees half a change.
//!
//! [`Tree`] is the writer's side, [`Fib`] what is looked up in.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::paged::Paged;
use super::prefix::{Family, Prefix};
use super::slab::{Item, Key, Leaf, Slab};
use crate::base::prefetch;

/// Routes at one prefix.
pub(super) type Ids = SmallVec<[u32; 2]>;

/// Marks a leaf of the IPv6 top as the number of an entry.
const CHUNK: Leaf = 1 << 30;

/// Addresses that are looked up together.
const TOGETHER: usize = 32;
/// Nodes on the longest way through a slab of IPv4: six bits each of the last sixteen.
const LEVELS4: usize = 3;

/// What is looked up in. Copies are cheap and share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Fib {
    /// Over the first 32 bits of IPv6; none for IPv4.
    top: Option<Slab>,
    entries: Paged<Entry>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    /// What applies where the slab is missing; what the slab was built on where it is there.
    leaf: Leaf,
    slab: Option<Slab>,
}

impl Entry {
    #[inline(always)]
    fn lookup<K: Key>(&self, key: K) -> Leaf {
        self.slab.as_ref().map_or(self.leaf, |slab| slab.lookup(key))
    }
}

impl Fib {
    /// The leaf of an IPv4 address.
    #[inline(always)]
    pub(super) fn lookup4(&self, key: u32) -> Leaf {
        self.entries.get((key >> 16) as usize).map_or(0, |entry| entry.lookup(key))
    }

    /// The leaves of several IPv4 addresses: all go down a level before any goes down the next, so
    /// that the processor waits for the memory of many at once.
    #[inline(always)]
    pub(super) fn burst4(&self, keys: &[u32], out: &mut [Leaf]) {
        for (keys, out) in keys.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)) {
            self.together4(keys, out);
        }
    }

    fn together4(&self, keys: &[u32], out: &mut [Leaf]) {
        let mut walks = [const { None }; TOGETHER];
        let entry = |key: u32| self.entries.get((key >> 16) as usize);
        for entry in keys.iter().filter_map(|&key| entry(key)) {
            prefetch(entry);
        }
        for ((&key, leaf), walk) in keys.iter().zip(&mut *out).zip(&mut walks) {
            let entry = entry(key);
            *leaf = entry.map_or(0, |entry| entry.leaf);
            *walk = entry.and_then(|entry| entry.slab.as_ref()).map(Slab::walk);
        }
        for _ in 0..LEVELS4 {
            for (&key, walk) in keys.iter().zip(&mut walks) {
                if let Some(walk) = walk {
                    walk.down(key);
                }
            }
        }
        for (leaf, walk) in out.iter_mut().zip(walks) {
            if let Some(walk) = walk {
                *leaf = walk.leaf();
            }
        }
    }

    /// The leaf of an IPv6 address.
    #[inline(always)]
    pub(super) fn lookup6(&self, key: u128) -> Leaf {
        let leaf = self.top.as_ref().map_or(0, |top| top.lookup(key));
        if leaf & CHUNK == 0 {
            return leaf;
        }
        self.entries.get((leaf & !CHUNK) as usize).map_or(0, |entry| entry.lookup(key))
    }
}

/// Prefixes with their routes, and the [`Fib`] made of them.
#[derive(Debug)]
pub(super) struct Tree {
    family: Family,
    fib: Fib,
    /// Prefixes that the top decides, by length.
    short: BTreeMap<(u8, u128), Ids>,
    /// The others, by bits.
    long: BTreeMap<(u128, u8), Ids>,
    /// Number and size of the chunks that have long prefixes; numbers matter to IPv6 only.
    chunks: BTreeMap<u32, Chunk>,
    free: Vec<u32>,
    dirty_short: Vec<Prefix>,
    dirty_chunks: BTreeSet<u32>,
    /// Whether chunks have come or gone.
    reshaped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    number: u32,
    prefixes: usize,
}

#[derive(Clone, Copy)]
enum TopItem<'a> {
    Ids(&'a Ids),
    Chunk(u32),
}

/// Makes the leaf where the routes `ids` apply on top of what a leaf says.
pub(super) trait Combine {
    fn combine(&mut self, inherited: Leaf, ids: &Ids) -> Leaf;
}

impl Tree {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            fib: Fib::default(),
            short: BTreeMap::new(),
            long: BTreeMap::new(),
            chunks: BTreeMap::new(),
            free: Vec::new(),
            dirty_short: Vec::new(),
            dirty_chunks: BTreeSet::new(),
            reshaped: false,
        }
    }

    const fn top(&self) -> u8 {
        match self.family {
            Family::V4 => 16,
            Family::V6 => 32,
        }
    }

    /// The chunk that bits lie in: the bits that the top decides, at the low end.
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left")]
    const fn chunk_of(&self, bits: u128) -> u32 {
        (bits >> (128 - self.top() as u32)) as u32
    }

    const fn chunk_bits(&self, chunk: u32) -> u128 {
        (chunk as u128) << (128 - self.top() as u32)
    }

    pub(super) const fn fib(&self) -> &Fib {
        &self.fib
    }

    /// The routes at exactly this prefix.
    pub(super) fn at(&self, prefix: Prefix) -> &[u32] {
        let ids = if prefix.len() <= self.top() {
            self.short.get(&(prefix.len(), prefix.bits()))
        } else {
            self.long.get(&(prefix.bits(), prefix.len()))
        };
        ids.map_or(&[], |ids| ids)
    }

    /// Replaces the routes at a prefix; in force with the next [`Self::commit`].
    pub(super) fn set(&mut self, prefix: Prefix, ids: Ids) {
        if prefix.len() <= self.top() {
            if ids.is_empty() {
                self.short.remove(&(prefix.len(), prefix.bits()));
            } else {
                self.short.insert((prefix.len(), prefix.bits()), ids);
            }
            self.dirty_short.push(prefix);
            return;
        }
        let chunk = self.chunk_of(prefix.bits());
        self.dirty_chunks.insert(chunk);
        if ids.is_empty() {
            if self.long.remove(&(prefix.bits(), prefix.len())).is_some() {
                self.shrink_chunk(chunk);
            }
        } else if self.long.insert((prefix.bits(), prefix.len()), ids).is_none() {
            self.grow_chunk(chunk);
        }
    }

    fn grow_chunk(&mut self, chunk: u32) {
        let next = u32::try_from(self.chunks.len()).unwrap_or(CHUNK - 1);
        let (free, reshaped) = (&mut self.free, &mut self.reshaped);
        let entry = self.chunks.entry(chunk).or_insert_with(|| {
            *reshaped = true;
            Chunk { number: free.pop().unwrap_or(next), prefixes: 0 }
        });
        entry.prefixes += 1;
    }

    fn shrink_chunk(&mut self, chunk: u32) {
        let Some(entry) = self.chunks.get_mut(&chunk) else { return };
        entry.prefixes -= 1;
        if entry.prefixes == 0 {
            self.free.push(entry.number);
            self.chunks.remove(&chunk);
            self.reshaped = true;
        }
    }

    /// Calls for every prefix to be built anew at the next [`Self::commit`].
    pub(super) fn touch_all(&mut self) {
        self.fib = Fib::default();
        self.dirty_chunks.extend(self.chunks.keys());
        self.dirty_short.push(Prefix::new(self.zero(), 0));
        self.reshaped = true;
    }

    const fn zero(&self) -> core::net::IpAddr {
        match self.family {
            Family::V4 => core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            Family::V6 => core::net::IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Builds what has changed.
    pub(super) fn commit(&mut self, combine: &mut dyn Combine) {
        match self.family {
            Family::V4 => self.commit_direct(combine),
            Family::V6 => self.commit_trie(combine),
        }
        self.dirty_chunks.clear();
        self.dirty_short.clear();
        self.reshaped = false;
    }

    /// IPv4: ranges of the 65,536 entries.
    fn commit_direct(&mut self, combine: &mut dyn Combine) {
        let mut ranges: Vec<(u32, u32)> = self.dirty_chunks.iter().map(|&at| (at, at)).collect();
        ranges.extend(self.dirty_short.iter().map(|prefix| {
            let first = self.chunk_of(prefix.bits());
            (first, first | 0xffff_u32.checked_shr(u32::from(prefix.len())).unwrap_or(0))
        }));
        ranges.sort_unstable();
        let mut done = 0;
        for (first, last) in ranges {
            let first = first.max(done);
            if first > last {
                continue;
            }
            let inherited = self.inherited(first, last, combine);
            for (chunk, leaf) in (first..=last).zip(inherited) {
                self.rebuild(chunk, chunk, leaf, combine);
            }
            done = last + 1;
        }
    }

    /// The leaves that the short prefixes give the chunks from `first` to `last`.
    fn inherited(&self, first: u32, last: u32, combine: &mut dyn Combine) -> Vec<Leaf> {
        let mut leaves = vec![0; (last - first + 1) as usize];
        if first == last {
            let address = self.chunk_bits(first);
            for len in 0..=self.top() {
                let bits = address & !(u128::MAX.checked_shr(u32::from(len)).unwrap_or(0));
                if let Some(ids) = self.short.get(&(len, bits)) {
                    leaves[0] = combine.combine(leaves[0], ids);
                }
            }
            return leaves;
        }
        for (&(len, bits), ids) in &self.short {
            let from = self.chunk_of(bits);
            let to = from | 0xffff_u32.checked_shr(u32::from(len)).unwrap_or(0);
            if to < first || from > last {
                continue;
            }
            let from = (from.max(first) - first) as usize;
            let to = (to.min(last) - first) as usize;
            for leaf in leaves.iter_mut().take(to + 1).skip(from) {
                *leaf = combine.combine(*leaf, ids);
            }
        }
        leaves
    }

    /// Builds the slab of a chunk at entry `number` on top of `leaf`, unless it is as it was.
    fn rebuild(&mut self, chunk: u32, number: u32, leaf: Leaf, combine: &mut dyn Combine) {
        let dirty = self.dirty_chunks.contains(&chunk);
        let now = self.fib.entries.get(number as usize);
        if !dirty && now.map_or(0, |entry| entry.leaf) == leaf {
            return;
        }
        let bits = self.chunk_bits(chunk);
        let last = bits | u128::MAX >> self.top();
        let items: Vec<Item<&Ids>> = self
            .long
            .range((bits, 0)..=(last, u8::MAX))
            .map(|(&(bits, len), ids)| Item { bits, len, value: ids })
            .collect();
        let slab = (!items.is_empty()).then(|| {
            let width = self.family.width();
            let mut apply = |leaf, ids: &Ids| combine.combine(leaf, ids);
            Slab::build(bits, self.top(), width, leaf, &items, &mut apply)
        });
        *self.fib.entries.get_mut(number as usize) = Entry { leaf, slab };
    }

    /// IPv6: the top is a slab itself; it is built anew when short prefixes or chunks change.
    fn commit_trie(&mut self, combine: &mut dyn Combine) {
        if self.dirty_short.is_empty() && !self.reshaped {
            for chunk in self.dirty_chunks.clone() {
                let Some(number) = self.chunks.get(&chunk).map(|chunk| chunk.number) else {
                    continue;
                };
                let leaf = self.fib.entries.get(number as usize).map_or(0, |entry| entry.leaf);
                self.rebuild(chunk, number, leaf, combine);
            }
            return;
        }
        let mut inherited: Vec<(u32, u32, Leaf)> = Vec::with_capacity(self.chunks.len());
        let mut root = 0;
        let mut items: Vec<Item<TopItem<'_>>> = Vec::new();
        for (&(len, bits), ids) in &self.short {
            if len == 0 {
                root = combine.combine(0, ids);
            } else {
                items.push(Item { bits, len, value: TopItem::Ids(ids) });
            }
        }
        let short = items.len();
        for &chunk in self.chunks.keys() {
            let item = TopItem::Chunk(chunk);
            items.push(Item { bits: self.chunk_bits(chunk), len: self.top(), value: item });
        }
        // A stable sort: where a short prefix is as long as a chunk's, it comes first.
        items.get_mut(..short).unwrap_or_default().sort_by_key(|item| (item.bits, item.len));
        items.sort_by_key(|item| (item.bits, item.len));
        let chunks = &self.chunks;
        let mut apply = |leaf: Leaf, item: TopItem<'_>| match item {
            TopItem::Ids(ids) => combine.combine(leaf, ids),
            TopItem::Chunk(chunk) => {
                let number = chunks.get(&chunk).map_or(0, |chunk| chunk.number);
                // A node decides six bits, so the last one reaches beyond bit 32 and comes here
                // once for each of its branches.
                if inherited.last().is_none_or(|&(last, ..)| last != chunk) {
                    inherited.push((chunk, number, leaf));
                }
                CHUNK | number
            }
        };
        let top = Slab::build(0, 0, self.top(), root, &items, &mut apply);
        self.fib.top = Some(top);
        for (chunk, number, leaf) in inherited {
            self.rebuild(chunk, number, leaf, combine);
        }
    }

    /// Bytes that the look-up structure takes, nearly: for figures.
    pub(super) fn size(&self) -> usize {
        let slabs: usize = match self.family {
            Family::V4 => (0..65_536).filter_map(|at| self.fib.entries.get(at)).map(words_of).sum(),
            Family::V6 => self
                .chunks
                .values()
                .filter_map(|chunk| self.fib.entries.get(chunk.number as usize))
                .map(words_of)
                .sum(),
        };
        let entries = match self.family {
            Family::V4 => 65_536,
            Family::V6 => self.chunks.len(),
        };
        entries * size_of::<Entry>() + 4 * (slabs + self.fib.top.as_ref().map_or(0, Slab::size))
    }
}

fn words_of(entry: &Entry) -> usize {
    entry.slab.as_ref().map_or(0, Slab::size)
}
