//! Extraction: frames in, flow keys out. Each frame is parsed once.
//!
//! ```text
//!   frame ─► Ethernet, tags ─► IPv4 │ IPv6 + extension headers │ ARP ─► TCP UDP SCTP ICMP ICMPv6/ND
//!                │         │               │                                 │
//!             lane 0       │          lanes 0, 1                        lanes 0, 1, 2
//!                          └─► MPLS │ NSH, lanes 2, 3
//!   metadata of an earlier pass ─► lane 0 │ marks, connection tracking: 2, 3 │ tunnel: 3, 4 to 8
//! ```
//!
//! What the frame's own length fields claim is believed only as far as the frame reaches. Padding
//! behind the IP datagram is never read as part of it. A header that contradicts the frame ends
//! the parse: the key holds what stood before it and zeros behind, and the packet is reported as
//! [`Malformed`]; whether such packets are forwarded or dropped is the pipeline's to say.
//!
//! The portable parser ([`parse()`]) is the judge. Where the processor can, plain IPv4 and IPv6
//! packets take a vector kernel (AVX2 or AVX-512) that gives the same key with a few loads, byte
//! permutes and stores; whatever it does not recognise at once it leaves to the portable parser.
//!
//! # Cost
//!
//! One pass over the first 54 to 100 bytes of a frame; no allocation, nothing cleared but the lanes
//! that the packet uses.

#[cfg(target_arch = "x86_64")]
mod avx2_unsafe;
#[cfg(target_arch = "x86_64")]
mod avx512_unsafe;
mod glance;
mod malformed;
mod network;
mod parse;
mod parser;
#[cfg(target_arch = "x86_64")]
mod plain;
mod shim;
mod tags;
mod transport;

pub use glance::{Glance, glance};
pub use malformed::Malformed;
pub use parse::{Parsed, parse};
pub use parser::Parser;

use super::beside;
use super::burst_keys::{BurstKeys, FrameLanes};
use super::key::FlowKey;
use super::lane::Lane;
use super::layout;
use crate::base::{PortNo, Vectors};
use crate::packet::{BURST, Burst, Known, Metadata, Packet, Slots};

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
    /// Slots that a vector kernel has parsed.
    pub by_vector: Slots,
}

impl Extracted {
    const fn of(which: Slots) -> Self {
        Self {
            parsed: which,
            malformed: Slots::NONE,
            why: [Malformed::TooShort; BURST],
            by_vector: Slots::NONE,
        }
    }
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
    parser: Parser,
}

impl Default for Extractor {
    fn default() -> Self {
        Self::new(VlanLimit::One)
    }
}

impl Extractor {
    /// An extractor with the fastest parser that this processor has.
    #[must_use]
    pub fn new(vlan_limit: VlanLimit) -> Self {
        Self::with(vlan_limit, Parser::best())
    }

    /// An extractor with the portable parser alone.
    #[must_use]
    pub const fn portable(vlan_limit: VlanLimit) -> Self {
        Self::with(vlan_limit, Parser::Scalar)
    }

    /// An extractor with this parser.
    #[must_use]
    pub const fn with(vlan_limit: VlanLimit, parser: Parser) -> Self {
        Self { vlan_limit, parser }
    }

    /// Extracts the keys of the packets in `which`, and notes the header offsets in their metadata.
    /// On the first pass what the metadata says besides is forgotten.
    pub fn burst(
        &self,
        burst: &mut Burst,
        which: Slots,
        pass: Pass,
        keys: &mut BurstKeys,
    ) -> Extracted {
        let mut out = Extracted::of(which);
        let left = match self.parser {
            Parser::Autovalidate(vectors) => self.validate(vectors, burst, which, pass, keys),
            parser => by_vector(parser, burst, which, pass, keys),
        };
        out.by_vector = which.without(left);
        for slot in left.iter() {
            let Some(packet) = burst.get_mut(slot) else {
                out.parsed.remove(slot);
                continue;
            };
            self.one(packet, slot, pass, keys, &mut out);
        }
        out
    }

    /// Runs every vector kernel, each judged by the portable parser, whose keys stay.
    #[cold]
    fn validate(
        &self,
        vectors: Vectors,
        burst: &mut Burst,
        which: Slots,
        pass: Pass,
        keys: &mut BurstKeys,
    ) -> Slots {
        let mut left = which;
        for parser in [vectors.avx2.map(Parser::Avx2), vectors.avx512.map(Parser::Avx512)] {
            let Some(parser) = parser else { continue };
            let undone = by_vector(parser, burst, which, pass, keys);
            self.judge(burst, which.without(undone), pass, keys);
            left = left.without(which.without(undone));
        }
        left
    }

    /// Parses what a vector kernel has parsed once more, and compares.
    fn judge(&self, burst: &mut Burst, done: Slots, pass: Pass, keys: &mut BurstKeys) {
        for slot in done.iter() {
            let Some(packet) = burst.get_mut(slot) else { continue };
            let (theirs, meta) = (keys.key(slot), *packet.meta());
            let mut out = Extracted::of(done);
            self.one(packet, slot, pass, keys, &mut out);
            if keys.key(slot) != theirs || *packet.meta() != meta || !out.malformed.is_empty() {
                crate::sync::disagree("extraction");
            }
        }
    }

