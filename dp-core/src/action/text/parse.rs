//! Reading a list of actions.

use std::sync::Arc;

use super::{ct, set, tunnel, userspace};
use crate::action::{Action, ActionList, HashAlgorithm, nsh};
use crate::base::{BondId, MeterId, PortNo, RecircId};
use crate::flow::layout;
use crate::flow::text::scan::{Item, Piece, Value};
use crate::flow::text::{Attrs, DpPorts, Problem, TextError, bytes, parse_attribute, value};

/// How deep lists may stand in lists.
const DEPTH: u8 = 32;

/// Reads a list of actions: `set(ipv4(ttl=63)),push_vlan(vid=5,pcp=0),2`. Nothing and `drop` are the
/// empty list.
///
/// # Errors
///
/// The first token that is wrong.
pub fn parse_actions<'a>(text: &'a str, ports: &dyn DpPorts) -> Result<Vec<Action>, TextError<'a>> {
    Reader { ports, depth: 0 }.list(Piece::whole(text))
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) ports: &'r dyn DpPorts,
    depth: u8,
}

impl Reader<'_> {
    fn list<'a>(self, mut piece: Piece<'a>) -> Result<Vec<Action>, TextError<'a>> {
        let mut actions = Vec::new();
        let mut dropped = None;
        while let Some(item) = piece.next_item()? {
            if item.name.text == "drop" {
                item.alone()?;
                dropped = Some(item.name);
            } else {
                actions.push(self.action(&item)?);
            }
            if let Some(at) = dropped.filter(|_| !actions.is_empty()) {
                return Err(at.error(Problem::Expected("nothing beside `drop`")));
            }
        }
        Ok(actions)
    }

    /// A list inside an action.
    pub(super) fn inner<'a>(self, piece: Piece<'a>) -> Result<ActionList, TextError<'a>> {
        if self.depth >= DEPTH {
            return Err(piece.error(Problem::TooDeep(DEPTH)));
        }
        let list = Self { depth: self.depth + 1, ..self }.list(piece)?;
        Ok(Arc::from(list))
    }

    fn action<'a>(self, item: &Item<'a>) -> Result<Action, TextError<'a>> {
        let plain = |action: Action| item.alone().map(|()| action);
        Ok(match item.name.text {
            "set" => Action::Set(set::parse(item.inside()?, self.ports)?),
            "push_vlan" => push_vlan(item.inside()?)?,
            "pop_vlan" => plain(Action::PopVlan)?,
            "push_mpls" => push_mpls(item.inside()?, false)?,
            "add_mpls" => push_mpls(item.inside()?, true)?,
            "pop_mpls" => {
                let [eth_type] = named(item.inside()?, ["eth_type"])?;
                let missing = Problem::Missing("eth_type=…");
                let eth_type = eth_type.ok_or_else(|| item.name.error(missing))?;
                Action::PopMpls { eth_type: value::short(eth_type)? }
            }
            "push_eth" => push_eth(item.inside()?)?,
            "pop_eth" => plain(Action::PopEthernet)?,
            "push_nsh" => push_nsh(item.inside()?, self.ports)?,
            "pop_nsh" => match item.value {
                Value::Inside(inside) if inside.is_empty() => Action::PopNsh,
                _ => plain(Action::PopNsh)?,
            },
            "recirc" => Action::Recirc(RecircId(value::word(item.inside()?)?)),
            "hash" => hash(item.inside()?)?,
            "trunc" => Action::Trunc(value::word(item.inside()?)?),
            "meter" => Action::Meter(MeterId(value::word(item.inside()?)?)),
            "lb_output" => Action::LbOutput(BondId(value::word(item.inside()?)?)),
            "sample" => self.sample(item)?,
            "clone" => Action::Clone(self.inner(item.inside()?)?),
            "check_pkt_len" => self.check_pkt_len(item)?,
            "dec_ttl" => self.dec_ttl(item)?,
            "ct" => Action::Ct(Box::new(ct::parse(item)?)),
            "ct_clear" => plain(Action::CtClear)?,
            "userspace" => Action::Userspace(Box::new(userspace::parse(item, self.ports)?)),
            "psample" => psample(item)?,
            "tnl_push" => Action::TunnelPush(Box::new(tunnel::parse(item.inside()?, self.ports)?)),
            "tnl_pop" => Action::TunnelPop(value::port(item.inside()?, self.ports)?),
            _ => Action::Output(self.output(item)?),
        })
    }

    fn output<'a>(self, item: &Item<'a>) -> Result<PortNo, TextError<'a>> {
        match value::port(item.name, self.ports) {
            Ok(port) => item.alone().map(|()| port),
            Err(error) if item.name.text.starts_with(|c: char| c.is_ascii_digit()) => Err(error),
            Err(_) => Err(item.name.error(Problem::UnknownAction)),
        }
    }

    /// `sample(sample=9.7%,actions(…))`
    fn sample<'a>(self, item: &Item<'a>) -> Result<Action, TextError<'a>> {
        let mut piece = item.inside()?;
        let (mut probability, mut actions) = (None, None);
        while let Some(part) = piece.next_item()? {
            match part.name.text {
                "sample" if probability.is_some() => return Err(part.name.error(Problem::Twice)),
                "actions" if actions.is_some() => return Err(part.name.error(Problem::Twice)),
                "sample" => probability = Some(percentage(part.equals()?)?),
                "actions" => actions = Some(self.inner(part.inside()?)?),
                _ => return Err(part.name.error(Problem::UnknownPart)),
            }
        }
        match (probability, actions) {
            (Some(probability), Some(actions)) => Ok(Action::Sample { probability, actions }),
            _ => Err(item.name.error(Problem::Missing("sample=…% or actions(…)"))),
        }
    }

    /// `check_pkt_len(size=100,gt(…),le(…))`
    fn check_pkt_len<'a>(self, item: &Item<'a>) -> Result<Action, TextError<'a>> {
        let mut piece = item.inside()?;
        let (mut size, mut gt, mut le) = (None, None, None);
        while let Some(part) = piece.next_item()? {
            let twice = match part.name.text {
                "size" => size.is_some(),
                "gt" => gt.is_some(),
                "le" => le.is_some(),
                _ => false,
            };
            match part.name.text {
                _ if twice => return Err(part.name.error(Problem::Twice)),
                "gt" if le.is_some() => {
                    return Err(part.name.error(Problem::Expected("gt(…) before le(…)")));
                }
                "size" => size = Some(value::short(part.equals()?)?),
                "gt" => gt = Some(self.inner(part.inside()?)?),
                "le" => le = Some(self.inner(part.inside()?)?),
                _ => return Err(part.name.error(Problem::UnknownPart)),
            }
        }
        match (size, gt, le) {
            (Some(len), Some(greater), Some(less_or_equal)) => {
                Ok(Action::CheckPktLen { len, greater, less_or_equal })
            }
            _ => Err(item.name.error(Problem::Missing("size=…, gt(…) or le(…)"))),
        }
    }

    /// `dec_ttl(le_1(…))`, or `dec_ttl` where an exhausted packet ends.
    fn dec_ttl<'a>(self, item: &Item<'a>) -> Result<Action, TextError<'a>> {
        let mut list: ActionList = Arc::from([]);
        if let Value::Inside(mut piece) = item.value {
            while let Some(part) = piece.next_item()? {
                match part.name.text {
                    "le_1" => list = self.inner(part.inside()?)?,
                    _ => return Err(part.name.error(Problem::UnknownPart)),
                }
            }
        } else {
            item.alone()?;
        }
        Ok(Action::DecTtl(list))
    }
}

