//! Reading values, with masks where the field takes them, in the format of their field.

use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::base::MacAddr;
use dp_core::flow::fields::{Field, Format, Maskable};
use dp_core::flow::{FieldId, Wide, layout};

use super::error::{Problem, TextError};
use super::names::{PortNames, parse_port};
use super::piece::Piece;

/// Names of the TCP flags, from bit 0.
pub(super) const TCP_FLAGS: &[&str] =
    &["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];
/// Names of the conntrack states, from bit 0.
pub(super) const CT_STATES: &[&str] = &["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
/// Names of the tunnel flags that can be matched, from bit 0.
pub(super) const TUN_FLAGS: &[&str] = &["oam"];

const ANY: u128 = layout::FRAG_ANY as u128;
const LATER: u128 = layout::FRAG_LATER as u128;
/// Names of fragment kinds: name, value, mask. The first with a name or a value counts.
pub(super) const FRAGS: &[(&str, u128, u128)] = &[
    ("no", 0, ANY | LATER),
    ("first", ANY, ANY | LATER),
    ("later", ANY | LATER, ANY | LATER),
    ("no", 0, ANY),
    ("yes", ANY, ANY),
    ("not_later", 0, LATER),
    ("later", LATER, LATER),
];

/// The mask that stands for a whole value: all bits, but of the tos byte only the DSCP.
#[must_use]
pub fn full_mask(field: &Field) -> u128 {
    match field.format {
        Format::Tos => 0xfc,
        _ => field.ones(),
    }
}

/// [`parse_value`] for a field of any width. A mask of all ones stands for a whole value.
pub(super) fn parse_wide(
    field: &'static Field,
    piece: Piece<'_>,
    names: &dyn PortNames,
) -> Result<(Wide, Wide), TextError> {
    if field.id.tun_metadata_number().is_none() {
        let (value, mask) = parse_value(field, piece, names)?;
        return Ok((value.into(), mask.into()));
    }
    let number = |piece| wide_number(piece, field.name, field.bits);
    let (value, mask) = match piece.split_once("/") {
        Some((value, mask)) => (number(value)?, number(mask)?),
        None => (number(piece)?, Wide::ONES),
    };
    Ok((value & mask, mask))
}

/// Reads a value or `value/mask`. Bits of the value outside the mask are cut off; a mask of zero
/// means that the field does not matter.
///
/// # Errors
///
/// What is wrong with the text.
pub fn parse_value(
    field: &'static Field,
    piece: Piece<'_>,
    names: &dyn PortNames,
) -> Result<(u128, u128), TextError> {
    let full = full_mask(field);
    let (value, mask) = match field.format {
        Format::OfPort | Format::OfPort32 => {
            let port = parse_port(piece.text, names);
            (u128::from(port.ok_or_else(|| piece.error(Problem::UnknownPort))?.0), full)
        }
        Format::PacketType => (packet_type(piece)?, full),
        Format::Frag => frag(piece)?,
        Format::TcpFlags => flags(field, piece, TCP_FLAGS)?,
        Format::CtState => flags(field, piece, CT_STATES)?,
        Format::TunFlags => flags(field, piece, TUN_FLAGS)?,
        Format::Decimal | Format::Hex | Format::Tos => {
            masked(piece, full, |piece| number(piece, field.name, field.bits))?
        }
        Format::Ethernet => masked(piece, full, mac)?,
        Format::Ipv4 => masked_address(piece, 32, full, |piece| {
            let parsed = piece.text.parse::<Ipv4Addr>().ok();
            let expected = || piece.error(Problem::Expected("an IPv4 address: 192.0.2.1"));
            Ok(u128::from(u32::from(parsed.ok_or_else(expected)?)))
        })?,
        Format::Ipv6 => masked_address(piece, 128, full, |piece| {
            let parsed = piece.text.parse::<Ipv6Addr>().ok();
            let expected = || piece.error(Problem::Expected("an IPv6 address: 2001:db8::1"));
            Ok(u128::from(parsed.ok_or_else(expected)?))
        })?,
    };
    if value & !full != 0 {
        return Err(piece.error(match field.format {
            Format::Tos => Problem::Expected("a tos with the two lower bits clear"),
            _ => Problem::TooWide { what: field.name, bits: field.bits },
        }));
    }
    if mask != full && mask != 0 && field.maskable == Maskable::Exact {
        return Err(piece.error(Problem::NotMaskable(field.name)));
    }
    Ok((value & mask, mask))
}

/// Reads a number: decimal, `0x` hexadecimal or, after a leading zero, octal. Where it has 64 bits
/// or more, `-1` and the like are taken in two's complement.
///
/// # Errors
///
/// If it is none or has more than `bits` bits; `what` says what it is for.
pub fn number(piece: Piece<'_>, what: &'static str, bits: u16) -> Result<u128, TextError> {
    let too_wide = || piece.error(Problem::TooWide { what, bits });
    wide_number(piece, what, bits)?.narrow().ok_or_else(too_wide)
}

/// The same for numbers of any width.
pub(super) fn wide_number(
    piece: Piece<'_>,
    what: &'static str,
    bits: u16,
) -> Result<Wide, TextError> {
    let (negative, digits) = match piece.text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, piece.text),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    // `from_str_radix` alone would take a sign.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(piece.error(Problem::Expected("a number: 10, 0xa or 012")));
    }
    let ones = Wide::ones(bits.max(1));
    let too_wide = || piece.error(Problem::TooWide { what, bits });
    let value = Wide::parse(digits, radix).ok_or_else(too_wide)?;
    match negative {
        false if value <= ones => Ok(value),
        // In two's complement it is its predecessor inverted.
        true if bits >= 64 && value <= ones >> 1 => Ok(value.negated() & ones),
        true if bits >= 64 && value == ones ^ ones >> 1 => Ok(value),
        _ => Err(too_wide()),
    }
}

