//! Printing matches, in the order and the style of `ovs-ofctl dump-flows`.
//!
//! Names are those that dumps use: `dl_src`, `nw_src`, `tp_src`, `icmp_type` whatever the version,
//! and short words for protocols (`tcp6` for Ethertype and protocol). The wide registers are
//! printed as the registers they are made of. Whatever of a match is left over in the end, because
//! its prerequisite is missing, is appended under the name of the first field that has it: nothing
//! is ever hidden.

use std::fmt;

use dp_core::flow::layout::Place;
use dp_core::flow::{FIELDS, FieldId, FlowKey, FlowMask, Wide, layout};

use super::names::PortNames;
use super::value::full_mask;
use super::value_print::{Hex, write_option, write_value};
use crate::matching::Match;

/// A match to be printed.
#[derive(Clone, Copy)]
pub struct MatchText<'a> {
    /// The match.
    pub matching: &'a Match,
    /// Names of the ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for MatchText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, mask) = self.matching.expand();
        Printer { f, key, left: mask, names: self.names, first: true, packet: false }.print()
    }
}

/// What a packet's flow is, as traces print it: some numbers that nobody reads back are spelled
/// another way than in matches.
#[derive(Clone, Copy)]
pub(crate) struct PacketText<'a> {
    /// The flow, or what of it counts.
    pub(crate) matching: &'a Match,
    /// Names of the ports.
    pub(crate) names: &'a dyn PortNames,
}

impl fmt::Display for PacketText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, mask) = self.matching.expand();
        Printer { f, key, left: mask, names: self.names, first: true, packet: true }.print()
    }
}

/// How a value is printed where it is not as `set_field` prints it.
#[derive(Clone, Copy)]
enum Style {
    /// As `set_field` prints it.
    Plain,
    /// In decimal.
    Decimal,
    /// In hexadecimal.
    Hex,
    /// Decimal alone, hexadecimal with a mask.
    DecimalOrHex,
    /// Five hexadecimal digits.
    Label,
    /// In hexadecimal, zero too with `0x`.
    Prefixed,
    /// Two hexadecimal digits with a mask.
    TwoDigits,
    /// In hexadecimal, which does not say so in packets' flows.
    BareHex,
}

use FieldId as F;

/// What stands before the protocol.
const FRONT: &[(F, &str, Style)] = &[
    (F::PktMark, "pkt_mark", Style::Plain),
    (F::RecircId, "recirc_id", Style::Hex),
    (F::DpHash, "dp_hash", Style::Plain),
    (F::ConjId, "conj_id", Style::Plain),
    (F::SkbPriority, "skb_priority", Style::Plain),
    (F::ActsetOutput, "actset_output", Style::Plain),
    (F::CtState, "ct_state", Style::Plain),
    (F::CtZone, "ct_zone", Style::Decimal),
    (F::CtMark, "ct_mark", Style::Plain),
    (F::CtLabel, "ct_label", Style::Plain),
    (F::CtNwSrc, "ct_nw_src", Style::Plain),
    (F::CtNwDst, "ct_nw_dst", Style::Plain),
    (F::CtIpv6Src, "ct_ipv6_src", Style::Plain),
    (F::CtIpv6Dst, "ct_ipv6_dst", Style::Plain),
    (F::CtNwProto, "ct_nw_proto", Style::Plain),
    (F::CtTpSrc, "ct_tp_src", Style::DecimalOrHex),
    (F::CtTpDst, "ct_tp_dst", Style::DecimalOrHex),
];

