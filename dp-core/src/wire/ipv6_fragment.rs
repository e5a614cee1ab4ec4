//! The IPv6 fragment header (RFC 8200 section 4.5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------+---+-+
//! |  Next Header  |   Reserved    |     Fragment Offset     |Res|M|
//! +---------------+---------------+-------------------------+---+-+
//! |                         Identification                        |
//! +---------------------------------------------------------------+
//! ```

use super::layout::{fields, view};
use super::{Error, Protocol};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// The greatest offset in units of eight bytes.
pub const MAX_UNITS: u16 = 0x1fff;

mod field {
    use crate::wire::Protocol;
    use crate::wire::layout::{At, Bits};

    pub(super) const NEXT_HEADER: At<Protocol> = At::new(0);
    pub(super) const RESERVED: At<u8> = At::new(1);
    pub(super) const RESERVED_BITS: Bits<u8> = Bits::in_u16(2, 0x0006);
    pub(super) const UNITS: Bits<u16> = Bits::in_u16(2, 0xfff8);
    pub(super) const MORE: Bits<bool> = Bits::in_u16(2, 0x0001);
    pub(super) const IDENT: At<u32> = At::new(4);
}

view! {
    /// A fragment header and the piece behind it.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// What the whole payload begins with; the piece itself only if the offset is zero.
        next_header, set_next_header: Protocol = field::NEXT_HEADER;
        /// Where the piece belongs, in units of eight bytes.
        units, set_units: u16 = field::UNITS;
        /// Whether another piece follows.
        more, set_more: bool = field::MORE;
        /// What the pieces of one packet share.
        ident, set_ident: u32 = field::IDENT;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The header has no lengths in it.
    fn check_len(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The piece.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, usize::MAX)
    }
}

/// A fragment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What the whole payload begins with.
    pub next_header: Protocol,
    /// Where the piece belongs, in units of eight bytes, at most [`MAX_UNITS`].
    pub units: u16,
    /// Whether another piece follows.
    pub more: bool,
    /// What the pieces of one packet share.
    pub ident: u32,
}

impl Repr {
    /// Reads a header; every value of its bits is one.
    ///
    /// # Errors
    /// None as yet.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        Ok(Self {
            next_header: packet.next_header(),
            units: packet.units(),
            more: packet.more(),
            ident: packet.ident(),
        })
    }

    /// Where the piece belongs, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        usize::from(self.units) * 8
    }

    /// Whether the piece is the whole: a packet that was prepared for fragmentation and not
    /// fragmented (RFC 6946).
    #[must_use]
    pub const fn is_atomic(&self) -> bool {
        self.units == 0 && !self.more
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Field`] for an offset out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.units > MAX_UNITS {
            return Err(Error::Field);
        }
        let room = packet.room(HEADER_LEN)?;
        field::RESERVED.set(room, 0);
        field::RESERVED_BITS.set(room, 0);
        packet.set_next_header(self.next_header);
        packet.set_units(self.units);
        packet.set_more(self.more);
        packet.set_ident(self.ident);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
