//! Masked set of the IPv4 header (RFC 791), with its checksum and that of the transport header.

use super::bytes::{splice, update_at};
use super::transport::{ETH_TYPE_IPV4, network_of, transport};
use crate::action::set::{Ipv4, Masked};
use crate::packet::Packet;

const TOS: usize = 1;
const TTL: usize = 8;
const CHECKSUM: usize = 10;
const SRC: usize = 12;
const DST: usize = 16;
const LEN: usize = 20;

/// Writes header fields. `None`: no IPv4 header.
pub(super) fn set(packet: &mut Packet, set: &Masked<Ipv4>) -> Option<()> {
    let l3 = network_of(packet, ETH_TYPE_IPV4)?;
    packet.data().get(l3..l3 + LEN)?;
    if !set.mask.src.is_unspecified() {
        address(packet, l3, l3 + SRC, set.value.src.octets(), set.mask.src.octets())?;
    }
    if !set.mask.dst.is_unspecified() {
        address(packet, l3, l3 + DST, set.value.dst.octets(), set.mask.dst.octets())?;
    }
    let frame = packet.data_mut();
    if set.mask.tos != 0 {
        // The byte before it belongs to the same word of the checksum.
        let (value, mask) = ([0, set.value.tos], [0, set.mask.tos]);
        let change = splice(frame, l3 + TOS - 1, value, mask)?;
        update_at(frame, l3 + CHECKSUM, &change)?;
    }
    if set.mask.ttl != 0 {
        let change = splice(frame, l3 + TTL, [set.value.ttl, 0], [set.mask.ttl, 0])?;
        update_at(frame, l3 + CHECKSUM, &change)?;
    }
    Some(())
}

fn address(packet: &mut Packet, l3: usize, at: usize, value: [u8; 4], mask: [u8; 4]) -> Option<()> {
    let change = splice(packet.data_mut(), at, value, mask)?;
    if !change.is_change() {
        return Some(());
    }
    update_at(packet.data_mut(), l3 + CHECKSUM, &change)?;
    match transport(packet) {
        Some(transport) => transport.pseudo_changed(packet, &change),
        None => Some(()),
    }
}
