//! Values with masks: numbers, addresses, flags; reading and printing.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::error::{Problem, TextError};
use super::ports::DpPorts;
use super::scan::Piece;
use super::table::{CT_STATES, Format, Part, TCP_FLAGS};
use crate::base::{MacAddr, PortNo};
use crate::flow::layout::{FRAG_ANY, FRAG_LATER};

/// Reads a number: decimal, `0x` hexadecimal or, after a leading zero, octal.
///
/// # Errors
///
/// If it is none, or has more than `bits` bits.
pub fn number<'a>(piece: Piece<'a>, bits: u8) -> Result<u128, TextError<'a>> {
    let text = piece.text;
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if text.len() > 1 && text.starts_with('0') => (8, text.get(1..).unwrap_or_default()),
        None => (10, text),
    };
    // `from_str_radix` alone would take a sign.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(piece.error(Problem::Expected("a number")));
    }
    let ones = u128::MAX >> (128 - u32::from(bits.clamp(1, 128)));
    match u128::from_str_radix(digits, radix) {
        Ok(value) if value <= ones => Ok(value),
        _ => Err(piece.error(Problem::TooWide(bits))),
    }
}

/// A number of at most 8 bits.
///
/// # Errors
///
/// As [`number`].
pub fn byte<'a>(piece: Piece<'a>) -> Result<u8, TextError<'a>> {
    u8::try_from(number(piece, 8)?).map_err(|_| piece.error(Problem::TooWide(8)))
}

/// A number of at most 16 bits.
///
/// # Errors
///
/// As [`number`].
pub fn short<'a>(piece: Piece<'a>) -> Result<u16, TextError<'a>> {
    u16::try_from(number(piece, 16)?).map_err(|_| piece.error(Problem::TooWide(16)))
}

/// A number of at most 32 bits.
///
/// # Errors
///
/// As [`number`].
pub fn word<'a>(piece: Piece<'a>) -> Result<u32, TextError<'a>> {
    u32::try_from(number(piece, 32)?).map_err(|_| piece.error(Problem::TooWide(32)))
}

/// A number of at most 64 bits.
///
/// # Errors
///
/// As [`number`].
pub fn long<'a>(piece: Piece<'a>) -> Result<u64, TextError<'a>> {
    u64::try_from(number(piece, 64)?).map_err(|_| piece.error(Problem::TooWide(64)))
}

/// A port: a number or a name.
///
/// # Errors
///
/// If it is neither.
pub fn port<'a>(piece: Piece<'a>, ports: &dyn DpPorts) -> Result<PortNo, TextError<'a>> {
    if piece.text.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(number) = word(piece)
    {
        return Ok(PortNo(number));
    }
    ports.number(piece.text).ok_or_else(|| piece.error(Problem::UnknownPort))
}

/// An Ethernet address.
///
/// # Errors
///
/// If it is none.
pub fn mac<'a>(piece: Piece<'a>) -> Result<MacAddr, TextError<'a>> {
    piece.text.parse().map_err(|_| piece.error(Problem::Expected("an Ethernet address")))
}

/// An IPv4 address.
///
/// # Errors
///
/// If it is none.
pub fn ip4<'a>(piece: Piece<'a>) -> Result<Ipv4Addr, TextError<'a>> {
    piece.text.parse().map_err(|_| piece.error(Problem::Expected("an IPv4 address")))
}

/// An IPv6 address.
///
/// # Errors
///
/// If it is none.
pub fn ip6<'a>(piece: Piece<'a>) -> Result<Ipv6Addr, TextError<'a>> {
    piece.text.parse().map_err(|_| piece.error(Problem::Expected("an IPv6 address")))
}

