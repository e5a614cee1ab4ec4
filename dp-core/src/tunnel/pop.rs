//! Out of a tunnel: the outer headers checked and cut off, what they said remembered.
//!
//! Nothing of what a stranger sends is believed before it is checked against the frame: the outer
//! IP header and its checksum, UDP's length and checksum where there is one, the tunnel header's
//! own lengths. Reserved bits that are set are not for us to guess at: the packet is dropped.
//! Padding behind the outer datagram does not become part of the inner packet.

use super::ends::{End, Flavour};
use super::outer::Outer;
use super::template::{ERSPAN1, ERSPAN2, GRE, ROUTING, UDP};
use crate::action::tunnel::Kind;
use crate::base::DropReason;
use crate::flow::layout;
use crate::packet::{Known, Offloads, Packet, TUNNEL_OPTIONS, TunnelMeta};
use crate::wire::checksum::{Pseudo, Sum};

/// Name space of packets that begin with another header than Ethernet's.
const NO_ETHERNET: u32 = 1 << 16;
/// Ethertype of an Ethernet frame in a tunnel.
const TEB: u16 = 0x6558;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// What a tunnel's flags say in keys.
const CHECKSUM: u16 = 2;
const KEY: u16 = 4;
const OAM: u16 = 8;

/// What a tunnel header says of its packet.
struct Inner {
    /// Where the packet begins.
    at: usize,
    /// What it begins with.
    outermost: u32,
}

/// Takes a packet out of the tunnel that ends at `end`. The packet's metadata says where its outer
/// IP header is; afterwards it says which tunnel the packet came through.
///
/// # Errors
///
/// Why the packet is none that ends here: [`DropReason::TunnelPopTruncated`],
/// [`DropReason::TunnelPopChecksum`], [`DropReason::TunnelPopOptions`], or
/// [`DropReason::TunnelPopError`] for all that is not of this kind.
pub fn pop(packet: &mut Packet, end: &End) -> Result<(), DropReason> {
    let l3 = usize::from(packet.meta().l3);
    let checked = packet.meta().offloads.contains(Offloads::RX_L4_CSUM_GOOD);
    let frame = packet.data();
    let outer = Outer::read(frame, l3)?;
    let mut meta = TunnelMeta { tos: outer.tos, ttl: outer.ttl, ..TunnelMeta::NONE };
    match outer.ends {
        Pseudo::V4 { src, dst } => (meta.src, meta.dst) = (src, dst),
        Pseudo::V6 { src, dst } => (meta.ipv6_src, meta.ipv6_dst) = (src, dst),
    }
    let (inner, stop) = match end.kind {
        Kind::Lisp | Kind::Stt => return Err(DropReason::TunnelPopError),
        Kind::Srv6 => (srv6(frame, &outer)?, outer.end),
        Kind::Gre | Kind::Ip6Gre | Kind::Erspan | Kind::Ip6Erspan => {
            let body = body(frame, &outer, GRE)?;
            let erspan = matches!(end.kind, Kind::Erspan | Kind::Ip6Erspan);
            (gre(body, outer.l4, erspan, &mut meta)?, outer.end)
        }
        Kind::Vxlan | Kind::Geneve | Kind::Gtpu | Kind::Bareudp => {
            let body = body(frame, &outer, UDP)?;
            let payload = udp(body, &outer, checked, &mut meta)?;
            let at = outer.l4 + 8;
            let inner = match end.kind {
                Kind::Vxlan => vxlan(payload, at, end.flavour, &mut meta)?,
                Kind::Geneve => geneve(payload, at, &mut meta)?,
                Kind::Gtpu => gtpu(payload, at, &mut meta)?,
                _ => bareudp(payload, at, end.flavour)?,
            };
            (inner, at + payload.len())
        }
    };
    // An Ethernet header, or a packet of some kind: nothing is none.
    let least = if inner.outermost == 0 { 14 } else { 1 };
    if stop.saturating_sub(inner.at) < least {
        return Err(DropReason::TunnelPopTruncated);
    }
    packet.truncate(stop);
    if !packet.pull_front(inner.at) {
        return Err(DropReason::TunnelPopTruncated);
    }
    let about = packet.meta_mut();
    about.known &= Known::MARKS;
    about.offloads = Offloads::empty();
    about.set_outermost(inner.outermost);
    packet.set_tunnel(&meta);
    Ok(())
}

