//! What names a connection: a zone and the ends of one direction.
//!
//! A tuple is five 64-bit words, so that comparing two is five comparisons and a record can hold one
//! in words of its own. Its hash is the same for both directions: a connection without address
//! translation has one entry in the table, and one look-up finds it from either side. The hash is
//! keyed by a secret, for strangers choose what is hashed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::{Zone, mix64};
use crate::wire::Protocol;

/// One direction of a connection, in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// Source.
    pub src: IpAddr,
    /// Destination: of the same family.
    pub dst: IpAddr,
    /// Protocol, zone and what the protocol has in place of ports.
    pub rest: Rest,
}

/// What a tuple has beside addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rest {
    /// IP protocol.
    pub proto: u8,
    /// Source port; ICMP: the identifier.
    pub sport: u16,
    /// Destination port; ICMP: type in the high byte, code in the low one.
    pub dport: u16,
    /// The zone.
    pub zone: Zone,
}

/// A tuple as words.
pub(super) type Words = [u64; 5];

const V6: u64 = 1 << 56;

impl Tuple {
    /// The other direction.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let rest = if is_icmp(self.rest.proto) {
            Rest { dport: reversed_type(self.rest.proto, self.rest.dport), ..self.rest }
        } else {
            Rest { sport: self.rest.dport, dport: self.rest.sport, ..self.rest }
        };
        Self { src: self.dst, dst: self.src, rest }
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        matches!(self.src, IpAddr::V6(_))
    }

    /// Whether the protocol has an identifier, type and code in place of ports.
    #[must_use]
    pub const fn is_icmp(&self) -> bool {
        is_icmp(self.rest.proto)
    }

    /// ICMP: the type.
    #[must_use]
    pub const fn icmp_type(&self) -> u8 {
        self.rest.dport.to_be_bytes()[0]
    }

    /// ICMP: the code.
    #[must_use]
    pub const fn icmp_code(&self) -> u8 {
        self.rest.dport.to_be_bytes()[1]
    }

    #[inline]
    pub(super) fn words(&self) -> Words {
        let rest = u64::from(self.rest.sport)
            | u64::from(self.rest.dport) << 16
            | u64::from(self.rest.zone.0) << 32
            | u64::from(self.rest.proto) << 48;
        let ([a, b], v6) = halves(self.src);
        let ([c, d], _) = halves(self.dst);
        [a, b, c, d, if v6 { rest | V6 } else { rest }]
    }

    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of a word")]
    pub(super) fn from_words(words: &Words) -> Self {
        let &[a, b, c, d, rest] = words;
        let v6 = rest & V6 != 0;
        Self {
            src: joined(a, b, v6),
            dst: joined(c, d, v6),
            rest: Rest {
                sport: rest as u16,
                dport: (rest >> 16) as u16,
                zone: Zone((rest >> 32) as u16),
                proto: (rest >> 48) as u8,
            },
        }
    }
}

/// Whether two tuples are the same: without a branch, and without the call that a comparison of
/// arrays is.
#[inline(always)]
pub(super) const fn same(one: &Words, other: &Words) -> bool {
    let &[a, b, c, d, e] = one;
    let &[v, w, x, y, z] = other;
    (a ^ v) | (b ^ w) | (c ^ x) | (d ^ y) | (e ^ z) == 0
}

/// The protocol in words.
#[inline(always)]
pub(super) const fn proto(words: &Words) -> u8 {
    (words[4] >> 48) as u8
}

/// The zone in words.
#[inline(always)]
pub(super) const fn zone(words: &Words) -> Zone {
    Zone((words[4] >> 32) as u16)
}

/// The words of an IPv4 tuple from the bytes of its addresses.
#[inline(always)]
pub(super) const fn v4_words(
    (src, dst): ([u8; 4], [u8; 4]),
    (sport, dport): (u16, u16),
    proto: u8,
    zone: Zone,
) -> Words {
    let rest = sport as u64 | (dport as u64) << 16 | (zone.0 as u64) << 32 | (proto as u64) << 48;
    [0, u32::from_be_bytes(src) as u64, 0, u32::from_be_bytes(dst) as u64, rest]
}

/// The addresses of one family, in words.
pub(super) enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// The addresses in words.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "IPv4 has 32 bits")]
pub(super) const fn ends(words: &Words) -> Ends {
    let &[a, b, c, d, rest] = words;
    if rest & V6 != 0 {
        Ends::V6(wide(a, b), wide(c, d))
    } else {
        Ends::V4(Ipv4Addr::from_bits(b as u32), Ipv4Addr::from_bits(d as u32))
    }
}

const fn wide(high: u64, low: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits((high as u128) << 64 | low as u128)
}

#[inline(always)]
fn halves(address: IpAddr) -> ([u64; 2], bool) {
    match address {
        IpAddr::V4(v4) => ([0, u64::from(v4.to_bits())], false),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            ([(bits >> 64) as u64, bits as u64], true)
        }
    }
}

fn joined(high: u64, low: u64, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()
    } else {
        Ipv4Addr::from_bits(u32::try_from(low & 0xffff_ffff).unwrap_or(0)).into()
    }
}

