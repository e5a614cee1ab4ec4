//! Output to the switch's routes: a port of the type `routed`, named by flows as any other.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dp_core::base::DropReason;
use testkit::packets::{Ipv4, Ipv6, Packet};
use testkit::reference::{BRIDGE, Reference};

/// Frames that have left by a port, without ARP.
fn packets(switch: &Reference, port: &str) -> Result<Vec<Vec<u8>>> {
    let frames = switch.sent(port)?;
    Ok(frames.into_iter().filter(|frame| frame.get(12..14) != Some(&[0x08, 0x06])).collect())
}

/// Two bridges underneath, a network and an own port of each, and a routed port above.
fn router() -> Result<Reference> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("v1", 1)?;
    for (bridge, port, mac) in [("left", "l1", "01"), ("right", "r1", "02")] {
        let pcap = switch.folder().join(format!("{port}-tx.pcap"));
        let words = format!(
            "add-br {bridge} -- set bridge {bridge} datapath_type=dummy fail_mode=secure \
             other_config:hwaddr=aa:55:aa:55:00:{mac} -- add-port {bridge} {port} \
             -- set Interface {port} type=dummy ofport_request=1 options:tx_pcap={}",
            pcap.display()
        );
        switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
        switch.add_flow(bridge, "in_port=LOCAL,actions=1")?;
        switch.add_flow(bridge, "in_port=1,actions=LOCAL")?;
    }
    let words = format!("add-port {BRIDGE} rt -- set Interface rt type=routed ofport_request=9");
    switch.vsctl(&words.split(' ').collect::<Vec<_>>())?;
    switch.add_flow(BRIDGE, "in_port=1,actions=output:rt")?;
    switch.appctl(&["netdev-dummy/ip4addr", "left", "10.1.0.1/16"])?;
    switch.appctl(&["netdev-dummy/ip4addr", "right", "10.2.0.1/16"])?;
    switch.time_stop()?;
    Ok(switch)
}

/// A neighbour answers.
fn answer(switch: &Reference, port: &str, number: u8, ip: &str, own: &str) -> Result<()> {
    let reply = format!(
        "in_port(1),eth(src=f8:bc:12:44:34:0{number},dst=aa:55:aa:55:00:0{number}),\
         eth_type(0x0806),arp(sip={ip},tip={own},op=2,sha=f8:bc:12:44:34:0{number},\
         tha=aa:55:aa:55:00:0{number})"
    );
    switch.receive(port, &reply)?;
    switch.time_warp(Duration::from_millis(100), None)?;
    Ok(())
}

/// A packet with this destination and time to live.
fn packet(destination: &str, ttl: u8) -> Vec<u8> {
    let ip = Ipv4 { ttl, ..Ipv4::new("192.168.0.5", destination) };
    Packet::ethernet("02:00:00:00:00:08", "02:00:00:00:00:09").layer(ip).udp(1000, 2000).build()
}

#[test]
fn packets_are_forwarded_as_a_router_does_it() -> Result<()> {
    let switch = router()?;
    let port = switch.ofctl(&["-OOpenFlow15", "dump-ports-desc", BRIDGE, "rt"])?;
    ensure!(port.contains("9(rt)"), "{port}");
    // The neighbour is asked first; the packet waits for the answer.
    let sent = packet("10.1.0.77", 64);
    switch.receive_frame("v1", &sent)?;
    ensure!(switch.sent("l1")?.len() == 1 && packets(&switch, "l1")?.is_empty());
    answer(&switch, "l1", 1, "10.1.0.77", "10.1.0.1")?;
    let came = packets(&switch, "l1")?.pop().context("it has left")?;
    assert_eq!(came[..6], [0xf8, 0xbc, 0x12, 0x44, 0x34, 1]);
    assert_eq!(came[6..12], [0xaa, 0x55, 0xaa, 0x55, 0, 1]);
    assert_eq!(came[22], 63, "one hop less to live");
    assert_eq!((&came[12..22], &came[26..]), (&sent[12..22], &sent[26..]));
    // What is for others goes by the gateway of its route, by the packet's mark and source too.
    switch.appctl(&["ovs/route/add", "172.16.0.0/12", "right", "10.2.0.254"])?;
    switch.receive_frame("v1", &packet("172.16.5.5", 10))?;
    answer(&switch, "r1", 2, "10.2.0.254", "10.2.0.1")?;
    let came = packets(&switch, "r1")?.pop().context("it has left")?;
    assert_eq!((came[5], came[22]), (2, 9));
    // Routes that change change where packets go that have flowed before.
    switch.appctl(&["ovs/route/add", "172.16.5.0/24", "left", "10.1.0.77"])?;
    switch.time_warp(Duration::from_millis(1000), Some(Duration::from_millis(500)))?;
    switch.receive_frame("v1", &packet("172.16.5.5", 10))?;
    ensure!(packets(&switch, "l1")?.len() == 2 && packets(&switch, "r1")?.len() == 1);
    // A trace says where it goes.
    let text = switch.trace(BRIDGE, "in_port=1,udp,nw_dst=172.16.5.5,nw_ttl=9")?;
    ensure!(text.contains("routing to 10.1.0.77 via left"), "{text}");
    ensure!(text.contains("set(ipv4(ttl=8))"), "{text}");
    Ok(())
}

