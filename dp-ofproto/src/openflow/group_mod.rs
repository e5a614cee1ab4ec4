//! Groups: changes of them, descriptions, statistics (OpenFlow 1.1 section A.3.4.2, 1.5 section
//! 7.3.4.3). The extension to OpenFlow 1.0 has the structures of OpenFlow 1.5.

use dp_core::base::{Duration, OfPort};
use dp_core::flow::{FieldId, Wide};

use super::actions::{decode_list, encode_list};
use super::matches::oxm::{self, OxmHeader};
use super::port::put_duration;
use super::wire::{Cursor, Put};
use super::{Code, Version};
use crate::group::{GroupId, GroupKind, Selection, SelectionMethod};
use crate::table::group_mod::{BucketSpec, GroupCommand, GroupMod, bucket_id};

/// The number of each command.
const COMMANDS: [(GroupCommand, u16); 6] = [
    (GroupCommand::Add, 0),
    (GroupCommand::Modify, 1),
    (GroupCommand::Delete, 2),
    (GroupCommand::InsertBucket, 3),
    (GroupCommand::RemoveBucket, 5),
    (GroupCommand::AddOrModify, 0x8000),
];

const NTR_EXPERIMENTER: u32 = 0x0000_154d;
const NTR_SELECTION: u32 = 1;

/// Reads the body of a message.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode(version: Version, body: &[u8]) -> Result<GroupMod, Code> {
    let mut from = Cursor::new(body);
    let (number, kind) = (from.u16()?, from.u8()?);
    from.skip(1)?;
    let group = GroupId(from.u32()?);
    let command = COMMANDS.iter().find(|row| row.1 == number).map(|row| row.0);
    let command = command.ok_or(Code::GmfcBadCommand)?;
    let new = new_form(version);
    if !new && matches!(command, GroupCommand::InsertBucket | GroupCommand::RemoveBucket) {
        return Err(Code::GmfcBadCommand);
    }
    let kind = GroupKind::ALL.iter().find(|row| row.1 == kind).map(|row| row.0);
    let kind = match command {
        GroupCommand::Add | GroupCommand::Modify | GroupCommand::AddOrModify => {
            kind.ok_or(Code::GmfcBadType)?
        }
        _ => kind.unwrap_or(GroupKind::All),
    };
    let (bucket, buckets, selection) = match new {
        true => {
            let len = usize::from(from.u16()?);
            from.skip(2)?;
            let bucket = from.u32()?;
            let buckets = decode_buckets(from.sub(len)?, version)?;
            (bucket, buckets, decode_selection(from)?)
        }
        false => (bucket_id::ALL, decode_buckets(from, version)?, Selection::default()),
    };
    let message = GroupMod { command, kind, group, bucket, buckets, selection };
    check(&message)?;
    Ok(message)
}

fn check(message: &GroupMod) -> Result<(), Code> {
    let numbered = match message.command {
        GroupCommand::InsertBucket => {
            matches!(message.bucket, 0..=bucket_id::MAX | bucket_id::FIRST | bucket_id::LAST)
        }
        GroupCommand::RemoveBucket => {
            !(bucket_id::MAX + 1..bucket_id::FIRST).contains(&message.bucket)
        }
        _ => true,
    };
    let numbers = message.buckets.iter().filter_map(|bucket| bucket.id);
    if !numbered || numbers.clone().any(|id| id > bucket_id::MAX) {
        return Err(if numbered { Code::GmfcBadBucket } else { Code::BrcBadLen });
    }
    let mut sorted: Vec<_> = numbers.collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Code::GmfcBadBucket);
    }
    if message.kind != GroupKind::Select && message.selection != Selection::default() {
        return Err(Code::BpcBadValue);
    }
    match message.command {
        GroupCommand::Add | GroupCommand::Modify | GroupCommand::AddOrModify => check_kind(message),
        _ => Ok(()),
    }
}

fn check_kind(message: &GroupMod) -> Result<(), Code> {
    for bucket in &message.buckets {
        let weighted = bucket.weight.is_some_and(|weight| weight > 0);
        if message.kind != GroupKind::Select && weighted {
            return Err(Code::GmfcInvalidGroup);
        }
        let watches = bucket.watch_port.is_some() || bucket.watch_group.is_some();
        match message.kind {
            GroupKind::FastFailover if !watches => return Err(Code::GmfcInvalidGroup),
            GroupKind::All | GroupKind::Indirect if watches => {
                return Err(Code::GmfcWatchUnsupported);
            }
            _ => {}
        }
    }
    match message.kind {
        GroupKind::Indirect if message.buckets.len() != 1 => Err(Code::GmfcInvalidGroup),
        _ => Ok(()),
    }
}