/// What stands between the protocol and the VLAN.
const METADATA: &[(F, &str, Style)] = &[
    (F::Reg0, "reg0", Style::Plain),
    (F::Reg1, "reg1", Style::Plain),
    (F::Reg2, "reg2", Style::Plain),
    (F::Reg3, "reg3", Style::Plain),
    (F::Reg4, "reg4", Style::Plain),
    (F::Reg5, "reg5", Style::Plain),
    (F::Reg6, "reg6", Style::Plain),
    (F::Reg7, "reg7", Style::Plain),
    (F::Reg8, "reg8", Style::Plain),
    (F::Reg9, "reg9", Style::Plain),
    (F::Reg10, "reg10", Style::Plain),
    (F::Reg11, "reg11", Style::Plain),
    (F::Reg12, "reg12", Style::Plain),
    (F::Reg13, "reg13", Style::Plain),
    (F::Reg14, "reg14", Style::Plain),
    (F::Reg15, "reg15", Style::Plain),
    (F::TunId, "tun_id", Style::Plain),
    (F::TunSrc, "tun_src", Style::Plain),
    (F::TunDst, "tun_dst", Style::Plain),
    (F::TunIpv6Src, "tun_ipv6_src", Style::Plain),
    (F::TunIpv6Dst, "tun_ipv6_dst", Style::Plain),
    (F::TunGbpId, "tun_gbp_id", Style::DecimalOrHex),
    (F::TunGbpFlags, "tun_gbp_flags", Style::Plain),
    (F::TunTos, "tun_tos", Style::BareHex),
    (F::TunTtl, "tun_ttl", Style::Decimal),
    (F::TunErspanVer, "tun_erspan_ver", Style::Plain),
    (F::TunErspanIdx, "tun_erspan_idx", Style::Plain),
    (F::TunErspanDir, "tun_erspan_dir", Style::Plain),
    (F::TunErspanHwid, "tun_erspan_hwid", Style::Plain),
    (F::TunGtpuFlags, "gtpu_flags", Style::Plain),
    (F::TunGtpuMsgtype, "gtpu_msgtype", Style::Plain),
];

/// A tunnel's flags in the order of printing.
const ALL_TUN_FLAGS: &[(&str, u128)] = &[("oam", 8), ("df", 1), ("csum", 2), ("key", 4)];

/// What stands behind the tunnel's metadata.
const BEHIND_TUNNEL: &[(F, &str, Style)] =
    &[(F::Metadata, "metadata", Style::Plain), (F::InPort, "in_port", Style::Plain)];

const ARP: &[(F, &str, Style)] = &[
    (F::ArpSpa, "arp_spa", Style::Plain),
    (F::ArpTpa, "arp_tpa", Style::Plain),
    (F::ArpOp, "arp_op", Style::Plain),
    (F::ArpSha, "arp_sha", Style::Plain),
    (F::ArpTha, "arp_tha", Style::Plain),
];

const IPV4: &[(F, &str, Style)] =
    &[(F::Ipv4Src, "nw_src", Style::Plain), (F::Ipv4Dst, "nw_dst", Style::Plain)];

const IPV6: &[(F, &str, Style)] = &[
    (F::Ipv6Src, "ipv6_src", Style::Plain),
    (F::Ipv6Dst, "ipv6_dst", Style::Plain),
    (F::Ipv6Label, "ipv6_label", Style::Label),
];

const NSH: &[(F, &str, Style)] = &[
    (F::NshFlags, "nsh_flags", Style::TwoDigits),
    (F::NshTtl, "nsh_ttl", Style::Plain),
    (F::NshMdtype, "nsh_mdtype", Style::Plain),
    (F::NshNp, "nsh_np", Style::Plain),
    (F::NshSpi, "nsh_spi", Style::Prefixed),
    (F::NshSi, "nsh_si", Style::Plain),
    (F::NshC1, "nsh_c1", Style::Prefixed),
    (F::NshC2, "nsh_c2", Style::Prefixed),
    (F::NshC3, "nsh_c3", Style::Prefixed),
    (F::NshC4, "nsh_c4", Style::Prefixed),
];

/// What all IP packets have but for addresses.
const IP: &[(F, &str, Style)] = &[
    (F::NwTos, "nw_tos", Style::Plain),
    (F::NwEcn, "nw_ecn", Style::Plain),
    (F::NwTtl, "nw_ttl", Style::Plain),
    (F::IpFrag, "nw_frag", Style::Plain),
];

const MPLS: &[(F, &str, Style)] = &[
    (F::MplsLabel, "mpls_label", Style::Plain),
    (F::MplsTc, "mpls_tc", Style::Plain),
    (F::MplsTtl, "mpls_ttl", Style::Plain),
    (F::MplsBos, "mpls_bos", Style::Plain),
];

const PORTS: &[(F, &str, Style)] =
    &[(F::TcpSrc, "tp_src", Style::DecimalOrHex), (F::TcpDst, "tp_dst", Style::DecimalOrHex)];

const ICMP: &[(F, &str, Style)] =
    &[(F::Icmpv4Type, "icmp_type", Style::Plain), (F::Icmpv4Code, "icmp_code", Style::Plain)];

