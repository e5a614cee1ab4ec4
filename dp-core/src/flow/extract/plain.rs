//! Which packets the vector kernels take: plain IPv4 and IPv6, untagged or with one tag, TCP or UDP.
//!
//! A handful of scalar compares make sure that a packet is of that shape and that its lengths are
//! true; anything else is left to the portable parser, which also gives every error its name.

use crate::packet::{Known, Metadata};

/// A packet whose key is a fixed permutation of its first bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    /// Whether there is a tag: 1, else 0.
    pub tagged: usize,
    /// The version of IP.
    pub version: Version,
    /// TCP is 1, UDP 0.
    pub tcp: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A header of 20 bytes, not a fragment.
    V4,
    /// TCP or UDP straight behind the header.
    V6,
}

impl Plain {
    /// Where the IP header begins.
    #[inline(always)]
    pub(super) const fn l3(self) -> usize {
        14 + 4 * self.tagged
    }

    /// Where the TCP or UDP header begins.
    #[inline(always)]
    pub(super) const fn l4(self) -> usize {
        self.l3()
            + match self.version {
                Version::V4 => 20,
                Version::V6 => 40,
            }
    }

    /// Notes where the headers are, and that nothing else is known of the packet.
    #[inline(always)]
    pub(super) fn note(self, meta: &mut Metadata) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 58")]
        {
            (meta.l3, meta.l4) = (self.l3() as u16, self.l4() as u16);
        }
        meta.known = Known::empty();
    }
}

/// What the frame is, if it is plain. All 28 (IPv4) or 48 (IPv6) bytes from the IP header on are
/// there then, with TCP 40 or 60.
#[inline(always)]
pub(super) fn recognise(frame: &[u8]) -> Option<Plain> {
    let head = frame.first_chunk::<42>()?;
    let outer = u16::from_be_bytes([head[12], head[13]]);
    let tagged = usize::from(outer == 0x8100 || outer == 0x88a8);
    let tag = tagged * 4;
    let eth_type = u16::from_be_bytes([head[12 + tag], head[13 + tag]]);
    let packet = frame.get(14 + tag..)?;
    let (version, tcp) = match eth_type {
        0x0800 => (Version::V4, ipv4(packet)?),
        0x86dd => (Version::V6, ipv6(packet)?),
        _ => return None,
    };
    Some(Plain { tagged, version, tcp })
}

#[inline(always)]
fn ipv4(packet: &[u8]) -> Option<usize> {
    let ip = packet.first_chunk::<28>()?;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let whole = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0;
    if ip[0] != 0x45 || !whole || total < 28 || total > packet.len() {
        return None;
    }
    transport(ip[9], packet.get(20..)?, total - 20)
}

#[inline(always)]
fn ipv6(packet: &[u8]) -> Option<usize> {
    let ip = packet.first_chunk::<48>()?;
    let payload = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    if ip[0] >> 4 != 6 || payload < 8 || payload + 40 > packet.len() {
        return None;
    }
    transport(ip[6], packet.get(40..)?, payload)
}

/// Whether a transport header whose first bytes are `l4` stands whole and true in `len` bytes of
/// payload; tells TCP (1) from UDP (0).
#[inline(always)]
fn transport(proto: u8, l4: &[u8], len: usize) -> Option<usize> {
    match (proto, l4) {
        (17, &[_, _, _, _, high, low, _, _, ..]) => {
            let said = usize::from(u16::from_be_bytes([high, low]));
            (said >= 8 && said <= len).then_some(0)
        }
        (6, &[_, _, _, _, _, _, _, _, _, _, _, _, offset, _, ..]) if len >= 20 => {
            let said = usize::from(offset >> 4) * 4;
            (said >= 20 && said <= len).then_some(1)
        }
        _ => None,
    }
}
