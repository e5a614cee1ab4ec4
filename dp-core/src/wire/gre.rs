//! GRE (RFC 2784) with key and sequence number (RFC 2890).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+---------------+-------+-------------------------------+
//! |C| |K|S| Reserved      |  Ver  |         Protocol Type         |
//! +-+-+-+-+---------------+-------+-------------------------------+
//! |      Checksum (if C)          |       Reserved (if C)         |
//! |                         Key (if K)                            |
//! |                 Sequence Number (if S)                        |
//! +---------------------------------------------------------------+
//! ```
//!
//! The checksum covers header and payload: give the view exactly the payload of IP. Routing
//! (RFC 1701) and version 1 (PPTP, RFC 2637) are refused.

use super::checksum::Sum;
use super::layout::{At, fields, view};
use super::{Error, EtherType};

/// Bytes before the optional words.
pub const FIXED_LEN: usize = 4;
/// Bytes of a header with all of the options.
pub const MAX_LEN: usize = 16;

/// Bits 1, 4 and 5, which a receiver without RFC 1701 must refuse (RFC 2784 section 2.3).
const REFUSED: u16 = 0x4c00;

mod field {
    use crate::wire::EtherType;
    use crate::wire::layout::{At, Bits};

    pub(super) const FLAGS: At<u16> = At::new(0);
    pub(super) const CHECKSUM_PRESENT: Bits<bool> = Bits::in_u16(0, 0x8000);
    pub(super) const KEY_PRESENT: Bits<bool> = Bits::in_u16(0, 0x2000);
    pub(super) const SEQ_PRESENT: Bits<bool> = Bits::in_u16(0, 0x1000);
    pub(super) const VERSION: Bits<u8> = Bits::in_u16(0, 0x0007);
    pub(super) const PROTOCOL: At<EtherType> = At::new(2);
}

view! {
    /// A GRE header and what it carries.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// The first two bytes: flags, reserved bits and version.
        flags, set_flags: u16 = field::FLAGS;
        /// Whether there is a checksum.
        has_checksum, set_has_checksum: bool = field::CHECKSUM_PRESENT;
        /// Whether there is a key.
        has_key, set_has_key: bool = field::KEY_PRESENT;
        /// Whether there is a sequence number.
        has_seq, set_has_seq: bool = field::SEQ_PRESENT;
        /// The version, 0.
        version, set_version: u8 = field::VERSION;
        /// What the payload is; [`EtherType::TEB`] for an Ethernet frame.
        protocol, set_protocol: EtherType = field::PROTOCOL;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.version() != 0 {
            return Err(Error::Version);
        }
        if self.flags() & REFUSED != 0 {
            return Err(Error::Field);
        }
        if self.bytes().len() < self.header_len() { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Bytes before the payload.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.seq_at() + word(self.has_seq())
    }

    /// The checksum, if there is one.
    #[must_use]
    pub fn checksum(&self) -> Option<u16> {
        self.has_checksum().then(|| At::new(FIXED_LEN).get(self.bytes()))
    }

    /// The key, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<u32> {
        self.has_key().then(|| At::new(self.key_at()).get(self.bytes()))
    }

    /// The sequence number, if there is one.
    #[must_use]
    pub fn seq(&self) -> Option<u32> {
        self.has_seq().then(|| At::new(self.seq_at()).get(self.bytes()))
    }

    /// Whether the checksum is right or absent.
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        !self.has_checksum() || Sum::new().with(self.bytes()).is_valid()
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }

    fn key_at(&self) -> usize {
        FIXED_LEN + word(self.has_checksum())
    }

    fn seq_at(&self) -> usize {
        self.key_at() + word(self.has_key())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes and writes the checksum, once the payload is in place; nothing if the header has
    /// none.
    pub fn fill_checksum(&mut self) {
        if self.has_checksum() {
            At::new(FIXED_LEN).set(self.bytes_mut(), 0_u16);
            let checksum = Sum::new().with(self.bytes()).finish();
            At::new(FIXED_LEN).set(self.bytes_mut(), checksum);
        }
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let start = self.header_len();
        self.span_mut(start, usize::MAX)
    }
}

/// Bytes of an optional word.
const fn word(present: bool) -> usize {
    if present { 4 } else { 0 }
}

/// A GRE header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What the payload is.
    pub protocol: EtherType,
    /// Whether there is a checksum.
    pub checksum: bool,
    /// The key, if there is one.
    pub key: Option<u32>,
    /// The sequence number, if there is one.
    pub seq: Option<u32>,
}

impl Repr {
    /// Reads a header, the checksum apart.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`].
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        Ok(Self {
            protocol: packet.protocol(),
            checksum: packet.has_checksum(),
            key: packet.key(),
            seq: packet.seq(),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        FIXED_LEN + word(self.checksum) + word(self.key.is_some()) + word(self.seq.is_some())
    }

    /// Writes the header, its checksum as zero: see [`Packet::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] without room.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        packet.room(self.buffer_len())?.fill(0);
        packet.set_has_checksum(self.checksum);
        packet.set_has_key(self.key.is_some());
        packet.set_has_seq(self.seq.is_some());
        packet.set_protocol(self.protocol);
        let (key_at, seq_at) = (packet.key_at(), packet.seq_at());
        if let Some(key) = self.key {
            At::new(key_at).set(packet.bytes_mut(), key);
        }
        if let Some(seq) = self.seq {
            At::new(seq_at).set(packet.bytes_mut(), seq);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
