//! Groups and meters as `ovs-ofctl` writes them.
//!
//! ```text
//!   group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst),bucket=weight:5,actions=output:1
//!   meter=1 kbps burst stats bands=type=drop rate=1000 burst_size=500
//! ```

use std::fmt;

use dp_core::flow::{FieldId, Wide};
use dp_core::meter::{Band, MeterConfig, MeterUnit};

use super::action_parse::parse_list;
use super::action_print::ActionsText;
use super::control::number32;
use super::error::{Problem, TextError};
use super::names::{PortNames, parse_port, port_text};
use super::piece::{Item, Piece};
use super::value::{full_mask, number, number16, number64, parse_wide};
use super::value_print::{ValueText, WideHex};
use crate::action::{Action, Checker};
use crate::group::{Group, GroupId, GroupKind, Selection, SelectionMethod};
use crate::table::group_mod::{BucketSpec, GroupCommand, GroupMod, bucket_id};

/// Reads what `ovs-ofctl add-group` takes, for this command.
///
/// # Errors
///
/// What is wrong, and where.
pub fn parse_group(
    text: &str,
    command: GroupCommand,
    names: &dyn PortNames,
) -> Result<GroupMod, TextError> {
    let line = Piece::line(text);
    let mut parts = buckets_of(line).into_iter();
    let mut head = parts.next().unwrap_or(line);
    let mut group = GroupMod {
        command,
        kind: GroupKind::All,
        group: GroupId::ALL,
        bucket: bucket_id::ALL,
        buckets: Vec::new(),
        selection: Selection::default(),
    };
    let (mut kind, mut id) = (None, None);
    while let Some(item) = head.next_item()? {
        match item.key.text {
            "group_id" => id = Some(group_id(item.expect("a group's number")?)?),
            "type" => kind = Some(group_kind(item.expect("all, select, indirect or ff")?)?),
            "command_bucket_id" => group.bucket = command_bucket(&item)?,
            "selection_method" => {
                let piece = item.expect("hash or dp_hash")?;
                group.selection.method = match piece.text {
                    "hash" => SelectionMethod::Hash,
                    "dp_hash" => SelectionMethod::DpHash,
                    _ => return Err(piece.error(Problem::Expected("hash or dp_hash"))),
                };
            }
            "selection_method_param" => {
                group.selection.param = number64(item.expect("a number")?, "the parameter")?;
            }
            "fields" => {
                let list = item.expect("fields(FIELD,…)")?;
                group.selection.fields = fields(list, names)?;
            }
            _ => return Err(item.key.error(Problem::UnknownOption)),
        }
    }
    let deletes = command == GroupCommand::Delete;
    let missing = |what| line.error(Problem::Missing(what));
    match (id, deletes) {
        (Some(id), _) => group.group = id,
        (None, true) => {}
        (None, false) => return Err(missing("group_id=…")),
    }
    let needs_kind = !matches!(
        command,
        GroupCommand::Delete | GroupCommand::InsertBucket | GroupCommand::RemoveBucket
    );
    match kind {
        Some(kind) => group.kind = kind,
        None if needs_kind => return Err(missing("type=…")),
        None => {}
    }
    for part in parts {
        let bucket = bucket(part, names)?;
        if bucket.weight.is_some() && kind.is_some_and(|kind| kind != GroupKind::Select) {
            let only = "only buckets of select groups have a weight";
            return Err(part.error(Problem::NotHere(only)));
        }
        group.buckets.push(bucket);
        if group.kind == GroupKind::Indirect && group.buckets.len() > 1 {
            return Err(part.error(Problem::NotHere("an indirect group has one bucket")));
        }
    }
    Ok(group)
}

/// The line up to the first `bucket=`, and what stands behind each of them.
fn buckets_of(line: Piece<'_>) -> Vec<Piece<'_>> {
    const WORD: &str = "bucket=";
    let text = line.text;
    let mut cuts = vec![];
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            'b' if depth == 0 && text.get(at..).is_some_and(|rest| rest.starts_with(WORD)) => {
                let before = text.get(..at).and_then(|before| before.chars().next_back());
                if before.is_none_or(|c| c == ',' || c.is_whitespace()) {
                    cuts.push(at);
                }
            }
            _ => {}
        }
    }
    let ends = cuts.iter().copied().chain([text.len()]).skip(1);
    let head = line.slice(0, cuts.first().copied().unwrap_or(text.len()));
    let rest = cuts.iter().zip(ends).map(|(&at, end)| line.slice(at + WORD.len(), end).trim());
    std::iter::once(head).chain(rest).collect()
}

