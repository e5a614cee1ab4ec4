//! Connections as text: what the `dpctl` commands of connection tracking print and read.

use core::fmt::Write as _;
use core::net::IpAddr;
use std::collections::BTreeMap;

use super::Conntrack;
use super::dump::{Entry, TcpEnd, TupleFilter};
use super::key::Tuple;
use super::tcp::Scale;
use crate::action::Masked;
use crate::base::{Instant, Zone};

/// How much of a connection is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Everything that is kept (`-m`).
    pub more: bool,
    /// Life times (`-s`).
    pub statistics: bool,
}

/// The name of a protocol, or its number.
fn protocol(proto: u8) -> String {
    let name = match proto {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        58 => "icmpv6",
        132 => "sctp",
        136 => "udplite",
        other => return other.to_string(),
    };
    name.to_owned()
}

fn tuple(out: &mut String, tuple: &Tuple) {
    let (src, dst, rest) = (tuple.src, tuple.dst, tuple.rest);
    let _ = write!(out, "src={src},dst={dst},");
    let _ = if tuple.is_icmp() {
        let (kind, code) = (tuple.icmp_type(), tuple.icmp_code());
        write!(out, "id={},type={kind},code={code}", rest.sport)
    } else {
        write!(out, "sport={},dport={}", rest.sport, rest.dport)
    };
}

fn tcp_flags(end: &TcpEnd) -> &'static str {
    match end.scale {
        Scale::None => "0",
        Scale::Bits(_) => "WINDOW_SCALE",
        Scale::Unknown => "BE_LIBERAL",
    }
}

fn scale_bits(end: &TcpEnd) -> u8 {
    if let Scale::Bits(bits) = end.scale { bits } else { 0 }
}

fn tcp(out: &mut String, [orig, reply]: &[TcpEnd; 2], detail: Detail) {
    if !detail.more {
        let state = orig.state.max(reply.state).short_name();
        let _ = write!(out, ",protoinfo=(state={state})");
        return;
    }
    let (a, b) = (orig.state.name(), reply.state.name());
    let _ = write!(out, ",protoinfo=(state_orig={a},state_reply={b}");
    let (a, b) = (scale_bits(orig), scale_bits(reply));
    if a != 0 || b != 0 {
        let _ = write!(out, ",wscale_orig={a},wscale_reply={b}");
    }
    let (a, b) = (tcp_flags(orig), tcp_flags(reply));
    let _ = write!(out, ",flags_orig={a},flags_reply={b})");
}

/// One connection, without a line's end.
pub fn entry(out: &mut String, entry: &Entry, detail: Detail) {
    let _ = write!(out, "{},orig=(", protocol(entry.orig.rest.proto));
    tuple(out, &entry.orig);
    out.push_str("),reply=(");
    tuple(out, &entry.reply);
    out.push(')');
    if detail.more {
        out.push_str(",id=0");
    }
    if entry.zone().0 != 0 {
        let _ = write!(out, ",zone={}", entry.zone().0);
    }
    if detail.more {
        out.push_str(",status=0");
    }
    if detail.statistics {
        let _ = write!(out, ",timeout={}", entry.timeout);
    }
    if entry.mark != 0 {
        let _ = write!(out, ",mark={}", entry.mark);
    }
    if entry.label != 0 {
        let _ = write!(out, ",labels={:#x}", entry.label);
    }
    if let Some(ends) = &entry.tcp {
        tcp(out, ends, detail);
    }
    if let Some(helper) = entry.helper {
        let _ = write!(out, ",helper={}", helper.name());
    }
    if let Some(parent) = entry.parent.as_ref().filter(|_| detail.more) {
        out.push_str(",parent=(");
        tuple(out, parent);
        out.push(')');
    }
}

/// All connections, a line each: `dpctl/dump-conntrack`.
#[must_use]
pub fn dump(tracker: &Conntrack, zone: Option<Zone>, detail: Detail, now: Instant) -> String {
    let mut out = String::new();
    tracker.dump(zone, now, |found| {
        entry(&mut out, &found, detail);
        out.push('\n');
    });
    out
}

