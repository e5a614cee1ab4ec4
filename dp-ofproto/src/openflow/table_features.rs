//! What tables can do (OpenFlow 1.3 section A.3.5.5): the same for all of them here.

use dp_core::flow::fields::Maskable;
use dp_core::flow::{FIELDS, FieldId};

use super::Version;
use super::matches::oxm::{self, OxmHeader};
use super::wire::Put;
use crate::table::INTERNAL_TABLE;

mod property {
    pub(super) const INSTRUCTIONS: u16 = 0;
    pub(super) const NEXT_TABLES: u16 = 2;
    pub(super) const WRITE_ACTIONS: u16 = 4;
    pub(super) const APPLY_ACTIONS: u16 = 6;
    pub(super) const MATCH: u16 = 8;
    pub(super) const WILDCARDS: u16 = 10;
    pub(super) const WRITE_SETFIELD: u16 = 12;
    pub(super) const APPLY_SETFIELD: u16 = 14;
}

/// Writes the entry of a table in a reply.
pub fn encode(out: &mut Vec<u8>, version: Version, table: u8, name: &str, max_entries: usize) {
    let start = out.len();
    out.put16(0);
    out.put8(table);
    match version {
        Version::V15 => {
            // No command; it takes packets from the wire.
            out.put8(0);
            out.put32(1);
        }
        _ => out.zeros(5),
    }
    out.put_text(name, 32);
    out.put64(u64::MAX);
    out.put64(u64::MAX);
    out.put32(0);
    out.put32(u32::try_from(max_entries).unwrap_or(u32::MAX));
    let last = table + 1 >= INTERNAL_TABLE;
    let twice = |out: &mut Vec<u8>, ty: u16, body: &dyn Fn(&mut Vec<u8>)| {
        // The same for a miss as for the others, whose number is one less.
        for ty in [ty, ty + 1] {
            let at = out.begin_property(ty);
            body(out);
            out.end_property(at);
        }
    };
    twice(out, property::INSTRUCTIONS, &|out| {
        let meter = (version < Version::V15).then_some(6);
        let goto = (!last).then_some(1);
        for instruction in goto.into_iter().chain([2, 3, 4, 5]).chain(meter) {
            out.put16(instruction);
            out.put16(4);
        }
    });
    twice(out, property::NEXT_TABLES, &|out| {
        for next in table.saturating_add(1)..INTERNAL_TABLE {
            out.put8(next);
        }
    });
    for ty in [property::WRITE_ACTIONS, property::APPLY_ACTIONS] {
        twice(out, ty, &|out| {
            for action in (0..32u16).filter(|action| ACTIONS >> action & 1 != 0) {
                out.put16(action);
                out.put16(4);
            }
        });
    }
    for (ty, all) in [(property::MATCH, false), (property::WILDCARDS, true)] {
        let at = out.begin_property(ty);
        for field in FIELDS.iter().filter(|field| !field.oxm.is_empty()) {
            let masked = !all && field.maskable == Maskable::Bits;
            put(out, field.id, version, masked);
        }
        out.end_property(at);
    }
    for ty in [property::WRITE_SETFIELD, property::APPLY_SETFIELD] {
        twice(out, ty, &|out| {
            for field in FIELDS.iter().filter(|field| field.writable && !field.oxm.is_empty()) {
                put(out, field.id, version, false);
            }
        });
    }
    out.put_len(start, 0);
}

fn put(out: &mut Vec<u8>, field: FieldId, version: Version, masked: bool) {
    if oxm::number(field, version).is_some()
        && let Some(header) = OxmHeader::of(field, version, masked)
    {
        header.encode(out);
    }
}

/// Actions: output, the TTLs, tags and labels, queue, group, `set_field`.
const ACTIONS: u32 = 0x03ff_8001;
