//! Turn by turn, what a packet thread does: distributions and histories, for those who ask.
//!
//! Kept only while somebody wants it (`pmd-perf-metrics`): then each turn takes a lock that nobody
//! else holds but to look, adds to seven distributions, and is compared with what is suspicious. Otherwise a turn looks at a flag.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dp_core::base::Instant;

use super::suspect::Watch;

/// Turns, and milliseconds, that are remembered.
pub(crate) const REMEMBERED: usize = 1000;
/// Bounds of a distribution; one more bin lies above the last.
pub(crate) const WALLS: usize = 31;

/// What one packet thread's turns were like.
#[derive(Debug, Default)]
pub(crate) struct Perf {
    on: AtomicBool,
    record: Mutex<Record>,
    watch: Mutex<Watch>,
}

/// What happened in a turn, or in the turns of a millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Which turn, from the start of the record; or which millisecond of the thread's clock.
    pub(crate) number: u64,
    /// Turns.
    pub(crate) turns: u64,
    pub(crate) cycles: u64,
    pub(crate) packets: u64,
    /// Bursts that packets came in.
    pub(crate) batches: u64,
    pub(crate) upcalls: u64,
    pub(crate) upcall_cycles: u64,
    /// The fullest ring of a guest that was seen.
    pub(crate) guest_ring: u64,
}

/// How often values were no larger than each of some bounds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    pub(crate) walls: [u64; WALLS],
    pub(crate) counts: [u64; WALLS + 1],
}

/// All that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) cycles: Histogram,
    pub(crate) packets: Histogram,
    pub(crate) cycles_per_packet: Histogram,
    pub(crate) packets_per_batch: Histogram,
    pub(crate) guest_ring: Histogram,
    pub(crate) upcalls: Histogram,
    pub(crate) cycles_per_upcall: Histogram,
    /// All turns together.
    pub(crate) total: Sample,
    /// The last turns, latest last.
    pub(crate) turns: VecDeque<Sample>,
    /// The last milliseconds in which there were turns, latest last.
    pub(crate) millis: VecDeque<Sample>,
}

impl Histogram {
    /// Bounds at equal distances.
    fn linear(least: u64, most: u64) -> Self {
        let walls = std::array::from_fn(|at| least + (most - least) * at as u64 / 30);
        Self { walls, counts: [0; WALLS + 1] }
    }

    /// Bounds at equal ratios; each is larger than the one before.
    fn logarithmic(least: u64, most: u64) -> Self {
        let mut walls = [0; WALLS];
        // Zero is a bound of its own.
        let first = usize::from(least == 0);
        let (low, high) = ((least.max(1) as f64).ln(), (most as f64).ln());
        let step = (high - low) / (WALLS - 1 - first) as f64;
        let mut before = None;
        for (at, wall) in walls.iter_mut().enumerate().skip(first) {
            // Between the bounds, which are far below 2^52.
            let place = (low + (at - first) as f64 * step).exp() as u64;
            *wall = before.map_or(place, |before: u64| place.max(before + 1));
            before = Some(*wall);
        }
        // Whatever became of it on the way.
        walls[WALLS - 1] = most;
        Self { walls, counts: [0; WALLS + 1] }
    }

    /// Counts a value `times` times.
    fn add(&mut self, value: u64, times: u64) {
        let bin = self.walls.partition_point(|&wall| wall < value);
        if let Some(count) = self.counts.get_mut(bin) {
            *count += times;
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            cycles: Histogram::logarithmic(500, 24_000_000),
            packets: Histogram::logarithmic(0, 1000),
            cycles_per_packet: Histogram::linear(100, 30_000),
            packets_per_batch: Histogram::linear(0, 32),
            guest_ring: Histogram::logarithmic(0, 512),
            upcalls: Histogram::linear(0, 30),
            cycles_per_upcall: Histogram::logarithmic(1000, 1_000_000),
            total: Sample::default(),
            turns: VecDeque::new(),
            millis: VecDeque::new(),
        }
    }
}

impl Sample {
    fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.cycles += other.cycles;
        self.packets += other.packets;
        self.batches += other.batches;
        self.upcalls += other.upcalls;
        self.upcall_cycles += other.upcall_cycles;
        self.guest_ring = self.guest_ring.max(other.guest_ring);
    }

    /// Notes a burst that was served.
    pub(crate) const fn burst(&mut self, packets: usize, upcalls: u64, upcall_cycles: u64) {
        self.packets += packets as u64;
        self.batches += 1;
        self.upcalls += upcalls;
        self.upcall_cycles += upcall_cycles;
    }
}

