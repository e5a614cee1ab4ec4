//! Chance: a small generator for what is sampled.
//!
//! Not for secrets. Whoever owns one passes it along; the same seed gives the same sequence.

/// A xorshift generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that begins at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number of 32 bits.
    #[inline]
    pub const fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_spread_and_seeds_differ() {
        let mut random = Random::new(7);
        let below = (0..100_000).filter(|_| random.next_u32() < u32::MAX / 10).count();
        assert!((9_500..10_500).contains(&below), "{below}");
        assert_ne!(Random::new(1).next_u64(), Random::new(2).next_u64());
        assert_ne!(Random::new(0).next_u64(), 0);
    }
}