/// Reads `value` or `value/mask` of a part; a value alone has all ones for its mask.
pub(crate) fn part<'a>(
    piece: Piece<'a>,
    part: &Part,
    ports: &dyn DpPorts,
) -> Result<(u128, u128), TextError<'a>> {
    let bits = part.bits;
    let one = |piece: Piece<'a>| -> Result<u128, TextError<'a>> {
        match part.format {
            Format::Mac => Ok(u128::from(mac(piece)?.to_u64())),
            Format::Ip4 => Ok(u128::from(u32::from(ip4(piece)?))),
            Format::Ip6 => Ok(u128::from(ip6(piece)?)),
            Format::Port => Ok(u128::from(port(piece, ports)?.0)),
            _ => number(piece, bits),
        }
    };
    match part.format {
        Format::Frag => frag(piece).map(|value| (value, part.ones())),
        Format::TcpFlags => flags(piece, TCP_FLAGS, part),
        Format::CtState => flags(piece, CT_STATES, part),
        _ => masked(piece, part.ones(), one),
    }
}

/// Reads `value` or `value/mask`.
pub(crate) fn masked<'a, T>(
    piece: Piece<'a>,
    ones: T,
    one: impl Fn(Piece<'a>) -> Result<T, TextError<'a>>,
) -> Result<(T, T), TextError<'a>> {
    match piece.split_once('/') {
        Some((value, mask)) => Ok((one(value.trim())?, one(mask.trim())?)),
        None => Ok((one(piece)?, ones)),
    }
}

const ANY: u128 = FRAG_ANY as u128;
const LATER: u128 = FRAG_LATER as u128;

fn frag<'a>(piece: Piece<'a>) -> Result<u128, TextError<'a>> {
    match piece.text {
        "no" => Ok(0),
        "first" => Ok(ANY),
        "later" => Ok(ANY | LATER),
        _ => Err(piece.error(Problem::Expected("`no`, `first` or `later`"))),
    }
}

/// `+syn-ack`, `syn|ack` (these and no others), `0x12` or `0x12/0xfff`.
fn flags<'a>(piece: Piece<'a>, names: &[&str], part: &Part) -> Result<(u128, u128), TextError<'a>> {
    let bit = |name: &str| names.iter().position(|known| *known == name).map(|at| 1u128 << at);
    match piece.text.chars().next() {
        Some(c) if c.is_ascii_digit() => {
            masked(piece, part.ones(), |piece| number(piece, part.bits))
        }
        None => Err(piece.error(Problem::Expected("names of flags, or a number"))),
        _ => flag_names(piece, bit).map(|(value, mask)| (value, mask.unwrap_or(part.ones()))),
    }
}

/// `+syn-ack`, with the mask of those that are named, or `syn|ack`, without a mask.
pub(crate) fn flag_names<'a>(
    piece: Piece<'a>,
    bit: impl Fn(&str) -> Option<u128>,
) -> Result<(u128, Option<u128>), TextError<'a>> {
    let mut value = 0;
    if !piece.text.starts_with(['+', '-']) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (name, tail) = rest.split_once('|').unwrap_or((rest, rest.tail(rest.text.len())));
            value |= bit(name.text)
                .ok_or_else(|| name.error(Problem::Expected("names of flags: one|other")))?;
            rest = tail;
        }
        return Ok((value, None));
    }
    let mut mask = 0;
    let mut rest = piece;
    while !rest.is_empty() {
        let set = rest.text.starts_with('+');
        let tail = rest.tail(1);
        let end = tail.text.find(['+', '-']).unwrap_or(tail.text.len());
        let name = tail.slice(0, end);
        let bit = bit(name.text)
            .ok_or_else(|| name.error(Problem::Expected("names of flags: +set-clear")))?;
        if mask & bit != 0 {
            return Err(name.error(Problem::Twice));
        }
        mask |= bit;
        value |= if set { bit } else { 0 };
        rest = tail.tail(end);
    }
    Ok((value, Some(mask)))
}

/// Hexadecimal with `0x`, but zero without.
#[derive(Clone, Copy)]
pub(crate) struct Hex(pub u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            value => write!(f, "{value:#x}"),
        }
    }
}

/// An IPv6 address as `inet_ntop(3)` prints it: as RFC 5952 says, but `::a.b.c.d` where only the
/// last 32 bits are set.
#[derive(Clone, Copy)]
pub(crate) struct Ip6Text(pub u128);

impl fmt::Display for Ip6Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(low) if low > 0xffff => write!(f, "::{}", Ipv4Addr::from(low)),
            _ => Ipv6Addr::from(self.0).fmt(f),
        }
    }
}

