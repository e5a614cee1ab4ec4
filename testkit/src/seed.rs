//! Repeatable randomness for tests.
//!
//! A random test that fails once and never again teaches nothing. Every random test draws from a
//! [`Rng`] whose seed is fixed in the test, and a [`Seeded`] one says its seed when the test fails:
//!
//! * `DP_TEST_SEED=123` or `=0x7b` runs with that seed instead of the test's own;
//! * `DP_TEST_SEED=random` draws a new seed, for long searches.
//!
//! The generator is `xoshiro256**` (Blackman and Vigna), seeded by `splitmix64`: small, fast, and the
//! same on every machine. It is no source of secrets.

#[cfg(test)]
mod tests;

use std::{
    env,
    hash::{BuildHasher, RandomState},
    ops::{Deref, DerefMut},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

/// The variable that overrides a test's seed.
pub const SEED_VARIABLE: &str = "DP_TEST_SEED";

/// The number that a variable of the environment holds, if it is set and holds one.
#[must_use]
pub fn asked(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// A seed that no run had before: what `variable` holds, so that a run can be had again, or else the
/// clock. Says which it is.
#[must_use]
pub fn fresh(variable: &str) -> u64 {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = asked(variable).unwrap_or_else(clock);
    println!("fresh seed: {variable}={seed}");
    seed
}

/// A generator that prints its seed if the test that holds it panics.
#[derive(Debug)]
pub struct Seeded {
    rng: Rng,
    seed: u64,
}

impl Seeded {
    /// Starts from [`SEED_VARIABLE`] if that is set, else from `seed`.
    ///
    /// # Panics
    ///
    /// If the variable holds neither a number nor `random`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = match env::var(SEED_VARIABLE) {
            Ok(text) => override_seed(&text),
            Err(_) => seed,
        };
        Self { rng: Rng::new(seed), seed }
    }

    /// The seed in use.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl Deref for Seeded {
    type Target = Rng;

    fn deref(&self) -> &Rng {
        &self.rng
    }
}

impl DerefMut for Seeded {
    fn deref_mut(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed of this failure: {SEED_VARIABLE}={:#x}", self.seed);
        }
    }
}

#[expect(clippy::panic, reason = "a seed that is not understood must not run another test")]
fn override_seed(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None if text == "random" => return RandomState::new().hash_one(thread::current().id()),
        None => text.parse(),
    };
    match parsed {
        Ok(seed) => seed,
        Err(error) => panic!("{SEED_VARIABLE}={text:?}: {error}; a number or `random`"),
    }
}

/// A deterministic generator.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        let state = std::array::from_fn(|_| split_mix(&mut z));
        Self { state }
    }

    /// The next 64 bits.
    pub fn u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// The next 32 bits.
    pub fn u32(&mut self) -> u32 {
        (self.u64() >> 32) as u32
    }

    /// The next 16 bits.
    pub fn u16(&mut self) -> u16 {
        (self.u64() >> 48) as u16
    }

    /// The next 8 bits.
    pub fn u8(&mut self) -> u8 {
        (self.u64() >> 56) as u8
    }

    /// Either, evenly.
    pub fn bool(&mut self) -> bool {
        self.u64() >> 63 == 1
    }

    /// True once in `n` times on average; always for 0 and 1.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A number less than `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply and take the high half (Lemire): the bias is at most bound / 2^64.
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index less than `len`; 0 if that is 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of the choices, or nothing if there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }

    /// `N` octets.
    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.u8())
    }

    /// `len` octets.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.u8()).collect()
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// A generator of its own for a part of the work, so that the parts do not disturb each other.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.u64())
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