fn group_id(piece: Piece<'_>) -> Result<GroupId, TextError> {
    match piece.text {
        "all" => Ok(GroupId::ALL),
        "any" => Ok(GroupId::ANY),
        _ => number32(piece, "a group").map(GroupId),
    }
}

fn group_kind(piece: Piece<'_>) -> Result<GroupKind, TextError> {
    if piece.text == "fast_failover" {
        return Ok(GroupKind::FastFailover);
    }
    let known = GroupKind::ALL.iter().find(|(_, _, name)| *name == piece.text);
    let expected = Problem::Expected("all, select, indirect, ff or fast_failover");
    known.map(|row| row.0).ok_or_else(|| piece.error(expected))
}

fn command_bucket(item: &Item<'_>) -> Result<u32, TextError> {
    let piece = item.expect("a bucket: a number, first, last or all")?;
    Ok(match piece.text {
        "first" => bucket_id::FIRST,
        "last" => bucket_id::LAST,
        "all" => bucket_id::ALL,
        _ => number32(piece, "a bucket")?,
    })
}

/// `ip_src,tcp_dst` or, with masks, `ip_src=255.255.255.0`; ascending.
fn fields(mut list: Piece<'_>, names: &dyn PortNames) -> Result<Vec<(FieldId, Wide)>, TextError> {
    let mut fields = Vec::new();
    while let Some(item) = list.next_item()? {
        let id = FieldId::by_name(item.key.text).or_else(|| FieldId::by_oxm_name(item.key.text));
        let id = id.ok_or_else(|| item.key.error(Problem::UnknownKey))?;
        let mask = match item.value {
            Some((_, piece)) => parse_wide(id.field(), piece, names)?.0,
            None => whole(id),
        };
        if fields.iter().any(|(known, _)| *known == id) {
            return Err(item.key.error(Problem::Contradiction));
        }
        fields.push((id, mask));
    }
    fields.sort_by_key(|(id, _)| *id);
    Ok(fields)
}

/// The mask of a whole field.
fn whole(id: FieldId) -> Wide {
    match id.tun_metadata_number() {
        Some(_) => Wide::ONES,
        None => full_mask(id.field()).into(),
    }
}

/// `weight:5,watch_port:1,bucket_id:7,actions=output:1`
fn bucket(piece: Piece<'_>, names: &dyn PortNames) -> Result<BucketSpec, TextError> {
    let mut bucket =
        BucketSpec { id: None, weight: None, watch_port: None, watch_group: None, actions: vec![] };
    let mut rest = piece;
    let list = loop {
        let before = rest;
        let missing = || piece.error(Problem::Missing("a bucket's actions"));
        let item = rest.next_item()?.ok_or_else(missing)?;
        match item.key.text {
            "weight" => bucket.weight = Some(number16(item.expect("a weight")?, "a weight")?),
            "bucket_id" => bucket.id = Some(number32(item.expect("a number")?, "a bucket")?),
            "watch_port" => {
                let piece = item.expect("a port")?;
                let port = parse_port(piece.text, names);
                bucket.watch_port = Some(port.ok_or_else(|| piece.error(Problem::UnknownPort))?);
            }
            "watch_group" => bucket.watch_group = Some(group_id(item.expect("a group")?)?),
            "actions" | "action" => {
                break before.split_once("=").map_or(rest, |(_, list)| list);
            }
            _ => break before,
        }
    };
    bucket.actions = parse_list(list, names, &mut Checker::new(None, None))?;
    Ok(bucket)
}

/// A group as OpenFlow 1.5 describes it: one line of `ovs-ofctl dump-groups`.
#[derive(Clone, Copy)]
pub struct GroupText<'a> {
    /// The group.
    pub group: &'a Group,
    /// Names of the ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for GroupText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, names } = *self;
        write_head(f, group.id, group.kind, &group.selection, names)?;
        for bucket in group.buckets.iter() {
            let weight = Some(bucket.weight);
            let watch = (bucket.watch_port, bucket.watch_group);
            write_bucket(f, group.kind, (Some(bucket.id), weight), watch, &bucket.actions, names)?;
        }
        Ok(())
    }
}

