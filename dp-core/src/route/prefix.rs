//! Address prefixes of either family, as keys of routing tables.
//!
//! The bits stand at the top of a 128-bit number whichever the family, so that walking, comparing
//! and cutting know nothing of families.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bits of an address.
    #[must_use]
    pub const fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// An address's bits at the top of a number.
#[must_use]
pub fn left_aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A prefix: an address of which the first `len` bits count, the others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    family: Family,
    bits: u128,
    len: u8,
}

/// Why text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// There is no address before the slash.
    Address,
    /// The length is no number, larger than the family's width, or a mask with holes.
    Length,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "expected an IPv4 or IPv6 address",
            Self::Length => "expected a prefix length that the address has",
        })
    }
}

impl core::error::Error for PrefixError {}

/// The first `len` bits set.
const fn ones(len: u8) -> u128 {
    match len {
        0 => 0,
        1..=127 => !(u128::MAX >> len),
        _ => u128::MAX,
    }
}

impl Prefix {
    /// The prefix of this length that an address lies in; a length beyond the family's width
    /// means the address itself.
    #[must_use]
    pub fn new(address: IpAddr, len: u8) -> Self {
        let family = Family::of(address);
        let len = len.min(family.width());
        Self { family, bits: left_aligned(address) & ones(len), len }
    }

    /// The prefix that holds one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, u8::MAX)
    }

    /// The family.
    #[must_use]
    pub const fn family(self) -> Family {
        self.family
    }

    /// How many bits count.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in bits, not of a collection")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// The bits, at the top of the number.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.bits
    }

    /// Whether it holds one address only.
    #[must_use]
    pub const fn is_host(self) -> bool {
        self.len == self.family.width()
    }

    /// Its first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits((self.bits >> 96) as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(self.bits)),
        }
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        Family::of(address) == self.family && left_aligned(address) & ones(self.len) == self.bits
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        matches!((self.family, other.family), (Family::V4, Family::V4) | (Family::V6, Family::V6))
            && self.len <= other.len
            && other.bits & ones(self.len) == self.bits
    }

    /// The prefix of this length around it; itself where it is shorter.
    #[must_use]
    pub const fn widened(self, len: u8) -> Self {
        let len = if len < self.len { len } else { self.len };
        Self { family: self.family, bits: self.bits & ones(len), len }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.len)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `ADDRESS/LENGTH`, `ADDRESS/MASK`, or an address alone, which means itself. Bits beyond the
    /// length are cut.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Address)?;
        let Some(len) = len else { return Ok(Self::host(address)) };
        let family = Family::of(address);
        let of_mask = || len.parse().ok().and_then(|mask| mask_len(mask, family));
        match len.parse::<u8>().ok().or_else(of_mask) {
            Some(len) if len <= family.width() => Ok(Self::new(address, len)),
            _ => Err(PrefixError::Length),
        }
    }
}

/// The length that a mask of this family says, if it has no holes.
fn mask_len(mask: IpAddr, family: Family) -> Option<u8> {
    let bits = left_aligned(mask);
    let len = u8::try_from(bits.leading_ones()).ok()?;
    (Family::of(mask) == family && bits == ones(len)).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::{Prefix, PrefixError};

    #[test]
    fn text_is_read_cut_and_written() {
        let prefix = |text: &str| text.parse::<Prefix>();
        assert_eq!(prefix("10.1.2.3/8").map(|p| p.to_string()), Ok("10.0.0.0/8".into()));
        assert_eq!(prefix("10.1.2.3").map(|p| p.to_string()), Ok("10.1.2.3/32".into()));
        assert_eq!(prefix("::/0").map(|p| p.to_string()), Ok("::/0".into()));
        assert_eq!(prefix("2001:db8::1/32").map(|p| p.to_string()), Ok("2001:db8::/32".into()));
        assert_eq!(prefix("10.1.2.3/255.255.0.0").map(|p| p.to_string()), Ok("10.1.0.0/16".into()));
        assert_eq!(prefix("2001:db8::1/ffff::").map(|p| p.to_string()), Ok("2001::/16".into()));
        assert_eq!(prefix("10.1.2.3/255.0.255.0"), Err(PrefixError::Length));
        assert_eq!(prefix("10.1.2.3/ffff::"), Err(PrefixError::Length));
        assert_eq!(prefix("1.2.3.4/33"), Err(PrefixError::Length));
        assert_eq!(prefix("1.2.3.4/"), Err(PrefixError::Length));
        assert_eq!(prefix("1.2.3/8"), Err(PrefixError::Address));
    }

    #[test]
    fn a_prefix_holds_its_own_family_only() {
        let all4: Prefix = "0.0.0.0/0".parse().expect("valid");
        let all6: Prefix = "::/0".parse().expect("valid");
        let host4 = "1.2.3.4".parse().expect("valid");
        assert!(all4.contains(host4) && !all6.contains(host4));
        assert!(all4.covers(Prefix::host(host4)) && !Prefix::host(host4).covers(all4));
    }
}
