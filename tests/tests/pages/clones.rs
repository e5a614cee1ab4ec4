//! What happens to a copy of a packet, and must not reach the packet itself.

use anyhow::{Result, ensure};
use testkit::reference::BRIDGE;

use super::{both, join, traced, vsctl};

/// What the bridge beside does.
const BESIDE: [&str; 13] = [
    "meter:1,3",
    "meter:1,set_field:3.3.3.3->ip_dst,3",
    "ct(commit),3",
    "output(port=3,max_len=64)",
    "clone(ct(commit),3),4",
    "meter:1",
    "ct_clear,3",
    "set_field:3.3.3.3->ip_dst,3",
    "push_vlan:0x8100,3",
    "controller,3",
    "encap(nsh(md_type=1)),set_field:1->nsh_spi,encap(ethernet),3",
    "resubmit(,1)",
    "4,3",
];

#[test]
fn another_bridge_changes_nothing_for_what_follows() -> Result<()> {
    let lines = both(|switch| {
        switch.add_dummy_port("p2", 2)?;
        join(switch, "br1")?;
        for n in 3..=4 {
            let port = format!("p{n}");
            vsctl(
                switch,
                &format!(
                    "add-port br1 {port} -- set interface {port} type=dummy ofport_request={n}"
                ),
            )?;
        }
        let meter = "meter=1 pktps stats bands=type=drop rate=2";
        switch.ofctl(&["-OOpenFlow13", "add-meter", "br1", meter])?;
        let group = "group_id=1,type=all,bucket=actions=100,bucket=actions=2";
        switch.ofctl(&["-OOpenFlow13", "add-group", BRIDGE, group])?;
        let mut seen = Vec::new();
        for here in ["100,2", "2,100", "group:1", "set_field:1.1.1.1->ip_src,100,2", "clone(100),2"]
        {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.ofctl(&["-OOpenFlow13", "add-flow", BRIDGE, &format!("ip,actions={here}")])?;
            for there in BESIDE {
                switch.ofctl(&["del-flows", "br1"])?;
                switch.ofctl(&["-OOpenFlow13", "add-flow", "br1", "table=1,actions=3"])?;
                switch.ofctl(&[
                    "-OOpenFlow13",
                    "add-flow",
                    "br1",
                    &format!("ip,actions={there}"),
                ])?;
                let flow = "in_port=local,tcp,dl_dst=00:00:00:00:00:05";
                seen.push(format!("{here} / {there}: {}", traced(switch, BRIDGE, flow)?));
            }
        }
        Ok(seen)
    })?;
    ensure!(lines.iter().any(|line| line.ends_with("clone(meter(0),3),2")), "{lines:#?}");
    Ok(())
}

const KEY: &str = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),\
                   ipv4(src=10.0.0.2,dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";

#[test]
fn a_datapath_that_cannot_copy_or_measure_is_not_asked_to() -> Result<()> {
    let lines = both(|switch| {
        for n in 1..=3 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        let feature =
            |name: &str, value: &str| switch.appctl(&["dpif/set-dp-features", BRIDGE, name, value]);
        let mut seen = Vec::new();
        let mut look = || -> Result<()> {
            let text = switch.appctl(&["ofproto/trace", "ovs-dummy", KEY])?;
            seen.extend(text.lines().map(str::to_owned));
            Ok(())
        };
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "ip,actions=clone(ct(commit),2),3")?;
        look()?;
        feature("clone", "false")?;
        look()?;
        feature("sample_nesting", "2")?;
        look()?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "actions=check_pkt_larger(200)->reg0[0],resubmit(,1)")?;
        switch.add_flow(BRIDGE, "table=1,priority=40000,reg0=1/1,actions=2")?;
        switch.add_flow(BRIDGE, "table=1,actions=3")?;
        look()?;
        feature("check_pkt_len", "false")?;
        look()?;
        // Every packet is measured by itself then.
        for len in [150, 250, 150] {
            let mut frame = vec![0; len];
            frame[12] = 0x12;
            switch.receive_frame("p1", &frame)?;
            seen.push(format!("{} {}", switch.sent("p2")?.len(), switch.sent("p3")?.len()));
        }
        Ok(seen)
    })?;
    ensure!(lines.iter().any(|line| line.contains("Failed to compose clone action")), "{lines:#?}");
    ensure!(lines.last().is_some_and(|line| line == "1 2"), "{lines:#?}");
    Ok(())
}
