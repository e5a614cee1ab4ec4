//! Reading actions and instructions (`ovs-actions(7)`).

use std::net::Ipv4Addr;

use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::{FieldId, layout};

use super::choose::{parse_bundle, parse_multipath};
use super::control::{number32, parse_conjunction, parse_controller, parse_hex, parse_sample};
use super::ct::parse_ct;
use super::encap::{parse_decap, parse_encap};
use super::error::{Problem, TextError};
use super::learn::{parse_delete_field, parse_learn};
use super::names::{PortNames, parse_port};
use super::piece::{Form, Item, Piece};
use super::value::{mac, number, number16, number64, parse_value, parse_wide, wide_number};
use crate::action::{Action, Checker, SetOption, Subfield, width};
use crate::matching::Match;

/// Reads a list of actions: `mod_dl_dst:00:11:22:33:44:55,output:2`. An empty list and `drop` are
/// the same.
///
/// # Errors
///
/// What is wrong, and where.
pub fn parse_actions(text: &str, names: &dyn PortNames) -> Result<Vec<Action>, TextError> {
    parse_list(Piece::line(text), names, &mut Checker::new(None, None))
}

/// The same for the rest of a flow line.
pub(super) fn parse_for_rule(
    piece: Piece<'_>,
    names: &dyn PortNames,
    table: Option<u8>,
    matching: &Match,
) -> Result<Vec<Action>, TextError> {
    parse_list(piece, names, &mut Checker::new(table, Some(matching)))
}

pub(super) fn parse_list(
    mut piece: Piece<'_>,
    names: &dyn PortNames,
    checker: &mut Checker<'_>,
) -> Result<Vec<Action>, TextError> {
    let mut actions = Vec::new();
    let mut drop = None;
    let mut others = false;
    while let Some(item) = piece.next_item()? {
        if item.key.text == "drop" {
            item.expect_none()?;
            drop = Some(item.key);
            continue;
        }
        others = true;
        let from = actions.len();
        if item.key.text == "check_pkt_larger" {
            actions.push(check_pkt_larger(&item, &mut piece)?);
        } else {
            parse_one(&item, names, &mut actions)?;
        }
        for action in &actions[from..] {
            checker.next(action).map_err(|error| item.key.error(error))?;
        }
    }
    match drop {
        Some(at) if others => Err(at.error(Problem::DropNotAlone)),
        _ => Ok(actions),
    }
}

fn parse_one(
    item: &Item<'_>,
    names: &dyn PortNames,
    out: &mut Vec<Action>,
) -> Result<(), TextError> {
    out.push(match item.key.text {
        "output" => output(item, names)?,
        "controller" | "CONTROLLER" => parse_controller(item)?,
        "resubmit" => resubmit(item, names)?,
        "goto_table" => Action::GotoTable(table(item.expect("a table: goto_table:1")?)?),
        "set_field" => set_field(item, names)?,
        "load" => return load(item, out),
        "move" => {
            let piece = item.expect("move:SOURCE->DESTINATION")?;
            let (src, dst) = arrow(piece)?;
            Action::Move { src: subfield(src)?, dst: subfield(dst)? }
        }
        "push" => Action::Push(subfield(item.expect("push:FIELD[START..END]")?)?),
        "pop" => Action::Pop(subfield(item.expect("pop:FIELD[START..END]")?)?),
        "set_tunnel" | "set_tunnel64" => {
            let id = number64(item.expect("a tunnel key")?, "the tunnel key")?;
            let wide = item.key.text == "set_tunnel64" || id > u64::from(u32::MAX);
            Action::SetTunnel { id, wide }
        }
        "write_metadata" => write_metadata(item)?,
        "clear_actions" => bare(item, Action::ClearActions)?,
        "write_actions" => {
            let Some((_, list)) = item.value else {
                return Err(item.key.error(Problem::Missing("write_actions(ACTIONS)")));
            };
            let set = parse_list(list, names, &mut Checker::new(None, None))?;
            Action::WriteActions(set.into_boxed_slice())
        }
        "note" => note(item)?,
        "exit" => bare(item, Action::Exit)?,
        "strip_vlan" => bare(item, Action::StripVlan)?,
        "pop_vlan" => bare(item, Action::PopVlan)?,
        "dec_ttl" => dec_ttl(item)?,
        _ => match modification(item)? {
            Some(action) => action,
            None => match extension(item, names)? {
                Some(action) => action,
                None => port_or_unknown(item, names)?,
            },
        },
    });
    Ok(())
}

