//! Time as a value.
//!
//! The core has no clock: whoever calls it says what time it is. That makes everything that ages
//! testable under a virtual clock, and costs one clock reading a burst instead of one a packet.

pub use core::time::Duration;

/// A moment on the caller's monotonic clock, in nanoseconds since an origin of his choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Whole milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` later, at most the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant};

    #[test]
    fn instants_saturate_instead_of_wrapping() {
        let now = Instant::from_millis(5);
        assert_eq!(now.since(Instant::from_millis(7)), Duration::ZERO);
        assert_eq!(Instant(u64::MAX).after(Duration::from_secs(1)), Instant(u64::MAX));
        assert_eq!(now.after(Duration::from_millis(2)).as_millis(), 7);
    }
}
