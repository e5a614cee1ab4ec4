//! Extraction: frames in, flow keys out. Each frame is parsed once.
//!
//! ```text
//!   frame ─► Ethernet, tags ─► IPv4 │ IPv6 + extension headers │ ARP ─► TCP UDP SCTP ICMP ICMPv6/ND
//!                │                         │                                 │
//!             lane 0                  lanes 0, 1                          lanes 0, 1
//! ```
//!
//! What the frame's own length fields claim is believed only as far as the frame reaches. Padding
//! behind the IP datagram is never read as part of it. A header that contradicts the frame ends
//! the parse: the key holds what stood before it and zeros behind, and the packet is reported as
//! [`Malformed`]; whether such packets are forwarded or dropped is the pipeline's to say.
//!
//! The portable parser ([`parse()`]) is the judge. Where the processor can, plain IPv4 and IPv6
//! packets take a vector kernel that gives the same key with one load, one permute and one store;
//! whatever it does not recognise at once it leaves to the portable parser.
//!
//! # Cost
//!
//! One pass over the first 54 to 100 bytes of a frame; no allocation, nothing cleared but the lanes
//! that the packet uses.

mod l4;
mod malformed;
mod network;
mod parse;
mod tags;
#[cfg(target_arch = "x86_64")]
mod vector_unsafe;

pub use malformed::Malformed;
pub use parse::{Parsed, parse};

use super::burst_keys::BurstKeys;
use super::key::FlowKey;
use super::lane::{Lane, LaneSet};
use super::layout;
use crate::base::PortNo;
use crate::packet::{BURST, Burst, Metadata, Packet, Slots};

/// Where a packet's metadata comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It has just entered by this port: nothing else is known of it.
    First(PortNo),
    /// It carries its metadata ([`Packet::meta`]) from an earlier pass.
    Again,
}

/// What extraction made of a burst.
#[derive(Clone, Copy, Debug)]
pub struct Extracted {
    /// Slots that have a key now.
    pub parsed: Slots,
    /// Slots whose packet contradicts itself; all but those that are
    /// [`Malformed::TooShort`] have a key nevertheless.
    pub malformed: Slots,
    /// Why, by slot; meaningful where `malformed` has the slot.
    pub why: [Malformed; BURST],
}

/// How deep VLAN tags are looked at: the reference's `vlan-limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanLimit {
    /// The outer tag alone: an inner tag's Ethertype is the packet's Ethertype.
    One,
    /// Two tags.
    Two,
}

/// Turns frames into keys.
#[derive(Clone, Debug)]
pub struct Extractor {
    vlan_limit: VlanLimit,
    vector: bool,
}

impl Default for Extractor {
    fn default() -> Self {
        Self::new(VlanLimit::One)
    }
}

impl Extractor {
    /// An extractor with the fastest kernel that this processor has.
    #[must_use]
    pub fn new(vlan_limit: VlanLimit) -> Self {
        #[cfg(target_arch = "x86_64")]
        let vector = vector_unsafe::available();
        #[cfg(not(target_arch = "x86_64"))]
        let vector = false;
        Self { vlan_limit, vector }
    }

    /// An extractor that uses the portable parser alone.
    #[must_use]
    pub const fn portable(vlan_limit: VlanLimit) -> Self {
        Self { vlan_limit, vector: false }
    }

    /// Whether a vector kernel is used.
    #[must_use]
    pub const fn is_vector(&self) -> bool {
        self.vector
    }

    /// Extracts the keys of the packets in `which`, and notes the header offsets in their metadata.
    pub fn burst(
        &self,
        burst: &mut Burst,
        which: Slots,
        pass: Pass,
        keys: &mut BurstKeys,
    ) -> Extracted {
        let mut out =
            Extracted { parsed: which, malformed: Slots::NONE, why: [Malformed::TooShort; BURST] };
        let left = match pass {
            #[cfg(target_arch = "x86_64")]
            Pass::First(port) if self.vector => {
                vector_unsafe::burst(burst, which, &port_lane(port), keys)
            }
            _ => which,
        };
        for slot in left.iter() {
            let Some(packet) = burst.get_mut(slot) else {
                out.parsed.remove(slot);
                continue;
            };
            self.one(packet, slot, pass, keys, &mut out);
        }
        out
    }

    fn one(
        &self,
        packet: &mut Packet,
        slot: usize,
        pass: Pass,
        keys: &mut BurstKeys,
        out: &mut Extracted,
    ) {
        let (first, second) = keys.first_two_mut(slot);
        *first = match pass {
            Pass::First(port) => port_lane(port),
            Pass::Again => metadata_lane(packet.meta()),
        };
        let parsed = parse(packet.data(), self.vlan_limit, first, second);
        let meta = packet.meta_mut();
        (meta.l3, meta.l4) = (parsed.l3, parsed.l4);
        let mut used = parsed.used;
        if pass == Pass::Again && (meta.pkt_mark != 0 || meta.skb_priority != 0) {
            let lane = &mut keys.lane_mut(layout::PKT_MARK.lane())[slot % BURST];
            *lane = Lane::ZERO;
            write_place(lane, layout::PKT_MARK, &meta.pkt_mark.to_be_bytes());
            write_place(lane, layout::SKB_PRIORITY, &meta.skb_priority.to_be_bytes());
            used = used.with(LaneSet::of(layout::PKT_MARK.lane()));
        }
        keys.set_used(slot, used);
        if let Some(why) = parsed.malformed {
            out.malformed.insert(slot);
            out.why[slot % BURST] = why;
            if why == Malformed::TooShort {
                out.parsed.remove(slot);
            }
        }
    }

    /// The key of one frame that came in with this metadata: for the slow path and for tools.
    #[must_use]
    pub fn frame(&self, frame: &[u8], meta: &Metadata) -> (FlowKey, Option<Malformed>) {
        let mut key = FlowKey::EMPTY;
        let mut first = metadata_lane(meta);
        let mut second = Lane::ZERO;
        let parsed = parse(frame, self.vlan_limit, &mut first, &mut second);
        *key.lane_mut(0) = first;
        if parsed.used.has(1) {
            *key.lane_mut(1) = second;
        }
        if meta.pkt_mark != 0 || meta.skb_priority != 0 {
            key.store(layout::PKT_MARK, u128::from(meta.pkt_mark));
            key.store(layout::SKB_PRIORITY, u128::from(meta.skb_priority));
        }
        (key, parsed.malformed)
    }
}

/// Writes bytes at a place of their own lane.
#[inline(always)]
fn write_place<const N: usize>(lane: &mut Lane, place: layout::Place, bytes: &[u8; N]) {
    let from = usize::from(place.offset) % 64;
    if let Some(to) = lane.bytes_mut().get_mut(from..).and_then(<[u8]>::first_chunk_mut::<N>) {
        *to = *bytes;
    }
}

/// Lane 0 of a packet of which only the port of entry is known.
fn port_lane(port: PortNo) -> Lane {
    let mut lane = Lane::ZERO;
    write_place(&mut lane, layout::IN_PORT, &port.0.to_be_bytes());
    lane
}

/// Lane 0 with the metadata of an earlier pass.
fn metadata_lane(meta: &Metadata) -> Lane {
    let mut lane = port_lane(meta.in_port);
    write_place(&mut lane, layout::RECIRC_ID, &meta.recirc_id.0.to_be_bytes());
    write_place(&mut lane, layout::DP_HASH, &meta.dp_hash.to_be_bytes());
    lane
}

#[cfg(test)]
mod tests;
