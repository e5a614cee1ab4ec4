//! Packets to measure with: 64-byte frames (60 without the checksum that hardware adds), UDP.

use dp_core::packet::{Burst, Packet, Pool};

/// What a frame looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4, UDP.
    Ipv4,
    /// The same with a VLAN tag.
    Vlan,
    /// IPv6, UDP: 64 bytes with 2 of payload.
    Ipv6,
}

/// The frame of flow number `flow`: flows differ in address and port.
#[must_use]
pub fn frame(kind: Kind, flow: u32) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if kind == Kind::Vlan {
        out.extend([0x81, 0x00, 0x00, 0x64]);
    }
    let [a, b, c, d] = flow.to_be_bytes();
    let port = [0x40 | c & 0x3f, d];
    if kind == Kind::Ipv6 {
        out.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 10, 17, 64]);
        out.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]);
        out.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        out.extend([port[0], port[1], 0, 53, 0, 10, 0, 0, 0, 0]);
        return out;
    }
    let ip_len: u8 = if kind == Kind::Vlan { 42 } else { 46 };
    out.extend([0x08, 0x00, 0x45, 0, 0, ip_len, 0, 0, 0, 0, 64, 17, 0, 0]);
    out.extend([10, b, c, d, 10, 255, 0, 1]);
    out.extend([port[0], port[1], 0, 53, 0, ip_len - 20, 0, 0]);
    out.resize(60, 0);
    out
}

/// A packet with this frame. `None` without buffers.
#[must_use]
pub fn packet(frame: &[u8]) -> Option<Packet> {
    let mut packet = Pool::standard().alloc()?;
    packet.append(frame.len())?.copy_from_slice(frame);
    Some(packet)
}

/// A burst with one packet for each of these flows, at most 32.
#[must_use]
pub fn burst(kind: Kind, flows: impl Iterator<Item = u32>) -> Burst {
    let mut burst = Burst::default();
    for packet in flows.filter_map(|flow| packet(&frame(kind, flow))) {
        if burst.push(packet).is_err() {
            break;
        }
    }
    burst
}
