//! GTP-U, version 1 (3GPP TS 29.281), and its extension headers.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+-+-+-+-+-+---------------+-------------------------------+
//! | Ver |T| |E|S|N|  Message Type |            Length             |
//! +-----+-+-+-+-+-+---------------+-------------------------------+
//! |              Tunnel Endpoint Identifier (TEID)                |
//! +-------------------------------+---------------+---------------+
//! |  Sequence Number (if S)       | N-PDU (if N)  | Next Ext (E)  |  if any of E, S, N
//! +---------------+---------------+---------------+---------------+
//! | Length * 4    |          Content              | Next Ext      |  repeated
//! +---------------+-------------------------------+---------------+
//! ```
//!
//! The view begins behind UDP. The length counts what follows the first eight bytes. The chain of
//! extension headers is walked once by the constructor and is bounded.

use super::Error;
use super::layout::{codes, fields, view};

/// Bytes of a header without sequence number, N-PDU number and extensions; the length field counts
/// from here.
pub const FIXED_LEN: usize = 8;
/// Bytes of a header with any of them, extensions apart.
pub const LONG_LEN: usize = 12;
/// How many extension headers are walked.
pub const MAX_EXTENSIONS: usize = 8;

codes! {
    /// What a message is.
    MessageType(u8) {
        /// Echo request.
        ECHO_REQUEST = 1;
        /// Echo response.
        ECHO_RESPONSE = 2;
        /// The tunnel is not known here.
        ERROR_INDICATION = 26;
        /// Which extension headers are supported.
        SUPPORTED_EXTENSIONS = 31;
        /// No more packets come by this tunnel.
        END_MARKER = 254;
        /// A packet of the user.
        G_PDU = 255;
    }
}

codes! {
    /// What an extension header is.
    ExtensionType(u8) {
        /// No further one.
        NONE = 0;
        /// Service class indicator.
        SERVICE_CLASS = 0x20;
        /// UDP port of the triggering message.
        UDP_PORT = 0x40;
        /// Radio access network container.
        RAN_CONTAINER = 0x81;
        /// New radio container.
        NR_RAN_CONTAINER = 0x84;
        /// PDU session container (3GPP TS 38.415).
        PDU_SESSION = 0x85;
        /// PDCP PDU number.
        PDCP_NUMBER = 0xc0;
    }
}

mod field {
    use super::{ExtensionType, MessageType};
    use crate::wire::layout::{At, Bits};

    pub(super) const FLAGS: At<u8> = At::new(0);
    pub(super) const VERSION: Bits<u8> = Bits::in_u8(0, 0xe0);
    pub(super) const PROTOCOL_TYPE: Bits<bool> = Bits::in_u8(0, 0x10);
    pub(super) const HAS_EXTENSIONS: Bits<bool> = Bits::in_u8(0, 0x04);
    pub(super) const HAS_SEQ: Bits<bool> = Bits::in_u8(0, 0x02);
    pub(super) const HAS_NPDU: Bits<bool> = Bits::in_u8(0, 0x01);
    pub(super) const MESSAGE_TYPE: At<MessageType> = At::new(1);
    pub(super) const LENGTH: At<u16> = At::new(2);
    pub(super) const TEID: At<u32> = At::new(4);
    pub(super) const SEQ: At<u16> = At::new(8);
    pub(super) const NPDU: At<u8> = At::new(10);
    pub(super) const NEXT: At<ExtensionType> = At::new(11);
}

view! {
    /// A GTP-U message.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// The first byte: version, protocol type and the three flags.
        flags, set_flags: u8 = field::FLAGS;
        /// The version, 1.
        version, set_version: u8 = field::VERSION;
        /// Whether this is GTP and not GTP'.
        is_gtp, set_is_gtp: bool = field::PROTOCOL_TYPE;
        /// Whether the type of an extension header counts (E).
        has_extensions, set_has_extensions: bool = field::HAS_EXTENSIONS;
        /// Whether the sequence number counts (S).
        has_seq, set_has_seq: bool = field::HAS_SEQ;
        /// Whether the N-PDU number counts (PN).
        has_npdu, set_has_npdu: bool = field::HAS_NPDU;
        /// What the message is.
        message_type, set_message_type: MessageType = field::MESSAGE_TYPE;
        /// Bytes behind the first eight.
        length, set_length: u16 = field::LENGTH;
        /// The tunnel, as its receiver numbers it.
        teid, set_teid: u32 = field::TEID;
        /// In a long header: the sequence number.
        raw_seq, set_raw_seq: u16 = field::SEQ;
        /// In a long header: the N-PDU number.
        raw_npdu, set_raw_npdu: u8 = field::NPDU;
        /// In a long header: the type of the first extension header.
        raw_next, set_raw_next: ExtensionType = field::NEXT;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.version() != 1 || !self.is_gtp() {
            return Err(Error::Version);
        }
        if self.bytes().len() < self.end() {
            return Err(Error::Truncated);
        }
        if self.end() < self.fixed_len() {
            return Err(Error::Length);
        }
        for extension in self.extensions() {
            extension?;
        }
        Ok(())
    }

    /// Bytes before the payload, extension headers included.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.extensions().flatten().fold(self.fixed_len(), |len, it| len + it.content.len() + 2)
    }

    /// The extension headers, one after the other.
    pub fn extensions(&self) -> ExtensionIter<'_> {
        let next = if self.has_extensions() { self.raw_next() } else { ExtensionType::NONE };
        ExtensionIter { next, rest: self.span(LONG_LEN, self.end()), left: MAX_EXTENSIONS }
    }

    /// What follows the header, up to the length.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), self.end())
    }

    fn is_long(&self) -> bool {
        self.has_extensions() || self.has_seq() || self.has_npdu()
    }

    fn fixed_len(&self) -> usize {
        if self.is_long() { LONG_LEN } else { FIXED_LEN }
    }

    fn end(&self) -> usize {
        FIXED_LEN + usize::from(self.length())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.header_len(), self.end());
        self.span_mut(start, end)
    }
}

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is.
    pub kind: ExtensionType,
    /// What stands between its length and the type of the next one.
    pub content: &'a [u8],
}

