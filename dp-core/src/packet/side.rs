//! What few packets carry beside their frame: what connection tracking has found out about them, and
//! the tunnel they came through or are to leave by.
//!
//! Both lie behind the two cache lines of a buffer's header that every packet uses. They count only
//! where [`Known`](super::Known) says so, and nobody clears them: a packet without them never
//! touches them.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of tunnel options that a packet carries at most.
pub const TUNNEL_OPTIONS: usize = 256;

/// What connection tracking has found out: one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CtMeta {
    /// Label.
    pub label: u128,
    /// Mark.
    pub mark: u32,
    /// Zone.
    pub zone: u16,
    /// State bits, as `ct_state` has them.
    pub state: u8,
    /// Protocol of the connection's original direction.
    pub proto: u8,
    /// Transport ports of the original direction, or type and code of ICMP: source.
    pub tp_src: u16,
    /// The same: destination.
    pub tp_dst: u16,
    /// Addresses of the original direction.
    pub addrs: CtAddrs,
}

/// Addresses of a connection's original direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CtAddrs {
    /// Not known.
    #[default]
    None,
    /// Source and destination.
    V4(Ipv4Addr, Ipv4Addr),
    /// Source and destination.
    V6(Ipv6Addr, Ipv6Addr),
}

const _: () = assert!(size_of::<CtMeta>() == 64);

/// The tunnel that a packet came through, or is to leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunnelMeta {
    /// Key: VNI, GRE key, TEID.
    pub id: u64,
    /// Outer IPv4 source; unspecified over IPv6.
    pub src: Ipv4Addr,
    /// Outer IPv4 destination.
    pub dst: Ipv4Addr,
    /// Outer IPv6 source; unspecified over IPv4.
    pub ipv6_src: Ipv6Addr,
    /// Outer IPv6 destination.
    pub ipv6_dst: Ipv6Addr,
    /// Flags as the layout of keys has them: 1 DF, 2 checksum, 4 key, 8 OAM.
    pub flags: u16,
    /// DSCP and ECN of the outer header.
    pub tos: u8,
    /// TTL of the outer header.
    pub ttl: u8,
    /// Outer transport ports: source.
    pub tp_src: u16,
    /// The same: destination.
    pub tp_dst: u16,
    /// VXLAN group policy: id.
    pub gbp_id: u16,
    /// VXLAN group policy: flags.
    pub gbp_flags: u8,
    /// ERSPAN version.
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
    /// Bytes of `options` that count.
    pub options_len: u8,
    /// Options as they are on the wire (Geneve).
    pub options: [u8; TUNNEL_OPTIONS],
}

impl TunnelMeta {
    /// No tunnel at all.
    pub const NONE: Self = Self {
        id: 0,
        src: Ipv4Addr::UNSPECIFIED,
        dst: Ipv4Addr::UNSPECIFIED,
        ipv6_src: Ipv6Addr::UNSPECIFIED,
        ipv6_dst: Ipv6Addr::UNSPECIFIED,
        flags: 0,
        tos: 0,
        ttl: 0,
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
        options_len: 0,
        options: [0; TUNNEL_OPTIONS],
    };

    /// Replaces the options; no more than a packet carries.
    pub fn set_options(&mut self, options: &[u8]) {
        self.options = [0; TUNNEL_OPTIONS];
        let len = options.len().min(usize::from(u8::MAX));
        for (to, from) in self.options.iter_mut().zip(options.iter().take(len)) {
            *to = *from;
        }
        self.options_len = u8::try_from(len).unwrap_or(u8::MAX);
    }

    /// The options that count.
    #[must_use]
    pub fn options(&self) -> &[u8] {
        self.options.get(..usize::from(self.options_len)).unwrap_or_default()
    }
}

impl Default for TunnelMeta {
    fn default() -> Self {
        Self::NONE
    }
}

/// The room for both behind a buffer's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) ct: CtMeta,
    pub(super) tunnel: TunnelMeta,
}
