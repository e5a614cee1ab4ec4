//! The keys of a burst, lane by lane: all first lanes together, then all second lanes …
//!
//! Look-ups walk the burst once per stage, mostly over lane 0 alone: 32 keys of 64 bytes lie in
//! 2 KiB that stay in the first-level cache. A lane is only meaningful where the packet's
//! [`LaneSet`] says so; stale bytes of earlier bursts stand everywhere else. Lane 0 is always
//! meaningful: every packet has a port of entry.

use super::key::FlowKey;
use super::lane::{Lane, LaneSet, PACKET_LANES};
use crate::packet::BURST;

/// The keys of up to [`BURST`] packets. Indexed by lane, then by the packet's slot.
#[derive(Debug)]
pub struct BurstKeys {
    lanes: [[Lane; BURST]; PACKET_LANES],
    used: [LaneSet; BURST],
}

/// The lanes that a frame may fill; those of tunnels it cannot.
#[derive(Debug)]
pub struct FrameLanes<'a> {
    /// Lane 0: what every packet has.
    pub first: &'a mut Lane,
    /// Lane 1: IPv6, ARP, neighbour discovery.
    pub second: &'a mut Lane,
    /// Lane 2: MPLS, the rarer parts of neighbour discovery.
    pub third: &'a mut Lane,
    /// Lane 3: NSH.
    pub fourth: &'a mut Lane,
}

impl Default for BurstKeys {
    fn default() -> Self {
        Self { lanes: [[Lane::ZERO; BURST]; PACKET_LANES], used: [LaneSet::EMPTY; BURST] }
    }
}

impl BurstKeys {
    /// Lane `lane` of all packets, by slot; valid where [`Self::used`] says so.
    ///
    /// # Panics
    ///
    /// If `lane` is not a lane of packets; it is a constant of the caller.
    #[inline(always)]
    #[must_use]
    pub fn lane(&self, lane: usize) -> &[Lane; BURST] {
        &self.lanes[lane]
    }

    /// The same, to be written. Say so with [`Self::set_used`].
    ///
    /// # Panics
    ///
    /// If `lane` is not a lane of packets; it is a constant of the caller.
    #[inline(always)]
    #[must_use]
    pub fn lane_mut(&mut self, lane: usize) -> &mut [Lane; BURST] {
        &mut self.lanes[lane]
    }

    /// Lane 0 of the packet in `slot`, to be written.
    #[inline(always)]
    #[must_use]
    pub fn first_mut(&mut self, slot: usize) -> &mut Lane {
        &mut self.lanes[0][slot & (BURST - 1)]
    }

    /// The lanes of the packet in `slot` that its frame may fill, to be written.
    #[inline(always)]
    #[must_use]
    pub fn frame_lanes_mut(&mut self, slot: usize) -> FrameLanes<'_> {
        let slot = slot & (BURST - 1);
        let [first, second, third, fourth, ..] = &mut self.lanes;
        FrameLanes {
            first: &mut first[slot],
            second: &mut second[slot],
            third: &mut third[slot],
            fourth: &mut fourth[slot],
        }
    }

    /// Lane `lane` of the packet in `slot`, to be written: zeros if it was not used, and used from
    /// now on.
    #[inline]
    pub fn use_lane(&mut self, slot: usize, lane: usize) -> &mut Lane {
        let (slot, lane) = (slot & (BURST - 1), lane % PACKET_LANES);
        let place = &mut self.lanes[lane][slot];
        if !self.used[slot].has(lane) {
            *place = Lane::ZERO;
            self.used[slot] = self.used[slot].with(LaneSet::of(lane));
        }
        place
    }

    /// Which lanes each packet uses, by slot.
    #[inline(always)]
    #[must_use]
    pub fn used(&self) -> &[LaneSet; BURST] {
        &self.used
    }

    /// Says which lanes the packet in `slot` uses; they must have been written.
    #[inline(always)]
    pub fn set_used(&mut self, slot: usize, used: LaneSet) {
        self.used[slot & (BURST - 1)] = used;
    }

    /// Lane `lane` of the packet in `slot`, zero where it is not used.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, slot: usize, lane: usize) -> &Lane {
        let slot = slot & (BURST - 1);
        match self.lanes.get(lane) {
            Some(lanes) if self.used[slot].has(lane) => &lanes[slot],
            _ => &Lane::ZERO,
        }
    }

    /// The whole key of the packet in `slot`.
    #[must_use]
    pub fn key(&self, slot: usize) -> FlowKey {
        let slot = slot & (BURST - 1);
        let mut key = FlowKey::EMPTY;
        for lane in self.used[slot].iter() {
            *key.lane_mut(lane) = *self.get(slot, lane);
        }
        key
    }

    /// Writes a whole key into `slot`; lanes that no packet has are left out.
    pub fn set_key(&mut self, slot: usize, key: &FlowKey) {
        let slot = slot & (BURST - 1);
        // Lane 0 is there for every packet.
        self.lanes[0][slot] = *key.lane(0);
        let mut used = LaneSet::of(0);
        for lane in key.used().iter().filter(|&lane| lane < PACKET_LANES) {
            self.lanes[lane][slot] = *key.lane(lane);
            used = used.with(LaneSet::of(lane));
        }
        self.used[slot] = used;
    }
}

#[cfg(test)]
mod tests {
    use super::BurstKeys;
    use crate::flow::{FieldId, FlowKey};

    #[test]
    fn a_key_survives_the_burst_and_stale_lanes_do_not_show() {
        let mut keys = BurstKeys::default();
        let mut wide = FlowKey::EMPTY;
        wide.set(FieldId::Ipv6Src, 77);
        wide.set(FieldId::InPort, 3);
        keys.set_key(5, &wide);
        assert_eq!(keys.key(5), wide);
        let mut narrow = FlowKey::EMPTY;
        narrow.set(FieldId::InPort, 4);
        keys.set_key(5, &narrow);
        assert_eq!(keys.key(5), narrow);
    }
}