/// What follows the outer IP header, if it is of this protocol.
fn body<'a>(frame: &'a [u8], outer: &Outer, protocol: u8) -> Result<&'a [u8], DropReason> {
    if outer.protocol != protocol {
        return Err(DropReason::TunnelPopError);
    }
    frame.get(outer.l4..outer.end).ok_or(DropReason::TunnelPopTruncated)
}

/// Checks a UDP header; gives its payload.
fn udp<'a>(
    body: &'a [u8],
    outer: &Outer,
    checked: bool,
    meta: &mut TunnelMeta,
) -> Result<&'a [u8], DropReason> {
    let header: &[u8; 8] = body.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
    let &[s0, s1, d0, d1, l0, l1, c0, c1] = header;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if len < 8 {
        return Err(DropReason::TunnelPopError);
    }
    let datagram = body.get(..len).ok_or(DropReason::TunnelPopTruncated)?;
    if (c0, c1) != (0, 0) {
        let protocol = crate::wire::Protocol(UDP);
        if !checked && !outer.ends.sum(protocol, len).with(datagram).is_valid() {
            return Err(DropReason::TunnelPopChecksum);
        }
        meta.flags |= CHECKSUM;
    }
    meta.tp_src = u16::from_be_bytes([s0, s1]);
    meta.tp_dst = u16::from_be_bytes([d0, d1]);
    Ok(datagram.get(8..).unwrap_or_default())
}

fn vxlan(
    payload: &[u8],
    at: usize,
    flavour: Flavour,
    meta: &mut TunnelMeta,
) -> Result<Inner, DropReason> {
    let header: &[u8; 8] = payload.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
    let &[flags, second, third, fourth, v0, v1, v2, reserved] = header;
    if flags & 0x08 == 0 || reserved != 0 {
        return Err(DropReason::TunnelPopError);
    }
    let mut outermost = 0;
    match flavour {
        Flavour::GroupPolicy if flags & 0x80 != 0 => {
            if flags & 0x77 != 0 || second & !0x48 != 0 {
                return Err(DropReason::TunnelPopError);
            }
            meta.gbp_flags = second;
            meta.gbp_id = u16::from_be_bytes([third, fourth]);
        }
        // The header itself says that it names what follows, so plain tunnels and those of GPE share a
        // UDP port.
        _ if flags & 0x04 != 0 => {
            // Version 0; instance and next protocol; whether it is for forwarding.
            if flags & 0xf0 != 0 || flags & 0x01 != 0 || (second, third) != (0, 0) {
                return Err(DropReason::TunnelPopError);
            }
            outermost = match fourth {
                1 => NO_ETHERNET | u32::from(IPV4),
                2 => NO_ETHERNET | u32::from(IPV6),
                3 => 0,
                4 => NO_ETHERNET | 0x894f,
                5 => NO_ETHERNET | 0x8847,
                _ => return Err(DropReason::TunnelPopError),
            };
        }
        _ => {
            if (flags, second, third, fourth) != (0x08, 0, 0, 0) {
                return Err(DropReason::TunnelPopError);
            }
        }
    }
    meta.id = u64::from(u32::from_be_bytes([0, v0, v1, v2]));
    meta.flags |= KEY;
    Ok(Inner { at: at + 8, outermost })
}

/// What a payload with this Ethertype begins with. Below 0x600 are lengths, which name nothing.
fn begins_with(ethertype: u16) -> Result<u32, DropReason> {
    match ethertype {
        TEB => Ok(0),
        ..0x600 => Err(DropReason::TunnelPopError),
        _ => Ok(NO_ETHERNET | u32::from(ethertype)),
    }
}

