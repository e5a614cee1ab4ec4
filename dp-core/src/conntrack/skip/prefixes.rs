//! A set of addresses and prefixes, and how many bits of an address tell whether it is inside.
//!
//! Prefixes are kept sorted and disjoint, so a look-up is a binary search: an address that is in none
//! differs from all of them within one bit more than it shares with its two neighbours. Link-local
//! addresses are inside no prefix; those that are listed as themselves stand in a list of their own.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::flow::{FieldId, FlowKey, FlowMask, layout};

/// First bits and how many of them, left-aligned in 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix {
    bits: u128,
    len: u8,
}

impl Prefix {
    const fn contains(self, address: u128) -> bool {
        common(self.bits, address) >= self.len
    }
}

/// How many bits two addresses share from the left.
const fn common(a: u128, b: u128) -> u8 {
    (a ^ b).leading_zeros() as u8
}

/// Addresses and prefixes of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    v4: Family,
    v6: Family,
}

/// Those of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Family {
    prefixes: Vec<Prefix>,
    /// Link-local addresses that are listed as themselves.
    link_local: Vec<Prefix>,
}

/// Text that is no set of prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePrefixError(String);

impl fmt::Display for ParsePrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is neither an address nor a prefix", self.0)
    }
}

impl core::error::Error for ParsePrefixError {}

const LINK_LOCAL_V4: Prefix = Prefix { bits: 0xa9fe_u128 << 112, len: 16 };
const LINK_LOCAL_V6: Prefix = Prefix { bits: 0xfe80_u128 << 112, len: 10 };

impl PrefixSet {
    /// A set of prefixes: addresses and their lengths, longer ones cut to the family's.
    pub fn new(prefixes: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        let mut out = Self::default();
        for (address, len) in prefixes {
            match address {
                IpAddr::V4(v4) => {
                    let prefix = masked(u128::from(v4.to_bits()) << 96, len.min(32));
                    out.v4.insert(prefix, prefix.len == 32 && LINK_LOCAL_V4.contains(prefix.bits));
                }
                IpAddr::V6(v6) => {
                    let prefix = masked(v6.to_bits(), len.min(128));
                    out.v6.insert(prefix, prefix.len == 128 && LINK_LOCAL_V6.contains(prefix.bits));
                }
            }
        }
        for list in [&mut out.v4, &mut out.v6].into_iter().flat_map(Family::lists) {
            list.sort_unstable();
            // What lies inside another follows it.
            list.dedup_by(|later, earlier| {
                earlier.len <= later.len && earlier.contains(later.bits)
            });
        }
        out
    }

    /// Whether the packet's destination (or source) is inside. The bits that tell count in `wc`.
    pub(super) fn holds(&self, flow: &FlowKey, destination: bool, wc: &mut FlowMask) -> bool {
        wc.unwildcard_place(layout::ETH_TYPE);
        let (list, field, width, link_local) = match (flow.eth_type(), destination) {
            (0x0800, true) => (&self.v4, FieldId::Ipv4Dst, 32, LINK_LOCAL_V4),
            (0x0800, false) => (&self.v4, FieldId::Ipv4Src, 32, LINK_LOCAL_V4),
            (0x86dd, true) => (&self.v6, FieldId::Ipv6Dst, 128, LINK_LOCAL_V6),
            (0x86dd, false) => (&self.v6, FieldId::Ipv6Src, 128, LINK_LOCAL_V6),
            _ => return false,
        };
        let address = flow.get(field) << (128 - u32::from(width));
        let (inside, bits) = list.find(address, width, link_local);
        if bits != 0 {
            let mask = u128::MAX << (128 - u32::from(bits.min(width)));
            wc.unwildcard_bits(field, mask >> (128 - u32::from(width)));
        }
        inside
    }
}

fn masked(bits: u128, len: u8) -> Prefix {
    let mask = if len == 0 { 0 } else { u128::MAX << (128 - u32::from(len)) };
    Prefix { bits: bits & mask, len }
}

impl Family {
    fn insert(&mut self, prefix: Prefix, is_link_local: bool) {
        if is_link_local { &mut self.link_local } else { &mut self.prefixes }.push(prefix);
    }

    fn lists(&mut self) -> [&mut Vec<Prefix>; 2] {
        [&mut self.prefixes, &mut self.link_local]
    }

    /// Whether an address counts as inside, and how many of its bits tell.
    fn find(&self, address: u128, width: u8, link_local: Prefix) -> (bool, u8) {
        let (around, near) = search(&self.prefixes, address);
        let (listed, beside) = search(&self.link_local, address);
        match around {
            _ if listed.is_some() => (true, width),
            None => (false, near.max(beside)),
            Some(_) if link_local.contains(address) => (false, link_local.len.max(beside)),
            Some(prefix) => {
                let holds_them = prefix.len <= link_local.len && prefix.contains(link_local.bits);
                let apart = if holds_them { common(address, link_local.bits) + 1 } else { 0 };
                (true, prefix.len.max(apart))
            }
        }
    }
}

/// The prefix that an address is in, or how many of its bits tell it from all of them.
fn search(list: &[Prefix], address: u128) -> (Option<Prefix>, u8) {
    let at = list.partition_point(|prefix| prefix.bits <= address);
    let before = at.checked_sub(1).and_then(|at| list.get(at));
    if let Some(prefix) = before.filter(|prefix| prefix.contains(address)) {
        return (Some(*prefix), prefix.len);
    }
    let shared = |prefix: &Prefix| common(prefix.bits, address) + 1;
    (None, before.map_or(0, shared).max(list.get(at).map_or(0, shared)))
}

impl FromStr for PrefixSet {
    type Err = ParsePrefixError;

    /// Addresses and prefixes, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let one = |word: &str| -> Option<(IpAddr, u8)> {
            let (address, len) = word.split_once('/').unwrap_or((word, ""));
            let address: IpAddr = address.parse().ok()?;
            let width = if address.is_ipv6() { 128 } else { 32 };
            let len = if len.is_empty() { width } else { len.parse().ok()? };
            (len <= width).then_some((address, len))
        };
        let all: Result<Vec<_>, _> =
            words.map(|word| one(word).ok_or_else(|| ParsePrefixError(word.to_owned()))).collect();
        Ok(Self::new(all?))
    }
}

impl fmt::Display for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "{";
        let all = |family: &Family| {
            family.prefixes.iter().chain(&family.link_local).copied().collect::<Vec<Prefix>>()
        };
        let v4 = all(&self.v4).into_iter().map(|prefix| {
            let bits = u32::try_from(prefix.bits >> 96).unwrap_or(0);
            (IpAddr::from(Ipv4Addr::from_bits(bits)), prefix.len, 32)
        });
        let v6 = all(&self.v6)
            .into_iter()
            .map(|prefix| (IpAddr::from(Ipv6Addr::from_bits(prefix.bits)), prefix.len, 128));
        for (address, len, width) in v4.chain(v6) {
            write!(f, "{separator}{address}")?;
            if len != width {
                write!(f, "/{len}")?;
            }
            separator = ",";
        }
        f.write_str(if separator == "{" { "{}" } else { "}" })
    }
}
