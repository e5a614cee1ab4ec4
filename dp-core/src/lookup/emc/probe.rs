//! Looking up a burst in the exact-match cache: hash all, prefetch all, compare all.

use super::{Emc, EmcResult, tag_of};
use crate::base::prefetch;
use crate::flow::{BurstKeys, LaneSet};
use crate::lookup::flows::Flows;
use crate::lookup::hash::{finish, lane_sum};
use crate::packet::{BURST, Slots};

/// The body of every kernel.
#[inline(always)]
pub(super) fn probe<T>(
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    out: &mut EmcResult,
) {
    hash_all(emc, keys, want, out);
    let (candidates, entries) = choose_ways(emc, keys, want, out);
    let mut hits = candidates;
    let first = keys.lane(0);
    for slot in candidates.iter() {
        let slot = slot & (BURST - 1);
        let entry = entries[slot] as usize;
        let same = emc.first.get(entry).is_some_and(|lane| *lane == first[slot])
            && flows.is_live(out.flows[slot])
            && (keys.used()[slot].0 == 1 || same_rest(emc, keys, slot, entry));
        if !same {
            hits.remove(slot);
        }
    }
    out.hits = hits;
}

#[inline(always)]
fn hash_all(emc: &Emc, keys: &BurstKeys, want: Slots, out: &mut EmcResult) {
    let (first, used, secret) = (keys.lane(0), keys.used(), emc.hasher.secret(0));
    for slot in want.iter() {
        let slot = slot & (BURST - 1);
        let mut sum = lane_sum(&first[slot], secret);
        if used[slot].0 > 1 {
            for lane in LaneSet(used[slot].0 & !1).iter() {
                sum = sum.wrapping_add(lane_sum(keys.get(slot, lane), emc.hasher.secret(lane)));
            }
        }
        let hash = finish(sum);
        out.hashes[slot] = hash;
        if let Some(set) = emc.sets.get(emc.set_of(hash)) {
            prefetch(set);
        }
    }
}

/// For each slot the entry that may be it: the one whose tag and lanes are equal.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 2^20 entries")]
fn choose_ways(
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    out: &mut EmcResult,
) -> (Slots, [u32; BURST]) {
    let mut entries = [0u32; BURST];
    let mut candidates = want;
    for slot in want.iter() {
        let slot = slot & (BURST - 1);
        let hash = out.hashes[slot];
        let set_index = emc.set_of(hash);
        let Some(set) = emc.sets.get(set_index) else { continue };
        let tag = tag_of(hash);
        let [one, two] = &set.ways;
        let way = usize::from(one.tag != tag);
        let head = if way == 0 { one } else { two };
        let entry = set_index * 2 + way;
        entries[slot] = entry as u32;
        out.flows[slot] = head.flow;
        if head.tag == tag && head.lanes == keys.used()[slot] {
            if let Some(lane) = emc.first.get(entry) {
                prefetch(lane);
            }
        } else {
            candidates.remove(slot);
        }
    }
    (candidates, entries)
}

/// Whether the lanes beyond the first are those of the entry.
fn same_rest(emc: &Emc, keys: &BurstKeys, slot: usize, entry: usize) -> bool {
    LaneSet(keys.used()[slot & (BURST - 1)].0 & !1).iter().all(|lane| {
        emc.more
            .get(lane - 1)
            .and_then(|side| side.get(entry))
            .is_some_and(|value| value == keys.get(slot, lane))
    })
}
