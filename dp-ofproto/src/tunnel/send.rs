//! A packet's way into a tunnel: what the port's settings and the flow say, then route, neighbour,
//! headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dp_core::action::TunnelPush;
use dp_core::action::tunnel::Kind;
use dp_core::base::{MacAddr, PortNo};
use dp_core::flow::{FieldId, FlowKey, FlowMask, layout};
use dp_core::tunnel::{Body, Flavour, Template};
use dp_core::wire::checksum::Pseudo;
use smallvec::SmallVec;

use super::config::{Setting, TunnelConfig};

/// Flags of a tunnel in keys.
pub(super) const DONT_FRAGMENT: u16 = 1;
pub(super) const CHECKSUM: u16 = 2;
pub(super) const KEY: u16 = 4;
pub(super) const OAM: u16 = 8;

const TEB: u16 = 0x6558;
const ECN: u8 = 3;
const CE: u8 = 3;

fn byte(flow: &FlowKey, place: layout::Place) -> u8 {
    u8::try_from(flow.load(place)).unwrap_or(0)
}

fn half(flow: &FlowKey, place: layout::Place) -> u16 {
    u16::try_from(flow.load(place)).unwrap_or(0)
}

fn word(flow: &FlowKey, place: layout::Place) -> u32 {
    u32::try_from(flow.load(place)).unwrap_or(0)
}

/// Whether the packet is IP.
fn is_ip(flow: &FlowKey) -> bool {
    matches!(flow.eth_type(), 0x0800 | 0x86dd)
}

/// An end of the tunnel in a flow: the IPv6 one where it is set.
pub(super) fn end(flow: &FlowKey, v4: layout::Place, v6: layout::Place) -> Option<IpAddr> {
    let (four, six) = (word(flow, v4), flow.load(v6));
    match (four, six) {
        (0, 0) => None,
        (four, 0) => Some(IpAddr::V4(Ipv4Addr::from_bits(four))),
        (_, six) => Some(IpAddr::V6(Ipv6Addr::from_bits(six))),
    }
}

/// Writes an end of the tunnel into a flow.
fn set_end(flow: &mut FlowKey, v4: layout::Place, v6: layout::Place, end: IpAddr) {
    let (four, six) = match end {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 0),
        IpAddr::V6(address) => (0, address.to_bits()),
    };
    flow.store(v4, four);
    flow.store(v6, six);
}

/// Writes what a port's settings say into the tunnel fields of a flow. What the flow says itself
/// stays; what is looked at counts.
pub(super) fn apply(config: &TunnelConfig, flow: &mut FlowKey, wc: &mut FlowMask) {
    if let Some(Setting::Fixed(local)) = config.local {
        set_end(flow, layout::TUN_SRC, layout::TUN_IPV6_SRC, local);
    } else if config.local.is_none() {
        flow.store(layout::TUN_SRC, 0);
        flow.store(layout::TUN_IPV6_SRC, 0);
    }
    if let Setting::Fixed(remote) = config.remote {
        set_end(flow, layout::TUN_DST, layout::TUN_IPV6_DST, remote);
    }
    match config.out_key {
        Some(Setting::Flow) => {}
        Some(Setting::Fixed(key)) => flow.store(layout::TUN_ID, u128::from(key)),
        None => flow.store(layout::TUN_ID, 0),
    }
    if let Some(mark) = config.egress_mark {
        wc.unwildcard_place(layout::PKT_MARK);
        flow.store(layout::PKT_MARK, u128::from(mark));
    }
    let ttl = match config.ttl {
        None if is_ip(flow) => {
            wc.unwildcard_place(layout::NW_TTL);
            byte(flow, layout::NW_TTL)
        }
        None => 64,
        Some(ttl) => ttl,
    };
    flow.store(layout::TUN_TTL, u128::from(ttl));
    flow.store(layout::TUN_TOS, u128::from(tos(config, flow, wc)));
    let mut flags = half(flow, layout::TUN_FLAGS) & (OAM | layout::TUN_FLAG_GENEVE);
    flags |= if config.dont_fragment { DONT_FRAGMENT } else { 0 };
    flags |= if config.checksum == Some(true) { CHECKSUM } else { 0 };
    flags |= if config.out_key.is_some() { KEY } else { 0 };
    flow.store(layout::TUN_FLAGS, u128::from(flags));
    flow.store(layout::TUN_TP_DST, u128::from(config.dst_port));
    erspan(config, flow);
}

