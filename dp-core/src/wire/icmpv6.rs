//! ICMPv6 (RFC 4443): echo, errors, and the packets that errors quote.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     Type      |     Code      |           Checksum            |
//! +---------------+---------------+-------------------------------+
//! |          ident and sequence, MTU or pointer                   |
//! +---------------------------------------------------------------+
//! |      Echo data, or the start of the packet that an error      |
//! |                          is about                             |
//! +---------------------------------------------------------------+
//! ```
//!
//! Unlike that of ICMP, the checksum covers a pseudo header. Neighbour discovery has a file of its
//! own, [`ndp`](super::ndp).

use super::checksum::{Pseudo, Sum};
use super::layout::{codes, fields, view};
use super::{Error, Protocol, ipv6};

/// Bytes of the header that these messages have.
pub const HEADER_LEN: usize = 8;
/// Unreachable: forbidden by an administrator.
pub const CODE_PROHIBITED: u8 = 1;
/// Unreachable: no one listens on the port.
pub const CODE_PORT_UNREACHABLE: u8 = 4;

codes! {
    /// What a message is; errors are below 128.
    MessageType(u8) {
        /// Destination unreachable.
        UNREACHABLE = 1;
        /// The next link does not take packets of this size.
        PACKET_TOO_BIG = 2;
        /// The hop limit, or the time for reassembly, has run out.
        TIME_EXCEEDED = 3;
        /// A header is not understood.
        PARAMETER_PROBLEM = 4;
        /// Echo request.
        ECHO_REQUEST = 128;
        /// Echo reply.
        ECHO_REPLY = 129;
        /// Multicast listener query (RFC 2710, RFC 3810).
        MLD_QUERY = 130;
        /// Multicast listener report, version 1 (RFC 2710).
        MLD_REPORT = 131;
        /// Multicast listener done (RFC 2710).
        MLD_DONE = 132;
        /// Router solicitation (RFC 4861).
        ROUTER_SOLICIT = 133;
        /// Router advertisement (RFC 4861).
        ROUTER_ADVERT = 134;
        /// Neighbour solicitation (RFC 4861).
        NEIGHBOUR_SOLICIT = 135;
        /// Neighbour advertisement (RFC 4861).
        NEIGHBOUR_ADVERT = 136;
        /// There is a better first hop (RFC 4861).
        REDIRECT = 137;
        /// Multicast listener report, version 2 (RFC 3810).
        MLD2_REPORT = 143;
    }
}

impl MessageType {
    /// Whether a message of this type reports an error and quotes the packet it is about.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }
}

mod field {
    use super::MessageType;
    use crate::wire::layout::At;

    pub(super) const KIND: At<MessageType> = At::new(0);
    pub(super) const CODE: At<u8> = At::new(1);
    pub(super) const CHECKSUM: At<u16> = At::new(2);
    pub(super) const REST: At<[u8; 4]> = At::new(4);
    pub(super) const IDENT: At<u16> = At::new(4);
    pub(super) const SEQ: At<u16> = At::new(6);
    pub(super) const MTU: At<u32> = At::new(4);
    pub(super) const POINTER: At<u32> = At::new(4);
    pub(super) const QUOTED_WORDS: At<u8> = At::new(4);
}

view! {
    /// An ICMPv6 message.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// What the message is.
        kind, set_kind: MessageType = field::KIND;
        /// What the message is more closely.
        code, set_code: u8 = field::CODE;
        /// The checksum over pseudo header and message.
        checksum, set_checksum: u16 = field::CHECKSUM;
        /// Echo: who asks.
        ident, set_ident: u16 = field::IDENT;
        /// Echo: the how manieth time.
        seq, set_seq: u16 = field::SEQ;
        /// Packet too big: the greatest that would pass.
        mtu, set_mtu: u32 = field::MTU;
        /// Parameter problem: the byte that is not understood.
        pointer, set_pointer: u32 = field::POINTER;
        /// Unreachable and time exceeded: how many words of eight bytes the quoted packet has
        /// before extensions follow; zero if none do (RFC 4884).
        quoted_words, set_quoted_words: u8 = field::QUOTED_WORDS;
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

    /// Whether the checksum is right, between the addresses given.
    #[must_use]
    pub fn verify_checksum(&self, ends: Pseudo) -> bool {
        self.sum(ends).is_valid()
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
    /// [`Error::Field`] if the message is no error, else those of [`ipv6::Packet::new_quoted`].
    pub fn quoted(&self) -> Result<ipv6::Packet<&[u8]>, Error> {
        if !self.kind().is_error() {
            return Err(Error::Field);
        }
        ipv6::Packet::new_quoted(self.span(HEADER_LEN, self.quoted_end().unwrap_or(usize::MAX)))
    }

    /// Where the quoted packet ends, if the message says so.
    fn quoted_end(&self) -> Option<usize> {
        let says = matches!(self.kind(), MessageType::UNREACHABLE | MessageType::TIME_EXCEEDED);
        let words = usize::from(self.quoted_words());
        (says && words != 0).then_some(HEADER_LEN + words * 8)
    }

    fn sum(&self, ends: Pseudo) -> Sum {
        ends.sum(Protocol::ICMPV6, self.bytes().len()).with(self.bytes())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes and writes the checksum, once the payload is in place.
    pub fn fill_checksum(&mut self, ends: Pseudo) {
        self.set_checksum(0);
        let checksum = self.sum(ends).finish();
        self.set_checksum(checksum);
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.span_mut(HEADER_LEN, usize::MAX)
    }
}

/// An ICMPv6 header.
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
        /// Why, 0 to 8.
        code: u8,
    },
    /// The next link does not take packets of this size.
    PacketTooBig {
        /// The greatest that would pass.
        mtu: u32,
    },
    /// Time has run out.
    TimeExceeded {
        /// On the way 0, during reassembly 1.
        code: u8,
    },
    /// A header is not understood.
    ParameterProblem {
        /// Why, 0 to 10.
        code: u8,
        /// The byte that is not understood.
        pointer: u32,
    },
}

impl Repr {
    /// Reads a header, the checksum apart. The code of "packet too big" is passed over, as RFC
    /// 4443 section 3.2 asks.
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
            MessageType::UNREACHABLE => Self::Unreachable { code },
            MessageType::PACKET_TOO_BIG => return Ok(Self::PacketTooBig { mtu: packet.mtu() }),
            MessageType::TIME_EXCEEDED => Self::TimeExceeded { code },
            MessageType::PARAMETER_PROBLEM => {
                Self::ParameterProblem { code, pointer: packet.pointer() }
            }
            _ => return Err(Error::Field),
        };
        if code != repr.code()? { Err(Error::Field) } else { Ok(repr) }
    }

    /// The code, if the message has it (IANA registry "ICMPv6 Code Fields").
    fn code(&self) -> Result<u8, Error> {
        let (code, max) = match *self {
            Self::EchoRequest { .. } | Self::EchoReply { .. } | Self::PacketTooBig { .. } => (0, 0),
            Self::Unreachable { code } => (code, 8),
            Self::TimeExceeded { code } => (code, 1),
            Self::ParameterProblem { code, .. } => (code, 10),
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
    /// [`Error::Field`] for a code that the message does not have.
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
            Self::Unreachable { .. } => MessageType::UNREACHABLE,
            Self::PacketTooBig { mtu } => {
                packet.set_mtu(mtu);
                MessageType::PACKET_TOO_BIG
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
