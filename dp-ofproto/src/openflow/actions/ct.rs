//! `ct`, and `nat` inside it.

use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::flow::FieldId;

use super::{begin_nicira, decode_nested, encode, end, ofs_nbits, put_field, subfield};
use crate::action::{Action, Alg, Ct, Nat, NatAddresses, NatKind, ZoneSource};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

pub(super) const CT: u16 = 35;
pub(super) const NAT: u16 = 36;

const COMMIT: u16 = 1;
const FORCE: u16 = 2;
const NO_TABLE: u8 = 0xff;

mod flag {
    pub(super) const SRC: u16 = 1;
    pub(super) const DST: u16 = 1 << 1;
    pub(super) const PERSISTENT: u16 = 1 << 2;
    pub(super) const HASH: u16 = 1 << 3;
    pub(super) const RANDOM: u16 = 1 << 4;
}

mod range {
    pub(super) const V4_MIN: u16 = 1;
    pub(super) const V4_MAX: u16 = 1 << 1;
    pub(super) const V6_MIN: u16 = 1 << 2;
    pub(super) const V6_MAX: u16 = 1 << 3;
    pub(super) const PORT_MIN: u16 = 1 << 4;
    pub(super) const PORT_MAX: u16 = 1 << 5;
}

pub(super) fn decode(from: &mut Cursor<'_>, version: Version, depth: u32) -> Result<Action, Code> {
    let flags = from.u16()?;
    let mut source = from.sub(4)?;
    let immediate = from.u16()?;
    let table = from.u8()?;
    from.zeros(3, Code::NxbacMustBeZero)?;
    let alg = match from.u16()? {
        0 => None,
        port => {
            let known = [Alg::Ftp, Alg::Tftp].into_iter().find(|alg| alg.wire() == port);
            Some(known.ok_or(Code::BacBadArgument)?)
        }
    };
    let zone = match source.rest() == [0; 4] {
        true => ZoneSource::Zone(immediate),
        false => {
            let sub = subfield(&mut source, immediate)?;
            if sub.bits > 16 {
                return Err(Code::BacBadSetLen);
            }
            ZoneSource::Field(sub)
        }
    };
    let (commit, force) = (flags & COMMIT != 0, flags & FORCE != 0);
    if force && !commit || flags & !(COMMIT | FORCE) != 0 {
        return Err(Code::BacBadArgument);
    }
    let (mut nat, mut nat_also, mut exec) = (None::<Nat>, None, Vec::new());
    for piece in split(*from)? {
        match piece {
            Piece::Nat(found) if nat.is_none() => nat = Some(found),
            // Of the other end.
            Piece::Nat(found) if nat_also.is_none() && are_both(nat.as_ref(), &found) => {
                nat_also = Some(found);
            }
            Piece::Nat(_) => return Err(Code::BacBadArgument),
            Piece::Other(bytes) => exec.extend(decode_nested(bytes, version, depth + 1)?),
        }
    }
    let allowed = |action: &Action| match action {
        Action::SetField { field, .. } => is_ct_field(*field),
        Action::Load { dst, .. } | Action::Move { dst, .. } => is_ct_field(dst.field),
        _ => false,
    };
    if !exec.iter().all(allowed) || !exec.is_empty() && !commit {
        return Err(Code::BacBadArgument);
    }
    let table = (table != NO_TABLE).then_some(table);
    Ok(Action::Ct(Box::new(Ct {
        commit,
        force,
        zone,
        table,
        alg,
        nat,
        nat_also,
        exec: exec.into(),
    })))
}

/// Whether two translations are one of each end.
fn are_both(one: Option<&Nat>, two: &Nat) -> bool {
    one.and_then(|one| one.kind).zip(two.kind).is_some_and(|(one, two)| one != two)
}

fn is_ct_field(field: FieldId) -> bool {
    matches!(field, FieldId::CtMark | FieldId::CtLabel)
}

enum Piece<'a> {
    Nat(Nat),
    Other(Cursor<'a>),
}

