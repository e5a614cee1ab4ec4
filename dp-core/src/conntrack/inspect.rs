//! What the tracker needs to know of a packet, and whether the packet is fit to be tracked.
//!
//! Extraction has found the headers; here their checksums and lengths are judged, for a packet that
//! the other end will discard must not move a connection's state. ICMP errors are read through to
//! the packet they quote: they belong to that packet's connection.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::key::{self, Rest, Tuple, Words};
use super::plain;
use crate::base::Zone;
use crate::packet::{Offloads, Packet};
use crate::wire::Protocol;
use crate::wire::checksum::{Pseudo, Sum, checksum};

/// A packet as the tracker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its own ends, or those of the packet that it quotes, turned to the quoting packet's
    /// direction.
    pub(super) words: Words,
    /// It is an ICMP error about a packet of this tuple.
    pub(super) related: bool,
    /// TCP: what the header says.
    pub(super) segment: Segment,
    /// Where the network header is.
    pub(super) l3: usize,
    /// Where the transport header is.
    pub(super) l4: usize,
    /// Where the datagram ends.
    pub(super) end: usize,
}

impl Seen {
    /// Nothing.
    pub(super) const EMPTY: Self =
        Self { words: [0; 5], related: false, segment: Segment::EMPTY, l3: 0, l4: 0, end: 0 };

    /// The ends.
    pub(super) fn tuple(&self) -> Tuple {
        Tuple::from_words(&self.words)
    }

    /// The protocol.
    #[inline(always)]
    pub(super) const fn proto(&self) -> u8 {
        key::proto(&self.words)
    }
}

/// The parts of a TCP header that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// Bytes of payload.
    pub(super) len: u32,
    /// Bytes of header.
    pub(super) header: u16,
}

impl Segment {
    const EMPTY: Self = Self { flags: 0, window: 0, seq: 0, ack: 0, len: 0, header: 0 };
}

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

pub(super) const ICMP: u8 = Protocol::ICMP.0;
pub(super) const TCP: u8 = Protocol::TCP.0;
pub(super) const UDP: u8 = Protocol::UDP.0;
pub(super) const ICMPV6: u8 = Protocol::ICMPV6.0;
pub(super) const SCTP: u8 = Protocol::SCTP.0;

/// Why a packet cannot be tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is neither IPv4 nor IPv6: nothing to track.
    NotIp,
    /// A header is cut off, lies about a length, or is of a kind that opens no connection.
    Header,
    /// A checksum of the network header is wrong.
    L3Checksum,
    /// The checksum of the transport header is wrong.
    L4Checksum,
    /// It is a fragment.
    Fragment,
}

/// A datagram: where it lies, and its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) proto: u8,
    pub(super) l3: usize,
    pub(super) l4: usize,
    pub(super) end: usize,
    /// The datagram is a fragment: where its payload belongs, and whether more follows.
    pub(super) fragment: Option<(u16, bool)>,
    /// Identification of the datagram that it is a fragment of.
    pub(super) id: u32,
    /// IPv6: where the fragment header is.
    pub(super) fragment_at: usize,
}

/// Reads `N` bytes.
#[inline(always)]
pub(super) fn bytes<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

#[inline(always)]
pub(super) fn be16(frame: &[u8], at: usize) -> Option<u16> {
    bytes(frame, at).map(u16::from_be_bytes)
}

#[inline(always)]
fn be32(frame: &[u8], at: usize) -> Option<u32> {
    bytes(frame, at).map(u32::from_be_bytes)
}

/// Looks at a packet that extraction has been over.
///
/// # Errors
///
/// Why it cannot be tracked; what `seen` says means nothing then.
#[inline(always)]
pub(super) fn inspect(packet: &Packet, zone: Zone, seen: &mut Seen) -> Result<(), Unfit> {
    let meta = packet.meta();
    if plain::look(packet.data(), usize::from(meta.l3), meta.offloads, zone, seen) {
        return Ok(());
    }
    *seen = closely(packet, zone)?;
    Ok(())
}

/// The same of a packet that is not as most are.
#[inline(never)]
pub(super) fn closely(packet: &Packet, zone: Zone) -> Result<Seen, Unfit> {
    let datagram = datagram(packet)?;
    if datagram.fragment.is_some() {
        return Err(Unfit::Fragment);
    }
    of_datagram(packet.data(), packet.meta().offloads, &datagram, zone)
}