const ND: &[(F, &str, Style)] = &[
    (F::NdTarget, "nd_target", Style::Plain),
    (F::NdSll, "nd_sll", Style::Plain),
    (F::NdTll, "nd_tll", Style::Plain),
    (F::NdReserved, "nd_reserved", Style::Plain),
    (F::NdOptionsType, "nd_options_type", Style::Plain),
];

/// Short words: Ethertype, IP protocol, word.
pub(super) const PROTOCOLS: &[(u16, Option<u8>, &str)] = &[
    (0x0800, None, "ip"),
    (0x0800, Some(1), "icmp"),
    (0x0800, Some(6), "tcp"),
    (0x0800, Some(17), "udp"),
    (0x0800, Some(132), "sctp"),
    (0x86dd, None, "ipv6"),
    (0x86dd, Some(58), "icmp6"),
    (0x86dd, Some(6), "tcp6"),
    (0x86dd, Some(17), "udp6"),
    (0x86dd, Some(132), "sctp6"),
    (0x0806, None, "arp"),
    (0x8035, None, "rarp"),
    (0x8847, None, "mpls"),
    (0x8848, None, "mplsm"),
    // Accepted, but printed by the words above.
    (0x0800, None, "ipv4"),
    (0x0800, None, "ip4"),
    (0x86dd, None, "ip6"),
];

struct Printer<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    key: FlowKey,
    /// What is not yet printed.
    left: FlowMask,
    names: &'a dyn PortNames,
    first: bool,
    /// Not a match, but a packet.
    packet: bool,
}

impl Printer<'_, '_> {
    fn print(mut self) -> fmt::Result {
        self.fields(FRONT)?;
        let (eth_type, proto) = self.protocol()?;
        self.fields(METADATA)?;
        self.tun_flags()?;
        self.tun_metadata()?;
        self.fields(BEHIND_TUNNEL)?;
        self.vlan()?;
        self.inner_vlan()?;
        self.field(F::EthSrc, "dl_src", Style::Plain)?;
        self.field(F::EthDst, "dl_dst", Style::Plain)?;
        if self.left.get(F::EthType) != 0 {
            let value = self.take(F::EthType).0;
            self.put(format_args!("dl_type={value:#06x}"))?;
        }
        match eth_type {
            Some(0x0806 | 0x8035) => self.fields(ARP)?,
            Some(0x0800) => self.fields(IPV4)?,
            Some(0x86dd) => self.fields(IPV6)?,
            Some(0x894f) => self.fields(NSH)?,
            _ => {}
        }
        if matches!(eth_type, Some(0x0800 | 0x86dd | 0x894f)) {
            self.field(F::NwProto, "nw_proto", Style::Plain)?;
            self.fields(IP)?;
        }
        if matches!(eth_type, Some(0x8847 | 0x8848)) {
            self.fields(MPLS)?;
            self.labels()?;
        }
        match (eth_type, proto) {
            (Some(0x0800), Some(1)) => self.fields(ICMP)?,
            (Some(0x86dd), Some(58)) => {
                self.fields(ICMP)?;
                self.fields(ND)?;
            }
            // IGMP's type and code have no name of their own.
            (Some(0x0800), Some(2)) | (Some(0x0800 | 0x86dd), Some(6 | 17 | 132)) => {
                self.fields(PORTS)?;
            }
            _ => {}
        }
        if proto == Some(6) {
            self.field(F::TcpFlags, "tcp_flags", Style::Plain)?;
        }
        self.leftovers()
    }

