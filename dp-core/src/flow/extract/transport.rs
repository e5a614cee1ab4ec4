//! TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792), ICMPv6 (RFC 4443) with
//! neighbour discovery (RFC 4861), IGMP's type and code.

use super::malformed::Malformed;
use super::network::Network;
use super::write_place;
use crate::flow::burst_keys::FrameLanes;
use crate::flow::lane::Lane;
use crate::flow::layout::{self, FRAG_LATER};

const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// What follows an IP header.
pub(super) struct Transport {
    /// Whether a transport header that we know is there whole.
    pub(super) known: bool,

    /// What is wrong, if anything is.
    pub(super) malformed: Option<Malformed>,
}

impl Transport {
    const NONE: Self = Self { known: false, malformed: None };

    const fn cut_off() -> Self {
        Self { known: false, malformed: Some(Malformed::L4Header) }
    }

    const fn whole(malformed: Option<Malformed>) -> Self {
        Self { known: true, malformed }
    }
}

/// Which IP version carries the transport header: ICMP belongs to one, ICMPv6 to the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// Parses the transport header of a datagram that is no later fragment.
#[inline(always)]
pub(super) fn transport(
    ip: &Network<'_>,
    version: Version,
    lanes: &mut FrameLanes<'_>,
) -> Transport {
    let lane0 = &mut *lanes.first;
    if ip.frag & FRAG_LATER != 0 {
        return Transport::NONE;
    }
    match (ip.proto, version) {
        (TCP, _) => tcp(ip, lane0),
        (UDP, _) => udp(ip, lane0),
        (SCTP, _) => match ip.payload.first_chunk::<12>() {
            Some(&[a, b, c, d, ..]) => ports(lane0, [a, b, c, d], None),
            None => Transport::cut_off(),
        },
        (ICMP | IGMP, Version::V4) => match ip.payload.first_chunk::<8>() {
            Some(&[kind, code, ..]) => ports(lane0, [0, kind, 0, code], None),
            None => Transport::cut_off(),
        },
        (ICMPV6, Version::V6) => icmpv6(ip, lanes),
        _ => Transport::NONE,
    }
}

#[inline(always)]
fn ports(lane0: &mut Lane, bytes: [u8; 4], malformed: Option<Malformed>) -> Transport {
    write_place(lane0, layout::TP_SRC, &bytes);
    Transport::whole(malformed)
}

#[inline(always)]
fn tcp(ip: &Network<'_>, lane0: &mut Lane) -> Transport {
    let Some(&[a, b, c, d, _, _, _, _, _, _, _, _, offset, flags, ..]) =
        ip.payload.first_chunk::<20>()
    else {
        return Transport::cut_off();
    };
    let len = usize::from(offset >> 4) * 4;
    if len < 20 || len > ip.payload.len() {
        // Also a first fragment must hold the whole header, options and all. The fixed part is
        // there, so its checksum follows the addresses.
        return Transport::whole(Some(Malformed::TcpOffset));
    }
    write_place(lane0, layout::TCP_FLAGS, &[offset & 0x0f, flags]);
    ports(lane0, [a, b, c, d], None)
}

#[inline(always)]
fn udp(ip: &Network<'_>, lane0: &mut Lane) -> Transport {
    let Some(&[a, b, c, d, len_h, len_l, ..]) = ip.payload.first_chunk::<8>() else {
        return Transport::cut_off();
    };
    let len = usize::from(u16::from_be_bytes([len_h, len_l]));
    // 0 is a jumbogram's (RFC 2675); a first fragment is shorter than its datagram.
    let lies = (len < 8 && len != 0) || (len > ip.payload.len() && ip.frag == 0);
    ports(lane0, [a, b, c, d], lies.then_some(Malformed::UdpLength))
}

const NEIGHBOUR_SOLICIT: u8 = 135;
const NEIGHBOUR_ADVERT: u8 = 136;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// Whether the payload is a neighbour solicitation or advertisement: those use lane 2 as well.
#[inline(always)]
pub(super) fn is_neighbour_discovery(ip: &Network<'_>) -> bool {
    ip.proto == ICMPV6
        && ip.frag & FRAG_LATER == 0
        && matches!(ip.payload, &[NEIGHBOUR_SOLICIT | NEIGHBOUR_ADVERT, 0, _, _, _, _, _, _, ..])
}

fn icmpv6(ip: &Network<'_>, lanes: &mut FrameLanes<'_>) -> Transport {
    let Some((&[kind, code, _, _, a, b, c, d], rest)) = ip.payload.split_first_chunk::<8>() else {
        return Transport::cut_off();
    };
    let mut malformed = None;
    if is_neighbour_discovery(ip) {
        match neighbour(rest, lanes.second) {
            Ok(option) => {
                write_place(lanes.third, layout::ND_RESERVED, &[a, b, c, d]);
                write_place(lanes.third, layout::ND_OPTIONS_TYPE, &[option]);
            }
            Err(why) => malformed = Some(why),
        }
    }
    ports(lanes.first, [0, kind, 0, code], malformed)
}

/// Parses what follows the ICMPv6 header of a neighbour solicitation or advertisement. A bad option
/// leaves all its fields zero. Returns the type of the first link-layer option, 0 without one.
fn neighbour(rest: &[u8], lane1: &mut Lane) -> Result<u8, Malformed> {
    let (target, mut options) = rest.split_first_chunk::<16>().ok_or(Malformed::L4Header)?;
    let mut addresses = [[0u8; 6]; 2];
    let mut first = 0;
    while options.len() >= 8 {
        let Some(&[kind, units, mac @ ..]) = options.first_chunk::<8>() else { break };
        let len = usize::from(units) * 8;
        let after = options.get(len..).filter(|_| len != 0).ok_or(Malformed::NdOption)?;
        if matches!(kind, SOURCE_LINK_ADDRESS | TARGET_LINK_ADDRESS) && len == 8 {
            let [source, destination] = &mut addresses;
            let slot = if kind == SOURCE_LINK_ADDRESS { source } else { destination };
            if *slot != [0; 6] {
                return Err(Malformed::NdOption);
            }
            *slot = mac;
            first = if first == 0 { kind } else { first };
        }
        options = after;
    }
    write_place(lane1, layout::ND_TARGET, target);
    let [source, destination] = addresses;
    write_place(lane1, layout::ARP_SHA, &source);
    write_place(lane1, layout::ARP_THA, &destination);
    Ok(first)
}