/// Writes the body of a message.
pub fn encode(out: &mut Vec<u8>, message: &GroupMod, version: Version) {
    let number = COMMANDS.iter().find(|row| row.0 == message.command).map_or(0, |row| row.1);
    out.put16(number);
    put_kind(out, message.kind);
    out.put32(message.group.0);
    if !new_form(version) {
        for bucket in &message.buckets {
            encode_bucket(out, bucket, message.kind, version);
        }
        return;
    }
    let len_at = out.len();
    out.zeros(4);
    out.put32(message.bucket);
    let start = out.len();
    for bucket in &message.buckets {
        encode_bucket(out, bucket, message.kind, version);
    }
    out.set16(len_at, u16::try_from(out.len() - start).unwrap_or(u16::MAX));
    encode_selection(out, &message.selection, version);
}

/// Whether a version has buckets with numbers and groups with properties.
fn new_form(version: Version) -> bool {
    matches!(version, Version::V10 | Version::V15)
}

fn put_kind(out: &mut Vec<u8>, kind: GroupKind) {
    out.put8(GroupKind::ALL.iter().find(|row| row.0 == kind).map_or(0, |row| row.1));
    out.put8(0);
}

fn decode_buckets(mut from: Cursor<'_>, version: Version) -> Result<Vec<BucketSpec>, Code> {
    let mut buckets = Vec::new();
    while !from.is_empty() {
        let mut head = from;
        let len = usize::from(head.u16()?);
        if len < if new_form(version) { 8 } else { 16 } || !len.is_multiple_of(8) {
            return Err(Code::GmfcBadBucket);
        }
        let mut body = from.or(Code::GmfcBadBucket).sub(len)?;
        from.skip(len)?;
        body.skip(2)?;
        buckets.push(match new_form(version) {
            true => decode_bucket15(body, version)?,
            false => decode_bucket11(body, version)?,
        });
    }
    Ok(buckets)
}

fn decode_bucket11(mut from: Cursor<'_>, version: Version) -> Result<BucketSpec, Code> {
    let weight = from.u16()?;
    let watch_port = from.port(version, Code::GmfcBadWatch)?;
    let watch_group = GroupId(from.u32()?);
    from.skip(4)?;
    Ok(BucketSpec {
        id: None,
        weight: Some(weight),
        watch_port: (watch_port != OfPort::NONE).then_some(watch_port),
        watch_group: (watch_group != GroupId::ANY).then_some(watch_group),
        actions: decode_list(from, version)?,
    })
}

fn decode_bucket15(mut from: Cursor<'_>, version: Version) -> Result<BucketSpec, Code> {
    let (len, id) = (usize::from(from.u16()?), from.u32()?);
    let actions = decode_list(from.sub(len)?, version)?;
    let mut bucket =
        BucketSpec { id: Some(id), weight: None, watch_port: None, watch_group: None, actions };
    while let Some((ty, value)) = from.property()? {
        let mut value = value.or(Code::BpcBadLen);
        match ty {
            0 => bucket.weight = Some(value.u16()?),
            1 => {
                let port = OfPort::from_wire32(value.u32()?).ok_or(Code::GmfcBadWatch)?;
                bucket.watch_port = (port != OfPort::NONE).then_some(port);
            }
            2 => {
                let group = GroupId(value.u32()?);
                bucket.watch_group = (group != GroupId::ANY).then_some(group);
            }
            _ => return Err(Code::BpcBadType),
        }
    }
    Ok(bucket)
}

/// Writes a bucket of a group of this kind.
fn encode_bucket(out: &mut Vec<u8>, bucket: &BucketSpec, kind: GroupKind, version: Version) {
    let start = out.len();
    out.zeros(2);
    if !new_form(version) {
        out.put16(bucket.weight.unwrap_or(0));
        out.put_port(version, bucket.watch_port.unwrap_or(OfPort::NONE));
        out.put32(bucket.watch_group.unwrap_or(GroupId::ANY).0);
        out.zeros(4);
        encode_list(out, &bucket.actions, version);
        return out.put_len(start, 0);
    }
    out.zeros(2);
    out.put32(bucket.id.unwrap_or(0));
    let actions = out.len();
    encode_list(out, &bucket.actions, version);
    out.set16(start + 2, u16::try_from(out.len() - actions).unwrap_or(u16::MAX));
    if let Some(weight) = bucket.weight.filter(|_| kind == GroupKind::Select) {
        out.put16(0);
        out.put16(8);
        out.put16(weight);
        out.zeros(2);
    }
    if let Some(port) = bucket.watch_port {
        out.put16(1);
        out.put16(8);
        out.put32(port.to_wire32());
    }
    if let Some(group) = bucket.watch_group {
        out.put16(2);
        out.put16(8);
        out.put32(group.0);
    }
    out.put_len(start, 0);
}

