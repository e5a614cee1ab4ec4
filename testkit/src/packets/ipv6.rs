//! IPv6 and its extension headers.

use std::net::Ipv6Addr;

use super::{Place, Spelled, joined, length16};

/// An IPv6 header (RFC 8200 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source.
    pub src: Ipv6Addr,
    /// Destination of this hop: the next segment where a routing header follows.
    pub dst: Ipv6Addr,
    /// Traffic class: DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// The next header field; `None` is what the next layer is.
    pub next_header: Option<u8>,
    /// The version field.
    pub version: u8,
    /// The payload length field; `None` is the right one.
    pub payload_length: Option<u16>,
}

impl Ipv6 {
    /// A header with hop limit 64 and no flow label.
    #[must_use]
    pub fn new(src: impl Spelled<Ipv6Addr>, dst: impl Spelled<Ipv6Addr>) -> Self {
        Self {
            src: src.value(),
            dst: dst.value(),
            traffic_class: 0,
            flow_label: 0,
            hop_limit: 64,
            next_header: None,
            version: 6,
            payload_length: None,
        }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let first = u32::from(self.version & 0x0f) << 28
            | u32::from(self.traffic_class) << 20
            | self.flow_label & 0xf_ffff;
        let mut octets = first.to_be_bytes().to_vec();
        octets.extend(self.payload_length.unwrap_or(length16(body.len())).to_be_bytes());
        octets.push(self.next_header.unwrap_or(place.inner_protocol(body)));
        octets.push(self.hop_limit);
        octets.extend(self.src.octets());
        octets.extend(self.dst.octets());
        joined(octets, body)
    }
}

/// An IPv6 extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options (RFC 8200 §4.3), type-length-value octets; padded with zeros (Pad1) to
    /// whole eight octets.
    HopByHop(Vec<u8>),
    /// Destination options (RFC 8200 §4.6), as above.
    Destination(Vec<u8>),
    /// A segment routing header (RFC 8754 §2).
    SegmentRouting {
        /// Segments in the order of travel; the header holds them the other way round.
        segments: Vec<Ipv6Addr>,
        /// Segments still to visit.
        left: u8,
    },
    /// A fragment header (RFC 8200 §4.5).
    Fragment {
        /// Offset of this fragment in units of eight octets, 13 bits.
        offset: u16,
        /// More fragments.
        more: bool,
        /// Identification, which joins fragments.
        id: u32,
    },
    /// An authentication header (RFC 4302 §2); padded with zeros to whole eight octets.
    Authentication {
        /// Security parameters index.
        spi: u32,
        /// Sequence number.
        sequence: u32,
        /// Integrity check value.
        icv: Vec<u8>,
    },
    /// Any header of the common form: next header, length, then `data`.
    Raw {
        /// The protocol number that announces it.
        protocol: u8,
        /// The length octet as it is to stand.
        length: u8,
        /// What follows the length octet.
        data: Vec<u8>,
    },
}

impl Extension {
    pub(super) fn protocol(&self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::SegmentRouting { .. } => 43,
            Self::Fragment { .. } => 44,
            Self::Authentication { .. } => 51,
            Self::Destination(_) => 60,
            Self::Raw { protocol, .. } => *protocol,
        }
    }

    /// Where the packet ends up, if this header says so and it is not there yet.
    pub(super) fn final_destination(&self) -> Option<Ipv6Addr> {
        match self {
            Self::SegmentRouting { segments, left } if *left > 0 => segments.last().copied(),
            _ => None,
        }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let mut octets = vec![place.inner_protocol(body), 0];
        match self {
            Self::HopByHop(options) | Self::Destination(options) => {
                octets.extend(options);
                pad_to_eights(&mut octets);
                set_length(&mut octets, |len| len / 8 - 1);
            }
            Self::SegmentRouting { segments, left } => {
                let last = segments.len().saturating_sub(1) as u8;
                octets.extend([4, *left, last, 0, 0, 0]);
                octets.extend(segments.iter().rev().flat_map(Ipv6Addr::octets));
                set_length(&mut octets, |len| len / 8 - 1);
            }
            Self::Fragment { offset, more, id } => {
                octets.extend((offset << 3 | u16::from(*more)).to_be_bytes());
                octets.extend(id.to_be_bytes());
            }
            Self::Authentication { spi, sequence, icv } => {
                octets.extend([0, 0]);
                octets.extend(spi.to_be_bytes());
                octets.extend(sequence.to_be_bytes());
                octets.extend(icv);
                pad_to_eights(&mut octets);
                set_length(&mut octets, |len| len / 4 - 2);
            }
            Self::Raw { length, data, .. } => {
                set_length(&mut octets, |_| usize::from(*length));
                octets.extend(data);
            }
        }
        joined(octets, body)
    }
}

fn pad_to_eights(octets: &mut Vec<u8>) {
    octets.resize(octets.len().next_multiple_of(8), 0);
}

fn set_length(octets: &mut [u8], rule: impl Fn(usize) -> usize) {
    let length = rule(octets.len()) as u8;
    if let Some(field) = octets.get_mut(1) {
        *field = length;
    }
}
