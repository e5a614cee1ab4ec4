//! Datapath flows through two daemons, the installed reference switch and ours: random flows by
//! `dpctl/add-flow`, random packets by `netdev-dummy/receive`, the same frames out of the same ports,
//! and the same dump of the flows, statistics included. Ours looks up and parses with every kernel
//! that the processor has and compares them (`autovalidator`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use dp_core::flow::extract::Parser;
use dp_core::lookup::Kernel;
use dp_tests::steps::{self, KINDS, PORTS, is_walked, is_whole, list};
use testkit::frames::assert_frames_eq;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

/// The flows of a round, and the packets with their ports of entry.
struct Round {
    flows: Vec<(String, String)>,
    packets: Vec<(u16, Vec<u8>)>,
}

fn round(rng: &mut Rng) -> Round {
    let mut flows = Vec::new();
    for port in 1..=PORTS {
        for (kind, key) in KINDS {
            for recirc in 0..2 {
                let flow = format!("recirc_id({recirc:#x}),in_port({port}),eth(),{key}");
                flows.push((flow, list(rng, kind, if recirc == 0 { 2 } else { 1 })));
            }
        }
    }
    let packets = (0..60)
        .map(|_| (1 + u16::try_from(rng.below(u64::from(PORTS))).unwrap_or(0), steps::packet(rng)))
        .filter(|(_, frame)| is_whole(frame) && !is_walked(frame))
        .collect();
    Round { flows, packets }
}

/// A switch whose bridge drops what no datapath flow matches.
fn secure(switch: Reference) -> Result<Reference> {
    switch.appctl(&["revalidator/pause"])?;
    switch.vsctl(&["set", "Bridge", BRIDGE, "fail-mode=secure"])?;
    switch.ofctl(&["del-flows", BRIDGE])?;
    for n in 1..=PORTS {
        switch.add_dummy_port(&format!("p{n}"), n)?;
    }
    Ok(switch)
}

/// Plays a round; what the flows have counted and do, a line each.
fn play(switch: &Reference, round: &Round) -> Result<BTreeSet<String>> {
    switch.appctl(&["dpctl/del-flows"])?;
    let path = switch.folder().join("flows");
    let lines = round.flows.iter().map(|(flow, actions)| format!("{flow} {actions}\n"));
    std::fs::write(&path, lines.collect::<String>())?;
    let said = switch.appctl(&["dpctl/add-flows", &path.to_string_lossy()])?;
    ensure!(said.is_empty(), "{said}");
    for (port, frame) in &round.packets {
        switch.receive_frame(&format!("p{port}"), frame)?;
    }
    let dump = switch.appctl(&["dpctl/dump-flows"])?;
    // What the bridge has answered for packets that no flow matches drops them.
    let ours = |line: &&str| line.starts_with("recirc_id") && !line.ends_with("actions:drop");
    Ok(dump
        .lines()
        .filter(ours)
        .map(|line| {
            // Both have counted packets, or both have not; when is the machine's affair.
            let (before, rest) = line.split_once(", used:").unwrap_or((line, ""));
            let (used, mut rest) = rest.split_once(", ").unwrap_or((rest, ""));
            let used = if used == "never" { "never" } else { "once" };
            // The reference takes what neighbour discovery's options are for flags of TCP.
            if line.contains("proto=58") && rest.starts_with("flags:") {
                rest = rest.split_once(", ").map_or("", |(_, rest)| rest);
            }
            format!("{before}, used:{used}, {rest}")
        })
        .collect())
}

#[test]
fn random_flows_and_packets_through_both_daemons() -> Result<()> {
    testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
    let fresh = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    let seed = u64::try_from(fresh & u128::from(u64::MAX))?;
    println!("seed {seed:#x}");
    let mut rng = Seeded::new(seed);
    let (reference, ours) = (secure(Reference::start()?)?, secure(Reference::start_ours()?)?);
    ours.appctl(&["dpif-netdev/subtable-lookup-prio-set", "autovalidator", "9"])?;
    ours.appctl(&["dpif-netdev/miniflow-parser-set", "autovalidator"])?;
    let mut before = BTreeMap::<u16, [usize; 2]>::new();
    let (mut total, mut busy) = (0, 0);
    for _ in 0..3 {
        let round = round(&mut rng);
        let text: String =
            round.flows.iter().map(|(flow, does)| format!("{flow} {does}\n")).collect();
        let (theirs, mine) = (play(&reference, &round)?, play(&ours, &round)?);
        for n in 1..=PORTS {
            let name = format!("p{n}");
            let [theirs, mine] = [&reference, &ours].map(|switch| switch.sent(&name));
            let (theirs, mine) = (theirs?, mine?);
            let [from, mine_from] =
                before.insert(n, [theirs.len(), mine.len()]).unwrap_or_default();
            let theirs = theirs.get(from..).context("frames went away")?;
            let mine = mine.get(mine_from..).context("frames went away")?;
            total += theirs.len();
            if theirs != mine {
                println!("{text}");
            }
            assert_frames_eq(theirs, mine);
        }
        for (theirs, mine) in theirs.iter().zip(&mine) {
            ensure!(theirs == mine, "{text}\ntheirs {theirs}\nours   {mine}");
        }
        ensure!(theirs.len() == mine.len(), "{} and {} flows", theirs.len(), mine.len());
        busy += theirs.iter().filter(|line| line.contains("used:once")).count();
    }
    ensure!(total > 60, "only {total} frames left the switches");
    ensure!(busy > 12, "only {busy} flows had packets");
    Ok(())
}

