//! `dpctl/*` about datapaths and their ports.
//!
//! These commands are the program `ovs-dpctl` in the daemon, and speak like a program: errors carry
//! the daemon's name and the system's words.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use dp_core::base::PortNo;
use dp_core::boundary::Datapath as _;
use dp_core::flow::text::TextError;

use crate::config::InterfaceConfig;
use crate::switch::{Datapath, Switch};
use crate::unixctl::{CommandRegistry, Request};

/// Why such a command fails.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the operator reads.
    pub(super) text: String,
}

impl Failure {
    /// An error of the system in what was being done.
    pub(super) fn new(what: &str, why: &str) -> Self {
        Self { text: format!("ovs-vswitchd: {what} ({why})\n") }
    }

    /// A fault in a text: what the reference says, and on a line of its own which token it is, where
    /// it stands and what is wrong with it.
    pub(super) fn of_text(what: &str, error: &TextError<'_>) -> Self {
        let mut failure = Self::new(what, "Invalid argument");
        failure.text += &format!("{error}\n");
        failure
    }

    /// An error that is not the system's.
    pub(super) fn plain(what: &str) -> Self {
        Self { text: format!("ovs-vswitchd: {what}\n") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The options that these commands share.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) more: bool,
    pub(super) statistics: bool,
    pub(super) names: Option<bool>,
    pub(super) clear: bool,
    pub(super) may_create: bool,
}

impl Options {
    /// Takes the options out of a command's arguments.
    pub(super) fn read(request: &Request<'_>) -> (Self, Vec<String>) {
        let mut options = Self::default();
        let mut rest = Vec::new();
        for word in request.arguments() {
            match word.as_str() {
                "-m" | "--more" => options.more = true,
                "-s" | "--statistics" => options.statistics = true,
                "--names" => options.names = Some(true),
                "--no-names" => options.names = Some(false),
                "--clear" => options.clear = true,
                "--may-create" => options.may_create = true,
                _ => rest.push(word.clone()),
            }
        }
        (options, rest)
    }

    /// The datapath that the arguments name before the `wanted` last ones, and those.
    pub(super) fn datapath(
        &self,
        switch: &Switch,
        rest: &[String],
        wanted: usize,
    ) -> Result<(Arc<Datapath>, Vec<String>), Failure> {
        let named = rest.len() > wanted;
        let name = rest.first().filter(|_| named).map(String::as_str);
        let datapath = switch.datapath(name).map_err(|why| match name {
            None => Failure {
                text: format!(
                    "ovs-vswitchd: {why}\novs-vswitchd: datapath not found (Invalid argument)\n"
                ),
            },
            Some(_) => Failure::new("datapath not found", "Invalid argument"),
        })?;
        Ok((datapath, rest.iter().skip(usize::from(named)).cloned().collect()))
    }
}

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpctl/dump-dps", "", 0, 0, move |_| {
        let names = own.datapaths();
        Ok::<_, String>(names.iter().map(|it| format!("{it}\n")).collect::<String>())
    });
    let own = Arc::clone(switch);
    registry
        .register("dpctl/show", "[-s] [dp...]", 0, usize::MAX, move |request| show(&own, request));
    let own = Arc::clone(switch);
    registry.register("dpctl/add-dp", "dp [iface...]", 1, usize::MAX, move |request| {
        let (_, rest) = Options::read(request);
        let name = rest.first().map_or("", String::as_str);
        let datapath = own.add_datapath(name).map_err(|why| Failure::new("add_dp", &why))?;
        add_interfaces(&own, &datapath, rest.get(1..).unwrap_or_default())
    });
    let own = Arc::clone(switch);
    registry.register("dpctl/del-dp", "dp", 1, 1, move |request| {
        let name = request.argument(0);
        let removed = own.remove_datapath(name);
        removed.map_err(|why| Failure::new("opening datapath", &why))
    });
    for (name, act) in [
        ("dpctl/add-if", add_interfaces as fn(&Switch, &Datapath, &[String]) -> _),
        ("dpctl/set-if", set_interfaces),
        ("dpctl/del-if", remove_interfaces),
    ] {
        let own = Arc::clone(switch);
        registry.register(name, "dp iface...", 2, usize::MAX, move |request| {
            let (_, rest) = Options::read(request);
            let name = rest.first().map_or("", String::as_str);
            let found = own.datapath(Some(name));
            let datapath = found.map_err(|why| Failure::new("opening datapath", &why))?;
            act(&own, &datapath, rest.get(1..).unwrap_or_default())
        });
    }
    let own = Arc::clone(switch);
    registry.register("dpctl/cache-get-size", "[dp]", 0, 1, move |request| {
        let (options, rest) = Options::read(request);
        options.datapath(&own, &rest, 0).map(|(datapath, _)| format!("{datapath}:\n"))
    });
    let own = Arc::clone(switch);
    registry.register("dpctl/cache-set-size", "dp cache <size>", 3, 3, move |request| {
        if let Err(why) = own.datapath(Some(request.argument(0))) {
            return Err(Failure::new(
                &format!("Opening datapath {} failed", request.argument(0)),
                &why,
            ));
        }
        if request.argument(2).parse::<u32>().is_err() {
            return Err(Failure::new("size is malformed", "Invalid argument"));
        }
        Err::<(), _>(Failure::new("Setting caches not supported", "Operation not supported"))
    });
    let own = Arc::clone(switch);
    registry.register("dpctl/offload-stats-show", "[dp]", 0, 1, move |request| {
        let (options, rest) = Options::read(request);
        options.datapath(&own, &rest, 0)?;
        Err::<(), _>(Failure::new("retrieving offload statistics", "Invalid argument"))
    });
}

