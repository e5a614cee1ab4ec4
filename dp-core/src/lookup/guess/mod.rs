//! Guesses: which megaflow a packet most likely matches, held against that megaflow itself.
//!
//! Tables have many connections and few megaflows: a cache of whole keys then remembers the same few
//! answers ten thousand times. A guess needs no more than the bits that *all* masks look at. Packets
//! that agree in them have most often one megaflow; which it was the last time is noted in four
//! bytes, and the packet's key is held against the megaflow's own masked key before anything is
//! believed. Any megaflow that covers a packet is right for it, so a wrong guess costs a comparison
//! and no more.
//!
//! ```text
//!   key & common mask ─► hash ─► index of a megaflow ── masked key equal ─────► hit
//!                                      │ no                   │
//!                                      ▼                      ▼
//!                            the caches, and what      the rest of the burst, while
//!                            they find is the          that goes well: whose masked
//!                            next guess                key is equal too? ─────────► hit
//! ```
//!
//! Where guesses are mostly wrong (megaflows that tell packets apart by bits that others wildcard)
//! none are made for a while.
//!
//! # Cost
//!
//! 16 KiB. A hit is a hash, the megaflow's first line and a masked comparison of 64 bytes; for further
//! packets of the burst with the same megaflow the comparison alone ([`mod@alike`]).

mod alike;
#[cfg(target_arch = "x86_64")]
mod alike_unsafe;

use alike::alike;

use super::flows::BurstFlows;
use super::hash::{KeyHasher, finish, lane_sum};
use super::kernel::Kernel;
use super::megaflow::Megaflows;
use crate::flow::{BurstKeys, Lane};
use crate::packet::{BURST, Slots};

const ENTRIES: usize = 4096;
/// Packets over which guesses are judged.
const TRIAL: u32 = 4096;
/// Packets that pass without guesses where fewer than a quarter were right. Tests have few packets.
const PAUSE: u32 = if cfg!(test) { 256 } else { 1 << 16 };
/// The rest of a burst is held against a packet's megaflow if it has as many packets …
const WORTH: usize = 8;
/// … and as many matched the megaflow before. A comparison of all costs as much as three look-ups.
const WENT_WELL: usize = 4;

/// The guesses of one packet thread.
#[derive(Debug)]
pub struct Guesses {
    /// Indices of megaflows, right or not.
    entries: Box<[u32; ENTRIES]>,
    secret: Lane,
    /// Packets and right guesses of the trial that runs.
    tried: u32,
    right: u32,
    /// Packets that pass before the next trial.
    pause: u32,
}

/// What guessing about a burst came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guessed {
    /// Slots whose megaflow was found.
    pub hits: Slots,
    /// Slots whose megaflow was found if lanes beyond the first two match too.
    pub maybe: Slots,
}