/// The values of `name=value` parts, each at most once.
pub(super) fn named<'a, const N: usize>(
    mut piece: Piece<'a>,
    names: [&str; N],
) -> Result<[Option<Piece<'a>>; N], TextError<'a>> {
    let mut found = [None; N];
    while let Some(item) = piece.next_item()? {
        let at = names.iter().position(|name| *name == item.name.text);
        let slot = at.and_then(|at| found.get_mut(at));
        let slot = slot.ok_or_else(|| item.name.error(Problem::UnknownPart))?;
        if slot.is_some() {
            return Err(item.name.error(Problem::Twice));
        }
        *slot = Some(item.equals()?);
    }
    Ok(found)
}

/// A number that fits into `bits`; absent, it is `default`.
fn small<'a>(piece: Option<Piece<'a>>, bits: u8, default: u32) -> Result<u32, TextError<'a>> {
    match piece {
        None => Ok(default),
        Some(piece) => {
            let number = value::number(piece, bits)?;
            u32::try_from(number).map_err(|_| piece.error(Problem::TooWide(bits)))
        }
    }
}

fn short_of(number: u32) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}

fn byte_of(number: u32) -> u8 {
    u8::try_from(number & 0xff).unwrap_or(0)
}

/// `push_vlan(vid=12,pcp=7)`, perhaps with `tpid=0x88a8` before and `cfi=0` behind.
fn push_vlan<'a>(piece: Piece<'a>) -> Result<Action, TextError<'a>> {
    let [tpid, vid, pcp, cfi] = named(piece, ["tpid", "vid", "pcp", "cfi"])?;
    if vid.is_none() || pcp.is_none() {
        return Err(piece.error(Problem::Missing("vid=… or pcp=…")));
    }
    let tpid = short_of(small(tpid, 16, 0x8100)?);
    let tag = small(vid, 12, 0)? | small(pcp, 3, 0)? << 13;
    let present = small(cfi, 1, 1)? << 12;
    debug_assert_eq!(u32::from(layout::VLAN_PRESENT), 1 << 12);
    Ok(Action::PushVlan { tpid, tci: short_of(tag | present) })
}

