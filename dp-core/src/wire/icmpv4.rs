//! ICMP (RFC 792): echo, errors, and the packets that errors quote.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     Type      |     Code      |           Checksum            |
//! +---------------+---------------+-------------------------------+
//! |      ident, gateway, pointer     |      sequence or MTU       |
//! +---------------+---------------+-------------------------------+
//! |      Echo data, or the header and start of the packet         |
//! |                   that an error is about                      |
//! +---------------------------------------------------------------+
//! ```
//!
//! What an error quotes is cut short as a rule, and may have been changed on its way: it is viewed
//! with [`ipv4::Packet::new_quoted`] and its transport header by the bytes that are left.

use super::checksum::Sum;
use super::layout::{codes, fields, view};
use super::{Error, ipv4};
use std::net::Ipv4Addr;

/// Bytes of the header that all messages in use have.
pub const HEADER_LEN: usize = 8;
/// Unreachable: fragmentation needed and forbidden (RFC 1191).
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;
/// Unreachable: no one listens on the port.
pub const CODE_PORT_UNREACHABLE: u8 = 3;
/// Unreachable: forbidden by an administrator (RFC 1812 section 5.2.7.1).
pub const CODE_PROHIBITED: u8 = 13;

codes! {
    /// What a message is.
    MessageType(u8) {
        /// Echo reply.
        ECHO_REPLY = 0;
        /// Destination unreachable.
        UNREACHABLE = 3;
        /// Source quench, deprecated by RFC 6633.
        SOURCE_QUENCH = 4;
        /// There is a better gateway.
        REDIRECT = 5;
        /// Echo request.
        ECHO_REQUEST = 8;
        /// Router advertisement (RFC 1256).
        ROUTER_ADVERTISEMENT = 9;
        /// Router solicitation (RFC 1256).
        ROUTER_SOLICITATION = 10;
        /// Time to live, or the time for reassembly, has run out.
        TIME_EXCEEDED = 11;
        /// A header is not understood.
        PARAMETER_PROBLEM = 12;
        /// Timestamp request.
        TIMESTAMP_REQUEST = 13;
        /// Timestamp reply.
        TIMESTAMP_REPLY = 14;
    }
}

impl MessageType {
    /// Whether a message of this type reports an error and quotes the packet it is about.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }
}

mod field {
    use super::MessageType;
    use crate::wire::layout::At;
    use std::net::Ipv4Addr;

    pub(super) const KIND: At<MessageType> = At::new(0);
    pub(super) const CODE: At<u8> = At::new(1);
    pub(super) const CHECKSUM: At<u16> = At::new(2);
    pub(super) const REST: At<[u8; 4]> = At::new(4);
    pub(super) const IDENT: At<u16> = At::new(4);
    pub(super) const SEQ: At<u16> = At::new(6);
    pub(super) const GATEWAY: At<Ipv4Addr> = At::new(4);
    pub(super) const POINTER: At<u8> = At::new(4);
    pub(super) const QUOTED_WORDS: At<u8> = At::new(5);
    pub(super) const MTU: At<u16> = At::new(6);
}

