//! Randomness for jitter: a stream of numbers from a seed.
//!
//! Nothing secret hangs on it: it keeps peers from falling into step, and tests from being surprised.

/// A stream of numbers (xorshift64*).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of a seed; any seed will do.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// The next number.
    pub(super) const fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `bound`; 0 if there is none.
    pub(super) const fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_differ_and_stay_below_the_bound() {
        let mut random = Random::new(0);
        let first: Vec<u32> = (0..100).map(|_| random.below(25)).collect();
        assert!(first.iter().all(|&number| number < 25));
        assert!((0..25).filter(|number| first.contains(number)).count() > 15);
        assert_eq!(random.below(0), 0);
    }
}