    /// The packet type and the short word, if they say anything. Returns the Ethertype and the IP
    /// protocol that are matched, if they are.
    fn protocol(&mut self) -> Result<(Option<u16>, Option<u8>), fmt::Error> {
        let whole = |id: F, left: &FlowMask| left.get(id) == id.field().ones();
        let mut eth_type = whole(F::EthType, &self.left).then(|| low16(self.key.get(F::EthType)));
        if whole(F::PacketType, &self.left) {
            match self.key.get(F::PacketType) {
                0 => {
                    self.take(F::PacketType);
                    self.put(format_args!("eth"))?;
                }
                packet_type => {
                    self.field(F::PacketType, "packet_type", Style::Plain)?;
                    if packet_type >> 16 == 1 {
                        eth_type = Some(low16(packet_type));
                    }
                }
            }
        }
        let proto = whole(F::NwProto, &self.left).then(|| self.key.nw_proto());
        let word = |proto| {
            let ty = eth_type.filter(|_| whole(F::EthType, &self.left))?;
            PROTOCOLS.iter().find(|row| row.0 == ty && row.1 == proto).map(|row| row.2)
        };
        let is_ip = matches!(eth_type, Some(0x0800 | 0x86dd));
        if let Some(word) = proto.filter(|_| is_ip).and_then(|proto| word(Some(proto))) {
            self.take(F::EthType);
            self.take(F::NwProto);
            self.put(format_args!("{word}"))?;
        } else if let Some(word) = word(None) {
            self.take(F::EthType);
            self.put(format_args!("{word}"))?;
        }
        Ok((eth_type, proto))
    }

    /// The outer tag: by VID and priority, where the mask is these, else as the raw TCI.
    fn vlan(&mut self) -> fmt::Result {
        self.tag(layout::VLAN_TCI, "")?;
        self.tag(layout::VLAN_TCI1, "1")
    }

    /// A tag, the inner one with its number behind the names.
    fn tag(&mut self, place: Place, number: &str) -> fmt::Result {
        const PRESENT: u128 = layout::VLAN_PRESENT as u128;
        let (tci, mask) = (self.key.load(place), self.left.load(place));
        if mask == 0 {
            return Ok(());
        }
        self.left.store(place, 0);
        let (vid, pcp) = (mask & 0x0fff, mask & 0xe000);
        let by_part = mask & PRESENT != 0
            && tci & PRESENT != 0
            && (vid == 0 || vid == 0xfff)
            && (pcp == 0 || pcp == 0xe000)
            && (vid | pcp) != 0;
        if !by_part {
            let tci = tci & mask;
            return match mask {
                0xffff => self.put(format_args!("vlan_tci{number}={tci:#06x}")),
                _ => self.put(format_args!("vlan_tci{number}={tci:#06x}/{mask:#06x}")),
            };
        }
        if vid != 0 {
            self.put(format_args!("dl_vlan{number}={}", tci & 0xfff))?;
        }
        if pcp != 0 {
            self.put(format_args!("dl_vlan_pcp{number}={}", tci >> 13))?;
        }
        Ok(())
    }

    /// The label stack entries beneath the outermost.
    fn labels(&mut self) -> fmt::Result {
        for (place, name) in [(layout::MPLS1, "mpls_lse1"), (layout::MPLS2, "mpls_lse2")] {
            let (value, mask) = (self.key.load(place), self.left.load(place));
            self.left.store(place, 0);
            match mask {
                0 => {}
                0xffff_ffff => self.put(format_args!("{name}={value}"))?,
                _ => self.put(format_args!("{name}={:#010x}/{mask:#010x}", value & mask))?,
            }
        }
        Ok(())
    }

    /// The inner tag; only whole flows and megaflows name it.
    fn inner_vlan(&mut self) -> fmt::Result {
        const PRESENT: u128 = layout::VLAN_PRESENT as u128;
        let (tci, mask) = (self.key.load(layout::VLAN_TCI1), self.left.load(layout::VLAN_TCI1));
        if mask == 0 {
            return Ok(());
        }
        self.left.store(layout::VLAN_TCI1, 0);
        if tci & PRESENT == 0 {
            return self.put(format_args!("vlan_tci1={tci:#06x}"));
        }
        if mask & 0x0fff != 0 {
            self.put(format_args!("dl_vlan1={}", tci & 0x0fff))?;
        }
        if mask & 0xe000 != 0 {
            self.put(format_args!("dl_vlan_pcp1={}", tci >> 13))?;
        }
        Ok(())
    }

