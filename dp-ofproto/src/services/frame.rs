//! Payloads of frames: just enough to hand a protocol its message.

use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::base::MacAddr;
use dp_core::wire::ipv4;

use crate::protocols::bfd;

/// What follows the Ethertype, behind VLAN tags.
pub(super) fn ether_payload(frame: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    while matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
        at += 4;
    }
    frame.get(at + 2..)
}

/// An IPv4 packet: source, destination, TTL, payload.
pub(super) fn ipv4(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, u8, &[u8])> {
    let bytes = ether_payload(frame)?;
    let packet = ipv4::Packet::new_checked(bytes).ok()?;
    let header = packet.header_len();
    let total = usize::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?));
    let src = Ipv4Addr::from(*bytes.get(12..16)?.first_chunk::<4>()?);
    let dst = Ipv4Addr::from(*bytes.get(16..20)?.first_chunk::<4>()?);
    let ttl = *bytes.get(8)?;
    Some((src, dst, ttl, bytes.get(header..total.min(bytes.len()))?))
}

/// What matters to a BFD session of a frame that may hold a control packet; `None` if it is no UDP over
/// IPv4. For whoever runs sessions of his own.
#[must_use]
pub fn control_packet(frame: &[u8], tunnel_key: u64) -> Option<bfd::Received<'_>> {
    let eth_dst = MacAddr(*frame.first_chunk()?);
    let (_, ip_dst, ttl, datagram) = ipv4(frame)?;
    let (udp_dst, payload) = udp(datagram)?;
    Some(bfd::Received { eth_dst, ip_dst, ttl, udp_dst, tunnel_key, payload })
}

/// The UDP payload of an IPv4 packet.
fn udp(payload: &[u8]) -> Option<(u16, &[u8])> {
    let port = u16::from_be_bytes(*payload.get(2..4)?.first_chunk()?);
    let len = usize::from(u16::from_be_bytes(*payload.get(4..6)?.first_chunk()?));
    Some((port, payload.get(8..len.min(payload.len()))?))
}

/// An ICMPv6 message, behind hop-by-hop options if there are any: source and message.
pub(super) fn icmpv6(frame: &[u8]) -> Option<(Ipv6Addr, &[u8])> {
    let bytes = ether_payload(frame)?;
    let src = Ipv6Addr::from(*bytes.get(8..24)?.first_chunk::<16>()?);
    let mut next = *bytes.get(6)?;
    let mut rest = bytes.get(40..)?;
    if next == 0 {
        let &[after, words, ..] = rest.first_chunk::<8>()?;
        next = after;
        rest = rest.get(8 + usize::from(words) * 8..)?;
    }
    (next == 58).then_some((src, rest))
}

#[cfg(test)]
mod tests {
    use super::{control_packet, ipv4};
    use crate::protocols::mcast::{Message, parse_igmp};

    #[test]
    fn a_report_with_the_router_alert_option_is_read() {
        let hex = "01005e0101015054000000010800460000200001000001022ad40a000001ef010101940400001614f9e8ef010101";
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let frame: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let (src, _, ttl, payload) = ipv4(&frame).unwrap();
        assert_eq!(ttl, 1);
        assert!(matches!(parse_igmp(src, payload), Some(Message::Reports(_))));
        assert!(control_packet(&frame, 0).is_none_or(|it| it.udp_dst != 3784));
    }
}