/// The network layer of a packet that extraction has been over.
#[inline]
pub(super) fn datagram(packet: &Packet) -> Result<Datagram, Unfit> {
    let frame = packet.data();
    let offloads = packet.meta().offloads;
    let l3 = usize::from(packet.meta().l3);
    let eth_type = l3.checked_sub(2).and_then(|at| be16(frame, at)).ok_or(Unfit::NotIp)?;
    match eth_type {
        0x0800 => {
            let found = ipv4(frame, l3).ok_or(Unfit::Header)?;
            let header = frame.get(l3..found.l4).ok_or(Unfit::Header)?;
            if !offloads.contains(Offloads::RX_IP_CSUM_GOOD) && checksum(header) != 0 {
                return Err(Unfit::L3Checksum);
            }
            Ok(found)
        }
        0x86dd => ipv6(frame, l3).ok_or(Unfit::Header),
        _ => Err(Unfit::NotIp),
    }
}

/// An IPv4 header. The datagram may be cut off: an ICMP error quotes its beginning.
fn ipv4(frame: &[u8], l3: usize) -> Option<Datagram> {
    let header: [u8; 20] = bytes(frame, l3)?;
    let [ver_ihl, _, len_h, len_l, id_h, id_l, frag_h, frag_l, _, proto, _, _, rest @ ..] = header;
    let ihl = usize::from(ver_ihl & 15) * 4;
    let total = usize::from(u16::from_be_bytes([len_h, len_l]));
    if ver_ihl >> 4 != 4 || ihl < 20 || total < ihl || l3 + ihl > frame.len() {
        return None;
    }
    let offset = u16::from_be_bytes([frag_h, frag_l]);
    let more = offset & 0x2000 != 0;
    let offset = offset & 0x1fff;
    let [a, b, c, d, e, f, g, h] = rest;
    Some(Datagram {
        src: Ipv4Addr::new(a, b, c, d).into(),
        dst: Ipv4Addr::new(e, f, g, h).into(),
        proto,
        l3,
        l4: l3 + ihl,
        end: l3 + total,
        fragment: (more || offset != 0).then_some((offset * 8, more)),
        id: u16::from_be_bytes([id_h, id_l]).into(),
        fragment_at: 0,
    })
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MAX_EXTENSIONS: usize = 16;

/// An IPv6 header and the extension headers behind it.
fn ipv6(frame: &[u8], l3: usize) -> Option<Datagram> {
    let fixed: [u8; 8] = bytes(frame, l3)?;
    let [first, _, _, _, len_h, len_l, mut proto, _] = fixed;
    if first >> 4 != 6 {
        return None;
    }
    let src: [u8; 16] = bytes(frame, l3 + 8)?;
    let dst: [u8; 16] = bytes(frame, l3 + 24)?;
    let end = l3 + 40 + usize::from(u16::from_be_bytes([len_h, len_l]));
    let mut out = Datagram {
        src: Ipv6Addr::from(src).into(),
        dst: Ipv6Addr::from(dst).into(),
        proto,
        l3,
        l4: l3 + 40,
        end,
        fragment: None,
        id: 0,
        fragment_at: 0,
    };
    for _ in 0..MAX_EXTENSIONS {
        let len = match proto {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let [_, units]: [u8; 2] = bytes(frame, out.l4)?;
                (usize::from(units) + 1) * 8
            }
            AUTHENTICATION => {
                let [_, units]: [u8; 2] = bytes(frame, out.l4)?;
                (usize::from(units) + 2) * 4
            }
            FRAGMENT => {
                let word = be16(frame, out.l4 + 2)?;
                let (offset, more) = (word & !7, word & 1 != 0);
                out.id = be32(frame, out.l4 + 4)?;
                out.fragment_at = out.l4;
                if offset != 0 || more {
                    out.fragment = Some((offset, more));
                }
                8
            }
            _ => {
                out.proto = proto;
                return (out.l4 <= out.end).then_some(out);
            }
        };
        let was_fragment = proto == FRAGMENT;
        proto = *frame.get(out.l4)?;
        out.l4 += len;
        if was_fragment && out.fragment.is_some_and(|(offset, _)| offset != 0) {
            // What follows is the middle of something.
            out.proto = proto;
            return (out.l4 <= out.end).then_some(out);
        }
    }
    None
}

