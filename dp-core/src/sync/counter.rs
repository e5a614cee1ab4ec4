//! A statistic with one writer.
//!
//! The writer loads, adds and stores, all relaxed: no lock prefix, no shared-line ping-pong beyond
//! the readers' own loads. Readers see some value that was current; sums over counters are not a
//! snapshot, as statistics never are.

use super::machine::{AtomicU64, Ordering, constant};

/// A 64-bit statistic: one thread adds, any thread reads. Wraps.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    constant! {
        /// A counter that starts at `value`.
        #[must_use]
        pub const fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }
    }

    /// Adds `by`. Two threads that both add may lose one of the additions (never more): that is
    /// the price of having no lock prefix.
    #[inline(always)]
    pub fn add(&self, by: u64) {
        self.0.store(self.get().wrapping_add(by), Ordering::Relaxed);
    }

    /// Replaces the value: for gauges and for times of last use.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[inline(always)]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn adds_and_wraps() {
        let counter = Counter::new(u64::MAX);
        counter.add(3);
        assert_eq!(counter.get(), 2);
        counter.set(9);
        assert_eq!(counter.get(), 9);
    }
}