view! {
    /// An ICMP message.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// What the message is.
        kind, set_kind: MessageType = field::KIND;
        /// What the message is more closely.
        code, set_code: u8 = field::CODE;
        /// The checksum over the message.
        checksum, set_checksum: u16 = field::CHECKSUM;
        /// Echo: who asks.
        ident, set_ident: u16 = field::IDENT;
        /// Echo: the how manieth time.
        seq, set_seq: u16 = field::SEQ;
        /// Redirect: the better gateway.
        gateway, set_gateway: Ipv4Addr = field::GATEWAY;
        /// Parameter problem: the byte that is not understood.
        pointer, set_pointer: u8 = field::POINTER;
        /// Unreachable, time exceeded, parameter problem: how many words of four bytes the quoted
        /// packet has before extensions follow; zero if none do (RFC 4884).
        quoted_words, set_quoted_words: u8 = field::QUOTED_WORDS;
        /// Fragmentation needed: the greatest packet that would pass; zero from an old router.
        mtu, set_mtu: u16 = field::MTU;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// What an error quotes must be where RFC 4884 says that it ends.
    fn check_len(&self) -> Result<(), Error> {
        if self.quoted_end().is_some_and(|end| end > self.bytes().len()) {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Whether the checksum is right.
    #[must_use]
    pub fn verify_checksum(&self) -> bool {
        Sum::new().with(self.bytes()).is_valid()
    }

    /// What follows the header: echo data, or what an error quotes with its extensions.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, usize::MAX)
    }

    /// The packet that an error is about, without extensions; it begins [`HEADER_LEN`] bytes into
    /// the message.
    ///
    /// # Errors
    /// [`Error::Field`] if the message is no error, else those of [`ipv4::Packet::new_quoted`].
    pub fn quoted(&self) -> Result<ipv4::Packet<&[u8]>, Error> {
        if !self.kind().is_error() {
            return Err(Error::Field);
        }
        ipv4::Packet::new_quoted(self.span(HEADER_LEN, self.quoted_end().unwrap_or(usize::MAX)))
    }

    /// Where the quoted packet ends, if the message says so.
    fn quoted_end(&self) -> Option<usize> {
        let says = matches!(
            self.kind(),
            MessageType::UNREACHABLE | MessageType::TIME_EXCEEDED | MessageType::PARAMETER_PROBLEM
        );
        let words = usize::from(self.quoted_words());
        (says && words != 0).then_some(HEADER_LEN + words * 4)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes and writes the checksum, once the payload is in place.
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let checksum = Sum::new().with(self.bytes()).finish();
        self.set_checksum(checksum);
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.span_mut(HEADER_LEN, usize::MAX)
    }
}

/// An ICMP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repr {
    /// Are you there?
    EchoRequest {
        /// Who asks.
        ident: u16,
        /// The how manieth time.
        seq: u16,
    },
    /// I am.
    EchoReply {
        /// Who asked.
        ident: u16,
        /// The how manieth time.
        seq: u16,
    },
    /// The destination cannot be reached.
    Unreachable {
        /// Why, 0 to 15.
        code: u8,
        /// The greatest packet that would pass, for [`CODE_FRAGMENTATION_NEEDED`]; else zero.
        mtu: u16,
    },
    /// There is a better gateway.
    Redirect {
        /// For what, 0 to 3.
        code: u8,
        /// The gateway.
        gateway: Ipv4Addr,
    },
    /// Time has run out.
    TimeExceeded {
        /// On the way 0, during reassembly 1.
        code: u8,
    },
    /// A header is not understood.
    ParameterProblem {
        /// Why, 0 to 2.
        code: u8,
        /// The byte that is not understood.
        pointer: u8,
    },
}

impl Repr {
    /// Reads a header, the checksum apart.
    ///
    /// # Errors
    /// [`Error::Field`] for a message that is none of these, or a code that it does not have.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        let code = packet.code();
        let (ident, seq) = (packet.ident(), packet.seq());
        let repr = match packet.kind() {
            MessageType::ECHO_REQUEST => Self::EchoRequest { ident, seq },
            MessageType::ECHO_REPLY => Self::EchoReply { ident, seq },
            MessageType::UNREACHABLE if code == CODE_FRAGMENTATION_NEEDED => {
                Self::Unreachable { code, mtu: packet.mtu() }
            }
            MessageType::UNREACHABLE => Self::Unreachable { code, mtu: 0 },
            MessageType::REDIRECT => Self::Redirect { code, gateway: packet.gateway() },
            MessageType::TIME_EXCEEDED => Self::TimeExceeded { code },
            MessageType::PARAMETER_PROBLEM => {
                Self::ParameterProblem { code, pointer: packet.pointer() }
            }
            _ => return Err(Error::Field),
        };
        // An echo has no codes: its own is zero.
        if code != repr.code()? { Err(Error::Field) } else { Ok(repr) }
    }

    /// The code, if the message has it.
    fn code(&self) -> Result<u8, Error> {
        let (code, max) = match *self {
            Self::EchoRequest { .. } | Self::EchoReply { .. } => (0, 0),
            Self::Unreachable { code, mtu } => {
                if mtu != 0 && code != CODE_FRAGMENTATION_NEEDED {
                    return Err(Error::Field);
                }
                (code, 15)
            }
            Self::Redirect { code, .. } => (code, 3),
            Self::TimeExceeded { code } => (code, 1),
            Self::ParameterProblem { code, .. } => (code, 2),
        };
        if code > max { Err(Error::Field) } else { Ok(code) }
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header, without checksum: see [`Packet::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Field`] for a code that the message does not have, or an MTU without need.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let code = self.code()?;
        field::REST.set(packet.room(HEADER_LEN)?, [0; 4]);
        let kind = match *self {
            Self::EchoRequest { ident, seq } => {
                packet.set_ident(ident);
                packet.set_seq(seq);
                MessageType::ECHO_REQUEST
            }
            Self::EchoReply { ident, seq } => {
                packet.set_ident(ident);
                packet.set_seq(seq);
                MessageType::ECHO_REPLY
            }
            Self::Unreachable { mtu, .. } => {
                packet.set_mtu(mtu);
                MessageType::UNREACHABLE
            }
            Self::Redirect { gateway, .. } => {
                packet.set_gateway(gateway);
                MessageType::REDIRECT
            }
            Self::TimeExceeded { .. } => MessageType::TIME_EXCEEDED,
            Self::ParameterProblem { pointer, .. } => {
                packet.set_pointer(pointer);
                MessageType::PARAMETER_PROBLEM
            }
        };
        packet.set_kind(kind);
        packet.set_code(code);
        packet.set_checksum(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