/// Registers `dpctl/list-commands`, when all other commands are known.
pub(super) fn register_list(registry: &mut CommandRegistry) {
    let place = |name: &str| ORDER.iter().position(|it| *it == name).unwrap_or(ORDER.len());
    let mut known: Vec<_> = registry
        .usages()
        .filter_map(|(name, usage)| Some((name.strip_prefix("dpctl/")?, usage)))
        .chain([("list-commands", "")])
        .collect();
    known.sort_by_key(|(name, _)| place(name));
    let line = |(name, usage): &(&str, &str)| format!("  dpctl/{name:<22}  {usage}\n");
    let lines: String = known.iter().map(line).collect();
    let text = "The available commands are:\n".to_owned() + &lines;
    registry
        .register("dpctl/list-commands", "", 0, usize::MAX, move |_| Ok::<_, String>(text.clone()));
}

/// The order in which the commands are listed.
#[rustfmt::skip]
const ORDER: &[&str] = &[
    "add-dp", "del-dp", "add-if", "del-if", "set-if", "dump-dps", "show", "dump-flows", "add-flow",
    "mod-flow", "get-flow", "del-flow", "add-flows", "mod-flows", "del-flows",
    "offload-stats-show", "dump-conntrack", "dump-conntrack-exp", "flush-conntrack",
    "cache-get-size", "cache-set-size", "ct-stats-show", "ct-bkts", "ct-set-maxconns",
    "ct-get-maxconns", "ct-get-nconns", "ct-enable-tcp-seq-chk", "ct-disable-tcp-seq-chk",
    "ct-get-tcp-seq-chk", "ct-set-limits", "ct-del-limits", "ct-get-limits",
    "ct-get-sweep-interval", "ct-set-sweep-interval", "ipf-set-enabled", "ipf-set-disabled",
    "ipf-set-min-frag", "ipf-set-max-nfrags", "ipf-get-status", "list-commands",
    "parse-actions", "normalize-actions",
];

fn show(switch: &Switch, request: &Request<'_>) -> Result<String, Failure> {
    let (options, names) = Options::read(request);
    if names.is_empty() {
        let all = switch.datapaths();
        return Ok(all.iter().map(|it| show_one(it, options.statistics)).collect());
    }
    let mut text = String::new();
    for name in &names {
        let found = switch.datapath(Some(name));
        let what = format!("opening datapath {name} failed");
        let datapath = found.map_err(|why| Failure::new(&what, &why))?;
        text += &show_one(&datapath, options.statistics);
    }
    Ok(text)
}

/// Writing to a string cannot fail: the results below are of no interest.
fn show_one(datapath: &Datapath, statistics: bool) -> String {
    let totals = datapath.netdev.totals();
    let hits = totals.hits();
    let mut text = format!("{datapath}:\n");
    let _ = writeln!(
        text,
        "  lookups: hit:{hits} missed:{} lost:{}\n  flows: {}",
        totals.upcalls, totals.upcalls_failed, totals.flows
    );
    let kinds = datapath.ports().clone();
    for port in datapath.netdev.ports() {
        let kind = kinds.get(&port.port).map_or("", |it| it.kind.as_str());
        let known = !kind.starts_with("dummy");
        let set = datapath.netdev.port_configuration(port.port);
        let set: Vec<_> = set.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let kind = match kind {
            "system" => String::new(),
            kind if set.is_empty() => format!(" ({kind})"),
            kind => format!(" ({kind}: {})", set.join(", ")),
        };
        let _ = writeln!(text, "  port {}: {}{kind}", port.port.0, port.name);
        if statistics {
            let it = port.stats;
            let count = |value: u64| if known { value.to_string() } else { "?".to_owned() };
            let counters = datapath.netdev.port_counters(port.port);
            let counter = |name: &str| {
                counters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
            };
            let dropped = |own: u64, name| count(own + counter(name).unwrap_or(0));
            let (rx_dropped, tx_dropped) =
                (dropped(it.rx_dropped, "rx_dropped"), dropped(it.tx_dropped, "tx_dropped"));
            let [rx_errors, over, frame, tx_errors, collisions] =
                ["rx_errors", "rx_over_err", "rx_frame_err", "tx_errors", "collisions"]
                    .map(|name| counter(name).map_or("?".to_owned(), |it| it.to_string()));
            let _ = writeln!(
                text,
                "    RX packets:{} errors:{rx_errors} dropped:{rx_dropped} overruns:{over} \
                 frame:{frame}\n    TX packets:{} errors:{tx_errors} dropped:{tx_dropped} aborted:? \
                 carrier:?\n    collisions:{collisions}\n    RX bytes:{}{}  TX bytes:{}{}\n    UPCALL packets:? errors:?",
                it.rx_packets,
                it.tx_packets,
                it.rx_bytes,
                human(it.rx_bytes),
                it.tx_bytes,
                human(it.tx_bytes)
            );
        }
    }
    text
}

