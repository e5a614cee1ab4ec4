//! `set(…)`: an attribute of a key, written whole or where its mask says.
//!
//! A write has the shape of a header, a key has lanes; what is printed and read is a key's attribute,
//! so each header has one function into lanes and one out of them.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::action::set::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Nd, NdExt, Ports};
use crate::action::{Masked, Set, nsh};
use crate::base::MacAddr;
use crate::flow::beside;
use crate::flow::layout::{self, Place};
use crate::flow::text::scan::Piece;
use crate::flow::text::{Attrs, DpPorts, KeyText, Problem, TextError, parse_attribute};
use crate::flow::{FlowKey, FlowMask};
use crate::packet::TunnelMeta;

/// Reads what stands in `set(…)`.
pub(super) fn parse<'a>(piece: Piece<'a>, ports: &dyn DpPorts) -> Result<Set, TextError<'a>> {
    let flow = parse_attribute(piece, ports)?;
    let (value, mask) = (flow.key.masked(&flow.mask), &flow.mask);
    Ok(match flow.attrs - Attrs::TUNNEL_TTL {
        Attrs::ETH => Set::Ethernet(both(&value, mask)),
        Attrs::IPV4 => Set::Ipv4(both(&value, mask)),
        Attrs::IPV6 => Set::Ipv6(Box::new(both(&value, mask))),
        Attrs::TCP => Set::Tcp(both(&value, mask)),
        Attrs::UDP => Set::Udp(both(&value, mask)),
        Attrs::SCTP => Set::Sctp(both(&value, mask)),
        Attrs::ICMP => Set::Icmp(both(&value, mask)),
        Attrs::ICMPV6 => Set::Icmpv6(both(&value, mask)),
        Attrs::ARP => Set::Arp(Box::new(both(&value, mask))),
        Attrs::ND => Set::Nd(Box::new(both(&value, mask))),
        Attrs::ND_EXT => Set::NdExt(both(&value, mask)),
        Attrs::NSH => Set::Nsh(Box::new(both(&value, mask))),
        Attrs::VLAN => {
            let tag = |lanes: &dyn Lanes| lanes.short(layout::VLAN_TCI) & !layout::VLAN_PRESENT;
            Set::Vlan(Masked { value: tag(&value), mask: tag(mask) })
        }
        Attrs::MPLS => Set::Mpls(word(&value, mask, layout::MPLS0)),
        Attrs::SKB_MARK => Set::PktMark(word(&value, mask, layout::PKT_MARK)),
        Attrs::SKB_PRIORITY => Set::SkbPriority(word(&value, mask, layout::SKB_PRIORITY)),
        Attrs::TUNNEL => Set::Tunnel(Box::new(tunnel_said(&value, &flow.key))),
        _ => {
            return Err(piece.error(Problem::Expected("a header or metadata that can be written")));
        }
    })
}

