//! The signature match cache: hashes of keys to flows, many and small.
//!
//! Where the exact-match cache is too small for the traffic and masks are many, this one remembers
//! for a million keys which flow they took, in eight bytes each: 16 bits of the key's hash and the
//! flow's index. A signature may lie, and so may an index whose flow has gone; the packet's key is
//! held against the flow's own masked key before anything is believed, so a wrong entry costs a
//! comparison and no more.
//!
//! ```text
//!   hash ──► bucket of 8 ways, 64 bytes: │ 8 signatures │ 8 flow indices │
//!                     │ signature fits
//!                     ▼ key & mask of the flow == key of the flow ?
//! ```
//!
//! # Cost
//!
//! 8 MiB for 2²⁰ entries, taken when the cache is switched on. A hit touches the bucket, the flow and
//! its mask: as much as one subtable of the megaflow table, however many there are.

use super::emc::Hashes;
use super::flows::BurstFlows;
use super::megaflow::Megaflows;
use crate::base::prefetch;
use crate::flow::BurstKeys;
use crate::packet::{BURST, Slots};

/// Entries by default.
pub const DEFAULT_ENTRIES: usize = 1 << 20;
const WAYS: usize = 8;

/// The signature match cache of one packet thread.
#[derive(Debug, Default)]
pub struct Smc {
    /// A power of two, or none where the cache is off.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Bucket {
    signatures: [u16; WAYS],
    flows: [u32; WAYS],
    /// Which way is overwritten next.
    next: u8,
}

impl Bucket {
    const EMPTY: Self = Self { signatures: [0; WAYS], flows: [0; WAYS], next: 0 };
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// Never 0, which marks a free way.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "16 bits of the middle of the hash")]
const fn signature_of(hash: u64) -> u16 {
    let signature = (hash >> 8) as u16;
    if signature == 0 { 1 } else { signature }
}

impl Smc {
    /// A cache of at least `entries` entries; with 0 it is off.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        let mut smc = Self::default();
        smc.resize(entries);
        smc
    }

    /// Makes room for as many entries, and forgets what was there; 0 switches the cache off.
    pub fn resize(&mut self, entries: usize) {
        let buckets = match entries {
            0 => 0,
            some => some.div_ceil(WAYS).next_power_of_two(),
        };
        if buckets != self.buckets.len() {
            self.buckets = vec![Bucket::EMPTY; buckets];
        }
    }

    /// Whether it is on.
    #[inline(always)]
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// How many entries there are, right or not. Walks the whole cache.
    #[must_use]
    pub fn len(&self) -> usize {
        let ways = self.buckets.iter().flat_map(|bucket| &bucket.signatures);
        ways.filter(|&&signature| signature != 0).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks up the keys of the slots in `want`, whose hashes are known; returns the slots whose flow
    /// was found.
    #[must_use]
    pub fn lookup<T>(
        &self,
        hashes: &Hashes,
        keys: &BurstKeys,
        want: Slots,
        table: &Megaflows<T>,
        found: &mut BurstFlows,
    ) -> Slots {
        if !self.is_on() {
            return Slots::NONE;
        }
        for slot in want.iter() {
            if let Some(bucket) = self.bucket(hashes.0[slot & (BURST - 1)]) {
                prefetch(bucket);
            }
        }
        let mut hits = Slots::NONE;
        for slot in want.iter() {
            let slot = slot & (BURST - 1);
            let hash = hashes.0[slot];
            let Some(bucket) = self.bucket(hash) else { continue };
            let signature = signature_of(hash);
            for (&other, &flow) in bucket.signatures.iter().zip(&bucket.flows) {
                if other == signature && table.matches(flow, keys, slot) {
                    found.0[slot] = flow;
                    hits.insert(slot);
                    break;
                }
            }
        }
        hits
    }

    /// Notes which flow a key took.
    pub fn insert(&mut self, hash: u64, flow: u32) {
        let Some(at) = self.index(hash) else { return };
        let Some(bucket) = self.buckets.get_mut(at) else { return };
        let signature = signature_of(hash);
        let way = match bucket.signatures.iter().position(|&other| other == signature) {
            Some(way) => way,
            None => match bucket.signatures.iter().position(|&other| other == 0) {
                Some(way) => way,
                None => {
                    bucket.next = bucket.next.wrapping_add(1);
                    usize::from(bucket.next)
                }
            },
        };
        let way = way % WAYS;
        (bucket.signatures[way], bucket.flows[way]) = (signature, flow);
    }

    #[inline(always)]
    fn index(&self, hash: u64) -> Option<usize> {
        // Another part of the hash than the exact-match cache takes its sets from.
        let mask = self.buckets.len().checked_sub(1)?;
        Some((hash >> 24) as usize & mask)
    }

    #[inline(always)]
    fn bucket(&self, hash: u64) -> Option<&Bucket> {
        self.buckets.get(self.index(hash)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Smc;
    use crate::flow::{BurstKeys, FieldId, FlowKey, FlowMask};
    use crate::lookup::emc::{Emc, Hashes};
    use crate::lookup::megaflow::Limits;
    use crate::lookup::{BurstFlows, Kernel, Megaflows};
    use crate::packet::Slots;

    fn key(src: u32, sport: u16) -> FlowKey {
        let mut key = FlowKey::EMPTY;
        key.set(FieldId::InPort, 1);
        key.set(FieldId::Ipv4Src, src.into());
        key.set(FieldId::UdpSrc, sport.into());
        key
    }

    #[test]
    fn what_it_finds_is_a_flow_that_the_packet_matches_or_nothing() {
        let limits = Limits { flows: 1 << 16, masks: 64, budget: 64 };
        let mut table = Megaflows::new(limits, 1, Kernel::Portable);
        let emc = Emc::new(64, 0, 1, Kernel::Portable);
        let mut smc = Smc::new(4096);
        let mut mask = FlowMask::EMPTY;
        mask.unwildcard(FieldId::InPort);
        mask.unwildcard(FieldId::Ipv4Src);
        let (mut keys, mut found) = (BurstKeys::default(), BurstFlows::default());
        let mut hashes = Hashes::default();
        let (mut hits, mut removed) = (0, 0);
        for round in 0..4000_u32 {
            let packet = key(round % 100, u16::try_from(round % 7).unwrap());
            keys.set_key(3, &packet);
            emc.hash(&keys, Slots(8), &mut hashes);
            let hit = smc.lookup(&hashes, &keys, Slots(8), &table, &mut found);
            let judge = table.lookup_key(&packet);
            if hit.is_empty() {
                let flow = match judge {
                    Some(flow) => flow,
                    None => table.insert(&packet, &mask, round).unwrap().flow,
                };
                smc.insert(hashes.0[3], flow.index);
            } else {
                hits += 1;
                assert_eq!(Some(found.0[3]), judge.map(|flow| flow.index));
            }
            if round % 13 == 0 {
                // Gone flows leave entries that lie; their slots are used again.
                let id = Megaflows::<u32>::id(&key(round % 100, 0), &mask);
                removed += u32::from(table.remove(id).is_some());
            }
        }
        assert!(hits > 1000 && removed > 200, "{hits} {removed}");
        smc.resize(0);
        assert!(!smc.is_on() && smc.is_empty());
        assert!(smc.lookup(&hashes, &keys, Slots(8), &table, &mut found).is_empty());
    }
}
