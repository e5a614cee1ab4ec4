//! ERSPAN (draft-foschiano-erspan): mirrored frames in GRE, version 1 (type II) and version 2
//! (type III).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-----------------------+-----+---+-+-------------------+
//! |  Ver  |          VLAN         | COS |En |T|    Session ID     |
//! +-------+-----------------------+-----+---+-+-------------------+
//! |      Reserved         |                  Index                |  version 1
//! +-----------------------+---------------------------------------+
//! |                          Timestamp                            |  version 2
//! |             SGT               |P|    FT   |   Hw ID   |D|Gra|O|
//! |      Platform-specific subheader (8 bytes, if O is set)       |
//! +---------------------------------------------------------------+
//! ```
//!
//! The view begins behind GRE, whose protocol is [`EtherType::ERSPAN_V1`](super::EtherType) or
//! [`EtherType::ERSPAN_V2`](super::EtherType) and which has a sequence number. (Version 0, type I,
//! has no header at all.)

use super::Error;
use super::layout::{fields, view};

/// Bytes of a header of version 1, and of what both versions share.
pub const V1_LEN: usize = 8;
/// Bytes of a header of version 2 without subheader.
pub const V2_LEN: usize = 12;
/// Bytes of the platform-specific subheader.
pub const SUBHEADER_LEN: usize = 8;
/// The greatest session.
pub const MAX_SESSION: u16 = 0x3ff;
/// The greatest index of version 1.
pub const MAX_INDEX: u32 = 0xf_ffff;
/// The greatest hardware identifier of version 2.
pub const MAX_HARDWARE: u8 = 0x3f;

mod field {
    use crate::wire::layout::{At, Bits};

    pub(super) const VERSION: Bits<u8> = Bits::in_u16(0, 0xf000);
    pub(super) const VLAN: Bits<u16> = Bits::in_u16(0, 0x0fff);
    pub(super) const COS: Bits<u8> = Bits::in_u16(2, 0xe000);
    pub(super) const ENCAPSULATION: Bits<u8> = Bits::in_u16(2, 0x1800);
    pub(super) const TRUNCATED: Bits<bool> = Bits::in_u16(2, 0x0400);
    pub(super) const SESSION: Bits<u16> = Bits::in_u16(2, 0x03ff);
    pub(super) const INDEX: Bits<u32> = Bits::in_u32(4, 0x000f_ffff);
    pub(super) const TIMESTAMP: At<u32> = At::new(4);
    pub(super) const GROUP_TAG: At<u16> = At::new(8);
    pub(super) const IS_FRAME: Bits<bool> = Bits::in_u16(10, 0x8000);
    pub(super) const FRAME_TYPE: Bits<u8> = Bits::in_u16(10, 0x7c00);
    pub(super) const HARDWARE: Bits<u8> = Bits::in_u16(10, 0x03f0);
    pub(super) const EGRESS: Bits<bool> = Bits::in_u16(10, 0x0008);
    pub(super) const GRANULARITY: Bits<u8> = Bits::in_u16(10, 0x0006);
    pub(super) const HAS_SUBHEADER: Bits<bool> = Bits::in_u16(10, 0x0001);
    pub(super) const SUBHEADER: At<[u8; 8]> = At::new(12);
}

view! {
    /// An ERSPAN header and the mirrored frame.
    Packet, V1_LEN
}

