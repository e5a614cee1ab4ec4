//! The network service header (RFC 8300).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---+-+-+-----------+-----------+-------+-------+---------------+
//! |Ver|O|U|    TTL    |   Length  |U|U|U|U|MD Type| Next Protocol |
//! +---+-+-+-----------+-----------+-------+-------+---------------+
//! |          Service Path Identifier              | Service Index |
//! +-----------------------------------------------+---------------+
//! |   MD type 1: four context words    MD type 2: TLVs or nothing |
//! +---------------------------------------------------------------+
//! ```

use super::Error;
use super::layout::{Value, codes, fields, view};

/// Bytes before the metadata.
pub const FIXED_LEN: usize = 8;
/// Bytes of a header with metadata of type 1.
pub const MD1_LEN: usize = 24;
/// Bytes of the longest header.
pub const MAX_LEN: usize = 63 * 4;
/// The greatest time to live.
pub const MAX_TTL: u8 = 63;
/// The greatest service path identifier.
pub const MAX_PATH: u32 = 0xff_ffff;

const TLV_HEADER_LEN: usize = 4;

codes! {
    /// What form the metadata have.
    MetadataType(u8) {
        /// Four words of context.
        FIXED = 1;
        /// Type, length and value; perhaps none.
        VARIABLE = 2;
    }
}

codes! {
    /// What the payload is.
    NextProtocol(u8) {
        /// IPv4.
        IPV4 = 1;
        /// IPv6.
        IPV6 = 2;
        /// Ethernet.
        ETHERNET = 3;
        /// Another NSH.
        NSH = 4;
        /// MPLS.
        MPLS = 5;
    }
}

mod field {
    use super::NextProtocol;
    use crate::wire::layout::{At, Bits};

    pub(super) const FIRST_WORD: At<u32> = At::new(0);
    pub(super) const VERSION: Bits<u8> = Bits::in_u8(0, 0xc0);
    pub(super) const OAM: Bits<bool> = Bits::in_u8(0, 0x20);
    pub(super) const TTL: Bits<u8> = Bits::in_u16(0, 0x0fc0);
    pub(super) const LENGTH: Bits<u8> = Bits::in_u16(0, 0x003f);
    pub(super) const MD_TYPE: Bits<u8> = Bits::in_u8(2, 0x0f);
    pub(super) const NEXT: At<NextProtocol> = At::new(3);
    pub(super) const PATH: Bits<u32> = Bits::in_u32(4, 0xffff_ff00);
    pub(super) const INDEX: At<u8> = At::new(7);
    pub(super) const CONTEXT: [At<u32>; 4] = [At::new(8), At::new(12), At::new(16), At::new(20)];
}

view! {
    /// A network service header and what it carries.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// The version, 0.
        version, set_version: u8 = field::VERSION;
        /// Whether this is a packet of operations, administration and maintenance.
        is_oam, set_is_oam: bool = field::OAM;
        /// How many more service hops the packet may take, 6 bits.
        ttl, set_ttl: u8 = field::TTL;
        /// The header's length in words of four bytes.
        length, set_length: u8 = field::LENGTH;
        /// The form of the metadata, 4 bits: see [`MetadataType`].
        md_type, set_md_type: u8 = field::MD_TYPE;
        /// What the payload is.
        next_protocol, set_next_protocol: NextProtocol = field::NEXT;
        /// The service path identifier, 24 bits.
        path, set_path: u32 = field::PATH;
        /// Where on its path the packet is.
        index, set_index: u8 = field::INDEX;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.version() != 0 {
            return Err(Error::Version);
        }
        // Section 2.2: six words for type 1, two or more for type 2.
        let legal = match MetadataType(self.md_type()) {
            MetadataType::FIXED => self.header_len() == MD1_LEN,
            _ => self.header_len() >= FIXED_LEN,
        };
        if !legal {
            return Err(Error::Length);
        }
        if self.bytes().len() < self.header_len() { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Bytes of the whole header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.length()) * 4
    }

    /// The metadata as bytes.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.span(FIXED_LEN, self.header_len())
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// One piece of metadata of type 2 (section 2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Who defines the type.
    pub class: u16,
    /// The type.
    pub kind: u8,
    /// The value, without padding.
    pub value: &'a [u8],
}