    /// A tunnel's flags: names if all count, signs if some do. Matches know one of them, packets'
    /// flows all.
    fn tun_flags(&mut self) -> fmt::Result {
        let all = ALL_TUN_FLAGS.iter().fold(0, |all, (_, bit)| all | bit);
        let mask = self.left.load(layout::TUN_FLAGS) & all;
        let value = self.key.load(layout::TUN_FLAGS) & mask;
        if mask == 0 {
            return Ok(());
        }
        self.left.store(layout::TUN_FLAGS, 0);
        self.put(format_args!("tun_flags="))?;
        if mask == all && self.packet {
            let set = ALL_TUN_FLAGS.iter().filter(|(_, bit)| value & bit != 0);
            let set: Vec<&str> = set.map(|(name, _)| *name).collect();
            let set = set.join("|");
            return self.f.write_str(if set.is_empty() { "0" } else { &set });
        }
        for (name, bit) in ALL_TUN_FLAGS.iter().filter(|(_, bit)| mask & bit != 0) {
            write!(self.f, "{}{name}", if value & bit != 0 { '+' } else { '-' })?;
        }
        Ok(())
    }

    /// Options of the tunnel; one whose value does not count is asked for by name alone, one that has
    /// to be away is only known to megaflows.
    fn tun_metadata(&mut self) -> fmt::Result {
        let asked = self.left.load(layout::TUN_METADATA_PRESENT);
        let numbers = (0..F::TUN_METADATA).filter(|number| asked >> number & 1 != 0);
        for number in numbers {
            let Some(id) = F::tun_metadata(number) else { continue };
            let mask = self.left.get_wide(id);
            self.left.set_wide(id, Wide::ZERO, Wide::ONES);
            let value = self.key.get_wide(id) & mask;
            let field = id.field();
            let there = self.key.load(layout::TUN_METADATA_PRESENT) & 1 << number != 0;
            match mask {
                _ if !there => self.put(format_args!("{}=NP", field.name))?,
                Wide::ZERO => self.put(format_args!("{}", field.name))?,
                mask => {
                    self.put(format_args!("{}=", field.name))?;
                    write_option(self.f, value, mask)?;
                }
            }
        }
        self.left.store(layout::TUN_METADATA_PRESENT, 0);
        Ok(())
    }

    /// Whatever nobody claimed, by the first field that has it.
    fn leftovers(&mut self) -> fmt::Result {
        if self.left.live().0 == 0 {
            return Ok(());
        }
        for field in FIELDS {
            self.field(field.id, field.name, Style::Plain)?;
        }
        Ok(())
    }

    fn fields(&mut self, fields: &[(F, &str, Style)]) -> fmt::Result {
        fields.iter().try_for_each(|&(id, name, style)| self.field(id, name, style))
    }

    /// Prints a field if it is matched and not yet printed.
    fn field(&mut self, id: F, name: &str, style: Style) -> fmt::Result {
        let field = id.field();
        // The DSCP is the upper part of a byte of which the ECN is a field of its own.
        let wanted = full_mask(field);
        if self.left.get(id) & wanted == 0 {
            return Ok(());
        }
        let (value, mask) = self.take_bits(id, wanted);
        self.put(format_args!("{name}="))?;
        let exact = mask == wanted;
        match style {
            Style::Decimal => write!(self.f, "{value}"),
            Style::BareHex if self.packet => write!(self.f, "{value:x}"),
            Style::Hex | Style::BareHex => write!(self.f, "{}", Hex(value)),
            Style::DecimalOrHex if !exact => write!(self.f, "{value:#x}/{mask:#x}"),
            Style::Prefixed if exact => write!(self.f, "{value:#x}"),
            Style::Prefixed => write!(self.f, "{value:#x}/{mask:#x}"),
            Style::Label if exact => write!(self.f, "{value:#07x}"),
            Style::Label => write!(self.f, "{value:#07x}/{mask:#07x}"),
            Style::TwoDigits if !exact => write!(self.f, "{value:#04x}/{mask:#04x}"),
            _ => write_value(self.f, field, value, mask, self.names),
        }
    }

    /// Value and mask of a field, which counts as printed from now on.
    fn take(&mut self, id: F) -> (u128, u128) {
        self.take_bits(id, u128::MAX)
    }

    fn take_bits(&mut self, id: F, bits: u128) -> (u128, u128) {
        let mask = self.left.get(id) & bits;
        self.left.set_bits(id, 0, bits);
        (self.key.get(id) & mask, mask)
    }

    /// Writes the start of an item, after a comma unless it is the first.
    fn put(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        if !std::mem::replace(&mut self.first, false) {
            self.f.write_str(",")?;
        }
        self.f.write_fmt(text)
    }
}

fn low16(value: u128) -> u16 {
    u16::try_from(value & 0xffff).unwrap_or(0)
}
