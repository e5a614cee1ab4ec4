//! What the log tells of megaflows, and what these look like.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use super::{both, emptied, traced, vsctl};

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

#[test]
fn normal_looks_at_priorities_only_where_they_matter() -> Result<()> {
    both(|switch| {
        emptied(switch, 5)?;
        switch.add_flow(BRIDGE, "actions=normal")?;
        for set in [
            "set port p1 tag=10",
            "set port p2 trunks=10,20",
            "set port p3 vlan_mode=dot1q-tunnel tag=10 cvlans=5,6",
            "set port p4 tag=20 vlan_mode=native-tagged trunks=10",
            "set port p5 tag=20 vlan_mode=native-untagged",
        ] {
            vsctl(switch, set)?;
        }
        let mut seen = Vec::new();
        for priorities in ["never", "if-nonzero", "always"] {
            vsctl(switch, &format!("set port p1 other_config:priority-tags={priorities}"))?;
            for port in 1..=5 {
                for tag in
                    ["", ",dl_vlan=0,dl_vlan_pcp=3", ",dl_vlan=5,dl_vlan_pcp=2", ",dl_vlan=10"]
                {
                    let text = switch.trace(BRIDGE, &format!("in_port={port}{tag}"))?;
                    let lines = text.lines().skip_while(|line| !line.starts_with("Megaflow"));
                    seen.push(format!("{priorities}: {port}{tag} {:?}", lines.collect::<Vec<_>>()));
                }
            }
        }
        Ok(seen)
    })?;
    Ok(())
}

#[test]
fn frames_of_protocols_between_neighbours_are_not_sent_on() -> Result<()> {
    let seen = both(|switch| {
        emptied(switch, 2)?;
        switch.add_flow(BRIDGE, "actions=normal")?;
        let mut seen = Vec::new();
        for forward in ["false", "true"] {
            vsctl(switch, &format!("set bridge {BRIDGE} other_config:forward-bpdu={forward}"))?;
            for high in [
                "01:80:c2:00:00",
                "00:e0:2b:00:00",
                "01:00:0c:00:00",
                "01:00:0c:cc:cc",
                "01:00:0c:cd:cd",
            ] {
                for low in
                    ["00", "04", "05", "06", "0f", "10", "c0", "c7", "c8", "cb", "cc", "cd", "ce"]
                {
                    let text = traced(switch, BRIDGE, &format!("in_port=1,dl_dst={high}:{low}"))?;
                    seen.push(format!("{forward} {high}:{low} {text}"));
                }
            }
        }
        Ok(seen)
    })?;
    let dropped = seen.iter().filter(|line| line.ends_with("drop")).count();
    ensure!(dropped > 10 && seen[65..].iter().all(|line| !line.ends_with("drop")), "{seen:#?}");
    Ok(())
}

#[test]
fn a_flow_is_known_by_the_id_that_it_was_given() -> Result<()> {
    const ID: &str = "ufid:12345678-1234-1234-1234-123456789abc";
    let seen = both(|switch| {
        emptied(switch, 2)?;
        let key = |last: u8| format!("in_port(1),eth(),eth_type(0x800),ipv4(src=10.0.0.{last})");
        let said = |words: &[&str]| switch.appctl(words).unwrap_or_else(|_| "refused".to_owned());
        let mut seen = vec![
            said(&["dpctl/add-flow", &format!("{ID},{}", key(1)), "2"]),
            said(&["dpctl/add-flow", &key(2), "drop"]),
            // The id belongs to the first.
            said(&["dpctl/add-flow", &format!("{ID},{}", key(3)), "2"]),
            said(&["dpctl/get-flow", ID]),
        ];
        let all = said(&["dpctl/dump-flows", "-m"]);
        seen.push(format!("{} of {}", all.matches(ID).count(), all.lines().count()));
        seen.push(said(&["dpctl/del-flow", ID]));
        seen.push(said(&["dpctl/del-flow", ID]));
        seen.push(said(&["dpctl/dump-flows"]));
        Ok(seen)
    })?;
    ensure!(seen[3].contains("10.0.0.1") && seen[4] == "1 of 3", "{seen:#?}");
    ensure!(seen[7].contains("10.0.0.2") && !seen[7].contains("10.0.0.1"), "{seen:#?}");
    Ok(())
}

