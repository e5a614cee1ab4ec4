//! Segmentation in software: one large frame becomes several that fit a wire.

use crate::packet::{Offloads, Packet, Pool};

use super::checksum::{fill, fill_ipv4_header};
use super::layout::{Layout, TCP, be16, put16};

const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Why a packet could not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// No buffer could be had.
    NoBuffer,
    /// The frame is no TCP or UDP packet, or contradicts itself.
    NotSegmentable,
}

/// Cuts a frame into segments of at most `meta.segment` bytes of payload and passes them on in
/// order. Each is a whole packet: lengths, IPv4 identification, TCP sequence number and flags
/// (RFC 9293; CWR on the first, FIN and PSH on the last alone), all checksums.
///
/// # Errors
///
/// [`Unfinished`]; segments passed on before stay so.
pub fn segments(packet: &Packet, each: &mut dyn FnMut(Packet)) -> Result<(), Unfinished> {
    let frame = packet.data();
    let layout = Layout::of_packet(packet).ok_or(Unfinished::NotSegmentable)?;
    let payload = layout.payload(frame).ok_or(Unfinished::NotSegmentable)?;
    let (head, body) = frame
        .get(..layout.end)
        .and_then(|frame| frame.split_at_checked(payload))
        .ok_or(Unfinished::NotSegmentable)?;
    let size = usize::from(packet.meta().segment).max(1);
    let count = body.len().div_ceil(size).max(1);
    for index in 0..count {
        let part = body.get(index * size..).unwrap_or(&[]);
        let part = part.get(..size).unwrap_or(part);
        let len = head.len() + part.len();
        let mut segment = Pool::for_len(len).and_then(Pool::alloc).ok_or(Unfinished::NoBuffer)?;
        copy_metadata(packet, &mut segment);
        segment.meta_mut().offloads.remove(super::PENDING | Offloads::RX_L4_CSUM_GOOD);
        segment.meta_mut().segment = 0;
        let room = segment.append(len).ok_or(Unfinished::NoBuffer)?;
        let (to_head, to_body) = room.split_at_mut(head.len());
        to_head.copy_from_slice(head);
        to_body.copy_from_slice(part);
        let layout = Layout { end: len, ..layout };
        headers(room, &layout, index, index * size, index + 1 == count);
        each(segment);
    }
    Ok(())
}

/// Gives a segment what is known of its packet.
fn copy_metadata(packet: &Packet, segment: &mut Packet) {
    *segment.meta_mut() = *packet.meta();
    // What lies beside the metadata is not copied with them.
    if let Some(ct) = packet.ct() {
        segment.set_ct(*ct);
    }
    if let Some(tunnel) = packet.tunnel() {
        segment.set_tunnel(tunnel);
    }
}

/// Adapts the copied headers of one segment.
fn headers(frame: &mut [u8], layout: &Layout, index: usize, offset: usize, last: bool) {
    // A segment is no longer than its frame was, whose lengths were 16-bit numbers.
    let low16 = |value: usize| u16::try_from(value & 0xffff).unwrap_or(0);
    if layout.v6 {
        put16(frame, layout.l3 + 4, low16(layout.end - layout.l3 - 40));
    } else {
        put16(frame, layout.l3 + 2, low16(layout.end - layout.l3));
        let id = be16(frame, layout.l3 + 4).unwrap_or(0).wrapping_add(low16(index));
        put16(frame, layout.l3 + 4, id);
        fill_ipv4_header(frame, layout.l3, layout.l4);
    }
    if layout.protocol == TCP {
        let at = layout.l4 + 4;
        if let Some(place) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            let offset = u32::try_from(offset).unwrap_or(0);
            *place = u32::from_be_bytes(*place).wrapping_add(offset).to_be_bytes();
        }
        if let Some(flags) = frame.get_mut(layout.l4 + 13) {
            *flags &= if last { 0xff } else { !FIN_PSH };
            *flags &= if index == 0 { 0xff } else { !CWR };
        }
    } else {
        put16(frame, layout.l4 + 4, low16(layout.end - layout.l4));
    }
    fill(frame, layout);
}
