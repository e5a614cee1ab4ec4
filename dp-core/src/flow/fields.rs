//! THE table of match fields: one row a field, nothing about a field is written elsewhere.
//!
//! A row says where the value lives in a key ([`crate::flow::layout`]), how wide it is, how it is
//! masked, what must be matched for it to exist, its numbers on the wire (NXM, OXM) and how text
//! spells it. Names, widths, prerequisites and numbers are those of `ovs-fields(7)` and of the
//! OpenFlow 1.0 to 1.5 specifications.
//!
//! Several fields may share a place (`tcp_src`, `udp_src`), or be parts of one (`vlan_vid`,
//! `vlan_pcp` of the TCI; the `xreg`s of the registers).
//!
//! Tunnel metadata (`tun_metadata0` to `63`) are options of up to 124 bytes. They are the only fields
//! wider than 128 bits and lie beside the lanes ([`super::wide`]). Which of them are there is a set
//! of its own ([`layout::TUN_METADATA_PRESENT`]), which follows every write of one and is their place
//! in the table.

use super::layout::{self, Place};
use super::wide::Wide;

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
    /// DSCP in the upper six bits of the number; the lower two are another field and do not count.
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
    pub bits: u16,
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
    /// Its numbers, all accepted; the first one names it in actions.
    pub oxm: &'static [Oxm],
}

/// A number of a field on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oxm {
    /// The class.
    pub class: OxmClass,
    /// The number in it.
    pub number: u8,
    /// What flow text calls it: `NXM_OF_ETH_SRC`.
    pub name: &'static str,
}

impl Field {
    /// All ones in the width of the value; in the last 128 bits of one that is wider.
    #[must_use]
    pub const fn ones(&self) -> u128 {
        u128::MAX >> 128u32.saturating_sub(self.bits as u32)
    }

    /// All ones in the width of the value, whatever it is.
    #[must_use]
    pub fn wide_ones(&self) -> Wide {
        Wide::ones(self.bits)
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
       [$($class:ident $number:literal $oxm:ident),*], $doc:literal;)*) => {
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
            oxm: &[$(Oxm {
                class: OxmClass::$class,
                number: $number,
                name: concat!(fields!(@prefix $class), stringify!($oxm)),
            }),*],
        },)*];
    };
    (@alias) => { None };
    (@prefix Nxm0) => { "NXM_OF_" };
    (@prefix Nxm1) => { "NXM_NX_" };
    (@prefix Oxm) => { "OXM_OF_" };
    (@prefix PacketRegs) => { "OXM_OF_" };
    (@prefix Ericsson) => { "ERICOXM_OF_" };
    (@prefix NiciraExt) => { "NXOXM_ET_" };
    (@prefix Nsh) => { "NXOXM_NSH_" };
    (@prefix Onf) => { "ONFOXM_ET_" };
    (@alias $alias:literal) => { Some($alias) };
}

