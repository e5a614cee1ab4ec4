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
    let end = text.find("recirc(").map_or(text.len(), |at| at + "recirc".len());
    Ok(text[..end].to_owned())
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
