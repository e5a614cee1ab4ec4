//! Matches on the wire.
//!
//! | room | what |
//! |---|---|
//! | [`oxm`] | a field: header, value, mask |
//! | [`flow`] | lists of fields |
//! | [`fixed`] | the structures of OpenFlow 1.0 and 1.1 |

pub mod fixed;
pub mod flow;
pub mod oxm;

use crate::matching::Match;
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

/// Reads `ofp_match` as OpenFlow 1.1 and later have it, padding included.
///
/// # Errors
///
/// As [`flow::decode`]; a type that is not known.
pub fn decode(from: &mut Cursor<'_>) -> Result<Match, Code> {
    decode_as(from, flow::Unknown::Refuse)
}

/// As [`decode()`], but fields that are not known are passed over.
///
/// # Errors
///
/// As [`flow::decode`]; a type that is not known.
pub fn decode_loose(from: &mut Cursor<'_>) -> Result<Match, Code> {
    decode_as(from, flow::Unknown::Skip)
}

fn decode_as(from: &mut Cursor<'_>, unknown: flow::Unknown) -> Result<Match, Code> {
    let mut head = *from;
    let (ty, len) = (head.u16()?, usize::from(head.u16()?));
    match ty {
        0 if len == fixed::LEN11 => fixed::decode11(&mut from.sub(len)?),
        0 => Err(Code::BmcBadLen),
        1 => {
            let fields = head.sub(len.checked_sub(4).ok_or(Code::BmcBadLen)?)?;
            from.skip(len.next_multiple_of(8))?;
            let list = flow::decode(fields, unknown)?;
            match list.cookie {
                Some(_) => Err(Code::BmcBadField),
                None => Ok(list.matching),
            }
        }
        _ => Err(Code::BmcBadType),
    }
}

/// Writes `ofp_match` as a version has it: OpenFlow 1.1's structure, or a list of fields.
pub fn encode(out: &mut Vec<u8>, matching: &Match, version: Version) {
    if version <= Version::V11 {
        fixed::encode11(out, matching);
        return;
    }
    encode_fields(out, matching, version);
}

/// Writes `ofp_match` as a list of fields, in any version.
pub fn encode_fields(out: &mut Vec<u8>, matching: &Match, version: Version) {
    let start = out.len();
    out.put16(1);
    out.put16(0);
    flow::encode(out, matching, version);
    out.put_len(start, 2);
    out.pad8(start);
}

#[cfg(test)]
mod tests;
