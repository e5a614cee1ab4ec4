//! Writing values, with masks, in the format of their field.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::Wide;
use dp_core::flow::fields::{Field, Format};

use super::names::{NumbersOnly, PortNames, port_text};
use super::value::{CT_STATES, FRAGS, TCP_FLAGS, TUN_FLAGS, full_mask};
use crate::action::Subfield;

/// Writes a value with the mask it was given, as `set_field` does.
pub(super) fn write_value(
    f: &mut fmt::Formatter<'_>,
    field: &Field,
    value: u128,
    mask: u128,
    names: &dyn PortNames,
) -> fmt::Result {
    let exact = mask & full_mask(field) == full_mask(field);
    match field.format {
        Format::OfPort | Format::OfPort32 => match u16::try_from(value) {
            Ok(port) => f.write_str(&port_text(OfPort(port), names)),
            Err(_) => write!(f, "{value}"),
        },
        // In name space 1 the type is an Ethertype.
        Format::PacketType => {
            write!(f, "({},{})", HexFrom10(value >> 16), HexFrom10(value & 0xffff))
        }
        Format::Frag => match FRAGS.iter().find(|(_, v, m)| (*v, *m) == (value, mask)) {
            Some((name, _, _)) => f.write_str(name),
            None => write!(f, "{}/{}", Hex(value), Hex(mask)),
        },
        Format::TcpFlags => write_flags(f, value, mask, exact, TCP_FLAGS),
        Format::CtState => write_flags(f, value, mask, exact, CT_STATES),
        Format::TunFlags => write_flags(f, value, mask, exact, TUN_FLAGS),
        Format::Decimal | Format::Tos if exact => write!(f, "{value}"),
        Format::Decimal | Format::Tos => write!(f, "{value}/{}", Hex(mask)),
        Format::Hex => write_hex(f, value, mask, exact),
        Format::Ethernet => write_mac(f, value, mask, exact),
        Format::Ipv4 => write_ipv4(f, value, mask),
        Format::Ipv6 => write_ipv6(f, value, mask),
    }
}

/// What stands in a subfield: as its field is written if it is the whole one, else a number.
pub struct SubfieldValue {
    /// Where.
    pub place: Subfield,
    /// What.
    pub value: Wide,
}

impl fmt::Display for SubfieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.place.field.field();
        match self.place == Subfield::whole(self.place.field) {
            true if !self.place.is_wide() => {
                write_value(f, row, self.value.low(), full_mask(row), &NumbersOnly)
            }
            _ => write!(f, "{}", WideHex(self.value)),
        }
    }
}

/// A value with the mask it was given, as `set_field` prints it.
pub(super) struct ValueText<'a> {
    pub(super) field: &'a Field,
    pub(super) value: u128,
    pub(super) mask: u128,
    pub(super) names: &'a dyn PortNames,
}

impl fmt::Display for ValueText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, self.field, self.value, self.mask, self.names)
    }
}

/// A number as `%#x` prints it: zero without `0x`.
pub(super) struct Hex(pub(super) u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            value => write!(f, "{value:#x}"),
        }
    }
}

/// A digit as it is, a longer number hexadecimal.
struct HexFrom10(u128);

impl fmt::Display for HexFrom10 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            digit @ 0..10 => write!(f, "{digit}"),
            value => write!(f, "{value:#x}"),
        }
    }
}

/// A number of any width as `%#x` prints it.
pub(super) struct WideHex(pub(super) Wide);

impl fmt::Display for WideHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_zero() {
            true => f.write_str("0"),
            false => write!(f, "{:#x}", self.0),
        }
    }
}

/// Tunnel metadata with the mask it was given, if not all bits count.
pub(super) fn write_option(f: &mut fmt::Formatter<'_>, value: Wide, mask: Wide) -> fmt::Result {
    write!(f, "{}", WideHex(value))?;
    if mask == Wide::ONES { Ok(()) } else { write!(f, "/{}", WideHex(mask)) }
}

fn write_hex(f: &mut fmt::Formatter<'_>, value: u128, mask: u128, exact: bool) -> fmt::Result {
    write!(f, "{}", Hex(value))?;
    if exact { Ok(()) } else { write!(f, "/{}", Hex(mask)) }
}

/// Flags: all known ones by name, or those that count with their sign.
fn write_flags(
    f: &mut fmt::Formatter<'_>,
    value: u128,
    mask: u128,
    exact: bool,
    names: &[&str],
) -> fmt::Result {
    if !exact {
        return write_signs(f, value, mask, names);
    }
    if value == 0 {
        return f.write_str("0");
    }
    let mut first = true;
    for (bit, name) in names.iter().enumerate().filter(|(bit, _)| value >> bit & 1 != 0) {
        let _ = bit;
        f.write_str(if first { "" } else { "|" })?;
        f.write_str(name)?;
        first = false;
    }
    Ok(())
}

/// Flags with `+` and `-`, those that count.
fn write_signs(f: &mut fmt::Formatter<'_>, value: u128, mask: u128, names: &[&str]) -> fmt::Result {
    for (bit, name) in names.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 != 0) {
        f.write_str(if value >> bit & 1 != 0 { "+" } else { "-" })?;
        f.write_str(name)?;
    }
    Ok(())
}

fn write_mac(f: &mut fmt::Formatter<'_>, value: u128, mask: u128, exact: bool) -> fmt::Result {
    let mac = |bits: u128| MacAddr::from_u64(u64::try_from(bits).unwrap_or(u64::MAX));
    write!(f, "{}", mac(value))?;
    if exact { Ok(()) } else { write!(f, "/{}", mac(mask)) }
}

fn write_ipv4(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    let address = |bits: u128| Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX));
    write!(f, "{}", address(value))?;
    match prefix_len(mask, 32) {
        Some(32) => Ok(()),
        Some(len) => write!(f, "/{len}"),
        None => write!(f, "/{}", address(mask)),
    }
}

fn write_ipv6(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    write!(f, "{}", Ipv6Text(value))?;
    match prefix_len(mask, 128) {
        Some(128) => Ok(()),
        Some(len) => write!(f, "/{len}"),
        None => write!(f, "/{}", Ipv6Text(mask)),
    }
}

/// An IPv6 address as `inet_ntop(3)` prints it: as RFC 5952 says, but `::a.b.c.d` where only the
/// last 32 bits are set.
pub(super) struct Ipv6Text(pub(super) u128);

impl fmt::Display for Ipv6Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(low) if low > 0xffff => write!(f, "::{}", Ipv4Addr::from(low)),
            _ => Ipv6Addr::from(self.0).fmt(f),
        }
    }
}

/// Length of the prefix that a mask of `bits` bits is, if it is one.
fn prefix_len(mask: u128, bits: u32) -> Option<u32> {
    let len = (mask << (128 - bits)).leading_ones();
    (mask.count_ones() == len).then_some(len)
}