/// Prints `set(…)`.
pub(super) fn print(f: &mut dyn fmt::Write, set: &Set, ports: &dyn DpPorts) -> fmt::Result {
    let (mut key, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
    let attr = match set {
        Set::Ethernet(eth) => put_both(eth, &mut key, &mut mask, Attrs::ETH),
        Set::Ipv4(ip) => put_both(ip, &mut key, &mut mask, Attrs::IPV4),
        Set::Ipv6(ip) => put_both(&**ip, &mut key, &mut mask, Attrs::IPV6),
        Set::Tcp(ports) => put_both(ports, &mut key, &mut mask, Attrs::TCP),
        Set::Udp(ports) => put_both(ports, &mut key, &mut mask, Attrs::UDP),
        Set::Sctp(ports) => put_both(ports, &mut key, &mut mask, Attrs::SCTP),
        Set::Icmp(icmp) => put_both(icmp, &mut key, &mut mask, Attrs::ICMP),
        Set::Icmpv6(icmp) => put_both(icmp, &mut key, &mut mask, Attrs::ICMPV6),
        Set::Arp(arp) => put_both(&**arp, &mut key, &mut mask, Attrs::ARP),
        Set::Nd(nd) => put_both(&**nd, &mut key, &mut mask, Attrs::ND),
        Set::NdExt(ext) => put_both(ext, &mut key, &mut mask, Attrs::ND_EXT),
        Set::Nsh(nsh) => put_both(&**nsh, &mut key, &mut mask, Attrs::NSH),
        Set::Vlan(tag) => {
            key.store(layout::VLAN_TCI, u128::from(tag.value));
            mask.store(layout::VLAN_TCI, u128::from(tag.mask));
            Attrs::VLAN
        }
        Set::Mpls(lse) => put_word(*lse, layout::MPLS0, &mut key, &mut mask, Attrs::MPLS),
        Set::PktMark(mark) => {
            put_word(*mark, layout::PKT_MARK, &mut key, &mut mask, Attrs::SKB_MARK)
        }
        Set::SkbPriority(word) => {
            put_word(*word, layout::SKB_PRIORITY, &mut key, &mut mask, Attrs::SKB_PRIORITY)
        }
        Set::Tunnel(tunnel) => {
            beside::put_tunnel(&mut key, tunnel);
            f.write_str("set(")?;
            KeyText::new(&key, ports).one(f, Attrs::TUNNEL)?;
            return f.write_str(")");
        }
    };
    f.write_str("set(")?;
    KeyText::masked(&key, &mask, ports).one(f, attr)?;
    f.write_str(")")
}

/// Keys and masks, to be read.
trait Lanes {
    fn at(&self, place: Place) -> u128;

    fn byte(&self, place: Place) -> u8 {
        u8::try_from(self.at(place) & 0xff).unwrap_or(0)
    }

    fn short(&self, place: Place) -> u16 {
        u16::try_from(self.at(place) & 0xffff).unwrap_or(0)
    }

    fn word(&self, place: Place) -> u32 {
        u32::try_from(self.at(place) & 0xffff_ffff).unwrap_or(0)
    }

    fn long(&self, place: Place) -> u64 {
        u64::try_from(self.at(place) & u128::from(u64::MAX)).unwrap_or(0)
    }

    fn mac(&self, place: Place) -> MacAddr {
        MacAddr::from_u64(self.long(place))
    }

    fn ip4(&self, place: Place) -> Ipv4Addr {
        self.word(place).into()
    }

    fn ip6(&self, place: Place) -> Ipv6Addr {
        self.at(place).into()
    }
}

/// The same, to be written.
trait LanesMut {
    fn put(&mut self, place: Place, value: u128);
}

impl Lanes for FlowKey {
    fn at(&self, place: Place) -> u128 {
        self.load(place)
    }
}

impl Lanes for FlowMask {
    fn at(&self, place: Place) -> u128 {
        self.load(place)
    }
}

impl LanesMut for FlowKey {
    fn put(&mut self, place: Place, value: u128) {
        self.store(place, value);
    }
}

impl LanesMut for FlowMask {
    fn put(&mut self, place: Place, value: u128) {
        self.store(place, value);
    }
}

/// A header that lanes hold.
trait Header {
    fn read(lanes: &dyn Lanes) -> Self;
    fn write(&self, lanes: &mut dyn LanesMut);
}

fn both<T: Header>(value: &FlowKey, mask: &FlowMask) -> Masked<T> {
    Masked { value: T::read(value), mask: T::read(mask) }
}

fn put_both<T: Header>(
    set: &Masked<T>,
    key: &mut FlowKey,
    mask: &mut FlowMask,
    attr: Attrs,
) -> Attrs {
    set.value.write(key);
    set.mask.write(mask);
    attr
}

fn word(value: &FlowKey, mask: &FlowMask, place: Place) -> Masked<u32> {
    Masked { value: value.word(place), mask: mask.word(place) }
}

fn put_word(
    set: Masked<u32>,
    place: Place,
    key: &mut FlowKey,
    mask: &mut FlowMask,
    attr: Attrs,
) -> Attrs {
    key.store(place, u128::from(set.value));
    mask.store(place, u128::from(set.mask));
    attr
}

impl Header for Ethernet {
    fn read(lanes: &dyn Lanes) -> Self {
        Self { src: lanes.mac(layout::ETH_SRC), dst: lanes.mac(layout::ETH_DST) }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::ETH_SRC, self.src.to_u64().into());
        lanes.put(layout::ETH_DST, self.dst.to_u64().into());
    }
}

impl Header for Ipv4 {
    fn read(lanes: &dyn Lanes) -> Self {
        Self {
            src: lanes.ip4(layout::IPV4_SRC),
            dst: lanes.ip4(layout::IPV4_DST),
            tos: lanes.byte(layout::NW_TOS),
            ttl: lanes.byte(layout::NW_TTL),
        }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::IPV4_SRC, u32::from(self.src).into());
        lanes.put(layout::IPV4_DST, u32::from(self.dst).into());
        lanes.put(layout::NW_TOS, self.tos.into());
        lanes.put(layout::NW_TTL, self.ttl.into());
    }
}

impl Header for Ipv6 {
    fn read(lanes: &dyn Lanes) -> Self {
        Self {
            src: lanes.ip6(layout::IPV6_SRC),
            dst: lanes.ip6(layout::IPV6_DST),
            label: lanes.word(layout::IPV6_LABEL),
            tclass: lanes.byte(layout::NW_TOS),
            hlimit: lanes.byte(layout::NW_TTL),
        }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::IPV6_SRC, self.src.into());
        lanes.put(layout::IPV6_DST, self.dst.into());
        lanes.put(layout::IPV6_LABEL, self.label.into());
        lanes.put(layout::NW_TOS, self.tclass.into());
        lanes.put(layout::NW_TTL, self.hlimit.into());
    }
}

