//! `dpctl/*conntrack*`, `dpctl/ct-*`, `dpctl/ipf-*`: connections, their limits and their life,
//! datagrams in pieces.
//!
//! The datapath's name may come first; without it there must be one datapath only.

use std::sync::Arc;

use dp_core::base::{Duration, Instant, Zone};
use dp_core::boundary::Datapath as _;
use dp_core::conntrack::dump::Filter;
use dp_core::conntrack::text::{self, Detail};
use dp_core::conntrack::{Conntrack, Family};

use crate::switch::{Datapath, Switch};
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("conntrack/skip-show", "[dp]", 0, 1, move |request| {
        let call = Call::new(&own, request)?;
        let datapath = call.plain()?.datapath.clone().map_err(|_| invalid("datapath not found"))?;
        Ok::<_, String>(datapath.skip.show())
    });
    let mut add = adder(registry, switch);
    add("dump-conntrack", "[-m] [-s] [dp] [zone=N]", 0, 4, dump);
    add(
        "flush-conntrack",
        "[dp] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]",
        0,
        6,
        flush,
    );
    add("dump-conntrack-exp", "[dp] [zone=N]", 0, 2, |call| {
        let zone = call.only_zone()?;
        Ok(text::expected(call.tracker()?, zone, call.now))
    });
    add("ct-stats-show", "[dp] [zone=N]", 0, 3, statistics);
    add("ct-bkts", "[dp] [gt=N]", 0, 2, buckets);
    add("ct-set-maxconns", "[dp] maxconns", 1, 2, set_max);
    add("ct-get-maxconns", "[dp]", 0, 1, |call| {
        Ok(format!("{}\n", call.plain()?.tracker()?.max_connections()))
    });
    add("ct-get-nconns", "[dp]", 0, 1, |call| {
        Ok(format!("{}\n", call.plain()?.tracker()?.connections()))
    });
    add("ct-enable-tcp-seq-chk", "[dp]", 0, 1, |call| {
        call.plain()?.tracker()?.set_checks_sequence(true);
        Ok("enabling TCP sequence checking successful".to_owned())
    });
    add("ct-disable-tcp-seq-chk", "[dp]", 0, 1, |call| {
        call.plain()?.tracker()?.set_checks_sequence(false);
        Ok("disabling TCP sequence checking successful".to_owned())
    });
    add("ct-get-tcp-seq-chk", "[dp]", 0, 1, |call| {
        let on = call.plain()?.tracker()?.checks_sequence();
        Ok(format!("TCP sequence checking: {}\n", if on { "enabled" } else { "disabled" }))
    });
    add("ct-set-sweep-interval", "[dp] ms", 1, 2, set_sweep_interval);
    add("ct-get-sweep-interval", "[dp]", 0, 1, |call| {
        Ok(call.plain()?.tracker()?.sweep_interval().as_millis().to_string())
    });
    add("ipf-set-enabled", "[dp] v4|v6", 1, 2, |call| {
        call.tracker()?.fragments().set_enabled(call.family()?, true);
        Ok("enabling fragmentation reassembly successful".to_owned())
    });
    add("ipf-set-disabled", "[dp] v4|v6", 1, 2, |call| {
        call.tracker()?.fragments().set_enabled(call.family()?, false);
        Ok("disabling fragmentation reassembly successful".to_owned())
    });
    add("ipf-set-min-frag", "[dp] v4|v6 minfragment", 2, 3, set_min_fragment);
    add("ipf-set-max-nfrags", "[dp] maxfrags", 1, 2, |call| {
        let max = call.words.first().and_then(|word| word.parse().ok());
        let max = max.ok_or_else(|| invalid("parameter missing for maximum fragments"))?;
        if !call.tracker()?.fragments().set_max(max) {
            return Err(refused("setting maximum fragments failed"));
        }
        Ok("setting maximum fragments successful".to_owned())
    });
    add("ipf-get-status", "[dp]", 0, 1, |call| {
        Ok(call.plain()?.tracker()?.fragments().status(call.more))
    });
    add("ct-set-limits", "[dp] [default=L] [zone=N,limit=L]...", 1, usize::MAX, set_limits);
    add("ct-del-limits", "[dp] [default] [zone=N1[,N2]...]", 1, 3, del_limits);
    add("ct-get-limits", "[dp] [zone=N1[,N2]...]", 0, 2, get_limits);
}

/// Registers commands of `dpctl`.
fn adder<'a>(
    registry: &'a mut CommandRegistry,
    switch: &'a Arc<Switch>,
) -> impl FnMut(&str, &str, usize, usize, Handler) + 'a {
    |name, usage, least, most, run| {
        let own = Arc::clone(switch);
        registry.register(&format!("dpctl/{name}"), usage, least, most, move |request| {
            let call = Call::new(&own, request)?;
            run(&call)
        });
    }
}

