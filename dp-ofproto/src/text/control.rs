//! Text of the actions that show packets to somebody: `controller(…)`, `sample(…)`.

use std::fmt;

use dp_core::base::OfPort;

use super::action_parse::{number8, subfield_or_field};
use super::action_print::SubfieldText;
use super::error::{Problem, TextError};
use super::names::{PortNames, parse_port, port_text};
use super::piece::{Form, Item, Piece};
use super::value::{number, number16};
use crate::action::{Action, Controller, PacketInReason, Sample, SampleDirection, SampleNumber};

/// `CONTROLLER:128`, or `controller(reason=no_match,max_len=128,id=1,userdata=01.02,pause)`.
pub(super) fn parse_controller(item: &Item<'_>) -> Result<Action, TextError> {
    let output = |max_len| Action::Output { port: OfPort::CONTROLLER, max_len };
    let Some((form, mut list)) = item.value else { return Ok(output(u16::MAX)) };
    if form == Form::Colon {
        return Ok(output(number16(list, "max_len")?));
    }
    let mut to = Controller::default();
    while let Some(option) = list.next_item()? {
        match option.key.text {
            "max_len" => to.max_len = number16(option.expect("a length in bytes")?, "max_len")?,
            "id" => to.id = number16(option.expect("a controller's number")?, "id")?,
            "reason" => {
                let piece = option.expect("a reason: no_match, action, invalid_ttl …")?;
                let known = PacketInReason::ALL.iter().find(|(_, _, name)| *name == piece.text);
                let expected = Problem::Expected("no_match, action, invalid_ttl, packet_out …");
                to.reason = known.ok_or_else(|| piece.error(expected))?.0;
            }
            "userdata" => to.userdata = parse_hex(option.expect("bytes: 01.02.ff")?)?.into(),
            "pause" => {
                option.expect_none()?;
                to.pause = true;
            }
            "meter_id" => to.meter = Some(number32(option.expect("a meter")?, "a meter")?),
            text if text.starts_with(|c: char| c.is_ascii_digit()) => {
                to.max_len = number16(option.key, "max_len")?;
            }
            _ => return Err(option.key.error(Problem::UnknownOption)),
        }
    }
    let plain = Controller { max_len: to.max_len, ..Controller::default() };
    Ok(if to == plain { output(to.max_len) } else { Action::Controller(Box::new(to)) })
}

/// Hexadecimal digits by twos, with or without dots.
pub(super) fn parse_hex(piece: Piece<'_>) -> Result<Vec<u8>, TextError> {
    let digits: Vec<char> = piece.text.chars().filter(|&c| c != '.').collect();
    let expected = || piece.error(Problem::Expected("hexadecimal bytes: 01.02.ff"));
    let mut bytes = Vec::new();
    for pair in digits.chunks(2) {
        let byte = match pair {
            [high, low] => high.to_digit(16).zip(low.to_digit(16)),
            _ => None,
        };
        let (high, low) = byte.ok_or_else(expected)?;
        bytes.push(u8::try_from(high << 4 | low).unwrap_or(0));
    }
    Ok(bytes)
}

/// Bytes in hexadecimal with dots between them.
pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        write!(f, "{}{byte:02x}", if at == 0 { "" } else { "." })?;
    }
    Ok(())
}

/// A number that fits into 32 bits.
pub(super) fn number32(piece: Piece<'_>, what: &'static str) -> Result<u32, TextError> {
    let value = number(piece, what, 32)?;
    u32::try_from(value).map_err(|_| piece.error(Problem::TooWide { what, bits: 32 }))
}

pub(super) fn write_controller(f: &mut fmt::Formatter<'_>, to: &Controller) -> fmt::Result {
    let plain = Controller { max_len: to.max_len, extended: to.extended, ..Controller::default() };
    if *to == plain {
        return write!(f, "CONTROLLER:{}", to.max_len);
    }
    let mut parts = Vec::new();
    if to.reason != PacketInReason::Action {
        // The switch's own rules have a reason that no text can ask for.
        let name = if to.reason == PacketInReason::ImplicitMiss { "" } else { to.reason.name() };
        parts.push(format!("reason={name}"));
    }
    if to.max_len != u16::MAX {
        parts.push(format!("max_len={}", to.max_len));
    }
    if to.id != 0 {
        parts.push(format!("id={}", to.id));
    }
    write!(f, "controller({}", parts.join(","))?;
    let mut some = !parts.is_empty();
    let mut comma = |f: &mut fmt::Formatter<'_>| {
        f.write_str(if std::mem::replace(&mut some, true) { "," } else { "" })
    };
    if !to.userdata.is_empty() {
        comma(f)?;
        f.write_str("userdata=")?;
        write_hex(f, &to.userdata)?;
    }
    if to.pause {
        comma(f)?;
        f.write_str("pause")?;
    }
    if let Some(meter) = to.meter {
        comma(f)?;
        write!(f, "meter_id={meter}")?;
    }
    f.write_str(")")
}

