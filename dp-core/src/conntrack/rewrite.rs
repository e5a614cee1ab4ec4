//! Writing other addresses and ports into a packet.
//!
//! Checksums are updated by what has changed (RFC 1624). An ICMP error quotes a packet: what it
//! quotes is turned back to what its sender knows, inside and outside.

use core::net::IpAddr;
use core::ops::Range;

use super::inspect::{ICMP, ICMPV6, SCTP, Seen, TCP, UDP, be16, bytes, quote};
use super::key::Tuple;
use crate::packet::{Offloads, Packet};
use crate::wire::Protocol;
use crate::wire::checksum::{Pseudo, checksum, crc32c, never_zero};

/// What changed under a checksum: the sum of new words minus old ones.
#[derive(Clone, Copy, Debug, Default)]
struct Delta(u64);

impl Delta {
    fn word(&mut self, old: u16, new: u16) {
        self.0 += u64::from(!old) + u64::from(new);
    }

    fn apply(self, checksum: u16) -> u16 {
        let mut sum = u64::from(!checksum) + self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(0)
    }
}

fn put16(frame: &mut [u8], at: usize, value: u16) -> Option<()> {
    *frame.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
    Some(())
}

/// Overwrites an even number of bytes.
fn splice(frame: &mut [u8], at: usize, new: &[u8], delta: &mut Delta) -> Option<()> {
    let place = frame.get_mut(at..at + new.len())?;
    for (old, new) in place.chunks_exact_mut(2).zip(new.chunks_exact(2)) {
        if let (&mut [a, b], &[c, d]) = (&mut *old, new) {
            delta.word(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        }
        old.copy_from_slice(new);
    }
    Some(())
}

/// Overwrites addresses of the header at `l3`, checksum and all; what changed goes into `delta`.
fn addresses(
    frame: &mut [u8],
    l3: usize,
    from: (IpAddr, IpAddr),
    to: (IpAddr, IpAddr),
    delta: &mut Delta,
) -> Option<()> {
    let mut own = Delta::default();
    match to {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            if from.0 != to.0 {
                splice(frame, l3 + 12, &src.octets(), &mut own)?;
            }
            if from.1 != to.1 {
                splice(frame, l3 + 16, &dst.octets(), &mut own)?;
            }
            let sum = be16(frame, l3 + 10)?;
            put16(frame, l3 + 10, own.apply(sum))?;
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            if from.0 != to.0 {
                splice(frame, l3 + 8, &src.octets(), &mut own)?;
            }
            if from.1 != to.1 {
                splice(frame, l3 + 24, &dst.octets(), &mut own)?;
            }
        }
        _ => return None,
    }
    delta.0 += own.0;
    Some(())
}

/// Where the checksum of a protocol stands in its header.
const fn checksum_at(proto: u8) -> Option<usize> {
    match proto {
        TCP => Some(16),
        UDP => Some(6),
        ICMP | ICMPV6 => Some(2),
        _ => None,
    }
}

/// Overwrites ports, or ICMP's identifier.
fn ports(frame: &mut [u8], l4: usize, from: &Tuple, to: &Tuple, delta: &mut Delta) -> Option<()> {
    if to.is_icmp() {
        if from.rest.sport != to.rest.sport {
            splice(frame, l4 + 4, &to.rest.sport.to_be_bytes(), delta)?;
        }
        return Some(());
    }
    if from.rest.sport != to.rest.sport {
        splice(frame, l4, &to.rest.sport.to_be_bytes(), delta)?;
    }
    if from.rest.dport != to.rest.dport {
        splice(frame, l4 + 2, &to.rest.dport.to_be_bytes(), delta)?;
    }
    Some(())
}

