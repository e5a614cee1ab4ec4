//! The mask budget: what becomes of masks beyond it.
//!
//! Tuple-space search asks one subtable after another, so whoever can make the tables produce many
//! different masks makes every look-up slow: an access list of a few rules and a wildcard behind them
//! yields a mask for each combination of bits at which a packet may leave the rules (CVE-2019-25076).
//! Beyond the budget of its port a flow therefore gets no subtable of its own. Its mask is widened:
//! more bits count than the decision needs, which is right for every packet that still matches, and
//! the flow joins a subtable that is there already,
//!
//! 1. that of another mask that covers its own, the one with the fewest bits; or else
//! 2. that of whole keys: the flow becomes one of a single connection.
//!
//! So the number of subtables is bounded, traffic whose masks came first keeps its speed, and
//! everything else is looked up exactly instead of being refused. What it costs is flows: one a
//! connection instead of one a mask, and an upcall each.
//!
//! Bits that change within a connection (TCP flags, TTL, ECN) are left out of whole keys unless the
//! decision needs them.

use super::rank::Ranking;
use super::subtable::Subtable;
use crate::flow::layout::{self, Place};
use crate::flow::{FlowKey, FlowMask, PACKET_LANES};

/// Bits that change within a connection.
const CHANGING: [Place; 4] =
    [layout::TCP_FLAGS, layout::NW_TTL, layout::NW_TOS, layout::IPV6_LABEL];

/// The mask that a flow gets instead of `mask`: it covers `mask`, and is one of few.
pub(super) fn widen(
    key: &FlowKey,
    mask: &FlowMask,
    ranking: &Ranking,
    subtables: &[Option<Subtable>],
) -> FlowMask {
    let there = ranking
        .order
        .iter()
        .filter_map(|ranked| subtables.get(ranked.subtable as usize)?.as_ref())
        .filter(|table| table.mask.covers(mask))
        .min_by_key(|table| bits(&table.mask));
    match there {
        Some(table) => (*table.mask).clone(),
        None => whole(key, mask),
    }
}

/// How many bits count.
fn bits(mask: &FlowMask) -> u32 {
    let lanes = mask.used().iter().flat_map(|lane| mask.lane(lane).0);
    lanes.map(u64::count_ones).sum()
}

/// The mask of the whole key, together with what the decision needs.
fn whole(key: &FlowKey, mask: &FlowMask) -> FlowMask {
    let mut whole = FlowMask::EMPTY;
    for lane in key.used().iter().filter(|&lane| lane < PACKET_LANES) {
        *whole.lane_mut(lane) = crate::flow::Lane([u64::MAX; 8]);
    }
    let used = whole.used();
    for place in CHANGING.into_iter().filter(|place| used.has(place.lane())) {
        whole.store(place, 0);
    }
    whole.or_assign(mask);
    whole
}