/// What is expected, a line each: `dpctl/dump-conntrack-exp`.
#[must_use]
pub fn expected(tracker: &Conntrack, zone: Option<Zone>, now: Instant) -> String {
    let mut out = String::new();
    for found in tracker.expected(zone, now) {
        let _ = write!(out, "{},orig=(", protocol(found.orig.rest.proto));
        tuple(&mut out, &found.orig);
        out.push(')');
        if found.orig.rest.zone.0 != 0 {
            let _ = write!(out, ",zone={}", found.orig.rest.zone.0);
        }
        if found.mark != 0 {
            let _ = write!(out, ",mark={}", found.mark);
        }
        if found.label != 0 {
            let _ = write!(out, ",labels={:#x}", found.label);
        }
        out.push_str(",parent=(");
        tuple(&mut out, &found.parent);
        out.push_str(")\n");
    }
    out
}

/// How many connections of which kind: `dpctl/ct-stats-show`.
#[must_use]
pub fn statistics(tracker: &Conntrack, zone: Option<Zone>, more: bool, now: Instant) -> String {
    let mut total = 0u64;
    let mut kinds: [u64; 8] = [0; 8];
    let mut states = BTreeMap::new();
    tracker.dump(zone, now, |entry| {
        total += 1;
        let kind = KINDS.iter().position(|(proto, _)| *proto == entry.orig.rest.proto);
        // Those of ICMPv6 count in the total alone, as the reference has it.
        let kind = kind.unwrap_or(if entry.orig.rest.proto == 58 { 7 } else { 6 });
        if let Some(count) = kinds.get_mut(kind) {
            *count += 1;
        }
        if let Some([orig, reply]) = entry.tcp {
            *states.entry(orig.state.max(reply.state)).or_insert(0u64) += 1;
        }
    });
    let mut out = format!("Connections Stats:\n    Total: {total}\n");
    for ((proto, name), count) in KINDS.iter().zip(kinds).filter(|(_, count)| *count != 0) {
        let _ = writeln!(out, "  {name}: {count}");
        if more && *proto == 6 {
            out.push_str("    Conn per TCP states:\n");
            for (state, count) in &states {
                let _ = writeln!(out, "\t  [{}]={count}", state.name());
            }
        }
    }
    if kinds[6] != 0 {
        let _ = writeln!(out, "  Other: {}", kinds[6]);
    }
    out
}

const KINDS: [(u8, &str); 6] =
    [(6, "TCP"), (17, "UDP"), (132, "SCTP"), (1, "ICMP"), (33, "DCCP"), (2, "IGMP")];

/// How the table is filled: `dpctl/ct-bkts`. Buckets with `least` connections or fewer are dots.
#[must_use]
pub fn buckets(tracker: &Conntrack, least: usize) -> String {
    let counts: Vec<usize> = tracker.occupancy().collect();
    let mut out = format!(
        "Total Buckets: {}\nCurrent Connections: {}\n\n",
        counts.len().max(1),
        tracker.connections()
    );
    if tracker.connections() == 0 {
        return out;
    }
    let rule = "+-----------+-----------------------------------------+\n";
    out.push_str(rule);
    out.push_str("|  Buckets  |         Connections per Buckets         |\n");
    out.push_str(rule);
    for (row, counts) in counts.chunks(8).enumerate() {
        if counts.iter().all(|count| *count <= least) && least > 0 {
            continue;
        }
        let _ = write!(out, "{:4}..{:3}   | ", row * 8, row * 8 + 7);
        for &count in counts {
            let _ =
                if count > least { write!(out, "{count:5}") } else { write!(out, "{:>5}", ".") };
        }
        out.push('\n');
    }
    out.push('\n');
    out
}

/// Limits of zones: `dpctl/ct-get-limits`. No zones: all that have limits of their own.
#[must_use]
pub fn limits(tracker: &Conntrack, zones: &[Zone]) -> String {
    let mut out = format!("default limit={}\n", tracker.default_zone_limit());
    let mut line = |limit: super::ZoneLimit| {
        let (zone, limit, count) = (limit.zone.0, limit.limit, limit.count);
        let _ = writeln!(out, "zone={zone},limit={limit},count={count}");
    };
    if zones.is_empty() {
        tracker.zone_limits().for_each(&mut line);
    } else {
        zones.iter().map(|&zone| tracker.zone_limit(zone)).for_each(&mut line);
    }
    out
}

/// Text that names no connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError(String);

impl core::fmt::Display for FilterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for FilterError {}