/// A number that fits into 16 bits.
pub(super) fn number16(piece: Piece<'_>, what: &'static str) -> Result<u16, TextError> {
    let value = number(piece, what, 16)?;
    u16::try_from(value).map_err(|_| piece.error(Problem::TooWide { what, bits: 16 }))
}

/// A number that fits into 64 bits.
pub(super) fn number64(piece: Piece<'_>, what: &'static str) -> Result<u64, TextError> {
    let value = number(piece, what, 64)?;
    u64::try_from(value).map_err(|_| piece.error(Problem::TooWide { what, bits: 64 }))
}

/// An Ethernet address, as a number.
pub(super) fn mac(piece: Piece<'_>) -> Result<u128, TextError> {
    let mac: Result<MacAddr, _> = piece.text.parse();
    let expected = |_| piece.error(Problem::Expected("an Ethernet address: 00:53:00:00:00:01"));
    mac.map(|mac| u128::from(mac.to_u64())).map_err(expected)
}

fn masked<'a>(
    piece: Piece<'a>,
    full: u128,
    parse: impl Fn(Piece<'a>) -> Result<u128, TextError>,
) -> Result<(u128, u128), TextError> {
    match piece.split_once("/") {
        Some((value, mask)) => {
            let at = mask;
            let (value, mask) = (parse(value)?, parse(mask)?);
            if mask & !full != 0 {
                return Err(at.error(Problem::Expected("a mask within the field's bits")));
            }
            Ok((value, mask))
        }
        None => Ok((parse(piece)?, full)),
    }
}

/// An address, with a mask written as prefix length or as an address.
fn masked_address<'a>(
    piece: Piece<'a>,
    bits: u32,
    full: u128,
    parse: impl Fn(Piece<'a>) -> Result<u128, TextError>,
) -> Result<(u128, u128), TextError> {
    let Some((value, mask)) = piece.split_once("/") else {
        return Ok((parse(piece)?, full));
    };
    let value = parse(value)?;
    let mask = match mask.text.parse::<u32>() {
        Ok(0) => 0,
        Ok(len) if len <= bits => (u128::MAX << (bits - len)) & full,
        Ok(_) => return Err(mask.error(Problem::Expected("a prefix length within the address"))),
        Err(_) => parse(mask)?,
    };
    Ok((value, mask))
}

