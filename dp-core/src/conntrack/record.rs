//! What is kept of a connection: two cache lines of words that are read without a lock.
//!
//! ```text
//!   line 0   tuple of the first direction (40) │ status 8 │ expires 8 │ mark 4 │ extra 4
//!   line 1   label 16 │ two TCP ends 24 │ lock 4 │ policy 4 │ place 4 │ events 4 │ hash 8
//! ```
//!
//! Records lie in an array that never gives memory back, so a reader may look at one that has been
//! removed meanwhile, or is another connection's by now. He finds out: `status` carries a generation
//! that changes when a connection begins and when it ends.
//!
//! A look-up and what a datagram changes stay in line 0; TCP, labels and timeout policies touch line 1
//! as well. What
//! only some connections have (translated addresses, a parent, shifted sequence numbers) is an
//! [`Extra`].

use zerocopy::FromZeros;

use super::key::Words;
use crate::base::Instant;
use crate::sync::{ALIVE, Stamp, Word32, Word64};

/// A connection.
#[derive(Debug, FromZeros)]
#[repr(C, align(64))]
pub(super) struct Record {
    pub(super) key: [Word64; 5],
    /// Its bits are a [`Status`].
    status: Stamp,
    /// When it ends, in nanoseconds of the caller's clock.
    pub(super) expires: Word64,
    pub(super) mark: Word32,
    /// Number of its [`Extra`]; 0 if it has none, else one more than its index.
    pub(super) extra: Word32,
    pub(super) label: [Word64; 2],
    pub(super) tcp: [TcpWords; 2],
    pub(super) lock: Word32,
    /// Number of its timeout policy.
    pub(super) policy: Word32,
    /// Where it stands in its zone's list, or [`UNLINKED`]; of one that was given back, which was given
    /// back next.
    pub(super) place: Word32,
    /// Kinds of events that are told of it.
    pub(super) events: Word32,
    /// The hash of its tuple; of one that was given back, since when.
    pub(super) hash: Word64,
}

/// The place of a record that is on no list.
pub(super) const UNLINKED: u32 = u32::MAX;

/// What one end of a TCP connection has said.
#[derive(Debug, FromZeros)]
#[repr(C)]
pub(super) struct TcpWords {
    /// The end of what it has sent.
    pub(super) low: Word32,
    /// The end of what the other end lets it send.
    pub(super) high: Word32,
    /// Window, scale, state: see `tcp`.
    pub(super) rest: Word32,
}

/// What only some connections have.
#[derive(Debug, FromZeros)]
#[repr(C, align(64))]
pub(super) struct Extra {
    /// The tuple of the reply direction, where it is not the reverse of the first.
    pub(super) reply: [Word64; 5],
    /// Hash of that tuple.
    pub(super) hash: Word64,
    /// Shift of sequence numbers by direction: how much is added to what the other end shall see.
    pub(super) shift: [Word32; 2],
    /// The shift that holds for bytes before [`Self::shift_from`].
    pub(super) shift_before: [Word32; 2],
    pub(super) shift_from: [Word32; 2],
    /// The parent's tuple, all zeros without one.
    pub(super) parent: [Word64; 5],
}

// The memory that a connection without address translation takes, beside its entry in the table
// (at most 64 bytes, see `table`).
const _: () = assert!(size_of::<Record>() == 128);
const _: () = assert!(size_of::<Extra>() == 128);

bitflags::bitflags! {
    /// The low half of a record's status word.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Status: u32 {
        /// It is a connection, and in the table.
        const LIVE = ALIVE;
        /// A packet has come back.
        const REPLIED = 1 << 1;
        /// The source is translated.
        const SRC_NAT = 1 << 2;
        /// The destination is translated.
        const DST_NAT = 1 << 3;
        /// An expectation has announced it.
        const EXPECTED = 1 << 4;
        /// An FTP control connection.
        const FTP = 1 << 5;
        /// A TFTP request.
        const TFTP = 1 << 6;
        /// Its second direction has an entry of its own.
        const TWO_KEYS = 1 << 7;
        /// A second packet has come by the first direction.
        const MORE = 1 << 8;
        /// TCP: the handshake is through, so that data in the window changes no state.
        const ESTABLISHED = 1 << 9;
        /// Sequence numbers are shifted.
        const SHIFTED = 1 << 10;
        /// It has a label: the label's line is only read then.
        const LABELLED = 1 << 11;
        /// Its timeout policy is not the default.
        const POLICY = 1 << 12;
    }
}

/// A record at one generation: what a look-up found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its index.
    pub(super) index: u32,
    pub(super) generation: u32,
    /// The packet comes by the reply direction.
    pub(super) reply: bool,
}

impl Record {
    /// Generation and status.
    #[inline(always)]
    pub(super) fn status(&self) -> (u32, Status) {
        let (generation, bits) = self.status.read();
        (generation, Status::from_bits_retain(bits))
    }

    /// Whether it is still the connection of this generation: to be asked after reading.
    #[inline(always)]
    pub(super) fn is_still(&self, generation: u32) -> bool {
        self.status.is_still(generation)
    }

    /// Sets bits of the status, if it is still the connection of this generation.
    pub(super) fn set_status(&self, generation: u32, bits: Status) {
        self.status.set_bits(generation, bits.bits());
    }

    /// Begins a connection in a record that is nobody's; returns the generation.
    pub(super) fn begin(&self, status: Status) -> u32 {
        self.status.begin(status.bits())
    }

    /// Ends the connection of this generation; `false` if it has ended already.
    pub(super) fn end(&self, generation: u32) -> bool {
        self.status.end(generation)
    }

    /// The tuple of the first direction.
    #[inline(always)]
    pub(super) fn words(&self) -> Words {
        words(&self.key)
    }

    /// Whether it has ended by now.
    #[inline(always)]
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.get() <= now.0
    }

    pub(super) fn label(&self) -> u128 {
        let [low, high] = &self.label;
        u128::from(high.get()) << 64 | u128::from(low.get())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub(super) fn set_label(&self, label: u128) {
        let [low, high] = &self.label;
        low.set(label as u64);
        high.set((label >> 64) as u64);
    }
}

#[inline(always)]
pub(super) fn words(from: &[Word64; 5]) -> Words {
    let [a, b, c, d, e] = from;
    [a.get(), b.get(), c.get(), d.get(), e.get()]
}

pub(super) fn set_words(to: &[Word64; 5], words: &Words) {
    for (to, &word) in to.iter().zip(words) {
        to.set(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_notices_that_a_record_is_anothers() {
        let record = Record::new_zeroed();
        let first = record.begin(Status::empty());
        assert!(record.is_still(first));
        record.set_status(first, Status::REPLIED);
        assert_eq!(record.status(), (first, Status::LIVE | Status::REPLIED));
        assert!(record.end(first));
        assert!(!record.end(first), "a connection ends once");
        assert!(!record.is_still(first));
        let second = record.begin(Status::empty());
        record.set_status(first, Status::FTP);
        assert_eq!(record.status(), (second, Status::LIVE), "late changes are lost");
    }
}
