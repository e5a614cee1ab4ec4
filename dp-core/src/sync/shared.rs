//! What several packet threads write: statistics that all of them add to, and a cell that they
//! change one after another.
//!
//! Each addition is a locked instruction on a line that the threads pull from each other, so nothing
//! that is touched for every packet belongs here; a meter, which is shared by its nature, does, once
//! a batch.

use super::machine::{AtomicU64, Ordering, constant};

/// A 64-bit statistic that any thread adds to. Wraps.
#[derive(Debug, Default)]
pub struct SharedCounter(AtomicU64);

impl SharedCounter {
    constant! {
        /// A counter that starts at `value`.
        #[must_use]
        pub const fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }
    }

    /// Adds `by`.
    #[inline]
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The value.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that threads replace by a function of itself, without a lock.
#[derive(Debug, Default)]
pub struct SharedCell(AtomicU64);

impl SharedCell {
    constant! {
        /// A cell that holds `value`.
        #[must_use]
        pub const fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }
    }

    /// The value.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces the value by what `step` makes of it, and returns what `step` returns besides.
    /// `step` runs again when another thread was faster. The number guards no other memory, hence
    /// relaxed.
    pub fn update<R>(&self, mut step: impl FnMut(u64) -> (u64, R)) -> R {
        let mut old = self.get();
        loop {
            let (new, result) = step(old);
            match self.0.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SharedCell, SharedCounter};

    #[test]
    fn no_addition_and_no_step_of_any_thread_is_lost() {
        let (counter, cell) = (SharedCounter::default(), SharedCell::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        counter.add(2);
                        cell.update(|old| (old + 3, ()));
                    }
                });
            }
        });
        assert_eq!((counter.get(), cell.get()), (80_000, 120_000));
    }
}
