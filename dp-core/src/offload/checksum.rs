//! Checksums in software.

use crate::packet::{Offloads, Packet};
use crate::wire::checksum::{Sum, crc32c, never_zero};

use super::layout::{Layout, SCTP, UDP, put16};

/// Completes a checksum that covers the pseudo header only, and clears the mark. A frame that turns
/// out not to have such a checksum keeps its bytes.
pub fn complete_checksum(packet: &mut Packet) {
    packet.meta_mut().offloads.remove(Offloads::L4_CSUM_PARTIAL);
    let Some(layout) = Layout::of_packet(packet) else { return };
    let Some(offset) = layout.checksum_offset() else { return };
    let frame = packet.data_mut();
    complete_at(frame, layout.l4, layout.l4 + offset, layout.end, layout.protocol == UDP);
}

/// Completes the checksum of a packet that says it is partial.
#[inline]
pub fn complete_if_partial(packet: &mut Packet) {
    if packet.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL) {
        complete_checksum(packet);
    }
}

/// Completes the checksum at `field` over `start..end`, whatever protocol that is.
pub fn complete_at(frame: &mut [u8], start: usize, field: usize, end: usize, udp: bool) {
    if field + 2 > end {
        return;
    }
    let Some(covered) = frame.get(start..end) else { return };
    let sum = Sum::new().with(covered).finish();
    put16(frame, field, if udp { never_zero(sum) } else { sum });
}

/// Completes the CRC of an SCTP packet; `false` if the frame is none.
pub fn complete_sctp(frame: &mut [u8]) -> bool {
    let Some(layout) = Layout::of(frame).filter(|layout| layout.protocol == SCTP) else {
        return false;
    };
    let Some(packet) = frame.get_mut(layout.l4..layout.end) else { return false };
    let Some(field) = packet.get_mut(8..12) else { return false };
    field.fill(0);
    let crc = crc32c(packet).to_le_bytes();
    if let Some(field) = packet.get_mut(8..12) {
        field.copy_from_slice(&crc);
    }
    true
}

/// The sum of the pseudo header, for `len` bytes of transport header and payload: what a partial
/// checksum holds.
pub fn pseudo_sum(frame: &[u8], layout: &Layout, len: usize) -> Sum {
    let (from, bytes) = if layout.v6 { (8, 32) } else { (12, 8) };
    let addresses = layout.l3 + from;
    let addresses = frame.get(addresses..addresses + bytes).unwrap_or(&[]);
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    Sum::new().with(addresses).with_u32(len).with_u32(u32::from(layout.protocol))
}

/// Makes a large frame one that a device can cut: the transport checksum holds the sum of a pseudo
/// header without length, and that of an IPv4 header is zero, since lengths differ by segment.
pub fn prepare_segmentation(packet: &mut Packet, layout: &Layout) {
    let frame = packet.data_mut();
    let Some(offset) = layout.checksum_offset() else { return };
    let pseudo = !pseudo_sum(frame, layout, 0).finish();
    put16(frame, layout.l4 + offset, pseudo);
    if !layout.v6 {
        put16(frame, layout.l3 + 10, 0);
    }
}

/// Computes the transport checksum of a frame anew.
pub(super) fn fill(frame: &mut [u8], layout: &Layout) {
    let Some(offset) = layout.checksum_offset() else { return };
    let len = layout.end.saturating_sub(layout.l4);
    let pseudo = !pseudo_sum(frame, layout, len).finish();
    put16(frame, layout.l4 + offset, pseudo);
    complete_at(frame, layout.l4, layout.l4 + offset, layout.end, layout.protocol == UDP);
}

/// Computes the header checksum of an IPv4 packet anew.
pub fn fill_ipv4_header(frame: &mut [u8], l3: usize, l4: usize) {
    put16(frame, l3 + 10, 0);
    let sum = Sum::new().with(frame.get(l3..l4).unwrap_or(&[])).finish();
    put16(frame, l3 + 10, sum);
}
