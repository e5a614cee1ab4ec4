//! Matches as fixed structures: `ofp_match` of OpenFlow 1.0 (section 5.2.3) and 1.1 (section A.2.3).
//!
//! Both have places that mean different fields by Ethertype and protocol. What a match says of a
//! place that means nothing is passed over, as OpenFlow 1.0 asks.

use dp_core::base::OfPort;
use dp_core::flow::{FIELDS, FieldId, FlowMask, layout};

use super::oxm;
use crate::matching::{Match, MatchBuilder, prereq};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

/// Bytes of OpenFlow 1.0's structure.
pub const LEN10: usize = 40;
/// Bytes of OpenFlow 1.1's structure.
pub const LEN11: usize = 88;

const IN_PORT: u32 = 1;
const DL_VLAN: u32 = 1 << 1;

mod w10 {
    pub(super) const DL_SRC: u32 = 1 << 2;
    pub(super) const DL_DST: u32 = 1 << 3;
    pub(super) const DL_TYPE: u32 = 1 << 4;
    pub(super) const NW_PROTO: u32 = 1 << 5;
    pub(super) const TP_SRC: u32 = 1 << 6;
    pub(super) const TP_DST: u32 = 1 << 7;
    pub(super) const NW_SRC_SHIFT: u32 = 8;
    pub(super) const NW_DST_SHIFT: u32 = 14;
    pub(super) const DL_VLAN_PCP: u32 = 1 << 20;
    pub(super) const NW_TOS: u32 = 1 << 21;
}

mod w11 {
    pub(super) const DL_VLAN_PCP: u32 = 1 << 2;
    pub(super) const DL_TYPE: u32 = 1 << 3;
    pub(super) const NW_TOS: u32 = 1 << 4;
    pub(super) const NW_PROTO: u32 = 1 << 5;
    pub(super) const TP_SRC: u32 = 1 << 6;
    pub(super) const TP_DST: u32 = 1 << 7;
    pub(super) const MPLS_LABEL: u32 = 1 << 8;
    pub(super) const MPLS_TC: u32 = 1 << 9;
}

/// "No tag" in the place of a VID.
const VLAN_NONE: u16 = 0xffff;
/// "Any tag" in the place of a VID, OpenFlow 1.1.
const VLAN_ANY: u16 = 0xfffe;

/// Reads OpenFlow 1.0's structure.
///
/// # Errors
///
/// If it is too short.
pub fn decode10(from: &mut Cursor<'_>) -> Result<Match, Code> {
    let mut b = MatchBuilder::default();
    let wild = from.u32()?;
    let has = |bit: u32| wild & bit == 0;
    let in_port = from.u16()?;
    if has(IN_PORT) {
        b.set(FieldId::InPort, u128::from(in_port), u128::MAX);
    }
    let (src, dst) = (from.number(6)?, from.number(6)?);
    if has(w10::DL_SRC) {
        b.set(FieldId::EthSrc, src, u128::MAX);
    }
    if has(w10::DL_DST) {
        b.set(FieldId::EthDst, dst, u128::MAX);
    }
    let (vid, pcp) = (from.u16()?, from.u8()?);
    from.skip(1)?;
    let vid = has(DL_VLAN).then_some(vid);
    set_vlan(&mut b, vid, has(w10::DL_VLAN_PCP).then_some(pcp), false);
    let (dl_type, tos, proto) = (from.u16()?, from.u8()?, from.u8()?);
    from.skip(2)?;
    if has(w10::DL_TYPE) {
        b.set(FieldId::EthType, u128::from(dl_type), u128::MAX);
    }
    if has(w10::NW_TOS) {
        b.set(FieldId::NwTos, u128::from(tos), 0xfc);
    }
    if has(w10::NW_PROTO) {
        b.set(FieldId::NwProto, u128::from(proto), u128::MAX);
    }
    let prefix = |shift: u32| {
        let ignored = (wild >> shift & 0x3f).min(32);
        u128::from(u32::MAX.checked_shl(ignored).unwrap_or(0))
    };
    b.set(FieldId::Ipv4Src, u128::from(from.u32()?), prefix(w10::NW_SRC_SHIFT));
    b.set(FieldId::Ipv4Dst, u128::from(from.u32()?), prefix(w10::NW_DST_SHIFT));
    let (src, dst) = (from.u16()?, from.u16()?);
    let _ = set_ports(&mut b, has(w10::TP_SRC).then_some(src), has(w10::TP_DST).then_some(dst));
    Ok(normalize(&b))
}

