//! The authentication header (RFC 4302), as a header to step over: nothing here authenticates.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |  Next Header  |  Payload Len  |           Reserved            |
//! +---------------+---------------+-------------------------------+
//! |               Security Parameters Index (SPI)                 |
//! |                     Sequence Number                           |
//! |             Integrity Check Value (variable)                  |
//! +---------------------------------------------------------------+
//! ```
//!
//! Its length counts words of four bytes less two, unlike the other extension headers.

use super::layout::{fields, view};
use super::{Error, Protocol};

/// Bytes before the integrity check value.
pub const FIXED_LEN: usize = 12;
/// Bytes of the longest integrity check value.
pub const MAX_ICV_LEN: usize = 257 * 4 - FIXED_LEN;

mod field {
    use crate::wire::Protocol;
    use crate::wire::layout::At;

    pub(super) const NEXT_HEADER: At<Protocol> = At::new(0);
    pub(super) const PAYLOAD_LEN: At<u8> = At::new(1);
    pub(super) const RESERVED: At<u16> = At::new(2);
    pub(super) const SPI: At<u32> = At::new(4);
    pub(super) const SEQ: At<u32> = At::new(8);
}

view! {
    /// An authentication header and what follows.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// What follows this header.
        next_header, set_next_header: Protocol = field::NEXT_HEADER;
        /// The header's length in words of four bytes, less two.
        payload_len, set_payload_len: u8 = field::PAYLOAD_LEN;
        /// The security association.
        spi, set_spi: u32 = field::SPI;
        /// The sequence number.
        seq, set_seq: u32 = field::SEQ;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.header_len() < FIXED_LEN {
            return Err(Error::Length);
        }
        if self.bytes().len() < self.header_len() {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Bytes of the whole header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        (usize::from(self.payload_len()) + 2) * 4
    }

    /// The integrity check value, padding included.
    #[must_use]
    pub fn icv(&self) -> &[u8] {
        self.span(FIXED_LEN, self.header_len())
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// An authentication header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// What follows this header.
    pub next_header: Protocol,
    /// The security association.
    pub spi: u32,
    /// The sequence number.
    pub seq: u32,
    /// The integrity check value, padded: a multiple of four bytes, at most [`MAX_ICV_LEN`].
    pub icv: &'a [u8],
}

impl<'a> Repr<'a> {
    /// Reads a header.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`].
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        let icv = packet.buffer.as_ref().get(FIXED_LEN..packet.header_len());
        Ok(Self {
            next_header: packet.next_header(),
            spi: packet.spi(),
            seq: packet.seq(),
            icv: icv.ok_or(Error::Truncated)?,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        FIXED_LEN + self.icv.len()
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Length`] for a check value that is too long or
    /// no multiple of four bytes.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if !self.icv.len().is_multiple_of(4) || self.icv.len() > MAX_ICV_LEN {
            return Err(Error::Length);
        }
        let room = packet.room(self.buffer_len())?;
        field::RESERVED.set(room, 0);
        room.get_mut(FIXED_LEN..).unwrap_or_default().copy_from_slice(self.icv);
        packet.set_next_header(self.next_header);
        packet.set_payload_len((self.buffer_len() / 4 - 2) as u8);
        packet.set_spi(self.spi);
        packet.set_seq(self.seq);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
