//! The headers that a flow's packets get, as bytes: made once, copied in front of each.
//!
//! Lengths are zero, a UDP checksum that is to be computed is 0xffff, one that is not is 0; a GRE
//! checksum is to be computed where its bit is set. [`super::push()`] fills them in.

use core::fmt;
use core::net::Ipv6Addr;

use smallvec::SmallVec;

use crate::action::tunnel::{HEADER_MAX, Kind};
use crate::base::MacAddr;
use crate::wire::checksum::Pseudo;

/// The headers of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Outer destination MAC: of the other end, or of the router towards it.
    pub eth_dst: MacAddr,
    /// Outer source MAC.
    pub eth_src: MacAddr,
    /// Outer addresses.
    pub ends: Pseudo,
    /// DSCP and ECN.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4: the don't-fragment bit.
    pub dont_fragment: bool,
    /// IPv6: the flow label; of SRv6 what each packet's is made of, a [`super::FlowLabel`].
    pub label: u32,
    /// Whether UDP and GRE carry a checksum; `None`: UDP over IPv6 alone does.
    pub checksum: Option<bool>,
    /// What follows the IP header.
    pub body: Body,
}

/// What follows the outer IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// GRE.
    Gre {
        /// The key, where there is one.
        key: Option<u32>,
        /// Whether packets are numbered.
        sequence: bool,
        /// Ethertype of the payload.
        protocol: u16,
    },
    /// ERSPAN in GRE.
    Erspan {
        /// The session, 10 bits.
        session: u16,
        /// What the version says.
        version: Erspan,
    },
    /// VXLAN.
    Vxlan {
        /// UDP destination port.
        port: u16,
        /// First word: flags, and what extensions say.
        flags: u32,
        /// The network identifier, 24 bits.
        vni: u32,
    },
    /// Geneve.
    Geneve {
        /// UDP destination port.
        port: u16,
        /// The network identifier, 24 bits.
        vni: u32,
        /// A control packet.
        oam: bool,
        /// Ethertype of the payload.
        protocol: u16,
        /// Options as on the wire.
        options: SmallVec<[u8; 16]>,
    },
    /// GTP-U.
    Gtpu {
        /// UDP destination port.
        port: u16,
        /// First byte: version and what follows the first eight bytes.
        flags: u8,
        /// What the message is.
        message: u8,
        /// The tunnel as the receiver numbers it.
        teid: u32,
    },
    /// A segment routing header.
    Srv6 {
        /// The way, the next stop first.
        segments: SmallVec<[Ipv6Addr; 4]>,
        /// IP protocol of the payload: 4 or 41.
        protocol: u8,
    },
    /// UDP alone.
    Bareudp {
        /// UDP destination port.
        port: u16,
    },
}

/// What the flow label of an SRv6 packet is made of. The header that is made once a flow has this
/// number in the place of the label, as the reference shows it; each packet gets a label of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum FlowLabel {
    /// The inner packet's (`copy`).
    #[default]
    Copy = 0,
    /// Zero.
    Zero = 1,
    /// Computed from the flow (`compute`).
    Compute = 2,
}

/// What a version of ERSPAN says beside the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erspan {
    /// Version 1.
    One {
        /// Port and direction, 20 bits.
        index: u32,
    },
    /// Version 2.
    Two {
        /// Whether the frame was leaving.
        egress: bool,
        /// The engine that mirrored, 6 bits.
        hardware: u8,
    },
}

/// Why headers cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// A value does not fit its field, or the ends do not fit the kind.
    Field,
    /// The headers are longer than may be.
    TooLarge,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Field => "a value does not fit its field of the tunnel header",
            Self::TooLarge => "the tunnel headers are longer than 512 bytes",
        })
    }
}

impl core::error::Error for BuildError {}

/// IP protocol numbers.
pub(super) const UDP: u8 = 17;
pub(super) const GRE: u8 = 47;
pub(super) const ROUTING: u8 = 43;
/// GRE's Ethertypes of ERSPAN.
pub(super) const ERSPAN1: u16 = 0x88be;
pub(super) const ERSPAN2: u16 = 0x22eb;

