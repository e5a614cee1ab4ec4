//! The `tunnel(…)` attribute.

use core::fmt;

use super::error::{Problem, TextError};
use super::parse::{ParsedFlow, parts};
use super::ports::PortNumbers;
use super::print::Commas;
use super::scan::Piece;
use super::table::{Attrs, Format, Part, TUN_FLAGS};
use super::value::{self, Hex};
use crate::flow::key::{FlowKey, FlowMask};
use crate::flow::layout::{self, Place};

const fn part(name: &'static str, place: Place, format: Format) -> Part {
    Part { name, alias: "", place, shift: 0, bits: place.len * 8, format }
}

const HEAD: [Part; 9] = [
    part("tun_id", layout::TUN_ID, Format::Hex),
    part("src", layout::TUN_SRC, Format::Ip4),
    part("dst", layout::TUN_DST, Format::Ip4),
    part("ipv6_src", layout::TUN_IPV6_SRC, Format::Ip6),
    part("ipv6_dst", layout::TUN_IPV6_DST, Format::Ip6),
    part("tos", layout::TUN_TOS, Format::Hex),
    part("ttl", layout::TUN_TTL, Format::Dec),
    part("tp_src", layout::TUN_TP_SRC, Format::Dec),
    part("tp_dst", layout::TUN_TP_DST, Format::Dec),
];
const GBP: [Part; 2] = [
    part("id", layout::TUN_GBP_ID, Format::Dec),
    part("flags", layout::TUN_GBP_FLAGS, Format::Hex),
];
const fn narrow(name: &'static str, place: Place, bits: u8, format: Format) -> Part {
    Part { name, alias: "", place, shift: 0, bits, format }
}

const ERSPAN: [Part; 4] = [
    narrow("ver", layout::TUN_ERSPAN_VER, 4, Format::Dec),
    narrow("idx", layout::TUN_ERSPAN_IDX, 20, Format::Hex),
    narrow("dir", layout::TUN_ERSPAN_DIR, 1, Format::Dec),
    narrow("hwid", layout::TUN_ERSPAN_HWID, 6, Format::Hex),
];
const GTPU: [Part; 2] = [
    part("flags", layout::TUN_GTPU_FLAGS, Format::Hex),
    part("msgtype", layout::TUN_GTPU_MSGTYPE, Format::Dec),
];

/// All flags that text knows.
const FLAGS: u128 = 0xf;
const FLAG_KEY: u128 = 4;
/// First byte of the raw options, and how many there is room for.
const OPTIONS: usize = layout::TUN_OPTIONS_LANE * 64;
const OPTIONS_MAX: usize = 252;
const OPTION_LEN: u8 = 0x1f;

fn byte_place(at: usize) -> Place {
    Place { offset: u16::try_from(OPTIONS + at).unwrap_or(u16::MAX), len: 1 }
}

/// Reads what stands in `tunnel(…)`.
pub(crate) fn parse<'a>(mut piece: Piece<'a>, flow: &mut ParsedFlow) -> Result<(), TextError<'a>> {
    let mut seen = 0u32;
    let mut named = Vec::new();
    while let Some(item) = piece.next_item()? {
        let name = item.name;
        if named.contains(&name.text) {
            return Err(name.error(Problem::Twice));
        }
        named.push(name.text);
        let mut put = |part: &Part, value, mask| {
            flow.put(part.place, part.shift, part.ones(), value, mask);
        };
        match name.text {
            "flags" => {
                let (value, mask) = flags(item.inside()?)?;
                let stored = flow.mask.load(layout::TUN_FLAGS);
                flow.put(layout::TUN_FLAGS, 0, FLAGS, value, mask | stored);
            }
            "vxlan" => {
                let mut inside = item.inside()?;
                let expected = Problem::Expected("gbp(id=…,flags=…), and nothing else");
                let gbp = inside.next_item()?.ok_or_else(|| inside.error(expected))?;
                if gbp.name.text != "gbp" {
                    return Err(gbp.name.error(expected));
                }
                parts(gbp.inside()?, &GBP, &PortNumbers, &mut put)?;
                if inside.more() {
                    return Err(inside.error(expected));
                }
            }
            "erspan" => {
                parts(item.inside()?, &ERSPAN, &PortNumbers, &mut put)?;
                if !matches!(flow.key.load(layout::TUN_ERSPAN_VER), 1 | 2) {
                    return Err(item.inside()?.error(Problem::Expected("ver=1 or ver=2")));
                }
            }
            "gtpu" => parts(item.inside()?, &GTPU, &PortNumbers, &mut put)?,
            "geneve" => options(item.inside()?, flow)?,
            _ => {
                let row = HEAD.iter().find(|row| row.name == name.text);
                let row = row.ok_or_else(|| name.error(Problem::UnknownPart))?;
                let (value, mask) = value::part(item.equals()?, row, &PortNumbers)?;
                put(row, value, mask);
                match row.name {
                    "tun_id" => seen |= 1,
                    "ttl" => seen |= 2,
                    _ => {}
                }
            }
        }
    }
    // A key that is named is there.
    if seen & 1 != 0 {
        flow.put(layout::TUN_FLAGS, 2, 1, 1, 1);
    }
    if seen & 2 != 0 {
        flow.attrs |= Attrs::TUNNEL_TTL;
    }
    Ok(())
}

