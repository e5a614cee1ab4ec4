//! `dpctl/*-flow*` and `dpif/dump-flows`: the flows of a datapath.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use dp_core::action::ActionList;
use dp_core::action::text::{ActionsText, parse_actions};
use dp_core::base::{Instant, Ufid};
use dp_core::boundary::{Datapath as _, DatapathError, FlowDump, FlowPut, PutMode};
use dp_core::flow::text::{DpPorts, KeyText, ParsedFlow, PortTable, Unnamed, parse_flow};
use dp_core::flow::{FlowMask, layout, ufid};
use dp_ofproto::matching::Match;
use dp_ofproto::text::{NumbersOnly, parse_match};

use super::dpctl::{Failure, Options};
use crate::switch::{Datapath, Switch};
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    let usage = "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]";
    registry.register("dpctl/dump-flows", usage, 0, 6, move |request| dump(&own, request));
    let own = Arc::clone(switch);
    let usage = "[-m] [--names | --no-names] bridge";
    let most = usize::MAX;
    registry.register("dpif/dump-flows", usage, 1, most, move |request| dump_bridge(&own, request));
    let own = Arc::clone(switch);
    registry.register("dpctl/get-flow", "[dp] ufid", 1, 2, move |request| get(&own, request));
    for (name, mode) in [("dpctl/add-flow", PutMode::Create), ("dpctl/mod-flow", PutMode::Modify)] {
        let own = Arc::clone(switch);
        registry.register(name, "[dp] flow actions", 2, 3, move |request| {
            let (options, rest) = Options::read(request);
            let (datapath, words) = options.datapath(&own, &rest, 2)?;
            let mode = if options.may_create { PutMode::Any } else { mode };
            let (Some(flow), Some(actions)) = (words.first(), words.get(1)) else {
                return Err(Failure::plain("too few arguments"));
            };
            put(&datapath, flow, actions, mode, options.clear, own.now())
        });
    }
    let own = Arc::clone(switch);
    registry.register("dpctl/del-flow", "[dp] flow", 1, 2, move |request| {
        let (options, rest) = Options::read(request);
        let (datapath, words) = options.datapath(&own, &rest, 1)?;
        delete(&datapath, words.first().map_or("", String::as_str))
    });
    for (name, default) in
        [("dpctl/add-flows", "add"), ("dpctl/mod-flows", "modify"), ("dpctl/del-flows", "delete")]
    {
        let own = Arc::clone(switch);
        let (usage, least) =
            if default == "delete" { ("[dp] [file]", 0) } else { ("[dp] file", 1) };
        registry.register(name, usage, least, 2, move |request| file(&own, request, default));
    }
    let own = Arc::clone(switch);
    registry.register("dpctl/parse-actions", "actions", 1, usize::MAX, move |request| {
        let ports = own.datapaths().first().map(|it| it.port_table()).unwrap_or_default();
        let mut text = String::new();
        for words in request.arguments() {
            let actions = parse_actions(words, &ports)
                .map_err(|error| Failure::of_text("odp_actions_from_string", &error))?;
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "{}", ActionsText::new(&actions, &Unnamed(&ports)));
        }
        Ok::<_, Failure>(text)
    });
}

/// How flows are printed.
struct Style<'a> {
    datapath: &'a Datapath,
    ports: &'a PortTable,
    names: bool,
    more: bool,
    /// As `dpctl` prints, and not as `dpif/dump-flows`.
    dpctl: bool,
    now: Instant,
}

impl<'a> Style<'a> {
    fn of(
        datapath: &'a Datapath,
        ports: &'a PortTable,
        options: &Options,
        dpctl: bool,
        now: Instant,
    ) -> Self {
        let names = options.names.unwrap_or(options.more);
        Self { datapath, ports, names, more: options.more, dpctl, now }
    }

