//! Frames with right checksums, made byte by byte.

use core::net::IpAddr;

use crate::wire::Protocol;
use crate::wire::checksum::{Pseudo, Sum, checksum, crc32c};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A datagram in an Ethernet frame; the transport checksum is filled in where the protocol has one.
pub(super) fn datagram(src: IpAddr, dst: IpAddr, proto: u8, mut body: Vec<u8>) -> Vec<u8> {
    sum_up(src, dst, proto, &mut body);
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(packet(src, dst, proto, &body));
    frame
}

/// Ethertype, network header and body.
pub(super) fn packet(src: IpAddr, dst: IpAddr, proto: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let len = u16::try_from(20 + body.len()).expect("short");
            let mut header = vec![0x45, 0];
            header.extend(len.to_be_bytes());
            header.extend([0, 1, 0, 0, 64, proto, 0, 0]);
            header.extend(src.octets());
            header.extend(dst.octets());
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            out.extend([8, 0]);
            out.extend(header);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
            out.extend([proto, 64]);
            out.extend(src.octets());
            out.extend(dst.octets());
        }
        _ => panic!("two families"),
    }
    out.extend(body);
    out
}

fn sum_up(src: IpAddr, dst: IpAddr, proto: u8, body: &mut [u8]) {
    let at = match proto {
        6 => 16,
        17 => 6,
        1 | 58 => 2,
        132 => {
            body[8..12].fill(0);
            let sum = crc32c(body).to_le_bytes();
            body[8..12].copy_from_slice(&sum);
            return;
        }
        _ => return,
    };
    body[at..at + 2].fill(0);
    let sum = match (src, dst, proto) {
        (_, _, 1) => Sum::new(),
        (IpAddr::V4(src), IpAddr::V4(dst), _) => {
            Pseudo::V4 { src, dst }.sum(Protocol(proto), body.len())
        }
        (IpAddr::V6(src), IpAddr::V6(dst), _) => {
            Pseudo::V6 { src, dst }.sum(Protocol(proto), body.len())
        }
        _ => panic!("two families"),
    };
    let sum = sum.with(body).finish();
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether all checksums of a frame are right.
pub(super) fn is_sound(frame: &[u8]) -> bool {
    let v6 = frame[12] == 0x86;
    let (src, dst, proto, l4): (IpAddr, IpAddr, u8, usize) = if v6 {
        let address = |at: usize| <[u8; 16]>::try_from(&frame[at..at + 16]).expect("16").into();
        (address(22), address(38), frame[20], 54)
    } else {
        let address = |at: usize| <[u8; 4]>::try_from(&frame[at..at + 4]).expect("4").into();
        if checksum(&frame[14..34]) != 0 {
            return false;
        }
        (address(26), address(30), frame[23], 34)
    };
    let mut again = frame[l4..].to_vec();
    if proto == 17 && again[6..8] == [0, 0] {
        return true;
    }
    sum_up(src, dst, proto, &mut again);
    again == frame[l4..]
}

pub(super) fn udp(src: &str, dst: &str, sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    datagram(ip(src), ip(dst), 17, udp_body(sport, dport, payload))
}

pub(super) fn udp_body(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(sport.to_be_bytes());
    body.extend(dport.to_be_bytes());
    body.extend(u16::try_from(8 + payload.len()).expect("short").to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    body
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) window: u16,
    pub(super) scale: Option<u8>,
    pub(super) payload: Vec<u8>,
}

impl Tcp {
    pub(super) fn body(&self, sport: u16, dport: u16) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(sport.to_be_bytes());
        body.extend(dport.to_be_bytes());
        body.extend(self.seq.to_be_bytes());
        body.extend(self.ack.to_be_bytes());
        body.extend([if self.scale.is_some() { 0x60 } else { 0x50 }, self.flags]);
        body.extend(self.window.to_be_bytes());
        body.extend([0; 4]);
        if let Some(scale) = self.scale {
            body.extend([3, 3, scale, 0]);
        }
        body.extend(&self.payload);
        body
    }
}

pub(super) fn tcp(flags: u8, seq: u32, ack: u32) -> Tcp {
    Tcp { flags, seq, ack, window: 1000, scale: None, payload: Vec::new() }
}

pub(super) fn echo(src: &str, dst: &str, kind: u8, id: u16) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0];
    body.extend(id.to_be_bytes());
    body.extend([0, 1, b'p', b'i', b'n', b'g']);
    let proto = if ip(src).is_ipv6() { 58 } else { 1 };
    datagram(ip(src), ip(dst), proto, body)
}

/// An ICMP error that quotes the packet in a frame.
pub(super) fn error(src: &str, dst: &str, frame: &[u8]) -> Vec<u8> {
    let v6 = ip(src).is_ipv6();
    let mut body = if v6 { vec![1, 4, 0, 0] } else { vec![3, 1, 0, 0] };
    body.extend([0; 4]);
    body.extend(&frame[14..]);
    datagram(ip(src), ip(dst), if v6 { 58 } else { 1 }, body)
}

/// An SCTP packet with one chunk of this type.
pub(super) fn sctp(src: &str, dst: &str, sport: u16, dport: u16, chunk: u8) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(sport.to_be_bytes());
    body.extend(dport.to_be_bytes());
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, chunk, 0, 0, 4]);
    datagram(ip(src), ip(dst), 132, body)
}