#[rustfmt::skip]
fields! {
    DpHash = "dp_hash", layout::DP_HASH, 0 + 32, 4, Bits, false, None, Hex, [Nxm1 35 DP_HASH], "Hash computed by an earlier pass.";
    RecircId = "recirc_id", layout::RECIRC_ID, 0 + 32, 4, Exact, false, None, Decimal, [Nxm1 36 RECIRC_ID], "Recirculation id.";
    PacketType = "packet_type", layout::PACKET_TYPE, 0 + 32, 4, Exact, false, None, PacketType, [Oxm 44 PACKET_TYPE], "Name space and type of the outermost header.";
    ConjId = "conj_id", layout::CONJ_ID, 0 + 32, 4, Exact, false, None, Decimal, [Nxm1 37 CONJ_ID], "Conjunction that matched.";
    TunId = "tun_id" / "tunnel_id", layout::TUN_ID, 0 + 64, 8, Bits, true, None, Hex, [Nxm1 16 TUN_ID, Oxm 38 TUNNEL_ID], "Tunnel key.";
    TunSrc = "tun_src", layout::TUN_SRC, 0 + 32, 4, Bits, true, None, Ipv4, [Nxm1 31 TUN_IPV4_SRC], "Outer IPv4 source.";
    TunDst = "tun_dst", layout::TUN_DST, 0 + 32, 4, Bits, true, None, Ipv4, [Nxm1 32 TUN_IPV4_DST], "Outer IPv4 destination.";
    TunIpv6Src = "tun_ipv6_src", layout::TUN_IPV6_SRC, 0 + 128, 16, Bits, true, None, Ipv6, [Nxm1 109 TUN_IPV6_SRC], "Outer IPv6 source.";
    TunIpv6Dst = "tun_ipv6_dst", layout::TUN_IPV6_DST, 0 + 128, 16, Bits, true, None, Ipv6, [Nxm1 110 TUN_IPV6_DST], "Outer IPv6 destination.";
    TunFlags = "tun_flags", layout::TUN_FLAGS, 3 + 1, 2, Bits, true, None, TunFlags, [Nxm1 104 TUN_FLAGS], "Tunnel flags: only `oam`.";
    TunTtl = "tun_ttl", layout::TUN_TTL, 0 + 8, 1, Exact, false, None, Decimal, [], "Outer TTL.";
    TunTos = "tun_tos", layout::TUN_TOS, 0 + 8, 1, Exact, false, None, Decimal, [], "Outer tos.";
    TunGbpId = "tun_gbp_id", layout::TUN_GBP_ID, 0 + 16, 2, Bits, true, None, Decimal, [Nxm1 38 TUN_GBP_ID], "VXLAN group policy id.";
    TunGbpFlags = "tun_gbp_flags", layout::TUN_GBP_FLAGS, 0 + 8, 1, Bits, true, None, Hex, [Nxm1 39 TUN_GBP_FLAGS], "VXLAN group policy flags.";
    TunErspanIdx = "tun_erspan_idx", layout::TUN_ERSPAN_IDX, 0 + 20, 4, Bits, true, None, Hex, [NiciraExt 11 ERSPAN_IDX], "ERSPAN index.";
    TunErspanVer = "tun_erspan_ver", layout::TUN_ERSPAN_VER, 0 + 4, 1, Bits, true, None, Decimal, [NiciraExt 12 ERSPAN_VER], "ERSPAN version.";
    TunErspanDir = "tun_erspan_dir", layout::TUN_ERSPAN_DIR, 0 + 1, 1, Bits, true, None, Decimal, [NiciraExt 13 ERSPAN_DIR], "ERSPAN direction.";
    TunErspanHwid = "tun_erspan_hwid", layout::TUN_ERSPAN_HWID, 0 + 6, 1, Bits, true, None, Hex, [NiciraExt 14 ERSPAN_HWID], "ERSPAN hardware id.";
    TunGtpuFlags = "tun_gtpu_flags", layout::TUN_GTPU_FLAGS, 0 + 8, 1, Bits, false, None, Hex, [NiciraExt 15 GTPU_FLAGS], "GTP-U flags.";
    TunGtpuMsgtype = "tun_gtpu_msgtype", layout::TUN_GTPU_MSGTYPE, 0 + 8, 1, Bits, false, None, Decimal, [NiciraExt 16 GTPU_MSGTYPE], "GTP-U message type.";
    TunMetadata0 = "tun_metadata0", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 40 TUN_METADATA0], "Geneve option that the switch calls 0.";
    TunMetadata1 = "tun_metadata1", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 41 TUN_METADATA1], "Geneve option that the switch calls 1.";
    TunMetadata2 = "tun_metadata2", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 42 TUN_METADATA2], "Geneve option that the switch calls 2.";
    TunMetadata3 = "tun_metadata3", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 43 TUN_METADATA3], "Geneve option that the switch calls 3.";
    TunMetadata4 = "tun_metadata4", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 44 TUN_METADATA4], "Geneve option that the switch calls 4.";
    TunMetadata5 = "tun_metadata5", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 45 TUN_METADATA5], "Geneve option that the switch calls 5.";
    TunMetadata6 = "tun_metadata6", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 46 TUN_METADATA6], "Geneve option that the switch calls 6.";
    TunMetadata7 = "tun_metadata7", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 47 TUN_METADATA7], "Geneve option that the switch calls 7.";
    TunMetadata8 = "tun_metadata8", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 48 TUN_METADATA8], "Geneve option that the switch calls 8.";
    TunMetadata9 = "tun_metadata9", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 49 TUN_METADATA9], "Geneve option that the switch calls 9.";
    TunMetadata10 = "tun_metadata10", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 50 TUN_METADATA10], "Geneve option that the switch calls 10.";
    TunMetadata11 = "tun_metadata11", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 51 TUN_METADATA11], "Geneve option that the switch calls 11.";
    TunMetadata12 = "tun_metadata12", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 52 TUN_METADATA12], "Geneve option that the switch calls 12.";
    TunMetadata13 = "tun_metadata13", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 53 TUN_METADATA13], "Geneve option that the switch calls 13.";
    TunMetadata14 = "tun_metadata14", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 54 TUN_METADATA14], "Geneve option that the switch calls 14.";
    TunMetadata15 = "tun_metadata15", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 55 TUN_METADATA15], "Geneve option that the switch calls 15.";
    TunMetadata16 = "tun_metadata16", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 56 TUN_METADATA16], "Geneve option that the switch calls 16.";
    TunMetadata17 = "tun_metadata17", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 57 TUN_METADATA17], "Geneve option that the switch calls 17.";
    TunMetadata18 = "tun_metadata18", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 58 TUN_METADATA18], "Geneve option that the switch calls 18.";
    TunMetadata19 = "tun_metadata19", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 59 TUN_METADATA19], "Geneve option that the switch calls 19.";
    TunMetadata20 = "tun_metadata20", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 60 TUN_METADATA20], "Geneve option that the switch calls 20.";
    TunMetadata21 = "tun_metadata21", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 61 TUN_METADATA21], "Geneve option that the switch calls 21.";
    TunMetadata22 = "tun_metadata22", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 62 TUN_METADATA22], "Geneve option that the switch calls 22.";
    TunMetadata23 = "tun_metadata23", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 63 TUN_METADATA23], "Geneve option that the switch calls 23.";
    TunMetadata24 = "tun_metadata24", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 64 TUN_METADATA24], "Geneve option that the switch calls 24.";
    TunMetadata25 = "tun_metadata25", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 65 TUN_METADATA25], "Geneve option that the switch calls 25.";
    TunMetadata26 = "tun_metadata26", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 66 TUN_METADATA26], "Geneve option that the switch calls 26.";
    TunMetadata27 = "tun_metadata27", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 67 TUN_METADATA27], "Geneve option that the switch calls 27.";
    TunMetadata28 = "tun_metadata28", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 68 TUN_METADATA28], "Geneve option that the switch calls 28.";
    TunMetadata29 = "tun_metadata29", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 69 TUN_METADATA29], "Geneve option that the switch calls 29.";
    TunMetadata30 = "tun_metadata30", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 70 TUN_METADATA30], "Geneve option that the switch calls 30.";
    TunMetadata31 = "tun_metadata31", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 71 TUN_METADATA31], "Geneve option that the switch calls 31.";
    TunMetadata32 = "tun_metadata32", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 72 TUN_METADATA32], "Geneve option that the switch calls 32.";
    TunMetadata33 = "tun_metadata33", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 73 TUN_METADATA33], "Geneve option that the switch calls 33.";
    TunMetadata34 = "tun_metadata34", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 74 TUN_METADATA34], "Geneve option that the switch calls 34.";
    TunMetadata35 = "tun_metadata35", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 75 TUN_METADATA35], "Geneve option that the switch calls 35.";
    TunMetadata36 = "tun_metadata36", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 76 TUN_METADATA36], "Geneve option that the switch calls 36.";
    TunMetadata37 = "tun_metadata37", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 77 TUN_METADATA37], "Geneve option that the switch calls 37.";
    TunMetadata38 = "tun_metadata38", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 78 TUN_METADATA38], "Geneve option that the switch calls 38.";
    TunMetadata39 = "tun_metadata39", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 79 TUN_METADATA39], "Geneve option that the switch calls 39.";
    TunMetadata40 = "tun_metadata40", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 80 TUN_METADATA40], "Geneve option that the switch calls 40.";
    TunMetadata41 = "tun_metadata41", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 81 TUN_METADATA41], "Geneve option that the switch calls 41.";
    TunMetadata42 = "tun_metadata42", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 82 TUN_METADATA42], "Geneve option that the switch calls 42.";
    TunMetadata43 = "tun_metadata43", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 83 TUN_METADATA43], "Geneve option that the switch calls 43.";
    TunMetadata44 = "tun_metadata44", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 84 TUN_METADATA44], "Geneve option that the switch calls 44.";
    TunMetadata45 = "tun_metadata45", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 85 TUN_METADATA45], "Geneve option that the switch calls 45.";
    TunMetadata46 = "tun_metadata46", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 86 TUN_METADATA46], "Geneve option that the switch calls 46.";
    TunMetadata47 = "tun_metadata47", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 87 TUN_METADATA47], "Geneve option that the switch calls 47.";
    TunMetadata48 = "tun_metadata48", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 88 TUN_METADATA48], "Geneve option that the switch calls 48.";
    TunMetadata49 = "tun_metadata49", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 89 TUN_METADATA49], "Geneve option that the switch calls 49.";
    TunMetadata50 = "tun_metadata50", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 90 TUN_METADATA50], "Geneve option that the switch calls 50.";
    TunMetadata51 = "tun_metadata51", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 91 TUN_METADATA51], "Geneve option that the switch calls 51.";
    TunMetadata52 = "tun_metadata52", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 92 TUN_METADATA52], "Geneve option that the switch calls 52.";
    TunMetadata53 = "tun_metadata53", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 93 TUN_METADATA53], "Geneve option that the switch calls 53.";
    TunMetadata54 = "tun_metadata54", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 94 TUN_METADATA54], "Geneve option that the switch calls 54.";
    TunMetadata55 = "tun_metadata55", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 95 TUN_METADATA55], "Geneve option that the switch calls 55.";
    TunMetadata56 = "tun_metadata56", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 96 TUN_METADATA56], "Geneve option that the switch calls 56.";
    TunMetadata57 = "tun_metadata57", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 97 TUN_METADATA57], "Geneve option that the switch calls 57.";
    TunMetadata58 = "tun_metadata58", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 98 TUN_METADATA58], "Geneve option that the switch calls 58.";
    TunMetadata59 = "tun_metadata59", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 99 TUN_METADATA59], "Geneve option that the switch calls 59.";
    TunMetadata60 = "tun_metadata60", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 100 TUN_METADATA60], "Geneve option that the switch calls 60.";
    TunMetadata61 = "tun_metadata61", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 101 TUN_METADATA61], "Geneve option that the switch calls 61.";
    TunMetadata62 = "tun_metadata62", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 102 TUN_METADATA62], "Geneve option that the switch calls 62.";
    TunMetadata63 = "tun_metadata63", layout::TUN_METADATA_PRESENT, 0 + 992, 124, Bits, true, None, Hex, [Nxm1 103 TUN_METADATA63], "Geneve option that the switch calls 63.";
    Metadata = "metadata", layout::METADATA, 0 + 64, 8, Bits, true, None, Hex, [Oxm 2 METADATA], "OpenFlow metadata.";
    InPort = "in_port", within(layout::IN_PORT, 2, 2), 0 + 16, 2, Exact, true, None, OfPort, [Nxm0 0 IN_PORT], "Port of entry, 16 bits.";
    InPortOxm = "in_port_oxm", within(layout::IN_PORT, 2, 2), 0 + 16, 4, Exact, true, None, OfPort32, [Oxm 0 IN_PORT], "Port of entry, as OpenFlow 1.1 and later number it.";
    ActsetOutput = "actset_output", within(layout::ACTSET_OUTPUT, 2, 2), 0 + 16, 4, Exact, false, None, OfPort32, [Onf 43 ACTSET_OUTPUT, Oxm 43 ACTSET_OUTPUT], "Output port of the action set.";
    SkbPriority = "skb_priority", layout::SKB_PRIORITY, 0 + 32, 4, Exact, false, None, Hex, [], "Queueing priority.";
    PktMark = "pkt_mark", layout::PKT_MARK, 0 + 32, 4, Bits, true, None, Hex, [Nxm1 33 PKT_MARK], "Packet mark.";
    CtState = "ct_state", layout::CT_STATE, 0 + 8, 4, Bits, false, None, CtState, [Nxm1 105 CT_STATE], "Conntrack state.";
    CtZone = "ct_zone", layout::CT_ZONE, 0 + 16, 2, Exact, false, None, Hex, [Nxm1 106 CT_ZONE], "Conntrack zone.";
    CtMark = "ct_mark", layout::CT_MARK, 0 + 32, 4, Bits, true, None, Hex, [Nxm1 107 CT_MARK], "Conntrack mark.";
    CtLabel = "ct_label", layout::CT_LABEL, 0 + 128, 16, Bits, true, None, Hex, [Nxm1 108 CT_LABEL], "Conntrack label.";
    CtNwProto = "ct_nw_proto", layout::CT_NW_PROTO, 0 + 8, 1, Exact, false, Ct, Decimal, [Nxm1 119 CT_NW_PROTO], "Original direction: protocol.";
    CtNwSrc = "ct_nw_src", layout::CT_NW_SRC, 0 + 32, 4, Bits, false, Ct, Ipv4, [Nxm1 120 CT_NW_SRC], "Original direction: IPv4 source.";
    CtNwDst = "ct_nw_dst", layout::CT_NW_DST, 0 + 32, 4, Bits, false, Ct, Ipv4, [Nxm1 121 CT_NW_DST], "Original direction: IPv4 destination.";
    CtIpv6Src = "ct_ipv6_src", layout::CT_IPV6_SRC, 0 + 128, 16, Bits, false, Ct, Ipv6, [Nxm1 122 CT_IPV6_SRC], "Original direction: IPv6 source.";
    CtIpv6Dst = "ct_ipv6_dst", layout::CT_IPV6_DST, 0 + 128, 16, Bits, false, Ct, Ipv6, [Nxm1 123 CT_IPV6_DST], "Original direction: IPv6 destination.";
    CtTpSrc = "ct_tp_src", layout::CT_TP_SRC, 0 + 16, 2, Bits, false, Ct, Decimal, [Nxm1 124 CT_TP_SRC], "Original direction: L4 source.";
    CtTpDst = "ct_tp_dst", layout::CT_TP_DST, 0 + 16, 2, Bits, false, Ct, Decimal, [Nxm1 125 CT_TP_DST], "Original direction: L4 destination.";
    Reg0 = "reg0", within(layout::REG0, 0, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 0 REG0], "Register 0.";
    Reg1 = "reg1", within(layout::REG0, 4, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 1 REG1], "Register 1.";
    Reg2 = "reg2", within(layout::REG0, 8, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 2 REG2], "Register 2.";
    Reg3 = "reg3", within(layout::REG0, 12, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 3 REG3], "Register 3.";
    Reg4 = "reg4", within(layout::REG0, 16, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 4 REG4], "Register 4.";
    Reg5 = "reg5", within(layout::REG0, 20, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 5 REG5], "Register 5.";
    Reg6 = "reg6", within(layout::REG0, 24, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 6 REG6], "Register 6.";
    Reg7 = "reg7", within(layout::REG0, 28, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 7 REG7], "Register 7.";
    Reg8 = "reg8", within(layout::REG0, 32, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 8 REG8], "Register 8.";
    Reg9 = "reg9", within(layout::REG0, 36, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 9 REG9], "Register 9.";
    Reg10 = "reg10", within(layout::REG0, 40, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 10 REG10], "Register 10.";
    Reg11 = "reg11", within(layout::REG0, 44, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 11 REG11], "Register 11.";
    Reg12 = "reg12", within(layout::REG0, 48, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 12 REG12], "Register 12.";
    Reg13 = "reg13", within(layout::REG0, 52, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 13 REG13], "Register 13.";
    Reg14 = "reg14", within(layout::REG0, 56, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 14 REG14], "Register 14.";
    Reg15 = "reg15", within(layout::REG0, 60, 4), 0 + 32, 4, Bits, true, None, Hex, [Nxm1 15 REG15], "Register 15.";
    Xreg0 = "xreg0", within(layout::REG0, 0, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 0 PKT_REG0], "Registers 0 and 1 as one.";
    Xreg1 = "xreg1", within(layout::REG0, 8, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 1 PKT_REG1], "Registers 2 and 3 as one.";
    Xreg2 = "xreg2", within(layout::REG0, 16, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 2 PKT_REG2], "Registers 4 and 5 as one.";
    Xreg3 = "xreg3", within(layout::REG0, 24, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 3 PKT_REG3], "Registers 6 and 7 as one.";
    Xreg4 = "xreg4", within(layout::REG0, 32, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 4 PKT_REG4], "Registers 8 and 9 as one.";
    Xreg5 = "xreg5", within(layout::REG0, 40, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 5 PKT_REG5], "Registers 10 and 11 as one.";
    Xreg6 = "xreg6", within(layout::REG0, 48, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 6 PKT_REG6], "Registers 12 and 13 as one.";
    Xreg7 = "xreg7", within(layout::REG0, 56, 8), 0 + 64, 8, Bits, true, None, Hex, [PacketRegs 7 PKT_REG7], "Registers 14 and 15 as one.";
    Xxreg0 = "xxreg0", within(layout::REG0, 0, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 111 XXREG0], "Registers 0 to 3 as one.";
    Xxreg1 = "xxreg1", within(layout::REG0, 16, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 112 XXREG1], "Registers 4 to 7 as one.";
    Xxreg2 = "xxreg2", within(layout::REG0, 32, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 113 XXREG2], "Registers 8 to 11 as one.";
    Xxreg3 = "xxreg3", within(layout::REG0, 48, 16), 0 + 128, 16, Bits, true, None, Hex, [Nxm1 114 XXREG3], "Registers 12 to 15 as one.";
    EthSrc = "eth_src" / "dl_src", layout::ETH_SRC, 0 + 48, 6, Bits, true, Ethernet, Ethernet, [Nxm0 2 ETH_SRC, Oxm 4 ETH_SRC], "Source MAC.";
    EthDst = "eth_dst" / "dl_dst", layout::ETH_DST, 0 + 48, 6, Bits, true, Ethernet, Ethernet, [Nxm0 1 ETH_DST, Oxm 3 ETH_DST], "Destination MAC.";
    EthType = "eth_type" / "dl_type", layout::ETH_TYPE, 0 + 16, 2, Exact, false, Ethernet, Hex, [Nxm0 3 ETH_TYPE, Oxm 5 ETH_TYPE], "Ethertype behind the tags.";
    VlanTci = "vlan_tci", layout::VLAN_TCI, 0 + 16, 2, Bits, true, Ethernet, Hex, [Nxm0 4 VLAN_TCI], "Outer tag: priority, present bit, VID.";
    DlVlan = "dl_vlan", layout::VLAN_TCI, 0 + 12, 2, Exact, true, Ethernet, Decimal, [], "Outer tag's VID, as OpenFlow 1.0 matches it (0xffff: no tag).";
    VlanVid = "vlan_vid", layout::VLAN_TCI, 0 + 12, 2, Bits, true, Ethernet, Decimal, [Oxm 6 VLAN_VID], "Outer tag's VID; in OXM together with the present bit.";
    DlVlanPcp = "dl_vlan_pcp", layout::VLAN_TCI, 13 + 3, 1, Exact, true, Ethernet, Decimal, [], "Outer tag's priority, as OpenFlow 1.0 matches it.";
    VlanPcp = "vlan_pcp", layout::VLAN_TCI, 13 + 3, 1, Exact, true, VlanVid, Decimal, [Oxm 7 VLAN_PCP], "Outer tag's priority.";
    MplsLabel = "mpls_label", layout::MPLS0, 12 + 20, 4, Exact, true, Mpls, Decimal, [Oxm 34 MPLS_LABEL], "Outermost MPLS label.";
    MplsTc = "mpls_tc", layout::MPLS0, 9 + 3, 1, Exact, true, Mpls, Decimal, [Oxm 35 MPLS_TC], "MPLS traffic class.";
    MplsBos = "mpls_bos", layout::MPLS0, 8 + 1, 1, Exact, false, Mpls, Decimal, [Oxm 36 MPLS_BOS], "MPLS bottom of stack.";
    MplsTtl = "mpls_ttl", layout::MPLS0, 0 + 8, 1, Exact, true, Mpls, Decimal, [Nxm1 30 MPLS_TTL], "MPLS TTL.";
    Ipv4Src = "ip_src" / "nw_src", layout::IPV4_SRC, 0 + 32, 4, Bits, true, Ipv4, Ipv4, [Nxm0 7 IP_SRC, Oxm 11 IPV4_SRC], "IPv4 source.";
    Ipv4Dst = "ip_dst" / "nw_dst", layout::IPV4_DST, 0 + 32, 4, Bits, true, Ipv4, Ipv4, [Nxm0 8 IP_DST, Oxm 12 IPV4_DST], "IPv4 destination.";
    Ipv6Src = "ipv6_src", layout::IPV6_SRC, 0 + 128, 16, Bits, true, Ipv6, Ipv6, [Nxm1 19 IPV6_SRC, Oxm 26 IPV6_SRC], "IPv6 source.";
    Ipv6Dst = "ipv6_dst", layout::IPV6_DST, 0 + 128, 16, Bits, true, Ipv6, Ipv6, [Nxm1 20 IPV6_DST, Oxm 27 IPV6_DST], "IPv6 destination.";
    Ipv6Label = "ipv6_label", layout::IPV6_LABEL, 0 + 20, 4, Bits, true, Ipv6, Hex, [Nxm1 27 IPV6_LABEL, Oxm 28 IPV6_FLABEL], "IPv6 flow label.";
    NwProto = "nw_proto" / "ip_proto", layout::NW_PROTO, 0 + 8, 1, Exact, false, IpAny, Decimal, [Nxm0 6 IP_PROTO, Oxm 10 IP_PROTO], "IP protocol.";
    NwTos = "nw_tos", layout::NW_TOS, 0 + 8, 1, Exact, true, IpAny, Tos, [Nxm0 5 IP_TOS], "DSCP in the upper six bits of a byte; the lower two are not touched.";
    IpDscp = "ip_dscp", layout::NW_TOS, 2 + 6, 1, Exact, true, IpAny, Decimal, [Oxm 8 IP_DSCP], "DSCP.";
    NwEcn = "nw_ecn" / "ip_ecn", layout::NW_TOS, 0 + 2, 1, Exact, true, IpAny, Decimal, [Nxm1 28 IP_ECN, Oxm 9 IP_ECN], "ECN.";
    NwTtl = "nw_ttl", layout::NW_TTL, 0 + 8, 1, Exact, true, IpAny, Decimal, [Nxm1 29 IP_TTL], "TTL or hop limit.";
    IpFrag = "ip_frag" / "nw_frag", layout::NW_FRAG, 0 + 2, 1, Bits, false, IpAny, Frag, [Nxm1 26 IP_FRAG], "Fragment bits.";
    ArpOp = "arp_op", layout::NW_PROTO, 0 + 8, 2, Exact, true, Arp, Decimal, [Nxm0 15 ARP_OP, Oxm 21 ARP_OP], "ARP operation.";
    ArpSpa = "arp_spa", layout::IPV4_SRC, 0 + 32, 4, Bits, true, Arp, Ipv4, [Nxm0 16 ARP_SPA, Oxm 22 ARP_SPA], "ARP sender's protocol address.";
    ArpTpa = "arp_tpa", layout::IPV4_DST, 0 + 32, 4, Bits, true, Arp, Ipv4, [Nxm0 17 ARP_TPA, Oxm 23 ARP_TPA], "ARP target's protocol address.";
    ArpSha = "arp_sha", layout::ARP_SHA, 0 + 48, 6, Bits, true, Arp, Ethernet, [Nxm1 17 ARP_SHA, Oxm 24 ARP_SHA], "ARP sender's hardware address.";
    ArpTha = "arp_tha", layout::ARP_THA, 0 + 48, 6, Bits, true, Arp, Ethernet, [Nxm1 18 ARP_THA, Oxm 25 ARP_THA], "ARP target's hardware address.";
    TcpSrc = "tcp_src" / "tp_src", layout::TP_SRC, 0 + 16, 2, Bits, true, Tcp, Decimal, [Nxm0 9 TCP_SRC, Oxm 13 TCP_SRC], "TCP source port.";
    TcpDst = "tcp_dst" / "tp_dst", layout::TP_DST, 0 + 16, 2, Bits, true, Tcp, Decimal, [Nxm0 10 TCP_DST, Oxm 14 TCP_DST], "TCP destination port.";
    TcpFlags = "tcp_flags", layout::TCP_FLAGS, 0 + 12, 2, Bits, false, Tcp, TcpFlags, [Nxm1 34 TCP_FLAGS, Onf 42 TCP_FLAGS, Oxm 42 TCP_FLAGS], "TCP flags.";
    UdpSrc = "udp_src", layout::TP_SRC, 0 + 16, 2, Bits, true, Udp, Decimal, [Nxm0 11 UDP_SRC, Oxm 15 UDP_SRC], "UDP source port.";
    UdpDst = "udp_dst", layout::TP_DST, 0 + 16, 2, Bits, true, Udp, Decimal, [Nxm0 12 UDP_DST, Oxm 16 UDP_DST], "UDP destination port.";
    SctpSrc = "sctp_src", layout::TP_SRC, 0 + 16, 2, Bits, true, Sctp, Decimal, [Oxm 17 SCTP_SRC], "SCTP source port.";
    SctpDst = "sctp_dst", layout::TP_DST, 0 + 16, 2, Bits, true, Sctp, Decimal, [Oxm 18 SCTP_DST], "SCTP destination port.";
    Icmpv4Type = "icmp_type", within(layout::TP_SRC, 1, 1), 0 + 8, 1, Exact, true, Icmpv4, Decimal, [Nxm0 13 ICMP_TYPE, Oxm 19 ICMPV4_TYPE], "ICMP type.";
    Icmpv4Code = "icmp_code", within(layout::TP_DST, 1, 1), 0 + 8, 1, Exact, true, Icmpv4, Decimal, [Nxm0 14 ICMP_CODE, Oxm 20 ICMPV4_CODE], "ICMP code.";
    Icmpv6Type = "icmpv6_type", within(layout::TP_SRC, 1, 1), 0 + 8, 1, Exact, true, Icmpv6, Decimal, [Nxm1 21 ICMPV6_TYPE, Oxm 29 ICMPV6_TYPE], "ICMPv6 type.";
    Icmpv6Code = "icmpv6_code", within(layout::TP_DST, 1, 1), 0 + 8, 1, Exact, true, Icmpv6, Decimal, [Nxm1 22 ICMPV6_CODE, Oxm 30 ICMPV6_CODE], "ICMPv6 code.";
    NdTarget = "nd_target", layout::ND_TARGET, 0 + 128, 16, Bits, true, Nd, Ipv6, [Nxm1 23 ND_TARGET, Oxm 31 IPV6_ND_TARGET], "ND target.";
    NdSll = "nd_sll", layout::ARP_SHA, 0 + 48, 6, Bits, true, NdSolicit, Ethernet, [Nxm1 24 ND_SLL, Oxm 32 IPV6_ND_SLL], "ND source link-layer address.";
    NdTll = "nd_tll", layout::ARP_THA, 0 + 48, 6, Bits, true, NdAdvert, Ethernet, [Nxm1 25 ND_TLL, Oxm 33 IPV6_ND_TLL], "ND target link-layer address.";
    NdReserved = "nd_reserved", layout::ND_RESERVED, 0 + 32, 4, Exact, true, Nd, Decimal, [Ericsson 1 ICMPV6_ND_RESERVED], "ND reserved word.";
    NdOptionsType = "nd_options_type", layout::ND_OPTIONS_TYPE, 0 + 8, 1, Exact, true, Nd, Decimal, [Ericsson 2 ICMPV6_ND_OPTIONS_TYPE], "ND option type.";
    NshFlags = "nsh_flags", layout::NSH_FLAGS, 0 + 8, 1, Bits, true, Nsh, Decimal, [Nsh 1 FLAGS], "NSH flags.";
    NshTtl = "nsh_ttl", layout::NSH_TTL, 0 + 6, 1, Exact, true, Nsh, Decimal, [Nsh 10 TTL], "NSH TTL.";
    NshMdtype = "nsh_mdtype", layout::NSH_MDTYPE, 0 + 8, 1, Exact, false, Nsh, Decimal, [Nsh 2 MDTYPE], "NSH metadata type.";
    NshNp = "nsh_np", layout::NSH_NP, 0 + 8, 1, Exact, false, Nsh, Decimal, [Nsh 3 NP], "NSH next protocol.";
    NshSpi = "nsh_spi" / "nsp", layout::NSH_PATH, 8 + 24, 4, Exact, true, Nsh, Hex, [Nsh 4 SPI], "NSH service path.";
    NshSi = "nsh_si" / "nsi", layout::NSH_PATH, 0 + 8, 1, Exact, true, Nsh, Decimal, [Nsh 5 SI], "NSH service index.";
    NshC1 = "nsh_c1" / "nshc1", layout::NSH_C1, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 6 C1], "NSH context 1.";
    NshC2 = "nsh_c2" / "nshc2", layout::NSH_C2, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 7 C2], "NSH context 2.";
    NshC3 = "nsh_c3" / "nshc3", layout::NSH_C3, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 8 C3], "NSH context 3.";
    NshC4 = "nsh_c4" / "nshc4", layout::NSH_C4, 0 + 32, 4, Bits, true, Nsh, Hex, [Nsh 9 C4], "NSH context 4.";
}

