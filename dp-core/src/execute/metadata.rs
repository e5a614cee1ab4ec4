//! Masked set of what travels beside the frame.

use crate::action::Masked;
use crate::packet::Packet;

/// Writes the packet mark.
pub(super) fn set_mark(packet: &mut Packet, set: Masked<u32>) -> Option<()> {
    let mark = &mut packet.meta_mut().pkt_mark;
    *mark = *mark & !set.mask | set.value & set.mask;
    Some(())
}

/// Writes the queueing priority.
pub(super) fn set_priority(packet: &mut Packet, set: Masked<u32>) -> Option<()> {
    let priority = &mut packet.meta_mut().skb_priority;
    *priority = *priority & !set.mask | set.value & set.mask;
    Some(())
}
