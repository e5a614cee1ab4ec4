//! The exact-match cache: whole keys to flows.
//!
//! Most packets belong to a flow that sent another one just before. The cache compares the whole
//! key, so a hit needs no mask and no knowledge of the tables; an entry is right as long as the
//! flow that it refers to is alive, because a megaflow covers all packets of one exact key.
//!
//! ```text
//!   hash ──► set of 4 ways: │ tags, lanes in use, flows │ lane 0 │ lane 0 │ lane 0 │ lane 0 │
//!                             line 0                      line 1 … 4, one a way
//!                           further lanes in side arrays, read only if in use
//! ```
//!
//! A hit of a plain IPv4 packet touches two cache lines here. Insertion is a matter of chance (1 in
//! 100 by default), so that a flood of short flows does not wash out the long ones.
//!
//! # Cost
//!
//! 80 bytes an entry, and 64 for each further lane that any packet has used (one for IPv6). 8,192
//! entries: 640 KiB, 1,152 KiB with IPv6.

mod probe;
#[cfg(target_arch = "x86_64")]
mod probe_unsafe;

use super::flows::{BurstFlows, FlowRef, Flows};
use super::hash::KeyHasher;
use super::kernel::Kernel;
use crate::base::Vectors;
use crate::flow::{BurstKeys, Lane, LaneSet, PACKET_LANES};
use crate::packet::{BURST, Slots};

/// Entries by default.
pub const DEFAULT_ENTRIES: usize = 8192;
/// One in so many misses is inserted by default.
pub const DEFAULT_INSERT_INV_PROB: u32 = 100;
/// Ways of a set: what one cache line holds.
const WAYS: usize = 4;
const MAX_ENTRIES: usize = 1 << 20;

/// The exact-match cache of one packet thread.
#[derive(Debug)]
pub struct Emc {
    sets: Vec<Set>,
    /// Lanes 1 … of each set, by lane; empty until a packet uses the lane.
    more: [Vec<[Lane; WAYS]>; PACKET_LANES - 1],
    /// A set's index is the hash shifted right by so much.
    shift: u32,
    hasher: KeyHasher,
    kernel: Kernel,
    chance: Chance,
}

/// The hash of each key that was looked up, for [`Emc::insert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes(pub [u64; BURST]);

impl Default for Hashes {
    fn default() -> Self {
        Self([0; BURST])
    }
}

/// Four ways, field by field.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Set {
    /// 16 bits a way, way 0 lowest: all four are compared at once.
    tags: u64,
    indices: [u32; WAYS],
    generations: [u32; WAYS],
    lanes: [LaneSet; WAYS],
    first: [Lane; WAYS],
}

impl Set {
    const EMPTY: Self = Self {
        tags: 0,
        indices: [FlowRef::NONE.index; WAYS],
        generations: [FlowRef::NONE.generation; WAYS],
        lanes: [LaneSet::EMPTY; WAYS],
        first: [Lane::ZERO; WAYS],
    };

    /// The first way with this tag; any way if there is none: comparing the key decides.
    #[inline(always)]
    const fn way_with(&self, tag: u64) -> usize {
        let differences = self.tags ^ tag.wrapping_mul(ONES);
        // The lowest zero among four numbers of 16 bits. Others above it may be taken for zero.
        let zeros = differences.wrapping_sub(ONES) & !differences & TOPS;
        zeros.trailing_zeros() as usize / 16 % WAYS
    }

    #[inline(always)]
    fn flow(&self, way: usize) -> FlowRef {
        let way = way % WAYS;
        FlowRef { index: self.indices[way], generation: self.generations[way] }
    }

    fn set_tag(&mut self, way: usize, tag: u64) {
        let shift = way % WAYS * 16;
        self.tags = self.tags & !(0xffff << shift) | tag << shift;
    }

    fn tag(&self, way: usize) -> u64 {
        self.tags >> (way % WAYS * 16) & 0xffff
    }
}

const ONES: u64 = 0x0001_0001_0001_0001;
const TOPS: u64 = 0x8000_8000_8000_8000;
const _: () = assert!(size_of::<Set>() == 5 * 64);

/// One in `inv_prob`, drawn from a xorshift sequence.
#[derive(Clone, Debug)]
struct Chance {
    threshold: u64,
    state: u64,
}