/// `df|csum|key` (these and no others), `+df-csum`, or nothing.
fn flags<'a>(piece: Piece<'a>) -> Result<(u128, u128), TextError<'a>> {
    let bit = |name: &str| {
        TUN_FLAGS.iter().find(|(known, _)| *known == name).map(|(_, bit)| u128::from(*bit))
    };
    if piece.text.starts_with(|c: char| c.is_ascii_digit()) {
        return value::masked(piece, FLAGS, |piece| value::number(piece, 4).map(flags_of_number));
    }
    let (value, mask) = value::flag_names(piece, bit)?;
    Ok((value, mask.unwrap_or(FLAGS)))
}

/// The flags that the reference has as this number: 1 OAM, 2 DF, 4 checksum, 8 key.
const fn flags_of_number(number: u128) -> u128 {
    number >> 1 & 7 | (number & 1) << 3
}

/// `{class=0xffff,type=0x80,len=4,0xa/0xf}` after one another, with nothing between.
fn options<'a>(mut piece: Piece<'a>, flow: &mut ParsedFlow) -> Result<(), TextError<'a>> {
    let mut at = 0;
    while piece.more() {
        if !piece.text.starts_with('{') {
            return Err(piece.error(Problem::Expected("{class=…,type=…,len=…,0x…}")));
        }
        let (inside, rest) = piece.group('{', '}')?;
        at = option(inside, flow, at)?;
        if rest.text.starts_with(',') {
            return Err(rest.error(Problem::Expected("another {…} at once, or the end")));
        }
        piece = rest;
    }
    let len = u128::try_from(at).unwrap_or(0);
    flow.put(layout::TUN_OPT_LEN, 0, 0xff, len, 0xff);
    let internal = u128::from(layout::TUN_FLAG_GENEVE);
    let flags = flow.key.load(layout::TUN_FLAGS) | internal;
    flow.key.store(layout::TUN_FLAGS, flags);
    Ok(())
}

fn option<'a>(
    mut piece: Piece<'a>,
    flow: &mut ParsedFlow,
    at: usize,
) -> Result<usize, TextError<'a>> {
    let mut put = |at: usize, value: u8, mask: u8| {
        flow.put(byte_place(at), 0, 0xff, u128::from(value), u128::from(mask));
    };
    let whole = piece;
    let mut len: Option<u8> = None;
    let mut last = 0;
    let mut in_order = |at: u8, piece: Piece<'a>| {
        let order = "class=…, type=…, len=… and the data, each once and in this order";
        let right = at > last;
        last = at;
        if right { Ok(()) } else { Err(piece.error(Problem::Expected(order))) }
    };
    if at + 4 > OPTIONS_MAX {
        return Err(piece.error(Problem::TooMany));
    }
    while piece.more() {
        if piece.text.starts_with(|c: char| c.is_ascii_digit()) {
            let end = piece.text.find(|c: char| c == ',' || c.is_whitespace());
            let end = end.unwrap_or(piece.text.len());
            let data = piece.slice(0, end);
            let len = len.ok_or_else(|| data.error(Problem::Expected("len=… before the data")))?;
            in_order(4, data)?;
            let from = at + 4;
            if from + usize::from(len) > OPTIONS_MAX {
                return Err(data.error(Problem::TooMany));
            }
            let (value, mask) = match data.split_once('/') {
                Some((value, mask)) => (bytes(value, len)?, bytes(mask, len)?),
                None => (bytes(data, len)?, vec![0xff; usize::from(len)]),
            };
            for (at, (value, mask)) in value.iter().zip(&mask).enumerate() {
                put(from + at, *value, *mask);
            }
            piece = piece.tail(end);
            continue;
        }
        let Some(item) = piece.next_item()? else { break };
        match item.name.text {
            "class" => {
                in_order(1, item.name)?;
                let (value, mask) = value::masked(item.equals()?, u16::MAX, value::short)?;
                let ([v0, v1], [m0, m1]) = (value.to_be_bytes(), mask.to_be_bytes());
                put(at, v0, m0);
                put(at + 1, v1, m1);
            }
            "type" => {
                in_order(2, item.name)?;
                let (value, mask) = value::masked(item.equals()?, u8::MAX, value::byte)?;
                put(at + 2, value, mask);
            }
            "len" => {
                in_order(3, item.name)?;
                let piece = item.equals()?;
                let (value, mask) = value::masked(piece, u8::MAX, value::byte)?;
                if value % 4 != 0 || value / 4 > OPTION_LEN {
                    return Err(piece.error(Problem::Expected("a multiple of 4 up to 124")));
                }
                put(at + 3, value / 4, mask & OPTION_LEN);
                len = Some(value);
            }
            _ => return Err(item.name.error(Problem::UnknownPart)),
        }
    }
    let len = len.ok_or_else(|| whole.error(Problem::Missing("len=…")))?;
    let end = at + 4 + usize::from(len);
    if end > OPTIONS_MAX { Err(whole.error(Problem::TooMany)) } else { Ok(end) }
}