/// The extension headers of a message; ends after the first error.
#[derive(Clone, Debug)]
pub struct ExtensionIter<'a> {
    next: ExtensionType,
    rest: &'a [u8],
    left: usize,
}

impl<'a> ExtensionIter<'a> {
    fn step(&mut self) -> Result<Extension<'a>, Error> {
        self.left = self.left.checked_sub(1).ok_or(Error::TooMany)?;
        let [words, ..] = *self.rest else { return Err(Error::Truncated) };
        let len = usize::from(words) * 4;
        let (extension, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        let [_, content @ .., next] = extension else { return Err(Error::Length) };
        let kind = std::mem::replace(&mut self.next, ExtensionType(*next));
        self.rest = rest;
        Ok(Extension { kind, content })
    }
}

impl<'a> Iterator for ExtensionIter<'a> {
    type Item = Result<Extension<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == ExtensionType::NONE {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.next = ExtensionType::NONE;
        }
        Some(step)
    }
}

/// The chain of extension headers, known to be well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    first: ExtensionType,
    bytes: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// No extension header.
    pub const NONE: Self = Self { first: ExtensionType::NONE, bytes: &[] };

    /// Takes the type of the first extension header and all of them as they stand on the wire.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the last is not complete, [`Error::Length`] if one has no length or
    /// if bytes are left, [`Error::TooMany`] behind [`MAX_EXTENSIONS`].
    pub fn new(first: ExtensionType, bytes: &'a [u8]) -> Result<Self, Error> {
        let mut walk = ExtensionIter { next: first, rest: bytes, left: MAX_EXTENSIONS };
        for extension in walk.by_ref() {
            extension?;
        }
        if walk.rest.is_empty() { Ok(Self { first, bytes }) } else { Err(Error::Length) }
    }

    /// The extension headers, one after the other; no error comes.
    #[must_use]
    pub const fn iter(&self) -> ExtensionIter<'a> {
        ExtensionIter { next: self.first, rest: self.bytes, left: MAX_EXTENSIONS }
    }
}

impl<'a> IntoIterator for &Extensions<'a> {
    type Item = Result<Extension<'a>, Error>;
    type IntoIter = ExtensionIter<'a>;

    fn into_iter(self) -> ExtensionIter<'a> {
        self.iter()
    }
}

/// A GTP-U header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// What the message is.
    pub message_type: MessageType,
    /// The tunnel, as its receiver numbers it.
    pub teid: u32,
    /// The sequence number, if there is one.
    pub seq: Option<u16>,
    /// The N-PDU number, if there is one.
    pub npdu: Option<u8>,
    /// The extension headers.
    pub extensions: Extensions<'a>,
    /// Bytes of payload; with what precedes it behind the first eight bytes at most 65,535.
    pub payload_len: u16,
}

impl<'a> Repr<'a> {
    /// Reads a header.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`].
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        let header_len = packet.header_len();
        let extensions = if packet.has_extensions() {
            let bytes = packet.buffer.as_ref().get(LONG_LEN..header_len);
            Extensions::new(packet.raw_next(), bytes.unwrap_or_default())?
        } else {
            Extensions::NONE
        };
        let payload_len = packet.end().checked_sub(header_len).ok_or(Error::Length)?;
        Ok(Self {
            message_type: packet.message_type(),
            teid: packet.teid(),
            seq: packet.has_seq().then(|| packet.raw_seq()),
            npdu: packet.has_npdu().then(|| packet.raw_npdu()),
            extensions,
            payload_len: payload_len as u16,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        let long = self.seq.is_some() || self.npdu.is_some() || self.extensions.first.0 != 0;
        if long { LONG_LEN + self.extensions.bytes.len() } else { FIXED_LEN }
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Length`] for too long a payload.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let header_len = self.buffer_len();
        let length = u16::try_from(header_len - FIXED_LEN + usize::from(self.payload_len));
        let length = length.map_err(|_| Error::Length)?;
        let room = packet.room(header_len)?;
        room.fill(0);
        if let Some(extensions) = room.get_mut(LONG_LEN..) {
            extensions.copy_from_slice(self.extensions.bytes);
        }
        packet.set_version(1);
        packet.set_is_gtp(true);
        packet.set_message_type(self.message_type);
        packet.set_length(length);
        packet.set_teid(self.teid);
        if let Some(seq) = self.seq {
            packet.set_has_seq(true);
            packet.set_raw_seq(seq);
        }
        if let Some(npdu) = self.npdu {
            packet.set_has_npdu(true);
            packet.set_raw_npdu(npdu);
        }
        if self.extensions.first != ExtensionType::NONE {
            packet.set_has_extensions(true);
            packet.set_raw_next(self.extensions.first);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
