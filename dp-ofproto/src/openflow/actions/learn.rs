//! `learn`.
//!
//! What is learned is a list of pieces, each a number of 16 bits that says from where to where and
//! how many bits, followed by the source and the target. A zero ends the list.

use dp_core::flow::wide::{WIDE_BITS, WIDE_BYTES, Wide};

use super::{begin_nicira, end, make_subfield};
use crate::action::{Action, Learn, LearnSource, LearnSpec, LearnTarget, Subfield};
use crate::openflow::matches::oxm;
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

pub(super) const LEARN: u16 = 16;
pub(super) const LEARN2: u16 = 45;

mod flag {
    pub(super) const SEND_FLOW_REMOVED: u16 = 1;
    pub(super) const DELETE_LEARNED: u16 = 1 << 1;
    pub(super) const WRITE_RESULT: u16 = 1 << 2;
}

const SRC_IMMEDIATE: u16 = 1 << 13;
const DST_MASK: u16 = 3 << 11;
const DST_MATCH: u16 = 0;
const DST_LOAD: u16 = 1 << 11;
const DST_OUTPUT: u16 = 2 << 11;
const BITS_MASK: u16 = 0x3ff;

pub(super) fn decode(from: &mut Cursor<'_>, extended: bool) -> Result<Action, Code> {
    let (idle_timeout, hard_timeout, priority) = (from.u16()?, from.u16()?, from.u16()?);
    let (cookie, flags, table) = (from.u64()?, from.u16()?, from.u8()?);
    from.skip(1)?;
    let (fin_idle_timeout, fin_hard_timeout) = (from.u16()?, from.u16()?);
    let mut known = flag::SEND_FLOW_REMOVED | flag::DELETE_LEARNED;
    if extended {
        known |= flag::WRITE_RESULT;
    }
    if flags & !known != 0 || table == 0xff {
        return Err(Code::BacBadArgument);
    }
    let (mut limit, mut result_dst) = (0, None);
    if extended {
        limit = from.u32()?;
        let start = from.u16()?;
        from.zeros(2, Code::BacBadArgument)?;
        if flags & flag::WRITE_RESULT != 0 {
            let field = oxm::decode_field(from, Code::BacBadSetType)?;
            let dst = make_subfield(field, start, 1)?;
            if !field.field().writable {
                return Err(Code::BacBadSetArgument);
            }
            result_dst = Some(dst);
        }
    }
    let mut specs = Vec::new();
    while from.len() >= 2 {
        let header = from.u16()?;
        if header == 0 {
            break;
        }
        specs.push(decode_spec(header, from)?);
    }
    from.zeros(from.len(), Code::BacBadArgument)?;
    Ok(Action::Learn(Box::new(Learn {
        table,
        priority,
        cookie,
        idle_timeout,
        hard_timeout,
        fin_idle_timeout,
        fin_hard_timeout,
        limit,
        result_dst,
        send_flow_removed: flags & flag::SEND_FLOW_REMOVED != 0,
        delete_learned: flags & flag::DELETE_LEARNED != 0,
        specs: specs.into(),
    })))
}

fn decode_spec(header: u16, from: &mut Cursor<'_>) -> Result<LearnSpec, Code> {
    let bits = header & BITS_MASK;
    if bits == 0 || bits > WIDE_BITS || header & !(BITS_MASK | DST_MASK | SRC_IMMEDIATE) != 0 {
        return Err(Code::BacBadArgument);
    }
    let src = match header & SRC_IMMEDIATE != 0 {
        true => {
            let value = Wide::from_bytes(from.bytes(2 * usize::from(bits.div_ceil(16)))?);
            if !(value & !Wide::ones(bits)).is_zero() {
                return Err(Code::BacBadArgument);
            }
            LearnSource::Value(value)
        }
        false => LearnSource::Field(decode_place(from, bits)?),
    };
    let dst = match header & DST_MASK {
        DST_MATCH => LearnTarget::Match(decode_place(from, bits)?),
        DST_LOAD => {
            let sub = decode_place(from, bits)?;
            if !sub.field.field().writable {
                return Err(Code::BacBadSetArgument);
            }
            LearnTarget::Load(sub)
        }
        DST_OUTPUT => LearnTarget::Output,
        _ => return Err(Code::BacBadArgument),
    };
    Ok(LearnSpec { src, dst, bits })
}

fn decode_place(from: &mut Cursor<'_>, bits: u16) -> Result<Subfield, Code> {
    let field = oxm::decode_field(from, Code::BacBadSetType)?;
    make_subfield(field, from.u16()?, bits)
}

pub(super) fn encode(out: &mut Vec<u8>, learn: &Learn) {
    let extended = learn.limit != 0 || learn.result_dst.is_some();
    let start = begin_nicira(out, if extended { LEARN2 } else { LEARN });
    out.put16(learn.idle_timeout);
    out.put16(learn.hard_timeout);
    out.put16(learn.priority);
    out.put64(learn.cookie);
    let bit = |set: bool, bit: u16| if set { bit } else { 0 };
    out.put16(
        bit(learn.send_flow_removed, flag::SEND_FLOW_REMOVED)
            | bit(learn.delete_learned, flag::DELETE_LEARNED)
            | bit(learn.result_dst.is_some(), flag::WRITE_RESULT),
    );
    out.put8(learn.table);
    out.put8(0);
    out.put16(learn.fin_idle_timeout);
    out.put16(learn.fin_hard_timeout);
    if extended {
        out.put32(learn.limit);
        out.put16(learn.result_dst.map_or(0, |dst| dst.start));
        out.zeros(2);
        if let Some(dst) = learn.result_dst {
            oxm::encode_field(out, dst.field, Version::V10);
        }
    }
    for spec in &learn.specs {
        encode_spec(out, spec);
    }
    end(out, start);
}

fn encode_spec(out: &mut Vec<u8>, spec: &LearnSpec) {
    let src = if matches!(spec.src, LearnSource::Value(_)) { SRC_IMMEDIATE } else { 0 };
    let dst = match spec.dst {
        LearnTarget::Match(_) => DST_MATCH,
        LearnTarget::Load(_) => DST_LOAD,
        LearnTarget::Output => DST_OUTPUT,
    };
    out.put16(src | dst | spec.bits);
    match spec.src {
        LearnSource::Value(value) => {
            let len = 2 * usize::from(spec.bits.min(WIDE_BITS).div_ceil(16));
            out.put(&value.bytes()[WIDE_BYTES - len..]);
        }
        LearnSource::Field(sub) => encode_place(out, sub),
    }
    match spec.dst {
        LearnTarget::Match(sub) | LearnTarget::Load(sub) => encode_place(out, sub),
        LearnTarget::Output => {}
    }
}

fn encode_place(out: &mut Vec<u8>, sub: Subfield) {
    oxm::encode_field(out, sub.field, Version::V10);
    out.put16(sub.start);
}
