//! MPLS labels that come off and go on, around what is behind them.

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

use super::{both, join, traced, vsctl};

fn mpls(labels: &str) -> String {
    format!(
        "in_port(1),eth(src=f8:bc:12:44:34:b6,dst=f8:bc:12:46:58:e0),eth_type(0x8847),mpls({labels})"
    )
}

const ONE: &str = "label=20,tc=0,ttl=64,bos=1";
const TWO: &str = "label=60,tc=0,ttl=64,bos=0,label=50,tc=0,ttl=64,bos=1";
const IP: &str = "in_port(100),eth(src=f8:bc:12:44:34:b6,dst=f8:bc:12:46:58:e0),eth_type(0x0800),\
                  ipv4(src=1.1.2.92,dst=1.1.2.88,proto=17,tos=0,ttl=64,frag=no),udp(src=7777,dst=80)";

/// What a trace ends with, whatever the number that a packet comes back with.
fn ends(switch: &Reference, key: &str) -> Result<String> {
    let text = traced(switch, "ovs-dummy", key)?;
    Ok(without_number(&text).to_owned())
}

/// Actions up to the number that a packet comes back with, which differs.
fn without_number(actions: &str) -> &str {
    let end = actions.find("recirc(").map_or(actions.len(), |at| at + "recirc".len());
    &actions[..end]
}

fn add(switch: &Reference, bridge: &str, flow: &str) -> Result<()> {
    switch.ofctl(&["-OOpenFlow13", "add-flow", bridge, flow])?;
    Ok(())
}

