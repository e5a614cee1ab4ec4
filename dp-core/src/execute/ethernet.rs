//! Masked set of the Ethernet addresses.

use super::bytes::splice;
use crate::action::set::{Ethernet, Masked};
use crate::packet::Packet;

/// Writes addresses. `None`: the frame has no Ethernet header.
pub(super) fn set(packet: &mut Packet, set: &Masked<Ethernet>) -> Option<()> {
    let frame = packet.data_mut();
    splice(frame, 0, set.value.dst.0, set.mask.dst.0)?;
    splice(frame, 6, set.value.src.0, set.mask.src.0)?;
    Some(())
}