/// Reads OpenFlow 1.1's structure, its type and length included.
///
/// # Errors
///
/// If it is too short, or has a wildcard or a value that there is not.
pub fn decode11(from: &mut Cursor<'_>) -> Result<Match, Code> {
    from.skip(4)?;
    let mut b = MatchBuilder::default();
    let (in_port, wild) = (from.u32()?, from.u32()?);
    let has = |bit: u32| wild & bit == 0;
    if has(IN_PORT) {
        let port = OfPort::from_wire32(in_port).ok_or(Code::BmcBadValue)?;
        b.set(FieldId::InPort, u128::from(port.0), u128::MAX);
    }
    for field in [FieldId::EthSrc, FieldId::EthDst] {
        let (value, ignored) = (from.number(6)?, from.number(6)?);
        b.set(field, value, !ignored);
    }
    let (vid, pcp) = (from.u16()?, from.u8()?);
    from.skip(1)?;
    if has(DL_VLAN) && vid > 0x0fff && vid != VLAN_NONE && vid != VLAN_ANY {
        return Err(Code::BmcBadValue);
    }
    set_vlan(&mut b, has(DL_VLAN).then_some(vid), has(w11::DL_VLAN_PCP).then_some(pcp), true);
    let (dl_type, tos, proto) = (from.u16()?, from.u8()?, from.u8()?);
    if has(w11::DL_TYPE) {
        b.set(FieldId::EthType, u128::from(dl_type), u128::MAX);
    }
    if has(w11::NW_TOS) {
        if tos > 0x3f {
            return Err(Code::BmcBadValue);
        }
        b.set(FieldId::IpDscp, u128::from(tos), u128::MAX);
    }
    if has(w11::NW_PROTO) {
        b.set(FieldId::NwProto, u128::from(proto), u128::MAX);
    }
    for field in [FieldId::Ipv4Src, FieldId::Ipv4Dst] {
        let (value, ignored) = (from.u32()?, from.u32()?);
        b.set(field, u128::from(value), u128::from(!ignored));
    }
    let (src, dst) = (from.u16()?, from.u16()?);
    let (src, dst) = (has(w11::TP_SRC).then_some(src), has(w11::TP_DST).then_some(dst));
    let is_ip = matches!(b.key.get(FieldId::EthType), 0x0800 | 0x86dd);
    if set_ports(&mut b, src, dst).is_err() && is_ip {
        return Err(Code::BmcBadField);
    }
    let (label, tc) = (from.u32()?, from.u8()?);
    from.skip(3)?;
    if has(w11::MPLS_LABEL) {
        b.set(FieldId::MplsLabel, u128::from(label), u128::MAX);
    }
    if has(w11::MPLS_TC) {
        b.set(FieldId::MplsTc, u128::from(tc), u128::MAX);
    }
    let (metadata, ignored) = (from.u64()?, from.u64()?);
    b.set(FieldId::Metadata, u128::from(metadata), u128::from(!ignored));
    Ok(normalize(&b))
}

fn set_vlan(b: &mut MatchBuilder, vid: Option<u16>, pcp: Option<u8>, any: bool) {
    let present = u128::from(layout::VLAN_PRESENT);
    match vid {
        Some(VLAN_NONE) => return b.set(FieldId::VlanTci, 0, 0xffff),
        Some(VLAN_ANY) if any => b.set(FieldId::VlanTci, present, present),
        Some(vid) => b.set(FieldId::VlanTci, u128::from(vid & 0x0fff) | present, 0x1fff),
        None => {}
    }
    if let Some(pcp) = pcp {
        let bits = u128::from(pcp & 7) << 13 | present;
        b.set(FieldId::VlanTci, bits, 0xe000 | present);
    }
}

/// Sets what the places of the ports mean by the protocol; an error if they mean nothing.
fn set_ports(b: &mut MatchBuilder, src: Option<u16>, dst: Option<u16>) -> Result<(), ()> {
    let v6 = b.key.get(FieldId::EthType) == 0x86dd;
    let (from, to) = match b.key.get(FieldId::NwProto) {
        6 => (FieldId::TcpSrc, FieldId::TcpDst),
        17 => (FieldId::UdpSrc, FieldId::UdpDst),
        132 => (FieldId::SctpSrc, FieldId::SctpDst),
        1 if !v6 => (FieldId::Icmpv4Type, FieldId::Icmpv4Code),
        58 if v6 => (FieldId::Icmpv6Type, FieldId::Icmpv6Code),
        _ if src.is_none() && dst.is_none() => return Ok(()),
        _ => return Err(()),
    };
    for (field, value) in [(from, src), (to, dst)] {
        if let Some(value) = value {
            let value = u128::from(value);
            if value & !field.field().ones() != 0 {
                return Err(());
            }
            b.set(field, value, u128::MAX);
        }
    }
    Ok(())
}

