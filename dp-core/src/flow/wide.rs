//! Values wider than 128 bits, and where a key holds them: tunnel metadata.
//!
//! A Geneve option has up to 124 bytes, and flow tables see up to 64 of them as fields. Lanes for all
//! would be 8 KiB a key, of which nearly every key has none and nearly every other one 4 bytes. So
//! they lie beside the lanes, as a list of those words that are not zero ([`WideWords`]): no memory
//! and one comparison for a packet without options.
//!
//! A [`Wide`] is one such value: a big-endian number of 992 bits, so that an option that is shorter
//! is the same number with zeros before it.
//!
//! *Cost*: only the slow path has these; the packet path matches options where they stand.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitXor, Not, Shl, Shr};

/// Bytes of the longest value.
pub const WIDE_BYTES: usize = 124;
/// Bits of the longest value.
pub const WIDE_BITS: u16 = 992;
/// Words of 64 bits that a value takes; half of the first one is never used.
pub const WIDE_WORDS: usize = 16;

/// A number of up to 992 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wide([u64; WIDE_WORDS]);

impl Wide {
    /// Zero.
    pub const ZERO: Self = Self([0; WIDE_WORDS]);
    /// All bits set.
    pub const ONES: Self = {
        let mut words = [u64::MAX; WIDE_WORDS];
        words[0] = u32::MAX as u64;
        Self(words)
    };

    /// All ones in a width, at most that of the type.
    #[must_use]
    pub fn ones(bits: u16) -> Self {
        Self::ONES >> u32::from(WIDE_BITS.saturating_sub(bits))
    }

    /// The number that bytes are, the most significant first; of more than fit the last ones.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut all = [0; WIDE_BYTES + 4];
        let len = bytes.len().min(WIDE_BYTES);
        let (from, to) = (bytes.len() - len, all.len() - len);
        all[to..].copy_from_slice(&bytes[from..]);
        let mut words = [0; WIDE_WORDS];
        for (word, bytes) in words.iter_mut().zip(all.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Self(words)
    }

    /// The bytes of the number, the most significant first.
    #[must_use]
    pub fn bytes(self) -> [u8; WIDE_BYTES] {
        let mut all = [0; WIDE_BYTES + 4];
        for (bytes, word) in all.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_be_bytes();
        }
        let mut out = [0; WIDE_BYTES];
        out.copy_from_slice(&all[4..]);
        out
    }

    /// The last 128 bits.
    #[must_use]
    pub const fn low(self) -> u128 {
        (self.0[WIDE_WORDS - 2] as u128) << 64 | self.0[WIDE_WORDS - 1] as u128
    }

    /// The number, if it has no more than 128 bits.
    #[must_use]
    pub fn narrow(self) -> Option<u128> {
        (self == Self::from(self.low())).then_some(self.low())
    }

    /// Whether no bit is set.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// How many bits it takes: the position of the highest bit set, counted from 1.
    #[must_use]
    pub fn width(self) -> u16 {
        let mut words = (0u16..).zip(self.0);
        let first = words.find(|(_, word)| *word != 0);
        first.map_or(0, |(at, word)| {
            let before = at * 64 + u16::try_from(word.leading_zeros()).unwrap_or(0);
            1024 - before
        })
    }

    /// The lowest bit set, counted from 0; `None` for zero.
    #[must_use]
    pub fn lowest(self) -> Option<u16> {
        (0u16..)
            .zip(self.0.iter().rev())
            .find(|(_, word)| **word != 0)
            .map(|(at, word)| at * 64 + u16::try_from(word.trailing_zeros()).unwrap_or(0))
    }

    /// What makes zero with it, bits beyond the width lost.
    #[must_use]
    pub fn negated(self) -> Self {
        let mut out = !self;
        for word in out.0.iter_mut().rev() {
            let (sum, carry) = word.overflowing_add(1);
            *word = sum;
            if !carry {
                break;
            }
        }
        out & Self::ONES
    }

    /// Reads digits; `None` for other characters, no digits, or a number that does not fit.
    #[must_use]
    pub fn parse(digits: &str, radix: u32) -> Option<Self> {
        let mut value = Self::ZERO;
        for digit in digits.chars() {
            let mut carry = u128::from(digit.to_digit(radix)?);
            for word in value.0.iter_mut().rev() {
                let next = u128::from(*word) * u128::from(radix) + carry;
                #[expect(clippy::cast_possible_truncation, reason = "the rest is carried")]
                {
                    *word = next as u64;
                }
                carry = next >> 64;
            }
            if carry != 0 || value.0[0] > u64::from(u32::MAX) {
                return None;
            }
        }
        (!digits.is_empty()).then_some(value)
    }
}