impl FieldId {
    /// Number of tunnel metadata fields.
    pub const TUN_METADATA: u8 = 64;

    /// The tunnel metadata field of this number.
    #[must_use]
    pub fn tun_metadata(number: u8) -> Option<Self> {
        let first = usize::from(Self::TunMetadata0 as u8);
        let row = FIELDS.get(first + usize::from(number))?;
        (number < Self::TUN_METADATA).then_some(row.id)
    }

    /// Which tunnel metadata field it is, if it is one.
    #[must_use]
    pub const fn tun_metadata_number(self) -> Option<u8> {
        let (number, first) = (self as u8, Self::TunMetadata0 as u8);
        if number >= first && number < first + Self::TUN_METADATA {
            Some(number - first)
        } else {
            None
        }
    }

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

    /// The field that has `name` on the wire, as `NXM_OF_ETH_SRC`.
    #[must_use]
    pub fn by_oxm_name(name: &str) -> Option<Self> {
        FIELDS
            .iter()
            .find(|field| field.oxm.iter().any(|oxm| oxm.name == name))
            .map(|field| field.id)
    }

    /// The field with this OXM number.
    #[must_use]
    pub fn by_oxm(class: u16, experimenter: Option<u32>, number: u8) -> Option<Self> {
        FIELDS
            .iter()
            .find(|field| {
                field
                    .oxm
                    .iter()
                    .any(|oxm| oxm.number == number && oxm.class.wire() == (class, experimenter))
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
            assert!(field.bits >= 1);
            assert!(u16::from(field.wire_len) * 8 >= field.bits, "{}", field.name);
            if field.id.tun_metadata_number().is_some() {
                continue;
            }
            assert!(field.bits <= 128);
            assert!(
                u16::from(field.shift) + field.bits <= u16::from(field.place.len) * 8,
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn tunnel_metadata_are_a_run_of_rows() {
        for number in 0..FieldId::TUN_METADATA {
            let field = FieldId::tun_metadata(number).unwrap();
            assert_eq!(field.tun_metadata_number(), Some(number));
            assert_eq!(field.field().name, format!("tun_metadata{number}"));
        }
        assert_eq!(FieldId::tun_metadata(64), None);
        assert_eq!(FieldId::Metadata.tun_metadata_number(), None);
        assert_eq!(FieldId::TunFlags.tun_metadata_number(), None);
    }

    #[test]
    fn names_and_numbers_are_unique() {
        for field in FIELDS {
            assert_eq!(FieldId::by_name(field.name), Some(field.id));
            if let Some(alias) = field.alias {
                assert_eq!(FieldId::by_name(alias), Some(field.id));
            }
            for oxm in field.oxm {
                let (number, (class, experimenter)) = (oxm.number, oxm.class.wire());
                assert_eq!(FieldId::by_oxm_name(oxm.name), Some(field.id));
                // arp_sha and nd_sll share no number, but several fields share places.
                let found = FieldId::by_oxm(class, experimenter, number);
                assert_eq!(found, Some(field.id), "{} {class:#x} {number}", field.name);
            }
        }
    }
}
