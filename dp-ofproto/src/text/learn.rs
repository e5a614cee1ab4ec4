//! Text of `learn(…)`.

use std::fmt;

use dp_core::flow::{FieldId, Wide};

use super::action_parse::{arrow, field_named, number8, subfield, subfield_or_field};
use super::action_print::SubfieldText;
use super::control::number32;
use super::error::{Problem, TextError};
use super::names::PortNames;
use super::piece::{Form, Item, Piece};
use super::value::{full_mask, number16, number64, parse_wide, wide_number};
use super::value_print::{ValueText, WideHex};
use crate::action::{Action, Learn, LearnSource, LearnSpec, LearnTarget, Subfield};

/// Reads `learn(…)`.
pub(super) fn parse_learn(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    let mut learn = Learn::default();
    let mut specs = Vec::new();
    let Some((_, mut list)) = item.value else {
        return Err(item.key.error(Problem::Missing("learn(…)")));
    };
    while let Some(option) = list.next_item()? {
        let seconds = |what| number16(option.expect("seconds")?, what);
        match option.key.text {
            "table" => {
                let piece = option.expect("a table")?;
                learn.table = match number8(piece, "a table")? {
                    255 => return Err(piece.error(Problem::Expected("a table from 0 to 254"))),
                    table => table,
                };
            }
            "priority" => {
                learn.priority = number16(option.expect("a priority")?, "a priority")?;
            }
            "cookie" => learn.cookie = number64(option.expect("a cookie")?, "a cookie")?,
            "idle_timeout" => learn.idle_timeout = seconds("idle_timeout")?,
            "hard_timeout" => learn.hard_timeout = seconds("hard_timeout")?,
            "fin_idle_timeout" => learn.fin_idle_timeout = seconds("fin_idle_timeout")?,
            "fin_hard_timeout" => learn.fin_hard_timeout = seconds("fin_hard_timeout")?,
            "limit" => learn.limit = number32(option.expect("a number")?, "limit")?,
            "result_dst" => {
                let piece = option.expect("a bit: reg0[0]")?;
                let dst = subfield(piece)?;
                if dst.bits != 1 {
                    return Err(piece.error(Problem::Expected("a single bit")));
                }
                learn.result_dst = Some(dst);
            }
            "send_flow_rem" => {
                option.expect_none()?;
                learn.send_flow_removed = true;
            }
            "delete_learned" => {
                option.expect_none()?;
                learn.delete_learned = true;
            }
            _ => specs.push(spec(&option, names)?),
        }
    }
    learn.specs = specs.into();
    Ok(Action::Learn(Box::new(learn)))
}

fn spec(item: &Item<'_>, names: &dyn PortNames) -> Result<LearnSpec, TextError> {
    match (item.key.text, item.value) {
        ("load", Some((Form::Colon, piece))) => {
            let (src, dst) = arrow(piece)?;
            let dst = subfield_or_field(dst)?;
            let src = match src.text.starts_with(|c: char| c.is_ascii_digit()) {
                true => {
                    let value = wide_number(src, dst.field.field().name, dst.bits)?;
                    LearnSource::Value(value)
                }
                false => LearnSource::Field(same_width(src, dst)?),
            };
            Ok(LearnSpec { src, dst: LearnTarget::Load(dst), bits: dst.bits })
        }
        ("output", Some((Form::Colon, piece))) => {
            let src = subfield_or_field(piece)?;
            Ok(LearnSpec { src: LearnSource::Field(src), dst: LearnTarget::Output, bits: src.bits })
        }
        (_, None) => {
            let sub = subfield_or_field(item.key).map_err(|error| unknown(item, error))?;
            Ok(LearnSpec {
                src: LearnSource::Field(sub),
                dst: LearnTarget::Match(sub),
                bits: sub.bits,
            })
        }
        (_, Some((Form::Equals, value))) => {
            let dst = subfield_or_field(item.key).map_err(|error| unknown(item, error))?;
            let src = match_source(value, dst, names)?;
            Ok(LearnSpec { src, dst: LearnTarget::Match(dst), bits: dst.bits })
        }
        _ => Err(item.key.error(Problem::UnknownOption)),
    }
}

/// A name that stands alone may be meant as a keyword: then it is no field.
fn unknown(item: &Item<'_>, error: TextError) -> TextError {
    match item.key.text.contains('[') {
        true => error,
        false => item.key.error(Problem::UnknownOption),
    }
}