    // Once a packet: by itself it would be called, for it is named twice.
    #[inline(always)]
    fn one(
        &self,
        packet: &mut Packet,
        slot: usize,
        pass: Pass,
        keys: &mut BurstKeys,
        out: &mut Extracted,
    ) {
        let mut lanes = keys.frame_lanes_mut(slot);
        *lanes.first = match pass {
            Pass::First(port) => {
                packet.meta_mut().known = Known::empty();
                port_lane(port)
            }
            Pass::Again => metadata_lane(packet.meta()),
        };
        let outermost = packet.meta().outermost();
        let parsed = parse(packet.data(), outermost, self.vlan_limit, &mut lanes);
        let meta = packet.meta_mut();
        (meta.l3, meta.l4) = (parsed.l3, parsed.l4);
        keys.set_used(slot, parsed.used);
        beside::into_slot(packet, keys, slot);
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
        let mut lanes = [metadata_lane(meta), Lane::ZERO, Lane::ZERO, Lane::ZERO];
        let [first, second, third, fourth] = &mut lanes;
        let mut four = FrameLanes { first, second, third, fourth };
        let parsed = parse(frame, meta.outermost(), self.vlan_limit, &mut four);
        for (number, lane) in lanes.iter().enumerate().filter(|&(at, _)| parsed.used.has(at)) {
            *key.lane_mut(number) = *lane;
        }
        beside::marks_into_key(meta, &mut key);
        (key, parsed.malformed)
    }

    /// Finds a packet's headers anew, after something in front of them has come or gone.
    pub fn locate(&self, packet: &mut Packet) {
        let mut lanes = [Lane::ZERO; 4];
        let [first, second, third, fourth] = &mut lanes;
        let mut four = FrameLanes { first, second, third, fourth };
        let outermost = packet.meta().outermost();
        let parsed = parse(packet.data(), outermost, self.vlan_limit, &mut four);
        let meta = packet.meta_mut();
        (meta.l3, meta.l4) = (parsed.l3, parsed.l4);
    }

    /// The key of one packet with all that it carries.
    #[must_use]
    pub fn packet(&self, packet: &Packet) -> (FlowKey, Option<Malformed>) {
        let (mut key, why) = self.frame(packet.data(), packet.meta());
        beside::into_key(packet, &mut key);
        (key, why)
    }
}

/// Extracts what a vector kernel takes; returns the slots that it left alone.
#[inline(always)]
fn by_vector(
    parser: Parser,
    burst: &mut Burst,
    which: Slots,
    pass: Pass,
    keys: &mut BurstKeys,
) -> Slots {
    match (parser, pass) {
        (Parser::Scalar | Parser::Autovalidate(_), _) => which,
        (_, Pass::First(port)) => vector(parser, burst, which, &port_lane(port), keys),
        (_, Pass::Again) => again(parser, burst, which, keys),
    }
}

#[inline(always)]
fn vector(
    parser: Parser,
    burst: &mut Burst,
    which: Slots,
    template: &Lane,
    keys: &mut BurstKeys,
) -> Slots {
    match parser {
        #[cfg(target_arch = "x86_64")]
        Parser::Avx2(proof) => avx2_unsafe::burst(proof, burst, which, template, keys),
        #[cfg(target_arch = "x86_64")]
        Parser::Avx512(proof) => avx512_unsafe::burst(proof, burst, which, template, keys),
        _ => which,
    }
}

/// Further passes by a vector kernel: frames first, then what the packets carry besides.
fn again(parser: Parser, burst: &mut Burst, which: Slots, keys: &mut BurstKeys) -> Slots {
    let mut ethernet = Slots::NONE;
    let mut known = [Known::empty(); BURST];
    for slot in which.iter() {
        // The kernel takes every packet for one on its first pass and forgets what is known.
        let Some(meta) = burst.get(slot).map(Packet::meta) else { continue };
        known[slot % BURST] = meta.known;
        if meta.outermost() == 0 {
            ethernet.insert(slot);
        }
    }
    let left = vector(parser, burst, ethernet, &Lane::ZERO, keys);
    for slot in ethernet.without(left).iter() {
        let Some(packet) = burst.get_mut(slot) else { continue };
        packet.meta_mut().known = known[slot % BURST];
        beside::first_lane(packet.meta(), &mut keys.lane_mut(0)[slot % BURST]);
        beside::into_slot(packet, keys, slot);
    }
    which.without(ethernet).or(left)
}

/// Writes bytes at a place of their own lane.
#[inline(always)]
pub(super) fn write_place<const N: usize>(lane: &mut Lane, place: layout::Place, bytes: &[u8; N]) {
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
    let mut lane = Lane::ZERO;
    beside::first_lane(meta, &mut lane);
    lane
}

#[cfg(test)]
mod tests;
