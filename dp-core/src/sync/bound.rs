//! A bound that several threads share: how many of something there may be, and how many there are.
//!
//! Taking is all or nothing and never overshoots, not even for a moment, so a thread that asks for
//! less than what is left gets it even while another one asks for too much.

use super::machine::{AtomicUsize, Ordering, constant};

/// A count that stays at or below its limit.
#[derive(Debug)]
pub struct Bound {
    limit: usize,
    taken: AtomicUsize,
}

impl Bound {
    constant! {
        /// Nothing taken yet, at most `limit` ever.
        #[must_use]
        pub const fn new(limit: usize) -> Self {
            Self { limit, taken: AtomicUsize::new(0) }
        }
    }

    /// Takes `count`, or nothing and says `false` when less than that is left.
    #[must_use]
    pub fn take(&self, count: usize) -> bool {
        let more = |taken: usize| taken.checked_add(count).filter(|sum| *sum <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back `count` of what was taken.
    pub fn give_back(&self, count: usize) {
        let less = |taken: usize| Some(taken.saturating_sub(count));
        let _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// How many are taken now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::Bound;

    #[test]
    fn takes_up_to_the_limit_and_no_further() {
        let bound = Bound::new(10);
        assert!(bound.take(7));
        assert!(!bound.take(4));
        assert!(!bound.take(usize::MAX));
        assert!(bound.take(3));
        bound.give_back(10);
        assert_eq!(bound.taken(), 0);
    }

    #[test]
    fn threads_together_take_exactly_the_limit() {
        let bound = Bound::new(1000);
        let take = || (0..1000).filter(|_| bound.take(1)).count();
        let taken: usize = thread::scope(|scope| {
            let threads = [0; 4].map(|_| scope.spawn(take));
            threads.map(|thread| thread.join().expect("no panic")).into_iter().sum()
        });
        assert_eq!(taken, 1000);
    }
}
