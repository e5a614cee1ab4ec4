//! Actions with the specifications' own numbers (OpenFlow 1.0 section 5.2.4, 1.5 section 7.2.6).

use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::Wide;
use std::net::Ipv4Addr;

use super::{begin, end, set};
use crate::action::{Action, SetOption};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

/// Reads the body of an action of this type.
pub(super) fn decode(
    actions: &mut Vec<Action>,
    ty: u16,
    mut from: Cursor<'_>,
    version: Version,
) -> Result<(), Code> {
    match version {
        Version::V10 => actions.push(decode10(ty, &mut from)?),
        _ => decode11(actions, ty, &mut from, version)?,
    }
    Ok(())
}

fn exactly(from: &Cursor<'_>, len: usize) -> Result<(), Code> {
    if from.len() == len { Ok(()) } else { Err(Code::BacBadLen) }
}

fn decode10(ty: u16, from: &mut Cursor<'_>) -> Result<Action, Code> {
    let long = matches!(ty, ty10::SET_DL_SRC | ty10::SET_DL_DST | ty10::ENQUEUE);
    if ty <= ty10::ENQUEUE {
        exactly(from, if long { 12 } else { 4 })?;
    }
    Ok(match ty {
        ty10::OUTPUT => {
            let port = output_port(OfPort(from.u16()?))?;
            Action::Output { port, max_len: from.u16()? }
        }
        ty10::SET_VLAN_VID => Action::SetVlanVid(vid(from.u16()?)?),
        ty10::SET_VLAN_PCP => Action::SetVlanPcp(pcp(from.u8()?)?),
        ty10::STRIP_VLAN => Action::StripVlan,
        ty10::SET_DL_SRC => Action::SetEthSrc(MacAddr(from.array()?)),
        ty10::SET_DL_DST => Action::SetEthDst(MacAddr(from.array()?)),
        ty10::SET_NW_SRC => Action::SetIpv4Src(Ipv4Addr::from(from.u32()?)),
        ty10::SET_NW_DST => Action::SetIpv4Dst(Ipv4Addr::from(from.u32()?)),
        ty10::SET_NW_TOS => Action::SetTos(tos(from.u8()?)?),
        ty10::SET_TP_SRC => Action::SetL4Src(from.u16()?),
        ty10::SET_TP_DST => Action::SetL4Dst(from.u16()?),
        ty10::ENQUEUE => {
            let port = OfPort(from.u16()?);
            from.skip(6)?;
            if port >= OfPort::MAX && port != OfPort::IN_PORT && port != OfPort::LOCAL {
                return Err(Code::BacBadOutPort);
            }
            Action::Enqueue { port, queue: from.u32()? }
        }
        _ => return Err(Code::BacBadType),
    })
}

