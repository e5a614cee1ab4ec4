//! Hashing of keys: fast, well mixed, seedable, the same on every machine.
//!
//! One multiply-fold a word ("mum"): the 128-bit product of two words, its halves xored. The
//! control plane uses `ahash`; this is for tables whose hash is carried with the packet. The seed
//! is the caller's, so that a table which a stranger can fill can be keyed.

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd6e8_feb8_6659_fd93;

/// Folds the 128-bit product of two words.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the product are folded")]
pub const fn mix64(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes words in pairs.
#[inline(always)]
#[must_use]
pub fn hash_words(words: &[u64], seed: u64) -> u64 {
    let mut state = seed ^ K0;
    let (pairs, rest) = words.as_chunks::<2>();
    for &[a, b] in pairs {
        state = mix64(a ^ state, b ^ K1) ^ state.rotate_left(23);
    }
    if let &[last] = rest {
        state = mix64(last ^ state, K1) ^ state.rotate_left(23);
    }
    mix64(state, K0)
}

/// Hashes bytes; the length counts.
#[must_use]
pub fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = seed ^ (bytes.len() as u64).wrapping_mul(K0);
    for word in words {
        state = mix64(u64::from_le_bytes(*word) ^ state, K1) ^ state.rotate_left(23);
    }
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    mix64(u64::from_le_bytes(last) ^ state, K0)
}

#[cfg(test)]
mod tests {
    use super::{hash_bytes, hash_words};

    #[test]
    fn each_bit_of_a_key_reaches_half_of_the_hash() {
        let base = [0u64; 8];
        let reference = hash_words(&base, 1);
        for word in 0..8 {
            for bit in 0..64 {
                let mut key = base;
                key[word] ^= 1 << bit;
                let flipped = (hash_words(&key, 1) ^ reference).count_ones();
                assert!((12..=52).contains(&flipped), "word {word} bit {bit}: {flipped}");
            }
        }
    }

    #[test]
    fn length_and_seed_count() {
        assert_ne!(hash_bytes(&[0; 3], 0), hash_bytes(&[0; 4], 0));
        assert_ne!(hash_bytes(&[0; 3], 0), hash_bytes(&[0; 3], 1));
        assert_ne!(hash_words(&[1, 2, 3], 0), hash_words(&[1, 2, 3], 9));
    }
}
