//! Bounds of translation as an operator meets them: set, hit, counted, told.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

const PACKET: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)";

/// A sample of the metrics page.
fn sample(port: u16, name: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Has the daemon answer with metrics; which port that is.
fn listen(switch: &Reference) -> Result<u16> {
    // A port that was free a moment ago may be somebody else's now: then there is another one.
    for _ in 0..20 {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let setting = format!("other_config:metrics-listen=127.0.0.1:{port}");
        switch.vsctl(&["set", "Open_vSwitch", ".", &setting])?;
        if patience::wait(Duration::from_secs(5), || sample(port, "ovs_up")).is_some() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}

#[test]
fn a_loop_is_bounded_as_configured_counted_by_bridge_and_told_once_with_its_flow() -> Result<()> {
    let switch = Reference::start_ours()?;
    let port = listen(&switch)?;
    switch.add_dummy_port("p1", 1)?;
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.add_flows(
        BRIDGE,
        "in_port=1,actions=resubmit(,1)\ntable=1,actions=resubmit(,1)\n\
         in_port=2,actions=resubmit(,2),resubmit(,2),resubmit(,2)\ntable=2,actions=drop\n\
         in_port=3,actions=resubmit(,3),pop:NXM_NX_REG0[]\n\
         table=3,actions=push:NXM_NX_XXREG0[],resubmit(,3)\n",
    )?;
    let says = |flow: &str, what: &str| -> Result<()> {
        let text = switch.trace(BRIDGE, flow)?;
        ensure!(text.contains(what), "{what:?} is not in\n{text}");
        Ok(())
    };
    says("in_port=1", "over max translation depth 64")?;
    for (key, value) in [("resubmit-depth-limit", "5"), ("resubmit-limit", "2")] {
        switch.vsctl(&["set", "Bridge", BRIDGE, &format!("other_config:{key}={value}")])?;
    }
    says("in_port=1", "over 2 resubmit actions")?;
    says("in_port=2", "over 2 resubmit actions")?;
    switch.vsctl(&["set", "Bridge", BRIDGE, "other_config:resubmit-limit=4000"])?;
    says("in_port=1", "over max translation depth 5")?;
    let words = ["other_config:resubmit-stack-limit=1", "other_config:resubmit-depth-limit=300"];
    switch.vsctl(&[&["set", "Bridge", BRIDGE][..], &words].concat())?;
    says("in_port=3", "resubmits yielded over 1 kB of stack")?;
    // What makes no sense is said, and the usual bound holds.
    switch.vsctl(&["set", "Bridge", BRIDGE, "other_config:resubmit-depth-limit=9999"])?;
    says("in_port=1", "over max translation depth 64")?;
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    ensure!(log.contains("resubmit-depth-limit=9999: expected a number from 1 to 400"), "{log}");

    let name = format!("dp_bridge_limit_hits{{bridge=\"{BRIDGE}\",limit=\"depth\"}}");
    let before = patience::wait(LIMIT, || sample(port, &name)).context("no metrics")?;
    for _ in 0..3 {
        switch.receive("p1", PACKET)?;
        // So that the next packet is translated again.
        switch.appctl(&["revalidator/purge"])?;
    }
    let hits = patience::wait(LIMIT, || sample(port, &name).filter(|hits| *hits >= before + 3));
    ensure!(hits.is_some(), "{before} before");
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    let told: Vec<_> =
        log.lines().filter(|it| it.contains("|WARN|over max translation depth")).collect();
    ensure!(told.len() == 1 && told[0].contains("dst=50:54:00:00:00:02"), "{told:?}");
    Ok(())
}

#[test]
fn a_loop_through_the_tracker_is_bounded_counted_by_bridge_and_told_with_its_flow() -> Result<()> {
    let switch = Reference::start_ours()?;
    let port = listen(&switch)?;
    switch.add_dummy_port("p1", 1)?;
    switch.add_dummy_port("p2", 2)?;
    switch.ofctl(&["del-flows", BRIDGE])?;
    // It forks each time: what comes back too often ends, the rest is traced on.
    switch.add_flows(BRIDGE, "ip,actions=2,ct(table=1)\ntable=1,ip,actions=ct(table=0)\n")?;
    let told = |most: u32| format!("over {most} recirculations");
    let text = switch.trace(BRIDGE, "in_port=1,udp")?;
    ensure!(text.matches("recirc(").count() == 9 + 9 && text.contains(&told(8)), "{text}");
    switch.vsctl(&["set", "Open_vSwitch", ".", "other_config:recirculation-limit=3"])?;
    let text = switch.trace(BRIDGE, "in_port=1,udp")?;
    ensure!(text.matches("recirc(").count() == 4 + 4 && text.contains(&told(3)), "{text}");

    let name = format!("dp_bridge_limit_hits{{bridge=\"{BRIDGE}\",limit=\"recirculations\"}}");
    let before = patience::wait(LIMIT, || sample(port, &name)).context("no metrics")?;
    let packet = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),\
                  ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";
    for _ in 0..5 {
        switch.receive("p1", packet)?;
    }
    let hits = patience::wait(LIMIT, || sample(port, &name).filter(|hits| *hits >= before + 5));
    ensure!(hits == Some(before + 5), "{before} before, then {hits:?}");
    let drops = switch.appctl(&["coverage/read-counter", "datapath_drop_recirc_error"])?;
    ensure!(drops.trim() == "5", "{drops}");
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    let said: Vec<_> = log.lines().filter(|line| line.contains(&told(3))).collect();
    ensure!(said.len() == 1 && said[0].contains("dst=10.0.0.2"), "{said:?}");
    // What makes no sense is said, and the usual bound holds.
    switch.vsctl(&["set", "Open_vSwitch", ".", "other_config:recirculation-limit=0"])?;
    ensure!(switch.trace(BRIDGE, "in_port=1,udp")?.contains(&told(8)));
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