type Handler = fn(&Call) -> Result<String, String>;

/// A command as it was given: its datapath, its options, the words that are left.
struct Call {
    datapath: Result<Arc<Datapath>, String>,
    more: bool,
    statistics: bool,
    words: Vec<String>,
    now: Instant,
}

/// An error as `dpctl` words it.
fn invalid(what: impl std::fmt::Display) -> String {
    format!("ovs-vswitchd: {what} (Invalid argument)\n")
}

/// A refusal as `dpctl` words it.
fn refused(what: &str) -> String {
    format!("ovs-vswitchd: {what} (Operation not permitted)\n")
}

impl Call {
    fn new(switch: &Switch, request: &Request<'_>) -> Result<Self, String> {
        let mut call = Self {
            datapath: Err(String::new()),
            more: false,
            statistics: false,
            words: Vec::new(),
            now: switch.now(),
        };
        for word in request.arguments() {
            match word.as_str() {
                "-m" | "--more" => call.more = true,
                "-s" | "--statistics" => call.statistics = true,
                other if other.starts_with('-') && other.len() > 1 => {
                    return Err(format!("Unrecognized option {other}"));
                }
                _ => call.words.push(word.clone()),
            }
        }
        let named = |name: &String| {
            let all = switch.datapaths();
            all.into_iter().find(|it| it.to_string() == *name)
        };
        call.datapath = match call.words.first().and_then(named) {
            Some(datapath) => {
                call.words.remove(0);
                Ok(datapath)
            }
            None => switch.datapath(None),
        };
        Ok(call)
    }

    fn tracker(&self) -> Result<&Conntrack, String> {
        let datapath = self.datapath.as_ref().map_err(|_| invalid("datapath not found"))?;
        datapath.netdev.conntrack().ok_or_else(|| invalid("datapath not found"))
    }

    /// The family that the first word names.
    fn family(&self) -> Result<Family, String> {
        let word = self.words.first().map_or("", String::as_str);
        family(word).ok_or_else(|| invalid("parameter missing: 'v4' for IPv4 or 'v6' for IPv6"))
    }

    /// The call, if nothing but a datapath was named.
    fn plain(&self) -> Result<&Self, String> {
        if self.words.is_empty() { Ok(self) } else { Err(invalid("datapath not found")) }
    }

    /// The zone, if nothing but `zone=N` is said.
    fn only_zone(&self) -> Result<Option<Zone>, String> {
        match self.words.as_slice() {
            [] => Ok(None),
            [word] => {
                let zone = word.strip_prefix("zone=").and_then(|text| text.parse().ok());
                zone.map(|zone| Some(Zone(zone))).ok_or_else(|| invalid("datapath not found"))
            }
            _ => Err(invalid("datapath not found")),
        }
    }
}

fn dump(call: &Call) -> Result<String, String> {
    let zone = call.only_zone()?;
    let detail = Detail { more: call.more, statistics: call.statistics };
    Ok(text::dump(call.tracker()?, zone, detail, call.now))
}

fn flush(call: &Call) -> Result<String, String> {
    let mut filter = Filter::default();
    let mut words = call.words.as_slice();
    // In this order, each once at most.
    let mut take = |key: &str| {
        let value = words.first()?.strip_prefix(key)?;
        words = words.get(1..).unwrap_or_default();
        Some(value)
    };
    if let Some(zone) = take("zone=") {
        filter.zone = Some(Zone(zone.parse().map_err(|_| invalid("failed to parse zone"))?));
    }
    if let Some(mark) = take("mark=") {
        filter.mark = Some(text::mark(mark).map_err(invalid)?);
    }
    if let Some(label) = take("labels=") {
        filter.label = Some(text::label(label).map_err(invalid)?);
    }
    [filter.orig, filter.reply] =
        text::tuple_filters(words.iter().map(String::as_str)).map_err(invalid)?;
    if words.len() > 2 {
        return Err(invalid("invalid arguments"));
    }
    let ended = call.tracker()?.flush_matching(&filter, call.now);
    if ended == 0 && filter.exact().is_some() {
        return Err("ovs-vswitchd: failed to flush conntrack (No such file or directory)\n".into());
    }
    Ok(String::new())
}

fn statistics(call: &Call) -> Result<String, String> {
    let mut more = call.more;
    let words: Vec<String> =
        call.words.iter().filter(|word| **word != "verbose").cloned().collect();
    more |= words.len() != call.words.len();
    let narrowed =
        Call { datapath: call.datapath.clone(), more, statistics: false, words, now: call.now };
    let zone = narrowed.only_zone()?;
    Ok(text::statistics(call.tracker()?, zone, more, call.now))
}

