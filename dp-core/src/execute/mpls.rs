//! MPLS label stacks (RFC 3032): push, pop, masked set of the outermost entry.
//!
//! An entry goes where the network header begins, behind Ethernet header and tags, and the Ethertype
//! in front of it says so from then on. A packet without an Ethernet header has its Ethertype in the
//! packet type.

use super::bytes::{splice, write};
use super::transport::{ETH_TYPE_MPLS, ETH_TYPE_MPLS_MULTICAST, network};
use crate::action::Masked;
use crate::offload;
use crate::packet::Packet;

const ENTRY: usize = 4;

/// Puts an entry in front of the payload. `None`: no network header, or no headroom.
pub(super) fn push(packet: &mut Packet, lse: u32, eth_type: u16) -> Option<()> {
    let (_, l3) = network(packet)?;
    offload::complete_if_partial(packet);
    packet.push_front(ENTRY)?;
    let frame = packet.data_mut();
    frame.get(..l3 + ENTRY)?;
    frame.copy_within(ENTRY..ENTRY + l3, 0);
    write(frame, l3, lse.to_be_bytes())?;
    packet.meta_mut().l4 = 0;
    set_eth_type(packet, l3, eth_type)
}

/// Puts an entry in front of the whole frame, which has no Ethernet header from then on. `None`: no
/// headroom.
pub(super) fn encapsulate(packet: &mut Packet, lse: u32, eth_type: u16) -> Option<()> {
    offload::complete_if_partial(packet);
    packet.push_front(ENTRY)?;
    write(packet.data_mut(), 0, lse.to_be_bytes())?;
    let meta = packet.meta_mut();
    (meta.l3, meta.l4) = (0, 0);
    meta.set_outermost(packet_type(eth_type));
    Some(())
}

/// Takes the outermost entry away; a packet without one stays as it is.
pub(super) fn pop(packet: &mut Packet, eth_type: u16) -> Option<()> {
    let Some(l3) = stack(packet) else { return Some(()) };
    let frame = packet.data_mut();
    frame.get(..l3 + ENTRY)?;
    frame.copy_within(..l3, ENTRY);
    if !packet.pull_front(ENTRY) {
        return None;
    }
    set_eth_type(packet, l3, eth_type)
}

/// Writes parts of the outermost entry. `None`: there is none.
pub(super) fn set(packet: &mut Packet, set: Masked<u32>) -> Option<()> {
    let l3 = stack(packet)?;
    splice(packet.data_mut(), l3, set.value.to_be_bytes(), set.mask.to_be_bytes())?;
    Some(())
}

/// Where the label stack is, if a whole entry is there.
fn stack(packet: &Packet) -> Option<usize> {
    let (eth_type, l3) = network(packet)?;
    let has_entry = packet.data().len() >= l3 + ENTRY;
    (matches!(eth_type, ETH_TYPE_MPLS | ETH_TYPE_MPLS_MULTICAST) && has_entry).then_some(l3)
}

fn set_eth_type(packet: &mut Packet, l3: usize, eth_type: u16) -> Option<()> {
    match l3.checked_sub(2) {
        Some(at) => write(packet.data_mut(), at, eth_type.to_be_bytes()),
        None => {
            // What was behind the label may be a whole Ethernet frame.
            let inner = if eth_type == ETH_TYPE_TEB { 0 } else { packet_type(eth_type) };
            packet.meta_mut().set_outermost(inner);
            Some(())
        }
    }
}

/// "Transparent Ethernet bridging": an Ethernet frame.
const ETH_TYPE_TEB: u16 = 0x6558;

/// The packet type of a packet that begins with what this Ethertype names.
pub(super) const fn packet_type(eth_type: u16) -> u32 {
    1 << 16 | eth_type as u32
}
