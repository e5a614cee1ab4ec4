//! Reading and masked writing of a few bytes of a frame, and the checksums over them.
//!
//! Everything is total: what lies beyond the frame is `None`.

use crate::wire::checksum::update_u16;

/// `N` bytes at `at`.
#[inline(always)]
pub(super) fn read<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

/// Overwrites `N` bytes at `at`.
#[inline(always)]
pub(super) fn write<const N: usize>(frame: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    *frame.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}

/// What a masked write has replaced by what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<const N: usize> {
    pub(super) old: [u8; N],
    pub(super) new: [u8; N],
}

/// Overwrites those bits at `at` that are set in `mask`.
#[inline(always)]
pub(super) fn splice<const N: usize>(
    frame: &mut [u8],
    at: usize,
    value: [u8; N],
    mask: [u8; N],
) -> Option<Change<N>> {
    let place: &mut [u8; N] = frame.get_mut(at..)?.first_chunk_mut()?;
    let old = *place;
    for ((byte, value), mask) in place.iter_mut().zip(value).zip(mask) {
        *byte = *byte & !mask | value & mask;
    }
    Some(Change { old, new: *place })
}

impl<const N: usize> Change<N> {
    /// The checksum after this change; the bytes begin at an even distance from the sum's start.
    #[inline(always)]
    pub(super) fn update(&self, checksum: u16) -> u16 {
        let words = |bytes: &[u8; N]| -> [u16; N] {
            let mut out = [0; N];
            for (word, pair) in out.iter_mut().zip(bytes.chunks(2)) {
                *word = match *pair {
                    [high, low] => u16::from_be_bytes([high, low]),
                    [high] => u16::from_be_bytes([high, 0]),
                    _ => 0,
                };
            }
            out
        };
        let (old, new) = (words(&self.old), words(&self.new));
        old.into_iter().zip(new).fold(checksum, |sum, (old, new)| {
            if old == new { sum } else { update_u16(sum, old, new) }
        })
    }

    /// Whether anything is different now.
    #[inline(always)]
    pub(super) fn is_change(&self) -> bool {
        self.old != self.new
    }
}

/// Updates the Internet checksum stored at `at` for a change of bytes that it covers.
#[inline(always)]
pub(super) fn update_at<const N: usize>(
    frame: &mut [u8],
    at: usize,
    change: &Change<N>,
) -> Option<()> {
    let sum = u16::from_be_bytes(read(frame, at)?);
    write(frame, at, change.update(sum).to_be_bytes())
}