/// `sample(probability=…,collector_set_id=…,obs_domain_id=…,obs_point_id=…,sampling_port=…,egress)`
pub(super) fn parse_sample(item: &Item<'_>, names: &dyn PortNames) -> Result<Action, TextError> {
    let Some((_, mut list)) = item.value else {
        return Err(item.key.error(Problem::Missing("sample(probability=…,…)")));
    };
    let mut sample = Sample {
        probability: 0,
        collector_set: 0,
        obs_domain: SampleNumber::default(),
        obs_point: SampleNumber::default(),
        sampling_port: OfPort::NONE,
        direction: SampleDirection::Default,
    };
    while let Some(option) = list.next_item()? {
        match option.key.text {
            "probability" => {
                let piece = option.expect("a number from 1 to 65535")?;
                sample.probability = number16(piece, "the probability")?;
                if sample.probability == 0 {
                    return Err(piece.error(Problem::Expected("a number from 1 to 65535")));
                }
            }
            "collector_set_id" => {
                sample.collector_set = number32(option.expect("a number")?, "collector_set_id")?;
            }
            "obs_domain_id" => sample.obs_domain = sample_number(&option)?,
            "obs_point_id" => sample.obs_point = sample_number(&option)?,
            "sampling_port" => {
                let piece = option.expect("a port")?;
                let port = parse_port(piece.text, names);
                sample.sampling_port = port.ok_or_else(|| piece.error(Problem::UnknownPort))?;
            }
            "ingress" => {
                option.expect_none()?;
                sample.direction = SampleDirection::Ingress;
            }
            "egress" => {
                option.expect_none()?;
                sample.direction = SampleDirection::Egress;
            }
            _ => return Err(option.key.error(Problem::UnknownOption)),
        }
    }
    if sample.probability == 0 {
        return Err(item.key.error(Problem::Missing("probability=…")));
    }
    Ok(Action::Sample(Box::new(sample)))
}

/// A number, or a subfield of at most 32 bits.
fn sample_number(option: &Item<'_>) -> Result<SampleNumber, TextError> {
    let piece = option.expect("a number or a field")?;
    if piece.text.starts_with(|c: char| c.is_ascii_digit()) {
        return number32(piece, "the number").map(SampleNumber::Value);
    }
    let sub = subfield_or_field(piece)?;
    match sub.bits {
        0..=32 => Ok(SampleNumber::Field(sub)),
        _ => Err(piece.error(Problem::TooWide { what: "the number", bits: 32 })),
    }
}

pub(super) fn write_sample(
    f: &mut fmt::Formatter<'_>,
    sample: &Sample,
    names: &dyn PortNames,
) -> fmt::Result {
    let number = |number: SampleNumber| match number {
        SampleNumber::Value(value) => value.to_string(),
        SampleNumber::Field(sub) => SubfieldText(sub).to_string(),
    };
    write!(f, "sample(probability={}", sample.probability)?;
    write!(f, ",collector_set_id={}", sample.collector_set)?;
    write!(f, ",obs_domain_id={}", number(sample.obs_domain))?;
    write!(f, ",obs_point_id={}", number(sample.obs_point))?;
    if sample.sampling_port != OfPort::NONE {
        write!(f, ",sampling_port={}", port_text(sample.sampling_port, names))?;
    }
    f.write_str(match sample.direction {
        SampleDirection::Default => ")",
        SampleDirection::Ingress => ",ingress)",
        SampleDirection::Egress => ",egress)",
    })
}

/// A clause of a conjunction: `conjunction(ID,K/N)`.
pub(super) fn parse_conjunction(item: &Item<'_>) -> Result<Action, TextError> {
    const WHAT: &str = "conjunction(ID,K/N)";
    let Some((_, mut list)) = item.value else {
        return Err(item.key.error(Problem::Missing(WHAT)));
    };
    let missing = || item.key.error(Problem::Missing(WHAT));
    let id = list.next_item()?.ok_or_else(missing)?;
    let clause = list.next_item()?.ok_or_else(missing)?.key;
    if let Some(more) = list.next_item()? {
        return Err(more.key.error(Problem::Expected(WHAT)));
    }
    let (k, n) = clause.split_once("/").ok_or_else(|| clause.error(Problem::Expected("K/N")))?;
    let (clause_number, clauses) = (number8(k, "a clause")?, number8(n, "clauses")?);
    if !(2..=64).contains(&clauses) {
        return Err(n.error(Problem::Expected("between 2 and 64 clauses")));
    }
    if clause_number < 1 || clause_number > clauses {
        return Err(k.error(Problem::Expected("a clause from 1 to the number of clauses")));
    }
    let id = number32(id.key, "a conjunction")?;
    Ok(Action::Conjunction { id, clause: clause_number - 1, clauses })
}