fn decode11(
    actions: &mut Vec<Action>,
    ty: u16,
    from: &mut Cursor<'_>,
    version: Version,
) -> Result<(), Code> {
    // Versions after 1.1 have no such numbers any more, but controllers of them may go on using these.
    let len = match ty {
        ty11::OUTPUT | ty11::SET_DL_SRC | ty11::SET_DL_DST => Some(12),
        ty11::SET_FIELD | ty11::COPY_FIELD => None,
        _ if ty <= ty11::METER => Some(4),
        _ => None,
    };
    if let Some(len) = len {
        exactly(from, len)?;
    }
    actions.push(match ty {
        ty11::OUTPUT => {
            let port = OfPort::from_wire32(from.u32()?).ok_or(Code::BacBadOutPort)?;
            Action::Output { port: output_port(port)?, max_len: from.u16()? }
        }
        ty11::SET_VLAN_VID => Action::SetVlanVid(vid(from.u16()?)?),
        ty11::SET_VLAN_PCP => Action::SetVlanPcp(pcp(from.u8()?)?),
        ty11::SET_DL_SRC => Action::SetEthSrc(MacAddr(from.array()?)),
        ty11::SET_DL_DST => Action::SetEthDst(MacAddr(from.array()?)),
        ty11::SET_NW_SRC => Action::SetIpv4Src(Ipv4Addr::from(from.u32()?)),
        ty11::SET_NW_DST => Action::SetIpv4Dst(Ipv4Addr::from(from.u32()?)),
        ty11::SET_NW_TOS => Action::SetTos(tos(from.u8()?)?),
        ty11::SET_NW_ECN => match from.u8()? {
            ecn @ 0..=3 => Action::SetEcn(ecn),
            _ => return Err(Code::BacBadArgument),
        },
        ty11::SET_TP_SRC => Action::SetL4Src(from.u16()?),
        ty11::SET_TP_DST => Action::SetL4Dst(from.u16()?),
        ty11::SET_MPLS_LABEL => mpls_label(from.u32()?)?,
        ty11::SET_MPLS_TC => mpls_tc(from.u8()?)?,
        ty11::SET_MPLS_TTL => Action::SetMplsTtl(from.u8()?),
        ty11::DEC_MPLS_TTL => Action::DecMplsTtl,
        ty11::PUSH_VLAN => match from.u16()? {
            // OpenFlow 1.1 knows one tag only.
            0x88a8 if version == Version::V11 => return Err(Code::BacBadArgument),
            tpid @ (0x8100 | 0x88a8) => Action::PushVlan(tpid),
            _ => return Err(Code::BacBadArgument),
        },
        ty11::POP_VLAN => Action::PopVlan,
        ty11::PUSH_MPLS => push_mpls(from.u16()?)?,
        ty11::POP_MPLS => Action::PopMpls(from.u16()?),
        ty11::SET_QUEUE => Action::SetQueue(from.u32()?),
        ty11::GROUP => Action::Group(from.u32()?),
        ty11::SET_NW_TTL => Action::SetTtl(from.u8()?),
        ty11::DEC_NW_TTL => Action::DecTtl([0].into()),
        ty11::SET_FIELD if version >= Version::V12 => {
            return set::decode_set_field(actions, *from, version);
        }
        ty11::COPY_FIELD if version >= Version::V15 => {
            return set::decode_copy_field(actions, *from);
        }
        ty11::METER if version >= Version::V15 => Action::Meter(from.u32()?),
        _ => return Err(Code::BacBadType),
    });
    Ok(())
}

/// Writes an action that a version has a number for; returns whether it has.
pub(super) fn encode(out: &mut Vec<u8>, action: &Action, version: Version) -> bool {
    match version {
        Version::V10 => encode10(out, action),
        _ => encode11(out, action, version),
    }
}

fn encode10(out: &mut Vec<u8>, action: &Action) -> bool {
    let start = out.len();
    match *action {
        Action::Output { port, max_len } => {
            begin(out, ty10::OUTPUT);
            out.put16(port.0);
            out.put16(max_len);
        }
        Action::SetVlanVid(vid) => {
            begin(out, ty10::SET_VLAN_VID);
            out.put16(vid);
        }
        Action::SetVlanPcp(pcp) => {
            begin(out, ty10::SET_VLAN_PCP);
            out.put8(pcp);
        }
        Action::StripVlan | Action::PopVlan => {
            begin(out, ty10::STRIP_VLAN);
        }
        // OpenFlow 1.0 adds a tag when its VID is set.
        Action::PushVlan(_) => return true,
        Action::SetEthSrc(mac) => {
            begin(out, ty10::SET_DL_SRC);
            out.put(&mac.0);
        }
        Action::SetEthDst(mac) => {
            begin(out, ty10::SET_DL_DST);
            out.put(&mac.0);
        }
        Action::SetIpv4Src(ip) => {
            begin(out, ty10::SET_NW_SRC);
            out.put(&ip.octets());
        }
        Action::SetIpv4Dst(ip) => {
            begin(out, ty10::SET_NW_DST);
            out.put(&ip.octets());
        }
        Action::SetTos(tos) => {
            begin(out, ty10::SET_NW_TOS);
            out.put8(tos);
        }
        Action::SetL4Src(port) => {
            begin(out, ty10::SET_TP_SRC);
            out.put16(port);
        }
        Action::SetL4Dst(port) => {
            begin(out, ty10::SET_TP_DST);
            out.put16(port);
        }
        Action::Enqueue { port, queue } => {
            begin(out, ty10::ENQUEUE);
            out.put16(port.0);
            out.zeros(6);
            out.put32(queue);
        }
        Action::SetField { field, value, mask, .. } => {
            set::encode_set_field(out, field, value, mask, Version::V10);
            return true;
        }
        Action::SetOption(ref set) => {
            set::encode_set_option(out, set, Version::V10);
            return true;
        }
        _ => return false,
    }
    end(out, start);
    true
}

