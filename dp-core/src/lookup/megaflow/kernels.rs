//! Looking up a burst in one subtable: mask and hash all, prefetch all, compare all.

use super::subtable::{Bucket, LiveLane, Subtable, WAYS, tag_of};
use crate::base::prefetch;
use crate::flow::BurstKeys;
use crate::lookup::flows::{BurstFlows, Flows};
use crate::lookup::hash::{finish, lane_sum};
use crate::packet::{BURST, Slots};

/// The body of every kernel: finds the flows of the slots in `want`; returns the slots that hit.
#[inline(always)]
pub(super) fn probe<T>(
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    let mut hashes = [0u64; BURST];
    hash_all(table, keys, want, &mut hashes);
    let mut hits = Slots::NONE;
    for slot in want.iter() {
        let slot = slot & (BURST - 1);
        if let Some(flow) = search(table, keys, slot, hashes[slot], flows) {
            found.0[slot] = flow;
            hits.insert(slot);
        }
    }
    hits
}

#[inline(always)]
fn hash_all(table: &Subtable, keys: &BurstKeys, want: Slots, hashes: &mut [u64; BURST]) {
    match table.live.as_slice() {
        // Nearly every mask lives in lane 0 alone, which every packet has.
        [only] if only.lane == 0 => {
            let first = keys.lane(0);
            for slot in want.iter() {
                let slot = slot & (BURST - 1);
                let sum = lane_sum(&first[slot].and(&only.mask), &only.secret);
                remember(table, slot, sum, hashes);
            }
        }
        live => {
            for slot in want.iter() {
                let slot = slot & (BURST - 1);
                let sum = live.iter().fold(0u64, |sum, live| {
                    let lane = keys.get(slot, live.lane).and(&live.mask);
                    sum.wrapping_add(lane_sum(&lane, &live.secret))
                });
                remember(table, slot, sum, hashes);
            }
        }
    }
}

#[inline(always)]
fn remember(table: &Subtable, slot: usize, sum: u64, hashes: &mut [u64; BURST]) {
    let hash = finish(sum);
    hashes[slot] = hash;
    if let Some(bucket) = table.buckets.get(table.bucket_of(hash)) {
        prefetch(bucket);
    }
}

/// Follows one key through its buckets.
#[inline(always)]
fn search<T>(
    table: &Subtable,
    keys: &BurstKeys,
    slot: usize,
    hash: u64,
    flows: &Flows<T>,
) -> Option<u32> {
    let tag = tag_of(hash);
    let first = table.live.first()?;
    let mut at = table.bucket_of(hash);
    for _ in 0..table.buckets.len() {
        let bucket = table.buckets.get(at)?;
        if let Some(flow) = in_bucket(table, bucket, tag, first, keys, slot, flows) {
            return Some(flow);
        }
        if bucket.overflow == 0 {
            return None;
        }
        at = (at + 1) & (table.buckets.len() - 1);
    }
    None
}

#[inline(always)]
fn in_bucket<T>(
    table: &Subtable,
    bucket: &Bucket,
    tag: u16,
    first: &LiveLane,
    keys: &BurstKeys,
    slot: usize,
    flows: &Flows<T>,
) -> Option<u32> {
    let mut ways = ways_with(&bucket.tags, tag);
    while ways != 0 {
        let way = ways.trailing_zeros() as usize & (WAYS - 1);
        ways &= ways - 1;
        let index = bucket.flows[way];
        let flow = flows.slots().get(index as usize)?;
        if keys.get(slot, first.lane).and(&first.mask) == flow.key
            && (table.live.len() == 1 || table.same_rest(flow.row, keys, slot))
        {
            return Some(index);
        }
    }
    None
}

/// A bit for each way with this tag.
#[inline(always)]
fn ways_with(tags: &[u16; WAYS], tag: u16) -> u32 {
    let mut ways = 0;
    for (way, &other) in tags.iter().enumerate() {
        ways |= u32::from(other == tag) << way;
    }
    ways
}
