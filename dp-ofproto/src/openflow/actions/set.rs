//! Actions that write fields: `set_field`, loads of parts of a field, copies, the stack.
//!
//! Before OpenFlow 1.5 `set_field` writes a whole field; what writes parts of one goes out as loads,
//! one for each run of bits. OpenFlow 1.0 and 1.1 have actions of their own for some fields.

use std::net::Ipv4Addr;

use dp_core::base::MacAddr;
use dp_core::flow::{FieldId, Wide};

use super::{begin, begin_nicira, end, make_subfield, ofs_nbits, put_field, subfield};
use crate::action::{Action, SetOption, Subfield};
use crate::openflow::matches::oxm::{self, OxmHeader};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

pub(super) const REG_MOVE: u16 = 6;
pub(super) const REG_LOAD: u16 = 7;
pub(super) const STACK_PUSH: u16 = 27;
pub(super) const STACK_POP: u16 = 28;
pub(super) const REG_LOAD2: u16 = 33;
pub(super) const DELETE_FIELD: u16 = 50;
const SET_FIELD: u16 = 25;
/// How long the name of most fields is.
const SHORT_FIELD: usize = 4;
const COPY_FIELD: u16 = 28;
const ONF_COPY_FIELD: u16 = 3200;

/// Reads `set_field`: a field with its value, since OpenFlow 1.5 with a mask.
pub(super) fn decode_set_field(
    actions: &mut Vec<Action>,
    from: Cursor<'_>,
    version: Version,
) -> Result<(), Code> {
    actions.push(decode_tlv(from, version >= Version::V15)?);
    Ok(())
}

/// Reads the extension's `set_field`, which may have a mask in any version.
pub(super) fn decode_reg_load2(from: Cursor<'_>) -> Result<Action, Code> {
    decode_tlv(from, true)
}

fn decode_tlv(mut from: Cursor<'_>, masks: bool) -> Result<Action, Code> {
    let header = OxmHeader::decode(&mut from)?;
    let field = header.field().ok_or(Code::BacBadSetType)?;
    if header.masked && !masks {
        return Err(Code::BacBadSetMask);
    }
    let (value, mask) =
        oxm::decode_wide(&header, field, &mut from).map_err(|error| match error {
            Code::BmcBadLen if header.len == 0 => Code::BacBadSetType,
            Code::BmcBadLen => Code::BacBadSetLen,
            Code::BmcBadMask => Code::BacBadSetMask,
            Code::BmcBadValue => Code::BacBadSetArgument,
            other => other,
        })?;
    from.zeros(from.len(), Code::BacBadSetArgument)?;
    if !field.field().writable {
        return Err(Code::BacBadSetArgument);
    }
    if field.tun_metadata_number().is_some() {
        return Ok(Action::SetOption(Box::new(SetOption { field, value, mask })));
    }
    let (value, mask) = (value.low(), mask.low());
    // The bit that says that there is a tag must be set, whatever the mask covers.
    if field == FieldId::VlanVid && value & 0x1000 == 0 {
        return Err(Code::BacBadSetArgument);
    }
    let ones = field.field().ones();
    let named = header.masked && mask == oxm::exact_mask(field) && !oxm::fills_octets(field);
    Ok(Action::SetField { field, value: value & ones, mask: mask & ones, named })
}

/// Writes a field, or bits of one, as a version can.
pub(super) fn encode_set_field(
    out: &mut Vec<u8>,
    field: FieldId,
    value: u128,
    mask: u128,
    version: Version,
) {
    let ones = field.field().ones();
    let whole = mask & ones == oxm::exact_mask(field) & ones;
    if whole && version <= Version::V11 && encode_legacy(out, field, value, version) {
        return;
    }
    if version < Version::V12 || !whole && version < Version::V15 {
        return encode_loads(out, field, value, mask & ones);
    }
    let start = begin(out, SET_FIELD);
    let (value, wire_mask) = match field {
        FieldId::VlanVid if whole => (value | 0x1000, 0x1fff),
        _ => (value, if whole { oxm::exact_mask(field) } else { mask }),
    };
    oxm::encode_value(out, field, value, wire_mask, version);
    end(out, start);
}

/// `set_field` with a mask that has all bits of the field, and would not have to be there.
pub(super) fn encode_named_mask(
    out: &mut Vec<u8>,
    field: FieldId,
    value: u128,
    mask: u128,
    version: Version,
) {
    let start = begin(out, SET_FIELD);
    oxm::encode_masked(out, field, value, mask, version);
    end(out, start);
}

