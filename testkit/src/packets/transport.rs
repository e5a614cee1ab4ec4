//! UDP, TCP and SCTP.

use super::{Place, checksum, crc32c, internet_sum, joined, length16, put_checksum};

/// A UDP header (RFC 768).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// The length field; `None` is the right one.
    pub length: Option<u16>,
    /// The checksum field; `None` is the right one, `Some(0)` says that there is none.
    pub checksum: Option<u16>,
}

impl Udp {
    /// A header between two ports.
    #[must_use]
    pub fn new(src: u16, dst: u16) -> Self {
        Self { src, dst, length: None, checksum: None }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let len = 8 + body.len();
        let mut octets = Vec::with_capacity(len);
        for field in [self.src, self.dst, self.length.unwrap_or(length16(len)), 0] {
            octets.extend(field.to_be_bytes());
        }
        octets.extend(body);
        // A sum that comes to zero is sent as all ones, since zero says that there is none.
        let right = match pseudo_checksum(place, 17, &octets) {
            0 => 0xffff,
            sum => sum,
        };
        put_checksum(&mut octets, 6, self.checksum.unwrap_or(right));
        octets
    }
}

/// A TCP header (RFC 9293 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// The control bits of [`tcp_flags`], 12 bits with the reserved ones.
    pub flags: u16,
    /// Window, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; padded with end-of-list to whole words.
    pub options: Vec<TcpOption>,
    /// The data offset field in words; `None` is the right one.
    pub header_words: Option<u8>,
    /// The checksum field; `None` is the right one.
    pub checksum: Option<u16>,
}

impl Tcp {
    /// A bare acknowledgment between two ports.
    #[must_use]
    pub fn new(src: u16, dst: u16) -> Self {
        Self {
            src,
            dst,
            sequence: 0,
            acknowledgment: 0,
            flags: tcp_flags::ACK,
            window: 65_535,
            urgent: 0,
            options: Vec::new(),
            header_words: None,
            checksum: None,
        }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let mut options: Vec<u8> = self.options.iter().flat_map(TcpOption::octets).collect();
        options.resize(options.len().next_multiple_of(4), 0);
        let words = self.header_words.unwrap_or(((20 + options.len()) / 4) as u8);

        let mut octets = [self.src.to_be_bytes(), self.dst.to_be_bytes()].concat();
        octets.extend(self.sequence.to_be_bytes());
        octets.extend(self.acknowledgment.to_be_bytes());
        octets.extend((u16::from(words) << 12 | self.flags & 0x0fff).to_be_bytes());
        for field in [self.window, 0, self.urgent] {
            octets.extend(field.to_be_bytes());
        }
        octets.extend(options);
        octets.extend(body);
        let right = pseudo_checksum(place, 6, &octets);
        put_checksum(&mut octets, 16, self.checksum.unwrap_or(right));
        octets
    }
}

/// The control bits of a TCP header.
#[expect(missing_docs, reason = "the names of RFC 9293 §3.1")]
pub mod tcp_flags {
    pub const FIN: u16 = 0x001;
    pub const SYN: u16 = 0x002;
    pub const RST: u16 = 0x004;
    pub const PSH: u16 = 0x008;
    pub const ACK: u16 = 0x010;
    pub const URG: u16 = 0x020;
    pub const ECE: u16 = 0x040;
    pub const CWR: u16 = 0x080;
}

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// No operation, one octet.
    Nop,
    /// Maximum segment size in octets (RFC 9293 §3.7.1).
    MaximumSegmentSize(u16),
    /// Window scale as a shift count (RFC 7323 §2).
    WindowScale(u8),
    /// Selective acknowledgments are understood (RFC 2018 §2).
    SackPermitted,
    /// Time stamp value and echo (RFC 7323 §3).
    Timestamps(u32, u32),
    /// Octets as they are.
    Raw(Vec<u8>),
}

impl TcpOption {
    fn octets(&self) -> Vec<u8> {
        match self {
            Self::Nop => vec![1],
            Self::MaximumSegmentSize(size) => joined(vec![2, 4], &size.to_be_bytes()),
            Self::WindowScale(shift) => vec![3, 3, *shift],
            Self::SackPermitted => vec![4, 2],
            Self::Timestamps(value, echo) => {
                joined(joined(vec![8, 10], &value.to_be_bytes()), &echo.to_be_bytes())
            }
            Self::Raw(octets) => octets.clone(),
        }
    }
}

/// An SCTP common header (RFC 9260 §3.1); its chunks are the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sctp {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Verification tag.
    pub tag: u32,
    /// The checksum field; `None` is the right one.
    pub checksum: Option<u32>,
}

impl Sctp {
    /// A header between two ports.
    #[must_use]
    pub fn new(src: u16, dst: u16) -> Self {
        Self { src, dst, tag: 0x0102_0304, checksum: None }
    }

    /// The octets of one chunk, for the payload: padded to whole words (RFC 9260 §3.2).
    #[must_use]
    pub fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
        let mut octets = vec![kind, flags];
        octets.extend(length16(4 + value.len()).to_be_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut octets = [self.src.to_be_bytes(), self.dst.to_be_bytes()].concat();
        octets.extend(self.tag.to_be_bytes());
        octets.extend([0; 4]);
        octets.extend(body);
        let right = crc32c(&octets);
        // The field alone is sent with its least significant octet first (RFC 9260 appendix A).
        if let Some(field) = octets.get_mut(8..12) {
            field.copy_from_slice(&self.checksum.unwrap_or(right).to_le_bytes());
        }
        octets
    }
}

/// The checksum over `segment` and the pseudo-header around; over the segment alone where there is
/// no network layer.
pub(super) fn pseudo_checksum(place: &Place<'_>, protocol: u8, segment: &[u8]) -> u16 {
    let pseudo = place.pseudo_sum(protocol, segment.len()).unwrap_or(0);
    checksum::finish(internet_sum(pseudo, segment))
}