fn packet_type(piece: Piece<'_>) -> Result<u128, TextError> {
    let inner = piece.text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let expected = || piece.error(Problem::Expected("a packet type: (1,0x800)"));
    inner.ok_or_else(expected)?;
    let inner = piece.slice(1, piece.text.len() - 1);
    let (space, ty) = inner.split_once(",").ok_or_else(expected)?;
    Ok(number(space.trim(), "the name space", 16)? << 16
        | number(ty.trim(), "the packet type", 16)?)
}

fn frag(piece: Piece<'_>) -> Result<(u128, u128), TextError> {
    if let Some(&(_, value, mask)) = FRAGS.iter().find(|(name, _, _)| *name == piece.text) {
        return Ok((value, mask));
    }
    if !piece.text.starts_with(|c: char| c.is_ascii_digit()) {
        let what = "`no`, `yes`, `first`, `later` or `not_later`";
        return Err(piece.error(Problem::Expected(what)));
    }
    let field = FieldId::IpFrag.field();
    masked(piece, field.ones(), |piece| number(piece, field.name, field.bits))
}

/// `+syn-ack`, `syn|ack` (these and no others), or numbers.
fn flags(
    field: &'static Field,
    piece: Piece<'_>,
    names: &[&str],
) -> Result<(u128, u128), TextError> {
    let expected = || {
        Problem::Expected(match field.format {
            Format::TcpFlags => "TCP flags: +syn-ack, or fin|ack, or a number",
            Format::CtState => "states: +trk-new of new, est, rel, rpl, inv, trk, snat, dnat",
            _ => "tunnel flags: +oam or -oam",
        })
    };
    let bit = |name: Piece<'_>| {
        let at = names.iter().position(|known| *known == name.text);
        at.map(|at| 1u128 << at).ok_or_else(|| name.error(expected()))
    };
    match piece.text.chars().next() {
        Some(c) if c.is_ascii_digit() => {
            masked(piece, field.ones(), |piece| number(piece, field.name, field.bits))
        }
        Some('+' | '-') => {
            let (mut value, mut mask) = (0, 0);
            let mut rest = piece;
            while !rest.is_empty() {
                let name = rest.slice(1, rest.text.len());
                let end = name.text.find(['+', '-']).unwrap_or(name.text.len());
                let bit = bit(name.slice(0, end))?;
                if mask & bit != 0 {
                    return Err(name.slice(0, end).error(Problem::Contradiction));
                }
                mask |= bit;
                value |= if rest.text.starts_with('+') { bit } else { 0 };
                rest = name.slice(end, name.text.len());
            }
            Ok((value, mask))
        }
        _ => {
            let mut value = 0;
            let mut rest = Some(piece);
            while let Some(names) = rest {
                let (name, tail) = match names.split_once("|") {
                    Some((name, tail)) => (name, Some(tail)),
                    None => (names, None),
                };
                value |= bit(name)?;
                rest = tail;
            }
            Ok((value, field.ones()))
        }
    }
}

#[cfg(test)]
mod tests {
    use dp_core::flow::FieldId;

    use super::super::names::NumbersOnly;
    use super::super::piece::Piece;
    use super::{number, parse_value};

    fn parse(field: FieldId, text: &str) -> Result<(u128, u128), String> {
        parse_value(field.field(), Piece::line(text), &NumbersOnly).map_err(|e| e.to_string())
    }