    fn line(&self, flow: &FlowDump) -> String {
        let numbers = Unnamed(self.ports);
        let ports: &dyn DpPorts = if self.names { self.ports } else { &numbers };
        let mut text = String::new();
        if self.more {
            let comma = if self.dpctl { "," } else { "" };
            let id = self.datapath.with_ids(|ids| ids.shown(flow.ufid));
            let _ = write!(text, "ufid:{id}{comma} ");
        }
        let key = KeyText::masked(&flow.key, &flow.mask, ports);
        let key = if self.more { key.verbose() } else { key };
        let stats = flow.stats.snapshot();
        let used = match stats.used {
            None => "never".to_owned(),
            Some(used) => format!("{:.3}s", self.now.since(used).as_secs_f64()),
        };
        let _ =
            write!(text, "{key}, packets:{}, bytes:{}, used:{used}", stats.packets, stats.bytes);
        if stats.tcp_flags != 0 {
            let _ = write!(text, ", flags:{}", tcp_flags(stats.tcp_flags));
        }
        let from = if self.more && self.dpctl { ", dp:ovs" } else { "" };
        let _ = write!(text, "{from}, actions:{}", ActionsText::new(&flow.actions, ports));
        if self.more && self.dpctl {
            let (first, further) = compared(&flow.mask);
            let _ = write!(text, ", dp-extra-info:miniflow_bits({first},{further})");
        }
        text
    }
}

/// What a look-up of the flow compares: words of 64 bits that count in the lane that every packet has,
/// and in all further ones.
fn compared(mask: &FlowMask) -> (usize, usize) {
    let count = |lane: usize| mask.lane(lane).0.iter().filter(|word| **word != 0).count();
    let further = mask.used().iter().filter(|&lane| lane != 0).map(count).sum();
    (count(0), further)
}

/// The flags that a flow's packets had, a letter each.
fn tcp_flags(flags: u16) -> String {
    const LETTERS: [(u16, char); 9] = [
        (0x002, 'S'),
        (0x001, 'F'),
        (0x008, 'P'),
        (0x004, 'R'),
        (0x020, 'U'),
        (0x010, '.'),
        (0x040, 'E'),
        (0x080, 'C'),
        (0x100, 'N'),
    ];
    let mut text: String =
        LETTERS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| *letter).collect();
    for bit in (9..16).map(|shift| 1 << shift).filter(|bit| flags & bit != 0) {
        let _ = write!(text, "[{bit:x}]");
    }
    text
}

fn dump(switch: &Switch, request: &Request<'_>) -> Result<String, Failure> {
    let (options, mut rest) = Options::read(request);
    let mut take = |prefix: &str| {
        let at = rest.iter().position(|word| word.starts_with(prefix))?;
        rest.remove(at).strip_prefix(prefix).map(str::to_owned)
    };
    let (filter, kind, pmd) = (take("filter="), take("type="), take("pmd="));
    let (datapath, _) = options.datapath(switch, &rest, 0)?;
    let filter = match filter {
        None => None,
        Some(text) => Some(parse_match(&text, &NumbersOnly).map_err(|error| {
            Failure::new(&format!("Failed to parse filter ({error})"), "Invalid argument")
        })?),
    };
    let ours = match kind.as_deref() {
        None | Some("all" | "ovs" | "non-offloaded") => true,
        Some(list) => {
            let mut ours = false;
            for word in list.split(',') {
                match word {
                    "all" | "ovs" | "non-offloaded" => ours = true,
                    "tc" | "dpdk" | "offloaded" | "partially-offloaded" => {}
                    _ => {
                        return Err(Failure::new(
                            &format!("Failed to parse type ({list})"),
                            "Invalid argument",
                        ));
                    }
                }
            }
            ours
        }
    };
    let thread = match pmd.as_deref() {
        None => None,
        Some(text) => Some(text.parse::<i64>().map_err(|_| {
            Failure::new(&format!("Invalid pmd-id specified ({text})"), "Invalid argument")
        })?),
    };
    let ports = datapath.port_table();
    let style = Style::of(&datapath, &ports, &options, true, switch.now());
    let mut text = String::new();
    let mut last = None;
    datapath.netdev.flow_dump(&mut |flow| {
        let core = datapath.core_of(flow.thread);
        let chosen = thread.is_none_or(|it| it == core.map_or(-1, i64::from));
        if !ours || !chosen || filter.as_ref().is_some_and(|it| !may_match(it, &flow)) {
            return;
        }
        if thread.is_none() && last != Some(flow.thread) {
            last = Some(flow.thread);
            text += &match core {
                None => "flow-dump from the main thread:\n".to_owned(),
                Some(core) => format!("flow-dump from pmd on cpu core: {core}\n"),
            };
        }
        text += &style.line(&flow);
        text.push('\n');
    });
    Ok(text)
}

