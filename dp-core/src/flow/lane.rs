//! The unit of flow keys: a lane of 64 bytes.
//!
//! A key is an array of lanes and a set that says which of them hold anything. Plain IPv4 traffic
//! uses one lane, plain IPv6 and ARP two: one or two cache lines to hash and compare, one or two
//! vector registers. A lane that a packet does not use counts as zero and is neither written nor
//! read, so nobody clears wide structures for each packet.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::base::hash_words;

/// Lanes of a whole key, the OpenFlow-only ones included.
pub const LANES: usize = 12;
/// Lanes that a packet's datapath key can use: the first ones. The rest (registers, metadata …)
/// exist only in OpenFlow's flows.
pub const PACKET_LANES: usize = 9;

/// 64 bytes of a key or a mask. Fields inside are big-endian.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
#[expect(clippy::derived_hash_with_manual_eq, reason = "both look at all bytes")]
pub struct Lane(pub [u64; 8]);

impl PartialEq for Lane {
    /// Word by word: comparing the arrays would be a call.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(&other.0).map(|(one, other)| one ^ other);
        differences.fold(0, |all, word| all | word) == 0
    }
}

impl Lane {
    /// All zeros.
    pub const ZERO: Self = Self([0; 8]);

    /// The bytes, in the order of the layout.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> &[u8; 64] {
        zerocopy::transmute_ref!(self)
    }

    /// The bytes, to be written.
    #[inline(always)]
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8; 64] {
        zerocopy::transmute_mut!(self)
    }

    /// Bitwise and.
    #[inline(always)]
    #[must_use]
    pub fn and(&self, mask: &Self) -> Self {
        let mut out = *self;
        for (word, mask) in out.0.iter_mut().zip(&mask.0) {
            *word &= mask;
        }
        out
    }

    /// Bitwise or, in place.
    #[inline(always)]
    pub fn or_assign(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Whether no bit is set.
    #[inline(always)]
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |all, word| all | word) == 0
    }

    /// A hash of all 64 bytes.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, seed: u64) -> u64 {
        hash_words(&self.0, seed)
    }
}

/// Which lanes of a key are in use: bit `n` stands for lane `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LaneSet(pub u16);

impl LaneSet {
    /// No lane.
    pub const EMPTY: Self = Self(0);

    /// Lane `lane` alone.
    #[inline(always)]
    #[must_use]
    pub const fn of(lane: usize) -> Self {
        Self(1 << lane)
    }

    /// Whether `lane` is in the set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, lane: usize) -> bool {
        self.0 >> lane & 1 != 0
    }

    /// Both sets together.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The lanes, ascending.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            (left != 0).then(|| {
                let lane = left.trailing_zeros() as usize;
                left &= left - 1;
                lane
            })
        })
    }
}

const _: () = assert!(size_of::<Lane>() == 64 && LANES <= 16 && PACKET_LANES <= LANES);
