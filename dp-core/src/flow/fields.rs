//! THE table of match fields: one row a field, nothing about a field is written elsewhere.
//!
//! A row says where the value lives in a key ([`crate::flow::layout`]), how wide it is, how it is
//! masked, what must be matched for it to exist, its numbers on the wire (NXM, OXM) and how text
//! spells it. Names, widths, prerequisites and numbers are those of `ovs-fields(7)` and of the
//! OpenFlow 1.0 to 1.5 specifications.
//!
//! Several fields may share a place (`tcp_src`, `udp_src`), or be parts of one (`vlan_vid`,
//! `vlan_pcp` of the TCI; the `xreg`s of the registers).

use super::layout::{self, Place};

/// Whether and how a field may be matched with a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maskable {
    /// Wholly or not at all.
    Exact,
    /// Any subset of its bits.
    Bits,
}

/// What else a match must say before this field means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prereq {
    /// Nothing.
    None,
    /// The packet is Ethernet.
    Ethernet,
    /// An 802.1Q tag is there.
    VlanVid,
    /// Ethertype 0x0806 or 0x8035.
    Arp,
    /// Ethertype 0x0800.
    Ipv4,
    /// Ethertype 0x86dd.
    Ipv6,
    /// Either of the two.
    IpAny,
    /// Ethertype 0x8847 or 0x8848.
    Mpls,
    /// Ethertype 0x894f.
    Nsh,
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
    /// IP protocol 132.
    Sctp,
    /// IPv4 protocol 1.
    Icmpv4,
    /// IPv6 next header 58.
    Icmpv6,
    /// ICMPv6 types 135 and 136, code 0.
    Nd,
    /// ICMPv6 type 135, code 0.
    NdSolicit,
    /// ICMPv6 type 136, code 0.
    NdAdvert,
    /// A tracked packet of either IP version.
    Ct,
}

/// How text spells a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Decimal number.
    Decimal,
    /// Hexadecimal number.
    Hex,
    /// `aa:bb:cc:dd:ee:ff`.
    Ethernet,
    /// Dotted quad, mask as prefix length or dotted.
    Ipv4,
    /// RFC 5952, mask as prefix length or address.
    Ipv6,
    /// OpenFlow port, 16 bits, number or reserved name.
    OfPort,
    /// The same, 32 bits on the wire.
    OfPort32,
    /// `no`, `yes`, `first`, `later`, `not_later`.
    Frag,
    /// `+syn-ack` or a number.
    TcpFlags,
    /// `+oam`.
    TunFlags,
    /// `+trk-new`.
    CtState,
    /// `(ns,type)`.
    PacketType,
    /// DSCP in the upper six bits of the number.
    Tos,
}

/// The class of an OXM number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OxmClass {
    /// 0x0000, `NXM_OF_*`.
    Nxm0,
    /// 0x0001, `NXM_NX_*`.
    Nxm1,
    /// 0x8000, `OXM_OF_*`.
    Oxm,
    /// 0x8001, packet registers.
    PacketRegs,
    /// 0x1000, `ERICOXM_*`.
    Ericsson,
    /// 0xffff with experimenter 0x00002320, `NXOXM_ET_*`.
    NiciraExt,
    /// 0xffff with experimenter 0x005ad650, `NXOXM_NSH_*`.
    Nsh,
    /// 0xffff with experimenter 0x4f4e4600, `ONFOXM_ET_*`.
    Onf,
}

