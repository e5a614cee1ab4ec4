//! The portable parser: the whole of extraction for one frame, and the judge of the vector kernel.

use super::malformed::Malformed;
use super::network::{self, Network};
use super::shim;
use super::transport::{self, Version};
use super::{VlanLimit, tags, write_place};
use crate::flow::burst_keys::FrameLanes;
use crate::flow::lane::{Lane, LaneSet};
use crate::flow::layout;

/// What the parser found beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Lanes that were written.
    pub used: LaneSet,
    /// Offset of the network header, or of what stands in its place: a label stack, an NSH.
    pub l3: u16,
    /// Offset of the transport header; 0 if there is none, or none that we know.
    pub l4: u16,
    /// The first thing that is wrong with the frame.
    pub malformed: Option<Malformed>,
}

const FIRST: LaneSet = LaneSet::of(0);

/// Parses a frame into the lanes of its key. Lane 0 comes with the metadata in place and zeros
/// elsewhere; the other lanes may hold anything and are cleared if they are used. `outermost` is
/// the packet type: 0 is Ethernet, others begin with what their Ethertype (the lower half) says.
#[inline]
pub fn parse(frame: &[u8], outermost: u32, limit: VlanLimit, lanes: &mut FrameLanes<'_>) -> Parsed {
    let mut out = Parsed { used: FIRST, l3: 0, l4: 0, malformed: None };
    let (eth_type, l3) = if outermost == 0 {
        let Some(link) = tags::link(frame, limit, lanes.first) else {
            out.malformed = Some(Malformed::TooShort);
            return out;
        };
        out.malformed = link.malformed;
        (link.eth_type, link.l3)
    } else {
        let [_, _, high, low] = outermost.to_be_bytes();
        write_place(lanes.first, layout::PACKET_TYPE, &outermost.to_be_bytes());
        write_place(lanes.first, layout::ETH_TYPE, &[high, low]);
        (u16::from_be_bytes([high, low]), 0)
    };
    out.l3 = offset(l3);
    match eth_type {
        0x0800 => {
            let ip = network::ipv4(frame, l3, lanes.first);
            datagram(ip, Version::V4, lanes, &mut out);
        }
        0x86dd => {
            clear(lanes.second, 1, &mut out);
            let ip = network::ipv6(frame, l3, lanes.first, lanes.second);
            datagram(ip, Version::V6, lanes, &mut out);
        }
        0x0806 | 0x8035 => {
            clear(lanes.second, 1, &mut out);
            let odd = network::arp(frame, l3, lanes.first, lanes.second);
            out.malformed = out.malformed.or(odd);
        }
        0x8847 | 0x8848 => {
            clear(lanes.third, 2, &mut out);
            out.malformed = out.malformed.or(shim::mpls(frame, l3, lanes.third));
        }
        0x894f => {
            clear(lanes.fourth, 3, &mut out);
            out.malformed = out.malformed.or(shim::nsh(frame, l3, lanes.fourth));
        }
        _ => {}
    }
    out
}

/// Lane number `number` is used from now on, and holds nothing yet.
#[inline(always)]
fn clear(lane: &mut Lane, number: usize, out: &mut Parsed) {
    *lane = Lane::ZERO;
    out.used = out.used.with(LaneSet::of(number));
}

#[inline(always)]
fn datagram(
    ip: Result<Network<'_>, Malformed>,
    version: Version,
    lanes: &mut FrameLanes<'_>,
    out: &mut Parsed,
) {
    let ip = match ip {
        Ok(ip) => ip,
        Err(why) => {
            out.malformed = out.malformed.or(Some(why));
            return;
        }
    };
    if version == Version::V6 && transport::is_neighbour_discovery(&ip) {
        clear(lanes.third, 2, out);
    }
    let l4 = transport::transport(&ip, version, lanes);
    if l4.known {
        out.l4 = offset(ip.l4);
    }
    out.malformed = out.malformed.or(ip.odd).or(l4.malformed);
}

/// Offsets of frames beyond 64 KiB do not occur; they would read as "none".
#[inline(always)]
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(0)
}
