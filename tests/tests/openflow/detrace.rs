//! Which rules and groups made a megaflow, and what the switch's own table has counted.

use anyhow::{Context, Result, ensure};
use testkit::reference::{BRIDGE, Reference};

const UDP: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),\
    ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";
const FRAGMENT: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),\
    eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=later)";
const ARP: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0806),\
    arp(sip=1.1.1.1,tip=1.1.1.2,op=1,sha=50:54:00:00:00:01,tha=00:00:00:00:00:00)";

/// Lines without what differs from run to run.
fn settled(text: &str) -> Vec<String> {
    let keeps = |word: &&str| !["duration=", "idle_age="].iter().any(|it| word.starts_with(it));
    let line = |line: &str| line.split(' ').filter(keeps).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect()
}

#[test]
fn a_megaflow_says_which_rules_and_groups_made_it() -> Result<()> {
    let switch = Reference::start_ours()?;
    for (name, number) in [("p1", 1), ("p2", 2), ("p3", 3)] {
        switch.add_dummy_port(name, number)?;
    }
    let group = "group_id=7,type=all,bucket=actions=output:2,bucket=actions=output:3";
    switch.ofctl(&["add-group", BRIDGE, group])?;
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.add_flows(
        BRIDGE,
        "priority=10,in_port=1,ip,cookie=0x11,actions=resubmit(,1),resubmit(,2)\n\
         priority=9,in_port=1,arp,cookie=0x12,actions=group:7\n\
         table=1,priority=10,tcp,cookie=0x21,actions=ct(table=3)\n\
         table=1,priority=0,cookie=0x22,actions=output:2\n",
    )?;
    switch.receive("p1", UDP)?;
    switch.receive("p1", ARP)?;
    let flows = switch.appctl(&["dpctl/dump-flows", "-m"])?;
    let id = |words: &str| -> Result<String> {
        let line = flows.lines().find(|line| line.contains(words)).context("no such flow")?;
        let at = line.find("ufid:").context("no id")?;
        Ok(line[at..].split(',').next().unwrap_or_default().to_owned())
    };
    let (udp, arp) = (id("udp(")?, id("arp(")?);
    let counted = "n_packets=1, n_bytes=106, n_offload_packets=0, n_offload_bytes=0,";
    let made = [
        format!(
            "cookie=0x11, {counted} priority=10,ip,in_port=1,actions=resubmit(,1),resubmit(,2)"
        ),
        format!("cookie=0x22, table_id=1, {counted} priority=0,actions=output:2"),
        format!("table_id=254, {counted} priority=0,reg0=0x2,actions=drop"),
    ];
    assert_eq!(settled(&switch.appctl(&["ofproto/detrace", &udp])?), made);
    let text = switch.appctl(&["ofproto/detrace", &arp])?;
    assert!(text.contains("actions=group:7\ngroup_id=7,type=all,bucket=bucket_id:0,"), "{text}");
    // The main thread has the flow, and no other.
    assert_eq!(settled(&switch.appctl(&["ofproto/detrace", &udp, "pmd=4294967295"])?), made);
    let none = switch.appctl(&["ofproto/detrace", &udp, "pmd=1"])?;
    assert_eq!(none, "UFID was not found for dummy@ovs-dummy\n");
    for wrong in [&["ofproto/detrace", "br0"][..], &["ofproto/detrace", &udp, "pmd=x"]] {
        ensure!(switch.appctl(wrong).is_err(), "{wrong:?}");
    }
    Ok(())
}

#[test]
fn the_switchs_own_table_counts_what_no_rule_matches() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let mut outcomes = Vec::new();
    for switch in [&reference, &ours] {
        switch.add_dummy_port("p1", 1)?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "table=9,ip,actions=drop")?;
        for _ in 0..3 {
            switch.receive("p1", UDP)?;
        }
        // Copies of megaflows credit their rules before they go.
        switch.appctl(&["revalidator/purge"])?;
        switch.ofctl(&["set-frags", BRIDGE, "drop"])?;
        switch.receive("p1", FRAGMENT)?;
        switch.receive("p1", ARP)?;
        switch.appctl(&["revalidator/purge"])?;
        let mut told = settled(&switch.appctl(&["bridge/dump-flows", BRIDGE])?);
        told.extend(settled(&switch.ofctl(&["dump-flows", BRIDGE, "table=254"])?).split_off(1));
        outcomes.push(told);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let drop = |line: &String| line.contains("reg0=0x2") && line.contains("n_packets=4,");
    ensure!(outcomes[1].iter().filter(|line| drop(line)).count() == 2, "{:#?}", outcomes[1]);
    Ok(())
}
