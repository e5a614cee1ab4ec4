//! IPv6 (RFC 8200).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-----------+---+---------------------------------------+
//! |Version|   DSCP    |ECN|              Flow Label               |
//! +-------+-----------+---+-------+---------------+---------------+
//! |        Payload Length         |  Next Header  |   Hop Limit   |
//! +-------------------------------+---------------+---------------+
//! |                  Source Address (16 bytes)                    |
//! |                Destination Address (16 bytes)                 |
//! +---------------------------------------------------------------+
//! ```
//!
//! The payload begins with the extension headers, if there are any: see
//! [`ipv6_ext`](super::ipv6_ext). Jumbograms (RFC 2675), whose length field is zero, are seen as
//! packets without payload.

use super::layout::{fields, view};
use super::{Error, Protocol};
use std::net::Ipv6Addr;

/// Bytes of the header.
pub const HEADER_LEN: usize = 40;
/// The greatest flow label.
pub const MAX_FLOW_LABEL: u32 = 0xf_ffff;
/// The MTU that every link has (RFC 8200 section 5).
pub const MIN_MTU: usize = 1280;

mod field {
    use crate::wire::Protocol;
    use crate::wire::layout::{At, Bits};
    use std::net::Ipv6Addr;

    pub(super) const VERSION: Bits<u8> = Bits::in_u8(0, 0xf0);
    pub(super) const DSCP: Bits<u8> = Bits::in_u16(0, 0x0fc0);
    pub(super) const ECN: Bits<u8> = Bits::in_u16(0, 0x0030);
    pub(super) const FLOW_LABEL: Bits<u32> = Bits::in_u32(0, 0x000f_ffff);
    pub(super) const PAYLOAD_LEN: At<u16> = At::new(4);
    pub(super) const NEXT_HEADER: At<Protocol> = At::new(6);
    pub(super) const HOP_LIMIT: At<u8> = At::new(7);
    pub(super) const SRC: At<Ipv6Addr> = At::new(8);
    pub(super) const DST: At<Ipv6Addr> = At::new(24);
}

view! {
    /// An IPv6 packet.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The version, 6.
        version, set_version: u8 = field::VERSION;
        /// The differentiated services code point, 6 bits (RFC 2474).
        dscp, set_dscp: u8 = field::DSCP;
        /// Explicit congestion notification, 2 bits (RFC 3168).
        ecn, set_ecn: u8 = field::ECN;
        /// The flow label, 20 bits (RFC 6437).
        flow_label, set_flow_label: u32 = field::FLOW_LABEL;
        /// Bytes behind this header, extension headers included.
        payload_len, set_payload_len: u16 = field::PAYLOAD_LEN;
        /// What follows: an extension header or the payload's protocol.
        next_header, set_next_header: Protocol = field::NEXT_HEADER;
        /// The hop limit.
        hop_limit, set_hop_limit: u8 = field::HOP_LIMIT;
        /// The source address.
        src, set_src: Ipv6Addr = field::SRC;
        /// The destination address, under a routing header the next one.
        dst, set_dst: Ipv6Addr = field::DST;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Views the packet at the start of what an ICMP error quotes, whose payload is usually cut.
    ///
    /// # Errors
    /// As [`Self::new_checked`], but a payload length beyond the buffer is none.
    pub fn new_quoted(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_output(buffer)?;
        packet.check_header()?;
        Ok(packet)
    }

    fn check_header(&self) -> Result<(), Error> {
        if self.version() == 6 { Ok(()) } else { Err(Error::Version) }
    }

    fn check_len(&self) -> Result<(), Error> {
        self.check_header()?;
        if self.bytes().len() < HEADER_LEN + usize::from(self.payload_len()) {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// What follows the header, up to the payload length.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, HEADER_LEN + usize::from(self.payload_len()))
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let end = HEADER_LEN + usize::from(self.payload_len());
        self.span_mut(HEADER_LEN, end)
    }
}

/// An IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The source address.
    pub src: Ipv6Addr,
    /// The destination address.
    pub dst: Ipv6Addr,
    /// What follows.
    pub next_header: Protocol,
    /// The hop limit.
    pub hop_limit: u8,
    /// The differentiated services code point, at most 63.
    pub dscp: u8,
    /// Explicit congestion notification, at most 3.
    pub ecn: u8,
    /// The flow label, at most [`MAX_FLOW_LABEL`].
    pub flow_label: u32,
    /// Bytes behind the header.
    pub payload_len: u16,
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`].
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        Ok(Self {
            src: packet.src(),
            dst: packet.dst(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            dscp: packet.dscp(),
            ecn: packet.ecn(),
            flow_label: packet.flow_label(),
            payload_len: packet.payload_len(),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Field`] for a field out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.dscp > 63 || self.ecn > 3 || self.flow_label > MAX_FLOW_LABEL {
            return Err(Error::Field);
        }
        packet.set_version(6);
        packet.set_dscp(self.dscp);
        packet.set_ecn(self.ecn);
        packet.set_flow_label(self.flow_label);
        packet.set_payload_len(self.payload_len);
        packet.set_next_header(self.next_header);
        packet.set_hop_limit(self.hop_limit);
        packet.set_src(self.src);
        packet.set_dst(self.dst);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
