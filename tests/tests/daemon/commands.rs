//! The commands of the control socket, against those of the newer reference: each that it has is there,
//! with its line of usage and the numbers of arguments that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::patience;
use testkit::reference::{Reference, Setup};

/// Commands that take more than the reference's, and why.
const WIDER: &[(&str, &str)] = &[
    ("ovs/route/add", "routes belong to tables and follow policies"),
    ("ovs/route/del", "routes belong to tables and follow policies"),
    ("ovs/route/lookup", "which route is taken can depend on the source"),
    ("ovs/route/show", "routes belong to tables"),
];

/// Commands that the reference does not have, and why they are there.
const BEYOND: &[(&str, &str)] = &[
    ("conntrack/skip-show", "packets that need no tracking are told apart here only"),
    ("netdev-dpdk/get-mempool-info", "the reference has it when it is built with DPDK"),
    ("ovs/route/explain", "why a route is taken is told here only"),
    ("ovs/route/rule/add", "later releases of the reference have it"),
    ("ovs/route/rule/del", "later releases of the reference have it"),
    ("ovs/route/rule/show", "later releases of the reference have it"),
    ("tnl/neigh/retrans_time", "later releases of the reference have it"),
];

/// Commands that the reference has and a switch in user space has no use for. There is none today: those
/// of the kernel's datapath answer that there is no such datapath.
const UNUSED: &[(&str, &str)] = &[];

/// Commands that the reference takes and does not list.
const HIDDEN: &[&str] = &[
    "bond/disable-slave",
    "bond/enable-slave",
    "bond/set-active-slave",
    "dpif-netdev/subtable-lookup-prio-get",
    "revalidator/pause",
    "revalidator/resume",
];

/// Commands that are not tried without arguments: they end the process, or stop its clock.
const NOT_BARE: &[&str] = &["exit", "time/stop"];

/// A conversation with a control socket.
struct Control(UnixStream);

impl Control {
    fn open(switch: &Reference) -> Result<Self> {
        let name = format!("ovs-vswitchd.{}.ctl", switch.id());
        let stream = UnixStream::connect(switch.folder().join(name))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(stream))
    }

    /// What a command answers: its text, or what is wrong.
    fn ask(&mut self, command: &str, arguments: &[&str]) -> Result<String> {
        let request = json!({ "method": command, "params": arguments, "id": 0 });
        self.0.write_all(request.to_string().as_bytes())?;
        let (mut bytes, mut chunk) = (Vec::new(), [0; 16384]);
        loop {
            let count = self.0.read(&mut chunk).with_context(|| command.to_owned())?;
            ensure!(count > 0, "{command}: the socket is closed");
            bytes.extend_from_slice(&chunk[..count]);
            let Ok(answer) = serde_json::from_slice::<Value>(&bytes) else { continue };
            let text = |key: &str| answer[key].as_str().map(str::to_owned);
            return Ok(text("error").or_else(|| text("result")).unwrap_or_default());
        }
    }

    /// The commands that are listed, with their usage.
    fn commands(&mut self) -> Result<BTreeMap<String, String>> {
        let text = self.ask("list-commands", &[])?;
        let lines = text.lines().skip(1).map(str::trim);
        Ok(lines
            .map(|line| {
                let (name, usage) = line.split_once(' ').unwrap_or((line, ""));
                (name.to_owned(), usage.trim().to_owned())
            })
            .collect())
    }

    /// What is said of too many arguments, and of none: empty where that is no matter.
    fn bounds(&mut self, command: &str) -> Result<[String; 2]> {
        let mut said = [String::new(), String::new()];
        for (words, said) in [&["x"; 60][..], &[]].into_iter().zip(&mut said) {
            if words.is_empty() && NOT_BARE.contains(&command) {
                continue;
            }
            let answer = self.ask(command, words)?;
            let telling = ["takes at most", "requires at least", "is not a valid command"];
            if telling.iter().any(|it| answer.contains(it)) {
                answer.trim_end().clone_into(said);
            }
        }
        Ok(said)
    }
}

