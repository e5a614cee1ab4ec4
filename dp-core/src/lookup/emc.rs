//! The exact-match cache: whole keys to flows.
//!
//! Most packets belong to a flow that sent another one just before. The cache compares the whole
//! key, so a hit needs no mask and no knowledge of the tables; an entry is right as long as the
//! flow that it refers to is alive, because a megaflow covers all packets of one exact key.
//!
//! ```text
//!   hash ──► set (2 ways, 32 bytes: tag, lanes in use, flow) ──► lane 0 of the entry (64 bytes)
//!                                                                further lanes, if in use
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

use super::flows::{FlowRef, Flows};
use super::hash::KeyHasher;
use super::kernel::Kernel;
use crate::flow::{BurstKeys, Lane, LaneSet, PACKET_LANES};
use crate::packet::{BURST, Slots};

/// Entries by default.
pub const DEFAULT_ENTRIES: usize = 8192;
/// One in so many misses is inserted by default.
pub const DEFAULT_INSERT_INV_PROB: u32 = 100;
const MAX_ENTRIES: usize = 1 << 20;

/// The exact-match cache of one packet thread.
#[derive(Debug)]
pub struct Emc {
    sets: Vec<Set>,
    /// Lane 0 of each entry.
    first: Vec<Lane>,
    /// Lanes 1 … of each entry, by lane; empty until a packet uses the lane.
    more: [Vec<Lane>; PACKET_LANES - 1],
    /// A set's index is the hash shifted right by so much.
    shift: u32,
    hasher: KeyHasher,
    kernel: Kernel,
    chance: Chance,
}

/// What a look-up found out about a burst.
#[derive(Clone, Debug)]
pub struct EmcResult {
    /// Slots whose flow was found.
    pub hits: Slots,
    /// The flow of each hit.
    pub flows: [FlowRef; BURST],
    /// The hash of each key that was asked for, for [`Emc::insert`].
    pub hashes: [u64; BURST],
}

impl Default for EmcResult {
    fn default() -> Self {
        Self { hits: Slots::NONE, flows: [FlowRef::NONE; BURST], hashes: [0; BURST] }
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Set {
    ways: [Head; 2],
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
struct Head {
    tag: u32,
    lanes: LaneSet,
    flow: FlowRef,
}

impl Set {
    const EMPTY: Self =
        Self { ways: [Head { tag: 0, lanes: LaneSet::EMPTY, flow: FlowRef::NONE }; 2] };
}

const _: () = assert!(size_of::<Head>() == 16 && size_of::<Set>() == 32);

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
    /// A cache of at least `entries` entries (a power of two; at least 2, at most 2²⁰), of which
    /// one miss in `insert_inv_prob` becomes one: 1 inserts always, 0 never. `seed` keys the hash
    /// and the chance.
    #[must_use]
    pub fn new(entries: usize, insert_inv_prob: u32, seed: u64, kernel: Kernel) -> Self {
        let entries = entries.clamp(2, MAX_ENTRIES).next_power_of_two();
        let sets = entries / 2;
        Self {
            sets: vec![Set::EMPTY; sets],
            first: vec![Lane::ZERO; entries],
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

    /// How many entries there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.first.len()
    }

    /// How many entries refer to a living flow. Walks the whole cache.
    #[must_use]
    pub fn live<T>(&self, flows: &Flows<T>) -> usize {
        self.sets.iter().flat_map(|set| &set.ways).filter(|head| flows.is_live(head.flow)).count()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sets.fill(Set::EMPTY);
    }

    /// Looks up the keys of the slots in `want`.
    #[inline]
    pub fn lookup<T>(&self, keys: &BurstKeys, want: Slots, flows: &Flows<T>, out: &mut EmcResult) {
        match self.kernel {
            Kernel::Portable => probe::probe(self, keys, want, flows, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(proof) => probe_unsafe::probe(proof, self, keys, want, flows, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Autovalidate(proof) => {
                let mut judge = out.clone();
                probe::probe(self, keys, want, flows, &mut judge);
                probe_unsafe::probe(proof, self, keys, want, flows, out);
                assert_eq!(judge.hits, out.hits, "exact-match kernels disagree");
                for slot in want.iter() {
                    let of = |result: &EmcResult| {
                        (result.hashes.get(slot).copied(), result.flows.get(slot).copied())
                    };
                    let (ours, theirs) = (of(&judge), of(out));
                    assert_eq!(ours.0, theirs.0, "exact-match kernels disagree");
                    assert!(!judge.hits.has(slot) || ours == theirs, "kernels disagree");
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            Kernel::Avx512(_) | Kernel::Autovalidate(_) => {
                probe::probe(self, keys, want, flows, out);
            }
        }
    }

    /// Makes an entry for the key in `slot`, if chance has it. `hash` is from the look-up that
    /// missed. Of the two places, a dead or equal entry goes first, then one by chance.
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
        let random = self.chance.next() >> 63;
        let Some(set) = self.sets.get_mut(set_index) else { return };
        let lanes = keys.used().get(slot).copied().unwrap_or_default();
        let head = Head { tag: tag_of(hash), lanes, flow };
        let way = set
            .ways
            .iter()
            .position(|old| old.tag == head.tag && old.lanes == lanes)
            .or_else(|| set.ways.iter().position(|old| !flows.is_live(old.flow)))
            .unwrap_or(usize::from(random == 1));
        if let Some(place) = set.ways.get_mut(way) {
            *place = head;
        }
        let entry = set_index * 2 + way;
        if let Some(first) = self.first.get_mut(entry) {
            *first = *keys.get(slot, 0);
        }
        let entries = self.first.len();
        for lane in lanes.iter().filter(|&lane| lane > 0) {
            let Some(side) = self.more.get_mut(lane - 1) else { continue };
            if side.is_empty() {
                side.resize(entries, Lane::ZERO);
            }
            if let Some(place) = side.get_mut(entry) {
                *place = *keys.get(slot, lane);
            }
        }
    }

    #[inline(always)]
    fn set_of(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize & (self.sets.len() - 1)
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "32 of the bits below the set's index")]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 12) as u32
}

#[cfg(test)]
mod tests;
