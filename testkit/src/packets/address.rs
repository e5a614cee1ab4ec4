//! Addresses as a test writes them.
//!
//! Tests name addresses by text most of the time, by octets where they count up. [`Spelled`] lets
//! every constructor take either without a conversion at each call.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All hosts.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address of host `n` in a test: `50:54:00:00:hi:lo`.
    #[must_use]
    pub const fn host(n: u16) -> Self {
        let [hi, lo] = n.to_be_bytes();
        Self([0x50, 0x54, 0, 0, hi, lo])
    }

    /// The group address an IPv4 multicast group maps to (RFC 1112 §6.4).
    #[must_use]
    pub const fn group4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address an IPv6 multicast group maps to (RFC 2464 §7).
    #[must_use]
    pub const fn group6(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let digits = parts.next().filter(|digits| digits.len() == 2).ok_or(MacError)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() {
            return Err(MacError);
        }
        Ok(Self(octets))
    }
}

/// The text is not six pairs of hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not six pairs of hexadecimal digits joined by colons")]
pub struct MacError;

/// What a test may write where a `T` is meant: the value, its octets, or its text.
pub trait Spelled<T> {
    /// The value.
    ///
    /// # Panics
    ///
    /// If it is text that does not spell a `T`: a mistake in the test itself.
    fn value(self) -> T;
}

macro_rules! spelled {
    ($address:ty, $octets:ty) => {
        impl Spelled<$address> for $address {
            fn value(self) -> $address {
                self
            }
        }

        impl Spelled<$address> for $octets {
            fn value(self) -> $address {
                <$address>::from(self)
            }
        }

        impl Spelled<$address> for &str {
            fn value(self) -> $address {
                match self.parse() {
                    Ok(address) => address,
                    Err(error) => panic!("{self:?}: {error}"),
                }
            }
        }
    };
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

spelled!(Mac, [u8; 6]);
spelled!(Ipv4Addr, [u8; 4]);
spelled!(Ipv6Addr, [u8; 16]);
