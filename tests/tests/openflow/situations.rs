//! Situations that users come to, one after another beside the reference: what the tools say there,
//! and what each does with a packet.
//!
//! `situations.txt` has a command a line, `{}` for the bridge; `reset` empties it, `pause` waits until packets
//! are through. What is said must be
//! the same but for times and numbers without a meaning. Which megaflow a trace shows is left out: the
//! order of look-ups decides on it, and that all are right has a test of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::reference::{BRIDGE, Reference};

use crate::raw::Peer;

fn pair(ports: u16) -> Result<[Reference; 2]> {
    let both = [Reference::start()?, Reference::start_ours()?];
    for switch in &both {
        switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=secure"])?;
        for port in 1..=ports {
            switch.add_dummy_port(&format!("p{port}"), port)?;
        }
        switch.ofctl(&["del-flows", BRIDGE])?;
    }
    Ok(both)
}

/// A second bridge behind port 10 of the first, with port 9 of its own.
fn add_peer(switch: &Reference) -> Result<()> {
    let words = format!(
        "add-br br1 -- set Bridge br1 datapath_type=dummy fail_mode=secure \
         -- add-port {BRIDGE} to1 -- set Interface to1 type=patch options:peer=to0 ofport_request=10 \
         -- add-port br1 to0 -- set Interface to0 type=patch options:peer=to1 ofport_request=20 \
         -- add-port br1 p9 -- set Interface p9 type=dummy ofport_request=9"
    );
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    Ok(())
}

/// A text without what differs from run to run.
fn settled(text: &str) -> Vec<String> {
    let starts =
        ["duration=", "idle_age=", "used:", "(xid=", "recirc_id=", "recirc_id(0x", "recirc(0x"];
    let line = |line: &str| {
        let mut out = String::new();
        let mut rest = line;
        let first = |text: &str| {
            starts.iter().filter_map(|start| Some((text.find(start)?, start.len()))).min()
        };
        while let Some((at, len)) = first(rest) {
            let (head, tail) = rest.split_at(at + len);
            out.push_str(head);
            let end = tail.find([',', ')', ' ']).unwrap_or(tail.len());
            rest = tail.get(end..).unwrap_or_default();
        }
        out.push_str(rest);
        out
    };
    let kept = |line: &&str| {
        !line.is_empty() && !line.starts_with("Megaflow: ") && !line.starts_with("flow-dump from")
    };
    text.lines().filter(kept).map(line).collect()
}

/// The name of the error that a tool tells of.
fn error_name(text: &str) -> String {
    let mut names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_name =
        |word: &&str| word.starts_with("OFP") && word.contains('_') && !word.starts_with("OFPT_");
    format!("refused: {}", names.find(is_name).unwrap_or("for another reason"))
}

fn said(switch: &Reference, line: &str) -> Vec<String> {
    if line == "reset" {
        return ["del-flows", "del-groups", "del-meters"]
            .iter()
            .filter_map(|what| switch.ofctl(&["-OOpenFlow15", what, BRIDGE]).err())
            .map(|error| error.to_string())
            .collect();
    }
    if line == "pause" {
        sleep(Duration::from_millis(300));
        return vec![];
    }
    let line = line.replace("{}", BRIDGE);
    let mut words: Vec<&str> = line.split(' ').collect();
    let tool = words.remove(0);
    let result = match tool {
        "ofctl" => switch.ofctl(&words),
        "appctl" => switch.appctl(&words),
        _ => switch.vsctl(&words),
    };
    match result {
        Ok(text) => {
            // The database answers with rows' numbers.
            let mut lines = if tool == "vsctl" { vec![] } else { settled(&text) };
            // Of what is dumped the order says nothing.
            if tool == "ofctl" || line.contains("dump-flows") {
                lines.sort();
            }
            lines
        }
        Err(error) => vec![error_name(&error.to_string())],
    }
}

