//! How many connections there are, counted by many threads up to a limit.
//!
//! One number that every new and every ended connection changes is a line of memory that goes from
//! processor to processor: with two threads it costs more than the rest of making a connection. So
//! each thread reserves places in the common number by the dozen, and takes from and gives back to
//! its own share. The limit is kept exactly: who finds no place to reserve takes one that another
//! thread has spare, and only when there is none the table is full.

use crate::sync::{Word32, thread_number};

/// Shares, and lists of a zone; threads beyond have one together.
pub(super) const SHARES: usize = 8;
/// Places reserved, and given back, at a time.
const DOZEN: u32 = 32;

/// The number of this thread's share.
#[inline]
pub(super) fn own_share() -> usize {
    thread_number() % SHARES
}

/// The count.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Connections and the places in all shares.
    reserved: Line,
    /// Places that are reserved and not taken.
    spare: [Line; SHARES],
}

/// Alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(Word32);

impl Line {
    /// Takes one away if there is one.
    #[inline]
    fn take(&self) -> bool {
        loop {
            let there = self.0.get();
            if there == 0 {
                return false;
            }
            if self.0.replace(there, there - 1) {
                return true;
            }
        }
    }
}

impl Count {
    /// Connections now.
    pub(super) fn get(&self) -> u32 {
        let spare: u32 = self.spare.iter().map(|share| share.0.get()).sum();
        self.reserved.0.get().saturating_sub(spare)
    }

    /// Counts one more unless there are `max`; says whether it did.
    #[inline]
    pub(super) fn take(&self, max: u32) -> bool {
        // The limit may have been lowered beneath what is reserved.
        if self.reserved.0.get() > max {
            return self.get() < max && self.take_any(max);
        }
        self.spare.get(own_share()).is_some_and(Line::take) || self.take_any(max)
    }

    #[cold]
    fn take_any(&self, max: u32) -> bool {
        loop {
            let there = self.reserved.0.get();
            let more = max.saturating_sub(there).min(DOZEN);
            if more == 0 {
                return self.get() < max && self.spare.iter().any(Line::take);
            }
            if self.reserved.0.replace(there, there + more) {
                if let Some(share) = self.spare.get(own_share()) {
                    share.0.add(more - 1);
                }
                return true;
            }
        }
    }

    /// Counts one less.
    #[inline]
    pub(super) fn give(&self) {
        let Some(share) = self.spare.get(own_share()) else { return };
        let there = share.0.add(1) + 1;
        if there >= 2 * DOZEN && share.0.replace(there, there - DOZEN) {
            self.reserved.0.sub(DOZEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, DOZEN};

    #[test]
    fn the_limit_is_exact_whoever_takes_and_gives() {
        for max in [0, 1, 5, DOZEN - 1, DOZEN, 1000] {
            let count = Count::default();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..2000 {
                            if count.take(max) {
                                assert!(count.get() <= max + 4 * DOZEN);
                                count.give();
                            }
                        }
                    });
                }
            });
            assert_eq!(count.get(), 0);
            // Places that other threads have spare are found.
            assert_eq!((0..=max).filter(|_| count.take(max)).count(), max as usize);
            assert_eq!(count.get(), max);
        }
    }

    #[test]
    fn a_limit_that_is_lowered_holds_for_the_next() {
        let count = Count::default();
        assert!((0..100).all(|_| count.take(1000)));
        assert!(!count.take(50));
        for _ in 0..51 {
            count.give();
        }
        assert_eq!(count.get(), 49);
        assert!(count.take(50) && !count.take(50));
    }
}
