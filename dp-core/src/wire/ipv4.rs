//! IPv4 (RFC 791) and its options.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+-----------+---+-------------------------------+
//! |Version|  IHL  |   DSCP    |ECN|         Total Length          |
//! +-------+-------+-----------+---+-----+-------------------------+
//! |        Identification         |R D M|     Fragment Offset     |
//! +---------------+---------------+-----+-------------------------+
//! | Time to Live  |   Protocol    |        Header Checksum        |
//! +---------------+---------------+-------------------------------+
//! |                        Source Address                         |
//! |                      Destination Address                      |
//! |                    Options, up to 40 bytes                    |
//! +---------------------------------------------------------------+
//! ```
//!
//! Frames are padded, so bytes behind the total length are no error and no payload; a total length
//! behind the end of the bytes is an error, except in the header that an ICMP error quotes
//! ([`Packet::new_quoted`]). The lengths of options are judged by their iterator, not by the view:
//! a switch forwards what it has no need to look into.

use super::checksum::Sum;
use super::layout::{fields, view};
use super::{Error, Protocol};
use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// Bytes that the options can have together.
pub const MAX_OPTIONS_LEN: usize = MAX_HEADER_LEN - HEADER_LEN;

/// Option kind: record route (RFC 791 section 3.1).
pub const OPTION_RECORD_ROUTE: u8 = 7;
/// Option kind: timestamp (RFC 791 section 3.1).
pub const OPTION_TIMESTAMP: u8 = 68;
/// Option kind: loose source and record route (RFC 791 section 3.1).
pub const OPTION_LOOSE_ROUTE: u8 = 131;
/// Option kind: strict source and record route (RFC 791 section 3.1).
pub const OPTION_STRICT_ROUTE: u8 = 137;
/// Option kind: router alert (RFC 2113).
pub const OPTION_ROUTER_ALERT: u8 = 148;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

mod field {
    use crate::wire::Protocol;
    use crate::wire::layout::{At, Bits};
    use std::net::Ipv4Addr;

    pub(super) const VERSION: Bits<u8> = Bits::in_u8(0, 0xf0);
    pub(super) const IHL: Bits<u8> = Bits::in_u8(0, 0x0f);
    pub(super) const DSCP: Bits<u8> = Bits::in_u8(1, 0xfc);
    pub(super) const ECN: Bits<u8> = Bits::in_u8(1, 0x03);
    pub(super) const TOTAL_LEN: At<u16> = At::new(2);
    pub(super) const IDENT: At<u16> = At::new(4);
    pub(super) const FRAGMENT: At<u16> = At::new(6);
    pub(super) const DONT_FRAGMENT: Bits<bool> = Bits::in_u16(6, 0x4000);
    pub(super) const MORE_FRAGMENTS: Bits<bool> = Bits::in_u16(6, 0x2000);
    pub(super) const FRAGMENT_UNITS: Bits<u16> = Bits::in_u16(6, 0x1fff);
    pub(super) const TTL: At<u8> = At::new(8);
    pub(super) const PROTOCOL: At<Protocol> = At::new(9);
    pub(super) const CHECKSUM: At<u16> = At::new(10);
    pub(super) const SRC: At<Ipv4Addr> = At::new(12);
    pub(super) const DST: At<Ipv4Addr> = At::new(16);
}

view! {
    /// An IPv4 packet.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The version, 4.
        version, set_version: u8 = field::VERSION;
        /// The header's length in words of four bytes.
        ihl, set_ihl: u8 = field::IHL;
        /// The differentiated services code point, 6 bits (RFC 2474).
        dscp, set_dscp: u8 = field::DSCP;
        /// Explicit congestion notification, 2 bits (RFC 3168).
        ecn, set_ecn: u8 = field::ECN;
        /// Bytes of header and payload.
        total_len, set_total_len: u16 = field::TOTAL_LEN;
        /// The identification that fragments of one packet share.
        ident, set_ident: u16 = field::IDENT;
        /// Whether routers must not fragment.
        dont_fragment, set_dont_fragment: bool = field::DONT_FRAGMENT;
        /// Whether another fragment follows this one.
        more_fragments, set_more_fragments: bool = field::MORE_FRAGMENTS;
        /// Where the fragment belongs, in units of eight bytes.
        fragment_units, set_fragment_units: u16 = field::FRAGMENT_UNITS;
        /// The time to live.
        ttl, set_ttl: u8 = field::TTL;
        /// What the payload is.
        protocol, set_protocol: Protocol = field::PROTOCOL;
        /// The checksum of the header.
        checksum, set_checksum: u16 = field::CHECKSUM;
        /// The source address.
        src, set_src: Ipv4Addr = field::SRC;
        /// The destination address.
        dst, set_dst: Ipv4Addr = field::DST;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Views the packet at the start of what an ICMP error quotes, whose payload is usually cut.
    ///
    /// # Errors
    /// As [`Self::new_checked`], but a total length beyond the buffer is none.
    pub fn new_quoted(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_output(buffer)?;
        packet.check_header()?;
        Ok(packet)
    }

    fn check_header(&self) -> Result<(), Error> {
        if self.version() != 4 {
            return Err(Error::Version);
        }
        let (header, total) = (self.header_len(), usize::from(self.total_len()));
        if header < HEADER_LEN || total < header {
            return Err(Error::Length);
        }
        if self.bytes().len() < header {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    fn check_len(&self) -> Result<(), Error> {
        self.check_header()?;
        if self.bytes().len() < usize::from(self.total_len()) {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Bytes before the payload.
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.ihl()) * 4
    }

    /// Where the fragment belongs in the whole payload, in bytes.
    #[must_use]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.fragment_units()) * 8
    }

    /// Whether this is a piece of a packet and not the whole.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.more_fragments() || self.is_later_fragment()
    }

    /// Whether this is a piece without the transport header.
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_units() != 0
    }

    /// Whether the header's checksum is right.
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        Sum::new().with(self.span(0, self.header_len())).is_valid()
    }

    /// The options, one after the other.
    pub fn options(&self) -> OptionIter<'_> {
        OptionIter { rest: self.span(HEADER_LEN, self.header_len()) }
    }

    /// What follows the header, up to the total length.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), self.total_len().into())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes and writes the header's checksum.
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let checksum = Sum::new().with(self.span(0, self.header_len())).finish();
        self.set_checksum(checksum);
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.header_len(), self.total_len().into());
        self.span_mut(start, end)
    }
}