/// The actions that came with Nicira's extensions and the later versions.
fn extension(item: &Item<'_>, names: &dyn PortNames) -> Result<Option<Action>, TextError> {
    let small = |what, bits| -> Result<u32, TextError> {
        let piece = item.expect("a number")?;
        let value = number(piece, what, bits)?;
        u32::try_from(value).map_err(|_| piece.error(Problem::TooWide { what, bits }))
    };
    let byte = |what, bits| small(what, bits).map(|value| u8::try_from(value).unwrap_or(u8::MAX));
    let short = |what| small(what, 16).map(|value| u16::try_from(value).unwrap_or(u16::MAX));
    Ok(Some(match item.key.text {
        "enqueue" => enqueue(item, names)?,
        "group" => Action::Group(small("a group", 32)?),
        "bundle" => parse_bundle(item, names, false)?,
        "bundle_load" => parse_bundle(item, names, true)?,
        "multipath" => parse_multipath(item)?,
        "set_queue" => Action::SetQueue(small("a queue", 32)?),
        "pop_queue" => bare(item, Action::PopQueue)?,
        "push_mpls" => Action::PushMpls(short("an Ethertype")?),
        "pop_mpls" => Action::PopMpls(short("an Ethertype")?),
        "set_mpls_label" => Action::SetMplsLabel(small("a label", 20)?),
        "set_mpls_tc" => Action::SetMplsTc(byte("a traffic class", 3)?),
        "set_mpls_ttl" => Action::SetMplsTtl(byte("a TTL", 8)?),
        "dec_mpls_ttl" => bare(item, Action::DecMplsTtl)?,
        "dec_nsh_ttl" => bare(item, Action::DecNshTtl)?,
        "encap" => parse_encap(item)?,
        "decap" => parse_decap(item)?,
        "ct" => parse_ct(item, names)?,
        "ct_clear" => bare(item, Action::CtClear)?,
        "learn" => parse_learn(item, names)?,
        "conjunction" => parse_conjunction(item)?,
        "fin_timeout" => fin_timeout(item)?,
        "sample" => parse_sample(item, names)?,
        "clone" => {
            let Some((_, list)) = item.value else {
                return Err(item.key.error(Problem::Missing("clone(ACTIONS)")));
            };
            let actions = parse_list(list, names, &mut Checker::new(None, None))?;
            Action::Clone(actions.into_boxed_slice())
        }
        "meter" => Action::Meter(small("a meter", 32)?),
        "delete_field" => parse_delete_field(item)?,
        "debug_recirc" => bare(item, Action::DebugRecirc)?,
        "debug_slow" => bare(item, Action::DebugSlow)?,
        _ => return Ok(None),
    }))
}

/// `enqueue:PORT:QUEUE` or `enqueue(PORT,QUEUE)`.
fn enqueue(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    let piece = item.expect("a port and a queue: enqueue:1:2")?;
    let parts = piece.split_once(":").or_else(|| piece.split_once(","));
    let expected = || piece.error(Problem::Expected("a port and a queue: enqueue:1:2"));
    let (port, queue) = parts.ok_or_else(expected)?;
    let number = parse_port(port.trim().text, names);
    let port = number.ok_or_else(|| port.error(Problem::UnknownPort))?;
    Ok(Action::Enqueue { port, queue: number32(queue.trim(), "a queue")? })
}

/// `fin_timeout(idle_timeout=5,hard_timeout=10)`
fn fin_timeout(item: &Item<'_>) -> Result<Action, TextError> {
    let (mut idle, mut hard) = (0, 0);
    if let Some((_, mut list)) = item.value {
        while let Some(option) = list.next_item()? {
            let seconds = number16(option.expect("seconds")?, "the timeout")?;
            match option.key.text {
                "idle_timeout" => idle = seconds,
                "hard_timeout" => hard = seconds,
                _ => return Err(option.key.error(Problem::UnknownOption)),
            }
        }
    }
    Ok(Action::FinTimeout { idle, hard })
}

