//! Where the transport header of a frame is.
//!
//! Packets carry such offsets in their metadata, but as of extraction: actions that ran since may
//! have pushed tags. Frames that need this are few and about to cost a system call or a pass over
//! their payload, so it is found anew.

use crate::packet::Packet;

/// Most VLAN tags and most IPv6 extension headers that are walked over.
const MOST: usize = 8;

/// The protocol numbers that have a checksum or segments to be finished.
pub const TCP: u8 = 6;
/// As [`TCP`].
pub const UDP: u8 = 17;
/// As [`TCP`].
pub const SCTP: u8 = 132;

/// Where the headers of an IP packet are in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset of the IP header.
    pub l3: usize,
    /// Whether that is IPv6.
    pub v6: bool,
    /// Offset of the transport header.
    pub l4: usize,
    /// Its protocol number.
    pub protocol: u8,
    /// Where the IP packet ends; what follows is padding.
    pub end: usize,
}

impl Layout {
    /// Finds the headers of a packet, which may begin with its IP header.
    #[must_use]
    pub fn of_packet(packet: &Packet) -> Option<Self> {
        match packet.meta().outermost() & 0xffff {
            0 => Self::of(packet.data()),
            0x0800 => Self::ipv4(packet.data(), 0),
            0x86dd => Self::ipv6(packet.data(), 0),
            _ => None,
        }
    }

    /// Finds the headers. `None` if the frame is no IP packet, a later fragment, or contradicts
    /// itself.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let mut at = 12;
        for _ in 0..MOST {
            match be16(frame, at)? {
                0x8100 | 0x88a8 | 0x9100 => at += 4,
                0x0800 => return Self::ipv4(frame, at + 2),
                0x86dd => return Self::ipv6(frame, at + 2),
                _ => return None,
            }
        }
        None
    }

    fn ipv4(frame: &[u8], l3: usize) -> Option<Self> {
        let first = *frame.get(l3)?;
        let header = usize::from(first & 0x0f) * 4;
        let total = usize::from(be16(frame, l3 + 2)?);
        let later_fragment = be16(frame, l3 + 6)? & 0x1fff != 0;
        if first >> 4 != 4 || header < 20 || total < header || later_fragment {
            return None;
        }
        let protocol = *frame.get(l3 + 9)?;
        let end = l3 + total;
        let l4 = l3 + header;
        (end <= frame.len()).then_some(Self { l3, v6: false, l4, protocol, end })
    }

    fn ipv6(frame: &[u8], l3: usize) -> Option<Self> {
        if frame.get(l3)? >> 4 != 6 {
            return None;
        }
        let end = l3 + 40 + usize::from(be16(frame, l3 + 4)?);
        let mut protocol = *frame.get(l3 + 6)?;
        let mut l4 = l3 + 40;
        for _ in 0..MOST {
            match protocol {
                // Hop-by-hop, routing, destination options.
                0 | 43 | 60 => {
                    protocol = *frame.get(l4)?;
                    l4 += 8 + usize::from(*frame.get(l4 + 1)?) * 8;
                }
                // A fragment header: only the first fragment has a transport header.
                44 if be16(frame, l4 + 2)? & 0xfff8 == 0 => {
                    protocol = *frame.get(l4)?;
                    l4 += 8;
                }
                44 => return None,
                _ => {
                    let fits = l4 <= end && end <= frame.len();
                    return fits.then_some(Self { l3, v6: true, l4, protocol, end });
                }
            }
        }
        None
    }

    /// Where the transport checksum is, from the transport header; `None` if it has none.
    #[must_use]
    pub const fn checksum_offset(&self) -> Option<usize> {
        match self.protocol {
            TCP => Some(16),
            UDP => Some(6),
            _ => None,
        }
    }

    /// Offset of the payload behind the transport header; `None` if the header is not whole.
    #[must_use]
    pub fn payload(&self, frame: &[u8]) -> Option<usize> {
        let header = match self.protocol {
            TCP => usize::from(frame.get(self.l4 + 12)? >> 4) * 4,
            UDP => 8,
            _ => return None,
        };
        let least = if self.protocol == TCP { 20 } else { 8 };
        let payload = self.l4 + header;
        (header >= least && payload <= self.end).then_some(payload)
    }
}

/// The 16-bit number at an offset.
pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Writes a 16-bit number; nothing beyond the end.
pub fn put16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value.to_be_bytes();
    }
}
