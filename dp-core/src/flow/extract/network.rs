//! IPv4 (RFC 791), IPv6 with extension headers (RFC 8200), ARP (RFC 826).

use super::malformed::Malformed;
use super::write_place;
use crate::flow::lane::Lane;
use crate::flow::layout::{self, FRAG_ANY, FRAG_LATER};

/// What a network header says of what follows it.
pub(super) struct Network<'a> {
    /// Transport protocol.
    pub(super) proto: u8,
    /// Where the transport header begins in the frame.
    pub(super) l4: usize,
    /// The datagram's payload from there, without any padding.
    pub(super) payload: &'a [u8],
    /// Fragment bits.
    pub(super) frag: u8,
    /// Something that does not end the parse.
    pub(super) odd: Option<Malformed>,
}

const IPV4_MIN: usize = 20;
const IPV4_MORE_OR_OFFSET: u16 = 0x3fff;
const IPV4_OFFSET: u16 = 0x1fff;

/// Parses an IPv4 header into lane 0.
#[inline(always)]
pub(super) fn ipv4<'a>(
    frame: &'a [u8],
    l3: usize,
    lane: &mut Lane,
) -> Result<Network<'a>, Malformed> {
    let rest = frame.get(l3..).unwrap_or_default();
    let Some(header) = rest.first_chunk::<IPV4_MIN>() else { return Err(Malformed::Ipv4Header) };
    let &[ver_ihl, tos, len_h, len_l, _, _, frag_h, frag_l, ttl, proto, _, _, ..] = header;
    let ihl = usize::from(ver_ihl & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([len_h, len_l]));
    if ihl < IPV4_MIN || ihl > rest.len() || ihl > total {
        return Err(Malformed::Ipv4Header);
    }
    // What stands behind the datagram is padding.
    let payload = rest.get(ihl..total).ok_or(Malformed::Ipv4Length)?;
    let offset = u16::from_be_bytes([frag_h, frag_l]);
    let mut frag = 0;
    if offset & IPV4_MORE_OR_OFFSET != 0 {
        frag = FRAG_ANY | if offset & IPV4_OFFSET != 0 { FRAG_LATER } else { 0 };
    }
    write_place(lane, layout::NW_PROTO, &[proto, tos, ttl, frag]);
    if let Some(addresses) = header.last_chunk::<8>() {
        write_place(lane, layout::IPV4_SRC, addresses);
    }
    let odd = (ver_ihl >> 4 != 4).then_some(Malformed::Ipv4Header);
    Ok(Network { proto, l4: l3 + ihl, payload, frag, odd })
}

const IPV6_LEN: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
/// More than any sane packet has; bounds the walk.
const MAX_EXTENSIONS: usize = 16;

/// Parses an IPv6 header and its extension headers into lanes 0 and 1.
#[inline(always)]
pub(super) fn ipv6<'a>(
    frame: &'a [u8],
    l3: usize,
    lane0: &mut Lane,
    lane1: &mut Lane,
) -> Result<Network<'a>, Malformed> {
    let rest = frame.get(l3..).unwrap_or_default();
    let Some((header, rest)) = rest.split_first_chunk::<IPV6_LEN>() else {
        return Err(Malformed::Ipv6Header);
    };
    let &[b0, b1, b2, b3, len_h, len_l, next, hop_limit, ..] = header;
    let payload_len = usize::from(u16::from_be_bytes([len_h, len_l]));
    let payload = rest.get(..payload_len).ok_or(Malformed::Ipv6Length)?;
    if let Some(addresses) = header.last_chunk::<32>() {
        write_place(lane1, layout::IPV6_SRC, addresses);
    }
    let walk = extensions(payload, next)?;
    write_place(lane1, layout::IPV6_LABEL, &[0, b1 & 0x0f, b2, b3]);
    let tclass = b0 << 4 | b1 >> 4;
    write_place(lane0, layout::NW_PROTO, &[walk.proto, tclass, hop_limit, walk.frag]);
    let odd = (b0 >> 4 != 6).then_some(Malformed::Ipv6Header);
    let l4 = l3 + IPV6_LEN + (payload_len - walk.payload.len());
    Ok(Network { proto: walk.proto, l4, payload: walk.payload, frag: walk.frag, odd })
}

struct Walk<'a> {
    proto: u8,
    frag: u8,
    payload: &'a [u8],
}

/// Walks the extension headers. A later fragment ends the walk with protocol 44, since what
/// follows is not the beginning of anything.
#[inline(always)]
fn extensions(mut payload: &[u8], mut proto: u8) -> Result<Walk<'_>, Malformed> {
    let mut frag = 0;
    for _ in 0..MAX_EXTENSIONS {
        let is_extension =
            matches!(proto, HOP_BY_HOP | ROUTING | DESTINATION | AUTHENTICATION | FRAGMENT);
        if !is_extension {
            return Ok(Walk { proto, frag, payload });
        }
        let Some(&[next, len, off_h, off_l, ..]) = payload.first_chunk::<8>() else {
            return Err(Malformed::Ipv6Extension);
        };
        let skip = match proto {
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            FRAGMENT => 8,
            _ => (usize::from(len) + 1) * 8,
        };
        payload = payload.get(skip..).ok_or(Malformed::Ipv6Extension)?;
        if proto == FRAGMENT {
            let offset = u16::from_be_bytes([off_h, off_l]);
            if offset != 0 {
                frag = FRAG_ANY;
            }
            if offset & 0xfff8 != 0 {
                return Ok(Walk { proto: FRAGMENT, frag: FRAG_ANY | FRAG_LATER, payload });
            }
        }
        proto = next;
    }
    Err(Malformed::Ipv6Extension)
}

const ARP_LEN: usize = 28;
/// Hardware type 1 (Ethernet), protocol type IPv4, address lengths 6 and 4.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

/// Parses an ARP packet over Ethernet and IPv4; others leave the fields zero.
pub(super) fn arp(
    frame: &[u8],
    l3: usize,
    lane0: &mut Lane,
    lane1: &mut Lane,
) -> Option<Malformed> {
    let Some(packet) = frame.get(l3..).and_then(<[u8]>::first_chunk::<ARP_LEN>) else {
        return Some(Malformed::Arp);
    };
    if !packet.starts_with(&ARP_ETHERNET_IPV4) {
        return None;
    }
    let copy = |at: usize, lane: &mut Lane, place: layout::Place| {
        let bytes = packet.get(at..).unwrap_or_default();
        match (place.len, bytes.first_chunk::<4>(), bytes.first_chunk::<6>()) {
            (4, Some(bytes), _) => write_place(lane, place, bytes),
            (_, _, Some(bytes)) => write_place(lane, place, bytes),
            _ => {}
        }
    };
    if let &[_, _, _, _, _, _, 0, operation, ..] = packet {
        write_place(lane0, layout::NW_PROTO, &[operation]);
    }
    copy(8, lane1, layout::ARP_SHA);
    copy(14, lane0, layout::IPV4_SRC);
    copy(18, lane1, layout::ARP_THA);
    copy(24, lane0, layout::IPV4_DST);
    None
}