fn encode11(out: &mut Vec<u8>, action: &Action, version: Version) -> bool {
    let start = out.len();
    match *action {
        Action::Output { port, max_len } => {
            begin(out, ty11::OUTPUT);
            out.put_port(version, port);
            out.put16(max_len);
        }
        Action::PopVlan | Action::StripVlan => {
            begin(out, ty11::POP_VLAN);
        }
        Action::PushVlan(tpid) => {
            begin(out, ty11::PUSH_VLAN);
            out.put16(tpid);
        }
        Action::SetMplsTtl(ttl) => {
            begin(out, ty11::SET_MPLS_TTL);
            out.put8(ttl);
        }
        Action::DecMplsTtl => {
            begin(out, ty11::DEC_MPLS_TTL);
        }
        Action::PushMpls(eth_type) => {
            begin(out, ty11::PUSH_MPLS);
            out.put16(eth_type);
        }
        Action::PopMpls(eth_type) => {
            begin(out, ty11::POP_MPLS);
            out.put16(eth_type);
        }
        Action::SetQueue(queue) => {
            begin(out, ty11::SET_QUEUE);
            out.put32(queue);
        }
        Action::Enqueue { port, queue } => {
            for action in
                [Action::SetQueue(queue), Action::Output { port, max_len: 0 }, Action::PopQueue]
            {
                super::encode(out, &action, version);
            }
            return true;
        }
        Action::Group(group) => {
            begin(out, ty11::GROUP);
            out.put32(group);
        }
        Action::SetTtl(ttl) => {
            begin(out, ty11::SET_NW_TTL);
            out.put8(ttl);
        }
        Action::DecTtl(ref ids) if **ids == [0] => {
            begin(out, ty11::DEC_NW_TTL);
        }
        Action::Meter(meter) if version >= Version::V15 => {
            begin(out, ty11::METER);
            out.put32(meter);
        }
        Action::Move { src, dst } if version >= Version::V15 => {
            set::encode_copy_field(out, src, dst, version);
            return true;
        }
        Action::SetOption(ref set) => {
            set::encode_set_option(out, set, version);
            return true;
        }
        Action::Load { dst, value } if version >= Version::V15 && dst.is_wide() => {
            let value = Wide::from(u128::from(value)) << u32::from(dst.start);
            let set = SetOption { field: dst.field, value, mask: dst.wide_mask() };
            set::encode_set_option(out, &set, version);
            return true;
        }
        Action::Load { dst, value } if version >= Version::V15 => {
            let mask = dst.ones() << dst.start;
            let value = u128::from(value) << dst.start;
            set::encode_set_field(out, dst.field, value, mask, version);
            return true;
        }
        Action::SetField { field, value, mask, named } => {
            match named && version >= Version::V15 {
                true => set::encode_named_mask(out, field, value, mask, version),
                false => set::encode_set_field(out, field, value, mask, version),
            }
            return true;
        }
        _ => return encode_legacy(out, action, version),
    }
    end(out, start);
    true
}

/// Actions that OpenFlow 1.1 has numbers for and later versions write as `set_field`.
fn encode_legacy(out: &mut Vec<u8>, action: &Action, version: Version) -> bool {
    if version > Version::V11 {
        return set::encode_as_set_field(out, action, version);
    }
    let start = out.len();
    match *action {
        Action::SetVlanVid(vid) => {
            begin(out, ty11::SET_VLAN_VID);
            out.put16(vid);
        }
        Action::SetVlanPcp(pcp) => {
            begin(out, ty11::SET_VLAN_PCP);
            out.put8(pcp);
        }
        Action::SetEthSrc(mac) => {
            begin(out, ty11::SET_DL_SRC);
            out.put(&mac.0);
        }
        Action::SetEthDst(mac) => {
            begin(out, ty11::SET_DL_DST);
            out.put(&mac.0);
        }
        Action::SetIpv4Src(ip) => {
            begin(out, ty11::SET_NW_SRC);
            out.put(&ip.octets());
        }
        Action::SetIpv4Dst(ip) => {
            begin(out, ty11::SET_NW_DST);
            out.put(&ip.octets());
        }
        Action::SetTos(tos) => {
            begin(out, ty11::SET_NW_TOS);
            out.put8(tos);
        }
        Action::SetEcn(ecn) => {
            begin(out, ty11::SET_NW_ECN);
            out.put8(ecn);
        }
        Action::SetL4Src(port) => {
            begin(out, ty11::SET_TP_SRC);
            out.put16(port);
        }
        Action::SetL4Dst(port) => {
            begin(out, ty11::SET_TP_DST);
            out.put16(port);
        }
        Action::SetMplsLabel(label) => {
            begin(out, ty11::SET_MPLS_LABEL);
            out.put32(label);
        }
        Action::SetMplsTc(tc) => {
            begin(out, ty11::SET_MPLS_TC);
            out.put8(tc);
        }
        _ => return false,
    }
    end(out, start);
    true
}

