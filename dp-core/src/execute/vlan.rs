//! VLAN tags: push, pop, masked set of the outer one (IEEE 802.1Q section 9).

use super::bytes::{read, splice, write};
use crate::action::Masked;
use crate::flow::layout::VLAN_PRESENT;
use crate::packet::Packet;

const TAG: usize = 4;
/// Where the outermost Ethertype stands, hence the outer tag.
const OUTER: usize = 12;
const TPID_VLAN: u16 = 0x8100;
const TPID_QINQ: u16 = 0x88a8;

/// Puts a tag in front of what there is. `None`: no Ethernet header, or no headroom.
pub(super) fn push(packet: &mut Packet, tpid: u16, tci: u16) -> Option<()> {
    let addresses: [u8; OUTER] = read(packet.data(), 0)?;
    packet.push_front(TAG)?;
    let frame = packet.data_mut();
    write(frame, 0, addresses)?;
    write(frame, OUTER, tpid.to_be_bytes())?;
    // The bit that says "present" in keys is the drop-eligible bit on the wire.
    write(frame, OUTER + 2, (tci & !VLAN_PRESENT).to_be_bytes())?;
    let meta = packet.meta_mut();
    meta.l3 += 4;
    if meta.l4 != 0 {
        meta.l4 += 4;
    }
    Some(())
}

/// Takes the outer tag away; a frame without one stays as it is.
pub(super) fn pop(packet: &mut Packet) -> Option<()> {
    if !is_tagged(packet) {
        return Some(());
    }
    let addresses: [u8; OUTER] = read(packet.data(), 0)?;
    if !packet.pull_front(TAG) {
        return None;
    }
    write(packet.data_mut(), 0, addresses)?;
    let meta = packet.meta_mut();
    meta.l3 = meta.l3.saturating_sub(4);
    meta.l4 = meta.l4.saturating_sub(4);
    Some(())
}

/// Writes priority and VID of the outer tag. `None`: there is none.
pub(super) fn set(packet: &mut Packet, set: Masked<u16>) -> Option<()> {
    if !is_tagged(packet) {
        return None;
    }
    let mask = set.mask & !VLAN_PRESENT;
    splice(packet.data_mut(), OUTER + 2, set.value.to_be_bytes(), mask.to_be_bytes())?;
    Some(())
}

/// Whether a whole tag stands behind the addresses, and an Ethertype behind it.
fn is_tagged(packet: &Packet) -> bool {
    read::<6>(packet.data(), OUTER).is_some_and(|[high, low, ..]| {
        matches!(u16::from_be_bytes([high, low]), TPID_VLAN | TPID_QINQ)
    })
}