/// Leaves out of a match every bit that belongs to no field whose prerequisite is met.
fn normalize(b: &MatchBuilder) -> Match {
    let mut kept = FlowMask::EMPTY;
    for field in FIELDS {
        let bits = b.mask.get(field.id);
        if bits != 0 && prereq::check(field.id, &b.key, &b.mask).is_ok() {
            kept.unwildcard_bits(field.id, bits);
        }
    }
    Match::new(&b.key, &kept)
}

/// A view of a match that says of a field whether and how it counts.
struct Said {
    key: dp_core::flow::FlowKey,
    mask: FlowMask,
}

impl Said {
    fn of(matching: &Match) -> Self {
        let (key, mask) = matching.expand();
        Self { key, mask }
    }

    /// The value of a field that counts wholly, as a number that fits.
    fn exact(&self, field: FieldId) -> Option<u128> {
        let ones = oxm::exact_mask(field);
        let known = self.mask.get(field) & ones == ones
            && prereq::check(field, &self.key, &self.mask).is_ok();
        known.then(|| self.key.get(field))
    }

    fn narrow<T: TryFrom<u128>>(&self, field: FieldId) -> Option<T> {
        self.exact(field).and_then(|value| T::try_from(value).ok())
    }

    fn ports(&self) -> (Option<u16>, Option<u16>) {
        let pairs = [
            (FieldId::TcpSrc, FieldId::TcpDst),
            (FieldId::UdpSrc, FieldId::UdpDst),
            (FieldId::SctpSrc, FieldId::SctpDst),
            (FieldId::Icmpv4Type, FieldId::Icmpv4Code),
            (FieldId::Icmpv6Type, FieldId::Icmpv6Code),
        ];
        pairs.iter().fold((None, None), |(src, dst), (from, to)| {
            (src.or_else(|| self.narrow(*from)), dst.or_else(|| self.narrow(*to)))
        })
    }

    /// VID and priority as their places say them.
    fn vlan(&self, any: bool) -> (Option<u16>, Option<u8>) {
        let (tci, mask) = (self.key.get(FieldId::VlanTci), self.mask.get(FieldId::VlanTci));
        let tci = u16::try_from(tci & 0xffff).unwrap_or(0);
        let pcp = (mask & 0xe000 == 0xe000).then_some((tci >> 13) as u8);
        if mask & 0x1000 == 0 {
            return (None, None);
        }
        match (tci & 0x1000 != 0, mask & 0x0fff) {
            (false, _) => (Some(VLAN_NONE), None),
            (true, 0x0fff) => (Some(tci & 0x0fff), pcp),
            (true, _) if any => (Some(VLAN_ANY), pcp),
            (true, _) => (None, pcp),
        }
    }

    fn address(&self, ip: FieldId, arp: FieldId) -> (u32, u32) {
        let known = [ip, arp]
            .into_iter()
            .find(|field| prereq::check(*field, &self.key, &self.mask).is_ok());
        let number = |value: u128| u32::try_from(value).unwrap_or(0);
        known.map_or((0, 0), |field| {
            let mask = number(self.mask.get(field));
            (number(self.key.get(field)) & mask, mask)
        })
    }
}

