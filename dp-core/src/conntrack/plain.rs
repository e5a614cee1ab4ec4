//! Datagrams as nearly all are, looked at without a detour: IPv4 without options and fragments, TCP
//! or UDP.
//!
//! What is not in order is left to [`super::inspect`], which finds out what is wrong with it.

use super::inspect::{Seen, TCP, UDP, segment};
use super::key;
use crate::base::Zone;
use crate::packet::Offloads;
use crate::wire::checksum::Sum;

const HEADER: usize = 20;
/// The ports, and what UDP has behind them.
const PORTS: usize = 8;

/// Looks at a frame whose network header is at `l3`, and notes in `seen` what it is. `false`: it is not
/// plain, or not in order.
#[inline(always)]
pub(super) fn look(
    frame: &[u8],
    l3: usize,
    offloads: Offloads,
    zone: Zone,
    seen: &mut Seen,
) -> bool {
    seen_in(frame, l3, offloads, zone, seen).is_some()
}

#[inline(always)]
fn seen_in(frame: &[u8], l3: usize, offloads: Offloads, zone: Zone, seen: &mut Seen) -> Option<()> {
    let from_type: &[u8; 2 + HEADER + PORTS] = frame.get(l3.checked_sub(2)?..)?.first_chunk()?;
    let (&eth_type, rest) = from_type.split_first_chunk::<2>()?;
    let (header, l4) = rest.split_first_chunk::<HEADER>()?;
    let l4: [u8; PORTS] = *l4.first_chunk()?;
    let [ver_ihl, _, t0, t1, _, _, f0, f1, _, proto, _, _, s @ .., d0, d1, d2, d3] = *header;
    let total = usize::from(u16::from_be_bytes([t0, t1]));
    let whole = u16::from_be_bytes([f0, f1]) & 0x3fff == 0;
    if eth_type != [0x08, 0x00] || ver_ihl != 0x45 || !whole || total < HEADER + PORTS {
        return None;
    }
    let payload = frame.get(l3 + HEADER..l3 + total)?;
    if !offloads.contains(Offloads::RX_IP_CSUM_GOOD) && !is_sound(header) {
        return None;
    }
    let [sp0, sp1, dp0, dp1, u0, u1, c0, c1] = l4;
    let [sport, dport] = [u16::from_be_bytes([sp0, sp1]), u16::from_be_bytes([dp0, dp1])];
    if sport == 0 || dport == 0 {
        return None;
    }
    // Written where it stays: a copy a moment later would wait for what has just been written.
    seen.words = key::v4_words((s, [d0, d1, d2, d3]), (sport, dport), proto, zone);
    seen.related = false;
    (seen.l3, seen.l4, seen.end) = (l3, l3 + HEADER, l3 + total);
    let summed = match proto {
        UDP => {
            let len = usize::from(u16::from_be_bytes([u0, u1]));
            if len < PORTS || len > payload.len() {
                return None;
            }
            [c0, c1] != [0, 0]
        }
        TCP => {
            seen.segment = segment(payload)?;
            true
        }
        _ => return None,
    };
    let trusted = offloads.intersects(Offloads::RX_L4_CSUM_GOOD | Offloads::L4_CSUM_PARTIAL);
    if summed && !trusted && !is_whole(header, payload) {
        return None;
    }
    Some(())
}

/// Whether the checksum of an IPv4 header without options is right.
#[inline(always)]
fn is_sound(header: &[u8; HEADER]) -> bool {
    let (words, _) = header.as_chunks::<4>();
    // The sum is the same in any byte order, but for the order of its own bytes.
    let sum = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum::<u64>();
    folds_to_nothing(sum)
}

/// Whether a sum of words is zero in ones' complement.
#[inline(always)]
const fn folds_to_nothing(sum: u64) -> bool {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

/// Whether the checksum of what the header carries is right.
fn is_whole(header: &[u8; HEADER], payload: &[u8]) -> bool {
    let (Some(addresses), Some(&proto)) = (header.get(12..), header.get(9)) else { return false };
    // At most what an IPv4 header's length can say.
    let len = payload.len() as u32;
    Sum::new().with(addresses).with_u32(len).with_u32(proto.into()).with(payload).is_valid()
}