/// An IPv6 packet with this destination and hop limit.
fn six(destination: &str, hop_limit: u8) -> Vec<u8> {
    let ip = Ipv6 { hop_limit, ..Ipv6::new("fd08::5", destination) };
    Packet::ethernet("02:00:00:00:00:08", "02:00:00:00:00:09").layer(ip).udp(1000, 2000).build()
}

#[test]
fn packets_of_ipv6_are_forwarded_as_a_router_does_it() -> Result<()> {
    let switch = router()?;
    switch.appctl(&["netdev-dummy/ip6addr", "left", "fd01::1/64"])?;
    switch.appctl(&["netdev-dummy/ip6addr", "right", "fd02::1/64"])?;
    let routed = |port: &str| -> Result<Vec<Vec<u8>>> {
        // Neighbour discovery is no packet of ours.
        let mut frames = packets(&switch, port)?;
        frames.retain(|frame| frame.get(20) == Some(&17));
        Ok(frames)
    };
    let answers = |port: &str, number: u8, neighbour: &str, own: &str| -> Result<()> {
        let mac = [0xf8, 0xbc, 0x12, 0x44, 0x34, number].into();
        let asker = ([0xaa, 0x55, 0xaa, 0x55, 0, number].into(), own.parse()?);
        let frame = dp_ofproto::tunnel::ask::answer(mac, neighbour.parse()?, asker);
        switch.receive_frame(port, &frame.context("one family")?)?;
        switch.time_warp(Duration::from_millis(100), None)?;
        Ok(())
    };
    // The neighbour is asked first; the packet waits for the answer.
    let sent = six("fd01::77", 64);
    switch.receive_frame("v1", &sent)?;
    let asked = switch.sent("l1")?;
    ensure!(asked.len() == 1 && asked[0].get(54) == Some(&135), "{asked:02x?}");
    ensure!(routed("l1")?.is_empty());
    answers("l1", 1, "fd01::77", "fd01::1")?;
    let came = routed("l1")?.pop().context("it has left")?;
    assert_eq!(came[..6], [0xf8, 0xbc, 0x12, 0x44, 0x34, 1]);
    assert_eq!(came[6..12], [0xaa, 0x55, 0xaa, 0x55, 0, 1]);
    assert_eq!(came[21], 63, "one hop less to live");
    assert_eq!((&came[12..21], &came[22..]), (&sent[12..21], &sent[22..]));
    // By the gateway of a route, and by another one's when that changes.
    switch.appctl(&["ovs/route/add", "fd09::/16", "right", "fd02::fe"])?;
    switch.receive_frame("v1", &six("fd09::5", 10))?;
    answers("r1", 2, "fd02::fe", "fd02::1")?;
    let came = routed("r1")?.pop().context("it has left")?;
    assert_eq!((came[5], came[21]), (2, 9));
    switch.appctl(&["ovs/route/add", "fd09::/32", "left", "fd01::77"])?;
    switch.time_warp(Duration::from_millis(1000), Some(Duration::from_millis(500)))?;
    switch.receive_frame("v1", &six("fd09::5", 10))?;
    ensure!(routed("l1")?.len() == 2 && routed("r1")?.len() == 1);
    let text = switch.trace(BRIDGE, "in_port=1,udp6,ipv6_dst=fd09::5,nw_ttl=9")?;
    ensure!(text.contains("routing to fd01::77 via left"), "{text}");
    ensure!(text.contains("set(ipv6(hlimit=8))"), "{text}");
    Ok(())
}

/// How many packets were dropped for this.
fn dropped(switch: &Reference, reason: DropReason) -> Result<u64> {
    let text = switch.appctl(&["coverage/read-counter", reason.name()])?;
    Ok(text.trim().parse()?)
}