impl From<u128> for Wide {
    fn from(value: u128) -> Self {
        let mut words = [0; WIDE_WORDS];
        let [.., high, low] = &mut words;
        #[expect(clippy::cast_possible_truncation, reason = "one half each")]
        {
            (*high, *low) = ((value >> 64) as u64, value as u64);
        }
        Self(words)
    }
}

impl BitAnd for Wide {
    type Output = Self;

    fn bitand(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }
}

impl BitOr for Wide {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }
}

impl BitXor for Wide {
    type Output = Self;

    fn bitxor(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word ^= other);
        self
    }
}

impl Not for Wide {
    type Output = Self;

    fn not(mut self) -> Self {
        self.0.iter_mut().for_each(|word| *word = !*word);
        self & Self::ONES
    }
}

impl Shl<u32> for Wide {
    type Output = Self;

    /// Bits that are shifted out are lost, by however many it is.
    fn shl(self, by: u32) -> Self {
        let (words, bits) = ((by / 64) as usize, by % 64);
        let mut out = [0; WIDE_WORDS];
        for (at, word) in out.iter_mut().enumerate() {
            let from = |at: usize| self.0.get(at).copied().unwrap_or(0);
            let low = from(at + words + 1).checked_shr(64 - bits).unwrap_or(0);
            *word = from(at + words) << bits | low;
        }
        Self(out) & Self::ONES
    }
}

impl Shr<u32> for Wide {
    type Output = Self;

    /// Bits that are shifted out are lost, by however many it is.
    fn shr(self, by: u32) -> Self {
        let (words, bits) = ((by / 64) as usize, by % 64);
        let mut out = [0; WIDE_WORDS];
        for (at, word) in out.iter_mut().enumerate() {
            let from = |back: usize| {
                at.checked_sub(back).and_then(|at| self.0.get(at)).copied().unwrap_or(0)
            };
            let high = from(words + 1).checked_shl(64 - bits).unwrap_or(0);
            *word = from(words) >> bits | high;
        }
        Self(out)
    }
}

impl fmt::LowerHex for Wide {
    /// As an integer is: `{:#x}`, `{:08x}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [b'0'; WIDE_BYTES * 2];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.bytes()) {
            let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        let from = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
        f.pad_integral(true, "0x", core::str::from_utf8(&digits[from..]).unwrap_or("0"))
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#x}")
    }
}

/// Which word of which value: the value's number times [`WIDE_WORDS`], and the word in it.
pub type WideIndex = u16;

/// The words of a key's wide values, or of a mask's, that are not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WideWords {
    /// Ascending; no word is zero, so that equal values are equal lists.
    words: Vec<(WideIndex, u64)>,
}

impl WideWords {
    /// None.
    pub const EMPTY: Self = Self { words: Vec::new() };

