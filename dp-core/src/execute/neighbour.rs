//! Masked set of ARP (RFC 826) and of neighbour discovery (RFC 4861).

use super::bytes::{read, splice};
use super::transport::{ETH_TYPE_ARP, ETH_TYPE_RARP, ICMPV6, Transport, network, transport};
use crate::action::set::{Arp, Masked, Nd, NdExt};
use crate::packet::Packet;

const ARP_LEN: usize = 28;
const NEIGHBOUR_SOLICIT: u8 = 135;
const NEIGHBOUR_ADVERT: u8 = 136;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// Writes ARP fields. `None`: no ARP packet over Ethernet and IPv4.
pub(super) fn set_arp(packet: &mut Packet, set: &Masked<Arp>) -> Option<()> {
    let (eth_type, at) = network(packet)?;
    let header = packet.data().get(at..at + ARP_LEN)?;
    if !matches!(eth_type, ETH_TYPE_ARP | ETH_TYPE_RARP) || header.get(4..6)? != [6, 4] {
        return None;
    }
    let (value, mask) = (&set.value, &set.mask);
    let frame = packet.data_mut();
    splice(frame, at + 6, value.op.to_be_bytes(), mask.op.to_be_bytes())?;
    splice(frame, at + 8, value.sha.0, mask.sha.0)?;
    splice(frame, at + 14, value.spa.octets(), mask.spa.octets())?;
    splice(frame, at + 18, value.tha.0, mask.tha.0)?;
    splice(frame, at + 24, value.tpa.octets(), mask.tpa.octets())?;
    Some(())
}

/// Writes the target and, where there are such options, the link-layer addresses. `None`: no
/// neighbour solicitation or advertisement.
pub(super) fn set_nd(packet: &mut Packet, set: &Masked<Nd>) -> Option<()> {
    let header = discovery(packet)?;
    let checksum_at = header.l4 + 2;
    let (value, mask) = (&set.value, &set.mask);
    let target = header.l4 + 8;
    let change = splice(packet.data_mut(), target, value.target.octets(), mask.target.octets())?;
    header.changed(packet, checksum_at, &change)?;
    let mut at = target + 16;
    while let Some([kind, units]) = read(packet.data(), at) {
        let (address, bits) = match kind {
            SOURCE_LINK_ADDRESS => (value.sll.0, mask.sll.0),
            TARGET_LINK_ADDRESS => (value.tll.0, mask.tll.0),
            _ => ([0; 6], [0; 6]),
        };
        if units == 1 && bits != [0; 6] {
            let change = splice(packet.data_mut(), at + 2, address, bits)?;
            header.changed(packet, checksum_at, &change)?;
        }
        if units == 0 {
            // Extraction has called the packet malformed; here it only must not loop.
            break;
        }
        at += usize::from(units) * 8;
    }
    Some(())
}

/// Writes the reserved word and, where an option follows, the type of the first. `None`: no
/// neighbour solicitation or advertisement.
pub(super) fn set_nd_ext(packet: &mut Packet, set: &Masked<NdExt>) -> Option<()> {
    let header = discovery(packet)?;
    let (value, mask) = (&set.value, &set.mask);
    let (checksum_at, reserved, option) = (header.l4 + 2, header.l4 + 4, header.l4 + 24);
    let (word, bits) = (value.reserved.to_be_bytes(), mask.reserved.to_be_bytes());
    let change = splice(packet.data_mut(), reserved, word, bits)?;
    header.changed(packet, checksum_at, &change)?;
    let whole = read::<8>(packet.data(), option).is_some();
    if whole && option < header.ip_end(packet.data())? {
        let (kind, bits) = ([value.options_type, 0], [mask.options_type, 0]);
        let change = splice(packet.data_mut(), option, kind, bits)?;
        header.changed(packet, checksum_at, &change)?;
    }
    Some(())
}

/// The transport header of a neighbour solicitation or advertisement.
fn discovery(packet: &Packet) -> Option<Transport> {
    let header = transport(packet).filter(|header| header.proto == ICMPV6)?;
    let [kind, code] = read(packet.data(), header.l4)?;
    (matches!(kind, NEIGHBOUR_SOLICIT | NEIGHBOUR_ADVERT) && code == 0).then_some(header)
}