impl OxmClass {
    /// The class as it is on the wire, and the experimenter that follows class 0xffff.
    #[must_use]
    pub const fn wire(self) -> (u16, Option<u32>) {
        match self {
            Self::Nxm0 => (0x0000, None),
            Self::Nxm1 => (0x0001, None),
            Self::Oxm => (0x8000, None),
            Self::PacketRegs => (0x8001, None),
            Self::Ericsson => (0x1000, None),
            Self::NiciraExt => (0xffff, Some(0x0000_2320)),
            Self::Nsh => (0xffff, Some(0x005a_d650)),
            Self::Onf => (0xffff, Some(0x4f4e_4600)),
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Field {
    /// Which field this is; also its index in [`FIELDS`].
    pub id: FieldId,
    /// The name that is printed.
    pub name: &'static str,
    /// Another name that is accepted.
    pub alias: Option<&'static str>,
    /// Bytes of the key that hold it.
    pub place: Place,
    /// Bits to the right of the value inside [`Self::place`].
    pub shift: u8,
    /// Width of the value in bits.
    pub bits: u8,
    /// Width on the wire in bytes (OXM payload).
    pub wire_len: u8,
    /// Masks allowed.
    pub maskable: Maskable,
    /// Whether actions may write it.
    pub writable: bool,
    /// What must be matched with it.
    pub prereq: Prereq,
    /// How text spells it.
    pub format: Format,
    /// Its numbers, all accepted.
    pub oxm: &'static [(OxmClass, u8)],
}

impl Field {
    /// All ones in the width of the value.
    #[must_use]
    pub const fn ones(&self) -> u128 {
        u128::MAX >> (128 - self.bits as u32)
    }

    /// The lane that holds it.
    #[must_use]
    pub const fn lane(&self) -> usize {
        self.place.offset as usize / 64
    }
}

const fn within(place: Place, skip: u16, len: u8) -> Place {
    Place { offset: place.offset + skip, len }
}

macro_rules! fields {
    ($($id:ident = $name:literal $(/ $alias:literal)?, $place:expr, $shift:literal + $bits:literal,
       $wire:literal, $mask:ident, $rw:literal, $prereq:ident, $format:ident,
       [$($class:ident $number:literal),*], $doc:literal;)*) => {
        /// The name of a match field; the index of its row in [`FIELDS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum FieldId {
            $(#[doc = $doc] $id,)*
        }

        /// Every match field, indexed by [`FieldId`].
        pub static FIELDS: &[Field] = &[$(Field {
            id: FieldId::$id,
            name: $name,
            alias: fields!(@alias $($alias)?),
            place: $place,
            shift: $shift,
            bits: $bits,
            wire_len: $wire,
            maskable: Maskable::$mask,
            writable: $rw,
            prereq: Prereq::$prereq,
            format: Format::$format,
            oxm: &[$((OxmClass::$class, $number)),*],
        },)*];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}

#[rustfmt::skip]
fields! {
    DpHash = "dp_hash", layout::DP_HASH, 0 + 32, 4, Bits, false, None, Hex, [Nxm1 35], "Hash computed by an earlier pass.";
    RecircId = "recirc_id", layout::RECIRC_ID, 0 + 32, 4, Exact, false, None, Decimal, [Nxm1 36], "Recirculation id.";
    PacketType = "packet_type", layout::PACKET_TYPE, 0 + 32, 4, Exact, false, None, PacketType, [Oxm 44], "Name space and type of the outermost header.";
    ConjId = "conj_id", layout::CONJ_ID, 0 + 32, 4, Exact, false, None, Decimal, [Nxm1 37], "Conjunction that matched.";
    TunId = "tun_id" / "tunnel_id", layout::TUN_ID, 0 + 64, 8, Bits, true, None, Hex, [Nxm1 16, Oxm 38], "Tunnel key.";
    TunSrc = "tun_src", layout::TUN_SRC, 0 + 32, 4, Bits, true, None, Ipv4, [Nxm1 31], "Outer IPv4 source.";
    TunDst = "tun_dst", layout::TUN_DST, 0 + 32, 4, Bits, true, None, Ipv4, [Nxm1 32], "Outer IPv4 destination.";
    TunIpv6Src = "tun_ipv6_src", layout::TUN_IPV6_SRC, 0 + 128, 16, Bits, true, None, Ipv6, [Nxm1 109], "Outer IPv6 source.";
    TunIpv6Dst = "tun_ipv6_dst", layout::TUN_IPV6_DST, 0 + 128, 16, Bits, true, None, Ipv6, [Nxm1 110], "Outer IPv6 destination.";
    TunFlags = "tun_flags", layout::TUN_FLAGS, 3 + 1, 2, Bits, true, None, TunFlags, [Nxm1 104], "Tunnel flags: only `oam`.";
    TunTtl = "tun_ttl", layout::TUN_TTL, 0 + 8, 1, Exact, false, None, Decimal, [], "Outer TTL.";
    TunTos = "tun_tos", layout::TUN_TOS, 0 + 8, 1, Exact, false, None, Decimal, [], "Outer tos.";
    TunGbpId = "tun_gbp_id", layout::TUN_GBP_ID, 0 + 16, 2, Bits, true, None, Decimal, [Nxm1 38], "VXLAN group policy id.";
    TunGbpFlags = "tun_gbp_flags", layout::TUN_GBP_FLAGS, 0 + 8, 1, Bits, true, None, Hex, [Nxm1 39], "VXLAN group policy flags.";
    TunErspanIdx = "tun_erspan_idx", layout::TUN_ERSPAN_IDX, 0 + 20, 4, Bits, true, None, Hex, [NiciraExt 11], "ERSPAN index.";
    TunErspanVer = "tun_erspan_ver", layout::TUN_ERSPAN_VER, 0 + 4, 1, Bits, true, None, Decimal, [NiciraExt 12], "ERSPAN version.";
    TunErspanDir = "tun_erspan_dir", layout::TUN_ERSPAN_DIR, 0 + 1, 1, Bits, true, None, Decimal, [NiciraExt 13], "ERSPAN direction.";
    TunErspanHwid = "tun_erspan_hwid", layout::TUN_ERSPAN_HWID, 0 + 6, 1, Bits, true, None, Hex, [NiciraExt 14], "ERSPAN hardware id.";
    TunGtpuFlags = "tun_gtpu_flags", layout::TUN_GTPU_FLAGS, 0 + 8, 1, Bits, false, None, Hex, [NiciraExt 15], "GTP-U flags.";
    TunGtpuMsgtype = "tun_gtpu_msgtype", layout::TUN_GTPU_MSGTYPE, 0 + 8, 1, Bits, false, None, Decimal, [NiciraExt 16], "GTP-U message type.";
    Metadata = "metadata", layout::METADATA, 0 + 64, 8, Bits, true, None, Hex, [Oxm 2], "OpenFlow metadata.";
    InPort = "in_port", within(layout::IN_PORT, 2, 2), 0 + 16, 2, Exact, true, None, OfPort, [Nxm0 0], "Port of entry, 16 bits.";
    InPortOxm = "in_port_oxm", within(layout::IN_PORT, 2, 2), 0 + 16, 4, Exact, true, None, OfPort32, [Oxm 0], "Port of entry, as OpenFlow 1.1 and later number it.";
    ActsetOutput = "actset_output", within(layout::ACTSET_OUTPUT, 2, 2), 0 + 16, 4, Exact, false, None, OfPort32, [Onf 43, Oxm 43], "Output port of the action set.";
    SkbPriority = "skb_priority", layout::SKB_PRIORITY, 0 + 32, 4, Exact, false, None, Hex, [], "Queueing priority.";
    PktMark = "pkt_mark", layout::PKT_MARK, 0 + 32, 4, Bits, true, None, Hex, [Nxm1 33], "Packet mark.";
    CtState = "ct_state", layout::CT_STATE, 0 + 8, 4, Bits, false, None, CtState, [Nxm1 105], "Conntrack state.";
    CtZone = "ct_zone", layout::CT_ZONE, 0 + 16, 2, Exact, false, None, Hex, [Nxm1 106], "Conntrack zone.";
    CtMark = "ct_mark", layout::CT_MARK, 0 + 32, 4, Bits, true, None, Hex, [Nxm1 107], "Conntrack mark.";
    CtLabel = "ct_label", layout::CT_LABEL, 0 + 128, 16, Bits, true, None, Hex, [Nxm1 108], "Conntrack label.";
    CtNwProto = "ct_nw_proto", layout::CT_NW_PROTO, 0 + 8, 1, Exact, false, Ct, Decimal, [Nxm1 119], "Original direction: protocol.";
    CtNwSrc = "ct_nw_src", layout::CT_NW_SRC, 0 + 32, 4, Bits, false, Ct, Ipv4, [Nxm1 120], "Original direction: IPv4 source.";
    CtNwDst = "ct_nw_dst", layout::CT_NW_DST, 0 + 32, 4, Bits, false, Ct, Ipv4, [Nxm1 121], "Original direction: IPv4 destination.";
    CtIpv6Src = "ct_ipv6_src", layout::CT_IPV6_SRC, 0 + 128, 16, Bits, false, Ct, Ipv6, [Nxm1 122], "Original direction: IPv6 source.";
    CtIpv6Dst = "ct_ipv6_dst", layout::CT_IPV6_DST, 0 + 128, 16, Bits, false, Ct, Ipv6, [Nxm1 123], "Original direction: IPv6 destination.";
    CtTpSrc = "ct_tp_src", layout::CT_TP_SRC, 0 + 16, 2, Bits, false, Ct, Decimal, [Nxm1 124], "Original direction: L4 source.";
    CtTpDst = "ct_tp_dst", layout::CT_TP_DST, 0 + 16, 2, Bits, false, Ct, Decimal, [Nxm1 125], "Original direction: L4 destination.";
    Reg0 = "reg0", within(layout::REG0, 0, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 0], "Register 0.";
    Reg1 = "reg1", within(layout::REG0, 4, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 1], "Register 1.";
    Reg2 = "reg2", within(layout::REG0, 8, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 2], "Register 2.";
    Reg3 = "reg3", within(layout::REG0, 12, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 3], "Register 3.";
    Reg4 = "reg4", within(layout::REG0, 16, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 4], "Register 4.";
    Reg5 = "reg5", within(layout::REG0, 20, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 5], "Register 5.";
    Reg6 = "reg6", within(layout::REG0, 24, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 6], "Register 6.";
    Reg7 = "reg7", within(layout::REG0, 28, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 7], "Register 7.";
    Reg8 = "reg8", within(layout::REG0, 32, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 8], "Register 8.";
    Reg9 = "reg9", within(layout::REG0, 36, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 9], "Register 9.";
    Reg10 = "reg10", within(layout::REG0, 40, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 10], "Register 10.";
    Reg11 = "reg11", within(layout::REG0, 44, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 11], "Register 11.";
    Reg12 = "reg12", within(layout::REG0, 48, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 12], "Register 12.";
    Reg13 = "reg13", within(layout::REG0, 52, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 13], "Register 13.";
    Reg14 = "reg14", within(layout::REG0, 56, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 14], "Register 14.";
    Reg15 = "reg15", within(layout::REG0, 60, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 15], "Register 15.";
    Xreg0 = "xreg0", within(layout::REG0, 0, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 0], "Registers 0 and 1 as one.";
    Xreg1 = "xreg1", within(layout::REG0, 8, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 1], "Registers 2 and 3 as one.";
    Xreg2 = "xreg2", within(layout::REG0, 16, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 2], "Registers 4 and 5 as one.";
    Xreg3 = "xreg3", within(layout::REG0, 24, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 3], "Registers 6 and 7 as one.";
    Xreg4 = "xreg4", within(layout::REG0, 32, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 4], "Registers 8 and 9 as one.";
    Xreg5 = "xreg5", within(layout::REG0, 40, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 5], "Registers 10 and 11 as one.";
    Xreg6 = "xreg6", within(layout::REG0, 48, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 6], "Registers 12 and 13 as one.";
    Xreg7 = "xreg7", within(layout::REG0, 56, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 7], "Registers 14 and 15 as one.";
    Xxreg0 = "xxreg0", within(layout::REG0, 0, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 111], "Registers 0 to 3 as one.";
    Xxreg1 = "xxreg1", within(layout::REG0, 16, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 112], "Registers 4 to 7 as one.";
    Xxreg2 = "xxreg2", within(layout::REG0, 32, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 113], "Registers 8 to 11 as one.";
    Xxreg3 = "xxreg3", within(layout::REG0, 48, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 114], "Registers 12 to 15 as one.";
    EthSrc = "eth_src" / "dl_src", layout::ETH_SRC, 0 + 48, 6, Bits, true, Ethernet, Ethernet, [Nxm0 2, Oxm 4], "Source MAC.";
    EthDst = "eth_dst" / "dl_dst", layout::ETH_DST, 0 + 48, 6, Bits, true, Ethernet, Ethernet, [Nxm0 1, Oxm 3], "Destination MAC.";
    EthType = "eth_type" / "dl_type", layout::ETH_TYPE, 0 + 16, 2, Exact, false, Ethernet, Hex, [Nxm0 3, Oxm 5], "Ethertype behind the tags.";
    VlanTci = "vlan_tci", layout::VLAN_TCI, 0 + 16, 2, Bits, true, Ethernet, Hex, [Nxm0 4], "Outer tag: priority, present bit, VID.";
    DlVlan = "dl_vlan", layout::VLAN_TCI, 0 + 12, 2, Exact, true, Ethernet, Decimal, [], "Outer tag's VID, as OpenFlow 1.0 matches it (0xffff: no tag).";
    VlanVid = "vlan_vid", layout::VLAN_TCI, 0 + 12, 2, Bits, true, Ethernet, Decimal, [Oxm 6], "Outer tag's VID; in OXM together with the present bit.";
    DlVlanPcp = "dl_vlan_pcp", layout::VLAN_TCI, 13 + 3, 1, Exact, true, Ethernet, Decimal, [], "Outer tag's priority, as OpenFlow 1.0 matches it.";
    VlanPcp = "vlan_pcp", layout::VLAN_TCI, 13 + 3, 1, Exact, true, VlanVid, Decimal, [Oxm 7], "Outer tag's priority.";
    MplsLabel = "mpls_label", layout::MPLS0, 12 + 20, 4, Exact, true, Mpls, Decimal, [Oxm 34], "Outermost MPLS label.";
    MplsTc = "mpls_tc", layout::MPLS0, 9 + 3, 1, Exact, true, Mpls, Decimal, [Oxm 35], "MPLS traffic class.";
    MplsBos = "mpls_bos", layout::MPLS0, 8 + 1, 1, Exact, false, Mpls, Decimal, [Oxm 36], "MPLS bottom of stack.";
    MplsTtl = "mpls_ttl", layout::MPLS0, 0 + 8, 1, Exact, true, Mpls, Decimal, [Nxm1 30], "MPLS TTL.";
    Ipv4Src = "ip_src" / "nw_src", layout::IPV4_SRC, 0 + 32, 4, Bits, true, Ipv4, Ipv4, [Nxm0 7, Oxm 11], "IPv4 source.";
    Ipv4Dst = "ip_dst" / "nw_dst", layout::IPV4_DST, 0 + 32, 4, Bits, true, Ipv4, Ipv4, [Nxm0 8, Oxm 12], "IPv4 destination.";
    Ipv6Src = "ipv6_src", layout::IPV6_SRC, 0 + 128, 16, Bits, true, Ipv6, Ipv6, [Nxm1 19, Oxm 26], "IPv6 source.";
    Ipv6Dst = "ipv6_dst", layout::IPV6_DST, 0 + 128, 16, Bits, true, Ipv6, Ipv6, [Nxm1 20, Oxm 27], "IPv6 destination.";
    Ipv6Label = "ipv6_label", layout::IPV6_LABEL, 0 + 20, 4, Bits, true, Ipv6, Hex, [Nxm1 27, Oxm 28], "IPv6 flow label.";
    NwProto = "nw_proto" / "ip_proto", layout::NW_PROTO, 0 + 8, 1, Exact, false, IpAny, Decimal, [Nxm0 6, Oxm 10], "IP protocol.";
    NwTos = "nw_tos", layout::NW_TOS, 2 + 6, 1, Exact, true, IpAny, Tos, [Nxm0 5], "DSCP, written in the upper six bits.";
    IpDscp = "ip_dscp", layout::NW_TOS, 2 + 6, 1, Exact, true, IpAny, Decimal, [Oxm 8], "DSCP.";
    NwEcn = "nw_ecn" / "ip_ecn", layout::NW_TOS, 0 + 2, 1, Exact, true, IpAny, Decimal, [Nxm1 28, Oxm 9], "ECN.";
    NwTtl = "nw_ttl", layout::NW_TTL, 0 + 8, 1, Exact, true, IpAny, Decimal, [Nxm1 29], "TTL or hop limit.";
    IpFrag = "ip_frag" / "nw_frag", layout::NW_FRAG, 0 + 2, 1, Bits, false, IpAny, Frag, [Nxm1 26], "Fragment bits.";
    ArpOp = "arp_op", layout::NW_PROTO, 0 + 8, 2, Exact, true, Arp, Decimal, [Nxm0 15, Oxm 21], "ARP operation.";
    ArpSpa = "arp_spa", layout::IPV4_SRC, 0 + 32, 4, Bits, true, Arp, Ipv4, [Nxm0 16, Oxm 22], "ARP sender's protocol address.";
    ArpTpa = "arp_tpa", layout::IPV4_DST, 0 + 32, 4, Bits, true, Arp, Ipv4, [Nxm0 17, Oxm 23], "ARP target's protocol address.";
    ArpSha = "arp_sha", layout::ARP_SHA, 0 + 48, 6, Bits, true, Arp, Ethernet, [Nxm1 17, Oxm 24], "ARP sender's hardware address.";
    ArpTha = "arp_tha", layout::ARP_THA, 0 + 48, 6, Bits, true, Arp, Ethernet, [Nxm1 18, Oxm 25], "ARP target's hardware address.";
    TcpSrc = "tcp_src" / "tp_src", layout::TP_SRC, 0 + 16, 2, Bits, true, Tcp, Decimal, [Nxm0 9, Oxm 13], "TCP source port.";
    TcpDst = "tcp_dst" / "tp_dst", layout::TP_DST, 0 + 16, 2, Bits, true, Tcp, Decimal, [Nxm0 10, Oxm 14], "TCP destination port.";
    TcpFlags = "tcp_flags", layout::TCP_FLAGS, 0 + 12, 2, Bits, false, Tcp, TcpFlags, [Nxm1 34, Onf 42, Oxm 42], "TCP flags.";
    UdpSrc = "udp_src", layout::TP_SRC, 0 + 16, 2, Bits, true, Udp, Decimal, [Nxm0 11, Oxm 15], "UDP source port.";
    UdpDst = "udp_dst", layout::TP_DST, 0 + 16, 2, Bits, true, Udp, Decimal, [Nxm0 12, Oxm 16], "UDP destination port.";
    SctpSrc = "sctp_src", layout::TP_SRC, 0 + 16, 2, Bits, true, Sctp, Decimal, [Oxm 17], "SCTP source port.";
    SctpDst = "sctp_dst", layout::TP_DST, 0 + 16, 2, Bits, true, Sctp, Decimal, [Oxm 18], "SCTP destination port.";
    Icmpv4Type = "icmp_type", within(layout::TP_SRC, 1, 1), 0 + 8, 1, Exact, true, Icmpv4, Decimal, [Nxm0 13, Oxm 19], "ICMP type.";
    Icmpv4Code = "icmp_code", within(layout::TP_DST, 1, 1), 0 + 8, 1, Exact, true, Icmpv4, Decimal, [Nxm0 14, Oxm 20], "ICMP code.";
    Icmpv6Type = "icmpv6_type", within(layout::TP_SRC, 1, 1), 0 + 8, 1, Exact, true, Icmpv6, Decimal, [Nxm1 21, Oxm 29], "ICMPv6 type.";
    Icmpv6Code = "icmpv6_code", within(layout::TP_DST, 1, 1), 0 + 8, 1, Exact, true, Icmpv6, Decimal, [Nxm1 22, Oxm 30], "ICMPv6 code.";
    NdTarget = "nd_target", layout::ND_TARGET, 0 + 128, 16, Bits, true, Nd, Ipv6, [Nxm1 23, Oxm 31], "ND target.";
    NdSll = "nd_sll", layout::ARP_SHA, 0 + 48, 6, Bits, true, NdSolicit, Ethernet, [Nxm1 24, Oxm 32], "ND source link-layer address.";
    NdTll = "nd_tll", layout::ARP_THA, 0 + 48, 6, Bits, true, NdAdvert, Ethernet, [Nxm1 25, Oxm 33], "ND target link-layer address.";
    NdReserved = "nd_reserved", layout::ND_RESERVED, 0 + 32, 4, Exact, true, Nd, Decimal, [Ericsson 1], "ND reserved word.";
    NdOptionsType = "nd_options_type", layout::ND_OPTIONS_TYPE, 0 + 8, 1, Exact, true, Nd, Decimal, [Ericsson 2], "ND option type.";
    NshFlags = "nsh_flags", layout::NSH_FLAGS, 0 + 8, 1, Bits, true, Nsh, Decimal, [Nsh 1], "NSH flags.";
    NshTtl = "nsh_ttl", layout::NSH_TTL, 0 + 8, 1, Exact, true, Nsh, Decimal, [Nsh 10], "NSH TTL.";
    NshMdtype = "nsh_mdtype", layout::NSH_MDTYPE, 0 + 8, 1, Exact, false, Nsh, Decimal, [Nsh 2], "NSH metadata type.";
    NshNp = "nsh_np", layout::NSH_NP, 0 + 8, 1, Exact, false, Nsh, Decimal, [Nsh 3], "NSH next protocol.";
    NshSpi = "nsh_spi" / "nsp", layout::NSH_PATH, 8 + 24, 4, Exact, true, Nsh, Hex, [Nsh 4], "NSH service path.";
    NshSi = "nsh_si" / "nsi", layout::NSH_PATH, 0 + 8, 1, Exact, true, Nsh, Decimal, [Nsh 5], "NSH service index.";
    NshC1 = "nsh_c1" / "nshc1", layout::NSH_C1, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 6], "NSH context 1.";
    NshC2 = "nsh_c2" / "nshc2", layout::NSH_C2, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 7], "NSH context 2.";
    NshC3 = "nsh_c3" / "nshc3", layout::NSH_C3, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 8], "NSH context 3.";
    NshC4 = "nsh_c4" / "nshc4", layout::NSH_C4, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 9], "NSH context 4.";
}

