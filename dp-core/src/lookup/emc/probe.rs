//! Looking up a burst in the exact-match cache.
//!
//! One loop, not three: a step for one packet is some forty instructions, so the processor itself
//! has the sets and entries of several packets under way at once, and nothing is written down in
//! between. Loops of their own for hashing and prefetching cost more than they hid, with a cache
//! of any size that fits the second level.
//!
//! Packets come in trains. The packets that begin a burst with one and the same key are looked up
//! once; a burst that begins with two flows pays a single comparison for that.

use super::{Emc, Hashes, tag_of};
use crate::flow::{BurstKeys, LaneSet};
use crate::lookup::flows::{BurstFlows, Flows};
use crate::lookup::hash::{finish, lane_sum};
use crate::packet::{BURST, Slots};

/// The body of every kernel.
#[inline(always)]
pub(super) fn probe<T>(
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    let (first, used, secret) = (keys.lane(0), keys.used(), emc.hasher.secret(0));
    let train = train(keys, want);
    let mut hits = want;
    for slot in want.without(train).iter() {
        let slot = slot & (BURST - 1);
        let key = &first[slot];
        let mut sum = lane_sum(key, secret);
        if used[slot] != LaneSet::of(0) {
            sum = sum.wrapping_add(rest_sum(emc, keys, slot));
        }
        let hash = finish(sum);
        hashes.0[slot] = hash;
        let at = emc.set_of(hash);
        let Some(set) = emc.sets.get(at) else { continue };
        let way = set.way_with(tag_of(hash));
        let flow = set.flow(way);
        found.0[slot] = flow.index;
        let same = set.first[way] == *key
            && set.lanes[way] == used[slot]
            && (used[slot] == LaneSet::of(0) || same_rest(emc, keys, slot, at, way))
            && flows.is_live(flow);
        if !same {
            hits.remove(slot);
        }
    }
    if let Some(engine) = want.lowest().filter(|_| !train.is_empty()) {
        let engine = engine & (BURST - 1);
        let (hash, flow) = (hashes.0[engine], found.0[engine]);
        for slot in train.iter() {
            let slot = slot & (BURST - 1);
            (hashes.0[slot], found.0[slot]) = (hash, flow);
        }
        if !hits.has(engine) {
            hits = hits.without(train);
        }
    }
    hits
}

/// The packets behind the first, up to the first that differs, whose key is the first's, if that
/// is of lane 0 alone.
#[inline(always)]
fn train(keys: &BurstKeys, want: Slots) -> Slots {
    let (first, used) = (keys.lane(0), keys.used());
    let mut train = Slots::NONE;
    let Some(engine) = want.lowest() else { return train };
    let key = &first[engine & (BURST - 1)];
    if used[engine & (BURST - 1)] != LaneSet::of(0) {
        return train;
    }
    let mut rest = want;
    rest.remove(engine);
    for slot in rest.iter() {
        let slot = slot & (BURST - 1);
        if used[slot] != LaneSet::of(0) || first[slot] != *key {
            break;
        }
        train.insert(slot);
    }
    train
}

/// What the lanes beyond the first add to the hash.
#[inline(always)]
fn rest_sum(emc: &Emc, keys: &BurstKeys, slot: usize) -> u64 {
    let used = keys.used()[slot & (BURST - 1)];
    LaneSet(used.0 & !1).iter().fold(0, |sum, lane| {
        sum.wrapping_add(lane_sum(keys.get(slot, lane), emc.hasher.secret(lane)))
    })
}

/// Whether the lanes beyond the first are those of the entry.
#[inline(always)]
fn same_rest(emc: &Emc, keys: &BurstKeys, slot: usize, at: usize, way: usize) -> bool {
    let used = keys.used()[slot & (BURST - 1)];
    LaneSet(used.0 & !1).iter().all(|lane| {
        emc.more
            .get(lane - 1)
            .and_then(|side| side.get(at)?.get(way))
            .is_some_and(|value| value == keys.get(slot, lane))
    })
}
