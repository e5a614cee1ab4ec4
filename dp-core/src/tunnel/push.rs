//! Into a tunnel: the flow's headers in front of the packet, and what is the packet's own in them.

use super::ends::Ends;
use super::outer::ip_checksum;
use super::template::{ERSPAN2, FlowLabel, GRE, UDP};
use crate::action::TunnelPush;
use crate::action::tunnel::Kind;
use crate::base::{DropReason, Instant};
use crate::offload;
use crate::packet::{Known, Offloads, Packet};
use crate::wire::checksum::{Pseudo, Sum, never_zero};

const ETH_LEN: usize = 14;
/// The bits of the flow label.
const LABEL: u32 = 0xf_ffff;

/// Puts a packet into a tunnel. `hash` is that of the packet's flow.
///
/// Metadata afterwards says where the outer headers are; what connection tracking and an earlier
/// tunnel have said of the packet is forgotten, the marks stay.
///
/// # Errors
///
/// [`DropReason::TunnelPushError`]: no buffer with room for the headers, a packet too large for the outer length, one that
/// is still to be segmented (whoever calls has that done), or headers that are none.
pub fn push(
    packet: &mut Packet,
    push: &TunnelPush,
    ends: &Ends,
    hash: u32,
    now: Instant,
) -> Result<(), DropReason> {
    fill(packet, push, ends, hash, now).ok_or(DropReason::TunnelPushError)
}

fn fill(
    packet: &mut Packet,
    push: &TunnelPush,
    ends: &Ends,
    hash: u32,
    now: Instant,
) -> Option<()> {
    if packet.meta().offloads.contains(Offloads::TSO) {
        return None;
    }
    // No device looks into a tunnel.
    offload::complete_if_partial(packet);
    if packet.headroom() < push.header.len() {
        packet.make_headroom(push.header.len())?;
    }
    packet.push_front(push.header.len())?.copy_from_slice(&push.header);
    let frame = packet.data_mut();
    if push.kind == Kind::Srv6 {
        label(frame, push.header.len(), hash)?;
    }
    let end = frame.len();
    let (l4, protocol, pseudo) = network(frame)?;
    match protocol {
        UDP => udp(frame, l4, push.kind, ends.source_port(hash), pseudo)?,
        GRE => gre(frame, l4, end, push, ends, now)?,
        _ => {}
    }
    let meta = packet.meta_mut();
    meta.known &= Known::MARKS;
    meta.offloads &= Offloads::RSS_VALID;
    (meta.l3, meta.l4) = (ETH_LEN as u16, u16::try_from(l4).ok()?);
    Some(())
}

/// Writes the outer IP length (and checksum); tells where the transport header is.
fn network(frame: &mut [u8]) -> Option<(usize, u8, Pseudo)> {
    let payload = frame.len().checked_sub(ETH_LEN)?;
    let ip = frame.get_mut(ETH_LEN..)?;
    if ip.first()? >> 4 == 4 {
        let header: &mut [u8; 20] = ip.first_chunk_mut()?;
        let len = u16::try_from(payload).ok()?.to_be_bytes();
        (header[2], header[3]) = (len[0], len[1]);
        let checksum = ip_checksum(header).to_be_bytes();
        (header[10], header[11]) = (checksum[0], checksum[1]);
        let address = |at: usize| {
            let bytes: [u8; 4] = header.get(at..)?.first_chunk().copied()?;
            Some(bytes.into())
        };
        Some((ETH_LEN + 20, header[9], Pseudo::V4 { src: address(12)?, dst: address(16)? }))
    } else {
        let header: &mut [u8; 40] = ip.first_chunk_mut()?;
        let len = u16::try_from(payload.checked_sub(40)?).ok()?.to_be_bytes();
        (header[4], header[5]) = (len[0], len[1]);
        let address = |at: usize| {
            let bytes: [u8; 16] = header.get(at..)?.first_chunk().copied()?;
            Some(bytes.into())
        };
        Some((ETH_LEN + 40, header[6], Pseudo::V6 { src: address(8)?, dst: address(24)? }))
    }
}

/// Puts the flow label of SRv6 in the place of the number that says what it is made of.
fn label(frame: &mut [u8], inner: usize, hash: u32) -> Option<()> {
    let word = |at: usize| {
        let bytes = frame.get(at..).and_then(<[u8]>::first_chunk).copied();
        bytes.map(u32::from_be_bytes)
    };
    let first = word(ETH_LEN)?;
    let label = match first & LABEL {
        made if made == FlowLabel::Copy as u32 => {
            word(inner).filter(|first| first >> 28 == 6).unwrap_or(0)
        }
        made if made == FlowLabel::Compute as u32 => hash,
        _ => 0,
    };
    let first = first & !LABEL | label & LABEL;
    *frame.get_mut(ETH_LEN..)?.first_chunk_mut()? = first.to_be_bytes();
    Some(())
}

fn udp(frame: &mut [u8], l4: usize, kind: Kind, source: u16, pseudo: Pseudo) -> Option<()> {
    let datagram = frame.get_mut(l4..)?;
    let len = u16::try_from(datagram.len()).ok()?;
    let header: &mut [u8; 8] = datagram.first_chunk_mut()?;
    [header[0], header[1]] = source.to_be_bytes();
    [header[4], header[5]] = len.to_be_bytes();
    let wants_checksum = (header[6], header[7]) != (0, 0);
    if kind == Kind::Gtpu {
        let rest = u16::try_from(datagram.len().checked_sub(16)?).ok()?.to_be_bytes();
        let header: &mut [u8; 4] = datagram.get_mut(8..)?.first_chunk_mut()?;
        [header[2], header[3]] = rest;
    }
    if wants_checksum {
        let header: &mut [u8; 8] = datagram.first_chunk_mut()?;
        [header[6], header[7]] = [0, 0];
        let protocol = crate::wire::Protocol(UDP);
        let sum = pseudo.sum(protocol, datagram.len()).with(datagram).finish();
        let header: &mut [u8; 8] = datagram.first_chunk_mut()?;
        [header[6], header[7]] = never_zero(sum).to_be_bytes();
    }
    Some(())
}

fn gre(
    frame: &mut [u8],
    l4: usize,
    end: usize,
    push: &TunnelPush,
    ends: &Ends,
    now: Instant,
) -> Option<()> {
    let gre = frame.get_mut(l4..end)?;
    let &[first, _, p0, p1] = gre.first_chunk()?;
    let (has_checksum, has_key, has_sequence) =
        (first & 0x80 != 0, first & 0x20 != 0, first & 0x10 != 0);
    let mut at = 4;
    if has_checksum {
        at += 4;
    }
    if has_key {
        at += 4;
    }
    if has_sequence {
        let number = ends.get(push.tunnel_port).map_or(0, |end| end.sequence.take());
        *gre.get_mut(at..)?.first_chunk_mut()? = number.to_be_bytes();
        at += 4;
    }
    if u16::from_be_bytes([p0, p1]) == ERSPAN2 {
        // In units of 100 microseconds, as the header says.
        let stamp = u32::try_from((now.0 / 100_000) & u64::from(u32::MAX)).ok()?;
        *gre.get_mut(at + 4..)?.first_chunk_mut()? = stamp.to_be_bytes();
    }
    if has_checksum {
        let sum = Sum::new().with(gre).finish();
        *gre.get_mut(4..)?.first_chunk_mut()? = sum.to_be_bytes();
    }
    Some(())
}