/// `check_pkt_larger(100)->reg0[0]`: what stands behind the arrow is the next item.
fn check_pkt_larger(item: &Item<'_>, rest: &mut Piece<'_>) -> Result<Action, TextError> {
    const WHAT: &str = "check_pkt_larger(BYTES)->FIELD[BIT]";
    let len = number16(item.expect(WHAT)?, "a length")?;
    let missing = || item.key.error(Problem::Missing(WHAT));
    if !rest.text.starts_with("->") {
        return Err(missing());
    }
    let target = rest.next_item()?.ok_or_else(missing)?.key;
    let dst = subfield(target.slice(2, target.text.len()).trim())?;
    match dst.bits {
        1 => Ok(Action::CheckPktLarger { len, dst }),
        _ => Err(target.error(Problem::Expected("a single bit"))),
    }
}

/// The `mod_` family and `push_vlan`.
fn modification(item: &Item<'_>) -> Result<Option<Action>, TextError> {
    let mac = || -> Result<MacAddr, TextError> {
        let value = mac(item.expect("an Ethernet address")?)?;
        Ok(MacAddr::from_u64(u64::try_from(value).unwrap_or(u64::MAX)))
    };
    let ip = || -> Result<Ipv4Addr, TextError> {
        let piece = item.expect("an IPv4 address")?;
        let expected = |_| piece.error(Problem::Expected("an IPv4 address: 192.0.2.1"));
        piece.text.parse().map_err(expected)
    };
    let small = |what, bits| -> Result<u16, TextError> {
        let piece = item.expect("a number")?;
        let value = number(piece, what, bits)?;
        u16::try_from(value).map_err(|_| piece.error(Problem::TooWide { what, bits }))
    };
    let byte = |what, bits| -> Result<u8, TextError> {
        let value = small(what, bits)?;
        u8::try_from(value).map_err(|_| item.key.error(Problem::TooWide { what, bits }))
    };
    Ok(Some(match item.key.text {
        "mod_dl_src" => Action::SetEthSrc(mac()?),
        "mod_dl_dst" => Action::SetEthDst(mac()?),
        "mod_vlan_vid" => Action::SetVlanVid(small("a VID", 12)?),
        "mod_vlan_pcp" => Action::SetVlanPcp(byte("a VLAN priority", 3)?),
        "push_vlan" => Action::PushVlan(small("an Ethertype", 16)?),
        "mod_nw_src" => Action::SetIpv4Src(ip()?),
        "mod_nw_dst" => Action::SetIpv4Dst(ip()?),
        "mod_nw_tos" => Action::SetTos(byte("a tos", 8)?),
        "mod_nw_ecn" => Action::SetEcn(byte("an ECN", 2)?),
        "mod_nw_ttl" => Action::SetTtl(byte("a TTL", 8)?),
        "mod_tp_src" => Action::SetL4Src(small("a port", 16)?),
        "mod_tp_dst" => Action::SetL4Dst(small("a port", 16)?),
        _ => return Ok(None),
    }))
}

/// A port alone is an output to it.
fn port_or_unknown(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    if let Some(port) = parse_port(item.key.text, names) {
        return bare(item, Action::output(port));
    }
    Err(item.key.error(match item.key.text {
        "apply_actions" => Problem::Expected("actions without apply_actions, which is implied"),
        "nat" => Problem::Expected("nat inside ct(…)"),
        _ => Problem::UnknownAction,
    }))
}

fn bare(item: &Item<'_>, action: Action) -> Result<Action, TextError> {
    match item.value {
        Some((Form::Parentheses, value)) if value.is_empty() => Ok(action),
        _ => item.expect_none().map(|()| action),
    }
}

fn output(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    let piece = item.expect("a port: output:1, or a subfield: output:reg0[0..15]")?;
    if let Some(port) = parse_port(piece.text, names) {
        return Ok(Action::output(port));
    }
    if piece.text.contains('[') {
        return Ok(Action::OutputReg { src: subfield(piece)?, max_len: u16::MAX });
    }
    if piece.text.contains("port") {
        return output_trunc(item, piece, names);
    }
    Err(piece.error(Problem::UnknownPort))
}

/// `output(port=1,max_len=100)`
fn output_trunc(
    item: &Item<'_>,
    mut list: Piece<'_>,
    names: &dyn PortNames,
) -> Result<Action, TextError> {
    const WHAT: &str = "output(port=PORT,max_len=BYTES)";
    let (mut port, mut max_len) = (None, None);
    while let Some(option) = list.next_item()? {
        let piece = option.expect(WHAT)?;
        match option.key.text {
            "port" => {
                let found = parse_port(piece.text, names);
                port = Some(found.ok_or_else(|| piece.error(Problem::UnknownPort))?);
            }
            "max_len" => {
                max_len = Some(match number32(piece, "max_len")? {
                    len if len < 14 => {
                        return Err(piece.error(Problem::Expected("at least 14 bytes")));
                    }
                    len => len,
                });
            }
            _ => return Err(option.key.error(Problem::UnknownOption)),
        }
    }
    match (port, max_len) {
        (Some(port), Some(max_len)) => Ok(Action::OutputTrunc { port, max_len }),
        _ => Err(item.key.error(Problem::Missing(WHAT))),
    }
}

