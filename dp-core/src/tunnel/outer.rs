//! The outer IP header of a packet in a tunnel, checked; and where an inner transport header ends.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::template::{ERSPAN1, ERSPAN2, GRE};
use crate::base::DropReason;
use crate::wire::checksum::{Pseudo, Sum};

/// The checksum of an IPv4 header without options, its field taken as zero.
pub(super) fn ip_checksum(header: &[u8; 20]) -> u16 {
    let (before, rest) = header.split_at(10);
    let after = rest.get(2..).unwrap_or_default();
    Sum::new().with(before).with(after).finish()
}

/// What the outer IP header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub(super) ends: Pseudo,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    /// The IP protocol of what follows; for IPv6 the next header, whatever it is.
    pub(super) protocol: u8,
    /// Where that begins.
    pub(super) l4: usize,
    /// Where the datagram ends: what is behind is padding.
    pub(super) end: usize,
}

impl Outer {
    /// Reads and checks the header at `l3`.
    pub(super) fn read(frame: &[u8], l3: usize) -> Result<Self, DropReason> {
        match frame.get(l3).map(|first| first >> 4) {
            Some(4) => Self::read_v4(frame, l3),
            Some(6) => Self::read_v6(frame, l3),
            Some(_) => Err(DropReason::TunnelPopError),
            None => Err(DropReason::TunnelPopTruncated),
        }
    }

    fn read_v4(frame: &[u8], l3: usize) -> Result<Self, DropReason> {
        let rest = frame.get(l3..).unwrap_or_default();
        let header: &[u8; 20] = rest.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
        let len = usize::from(header[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if len < 20 || total < len {
            return Err(DropReason::TunnelPopError);
        }
        if total > rest.len() {
            return Err(DropReason::TunnelPopTruncated);
        }
        if !Sum::new().with(rest.get(..len).unwrap_or_default()).is_valid() {
            return Err(DropReason::TunnelPopChecksum);
        }
        // A fragment has at most a part of the tunnel's header.
        if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
            return Err(DropReason::TunnelPopError);
        }
        let [.., a, b, c, d, e, f, g, h] = *header;
        let ends = Pseudo::V4 { src: Ipv4Addr::new(a, b, c, d), dst: Ipv4Addr::new(e, f, g, h) };
        Ok(Self {
            ends,
            tos: header[1],
            ttl: header[8],
            protocol: header[9],
            l4: l3 + len,
            end: l3 + total,
        })
    }

    fn read_v6(frame: &[u8], l3: usize) -> Result<Self, DropReason> {
        let rest = frame.get(l3..).unwrap_or_default();
        let header: &[u8; 40] = rest.first_chunk().ok_or(DropReason::TunnelPopTruncated)?;
        let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if total > rest.len() {
            return Err(DropReason::TunnelPopTruncated);
        }
        let address = |at: usize| -> Ipv6Addr {
            let bytes: [u8; 16] =
                header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            bytes.into()
        };
        Ok(Self {
            ends: Pseudo::V6 { src: address(8), dst: address(24) },
            tos: (header[0] & 0x0f) << 4 | header[1] >> 4,
            ttl: header[7],
            protocol: header[6],
            l4: l3 + 40,
            end: l3 + total,
        })
    }
}

/// Whether the outer IP header at `l3` is IPv6's, and whether GRE behind it says that it carries
/// ERSPAN. `None`: there is no GRE header.
pub(super) fn carries_erspan(frame: &[u8], l3: usize) -> Option<(bool, bool)> {
    let ip = frame.get(l3..)?;
    let (over_ipv6, protocol, len) = match ip.first()? >> 4 {
        4 => (false, *ip.get(9)?, usize::from(ip.first()? & 0x0f) * 4),
        6 => (true, *ip.get(6)?, 40),
        _ => return None,
    };
    let &[_, _, p0, p1] = ip.get(len..)?.first_chunk()?;
    let erspan = matches!(u16::from_be_bytes([p0, p1]), ERSPAN1 | ERSPAN2);
    (protocol == GRE).then_some((over_ipv6, erspan))
}
