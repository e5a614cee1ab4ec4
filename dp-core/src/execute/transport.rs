//! Where a packet's network and transport headers are, and the checksum that covers addresses.

use super::bytes::{Change, read, write};
use crate::packet::{Offloads, Packet};
use crate::wire::checksum::never_zero;

pub(super) const ETH_TYPE_IPV4: u16 = 0x0800;
pub(super) const ETH_TYPE_ARP: u16 = 0x0806;
pub(super) const ETH_TYPE_RARP: u16 = 0x8035;
pub(super) const ETH_TYPE_IPV6: u16 = 0x86dd;
pub(super) const ETH_TYPE_MPLS: u16 = 0x8847;
pub(super) const ETH_TYPE_MPLS_MULTICAST: u16 = 0x8848;
pub(super) const ETH_TYPE_NSH: u16 = 0x894f;
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

const IPV6_LEN: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// The Ethertype that stands in front of the network header, and where that header is.
pub(super) fn network(packet: &Packet) -> Option<(u16, usize)> {
    let l3 = usize::from(packet.meta().l3);
    if l3 == 0 {
        let [_, _, high, low] = packet.meta().outermost().to_be_bytes();
        return Some((u16::from_be_bytes([high, low]), 0)).filter(|&(eth_type, _)| eth_type != 0);
    }
    let eth_type = u16::from_be_bytes(read(packet.data(), l3.checked_sub(2)?)?);
    Some((eth_type, l3))
}

/// Where the network header of this kind is. `None` if the packet has none.
pub(super) fn network_of(packet: &Packet, eth_type: u16) -> Option<usize> {
    network(packet).filter(|&(found, _)| found == eth_type).map(|(_, l3)| l3)
}

/// A transport header that extraction has found whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transport {
    pub(super) proto: u8,
    pub(super) l4: usize,
    pub(super) l3: usize,
    /// An IPv6 routing header with segments left stands in between: the destination in the IPv6
    /// header is not the one that the checksum covers.
    pub(super) routed: bool,
}

/// The transport header of a packet; `None` if it has none that we know, or is a later fragment.
pub(super) fn transport(packet: &Packet) -> Option<Transport> {
    let (eth_type, l3) = network(packet)?;
    let l4 = usize::from(packet.meta().l4);
    if l4 <= l3 {
        return None;
    }
    let frame = packet.data();
    match eth_type {
        ETH_TYPE_IPV4 => Some(Transport { proto: *frame.get(l3 + 9)?, l4, l3, routed: false }),
        ETH_TYPE_IPV6 => {
            let (proto, routed) = walk(frame, l3, l4)?;
            Some(Transport { proto, l4, l3, routed })
        }
        _ => None,
    }
}

/// Walks the extension headers between the IPv6 header and the transport header.
fn walk(frame: &[u8], l3: usize, l4: usize) -> Option<(u8, bool)> {
    let mut proto = *frame.get(l3 + 6)?;
    let mut at = l3 + IPV6_LEN;
    let mut routed = false;
    while at < l4 {
        let [next, len, _, left] = read(frame, at)?;
        at += match proto {
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            FRAGMENT => 8,
            HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(len) + 1) * 8,
            _ => return None,
        };
        routed |= proto == ROUTING && left != 0;
        proto = next;
    }
    (at == l4).then_some((proto, routed))
}

impl Transport {
    /// Where an IPv6 packet ends by what its header says.
    pub(super) fn ip_end(self, frame: &[u8]) -> Option<usize> {
        let len = u16::from_be_bytes(read(frame, self.l3 + 4)?);
        Some(self.l3 + IPV6_LEN + usize::from(len))
    }

    /// Where the checksum of this protocol is, if it is an Internet checksum over the pseudo
    /// header.
    fn pseudo_checksum(self) -> Option<usize> {
        match self.proto {
            TCP => Some(self.l4 + 16),
            UDP => Some(self.l4 + 6),
            ICMPV6 => Some(self.l4 + 2),
            _ => None,
        }
    }

    /// Accounts for a change of the pseudo header: addresses.
    pub(super) fn pseudo_changed<const N: usize>(
        self,
        packet: &mut Packet,
        change: &Change<N>,
    ) -> Option<()> {
        let Some(at) = self.pseudo_checksum() else { return Some(()) };
        let partial = packet.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL);
        let frame = packet.data_mut();
        let stored = u16::from_be_bytes(read(frame, at)?);
        if partial {
            // What is stored is the sum of the pseudo header and not its complement.
            return write(frame, at, (!change.update(!stored)).to_be_bytes());
        }
        self.store(frame, at, stored, change)
    }

    /// Accounts for a change inside the transport header or its payload.
    pub(super) fn changed<const N: usize>(
        self,
        packet: &mut Packet,
        checksum_at: usize,
        change: &Change<N>,
    ) -> Option<()> {
        if packet.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL) {
            // The device sums up the segment when it leaves.
            return Some(());
        }
        let frame = packet.data_mut();
        let stored = u16::from_be_bytes(read(frame, checksum_at)?);
        self.store(frame, checksum_at, stored, change)
    }

    fn store<const N: usize>(
        self,
        frame: &mut [u8],
        at: usize,
        stored: u16,
        change: &Change<N>,
    ) -> Option<()> {
        if self.proto == UDP && stored == 0 {
            // No checksum was taken, and none is needed (RFC 768).
            return Some(());
        }
        let sum = change.update(stored);
        let sum = if self.proto == UDP { never_zero(sum) } else { sum };
        write(frame, at, sum.to_be_bytes())
    }
}
