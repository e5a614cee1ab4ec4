//! The monotonic clock as instants of the core.

use dp_core::base::Instant;

use super::{cycles, cycles_per_second};

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

/// A clock for one thread that asks often: between looks at the system's clock it counts the
/// processor's cycles, which costs a third of a look. It never goes back.
#[derive(Debug)]
pub struct Ticker {
    clock: Clock,
    /// Nanoseconds of a cycle, times 2^32.
    scale: u64,
    /// How many cycles a look is good for: what the two may differ by stays far below what anybody
    /// measures with this clock.
    span: u64,
    looked: u64,
    told: Instant,
    last: Instant,
}

impl Ticker {
    /// A clock that tells the same time as `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let rate = cycles_per_second();
        let scale =
            u64::try_from((1_000_000_000_u128 << 32) / u128::from(rate)).unwrap_or(u64::MAX);
        let told = clock.now();
        Self { clock, scale, span: rate / 2000, looked: cycles(), told, last: told }
    }

    /// The time.
    #[inline]
    pub fn now(&mut self) -> Instant {
        self.at(cycles())
    }

    /// The time at which the processor's clock showed this, a moment ago.
    #[inline]
    pub fn at(&mut self, mark: u64) -> Instant {
        // A mark from before the last look at the clock is no later than it.
        let passed = mark.saturating_sub(self.looked);
        if passed > self.span {
            self.told = self.clock.now();
            self.looked = cycles();
            self.last = self.last.max(self.told);
            return self.last;
        }
        // Both factors are below 2^32 for spans of half a millisecond.
        let nanos = passed.wrapping_mul(self.scale) >> 32;
        self.last = self.last.max(Instant(self.told.0.saturating_add(nanos)));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticker_keeps_up_with_its_clock_and_never_goes_back() {
        let clock = Clock::start();
        let mut ticker = Ticker::new(clock);
        let mut last = Instant::default();
        for _ in 0..200_000 {
            let now = ticker.now();
            assert!(now >= last);
            last = now;
        }
        let (mine, system) = (ticker.now(), clock.now());
        assert!(mine.0.abs_diff(system.0) < 5_000_000, "{mine:?} and {system:?}");
    }
}
