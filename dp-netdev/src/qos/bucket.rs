//! Token buckets.
//!
//! A bucket is one number: the moment at which it is empty. It lies behind now by as much time as
//! it took to fill the bucket to its level, and at most by its depth; taking tokens moves it on by
//! the time in which they come again. A moment ahead of now is a debt.
//!
//! The moment counts in parts of a nanosecond, so that fast rates are not rounded away.

use std::sync::atomic::{AtomicU64, Ordering};

use dp_core::base::{Duration, Instant};

/// Parts of a nanosecond: 64 reach for 9 years of nanoseconds.
const PARTS: u64 = 64;

/// How fast tokens come, and how many a bucket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens a second.
    rate: u64,
    /// The time in which an empty bucket fills.
    depth: u64,
}

impl Rate {
    /// So many tokens a second, into a bucket for `burst` of them.
    #[must_use]
    pub fn new(rate: u64, burst: u64) -> Self {
        let rate = rate.max(1);
        Self { rate, depth: time_for(burst, rate) }
    }

    fn cost(&self, tokens: u64) -> u64 {
        time_for(tokens, self.rate)
    }
}

/// How long it takes for so many tokens to come; rounded down, by less than a part of a nanosecond.
fn time_for(tokens: u64, rate: u64) -> u64 {
    let parts = u128::from(tokens) * u128::from(1_000_000_000 * PARTS);
    u64::try_from(parts / u128::from(rate)).unwrap_or(u64::MAX)
}

fn parts(now: Instant) -> u64 {
    now.0.saturating_mul(PARTS)
}

/// A bucket that one owner takes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    empty_at: u64,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, empty_at: parts(now).saturating_sub(rate.depth) }
    }

    /// From now on tokens come so; what is there stays, as far as it fits.
    pub(crate) fn configure(&mut self, rate: Rate, now: Instant) {
        // A debt is forgiven: it would last the longer the slower the new rate is.
        self.empty_at = self.empty_at.clamp(parts(now).saturating_sub(rate.depth), parts(now));
        self.rate = rate;
    }

    /// Whether there is any token: packets may take more than there is, and pay later.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.empty_at <= parts(now)
    }

    /// When there will be one.
    pub(crate) fn opens_at(&self) -> Instant {
        Instant(self.empty_at.div_ceil(PARTS))
    }

    /// Takes tokens, whether they are there or not.
    pub(crate) fn take(&mut self, tokens: u64, now: Instant) {
        let at = self.empty_at.max(parts(now).saturating_sub(self.rate.depth));
        let most = parts(now).saturating_add(DEBT);
        self.empty_at = at.saturating_add(self.rate.cost(tokens)).min(most);
    }
}

/// The largest debt: a minute's tokens.
const DEBT: u64 = Duration::from_secs(60).as_nanos() as u64 * PARTS;

/// A bucket that threads share, without a lock.
#[derive(Debug)]
pub(crate) struct SharedBucket {
    rate: Rate,
    empty_at: AtomicU64,
}

/// What several takings of tokens look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    at: u64,
    now: u64,
}

impl Level {
    /// Takes tokens if they are all there.
    pub(crate) fn take(&mut self, rate: Rate, tokens: u64) -> bool {
        let after = self.at.saturating_add(rate.cost(tokens));
        let enough = after <= self.now;
        if enough {
            self.at = after;
        }
        enough
    }
}

impl SharedBucket {
    /// A full bucket.
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, empty_at: AtomicU64::new(parts(now).saturating_sub(rate.depth)) }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes from the bucket what `takings` takes, as one; it may be called again where another
    /// thread was faster.
    pub(crate) fn take<T>(&self, now: Instant, mut takings: impl FnMut(&mut Level) -> T) -> T {
        let now = parts(now);
        let mut known = self.empty_at.load(Ordering::Relaxed);
        loop {
            let at = known.max(now.saturating_sub(self.rate.depth));
            let mut level = Level { at, now };
            let result = takings(&mut level);
            let done = self.empty_at.compare_exchange_weak(
                known,
                level.at,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match done {
                Ok(_) => return result,
                Err(other) => known = other,
            }
        }
    }
}