/// Judges the transport header of a whole datagram.
#[inline]
pub(super) fn of_datagram(
    frame: &[u8],
    offloads: Offloads,
    it: &Datagram,
    zone: Zone,
) -> Result<Seen, Unfit> {
    let payload = frame.get(it.l4..it.end).ok_or(Unfit::Header)?;
    let trusted = offloads.intersects(Offloads::RX_L4_CSUM_GOOD | Offloads::L4_CSUM_PARTIAL);
    let rest = Rest { proto: it.proto, sport: 0, dport: 0, zone };
    let mut tuple = Tuple { src: it.src, dst: it.dst, rest };
    let mut related = false;
    let mut tcp = Segment::default();
    match (it.proto, it.src.is_ipv6()) {
        (TCP, _) => {
            tcp = segment(payload).ok_or(Unfit::Header)?;
            ports(payload, &mut tuple)?;
            checked(trusted || is_sound(it, payload))?;
        }
        (UDP, v6) => {
            let [_, _, _, _, len_h, len_l, sum_h, sum_l]: [u8; 8] =
                bytes(payload, 0).ok_or(Unfit::Header)?;
            let len = usize::from(u16::from_be_bytes([len_h, len_l]));
            if len < 8 || len > payload.len() {
                return Err(Unfit::Header);
            }
            ports(payload, &mut tuple)?;
            // IPv4 may do without a checksum.
            let none = [sum_h, sum_l] == [0, 0];
            checked(trusted || (none && !v6) || is_sound(it, payload))?;
        }
        (SCTP, _) => {
            ports(payload, &mut tuple)?;
            let stored: [u8; 4] = bytes(payload, 8).ok_or(Unfit::Header)?;
            checked(trusted || is_sctp_sound(payload, stored))?;
            if !holds_chunks(payload.get(12..).unwrap_or_default()) {
                return Err(Unfit::Header);
            }
        }
        (ICMP, false) => {
            let header: [u8; 8] = bytes(payload, 0).ok_or(Unfit::Header)?;
            checked(trusted || checksum(payload) == 0)?;
            related = icmp(frame, it, header, &mut tuple)?;
        }
        (ICMPV6, true) => {
            let header: [u8; 8] = bytes(payload, 0).ok_or(Unfit::Header)?;
            checked(trusted || is_sound(it, payload))?;
            related = icmpv6(frame, it, header, &mut tuple)?;
        }
        _ => {}
    }
    let words = tuple.words();
    Ok(Seen { words, related, segment: tcp, l3: it.l3, l4: it.l4, end: it.end })
}

const fn checked(sound: bool) -> Result<(), Unfit> {
    if sound { Ok(()) } else { Err(Unfit::L4Checksum) }
}

fn is_sound(it: &Datagram, payload: &[u8]) -> bool {
    let pseudo = match (it.src, it.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Pseudo::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Pseudo::V6 { src, dst },
        _ => return false,
    };
    let sum: Sum = pseudo.sum(Protocol(it.proto), payload.len());
    sum.with(payload).is_valid()
}

fn is_sctp_sound(payload: &[u8], stored: [u8; 4]) -> bool {
    use crate::wire::checksum::Crc32c;
    let (Some(before), Some(after)) = (payload.get(..8), payload.get(12..)) else { return false };
    let sum = Crc32c::new().with(before).with(&[0; 4]).with(after).finish();
    sum.to_le_bytes() == stored
}

