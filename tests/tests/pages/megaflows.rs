//! What the log tells of megaflows, and what these look like.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use super::{both, emptied};

const KEY: &str = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),\
                   ipv4(src=10.0.0.2,dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";

/// A line of the log from `what` on, without ids and ages; the first one that has `holding` too.
fn told(switch: &Reference, what: &str, holding: &str) -> Result<String> {
    let path = switch.folder().join("ovs-vswitchd.log");
    let find = || {
        let text = std::fs::read_to_string(&path).ok()?;
        let tail = |line: &str| Some(line[line.find(what)?..].to_owned());
        let line = text.lines().filter_map(tail).find(|line| line.contains(holding))?;
        let own = |word: &&str| !word.starts_with("ufid:") && !word.starts_with("mega_ufid:");
        let words: Vec<_> = line.split(' ').filter(own).map(without_age).collect();
        Some(words.join(" "))
    };
    patience::wait(Duration::from_secs(10), find)
        .with_context(|| format!("no {what:?} {holding:?}"))
}

fn without_age(word: &str) -> &str {
    if word.starts_with("used:") { "used" } else { word }
}

#[test]
fn the_log_tells_of_megaflows_that_come_change_and_go() -> Result<()> {
    let lines = both(|switch| {
        emptied(switch, 2)?;
        switch.add_flow(BRIDGE, "udp,in_port=1,tp_dst=2,actions=2")?;
        switch.appctl(&["vlog/set", "dpif:dbg", "dpif_netdev:dbg"])?;
        switch.time_stop()?;
        let step = Some(Duration::from_millis(500));
        let mut seen = Vec::new();
        for _ in 0..4 {
            switch.receive("p1", KEY)?;
        }
        seen.push(told(switch, "flow_add: ", "in_port(1)")?);
        switch.time_warp(Duration::from_millis(1500), step)?;
        seen.push(told(switch, "flow_dump ", "packets:3")?);
        switch.appctl(&["upcall/disable-ufid"])?;
        switch.time_warp(Duration::from_millis(1500), step)?;
        seen.push(told(switch, "flow_dump ", "in_port(1)")?);
        switch.add_flow(BRIDGE, "udp,in_port=1,tp_dst=2,actions=local")?;
        switch.time_warp(Duration::from_millis(1500), step)?;
        seen.push(told(switch, "flow_mod: ", "in_port(1)")?);
        seen.push(told(switch, "put[modify] ", "in_port(1)")?);
        switch.time_warp(Duration::from_secs(20), Some(Duration::from_secs(1)))?;
        seen.push(told(switch, "flow_del ", "packets:3")?);
        Ok(seen)
    })?;
    ensure!(lines.iter().all(|line| !line.contains("ufid")) && lines.len() == 6, "{lines:#?}");
    ensure!(lines[1].contains("<empty>") && lines[2].contains("actions:2"), "{lines:#?}");
    Ok(())
}

#[test]
fn without_megaflows_a_flow_is_one_packets_key() -> Result<()> {
    let lines = both(|switch| {
        emptied(switch, 2)?;
        switch.add_flow(BRIDGE, "actions=2")?;
        switch.appctl(&["upcall/disable-megaflows"])?;
        let ether = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)";
        let packets = [
            KEY.to_owned(),
            KEY.replace("udp(src=1,dst=2)", "udp(src=3,dst=2)"),
            KEY.replace("proto=17", "proto=1").replace("udp(src=1,dst=2)", "icmp(type=8,code=0)"),
            format!(
                "{ether},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=6,tclass=0,\
                 hlimit=64,frag=no),tcp(src=7,dst=8),tcp_flags(syn)"
            ),
            format!(
                "{ether},eth_type(0x0806),arp(sip=1.1.1.1,tip=2.2.2.2,op=1,\
                 sha=50:54:00:00:00:09,tha=00:00:00:00:00:00)"
            ),
            format!("{ether},eth_type(0x1234)"),
        ];
        for packet in &packets {
            switch.receive("p1", packet)?;
        }
        let text = switch.appctl(&["dpctl/dump-flows"])?;
        let matched = |line: &str| line.split(", packets:").next().unwrap_or_default().to_owned();
        let mut lines: Vec<_> = text.lines().map(matched).collect();
        lines.sort();
        Ok(lines)
    })?;
    ensure!(lines.iter().filter(|line| line.contains("in_port(1)")).count() == 6, "{lines:#?}");
    Ok(())
}
