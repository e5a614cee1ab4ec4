//! Bounds of translation: how deep, and how much in all.
//!
//! Resubmission can loop or fan out without end; a packet that would is dropped, counted and
//! explained, and costs no more than this. Fan-out to many ports is not recursion and is not
//! counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dp_core::base::Instant;

/// Bounds of the translation of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep resubmits may nest.
    pub depth: u32,
    /// How many table look-ups by resubmit and goto there may be in all.
    pub resubmits: u32,
    /// How many bytes there may be on the stack.
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, resubmits: 4096, stack_bytes: 65536 }
    }
}

/// How often each bound was hit.
#[derive(Debug, Default)]
pub struct LimitCounters {
    depth: AtomicU64,
    resubmits: AtomicU64,
    stack: AtomicU64,
    recirculations: AtomicU64,
    /// When a hit was last told, in nanoseconds; 0: never.
    told: AtomicU64,
}

/// One hit in this time is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);

impl LimitCounters {
    /// Whether a hit is to be told in the log: one a minute, whichever bound it is.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        let last = self.told.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Instant(last)) >= TOLD_EVERY;
        let now = now.0.max(1);
        due && self.told.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn hit_depth(&self) {
        self.depth.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hit_resubmits(&self) {
        self.resubmits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hit_stack(&self) {
        self.stack.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hit_recirculations(&self, packets: u64) {
        self.recirculations.fetch_add(packets, Ordering::Relaxed);
    }

    /// Packets that came back from the datapath more often than they may.
    #[must_use]
    pub fn recirculations(&self) -> u64 {
        self.recirculations.load(Ordering::Relaxed)
    }

    /// Translations with too much on the stack.
    #[must_use]
    pub fn stack(&self) -> u64 {
        self.stack.load(Ordering::Relaxed)
    }

    /// Translations that nested too deeply.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.depth.load(Ordering::Relaxed)
    }

    /// Translations with too many resubmits in all.
    #[must_use]
    pub fn resubmits(&self) -> u64 {
        self.resubmits.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, LimitCounters};

    #[test]
    fn one_hit_a_minute_is_told() {
        let counters = LimitCounters::default();
        let told: Vec<bool> = [0, 1, 59_999, 60_001, 70_000, 130_000]
            .map(|ms| counters.may_tell(Instant::from_millis(ms)))
            .into();
        assert_eq!(told, [true, false, false, true, false, true]);
    }
}