/// Whether what follows the header of SCTP is whole chunks (RFC 9260, 3.2), or nothing.
fn holds_chunks(mut rest: &[u8]) -> bool {
    while let &[_, _, high, low, ..] = rest {
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < 4 || len > rest.len() {
            return false;
        }
        // The last one may go without its padding.
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    rest.is_empty()
}

/// Ports, neither of which may be 0.
#[inline(always)]
fn ports(payload: &[u8], tuple: &mut Tuple) -> Result<(), Unfit> {
    let [a, b, c, d]: [u8; 4] = bytes(payload, 0).ok_or(Unfit::Header)?;
    tuple.rest.sport = u16::from_be_bytes([a, b]);
    tuple.rest.dport = u16::from_be_bytes([c, d]);
    if tuple.rest.sport == 0 || tuple.rest.dport == 0 { Err(Unfit::Header) } else { Ok(()) }
}

/// A TCP header.
#[inline(always)]
pub(super) fn segment(payload: &[u8]) -> Option<Segment> {
    let header: [u8; 20] = bytes(payload, 0)?;
    let [_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = header;
    let len = usize::from(offset >> 4) * 4;
    if len < 20 || len > payload.len() {
        return None;
    }
    Some(Segment {
        flags,
        window: u16::from_be_bytes([w0, w1]),
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        len: u32::try_from(payload.len() - len).ok()?,
        header: u16::try_from(len).ok()?,
    })
}

/// Reads what an ICMP message has in place of ports; says whether it is an error about a packet.
fn icmp(frame: &[u8], it: &Datagram, header: [u8; 8], tuple: &mut Tuple) -> Result<bool, Unfit> {
    let [kind, code, _, _, id_h, id_l, ..] = header;
    match kind {
        0 | 8 | 13..=16 => {
            if code != 0 {
                return Err(Unfit::Header);
            }
            tuple.rest.sport = u16::from_be_bytes([id_h, id_l]);
            tuple.rest.dport = u16::from_be_bytes([kind, code]);
            Ok(false)
        }
        3 | 4 | 5 | 11 | 12 => {
            let inner = quoted(frame, it).and_then(|(at, quote)| ipv4(quote, at));
            error(frame, it, &inner.ok_or(Unfit::Header)?, tuple)
        }
        _ => Err(Unfit::Header),
    }
}

fn icmpv6(frame: &[u8], it: &Datagram, header: [u8; 8], tuple: &mut Tuple) -> Result<bool, Unfit> {
    let [kind, code, _, _, id_h, id_l, ..] = header;
    match kind {
        128 | 129 => {
            if code != 0 {
                return Err(Unfit::Header);
            }
            tuple.rest.sport = u16::from_be_bytes([id_h, id_l]);
            tuple.rest.dport = u16::from_be_bytes([kind, code]);
            Ok(false)
        }
        1..=4 => {
            let inner = quoted(frame, it).and_then(|(at, quote)| ipv6(quote, at));
            error(frame, it, &inner.ok_or(Unfit::Header)?, tuple)
        }
        _ => Err(Unfit::Header),
    }
}

/// Where the packet that an ICMP error quotes begins, and the frame up to the error's end.
fn quoted<'a>(frame: &'a [u8], it: &Datagram) -> Option<(usize, &'a [u8])> {
    Some((it.l4 + 8, frame.get(..it.end)?))
}

/// The packet that an error quotes.
pub(super) fn quote(frame: &[u8], l4: usize, end: usize, v6: bool) -> Option<Datagram> {
    let frame = frame.get(..end)?;
    if v6 { ipv6(frame, l4 + 8) } else { ipv4(frame, l4 + 8) }
}

/// Reads the quoted packet's ends; the error comes from the other side, so they are turned round.
fn error(frame: &[u8], it: &Datagram, inner: &Datagram, outer: &mut Tuple) -> Result<bool, Unfit> {
    if inner.fragment.is_some_and(|(offset, _)| offset != 0) {
        return Err(Unfit::Header);
    }
    // An error goes to whoever sent what it quotes (RFC 792, RFC 4443 2.2); any other is made up.
    if inner.src != outer.dst {
        return Err(Unfit::Header);
    }
    let quote = frame.get(inner.l4..it.end).ok_or(Unfit::Header)?;
    let zone = outer.rest.zone;
    let mut tuple = Tuple {
        src: inner.src,
        dst: inner.dst,
        rest: Rest { proto: inner.proto, sport: 0, dport: 0, zone },
    };
    match inner.proto {
        // Eight bytes of a transport header are quoted at least (RFC 792).
        TCP | UDP | SCTP => {
            bytes::<8>(quote, 0).ok_or(Unfit::Header)?;
            ports(quote, &mut tuple)?;
        }
        ICMP | ICMPV6 => {
            let [kind, code, _, _, id_h, id_l, ..]: [u8; 8] =
                bytes(quote, 0).ok_or(Unfit::Header)?;
            let echo = matches!((inner.proto, kind), (ICMP, 0 | 8 | 13..=16) | (ICMPV6, 128 | 129));
            if !echo {
                return Err(Unfit::Header);
            }
            tuple.rest.sport = u16::from_be_bytes([id_h, id_l]);
            tuple.rest.dport = u16::from_be_bytes([kind, code]);
        }
        _ => {}
    }
    *outer = tuple.reversed();
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::holds_chunks;

    /// Seven of these were given to release 3.5 of the reference: it takes and refuses the same.
    #[test]
    fn chunks_of_sctp_are_whole_and_follow_each_other() {
        for good in [
            &b""[..],
            &[0x64, 0, 0, 4],
            &[0x64, 0, 0, 8, 1, 2, 3, 4],
            &[0, 0, 0, 5, 1, 0, 0, 0, 1, 0, 0, 4],
            &[0, 0, 0, 5, 1],
        ] {
            assert!(holds_chunks(good), "{good:?}");
        }
        for bad in [
            &b"data"[..],
            &[0, 0, 0, 8],
            &[0, 0, 0, 2, 1, 2, 3, 4],
            &[0, 0, 0, 0],
            &[0, 0, 0],
            &[0, 0, 0, 4, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h'],
        ] {
            assert!(!holds_chunks(bad), "{bad:?}");
        }
    }
}
