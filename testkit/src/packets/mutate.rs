//! Damaged variants of good packets.
//!
//! A parser is wrong at the edges: one octet too few, a length that lies, a chain that never ends.
//! [`truncations`] and [`lies`] walk all of those edges of a packet without chance; [`random`] looks
//! for what nobody thought of.

use super::{Mac, Packet};
use crate::{frames::dissect, seed::Rng};

/// Every proper prefix of the frame, the empty one first.
pub fn truncations(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..frame.len()).map(|len| frame.get(..len).unwrap_or_default())
}

/// The frame with octets `fill` behind it up to `len`; as it is if it is that long already.
#[must_use]
pub fn padded(frame: &[u8], len: usize, fill: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.resize(frame.len().max(len), fill);
    frame
}

/// A frame that lies, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lie {
    /// What it claims, as `ipv4.version_ihl=0x44`.
    pub claim: String,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Variants in which one field that steers a parser claims what is not so: lengths too short, too
/// long or zero, versions, next headers, fragment offsets. Checksums are left as they were.
#[must_use]
pub fn lies(frame: &[u8]) -> Vec<Lie> {
    let dissection = dissect(frame);
    let mut lies = Vec::new();
    for field in &dissection.fields {
        let last = field.name.split('.').skip_while(|part| *part == "inner").collect::<Vec<_>>();
        let octets = frame.get(field.range.clone()).unwrap_or_default();
        for value in claims(&last.join("."), octets, frame.len()) {
            let mut lying = frame.to_vec();
            let Some(place) = lying.get_mut(field.range.clone()) else { continue };
            if place == value.as_slice() || place.len() != value.len() {
                continue;
            }
            place.copy_from_slice(&value);
            let digits: String = value.iter().map(|octet| format!("{octet:02x}")).collect();
            lies.push(Lie { claim: format!("{}=0x{digits}", field.name), frame: lying });
        }
    }
    lies
}

/// A random change: flipped bits, a cut, growth, octets moved or repeated, a lie.
#[must_use]
pub fn random(frame: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = frame.to_vec();
    match rng.below(7) {
        0 => {
            for _ in 0..=rng.below(4) {
                let at = rng.index(out.len());
                let bit = 1 << rng.below(8);
                if let Some(octet) = out.get_mut(at) {
                    *octet ^= bit;
                }
            }
        }
        1 => {
            // Interesting values in the headers rather than anywhere.
            let at = rng.index(out.len().min(64));
            let value = rng.pick(&[0, 1, 0x7f, 0x80, 0xff]).copied().unwrap_or(0);
            if let Some(octet) = out.get_mut(at) {
                *octet = value;
            }
        }
        2 => out.truncate(rng.index(out.len())),
        3 => {
            let more = rng.index(64);
            out.extend(rng.bytes(more));
        }
        4 => {
            let (from, to) = (rng.index(out.len()), rng.index(out.len()));
            let len = rng.index(32);
            let piece: Vec<u8> = frame.iter().skip(from).take(len).copied().collect();
            for (octet, new) in out.iter_mut().skip(to).zip(piece) {
                *octet = new;
            }
        }
        5 => {
            let (at, len) = (rng.index(out.len()), rng.index(16));
            out.drain(at..(at + len).min(out.len()));
        }
        _ => {
            let lies = lies(frame);
            if let Some(lie) = rng.pick(&lies) {
                out.clone_from(&lie.frame);
            }
        }
    }
    out
}

/// Frames that end where their layers begin: a header of each kind announced and then nothing.
#[must_use]
pub fn bare_headers() -> Vec<Vec<u8>> {
    let types = [0x0800u16, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8848, 0x894f, 0x8035, 0x0005];
    let announce = |ethertype| {
        let ethernet = super::Ethernet {
            ethertype: Some(ethertype),
            ..super::Ethernet::new(Mac::host(1), Mac::host(2))
        };
        Packet::new().layer(ethernet).build()
    };
    types.map(announce).to_vec()
}

/// The false values of a steering field; none for others.
fn claims(name: &str, octets: &[u8], frame_len: usize) -> Vec<Vec<u8>> {
    let first = octets.first().copied().unwrap_or(0);
    let second = octets.get(1).copied().unwrap_or(0);
    let words = |values: &[u16]| values.iter().map(|value| value.to_be_bytes().to_vec()).collect();
    match name {
        "ipv4.version_ihl" => (0..16)
            .map(|ihl| vec![0x40 | ihl])
            .chain([0, 0x05, 0x55, 0x65, 0xf5].map(|value| vec![value]))
            .collect(),
        "ipv4.total_length" | "ipv6.payload_length" | "udp.length" => {
            let right = u16::from_be_bytes([first, second]);
            let (less, more) = (right.wrapping_sub(1), right.wrapping_add(1));
            words(&[0, 1, 7, 8, 19, 20, 21, less, more, frame_len as u16, 0xffff])
        }
        "ipv4.flags_offset" => words(&[0x2000, 0x0001, 0x2001, 0x1fff, 0x3fff, 0x8000, 0xffff]),
        "ipv6.version_class_label" => (0..16u8)
            .map(|version| {
                let mut value = octets.to_vec();
                if let Some(first) = value.first_mut() {
                    *first = version << 4 | *first & 0x0f;
                }
                value
            })
            .collect(),
        "ipv4.protocol"
        | "ipv6.next_header"
        | "hop_by_hop.next_header"
        | "routing.next_header"
        | "destination.next_header"
        | "fragment.next_header"
        | "authentication.next_header" => {
            [0, 1, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 132, 135, 255].map(|p| vec![p]).to_vec()
        }
        "hop_by_hop.length" | "routing.length" | "destination.length" | "authentication.length" => {
            [0, 1, 2, 0x7f, 0xff].map(|length| vec![length]).to_vec()
        }
        "fragment.offset_more" => words(&[0x0001, 0x0008, 0x0009, 0xfff8, 0xffff]),
        "tcp.offset_flags" => {
            (0..16).map(|offset| vec![offset << 4 | first & 0x0f, second]).collect()
        }
        "arp.lengths" => {
            [[0, 0], [0, 4], [6, 0], [6, 16], [255, 255], [8, 4]].map(|l| l.to_vec()).to_vec()
        }
        "ethernet.type" | "vlan.type" | "snap.type" => {
            words(&[0, 3, 8, 1500, 1535, 0x0800, 0x0806, 0x8100, 0x8847, 0x86dd, 0x88a8, 0xffff])
        }
        "mpls.label_tc_bottom" => {
            let third = octets.get(2).copied().unwrap_or(0);
            vec![vec![first, second, third ^ 1]]
        }
        "icmpv6.option" => [0, 2, 32, 255]
            .into_iter()
            .map(|length| {
                let mut value = octets.to_vec();
                if let Some(field) = value.get_mut(1) {
                    *field = length;
                }
                value
            })
            .collect(),
        "geneve.version_length" => (0..4)
            .flat_map(|version| [0, 1, 0x3f].map(|words| vec![version << 6 | words]))
            .collect(),
        "gre.flags" => words(&[0x8000, 0x4000, 0x2000, 0x1000, 0xb000, 0x0001, 0x0007, 0xffff]),
        "vxlan.flags" => [0x00, 0x04, 0x80, 0xff].map(|flags| vec![flags]).to_vec(),
        _ => Vec::new(),
    }
}