    /// Whether all values are zero.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words that are not zero, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (WideIndex, u64)> + '_ {
        self.words.iter().copied()
    }

    /// One word.
    #[inline]
    #[must_use]
    pub fn word(&self, index: WideIndex) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.words.binary_search_by_key(&index, |word| word.0).map_or(0, |at| self.words[at].1)
    }

    /// Writes one word.
    pub fn set_word(&mut self, index: WideIndex, word: u64) {
        match self.words.binary_search_by_key(&index, |word| word.0) {
            Ok(at) if word == 0 => {
                self.words.remove(at);
            }
            Ok(at) => self.words[at].1 = word,
            Err(at) if word != 0 => self.words.insert(at, (index, word)),
            Err(_) => {}
        }
    }

    /// Value `number`.
    #[must_use]
    pub fn value(&self, number: u8) -> Wide {
        let mut value = Wide::ZERO;
        if self.is_empty() {
            return value;
        }
        for (index, word) in value.0.iter_mut().enumerate() {
            *word = self.word(Self::index(number, index));
        }
        value
    }

    /// Writes value `number`.
    pub fn set_value(&mut self, number: u8, value: Wide) {
        for (index, word) in value.0.into_iter().enumerate() {
            self.set_word(Self::index(number, index), word);
        }
    }

    fn index(number: u8, word: usize) -> WideIndex {
        u16::from(number) * 16 + u16::try_from(word).unwrap_or(0)
    }

    /// Sets every bit that is set in `other`.
    pub fn or_assign(&mut self, other: &Self) {
        for (index, word) in other.iter() {
            self.set_word(index, self.word(index) | word);
        }
    }

    /// Both: the bits set in each.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = other.iter().map(|(index, word)| (index, self.word(index) & word));
        Self { words: both.filter(|(_, word)| *word != 0).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::{WIDE_BITS, Wide, WideWords};

    #[test]
    fn shifts_go_across_words_and_lose_what_goes_out() {
        let one = Wide::from(1);
        for by in [0, 1, 63, 64, 65, 127, 128, 500, 991] {
            let there = one << by;
            assert_eq!(u32::from(there.width()), by + 1);
            assert_eq!(there.lowest().map(u32::from), Some(by));
            assert_eq!(there >> by, one);
            assert_eq!(there >> (by + 1), Wide::ZERO);
        }
        assert_eq!(one << 992, Wide::ZERO);
        assert_eq!(Wide::ONES << 2000, Wide::ZERO);
        assert_eq!(Wide::ones(128), Wide::from(u128::MAX));
        assert_eq!(Wide::ones(WIDE_BITS), Wide::ONES);
        assert_eq!(!Wide::ZERO, Wide::ONES);
        assert_eq!(one.negated(), Wide::ONES);
        assert_eq!((one << 64).negated(), Wide::ONES << 64);
        assert_eq!(Wide::ZERO.negated(), Wide::ZERO);
    }

    #[test]
    fn text_and_bytes_are_read_as_they_are_written() {
        for text in ["0x0", "0x1", "0xfedcba9876543210fedcba98765432100123456789abcdef"] {
            let value = Wide::parse(&text[2..], 16).unwrap();
            assert_eq!(format!("{value:#x}"), text);
            assert_eq!(Wide::from_bytes(&value.bytes()), value);
        }
        let decimal = "340282366920938463463374607431768211456";
        assert_eq!(Wide::parse(decimal, 10), Some(Wide::from(1) << 128));
        let widest = "f".repeat(248);
        assert_eq!(Wide::parse(&widest, 16), Some(Wide::ONES));
        assert_eq!(Wide::parse(&format!("1{}", "0".repeat(248)), 16), None);
        assert_eq!((Wide::parse("", 16), Wide::parse("1g", 16)), (None, None));
        assert_eq!(Wide::from_bytes(&[1; 200]), Wide::from_bytes(&[1; 124]));
    }

    #[test]
    fn words_that_are_zero_are_not_kept() {
        let mut words = WideWords::EMPTY;
        words.set_value(63, Wide::ONES);
        words.set_value(0, Wide::from(5));
        assert_eq!(words.iter().count(), 17);
        assert_eq!((words.value(63), words.value(0).low()), (Wide::ONES, 5));
        let mut mask = WideWords::EMPTY;
        mask.set_value(63, Wide::from(0xf0));
        assert_eq!(words.and(&mask).value(63), Wide::from(0xf0));
        mask.or_assign(&words);
        assert_eq!(mask, words);
        words.set_value(63, Wide::ZERO);
        words.set_value(0, Wide::ZERO);
        assert_eq!(words, WideWords::EMPTY);
    }
}
