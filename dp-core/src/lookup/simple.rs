//! The fast path for simple flows: those that look at the port of entry, the Ethertype, tags and
//! fragment bits, and at nothing else.
//!
//! A port whose flows are all simple needs no hash of whole keys: 22 bytes of lane 0 decide, and all
//! the packets of a burst mostly agree in them. A switch that sends what comes in by one port out of
//! another finds the flow with one comparison a packet, be there one connection or a million.
//!
//! An entry is right as long as its flow lives: a simple flow covers every packet that agrees with
//! these bytes, whatever other flows there are. Whether all flows of a port are simple decides only
//! whether it pays to look here.
//!
//! # Cost
//!
//! 12 KiB a thread; a comparison of four words a packet.

use super::flows::{BurstFlows, FlowRef, Flows};
use crate::base::{PortNo, mix64};
use crate::flow::layout::{self, Place};
use crate::flow::{BurstKeys, FlowMask, Lane, LaneSet};
use crate::packet::{BURST, Slots};

/// Entries: ports of entry times tags that are busy at one time.
const ENTRIES: usize = 256;

/// Bits of lane 0 that a simple flow may look at.
const COVERED: Lane = covered();
/// Words of lane 0 that have such bits. The sixth, with the packet type, is the same for all packets
/// on their first pass.
const WORDS: [usize; 4] = [0, 2, 3, 4];

const fn covered() -> Lane {
    const PLACES: [Place; 9] = [
        layout::IN_PORT,
        layout::RECIRC_ID,
        layout::ETH_TYPE,
        layout::VLAN_TCI,
        layout::VLAN_TPID,
        layout::VLAN_TCI1,
        layout::VLAN_TPID1,
        layout::NW_FRAG,
        layout::PACKET_TYPE,
    ];
    let mut bytes = [0u8; 64];
    let mut place = 0;
    while place < PLACES.len() {
        let (from, mut at) = (PLACES[place].offset as usize, 0);
        while at < PLACES[place].len as usize {
            bytes[from + at] = 0xff;
            at += 1;
        }
        place += 1;
    }
    let mut lane = Lane::ZERO;
    let mut word = 0;
    while word < 8 {
        let mut part = [0u8; 8];
        let mut at = 0;
        while at < 8 {
            part[at] = bytes[word * 8 + at];
            at += 1;
        }
        lane.0[word] = u64::from_ne_bytes(part);
        word += 1;
    }
    lane
}

/// Whether a mask is that of a simple flow.
#[must_use]
pub fn is_simple(mask: &FlowMask) -> bool {
    let live = mask.live();
    (live == LaneSet::of(0) || live == LaneSet::EMPTY)
        && mask.lane(0).and(&COVERED) == *mask.lane(0)
}

type Words = [u64; 4];

/// The words of a packet that decide.
#[inline(always)]
fn words(lane: &Lane) -> Words {
    [
        lane.0[WORDS[0]] & COVERED.0[WORDS[0]],
        lane.0[WORDS[1]] & COVERED.0[WORDS[1]],
        lane.0[WORDS[2]] & COVERED.0[WORDS[2]],
        lane.0[WORDS[3]] & COVERED.0[WORDS[3]],
    ]
}

/// Whether two packets differ in them. Word by word: comparing arrays may become a call.
#[inline(always)]
fn differ(one: &Words, other: &Words) -> bool {
    let [a, b, c, d] = one;
    let [e, f, g, h] = other;
    (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) != 0
}

#[inline(always)]
fn place(words: &Words) -> usize {
    let mixed = mix64(words[0] ^ words[3], 0x9e37_79b9_7f4a_7c15)
        ^ mix64(words[1] ^ words[2].rotate_left(32), 0xd6e8_feb8_6659_fd93);
    (mixed >> 32) as usize % ENTRIES
}

/// The simple flows that one packet thread has met.
#[derive(Debug)]
pub struct Simple {
    entries: Box<[Entry; ENTRIES]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    words: Words,
    flow: FlowRef,
}

impl Default for Simple {
    fn default() -> Self {
        Self { entries: Box::new([Entry { words: [0; 4], flow: FlowRef::NONE }; ENTRIES]) }
    }
}