#[test]
fn headers_are_written_whole_where_they_cannot_be_in_part() -> Result<()> {
    let seen = both(|switch| {
        emptied(switch, 2)?;
        let mut seen = Vec::new();
        for masked in ["false", "true"] {
            switch.appctl(&["dpif/set-dp-features", BRIDGE, "masked_set_action", masked])?;
            for (packet, write) in [
                ("tcp,dl_dst=00:00:00:00:00:07", "mod_dl_src:00:00:00:00:00:09"),
                ("tcp,tcp_src=4,tcp_dst=99", "mod_tp_src:5"),
                ("udp,udp_src=4,udp_dst=99", "mod_tp_dst:5"),
                ("sctp,sctp_src=4,sctp_dst=99", "mod_tp_dst:5"),
                ("tcp,pkt_mark=5", "load:1->NXM_NX_PKT_MARK[3]"),
                ("tcp", "set_queue:7"),
            ] {
                switch.ofctl(&["del-flows", BRIDGE])?;
                let kind = packet.split(',').next().unwrap_or_default();
                switch.ofctl(&["add-flow", BRIDGE, &format!("{kind},actions={write},2")])?;
                let text = switch.trace(BRIDGE, &format!("in_port=1,{packet}"))?;
                let lines = text.lines().skip_while(|line| !line.starts_with("Megaflow"));
                seen.push(format!("{masked} {packet} {write} {:?}", lines.collect::<Vec<_>>()));
            }
        }
        Ok(seen)
    })?;
    ensure!(seen[1].contains("set(tcp(src=5,dst=99))"), "{seen:#?}");
    ensure!(seen[7].contains("set(tcp(src=5))"), "{seen:#?}");
    Ok(())
}

#[test]
fn frames_with_a_length_are_of_the_type_that_openflow_says() -> Result<()> {
    // A frame of 802.3 with a header of 802.2.
    let stp = format!("0180c2000021020203040506{:04x}424203{:064}", 38, 0);
    let seen = both(|switch| {
        emptied(switch, 2)?;
        let mut seen = Vec::new();
        for version in ["OpenFlow10", "OpenFlow11", "OpenFlow13"] {
            for kind in ["0x05ff", "0x0000"] {
                switch.vsctl(&[
                    "set",
                    "bridge",
                    BRIDGE,
                    "protocols=OpenFlow10,OpenFlow11,OpenFlow13",
                ])?;
                switch.ofctl(&["del-flows", BRIDGE])?;
                let flow = format!("dl_type={kind},actions=2");
                switch.ofctl(&["-O", version, "add-flow", BRIDGE, &flow])?;
                let dump = switch.ofctl(&["-O", version, "--no-stats", "dump-flows", BRIDGE])?;
                let text = switch.appctl(&["ofproto/trace", BRIDGE, "in_port=1", &stp])?;
                let last = text.lines().last().unwrap_or_default();
                seen.push(format!("{version} {kind} {} {last}", dump.trim()));
            }
        }
        Ok(seen)
    })?;
    ensure!(seen.iter().step_by(2).all(|line| line.ends_with("actions: 2")), "{seen:#?}");
    Ok(())
}

#[test]
fn what_only_the_datapath_says_of_a_packet_is_not_for_rules() -> Result<()> {
    let seen = both(|switch| {
        emptied(switch, 2)?;
        let mut seen = Vec::new();
        for flow in [
            "dp_hash=5,actions=2",
            "dp_hash=0,actions=2",
            "dp_hash=5/7,actions=2",
            "recirc_id=5,actions=2",
            "actions=load:5->NXM_NX_DP_HASH[]",
            "actions=load:5->NXM_NX_RECIRC_ID[]",
            "actions=load:5->NXM_NX_CONJ_ID[]",
            "actions=move:NXM_NX_DP_HASH[]->NXM_NX_REG0[]",
        ] {
            let told = switch.ofctl(&["add-flow", BRIDGE, flow]).err().map(|it| it.to_string());
            // The error's name is what both say alike.
            let name = told.and_then(|it| {
                let at = it.find("OFP")?;
                it[at..].split_whitespace().find(|word| word.starts_with("OFPB")).map(str::to_owned)
            });
            seen.push(format!("{flow}: {name:?}"));
        }
        Ok(seen)
    })?;
    ensure!(seen[0].contains("OFPBRC_EPERM") && seen[7].ends_with("None"), "{seen:#?}");
    Ok(())
}
