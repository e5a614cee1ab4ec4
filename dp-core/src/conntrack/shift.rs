//! Sequence numbers of connections whose payload has been made longer or shorter.
//!
//! For each direction there is a place in the stream and two shifts: one for bytes up to it, one for
//! those behind. What is announced again before it was acknowledged keeps its shift, so that a
//! retransmission is the same on the other side.

use super::inspect::Segment;
use super::record::Extra;

/// `a` comes behind `b` on the circle of sequence numbers.
const fn behind(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

fn words(extra: &Extra, direction: usize) -> (u32, u32, u32) {
    let at = direction & 1;
    (extra.shift[at].get(), extra.shift_before[at].get(), extra.shift_from[at].get())
}

/// The segment at `seq` has grown by so many bytes.
pub(super) fn grow(extra: &Extra, direction: usize, seq: u32, by: i32) {
    let (shift, before, from) = words(extra, direction);
    let at = direction & 1;
    if shift == before || behind(seq, from) {
        extra.shift_from[at].set(seq);
        extra.shift_before[at].set(shift);
        extra.shift[at].set(shift.wrapping_add_signed(by));
    }
}

/// The number that the other side is to see in place of `seq`.
pub(super) fn shifted(extra: &Extra, direction: usize, seq: u32) -> u32 {
    let (shift, before, from) = words(extra, direction);
    seq.wrapping_add(if behind(seq, from) { shift } else { before })
}

/// The number that the sender of `direction` used, of one that the other side has seen.
pub(super) fn unshifted(extra: &Extra, direction: usize, number: u32) -> u32 {
    let (shift, before, from) = words(extra, direction);
    let back = if behind(number.wrapping_sub(before), from) { shift } else { before };
    number.wrapping_sub(back)
}

/// A segment of `direction` as both its numbers stand in its sender's and receiver's own streams.
pub(super) fn as_sent(extra: &Extra, direction: usize, segment: &Segment) -> Segment {
    Segment { ack: unshifted(extra, direction ^ 1, segment.ack), ..*segment }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn numbers_shift_behind_the_change_and_back() {
        let extra = Extra::new_zeroed();
        grow(&extra, 0, 1000, 3);
        assert_eq!(shifted(&extra, 0, 1000), 1000);
        assert_eq!(shifted(&extra, 0, 1021), 1024);
        assert_eq!(unshifted(&extra, 0, 1024), 1021);
        assert_eq!(unshifted(&extra, 0, 1000), 1000);
        // Said again: nothing more.
        grow(&extra, 0, 1000, 3);
        assert_eq!(shifted(&extra, 0, 1021), 1024);
        grow(&extra, 0, 1021, -2);
        assert_eq!(shifted(&extra, 0, 1021), 1024);
        assert_eq!(shifted(&extra, 0, 1100), 1101);
        assert_eq!(unshifted(&extra, 0, 1101), 1100);
        assert_eq!(shifted(&extra, 1, 1100), 1100, "the other direction is as it was");
    }

    #[test]
    fn numbers_wrap() {
        let extra = Extra::new_zeroed();
        grow(&extra, 1, 0xffff_fff0, 5);
        assert_eq!(shifted(&extra, 1, 4), 9);
        assert_eq!(unshifted(&extra, 1, 9), 4);
        assert_eq!(shifted(&extra, 1, 0xffff_fff0), 0xffff_fff0);
    }
}
