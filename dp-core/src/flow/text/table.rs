//! The attributes of a datapath key in text: one row an attribute, in the order they are printed.
//!
//! Reading and printing are generic over these rows. What cannot be one is the tunnel, the VLAN tags
//! with what they encapsulate, and the label stack; they have code of their own.

use crate::flow::layout::{self, Place};

bitflags::bitflags! {
    /// Which attributes a text names.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Attrs: u32 {
        /// `recirc_id`
        const RECIRC_ID = 1 << 0;
        /// `dp_hash`
        const DP_HASH = 1 << 1;
        /// `skb_priority`
        const SKB_PRIORITY = 1 << 2;
        /// `tunnel`
        const TUNNEL = 1 << 3;
        /// `in_port`
        const IN_PORT = 1 << 4;
        /// `skb_mark`
        const SKB_MARK = 1 << 5;
        /// `ct_state`
        const CT_STATE = 1 << 6;
        /// `ct_zone`
        const CT_ZONE = 1 << 7;
        /// `ct_mark`
        const CT_MARK = 1 << 8;
        /// `ct_label`
        const CT_LABEL = 1 << 9;
        /// `ct_tuple4`
        const CT_TUPLE4 = 1 << 10;
        /// `ct_tuple6`
        const CT_TUPLE6 = 1 << 11;
        /// `packet_type`
        const PACKET_TYPE = 1 << 12;
        /// `eth`
        const ETH = 1 << 13;
        /// `eth_type`, of the payload
        const ETH_TYPE = 1 << 14;
        /// `vlan`, the outer one
        const VLAN = 1 << 15;
        /// `vlan`, the inner one
        const VLAN1 = 1 << 16;
        /// `mpls`
        const MPLS = 1 << 17;
        /// `ipv4`
        const IPV4 = 1 << 18;
        /// `ipv6`
        const IPV6 = 1 << 19;
        /// `arp`
        const ARP = 1 << 20;
        /// `nsh`
        const NSH = 1 << 21;
        /// `tcp`
        const TCP = 1 << 22;
        /// `tcp_flags`
        const TCP_FLAGS = 1 << 23;
        /// `udp`
        const UDP = 1 << 24;
        /// `sctp`
        const SCTP = 1 << 25;
        /// `icmp`
        const ICMP = 1 << 26;
        /// `icmpv6`
        const ICMPV6 = 1 << 27;
        /// `nd`
        const ND = 1 << 28;
        /// `nd_ext`
        const ND_EXT = 1 << 29;
        /// `encap`, of a tag
        const ENCAP = 1 << 30;
        /// `ttl` in `tunnel`
        const TUNNEL_TTL = 1 << 31;
    }
}

/// How a value is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Decimal, masks hexadecimal.
    Dec,
    /// Hexadecimal, zero without `0x`.
    Hex,
    /// Ethernet address.
    Mac,
    /// IPv4 address.
    Ip4,
    /// IPv6 address.
    Ip6,
    /// `no`, `first`, `later`.
    Frag,
    /// `syn|ack`, `+syn-ack`.
    TcpFlags,
    /// `+trk-new`.
    CtState,
    /// A datapath port.
    Port,
    /// Decimal, the mask as `0x` and two digits.
    NshByte,
    /// Hexadecimal, the mask with this many digits.
    NshWord(u8),
}

/// A part of an attribute, or the whole of it if it has no name.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// Another name that is taken.
    pub(crate) alias: &'static str,
    pub(crate) place: Place,
    pub(crate) shift: u8,
    pub(crate) bits: u8,
    pub(crate) format: Format,
}

/// An attribute.
#[derive(Debug)]
pub(crate) struct Attr {
    pub(crate) id: Attrs,
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [Part],
}

impl Part {
    /// All ones in its width.
    pub(crate) const fn ones(&self) -> u128 {
        u128::MAX >> (128 - self.bits as u32)
    }
}

const fn part(name: &'static str, place: Place, format: Format) -> Part {
    Part { name, alias: "", place, shift: 0, bits: place.len * 8, format }
}

const fn narrow(name: &'static str, place: Place, bits: u8, format: Format) -> Part {
    Part { name, alias: "", place, shift: 0, bits, format }
}

const fn low_byte(place: Place) -> Place {
    Place { offset: place.offset + 1, len: 1 }
}

const fn ports() -> [Part; 2] {
    [part("src", layout::TP_SRC, Format::Dec), part("dst", layout::TP_DST, Format::Dec)]
}

const fn icmp() -> [Part; 2] {
    [
        part("type", low_byte(layout::TP_SRC), Format::Dec),
        part("code", low_byte(layout::TP_DST), Format::Dec),
    ]
}

const PORTS: [Part; 2] = ports();
const ICMP: [Part; 2] = icmp();

const fn ct_ports() -> [Part; 2] {
    let [mut src, mut dst] = [
        part("tp_src", layout::CT_TP_SRC, Format::Dec),
        part("tp_dst", layout::CT_TP_DST, Format::Dec),
    ];
    src.alias = "src_port";
    dst.alias = "dst_port";
    [src, dst]
}

const CT_TUPLE4: [Part; 5] = {
    let [src, dst] = ct_ports();
    [
        part("src", layout::CT_NW_SRC, Format::Ip4),
        part("dst", layout::CT_NW_DST, Format::Ip4),
        part("proto", layout::CT_NW_PROTO, Format::Dec),
        src,
        dst,
    ]
};

/// The ports are printed by other names than those of IPv4; both are taken.
const CT_TUPLE6: [Part; 5] = {
    let [mut src, mut dst] = ct_ports();
    (src.name, src.alias) = ("src_port", "tp_src");
    (dst.name, dst.alias) = ("dst_port", "tp_dst");
    [
        part("src", layout::CT_IPV6_SRC, Format::Ip6),
        part("dst", layout::CT_IPV6_DST, Format::Ip6),
        part("proto", layout::CT_NW_PROTO, Format::Dec),
        src,
        dst,
    ]
};