/// Whether some packet of the flow can match the filter.
fn may_match(filter: &Match, flow: &FlowDump) -> bool {
    filter.overlaps(&Match::new(&flow.key, &flow.mask))
}

fn dump_bridge(switch: &Switch, request: &Request<'_>) -> Result<String, &'static str> {
    let (options, _) = Options::read(request);
    // The last word is the bridge, whatever stands before it.
    let name = request.arguments().last().map_or("", String::as_str);
    let bridge = switch.bridge(name).ok_or("no such bridge")?;
    let datapath = &bridge.datapath;
    let ports = datapath.port_table();
    let style = Style::of(datapath, &ports, &options, false, switch.now());
    let mut text = String::new();
    datapath.netdev.flow_dump(&mut |flow| {
        let own = datapath
            .ofproto
            .ukeys()
            .with(flow.ufid, |ukey| Arc::ptr_eq(&ukey.bridge, &bridge.bridge));
        if own.unwrap_or(false) {
            text += &style.line(&flow);
            text.push('\n');
        }
    });
    Ok(text)
}

fn get(switch: &Switch, request: &Request<'_>) -> Result<String, Failure> {
    let (options, rest) = Options::read(request);
    let (datapath, words) = options.datapath(switch, &rest, 1)?;
    let digits = words.first().and_then(|it| it.strip_prefix("ufid:"));
    let Some(id) = digits.and_then(ufid_of) else {
        // An error that is no failure: scripts see it in the text alone.
        return Ok(Failure::new("parsing flow ufid", "Invalid argument").text);
    };
    let found = datapath.netdev.flow_get(datapath.with_ids(|ids| ids.own(id)));
    let flow = found.first().ok_or(Failure::new("getting flow", NO_ENTRY))?;
    let ports = datapath.port_table();
    let style = Style::of(&datapath, &ports, &options, true, switch.now());
    Ok(style.line(flow) + "\n")
}

pub(super) fn ufid_of(text: &str) -> Option<Ufid> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok())?.map(Ufid)
}

/// Reads a key; `doing` is what the operator is told was being done, up to an open parenthesis.
fn parse_key(datapath: &Datapath, text: &str, doing: &str) -> Result<ParsedFlow, Failure> {
    let ports = datapath.port_table();
    parse_flow(text, &ports).map_err(|error| {
        let what = format!("{doing}syntax error at {}", error.rest(text));
        let what = if doing.is_empty() { what } else { format!("{what})") };
        Failure::of_text(&what, &error)
    })
}

fn put(
    datapath: &Datapath,
    flow: &str,
    actions: &str,
    mode: PutMode,
    zero_stats: bool,
    now: Instant,
) -> Result<String, Failure> {
    let parsed = parse_key(datapath, flow, "parsing flow key (")?;
    let actions = parse_actions(actions, &datapath.port_table())
        .map_err(|error| Failure::of_text("parsing actions", &error))?;
    if let Err(misfit) = parsed.fits() {
        let mut failure = Failure::new("updating flow table", "Invalid argument");
        failure.text += &format!("{misfit}\n");
        return Err(failure);
    }
    if parsed.mask.load(layout::IN_PORT) != u128::from(u32::MAX) {
        let mut failure = Failure::new("updating flow table", "Invalid argument");
        failure.text += "in_port(…) is missing or has a mask: a flow is one port's\n";
        return Err(failure);
    }
    let own = ufid(&parsed.key, &parsed.mask);
    let lives = |id: Ufid| !datapath.netdev.flow_get(id).is_empty();
    if let Some(id) = parsed.ufid {
        let holder = datapath.with_ids(|ids| ids.own(id));
        if holder != own && lives(holder) {
            return Err(Failure::new("updating flow table", "File exists"));
        }
    }
    let put = FlowPut {
        key: parsed.key,
        mask: parsed.mask,
        actions: ActionList::from(actions),
        mode,
        zero_stats,
        now,
    };
    let done = datapath.netdev.flow_install(&put);
    let id = done.map_err(|error| Failure::new("updating flow table", words(error)))?;
    datapath.with_ids(|ids| match parsed.ufid {
        Some(chosen) => ids.choose(id, chosen, lives),
        // One that is there keeps its id.
        None if mode == PutMode::Create => ids.forget(id),
        None => {}
    });
    Ok(String::new())
}