/// The low 32 bits of a number as an IPv4 address.
pub(crate) fn to_ip4(value: u128) -> Ipv4Addr {
    Ipv4Addr::from(u32::try_from(value & u128::from(u32::MAX)).unwrap_or(0))
}

/// The low 48 bits of a number as an Ethernet address.
pub(crate) fn to_mac(value: u128) -> MacAddr {
    MacAddr::from_u64(u64::try_from(value & 0xffff_ffff_ffff).unwrap_or(0))
}

/// Prints the value of a part, and its mask if there is one that is not all ones.
pub(crate) fn print_part(
    f: &mut dyn fmt::Write,
    part: &Part,
    value: u128,
    mask: Option<u128>,
    verbose: bool,
    ports: &dyn DpPorts,
) -> fmt::Result {
    let partial = mask.filter(|&mask| mask != part.ones());
    match part.format {
        Format::Dec | Format::NshByte => {
            write!(f, "{value}")?;
            match (partial, part.format) {
                (Some(mask), Format::NshByte) => write!(f, "/{mask:#04x}"),
                (Some(mask), _) => write!(f, "/{}", Hex(mask)),
                (None, _) => Ok(()),
            }
        }
        Format::Hex => {
            write!(f, "{}", Hex(value))?;
            partial.map_or(Ok(()), |mask| write!(f, "/{}", Hex(mask)))
        }
        Format::NshWord(digits) => {
            write!(f, "0x{value:x}")?;
            let width = usize::from(digits);
            partial.map_or(Ok(()), |mask| write!(f, "/0x{mask:0width$x}"))
        }
        Format::Mac => {
            write!(f, "{}", to_mac(value))?;
            partial.map_or(Ok(()), |mask| write!(f, "/{}", to_mac(mask)))
        }
        Format::Ip4 => {
            write!(f, "{}", to_ip4(value))?;
            partial.map_or(Ok(()), |mask| write!(f, "/{}", to_ip4(mask)))
        }
        Format::Ip6 => {
            write!(f, "{}", Ip6Text(value))?;
            partial.map_or(Ok(()), |mask| write!(f, "/{}", Ip6Text(mask)))
        }
        Format::Frag => f.write_str(match value & (ANY | LATER) {
            0 => "no",
            ANY => "first",
            _ => "later",
        }),
        Format::TcpFlags => match partial {
            Some(0) => f.write_str("0/0"),
            Some(mask) => print_signed(f, value, mask, TCP_FLAGS),
            None if value == 0 => f.write_str("0"),
            None => print_joined(f, value, TCP_FLAGS),
        },
        Format::CtState => match (mask, verbose) {
            (Some(mask), true) => write!(f, "{}/{}", Hex(value), Hex(mask)),
            (Some(mask), false) => print_signed(f, value, mask, CT_STATES),
            (None, _) => write!(f, "{}", Hex(value)),
        },
        Format::Port => {
            let number = PortNo(u32::try_from(value).unwrap_or(u32::MAX));
            match (ports.name(number), partial) {
                (Some(name), None) => f.write_str(name),
                (None, None) => write!(f, "{number}"),
                (_, Some(mask)) => write!(f, "{number}/{}", Hex(mask)),
            }
        }
    }
}

fn named(bits: u128, names: &[&'static str]) -> impl Iterator<Item = (u128, &'static str)> {
    names
        .iter()
        .enumerate()
        .map(|(at, name)| (1u128 << at, *name))
        .filter(move |(bit, _)| bits & bit != 0)
        .collect::<Vec<_>>()
        .into_iter()
}

fn print_signed(
    f: &mut dyn fmt::Write,
    value: u128,
    mask: u128,
    names: &[&'static str],
) -> fmt::Result {
    for (bit, name) in named(mask, names) {
        write!(f, "{}{name}", if value & bit != 0 { '+' } else { '-' })?;
    }
    Ok(())
}

fn print_joined(f: &mut dyn fmt::Write, value: u128, names: &[&'static str]) -> fmt::Result {
    for (at, (_, name)) in named(value, names).enumerate() {
        write!(f, "{}{name}", if at > 0 { "|" } else { "" })?;
    }
    Ok(())
}