impl Template {
    /// The bytes.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn build(&self) -> Result<Box<[u8]>, BuildError> {
        let mut out: SmallVec<[u8; 128]> = SmallVec::new();
        out.extend_from_slice(self.eth_dst.as_bytes());
        out.extend_from_slice(self.eth_src.as_bytes());
        let (eth_type, protocol) = match self.ends {
            Pseudo::V4 { .. } => (0x0800_u16, self.body.protocol()),
            Pseudo::V6 { .. } => (0x86dd, self.body.protocol()),
        };
        out.extend_from_slice(&eth_type.to_be_bytes());
        self.network(&mut out, protocol)?;
        self.body(&mut out)?;
        if out.len() > HEADER_MAX { Err(BuildError::TooLarge) } else { Ok(out.into_vec().into()) }
    }

    fn network(&self, out: &mut SmallVec<[u8; 128]>, protocol: u8) -> Result<(), BuildError> {
        match self.ends {
            Pseudo::V4 { src, dst } => {
                if matches!(self.body, Body::Srv6 { .. }) {
                    return Err(BuildError::Field);
                }
                let fragment = if self.dont_fragment { 0x40 } else { 0 };
                out.extend_from_slice(&[0x45, self.tos, 0, 0, 0, 0, fragment, 0]);
                out.extend_from_slice(&[self.ttl, protocol, 0, 0]);
                out.extend_from_slice(&src.octets());
                out.extend_from_slice(&dst.octets());
            }
            Pseudo::V6 { src, dst } => {
                if self.label > 0xf_ffff {
                    return Err(BuildError::Field);
                }
                let first = 6 << 28 | u32::from(self.tos) << 20 | self.label;
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(&[0, 0, protocol, self.ttl]);
                out.extend_from_slice(&src.octets());
                out.extend_from_slice(&dst.octets());
            }
        }
        Ok(())
    }

    fn udp(&self, out: &mut SmallVec<[u8; 128]>, port: u16) {
        let checksum = self.checksum.unwrap_or(self.ends.is_v6());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&port.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(if checksum { &[0xff, 0xff] } else { &[0, 0] });
    }

    fn body(&self, out: &mut SmallVec<[u8; 128]>) -> Result<(), BuildError> {
        match &self.body {
            Body::Gre { key, sequence, protocol } => {
                let checksum = self.checksum.unwrap_or(false);
                let flags = u16::from(checksum) << 15
                    | u16::from(key.is_some()) << 13
                    | u16::from(*sequence) << 12;
                out.extend_from_slice(&flags.to_be_bytes());
                out.extend_from_slice(&protocol.to_be_bytes());
                if checksum {
                    out.extend_from_slice(&[0; 4]);
                }
                if let Some(key) = key {
                    out.extend_from_slice(&key.to_be_bytes());
                }
                if *sequence {
                    out.extend_from_slice(&[0; 4]);
                }
            }
            Body::Erspan { session, version } => erspan(out, *session, *version)?,
            Body::Vxlan { port, flags, vni } => {
                self.udp(out, *port);
                out.extend_from_slice(&flags.to_be_bytes());
                out.extend_from_slice(&(identifier(*vni)? << 8).to_be_bytes());
            }
            Body::Geneve { port, vni, oam, protocol, options } => {
                let words = u8::try_from(options.len() / 4).map_err(|_| BuildError::Field)?;
                if words > 63 || !options.len().is_multiple_of(4) {
                    return Err(BuildError::Field);
                }
                self.udp(out, *port);
                let critical = has_critical(options);
                out.extend_from_slice(&[words, u8::from(*oam) << 7 | u8::from(critical) << 6]);
                out.extend_from_slice(&protocol.to_be_bytes());
                out.extend_from_slice(&(identifier(*vni)? << 8).to_be_bytes());
                out.extend_from_slice(options);
            }
            Body::Gtpu { port, flags, message, teid } => {
                self.udp(out, *port);
                out.extend_from_slice(&[*flags, *message, 0, 0]);
                out.extend_from_slice(&teid.to_be_bytes());
                if flags & 0x07 != 0 {
                    out.extend_from_slice(&[0; 4]);
                }
            }
            Body::Srv6 { segments, protocol } => {
                let dst = match self.ends {
                    Pseudo::V6 { dst, .. } => Some(dst),
                    Pseudo::V4 { .. } => None,
                };
                let left = u8::try_from(segments.len()).map_err(|_| BuildError::Field)?;
                let left = left.checked_sub(1).filter(|&left| left < 127);
                let left = left.ok_or(BuildError::Field)?;
                if segments.first().copied() != dst {
                    return Err(BuildError::Field);
                }
                out.extend_from_slice(&[*protocol, 2 * (left + 1), 4, left, left, 0, 0, 0]);
                for segment in segments.iter().rev() {
                    out.extend_from_slice(&segment.octets());
                }
            }
            Body::Bareudp { port } => self.udp(out, *port),
        }
        Ok(())
    }
}