/// The outer tos. Congestion that the inner packet can tell of is told outside too; that it has met
/// some is not, so that what is met inside the tunnel can be told apart (RFC 6040, compatibility
/// with ends that do not know it).
fn tos(config: &TunnelConfig, flow: &FlowKey, wc: &mut FlowMask) -> u8 {
    let mut tos = config.tos.unwrap_or(0);
    if !is_ip(flow) {
        return tos;
    }
    let inner = byte(flow, layout::NW_TOS);
    if config.tos.is_none() {
        wc.unwildcard_place(layout::NW_TOS);
        tos = inner & !ECN;
    } else {
        wc.unwildcard_bits(FieldId::NwEcn, u128::MAX);
    }
    tos | if inner & ECN == CE { 2 } else { inner & ECN }
}

fn erspan(config: &TunnelConfig, flow: &mut FlowKey) {
    if !matches!(config.kind, Kind::Erspan | Kind::Ip6Erspan) {
        return;
    }
    let mut put = |place, value: Option<u32>| {
        if let Some(value) = value {
            flow.store(place, u128::from(value));
        }
    };
    let small = |setting: &Setting<u8>| setting.fixed().map(|&value| u32::from(value));
    put(layout::TUN_ERSPAN_VER, small(&config.erspan.version));
    put(layout::TUN_ERSPAN_IDX, config.erspan.index.fixed().copied());
    put(layout::TUN_ERSPAN_DIR, small(&config.erspan.direction));
    put(layout::TUN_ERSPAN_HWID, small(&config.erspan.hardware));
}

/// The ends and MACs of a tunnel's outer packets.
pub(super) struct Way {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) eth_src: MacAddr,
    pub(super) eth_dst: MacAddr,
}

/// The headers of a flow whose tunnel fields have been written, and what its packets look like from
/// outside. `None`: there are no such headers.
pub(super) fn headers(
    config: &TunnelConfig,
    flow: &FlowKey,
    way: &Way,
    tunnel_port: PortNo,
    options: &[u8],
) -> Option<(TunnelPush, FlowKey)> {
    let ends = match (way.source, way.destination) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Pseudo::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Pseudo::V6 { src, dst },
        _ => return None,
    };
    let template = Template {
        eth_dst: way.eth_dst,
        eth_src: way.eth_src,
        ends,
        tos: byte(flow, layout::TUN_TOS),
        ttl: byte(flow, layout::TUN_TTL),
        dont_fragment: config.dont_fragment,
        label: if config.kind == Kind::Srv6 { config.flow_label as u32 } else { 0 },
        checksum: config.checksum,
        body: body(config, flow, &ends, options)?,
    };
    let header = template.build().ok()?;
    let outer = outer(&template, &header);
    let kind = template.body.kind(ends.is_v6());
    let push = TunnelPush { tunnel_port, out_port: PortNo::NONE, kind, header };
    Some((push, outer))
}

/// Ethertype of what goes into the tunnel: Ethernet frames have one of their own there.
fn payload_type(flow: &FlowKey) -> u16 {
    if flow.load(layout::PACKET_TYPE) == 0 { TEB } else { flow.eth_type() }
}