fn resubmit(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    const WHAT: &str = "resubmit:PORT, resubmit(PORT,TABLE) or resubmit(,TABLE)";
    let Some((_, piece)) = item.value else {
        return Err(item.key.error(Problem::Missing(WHAT)));
    };
    let (port, rest) = match piece.split_once(",") {
        Some((port, rest)) => (port.trim(), Some(rest.trim())),
        None => (piece.trim(), None),
    };
    let in_port = match port.text {
        "" => None,
        name => {
            let port = parse_port(name, names);
            Some(port.ok_or_else(|| port_error(piece))?).filter(|port| *port != OfPort::IN_PORT)
        }
    };
    let (rest, ct) = match rest.and_then(|rest| rest.split_once(",")) {
        Some((table, option)) if option.trim().text == "ct" => (Some(table.trim()), true),
        Some((_, option)) => return Err(option.trim().error(Problem::Expected("ct"))),
        None => (rest, false),
    };
    let table = match rest.filter(|rest| !rest.is_empty()) {
        None => None,
        Some(rest) => Some(number8(rest, "a table")?).filter(|&table| table != 255),
    };
    if in_port.is_none() && table.is_none() {
        return Err(item.key.error(Problem::Missing(WHAT)));
    }
    Ok(Action::Resubmit { in_port, table, ct })
}

fn port_error(piece: Piece<'_>) -> TextError {
    piece.error(Problem::UnknownPort)
}

fn set_field(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    let piece = item.expect("set_field:VALUE[/MASK]->FIELD")?;
    let (value, name) = arrow(piece)?;
    let field = field_named(name)?;
    if field == FieldId::VlanVid {
        let present = u128::from(layout::VLAN_PRESENT);
        let vid = number(value, "vlan_vid", 13)?;
        if vid & present == 0 {
            return Err(value.error(Problem::Expected(
                "a VID with the present bit: set_field:0x1005->vlan_vid",
            )));
        }
        return Ok(Action::set_field(field, vid));
    }
    let row = field.field();
    if field.tun_metadata_number().is_some() {
        let (bits, mask) = parse_wide(row, value, names)?;
        if mask.is_zero() {
            return Err(value.error(Problem::Expected("a mask with a bit set")));
        }
        return Ok(Action::SetOption(Box::new(SetOption { field, value: bits, mask })));
    }
    let (bits, mask) = parse_value(row, value, names)?;
    if mask == 0 {
        return Err(value.error(Problem::Expected("a mask with a bit set")));
    }
    let narrow = row.bits % 8 != 0 && mask == row.ones();
    Ok(Action::SetField { field, value: bits, mask, named: narrow && value.text.contains('/') })
}

/// `load:VALUE->SUBFIELD`. A subfield of more than 64 bits takes several loads, lowest bits first;
/// tunnel metadata are set instead, however wide.
fn load(item: &Item<'_>, out: &mut Vec<Action>) -> Result<(), TextError> {
    let piece = item.expect("load:VALUE->FIELD[START..END]")?;
    let (value, dst) = arrow(piece)?;
    let dst = subfield_or_field(dst)?;
    if dst.is_wide() {
        let number = wide_number(value, dst.field.field().name, dst.bits)?;
        let value = number << u32::from(dst.start);
        let set = SetOption { field: dst.field, value, mask: dst.wide_mask() };
        out.push(Action::SetOption(Box::new(set)));
        return Ok(());
    }
    let mut number = number(value, dst.field.field().name, dst.bits)?;
    let Subfield { field, mut start, mut bits } = dst;
    while bits > 0 {
        let part = bits.min(64);
        let low = number & Subfield { field, start, bits: part }.ones();
        let value = u64::try_from(low).unwrap_or(u64::MAX);
        out.push(Action::Load { dst: Subfield { field, start, bits: part }, value });
        number = number.checked_shr(u32::from(part)).unwrap_or(0);
        (start, bits) = (start + part, bits - part);
    }
    Ok(())
}