/// Writes OpenFlow 1.0's structure; what it cannot say is left out.
pub fn encode10(out: &mut Vec<u8>, matching: &Match) {
    let said = Said::of(matching);
    let start = out.len();
    out.zeros(4);
    let mut wild = 0;
    let mut note = |present: bool, bit: u32| {
        if !present {
            wild |= bit;
        }
    };
    let in_port = said.narrow::<u16>(FieldId::InPort);
    note(in_port.is_some(), IN_PORT);
    out.put16(in_port.unwrap_or(0));
    for (field, bit) in [(FieldId::EthSrc, w10::DL_SRC), (FieldId::EthDst, w10::DL_DST)] {
        let value = said.exact(field);
        note(value.is_some(), bit);
        out.put_number(value.unwrap_or(0), 6);
    }
    let (vid, pcp) = said.vlan(false);
    note(vid.is_some(), DL_VLAN);
    note(pcp.is_some(), w10::DL_VLAN_PCP);
    out.put16(vid.unwrap_or(0));
    out.put8(pcp.unwrap_or(0));
    out.put8(0);
    let dl_type = said.narrow::<u16>(FieldId::EthType);
    note(dl_type.is_some(), w10::DL_TYPE);
    out.put16(dl_type.unwrap_or(0));
    let tos = said.narrow::<u8>(FieldId::NwTos);
    note(tos.is_some(), w10::NW_TOS);
    out.put8(tos.unwrap_or(0) & 0xfc);
    let proto = said.narrow::<u8>(FieldId::NwProto).or_else(|| said.narrow(FieldId::ArpOp));
    note(proto.is_some(), w10::NW_PROTO);
    out.put8(proto.unwrap_or(0));
    out.zeros(2);
    let (src, src_mask) = said.address(FieldId::Ipv4Src, FieldId::ArpSpa);
    let (dst, dst_mask) = said.address(FieldId::Ipv4Dst, FieldId::ArpTpa);
    out.put32(src);
    out.put32(dst);
    let (tp_src, tp_dst) = said.ports();
    note(tp_src.is_some(), w10::TP_SRC);
    note(tp_dst.is_some(), w10::TP_DST);
    out.put16(tp_src.unwrap_or(0));
    out.put16(tp_dst.unwrap_or(0));
    wild |= src_mask.trailing_zeros() << w10::NW_SRC_SHIFT;
    wild |= dst_mask.trailing_zeros() << w10::NW_DST_SHIFT;
    if let Some(room) = out.get_mut(start..start + 4) {
        room.copy_from_slice(&wild.to_be_bytes());
    }
}

/// Writes OpenFlow 1.1's structure; what it cannot say is left out.
pub fn encode11(out: &mut Vec<u8>, matching: &Match) {
    let said = Said::of(matching);
    let start = out.len();
    out.put16(0);
    out.put16(u16::try_from(LEN11).unwrap_or(0));
    let mut wild = 0;
    let mut note = |present: bool, bit: u32| {
        if !present {
            wild |= bit;
        }
    };
    let in_port = said.narrow::<u16>(FieldId::InPort);
    note(in_port.is_some(), IN_PORT);
    out.put_port(Version::V11, OfPort(in_port.unwrap_or(0)));
    out.zeros(4);
    for field in [FieldId::EthSrc, FieldId::EthDst] {
        let mask = said.mask.get(field);
        out.put_number(said.key.get(field) & mask, 6);
        out.put_number(!mask & field.field().ones(), 6);
    }
    let (vid, pcp) = said.vlan(true);
    note(vid.is_some(), DL_VLAN);
    note(pcp.is_some(), w11::DL_VLAN_PCP);
    out.put16(vid.unwrap_or(0));
    out.put8(pcp.unwrap_or(0));
    out.put8(0);
    let dl_type = said.narrow::<u16>(FieldId::EthType);
    note(dl_type.is_some(), w11::DL_TYPE);
    out.put16(dl_type.unwrap_or(0));
    let dscp = said.narrow::<u8>(FieldId::IpDscp);
    note(dscp.is_some(), w11::NW_TOS);
    out.put8(dscp.unwrap_or(0));
    let proto = said.narrow::<u8>(FieldId::NwProto).or_else(|| said.narrow(FieldId::ArpOp));
    note(proto.is_some(), w11::NW_PROTO);
    out.put8(proto.unwrap_or(0));
    for (ip, arp) in [(FieldId::Ipv4Src, FieldId::ArpSpa), (FieldId::Ipv4Dst, FieldId::ArpTpa)] {
        let (value, mask) = said.address(ip, arp);
        out.put32(value);
        out.put32(!mask);
    }
    let (tp_src, tp_dst) = said.ports();
    note(tp_src.is_some(), w11::TP_SRC);
    note(tp_dst.is_some(), w11::TP_DST);
    out.put16(tp_src.unwrap_or(0));
    out.put16(tp_dst.unwrap_or(0));
    let label = said.narrow::<u32>(FieldId::MplsLabel);
    note(label.is_some(), w11::MPLS_LABEL);
    out.put32(label.unwrap_or(0));
    let tc = said.narrow::<u8>(FieldId::MplsTc);
    note(tc.is_some(), w11::MPLS_TC);
    out.put8(tc.unwrap_or(0));
    out.zeros(3);
    let (metadata, mask) = (said.key.get(FieldId::Metadata), said.mask.get(FieldId::Metadata));
    out.put_number(metadata & mask, 8);
    out.put_number(!mask, 8);
    if let Some(room) = out.get_mut(start + 8..start + 12) {
        room.copy_from_slice(&wild.to_be_bytes());
    }
}
