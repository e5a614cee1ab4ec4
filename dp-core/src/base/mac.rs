//! An Ethernet (EUI-48) address as a value, with its text form and its address classes.
//!
//! A newtype over the six bytes in wire order, so that an address can be copied out of a packet,
//! compared and hashed without a conversion. It has alignment 1 and no padding.

use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address, in the order of the wire (IEEE 802-2014 section 8).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The all-zero address: never a station, used for "not known".
    pub const ZERO: Self = Self([0; 6]);
    /// `ff:ff:ff:ff:ff:ff`: every station of the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// Bytes of an address on the wire.
    pub const LEN: usize = 6;

    /// The address whose six bytes are the arguments.
    #[must_use]
    pub const fn new(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) -> Self {
        Self([a, b, c, d, e, f])
    }

    /// The address held in the low 48 bits of `value`, first byte in bits 47 to 40; higher bits are
    /// dropped.
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// The address as a number: the first byte in bits 47 to 40, the upper 16 bits zero.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The six bytes in wire order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Whether all bits are zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.to_u64() == 0
    }

    /// Whether the group bit is set: multicast, broadcast included.
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// Whether this is the address of every station.
    #[must_use]
    pub const fn is_broadcast(&self) -> bool {
        self.to_u64() == 0xffff_ffff_ffff
    }

    /// Whether this may be the address of one station: neither a group nor zero.
    #[must_use]
    pub const fn is_unicast(&self) -> bool {
        !self.is_multicast() && !self.is_zero()
    }

    /// Whether the address was assigned by an administrator and not by the vendor (U/L bit).
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.0[0] & 0x02 != 0
    }

    /// Whether the address is one of `01:80:c2:00:00:00` to `01:80:c2:00:00:0f`, which a bridge
    /// never forwards (IEEE 802.1Q-2018 section 8.6.3): STP, LACP, LLDP, pause frames and others.
    #[must_use]
    pub const fn is_reserved(&self) -> bool {
        self.to_u64() & !0x0f == 0x0180_c200_0000
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl From<MacAddr> for [u8; 6] {
    fn from(mac: MacAddr) -> Self {
        mac.0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads six groups of one or two hexadecimal digits with colons between them, in either case.
impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut groups = text.split(':');
        for byte in &mut bytes {
            let group = groups.next().ok_or(ParseMacError::GroupCount)?;
            // `from_str_radix` alone would take a sign.
            if !matches!(group.len(), 1 | 2) || !group.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(ParseMacError::Group);
            }
            *byte = u8::from_str_radix(group, 16).map_err(|_| ParseMacError::Group)?;
        }
        match groups.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(ParseMacError::GroupCount),
        }
    }
}

/// Why a text is not an Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseMacError {
    /// There are not exactly six groups between colons.
    GroupCount,
    /// A group is not one or two hexadecimal digits.
    Group,
}

impl fmt::Display for ParseMacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GroupCount => "an Ethernet address has six groups separated by colons",
            Self::Group => "a group of an Ethernet address is one or two hexadecimal digits",
        })
    }
}

impl std::error::Error for ParseMacError {}

#[cfg(test)]
mod tests;
