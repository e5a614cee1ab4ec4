//! The virtio-net header: how the Linux kernel and we tell each other what is left to be done for a
//! packet (`struct virtio_net_hdr`, virtio 1.2 section 5.1.6; native byte order).

use dp_core::packet::{Offloads, Packet};

use dp_core::offload::{Layout, UDP, complete_at, complete_sctp, pseudo_sum, put16};

/// Bytes of the header.
pub const LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

const TCP_CWR: u8 = 0x80;

/// Takes over what a header says about the frame of `packet`. `shift` is how many bytes were
/// inserted in front of the network header since the kernel wrote it (a VLAN tag).
///
/// A checksum that only this header could locate is completed at once, so that nobody behind has
/// to know of it. `false` if the frame must be dropped: it is a kind of large frame that nobody
/// here can cut.
#[must_use]
pub fn receive(header: &[u8; LEN], shift: usize, packet: &mut Packet) -> bool {
    let [flags, gso, _, _, s0, s1, c0, c1, o0, o1] = *header;
    if flags & DATA_VALID != 0 {
        packet.meta_mut().offloads |= Offloads::RX_L4_CSUM_GOOD;
    }
    if flags & NEEDS_CSUM != 0 {
        let start = usize::from(u16::from_ne_bytes([c0, c1])) + shift;
        let offset = usize::from(u16::from_ne_bytes([o0, o1]));
        let found = Layout::of(packet.data());
        if found.is_some_and(|l| l.l4 == start && l.checksum_offset() == Some(offset)) {
            packet.meta_mut().offloads |= Offloads::L4_CSUM_PARTIAL;
        } else {
            let frame = packet.data_mut();
            if !(offset == 8 && complete_sctp(frame)) {
                let end = found.map_or(frame.len(), |layout| layout.end);
                complete_at(frame, start, start + offset, end, offset == 6);
            }
        }
    }
    match gso & !GSO_ECN {
        GSO_NONE => true,
        GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4 => {
            let segment = u16::from_ne_bytes([s0, s1]);
            let meta = packet.meta_mut();
            meta.offloads |= Offloads::TSO;
            meta.segment = segment;
            segment != 0
        }
        _ => false,
    }
}

/// The header to send in front of a packet. Where a large frame has a whole checksum, it is made a
/// partial one, for segments need one each.
#[must_use]
pub fn transmit(packet: &mut Packet) -> [u8; LEN] {
    let mut header = [0; LEN];
    let meta = *packet.meta();
    let pending = meta.offloads.intersection(super::PENDING);
    if pending.is_empty() {
        return header;
    }
    let Some(layout) = Layout::of_packet(packet) else { return header };
    let frame = packet.data_mut();
    let Some(offset) = layout.checksum_offset() else { return header };
    if pending.contains(Offloads::TSO) {
        let Some(payload) = layout.payload(frame) else { return header };
        if !pending.contains(Offloads::L4_CSUM_PARTIAL) {
            let pseudo = !pseudo_sum(frame, &layout, layout.end - layout.l4).finish();
            put16(frame, layout.l4 + offset, pseudo);
        }
        let cwr = frame.get(layout.l4 + 13).is_some_and(|flags| flags & TCP_CWR != 0);
        header[1] = match layout.protocol {
            UDP => GSO_UDP_L4,
            _ => (if layout.v6 { GSO_TCPV6 } else { GSO_TCPV4 }) | (if cwr { GSO_ECN } else { 0 }),
        };
        put(&mut header, 2, payload);
        put(&mut header, 4, usize::from(meta.segment));
    }
    header[0] = NEEDS_CSUM;
    put(&mut header, 6, layout.l4);
    put(&mut header, 8, offset);
    header
}

/// Writes a 16-bit number in native byte order.
fn put(header: &mut [u8; LEN], at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX).to_ne_bytes();
    if let Some(place) = header.get_mut(at..at + 2) {
        place.copy_from_slice(&value);
    }
}
