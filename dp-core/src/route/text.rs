//! Routes and rules as the `ovs/route/*` commands take and show them.
//!
//! Each function takes a command's arguments and gives the text that answers it, or that of the
//! refusal.

use core::fmt::Write;
use core::net::IpAddr;

use super::prefix::{Family, Prefix};
use super::rank::Policy;
use super::router::{Kind, Listed, RouteMatch, Router, RouterError, SourceNeed};
use super::rules::{Rule, RuleSource, Rules, table_id};

/// The optional arguments of the commands.
#[derive(Debug, Default)]
struct Options {
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
    mark: u32,
    table: Option<u32>,
    policy: Option<Policy>,
}

impl Options {
    /// Whether they say what can be asked for: a mark and a source.
    const fn asks(&self) -> bool {
        self.gateway.is_none() && self.table.is_none() && self.policy.is_none()
    }

    fn to(&self, prefix: Prefix) -> RouteMatch {
        RouteMatch {
            prefix,
            policy: self.policy.unwrap_or(Policy::Destination),
            mark: self.mark,
            table: self.table.unwrap_or(Rules::MAIN),
        }
    }
}

/// A number as the tools write them: decimal, hexadecimal after `0x`, octal after `0`. What does not
/// fit is cut to 32 bits, as users are used to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut on purpose")]
fn mark(text: &str) -> Option<u32> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    i128::from_str_radix(digits, radix).ok().map(|value| value as u32)
}

/// An address. One of IPv4 within IPv6 is that of IPv4: nothing on the wire has the other.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn options(arguments: &[&str], family: Family) -> Option<Options> {
    let address = |text: &str| address(text).filter(|&address| Family::of(address) == family);
    let mut out = Options::default();
    for argument in arguments {
        match argument.split_once('=') {
            Some(("pkt_mark", value)) => out.mark = mark(value)?,
            Some(("src", value)) => out.source = Some(address(value)?),
            Some(("table", value)) => out.table = Some(table_id(value)?),
            Some(("policy", "src-ip")) => out.policy = Some(Policy::Source),
            Some(("policy", "dst-ip")) => out.policy = Some(Policy::Destination),
            Some(_) => return None,
            None => out.gateway = Some(address(argument)?),
        }
    }
    Some(out)
}

fn prefix(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|_| "Invalid 'ip/plen' parameter".to_string())?;
    let address = prefix.address().to_canonical();
    let shorter = prefix.family().width() - Family::of(address).width();
    // A shorter one holds other addresses than those of IPv4, too.
    let len = prefix.len().checked_sub(shorter);
    Ok(len.map_or(prefix, |len| Prefix::new(address, len)))
}

/// `ovs/route/add IP/PLEN BRIDGE [GW] [pkt_mark=MARK] [src=IP] [table=ID] [policy=src-ip|dst-ip]`.
///
/// # Errors
///
/// The text of the refusal.
pub fn add(router: &mut Router, arguments: &[&str]) -> Result<String, String> {
    let [text, device, rest @ ..] = arguments else {
        return Err("\"ovs/route/add\" command requires at least 2 arguments".into());
    };
    let prefix = prefix(text)?;
    let options = options(rest, prefix.family())
        .ok_or_else(|| "Invalid pkt_mark, IP gateway or src_ip".to_string())?;
    router
        .add_user(options.to(prefix), device, options.gateway, options.source)
        .map(|()| "OK".into())
        .map_err(|_| "Error while inserting route.".into())
}

