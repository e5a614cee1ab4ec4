//! The IPv6 routing header (RFC 8200 section 4.4) and, as its representation, the segment routing
//! header (RFC 8754).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+---------------+---------------+
//! |  Next Header  |  Hdr Ext Len  | Routing Type  | Segments Left |
//! +---------------+---------------+---------------+---------------+
//! |  Last Entry   |     Flags     |              Tag              |  type 4
//! +---------------+---------------+-------------------------------+
//! |        Segments (16 bytes each), the last to visit first      |
//! |                        Optional TLVs                          |
//! +---------------------------------------------------------------+
//! ```

use super::layout::{Value, codes, fields, view};
use super::{Error, Protocol};
use std::net::Ipv6Addr;

/// Bytes before the segments.
pub const FIXED_LEN: usize = 8;
/// How many segments a header holds.
pub const MAX_SEGMENTS: usize = 127;

codes! {
    /// What kind of routing a header asks for.
    RoutingType(u8) {
        /// A list of addresses to visit; forbidden since RFC 5095.
        SOURCE_ROUTE = 0;
        /// The home address of a mobile node (RFC 6275).
        MOBILE = 2;
        /// RPL source routing (RFC 6554).
        RPL = 3;
        /// Segment routing (RFC 8754).
        SEGMENT = 4;
    }
}

mod field {
    use super::RoutingType;
    use crate::wire::Protocol;
    use crate::wire::layout::At;

    pub(super) const NEXT_HEADER: At<Protocol> = At::new(0);
    pub(super) const EXT_LEN: At<u8> = At::new(1);
    pub(super) const ROUTING_TYPE: At<RoutingType> = At::new(2);
    pub(super) const SEGMENTS_LEFT: At<u8> = At::new(3);
    pub(super) const LAST_ENTRY: At<u8> = At::new(4);
    pub(super) const FLAGS: At<u8> = At::new(5);
    pub(super) const TAG: At<u16> = At::new(6);
}

view! {
    /// A routing header of any type and what follows.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// What follows this header.
        next_header, set_next_header: Protocol = field::NEXT_HEADER;
        /// The header's length in units of eight bytes, the first not counted.
        ext_len, set_ext_len: u8 = field::EXT_LEN;
        /// The kind of routing.
        routing_type, set_routing_type: RoutingType = field::ROUTING_TYPE;
        /// How many segments are still to be visited.
        segments_left, set_segments_left: u8 = field::SEGMENTS_LEFT;
        /// Segment routing: the index of the last segment in the list.
        last_entry, set_last_entry: u8 = field::LAST_ENTRY;
        /// Segment routing: flags, none defined by RFC 8754.
        flags, set_flags: u8 = field::FLAGS;
        /// Segment routing: a class that the packet belongs to.
        tag, set_tag: u16 = field::TAG;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.bytes().len() < self.header_len() { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Bytes of the whole header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        (usize::from(self.ext_len()) + 1) * 8
    }

    /// Segment routing: the segments in the order of the header, the last to be visited first.
    pub fn segments(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        let end = FIXED_LEN + (usize::from(self.last_entry()) + 1) * 16;
        let (segments, _) = self.span(FIXED_LEN, end.min(self.header_len())).as_chunks::<16>();
        segments.iter().map(|segment| Ipv6Addr::from(*segment))
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// A segment routing header without TLVs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// What follows this header.
    pub next_header: Protocol,
    /// How many segments are still to be visited; an index into the list.
    pub segments_left: u8,
    /// A class that the packet belongs to.
    pub tag: u16,
    /// The segments, the last to be visited first; from one to [`MAX_SEGMENTS`].
    pub segments: &'a [[u8; 16]],
}

impl<'a> Repr<'a> {
    /// Reads a segment routing header; its flags and TLVs are passed over.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`]; [`Error::Field`] for another type of routing or if the
    /// segments left are none of the list; [`Error::Length`] if the list is longer than the
    /// header.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        if packet.routing_type() != RoutingType::SEGMENT
            || packet.segments_left() > packet.last_entry()
        {
            return Err(Error::Field);
        }
        let body = packet.buffer.as_ref().get(FIXED_LEN..packet.header_len());
        let (segments, _) = body.unwrap_or_default().as_chunks();
        let segments = segments.get(..=packet.last_entry().into()).ok_or(Error::Length)?;
        Ok(Self {
            next_header: packet.next_header(),
            segments_left: packet.segments_left(),
            tag: packet.tag(),
            segments,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        FIXED_LEN + self.segments.len() * 16
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Length`] for no or too many segments;
    /// [`Error::Field`] if the segments left are none of the list.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let count = self.segments.len();
        if count == 0 || count > MAX_SEGMENTS {
            return Err(Error::Length);
        }
        if usize::from(self.segments_left) >= count {
            return Err(Error::Field);
        }
        let room = packet.room(self.buffer_len())?.get_mut(FIXED_LEN..).unwrap_or_default();
        for (slot, segment) in room.chunks_mut(16).zip(self.segments) {
            segment.write(slot);
        }
        packet.set_next_header(self.next_header);
        packet.set_ext_len((count * 2) as u8);
        packet.set_routing_type(RoutingType::SEGMENT);
        packet.set_segments_left(self.segments_left);
        packet.set_last_entry((count - 1) as u8);
        packet.set_flags(0);
        packet.set_tag(self.tag);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