#[test]
fn what_cannot_be_forwarded_is_dropped_and_says_why() -> Result<()> {
    let switch = router()?;
    let says = |flow: &str, what: &str| -> Result<()> {
        let text = switch.trace(BRIDGE, &format!("in_port=1,{flow}"))?;
        ensure!(text.contains(what), "{what:?} is not in\n{text}");
        Ok(())
    };
    says("arp", "only IP packets are routed")?;
    says("udp,nw_dst=9.9.9.9,nw_ttl=9", "no route to 9.9.9.9")?;
    says("udp,nw_dst=10.1.0.7,nw_ttl=9", "neighbor cache miss for 10.1.0.7 on bridge left")?;
    switch.appctl(&["tnl/arp/set", "left", "10.1.0.7", "f8:bc:12:44:34:07"])?;
    says("udp,nw_dst=10.1.0.7,nw_ttl=1", "its time to live is over")?;
    let mut not_ip = packet("10.1.0.7", 9);
    not_ip.splice(12..14, [0x88, 0xb5]);
    for (reason, frame) in [
        (DropReason::RoutedNotIp, not_ip),
        (DropReason::RoutedTtlExpired, packet("10.1.0.7", 1)),
        (DropReason::TunnelRoutingFailed, packet("9.9.9.9", 9)),
        (DropReason::RoutedTtlExpired, six("fd01::7", 1)),
        (DropReason::TunnelRoutingFailed, six("fd99::9", 9)),
    ] {
        if frame.get(12) == Some(&0x86) {
            switch.appctl(&["netdev-dummy/ip6addr", "left", "fd01::1/64"])?;
            switch.appctl(&["tnl/neigh/set", "left", "fd01::7", "f8:bc:12:44:34:07"])?;
        }
        let before = dropped(&switch, reason)?;
        switch.receive_frame("v1", &frame)?;
        assert_eq!(dropped(&switch, reason)?, before + 1, "{}", reason.name());
    }
    // What is for the host itself goes to its own port, as it is but for the address.
    says("udp,nw_dst=10.2.0.1,nw_ttl=1", "routing to 10.2.0.1 via right")?;
    // There is nothing to be set of such a port.
    let words = format!("add-port {BRIDGE} bad -- set Interface bad type=routed options:key=1");
    switch.vsctl(&words.split(' ').collect::<Vec<_>>())?;
    let error = switch.vsctl(&["get", "Interface", "bad", "error"])?;
    ensure!(error.contains("has no options, and no 'key'"), "{error}");
    Ok(())
}

#[test]
fn the_operator_chooses_where_routes_by_source_stand() -> Result<()> {
    let switch = router()?;
    for words in [
        "0.0.0.0/0 left 10.1.0.254",
        "172.16.0.0/12 left 10.1.0.252",
        "192.168.0.5/32 right 10.2.0.254 policy=src-ip",
        "192.168.0.0/16 right 10.2.0.253 policy=src-ip",
        "10.2.0.1/32 right 10.2.0.254 policy=src-ip",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        switch.appctl(&[&["ovs/route/add"][..], &words].concat())?;
    }
    let words = format!(
        "add-port {BRIDGE} vx -- set Interface vx type=vxlan ofport_request=11 options:key=7 \
         options:remote_ip=172.16.9.9 options:local_ip=10.2.0.1"
    );
    switch.vsctl(&words.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())?;
    switch.add_flow(BRIDGE, "in_port=1,udp,tp_dst=7,priority=40000,actions=output:vx")?;
    for (device, router) in [
        ("left", "10.1.0.252"),
        ("left", "10.1.0.254"),
        ("right", "10.2.0.253"),
        ("right", "10.2.0.254"),
    ] {
        switch.appctl(&["tnl/arp/set", device, router, "f8:bc:12:44:34:07"])?;
    }
    let says = |flow: &str, what: &str| -> Result<()> {
        let text = switch.trace(BRIDGE, &format!("in_port=1,udp,nw_ttl=9,{flow}"))?;
        ensure!(text.contains(what), "{flow}: {what:?} is not in\n{text}");
        Ok(())
    };
    // As the reference ranks, by length: whoever has a source route goes by it.
    says("nw_src=192.168.0.5,nw_dst=172.16.5.5", "10.2.0.254 via right")?;
    says("nw_src=192.168.0.6,nw_dst=9.9.9.9", "10.2.0.253 via right")?;
    says("udp_dst=7,nw_src=192.168.0.6", " via right")?;
    let order = |value: &str| {
        let setting = format!("other_config:route-order={value}");
        switch.vsctl(&["set", "Open_vSwitch", ".", &setting])
    };
    // A host's source route before a static default, and before nothing else.
    order("destination-first")?;
    says("nw_src=192.168.0.5,nw_dst=9.9.9.9", "10.2.0.254 via right")?;
    says("nw_src=192.168.0.5,nw_dst=172.16.5.5", "10.1.0.252 via left")?;
    says("nw_src=192.168.0.6,nw_dst=9.9.9.9", "10.1.0.254 via left")?;
    says("udp_dst=7,nw_src=192.168.0.6", " via left")?;
    let why = switch.appctl(&["ovs/route/explain", "9.9.9.9", "src=10.2.0.1"])?;
    ensure!(why.starts_with("order: destination-first\n"), "{why}");
    ensure!(why.contains("taken: from 10.2.0.1/32 static rank 5, by right"), "{why}");
    let passed = "passed over: to 0.0.0.0/0 static rank 4: rank 4 is below 5";
    ensure!(why.contains(passed), "{why}");
    // What is no order is told, and changes nothing but to what there is at start.
    order("sideways")?;
    ensure!(switch.log_tail().contains("neither prefix-length nor destination-first: sideways"));
    says("udp_dst=7,nw_src=192.168.0.6", " via right")?;
    Ok(())
}
