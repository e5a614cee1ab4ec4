//! Actions of the extensions (experimenter 0x00002320), by their subtype.

use dp_core::base::OfPort;

use super::{
    begin_nicira, choose, control, ct, decode_nested, encap, encode_list, end, learn, set,
};
use super::{make_subfield, ofs_nbits, put_field, standard, subfield};
use crate::action::{Action, Subfield};
use crate::openflow::matches::oxm;
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

mod subtype {
    pub(super) const RESUBMIT: u16 = 1;
    pub(super) const SET_TUNNEL: u16 = 2;
    pub(super) const SET_QUEUE: u16 = 4;
    pub(super) const POP_QUEUE: u16 = 5;
    pub(super) const NOTE: u16 = 8;
    pub(super) const SET_TUNNEL64: u16 = 9;
    pub(super) const RESUBMIT_TABLE: u16 = 14;
    pub(super) const OUTPUT_REG: u16 = 15;
    pub(super) const EXIT: u16 = 17;
    pub(super) const DEC_TTL: u16 = 18;
    pub(super) const FIN_TIMEOUT: u16 = 19;
    pub(super) const DEC_TTL_CNT_IDS: u16 = 21;
    pub(super) const WRITE_METADATA: u16 = 22;
    pub(super) const PUSH_MPLS: u16 = 23;
    pub(super) const POP_MPLS: u16 = 24;
    pub(super) const SET_MPLS_TTL: u16 = 25;
    pub(super) const DEC_MPLS_TTL: u16 = 26;
    pub(super) const SET_MPLS_LABEL: u16 = 30;
    pub(super) const SET_MPLS_TC: u16 = 31;
    pub(super) const OUTPUT_REG2: u16 = 32;
    pub(super) const CONJUNCTION: u16 = 34;
    pub(super) const OUTPUT_TRUNC: u16 = 39;
    pub(super) const GROUP: u16 = 40;
    pub(super) const CLONE: u16 = 42;
    pub(super) const CT_CLEAR: u16 = 43;
    pub(super) const RESUBMIT_TABLE_CT: u16 = 44;
    pub(super) const DEC_NSH_TTL: u16 = 48;
    pub(super) const CHECK_PKT_LARGER: u16 = 49;
    pub(super) const DEBUG_SLOW: u16 = 254;
    pub(super) const DEBUG_RECIRC: u16 = 255;
}

/// Reads an action, from its subtype on.
pub(super) fn decode(
    actions: &mut Vec<Action>,
    mut from: Cursor<'_>,
    version: Version,
    depth: u32,
) -> Result<(), Code> {
    let subtype = from.u16()?;
    let from = &mut from;
    let action = match decode_flat(subtype, from, version)? {
        Some(action) => action,
        None => decode_rich(subtype, from, version, depth)?,
    };
    actions.push(action);
    Ok(())
}

