//! Whole matches as lists of fields: NXM (OpenFlow 1.0 and 1.1 with extensions) and OXM (1.2 on).

use dp_core::flow::fields::Maskable;
use dp_core::flow::{FIELDS, FieldId, FlowMask};

use super::oxm::{self, OxmHeader};
use crate::matching::{Match, MatchBuilder, prereq};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

/// A match, and the cookie that a list may ask for as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldList {
    /// The match.
    pub matching: Match,
    /// Value and mask of the cookie, in lists that may have one.
    pub cookie: Option<(u64, u64)>,
}

/// What is done about fields that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are an error: requests.
    Refuse,
    /// They are passed over: metadata of packets, which newer peers know more of.
    Skip,
}

/// Reads a list of fields to its end.
///
/// # Errors
///
/// A field that is not known, occurs twice or lacks its prerequisite; a bad value, mask or length.
pub fn decode(mut from: Cursor<'_>, unknown: Unknown) -> Result<FieldList, Code> {
    let mut builder = MatchBuilder::default();
    let mut cookie = None;
    while !from.is_empty() {
        let header =
            OxmHeader::decode(&mut from.or(Code::BmcBadLen)).map_err(|_| Code::BmcBadLen)?;
        from.skip(if header.experimenter.is_some() { 8 } else { 4 })?;
        let mut value = from.or(Code::BmcBadLen).sub(usize::from(header.len))?;
        from.skip(usize::from(header.len))?;
        if is_cookie(&header) {
            let bits = value.u64()?;
            let mask = if header.masked { value.u64()? } else { u64::MAX };
            if cookie.replace((bits, mask)).is_some() {
                return Err(Code::BmcDupField);
            }
            continue;
        }
        let Some(field) = header.field() else {
            match unknown {
                Unknown::Refuse => return Err(Code::BmcBadField),
                Unknown::Skip => continue,
            }
        };
        let (bits, mask) = oxm::decode_wide(&header, field, &mut value)?;
        if unknown == Unknown::Refuse && prereq::check(field, &builder.key, &builder.mask).is_err()
        {
            return Err(Code::BmcBadPrereq);
        }
        let again =
            field.tun_metadata_number().is_none() && builder.mask.get(own(field)) & mask.low() != 0;
        if again && unknown == Unknown::Refuse {
            return Err(Code::BmcDupField);
        }
        builder.set_wide(own(field), bits, mask);
    }
    Ok(FieldList { matching: builder.finish(), cookie })
}

/// Where a field's value of the wire goes: a VID of OXM has the present bit in it.
fn own(field: FieldId) -> FieldId {
    if field == FieldId::VlanVid { FieldId::VlanTci } else { field }
}

/// `NXM_NX_COOKIE` has the number of another field and is told from it by its length.
fn is_cookie(header: &OxmHeader) -> bool {
    let len = if header.masked { 16 } else { 8 };
    (header.class, header.number, header.len) == (0x0001, 30, len)
}

/// Writes a match as a list of fields.
pub fn encode(out: &mut Vec<u8>, matching: &Match, version: Version) {
    if matching.is_any() {
        return;
    }
    let (key, mask) = matching.expand();
    for field in matching.tun_metadata() {
        oxm::encode_tunnel(out, field, key.get_wide(field), mask.get_wide(field), version);
    }
    let mut done = FlowMask::EMPTY;
    for field in FIELDS {
        let bits = mask.get(field.id);
        if bits == 0 || bits & !done.get(field.id) == 0 || !said(field.id, version) {
            continue;
        }
        if field.id == FieldId::VlanTci {
            encode_vlan(out, key.get(field.id), bits, version);
            done.unwildcard(field.id);
            continue;
        }
        if prereq::check(field.id, &key, &mask).is_err() {
            continue;
        }
        let bits = bits & oxm::exact_mask(field.id);
        if field.maskable == Maskable::Exact && bits != oxm::exact_mask(field.id) {
            continue;
        }
        oxm::encode_value(out, field.id, key.get(field.id), bits, version);
        done.unwildcard_bits(field.id, bits);
    }
}

/// Writes a cookie to be asked for.
pub fn encode_cookie(out: &mut Vec<u8>, cookie: u64, mask: u64) {
    if mask == 0 {
        return;
    }
    let masked = mask != u64::MAX;
    let len = if masked { 16 } else { 8 };
    OxmHeader { class: 1, number: 30, masked, len, experimenter: None }.encode(out);
    out.put64(cookie & mask);
    if masked {
        out.put64(mask);
    }
}

/// The outer tag: one field before OXM, two since. Where there is none it has no priority to speak of.
fn encode_vlan(out: &mut Vec<u8>, tci: u128, mask: u128, version: Version) {
    let absent = mask & 0x1000 != 0 && tci & mask & 0x1fff == 0;
    let priority = if absent { 0 } else { mask & 0xe000 };
    if version <= Version::V10 || priority != 0 && (priority != 0xe000 || tci & mask & 0x1000 == 0)
    {
        let masked = mask != 0xffff;
        let len = if masked { 4 } else { 2 };
        OxmHeader { class: 0, number: 4, masked, len, experimenter: None }.encode(out);
        out.put_number(tci & mask, 2);
        if masked {
            out.put_number(mask, 2);
        }
        return;
    }
    oxm::encode_value(out, FieldId::VlanVid, tci & 0x1fff, mask & 0x1fff, version);
    if priority != 0 {
        oxm::encode_value(out, FieldId::VlanPcp, tci >> 13, 7, version);
    }
}

/// Whether a field is one that matches are written with in a version: of several that share a
/// place, only one is.
fn said(field: FieldId, version: Version) -> bool {
    let oxm = version >= Version::V12;
    match field {
        FieldId::InPort | FieldId::NwTos => !oxm,
        FieldId::InPortOxm | FieldId::IpDscp => oxm,
        FieldId::DlVlan | FieldId::DlVlanPcp | FieldId::VlanVid | FieldId::VlanPcp => false,
        _ => {
            let row = field.field();
            if field.tun_metadata_number().is_some() {
                return false;
            }
            let views = ["xreg", "xxreg"];
            !row.oxm.is_empty() && !views.iter().any(|view| row.name.starts_with(view))
        }
    }
}
