//! Instructions (OpenFlow 1.1 section A.2.4): what a rule does with its actions.
//!
//! A rule's list holds actions and instructions alike, in the order in which they act; on the wire
//! they may stand in any order, each once.

use dp_core::flow::FieldId;
use dp_core::flow::layout::VLAN_PRESENT;

use super::{decode_list, encode_list};
use crate::action::Action;
use crate::matching::Match;
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

const GOTO_TABLE: u16 = 1;
const WRITE_METADATA: u16 = 2;
const WRITE_ACTIONS: u16 = 3;
const APPLY_ACTIONS: u16 = 4;
const CLEAR_ACTIONS: u16 = 5;
const METER: u16 = 6;
const EXPERIMENTER: u16 = 0xffff;

/// Reads instructions to their end, as one list in the order in which they act.
///
/// # Errors
///
/// An instruction that is not known or occurs twice; a fault in its actions.
pub fn decode(from: Cursor<'_>, version: Version) -> Result<Vec<Action>, Code> {
    let mut from = from.or(Code::BicBadLen);
    let mut meter = None;
    let mut apply = None;
    let mut clear = None;
    let mut write = None;
    let mut metadata = None;
    let mut goto = None;
    let once = |first: bool| if first { Ok(()) } else { Err(Code::BicDupInst) };
    while !from.is_empty() {
        let mut head = from;
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 8 || !len.is_multiple_of(8) {
            return Err(Code::BicBadLen);
        }
        let mut body = from.sub(len)?;
        body.skip(4)?;
        match ty {
            GOTO_TABLE if len == 8 => once(goto.replace(body.u8()?).is_none())?,
            WRITE_METADATA if len == 24 => {
                body.skip(4)?;
                let (value, mask) = (body.u64()?, body.u64()?);
                once(metadata.replace((value & mask, mask)).is_none())?;
            }
            WRITE_ACTIONS => {
                body.skip(4)?;
                once(write.replace(decode_list(body, version)?).is_none())?;
            }
            APPLY_ACTIONS => {
                body.skip(4)?;
                once(apply.replace(decode_list(body, version)?).is_none())?;
            }
            CLEAR_ACTIONS if len == 8 => once(clear.replace(()).is_none())?,
            METER if len == 8 && (Version::V13..=Version::V14).contains(&version) => {
                once(meter.replace(body.u32()?).is_none())?;
            }
            GOTO_TABLE | WRITE_METADATA | CLEAR_ACTIONS => return Err(Code::BicBadLen),
            EXPERIMENTER => return Err(Code::BicBadExperimenter),
            _ => return Err(Code::BicUnknownInst),
        }
    }
    let mut actions = Vec::new();
    actions.extend(meter.map(Action::Meter));
    actions.extend(apply.into_iter().flatten());
    actions.extend(clear.map(|()| Action::ClearActions));
    actions.extend(write.map(|set| Action::WriteActions(set.into())));
    actions.extend(metadata.map(|(value, mask)| Action::WriteMetadata { value, mask }));
    actions.extend(goto.map(Action::GotoTable));
    Ok(actions)
}

/// Writes a rule's list as instructions.
pub fn encode(out: &mut Vec<u8>, actions: &[Action], version: Version) {
    let rest = match actions {
        [Action::Meter(meter), rest @ ..] if version < Version::V15 => {
            let start = begin(out, METER);
            out.put32(*meter);
            end(out, start);
            rest
        }
        all => all,
    };
    let split = rest.iter().position(is_instruction).unwrap_or(rest.len());
    let (apply, instructions) = rest.split_at(split);
    if !apply.is_empty() {
        let start = begin(out, APPLY_ACTIONS);
        out.zeros(4);
        encode_list(out, apply, version);
        end(out, start);
    }
    for instruction in instructions {
        match instruction {
            Action::ClearActions => {
                let start = begin(out, CLEAR_ACTIONS);
                out.zeros(4);
                end(out, start);
            }
            Action::WriteActions(set) => {
                let start = begin(out, WRITE_ACTIONS);
                out.zeros(4);
                encode_list(out, set, version);
                end(out, start);
            }
            Action::WriteMetadata { value, mask } => {
                let start = begin(out, WRITE_METADATA);
                out.zeros(4);
                out.put64(*value);
                out.put64(*mask);
                end(out, start);
            }
            Action::GotoTable(table) => {
                let start = begin(out, GOTO_TABLE);
                out.put8(*table);
                out.zeros(3);
                end(out, start);
            }
            _ => {}
        }
    }
}

/// Reads what a rule does, as its version has it: actions alone, or instructions.
///
/// # Errors
///
/// As [`decode()`] and [`decode_list`].
pub fn decode_rule(from: Cursor<'_>, version: Version) -> Result<Vec<Action>, Code> {
    match version {
        Version::V10 => decode_list(from, version),
        _ => decode(from, version),
    }
}

/// Writes what a rule with this match does, as its version has it. Versions that have no action for
/// "the source port" name the protocol's, which the match says; those in which setting a VID does
/// not add a tag are told to add one first where the match says that there may be none.
pub fn encode_matched(out: &mut Vec<u8>, actions: &[Action], matching: &Match, version: Version) {
    let needs = |action: &Action| match action {
        Action::SetL4Src(_) | Action::SetL4Dst(_) => version >= Version::V12,
        Action::SetVlanVid(_) | Action::SetVlanPcp(_) => version >= Version::V11,
        _ => false,
    };
    if !actions.iter().any(needs) {
        return encode_rule(out, actions, version);
    }
    let (src, dst) = match matching.field(FieldId::NwProto).0 {
        17 => (FieldId::UdpSrc, FieldId::UdpDst),
        132 => (FieldId::SctpSrc, FieldId::SctpDst),
        _ => (FieldId::TcpSrc, FieldId::TcpDst),
    };
    let (tci, mask) = matching.field(FieldId::VlanTci);
    let mut tagged = tci & mask & u128::from(VLAN_PRESENT) != 0;
    let mut told = Vec::with_capacity(actions.len() + 1);
    for action in actions {
        match action {
            Action::SetL4Src(port) if version >= Version::V12 => {
                told.push(Action::set_field(src, u128::from(*port)));
                continue;
            }
            Action::SetL4Dst(port) if version >= Version::V12 => {
                told.push(Action::set_field(dst, u128::from(*port)));
                continue;
            }
            Action::SetVlanVid(_) | Action::SetVlanPcp(_) if !tagged => {
                told.push(Action::PushVlan(0x8100));
                tagged = true;
            }
            Action::PushVlan(_) => tagged = true,
            Action::PopVlan | Action::StripVlan => tagged = false,
            _ => {}
        }
        told.push(action.clone());
    }
    encode_rule(out, &told, version);
}

/// Writes what a rule does, as its version has it.
pub fn encode_rule(out: &mut Vec<u8>, actions: &[Action], version: Version) {
    match version {
        Version::V10 => encode_list(out, actions, version),
        _ => encode(out, actions, version),
    }
}

/// Whether it is an instruction that stands behind a rule's actions.
#[must_use]
pub fn is_instruction(action: &Action) -> bool {
    matches!(
        action,
        Action::ClearActions
            | Action::WriteActions(_)
            | Action::WriteMetadata { .. }
            | Action::GotoTable(_)
    )
}

fn begin(out: &mut Vec<u8>, ty: u16) -> usize {
    let start = out.len();
    out.put16(ty);
    out.put16(0);
    start
}

fn end(out: &mut Vec<u8>, start: usize) {
    out.pad8(start);
    out.put_len(start, 2);
}