fields! {
    Packet {
        /// The version: 1 or 2.
        version, set_version: u8 = field::VERSION;
        /// The VLAN of the mirrored frame, 12 bits.
        vlan, set_vlan: u16 = field::VLAN;
        /// Its class of service, 3 bits.
        cos, set_cos: u8 = field::COS;
        /// Version 1: how the frame was tagged; version 2: whether it was sound (2 bits).
        encapsulation, set_encapsulation: u8 = field::ENCAPSULATION;
        /// Whether the frame was cut short.
        is_truncated, set_is_truncated: bool = field::TRUNCATED;
        /// The mirror session, 10 bits.
        session, set_session: u16 = field::SESSION;
        /// Version 1: port and direction, as the sender numbers them, 20 bits.
        index, set_index: u32 = field::INDEX;
        /// Version 2: when the frame was seen.
        timestamp, set_timestamp: u32 = field::TIMESTAMP;
        /// Version 2: the security group tag.
        group_tag, set_group_tag: u16 = field::GROUP_TAG;
        /// Version 2: whether an Ethernet frame is carried (P).
        is_frame, set_is_frame: bool = field::IS_FRAME;
        /// Version 2: what else is carried, 5 bits.
        frame_type, set_frame_type: u8 = field::FRAME_TYPE;
        /// Version 2: the engine that mirrored, 6 bits.
        hardware, set_hardware: u8 = field::HARDWARE;
        /// Version 2: whether the frame was leaving.
        is_egress, set_is_egress: bool = field::EGRESS;
        /// Version 2: the unit of the timestamp, 2 bits.
        granularity, set_granularity: u8 = field::GRANULARITY;
        /// Version 2: whether a platform-specific subheader follows.
        has_subheader, set_has_subheader: bool = field::HAS_SUBHEADER;
        /// Version 2: the platform-specific subheader.
        subheader, set_subheader: [u8; 8] = field::SUBHEADER;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if !matches!(self.version(), 1 | 2) {
            return Err(Error::Version);
        }
        if self.bytes().len() < self.header_len() { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Bytes before the mirrored frame.
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self.version() {
            2 if self.has_subheader() => V2_LEN + SUBHEADER_LEN,
            2 => V2_LEN,
            _ => V1_LEN,
        }
    }

    /// The mirrored frame.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// An ERSPAN header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The VLAN of the mirrored frame, at most 0xfff.
    pub vlan: u16,
    /// Its class of service, at most 7.
    pub cos: u8,
    /// How it was tagged, or whether it was sound, at most 3.
    pub encapsulation: u8,
    /// Whether it was cut short.
    pub truncated: bool,
    /// The mirror session, at most [`MAX_SESSION`].
    pub session: u16,
    /// What the version adds.
    pub version: Version,
}

/// What a version of ERSPAN adds to the shared fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 1, type II.
    V1 {
        /// Port and direction, as the sender numbers them, at most [`MAX_INDEX`].
        index: u32,
    },
    /// Version 2, type III.
    V2 {
        /// When the frame was seen.
        timestamp: u32,
        /// The security group tag.
        group_tag: u16,
        /// Whether an Ethernet frame is carried.
        is_frame: bool,
        /// What else is carried, at most 31.
        frame_type: u8,
        /// The engine that mirrored, at most [`MAX_HARDWARE`].
        hardware: u8,
        /// Whether the frame was leaving.
        egress: bool,
        /// The unit of the timestamp, at most 3: 100 µs, 100 ns, IEEE 1588, by the subheader.
        granularity: u8,
        /// The platform-specific subheader.
        subheader: Option<[u8; 8]>,
    },
}

impl Repr {
    /// Reads a header.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`].
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        let version = if packet.version() == 1 {
            Version::V1 { index: packet.index() }
        } else {
            Version::V2 {
                timestamp: packet.timestamp(),
                group_tag: packet.group_tag(),
                is_frame: packet.is_frame(),
                frame_type: packet.frame_type(),
                hardware: packet.hardware(),
                egress: packet.is_egress(),
                granularity: packet.granularity(),
                subheader: packet.has_subheader().then(|| packet.subheader()),
            }
        };
        Ok(Self {
            vlan: packet.vlan(),
            cos: packet.cos(),
            encapsulation: packet.encapsulation(),
            truncated: packet.is_truncated(),
            session: packet.session(),
            version,
        })
    }

    fn check(&self) -> Result<(), Error> {
        let own = match self.version {
            Version::V1 { index } => index <= MAX_INDEX,
            Version::V2 { frame_type, hardware, granularity, .. } => {
                frame_type <= 31 && hardware <= MAX_HARDWARE && granularity <= 3
            }
        };
        let shared = self.vlan <= 0xfff
            && self.cos <= 7
            && self.encapsulation <= 3
            && self.session <= MAX_SESSION;
        if own && shared { Ok(()) } else { Err(Error::Field) }
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        match self.version {
            Version::V1 { .. } => V1_LEN,
            Version::V2 { subheader: None, .. } => V2_LEN,
            Version::V2 { subheader: Some(_), .. } => V2_LEN + SUBHEADER_LEN,
        }
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for a field out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        self.check()?;
        packet.room(self.buffer_len())?.fill(0);
        packet.set_vlan(self.vlan);
        packet.set_cos(self.cos);
        packet.set_encapsulation(self.encapsulation);
        packet.set_is_truncated(self.truncated);
        packet.set_session(self.session);
        match self.version {
            Version::V1 { index } => {
                packet.set_version(1);
                packet.set_index(index);
            }
            Version::V2 {
                timestamp,
                group_tag,
                is_frame,
                frame_type,
                hardware,
                egress,
                granularity,
                subheader,
            } => {
                packet.set_version(2);
                packet.set_timestamp(timestamp);
                packet.set_group_tag(group_tag);
                packet.set_is_frame(is_frame);
                packet.set_frame_type(frame_type);
                packet.set_hardware(hardware);
                packet.set_is_egress(egress);
                packet.set_granularity(granularity);
                if let Some(subheader) = subheader {
                    packet.set_has_subheader(true);
                    packet.set_subheader(subheader);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
