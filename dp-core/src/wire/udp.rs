//! UDP (RFC 768).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          Source Port          |       Destination Port        |
//! +-------------------------------+-------------------------------+
//! |            Length             |           Checksum            |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! A checksum of zero means that there is none: allowed over IPv4, and over IPv6 for tunnels only
//! (RFC 6935). The length may be less than what IP carries; what is behind it is no payload.

use super::checksum::{Pseudo, Sum, never_zero};
use super::layout::{fields, view};
use super::{Error, Protocol};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// The registered port of VXLAN (RFC 7348).
pub const PORT_VXLAN: u16 = 4789;
/// The registered port of VXLAN-GPE.
pub const PORT_VXLAN_GPE: u16 = 4790;
/// The registered port of Geneve (RFC 8926).
pub const PORT_GENEVE: u16 = 6081;
/// The registered port of GTP-U (3GPP TS 29.281).
pub const PORT_GTPU: u16 = 2152;

mod field {
    use crate::wire::layout::At;

    pub(super) const SRC_PORT: At<u16> = At::new(0);
    pub(super) const DST_PORT: At<u16> = At::new(2);
    pub(super) const LEN: At<u16> = At::new(4);
    pub(super) const CHECKSUM: At<u16> = At::new(6);
}

view! {
    /// A UDP datagram.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The source port.
        src_port, set_src_port: u16 = field::SRC_PORT;
        /// The destination port.
        dst_port, set_dst_port: u16 = field::DST_PORT;
        /// Bytes of header and payload.
        datagram_len, set_datagram_len: u16 = field::LEN;
        /// The checksum; zero if there is none.
        checksum, set_checksum: u16 = field::CHECKSUM;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        let len = usize::from(self.datagram_len());
        if len < HEADER_LEN {
            return Err(Error::Length);
        }
        if len > self.bytes().len() {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Whether the datagram has a checksum.
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.checksum() != 0
    }

    /// Whether the checksum is right, between the addresses given. One that is absent counts as
    /// right over IPv4 and as wrong over IPv6: a tunnel that allows it asks
    /// [`Self::has_checksum`] first.
    #[must_use]
    pub fn verify_checksum(&self, ends: Pseudo) -> bool {
        if self.has_checksum() {
            self.sum(ends).is_valid()
        } else {
            matches!(ends, Pseudo::V4 { .. })
        }
    }

    /// What follows the header, up to the datagram's length.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, self.datagram_len().into())
    }

    fn sum(&self, ends: Pseudo) -> Sum {
        let datagram = self.span(0, self.datagram_len().into());
        ends.sum(Protocol::UDP, datagram.len()).with(datagram)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes and writes the checksum, once the payload is in place.
    pub fn fill_checksum(&mut self, ends: Pseudo) {
        self.set_checksum(0);
        let checksum = never_zero(self.sum(ends).finish());
        self.set_checksum(checksum);
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = self.datagram_len().into();
        self.span_mut(HEADER_LEN, end)
    }
}

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// Bytes of payload, at most 65,527.
    pub payload_len: u16,
}

impl Repr {
    /// Reads a header, the checksum apart.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`].
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        Ok(Self {
            src_port: packet.src_port(),
            dst_port: packet.dst_port(),
            payload_len: packet.datagram_len().saturating_sub(HEADER_LEN as u16),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header, without checksum: see [`Packet::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Length`] for too long a payload.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let len = self.payload_len.checked_add(HEADER_LEN as u16).ok_or(Error::Length)?;
        packet.set_src_port(self.src_port);
        packet.set_dst_port(self.dst_port);
        packet.set_datagram_len(len);
        packet.set_checksum(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
