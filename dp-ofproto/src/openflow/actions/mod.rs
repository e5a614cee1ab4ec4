//! Actions on the wire: lists of them, for all versions and with the extensions.
//!
//! | room | what |
//! |---|---|
//! | [`standard`] | the specifications' own numbers: OpenFlow 1.0, and 1.1 to 1.5 |
//! | [`nicira`] | the extensions: dispatch, and those without a structure of their own |
//! | [`set`] | writing fields: `set_field`, loads, moves, the stack |
//! | [`choose`] | `multipath`, `bundle` |
//! | [`control`] | `controller`, `sample` |
//! | [`ct`] | `ct`, `nat` |
//! | [`encap`] | `encap`, `decap` |
//! | [`learn`] | `learn` |
//! | [`instructions`] | what OpenFlow 1.1 and later put around actions |
//!
//! Reading checks structure and what a value can be; whether a list makes sense as a whole is the
//! business of [`crate::action::check()`].

pub mod choose;
pub mod control;
pub mod ct;
pub mod encap;
pub mod instructions;
pub mod learn;
pub mod nicira;
pub mod set;
pub mod standard;

use crate::action::{Action, Subfield};
use crate::openflow::matches::oxm;
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

/// How deep actions may stand inside actions.
pub const MAX_DEPTH: u32 = 64;

/// Reads a list of actions to its end.
///
/// # Errors
///
/// The first fault, from the front.
pub fn decode_list(from: Cursor<'_>, version: Version) -> Result<Vec<Action>, Code> {
    decode_nested(from, version, 0)
}

fn decode_nested(from: Cursor<'_>, version: Version, depth: u32) -> Result<Vec<Action>, Code> {
    if depth > MAX_DEPTH {
        return Err(Code::BacTooMany);
    }
    let mut from = from.or(Code::BacBadLen);
    let mut actions = Vec::new();
    while !from.is_empty() {
        let mut head = from;
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 8 || !len.is_multiple_of(8) {
            return Err(Code::BacBadLen);
        }
        let mut body = from.sub(len)?;
        body.skip(4)?;
        if ty == EXPERIMENTER {
            let vendor = body.u32()?;
            match vendor {
                NICIRA => nicira::decode(&mut actions, body, version, depth)?,
                ONF => set::decode_onf(&mut actions, body, version)?,
                _ => return Err(Code::BacBadVendor),
            }
        } else {
            standard::decode(&mut actions, ty, body, version)?;
        }
    }
    Ok(actions)
}

/// Writes a list of actions. Instructions among them are left out, but for those that OpenFlow 1.0
/// has an action for.
pub fn encode_list(out: &mut Vec<u8>, actions: &[Action], version: Version) {
    for action in actions {
        encode(out, action, version);
    }
}

/// Writes one action.
pub fn encode(out: &mut Vec<u8>, action: &Action, version: Version) {
    if !standard::encode(out, action, version) {
        nicira::encode(out, action, version);
    }
}

/// Begins an action of the specification's; [`end`] completes it.
fn begin(out: &mut Vec<u8>, ty: u16) -> usize {
    let start = out.len();
    out.put16(ty);
    out.put16(0);
    start
}

/// Begins an action of the extensions'.
fn begin_nicira(out: &mut Vec<u8>, subtype: u16) -> usize {
    let start = begin(out, EXPERIMENTER);
    out.put32(NICIRA);
    out.put16(subtype);
    start
}

/// Completes an action: padding to eight bytes and its length.
fn end(out: &mut Vec<u8>, start: usize) {
    out.pad8(start);
    out.put_len(start, 2);
}

/// Start and width as one number.
fn ofs_nbits(sub: Subfield) -> u16 {
    sub.start << 6 | sub.bits.saturating_sub(1)
}

/// A subfield of its field's header in 32 bits, start and width as one number.
fn subfield(field: &mut Cursor<'_>, ofs_nbits: u16) -> Result<Subfield, Code> {
    let field = oxm::decode_field32(field, Code::BacBadSetType)?;
    make_subfield(field, ofs_nbits >> 6, (ofs_nbits & 0x3f) + 1)
}

fn make_subfield(field: dp_core::flow::FieldId, start: u16, bits: u16) -> Result<Subfield, Code> {
    Subfield::new(field, start, bits).ok_or(Code::BacBadArgument)
}

/// Writes a field's header as the extensions' actions have it.
fn put_field(out: &mut Vec<u8>, sub: Subfield) {
    oxm::encode_field(out, sub.field, Version::V10);
}

const EXPERIMENTER: u16 = 0xffff;
const NICIRA: u32 = 0x0000_2320;
const ONF: u32 = 0x4f4e_4600;

#[cfg(test)]
mod tests;
