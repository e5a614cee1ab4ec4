//! SCTP (RFC 9260): the common header and the chunks behind it.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          Source Port          |       Destination Port        |
//! +-------------------------------+-------------------------------+
//! |                       Verification Tag                        |
//! |                    Checksum (CRC32c)                          |
//! +---------------+---------------+-------------------------------+
//! |  Chunk Type   |  Chunk Flags  |         Chunk Length          |
//! +---------------+---------------+-------------------------------+
//! |                   Value, padded to four bytes                 |
//! +---------------------------------------------------------------+
//! ```
//!
//! The checksum covers the SCTP packet alone, without a pseudo header: translating addresses
//! leaves it right, translating ports needs it anew.

use super::Error;
use super::checksum::Crc32c;
use super::layout::{codes, fields, view};

/// Bytes of the common header.
pub const HEADER_LEN: usize = 12;
/// Bytes before the value of a chunk.
pub const CHUNK_HEADER_LEN: usize = 4;

codes! {
    /// What a chunk is.
    ChunkType(u8) {
        /// User data.
        DATA = 0;
        /// Opens an association.
        INIT = 1;
        /// Answers it, with a cookie.
        INIT_ACK = 2;
        /// Selective acknowledgment.
        SACK = 3;
        /// Asks whether the peer is there.
        HEARTBEAT = 4;
        /// It is.
        HEARTBEAT_ACK = 5;
        /// Ends the association at once.
        ABORT = 6;
        /// Begins to end the association.
        SHUTDOWN = 7;
        /// Agrees.
        SHUTDOWN_ACK = 8;
        /// Reports an error.
        ERROR = 9;
        /// Returns the cookie.
        COOKIE_ECHO = 10;
        /// The association stands.
        COOKIE_ACK = 11;
        /// The association is gone.
        SHUTDOWN_COMPLETE = 14;
    }
}

mod field {
    use crate::wire::layout::At;

    pub(super) const SRC_PORT: At<u16> = At::new(0);
    pub(super) const DST_PORT: At<u16> = At::new(2);
    pub(super) const TAG: At<u32> = At::new(4);
    pub(super) const CHECKSUM: At<[u8; 4]> = At::new(8);
}

view! {
    /// An SCTP packet.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The source port.
        src_port, set_src_port: u16 = field::SRC_PORT;
        /// The destination port.
        dst_port, set_dst_port: u16 = field::DST_PORT;
        /// The verification tag, chosen by the receiver.
        tag, set_tag: u32 = field::TAG;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The common header has no lengths in it; those of the chunks are their iterator's.
    fn check_len(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The CRC32c as a number; the wire has its lowest byte first.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        u32::from_le_bytes(field::CHECKSUM.get(self.bytes()))
    }

    /// Whether the checksum is right.
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        self.crc() == self.checksum()
    }

    /// The chunks, one after the other.
    pub fn chunks(&self) -> ChunkIter<'_> {
        ChunkIter { rest: self.payload() }
    }

    /// The chunks as bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, usize::MAX)
    }

    fn crc(&self) -> u32 {
        Crc32c::new().with(self.span(0, 8)).with(&[0; 4]).with(self.payload()).finish()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Writes the CRC32c.
    pub fn set_checksum(&mut self, checksum: u32) {
        field::CHECKSUM.set(self.bytes_mut(), checksum.to_le_bytes());
    }

    /// Computes and writes the CRC32c, once the chunks are in place.
    pub fn fill_checksum(&mut self) {
        let crc = self.crc();
        self.set_checksum(crc);
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.span_mut(HEADER_LEN, usize::MAX)
    }
}

/// One chunk of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// What the chunk is.
    pub kind: ChunkType,
    /// Flags, by the type.
    pub flags: u8,
    /// The value, without padding.
    pub value: &'a [u8],
}

/// The chunks of a packet; ends after the first error.
#[derive(Clone, Debug)]
pub struct ChunkIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ChunkIter<'a> {
    type Item = Result<Chunk<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let [kind, flags, high, low, ..] = *rest else {
            return if rest.is_empty() { None } else { Some(Err(Error::Truncated)) };
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < CHUNK_HEADER_LEN {
            return Some(Err(Error::Length));
        }
        let Some(value) = rest.get(CHUNK_HEADER_LEN..len) else {
            return Some(Err(Error::Truncated));
        };
        // The last chunk may come without its padding.
        self.rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Chunk { kind: ChunkType(kind), flags, value }))
    }
}

/// An SCTP common header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The source port, not zero.
    pub src_port: u16,
    /// The destination port, not zero.
    pub dst_port: u16,
    /// The verification tag.
    pub tag: u32,
}

impl Repr {
    /// Reads a header, the checksum apart.
    ///
    /// # Errors
    /// [`Error::Field`] for a port of zero (RFC 9260 section 3.1).
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        let repr =
            Self { src_port: packet.src_port(), dst_port: packet.dst_port(), tag: packet.tag() };
        repr.check()
    }

    fn check(self) -> Result<Self, Error> {
        if self.src_port == 0 || self.dst_port == 0 { Err(Error::Field) } else { Ok(self) }
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header, without checksum: see [`Packet::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Field`] for a port of zero.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        self.check()?;
        packet.set_src_port(self.src_port);
        packet.set_dst_port(self.dst_port);
        packet.set_tag(self.tag);
        packet.set_checksum(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