fn geneve(payload: &[u8], at: usize, meta: &mut TunnelMeta) -> Result<Inner, DropReason> {
    let header: &[u8; 8] = payload.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
    let &[first, second, p0, p1, v0, v1, v2, reserved] = header;
    if first & 0xc0 != 0 || reserved != 0 {
        return Err(DropReason::TunnelPopError);
    }
    let len = usize::from(first & 0x3f) * 4;
    let options = payload.get(8..8 + len).ok_or(DropReason::TunnelPopTruncated)?;
    check_options(options)?;
    let room = meta.options.get_mut(..len).ok_or(DropReason::TunnelPopOptions)?;
    room.copy_from_slice(options);
    meta.options_len = u8::try_from(len).map_err(|_| DropReason::TunnelPopOptions)?;
    meta.id = u64::from(u32::from_be_bytes([0, v0, v1, v2]));
    meta.flags |= KEY | layout::TUN_FLAG_GENEVE;
    if second & 0x80 != 0 {
        meta.flags |= OAM;
    }
    Ok(Inner { at: at + 8 + len, outermost: begins_with(u16::from_be_bytes([p0, p1]))? })
}

const _: () = assert!(TUNNEL_OPTIONS >= 63 * 4);

/// Options fill their room exactly, one after the other.
fn check_options(options: &[u8]) -> Result<(), DropReason> {
    let mut rest = options;
    while !rest.is_empty() {
        let &[_, _, _, len] = rest.first_chunk().ok_or(DropReason::TunnelPopOptions)?;
        rest = rest.get(4 + usize::from(len & 0x1f) * 4..).ok_or(DropReason::TunnelPopOptions)?;
    }
    Ok(())
}

fn gre(body: &[u8], at: usize, erspan: bool, meta: &mut TunnelMeta) -> Result<Inner, DropReason> {
    let &[f0, f1, p0, p1] = body.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
    // Checksum, key and sequence are all there may be, in version 0.
    if f0 & !0xb0 != 0 || f1 != 0 {
        return Err(DropReason::TunnelPopError);
    }
    let word = |at: usize| -> Result<u32, DropReason> {
        let bytes = body.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|&bytes| u32::from_be_bytes(bytes)).ok_or(DropReason::TunnelPopTruncated)
    };
    let mut len = 4;
    if f0 & 0x80 != 0 {
        word(len)?;
        if !Sum::new().with(body).is_valid() {
            return Err(DropReason::TunnelPopChecksum);
        }
        meta.flags |= CHECKSUM;
        len += 4;
    }
    if f0 & 0x20 != 0 {
        meta.id = u64::from(word(len)?);
        meta.flags |= KEY;
        len += 4;
    }
    let numbered = f0 & 0x10 != 0;
    if numbered {
        word(len)?;
        len += 4;
    }
    match (u16::from_be_bytes([p0, p1]), erspan) {
        (ERSPAN1, true) if numbered => {
            let (first, index) = (word(len)?, word(len + 4)?);
            if first >> 28 != 1 {
                return Err(DropReason::TunnelPopError);
            }
            meta.erspan_ver = 1;
            meta.erspan_idx = index & 0xf_ffff;
            session(meta, first);
            Ok(Inner { at: at + len + 8, outermost: 0 })
        }
        (ERSPAN2, true) if numbered => {
            let (first, last) = (word(len)?, word(len + 8)?);
            if first >> 28 != 2 {
                return Err(DropReason::TunnelPopError);
            }
            meta.erspan_ver = 2;
            meta.erspan_dir = u8::from(last & 0x08 != 0);
            meta.erspan_hwid = u8::try_from(last >> 4 & 0x3f).unwrap_or(0);
            session(meta, first);
            // A subheader of the platform may follow.
            let more = if last & 1 == 0 { 0 } else { 8 };
            Ok(Inner { at: at + len + 12 + more, outermost: 0 })
        }
        (ERSPAN1 | ERSPAN2, _) | (_, true) => Err(DropReason::TunnelPopError),
        (protocol, false) => Ok(Inner { at: at + len, outermost: begins_with(protocol)? }),
    }
}