#[test]
fn the_machine_code_there_is_can_be_listed_and_chosen() -> Result<()> {
    let switch = Reference::start_ours()?;
    let get = |what: &str| switch.appctl(&[&format!("dpif-netdev/{what}-get")]);
    let lookup = get("subtable-lookup-prio")?;
    assert!(lookup.contains("\n  autovalidator (Use count: 0, Priority: 0)"), "{lookup}");
    assert!(lookup.contains("\n  generic (Use count: 0, Priority: 1)"), "{lookup}");
    let parsers = get("miniflow-parser")?;
    for kernel in Kernel::available() {
        let name = kernel.name();
        assert!(lookup.contains(&format!("\n  {name} (Use count: 0, ")), "{lookup}");
    }
    for (name, parser) in Parser::all() {
        let there = if parser.is_some() { "True" } else { "False" };
        assert!(parsers.contains(&format!("\n  {name} (available: {there} ")), "{parsers}");
    }
    switch.appctl(&["dpif-netdev/subtable-lookup-prio-set", "generic", "200"])?;
    assert!(get("subtable-lookup-prio")?.contains("generic (Use count: 0, Priority: 200)"));
    switch.appctl(&["dpif-netdev/miniflow-parser-set", "scalar"])?;
    let wrong = switch.appctl(&["dpif-netdev/miniflow-parser-set", "nosuch"]);
    assert!(wrong.is_err());
    Ok(())
}

/// What `dpctl/normalize-actions` of the reference answers, where that has the command.
#[test]
fn actions_are_normalized_by_tags_and_labels() -> Result<()> {
    let switch = Reference::start_ours()?;
    let normal = |flow: &str, actions: &str| -> Result<String> {
        let text = switch.appctl(&["dpctl/normalize-actions", flow, actions])?;
        let (input, rest) = text.split_once('\n').context("two lines")?;
        assert!(input.starts_with("input flow: in_port(1)"), "{input}");
        Ok(rest.trim_end().to_owned())
    };
    let cases = [
        (
            "1,push_vlan(vid=1,pcp=0),2,pop_vlan,3,push_vlan(vid=2,pcp=1),4",
            "no vlan: no mpls: 1,3vlan(vid=1,pcp=0): no mpls: 2vlan(vid=2,pcp=1): no mpls: 4",
        ),
        (
            "push_vlan(vid=2,pcp=1),1,push_vlan(vid=7,pcp=0),2,pop_vlan,3,pop_vlan,4",
            "no vlan: no mpls: 4vlan(vid=7,pcp=0): vlan(vid=2,pcp=1): no mpls: 2vlan(vid=2,pcp=1): \
             no mpls: 1,3",
        ),
        ("1,2,2,1", "no vlan: no mpls: 1,1,2,2"),
        (
            "push_vlan(vid=2,pcp=1),clone(pop_vlan,3),4",
            "vlan(vid=2,pcp=1): no mpls: clone(pop_vlan,3),4",
        ),
        ("drop", "no vlan: no mpls: drop"),
    ];
    for (actions, expected) in cases {
        assert_eq!(normal("in_port(1),eth(),eth_type(0x0800),ipv4()", actions)?, expected);
    }
    let tagged =
        "in_port(1),eth(),eth_type(0x8100),vlan(vid=5,pcp=1),encap(eth_type(0x0800),ipv4())";
    assert_eq!(normal(tagged, "1,pop_vlan,2")?, "no vlan: no mpls: 2vlan(vid=5,pcp=1): no mpls: 1");
    let labelled = "in_port(1),eth(),eth_type(0x8847),mpls(label=100,tc=7,ttl=64,bos=1)";
    assert_eq!(normal(labelled, "3")?, "no vlan: mpls(label=100,tc=7,ttl=64): 3");
    for wrong in [["in_port(1)", "x"], ["in_port(1),bla", "2"]] {
        let said = switch.appctl(&[&["dpctl/normalize-actions"], &wrong[..]].concat());
        let said = said.expect_err("refused").to_string();
        assert!(said.contains("Invalid argument"), "{said}");
    }
    let said = switch.appctl(&["dpctl/add-flow", "in_port(1/0),eth()", "2"]);
    let said = said.expect_err("one port's").to_string();
    assert!(said.contains("updating flow table (Invalid argument)"), "{said}");
    Ok(())
}
