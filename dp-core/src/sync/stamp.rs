//! A word that says whose a record is: who reads the record without a lock asks it before and after.
//!
//! ```text
//!   63            32 31                1   0
//!  │  generation    │  bits of the owner │ alive │
//! ```
//!
//! The generation changes when a record begins to be somebody's and when it ends to be. A reader
//! takes the generation, reads the record's other words, and asks whether it is the same still: if it
//! is, all that was read was of that generation. For that the words of the next owner must not be
//! seen before the end of the former: [`Stamp::end`] keeps them behind it.

#[cfg(not(dp_loom))]
use zerocopy::FromZeros;

use super::word::{Word64, read_before, written_before};

/// Generation and bits of a record. All zeros are nobody's.
#[derive(Debug, Default)]
#[cfg_attr(not(dp_loom), derive(FromZeros))]
#[repr(transparent)]
pub struct Stamp(Word64);

/// The bit that says that a record is somebody's.
pub const ALIVE: u32 = 1;

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[inline(always)]
const fn join(generation: u32, bits: u32) -> u64 {
    (generation as u64) << 32 | bits as u64
}

impl Stamp {
    /// Generation and bits, and everything that was written before they were published.
    #[inline(always)]
    #[must_use]
    pub fn read(&self) -> (u32, u32) {
        split(self.0.observe())
    }

    /// Whether the record is alive in this generation still: to be asked after reading it.
    #[inline(always)]
    #[must_use]
    pub fn is_still(&self, generation: u32) -> bool {
        read_before();
        let (now, bits) = split(self.0.get());
        now == generation && bits & ALIVE != 0
    }

    /// Sets bits, unless the generation is another by now.
    pub fn set_bits(&self, generation: u32, bits: u32) {
        loop {
            let old = self.0.observe();
            let (now, had) = split(old);
            if now != generation || had | bits == had {
                return;
            }
            if self.0.replace(old, join(generation, had | bits)) {
                return;
            }
        }
    }

    /// Begins a generation in a record that is nobody's and whose words have been written; returns
    /// it.
    pub fn begin(&self, bits: u32) -> u32 {
        let (generation, _) = self.read();
        let next = generation.wrapping_add(1);
        self.0.publish(join(next, bits | ALIVE));
        next
    }

    /// Ends a generation; `false` if it has ended already.
    pub fn end(&self, generation: u32) -> bool {
        loop {
            let old = self.0.observe();
            let (now, bits) = split(old);
            if now != generation || bits & ALIVE == 0 {
                return false;
            }
            if self.0.replace(old, join(generation.wrapping_add(1), 0)) {
                written_before();
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIVE, Stamp};

    #[test]
    fn a_reader_notices_that_a_record_is_anothers() {
        let stamp = Stamp::default();
        let first = stamp.begin(0);
        assert!(stamp.is_still(first));
        stamp.set_bits(first, 2);
        assert_eq!(stamp.read(), (first, ALIVE | 2));
        assert!(stamp.end(first));
        assert!(!stamp.end(first), "a generation ends once");
        assert!(!stamp.is_still(first));
        let second = stamp.begin(0);
        stamp.set_bits(first, 4);
        assert_eq!(stamp.read(), (second, ALIVE), "late changes are lost");
    }
}