/// A request to change a group, as [`parse_group`] reads it.
#[derive(Clone, Copy)]
pub struct GroupModText<'a> {
    /// The request.
    pub group_mod: &'a GroupMod,
    /// Names of the ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for GroupModText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group_mod: group, names } = *self;
        write_head(f, group.group, group.kind, &group.selection, names)?;
        for bucket in &group.buckets {
            let numbers = (bucket.id, bucket.weight);
            let watch = (bucket.watch_port, bucket.watch_group);
            write_bucket(f, group.kind, numbers, watch, &bucket.actions, names)?;
        }
        Ok(())
    }
}

fn write_head(
    f: &mut fmt::Formatter<'_>,
    id: GroupId,
    kind: GroupKind,
    selection: &Selection,
    names: &dyn PortNames,
) -> fmt::Result {
    let kind = GroupKind::ALL.iter().find(|row| row.0 == kind).map_or("", |row| row.2);
    match id {
        GroupId::ALL => write!(f, "group_id=all,type={kind}")?,
        GroupId(id) => write!(f, "group_id={id},type={kind}")?,
    }
    match selection.method {
        SelectionMethod::Default => {}
        SelectionMethod::Hash => f.write_str(",selection_method=hash")?,
        SelectionMethod::DpHash => f.write_str(",selection_method=dp_hash")?,
    }
    if selection.param != 0 {
        write!(f, ",selection_method_param={}", selection.param)?;
    }
    match selection.fields.as_slice() {
        [] => Ok(()),
        [(id, mask)] if whole(*id) == *mask => write!(f, ",fields={}", id.field().name),
        fields => {
            for (at, (id, mask)) in fields.iter().enumerate() {
                let field = id.field();
                write!(f, "{}{}", if at == 0 { ",fields(" } else { "," }, field.name)?;
                match id.tun_metadata_number() {
                    _ if whole(*id) == *mask => {}
                    Some(_) => write!(f, "={}", WideHex(*mask))?,
                    None => {
                        let (value, mask) = (mask.low(), full_mask(field));
                        write!(f, "={}", ValueText { field, value, mask, names })?;
                    }
                }
            }
            f.write_str(")")
        }
    }
}

fn write_bucket(
    f: &mut fmt::Formatter<'_>,
    kind: GroupKind,
    (id, weight): (Option<u32>, Option<u16>),
    (port, group): (Option<dp_core::base::OfPort>, Option<GroupId>),
    actions: &[Action],
    names: &dyn PortNames,
) -> fmt::Result {
    f.write_str(",bucket=")?;
    if let Some(id) = id {
        write!(f, "bucket_id:{id},")?;
    }
    if let Some(weight) = weight.filter(|&weight| kind == GroupKind::Select && weight != 1) {
        write!(f, "weight:{weight},")?;
    }
    if let Some(port) = port {
        write!(f, "watch_port:{},", port_text(port, names))?;
    }
    if let Some(group) = group {
        write!(f, "watch_group:{},", group.0)?;
    }
    write!(f, "actions={}", ActionsText { actions, names })
}

/// A meter as text has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterText {
    /// Its OpenFlow number.
    pub meter: u32,
    /// What it does.
    pub config: MeterConfig,
    /// Whether statistics were asked for.
    pub stats: bool,
}

/// Numbers of meters that have a name.
const METERS: [(u32, &str); 3] =
    [(0xffff_fffd, "slowpath"), (0xffff_fffe, "controller"), (0xffff_ffff, "all")];