/// A number of any width as `len` bytes.
pub(crate) fn bytes<'a>(piece: Piece<'a>, len: u8) -> Result<Vec<u8>, TextError<'a>> {
    let mut out = vec![0; usize::from(len)];
    let hex = piece.text.strip_prefix("0x").unwrap_or(piece.text);
    let expected = || piece.error(Problem::Expected("a hexadecimal number"));
    if hex.is_empty() {
        return Err(expected());
    }
    for (at, digit) in hex.bytes().rev().enumerate() {
        let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let value = value.ok_or_else(expected)?;
        match out.iter_mut().rev().nth(at / 2) {
            Some(byte) => *byte |= value << (4 * (at % 2)),
            None if value == 0 => {}
            None => {
                return Err(piece.error(Problem::TooWide(len.saturating_mul(8))));
            }
        }
    }
    Ok(out)
}

/// Whether a key says anything of a tunnel.
pub(crate) fn is_there(key: &FlowKey) -> bool {
    !key.lane(layout::TUN_ID.lane()).is_zero()
}

/// Prints `tunnel(…)`.
pub(crate) fn print(
    f: &mut dyn fmt::Write,
    key: &FlowKey,
    mask: Option<&FlowMask>,
    verbose: bool,
) -> fmt::Result {
    let mut out = Commas::open(f, "tunnel(")?;
    let flags = key.load(layout::TUN_FLAGS);
    for row in &HEAD {
        let value = key.load(row.place);
        let there = match row.name {
            "ttl" => true,
            "tun_id" => value != 0 || flags & FLAG_KEY != 0,
            _ => value != 0,
        };
        if there {
            print_row(&mut out, row, key, mask, verbose)?;
        }
    }
    let any = |rows: &[Part]| rows.iter().any(|row| key.load(row.place) != 0);
    let wild = |rows: &[Part]| {
        !verbose && mask.is_some_and(|mask| rows.iter().all(|row| mask.load(row.place) == 0))
    };
    if any(&GBP) && !wild(&GBP) {
        print_rows(&mut out, "vxlan(gbp(", "))", &GBP, key, mask, verbose)?;
    }
    let len = usize::try_from(key.load(layout::TUN_OPT_LEN)).unwrap_or(0).min(OPTIONS_MAX);
    if len > 0 || flags & u128::from(layout::TUN_FLAG_GENEVE) != 0 {
        out.next()?;
        print_options(out.inner(), key, mask, len, verbose)?;
    }
    if any(&ERSPAN) && !wild(&ERSPAN) {
        let version = key.load(layout::TUN_ERSPAN_VER);
        // Version 1 has an index, version 2 direction and hardware id.
        let [ver, idx, dir, hwid] = &ERSPAN;
        let inner = out.next()?;
        let mut list = Commas::open(inner, "erspan(")?;
        print_row(&mut list, ver, key, mask, verbose)?;
        if version == 1 {
            print_row(&mut list, idx, key, mask, verbose)?;
        } else {
            print_row(&mut list, dir, key, mask, verbose)?;
            print_row(&mut list, hwid, key, mask, verbose)?;
        }
        list.close(")")?;
    }
    if any(&GTPU) && !wild(&GTPU) {
        print_rows(&mut out, "gtpu(", ")", &GTPU, key, mask, verbose)?;
    }
    print_flags(&mut out, flags & FLAGS, mask, verbose)?;
    out.close(")")
}

fn print_flags(
    out: &mut Commas<'_>,
    flags: u128,
    mask: Option<&FlowMask>,
    verbose: bool,
) -> fmt::Result {
    let joined = |f: &mut dyn fmt::Write| {
        let set = TUN_FLAGS.iter().filter(|(_, bit)| flags & u128::from(*bit) != 0);
        let set = set.map(|(name, _)| *name);
        write!(f, "flags({})", set.collect::<Vec<_>>().join("|"))
    };
    match mask.map(|mask| mask.load(layout::TUN_FLAGS) & FLAGS) {
        None if flags == 0 => Ok(()),
        None | Some(FLAGS) => joined(out.next()?),
        Some(0) if verbose => out.next()?.write_str("flags(0/0)"),
        Some(0) => Ok(()),
        Some(mask) => {
            let f = out.next()?;
            f.write_str("flags(")?;
            for (name, bit) in TUN_FLAGS {
                let bit = u128::from(*bit);
                if mask & bit != 0 {
                    write!(f, "{}{name}", if flags & bit != 0 { '+' } else { '-' })?;
                }
            }
            f.write_str(")")
        }
    }
}