/// Those that hold a few numbers.
fn decode_flat(
    subtype: u16,
    from: &mut Cursor<'_>,
    version: Version,
) -> Result<Option<Action>, Code> {
    let only10 = |action: Action| match version {
        Version::V10 => Ok(action),
        _ => Err(Code::BacBadVendorType),
    };
    Ok(Some(match subtype {
        subtype::RESUBMIT => {
            let port = OfPort(from.u16()?);
            let in_port = (port != OfPort::IN_PORT).then_some(port);
            // Without a table the present one is meant, which text writes as `resubmit:port`.
            Action::Resubmit { in_port, table: None, ct: false }
        }
        subtype::RESUBMIT_TABLE | subtype::RESUBMIT_TABLE_CT => {
            let (port, table) = (OfPort(from.u16()?), from.u8()?);
            from.zeros(3, Code::BacBadArgument)?;
            Action::Resubmit {
                in_port: (port != OfPort::IN_PORT).then_some(port),
                table: (table != 0xff).then_some(table),
                ct: subtype == subtype::RESUBMIT_TABLE_CT,
            }
        }
        subtype::SET_TUNNEL => {
            from.skip(2)?;
            Action::SetTunnel { id: u64::from(from.u32()?), wide: false }
        }
        subtype::SET_TUNNEL64 => {
            from.skip(6)?;
            Action::SetTunnel { id: from.u64()?, wide: true }
        }
        subtype::SET_QUEUE => {
            from.skip(2)?;
            only10(Action::SetQueue(from.u32()?))?
        }
        subtype::POP_QUEUE => Action::PopQueue,
        subtype::NOTE => Action::Note(from.rest().into()),
        subtype::EXIT => Action::Exit,
        subtype::DEC_TTL => only10(Action::DecTtl([0].into()))?,
        subtype::FIN_TIMEOUT => Action::FinTimeout { idle: from.u16()?, hard: from.u16()? },
        subtype::WRITE_METADATA => {
            from.zeros(6, Code::NxbrcMustBeZero)?;
            let (value, mask) = (from.u64()?, from.u64()?);
            Action::WriteMetadata { value: value & mask, mask }
        }
        subtype::PUSH_MPLS => only10(standard::push_mpls(from.u16()?)?)?,
        subtype::POP_MPLS => only10(Action::PopMpls(from.u16()?))?,
        subtype::SET_MPLS_TTL => only10(Action::SetMplsTtl(from.u8()?))?,
        subtype::DEC_MPLS_TTL => only10(Action::DecMplsTtl)?,
        subtype::SET_MPLS_LABEL => {
            from.skip(2)?;
            only10(standard::mpls_label(from.u32()?)?)?
        }
        subtype::SET_MPLS_TC => only10(standard::mpls_tc(from.u8()?)?)?,
        subtype::CONJUNCTION => {
            let (clause, clauses, id) = (from.u8()?, from.u8()?, from.u32()?);
            if clause >= clauses || !(2..=64).contains(&clauses) {
                return Err(Code::NxbacBadConjunction);
            }
            Action::Conjunction { id, clause, clauses }
        }
        subtype::OUTPUT_TRUNC => {
            let port = standard::output_port(OfPort(from.u16()?))?;
            let max_len = from.u32()?;
            if max_len < 14 {
                return Err(Code::BacBadArgument);
            }
            Action::OutputTrunc { port, max_len }
        }
        subtype::GROUP => {
            from.skip(2)?;
            only10(Action::Group(from.u32()?))?
        }
        subtype::CT_CLEAR => Action::CtClear,
        subtype::DEC_NSH_TTL if version >= Version::V13 => Action::DecNshTtl,
        subtype::DEBUG_SLOW => Action::DebugSlow,
        subtype::DEBUG_RECIRC => Action::DebugRecirc,
        _ => return Ok(None),
    }))
}

/// Those with fields, lists or other actions inside.
fn decode_rich(
    subtype: u16,
    from: &mut Cursor<'_>,
    version: Version,
    depth: u32,
) -> Result<Action, Code> {
    Ok(match subtype {
        subtype::OUTPUT_REG => {
            let place = from.u16()?;
            let src = subfield(&mut from.sub(4)?, place)?;
            let max_len = from.u16()?;
            from.zeros(6, Code::BacBadArgument)?;
            Action::OutputReg { src, max_len }
        }
        subtype::OUTPUT_REG2 => {
            let (place, max_len) = (from.u16()?, from.u16()?);
            let field = oxm::decode_field(from, Code::BacBadSetType)?;
            let src = make_subfield(field, place >> 6, (place & 0x3f) + 1)?;
            from.zeros(from.len(), Code::NxbrcMustBeZero)?;
            Action::OutputReg { src, max_len }
        }
        subtype::DEC_TTL_CNT_IDS => {
            let count = usize::from(from.u16()?);
            from.zeros(4, Code::NxbrcMustBeZero)?;
            let mut ids = Vec::new();
            for _ in 0..count {
                ids.push(from.u16()?);
            }
            // Without any, a packet whose TTL is used up is told to nobody.
            Action::DecTtl(ids.into())
        }
        subtype::CLONE => {
            from.skip(6)?;
            Action::Clone(decode_nested(*from, version, depth + 1)?.into())
        }
        subtype::CHECK_PKT_LARGER => {
            let (len, start) = (from.u16()?, from.u16()?);
            let field = oxm::decode_field(from, Code::BacBadSetType)?;
            from.zeros(from.len(), Code::NxbrcMustBeZero)?;
            if !field.field().writable {
                return Err(Code::BacBadSetArgument);
            }
            Action::CheckPktLarger { len, dst: make_subfield(field, start, 1)? }
        }
        set::REG_MOVE => set::decode_reg_move(from)?,
        set::REG_LOAD => set::decode_reg_load(from)?,
        set::REG_LOAD2 => set::decode_reg_load2(*from)?,
        set::STACK_PUSH => Action::Push(set::decode_stack(from)?),
        set::STACK_POP => {
            let sub = set::decode_stack(from)?;
            if !sub.field.field().writable {
                return Err(Code::BacBadSetArgument);
            }
            Action::Pop(sub)
        }
        set::DELETE_FIELD => Action::DeleteField(oxm::decode_field(from, Code::BacBadSetType)?),
        choose::MULTIPATH => choose::decode_multipath(from)?,
        choose::BUNDLE => choose::decode_bundle(from, false)?,
        choose::BUNDLE_LOAD => choose::decode_bundle(from, true)?,
        control::CONTROLLER => control::decode_controller(from)?,
        control::CONTROLLER2 => control::decode_controller2(from)?,
        control::SAMPLE | control::SAMPLE2 | control::SAMPLE3 | control::SAMPLE4 => {
            control::decode_sample(from, subtype)?
        }
        ct::CT => ct::decode(from, version, depth)?,
        encap::ENCAP => encap::decode_encap(from)?,
        encap::DECAP if version >= Version::V13 => encap::decode_decap(from)?,
        learn::LEARN => learn::decode(from, false)?,
        learn::LEARN2 => learn::decode(from, true)?,
        // Only a `ct` may hold one.
        ct::NAT => return Err(Code::BacBadArgument),
        _ => return Err(Code::BacBadVendorType),
    })
}

