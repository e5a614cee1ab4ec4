//! Room in front of a frame that came with too little of it.
//!
//! Fresh frames have [`HEADROOM`](super::HEADROOM), a driver's buffers what the driver left. Headers
//! of tunnels with many options are longer, and so are a tunnel's in a tunnel's: the frame moves back
//! in its buffer then, or into a larger one. Few packets need it, so it costs the others a comparison.

use super::{Packet, Pool};

impl Packet {
    /// Makes the headroom at least `bytes`, if a buffer of ours holds as much. The frame and what
    /// travels with it stay as they are, in a success as well as in a failure (`None`: no buffer).
    #[cold]
    pub fn make_headroom(&mut self, bytes: usize) -> Option<()> {
        let missing = bytes.checked_sub(self.headroom()).filter(|&missing| missing > 0);
        let Some(missing) = missing else { return Some(()) };
        let len = self.len();
        if self.tailroom() >= missing {
            self.append(missing)?;
            self.data_mut().copy_within(..len, missing);
            return self.pull_front(missing).then_some(());
        }
        let mut larger = Pool::for_len(len + missing)?.alloc()?;
        let further = bytes.saturating_sub(larger.headroom());
        larger.append(further)?;
        if !larger.pull_front(further) {
            return None;
        }
        larger.append(len)?.copy_from_slice(self.data());
        larger.take_metadata(self);
        *self = larger;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CtMeta, Pool};

    #[test]
    fn a_frame_moves_back_in_its_buffer_or_into_a_larger_one() {
        for (len, wanted) in [(60, 10), (60, 256), (60, 700), (2048, 300), (9984, 700)] {
            let mut packet = Pool::for_len(len).unwrap().alloc().unwrap();
            let frame: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0]).collect();
            packet.append(len).unwrap().copy_from_slice(&frame);
            packet.meta_mut().l3 = 14;
            packet.set_ct(CtMeta { mark: 7, ..CtMeta::default() });
            packet.make_headroom(wanted).unwrap();
            assert!(packet.headroom() >= wanted, "{len}, {wanted}");
            assert_eq!(packet.data(), frame);
            assert_eq!((packet.meta().l3, packet.ct().map(|ct| ct.mark)), (14, Some(7)));
        }
        let mut largest = Pool::for_len(65_792).unwrap().alloc().unwrap();
        largest.append(65_792).unwrap();
        assert!(largest.make_headroom(257).is_none());
        assert_eq!((largest.len(), largest.headroom()), (65_792, 256));
    }
}
