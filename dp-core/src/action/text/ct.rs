//! `ct(…)`: connection tracking and NAT.

use core::fmt;
use core::net::IpAddr;

use crate::action::ct::{Helper, Nat, NatChoice, NatEnd, NatTarget};
use crate::action::{Ct, Masked};
use crate::base::Zone;
use crate::flow::text::scan::{Item, Piece, Value};
use crate::flow::text::value::Ip6Text;
use crate::flow::text::{Commas, Problem, TextError, value};

/// Longest name of a timeout policy.
const TIMEOUT_NAME: usize = 31;

/// Reads `ct` and what stands in its parentheses.
pub(super) fn parse<'a>(item: &Item<'a>) -> Result<Ct, TextError<'a>> {
    let mut ct = Ct::default();
    let Value::Inside(mut piece) = item.value else {
        return item.alone().map(|()| ct);
    };
    let mut seen = Vec::new();
    while let Some(part) = piece.next_item()? {
        let name = part.name.text;
        if seen.contains(&name) && name != "nat" {
            return Err(part.name.error(Problem::Twice));
        }
        seen.push(name);
        match name {
            "commit" | "force_commit" => {
                part.alone()?;
                if ct.commit {
                    let both = Problem::Expected("one of commit and force_commit");
                    return Err(part.name.error(both));
                }
                ct.commit = true;
                ct.force = name == "force_commit";
            }
            "zone" => ct.zone = Zone(value::short(part.equals()?)?),
            "mark" => {
                let (value, mask) = masked(part.equals()?, u32::MAX, value::word)?;
                ct.mark = Some(Masked { value: value & mask, mask });
            }
            "label" => {
                let one = |piece| value::number(piece, 128);
                let (value, mask) = masked(part.equals()?, u128::MAX, one)?;
                ct.label = Some(Masked { value: value & mask, mask });
            }
            "helper" => {
                let name = part.equals()?;
                let helper = [Helper::Ftp, Helper::Tftp].into_iter();
                let helper = helper.clone().find(|helper| helper.name() == name.text);
                let expected = || name.error(Problem::Expected("ftp or tftp"));
                ct.helper = Some(helper.ok_or_else(expected)?);
            }
            "timeout" => {
                let name = part.equals()?;
                if name.is_empty() || name.text.len() > TIMEOUT_NAME {
                    return Err(name.error(Problem::Expected("a name of at most 31 bytes")));
                }
                ct.timeout = Some(name.text.into());
            }
            "nat" => ct.nat = Some(joined(ct.nat, nat(&part)?, &part)?),
            _ => return Err(part.name.error(Problem::UnknownPart)),
        }
    }
    Ok(ct)
}

fn masked<'a, T>(
    piece: Piece<'a>,
    ones: T,
    one: impl Fn(Piece<'a>) -> Result<T, TextError<'a>>,
) -> Result<(T, T), TextError<'a>> {
    match piece.split_once('/') {
        Some((value, mask)) => Ok((one(value)?, one(mask)?)),
        None => Ok((one(piece)?, ones)),
    }
}

/// A translation and the one that was said before it, of the other end.
fn joined<'a>(before: Option<Nat>, nat: Nat, item: &Item<'a>) -> Result<Nat, TextError<'a>> {
    match before {
        None => Ok(nat),
        Some(Nat { to: Some(one), also: None })
            if nat.to.as_ref().is_some_and(|two| two.end != one.end) =>
        {
            Ok(Nat { to: Some(one), also: nat.to })
        }
        Some(_) => Err(item.name.error(Problem::Twice)),
    }
}

/// `nat`, `nat(src)`, `nat(src=10.0.0.1-10.0.0.9:1024-2047,random)`
fn nat<'a>(item: &Item<'a>) -> Result<Nat, TextError<'a>> {
    let Value::Inside(mut piece) = item.value else {
        return item.alone().map(|()| Nat::default());
    };
    let mut target: Option<NatTarget> = None;
    let (mut persistent, mut choice) = (false, NatChoice::Default);
    while let Some(part) = piece.next_item()? {
        match part.name.text {
            name @ ("src" | "dst") => {
                if target.is_some() {
                    return Err(part.name.error(Problem::Expected("one of src and dst")));
                }
                let end = if name == "src" { NatEnd::Src } else { NatEnd::Dst };
                let (addresses, ports) = match part.value {
                    Value::Equals(range) => nat_range(range.trim())?,
                    _ => part.alone().map(|()| (None, None))?,
                };
                target = Some(NatTarget { end, addresses, ports, persistent: false, choice });
            }
            "hash" | "random" if choice != NatChoice::Default => {
                return Err(part.name.error(Problem::Expected("one of hash and random")));
            }
            "persistent" => part.alone().map(|()| persistent = true)?,
            "hash" => part.alone().map(|()| choice = NatChoice::Hash)?,
            "random" => part.alone().map(|()| choice = NatChoice::Random)?,
            _ => return Err(part.name.error(Problem::UnknownPart)),
        }
    }
    match &mut target {
        Some(target) => (target.persistent, target.choice) = (persistent, choice),
        None if persistent || choice != NatChoice::Default => {
            return Err(item.name.error(Problem::Missing("src or dst")));
        }
        None => {}
    }
    Ok(Nat { to: target, also: None })
}