/// Makes a packet of tuple `from` one of tuple `to`. `None`: it is not what it was taken for.
pub(super) fn translate(packet: &mut Packet, seen: &Seen, from: &Tuple, to: &Tuple) -> Option<()> {
    if from == to {
        return Some(());
    }
    let partial = packet.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL);
    let l4 = seen.l4;
    let proto = from.rest.proto;
    let frame = packet.data_mut();
    let (mut pseudo, mut inside) = (Delta::default(), Delta::default());
    addresses(frame, seen.l3, (from.src, from.dst), (to.src, to.dst), &mut pseudo)?;
    if proto == SCTP {
        ports(frame, l4, from, to, &mut inside)?;
        return sctp_checksum(frame, l4, seen.end);
    }
    if proto == TCP || proto == UDP || to.is_icmp() {
        ports(frame, l4, from, to, &mut inside)?;
    }
    let Some(at) = checksum_at(proto) else { return Some(()) };
    let stored = be16(frame, l4 + at)?;
    if partial {
        // The stored word is the sum of the pseudo header itself; the device adds the rest.
        return put16(frame, l4 + at, !pseudo.apply(!stored));
    }
    if proto == UDP && stored == 0 {
        return Some(());
    }
    let mut delta = inside;
    if proto != ICMP {
        delta.0 += pseudo.0;
    }
    let sum = delta.apply(stored);
    put16(frame, l4 + at, if proto == UDP { never_zero(sum) } else { sum })
}

/// Sums up an SCTP packet anew.
fn sctp_checksum(frame: &mut [u8], l4: usize, end: usize) -> Option<()> {
    let segment = frame.get_mut(l4..end)?;
    *segment.get_mut(8..)?.first_chunk_mut()? = [0; 4];
    let sum = crc32c(segment).to_le_bytes();
    *segment.get_mut(8..)?.first_chunk_mut()? = sum;
    Some(())
}

/// Turns an ICMP error about a packet of tuple `from` into one about a packet of tuple `to`; both
/// are turned to the error's direction. The error's own destination becomes that of `to`; its source
/// does where it is the end that was translated, or where the source end is.
pub(super) fn translate_error(
    packet: &mut Packet,
    seen: &Seen,
    from: &Tuple,
    to: &Tuple,
) -> Option<()> {
    let v6 = from.is_v6();
    let (l3, l4, end) = (seen.l3, seen.l4, seen.end);
    let frame = packet.data_mut();
    // What is quoted went the other way.
    let (inner_from, inner_to) = (from.reversed(), to.reversed());
    let inner = quote(frame, l4, end, v6)?;
    let mut pseudo = Delta::default();
    let sides = |tuple: &Tuple| (tuple.src, tuple.dst);
    addresses(frame, inner.l3, sides(&inner_from), sides(&inner_to), &mut pseudo)?;
    let mut inside = Delta::default();
    let proto = from.rest.proto;
    if matches!(proto, TCP | UDP | SCTP) || from.is_icmp() {
        ports(frame, inner.l4, &inner_from, &inner_to, &mut inside)?;
    }
    if let Some(at) = checksum_at(proto).map(|at| inner.l4 + at).filter(|at| at + 2 <= end)
        && let Some(stored) = be16(frame, at)
        && !(proto == UDP && stored == 0)
    {
        let mut delta = inside;
        if proto != ICMP {
            delta.0 += pseudo.0;
        }
        put16(frame, at, delta.apply(stored))?;
    }
    // The error itself goes to whom the quoted packet came from.
    let (src, dst) = outer(frame, l3, v6)?;
    let new_src = if src == from.src || from.src != to.src { to.src } else { src };
    let new_dst = if dst == from.dst { to.dst } else { dst };
    addresses(frame, l3, (src, dst), (new_src, new_dst), &mut Delta::default())?;
    // Summed anew: the quote has changed in many places.
    put16(frame, l4 + 2, 0)?;
    let body = frame.get(l4..end)?;
    let sum = match (new_src, new_dst) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            Pseudo::V6 { src, dst }.sum(Protocol::ICMPV6, body.len()).with(body).finish()
        }
        _ => checksum(body),
    };
    put16(frame, l4 + 2, sum)
}

