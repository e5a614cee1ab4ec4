//! The hash of key lanes.
//!
//! Each 64-bit word is xored with a secret word and its halves are multiplied; the products are
//! added up and mixed once at the end. That is the NH family (RFC 4418) with xor for the first
//! addition: two keys collide before the mixing with probability about 2⁻³² over the secret, and
//! the eight products of a lane are one vector multiplication. The secret comes from a seed, so
//! that a stranger cannot prepare keys that collide.
//!
//! Lanes have different secrets and their sums are added: a key hashes to the sum over its lanes.
//!
//! # Cost
//!
//! Eight multiplications a lane without vectors; one load, xor, shift, multiply and a reduction
//! with them.

use crate::base::mix64;
use crate::flow::{Lane, PACKET_LANES};

/// Hashes lanes under one seed.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    secret: [Lane; PACKET_LANES],
}

impl KeyHasher {
    /// A hasher whose secret is derived from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut secret = [Lane::ZERO; PACKET_LANES];
        let mut state = seed;
        for word in secret.iter_mut().flat_map(|lane| &mut lane.0) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *word = mix64(state ^ 0x2d35_8dcc_aa6c_78a5, state | 1);
        }
        Self { secret }
    }

    /// The secret of lane `lane`; zero for lanes that no packet has.
    #[inline(always)]
    #[must_use]
    pub fn secret(&self, lane: usize) -> &Lane {
        self.secret.get(lane).unwrap_or(&Lane::ZERO)
    }

    /// The hash of a whole key: the finished sum over its lanes `0..PACKET_LANES` in `lanes`.
    #[must_use]
    pub fn hash<'a>(&self, lanes: impl Iterator<Item = (usize, &'a Lane)>) -> u64 {
        finish(
            lanes
                .fold(0, |sum, (lane, value)| sum.wrapping_add(lane_sum(value, self.secret(lane)))),
        )
    }
}

/// What one lane adds to the hash, before [`finish`].
#[inline(always)]
#[must_use]
pub fn lane_sum(value: &Lane, secret: &Lane) -> u64 {
    let mut sum = 0u64;
    for (word, secret) in value.0.iter().zip(&secret.0) {
        let mixed = word ^ secret;
        sum = sum.wrapping_add((mixed & 0xffff_ffff).wrapping_mul(mixed >> 32));
    }
    sum
}

/// Mixes a sum so that its upper bits depend on all of it.
#[inline(always)]
#[must_use]
pub const fn finish(sum: u64) -> u64 {
    (sum ^ (sum >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

#[cfg(test)]
mod tests {
    use super::{KeyHasher, finish, lane_sum};
    use crate::flow::{FieldId, FlowKey, Lane, PACKET_LANES};

    #[test]
    fn each_bit_of_each_lane_reaches_the_upper_bits() {
        let hasher = KeyHasher::new(7);
        for lane in 0..PACKET_LANES {
            let base = hasher.hash([(lane, &Lane::ZERO)].into_iter());
            for bit in 0..512 {
                let mut value = Lane::ZERO;
                value.0[bit / 64] ^= 1 << (bit % 64);
                let changed = (hasher.hash([(lane, &value)].into_iter()) ^ base) >> 32;
                assert!((4..=28).contains(&changed.count_ones()), "lane {lane} bit {bit}");
            }
        }
    }

    #[test]
    fn neighbouring_flows_spread_over_buckets_and_tags() {
        let hasher = KeyHasher::new(1);
        let mut buckets = vec![0u32; 1024];
        let mut tags = std::collections::HashSet::new();
        for flow in 0..4096u128 {
            let mut key = FlowKey::EMPTY;
            key.set(FieldId::Ipv4Src, 0x0a00_0000 + flow % 64);
            key.set(FieldId::UdpSrc, 1000 + flow / 64);
            let hash = hasher.hash([(0, key.lane(0))].into_iter());
            buckets[(hash >> 32) as usize % 1024] += 1;
            tags.insert(hash >> 48);
        }
        // 4096 balls in 1024 bins: the fullest of a random throw holds 12 or so.
        assert!(*buckets.iter().max().unwrap() <= 20);
        // 4096 draws from 65536: 3971 different ones expected.
        assert!(tags.len() > 3800, "{}", tags.len());
    }

    #[test]
    fn secrets_differ_by_lane_and_seed() {
        let (a, b) = (KeyHasher::new(1), KeyHasher::new(2));
        let of = |hasher: &KeyHasher, lane| finish(lane_sum(&Lane::ZERO, hasher.secret(lane)));
        assert_ne!(of(&a, 0), of(&a, 1));
        assert_ne!(of(&a, 0), of(&b, 0));
    }
}