fn write_metadata(item: &Item<'_>) -> Result<Action, TextError> {
    let piece = item.expect("write_metadata:VALUE[/MASK]")?;
    let (value, mask) = match piece.split_once("/") {
        Some((value, mask)) => (value, number64(mask, "metadata")?),
        None => (piece, u64::MAX),
    };
    Ok(Action::WriteMetadata { value: number64(value, "metadata")? & mask, mask })
}

/// Bytes in hexadecimal. The wire pads notes, so that the last byte fills 8 bytes counted from two
/// bytes before the first.
fn note(item: &Item<'_>) -> Result<Action, TextError> {
    let mut bytes = match item.value {
        Some((_, piece)) => parse_hex(piece)?,
        None => Vec::new(),
    };
    while bytes.len() % 8 != 6 {
        bytes.push(0);
    }
    Ok(Action::Note(bytes.into_boxed_slice()))
}

fn dec_ttl(item: &Item<'_>) -> Result<Action, TextError> {
    let mut controllers = Vec::new();
    if let Some((_, mut list)) = item.value {
        while let Some(id) = list.next_item()? {
            id.expect_none()?;
            controllers.push(number16(id.key, "a controller's number")?);
        }
    }
    if controllers.is_empty() {
        // As the wire has it.
        controllers.push(0);
    }
    Ok(Action::DecTtl(controllers.into_boxed_slice()))
}

fn table(piece: Piece<'_>) -> Result<u8, TextError> {
    match number8(piece, "a table")? {
        255 => Err(piece.error(Problem::Expected("a table from 0 to 254"))),
        table => Ok(table),
    }
}

pub(super) fn number8(piece: Piece<'_>, what: &'static str) -> Result<u8, TextError> {
    let value = number(piece, what, 8)?;
    u8::try_from(value).map_err(|_| piece.error(Problem::TooWide { what, bits: 8 }))
}

pub(super) fn arrow(piece: Piece<'_>) -> Result<(Piece<'_>, Piece<'_>), TextError> {
    let (left, right) =
        piece.split_once("->").ok_or_else(|| piece.error(Problem::Expected("`->`")))?;
    Ok((left.trim(), right.trim()))
}

/// A field that actions can name: one with a number on the wire.
pub(super) fn field_named(piece: Piece<'_>) -> Result<FieldId, TextError> {
    let field = FieldId::by_name(piece.text).or_else(|| FieldId::by_oxm_name(piece.text));
    field
        .filter(|field| !field.field().oxm.is_empty())
        .ok_or_else(|| piece.error(Problem::Expected("a field: reg0, NXM_NX_REG0, eth_dst …")))
}

pub(super) fn subfield_or_field(piece: Piece<'_>) -> Result<Subfield, TextError> {
    match piece.text.contains('[') {
        true => subfield(piece),
        false => Ok(Subfield::whole(field_named(piece)?)),
    }
}

/// Reads a subfield: `FIELD[]`, `FIELD[BIT]` or `FIELD[START..END]`.
///
/// # Errors
///
/// What is wrong, and where.
pub fn parse_subfield(text: &str) -> Result<Subfield, TextError> {
    subfield(Piece::line(text))
}

/// `FIELD[]`, `FIELD[BIT]` or `FIELD[START..END]`; `FIELD` alone is all of it.
pub(super) fn subfield(piece: Piece<'_>) -> Result<Subfield, TextError> {
    let expected = || piece.error(Problem::Expected("FIELD[], FIELD[BIT] or FIELD[START..END]"));
    let Some((name, rest)) = piece.split_once("[") else {
        return field_named(piece).map(Subfield::whole);
    };
    let field = field_named(name)?;
    let inner = match rest.text.strip_suffix(']') {
        Some(inner) => rest.slice(0, inner.len()),
        None => return Err(expected()),
    };
    if inner.is_empty() {
        return Ok(Subfield::whole(field));
    }
    let (start, end) = match inner.split_once("..") {
        Some((start, end)) => (number16(start, "a bit number")?, number16(end, "a bit number")?),
        None => {
            let bit = number16(inner, "a bit number")?;
            (bit, bit)
        }
    };
    if start > end {
        return Err(inner.error(Problem::Expected("the lower bit first: FIELD[START..END]")));
    }
    let too_wide =
        || inner.error(Problem::TooWide { what: field.field().name, bits: width(field) });
    Subfield::new(field, start, (end - start).saturating_add(1)).ok_or_else(too_wide)
}