fn print_rows(
    out: &mut Commas<'_>,
    open: &str,
    close: &str,
    rows: &[Part],
    key: &FlowKey,
    mask: Option<&FlowMask>,
    verbose: bool,
) -> fmt::Result {
    let mut list = Commas::open(out.next()?, open)?;
    for row in rows {
        print_row(&mut list, row, key, mask, verbose)?;
    }
    list.close(close)
}

fn print_row(
    out: &mut Commas<'_>,
    row: &Part,
    key: &FlowKey,
    mask: Option<&FlowMask>,
    verbose: bool,
) -> fmt::Result {
    let mask = mask.map(|mask| mask.load(row.place) & row.ones());
    if mask == Some(0) && !verbose {
        return Ok(());
    }
    let value = key.load(row.place) & row.ones();
    let f = out.next()?;
    write!(f, "{}=", row.name)?;
    if row.name == "tun_id" {
        // Its zero is printed as the others' values are not.
        write!(f, "{value:#x}")?;
        return match mask.filter(|&mask| mask != row.ones()) {
            Some(mask) => write!(f, "/{}", Hex(mask)),
            None => Ok(()),
        };
    }
    value::print_part(f, row, value, mask, verbose, &PortNumbers)
}

fn print_options(
    f: &mut dyn fmt::Write,
    key: &FlowKey,
    mask: Option<&FlowMask>,
    len: usize,
    verbose: bool,
) -> fmt::Result {
    f.write_str("geneve(")?;
    let values: Vec<u8> = raw(key.bytes(), len);
    let masks: Option<Vec<u8>> = mask.map(|mask| raw(mask.bytes(), len));
    let mut at = 0;
    while let Some(&[c0, c1, kind, size]) = values.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let bytes = usize::from(size & OPTION_LEN) * 4;
        let end = (at + 4 + bytes).min(len);
        let mask_at = |at: usize| masks.as_ref().map(|m| m.get(at).copied().unwrap_or(0));
        let mut list = Commas::open(f, "{")?;
        let class = u16::from_be_bytes([c0, c1]);
        let class_mask = mask_at(at)
            .zip(mask_at(at + 1))
            .map(|(high, low)| u128::from(u16::from_be_bytes([high, low])));
        let mut field = |name, value: u128, mask: Option<u128>, full: u128, hex: bool| {
            if mask == Some(0) && !verbose {
                return Ok(());
            }
            let f = list.next()?;
            match hex {
                true => write!(f, "{name}{}", Hex(value))?,
                false => write!(f, "{name}{value}")?,
            }
            match mask.filter(|&mask| mask != full) {
                Some(mask) => write!(f, "/{}", Hex(mask)),
                None => Ok(()),
            }
        };
        field("class=", u128::from(class), class_mask, 0xffff, true)?;
        field("type=", u128::from(kind), mask_at(at + 2).map(u128::from), 0xff, true)?;
        let len_mask = mask_at(at + 3).map(|mask| u128::from(mask & OPTION_LEN));
        field("len=", (bytes as u128) & 0xff, len_mask, u128::from(OPTION_LEN), false)?;
        let data = values.get(at + 4..end).unwrap_or_default();
        let data_mask = masks.as_ref().map(|m| m.get(at + 4..end).unwrap_or_default());
        let wild = data_mask.is_some_and(|mask| mask.iter().all(|&byte| byte == 0));
        if !data.is_empty() && (verbose || !wild) {
            let f = list.next()?;
            print_bytes(f, data)?;
            if let Some(mask) = data_mask.filter(|mask| mask.iter().any(|&byte| byte != 0xff)) {
                f.write_str("/")?;
                print_bytes(f, mask)?;
            }
        }
        list.close("}")?;
        at = end;
    }
    f.write_str(")")
}

fn raw(all: &[u8], len: usize) -> Vec<u8> {
    all.get(OPTIONS..OPTIONS + len).unwrap_or_default().to_vec()
}

/// Bytes as one hexadecimal number without leading zeros.
pub(crate) fn print_bytes(f: &mut dyn fmt::Write, bytes: &[u8]) -> fmt::Result {
    let mut bytes = bytes.iter().skip_while(|&&byte| byte == 0);
    match bytes.next() {
        None => f.write_str("0"),
        Some(first) => {
            write!(f, "{first:#x}")?;
            bytes.try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}
