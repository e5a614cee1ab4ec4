//! Tunnels, as actions see them.

use crate::base::PortNo;

/// Bytes that the headers of a tunnel may have, as in the reference.
pub const HEADER_MAX: usize = 512;

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