/// A large number of bytes in a unit that people read.
fn human(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(size, _)| bytes >= *size);
    unit.map_or_else(String::new, |(size, name)| {
        let tenths = u128::from(bytes) * 10 / u128::from(size);
        format!(" ({}.{} {name})", tenths / 10, tenths % 10)
    })
}

/// `name[,option=value]…`, as the commands name interfaces.
struct Named {
    config: InterfaceConfig,
    number: Option<u32>,
    kind: Option<String>,
}

fn named(text: &str) -> Result<Named, Failure> {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default().to_owned();
    let mut named = Named {
        config: InterfaceConfig { name: name.clone(), ..InterfaceConfig::default() },
        number: None,
        kind: None,
    };
    for part in parts.filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key {
            "type" => named.kind = Some(value.to_owned()),
            "port_no" => {
                let number = value.parse().ok();
                let wrong = || Failure::plain(&format!("{name}: bad port number {value}"));
                named.number = Some(number.ok_or_else(wrong)?);
            }
            _ => {
                named.config.options.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    Ok(named)
}

fn add_interfaces(
    switch: &Switch,
    datapath: &Datapath,
    names: &[String],
) -> Result<String, Failure> {
    for text in names {
        let mut it = named(text)?;
        it.config.kind = it.kind.unwrap_or_default();
        let name = it.config.name.clone();
        if datapath.ports().values().any(|port| port.name == name) {
            return Err(Failure::new(
                &format!("adding {name} to {datapath} failed"),
                "File exists",
            ));
        }
        switch.add_bare_port(datapath, &it.config, it.number.map(PortNo)).map_err(|why| {
            let known = why.rsplit_once('(').map(|(_, why)| why.trim_end_matches(')').to_owned());
            let why = known.unwrap_or(why);
            Failure::new(&format!("{name}: failed to open network device"), &why)
        })?;
    }
    Ok(String::new())
}

fn set_interfaces(_: &Switch, datapath: &Datapath, names: &[String]) -> Result<String, Failure> {
    for text in names {
        let it = named(text)?;
        let name = &it.config.name;
        let ports = datapath.ports().clone();
        let found = ports.iter().find(|(_, port)| port.name == *name);
        let what = format!("{name}: failed to query port in {datapath}");
        let (number, port) = found.ok_or_else(|| Failure::new(&what, "No such device"))?;
        if let Some(kind) = it.kind.filter(|kind| *kind != port.kind) {
            let text = format!("{name}: can't change type from {} to {kind}", port.kind);
            return Err(Failure::plain(&text));
        }
        if let Some(wanted) = it.number.filter(|wanted| *wanted != number.0) {
            let text = format!("{name}: can't change port number from {} to {wanted}", number.0);
            return Err(Failure::plain(&text));
        }
        if let Some((option, _)) = it.config.options.first_key_value() {
            let text = format!("{name}: option {option} cannot be changed while the port is open");
            return Err(Failure::plain(&text));
        }
    }
    Ok(String::new())
}

fn remove_interfaces(_: &Switch, datapath: &Datapath, names: &[String]) -> Result<String, Failure> {
    for name in names {
        let number = match name.parse() {
            Ok(number) => {
                let there = datapath.ports().contains_key(&PortNo(number));
                let what = format!("deleting port {name} from {datapath} failed");
                if !there {
                    return Err(Failure::new(&what, "No such device"));
                }
                PortNo(number)
            }
            Err(_) => {
                let ports = datapath.ports().clone();
                let found = ports.iter().find(|(_, port)| port.name == *name);
                let missing = || Failure::plain(&format!("no port named {name}"));
                *found.ok_or_else(missing)?.0
            }
        };
        datapath.remove(number);
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn many_bytes_have_a_unit() {
        assert_eq!(human(1023), "");
        assert_eq!(human(1536), " (1.5 KiB)");
        assert_eq!(human(u64::MAX), " (16777215.9 TiB)");
    }
}