/// `set_field` of tunnel metadata: the extension's where a version has none, or none with a mask, for a
/// load would have to know how long it is.
pub(super) fn encode_set_option(out: &mut Vec<u8>, set: &SetOption, version: Version) {
    let own = version >= Version::V15 || version >= Version::V12 && set.mask == Wide::ONES;
    let start = if own { begin(out, SET_FIELD) } else { begin_nicira(out, REG_LOAD2) };
    let number = if own { version } else { Version::V10 };
    oxm::encode_tunnel(out, set.field, set.value, set.mask, number);
    end(out, start);
}

/// OpenFlow 1.0's and 1.1's own actions for whole fields; returns whether there is one.
fn encode_legacy(out: &mut Vec<u8>, field: FieldId, value: u128, version: Version) -> bool {
    let [.., a, b, c, d] = value.to_be_bytes();
    let low16 = u16::from_be_bytes([c, d]);
    let mac = MacAddr::from_u64(u64::try_from(value & 0xffff_ffff_ffff).unwrap_or(0));
    let action = match field {
        FieldId::VlanVid | FieldId::DlVlan => Action::SetVlanVid(low16 & 0x0fff),
        FieldId::VlanPcp | FieldId::DlVlanPcp => Action::SetVlanPcp(d & 7),
        FieldId::EthSrc => Action::SetEthSrc(mac),
        FieldId::EthDst => Action::SetEthDst(mac),
        FieldId::Ipv4Src => Action::SetIpv4Src(Ipv4Addr::new(a, b, c, d)),
        FieldId::Ipv4Dst => Action::SetIpv4Dst(Ipv4Addr::new(a, b, c, d)),
        FieldId::NwTos => Action::SetTos(d & 0xfc),
        FieldId::IpDscp => Action::SetTos(d << 2),
        FieldId::NwEcn if version == Version::V11 => Action::SetEcn(d & 3),
        FieldId::TcpSrc | FieldId::UdpSrc | FieldId::SctpSrc => Action::SetL4Src(low16),
        FieldId::TcpDst | FieldId::UdpDst | FieldId::SctpDst => Action::SetL4Dst(low16),
        _ => return false,
    };
    super::encode(out, &action, version);
    true
}

/// One load for each run of bits, the least significant first.
fn encode_loads(out: &mut Vec<u8>, field: FieldId, value: u128, mask: u128) {
    let mut left = mask;
    while left != 0 {
        let start = left.trailing_zeros();
        let bits = (left >> start).trailing_ones().min(64);
        let ones = u128::MAX >> (128 - bits);
        left &= !(ones << start);
        let narrow = |number: u32| u16::try_from(number).unwrap_or(0);
        let dst = Subfield { field, start: narrow(start), bits: narrow(bits) };
        let value = u64::try_from(value >> start & ones).unwrap_or(0);
        encode_load(out, dst, value);
    }
}

/// Actions whose field newer versions set with `set_field`; returns whether it is one.
pub(super) fn encode_as_set_field(out: &mut Vec<u8>, action: &Action, version: Version) -> bool {
    let (field, value) = match *action {
        Action::SetVlanVid(vid) => (FieldId::VlanVid, u128::from(vid)),
        Action::SetVlanPcp(pcp) => (FieldId::VlanPcp, u128::from(pcp)),
        Action::SetEthSrc(mac) => (FieldId::EthSrc, u128::from(mac.to_u64())),
        Action::SetEthDst(mac) => (FieldId::EthDst, u128::from(mac.to_u64())),
        Action::SetIpv4Src(ip) => (FieldId::Ipv4Src, u128::from(u32::from(ip))),
        Action::SetIpv4Dst(ip) => (FieldId::Ipv4Dst, u128::from(u32::from(ip))),
        Action::SetTos(tos) => (FieldId::IpDscp, u128::from(tos >> 2)),
        Action::SetEcn(ecn) => (FieldId::NwEcn, u128::from(ecn)),
        // What a port's protocol is does not matter to whoever sets it; the name says TCP.
        Action::SetL4Src(port) => (FieldId::TcpSrc, u128::from(port)),
        Action::SetL4Dst(port) => (FieldId::TcpDst, u128::from(port)),
        Action::SetMplsLabel(label) => (FieldId::MplsLabel, u128::from(label)),
        Action::SetMplsTc(tc) => (FieldId::MplsTc, u128::from(tc)),
        Action::SetTunnel { id, .. } => (FieldId::TunId, u128::from(id)),
        _ => return false,
    };
    encode_set_field(out, field, value, field.field().ones(), version);
    true
}