impl Simple {
    /// Looks up the packets in `want`, which are on their first pass; returns those whose flow was
    /// found, and alive.
    #[inline(always)]
    #[must_use]
    pub fn lookup<T>(
        &self,
        keys: &BurstKeys,
        want: Slots,
        flows: &Flows<T>,
        found: &mut BurstFlows,
    ) -> Slots {
        let lanes = keys.lane(0);
        let Some(first) = want.lowest() else { return want };
        let mut last = words(&lanes[first & (BURST - 1)]);
        let mut index = self.find(&last, flows);
        let mut hits = want;
        for slot in want.iter() {
            let slot = slot & (BURST - 1);
            let words = words(&lanes[slot]);
            if differ(&words, &last) {
                (last, index) = (words, self.find(&words, flows));
            }
            match index {
                Some(index) => found.0[slot] = index,
                None => hits.remove(slot),
            }
        }
        hits
    }

    /// The flow of plain packets, without tags and fragments, from this port and of this Ethertype.
    #[inline(always)]
    #[must_use]
    pub fn of_plain<T>(&self, port: PortNo, eth_type: u16, flows: &Flows<T>) -> Option<u32> {
        let mut lane = Lane::ZERO;
        let bytes = lane.bytes_mut();
        let (port, eth_type) = (port.0.to_be_bytes(), eth_type.to_be_bytes());
        for (at, byte) in (layout::IN_PORT.offset..).zip(port) {
            bytes[usize::from(at) % 64] = byte;
        }
        for (at, byte) in (layout::ETH_TYPE.offset..).zip(eth_type) {
            bytes[usize::from(at) % 64] = byte;
        }
        self.find(&words(&lane), flows)
    }

    #[inline(always)]
    fn find<T>(&self, words: &Words, flows: &Flows<T>) -> Option<u32> {
        let entry = self.entries.get(place(words))?;
        (!differ(&entry.words, words) && flows.is_live(entry.flow)).then_some(entry.flow.index)
    }

    /// Notes the flow of the packet in `slot`, which must be a simple one.
    pub fn insert(&mut self, keys: &BurstKeys, slot: usize, flow: FlowRef) {
        let words = words(&keys.lane(0)[slot & (BURST - 1)]);
        if let Some(entry) = self.entries.get_mut(place(&words)) {
            *entry = Entry { words, flow };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Simple, is_simple};
    use crate::base::PortNo;
    use crate::flow::{BurstKeys, FieldId as F, FlowKey, FlowMask, Lane, layout};
    use crate::lookup::{BurstFlows, Flows};
    use crate::packet::Slots;

    fn mask(fields: &[F]) -> FlowMask {
        let mut mask = FlowMask::EMPTY;
        for &field in fields {
            mask.unwildcard(field);
        }
        mask
    }

    #[test]
    fn only_masks_of_port_ethertype_tags_and_fragments_are_simple() {
        let mut wide = mask(&[F::RecircId, F::EthType, F::VlanTci, F::IpFrag, F::PacketType]);
        wide.unwildcard_place(layout::IN_PORT);
        wide.unwildcard_place(layout::VLAN_TCI1);
        assert!(is_simple(&wide) && is_simple(&FlowMask::EMPTY));
        for field in [F::EthSrc, F::Ipv4Src, F::NwProto, F::TcpDst, F::CtState, F::TunId, F::DpHash]
        {
            assert!(!is_simple(&mask(&[F::EthType, field])), "{field:?}");
        }
    }

    #[test]
    fn packets_that_agree_in_what_counts_share_a_flow_while_it_lives() {
        let mut flows = Flows::default();
        let flow = flows.insert(Lane::ZERO, (0, 0), 'a').unwrap();
        let (mut simple, mut keys) = (Simple::default(), BurstKeys::default());
        let packet = |port: u128, vid: u128, src: u128| {
            let mut key = FlowKey::EMPTY;
            for (field, value) in [(F::InPort, port), (F::VlanVid, vid), (F::Ipv4Src, src)] {
                key.set(field, value);
            }
            key
        };
        for (slot, key) in
            [packet(1, 5, 1), packet(1, 5, 2), packet(1, 6, 1), packet(2, 5, 1), packet(1, 5, 9)]
                .iter()
                .enumerate()
        {
            keys.set_key(slot, key);
        }
        let all = Slots(0b11111);
        let mut found = BurstFlows::default();
        assert!(simple.lookup(&keys, all, &flows, &mut found).is_empty());
        simple.insert(&keys, 0, flow);
        assert_eq!(simple.lookup(&keys, all, &flows, &mut found), Slots(0b10011));
        assert_eq!(found.0[4], flow.index);
        assert_eq!(simple.of_plain(PortNo(1), 0, &flows), None);
        flows.remove(flow.index);
        assert!(simple.lookup(&keys, all, &flows, &mut found).is_empty());
    }
}
