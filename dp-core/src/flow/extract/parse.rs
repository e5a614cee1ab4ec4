//! The portable parser: the whole of extraction for one frame, and the judge of the vector kernel.

use super::l4::{self, Version};
use super::malformed::Malformed;
use super::network::{self, Network};
use super::{VlanLimit, tags};
use crate::flow::lane::{Lane, LaneSet};

/// What the parser found beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Lanes that were written.
    pub used: LaneSet,
    /// Offset of the network header.
    pub l3: u16,
    /// Offset of the transport header; 0 if there is none, or none that we know.
    pub l4: u16,
    /// The first thing that is wrong with the frame.
    pub malformed: Option<Malformed>,
}

const FIRST: LaneSet = LaneSet::of(0);
const BOTH: LaneSet = LaneSet(0b11);

/// Parses a frame into the first two lanes. `lane0` comes with the metadata in place and zeros
/// elsewhere; `lane1` may hold anything and is cleared if it is used.
#[inline]
pub fn parse(frame: &[u8], limit: VlanLimit, lane0: &mut Lane, lane1: &mut Lane) -> Parsed {
    let mut out = Parsed { used: FIRST, l3: 0, l4: 0, malformed: None };
    let Some(link) = tags::link(frame, limit, lane0) else {
        out.malformed = Some(Malformed::TooShort);
        return out;
    };
    out.malformed = link.malformed;
    out.l3 = offset(link.l3);
    let (ip, version) = match link.eth_type {
        0x0800 => (network::ipv4(frame, link.l3, lane0), Version::V4),
        0x86dd => {
            *lane1 = Lane::ZERO;
            out.used = BOTH;
            (network::ipv6(frame, link.l3, lane0, lane1), Version::V6)
        }
        0x0806 | 0x8035 => {
            *lane1 = Lane::ZERO;
            out.used = BOTH;
            out.malformed = out.malformed.or(network::arp(frame, link.l3, lane0, lane1));
            return out;
        }
        _ => return out,
    };
    match ip {
        Ok(ip) => transport(&ip, version, lane0, lane1, &mut out),
        Err(why) => out.malformed = out.malformed.or(Some(why)),
    }
    out
}

#[inline(always)]
fn transport(
    ip: &Network<'_>,
    version: Version,
    lane0: &mut Lane,
    lane1: &mut Lane,
    out: &mut Parsed,
) {
    let l4 = l4::transport(ip, version, lane0, lane1);
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