/// Reads what `ovs-ofctl add-meter` takes.
///
/// # Errors
///
/// What is wrong, and where.
pub fn parse_meter(text: &str) -> Result<MeterText, TextError> {
    let line = Piece::line(text);
    let mut rest = line;
    let (mut meter, mut unit, mut burst, mut stats) = (None, None, false, false);
    let mut bands = Vec::new();
    while let Some(item) = rest.next_item()? {
        match item.key.text {
            "meter" => meter = Some(meter_number(item.expect("a meter's number")?)?),
            "kbps" => unit = Some(MeterUnit::Kilobits),
            "pktps" => unit = Some(MeterUnit::Packets),
            "burst" => burst = true,
            "stats" => stats = true,
            "band" | "bands" => {
                // The first band's type is the value itself: bands=type=drop rate=5.
                let piece = item.expect("type=drop rate=…")?;
                match piece.split_once("=") {
                    Some((key, kind)) if key.text == "type" => band_kind(kind, &mut bands)?,
                    _ => return Err(piece.error(Problem::Expected("type=drop"))),
                }
            }
            "type" => band_kind(item.expect("drop")?, &mut bands)?,
            "rate" => {
                let piece = item.expect("a rate")?;
                let band =
                    bands.last_mut().ok_or_else(|| item.key.error(Problem::UnknownOption))?;
                band.rate = number32(piece, "a rate")?;
            }
            "burst_size" => {
                let piece = item.expect("a size")?;
                let band =
                    bands.last_mut().ok_or_else(|| item.key.error(Problem::UnknownOption))?;
                band.burst = Some(number32(piece, "a burst")?);
            }
            _ => return Err(item.key.error(Problem::UnknownOption)),
        }
    }
    let missing = |what| line.error(Problem::Missing(what));
    let meter = meter.ok_or_else(|| missing("meter=…"))?;
    let unit = unit.ok_or_else(|| missing("kbps or pktps"))?;
    if bands.is_empty() {
        return Err(missing("bands=type=drop rate=…"));
    }
    if bands.iter().any(|band| band.rate == 0) {
        return Err(missing("rate=…, of at least 1"));
    }
    if burst && bands.iter().any(|band| band.burst.is_none()) {
        return Err(missing("burst_size=…, which burst calls for"));
    }
    if !burst {
        bands.iter_mut().for_each(|band| band.burst = None);
    }
    Ok(MeterText { meter, config: MeterConfig { unit, bands }, stats })
}

fn meter_number(piece: Piece<'_>) -> Result<u32, TextError> {
    match METERS.iter().find(|(_, name)| *name == piece.text) {
        Some((number, _)) => Ok(*number),
        None => match number(piece, "a meter", 32)? {
            0 => Err(piece.error(Problem::Expected("a meter from 1 on"))),
            found => Ok(u32::try_from(found).unwrap_or(0)),
        },
    }
}

fn band_kind(piece: Piece<'_>, bands: &mut Vec<Band>) -> Result<(), TextError> {
    match piece.text {
        "drop" => {
            bands.push(Band { rate: 0, burst: None });
            Ok(())
        }
        _ => Err(piece.error(Problem::Expected("drop: other bands are not supported"))),
    }
}

