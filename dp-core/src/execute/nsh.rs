//! Network service headers (RFC 8300): push, pop, masked set.
//!
//! The header goes in front of the whole packet, whatever that begins with, and is what the packet
//! begins with from then on; a transport Ethernet header is an action of its own.

use super::bytes::{read, splice, write};
use super::mpls::packet_type;
use super::transport::{ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_MPLS, ETH_TYPE_NSH, network_of};
use crate::action::Masked;
use crate::action::nsh::{Header, Key};
use crate::offload;
use crate::packet::Packet;

const BASE: usize = 8;
const CONTEXT: usize = 16;
const MD1: u8 = 1;
/// The length field counts words in six bits.
const MAX: usize = 63 * 4;

const NEXT_IPV4: u8 = 1;
const NEXT_IPV6: u8 = 2;
const NEXT_ETHERNET: u8 = 3;
const NEXT_NSH: u8 = 4;
const NEXT_MPLS: u8 = 5;

/// Puts a header in front of the packet. `None`: it is too long, or there is no headroom.
pub(super) fn push(packet: &mut Packet, header: &Header) -> Option<()> {
    let key = &header.key;
    let more = if key.mdtype == MD1 { CONTEXT } else { header.metadata2.len() };
    let len = BASE + more;
    if len > MAX || !len.is_multiple_of(4) {
        return None;
    }
    offload::complete_if_partial(packet);
    packet.push_front(len)?;
    let frame = packet.data_mut();
    let words = u16::try_from(len / 4).ok()?;
    let first = u16::from(key.flags & 0x03) << 12 | u16::from(key.ttl & 0x3f) << 6 | words;
    write(frame, 0, first.to_be_bytes())?;
    write(frame, 2, [key.mdtype & 0x0f, key.np])?;
    write(frame, 4, (key.spi << 8 | u32::from(key.si)).to_be_bytes())?;
    if key.mdtype == MD1 {
        for (number, word) in key.context.iter().enumerate() {
            write(frame, BASE + 4 * number, word.to_be_bytes())?;
        }
    } else {
        frame.get_mut(BASE..len)?.copy_from_slice(&header.metadata2);
    }
    let meta = packet.meta_mut();
    (meta.l3, meta.l4) = (0, 0);
    meta.set_outermost(packet_type(ETH_TYPE_NSH));
    Some(())
}

/// Takes the header away that the packet begins with. `None`: it begins with another, or what is
/// behind it cannot be told. The packet's headers are to be found anew afterwards.
pub(super) fn pop(packet: &mut Packet) -> Option<()> {
    network_of(packet, ETH_TYPE_NSH).filter(|&l3| l3 == 0)?;
    let [_, low, _, next]: [u8; 4] = read(packet.data(), 0)?;
    let len = usize::from(low & 0x3f) * 4;
    let behind = match next {
        NEXT_ETHERNET => 0,
        NEXT_IPV4 => packet_type(ETH_TYPE_IPV4),
        NEXT_IPV6 => packet_type(ETH_TYPE_IPV6),
        NEXT_NSH => packet_type(ETH_TYPE_NSH),
        NEXT_MPLS => packet_type(ETH_TYPE_MPLS),
        _ => return None,
    };
    if len < BASE || !packet.pull_front(len) {
        return None;
    }
    packet.meta_mut().set_outermost(behind);
    Some(())
}

/// Writes fields. `None`: no such header.
pub(super) fn set(packet: &mut Packet, set: &Masked<Key>) -> Option<()> {
    let l3 = network_of(packet, ETH_TYPE_NSH)?;
    let frame = packet.data_mut();
    let [_, _, mdtype, _]: [u8; 4] = read(frame, l3)?;
    let (value, mask) = (&set.value, &set.mask);
    let first = |key: &Key| u16::from(key.flags & 0x03) << 12 | u16::from(key.ttl & 0x3f) << 6;
    splice(frame, l3, first(value).to_be_bytes(), first(mask).to_be_bytes())?;
    let path = |key: &Key| (key.spi << 8 | u32::from(key.si)).to_be_bytes();
    splice(frame, l3 + 4, path(value), path(mask))?;
    if mdtype & 0x0f == MD1 {
        let words = value.context.iter().zip(&mask.context).enumerate();
        for (number, (value, mask)) in words.filter(|(_, (_, mask))| **mask != 0) {
            splice(frame, l3 + BASE + 4 * number, value.to_be_bytes(), mask.to_be_bytes())?;
        }
    }
    Some(())
}
