//! A VLAN tag: what stands behind the Ethertype 0x8100 (802.1Q) or 0x88a8 (802.1ad).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-----+-+-----------------------+-------------------------------+
//! | PCP |D|          VID          |   type or length of what is   |
//! |     |E|                       |            inside             |
//! +-----+-+-----------------------+-------------------------------+
//! ```
//!
//! The view begins at the tag control information, so that it is the payload of the header
//! before it, be that Ethernet or another tag.

use super::Error;
use super::ethernet::{Encoding, EtherType};
use super::layout::{fields, view};

/// Bytes of the control information and the type behind it.
pub const HEADER_LEN: usize = 4;
/// The greatest VLAN identifier that a frame may carry; 0xfff is reserved.
pub const MAX_VID: u16 = 0xffe;
/// The identifier of a tag that carries only a priority.
pub const PRIORITY_VID: u16 = 0;

mod field {
    use crate::wire::layout::{At, Bits};

    pub(super) const TCI: At<u16> = At::new(0);
    pub(super) const PCP: Bits<u8> = Bits::in_u16(0, 0xe000);
    pub(super) const DEI: Bits<bool> = Bits::in_u16(0, 0x1000);
    pub(super) const VID: Bits<u16> = Bits::in_u16(0, 0x0fff);
    pub(super) const TYPE_OR_LEN: At<u16> = At::new(2);
}

view! {
    /// A VLAN tag and what is inside.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The whole control information: priority, drop indicator, identifier.
        tci, set_tci: u16 = field::TCI;
        /// The priority code point, 0 to 7.
        pcp, set_pcp: u8 = field::PCP;
        /// The drop eligible indicator (the "canonical format indicator" of old).
        dei, set_dei: bool = field::DEI;
        /// The VLAN identifier, 12 bits.
        vid, set_vid: u16 = field::VID;
        /// The number behind the tag: a type from 0x600, a length below.
        type_or_len, set_type_or_len: u16 = field::TYPE_OR_LEN;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        Encoding::parse(self.type_or_len(), self.span(HEADER_LEN, usize::MAX)).map(|_| ())
    }

    /// How the tag says what its payload is.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        Encoding::judge(self.type_or_len(), self.span(HEADER_LEN, usize::MAX))
    }

    /// What the payload is, or nothing for LLC other than SNAP.
    #[must_use]
    pub fn ethertype(&self) -> Option<EtherType> {
        self.encoding().ethertype()
    }

    /// Bytes before the payload, SNAP included.
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.encoding().header_len()
    }

    /// What is inside; behind a length without the padding.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), self.encoding().end(HEADER_LEN))
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.header_len(), self.encoding().end(HEADER_LEN));
        self.span_mut(start, end)
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The priority code point, at most 7.
    pub pcp: u8,
    /// The drop eligible indicator.
    pub dei: bool,
    /// The VLAN identifier, at most [`MAX_VID`].
    pub vid: u16,
    /// How and as what the payload is named.
    pub encoding: Encoding,
}

impl Repr {
    /// Reads a tag.
    ///
    /// # Errors
    /// [`Error::Field`] for the reserved identifier 0xfff; [`Error::Truncated`] if a length
    /// follows and the frame is shorter.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        if packet.vid() > MAX_VID {
            return Err(Error::Field);
        }
        Ok(Self {
            pcp: packet.pcp(),
            dei: packet.dei(),
            vid: packet.vid(),
            encoding: packet.encoding(),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.encoding.header_len()
    }

    /// Writes the tag.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for a priority, identifier or type out
    /// of range; [`Error::Length`] for a length that does not hold SNAP.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.pcp > 7 || self.vid > MAX_VID {
            return Err(Error::Field);
        }
        let room = packet.room(self.buffer_len())?;
        self.encoding.emit(room.get_mut(2..).ok_or(Error::Truncated)?)?;
        packet.set_pcp(self.pcp);
        packet.set_dei(self.dei);
        packet.set_vid(self.vid);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