impl Chance {
    fn new(inv_prob: u32, seed: u64) -> Self {
        let threshold = match inv_prob {
            0 => 0,
            prob => u64::from(u32::MAX) / u64::from(prob) + 1,
        };
        Self { threshold, state: seed | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn strikes(&mut self) -> bool {
        self.next() & u64::from(u32::MAX) < self.threshold
    }
}

impl Emc {
    /// A cache of at least `entries` entries (a power of two; at least 4, at most 2²⁰), of which
    /// one miss in `insert_inv_prob` becomes one: 1 inserts always, 0 never. `seed` keys the hash
    /// and the chance.
    #[must_use]
    pub fn new(entries: usize, insert_inv_prob: u32, seed: u64, kernel: Kernel) -> Self {
        let entries = entries.clamp(WAYS, MAX_ENTRIES).next_power_of_two();
        let sets = entries / WAYS;
        Self {
            sets: vec![Set::EMPTY; sets],
            more: [const { Vec::new() }; PACKET_LANES - 1],
            // A shift of 64 does not exist: one set takes the same index by the mask in `set_of`.
            shift: 64 - sets.ilog2().max(1),
            hasher: KeyHasher::new(seed),
            kernel,
            chance: Chance::new(insert_inv_prob, seed),
        }
    }

    /// Sets the chance of insertion: one in `insert_inv_prob`; 0 is never.
    pub fn set_insert_inv_prob(&mut self, insert_inv_prob: u32) {
        self.chance = Chance::new(insert_inv_prob, self.chance.state);
    }

    /// From now on this kernel does the look-ups.
    pub fn set_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    /// The hashes of the keys in `want`, for caches that are asked where this one is off.
    pub fn hash(&self, keys: &BurstKeys, want: Slots, hashes: &mut Hashes) {
        for slot in want.iter() {
            let used = keys.used()[slot & (BURST - 1)];
            let lanes = used.iter().map(|lane| (lane, keys.get(slot, lane)));
            hashes.0[slot & (BURST - 1)] = self.hasher.hash(lanes);
        }
    }

    /// How many entries there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// How many entries refer to a living flow. Walks the whole cache.
    #[must_use]
    pub fn live<T>(&self, flows: &Flows<T>) -> usize {
        let ways = self.sets.iter().flat_map(|set| (0..WAYS).map(|way| set.flow(way)));
        ways.filter(|&flow| flows.is_live(flow)).count()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for set in &mut self.sets {
            (set.tags, set.generations) = (0, [FlowRef::NONE.generation; WAYS]);
        }
    }

    /// Looks up the keys of the slots in `want`; returns the slots whose flow was found, and alive.
    #[inline]
    #[must_use]
    pub fn lookup<T>(
        &self,
        keys: &BurstKeys,
        want: Slots,
        flows: &Flows<T>,
        hashes: &mut Hashes,
        found: &mut BurstFlows,
    ) -> Slots {
        self.lookup_by(self.kernel, keys, want, flows, hashes, found)
    }

    #[inline(always)]
    fn lookup_by<T>(
        &self,
        kernel: Kernel,
        keys: &BurstKeys,
        want: Slots,
        flows: &Flows<T>,
        hashes: &mut Hashes,
        found: &mut BurstFlows,
    ) -> Slots {
        match kernel {
            Kernel::Portable => probe::probe(self, keys, want, flows, hashes, found),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(proof) => {
                probe_unsafe::probe_avx2(proof, self, keys, want, flows, hashes, found)
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(proof) => {
                probe_unsafe::probe_avx512(proof, self, keys, want, flows, hashes, found)
            }
            #[cfg(not(target_arch = "x86_64"))]
            Kernel::Avx2(_) | Kernel::Avx512(_) => {
                probe::probe(self, keys, want, flows, hashes, found)
            }
            Kernel::Autovalidate(vectors) => {
                self.validate(vectors, keys, want, flows, hashes, found)
            }
        }
    }

    /// Asks every kernel; the portable one's answer counts.
    #[cold]
    fn validate<T>(
        &self,
        vectors: Vectors,
        keys: &BurstKeys,
        want: Slots,
        flows: &Flows<T>,
        hashes: &mut Hashes,
        found: &mut BurstFlows,
    ) -> Slots {
        let before = (hashes.clone(), found.clone());
        let hits = probe::probe(self, keys, want, flows, hashes, found);
        for kernel in [vectors.avx2.map(Kernel::Avx2), vectors.avx512.map(Kernel::Avx512)] {
            let Some(kernel) = kernel else { continue };
            let (mut their_hashes, mut theirs) = before.clone();
            let lookup = self.lookup_by(kernel, keys, want, flows, &mut their_hashes, &mut theirs);
            let same = lookup == hits
                && their_hashes == *hashes
                && hits.iter().all(|slot| theirs.0.get(slot) == found.0.get(slot));
            if !same {
                crate::sync::disagree("exact-match");
            }
        }
        hits
    }

    /// Makes an entry for the key in `slot`, if chance has it. `hash` is from the look-up that
    /// missed. Of the places of a set, a dead or equal entry goes first, then one by chance.
    pub fn insert<T>(
        &mut self,
        keys: &BurstKeys,
        slot: usize,
        hash: u64,
        flow: FlowRef,
        flows: &Flows<T>,
    ) {
        if !self.chance.strikes() {
            return;
        }
        let set_index = self.set_of(hash);
        let random = (self.chance.next() >> 62) as usize;
        let Some(set) = self.sets.get_mut(set_index) else { return };
        let lanes = keys.used().get(slot).copied().unwrap_or_default();
        let tag = tag_of(hash);
        let way = (0..WAYS)
            .find(|&way| set.tag(way) == tag && set.lanes[way] == lanes)
            .or_else(|| (0..WAYS).find(|&way| !flows.is_live(set.flow(way))))
            .unwrap_or(random % WAYS);
        set.set_tag(way, tag);
        (set.lanes[way], set.first[way]) = (lanes, *keys.get(slot, 0));
        (set.indices[way], set.generations[way]) = (flow.index, flow.generation);
        let sets = self.sets.len();
        for lane in lanes.iter().filter(|&lane| lane > 0) {
            let Some(side) = self.more.get_mut(lane - 1) else { continue };
            if side.is_empty() {
                side.resize(sets, [Lane::ZERO; WAYS]);
            }
            if let Some(place) = side.get_mut(set_index) {
                place[way] = *keys.get(slot, lane);
            }
        }
    }

    #[inline(always)]
    fn set_of(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize & (self.sets.len() - 1)
    }
}

#[inline(always)]
const fn tag_of(hash: u64) -> u64 {
    hash >> 16 & 0xffff
}

#[cfg(test)]
mod tests;