/// `ovs/route/del IP/PLEN [pkt_mark=MARK] [table=ID] [policy=src-ip|dst-ip]`.
///
/// # Errors
///
/// The text of the refusal.
pub fn del(router: &mut Router, arguments: &[&str]) -> Result<String, String> {
    let [text, rest @ ..] = arguments else {
        return Err("\"ovs/route/del\" command requires at least 1 arguments".into());
    };
    let prefix: Prefix = prefix(text).map_err(|_| "Invalid parameters".to_string())?;
    let options = options(rest, prefix.family())
        .filter(|options| options.gateway.is_none() && options.source.is_none())
        .ok_or_else(|| "Invalid pkt_mark".to_string())?;
    match router.remove_user(options.to(prefix)) {
        Ok(()) => Ok("OK".into()),
        Err(RouterError::NotFound) => Err("Not found".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// One route, without the end of the line.
fn route(out: &mut String, route: &Listed) {
    for (at, hop) in route.hops.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let kind = if route.kind == Kind::User { "User" } else { "Cached" };
        let _ = write!(out, "{kind}: {}", route.prefix);
        if route.mark != 0 {
            let _ = write!(out, " MARK {}", route.mark);
        }
        let _ = write!(out, " dev {}", hop.device);
        if let Some(gateway) = hop.gateway {
            let _ = write!(out, " GW {gateway}");
        }
        if let Some(source) = hop.source {
            let _ = write!(out, " SRC {source}");
        }
        if route.kind == Kind::Local {
            out.push_str(" local");
        }
        if route.policy == Policy::Source {
            out.push_str(" policy src-ip");
        }
    }
}

/// `ovs/route/show [table=ID|all]`: without a table, those that are there at start.
///
/// # Errors
///
/// The text of the refusal.
pub fn show(router: &Router, arguments: &[&str]) -> Result<String, String> {
    let standard = |table: u32| matches!(table, Rules::LOCAL | Rules::MAIN | Rules::DEFAULT);
    let mut out = String::new();
    let mut list = |wanted: &dyn Fn(u32) -> bool, name_table: bool| {
        for listed in router.list().filter(|listed| wanted(listed.table)) {
            route(&mut out, listed);
            if name_table && !standard(listed.table) {
                let _ = write!(out, " table {}", listed.table);
            }
            out.push('\n');
        }
    };
    match arguments {
        [] => {
            list(&standard, false);
            Ok(format!("Route Table:\n{out}"))
        }
        ["table=all"] => {
            list(&|_| true, true);
            Ok(out)
        }
        [argument] => {
            let id = argument.strip_prefix("table=").and_then(table_id);
            let id = id.ok_or_else(|| "Invalid table id".to_string())?;
            list(&|table| table == id, false);
            Ok(format!("Route Table #{id}:\n{out}"))
        }
        _ => Err("\"ovs/route/show\" command takes at most 1 arguments".into()),
    }
}

/// `ovs/route/lookup IP [pkt_mark=MARK] [src=IP]`.
///
/// # Errors
///
/// The text of the refusal.
pub fn lookup(router: &mut Router, arguments: &[&str]) -> Result<String, String> {
    let [address, rest @ ..] = arguments else {
        return Err("\"ovs/route/lookup\" command requires at least 1 arguments".into());
    };
    let address = self::address(address).ok_or_else(|| "Invalid parameters".to_string())?;
    let options = options(rest, Family::of(address))
        .filter(Options::asks)
        .ok_or_else(|| "Invalid pkt_mark".to_string())?;
    let source = options.source.map_or(SourceNeed::Any, SourceNeed::Own);
    let found = router.snapshot().lookup(address, options.mark, source, 0);
    let found = found.ok_or_else(|| "Not found".to_string())?;
    let or_none = |address: Option<IpAddr>| address.map_or_else(|| "::".into(), |a| a.to_string());
    Ok(format!(
        "src {}\ngateway {}\ndev {}\n",
        or_none(found.source),
        or_none(found.gateway),
        found.device
    ))
}

/// `ovs/route/explain IP [pkt_mark=MARK] [src=IP]`: what [`lookup`] looks at, and why it takes what it
/// takes.
///
/// # Errors
///
/// The text of the refusal.
pub fn explain(router: &mut Router, arguments: &[&str]) -> Result<String, String> {
    let [address, rest @ ..] = arguments else {
        return Err("\"ovs/route/explain\" command requires at least 1 arguments".into());
    };
    let address = self::address(address).ok_or_else(|| "Invalid parameters".to_string())?;
    let options = options(rest, Family::of(address))
        .filter(Options::asks)
        .ok_or_else(|| "Invalid parameter; expected pkt_mark=MARK or src=IP".to_string())?;
    Ok(router.why(address, options.mark, options.source).to_string())
}

/// A rule's arguments: `[-6] [not] from=all|IP/PLEN [prio=N] [mark=V[/M]] table=ID`.
fn rule(arguments: &[&str]) -> Result<(Rule, Option<u32>), String> {
    let mut family = None;
    let (mut from, mut invert, mut priority, mut table, mut mark_of) =
        (None, false, None, None, None);
    for argument in arguments {
        match argument.split_once('=') {
            None if *argument == "-6" => family = Some(Family::V6),
            None if *argument == "not" => invert = true,
            Some(("from", "all")) => from = Some(None),
            Some(("from", text)) => {
                let prefix: Prefix =
                    text.parse().map_err(|_| "Invalid 'from' parameter".to_string())?;
                from = Some(Some(prefix));
            }
            Some(("prio", text)) => {
                let value = text.parse().map_err(|_| "Invalid 'prio' parameter".to_string())?;
                priority = Some(value);
            }
            Some(("mark", text)) => {
                let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
                let parts = mark(value).zip(mark(mask));
                mark_of = Some(parts.ok_or_else(|| "Invalid 'mark' parameter".to_string())?);
            }
            Some(("table", text)) => {
                let id = table_id(text).ok_or_else(|| "Invalid 'table' parameter".to_string())?;
                table = Some(id);
            }
            _ => return Err(format!("Invalid parameter '{argument}'")),
        }
    }
    let from = from.ok_or_else(|| "Missing 'from' parameter".to_string())?;
    let table = table.ok_or_else(|| "Missing 'table' parameter".to_string())?;
    if invert && from.is_none() {
        return Err("'not' needs a prefix after 'from='".into());
    }
    let family = match (family, from) {
        (Some(wanted), Some(prefix)) if wanted != prefix.family() => {
            return Err("Invalid 'from' parameter".into());
        }
        (_, Some(prefix)) => prefix.family(),
        (family, None) => family.unwrap_or(Family::V4),
    };
    let made_by = RuleSource::User;
    let rule = Rule { priority: 0, from, invert, mark: mark_of, family, table, made_by };
    Ok((rule, priority))
}

/// `ovs/route/rule/add`.
///
/// # Errors
///
/// The text of the refusal.
pub fn rule_add(router: &mut Router, arguments: &[&str]) -> Result<String, String> {
    let (rule, priority) = rule(arguments)?;
    let free = || router.rules().free_priority(rule.family);
    let priority = priority.or_else(free).ok_or_else(|| "No priority is free".to_string())?;
    if router.rules_mut().add(Rule { priority, ..rule }) {
        Ok("OK".into())
    } else {
        Err("There are too many rules".into())
    }
}

/// `ovs/route/rule/del`.
///
/// # Errors
///
/// The text of the refusal.
pub fn rule_del(router: &mut Router, arguments: &[&str]) -> Result<String, String> {
    let (rule, priority) = rule(arguments)?;
    if router.rules_mut().remove(&rule, priority) {
        Ok("OK".into())
    } else {
        Err("Not found".into())
    }
}

/// `ovs/route/rule/show [-6]`.
///
/// # Errors
///
/// The text of the refusal.
pub fn rule_show(router: &Router, arguments: &[&str]) -> Result<String, String> {
    let family = match arguments {
        [] => Family::V4,
        ["-6"] => Family::V6,
        _ => return Err("Invalid parameter; expected -6 or nothing".into()),
    };
    let mut out = String::new();
    for rule in router.rules().as_slice().iter().filter(|rule| rule.family == family) {
        let maker = if rule.made_by == RuleSource::User { "User" } else { "Cached" };
        let _ = writeln!(out, "{maker}: {rule}");
    }
    Ok(out)
}