/// The addresses of the header at `l3`.
fn outer(frame: &[u8], l3: usize, v6: bool) -> Option<(IpAddr, IpAddr)> {
    Some(if v6 {
        (bytes::<16>(frame, l3 + 8)?.into(), bytes::<16>(frame, l3 + 24)?.into())
    } else {
        (bytes::<4>(frame, l3 + 12)?.into(), bytes::<4>(frame, l3 + 16)?.into())
    })
}

/// Replaces bytes of a TCP payload by others, and lets lengths and checksum follow. `None`: they are
/// not the payload's, or there is no room.
pub(super) fn replace(
    packet: &mut Packet,
    seen: &mut Seen,
    place: Range<usize>,
    new: &[u8],
) -> Option<()> {
    let (old, len, end) = (place.len(), new.len(), seen.end);
    if place.start < seen.l4 || place.end > end || end > packet.len() || place.end < place.start {
        return None;
    }
    let new_end = end - old + len;
    if u16::try_from(new_end - seen.l3).is_err() {
        return None;
    }
    packet.truncate(end);
    if len > old {
        packet.append(len - old)?;
    }
    let frame = packet.data_mut();
    frame.copy_within(place.end..end, place.start + len);
    frame.get_mut(place.start..place.start + len)?.copy_from_slice(new);
    packet.truncate(new_end);
    seen.end = new_end;
    let frame = packet.data_mut();
    let total = u16::try_from(new_end - seen.l3).ok()?;
    if frame.get(seen.l3)? >> 4 == 4 {
        let mut delta = Delta::default();
        splice(frame, seen.l3 + 2, &total.to_be_bytes(), &mut delta)?;
        let sum = be16(frame, seen.l3 + 10)?;
        put16(frame, seen.l3 + 10, delta.apply(sum))?;
    } else {
        put16(frame, seen.l3 + 4, total.checked_sub(40)?)?;
    }
    tcp_checksum(packet, seen)
}

/// Sums up a TCP segment anew.
fn tcp_checksum(packet: &mut Packet, seen: &Seen) -> Option<()> {
    let partial = packet.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL);
    let (l4, end) = (seen.l4, seen.end);
    let frame = packet.data_mut();
    let v6 = frame.get(seen.l3)? >> 4 == 6;
    let pseudo = match outer(frame, seen.l3, v6)? {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Pseudo::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Pseudo::V6 { src, dst },
        _ => return None,
    };
    put16(frame, l4 + 16, 0)?;
    let body = frame.get(l4..end)?;
    let sum = pseudo.sum(Protocol::TCP, body.len());
    let sum = if partial { !sum.finish() } else { sum.with(body).finish() };
    put16(frame, l4 + 16, sum)
}

/// Writes sequence and acknowledgment numbers, and those of selective acknowledgments through
/// `back`: what the other side calls a number.
pub(super) fn renumber(
    packet: &mut Packet,
    seen: &Seen,
    seq: u32,
    back: impl Fn(u32) -> u32,
) -> Option<()> {
    let l4 = seen.l4;
    let frame = packet.data_mut();
    let put = |frame: &mut [u8], at: usize, value: u32| -> Option<()> {
        *frame.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
        Some(())
    };
    put(frame, l4 + 4, seq)?;
    put(frame, l4 + 8, back(seen.segment.ack))?;
    let end = l4 + usize::from(seen.segment.header);
    let mut at = l4 + 20;
    while at + 1 < end {
        let kind = *frame.get(at)?;
        let len = usize::from(*frame.get(at + 1)?);
        match kind {
            0 => break,
            1 => {
                at += 1;
                continue;
            }
            _ if len < 2 || at + len > end => break,
            5 => {
                for edge in (at + 2..at + len).step_by(4) {
                    if edge + 4 <= at + len {
                        let number = u32::from_be_bytes(bytes(frame, edge)?);
                        put(frame, edge, back(number))?;
                    }
                }
            }
            _ => {}
        }
        at += len;
    }
    tcp_checksum(packet, seen)
}