/// One option of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt<'a> {
    /// Padding between options.
    Nop,
    /// Any other.
    Other {
        /// The kind, with the copied flag and class in its upper bits.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

/// The options of a header; ends at the end-of-options mark and after the first error.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<Opt<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (option, rest) = match *self.rest {
            [] | [END_OF_OPTIONS, ..] => return None,
            [NO_OPERATION, ref rest @ ..] => (Ok(Opt::Nop), rest),
            [_] => (Err(Error::Truncated), &[][..]),
            [_, 0 | 1, ..] => (Err(Error::Length), &[][..]),
            [kind, len, ref rest @ ..] => match rest.split_at_checked(usize::from(len) - 2) {
                Some((data, rest)) => (Ok(Opt::Other { kind, data }), rest),
                None => (Err(Error::Truncated), &[][..]),
            },
        };
        self.rest = rest;
        Some(option)
    }
}

/// The option bytes of a header, known to be well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    /// Takes options as they stand on the wire; padding to whole words may be left out.
    ///
    /// # Errors
    /// [`Error::Length`] for more than [`MAX_OPTIONS_LEN`] bytes or an option shorter than its
    /// own head, [`Error::Truncated`] if the last option is not complete.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_OPTIONS_LEN {
            return Err(Error::Length);
        }
        for option in (OptionIter { rest: bytes }) {
            option?;
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The options, one after the other; no error comes.
    #[must_use]
    pub const fn iter(&self) -> OptionIter<'a> {
        OptionIter { rest: self.0 }
    }
}

impl<'a> IntoIterator for &Options<'a> {
    type Item = Result<Opt<'a>, Error>;
    type IntoIter = OptionIter<'a>;

    fn into_iter(self) -> OptionIter<'a> {
        self.iter()
    }
}

/// An IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// The source address.
    pub src: Ipv4Addr,
    /// The destination address.
    pub dst: Ipv4Addr,
    /// What the payload is.
    pub protocol: Protocol,
    /// The time to live.
    pub ttl: u8,
    /// The differentiated services code point, at most 63.
    pub dscp: u8,
    /// Explicit congestion notification, at most 3.
    pub ecn: u8,
    /// The identification that fragments of one packet share.
    pub ident: u16,
    /// Whether routers must not fragment.
    pub dont_fragment: bool,
    /// Whether another fragment follows this one.
    pub more_fragments: bool,
    /// Where the fragment belongs, in units of eight bytes, at most 8191.
    pub fragment_units: u16,
    /// The options.
    pub options: Options<'a>,
    /// Bytes of payload; with the header at most 65,535.
    pub payload_len: u16,
}

impl<'a> Repr<'a> {
    /// Reads a header, the checksum apart.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`] and of the options; [`Error::Length`] for a fragment that
    /// would end behind the greatest packet.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        let header = packet.buffer.as_ref().get(HEADER_LEN..packet.header_len());
        let payload_len = packet.total_len().saturating_sub(packet.header_len() as u16);
        if packet.fragment_offset() + usize::from(payload_len) > usize::from(u16::MAX) {
            return Err(Error::Length);
        }
        Ok(Self {
            src: packet.src(),
            dst: packet.dst(),
            protocol: packet.protocol(),
            ttl: packet.ttl(),
            dscp: packet.dscp(),
            ecn: packet.ecn(),
            ident: packet.ident(),
            dont_fragment: packet.dont_fragment(),
            more_fragments: packet.more_fragments(),
            fragment_units: packet.fragment_units(),
            options: Options::new(header.unwrap_or_default())?,
            payload_len,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.options.0.len().next_multiple_of(4)
    }

    /// Writes the header with its checksum.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for a field out of range;
    /// [`Error::Length`] for too long a payload.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let header_len = self.buffer_len();
        let total_len = u16::try_from(header_len + usize::from(self.payload_len));
        let total_len = total_len.map_err(|_| Error::Length)?;
        if self.dscp > 63 || self.ecn > 3 || self.fragment_units > 0x1fff {
            return Err(Error::Field);
        }
        let room = packet.room(header_len)?;
        field::FRAGMENT.set(room, 0);
        let options = room.get_mut(HEADER_LEN..).unwrap_or_default();
        options.fill(END_OF_OPTIONS);
        for (to, from) in options.iter_mut().zip(self.options.0) {
            *to = *from;
        }
        packet.set_version(4);
        packet.set_ihl((header_len / 4) as u8);
        packet.set_dscp(self.dscp);
        packet.set_ecn(self.ecn);
        packet.set_total_len(total_len);
        packet.set_ident(self.ident);
        packet.set_dont_fragment(self.dont_fragment);
        packet.set_more_fragments(self.more_fragments);
        packet.set_fragment_units(self.fragment_units);
        packet.set_ttl(self.ttl);
        packet.set_protocol(self.protocol);
        packet.set_src(self.src);
        packet.set_dst(self.dst);
        packet.fill_checksum();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
