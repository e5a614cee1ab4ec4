//! Matches, as compact as they are sparse.
//!
//! A whole key with its mask takes 1.5 KiB; a typical rule matches on 20 bytes. So a [`Match`] keeps
//! only the 8-byte words of the key in which its mask has a bit, values and masks apart: rules of
//! one shape share the mask.
//!
//! Words of the lanes come first, numbered from 0, then those that lie beside the lanes, numbered from
//! [`WORDS`] on ([`dp_core::flow::wide`]).
//!
//! # Invariants
//!
//! * A word is listed if and only if its mask is not zero, words ascend.
//! * Values are zero outside their mask, so that equal matches are equal bytes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dp_core::flow::layout::Place;
use dp_core::flow::wide::Wide;
use dp_core::flow::{FieldId, FlowKey, FlowMask, LANES, layout};
use smallvec::SmallVec;

/// Words of a key's lanes.
pub(crate) const WORDS: usize = LANES * 8;
const BESIDE: u16 = WORDS as u16;

/// Word `index` of a key.
#[inline(always)]
pub(crate) fn key_word(key: &FlowKey, index: u16) -> u64 {
    match index.checked_sub(BESIDE) {
        None => key.lane(usize::from(index >> 3)).0[usize::from(index & 7)],
        Some(beside) => key.wide().word(beside),
    }
}

/// The value at a place of the lanes, of which `word` gives the words.
fn load(place: Place, word: impl Fn(u16) -> u64) -> u128 {
    let (from, end) = (place.offset, place.offset + u16::from(place.len));
    let mut value = 0;
    for index in from / 8..end.div_ceil(8) {
        let bytes = word(index).to_ne_bytes();
        let first = usize::from(from.saturating_sub(index * 8));
        let last = usize::from((end - index * 8).min(8));
        for &byte in bytes.get(first..last).unwrap_or_default() {
            value = value << 8 | u128::from(byte);
        }
    }
    value
}

/// Makes the bits `bits` of word `index` count.
#[inline(always)]
pub(crate) fn unwildcard_word(wc: &mut FlowMask, index: u16, bits: u64) {
    if bits == 0 {
        return;
    }
    match index.checked_sub(BESIDE) {
        None => wc.lane_mut(usize::from(index >> 3)).0[usize::from(index & 7)] |= bits,
        Some(beside) => {
            let counts = wc.wide().word(beside) | bits;
            wc.wide_mut().set_word(beside, counts);
        }
    }
}

/// Which bits a match looks at: the words of a [`FlowMask`] that are not zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MiniMask {
    /// Bit `n` stands for word `n` of the lanes.
    words: u128,
    /// The words beside the lanes.
    beside: Box<[u16]>,
    masks: Box<[u64]>,
}

impl MiniMask {
    /// The words of `mask` that are not zero.
    #[must_use]
    pub fn new(mask: &FlowMask) -> Self {
        let mut words = 0;
        let mut masks = Vec::with_capacity(8);
        for lane in mask.used().iter() {
            for (at, &word) in mask.lane(lane).0.iter().enumerate() {
                if word != 0 {
                    words |= 1u128 << (lane * 8 + at);
                    masks.push(word);
                }
            }
        }
        masks.extend(mask.wide().iter().map(|(_, word)| word));
        let beside = mask.wide().iter().map(|(index, _)| BESIDE + index).collect();
        Self { words, beside, masks: masks.into_boxed_slice() }
    }

    /// Number of words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.masks.len()
    }

    /// Whether nothing is looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }

    /// The words in order: index in the key, and mask.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let lanes = BitIter(self.words).map(u16::from);
        lanes.chain(self.beside.iter().copied()).zip(self.masks.iter().copied())
    }

    /// The mask of word `index`.
    #[must_use]
    pub fn word(&self, index: u16) -> u64 {
        self.position(index).and_then(|at| self.masks.get(at)).copied().unwrap_or(0)
    }

    /// Which of the listed words word `index` is.
    pub(crate) fn position(&self, index: u16) -> Option<usize> {
        if index >= BESIDE {
            let at = self.beside.binary_search(&index).ok()?;
            return Some(self.words.count_ones() as usize + at);
        }
        let bit = 1u128.checked_shl(u32::from(index))?;
        (self.words & bit != 0).then(|| (self.words & (bit - 1)).count_ones() as usize)
    }

    /// The mask in full.
    #[must_use]
    pub fn expand(&self) -> FlowMask {
        let mut mask = FlowMask::EMPTY;
        self.unwildcard(&mut mask);
        mask
    }

    /// Makes every bit count in `wc` that is looked at here.
    pub fn unwildcard(&self, wc: &mut FlowMask) {
        for (index, mask) in self.iter() {
            unwildcard_word(wc, index, mask);
        }
    }

    /// Whether every bit looked at here is looked at in `other` too.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        self.words & !other.words == 0
            && self.iter().all(|(index, mask)| mask & !other.word(index) == 0)
    }
}