fn body(config: &TunnelConfig, flow: &FlowKey, ends: &Pseudo, options: &[u8]) -> Option<Body> {
    let key = u64::try_from(flow.load(layout::TUN_ID)).ok()?;
    let short = u32::try_from(key & u64::from(u32::MAX)).ok()?;
    let vni = short & 0xff_ffff;
    let port = config.dst_port;
    let ethernet = payload_type(flow) == TEB;
    Some(match config.kind {
        Kind::Gre | Kind::Ip6Gre => Body::Gre {
            key: config.out_key.is_some().then_some(short),
            sequence: config.sequence,
            protocol: payload_type(flow),
        },
        Kind::Erspan | Kind::Ip6Erspan => Body::Erspan {
            session: u16::try_from(short & 0x3ff).ok()?,
            version: match byte(flow, layout::TUN_ERSPAN_VER) {
                1 => dp_core::tunnel::Erspan::One {
                    index: word(flow, layout::TUN_ERSPAN_IDX) & 0xf_ffff,
                },
                2 => dp_core::tunnel::Erspan::Two {
                    egress: byte(flow, layout::TUN_ERSPAN_DIR) != 0,
                    hardware: byte(flow, layout::TUN_ERSPAN_HWID) & 0x3f,
                },
                _ => return None,
            },
        },
        Kind::Vxlan => Body::Vxlan { port, flags: vxlan_flags(config, flow)?, vni },
        Kind::Geneve => Body::Geneve {
            port,
            vni,
            oam: half(flow, layout::TUN_FLAGS) & OAM != 0,
            protocol: payload_type(flow),
            options: SmallVec::from_slice(options),
        },
        Kind::Gtpu => {
            let message = byte(flow, layout::TUN_GTPU_MSGTYPE);
            let flags = byte(flow, layout::TUN_GTPU_FLAGS);
            Body::Gtpu {
                port,
                flags: if flags == 0 { 0x30 } else { flags },
                message: if message == 0 { 255 } else { message },
                teid: short,
            }
        }
        Kind::Srv6 => {
            // The next header is the packet's family: an Ethernet frame would be taken for IP.
            let protocol = match payload_type(flow) {
                0x0800 => 4,
                0x86dd => 41,
                _ => return None,
            };
            let straight = match ends {
                Pseudo::V6 { dst, .. } => *dst,
                Pseudo::V4 { .. } => return None,
            };
            let segments = if config.segments.is_empty() {
                SmallVec::from_slice(&[straight])
            } else {
                SmallVec::from_slice(&config.segments)
            };
            Body::Srv6 { segments, protocol }
        }
        // The reference's userspace datapath has ports of these kinds and no headers for them.
        Kind::Lisp | Kind::Stt => return None,
        Kind::Bareudp => {
            let Flavour::Payload(expected) = config.flavour else { return None };
            let own = flow.eth_type();
            let fits = own == expected || expected == 0x0800 && own == 0x86dd;
            if ethernet || !fits {
                return None;
            }
            Body::Bareudp { port }
        }
    })
}

/// The first word of a VXLAN header. `None`: the payload is none that it can carry.
fn vxlan_flags(config: &TunnelConfig, flow: &FlowKey) -> Option<u32> {
    let ethernet = payload_type(flow) == TEB;
    Some(match config.flavour {
        Flavour::Gpe => {
            let next = match payload_type(flow) {
                TEB => 3,
                0x0800 => 1,
                0x86dd => 2,
                0x894f => 4,
                _ => return None,
            };
            0x0c00_0000 | next
        }
        _ if !ethernet => return None,
        Flavour::GroupPolicy => {
            let (id, flags) = (half(flow, layout::TUN_GBP_ID), byte(flow, layout::TUN_GBP_FLAGS));
            if (id, flags) == (0, 0) {
                0x0800_0000
            } else {
                0x8800_0000 | u32::from(flags & 0x48) << 16 | u32::from(id)
            }
        }
        _ => 0x0800_0000,
    })
}

/// What packets in a tunnel look like from outside.
fn outer(template: &Template, header: &[u8]) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::ETH_DST, u128::from(template.eth_dst.to_u64()));
    key.store(layout::ETH_SRC, u128::from(template.eth_src.to_u64()));
    key.store(layout::NW_TOS, u128::from(template.tos));
    key.store(layout::NW_TTL, u128::from(template.ttl));
    let (protocol, l4) = match template.ends {
        Pseudo::V4 { src, dst } => {
            key.store(layout::ETH_TYPE, 0x0800);
            key.store(layout::IPV4_SRC, u128::from(src.to_bits()));
            key.store(layout::IPV4_DST, u128::from(dst.to_bits()));
            (header.get(23), 34)
        }
        Pseudo::V6 { src, dst } => {
            key.store(layout::ETH_TYPE, 0x86dd);
            key.store(layout::IPV6_SRC, src.to_bits());
            key.store(layout::IPV6_DST, dst.to_bits());
            (header.get(20), 54)
        }
    };
    key.store(layout::NW_PROTO, protocol.copied().map_or(0, u128::from));
    if protocol == Some(&17)
        && let Some(&[a, b]) = header.get(l4 + 2..).and_then(<[u8]>::first_chunk)
    {
        key.store(layout::TP_DST, u128::from(u16::from_be_bytes([a, b])));
    }
    key
}