/// Writes an action that the version has no number of its own for; nothing for instructions.
pub(super) fn encode(out: &mut Vec<u8>, action: &Action, version: Version) {
    match action {
        Action::Move { src, dst } => set::encode_reg_move(out, *src, *dst),
        Action::Load { dst, value } => set::encode_load(out, *dst, *value),
        Action::Push(sub) => set::encode_stack(out, set::STACK_PUSH, *sub),
        Action::Pop(sub) => set::encode_stack(out, set::STACK_POP, *sub),
        Action::Multipath(multipath) => choose::encode_multipath(out, multipath),
        Action::Bundle(bundle) => choose::encode_bundle(out, bundle),
        Action::Controller(controller) => control::encode_controller(out, controller),
        Action::Sample(sample) => control::encode_sample(out, sample),
        Action::Ct(ct) => ct::encode_ct(out, ct, version),
        Action::Encap(encap) => encap::encode_encap(out, encap),
        Action::Decap(next) => encap::encode_decap(out, *next),
        Action::Learn(learn) => learn::encode(out, learn),
        _ => encode_flat(out, action, version),
    }
}

fn encode_flat(out: &mut Vec<u8>, action: &Action, version: Version) {
    let start = out.len();
    match action {
        Action::Resubmit { in_port, table, ct } => {
            encode_resubmit(out, *in_port, *table, *ct);
        }
        // OpenFlow 1.0 has no instructions; this is what they do.
        Action::GotoTable(table) if version == Version::V10 => {
            encode_resubmit(out, None, Some(*table), false);
        }
        Action::WriteMetadata { value, mask } if version == Version::V10 => {
            begin_nicira(out, subtype::WRITE_METADATA);
            out.zeros(6);
            out.put64(*value);
            out.put64(*mask);
        }
        Action::SetTunnel { id, wide } => match u32::try_from(*id) {
            Ok(id) if !*wide => {
                begin_nicira(out, subtype::SET_TUNNEL);
                out.zeros(2);
                out.put32(id);
            }
            _ => {
                begin_nicira(out, subtype::SET_TUNNEL64);
                out.zeros(6);
                out.put64(*id);
            }
        },
        Action::SetQueue(queue) => {
            begin_nicira(out, subtype::SET_QUEUE);
            out.zeros(2);
            out.put32(*queue);
        }
        Action::Note(bytes) => {
            begin_nicira(out, subtype::NOTE);
            out.put(bytes);
        }
        Action::DecTtl(ids) => encode_dec_ttl(out, ids, version),
        Action::FinTimeout { idle, hard } => {
            begin_nicira(out, subtype::FIN_TIMEOUT);
            out.put16(*idle);
            out.put16(*hard);
        }
        Action::OutputReg { src, max_len } => encode_output_reg(out, *src, *max_len),
        Action::Conjunction { id, clause, clauses } => {
            begin_nicira(out, subtype::CONJUNCTION);
            out.put8(*clause);
            out.put8(*clauses);
            out.put32(*id);
        }
        Action::OutputTrunc { port, max_len } => {
            begin_nicira(out, subtype::OUTPUT_TRUNC);
            out.put16(port.0);
            out.put32(*max_len);
        }
        Action::Group(group) => {
            begin_nicira(out, subtype::GROUP);
            out.zeros(2);
            out.put32(*group);
        }
        Action::Clone(actions) => {
            begin_nicira(out, subtype::CLONE);
            out.zeros(6);
            encode_list(out, actions, version);
        }
        Action::CheckPktLarger { len, dst } => {
            begin_nicira(out, subtype::CHECK_PKT_LARGER);
            out.put16(*len);
            out.put16(dst.start);
            put_field(out, *dst);
            set::pad_to(out, start, 24);
        }
        Action::DeleteField(field) => {
            begin_nicira(out, set::DELETE_FIELD);
            oxm::encode_field(out, *field, Version::V10);
            set::pad_to(out, start, 24);
        }
        Action::SetTtl(ttl) => {
            let field = dp_core::flow::FieldId::NwTtl;
            set::encode_load(out, Subfield::whole(field), u64::from(*ttl));
            return;
        }
        Action::SetEcn(ecn) => {
            let field = dp_core::flow::FieldId::NwEcn;
            set::encode_load(out, Subfield::whole(field), u64::from(*ecn));
            return;
        }
        _ => encode_short(out, action),
    }
    if out.len() > start {
        end(out, start);
    }
}