fn decode_selection(mut from: Cursor<'_>) -> Result<Selection, Code> {
    let mut selection = Selection::default();
    while let Some((ty, value)) = from.property()? {
        let mut value = value.or(Code::BpcBadLen);
        if ty != 0xffff {
            return Err(Code::BpcBadType);
        }
        if value.u32()? != NTR_EXPERIMENTER {
            return Err(Code::BpcBadExperimenter);
        }
        if value.u32()? != NTR_SELECTION {
            return Err(Code::BpcBadExpType);
        }
        value.skip(4)?;
        selection.method = match value.text(16)?.as_str() {
            "hash" => SelectionMethod::Hash,
            "dp_hash" => SelectionMethod::DpHash,
            _ => return Err(Code::BpcBadValue),
        };
        selection.param = value.u64()?;
        while !value.is_empty() {
            let header = OxmHeader::decode(&mut value)?;
            let field = header.field().ok_or(Code::BmcBadField)?;
            let mut bytes = value.sub(usize::from(header.len))?;
            selection.fields.push((field, decode_mask(field, header.masked, &mut bytes)?));
        }
        selection.fields.sort_by_key(|(field, _)| *field);
    }
    Ok(selection)
}

/// Which bits of a field are hashed: they stand as its mask, or as its value where it has none.
fn decode_mask(field: FieldId, masked: bool, bytes: &mut Cursor<'_>) -> Result<Wide, Code> {
    let wide = field.tun_metadata_number().is_some();
    let exact = if wide { Wide::ONES } else { oxm::exact_mask(field).into() };
    // Tunnel metadata may be shorter.
    let len = match usize::from(field.field().wire_len) {
        _ if wide && masked => bytes.len() / 2,
        _ if wide => bytes.len(),
        len => len,
    };
    let bits = match (bytes.len().checked_div(len).unwrap_or(0), masked) {
        (0, _) => exact,
        (1, false) => Wide::from_bytes(bytes.bytes(len)?),
        (2, true) => {
            bytes.skip(len)?;
            Wide::from_bytes(bytes.bytes(len)?)
        }
        _ => return Err(Code::BmcBadLen),
    };
    Ok(bits & exact)
}

fn encode_selection(out: &mut Vec<u8>, selection: &Selection, version: Version) {
    let name = match selection.method {
        SelectionMethod::Default => return,
        SelectionMethod::Hash => "hash",
        SelectionMethod::DpHash => "dp_hash",
    };
    let at = out.begin_property(0xffff);
    out.put32(NTR_EXPERIMENTER);
    out.put32(NTR_SELECTION);
    out.zeros(4);
    out.put_text(name, 16);
    out.put64(selection.param);
    for (field, mask) in &selection.fields {
        put_field(out, *field, *mask, version);
    }
    out.end_property(at);
}

/// A field with a mask that says which bits are hashed: the mask stands as the value.
fn put_field(out: &mut Vec<u8>, field: FieldId, mask: Wide, version: Version) {
    if let Some(header) = OxmHeader::of(field, version, false) {
        header.encode(out);
        let bytes = mask.bytes();
        let from = bytes.len().saturating_sub(usize::from(field.field().wire_len));
        out.put(bytes.get(from..).unwrap_or_default());
    }
}

/// Writes an entry of a reply about descriptions.
pub fn encode_desc(
    out: &mut Vec<u8>,
    group: GroupId,
    kind: GroupKind,
    buckets: &[BucketSpec],
    selection: &Selection,
    version: Version,
) {
    let start = out.len();
    out.zeros(2);
    put_kind(out, kind);
    out.put32(group.0);
    let len_at = out.len();
    if new_form(version) {
        out.zeros(8);
    }
    let buckets_at = out.len();
    for bucket in buckets {
        encode_bucket(out, bucket, kind, version);
    }
    if new_form(version) {
        out.set16(len_at, u16::try_from(out.len() - buckets_at).unwrap_or(u16::MAX));
        encode_selection(out, selection, version);
    }
    out.put_len(start, 0);
}

/// What a group has carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatsEntry {
    /// Which.
    pub group: u32,
    /// Rules and groups that use it.
    pub references: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// How long it has been there.
    pub duration: Duration,
    /// Packets and bytes of each bucket.
    pub buckets: Vec<(u64, u64)>,
}

impl GroupStatsEntry {
    /// Writes an entry of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let start = out.len();
        out.zeros(4);
        out.put32(self.group);
        out.put32(self.references);
        out.zeros(4);
        out.put64(self.packets);
        out.put64(self.bytes);
        if version >= Version::V13 || version == Version::V10 {
            put_duration(out, self.duration);
        }
        for (packets, bytes) in &self.buckets {
            out.put64(*packets);
            out.put64(*bytes);
        }
        out.put_len(start, 0);
    }
}

/// Writes the body of a reply about what groups there can be.
pub fn encode_features(out: &mut Vec<u8>, actions: u32) {
    out.put32(0xf);
    // Weights, liveness, chains; and chains are checked for loops.
    out.put32(0x7);
    for _ in 0..4 {
        out.put32(GroupId::MAX.0);
    }
    for _ in 0..4 {
        out.put32(actions);
    }
}

/// Reads which group is asked about: statistics, or descriptions in OpenFlow 1.5.
///
/// # Errors
///
/// If it is too short.
pub fn decode_request(body: &[u8]) -> Result<GroupId, Code> {
    Cursor::new(body).u32().map(GroupId)
}