fn delete(datapath: &Datapath, text: &str) -> Result<String, Failure> {
    let parsed = parse_key(datapath, text, "")?;
    let named = parsed.ufid.is_some();
    let id = match parsed.ufid {
        Some(id) => datapath.with_ids(|ids| ids.own(id)),
        None => ufid(&parsed.key, &parsed.mask),
    };
    let found = datapath.netdev.flow_get(id);
    if found.is_empty() {
        let mut failure = Failure::new("deleting flow", NO_ENTRY);
        if !named {
            failure.text += "Perhaps you need to specify a UFID?\n";
        }
        return Err(failure);
    }
    for flow in found {
        let done = datapath.netdev.flow_del(flow.thread, id);
        done.map_err(|error| Failure::new("deleting flow", words(error)))?;
    }
    datapath.with_ids(|ids| ids.forget(id));
    Ok(String::new())
}

/// A file of flows, a command a line; without a file all flows go.
fn file(switch: &Switch, request: &Request<'_>, default: &str) -> Result<String, Failure> {
    let (options, rest) = Options::read(request);
    let names_datapath = |word: &String| word.contains('@') || switch.datapath(Some(word)).is_ok();
    let wanted = match rest.as_slice() {
        [] => 0,
        [one] if default == "delete" && names_datapath(one) => 0,
        _ => 1,
    };
    let (datapath, words) = options.datapath(switch, &rest, wanted)?;
    let Some(path) = words.first() else {
        let flushed = datapath.netdev.flow_flush();
        return flushed
            .map(|_| String::new())
            .map_err(|error| Failure::new("deleting all flows", words_of(error)));
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let why = crate::errno::text(&error);
            let text = format!("Opening file \"{path}\" failed");
            return Ok(Failure::new(&text, &why).text);
        }
    };
    let mut out = String::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (command, flow) = match line.split_once(' ') {
            Some((word @ ("add" | "modify" | "delete"), rest)) => (word, rest.trim()),
            _ => (default, line),
        };
        // The actions follow the flow, which may itself hold spaces between its parts.
        let parts = flow.rsplit_once(' ').map(|(flow, actions)| (flow.trim(), actions.trim()));
        let done = match (command, parts) {
            ("delete", None) => delete(&datapath, flow),
            ("add", Some((flow, actions))) => {
                put(&datapath, flow, actions, PutMode::Create, false, switch.now())
            }
            ("modify", Some((flow, actions))) => {
                put(&datapath, flow, actions, PutMode::Modify, false, switch.now())
            }
            _ => {
                out += &format!("ovs-vswitchd: Failed parsing line number {}, skipped!\n", at + 1);
                continue;
            }
        };
        if let Err(failure) = done {
            out += &failure.text;
        }
    }
    Ok(out)
}

fn words(error: DatapathError) -> &'static str {
    words_of(error)
}

/// The system's words for why a datapath refuses.
fn words_of(error: DatapathError) -> &'static str {
    match error {
        DatapathError::NoFlow => NO_ENTRY,
        DatapathError::NoPort | DatapathError::NoThread => "No such device",
        DatapathError::Exists => "File exists",
        DatapathError::Full => "No space left on device",
        DatapathError::Busy => "Device or resource busy",
        _ => "Operation not supported",
    }
}

const NO_ENTRY: &str = "No such file or directory";

#[cfg(test)]
mod tests {
    use super::{tcp_flags, ufid_of};

    #[test]
    fn flags_are_letters() {
        assert_eq!(tcp_flags(0x12), "S.");
        assert_eq!(tcp_flags(0x29), "FPU");
        assert_eq!(tcp_flags(0xfff), "SFPRU.ECN[200][400][800]");
    }

    #[test]
    fn ids_are_thirty_two_digits() {
        let id = ufid_of("f0c88a9d-3b2e-4b8f-8b1e-0d5f0f0e0001").unwrap();
        assert_eq!(id.to_string(), "f0c88a9d-3b2e-4b8f-8b1e-0d5f0f0e0001");
        assert!(ufid_of("xx").is_none());
    }
}