fn buckets(call: &Call) -> Result<String, String> {
    let least = match call.words.first() {
        None => 0,
        Some(word) => word
            .strip_prefix("gt=")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("datapath not found"))?,
    };
    Ok(text::buckets(call.tracker()?, least))
}

fn set_max(call: &Call) -> Result<String, String> {
    if call.words.len() > 1 {
        return Err(invalid("datapath not found"));
    }
    let max = call.words.first().and_then(|word| word.parse().ok());
    let max = max.ok_or_else(|| invalid("maxconns missing or malformed"))?;
    call.tracker()?.set_max_connections(max);
    Ok("setting maxconns successful".to_owned())
}

fn set_sweep_interval(call: &Call) -> Result<String, String> {
    let millis = call.words.first().and_then(|word| word.parse::<u32>().ok());
    let millis = millis.filter(|millis| *millis != 0 && call.words.len() == 1);
    let millis = millis.ok_or_else(|| invalid("invalid sweep value"))?;
    call.tracker()?.set_sweep_interval(Duration::from_millis(millis.into()));
    Ok("setting sweep interval successful\n".to_owned())
}

fn family(word: &str) -> Option<Family> {
    match word {
        "v4" => Some(Family::V4),
        "v6" => Some(Family::V6),
        _ => None,
    }
}

fn set_min_fragment(call: &Call) -> Result<String, String> {
    let family = family(call.words.first().map_or("", String::as_str))
        .ok_or_else(|| invalid("parameter missing: v4 for IPv4 or v6 for IPv6"))?;
    let min = call.words.get(1).and_then(|word| word.parse().ok());
    let min = min.ok_or_else(|| invalid("parameter missing for minimum fragment size"))?;
    if !call.tracker()?.fragments().set_min(family, min) {
        return Err(refused("requested minimum fragment size too small; see documentation"));
    }
    Ok("setting minimum fragment size successful".to_owned())
}

fn set_limits(call: &Call) -> Result<String, String> {
    let tracker = call.tracker()?;
    let mut limits = Vec::new();
    let mut default = None;
    for word in &call.words {
        if let Some(limit) = word.strip_prefix("default=").filter(|_| default.is_none()) {
            default = Some(limit.parse().map_err(|_| invalid("invalid default limit"))?);
        } else {
            limits.push(zone_limit(word)?);
        }
    }
    if let Some(limit) = default {
        tracker.set_default_zone_limit(limit);
    }
    for (zone, limit) in limits {
        tracker.set_zone_limit(zone, Some(limit));
    }
    Ok(String::new())
}

/// `zone=N,limit=L`.
fn zone_limit(word: &str) -> Result<(Zone, u32), String> {
    let (mut zone, mut limit) = (None, None);
    for part in word.split(',') {
        let (key, value) =
            part.split_once('=').ok_or_else(|| invalid(format!("field {part} missing value")))?;
        let failed = |_| invalid(format!("failed to parse field {key}"));
        match key {
            "zone" => zone = Some(Zone(value.parse().map_err(failed)?)),
            "limit" => limit = Some(value.parse().map_err(failed)?),
            _ => return Err(invalid(format!("invalid zone limit field: {key}"))),
        }
    }
    zone.zip(limit).ok_or_else(|| invalid("failed to parse zone limit"))
}

/// `zone=N1,N2…`.
fn zones(word: &str) -> Result<Vec<Zone>, String> {
    let list = word.strip_prefix("zone=");
    let list = list.ok_or_else(|| invalid(format!("invalid argument {word}")))?;
    list.split(',')
        .filter(|zone| !zone.is_empty())
        .map(|zone| zone.parse().map(Zone).map_err(|_| invalid("invalid zone")))
        .collect()
}

fn del_limits(call: &Call) -> Result<String, String> {
    let tracker = call.tracker()?;
    let mut words = call.words.as_slice();
    let default = words.first().is_some_and(|word| word == "default");
    if default {
        words = words.get(1..).unwrap_or_default();
    }
    let zones = words.iter().map(|word| zones(word)).collect::<Result<Vec<_>, _>>()?;
    if default {
        tracker.set_default_zone_limit(0);
    }
    for zone in zones.into_iter().flatten() {
        tracker.set_zone_limit(zone, None);
    }
    Ok(String::new())
}

fn get_limits(call: &Call) -> Result<String, String> {
    if call.words.len() > 1 {
        return Err(invalid("datapath not found"));
    }
    let zones = call.words.first().map_or(Ok(Vec::new()), |word| zones(word))?;
    Ok(text::limits(call.tracker()?, &zones))
}
