//! Packets made byte by byte, and their checksums taken anew: what the incremental updates of the
//! actions are held against.

use core::net::Ipv6Addr;

use crate::wire::checksum::{Pseudo, checksum, crc32c};
use crate::wire::{icmpv4, icmpv6, ip::Protocol, ipv4, ipv6, tcp, udp};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TcpV4,
    UdpV4,
    /// UDP over IPv4 without a checksum.
    BareUdpV4,
    SctpV4,
    IcmpV4,
    TcpV6,
    UdpV6,
    SctpV6,
    IcmpV6,
    /// A neighbour solicitation with a source link-layer address.
    SolicitV6,
    /// UDP behind a routing header with a segment left.
    RoutedV6,
    Arp,
}

impl Kind {
    pub(super) const ALL: [Self; 12] = [
        Self::TcpV4,
        Self::UdpV4,
        Self::BareUdpV4,
        Self::SctpV4,
        Self::IcmpV4,
        Self::TcpV6,
        Self::UdpV6,
        Self::SctpV6,
        Self::IcmpV6,
        Self::SolicitV6,
        Self::RoutedV6,
        Self::Arp,
    ];
}

/// A frame with right checksums, padded to 60 bytes.
pub(super) fn frame(kind: Kind, tag: Option<u16>, body: &[u8]) -> Vec<u8> {
    let (ports, mut segment) = ([0x12, 0x34, 0x00, 0x35], Vec::new());
    let (proto, over_v6) = match kind {
        Kind::TcpV4 | Kind::TcpV6 => {
            segment.extend(ports);
            segment.extend([1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
            (6, kind == Kind::TcpV6)
        }
        Kind::UdpV4 | Kind::BareUdpV4 | Kind::UdpV6 | Kind::RoutedV6 => {
            segment.extend(ports);
            segment.extend(u16::try_from(8 + body.len()).unwrap().to_be_bytes());
            segment.extend([0, 0]);
            (17, matches!(kind, Kind::UdpV6 | Kind::RoutedV6))
        }
        Kind::SctpV4 | Kind::SctpV6 => {
            segment.extend(ports);
            segment.extend([9, 9, 9, 9, 0, 0, 0, 0]);
            (132, kind == Kind::SctpV6)
        }
        Kind::IcmpV4 => {
            segment.extend([8, 0, 0, 0, 0, 1, 0, 2]);
            (1, false)
        }
        Kind::IcmpV6 => {
            segment.extend([128, 0, 0, 0, 0, 1, 0, 2]);
            (58, true)
        }
        Kind::SolicitV6 => {
            segment.extend([135, 0, 0, 0, 0, 0, 0, 0]);
            segment.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
            segment.extend([1, 1, 2, 0, 0, 0, 0, 7]);
            (58, true)
        }
        Kind::Arp => (0, false),
    };
    if kind != Kind::SolicitV6 {
        segment.extend(body);
    }
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if let Some(tci) = tag {
        out.extend([0x81, 0x00]);
        out.extend(tci.to_be_bytes());
    }
    if kind == Kind::Arp {
        out.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1]);
        out.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    } else if over_v6 {
        let routing = if kind == Kind::RoutedV6 { 24 } else { 0 };
        out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        out.extend(u16::try_from(routing + segment.len()).unwrap().to_be_bytes());
        out.extend([if routing == 0 { proto } else { 43 }, 61]);
        for last in [1, 2] {
            out.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        if routing != 0 {
            out.extend([proto, 2, 0, 1, 0, 0, 0, 0]);
            out.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77]);
        }
        out.extend(segment);
    } else {
        out.extend([8, 0, 0x45, 0xb9]);
        out.extend(u16::try_from(20 + segment.len()).unwrap().to_be_bytes());
        out.extend([0x12, 0x34, 0, 0, 61, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        out.extend(segment);
    }
    fill(&mut out, kind == Kind::BareUdpV4);
    out.resize(out.len().max(60), 0);
    out
}

/// Where the datagram of a frame and its transport header are.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) l3: usize,
    pub(super) l4: usize,
    pub(super) end: usize,
    pub(super) proto: u8,
    pub(super) ends: Pseudo,
}