impl Guesses {
    /// No guesses. `seed` keys the hash.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let secret = *KeyHasher::new(seed ^ 0x6775_6573_7365_7321).secret(0);
        Self { entries: Box::new([0; ENTRIES]), secret, tried: 0, right: 0, pause: 0 }
    }

    /// Whether guesses are made now.
    #[inline(always)]
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.pause == 0
    }

    /// Guesses for the packets in `want`, whose first two lanes are there. Where a megaflow looks at
    /// further lanes these have not been compared.
    #[inline(always)]
    #[must_use]
    pub fn lookup<T>(
        &self,
        kernel: Kernel,
        keys: &BurstKeys,
        want: Slots,
        table: &Megaflows<T>,
        found: &mut BurstFlows,
    ) -> Guessed {
        let mut out = Guessed::default();
        let mut left = want;
        let mut goes_well = true;
        while let Some(slot) = left.lowest() {
            let slot = slot & (BURST - 1);
            left.remove(slot);
            let key = &keys.lane(0)[slot];
            let index = self.entries[self.place(key, table.common())];
            let front = table.front(index);
            let Some((front, flow)) =
                front.filter(|(front, flow)| front.lane == 0 && key.and(&front.mask) == **flow)
            else {
                continue;
            };
            found.0[slot] = index;
            if front.more && !front.second {
                out.maybe.insert(slot);
                continue;
            }
            let second = if front.second { table.second(index) } else { None };
            let matches_second =
                |slot| second.is_none_or(|(mask, second)| keys.get(slot, 1).and(mask) == *second);
            if front.second && (second.is_none() || !matches_second(slot)) {
                continue;
            }
            out.hits.insert(slot);
            if !goes_well || left.len() < WORTH {
                continue;
            }
            let mut same = alike(kernel, keys.lane(0), &front.mask, flow).and(left);
            if second.is_some() {
                for slot in same.iter() {
                    if !matches_second(slot) {
                        same.remove(slot);
                    }
                }
            }
            for slot in same.iter() {
                found.0[slot & (BURST - 1)] = index;
            }
            out.hits = out.hits.or(same);
            left = left.without(same);
            goes_well = same.len() >= WENT_WELL;
        }
        out
    }

    /// Judges the guesses about as many packets.
    #[inline(always)]
    pub fn judge(&mut self, tried: usize, right: usize) {
        // At most a burst.
        self.tried += tried as u32;
        self.right += right as u32;
        if self.tried >= TRIAL {
            if self.right < self.tried / 4 {
                self.pause = PAUSE;
            }
            (self.tried, self.right) = (0, 0);
        }
    }

    /// Packets that passed without guesses.
    #[inline(always)]
    pub fn pass(&mut self, packets: usize) {
        self.pause = self.pause.saturating_sub(packets as u32);
    }

    /// The packet in `slot` has the megaflow with this index.
    #[inline(always)]
    pub fn note<T>(&mut self, keys: &BurstKeys, slot: usize, index: u32, table: &Megaflows<T>) {
        let at = self.place(&keys.lane(0)[slot & (BURST - 1)], table.common());
        self.entries[at] = index;
    }

    #[inline(always)]
    fn place(&self, key: &Lane, common: &Lane) -> usize {
        let hash = finish(lane_sum(&key.and(common), &self.secret));
        (hash >> 40) as usize & (ENTRIES - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Guesses, PAUSE, TRIAL};
    use crate::flow::{BurstKeys, FieldId as F, FlowKey, FlowMask};
    use crate::lookup::megaflow::Limits;
    use crate::lookup::{BurstFlows, Kernel, Megaflows};
    use crate::packet::{BURST, Slots};

    fn key(src: u32, dport: u16, label: u128) -> FlowKey {
        let mut key = FlowKey::EMPTY;
        key.set(F::InPort, 1);
        key.set(F::Ipv4Src, src.into());
        key.set(F::UdpDst, dport.into());
        if dport == 5 {
            key.set(F::Ipv6Src, label);
        } else {
            key.set(F::CtLabel, label);
        }
        key
    }

    fn mask(fields: &[F], bits: u128) -> FlowMask {
        let mut mask = FlowMask::EMPTY;
        mask.unwildcard(F::InPort);
        for &field in fields {
            mask.unwildcard(field);
        }
        mask.unwildcard_bits(F::Ipv4Src, bits);
        mask
    }

    #[test]
    fn what_it_finds_is_what_the_table_finds_while_flows_come_and_go() {
        let limits = Limits { flows: 1 << 16, masks: 64, budget: 64 };
        let mut table = Megaflows::new(limits, 1, Kernel::Portable);
        let mut guesses = Guesses::new(3);
        let masks = [
            mask(&[F::UdpDst], 0xff00),
            mask(&[F::UdpDst], 0xfff0),
            mask(&[F::UdpDst, F::CtLabel], 0xff00),
            mask(&[F::UdpDst, F::Ipv6Src], 0xff00),
        ];
        let (mut keys, mut found) = (BurstKeys::default(), BurstFlows::default());
        let (mut hits, mut maybes, mut removed) = (0, 0, 0);
        let kernels: Vec<_> = Kernel::available().collect();
        for round in 0..20_000_u32 {
            let dport = u16::try_from(round % 7).unwrap();
            // Each destination port has a mask of its own, as with one pipeline.
            let mask = &masks[if dport == 5 { 3 } else { usize::from(dport) % 3 }];
            // Small bursts, and whole ones whose packets have few megaflows or many.
            let size = if round % 4 == 0 { BURST } else { 4 };
            let spread = if round % 8 == 0 { 1 } else { 16 };
            for slot in 0..size {
                let src = round * 37 % 4096 + slot as u32 * spread;
                keys.set_key(slot, &key(src, dport, u128::from(round % 2)));
            }
            let want = Slots::first(size).without(Slots(round % 3));
            let kernel = kernels[round as usize % kernels.len()];
            let out = guesses.lookup(kernel, &keys, want, &table, &mut found);
            assert!(out.hits.and(out.maybe).is_empty());
            for slot in want.iter() {
                let packet = keys.key(slot);
                let judge = table.lookup_key(&packet).map(|flow| flow.index);
                if out.hits.has(slot) {
                    hits += 1;
                    assert_eq!(Some(found.0[slot]), judge);
                } else if out.maybe.has(slot) && table.matches(found.0[slot], &keys, slot) {
                    maybes += 1;
                    assert_eq!(Some(found.0[slot]), judge);
                } else {
                    let index = match judge {
                        Some(index) => index,
                        None => table.insert(&packet, mask, round).unwrap().flow.index,
                    };
                    guesses.note(&keys, slot, index, &table);
                }
            }
            if round % 13 == 0 {
                let id = Megaflows::<u32>::id(&keys.key(1), mask);
                removed += u32::from(table.remove(id).is_some());
            }
        }
        assert!(hits > 10_000 && maybes > 1_000 && removed > 500, "{hits} {maybes} {removed}");
    }

    #[test]
    fn it_pauses_where_it_is_mostly_wrong() {
        let mut guesses = Guesses::new(1);
        for _ in 0..TRIAL / 32 {
            guesses.judge(32, 7);
        }
        assert!(!guesses.is_on());
        guesses.pass(PAUSE as usize - 1);
        assert!(!guesses.is_on());
        guesses.pass(32);
        assert!(guesses.is_on());
        for _ in 0..TRIAL / 16 {
            guesses.judge(32, 8);
        }
        assert!(guesses.is_on());
    }
}