#[test]
fn what_another_bridge_wrote_behind_labels_is_undone() -> Result<()> {
    let lines = both(|switch| {
        for n in [1, 4] {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        join(switch, "br1")?;
        vsctl(switch, "add-port br1 p3 -- set interface p3 type=dummy ofport_request=3")?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        add(switch, BRIDGE, "in_port=local,ip,actions=100,1,4")?;
        let mut seen = Vec::new();
        for beside in [
            "dec_ttl,push_mpls:0x8847,3",
            "set_field:9.9.9.9->ip_dst,push_mpls:0x8847,push_mpls:0x8847,3",
            "push_mpls:0x8847,3,pop_mpls:0x800,3",
            "dec_ttl,push_mpls:0x8847,3,pop_mpls:0x800,dec_ttl,3",
        ] {
            switch.ofctl(&["del-flows", "br1"])?;
            add(switch, "br1", &format!("ip,actions={beside}"))?;
            seen.push(ends(switch, IP)?);
        }
        Ok(seen)
    })?;
    ensure!(lines[0].ends_with("pop_mpls(eth_type=0x800),set(ipv4(ttl=64)),1,4"), "{lines:#?}");
    Ok(())
}

#[test]
fn labels_are_taken_off_by_decap_and_put_on_by_encap() -> Result<()> {
    let lines = both(|switch| {
        for n in [1, 4] {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        switch.ofctl(&["del-flows", BRIDGE])?;
        let mut seen = Vec::new();
        for next in ["(ns=0,type=0)", "(ns=1,type=0x800)", "(ns=1,type=0x8847)"] {
            let list = format!("decap(),decap(packet_type{next}),encap(ethernet),4");
            let list =
                if next == "(ns=0,type=0)" { list.replace("encap(ethernet),", "") } else { list };
            add(switch, BRIDGE, &format!("in_port=1,mpls,actions={list}"))?;
            seen.push(ends(switch, &mpls(ONE))?);
            // Where another label is left, it is left.
            if next == "(ns=1,type=0x8847)" {
                seen.push(ends(switch, &mpls(TWO))?);
            }
        }
        for list in [
            "encap(mpls),set_mpls_label:2,encap(ethernet),4",
            "encap(mpls),set_mpls_label:2,encap(mpls),encap(ethernet),4",
            "encap(mpls),encap(mpls),set_mpls_label:3,encap(mpls_mc),encap(ethernet),4",
        ] {
            add(switch, BRIDGE, &format!("in_port=local,ip,actions={list}"))?;
            seen.push(ends(switch, IP)?);
        }
        // An Ethernet frame behind the label is one again.
        add(switch, BRIDGE, "in_port=1,mpls,actions=decap(),decap(packet_type(ns=0,type=0)),4")?;
        let inner = "505400000011606666660012 1234 000102030405060708090a0b0c0d0e0f10";
        for _ in 0..2 {
            switch.receive("p1", &format!("505400000007606666660001 8847 00014120 {inner}"))?;
        }
        seen.extend(switch.sent("p4")?.iter().map(|frame| format!("{frame:02x?}")));
        Ok(seen)
    })?;
    ensure!(
        lines.last().is_some_and(|line| line.starts_with("[50, 54, 00, 00, 00, 11")),
        "{lines:#?}"
    );
    Ok(())
}

#[test]
fn a_trace_may_go_on_with_what_another_has_frozen() -> Result<()> {
    let lines = both(|switch| {
        switch.add_dummy_port("p1", 1)?;
        switch.time_stop()?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        add(switch, BRIDGE, "in_port=1,mpls,actions=pop_mpls:0x800,dec_ttl,local")?;
        let mut seen = vec![traced(switch, "ovs-dummy", &mpls(ONE))?];
        for (id, ttl) in [(1, 64), (1, 1), (9, 64)] {
            let back = IP.replace("in_port(100)", &format!("recirc_id({id}),in_port(1)"));
            let back = back.replace("ttl=64", &format!("ttl={ttl}"));
            let text = switch.appctl(&["ofproto/trace", "ovs-dummy", &back]);
            let text = text.unwrap_or_else(|error| error.to_string());
            let known = text.contains("no recirculation data for recirc_id 0x9");
            let end = text.lines().find(|line| line.starts_with("Datapath actions"));
            let end = end.unwrap_or_default().split("userspace").next().unwrap_or_default();
            seen.push(format!("{known} {end}"));
        }
        Ok(seen)
    })?;
    ensure!(
        lines[1].ends_with("set(ipv4(ttl=63)),100") && lines[3].starts_with("true"),
        "{lines:#?}"
    );
    Ok(())
}

/// The megaflow and the actions of a trace, without the numbers that packets come back with.
fn outcome(switch: &Reference, flow: &str) -> Result<String> {
    let text = switch.trace(BRIDGE, flow)?;
    let lines = text.lines().filter(|it| it.starts_with("Megaflow") || it.starts_with("Datapath"));
    let mut out = String::new();
    for line in lines {
        out += without_number(line);
        out += "; ";
    }
    Ok(out)
}

const PACKETS: [&str; 4] = [
    "in_port=1,tcp,nw_src=1.2.3.4,nw_ttl=9,tcp_src=5",
    "in_port=1,ip,nw_proto=0,nw_ttl=9",
    "in_port=1,udp6,ipv6_src=1::2,udp_src=5",
    "in_port=1,arp,arp_op=1,arp_spa=1.2.3.4",
];

#[test]
fn what_follows_the_last_label_waits_for_the_parser_or_does_not() -> Result<()> {
    const NEXT: &[&str] = &[
        "output:2",
        "output(port=2,max_len=100)",
        "flood",
        "enqueue:2:1",
        "group:1",
        "group:2",
        "output:NXM_NX_REG0[]",
        "mod_vlan_vid:3,2",
        "strip_vlan,2",
        "push_vlan:0x8100,2",
        "mod_dl_src:00:00:00:00:00:09,2",
        "mod_nw_tos:8,2",
        "dec_ttl,2",
        "set_tunnel:3,2",
        "set_queue:1,2",
        "pop_queue,2",
        "load:5->NXM_NX_REG0[],2",
        "set_field:5->metadata,2",
        "move:NXM_NX_REG0[]->NXM_NX_REG1[],2",
        "push:NXM_NX_REG0[],2",
        "resubmit(,1)",
        "exit",
        "note:00.01,2",
        "ct_clear,2",
        "clone(output:2)",
        "push_mpls:0x8847,2",
        "bundle(eth_src,0,hrw,ofport,members:2)",
        "write_metadata:5",
        "goto_table:1",
        "check_pkt_larger(100)->NXM_NX_REG0[0],2",
        "fin_timeout(idle_timeout=2),2",
        "in_port",
    ];
    let lines = both(|switch| {
        for n in 1..=2 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        for group in ["group_id=1,type=all,bucket=2", "group_id=2,type=select,bucket=2"] {
            switch.ofctl(&["-OOpenFlow13", "add-group", BRIDGE, group])?;
        }
        let mut seen = Vec::new();
        for next in NEXT {
            switch.ofctl(&["del-flows", BRIDGE])?;
            add(switch, BRIDGE, "table=1,actions=2")?;
            let list = format!("actions=push_mpls:0x8847,pop_mpls:0x0800,{next}");
            // Versions differ in what they have.
            if add(switch, BRIDGE, &list).is_err() {
                switch.ofctl(&["add-flow", BRIDGE, &list])?;
            }
            for packet in PACKETS {
                seen.push(format!("{next} {packet} {}", outcome(switch, packet)?));
            }
        }
        Ok(seen)
    })?;
    ensure!(lines.iter().filter(|line| line.contains("recirc;")).count() > 40, "{lines:#?}");
    Ok(())
}

#[test]
fn what_a_copy_put_a_label_on_is_written_afterwards_as_it_was_before() -> Result<()> {
    let lines = both(|switch| {
        for n in 1..=3 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        join(switch, "br1")?;
        vsctl(switch, "add-port br1 p4 -- set interface p4 type=dummy ofport_request=4")?;
        add(switch, "br1", "actions=push_mpls:0x8847,output:4")?;
        let mut seen = Vec::new();
        for (id, write) in (1..).zip([
            "mod_nw_src:9.9.9.9",
            "mod_tp_src:99",
            "dec_ttl",
            "mod_dl_src:00:00:00:00:00:09",
        ]) {
            let group = format!(
                "group_id={id},type=all,bucket=push_mpls:0x8847,output:2,bucket={write},output:3"
            );
            switch.ofctl(&["-OOpenFlow13", "add-group", BRIDGE, &group])?;
            for list in [
                format!("group:{id}"),
                format!("clone(push_mpls:0x8847,output:2),{write},output:3"),
                format!("output:100,{write},output:3"),
            ] {
                switch.ofctl(&["del-flows", BRIDGE])?;
                switch.add_flow(BRIDGE, &format!("tcp,actions={list}"))?;
                seen.push(outcome(switch, PACKETS[0])?);
            }
        }
        Ok(seen)
    })?;
    ensure!(lines[0].ends_with("set(ipv4(src=9.9.9.9)),3; "), "{lines:#?}");
    Ok(())
}