    #[test]
    fn numbers_in_all_spellings() {
        let cases = [("10", 10), ("0x1F", 0x1f), ("010", 8), ("0", 0), ("65535", 65535)];
        for (text, value) in cases {
            assert_eq!(number(Piece::line(text), "it", 16), Ok(value), "{text}");
        }
        assert_eq!(number(Piece::line("-2"), "it", 64), Ok(u128::from(u64::MAX - 1)));
        for text in ["", "-", "0x", "+1", "1x", "08", "65536", "-1", "-65536", "0x-1", " 1"] {
            assert!(number(Piece::line(text), "it", 16).is_err(), "{text}");
        }
        let widest = "0xffffffffffffffffffffffffffffffff";
        assert_eq!(number(Piece::line(widest), "it", 128), Ok(u128::MAX));
        assert!(number(Piece::line(&format!("{widest}0")), "it", 128).is_err());
    }

    #[test]
    fn values_with_masks_by_format() {
        let max6 = u128::MAX << 64;
        for (field, text, expect) in [
            (FieldId::Ipv4Src, "10.1.2.3/8", (0x0a00_0000, 0xff00_0000)),
            (FieldId::Ipv4Src, "10.1.2.3/0", (0, 0)),
            (FieldId::Ipv4Src, "10.1.2.3/32", (0x0a01_0203, 0xffff_ffff)),
            (FieldId::Ipv4Src, "10.1.2.3/255.0.255.0", (0x0a00_0200, 0xff00_ff00)),
            (FieldId::Ipv6Dst, "fe80::1/64", (0xfe80 << 112, max6)),
            (FieldId::Ipv6Dst, "::1", (1, u128::MAX)),
            (FieldId::Ipv6Dst, "::1/::ff", (1, 0xff)),
            (FieldId::EthDst, "1:0:0:0:0:0/01:00:00:00:00:00", (1 << 40, 1 << 40)),
            (FieldId::Reg0, "5/4", (4, 4)),
            (FieldId::NwTos, "8", (8, 0xfc)),
            (FieldId::IpFrag, "not_later", (0, 2)),
            (FieldId::IpFrag, "first", (1, 3)),
            (FieldId::TcpFlags, "+syn-ack", (2, 0x12)),
            (FieldId::TcpFlags, "syn|ack", (0x12, 0xfff)),
            (FieldId::TcpFlags, "0x12/0x13", (0x12, 0x13)),
            (FieldId::CtState, "-new+trk", (0x20, 0x21)),
            (FieldId::TunFlags, "-oam", (0, 1)),
            (FieldId::PacketType, "(1,0x800)", (0x1_0800, 0xffff_ffff)),
            (FieldId::InPort, "LOCAL", (0xfffe, 0xffff)),
        ] {
            assert_eq!(parse(field, text), Ok(expect), "{text}");
        }
    }

    #[test]
    fn faults_say_where_and_what_was_expected() {
        for (field, text, expect) in [
            (FieldId::Ipv4Src, "10.1.2", "column 1: `10.1.2`: expected an IPv4 address: 192.0.2.1"),
            (
                FieldId::Ipv4Src,
                "10.1.2.3/33",
                "column 10: `33`: expected a prefix length within the address",
            ),
            (FieldId::Reg0, "0x100000000", "column 1: `0x100000000`: too large; reg0 has 32 bits"),
            (
                FieldId::TcpFlags,
                "+syn+foo",
                "column 6: `foo`: expected TCP flags: +syn-ack, or fin|ack, or a number",
            ),
            (FieldId::NwTtl, "5/0xf", "column 1: `5/0xf`: nw_ttl cannot be masked"),
            (FieldId::NwTos, "9", "column 1: `9`: expected a tos with the two lower bits clear"),
            (FieldId::PacketType, "(1)", "column 1: `(1)`: expected a packet type: (1,0x800)"),
        ] {
            assert_eq!(parse(field, text), Err(expect.to_owned()));
        }
        for text in ["+syn-syn", "+", "syn|", "", "+syn ack"] {
            assert!(parse(FieldId::TcpFlags, text).is_err(), "{text}");
        }
    }
}
