//! Text of `ct(…)`, and of `nat(…)` inside it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::action_parse::{number8, parse_list, subfield_or_field};
use super::action_print::{ActionsText, SubfieldText};
use super::error::{Problem, TextError};
use super::names::PortNames;
use super::piece::{Item, Piece};
use super::value::number16;
use super::value_print::Ipv6Text;
use crate::action::{Action, Alg, Checker, Ct, Nat, NatAddresses, NatKind, ZoneSource};

/// Reads `ct(…)`.
pub(super) fn parse_ct(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    let mut ct = Ct::default();
    let Some((_, mut list)) = item.value else { return Ok(Action::Ct(Box::new(ct))) };
    let mut seen = Vec::new();
    while let Some(option) = list.next_item()? {
        let key = option.key;
        if seen.contains(&key.text) && key.text != "nat" {
            return Err(key.error(Problem::Contradiction));
        }
        seen.push(key.text);
        match key.text {
            "commit" => {
                option.expect_none()?;
                ct.commit = true;
            }
            "force" => {
                option.expect_none()?;
                ct.force = true;
            }
            "table" => {
                let piece = option.expect("a table")?;
                ct.table = Some(match number8(piece, "a table")? {
                    255 => return Err(piece.error(Problem::Expected("a table from 0 to 254"))),
                    table => table,
                });
            }
            "zone" => {
                let piece = option.expect("a zone, or a field of 16 bits")?;
                ct.zone = zone(piece)?;
            }
            "alg" => {
                let piece = option.expect("ftp or tftp")?;
                ct.alg = Some(match piece.text {
                    "ftp" => Alg::Ftp,
                    "tftp" => Alg::Tftp,
                    _ => return Err(piece.error(Problem::Expected("ftp or tftp"))),
                });
            }
            "nat" => add_nat(&mut ct, nat(&option)?).map_err(|problem| key.error(problem))?,
            "exec" => {
                let Some((_, inside)) = option.value else {
                    return Err(key.error(Problem::Missing("exec(ACTIONS)")));
                };
                let actions = parse_list(inside, names, &mut Checker::new(None, None))?;
                if !actions.iter().all(in_exec) {
                    let what = "actions that set ct_mark or ct_label, with exec";
                    return Err(inside.error(Problem::Expected(what)));
                }
                ct.exec = actions.into();
            }
            _ => return Err(key.error(Problem::UnknownOption)),
        }
    }
    if ct.force && !ct.commit {
        return Err(item.key.error(Problem::Expected("commit together with force")));
    }
    Ok(Action::Ct(Box::new(ct)))
}

/// One translation, or one of each end.
fn add_nat(ct: &mut Ct, nat: Nat) -> Result<(), Problem> {
    match &ct.nat {
        None => ct.nat = Some(nat),
        Some(one) if ct.nat_also.is_none() && one.kind.is_some() && nat.kind.is_some() => {
            if one.kind == nat.kind {
                return Err(Problem::Contradiction);
            }
            ct.nat_also = Some(nat);
        }
        Some(_) => return Err(Problem::Contradiction),
    }
    Ok(())
}

/// Whether an action may stand in `exec(…)`.
fn in_exec(action: &Action) -> bool {
    use dp_core::flow::FieldId::{CtLabel, CtMark};
    let ours = |field| matches!(field, CtMark | CtLabel);
    match action {
        Action::SetField { field, .. } => ours(*field),
        Action::Load { dst, .. } | Action::Move { dst, .. } => ours(dst.field),
        _ => false,
    }
}

fn zone(piece: Piece<'_>) -> Result<ZoneSource, TextError> {
    if piece.text.starts_with(|c: char| c.is_ascii_digit()) {
        return number16(piece, "a zone").map(ZoneSource::Zone);
    }
    let sub = subfield_or_field(piece)?;
    match sub.bits {
        16 => Ok(ZoneSource::Field(sub)),
        _ => Err(piece.error(Problem::Expected("a field of exactly 16 bits"))),
    }
}

/// `nat`, `nat(src=10.0.0.1-10.0.0.5:100-200,random)`, `nat(dst=[fe80::1]:80)`
fn nat(item: &Item<'_>) -> Result<Nat, TextError> {
    let mut nat = Nat::default();
    let Some((_, mut list)) = item.value else { return Ok(nat) };
    while let Some(option) = list.next_item()? {
        match option.key.text {
            key @ ("src" | "dst") => {
                if nat.kind.is_some() {
                    return Err(option.key.error(Problem::Contradiction));
                }
                nat.kind = Some(if key == "src" { NatKind::Src } else { NatKind::Dst });
                if let Some((_, piece)) = option.value {
                    range(piece, &mut nat)?;
                }
            }
            "persistent" => {
                option.expect_none()?;
                nat.persistent = true;
            }
            "hash" => {
                option.expect_none()?;
                nat.protocol_hash = true;
            }
            "random" => {
                option.expect_none()?;
                nat.protocol_random = true;
            }
            _ => return Err(option.key.error(Problem::UnknownOption)),
        }
    }
    if nat.kind.is_none() && (nat.persistent || nat.protocol_hash || nat.protocol_random) {
        return Err(item.key.error(Problem::Missing("src or dst")));
    }
    if nat.protocol_hash && nat.protocol_random {
        return Err(item.key.error(Problem::Contradiction));
    }
    Ok(nat)
}