/// A port that may stand in an output.
pub(super) fn output_port(port: OfPort) -> Result<OfPort, Code> {
    let reserved = [
        OfPort::IN_PORT,
        OfPort::TABLE,
        OfPort::NORMAL,
        OfPort::FLOOD,
        OfPort::ALL,
        OfPort::CONTROLLER,
        OfPort::LOCAL,
    ];
    match port < OfPort::MAX || reserved.contains(&port) {
        true => Ok(port),
        false => Err(Code::BacBadOutPort),
    }
}

fn vid(vid: u16) -> Result<u16, Code> {
    if vid <= 0x0fff { Ok(vid) } else { Err(Code::BacBadArgument) }
}

fn pcp(pcp: u8) -> Result<u8, Code> {
    if pcp <= 7 { Ok(pcp) } else { Err(Code::BacBadArgument) }
}

fn tos(tos: u8) -> Result<u8, Code> {
    if tos & 3 == 0 { Ok(tos) } else { Err(Code::BacBadArgument) }
}

pub(super) fn mpls_label(label: u32) -> Result<Action, Code> {
    if label <= 0x000f_ffff { Ok(Action::SetMplsLabel(label)) } else { Err(Code::BacBadArgument) }
}

pub(super) fn mpls_tc(tc: u8) -> Result<Action, Code> {
    if tc <= 7 { Ok(Action::SetMplsTc(tc)) } else { Err(Code::BacBadArgument) }
}

pub(super) fn push_mpls(eth_type: u16) -> Result<Action, Code> {
    match eth_type {
        0x8847 | 0x8848 => Ok(Action::PushMpls(eth_type)),
        _ => Err(Code::BacBadArgument),
    }
}

mod ty10 {
    pub(super) const OUTPUT: u16 = 0;
    pub(super) const SET_VLAN_VID: u16 = 1;
    pub(super) const SET_VLAN_PCP: u16 = 2;
    pub(super) const STRIP_VLAN: u16 = 3;
    pub(super) const SET_DL_SRC: u16 = 4;
    pub(super) const SET_DL_DST: u16 = 5;
    pub(super) const SET_NW_SRC: u16 = 6;
    pub(super) const SET_NW_DST: u16 = 7;
    pub(super) const SET_NW_TOS: u16 = 8;
    pub(super) const SET_TP_SRC: u16 = 9;
    pub(super) const SET_TP_DST: u16 = 10;
    pub(super) const ENQUEUE: u16 = 11;
}

mod ty11 {
    pub(super) const OUTPUT: u16 = 0;
    pub(super) const SET_VLAN_VID: u16 = 1;
    pub(super) const SET_VLAN_PCP: u16 = 2;
    pub(super) const SET_DL_SRC: u16 = 3;
    pub(super) const SET_DL_DST: u16 = 4;
    pub(super) const SET_NW_SRC: u16 = 5;
    pub(super) const SET_NW_DST: u16 = 6;
    pub(super) const SET_NW_TOS: u16 = 7;
    pub(super) const SET_NW_ECN: u16 = 8;
    pub(super) const SET_TP_SRC: u16 = 9;
    pub(super) const SET_TP_DST: u16 = 10;
    pub(super) const SET_MPLS_LABEL: u16 = 13;
    pub(super) const SET_MPLS_TC: u16 = 14;
    pub(super) const SET_MPLS_TTL: u16 = 15;
    pub(super) const DEC_MPLS_TTL: u16 = 16;
    pub(super) const PUSH_VLAN: u16 = 17;
    pub(super) const POP_VLAN: u16 = 18;
    pub(super) const PUSH_MPLS: u16 = 19;
    pub(super) const POP_MPLS: u16 = 20;
    pub(super) const SET_QUEUE: u16 = 21;
    pub(super) const GROUP: u16 = 22;
    pub(super) const SET_NW_TTL: u16 = 23;
    pub(super) const DEC_NW_TTL: u16 = 24;
    pub(super) const SET_FIELD: u16 = 25;
    pub(super) const COPY_FIELD: u16 = 28;
    pub(super) const METER: u16 = 29;
}