impl FieldId {
    /// Its row.
    #[must_use]
    pub fn field(self) -> &'static Field {
        // The enum is generated from the same rows as the table.
        &FIELDS[self as usize]
    }

    /// The field that text calls `name`, by name or alias.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        FIELDS
            .iter()
            .find(|field| field.name == name || field.alias == Some(name))
            .map(|field| field.id)
    }

    /// The field with this OXM number.
    #[must_use]
    pub fn by_oxm(class: u16, experimenter: Option<u32>, number: u8) -> Option<Self> {
        FIELDS
            .iter()
            .find(|field| {
                field.oxm.iter().any(|&(c, n)| n == number && c.wire() == (class, experimenter))
            })
            .map(|field| field.id)
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, FieldId};

    #[test]
    fn rows_stand_at_the_index_of_their_id_and_fit_their_place() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert_eq!(field.id as usize, index, "{}", field.name);
            assert!(field.bits >= 1 && field.bits <= 128);
            assert!(
                u16::from(field.shift) + u16::from(field.bits) <= u16::from(field.place.len) * 8,
                "{}",
                field.name
            );
            assert!(u16::from(field.bits) <= u16::from(field.wire_len) * 8, "{}", field.name);
        }
    }

    #[test]
    fn names_and_numbers_are_unique() {
        for field in FIELDS {
            assert_eq!(FieldId::by_name(field.name), Some(field.id));
            if let Some(alias) = field.alias {
                assert_eq!(FieldId::by_name(alias), Some(field.id));
            }
            for &(class, number) in field.oxm {
                let (class, experimenter) = class.wire();
                // arp_sha and nd_sll share no number, but several fields share places.
                let found = FieldId::by_oxm(class, experimenter, number);
                assert_eq!(found, Some(field.id), "{} {class:#x} {number}", field.name);
            }
        }
    }
}
