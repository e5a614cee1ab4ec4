//! Masked set of the IPv6 header (RFC 8200), with the checksum of the transport header.

use super::bytes::splice;
use super::transport::{ETH_TYPE_IPV6, network_of, transport};
use crate::action::set::{Ipv6, Masked};
use crate::packet::Packet;

const HOP_LIMIT: usize = 7;
const SRC: usize = 8;
const DST: usize = 24;
const LEN: usize = 40;
const LABEL: u32 = 0x000f_ffff;

/// Writes header fields. `None`: no IPv6 header.
pub(super) fn set(packet: &mut Packet, set: &Masked<Ipv6>) -> Option<()> {
    let l3 = network_of(packet, ETH_TYPE_IPV6)?;
    packet.data().get(l3..l3 + LEN)?;
    let covered = transport(packet);
    if !set.mask.src.is_unspecified() {
        let (value, mask) = (set.value.src.octets(), set.mask.src.octets());
        let change = splice(packet.data_mut(), l3 + SRC, value, mask)?;
        if let Some(transport) = covered.filter(|_| change.is_change()) {
            transport.pseudo_changed(packet, &change)?;
        }
    }
    if !set.mask.dst.is_unspecified() {
        let (value, mask) = (set.value.dst.octets(), set.mask.dst.octets());
        let change = splice(packet.data_mut(), l3 + DST, value, mask)?;
        // Behind a routing header the checksum covers the last destination, not this one.
        if let Some(transport) = covered.filter(|it| change.is_change() && !it.routed) {
            transport.pseudo_changed(packet, &change)?;
        }
    }
    let frame = packet.data_mut();
    let word = |tclass: u8, label: u32| (u32::from(tclass) << 20 | label & LABEL).to_be_bytes();
    let value = word(set.value.tclass, set.value.label);
    splice(frame, l3, value, word(set.mask.tclass, set.mask.label))?;
    splice(frame, l3 + HOP_LIMIT, [set.value.hlimit], [set.mask.hlimit])?;
    Some(())
}