const ICMP: u8 = Protocol::ICMP.0;
const ICMPV6: u8 = Protocol::ICMPV6.0;

pub(super) const fn is_icmp(proto: u8) -> bool {
    proto == ICMP || proto == ICMPV6
}

/// The type of the answer to a message, or of what it answers; the code stays.
const fn reversed_type(proto: u8, type_and_code: u16) -> u16 {
    let [kind, code] = type_and_code.to_be_bytes();
    let other = match (proto, kind) {
        (ICMP, 0) => 8,
        (ICMP, 8) => 0,
        (ICMP, 13) => 14,
        (ICMP, 14) => 13,
        (ICMP, 15) => 16,
        (ICMP, 16) => 15,
        (ICMPV6, 128) => 129,
        (ICMPV6, 129) => 128,
        _ => kind,
    };
    u16::from_be_bytes([other, code])
}

/// The words of the other direction.
#[inline(always)]
pub(super) const fn reversed(words: &Words) -> Words {
    let &[a, b, c, d, rest] = words;
    let proto = (rest >> 48) as u8;
    let ports = rest & 0xffff_ffff;
    let ports = if is_icmp(proto) {
        let type_and_code = (ports >> 16) as u16;
        ports & 0xffff | (reversed_type(proto, type_and_code) as u64) << 16
    } else {
        ports >> 16 | (ports & 0xffff) << 16
    };
    [c, d, a, b, rest & !0xffff_ffff | ports]
}

/// The secrets that hashes are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret([u64; 4]);

impl Secret {
    pub(super) const fn new(seed: u64) -> Self {
        let mut out = [0; 4];
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        let mut at = 0;
        while at < out.len() {
            state =
                mix64(state ^ 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f ^ state.rotate_left(31));
            // An odd number has no factor of two to lose bits to.
            out[at] = state | 1;
            at += 1;
        }
        Self(out)
    }

    /// The hash of a tuple: the same for its other direction.
    #[inline(always)]
    pub(super) const fn hash(&self, words: &Words) -> u64 {
        let &[a, b, c, d, rest] = words;
        let [k0, k1, k2, k3] = self.0;
        let proto = (rest >> 48) as u8;
        let (sport, dport, class) = if is_icmp(proto) {
            let other = reversed_type(proto, (rest >> 16) as u16) as u64;
            let this = rest >> 16 & 0xffff;
            (rest & 0xffff, rest & 0xffff, if this < other { this } else { other })
        } else {
            (rest & 0xffff, rest >> 16 & 0xffff, 0)
        };
        let one = mix64(b ^ k0 ^ sport << 32, a ^ k1 ^ sport);
        let two = mix64(d ^ k0 ^ dport << 32, c ^ k1 ^ dport);
        mix64(one.wrapping_add(two) ^ k2, rest >> 32 ^ class << 32 ^ k3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuples() -> Vec<Tuple> {
        let mut out = Vec::new();
        for (src, dst) in [("10.0.0.1", "10.0.0.2"), ("fc00::1", "fc00:0:0:1::2")] {
            let (src, dst) = (src.parse().expect("address"), dst.parse().expect("address"));
            for proto in [1, 6, 17, 47, 58, 132] {
                for zone in [0, 1, 65535] {
                    let (sport, dport) = if is_icmp(proto) {
                        (77, if proto == 1 { 0x0800 } else { 0x8000 })
                    } else {
                        (1, 2)
                    };
                    out.push(Tuple {
                        src,
                        dst,
                        rest: Rest { proto, sport, dport, zone: Zone(zone) },
                    });
                }
            }
        }
        out
    }

    #[test]
    fn words_hold_the_whole_tuple() {
        for tuple in tuples() {
            assert_eq!(Tuple::from_words(&tuple.words()), tuple);
            assert_eq!(Tuple::from_words(&reversed(&tuple.words())), tuple.reversed());
            assert_eq!(tuple.reversed().reversed(), tuple);
        }
    }

    #[test]
    fn both_directions_have_one_hash_and_others_another() {
        let secret = Secret::new(7);
        let mut seen = std::collections::HashSet::new();
        for tuple in tuples() {
            let hash = secret.hash(&tuple.words());
            assert_eq!(hash, secret.hash(&tuple.reversed().words()));
            assert_ne!(hash, Secret::new(8).hash(&tuple.words()));
            assert!(seen.insert(hash), "{tuple:?}");
        }
    }

    #[test]
    fn hashes_of_neighbours_spread_evenly() {
        let secret = Secret::new(1);
        let mut shards = [0u32; 256];
        for n in 0..65536u32 {
            let tuple = Tuple {
                src: Ipv4Addr::from_bits(0x0a00_0000 + (n >> 8)).into(),
                dst: Ipv4Addr::from_bits(0x0a01_0000).into(),
                rest: Rest { proto: 17, sport: (n & 0xff) as u16, dport: 53, zone: Zone(1) },
            };
            shards[(secret.hash(&tuple.words()) & 0xff) as usize] += 1;
        }
        assert!(shards.iter().all(|count| (150..380).contains(count)), "{shards:?}");
    }
}
