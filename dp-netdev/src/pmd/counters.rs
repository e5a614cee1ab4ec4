//! What packet threads count. Each counter has one writer; sums are made by whoever reads.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dp_core::sync::Counter;

use super::perf::Perf;
use crate::port::{Lost, Sent};

/// Intervals that are remembered.
pub const INTERVALS: usize = 12;
/// How long an interval is.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// How much of something there was in each of the last [`INTERVALS`] intervals.
#[derive(Debug, Default)]
pub struct Window {
    sums: [Counter; INTERVALS],
    /// Intervals that have passed since the beginning or a reset.
    passed: Counter,
    /// The total at the end of the last interval; the owner's.
    mark: Counter,
}

impl Window {
    /// Ends an interval at which the total is `total`; for the owner.
    pub(super) fn close(&self, total: u64) {
        let passed = self.passed.get();
        let index = usize::try_from(passed).unwrap_or(0) % INTERVALS;
        if let Some(sum) = self.sums.get(index) {
            sum.set(total.wrapping_sub(self.mark.get()));
        }
        self.mark.set(total);
        self.passed.set(passed + 1);
    }

    /// Forgets all intervals; the one that runs begins at `total`. For the owner.
    pub(super) fn reset(&self, total: u64) {
        self.passed.set(0);
        self.mark.set(total);
    }

    /// The sum of the last `count` intervals, as far as there have been any.
    #[must_use]
    pub fn sum(&self, count: usize) -> u64 {
        let passed = usize::try_from(self.passed.get()).unwrap_or(usize::MAX);
        let count = count.min(passed).min(INTERVALS);
        let index = |back: usize| (passed - 1 - back) % INTERVALS;
        (0..count).filter_map(|back| self.sums.get(index(back))).map(Counter::get).sum()
    }
}

/// What came in by one receive queue.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RxCounters {
    /// Packets received.
    pub packets: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Packets lost at receipt, for any reason.
    pub lost: Counter,
    /// Cycles spent on packets of this queue, from receipt to the batches they leave in.
    pub cycles: Counter,
    /// The same by interval.
    pub window: Window,
}

impl RxCounters {
    pub(super) fn lose(&self, lost: Lost) {
        self.lost.add(lost.total());
    }
}

/// What one thread sent by one port.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct TxCounters {
    /// Packets sent.
    pub packets: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Packets dropped, for any reason.
    pub dropped: Counter,
}

impl TxCounters {
    pub(crate) fn credit(&self, sent: &Sent) {
        self.packets.add(u64::from(sent.packets));
        self.bytes.add(sent.bytes);
        self.dropped.add(sent.dropped());
    }
}

/// What one packet thread's loop did.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct LoopCounters {
    /// When the last turn that has ended began, in nanoseconds of the thread's clock: what had come
    /// until then has been taken in.
    pub looked: AtomicU64,
    /// Turns.
    pub turns: Counter,
    /// Turns in which packets moved.
    pub busy: Counter,
    /// Times that the thread slept.
    pub naps: Counter,
    /// How long it slept so, in microseconds.
    pub nap_micros: Counter,
    /// Cycles of turns in which packets moved.
    pub busy_cycles: Counter,
    /// Cycles of the others, and between turns.
    pub idle_cycles: Counter,
    /// Cycles spent in the slow path.
    pub upcall_cycles: Counter,
    /// Packets sent.
    pub sent: Counter,
    /// In how many batches.
    pub batches: Counter,
    /// Busy cycles by interval.
    pub busy_window: Window,
    /// All cycles by interval.
    pub window: Window,
    /// What single turns were like, while somebody wants to know.
    pub(crate) perf: Perf,
}

impl LoopCounters {
    /// All cycles so far.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.busy_cycles.get().wrapping_add(self.idle_cycles.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_remembers_the_last_intervals() {
        let window = Window::default();
        assert_eq!(window.sum(12), 0);
        for interval in 1..=15 {
            window.close(interval * 10);
        }
        assert_eq!(window.sum(1), 10);
        assert_eq!(window.sum(100), 120);
        window.reset(200);
        assert_eq!(window.sum(12), 0);
        window.close(207);
        assert_eq!(window.sum(12), 7);
    }
}
