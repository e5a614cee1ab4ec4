//! Masked set of what travels beside the frame.

use crate::action::Masked;
use crate::packet::Packet;

/// Writes the packet mark.
pub(super) fn set_mark(packet: &mut Packet, set: Masked<u32>) -> Option<()> {
    let (mark, priority) = packet.meta().marks();
    packet.meta_mut().set_marks(mark & !set.mask | set.value & set.mask, priority);
    Some(())
}

/// Writes the queueing priority.
pub(super) fn set_priority(packet: &mut Packet, set: Masked<u32>) -> Option<()> {
    let (mark, priority) = packet.meta().marks();
    packet.meta_mut().set_marks(mark, priority & !set.mask | set.value & set.mask);
    Some(())
}
