//! `multipath` and `bundle`.

use dp_core::base::OfPort;

use super::{begin_nicira, end, ofs_nbits, put_field, subfield};
use crate::action::{Action, Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

pub(super) const MULTIPATH: u16 = 10;
pub(super) const BUNDLE: u16 = 12;
pub(super) const BUNDLE_LOAD: u16 = 13;

fn number<T: Copy>(table: &[(T, u16, &str)], wire: u16) -> Result<T, Code> {
    table.iter().find(|row| row.1 == wire).map(|row| row.0).ok_or(Code::BacBadArgument)
}

fn wire<T: PartialEq>(table: &[(T, u16, &str)], value: &T) -> u16 {
    table.iter().find(|row| row.0 == *value).map_or(0, |row| row.1)
}

pub(super) fn decode_multipath(from: &mut Cursor<'_>) -> Result<Action, Code> {
    let fields = number(&HashFields::ALL, from.u16()?)?;
    let basis = from.u16()?;
    from.skip(2)?;
    let algorithm = number(&MultipathAlgorithm::ALL, from.u16()?)?;
    let (max_link, arg) = (from.u16()?, from.u32()?);
    from.skip(2)?;
    let place = from.u16()?;
    let dst = subfield(&mut from.sub(4)?, place)?;
    // Wide enough for every link's number.
    if u128::from(max_link) > dst.ones() || !dst.field.field().writable {
        return Err(Code::BacBadArgument);
    }
    let multipath = Multipath { fields, basis, algorithm, max_link, arg, dst };
    Ok(Action::Multipath(Box::new(multipath)))
}

pub(super) fn encode_multipath(out: &mut Vec<u8>, multipath: &Multipath) {
    let start = begin_nicira(out, MULTIPATH);
    out.put16(wire(&HashFields::ALL, &multipath.fields));
    out.put16(multipath.basis);
    out.zeros(2);
    out.put16(wire(&MultipathAlgorithm::ALL, &multipath.algorithm));
    out.put16(multipath.max_link);
    out.put32(multipath.arg);
    out.zeros(2);
    out.put16(ofs_nbits(multipath.dst));
    put_field(out, multipath.dst);
    end(out, start);
}

pub(super) fn decode_bundle(from: &mut Cursor<'_>, load: bool) -> Result<Action, Code> {
    let algorithm = number(&BundleAlgorithm::ALL, from.u16()?)?;
    let fields = number(&HashFields::ALL, from.u16()?)?;
    let basis = from.u16()?;
    // Members are named by NXM_OF_IN_PORT, the only kind there is.
    if from.u32()? != MEMBER_TYPE {
        return Err(Code::BacBadArgument);
    }
    let (count, place) = (usize::from(from.u16()?), from.u16()?);
    let mut target = from.sub(4)?;
    from.zeros(4, Code::BacBadArgument)?;
    let dst = match load {
        true => {
            let dst = subfield(&mut target, place)?;
            if dst.bits < 16 || !dst.field.field().writable {
                return Err(Code::BacBadArgument);
            }
            Some(dst)
        }
        false if place != 0 || target.u32()? != 0 => return Err(Code::BacBadArgument),
        false => None,
    };
    if count > MAX_MEMBERS || from.len() < count * 2 {
        return Err(if count > MAX_MEMBERS { Code::BacBadArgument } else { Code::BacBadLen });
    }
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(OfPort(from.u16()?));
    }
    let members = members.into();
    Ok(Action::Bundle(Box::new(Bundle { algorithm, fields, basis, members, dst })))
}

pub(super) fn encode_bundle(out: &mut Vec<u8>, bundle: &Bundle) {
    let subtype = if bundle.dst.is_some() { BUNDLE_LOAD } else { BUNDLE };
    let start = begin_nicira(out, subtype);
    out.put16(wire(&BundleAlgorithm::ALL, &bundle.algorithm));
    out.put16(wire(&HashFields::ALL, &bundle.fields));
    out.put16(bundle.basis);
    out.put32(MEMBER_TYPE);
    out.put16(u16::try_from(bundle.members.len()).unwrap_or(u16::MAX));
    out.put16(bundle.dst.map_or(0, ofs_nbits));
    match bundle.dst {
        Some(dst) => put_field(out, dst),
        None => out.zeros(4),
    }
    out.zeros(4);
    for member in &bundle.members {
        out.put_port(Version::V10, *member);
    }
    end(out, start);
}

/// The header of NXM_OF_IN_PORT.
const MEMBER_TYPE: u32 = 0x0000_0002;
const MAX_MEMBERS: usize = 2048;