const NSH: [Part; 10] = [
    narrow("flags", layout::NSH_FLAGS, 2, Format::NshByte),
    narrow("ttl", layout::NSH_TTL, 6, Format::NshByte),
    part("mdtype", layout::NSH_MDTYPE, Format::NshByte),
    part("np", layout::NSH_NP, Format::NshByte),
    Part {
        name: "spi",
        alias: "",
        place: layout::NSH_PATH,
        shift: 8,
        bits: 24,
        format: Format::NshWord(6),
    },
    part("si", low_of_path(), Format::NshByte),
    part("c1", layout::NSH_C1, Format::NshWord(8)),
    part("c2", layout::NSH_C2, Format::NshWord(8)),
    part("c3", layout::NSH_C3, Format::NshWord(8)),
    part("c4", layout::NSH_C4, Format::NshWord(8)),
];

const fn low_of_path() -> Place {
    Place { offset: layout::NSH_PATH.offset + 3, len: 1 }
}

const fn alone(place: Place, format: Format) -> [Part; 1] {
    [part("", place, format)]
}

macro_rules! attrs {
    ($($id:ident $name:literal $parts:expr;)*) => {
        /// Every attribute that is a row, in the order of printing.
        pub(crate) static ATTRS: &[Attr] = &[$(Attr { id: Attrs::$id, name: $name, parts: &$parts },)*];
    };
}

attrs! {
    RECIRC_ID "recirc_id" alone(layout::RECIRC_ID, Format::Hex);
    DP_HASH "dp_hash" alone(layout::DP_HASH, Format::Hex);
    SKB_PRIORITY "skb_priority" alone(layout::SKB_PRIORITY, Format::Hex);
    IN_PORT "in_port" alone(layout::IN_PORT, Format::Port);
    SKB_MARK "skb_mark" alone(layout::PKT_MARK, Format::Hex);
    CT_STATE "ct_state" alone(layout::CT_STATE, Format::CtState);
    CT_ZONE "ct_zone" alone(layout::CT_ZONE, Format::Hex);
    CT_MARK "ct_mark" alone(layout::CT_MARK, Format::Hex);
    CT_LABEL "ct_label" alone(layout::CT_LABEL, Format::Hex);
    CT_TUPLE4 "ct_tuple4" CT_TUPLE4;
    CT_TUPLE6 "ct_tuple6" CT_TUPLE6;
    PACKET_TYPE "packet_type" [
        Part { name: "ns", alias: "", place: layout::PACKET_TYPE, shift: 16, bits: 16, format: Format::Dec },
        narrow("id", layout::PACKET_TYPE, 16, Format::Hex),
    ];
    ETH "eth" [
        part("src", layout::ETH_SRC, Format::Mac),
        part("dst", layout::ETH_DST, Format::Mac),
    ];
    IPV4 "ipv4" [
        part("src", layout::IPV4_SRC, Format::Ip4),
        part("dst", layout::IPV4_DST, Format::Ip4),
        part("proto", layout::NW_PROTO, Format::Dec),
        part("tos", layout::NW_TOS, Format::Hex),
        part("ttl", layout::NW_TTL, Format::Dec),
        narrow("frag", layout::NW_FRAG, 2, Format::Frag),
    ];
    IPV6 "ipv6" [
        part("src", layout::IPV6_SRC, Format::Ip6),
        part("dst", layout::IPV6_DST, Format::Ip6),
        narrow("label", layout::IPV6_LABEL, 20, Format::Hex),
        part("proto", layout::NW_PROTO, Format::Dec),
        part("tclass", layout::NW_TOS, Format::Hex),
        part("hlimit", layout::NW_TTL, Format::Dec),
        narrow("frag", layout::NW_FRAG, 2, Format::Frag),
    ];
    ARP "arp" [
        part("sip", layout::IPV4_SRC, Format::Ip4),
        part("tip", layout::IPV4_DST, Format::Ip4),
        part("op", layout::NW_PROTO, Format::Dec),
        part("sha", layout::ARP_SHA, Format::Mac),
        part("tha", layout::ARP_THA, Format::Mac),
    ];
    NSH "nsh" NSH;
    TCP "tcp" PORTS;
    TCP_FLAGS "tcp_flags" [narrow("", layout::TCP_FLAGS, 12, Format::TcpFlags)];
    UDP "udp" PORTS;
    SCTP "sctp" PORTS;
    ICMP "icmp" ICMP;
    ICMPV6 "icmpv6" ICMP;
    ND "nd" [
        part("target", layout::ND_TARGET, Format::Ip6),
        part("sll", layout::ARP_SHA, Format::Mac),
        part("tll", layout::ARP_THA, Format::Mac),
    ];
    ND_EXT "nd_ext" [
        part("nd_reserved", layout::ND_RESERVED, Format::Hex),
        part("nd_options_type", layout::ND_OPTIONS_TYPE, Format::Dec),
    ];
}

/// The attribute of this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Attr> {
    ATTRS.iter().find(|attr| attr.name == name)
}

/// Names of the TCP flags, from bit 0.
pub(crate) const TCP_FLAGS: &[&str] =
    &["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];
/// Names of the conntrack states, from bit 0.
pub(crate) const CT_STATES: &[&str] = &["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
/// Names of the tunnel flags in the order of printing, and their bits.
pub(crate) const TUN_FLAGS: &[(&str, u16)] = &[("oam", 8), ("df", 1), ("csum", 2), ("key", 4)];
