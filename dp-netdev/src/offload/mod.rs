//! What a sender left to be done: checksums to complete, frames to cut into segments.
//!
//! A kernel that hands us packets of its own TCP has often computed no checksum and cut no
//! segments: it expects the next device to do that. Such packets travel through the switch as they
//! are ([`Offloads`]) and are finished by whoever sends them: by the kernel again, which is told in
//! a virtio-net header ([`vnet`]), or here in software where the other side is a file or a device
//! that cannot.
//!
//! | room | what |
//! |---|---|
//! | [`Layout`] | where the transport header of a frame is |
//! | [`complete_checksum`] | completes a partial checksum |
//! | [`prepare_segmentation`] | makes a large frame one that a device of libdpdk can cut |
//! | [`segments`] | cuts a frame |
//! | [`vnet`] | the virtio-net header, to and from packet metadata |

mod checksum;
mod layout;
mod segment;
#[cfg(test)]
mod tests;
pub mod vnet;

pub use checksum::{complete_checksum, prepare_segmentation};
pub use layout::Layout;
pub use segment::{Unfinished, segments};

use dp_core::packet::{Offloads, Packet};

/// What is left to be done for a packet before it may leave on a wire.
pub const PENDING: Offloads = Offloads::L4_CSUM_PARTIAL.union(Offloads::TSO);

/// Whether a packet may leave as it is.
#[inline]
#[must_use]
pub fn is_finished(packet: &Packet) -> bool {
    !packet.meta().offloads.intersects(PENDING)
}

/// Finishes a packet in software and passes on what comes of it: the packet itself, or its
/// segments.
///
/// # Errors
///
/// [`Unfinished`] when no buffer could be had or the frame is not what its metadata says. Segments
/// that were passed on before stay so.
pub fn finish(mut packet: Packet, each: &mut dyn FnMut(Packet)) -> Result<(), Unfinished> {
    let offloads = packet.meta().offloads;
    if offloads.contains(Offloads::TSO) {
        return segments(&packet, each);
    }
    if offloads.contains(Offloads::L4_CSUM_PARTIAL) {
        complete_checksum(&mut packet);
    }
    each(packet);
    Ok(())
}