impl Record {
    fn note(&mut self, now: Instant, mut turn: Sample) {
        turn.turns = 1;
        self.total.add(&turn);
        turn.number = self.total.turns;
        self.cycles.add(turn.cycles, 1);
        self.packets.add(turn.packets, 1);
        self.guest_ring.add(turn.guest_ring, 1);
        self.upcalls.add(turn.upcalls, 1);
        if let Some(each) = turn.cycles.checked_div(turn.packets) {
            self.cycles_per_packet.add(each, turn.packets);
        }
        if let Some(each) = turn.packets.checked_div(turn.batches) {
            self.packets_per_batch.add(each, turn.batches);
        }
        if let Some(each) = turn.upcall_cycles.checked_div(turn.upcalls) {
            self.cycles_per_upcall.add(each, turn.upcalls);
        }
        push(&mut self.turns, turn);
        let number = now.0 / 1_000_000;
        match self.millis.back_mut() {
            Some(last) if last.number == number => last.add(&turn),
            _ => push(&mut self.millis, Sample { number, ..turn }),
        }
    }
}

fn push(history: &mut VecDeque<Sample>, sample: Sample) {
    if history.len() == REMEMBERED {
        history.pop_front();
    }
    history.push_back(sample);
}

impl Perf {
    /// Whether turns are to be noted.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins or ends to note turns; what was noted before is forgotten when it begins.
    pub(crate) fn switch(&self, on: bool) {
        if !self.on.swap(on, Ordering::Relaxed) && on {
            self.clear();
        }
    }

    /// Begins anew.
    pub(crate) fn clear(&self) {
        *self.record() = Record::default();
        self.watch().restart();
    }

    /// Notes a turn that has ended.
    #[inline(never)]
    pub(crate) fn note(&self, now: Instant, turn: Sample) {
        let mut record = self.record();
        record.note(now, turn);
        self.watch().look(&record.turns);
    }

    /// What looks for suspicious turns.
    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was noted; turns wait as long as it is looked at.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_that_operators_know() {
        let record = Record::default();
        let walls =
            |histogram: &Histogram| [0, 1, 11, 12, 14, 29, 30].map(|at| histogram.walls[at]);
        assert_eq!(walls(&record.packets), [0, 1, 11, 13, 22, 788, 1000]);
        assert_eq!(walls(&record.guest_ring), [0, 1, 11, 12, 16, 412, 512]);
        assert_eq!(walls(&record.packets_per_batch), [0, 1, 11, 12, 14, 30, 32]);
        assert_eq!(walls(&record.upcalls), [0, 1, 11, 12, 14, 29, 30]);
        assert_eq!(
            walls(&record.cycles_per_packet),
            [100, 1096, 11_063, 12_060, 14_053, 29_003, 30_000]
        );
        let near = |histogram: &Histogram, expected: [u64; 7]| {
            for (wall, expected) in walls(histogram).into_iter().zip(expected) {
                assert!(wall.abs_diff(expected) <= 1, "{wall} {expected}");
            }
        };
        near(&record.cycles, [499, 716, 26_027, 37_279, 76_480, 16_755_981, 24_000_000]);
        near(&record.cycles_per_upcall, [999, 1258, 12_589, 15_848, 25_118, 794_328, 1_000_000]);
    }

    #[test]
    fn turns_are_noted_while_somebody_wants_it() {
        let perf = Perf::default();
        assert!(!perf.is_on());
        perf.switch(true);
        for turn in 0..1500_u64 {
            let mut sample = Sample { cycles: 1000 + turn, ..Sample::default() };
            for _ in 0..turn % 3 {
                sample.burst(32, 1, 5000);
            }
            perf.note(Instant(turn * 600_000), sample);
        }
        let record = perf.record().clone();
        assert_eq!((record.total.turns, record.total.packets), (1500, 1500 * 32));
        assert_eq!((record.total.batches, record.total.upcalls), (1500, 1500));
        assert_eq!((record.turns.len(), record.turns.back().unwrap().number), (REMEMBERED, 1500));
        // Five turns in three milliseconds.
        assert_eq!(record.millis.len(), 900);
        assert_eq!(record.millis.iter().map(|it| it.turns).sum::<u64>(), 1500);
        let sum = |histogram: &Histogram| histogram.counts.iter().sum::<u64>();
        assert_eq!(sum(&record.cycles), 1500);
        assert_eq!(sum(&record.cycles_per_packet), 1500 * 32);
        assert_eq!((record.packets.counts[0], record.upcalls.counts[1]), (500, 500));
        assert_eq!(record.packets_per_batch.counts[WALLS - 1], 1500);
        perf.switch(true);
        assert_eq!(perf.record().total.turns, 1500);
        perf.switch(false);
        perf.switch(true);
        assert_eq!(perf.record().total.turns, 0);
    }

    #[test]
    fn what_exceeds_all_bounds_has_a_place() {
        let mut histogram = Histogram::linear(0, 30);
        histogram.add(31, 4);
        histogram.add(30, 2);
        histogram.add(0, 1);
        assert_eq!((histogram.counts[0], histogram.counts[30], histogram.counts[31]), (1, 2, 4));
    }
}