#[test]
fn situations_end_as_they_do_at_the_reference() -> Result<()> {
    let both = pair(3)?;
    for switch in &both {
        add_peer(switch)?;
    }
    let (mut report, mut count, mut told) = (String::new(), 0, 0);
    for line in include_str!("situations.txt").lines().filter(|line| !line.starts_with('#')) {
        let [theirs, own] = both.each_ref().map(|switch| said(switch, line));
        count += 1;
        told += usize::from(theirs.len() > 3);
        if theirs != own {
            let (theirs, own) = (theirs.join("\n    "), own.join("\n    "));
            writeln!(report, "{line}\n  reference:\n    {theirs}\n  ours:\n    {own}")?;
        }
    }
    ensure!(count > 50 && told > 15, "only {count} commands, {told} of which were answered");
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

/// The tags with which a list of the datapath's actions sends a packet out of each port.
fn delivered(tags: &[String], actions: &str) -> BTreeMap<String, Vec<String>> {
    let (mut tags, mut out) = (tags.to_vec(), BTreeMap::new());
    let mut rest = actions;
    while !rest.is_empty() {
        let end = match rest.strip_prefix("push_vlan(").and_then(|inner| inner.find(')')) {
            Some(at) => "push_vlan(".len() + at + 1,
            None => rest.find(',').unwrap_or(rest.len()),
        };
        let (action, tail) = rest.split_at(end);
        rest = tail.strip_prefix(',').unwrap_or(tail);
        if let Some(tag) = action.strip_prefix("push_vlan(") {
            tags.insert(0, tag.trim_end_matches(')').to_owned());
        } else if action == "pop_vlan" {
            tags.remove(0);
        } else if action != "drop" {
            out.insert(action.to_owned(), tags.clone());
        }
    }
    out
}

#[test]
fn floods_leave_by_the_ports_and_with_the_tags_of_the_reference() -> Result<()> {
    let both = pair(12)?;
    let ports = "p1 trunks=10,12 -- set Port p2 tag=10 \
         -- set Port p3 tag=12 other_config:priority-tags=if-nonzero -- set Port p4 tag=12 \
         -- set Port p5 vlan_mode=native-tagged tag=10 \
         -- set Port p6 vlan_mode=native-tagged tag=10 trunks=10,12 \
         -- set Port p7 vlan_mode=native-untagged tag=12 \
         -- set Port p8 vlan_mode=native-untagged tag=12 trunks=10,12 \
            other_config:priority-tags=if-nonzero \
         -- set Port p9 vlan_mode=dot1q-tunnel tag=10 other_config:qinq-ethtype=802.1q \
         -- set Port p10 vlan_mode=dot1q-tunnel tag=10 cvlans=10,12 \
            other_config:qinq-ethtype=802.1q \
         -- set Port p11 vlan_mode=dot1q-tunnel tag=12 \
         -- set Port p12 vlan_mode=dot1q-tunnel tag=12 other_config:qinq-ethtype=802.1q \
            other_config:priority-tags=always";
    for switch in &both {
        switch.ofctl(&["add-flow", BRIDGE, "actions=NORMAL"])?;
        let words = format!("set Port {ports}");
        switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    }
    let mut went = 0;
    for port in 1..=12 {
        for tag in [None, Some((0, 1)), Some((10, 1)), Some((12, 0))] {
            let start = format!("in_port=p{port},dl_type=0xabcd,dl_dst=ff:ff:ff:ff:ff:ff");
            let (flow, tags) = match tag {
                None => (start, vec![]),
                // The text's VLAN 0 without a priority is a tag all the same.
                Some((vid, pcp)) => (
                    format!("{start},vlan_tci={:#06x}/0xffff", 0x1000 | pcp << 13 | vid),
                    vec![format!("vid={vid},pcp={pcp}")],
                ),
            };
            let mut said = Vec::new();
            for switch in &both {
                let text = switch.trace(BRIDGE, &flow)?;
                let last = text.lines().last().unwrap_or_default();
                let actions = last.strip_prefix("Datapath actions: ").context("no actions")?;
                said.push(delivered(&tags, actions));
            }
            went += said.iter().map(BTreeMap::len).sum::<usize>();
            ensure!(said.first() == said.last(), "{flow}: {said:#?}");
        }
    }
    ensure!(went > 300, "only {went} copies");
    Ok(())
}

#[test]
fn controllers_are_told_by_whom_a_packet_comes_as_by_the_reference() -> Result<()> {
    let both = pair(1)?;
    for switch in &both {
        let option = "-OOpenFlow14";
        let buckets = "bucket=controller,bucket=resubmit(,1),bucket=resubmit(,2)";
        let group = format!("group_id=1,type=all,{buckets}");
        switch.ofctl(&[option, "add-group", BRIDGE, &group])?;
        for flow in [
            "actions=group:1",
            "table=1,priority=0,actions=controller",
            "table=2,cookie=0x7,actions=controller,write_actions(controller)",
        ] {
            switch.ofctl(&[option, "add-flow", BRIDGE, flow])?;
        }
    }
    for version in [4, 5] {
        let mut told = Vec::new();
        for switch in &both {
            let mut peer = Peer::connect(switch, version)?;
            peer.send(9, &[0, 0, 0xff, 0xff])?;
            peer.received()?;
            switch.receive("p1", "in_port(1),eth(src=50:54:00:00:00:09),eth_type(0x1234)")?;
            let out = "in_port=p1,packet=ffffffffffff0000000000011234,actions=resubmit(,2)";
            switch.ofctl(&["packet-out", BRIDGE, out])?;
            let mut messages: Vec<Vec<u8>> = Vec::new();
            let until = Instant::now() + Duration::from_secs(10);
            while messages.len() < 6 && Instant::now() < until {
                messages.extend(peer.received()?.into_iter().filter(|message| message[1] == 10));
                sleep(Duration::from_millis(20));
            }
            // The transaction is the sender's own number; the two ways are not in an order.
            for message in &mut messages {
                message.drain(4..8);
            }
            messages.sort();
            told.push(messages);
        }
        let (theirs, own) = (told.first(), told.last());
        ensure!(theirs == own && theirs.is_some_and(|it| it.len() == 6), "{told:02x?}");
    }
    Ok(())
}
