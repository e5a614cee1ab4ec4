//! The Internet checksum (RFC 1071), its update in place (RFC 1624), and the CRC of SCTP.
//!
//! The sum is taken in native byte order over eight bytes at a time, which RFC 1071 section 2 (B)
//! allows, and swapped once at the end. A [`Sum`] remembers whether it has seen an odd number of
//! bytes, so that a packet may be summed segment by segment wherever the segments are cut.
//!
//! # Cost
//! One load and two additions for eight bytes, in a loop the compiler can make vectors of;
//! CRC32c by eight tables of 1 KiB, eight bytes a step, without special instructions.

use super::ip::Protocol;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A ones' complement sum under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// The sum of 16-bit lanes in native order, folded to at most 17 bits after each addition.
    lanes: u64,
    /// Whether the bytes so far are odd in number: the next one is then the low half of a word.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { lanes: 0, odd: false }
    }

    /// The sum with `bytes` appended to what was summed before.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let part = fold(sum_lanes(bytes));
        let part = if self.odd { part.swap_bytes() } else { part };
        Self {
            lanes: u64::from(fold(self.lanes + u64::from(part))),
            odd: self.odd ^ (bytes.len() % 2 == 1),
        }
    }

    /// The sum with a 16-bit number appended.
    #[must_use]
    pub fn with_u16(self, number: u16) -> Self {
        self.with(&number.to_be_bytes())
    }

    /// The sum with a 32-bit number appended.
    #[must_use]
    pub fn with_u32(self, number: u32) -> Self {
        self.with(&number.to_be_bytes())
    }

    /// The checksum to store: the complement of the sum.
    #[must_use]
    pub fn finish(self) -> u16 {
        !u16::from_be(fold(self.lanes))
    }

    /// Whether bytes summed together with their stored checksum are sound.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.finish() == 0
    }
}

/// The Internet checksum of `bytes`, an odd last byte being padded with zero.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::new().with(bytes).finish()
}

/// The addresses under which a transport checksum is taken (RFC 9293 section 3.1, RFC 8200
/// section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pseudo {
    /// Carried by IPv4.
    V4 {
        /// Source address.
        src: Ipv4Addr,
        /// Destination address.
        dst: Ipv4Addr,
    },
    /// Carried by IPv6.
    V6 {
        /// Source address.
        src: Ipv6Addr,
        /// Final destination address, also where a routing header is present.
        dst: Ipv6Addr,
    },
}

impl Pseudo {
    /// Whether IPv6 carries it.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        matches!(self, Self::V6 { .. })
    }

    /// The sum of the pseudo header for `len` bytes of transport header and payload.
    ///
    /// Lengths are those of one IP payload; of a longer one the low 32 bits count.
    #[must_use]
    pub fn sum(self, protocol: Protocol, len: usize) -> Sum {
        let sum = match self {
            Self::V4 { src, dst } => Sum::new().with(&src.octets()).with(&dst.octets()),
            Self::V6 { src, dst } => Sum::new().with(&src.octets()).with(&dst.octets()),
        };
        // The fields are laid out differently in v4 and v6, but their sum is the same.
        sum.with_u32(len as u32).with_u32(protocol.0.into())
    }
}

/// The checksum after the 16-bit word `old` under it became `new` (RFC 1624 equation 3).
///
/// The word must stand at an even distance from the start of the summed bytes. The result may be
/// zero: where zero means "no checksum" (UDP) the caller must neither update a zero nor store one
/// (see [`never_zero`]).
#[must_use]
pub fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    update(checksum, u64::from(!old) + u64::from(new))
}

/// As [`update_u16`], for a 32-bit number, such as an IPv4 address.
#[must_use]
pub fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    // Folding adds the halves: 2^16 is 1 in ones' complement.
    update(checksum, u64::from(!old) + u64::from(new))
}

/// As [`update_u16`], for 16 bytes, such as an IPv6 address.
#[must_use]
pub fn update_u128(checksum: u16, old: u128, new: u128) -> u16 {
    let words = |number: u128| {
        let low = |number: u128| (number & 0xffff_ffff) as u64;
        low(number) + low(number >> 32) + low(number >> 64) + low(number >> 96)
    };
    update(checksum, words(!old) + words(new))
}

/// A UDP checksum as it is stored: zero, which would mean "none", becomes its equal 0xffff
/// (RFC 768).
#[must_use]
pub const fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

fn update(checksum: u16, change: u64) -> u16 {
    !fold(u64::from(!checksum) + change)
}

/// Sums 32-bit halves into 64 bits: this cannot overflow below 16 GiB.
fn sum_lanes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = 0_u64;
    for word in words {
        let word = u64::from_ne_bytes(*word);
        sum = sum.wrapping_add((word >> 32) + (word & 0xffff_ffff));
    }
    let rest = match rest.split_first_chunk() {
        Some((half, rest)) => {
            sum = sum.wrapping_add(u32::from_ne_bytes(*half).into());
            rest
        }
        None => rest,
    };
    let last = match *rest {
        [] => 0,
        [a] => u64::from(u16::from_ne_bytes([a, 0])),
        [a, b] => u64::from(u16::from_ne_bytes([a, b])),
        [a, b, c, ..] => u64::from(u32::from_ne_bytes([a, b, c, 0])),
    };
    sum.wrapping_add(last)
}

/// Folds the carries back in until 16 bits are left; zero comes only from zero.
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// A CRC32c (Castagnoli) under way, as SCTP uses it (RFC 9260 appendix A).
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(u32);

impl Crc32c {
    /// The CRC of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(!0)
    }

    /// The CRC with `bytes` appended.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut crc = self.0;
        for &[a, b, c, d, e, f, g, h] in words {
            let [i, j, k, l] = (crc ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
            crc = entry(7, i)
                ^ entry(6, j)
                ^ entry(5, k)
                ^ entry(4, l)
                ^ entry(3, e)
                ^ entry(2, f)
                ^ entry(1, g)
                ^ entry(0, h);
        }
        for byte in rest {
            let [low, ..] = crc.to_le_bytes();
            crc = entry(0, low ^ byte) ^ (crc >> 8);
        }
        Self(crc)
    }

    /// The finished value; SCTP stores it with the lowest byte first.
    #[must_use]
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// The CRC32c of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().with(bytes).finish()
}

/// The polynomial 0x1edc6f41 with its bits in reverse.
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// Table `n` carries a byte through `n + 1` bytes of the register.
static TABLES: [[u32; 256]; 8] = tables();

fn entry(table: usize, byte: u8) -> u32 {
    TABLES[table][usize::from(byte)]
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (CASTAGNOLI & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests;