impl fmt::Display for MeterText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match METERS.iter().find(|(number, _)| *number == self.meter) {
            Some((_, name)) => write!(f, "meter={name}")?,
            None => write!(f, "meter={}", self.meter)?,
        }
        f.write_str(match self.config.unit {
            MeterUnit::Kilobits => " kbps",
            MeterUnit::Packets => " pktps",
        })?;
        let burst = self.config.bands.iter().any(|band| band.burst.is_some());
        f.write_str(if burst { " burst" } else { "" })?;
        f.write_str(if self.stats { " stats" } else { "" })?;
        f.write_str(" bands=")?;
        for band in &self.config.bands {
            write!(f, "\ntype=drop rate={}", band.rate)?;
            if let Some(burst) = band.burst {
                write!(f, " burst_size={burst}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupModText, parse_group, parse_meter};
    use crate::table::group_mod::{GroupCommand, GroupMod};
    use crate::text::NumbersOnly;

    fn group(text: &str) -> Result<GroupMod, String> {
        parse_group(text, GroupCommand::Add, &NumbersOnly).map_err(|error| error.to_string())
    }

    #[test]
    fn groups_are_printed_as_the_reference_prints_them() {
        for (given, expect) in [
            (
                "group_id=1,type=all,bucket=output:1,bucket=output:2",
                "group_id=1,type=all,bucket=actions=output:1,bucket=actions=output:2",
            ),
            (
                "group_id=1,type=select,bucket=weight:5,output:1,bucket=weight=3,actions=output:2",
                "group_id=1,type=select,bucket=weight:5,actions=output:1,bucket=weight:3,actions=output:2",
            ),
            (
                "group_id=1,type=select,selection_method=hash,fields(ip_src=255.255.255.0,tcp_src),selection_method_param=5,bucket=output:1",
                "group_id=1,type=select,selection_method=hash,selection_method_param=5,fields(ip_src=255.255.255.0,tcp_src),bucket=actions=output:1",
            ),
            (
                "group_id=1,type=select,selection_method=hash,fields=ip_src,bucket=output:1",
                "group_id=1,type=select,selection_method=hash,fields=ip_src,bucket=actions=output:1",
            ),
            (
                "group_id=1,type=select,selection_method=dp_hash,bucket=bucket_id=7,output:1",
                "group_id=1,type=select,selection_method=dp_hash,bucket=bucket_id:7,actions=output:1",
            ),
            (
                "group_id=1,type=fast_failover,bucket=watch_port=1,output:1,bucket=watch_group:2,output:2",
                "group_id=1,type=ff,bucket=watch_port:1,actions=output:1,bucket=watch_group:2,actions=output:2",
            ),
            ("group_id=1,type=all", "group_id=1,type=all"),
            ("group_id=1,type=all,bucket=drop", "group_id=1,type=all,bucket=actions=drop"),
            (
                "group_id=1,type=all,bucket=set_field:1.2.3.4->ip_src,output:1,group:4",
                "group_id=1,type=all,bucket=actions=set_field:1.2.3.4->ip_src,output:1,group:4",
            ),
            (
                "group_id=1,type=select,bucket=weight:0,output:1",
                "group_id=1,type=select,bucket=weight:0,actions=output:1",
            ),
        ] {
            let parsed = group(given).unwrap();
            let printed = GroupModText { group_mod: &parsed, names: &NumbersOnly }.to_string();
            assert_eq!(printed, expect);
            assert_eq!(group(&printed), Ok(parsed));
        }
    }

    #[test]
    fn faults_of_groups_are_named() {
        for (given, expect) in [
            ("group_id=1", "value missing; expected type=…"),
            ("type=all,bucket=output:1", "value missing; expected group_id=…"),
            ("group_id=1,type=foo", "`foo`: expected all, select, indirect, ff or fast_failover"),
            ("group_id=1,type=all,bucket=", "value missing; expected a bucket's actions"),
            ("group_id=1,type=all,bucket=foo", "column 28: `foo`: unknown action"),
            ("group_id=1,type=all,foo=1", "`foo`: no such option"),
            (
                "group_id=1,type=indirect,bucket=output:1,bucket=output:2",
                "an indirect group has one bucket",
            ),
            (
                "group_id=1,type=all,bucket=weight:5,output:1",
                "only buckets of select groups have a weight",
            ),
        ] {
            let error = group(given).unwrap_err();
            assert!(error.contains(expect), "{given}: {error}");
        }
        let all = parse_group("", GroupCommand::Delete, &NumbersOnly).unwrap();
        assert_eq!(all.group, crate::group::GroupId::ALL);
    }

    #[test]
    fn meters_are_read_and_printed() {
        for (given, expect) in [
            (
                "meter=1 kbps burst stats bands=type=drop rate=1000 burst_size=500",
                "meter=1 kbps burst stats bands=\ntype=drop rate=1000 burst_size=500",
            ),
            ("meter=2,pktps,band=type=drop,rate=5", "meter=2 pktps bands=\ntype=drop rate=5"),
            (
                "meter=controller,kbps,bands=type=drop,rate=5,type=drop,rate=9",
                "meter=controller kbps bands=\ntype=drop rate=5\ntype=drop rate=9",
            ),
        ] {
            assert_eq!(parse_meter(given).unwrap().to_string(), expect);
        }
        for text in [
            "meter=1 kbps",
            "kbps bands=type=drop rate=1",
            "meter=0 kbps bands=type=drop rate=1",
            "meter=1 kbps bands=type=drop",
            "meter=1 kbps burst bands=type=drop rate=1",
            "meter=1 kbps bands=type=dscp_remark rate=1",
            "meter=1 bands=type=drop rate=1",
        ] {
            assert!(parse_meter(text).is_err(), "{text}");
        }
    }
}