/// The actions inside a `ct`, one by one: `nat` stands nowhere else.
fn split(mut from: Cursor<'_>) -> Result<Vec<Piece<'_>>, Code> {
    let mut pieces = Vec::new();
    while !from.is_empty() {
        let mut head = from;
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 8 || !len.is_multiple_of(8) {
            return Err(Code::BacBadLen);
        }
        let whole = from.sub(len)?;
        let mut body = whole;
        body.skip(4)?;
        let is_nat = ty == super::EXPERIMENTER
            && body.u32()? == super::NICIRA
            && body.len() >= 2
            && body.u16()? == NAT;
        pieces.push(if is_nat { Piece::Nat(decode_nat(body)?) } else { Piece::Other(whole) });
    }
    Ok(pieces)
}

fn decode_nat(mut from: Cursor<'_>) -> Result<Nat, Code> {
    from.zeros(2, Code::NxbrcMustBeZero)?;
    let (flags, present) = (from.u16()?, from.u16()?);
    let kind = match (flags & flag::SRC != 0, flags & flag::DST != 0) {
        (true, true) => return Err(Code::BacBadArgument),
        (true, false) => Some(NatKind::Src),
        (false, true) => Some(NatKind::Dst),
        (false, false) => None,
    };
    let has = |bit: u16| present & bit != 0;
    let orphan = |min: u16, max: u16| has(max) && !has(min);
    let bad = orphan(range::V4_MIN, range::V4_MAX)
        || orphan(range::V6_MIN, range::V6_MAX)
        || orphan(range::PORT_MIN, range::PORT_MAX)
        || has(range::V4_MIN) && has(range::V6_MIN)
        || has(range::PORT_MIN) && !has(range::V4_MIN) && !has(range::V6_MIN)
        || flags & flag::HASH != 0 && flags & flag::RANDOM != 0
        || kind.is_none() && (present != 0 || flags != 0)
        || flags & !0x1f != 0
        || present & !0x3f != 0;
    if bad {
        return Err(Code::BacBadArgument);
    }
    let mut v4 = |bit: u16| match has(bit) {
        true => from.u32().map(|ip| Some(Ipv4Addr::from(ip))),
        false => Ok(None),
    };
    let (min4, max4) = (v4(range::V4_MIN)?, v4(range::V4_MAX)?);
    let mut v6 = |bit: u16| match has(bit) {
        true => from.u128().map(|ip| Some(Ipv6Addr::from(ip))),
        false => Ok(None),
    };
    let (min6, max6) = (v6(range::V6_MIN)?, v6(range::V6_MAX)?);
    let addresses = match (min4, min6) {
        (Some(min), _) => Some(NatAddresses::V4 { min, max: max4 }),
        (_, Some(min)) => Some(NatAddresses::V6 { min, max: max6 }),
        _ => None,
    };
    let ports = match has(range::PORT_MIN) {
        true => {
            let min = from.u16()?;
            let max = if has(range::PORT_MAX) { Some(from.u16()?) } else { None };
            Some((min, max))
        }
        false => None,
    };
    Ok(Nat {
        kind,
        addresses,
        ports,
        persistent: flags & flag::PERSISTENT != 0,
        protocol_hash: flags & flag::HASH != 0,
        protocol_random: flags & flag::RANDOM != 0,
    })
}

pub(super) fn encode_ct(out: &mut Vec<u8>, ct: &Ct, version: Version) {
    let start = begin_nicira(out, CT);
    let bit = |set: bool, bit: u16| if set { bit } else { 0 };
    out.put16(bit(ct.commit, COMMIT) | bit(ct.force, FORCE));
    match ct.zone {
        ZoneSource::Zone(zone) => {
            out.zeros(4);
            out.put16(zone);
        }
        ZoneSource::Field(sub) => {
            put_field(out, sub);
            out.put16(ofs_nbits(sub));
        }
    }
    out.put8(ct.table.unwrap_or(NO_TABLE));
    out.zeros(3);
    out.put16(ct.alg.map_or(0, Alg::wire));
    for nat in ct.nat.iter().chain(&ct.nat_also) {
        encode_nat(out, nat);
    }
    for action in &ct.exec {
        encode(out, action, version);
    }
    end(out, start);
}

fn encode_nat(out: &mut Vec<u8>, nat: &Nat) {
    let start = begin_nicira(out, NAT);
    let bit = |set: bool, bit: u16| if set { bit } else { 0 };
    out.zeros(2);
    out.put16(
        bit(nat.kind == Some(NatKind::Src), flag::SRC)
            | bit(nat.kind == Some(NatKind::Dst), flag::DST)
            | bit(nat.persistent, flag::PERSISTENT)
            | bit(nat.protocol_hash, flag::HASH)
            | bit(nat.protocol_random, flag::RANDOM),
    );
    let (min4, max4, min6, max6) = match nat.addresses {
        Some(NatAddresses::V4 { min, max }) => (Some(min), max, None, None),
        Some(NatAddresses::V6 { min, max }) => (None, None, Some(min), max),
        None => (None, None, None, None),
    };
    let max_port = nat.ports.and_then(|(_, max)| max);
    out.put16(
        bit(min4.is_some(), range::V4_MIN)
            | bit(max4.is_some(), range::V4_MAX)
            | bit(min6.is_some(), range::V6_MIN)
            | bit(max6.is_some(), range::V6_MAX)
            | bit(nat.ports.is_some(), range::PORT_MIN)
            | bit(max_port.is_some(), range::PORT_MAX),
    );
    for ip in [min4, max4].into_iter().flatten() {
        out.put(&ip.octets());
    }
    for ip in [min6, max6].into_iter().flatten() {
        out.put(&ip.octets());
    }
    for port in [nat.ports.map(|(min, _)| min), max_port].into_iter().flatten() {
        out.put16(port);
    }
    end(out, start);
}