fn names(table: &[(&'static str, &str)]) -> BTreeSet<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

#[test]
fn each_command_of_the_newer_reference_is_there_with_its_usage() -> Result<()> {
    let reference = Setup::newer()?.start()?;
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let (mut theirs, mut ours) = (Control::open(&reference)?, Control::open(&ours)?);
    let (wanted, found) = (theirs.commands()?, ours.commands()?);
    ensure!(wanted.len() > 140, "{wanted:?}");
    let (wider, beyond, unused) = (names(WIDER), names(BEYOND), names(UNUSED));
    let missing: Vec<_> = wanted.keys().filter(|it| !found.contains_key(*it)).collect();
    ensure!(missing.iter().all(|it| unused.contains(it.as_str())), "missing: {missing:?}");
    ensure!(missing.len() == unused.len(), "no longer missing: {unused:?}");
    let more: BTreeSet<&str> =
        found.keys().map(String::as_str).filter(|it| !wanted.contains_key(*it)).collect();
    ensure!(more == beyond, "there, and not in the reference: {more:?}");
    let mut differences = Vec::new();
    for (name, usage) in &wanted {
        let Some(own) = found.get(name) else { continue };
        let bounds = [theirs.bounds(name)?, ours.bounds(name)?];
        let same = usage == own && bounds[0] == bounds[1];
        if wider.contains(name.as_str()) {
            ensure!(!same && own.starts_with(usage.as_str()), "{name}: {usage}, {own}");
        } else if !same {
            differences.push(format!("{name}: {usage:?}, {own:?}, {bounds:?}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    for name in HIDDEN {
        ensure!(!found.contains_key(*name) && !wanted.contains_key(*name), "{name} is listed");
        let bounds = [theirs.bounds(name)?, ours.bounds(name)?];
        ensure!(bounds[0] == bounds[1], "{name}: {bounds:?}");
        ensure!(!bounds[1].iter().any(|it| it.contains("not a valid")), "{name}: {bounds:?}");
    }
    Ok(())
}

/// The numbers of `memory/show`.
fn memory(switch: &Reference) -> Result<BTreeMap<String, u64>> {
    let text = switch.appctl(&["memory/show"])?;
    // One name has a blank in it.
    let text = text.trim().replace("udpif keys", "keys");
    let words = text.split(' ').map(|word| {
        let (name, number) = word.rsplit_once(':').with_context(|| text.clone())?;
        Ok((name.to_owned(), number.parse()?))
    });
    words.collect()
}

#[test]
fn what_costs_memory_is_counted_under_the_reference_s_names() -> Result<()> {
    let reference = Setup::newer()?.start()?;
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let mut seen = Vec::new();
    for switch in [&reference, &ours] {
        for name in ["p1", "p2", "p3"] {
            switch.add_dummy_port(name, name[1..].parse()?)?;
        }
        switch.add_flow("br0", "priority=5,in_port=1,actions=2")?;
        let before = memory(switch)?;
        switch.receive(
            "p1",
            "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)",
        )?;
        let counted = || memory(switch).ok().filter(|it| it.contains_key("keys"));
        let with_flow = patience::wait(Duration::from_secs(20), counted).context("no flow")?;
        for number in 0..10 {
            switch.add_flow("br0", &format!("priority=6,in_port=2,dl_vlan={number},actions=3"))?;
        }
        switch.vsctl(&["add-br", "br1", "--", "set", "Bridge", "br1", "datapath_type=dummy"])?;
        seen.push([before, with_flow, memory(switch)?]);
    }
    let [theirs, own] = &seen[..] else { anyhow::bail!("{seen:?}") };
    for (theirs, own) in theirs.iter().zip(own) {
        // What is listed is the same, and so is every number but that of rules: the reference has
        // some for itself in each bridge.
        let numbers = |all: &BTreeMap<String, u64>| -> Vec<(String, u64)> {
            all.iter().filter(|(name, _)| *name != "rules").map(|(n, v)| (n.clone(), *v)).collect()
        };
        ensure!(numbers(theirs) == numbers(own), "{theirs:?}, {own:?}");
    }
    let rules: Vec<_> = own.iter().map(|it| it["rules"]).collect();
    let grown = |all: &[BTreeMap<String, u64>; 3]| all[1]["rules"] - all[0]["rules"];
    ensure!(grown(theirs) == 0 && grown(own) == 0 && rules == [1, 1, 12], "{rules:?}");
    Ok(())
}

#[test]
fn the_database_inside_counts_what_the_reference_s_server_does() -> Result<()> {
    let (reference, ours) = (Reference::start_ours()?, Setup::embedded()?.start()?);
    let counted = |switch: &Reference, target: Option<&str>| -> Result<BTreeMap<String, u64>> {
        let text = match target {
            Some(target) => switch.appctl(&["-t", target, "memory/show"])?,
            None => switch.appctl(&["memory/show"])?,
        };
        let numbers = text.trim().split(' ').filter_map(|it| it.rsplit_once(':'));
        let known = ["atoms", "cells", "monitors", "sessions", "n-weak-refs"];
        let numbers = numbers.filter(|(name, _)| known.contains(name));
        numbers.map(|(name, number)| Ok((name.to_owned(), number.parse()?))).collect()
    };
    for switch in [&reference, &ours] {
        let words = "add-port br0 p1 -- set Interface p1 type=dummy -- add-port br0 p2 -- set Interface \
                     p2 type=dummy -- --id=@p get Port p1 -- --id=@m create Mirror name=m \
                     select_src_port=@p output_port=@p -- set Bridge br0 mirrors=@m";
        switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    }
    // Both daemons write what they see of their ports when they come to it.
    let mut last = (BTreeMap::new(), BTreeMap::new());
    let equal = || {
        last = (counted(&reference, Some("ovsdb-server")).ok()?, counted(&ours, None).ok()?);
        (last.0 == last.1).then_some(())
    };
    let found = patience::wait(Duration::from_secs(20), equal);
    let (theirs, own) = last;
    ensure!(found.is_some() && own.len() == 5 && own["n-weak-refs"] == 2, "{theirs:?}, {own:?}");
    Ok(())
}