impl fmt::Debug for MiniMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expand().fmt(f)
    }
}

/// What a rule matches on: values under a mask.
#[derive(Clone)]
pub struct Match {
    mask: Arc<MiniMask>,
    /// Beside the rule's other parts, as long as they are as few as a five-tuple needs.
    values: SmallVec<[u64; 4]>,
}

impl Match {
    /// Matches everything.
    #[must_use]
    pub fn any() -> Self {
        Self::new(&FlowKey::EMPTY, &FlowMask::EMPTY)
    }

    /// Matches the packets that agree with `key` under `mask`.
    #[must_use]
    pub fn new(key: &FlowKey, mask: &FlowMask) -> Self {
        let mask = MiniMask::new(mask);
        let values = mask.iter().map(|(index, mask)| key_word(key, index) & mask).collect();
        Self { mask: Arc::new(mask), values }
    }

    /// Starts a match field by field.
    #[must_use]
    pub fn build() -> MatchBuilder {
        MatchBuilder::default()
    }

    /// The mask.
    #[must_use]
    pub fn minimask(&self) -> &Arc<MiniMask> {
        &self.mask
    }

    /// Makes it refer to `mask`, which must be equal to its own.
    pub(crate) fn share_mask(&mut self, mask: &Arc<MiniMask>) {
        debug_assert_eq!(self.mask, *mask);
        self.mask = Arc::clone(mask);
    }

    /// Values of the words of the mask, in their order.
    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        &self.values
    }

    /// The words in order: index in the key, value, mask.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64, u64)> + '_ {
        self.mask.iter().zip(&self.values).map(|((index, mask), &value)| (index, value, mask))
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.mask.is_empty()
    }

    /// Whether a packet with this key matches.
    #[inline]
    #[must_use]
    pub fn matches(&self, key: &FlowKey) -> bool {
        // The words of the lanes first and by themselves: nearly every match has no others.
        let lanes = self.mask.words.count_ones() as usize;
        let mut both = self.mask.masks.iter().zip(&self.values);
        let lane = |at: u8| key.lane(usize::from(at >> 3)).0[usize::from(at & 7)];
        let agree = BitIter(self.mask.words)
            .zip(both.by_ref().take(lanes))
            .all(|(at, (mask, value))| lane(at) & mask == *value);
        agree
            && (self.mask.beside.iter().zip(both))
                .all(|(&at, (mask, value))| key_word(key, at) & mask == *value)
    }

    /// Makes every bit count in `wc` that this match looks at.
    pub fn unwildcard(&self, wc: &mut FlowMask) {
        self.mask.unwildcard(wc);
    }

    /// Whether every packet that matches `other` matches this one: this is the same or looser.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.mask.within(&other.mask)
            && self.iter().all(|(index, value, mask)| other.value_word(index) & mask == value)
    }

    /// Whether some packet matches both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.iter().all(|(index, value, mask)| {
            (value ^ other.value_word(index)) & mask & other.mask.word(index) == 0
        })
    }

    /// Key and mask in full.
    #[must_use]
    pub fn expand(&self) -> (FlowKey, FlowMask) {
        let mut key = FlowKey::EMPTY;
        for (index, value, _) in self.iter() {
            match index.checked_sub(BESIDE) {
                None => key.lane_mut(usize::from(index >> 3)).0[usize::from(index & 7)] = value,
                Some(beside) => key.wide_mut().set_word(beside, value),
            }
        }
        (key, self.mask.expand())
    }

    /// The same match, to be changed.
    #[must_use]
    pub fn to_builder(&self) -> MatchBuilder {
        let (key, mask) = self.expand();
        MatchBuilder { key, mask }
    }

    /// The tunnel metadata that are looked at, be it only whether they are there.
    pub fn tun_metadata(&self) -> impl Iterator<Item = FieldId> + use<> {
        let asked = load(layout::TUN_METADATA_PRESENT, |index| self.mask.word(index));
        (0..FieldId::TUN_METADATA)
            .filter(move |number| asked >> number & 1 != 0)
            .filter_map(FieldId::tun_metadata)
    }

    /// Value and mask of a field.
    #[must_use]
    pub fn field(&self, id: FieldId) -> (u128, u128) {
        if id.tun_metadata_number().is_some() {
            let (key, mask) = self.expand();
            return (key.get(id), mask.get(id));
        }
        let field = id.field();
        let low = |value: u128| value >> field.shift & field.ones();
        let value = load(field.place, |index| self.value_word(index));
        (low(value), low(load(field.place, |index| self.mask.word(index))))
    }

    /// Value and mask of a field of any width.
    #[must_use]
    pub fn wide_field(&self, id: FieldId) -> (Wide, Wide) {
        let (key, mask) = self.expand();
        (key.get_wide(id), mask.get_wide(id))
    }

    fn value_word(&self, index: u16) -> u64 {
        self.mask.position(index).and_then(|at| self.values.get(at)).copied().unwrap_or(0)
    }
}

