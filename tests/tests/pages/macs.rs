//! Addresses that are forgotten because of what becomes of ports.

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

use super::{both, emptied, join, vsctl};

/// A packet from `src` that comes in by a port.
fn hear(switch: &Reference, port: u16, src: u8) -> Result<()> {
    let key = format!(
        "in_port({port}),eth(src=50:54:00:00:00:{src:02x},dst=50:54:00:00:00:ee),eth_type(0x1234)"
    );
    switch.appctl(&["ofproto/trace", "ovs-dummy", &key, "-generate"])?;
    Ok(())
}

fn tables(switch: &Reference) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for bridge in [BRIDGE, "br1"] {
        let text = switch.appctl(&["fdb/show", bridge])?;
        lines.extend(text.lines().map(|line| format!("{bridge}:{line}")));
    }
    Ok(lines)
}

#[test]
fn a_port_that_changes_or_goes_takes_its_addresses_along() -> Result<()> {
    let lines = both(|switch| {
        for n in 1..=3 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        join(switch, "br1")?;
        vsctl(switch, "add-port br1 p4 -- set interface p4 type=dummy ofport_request=4")?;
        for bridge in [BRIDGE, "br1"] {
            // Ours follows an address that moves only after a while, unless it is told to.
            vsctl(switch, &format!("set bridge {bridge} other-config:mac-learning-fallback=true"))?;
            switch.ofctl(&["del-flows", bridge])?;
            switch.add_flow(bridge, "actions=normal")?;
        }
        switch.time_stop()?;
        let mut seen = Vec::new();
        // The lower address is heard later: what is listed is the order of hearing.
        for (port, src) in [(1, 0x15), (1, 0x11), (2, 0x12), (3, 0x13), (4, 0x14)] {
            hear(switch, port, src)?;
        }
        seen.extend(tables(switch)?);
        for change in [
            "set port p1 tag=5",
            "clear port p1 tag",
            "set port p2 protected=true",
            "set port p3 vlan_mode=trunk trunks=0,7",
        ] {
            vsctl(switch, change)?;
            seen.push(format!("after {change}"));
            seen.extend(tables(switch)?);
        }
        for (port, src) in [(1, 0x11), (2, 0x12), (3, 0x13), (4, 0x14)] {
            hear(switch, port, src)?;
        }
        vsctl(switch, "del-port p2")?;
        seen.push("without p2".to_owned());
        seen.extend(tables(switch)?);
        vsctl(switch, "set interface p3 ofport_request=33")?;
        seen.push("p3 renumbered".to_owned());
        seen.extend(tables(switch)?);
        vsctl(switch, "del-port p4")?;
        seen.push("without p4".to_owned());
        seen.extend(tables(switch)?);
        Ok(seen)
    })?;
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    ensure!(count("50:54:00:00:00:12") > 4 && count("br1:") > 20, "{lines:#?}");
    let p4_left = lines.iter().rev().take_while(|line| line.as_str() != "without p4");
    ensure!(p4_left.count() == 5, "{lines:#?}");
    Ok(())
}

#[test]
fn packets_from_an_address_that_was_set_by_hand_are_counted() -> Result<()> {
    let lines = both(|switch| {
        emptied(switch, 2)?;
        switch.add_flow(BRIDGE, "actions=normal")?;
        switch.time_stop()?;
        let counter = || switch.appctl(&["coverage/read-counter", "mac_learning_static_none_move"]);
        switch.appctl(&["fdb/add", BRIDGE, "p2", "0", "50:54:00:00:00:01"])?;
        let mut seen = Vec::new();
        for port in [2, 1, 1, 2] {
            hear(switch, port, 1)?;
            seen.push(counter()?);
        }
        switch.appctl(&["fdb/stats-clear", BRIDGE])?;
        seen.push(counter()?);
        Ok(seen)
    })?;
    ensure!(lines.last().is_some_and(|count| count.trim() == "2"), "{lines:?}");
    Ok(())
}

/// A report of IGMP version 2 that wants 239.1.1.`group`.
fn wants(switch: &Reference, port: u16, group: u8) -> Result<()> {
    let sum = 0xf9fd - u16::from(group);
    let head = 0xbfdd - u16::from(group);
    let frame = format!(
        "01005e010101000000000001 0800 4500001c000100000102{head:04x}0a000001ef0101{group:02x} \
         1600{sum:04x}ef0101{group:02x}"
    );
    switch.receive(&format!("p{port}"), &frame)?;
    Ok(())
}

#[test]
fn a_port_that_changes_or_goes_takes_its_groups_along() -> Result<()> {
    let lines = both(|switch| {
        for n in 1..=3 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        switch.time_stop()?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "actions=normal")?;
        vsctl(switch, &format!("set bridge {BRIDGE} mcast_snooping_enable=true"))?;
        for (port, group) in [(1, 1), (2, 1), (2, 2), (3, 3)] {
            wants(switch, port, group)?;
        }
        let mut seen = Vec::new();
        for change in [
            "set port p3 vlan_mode=trunk trunks=0,7",
            "del-port p1",
            "set interface p2 ofport_request=22",
        ] {
            let text = switch.appctl(&["mdb/show", BRIDGE])?;
            let mut groups: Vec<_> = text.lines().map(str::to_owned).collect();
            groups.sort();
            seen.extend(groups);
            vsctl(switch, change)?;
            seen.push(format!("after {change}"));
        }
        seen.push(switch.appctl(&["mdb/show", BRIDGE])?);
        Ok(seen)
    })?;
    ensure!(lines.iter().filter(|line| line.contains("239.1.1.")).count() == 9, "{lines:#?}");
    Ok(())
}