fn push_mpls<'a>(piece: Piece<'a>, anywhere: bool) -> Result<Action, TextError<'a>> {
    let names = ["label", "tc", "ttl", "bos", "eth_type", "tun_flags"];
    let [label, tc, ttl, bos, eth_type, flags] = named(piece, names)?;
    let whole = "label=…, tc=…, ttl=…, bos=… or eth_type=…";
    let (Some(label), Some(tc), Some(ttl), Some(bos), Some(eth_type)) =
        (label, tc, ttl, bos, eth_type)
    else {
        return Err(piece.error(Problem::Missing(whole)));
    };
    let eth_type = value::short(eth_type)?;
    let part = |piece, bits| small(Some(piece), bits, 0);
    let lse = part(label, 20)? << 12 | part(tc, 3)? << 9 | part(bos, 1)? << 8 | part(ttl, 8)?;
    match flags {
        Some(flags) if !anywhere => Err(flags.error(Problem::UnknownPart)),
        _ if !anywhere => Ok(Action::PushMpls { lse, eth_type }),
        flags => {
            let behind_ethernet = small(flags, 1, 0)? != 0;
            Ok(Action::AddMpls { lse, eth_type, behind_ethernet })
        }
    }
}

fn push_eth<'a>(piece: Piece<'a>) -> Result<Action, TextError<'a>> {
    let [src, dst] = named(piece, ["src", "dst"])?;
    match (src, dst) {
        (Some(src), Some(dst)) => Ok(Action::PushEthernet(crate::action::set::Ethernet {
            src: value::mac(src)?,
            dst: value::mac(dst)?,
        })),
        _ => Err(piece.error(Problem::Missing("src=… or dst=…"))),
    }
}