fn range(piece: Piece<'_>, nat: &mut Nat) -> Result<(), TextError> {
    let text = piece.text;
    let v6 = text.starts_with('[') || text.split('-').next().unwrap_or("").matches(':').count() > 1;
    let (addresses, ports) = if v6 {
        let end = match text.starts_with('[') {
            true => text.rfind(']').map_or(text.len(), |at| at + 1),
            false => text.len(),
        };
        (piece.slice(0, end), piece.slice(end, text.len()))
    } else {
        let end = text.find(':').unwrap_or(text.len());
        (piece.slice(0, end), piece.slice(end, text.len()))
    };
    let (min, max) = match addresses.split_once("-") {
        Some((min, max)) => (min, Some(max)),
        None => (addresses, None),
    };
    let lower_first = || addresses.error(Problem::Expected("the lower address first"));
    nat.addresses = Some(if v6 {
        let one = |piece: Piece<'_>| -> Result<Ipv6Addr, TextError> {
            let bare = piece.text.trim_start_matches('[').trim_end_matches(']');
            bare.parse().map_err(|_| piece.error(Problem::Expected("an IPv6 address")))
        };
        let (min, max) = (one(min)?, max.map(one).transpose()?);
        if max.is_some_and(|max| max < min) {
            return Err(lower_first());
        }
        NatAddresses::V6 { min, max: max.filter(|max| *max != min) }
    } else {
        let one = |piece: Piece<'_>| -> Result<Ipv4Addr, TextError> {
            piece.text.parse().map_err(|_| piece.error(Problem::Expected("an IPv4 address")))
        };
        let (min, max) = (one(min)?, max.map(one).transpose()?);
        if max.is_some_and(|max| max < min) {
            return Err(lower_first());
        }
        NatAddresses::V4 { min, max: max.filter(|max| *max != min) }
    });
    if ports.is_empty() {
        return Ok(());
    }
    let Some(("", _)) = ports.text.split_once(':') else {
        return Err(ports.error(Problem::Expected("`:` and ports")));
    };
    let ports = ports.slice(1, ports.text.len());
    nat.ports = Some(match ports.split_once("-") {
        Some((min, max)) => {
            let (low, high) = (number16(min, "a port")?, number16(max, "a port")?);
            if high < low {
                return Err(ports.error(Problem::Expected("the lower port first")));
            }
            (low, Some(high).filter(|high| *high != low))
        }
        None => (number16(ports, "a port")?, None),
    });
    Ok(())
}

pub(super) fn write_ct(f: &mut fmt::Formatter<'_>, ct: &Ct, names: &dyn PortNames) -> fmt::Result {
    let mut parts = Vec::new();
    if ct.commit {
        parts.push("commit".to_owned());
    }
    if ct.force {
        parts.push("force".to_owned());
    }
    if let Some(table) = ct.table {
        parts.push(format!("table={table}"));
    }
    match ct.zone {
        ZoneSource::Zone(0) => {}
        ZoneSource::Zone(zone) => parts.push(format!("zone={zone}")),
        ZoneSource::Field(sub) => parts.push(format!("zone={}", SubfieldText(sub))),
    }
    for nat in ct.nat.iter().chain(&ct.nat_also) {
        parts.push(NatText(nat).to_string());
    }
    if !ct.exec.is_empty() {
        parts.push(format!("exec({})", ActionsText { actions: &ct.exec, names }));
    }
    if let Some(alg) = ct.alg {
        parts.push(format!("alg={}", alg.name()));
    }
    write!(f, "ct({})", parts.join(","))
}

struct NatText<'a>(&'a Nat);

impl fmt::Display for NatText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nat = self.0;
        f.write_str(match nat.kind {
            None => return f.write_str("nat"),
            Some(NatKind::Src) => "nat(src",
            Some(NatKind::Dst) => "nat(dst",
        })?;
        match nat.addresses {
            None => {}
            Some(NatAddresses::V4 { min, max }) => {
                write!(f, "={min}")?;
                if let Some(max) = max {
                    write!(f, "-{max}")?;
                }
            }
            Some(NatAddresses::V6 { min, max }) => {
                let (open, close) = if nat.ports.is_some() { ("[", "]") } else { ("", "") };
                write!(f, "={open}{}{close}", Ipv6Text(min.into()))?;
                if let Some(max) = max {
                    write!(f, "-{open}{}{close}", Ipv6Text(max.into()))?;
                }
            }
        }
        if let Some((min, max)) = nat.ports {
            write!(f, ":{min}")?;
            if let Some(max) = max {
                write!(f, "-{max}")?;
            }
        }
        for (set, name) in [
            (nat.persistent, ",persistent"),
            (nat.protocol_hash, ",hash"),
            (nat.protocol_random, ",random"),
        ] {
            f.write_str(if set { name } else { "" })?;
        }
        f.write_str(")")
    }
}
