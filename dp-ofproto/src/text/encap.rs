//! Text of `encap(…)` and `decap(…)`.

use std::fmt;

use super::action_parse::number8;
use super::error::{Problem, TextError};
use super::piece::{Item, Piece};
use super::value::{number, number16};
use crate::action::{Action, Encap, EncapProperty, PacketType};

/// Headers that can be put on, by name.
const HEADERS: [(&str, PacketType); 4] = [
    ("ethernet", PacketType::ETHERNET),
    ("nsh", PacketType::NSH),
    ("mpls", PacketType::MPLS),
    ("mpls_mc", PacketType::MPLS_MULTICAST),
];
/// Longest value of an NSH context header, in bytes.
const TLV_MAX: usize = 127;

/// `encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))`
pub(super) fn parse_encap(item: &Item<'_>) -> Result<Action, TextError> {
    const WHAT: &str = "encap(HEADER): ethernet, nsh(…), mpls or mpls_mc";
    let missing = || item.key.error(Problem::Missing(WHAT));
    let (_, mut list) = item.value.ok_or_else(missing)?;
    let header = list.next_item()?.ok_or_else(missing)?;
    let known = HEADERS.iter().find(|(name, _)| *name == header.key.text);
    let packet_type = known.ok_or_else(|| header.key.error(Problem::Expected(WHAT)))?.1;
    let mut properties = Vec::new();
    if let Some((_, mut inside)) = header.value {
        while let Some(property) = inside.next_item()? {
            match property.key.text {
                "md_type" if packet_type == PacketType::NSH => {
                    let piece = property.expect("1 or 2")?;
                    properties.push(EncapProperty::NshMdType(match number8(piece, "md_type")? {
                        kind @ (1 | 2) => kind,
                        _ => return Err(piece.error(Problem::Expected("1 or 2"))),
                    }));
                }
                "tlv" if packet_type == PacketType::NSH => {
                    let piece = property.expect("tlv(CLASS,TYPE,VALUE)")?;
                    properties.push(tlv(piece)?);
                }
                _ => return Err(property.key.error(Problem::UnknownOption)),
            }
        }
    }
    if let Some(more) = list.next_item()? {
        return Err(more.key.error(Problem::Expected("one header")));
    }
    Ok(Action::Encap(Box::new(Encap { packet_type, properties: properties.into() })))
}

fn tlv(mut piece: Piece<'_>) -> Result<EncapProperty, TextError> {
    let whole = piece;
    let mut part = || -> Result<Piece<'_>, TextError> {
        let missing = || whole.error(Problem::Missing("CLASS,TYPE,VALUE"));
        Ok(piece.next_item()?.ok_or_else(missing)?.key)
    };
    let (class, kind, value) = (part()?, part()?, part()?);
    let (class, kind) = (number16(class, "a class")?, number8(kind, "a type")?);
    let digits = value.text.strip_prefix("0x").unwrap_or(value.text);
    let expected = || value.error(Problem::Expected("a hexadecimal number"));
    let even =
        if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(expected());
    }
    let bytes: Result<Vec<u8>, _> = (0..even.len() / 2)
        .map(|at| u8::from_str_radix(even.get(2 * at..2 * at + 2).unwrap_or_default(), 16))
        .collect();
    let bytes = bytes.map_err(|_| expected())?;
    if bytes.len() > TLV_MAX {
        return Err(value.error(Problem::Expected("a value of at most 127 bytes")));
    }
    Ok(EncapProperty::NshTlv { class, kind, value: bytes.into() })
}

pub(super) fn write_encap(f: &mut fmt::Formatter<'_>, encap: &Encap) -> fmt::Result {
    let name = HEADERS.iter().find(|(_, packet_type)| *packet_type == encap.packet_type);
    match name {
        Some((name, _)) => write!(f, "encap({name}")?,
        None => {
            let (ns, ty) = (encap.packet_type.namespace(), encap.packet_type.ns_type());
            write!(f, "encap(packet_type(ns={ns},type={ty:#x})")?;
        }
    }
    for (at, property) in encap.properties.iter().enumerate() {
        f.write_str(if at == 0 { "(" } else { "," })?;
        match property {
            EncapProperty::NshMdType(kind) => write!(f, "md_type={kind}")?,
            EncapProperty::NshTlv { class, kind, value } => {
                write!(f, "tlv({class:#06x},{kind},0x")?;
                for byte in value {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str(")")?;
            }
        }
    }
    f.write_str(if encap.properties.is_empty() { ")" } else { "))" })
}

/// `decap()`, `decap(packet_type(ns=0,type=0))`
pub(super) fn parse_decap(item: &Item<'_>) -> Result<Action, TextError> {
    const WHAT: &str = "decap(packet_type(ns=…,type=…))";
    let Some((_, mut list)) = item.value else { return Ok(Action::Decap(None)) };
    let Some(packet_type) = list.next_item()? else { return Ok(Action::Decap(None)) };
    if packet_type.key.text != "packet_type" {
        return Err(packet_type.key.error(Problem::Expected(WHAT)));
    }
    let mut inside = packet_type.expect(WHAT)?;
    let (mut ns, mut ns_type) = (None, None);
    while let Some(part) = inside.next_item()? {
        let value = part.expect("a number")?;
        match part.key.text {
            "ns" => ns = Some(number(value, "the name space", 16)?),
            "type" => ns_type = Some(number(value, "the type", 16)?),
            _ => return Err(part.key.error(Problem::UnknownOption)),
        }
    }
    match (ns, ns_type) {
        (Some(ns), Some(ty)) => {
            let whole = u32::try_from(ns << 16 | ty).unwrap_or(0);
            Ok(Action::Decap(Some(PacketType(whole))))
        }
        _ => Err(packet_type.key.error(Problem::Missing(WHAT))),
    }
}

pub(super) fn write_decap(f: &mut fmt::Formatter<'_>, to: Option<PacketType>) -> fmt::Result {
    match to {
        None | Some(PacketType::USE_NEXT_PROTO) => f.write_str("decap()"),
        Some(to) => {
            write!(f, "decap(packet_type(ns={},type=", to.namespace())?;
            match to.ns_type() {
                0 => f.write_str("0))"),
                ty => write!(f, "{ty:#x}))"),
            }
        }
    }
}