fn session(meta: &mut TunnelMeta, first: u32) {
    meta.id = u64::from(first & 0x3ff);
    meta.flags |= KEY;
}

fn gtpu(payload: &[u8], at: usize, meta: &mut TunnelMeta) -> Result<Inner, DropReason> {
    let header: &[u8; 8] = payload.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
    let &[flags, message, l0, l1, t0, t1, t2, t3] = header;
    // Version 1 of GTP, not GTP'.
    if flags & 0xf0 != 0x30 {
        return Err(DropReason::TunnelPopError);
    }
    let end = 8 + usize::from(u16::from_be_bytes([l0, l1]));
    let content = payload.get(..end).ok_or(DropReason::TunnelPopTruncated)?;
    (meta.gtpu_flags, meta.gtpu_msgtype) = (flags, message);
    meta.id = u64::from(u32::from_be_bytes([t0, t1, t2, t3]));
    meta.flags |= KEY;
    if message != 255 {
        // What manages the tunnel is for somebody who understands it: it stays whole.
        return Ok(Inner { at: 0, outermost: 0 });
    }
    let mut len = 8;
    if flags & 0x07 != 0 {
        let mut next = *content.get(11).ok_or(DropReason::TunnelPopTruncated)?;
        len = 12;
        let mut headers = 0;
        while flags & 0x04 != 0 && next != 0 {
            let words = usize::from(*content.get(len).ok_or(DropReason::TunnelPopTruncated)?);
            headers += 1;
            if words == 0 || headers > 8 {
                return Err(DropReason::TunnelPopOptions);
            }
            len += 4 * words;
            next = *content.get(len - 1).ok_or(DropReason::TunnelPopTruncated)?;
        }
    }
    ip_payload(content.get(len..), at + len)
}

/// A payload that is IP by its first bits.
fn ip_payload(payload: Option<&[u8]>, at: usize) -> Result<Inner, DropReason> {
    let first = payload.and_then(<[u8]>::first).ok_or(DropReason::TunnelPopTruncated)?;
    let ethertype = match first >> 4 {
        4 => IPV4,
        6 => IPV6,
        _ => return Err(DropReason::TunnelPopError),
    };
    Ok(Inner { at, outermost: NO_ETHERNET | u32::from(ethertype) })
}

fn bareudp(payload: &[u8], at: usize, flavour: Flavour) -> Result<Inner, DropReason> {
    match flavour {
        Flavour::Payload(IPV4) => ip_payload(Some(payload), at),
        Flavour::Payload(ethertype) => {
            if payload.is_empty() {
                return Err(DropReason::TunnelPopTruncated);
            }
            Ok(Inner { at, outermost: NO_ETHERNET | u32::from(ethertype) })
        }
        _ => Err(DropReason::TunnelPopError),
    }
}

fn srv6(frame: &[u8], outer: &Outer) -> Result<Inner, DropReason> {
    if matches!(outer.ends, Pseudo::V4 { .. }) {
        return Err(DropReason::TunnelPopError);
    }
    let (mut protocol, mut at) = (outer.protocol, outer.l4);
    if protocol == ROUTING {
        let header = frame.get(at..outer.end).unwrap_or_default();
        let &[next, words, kind, left, ..] =
            header.first_chunk::<8>().ok_or(DropReason::TunnelPopTruncated)?;
        // Segments left would have to be visited first.
        if kind != 4 || left != 0 {
            return Err(DropReason::TunnelPopError);
        }
        protocol = next;
        at += 8 + 8 * usize::from(words);
    }
    let payload = frame.get(at..outer.end).ok_or(DropReason::TunnelPopTruncated)?;
    let inner = ip_payload(Some(payload), at)?;
    match (protocol, inner.outermost & 0xffff) {
        (4, 0x0800) | (41, 0x86dd) => Ok(inner),
        _ => Err(DropReason::TunnelPopError),
    }
}