fn identifier(vni: u32) -> Result<u32, BuildError> {
    if vni > 0xff_ffff { Err(BuildError::Field) } else { Ok(vni) }
}

/// Whether one of the options says that who does not know it must not go on.
fn has_critical(options: &[u8]) -> bool {
    let mut rest = options;
    while let [_, _, kind, len, ..] = rest {
        if kind & 0x80 != 0 {
            return true;
        }
        rest = rest.get(4 + usize::from(len & 0x1f) * 4..).unwrap_or_default();
    }
    false
}

fn erspan(out: &mut SmallVec<[u8; 128]>, session: u16, version: Erspan) -> Result<(), BuildError> {
    if session > 0x3ff {
        return Err(BuildError::Field);
    }
    let protocol = match version {
        Erspan::One { .. } => ERSPAN1,
        Erspan::Two { .. } => ERSPAN2,
    };
    // GRE with a sequence number.
    out.extend_from_slice(&0x1000_u16.to_be_bytes());
    out.extend_from_slice(&protocol.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    match version {
        Erspan::One { index } => {
            if index > 0xf_ffff {
                return Err(BuildError::Field);
            }
            out.extend_from_slice(&0x1000_u16.to_be_bytes());
            out.extend_from_slice(&session.to_be_bytes());
            out.extend_from_slice(&index.to_be_bytes());
        }
        Erspan::Two { egress, hardware } => {
            if hardware > 0x3f {
                return Err(BuildError::Field);
            }
            out.extend_from_slice(&0x2000_u16.to_be_bytes());
            out.extend_from_slice(&session.to_be_bytes());
            // The time stamp is the packet's.
            out.extend_from_slice(&[0; 6]);
            let last = u16::from(hardware) << 4 | u16::from(egress) << 3;
            out.extend_from_slice(&last.to_be_bytes());
        }
    }
    Ok(())
}

impl Body {
    /// The IP protocol of what follows the IP header.
    const fn protocol(&self) -> u8 {
        match self {
            Self::Gre { .. } | Self::Erspan { .. } => GRE,
            Self::Srv6 { .. } => ROUTING,
            Self::Vxlan { .. } | Self::Geneve { .. } | Self::Gtpu { .. } | Self::Bareudp { .. } => {
                UDP
            }
        }
    }

    /// The kind of the tunnel, over this family.
    #[must_use]
    pub const fn kind(&self, over_ipv6: bool) -> Kind {
        match (self, over_ipv6) {
            (Self::Gre { .. }, false) => Kind::Gre,
            (Self::Gre { .. }, true) => Kind::Ip6Gre,
            (Self::Erspan { .. }, false) => Kind::Erspan,
            (Self::Erspan { .. }, true) => Kind::Ip6Erspan,
            (Self::Vxlan { .. }, _) => Kind::Vxlan,
            (Self::Geneve { .. }, _) => Kind::Geneve,
            (Self::Gtpu { .. }, _) => Kind::Gtpu,
            (Self::Srv6 { .. }, _) => Kind::Srv6,
            (Self::Bareudp { .. }, _) => Kind::Bareudp,
        }
    }
}