/// Reads a load of at most 64 bits.
pub(super) fn decode_reg_load(from: &mut Cursor<'_>) -> Result<Action, Code> {
    let place = from.u16()?;
    let dst = subfield(&mut from.sub(4)?, place)?;
    let value = from.u64()?;
    if u128::from(value) & !dst.ones() != 0 {
        return Err(Code::BacBadArgument);
    }
    if !dst.field.field().writable {
        return Err(Code::BacBadSetArgument);
    }
    Ok(Action::Load { dst, value })
}

pub(super) fn encode_load(out: &mut Vec<u8>, dst: Subfield, value: u64) {
    let before = out.len();
    let start = begin_nicira(out, REG_LOAD);
    out.put16(ofs_nbits(dst));
    let at = out.len();
    put_field(out, dst);
    if out.len() - at != SHORT_FIELD {
        // There is room for four octets only: a field whose name is longer is written with a mask.
        out.truncate(before);
        let start = begin_nicira(out, REG_LOAD2);
        let value = u128::from(value) << dst.start;
        oxm::encode_value(out, dst.field, value, dst.mask(), Version::V10);
        end(out, start);
        return;
    }
    out.put64(value);
    end(out, start);
}

/// Reads a copy as OpenFlow 1.5 has it.
pub(super) fn decode_copy_field(
    actions: &mut Vec<Action>,
    mut from: Cursor<'_>,
) -> Result<(), Code> {
    let (bits, src, dst) = (from.u16()?, from.u16()?, from.u16()?);
    from.skip(2)?;
    actions.push(decode_pair(from, bits, src, dst)?);
    Ok(())
}

/// Reads the Open Networking Foundation's extensions to OpenFlow 1.3: a copy.
pub(super) fn decode_onf(
    actions: &mut Vec<Action>,
    mut from: Cursor<'_>,
    version: Version,
) -> Result<(), Code> {
    if from.u16()? != ONF_COPY_FIELD || !(Version::V13..=Version::V14).contains(&version) {
        return Err(Code::BacBadVendorType);
    }
    from.skip(2)?;
    decode_copy_field(actions, from)
}

pub(super) fn decode_reg_move(from: &mut Cursor<'_>) -> Result<Action, Code> {
    let (bits, src, dst) = (from.u16()?, from.u16()?, from.u16()?);
    decode_pair(*from, bits, src, dst)
}

fn decode_pair(mut from: Cursor<'_>, bits: u16, src: u16, dst: u16) -> Result<Action, Code> {
    let source = oxm::decode_field(&mut from, Code::BacBadSetType)?;
    let target = oxm::decode_field(&mut from, Code::BacBadSetType)?;
    from.zeros(from.len(), Code::NxbrcMustBeZero)?;
    let (src, dst) = (make_subfield(source, src, bits)?, make_subfield(target, dst, bits)?);
    if !target.field().writable {
        return Err(Code::BacBadSetArgument);
    }
    Ok(Action::Move { src, dst })
}

pub(super) fn encode_copy_field(out: &mut Vec<u8>, src: Subfield, dst: Subfield, version: Version) {
    let start = begin(out, COPY_FIELD);
    for number in [src.bits, src.start, dst.start, 0] {
        out.put16(number);
    }
    oxm::encode_field(out, src.field, version);
    oxm::encode_field(out, dst.field, version);
    end(out, start);
}

pub(super) fn encode_reg_move(out: &mut Vec<u8>, src: Subfield, dst: Subfield) {
    let start = begin_nicira(out, REG_MOVE);
    for number in [src.bits, src.start, dst.start] {
        out.put16(number);
    }
    put_field(out, src);
    put_field(out, dst);
    end(out, start);
}

/// Reads the subfield of a push or pop.
pub(super) fn decode_stack(from: &mut Cursor<'_>) -> Result<Subfield, Code> {
    let start = from.u16()?;
    let field = oxm::decode_field(from, Code::BacBadSetType)?;
    let bits = from.u16()?;
    from.zeros(from.len(), Code::NxbrcMustBeZero)?;
    make_subfield(field, start, bits)
}

pub(super) fn encode_stack(out: &mut Vec<u8>, subtype: u16, sub: Subfield) {
    let start = begin_nicira(out, subtype);
    out.put16(sub.start);
    put_field(out, sub);
    out.put16(sub.bits);
    pad_to(out, start, 24);
    end(out, start);
}

/// Zeros until what began at `start` is `len` bytes long.
pub(super) fn pad_to(out: &mut Vec<u8>, start: usize, len: usize) {
    let missing = len.saturating_sub(out.len().saturating_sub(start));
    out.zeros(missing);
}