type Ranges = (Option<(IpAddr, IpAddr)>, Option<(u16, u16)>);

/// `ADDRESS[-ADDRESS][:PORT[-PORT]]`; IPv6 addresses stand in brackets where ports follow.
fn nat_range<'a>(piece: Piece<'a>) -> Result<Ranges, TextError<'a>> {
    let (first, mut rest) = address(piece)?;
    let mut last = first;
    if rest.take("-") {
        (last, rest) = address(rest)?;
        let same = first.is_ipv4() == last.is_ipv4();
        if !same || last < first {
            return Err(piece.error(Problem::Expected("the lower address first")));
        }
    }
    if rest.is_empty() {
        return Ok((Some((first, last)), None));
    }
    if !rest.take(":") {
        return Err(rest.error(Problem::Expected("`:` and ports")));
    }
    let (low, high) = match rest.split_once('-') {
        Some((low, high)) => (value::short(low)?, value::short(high)?),
        None => value::short(rest).map(|port| (port, port))?,
    };
    if high < low {
        return Err(rest.error(Problem::Expected("the lower port first")));
    }
    Ok((Some((first, last)), Some((low, high))))
}

/// An address, and what follows it.
fn address<'a>(piece: Piece<'a>) -> Result<(IpAddr, Piece<'a>), TextError<'a>> {
    if piece.text.starts_with('[') {
        let (inside, rest) = piece.group('[', ']')?;
        return Ok((IpAddr::V6(value::ip6(inside)?), rest));
    }
    let end = piece.text.find('-').unwrap_or(piece.text.len());
    let whole = piece.slice(0, end);
    // Without brackets, colons belong to the address if there is more than one.
    if whole.text.bytes().filter(|&byte| byte == b':').count() > 1 {
        return Ok((IpAddr::V6(value::ip6(whole)?), piece.tail(end)));
    }
    let end = whole.text.find(':').unwrap_or(end);
    Ok((IpAddr::V4(value::ip4(piece.slice(0, end))?), piece.tail(end)))
}

/// Prints `ct(…)`.
pub(super) fn print(f: &mut dyn fmt::Write, ct: &Ct) -> fmt::Result {
    if *ct == Ct::default() {
        return f.write_str("ct");
    }
    let mut out = Commas::open(f, "ct(")?;
    if ct.commit {
        out.next()?.write_str(if ct.force { "force_commit" } else { "commit" })?;
    }
    if ct.zone.0 != 0 {
        write!(out.next()?, "zone={}", ct.zone.0)?;
    }
    if let Some(mark) = &ct.mark {
        // A zero goes without its prefix.
        match mark.value {
            0 => write!(out.next()?, "mark=0/{:#x}", mark.mask)?,
            value => write!(out.next()?, "mark={value:#x}/{:#x}", mark.mask)?,
        }
    }
    if let Some(label) = ct.label.as_ref().filter(|it| it.mask != 0) {
        let f = out.next()?;
        match label.value {
            0 => f.write_str("label=0")?,
            value => write!(f, "label={value:#x}")?,
        }
        if label.mask != u128::MAX {
            write!(f, "/{:#x}", label.mask)?;
        }
    }
    if let Some(helper) = ct.helper {
        write!(out.next()?, "helper={}", helper.name())?;
    }
    if let Some(timeout) = &ct.timeout {
        write!(out.next()?, "timeout={timeout}")?;
    }
    if let Some(nat) = &ct.nat {
        print_nat(out.next()?, nat.to.as_ref())?;
        if nat.also.is_some() {
            print_nat(out.next()?, nat.also.as_ref())?;
        }
    }
    out.close(")")
}

fn print_nat(f: &mut dyn fmt::Write, target: Option<&NatTarget>) -> fmt::Result {
    let Some(target) = target else { return f.write_str("nat") };
    f.write_str(match target.end {
        NatEnd::Src => "nat(src",
        NatEnd::Dst => "nat(dst",
    })?;
    if let Some((first, last)) = target.addresses {
        f.write_str("=")?;
        let brackets = first.is_ipv6() && target.ports.is_some();
        let one = |f: &mut dyn fmt::Write, address: IpAddr| match address {
            IpAddr::V6(address) if brackets => write!(f, "[{}]", Ip6Text(address.into())),
            IpAddr::V6(address) => write!(f, "{}", Ip6Text(address.into())),
            IpAddr::V4(address) => write!(f, "{address}"),
        };
        one(f, first)?;
        if last != first {
            f.write_str("-")?;
            one(f, last)?;
        }
        if let Some((low, high)) = target.ports {
            write!(f, ":{low}")?;
            if high != low {
                write!(f, "-{high}")?;
            }
        }
    }
    if target.persistent {
        f.write_str(",persistent")?;
    }
    f.write_str(match target.choice {
        NatChoice::Default => ")",
        NatChoice::Hash => ",hash)",
        NatChoice::Random => ",random)",
    })
}
