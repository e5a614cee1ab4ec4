//! The order in which the subtables of one port of entry are asked.
//!
//! Most traffic matches few masks. About once a second the subtables are sorted by how many packets
//! each has hit since the last time, so that the frequent ones are asked first. The counts are
//! halved, not cleared: what was frequent a moment ago stays in front through a pause.

use crate::base::{Duration, Instant};

/// How often the order is reconsidered.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Subtables, most hits first.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    pub(super) order: Vec<Ranked>,
    /// How many of them are not for simple flows.
    complex: usize,
    last: Instant,
}

/// A subtable in a ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranked {
    /// Which subtable.
    pub(super) subtable: u32,
    /// Packets that it has hit lately.
    pub(super) hits: u64,
}

impl Ranking {
    pub(super) fn add(&mut self, subtable: u32, simple: bool) {
        self.complex += usize::from(!simple);
        self.order.push(Ranked { subtable, hits: 0 });
    }

    pub(super) fn remove(&mut self, subtable: u32, simple: bool) {
        self.complex = self.complex.saturating_sub(usize::from(!simple));
        self.order.retain(|ranked| ranked.subtable != subtable);
    }

    /// Whether there are only subtables of simple flows.
    #[inline]
    pub(super) const fn is_simple(&self) -> bool {
        self.complex == 0
    }

    /// Sorts by hits if it is time to. Equal ones keep their order.
    pub(super) fn sort(&mut self, now: Instant) -> bool {
        if now.since(self.last) < INTERVAL {
            return false;
        }
        self.last = now;
        // Insertion sort: nearly sorted already, stable, and without an allocation.
        for end in 1..self.order.len() {
            let mut at = end;
            while at > 0 && self.order[at - 1].hits < self.order[at].hits {
                self.order.swap(at - 1, at);
                at -= 1;
            }
        }
        for ranked in &mut self.order {
            ranked.hits /= 2;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Ranking};

    fn order(ranking: &Ranking) -> Vec<u32> {
        ranking.order.iter().map(|ranked| ranked.subtable).collect()
    }

    #[test]
    fn the_most_hit_comes_first_but_only_once_a_second() {
        let mut ranking = Ranking::default();
        for subtable in 0..4 {
            ranking.add(subtable, subtable == 1);
        }
        for (ranked, hits) in ranking.order.iter_mut().zip([3, 9, 3, 7]) {
            ranked.hits = hits;
        }
        let start = Instant::from_millis(5_000);
        assert!(ranking.sort(start));
        assert_eq!(order(&ranking), [1, 3, 0, 2]);
        ranking.order[3].hits = 100;
        assert!(!ranking.sort(start.after(Duration::from_millis(999))));
        assert_eq!(order(&ranking), [1, 3, 0, 2]);
        assert!(ranking.sort(start.after(Duration::from_millis(1000))));
        assert_eq!(order(&ranking), [2, 1, 3, 0]);
        ranking.remove(1, true);
        assert_eq!(order(&ranking), [2, 3, 0]);
        assert!(!ranking.is_simple());
        for subtable in [0, 2, 3] {
            ranking.remove(subtable, false);
        }
        assert!(ranking.is_simple());
    }
}
