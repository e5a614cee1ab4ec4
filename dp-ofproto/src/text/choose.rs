//! Text of the actions that choose by a hash: `bundle(…)`, `bundle_load(…)`, `multipath(…)`.

use std::fmt;

use dp_core::base::OfPort;

use super::action_parse::subfield_or_field;
use super::action_print::SubfieldText;
use super::control::number32;
use super::error::{Problem, TextError};
use super::names::{PortNames, parse_port, port_text};
use super::piece::{Item, Piece};
use super::value::number16;
use crate::action::{Action, Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm};

const BUNDLE: &str = "bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORTS)";
const BUNDLE_LOAD: &str = "bundle_load(FIELDS,BASIS,ALGORITHM,ofport,DST,members:PORTS)";
const MULTIPATH: &str = "multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARG,DST)";

/// Takes the next part of a list that has a fixed order.
fn next<'a>(
    item: &Item<'a>,
    list: &mut Piece<'a>,
    what: &'static str,
) -> Result<Item<'a>, TextError> {
    list.next_item()?.ok_or_else(|| item.key.error(Problem::Missing(what)))
}

fn hash_fields(piece: Piece<'_>) -> Result<HashFields, TextError> {
    let known = HashFields::ALL.iter().find(|(_, _, name)| *name == piece.text);
    let expected = Problem::Expected("eth_src, symmetric_l4, symmetric_l3l4, nw_src …");
    Ok(known.ok_or_else(|| piece.error(expected))?.0)
}

fn fields_name(fields: HashFields) -> &'static str {
    HashFields::ALL.iter().find(|row| row.0 == fields).map_or("", |row| row.2)
}

/// `bundle(…)`, or `bundle_load(…)` if `load`.
pub(super) fn parse_bundle(
    item: &Item<'_>,
    names: &dyn PortNames,
    load: bool,
) -> Result<Action, TextError> {
    let what = if load { BUNDLE_LOAD } else { BUNDLE };
    let Some((_, mut list)) = item.value else {
        return Err(item.key.error(Problem::Missing(what)));
    };
    let fields = hash_fields(next(item, &mut list, what)?.key)?;
    let basis = number16(next(item, &mut list, what)?.key, "the basis")?;
    let piece = next(item, &mut list, what)?.key;
    let algorithm = BundleAlgorithm::ALL.iter().find(|(_, _, name)| *name == piece.text);
    let expected = || piece.error(Problem::Expected("active_backup or hrw"));
    let algorithm = algorithm.ok_or_else(expected)?.0;
    let kind = next(item, &mut list, what)?.key;
    if kind.text != "ofport" {
        return Err(kind.error(Problem::Expected("ofport")));
    }
    let dst = match load {
        true => Some(subfield_or_field(next(item, &mut list, what)?.key)?),
        false => None,
    };
    let first = next(item, &mut list, what)?;
    if !matches!(first.key.text, "members" | "slaves") {
        return Err(first.key.error(Problem::Expected("members:PORTS")));
    }
    let mut members = Vec::new();
    let mut member = |piece: Piece<'_>| -> Result<(), TextError> {
        let port = parse_port(piece.text, names);
        members.push(port.ok_or_else(|| piece.error(Problem::UnknownPort))?);
        Ok(())
    };
    if let Some((_, piece)) = first.value.filter(|(_, piece)| !piece.is_empty()) {
        member(piece)?;
    }
    while let Some(more) = list.next_item()? {
        more.expect_none()?;
        member(more.key)?;
    }
    let members: Box<[OfPort]> = members.into();
    Ok(Action::Bundle(Box::new(Bundle { algorithm, fields, basis, members, dst })))
}

pub(super) fn write_bundle(
    f: &mut fmt::Formatter<'_>,
    bundle: &Bundle,
    names: &dyn PortNames,
) -> fmt::Result {
    let algorithm = BundleAlgorithm::ALL.iter().find(|row| row.0 == bundle.algorithm);
    f.write_str(if bundle.dst.is_some() { "bundle_load(" } else { "bundle(" })?;
    write!(f, "{},{},", fields_name(bundle.fields), bundle.basis)?;
    write!(f, "{},ofport,", algorithm.map_or("", |row| row.2))?;
    if let Some(dst) = bundle.dst {
        write!(f, "{},", SubfieldText(dst))?;
    }
    f.write_str("members:")?;
    for (at, port) in bundle.members.iter().enumerate() {
        write!(f, "{}{}", if at == 0 { "" } else { "," }, port_text(*port, names))?;
    }
    f.write_str(")")
}

pub(super) fn parse_multipath(item: &Item<'_>) -> Result<Action, TextError> {
    let Some((_, mut list)) = item.value else {
        return Err(item.key.error(Problem::Missing(MULTIPATH)));
    };
    let fields = hash_fields(next(item, &mut list, MULTIPATH)?.key)?;
    let basis = number16(next(item, &mut list, MULTIPATH)?.key, "the basis")?;
    let piece = next(item, &mut list, MULTIPATH)?.key;
    let algorithm = MultipathAlgorithm::ALL.iter().find(|(_, _, name)| *name == piece.text);
    let expected = || piece.error(Problem::Expected("modulo_n, hash_threshold, hrw or iter_hash"));
    let algorithm = algorithm.ok_or_else(expected)?.0;
    let links = next(item, &mut list, MULTIPATH)?.key;
    let max_link = match number32(links, "links")? {
        count @ 1..=65_536 => u16::try_from(count - 1).unwrap_or(u16::MAX),
        _ => return Err(links.error(Problem::Expected("between 1 and 65536 links"))),
    };
    let arg = number32(next(item, &mut list, MULTIPATH)?.key, "the argument")?;
    let dst = subfield_or_field(next(item, &mut list, MULTIPATH)?.key)?;
    if dst.bits < 16 && u32::from(max_link) > (1 << dst.bits) - 1 {
        return Err(links.error(Problem::TooWide { what: "the destination", bits: dst.bits }));
    }
    if let Some(more) = list.next_item()? {
        return Err(more.key.error(Problem::Expected(MULTIPATH)));
    }
    Ok(Action::Multipath(Box::new(Multipath { fields, basis, algorithm, max_link, arg, dst })))
}

pub(super) fn write_multipath(f: &mut fmt::Formatter<'_>, path: &Multipath) -> fmt::Result {
    let algorithm = MultipathAlgorithm::ALL.iter().find(|row| row.0 == path.algorithm);
    write!(f, "multipath({},{},", fields_name(path.fields), path.basis)?;
    write!(f, "{},{},", algorithm.map_or("", |row| row.2), u32::from(path.max_link) + 1)?;
    write!(f, "{},{})", path.arg, SubfieldText(path.dst))
}
