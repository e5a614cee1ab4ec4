//! What a sender left to be done: checksums to complete, frames to cut into segments.
//!
//! A kernel that hands us packets of its own TCP has often computed no checksum and cut no
//! segments: it expects the next device to do that. Such packets travel through the switch as they
//! are ([`Offloads`]) and are finished by whoever needs them whole: the port that sends them, where
//! the other side cannot; a tunnel, a label or a service header pushed in front, since no device looks
//! behind one; the slow path.
//!
//! | room | what |
//! |---|---|
//! | [`Layout`] | where the transport header of a frame is |
//! | [`complete_checksum`] | completes a partial checksum |
//! | [`prepare_segmentation`] | makes a large frame one that a device of libdpdk can cut |
//! | [`segments`] | cuts a frame |

mod checksum;
mod layout;
mod segment;

pub use checksum::{
    complete_at, complete_checksum, complete_if_partial, complete_sctp, fill_ipv4_header,
    prepare_segmentation, pseudo_sum,
};
pub use layout::{Layout, SCTP, TCP, UDP, put16};
pub use segment::{Unfinished, segments};

use crate::packet::{Offloads, Packet};

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
    complete_if_partial(&mut packet);
    each(packet);
    Ok(())
}
