//! The Ethernet header: Ethernet II, and IEEE 802.3 with LLC and SNAP.
//!
//! ```text
//!  0                   6                  12          14
//! +-------------------+-------------------+-----------+- - - - - - - - - - - - - - - -
//! |    destination    |      source       | type/len  | aa aa 03 00 00 00 type  (SNAP)
//! +-------------------+-------------------+-----------+- - - - - - - - - - - - - - - -
//! ```
//!
//! A number below 0x600 after the addresses is the length of an 802.2 LLC payload and not a type
//! (IEEE 802.3 section 3.2.6). Of those payloads only LLC/SNAP with a zero organisation code names
//! an Ethertype (RFC 1042). The same rule holds behind a VLAN tag, hence [`Encoding`] is shared.

use super::Error;
use super::layout::{codes, fields, view};
use crate::base::MacAddr;

/// Bytes of the two addresses and the type or length.
pub const HEADER_LEN: usize = 14;
/// Bytes that LLC and SNAP put between the length and the payload.
pub const SNAP_LEN: usize = 8;
/// The lowest number that is a type; below it stands a length.
pub const MIN_TYPE: u16 = 0x600;

/// LLC of both access points 0xaa and unnumbered information, organisation 00:00:00.
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0x00, 0x00, 0x00];

codes! {
    /// What an Ethernet payload is (IANA registry "Ether Types").
    EtherType(u16) {
        /// IPv4.
        IPV4 = 0x0800;
        /// ARP.
        ARP = 0x0806;
        /// ERSPAN version 2 (type III) inside GRE.
        ERSPAN_V2 = 0x22eb;
        /// An Ethernet frame inside a tunnel: "transparent Ethernet bridging".
        TEB = 0x6558;
        /// Reverse ARP.
        RARP = 0x8035;
        /// Customer VLAN tag, 802.1Q.
        VLAN = 0x8100;
        /// IPv6.
        IPV6 = 0x86dd;
        /// Slow protocols: LACP, marker.
        SLOW = 0x8809;
        /// MPLS.
        MPLS = 0x8847;
        /// MPLS with an upstream-assigned label, once "multicast".
        MPLS_MULTICAST = 0x8848;
        /// Service VLAN tag, 802.1ad.
        VLAN_AD = 0x88a8;
        /// ERSPAN versions 0 and 1 (types I and II) inside GRE.
        ERSPAN_V1 = 0x88be;
        /// LLDP.
        LLDP = 0x88cc;
        /// Connectivity fault management, 802.1ag.
        CFM = 0x8902;
        /// Network service header.
        NSH = 0x894f;
    }
}

impl EtherType {
    /// Whether the number is too small for a type and stands for a length.
    #[must_use]
    pub const fn is_length(self) -> bool {
        self.0 < MIN_TYPE
    }

    /// Whether a VLAN tag follows.
    #[must_use]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::VLAN_AD)
    }

    /// Whether an MPLS label stack follows.
    #[must_use]
    pub const fn is_mpls(self) -> bool {
        matches!(self, Self::MPLS | Self::MPLS_MULTICAST)
    }
}

mod field {
    use crate::base::MacAddr;
    use crate::wire::layout::At;

    pub(super) const DST: At<MacAddr> = At::new(0);
    pub(super) const SRC: At<MacAddr> = At::new(6);
    pub(super) const TYPE_OR_LEN: At<u16> = At::new(12);
}

view! {
    /// An Ethernet frame, without preamble and check sequence.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The destination address.
        dst, set_dst: MacAddr = field::DST;
        /// The source address.
        src, set_src: MacAddr = field::SRC;
        /// The number after the addresses: a type from [`MIN_TYPE`], a length below.
        type_or_len, set_type_or_len: u16 = field::TYPE_OR_LEN;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        Encoding::parse(self.type_or_len(), self.span(HEADER_LEN, usize::MAX)).map(|_| ())
    }

    /// How the frame says what its payload is.
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

    /// What follows the header; in an 802.3 frame without the padding behind the stated length.
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

