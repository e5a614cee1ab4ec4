//! The monotonic clock as instants of the core.

use dp_core::base::Instant;

/// A clock that never goes back. Its origin is the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// A clock that began at `origin`: several with the same origin tell the same time.
    #[must_use]
    pub const fn since(origin: std::time::Instant) -> Self {
        Self(origin)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