impl Default for Match {
    fn default() -> Self {
        Self::any()
    }
}

impl PartialEq for Match {
    fn eq(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.mask, &other.mask) || self.mask == other.mask)
            && self.values == other.values
    }
}

impl Eq for Match {}

impl Hash for Match {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mask.hash(state);
        self.values.hash(state);
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, mask) = self.expand();
        f.debug_struct("Match").field("key", &key).field("mask", &mask).finish()
    }
}

/// A match in the making: key and mask in full.
#[derive(Clone, Debug, Default)]
pub struct MatchBuilder {
    /// The values; bits outside the mask do not count.
    pub key: FlowKey,
    /// Which bits count.
    pub mask: FlowMask,
}

impl MatchBuilder {
    /// Requires a field to be `value`.
    #[must_use]
    pub fn exact(self, id: FieldId, value: u128) -> Self {
        self.masked(id, value, u128::MAX)
    }

    /// Requires those bits of a field to be as in `value` that are set in `mask`.
    #[must_use]
    pub fn masked(mut self, id: FieldId, value: u128, mask: u128) -> Self {
        self.set(id, value, mask);
        self
    }

    /// The same, in place.
    pub fn set(&mut self, id: FieldId, value: u128, mask: u128) {
        self.key.set_bits(id, value, mask);
        self.mask.unwildcard_bits(id, mask);
    }

    /// The same for a field of any width.
    pub fn set_wide(&mut self, id: FieldId, value: Wide, mask: Wide) {
        self.key.set_wide(id, value, mask);
        self.mask.unwildcard_wide(id, mask);
    }

    /// The compact form.
    #[must_use]
    pub fn finish(&self) -> Match {
        Match::new(&self.key, &self.mask)
    }
}

/// The set bits of a number, ascending.
struct BitIter(u128);

impl Iterator for BitIter {
    type Item = u8;

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a bit number of a u128 is below 128")]
    fn next(&mut self) -> Option<u8> {
        (self.0 != 0).then(|| {
            let bit = self.0.trailing_zeros() as u8;
            self.0 &= self.0 - 1;
            bit
        })
    }
}

const _: () = assert!(WORDS <= 128);

#[cfg(test)]
mod tests {
    use dp_core::flow::{FIELDS, FieldId, FlowKey, FlowMask};

    use super::Match;

    fn subnet(len: u32) -> Match {
        let mask = u128::from(u32::MAX << (32 - len));
        Match::build()
            .exact(FieldId::EthType, 0x800)
            .masked(FieldId::Ipv4Dst, 0x0a01_0203, mask)
            .finish()
    }

    #[test]
    fn equality_ignores_what_is_wildcarded() {
        let other = Match::build()
            .exact(FieldId::EthType, 0x800)
            .masked(FieldId::Ipv4Dst, 0x0aff_ffff, 0xff00_0000)
            .finish();
        assert_eq!(subnet(8), other);
        assert_ne!(subnet(8), subnet(9));
    }

    #[test]
    fn a_field_is_what_it_is_in_the_whole_key() {
        let mut seed = 1u128;
        let mut random = || {
            seed = seed.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            seed
        };
        for _ in 0..50 {
            let mut matching = Match::build();
            for field in FIELDS {
                if random() >> 120 & 3 == 0 {
                    matching = matching.masked(field.id, random(), random());
                }
            }
            let matching = matching.finish();
            let (key, mask) = matching.expand();
            for id in FIELDS.iter().map(|field| field.id) {
                assert_eq!(matching.field(id), (key.get(id), mask.get(id)), "{id:?}");
            }
        }
    }

    #[test]
    fn looser_covers_tighter_and_not_the_reverse() {
        assert!(subnet(8).covers(&subnet(24)));
        assert!(!subnet(24).covers(&subnet(8)));
        assert!(Match::any().covers(&subnet(8)) && subnet(8).covers(&subnet(8)));
        let elsewhere = Match::build().exact(FieldId::Ipv4Dst, 0x0b00_0001).finish();
        assert!(!subnet(8).covers(&elsewhere) && !subnet(8).overlaps(&elsewhere));
        let port = Match::build().exact(FieldId::InPort, 1).finish();
        assert!(port.overlaps(&subnet(8)) && subnet(8).overlaps(&port));
    }

    #[test]
    fn keys_match_under_the_mask_only() {
        let mut key = FlowKey::EMPTY;
        key.set(FieldId::EthType, 0x800);
        key.set(FieldId::Ipv4Dst, 0x0a99_9999);
        assert!(subnet(8).matches(&key) && !subnet(16).matches(&key));
        let mut wc = FlowMask::EMPTY;
        subnet(8).unwildcard(&mut wc);
        assert_eq!(wc.get(FieldId::Ipv4Dst), 0xff00_0000);
        assert_eq!(subnet(8).field(FieldId::Ipv4Dst), (0x0a00_0000, 0xff00_0000));
        assert_eq!(subnet(8).to_builder().finish(), subnet(8));
    }
}