/// The metadata of type 2; ends after the first error.
#[derive(Clone, Debug)]
pub struct TlvIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TlvIter<'a> {
    type Item = Result<Tlv<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let [high, low, kind, len, ..] = *rest else {
            return if rest.is_empty() { None } else { Some(Err(Error::Truncated)) };
        };
        let end = TLV_HEADER_LEN + usize::from(len & 0x7f);
        let whole = rest.split_at_checked(end.next_multiple_of(4));
        let value = rest.get(TLV_HEADER_LEN..end);
        let (Some((_, rest)), Some(value)) = (whole, value) else {
            return Some(Err(Error::Truncated));
        };
        self.rest = rest;
        Some(Ok(Tlv { class: u16::from_be_bytes([high, low]), kind, value }))
    }
}

/// Metadata of type 2, known to be well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// No metadata.
    pub const NONE: Self = Self(&[]);

    /// Takes metadata as they stand on the wire, padded.
    ///
    /// # Errors
    /// [`Error::Length`] for more than a header holds; [`Error::Truncated`] if the last piece is
    /// not complete.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_LEN - FIXED_LEN {
            return Err(Error::Length);
        }
        for tlv in (TlvIter { rest: bytes }) {
            tlv?;
        }
        Ok(Self(bytes))
    }

    /// The pieces, one after the other; no error comes.
    #[must_use]
    pub const fn iter(&self) -> TlvIter<'a> {
        TlvIter { rest: self.0 }
    }
}

impl<'a> IntoIterator for &Tlvs<'a> {
    type Item = Result<Tlv<'a>, Error>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        self.iter()
    }
}

/// The metadata of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata<'a> {
    /// Type 1: four words.
    Fixed([u32; 4]),
    /// Type 2.
    Variable(Tlvs<'a>),
}

/// A network service header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// Whether this is a packet of operations, administration and maintenance.
    pub oam: bool,
    /// How many more service hops the packet may take, at most [`MAX_TTL`].
    pub ttl: u8,
    /// What the payload is.
    pub next_protocol: NextProtocol,
    /// The service path identifier, at most [`MAX_PATH`].
    pub path: u32,
    /// Where on its path the packet is.
    pub index: u8,
    /// The metadata.
    pub metadata: Metadata<'a>,
}

impl<'a> Repr<'a> {
    /// Reads a header.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`] and of the metadata; [`Error::Field`] for another type of
    /// metadata.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        let metadata = match MetadataType(packet.md_type()) {
            MetadataType::FIXED => {
                Metadata::Fixed(field::CONTEXT.map(|word| word.get(packet.bytes())))
            }
            MetadataType::VARIABLE => {
                let bytes = packet.buffer.as_ref().get(FIXED_LEN..packet.header_len());
                Metadata::Variable(Tlvs::new(bytes.unwrap_or_default())?)
            }
            _ => return Err(Error::Field),
        };
        Ok(Self {
            oam: packet.is_oam(),
            ttl: packet.ttl(),
            next_protocol: packet.next_protocol(),
            path: packet.path(),
            index: packet.index(),
            metadata,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        match self.metadata {
            Metadata::Fixed(_) => MD1_LEN,
            Metadata::Variable(tlvs) => FIXED_LEN + tlvs.0.len(),
        }
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for a time to live or path out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.ttl > MAX_TTL || self.path > MAX_PATH {
            return Err(Error::Field);
        }
        let len = self.buffer_len();
        let room = packet.room(len)?;
        field::FIRST_WORD.set(room, 0);
        let md_type = match self.metadata {
            Metadata::Fixed(words) => {
                for (at, word) in field::CONTEXT.into_iter().zip(words) {
                    at.set(room, word);
                }
                MetadataType::FIXED
            }
            Metadata::Variable(tlvs) => {
                room.get_mut(FIXED_LEN..).unwrap_or_default().copy_from_slice(tlvs.0);
                MetadataType::VARIABLE
            }
        };
        packet.set_is_oam(self.oam);
        packet.set_ttl(self.ttl);
        packet.set_length((len / 4) as u8);
        packet.set_md_type(md_type.0);
        packet.set_next_protocol(self.next_protocol);
        packet.set_path(self.path);
        packet.set_index(self.index);
        Ok(())
    }
}

impl Tlv<'_> {
    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        TLV_HEADER_LEN + self.value.len().next_multiple_of(4)
    }

    /// Writes one piece of metadata, padded, to the start of `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Length`] for a value of more than 127 bytes.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), Error> {
        if self.value.len() > 0x7f {
            return Err(Error::Length);
        }
        let room = bytes.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        room.fill(0);
        let [high, low] = self.class.to_be_bytes();
        [high, low, self.kind, self.value.len() as u8].write(room);
        for (to, from) in room.iter_mut().skip(TLV_HEADER_LEN).zip(self.value) {
            *to = *from;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