fn match_source(
    piece: Piece<'_>,
    dst: Subfield,
    names: &dyn PortNames,
) -> Result<LearnSource, TextError> {
    let name = piece.text.split('[').next().unwrap_or_default();
    if FieldId::by_name(name).or_else(|| FieldId::by_oxm_name(name)).is_some() {
        return same_width(piece, dst).map(LearnSource::Field);
    }
    let row = dst.field.field();
    if !dst.is_whole() {
        return wide_number(piece, row.name, dst.bits).map(LearnSource::Value);
    }
    let (value, mask) = parse_wide(row, piece, names)?;
    let full = if dst.is_wide() { Wide::ONES } else { full_mask(row).into() };
    match mask == full {
        true => Ok(LearnSource::Value(value)),
        false => Err(piece.error(Problem::NotMaskable("a learned value"))),
    }
}

fn same_width(piece: Piece<'_>, dst: Subfield) -> Result<Subfield, TextError> {
    let src = subfield_or_field(piece)?;
    match src.bits == dst.bits {
        true => Ok(src),
        false => Err(piece.error(Problem::Expected("as many bits as the other field has"))),
    }
}

pub(super) fn write_learn(
    f: &mut fmt::Formatter<'_>,
    learn: &Learn,
    names: &dyn PortNames,
) -> fmt::Result {
    write!(f, "learn(table={}", learn.table)?;
    for (name, value) in [
        ("idle_timeout", learn.idle_timeout),
        ("hard_timeout", learn.hard_timeout),
        ("fin_idle_timeout", learn.fin_idle_timeout),
        ("fin_hard_timeout", learn.fin_hard_timeout),
    ] {
        if value != 0 {
            write!(f, ",{name}={value}")?;
        }
    }
    if learn.priority != Learn::default().priority {
        write!(f, ",priority={}", learn.priority)?;
    }
    f.write_str(if learn.send_flow_removed { ",send_flow_rem" } else { "" })?;
    f.write_str(if learn.delete_learned { ",delete_learned" } else { "" })?;
    if learn.cookie != 0 {
        write!(f, ",cookie={:#x}", learn.cookie)?;
    }
    if learn.limit != 0 {
        write!(f, ",limit={}", learn.limit)?;
    }
    if let Some(dst) = learn.result_dst {
        write!(f, ",result_dst={}", SubfieldText(dst))?;
    }
    for spec in &learn.specs {
        f.write_str(",")?;
        write_spec(f, spec, names)?;
    }
    f.write_str(")")
}

fn write_spec(f: &mut fmt::Formatter<'_>, spec: &LearnSpec, names: &dyn PortNames) -> fmt::Result {
    match (spec.dst, spec.src) {
        (LearnTarget::Match(dst), LearnSource::Field(src)) if src == dst => {
            write!(f, "{}", SubfieldText(dst))
        }
        (LearnTarget::Match(dst), LearnSource::Field(src)) => {
            write!(f, "{}={}", SubfieldText(dst), SubfieldText(src))
        }
        (LearnTarget::Match(dst), LearnSource::Value(value)) if dst.is_whole() => {
            let field = dst.field.field();
            if dst.is_wide() {
                return write!(f, "{}={}", field.name, WideHex(value));
            }
            let (value, mask) = (value.low(), full_mask(field));
            write!(f, "{}={}", field.name, ValueText { field, value, mask, names })
        }
        (LearnTarget::Match(dst), LearnSource::Value(value)) => {
            write!(f, "{}={value:#x}", SubfieldText(dst))
        }
        (LearnTarget::Load(dst), LearnSource::Field(src)) => {
            write!(f, "load:{}->{}", SubfieldText(src), SubfieldText(dst))
        }
        (LearnTarget::Load(dst), LearnSource::Value(value)) => {
            write!(f, "load:{}->{}", WideHex(value), SubfieldText(dst))
        }
        (LearnTarget::Output, LearnSource::Field(src)) => {
            write!(f, "output:{}", SubfieldText(src))
        }
        (LearnTarget::Output, LearnSource::Value(value)) => write!(f, "output:{}", value.low()),
    }
}

/// A field by its name, for actions that name one.
pub(super) fn parse_delete_field(item: &Item<'_>) -> Result<Action, TextError> {
    field_named(item.expect("a field: delete_field:tun_metadata0")?).map(Action::DeleteField)
}