fn push_nsh<'a>(piece: Piece<'a>, ports: &dyn DpPorts) -> Result<Action, TextError<'a>> {
    const MD2_MAX: usize = 248;
    // What is not said is that of a frame in Ethernet, with metadata of type 1.
    const DEFAULTS: [(&str, &str); 4] =
        [("ttl", "63"), ("mdtype", "1"), ("np", "3"), ("si", "255")];
    let mut metadata2 = smallvec::SmallVec::new();
    // What is not metadata of type 2 is a key's attribute.
    let mut fields = String::from("nsh(");
    let mut rest = piece;
    let mut said = Vec::new();
    while let Some(item) = rest.next_item()? {
        if item.name.text != "md2" {
            said.push(item.name.text);
            let one = format!("nsh({}={})", item.name.text, item.equals()?.text);
            if parse_attribute(Piece::whole(&one), ports).is_err() {
                let expected = Problem::Expected("a field of NSH and its value");
                return Err(item.name.error(expected));
            }
            fields.push_str(one.get(4..one.len() - 1).unwrap_or_default());
            fields.push(',');
            continue;
        }
        let md2 = item.equals()?;
        let digits = md2.text.strip_prefix("0x").unwrap_or(md2.text).len();
        let len = if md2.text == "0" { 0 } else { digits.div_ceil(2) };
        let padded = len.next_multiple_of(4);
        if padded > MD2_MAX {
            return Err(md2.error(Problem::TooMany));
        }
        metadata2.extend_from_slice(&bytes(md2, u8::try_from(len).unwrap_or(0))?);
        metadata2.resize(padded, 0);
    }
    for (name, value) in DEFAULTS.iter().filter(|(name, _)| !said.contains(name)) {
        fields.push_str(&format!("{name}={value},"));
    }
    fields.push(')');
    let fault = |_| piece.error(Problem::Expected("fields of NSH, each once"));
    let flow = parse_attribute(Piece::whole(&fields), ports).map_err(fault)?;
    let key = set::nsh_key(&flow.key);
    if !matches!(key.mdtype, 1 | 2) {
        return Err(piece.error(Problem::Expected("mdtype=1 or mdtype=2")));
    }
    debug_assert!(flow.attrs.contains(Attrs::NSH));
    Ok(Action::PushNsh(Box::new(nsh::Header { key, metadata2 })))
}

/// `l4(5)` or `sym_l4(5)`.
fn hash<'a>(mut piece: Piece<'a>) -> Result<Action, TextError<'a>> {
    let whole = piece;
    let expected = || whole.error(Problem::Expected("l4(…) or sym_l4(…)"));
    let item = piece.next_item()?.ok_or_else(expected)?;
    let algorithm = match item.name.text {
        "l4" => HashAlgorithm::L4,
        "sym_l4" => HashAlgorithm::SymL4,
        _ => return Err(expected()),
    };
    Ok(Action::Hash { algorithm, basis: value::word(item.inside()?)? })
}

/// A percentage as a part of 2^32 - 1.
fn percentage<'a>(piece: Piece<'a>) -> Result<u32, TextError<'a>> {
    let expected = || piece.error(Problem::Expected("a percentage from 0 to 100: 9.7%"));
    let number = piece.text.strip_suffix('%').ok_or_else(expected)?;
    if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(expected());
    }
    match number.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^32 - 1"
        )]
        Ok(percent) if (0.0..=100.0).contains(&percent) => {
            Ok((f64::from(u32::MAX) * (percent / 100.0) + 0.5).floor() as u32)
        }
        _ => Err(expected()),
    }
}

/// `psample(group=12,cookie=0xabcdef)`
fn psample<'a>(item: &Item<'a>) -> Result<Action, TextError<'a>> {
    const COOKIE_MAX: usize = 16;
    let [group, cookie] = named(item.inside()?, ["group", "cookie"])?;
    let group = group.ok_or_else(|| item.name.error(Problem::Missing("group=…")))?;
    let cookie = match cookie {
        None => Vec::new(),
        Some(cookie) => hexadecimal(cookie, COOKIE_MAX)?,
    };
    Ok(Action::Psample { group: value::word(group)?, cookie: cookie.into_boxed_slice() })
}

/// Digits by twos, perhaps behind `0x`.
pub(super) fn hexadecimal<'a>(piece: Piece<'a>, max: usize) -> Result<Vec<u8>, TextError<'a>> {
    let digits = piece.text.strip_prefix("0x").unwrap_or(piece.text);
    let expected = || piece.error(Problem::Expected("hexadecimal digits by twos"));
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::new();
    for pair in digits.as_bytes().chunks(2) {
        match pair {
            [high, low] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => out.push(high << 4 | low),
                _ => return Err(expected()),
            },
            _ => return Err(expected()),
        }
    }
    match out.len() > max {
        true => Err(piece.error(Problem::TooMany)),
        false => Ok(out),
    }
}

impl Action {
    /// Whether nothing can come after it in a list.
    pub(super) const fn ends(&self) -> bool {
        matches!(self, Self::Drop(_))
    }
}

/// The label, traffic class, TTL and bottom bit of a label stack entry.
pub(super) fn label_parts(lse: u32) -> (u32, u8, u8, u8) {
    (lse >> 12, byte_of(lse >> 9 & 7), byte_of(lse), byte_of(lse >> 8 & 1))
}
