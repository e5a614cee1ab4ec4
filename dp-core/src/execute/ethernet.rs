//! The Ethernet header: masked set of its addresses, push and pop.

use super::bytes::{splice, write};
use super::mpls::packet_type;
use super::transport::network;
use crate::action::set::{Ethernet, Masked};
use crate::packet::Packet;

const HEADER: usize = 14;

/// Writes addresses. `None`: the frame has no Ethernet header.
pub(super) fn set(packet: &mut Packet, set: &Masked<Ethernet>) -> Option<()> {
    if packet.meta().outermost() != 0 {
        return None;
    }
    let frame = packet.data_mut();
    splice(frame, 0, set.value.dst.0, set.mask.dst.0)?;
    splice(frame, 6, set.value.src.0, set.mask.src.0)?;
    Some(())
}

/// Puts a header in front of a packet that has none; its Ethertype is what the packet begins with.
/// `None`: it has one, or there is no headroom.
pub(super) fn push(packet: &mut Packet, header: &Ethernet) -> Option<()> {
    let [_, space, high, low] = packet.meta().outermost().to_be_bytes();
    if space != 1 {
        return None;
    }
    packet.push_front(HEADER)?;
    let frame = packet.data_mut();
    write(frame, 0, header.dst.0)?;
    write(frame, 6, header.src.0)?;
    write(frame, 12, [high, low])?;
    let meta = packet.meta_mut();
    meta.set_outermost(0);
    meta.l3 += 14;
    if meta.l4 != 0 {
        meta.l4 += 14;
    }
    Some(())
}

/// Takes the header away, and tags with it. `None`: there is none.
pub(super) fn pop(packet: &mut Packet) -> Option<()> {
    let (eth_type, l3) = network(packet).filter(|&(_, l3)| l3 >= HEADER)?;
    if !packet.pull_front(l3) {
        return None;
    }
    let meta = packet.meta_mut();
    meta.l4 = meta.l4.saturating_sub(meta.l3);
    meta.l3 = 0;
    meta.set_outermost(packet_type(eth_type));
    Some(())
}
