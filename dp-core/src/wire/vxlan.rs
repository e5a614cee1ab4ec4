//! VXLAN (RFC 7348) with its two extensions: group based policy
//! (draft-smith-vxlan-group-policy) and the generic protocol extension
//! (draft-ietf-nvo3-vxlan-gpe).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+---------------+-------------------------------+
//! |R|R|R|R|I|R|R|R|                   Reserved                    |  RFC 7348
//! |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        Group Policy ID        |  group policy
//! |R|R|Ver|I|P|B|O|       Reserved                |Next Protocol  |  GPE
//! +-----------------------------------------------+---------------+
//! |                VXLAN Network Identifier (VNI) |   Reserved    |
//! +-----------------------------------------------+---------------+
//! ```
//!
//! The view begins behind UDP. Nothing in a packet says which of the three it is: the port it came
//! in by does, and so [`Flavour`] is an argument.

use super::Error;
use super::layout::{codes, fields, view};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// The greatest network identifier.
pub const MAX_VNI: u32 = 0xff_ffff;

codes! {
    /// What the payload of VXLAN-GPE is.
    NextProtocol(u8) {
        /// IPv4.
        IPV4 = 1;
        /// IPv6.
        IPV6 = 2;
        /// Ethernet.
        ETHERNET = 3;
        /// Network service header.
        NSH = 4;
        /// MPLS.
        MPLS = 5;
    }
}

mod field {
    use super::NextProtocol;
    use crate::wire::layout::{At, Bits};

    pub(super) const FIRST_WORD: At<u32> = At::new(0);
    pub(super) const SECOND_WORD: At<u32> = At::new(4);
    pub(super) const INSTANCE: Bits<bool> = Bits::in_u8(0, 0x08);
    pub(super) const VNI: Bits<u32> = Bits::in_u32(4, 0xffff_ff00);
    // Group policy.
    pub(super) const GROUP: Bits<bool> = Bits::in_u8(0, 0x80);
    pub(super) const DONT_LEARN: Bits<bool> = Bits::in_u8(1, 0x40);
    pub(super) const APPLIED: Bits<bool> = Bits::in_u8(1, 0x08);
    pub(super) const POLICY: At<u16> = At::new(2);
    // GPE.
    pub(super) const VERSION: Bits<u8> = Bits::in_u8(0, 0x30);
    pub(super) const HAS_NEXT: Bits<bool> = Bits::in_u8(0, 0x04);
    pub(super) const REPLICATED: Bits<bool> = Bits::in_u8(0, 0x02);
    pub(super) const OAM: Bits<bool> = Bits::in_u8(0, 0x01);
    pub(super) const NEXT: At<NextProtocol> = At::new(3);
}

view! {
    /// A VXLAN header of any flavour and what it carries.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// Whether the network identifier counts (the flag I).
        has_vni, set_has_vni: bool = field::INSTANCE;
        /// The network identifier, 24 bits.
        vni, set_vni: u32 = field::VNI;
        /// Group policy: whether there is one (G).
        has_policy, set_has_policy: bool = field::GROUP;
        /// Group policy: the receiver shall not learn from this packet (D).
        is_dont_learn, set_is_dont_learn: bool = field::DONT_LEARN;
        /// Group policy: the policy has been applied already (A).
        is_applied, set_is_applied: bool = field::APPLIED;
        /// Group policy: the source's group.
        policy, set_policy: u16 = field::POLICY;
        /// GPE: the version, 0.
        version, set_version: u8 = field::VERSION;
        /// GPE: whether the next protocol counts (P); else the payload is Ethernet.
        has_next, set_has_next: bool = field::HAS_NEXT;
        /// GPE: replicated by the sender: broadcast, unknown unicast or multicast (B).
        is_replicated, set_is_replicated: bool = field::REPLICATED;
        /// GPE: operations, administration and maintenance (O).
        is_oam, set_is_oam: bool = field::OAM;
        /// GPE: what the payload is.
        next_protocol, set_next_protocol: NextProtocol = field::NEXT;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The header has no lengths in it.
    fn check_len(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, usize::MAX)
    }
}

/// How a port takes the reserved bits of RFC 7348.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// As reserved.
    Plain,
    /// As group policy.
    GroupPolicy,
    /// As the generic protocol extension.
    Gpe,
}

/// What an extension adds to the network identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extension {
    /// Nothing; the payload is Ethernet.
    #[default]
    None,
    /// A group policy; the payload is Ethernet.
    GroupPolicy {
        /// The source's group.
        policy: u16,
        /// The receiver shall not learn from this packet.
        dont_learn: bool,
        /// The policy has been applied already.
        applied: bool,
    },
    /// A payload of another protocol.
    Gpe {
        /// What the payload is.
        next_protocol: NextProtocol,
        /// Operations, administration and maintenance: not for forwarding.
        oam: bool,
        /// Replicated by the sender.
        replicated: bool,
    },
}

/// A VXLAN header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The network identifier, at most [`MAX_VNI`].
    pub vni: u32,
    /// What an extension adds.
    pub extension: Extension,
}

impl Repr {
    /// Reads a header in the flavour of the port it came in by.
    ///
    /// # Errors
    /// [`Error::Field`] without a network identifier; [`Error::Version`] for another version of
    /// GPE.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>, flavour: Flavour) -> Result<Self, Error> {
        packet.check_len()?;
        if !packet.has_vni() {
            return Err(Error::Field);
        }
        let extension = match flavour {
            Flavour::GroupPolicy if packet.has_policy() => Extension::GroupPolicy {
                policy: packet.policy(),
                dont_learn: packet.is_dont_learn(),
                applied: packet.is_applied(),
            },
            Flavour::Plain | Flavour::GroupPolicy => Extension::None,
            Flavour::Gpe if packet.version() != 0 => return Err(Error::Version),
            Flavour::Gpe => Extension::Gpe {
                next_protocol: if packet.has_next() {
                    packet.next_protocol()
                } else {
                    NextProtocol::ETHERNET
                },
                oam: packet.is_oam(),
                replicated: packet.is_replicated(),
            },
        };
        Ok(Self { vni: packet.vni(), extension })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Field`] for an identifier out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.vni > MAX_VNI {
            return Err(Error::Field);
        }
        let room = packet.room(HEADER_LEN)?;
        field::FIRST_WORD.set(room, 0);
        field::SECOND_WORD.set(room, 0);
        packet.set_has_vni(true);
        packet.set_vni(self.vni);
        match self.extension {
            Extension::None => {}
            Extension::GroupPolicy { policy, dont_learn, applied } => {
                packet.set_has_policy(true);
                packet.set_policy(policy);
                packet.set_is_dont_learn(dont_learn);
                packet.set_is_applied(applied);
            }
            Extension::Gpe { next_protocol, oam, replicated } => {
                packet.set_has_next(true);
                packet.set_next_protocol(next_protocol);
                packet.set_is_oam(oam);
                packet.set_is_replicated(replicated);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
