//! Tunnels, as actions see them.

use core::net::{Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

use crate::base::PortNo;
use crate::packet::{TUNNEL_OPTIONS, TunnelMeta};

/// What a tunnel says of a packet that it carries: set before the packet goes in, known after it
/// came out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Tunnel key.
    pub id: u64,
    /// Outer IPv4 source; unspecified over IPv6.
    pub src: Ipv4Addr,
    /// Outer IPv4 destination.
    pub dst: Ipv4Addr,
    /// Outer IPv6 source; unspecified over IPv4.
    pub ipv6_src: Ipv6Addr,
    /// Outer IPv6 destination.
    pub ipv6_dst: Ipv6Addr,
    /// Outer tos or traffic class.
    pub tos: u8,
    /// Outer TTL or hop limit.
    pub ttl: u8,
    /// 1 don't fragment, 2 checksum, 4 key, 8 OAM.
    pub flags: u16,
    /// Outer transport source port.
    pub tp_src: u16,
    /// Outer transport destination port.
    pub tp_dst: u16,
    /// VXLAN group policy id.
    pub gbp_id: u16,
    /// VXLAN group policy flags.
    pub gbp_flags: u8,
    /// ERSPAN version; 0: no ERSPAN.
    pub erspan_ver: u8,
    /// ERSPAN index.
    pub erspan_idx: u32,
    /// ERSPAN direction.
    pub erspan_dir: u8,
    /// ERSPAN hardware id.
    pub erspan_hwid: u8,
    /// GTP-U flags.
    pub gtpu_flags: u8,
    /// GTP-U message type.
    pub gtpu_msgtype: u8,
    /// Geneve options as on the wire.
    pub options: SmallVec<[u8; 16]>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            id: 0,
            src: Ipv4Addr::UNSPECIFIED,
            dst: Ipv4Addr::UNSPECIFIED,
            ipv6_src: Ipv6Addr::UNSPECIFIED,
            ipv6_dst: Ipv6Addr::UNSPECIFIED,
            tos: 0,
            ttl: 0,
            flags: 0,
            tp_src: 0,
            tp_dst: 0,
            gbp_id: 0,
            gbp_flags: 0,
            erspan_ver: 0,
            erspan_idx: 0,
            erspan_dir: 0,
            erspan_hwid: 0,
            gtpu_flags: 0,
            gtpu_msgtype: 0,
            options: SmallVec::new(),
        }
    }
}

impl From<&Metadata> for TunnelMeta {
    fn from(from: &Metadata) -> Self {
        let mut options = [0; TUNNEL_OPTIONS];
        let len = from.options.len().min(usize::from(u8::MAX));
        for (to, byte) in options.iter_mut().zip(from.options.iter().take(len)) {
            *to = *byte;
        }
        Self {
            id: from.id,
            src: from.src,
            dst: from.dst,
            ipv6_src: from.ipv6_src,
            ipv6_dst: from.ipv6_dst,
            flags: from.flags,
            tos: from.tos,
            ttl: from.ttl,
            tp_src: from.tp_src,
            tp_dst: from.tp_dst,
            gbp_id: from.gbp_id,
            gbp_flags: from.gbp_flags,
            erspan_ver: from.erspan_ver,
            erspan_idx: from.erspan_idx,
            erspan_dir: from.erspan_dir,
            erspan_hwid: from.erspan_hwid,
            gtpu_flags: from.gtpu_flags,
            gtpu_msgtype: from.gtpu_msgtype,
            options_len: u8::try_from(len).unwrap_or(u8::MAX),
            options,
        }
    }
}

/// Kinds of encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// GRE over IPv4 (RFC 2784, 2890).
    Gre,
    /// GRE over IPv6.
    Ip6Gre,
    /// ERSPAN over IPv4.
    Erspan,
    /// ERSPAN over IPv6.
    Ip6Erspan,
    /// VXLAN (RFC 7348), group policy and GPE included.
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// GTP-U (3GPP TS 29.281).
    Gtpu,
    /// Segment routing over IPv6 (RFC 8754).
    Srv6,
    /// UDP alone (MPLS or IP in UDP, RFC 7510).
    Bareudp,
    /// LISP (RFC 6830). Its ports can be set up; nothing makes or reads its headers.
    Lisp,
    /// STT. Its ports can be set up; nothing makes or reads its headers.
    Stt,
}

/// Puts a packet into a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelPush {
    /// The tunnel's port.
    pub tunnel_port: PortNo,
    /// The port that the result is sent to.
    pub out_port: PortNo,
    /// What kind of tunnel.
    pub kind: Kind,
    /// Ethernet, IP and tunnel headers, ready but for lengths, checksums and the UDP source port.
    pub header: Box<[u8]>,
}