/// Those that are a subtype and at most 16 bits.
fn encode_short(out: &mut Vec<u8>, action: &Action) {
    let (subtype, value): (u16, &[u8]) = match action {
        Action::PopQueue => (subtype::POP_QUEUE, &[]),
        Action::Exit => (subtype::EXIT, &[]),
        Action::PushMpls(eth_type) => (subtype::PUSH_MPLS, &eth_type.to_be_bytes()),
        Action::PopMpls(eth_type) => (subtype::POP_MPLS, &eth_type.to_be_bytes()),
        Action::SetMplsTtl(ttl) => (subtype::SET_MPLS_TTL, &[*ttl]),
        Action::DecMplsTtl => (subtype::DEC_MPLS_TTL, &[]),
        Action::SetMplsLabel(label) => {
            let [a, b, c, d] = label.to_be_bytes();
            (subtype::SET_MPLS_LABEL, &[0, 0, a, b, c, d])
        }
        Action::SetMplsTc(tc) => (subtype::SET_MPLS_TC, &[*tc]),
        Action::CtClear => (subtype::CT_CLEAR, &[]),
        Action::DecNshTtl => (subtype::DEC_NSH_TTL, &[]),
        Action::DebugSlow => (subtype::DEBUG_SLOW, &[]),
        Action::DebugRecirc => (subtype::DEBUG_RECIRC, &[]),
        _ => return,
    };
    begin_nicira(out, subtype);
    out.put(value);
}

fn encode_resubmit(out: &mut Vec<u8>, in_port: Option<OfPort>, table: Option<u8>, ct: bool) {
    let port = in_port.unwrap_or(OfPort::IN_PORT);
    if table.is_none() && !ct {
        begin_nicira(out, subtype::RESUBMIT);
        return out.put16(port.0);
    }
    begin_nicira(out, if ct { subtype::RESUBMIT_TABLE_CT } else { subtype::RESUBMIT_TABLE });
    out.put16(port.0);
    out.put8(table.unwrap_or(0xff));
}

fn encode_dec_ttl(out: &mut Vec<u8>, ids: &[u16], version: Version) {
    if version == Version::V10 && ids == [0] {
        begin_nicira(out, subtype::DEC_TTL);
        return;
    }
    begin_nicira(out, subtype::DEC_TTL_CNT_IDS);
    out.put16(u16::try_from(ids.len()).unwrap_or(u16::MAX));
    out.zeros(4);
    for id in ids {
        out.put16(*id);
    }
}

fn encode_output_reg(out: &mut Vec<u8>, src: Subfield, max_len: u16) {
    let header = oxm::number(src.field, Version::V10);
    let start = out.len();
    if header.is_some_and(|oxm| oxm.class.wire().1.is_none()) {
        begin_nicira(out, subtype::OUTPUT_REG);
        out.put16(ofs_nbits(src));
        put_field(out, src);
        out.put16(max_len);
    } else {
        begin_nicira(out, subtype::OUTPUT_REG2);
        out.put16(ofs_nbits(src));
        out.put16(max_len);
        put_field(out, src);
    }
    set::pad_to(out, start, 24);
}
