//! One token bucket in one word.

use super::{Band, Lengths, MeterUnit};
use crate::base::Instant;
use crate::packet::Slots;
use crate::sync::SharedCell;

/// Parts of a nanosecond that the bucket counts in, so that fast bands are not rounded away: 64
/// reach for 8 years of nanoseconds, and one before the clock began.
const PARTS: u64 = 64;

/// A token bucket. The cell holds the moment at which it is empty: behind now by as much time as it
/// took to fill it to its level.
#[derive(Debug)]
pub(super) struct Bucket {
    empty_at: SharedCell,
    unit: MeterUnit,
    /// Tokens a second: bits or packets.
    rate: u64,
    /// How far behind now the moment may lie: the time to fill the bucket whole.
    depth: u64,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(unit: MeterUnit, band: Band, now: Instant) -> Self {
        let scale = match unit {
            MeterUnit::Packets => 1,
            MeterUnit::Kilobits => 1000,
        };
        let rate = u64::from(band.rate.max(1)) * scale;
        let burst = u64::from(band.burst.unwrap_or(band.rate)) * scale;
        let depth = time_for(burst, rate);
        Self { empty_at: SharedCell::new(parts(now).saturating_sub(depth)), unit, rate, depth }
    }

    fn cost(&self, len: u32) -> u64 {
        let tokens = match self.unit {
            MeterUnit::Packets => 1,
            MeterUnit::Kilobits => u64::from(len) * 8,
        };
        time_for(tokens, self.rate)
    }

    /// Takes what the packets cost, one after another, as far as the bucket has it; returns those it
    /// had not enough for.
    pub(super) fn charge(&self, slots: Slots, lengths: &Lengths, now: Instant) -> Slots {
        let now = parts(now);
        self.empty_at.update(|empty_at| {
            let mut at = empty_at.max(now.saturating_sub(self.depth));
            let mut exceeded = Slots::NONE;
            for slot in slots.iter() {
                let cost = self.cost(lengths.get(slot).copied().unwrap_or(0));
                let after = at.saturating_add(cost);
                if after <= now { at = after } else { exceeded.insert(slot) }
            }
            (at, exceeded)
        })
    }
}

/// Where the clock begins: what lies before it is there for buckets that are full from the start.
const ORIGIN: u64 = 1 << 61;

fn parts(now: Instant) -> u64 {
    now.0.saturating_mul(PARTS).saturating_add(ORIGIN)
}

/// How long it takes for so many tokens to come; rounded down, by less than a part of a nanosecond.
fn time_for(tokens: u64, rate: u64) -> u64 {
    let parts = u128::from(tokens) * u128::from(1_000_000_000 * PARTS);
    u64::try_from(parts / u128::from(rate)).unwrap_or(u64::MAX)
}
