//! IPv4.

use std::net::Ipv4Addr;

use super::{
    IP_EXPERIMENT, Place, Spelled, checksum, internet_sum, joined, length16, put_checksum,
};

/// An IPv4 header (RFC 791 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Type of service: DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Identification, which joins fragments.
    pub id: u16,
    /// The reserved bit, which is to be zero.
    pub reserved_flag: bool,
    /// Don't fragment.
    pub df: bool,
    /// More fragments.
    pub mf: bool,
    /// Offset of this fragment in units of eight octets, 13 bits.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// The protocol field; `None` is what the next layer is.
    pub protocol: Option<u8>,
    /// Options; padded with zeros to whole words.
    pub options: Vec<u8>,
    /// The version field.
    pub version: u8,
    /// The header length field in words; `None` is the right one.
    pub header_words: Option<u8>,
    /// The total length field; `None` is the right one.
    pub total_length: Option<u16>,
    /// The header checksum field; `None` is the right one.
    pub checksum: Option<u16>,
}

impl Ipv4 {
    /// A header as a host sends it, with time to live 64 and no fragment.
    #[must_use]
    pub fn new(src: impl Spelled<Ipv4Addr>, dst: impl Spelled<Ipv4Addr>) -> Self {
        Self {
            src: src.value(),
            dst: dst.value(),
            tos: 0,
            id: 0,
            reserved_flag: false,
            df: false,
            mf: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: None,
            options: Vec::new(),
            version: 4,
            header_words: None,
            total_length: None,
            checksum: None,
        }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let header_len = 20 + options.len();
        let words = self.header_words.unwrap_or((header_len / 4) as u8);
        let protocol = place.inner.map_or(IP_EXPERIMENT, |_| place.inner_protocol(body));
        let flags = u16::from(self.reserved_flag) << 15
            | u16::from(self.df) << 14
            | u16::from(self.mf) << 13
            | self.fragment_offset & 0x1fff;
        let total = self.total_length.unwrap_or(length16(header_len + body.len()));

        let mut header = vec![self.version << 4 | words & 0x0f, self.tos];
        for field in [total, self.id, flags] {
            header.extend(field.to_be_bytes());
        }
        header.extend([self.ttl, self.protocol.unwrap_or(protocol), 0, 0]);
        header.extend(self.src.octets());
        header.extend(self.dst.octets());
        header.extend(options);
        let right = checksum::finish(internet_sum(0, &header));
        put_checksum(&mut header, 10, self.checksum.unwrap_or(right));
        joined(header, body)
    }
}