impl Header for Ports {
    fn read(lanes: &dyn Lanes) -> Self {
        Self { src: lanes.short(layout::TP_SRC), dst: lanes.short(layout::TP_DST) }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::TP_SRC, self.src.into());
        lanes.put(layout::TP_DST, self.dst.into());
    }
}

impl Header for Icmp {
    fn read(lanes: &dyn Lanes) -> Self {
        Self { icmp_type: lanes.byte(layout::TP_SRC), code: lanes.byte(layout::TP_DST) }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::TP_SRC, self.icmp_type.into());
        lanes.put(layout::TP_DST, self.code.into());
    }
}

impl Header for Arp {
    fn read(lanes: &dyn Lanes) -> Self {
        Self {
            op: lanes.byte(layout::NW_PROTO).into(),
            spa: lanes.ip4(layout::IPV4_SRC),
            tpa: lanes.ip4(layout::IPV4_DST),
            sha: lanes.mac(layout::ARP_SHA),
            tha: lanes.mac(layout::ARP_THA),
        }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::NW_PROTO, (self.op & 0xff).into());
        lanes.put(layout::IPV4_SRC, u32::from(self.spa).into());
        lanes.put(layout::IPV4_DST, u32::from(self.tpa).into());
        lanes.put(layout::ARP_SHA, self.sha.to_u64().into());
        lanes.put(layout::ARP_THA, self.tha.to_u64().into());
    }
}

impl Header for Nd {
    fn read(lanes: &dyn Lanes) -> Self {
        Self {
            target: lanes.ip6(layout::ND_TARGET),
            sll: lanes.mac(layout::ARP_SHA),
            tll: lanes.mac(layout::ARP_THA),
        }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::ND_TARGET, self.target.into());
        lanes.put(layout::ARP_SHA, self.sll.to_u64().into());
        lanes.put(layout::ARP_THA, self.tll.to_u64().into());
    }
}

impl Header for NdExt {
    fn read(lanes: &dyn Lanes) -> Self {
        Self {
            reserved: lanes.word(layout::ND_RESERVED),
            options_type: lanes.byte(layout::ND_OPTIONS_TYPE),
        }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::ND_RESERVED, self.reserved.into());
        lanes.put(layout::ND_OPTIONS_TYPE, self.options_type.into());
    }
}

impl Header for nsh::Key {
    fn read(lanes: &dyn Lanes) -> Self {
        let path = lanes.word(layout::NSH_PATH);
        Self {
            flags: lanes.byte(layout::NSH_FLAGS),
            ttl: lanes.byte(layout::NSH_TTL),
            mdtype: lanes.byte(layout::NSH_MDTYPE),
            np: lanes.byte(layout::NSH_NP),
            spi: path >> 8,
            si: u8::try_from(path & 0xff).unwrap_or(0),
            context: [layout::NSH_C1, layout::NSH_C2, layout::NSH_C3, layout::NSH_C4]
                .map(|place| lanes.word(place)),
        }
    }

    fn write(&self, lanes: &mut dyn LanesMut) {
        lanes.put(layout::NSH_FLAGS, self.flags.into());
        lanes.put(layout::NSH_TTL, self.ttl.into());
        lanes.put(layout::NSH_MDTYPE, self.mdtype.into());
        lanes.put(layout::NSH_NP, self.np.into());
        lanes.put(layout::NSH_PATH, (self.spi << 8 | u32::from(self.si)).into());
        let places = [layout::NSH_C1, layout::NSH_C2, layout::NSH_C3, layout::NSH_C4];
        for (place, word) in places.into_iter().zip(self.context) {
            lanes.put(place, word.into());
        }
    }
}

/// The fields of a network service header in a key.
pub(super) fn nsh_key(key: &FlowKey) -> nsh::Key {
    Header::read(key)
}

/// First byte of the raw tunnel options.
const OPTIONS: usize = layout::TUN_OPTIONS_LANE * 64;

/// The tunnel of a masked key, with the options as they were said.
fn tunnel_said(value: &FlowKey, said: &FlowKey) -> TunnelMeta {
    const FLAGS: u16 = 0xf;
    let mut tunnel = beside::tunnel_in(value);
    tunnel.flags &= FLAGS;
    let len = usize::from(tunnel.options_len);
    tunnel.set_options(said.bytes().get(OPTIONS..OPTIONS + len).unwrap_or_default());
    tunnel
}