/// A number: decimal, hexadecimal with 0x, octal with a leading 0.
fn number(text: &str) -> Option<u128> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u128::from_str_radix(hex, 16).ok();
    }
    if text.starts_with('0') && text.len() > 1 {
        return u128::from_str_radix(text, 8).ok();
    }
    text.parse().ok()
}

/// A value with an optional mask: `V` or `V/M`.
fn masked(text: &str) -> Option<(u128, u128)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u128::MAX)),
    }
}

/// A mark: `V` or `V/M`.
///
/// # Errors
///
/// Where it is none.
pub fn mark(text: &str) -> Result<Masked<u32>, FilterError> {
    let error = || FilterError("failed to parse mark".to_owned());
    let (value, mask) = masked(text).ok_or_else(error)?;
    let value = u32::try_from(value).map_err(|_| error())?;
    let mask =
        if mask == u128::MAX { u32::MAX } else { u32::try_from(mask).map_err(|_| error())? };
    Ok(Masked { value, mask })
}

/// A label: `V` or `V/M`.
///
/// # Errors
///
/// Where it is none.
pub fn label(text: &str) -> Result<Masked<u128>, FilterError> {
    let (value, mask) =
        masked(text).ok_or_else(|| FilterError("failed to parse labels".to_owned()))?;
    Ok(Masked { value, mask })
}

/// Tuples of the first direction and of the reply as `flush-conntrack` reads them:
/// `ct_nw_src=…,ct_nw_dst=…,ct_nw_proto=…,ct_tp_src=…`. Zeros and what is not said may be anything.
///
/// # Errors
///
/// Where one is none, or they are of different families, in the reference's words.
pub fn tuple_filters<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<[TupleFilter; 2], FilterError> {
    let mut out = [TupleFilter::default(); 2];
    let mut v6 = None;
    for (place, text) in out.iter_mut().zip(texts) {
        *place = tuple_filter(text, &mut v6)?;
    }
    Ok(out)
}

fn tuple_filter(text: &str, v6: &mut Option<bool>) -> Result<TupleFilter, FilterError> {
    let mut out = TupleFilter::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| FilterError(format!("field {part} missing value")))?;
        tuple_field(&mut out, v6, key, value)?;
    }
    let icmp = out.proto.is_some_and(|proto| proto == 1 || proto == 58);
    let has_icmp = out.icmp_id.is_some() || out.icmp_type.is_some() || out.icmp_code.is_some();
    let has_ports = out.sport.is_some() || out.dport.is_some();
    if has_icmp && !icmp {
        return Err(FilterError("invalid L4 fields".to_owned()));
    }
    if has_ports && out.proto.is_none() {
        return Err(FilterError("port is set without protocol".to_owned()));
    }
    Ok(out)
}

fn tuple_field(
    out: &mut TupleFilter,
    family: &mut Option<bool>,
    key: &str,
    value: &str,
) -> Result<(), FilterError> {
    let failed = || FilterError(format!("failed to parse field {key}"));
    let mut address = |v6: bool| {
        let found: IpAddr = value.parse().map_err(|_| failed())?;
        if found.is_ipv6() != v6 {
            return Err(failed());
        }
        if *family.get_or_insert(v6) != v6 {
            return Err(FilterError(format!("the L3 protocol does not match {value}")));
        }
        Ok(Some(found).filter(|found| !found.is_unspecified()))
    };
    let port = || value.parse::<u16>().map(Some).map_err(|_| failed());
    let some_port = || port().map(|port| port.filter(|port| *port != 0));
    let byte = || value.parse::<u8>().map(Some).map_err(|_| failed());
    match key {
        "ct_nw_src" => out.src = address(false)?,
        "ct_nw_dst" => out.dst = address(false)?,
        "ct_ipv6_src" => out.src = address(true)?,
        "ct_ipv6_dst" => out.dst = address(true)?,
        "ct_nw_proto" => out.proto = byte()?.filter(|proto| *proto != 0),
        "ct_tp_src" => out.sport = some_port()?,
        "ct_tp_dst" => out.dport = some_port()?,
        "icmp_id" => out.icmp_id = port()?,
        "icmp_type" => out.icmp_type = byte()?,
        "icmp_code" => out.icmp_code = byte()?,
        _ => return Err(FilterError(format!("invalid conntrack tuple field: {key}"))),
    }
    Ok(())
}