/// How the number after the addresses (or behind a VLAN tag) names the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Ethernet II: the number is the type.
    Type(EtherType),
    /// The number is a length, and LLC/SNAP names the type.
    Snap {
        /// Bytes behind the number, the eight of LLC and SNAP included.
        len: u16,
        /// The type in SNAP.
        ethertype: EtherType,
    },
    /// The number is a length, and the payload begins with LLC of another kind.
    Llc {
        /// Bytes behind the number.
        len: u16,
    },
}

impl Encoding {
    /// Judges the number together with the bytes that follow it.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the number is a length and fewer bytes than that follow.
    pub fn parse(type_or_len: u16, rest: &[u8]) -> Result<Self, Error> {
        let encoding = Self::judge(type_or_len, rest);
        match encoding {
            Self::Snap { len, .. } | Self::Llc { len } if usize::from(len) > rest.len() => {
                Err(Error::Truncated)
            }
            _ => Ok(encoding),
        }
    }

    /// As [`Self::parse`], without asking whether the length is there.
    pub(super) fn judge(type_or_len: u16, rest: &[u8]) -> Self {
        if type_or_len >= MIN_TYPE {
            return Self::Type(EtherType(type_or_len));
        }
        let len = type_or_len;
        let rest = rest.get(..usize::from(len)).unwrap_or(rest);
        match rest.first_chunk() {
            Some(&[a, b, c, d, e, f, high, low])
                if [a, b, c, d, e, f] == SNAP && u16::from_be_bytes([high, low]) >= MIN_TYPE =>
            {
                Self::Snap { len, ethertype: EtherType(u16::from_be_bytes([high, low])) }
            }
            _ => Self::Llc { len },
        }
    }

    /// The type of the payload, if one is named.
    #[must_use]
    pub const fn ethertype(self) -> Option<EtherType> {
        match self {
            Self::Type(ethertype) | Self::Snap { ethertype, .. } => Some(ethertype),
            Self::Llc { .. } => None,
        }
    }

    /// Bytes between the number and the payload. (LLC other than SNAP is payload.)
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Snap { .. } => SNAP_LEN,
            Self::Type(_) | Self::Llc { .. } => 0,
        }
    }

    /// Where the payload ends if `start` bytes lie before the LLC header.
    pub(super) fn end(self, start: usize) -> usize {
        match self {
            Self::Type(_) => usize::MAX,
            Self::Snap { len, .. } | Self::Llc { len } => start + usize::from(len),
        }
    }

    /// Writes the number into `[..2]` and LLC/SNAP behind it, where the encoding has it.
    pub(super) fn emit(self, bytes: &mut [u8]) -> Result<(), Error> {
        let (number, snap) = match self {
            Self::Type(ethertype) if ethertype.is_length() => return Err(Error::Field),
            Self::Type(ethertype) => (ethertype.0, None),
            Self::Snap { len, ethertype } => {
                if ethertype.is_length() || len >= MIN_TYPE {
                    return Err(Error::Field);
                }
                if usize::from(len) < SNAP_LEN {
                    return Err(Error::Length);
                }
                (len, Some(ethertype))
            }
            Self::Llc { len } if len >= MIN_TYPE => return Err(Error::Field),
            Self::Llc { len } => (len, None),
        };
        let (number_bytes, rest) = bytes.split_first_chunk_mut().ok_or(Error::Truncated)?;
        *number_bytes = number.to_be_bytes();
        if let Some(ethertype) = snap {
            let (snap_bytes, rest) = rest.split_first_chunk_mut().ok_or(Error::Truncated)?;
            *snap_bytes = SNAP;
            *rest.first_chunk_mut().ok_or(Error::Truncated)? = ethertype.0.to_be_bytes();
        }
        Ok(())
    }
}

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The destination address.
    pub dst: MacAddr,
    /// The source address.
    pub src: MacAddr,
    /// How and as what the payload is named.
    pub encoding: Encoding,
}

impl Repr {
    /// Reads the header of a frame.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the frame is 802.3 and shorter than its length.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        Ok(Self { dst: packet.dst(), src: packet.src(), encoding: packet.encoding() })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.encoding.header_len()
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for a type below [`MIN_TYPE`] or a
    /// length from there; [`Error::Length`] for a length that does not hold SNAP.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let room = packet.room(self.buffer_len())?;
        self.encoding.emit(room.get_mut(12..).ok_or(Error::Truncated)?)?;
        packet.set_dst(self.dst);
        packet.set_src(self.src);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