impl Parts {
    /// The sum of the pseudo header alone: what a frame carries whose checksum a device is to
    /// complete.
    pub(super) fn partial(&self) -> u16 {
        !self.ends.sum(Protocol(self.proto), self.end - self.l4).finish()
    }

    /// Where the checksum over the pseudo header stands.
    pub(super) fn checksum_at(&self) -> Option<usize> {
        let offset = match self.proto {
            6 => 16,
            17 => 6,
            58 => 2,
            _ => return None,
        };
        Some(self.l4 + offset)
    }
}

/// `None`: not IP.
pub(super) fn parts(frame: &[u8]) -> Option<Parts> {
    let mut at = 12;
    while matches!(frame[at..at + 2], [0x81, 0x00] | [0x88, 0xa8]) {
        at += 4;
    }
    let l3 = at + 2;
    let number = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    match number(at) {
        0x0800 => {
            let end = l3 + number(l3 + 2);
            let ip = ipv4::Packet::new_checked(&frame[l3..end]).unwrap();
            let ends = Pseudo::V4 { src: ip.src(), dst: ip.dst() };
            Some(Parts { l3, l4: l3 + 20, end, proto: frame[l3 + 9], ends })
        }
        0x86dd => {
            let end = l3 + 40 + number(l3 + 4);
            let ip = ipv6::Packet::new_checked(&frame[l3..end]).unwrap();
            let (src, mut dst) = (ip.src(), ip.dst());
            let (mut l4, mut proto) = (l3 + 40, frame[l3 + 6]);
            if proto == 43 {
                let last: [u8; 16] = frame[l4 + 8..l4 + 24].try_into().unwrap();
                dst = Ipv6Addr::from(last);
                (l4, proto) = (l4 + 24, frame[l4]);
            }
            Some(Parts { l3, l4, end, proto, ends: Pseudo::V6 { src, dst } })
        }
        _ => None,
    }
}

/// Takes all checksums anew.
fn fill(frame: &mut [u8], bare: bool) {
    let Some(parts) = parts(frame) else { return };
    if matches!(parts.ends, Pseudo::V4 { .. }) {
        ipv4::Packet::new_checked(&mut frame[parts.l3..parts.end]).unwrap().fill_checksum();
    }
    let segment = &mut frame[parts.l4..parts.end];
    match parts.proto {
        1 => icmpv4::Packet::new_checked(segment).unwrap().fill_checksum(),
        6 => tcp::Packet::new_checked(segment).unwrap().fill_checksum(parts.ends),
        17 if bare => {}
        17 => udp::Packet::new_checked(segment).unwrap().fill_checksum(parts.ends),
        58 => icmpv6::Packet::new_checked(segment).unwrap().fill_checksum(parts.ends),
        132 => {
            let crc = crc32c(segment);
            segment[8..12].copy_from_slice(&crc.to_le_bytes());
        }
        other => panic!("protocol {other}"),
    }
}

/// The checksums of a frame that are not what they ought to be.
pub(super) fn wrong(frame: &[u8]) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let Some(parts) = parts(frame) else { return wrong };
    if matches!(parts.ends, Pseudo::V4 { .. })
        && !ipv4::Packet::new_checked(&frame[parts.l3..parts.end]).unwrap().verify_checksum()
    {
        wrong.push("IPv4");
    }
    let segment = &frame[parts.l4..parts.end];
    let right = match parts.proto {
        // Whatever its type says about its length: that is changed too.
        1 => checksum(segment) == 0,
        6 => tcp::Packet::new_checked(segment).unwrap().verify_checksum(parts.ends),
        17 => udp::Packet::new_checked(segment).unwrap().verify_checksum(parts.ends),
        58 => parts.ends.sum(Protocol::ICMPV6, segment.len()).with(segment).is_valid(),
        132 => {
            let mut zeroed = segment.to_vec();
            zeroed[8..12].fill(0);
            crc32c(&zeroed).to_le_bytes() == segment[8..12]
        }
        other => panic!("protocol {other}"),
    };
    if !right {
        wrong.push("transport");
    }
    wrong
}
