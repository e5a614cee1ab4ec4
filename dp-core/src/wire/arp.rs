//! ARP and RARP (RFC 826, RFC 903).
//!
//! ```text
//!  0             2             4      5      6             8
//! +-------------+-------------+------+------+-------------+----- - -
//! |  hardware   |  protocol   | hlen | plen |  operation  | sender hardware, sender protocol,
//! +-------------+-------------+------+------+-------------+ target hardware, target protocol
//! ```
//!
//! The view serves every hardware and protocol; the representation is Ethernet and IPv4, the only
//! pair in use.

use super::layout::{codes, fields, view};
use super::{Error, EtherType};
use crate::base::MacAddr;
use std::net::Ipv4Addr;

/// Bytes before the addresses.
pub const FIXED_LEN: usize = 8;
/// Bytes of a message with Ethernet and IPv4 addresses.
pub const HEADER_LEN: usize = 28;
/// The hardware type of Ethernet.
pub const HARDWARE_ETHERNET: u16 = 1;

codes! {
    /// What an ARP message asks or tells.
    Operation(u16) {
        /// Who has this protocol address?
        REQUEST = 1;
        /// I have.
        REPLY = 2;
        /// Which protocol address has this hardware? (RARP)
        REVERSE_REQUEST = 3;
        /// That one. (RARP)
        REVERSE_REPLY = 4;
    }
}

mod field {
    use super::Operation;
    use crate::base::MacAddr;
    use crate::wire::EtherType;
    use crate::wire::layout::At;
    use std::net::Ipv4Addr;

    pub(super) const HARDWARE: At<u16> = At::new(0);
    pub(super) const PROTOCOL: At<EtherType> = At::new(2);
    pub(super) const HARDWARE_LEN: At<u8> = At::new(4);
    pub(super) const PROTOCOL_LEN: At<u8> = At::new(5);
    pub(super) const OPERATION: At<Operation> = At::new(6);
    // With addresses of Ethernet and IPv4.
    pub(super) const SENDER_MAC: At<MacAddr> = At::new(8);
    pub(super) const SENDER_IP: At<Ipv4Addr> = At::new(14);
    pub(super) const TARGET_MAC: At<MacAddr> = At::new(18);
    pub(super) const TARGET_IP: At<Ipv4Addr> = At::new(24);
}

view! {
    /// An ARP or RARP message.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// The hardware type.
        hardware, set_hardware: u16 = field::HARDWARE;
        /// The protocol whose addresses are resolved.
        protocol, set_protocol: EtherType = field::PROTOCOL;
        /// Bytes of a hardware address.
        hardware_len, set_hardware_len: u8 = field::HARDWARE_LEN;
        /// Bytes of a protocol address.
        protocol_len, set_protocol_len: u8 = field::PROTOCOL_LEN;
        /// The operation.
        operation, set_operation: Operation = field::OPERATION;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.bytes().len() < self.header_len() {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Bytes of the message with its four addresses.
    #[must_use]
    pub fn header_len(&self) -> usize {
        FIXED_LEN + 2 * (usize::from(self.hardware_len()) + usize::from(self.protocol_len()))
    }

    /// The sender's hardware address.
    #[must_use]
    pub fn sender_hardware(&self) -> &[u8] {
        self.address(0)
    }

    /// The sender's protocol address.
    #[must_use]
    pub fn sender_protocol(&self) -> &[u8] {
        self.address(1)
    }

    /// The target's hardware address.
    #[must_use]
    pub fn target_hardware(&self) -> &[u8] {
        self.address(2)
    }

    /// The target's protocol address.
    #[must_use]
    pub fn target_protocol(&self) -> &[u8] {
        self.address(3)
    }

    /// Whether the addresses are those of Ethernet and IPv4.
    #[must_use]
    pub fn is_ethernet_ipv4(&self) -> bool {
        self.hardware() == HARDWARE_ETHERNET
            && self.protocol() == EtherType::IPV4
            && self.hardware_len() == 6
            && self.protocol_len() == 4
    }

    /// The `n`th address; hardware and protocol alternate.
    fn address(&self, n: usize) -> &[u8] {
        let (hardware, protocol): (usize, usize) =
            (self.hardware_len().into(), self.protocol_len().into());
        let start = FIXED_LEN + n / 2 * (hardware + protocol);
        if n.is_multiple_of(2) {
            self.span(start, start + hardware)
        } else {
            self.span(start + hardware, start + hardware + protocol)
        }
    }
}

/// An ARP or RARP message between Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The operation.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddr,
    /// The sender's IPv4 address.
    pub sender_ip: Ipv4Addr,
    /// The target's Ethernet address; without meaning in a request.
    pub target_mac: MacAddr,
    /// The target's IPv4 address.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Error::Field`] if the addresses are not those of Ethernet and IPv4;
    /// [`Error::Truncated`] if they are not all there.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        if !packet.is_ethernet_ipv4() {
            return Err(Error::Field);
        }
        packet.check_len()?;
        let bytes = packet.bytes();
        Ok(Self {
            operation: packet.operation(),
            sender_mac: field::SENDER_MAC.get(bytes),
            sender_ip: field::SENDER_IP.get(bytes),
            target_mac: field::TARGET_MAC.get(bytes),
            target_ip: field::TARGET_IP.get(bytes),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the message.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        let bytes = packet.room(HEADER_LEN)?;
        field::SENDER_MAC.set(bytes, self.sender_mac);
        field::SENDER_IP.set(bytes, self.sender_ip);
        field::TARGET_MAC.set(bytes, self.target_mac);
        field::TARGET_IP.set(bytes, self.target_ip);
        packet.set_hardware(HARDWARE_ETHERNET);
        packet.set_protocol(EtherType::IPV4);
        packet.set_hardware_len(6);
        packet.set_protocol_len(4);
        packet.set_operation(self.operation);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
