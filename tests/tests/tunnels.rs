//! Tunnels as their users see them: the daemon beside the reference on the same commands and
//! packets, and between hosts with the kernel's own VXLAN at the other end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference, Setup};

/// Tunnels that both switches have.
const TUNNELS: &[(&str, &str)] = &[
    ("vx", "type=vxlan options:remote_ip=1.1.2.92 options:key=123"),
    ("vx6", "type=vxlan options:remote_ip=2001:cafe::92 options:key=flow options:dst_port=4792"),
    ("gn", "type=geneve options:remote_ip=1.1.2.92 options:key=0x7b options:csum=true"),
    (
        "gn6",
        "type=geneve options:remote_ip=2001:cafe::92 options:key=flow options:tos=inherit \
         options:ttl=inherit options:dst_port=6082",
    ),
    ("gre", "type=gre options:remote_ip=1.1.2.92"),
    ("grek", "type=gre options:remote_ip=1.1.2.92 options:key=5 options:csum=true"),
    ("gre3", "type=gre options:remote_ip=1.1.2.92 options:packet_type=legacy_l3 options:key=9"),
    ("gre6", "type=ip6gre options:remote_ip=2001:cafe::92 options:key=5"),
    (
        "e1",
        "type=erspan options:remote_ip=1.1.2.92 options:key=1 options:erspan_ver=1 \
         options:erspan_idx=3",
    ),
    ("gt", "type=gtpu options:remote_ip=1.1.2.92 options:key=0x55"),
    ("far", "type=vxlan options:remote_ip=9.9.9.9 options:key=1 options:dst_port=4801"),
    ("new", "type=vxlan options:remote_ip=1.1.2.93 options:key=1 options:dst_port=4802"),
];

/// A switch with the bridge `under`, which has addresses, and tunnels in the bridge above.
fn with_tunnels(switch: Reference) -> Result<Reference> {
    switch.add_dummy_port("v2", 1)?;
    let words = "add-br under -- set bridge under datapath_type=dummy fail_mode=secure \
                 other_config:hwaddr=aa:55:aa:55:00:00 -- add-port under p1 -- set Interface p1 \
                 type=dummy ofport_request=1";
    let pcap = format!("options:tx_pcap={}", switch.folder().join("p1-tx.pcap").display());
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.push(&pcap);
    switch.vsctl(&words)?;
    switch.add_flow("under", "in_port=LOCAL,actions=1")?;
    switch.add_flow("under", "in_port=1,actions=LOCAL")?;
    switch.appctl(&["netdev-dummy/ip4addr", "under", "1.1.2.88/24"])?;
    switch.appctl(&["netdev-dummy/ip6addr", "under", "2001:cafe::88/64"])?;
    // Older ones do not take a dummy device's network for a route by themselves.
    for network in ["1.1.2.92/24", "2001:cafe::92/64"] {
        switch.appctl(&["ovs/route/add", network, "under"])?;
    }
    for (number, (name, options)) in (11..).zip(TUNNELS) {
        let words = format!(
            "add-port {BRIDGE} {name} -- set Interface {name} ofport_request={number} {options}"
        );
        switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    }
    for address in ["1.1.2.92", "2001:cafe::92"] {
        switch.appctl(&["tnl/neigh/set", "under", address, "f8:bc:12:44:34:b6"])?;
    }
    Ok(switch)
}

fn sorted(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn tunnels_are_traced_and_listed_as_the_reference_does() -> Result<()> {
    let theirs = with_tunnels(Reference::start()?)?;
    let ours = with_tunnels(Reference::start_ours()?)?;
    let flow = "in_port=1,icmp,dl_src=aa:55:aa:66:00:01,dl_dst=aa:55:aa:66:00:02,\
                nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_tos=0x28,nw_ttl=61";
    for (number, (name, _)) in (11..).zip(TUNNELS) {
        let outcome = |switch: &Reference| -> Result<Vec<String>> {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.add_flow(BRIDGE, &format!("actions={number}"))?;
            let trace = switch.trace(BRIDGE, flow)?;
            let lines = trace.lines().filter(|line| {
                line.starts_with("Datapath actions") || line.starts_with("Megaflow")
            });
            Ok(lines.map(str::to_owned).collect())
        };
        assert_eq!(outcome(&ours)?, outcome(&theirs)?, "{name}");
    }
    for command in [&["tnl/ports/show"][..], &["tnl/neigh/show"]] {
        assert_eq!(sorted(&ours.appctl(command)?), sorted(&theirs.appctl(command)?), "{command:?}");
    }
    Ok(())
}

/// What does not depend on the flow's hash: everything but UDP's source port and checksum.
fn without_hash(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let l4 = if frame.get(12) == Some(&0x86) { 54 } else { 34 };
    let protocol = if l4 == 54 { 20 } else { 23 };
    if frame.get(protocol) == Some(&17) {
        for at in [l4, l4 + 1, l4 + 6, l4 + 7] {
            if let Some(byte) = frame.get_mut(at) {
                *byte = 0;
            }
        }
    }
    frame
}

#[test]
fn packets_enter_tunnels_as_the_references_do_and_come_back_as_they_were() -> Result<()> {
    let theirs = with_tunnels(Reference::start()?)?;
    let ours = with_tunnels(Reference::start_ours()?)?;
    let frame = samples::named("ipv4-udp").context("a sample")?;
    for (number, (name, _)) in (11..).zip(TUNNELS) {
        let sent = |switch: &Reference| -> Result<Vec<Vec<u8>>> {
            let before = switch.sent("p1")?.len();
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.add_flow(BRIDGE, &format!("in_port=1,actions={number}"))?;
            switch.appctl(&["revalidator/wait"])?;
            switch.receive_frame("v2", &frame)?;
            let frames = switch.sent("p1")?.split_off(before);
            Ok(frames.iter().map(|frame| without_hash(frame)).collect())
        };
        let (own, reference) = (sent(&ours)?, sent(&theirs)?);
        assert_eq!(own, reference, "{name}");
        // What came out of the tunnel goes back into the switch as its other end would send it.
        if matches!(*name, "vx" | "gn" | "gre" | "grek") {
            let before = ours.sent("v2")?.len();
            ours.add_flow(BRIDGE, &format!("in_port={number},actions=1"))?;
            let outer = own.first().context("it was sent")?;
            ours.receive_frame("p1", &turned_round(outer))?;
            let came = ours.sent("v2")?.split_off(before);
            assert_eq!(came, std::slice::from_ref(&frame), "{name}");
        }
    }
    Ok(())
}

/// An outer IPv4 frame as the other end would send it: ends swapped, no UDP checksum.
fn turned_round(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for (a, b, len) in [(0, 6, 6), (26, 30, 4)] {
        for at in 0..len {
            frame.swap(a + at, b + at);
        }
    }
    frame
}

/// A host with our switch: `br0` with `eth0` and the host's address, `br-int` above with a tunnel.
fn gateway(namespace: &Namespace, address: &str, tunnel: &str) -> Result<Reference> {
    let switch = Setup::within(namespace).daemon(testkit::daemon::built()?).start()?;
    let words = format!(
        "add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy eth0 -- \
         add-br br-int -- set bridge br-int datapath_type=netdev -- add-port br-int pod0 -- \
         add-port br-int tun0 -- set Interface tun0 {tunnel}"
    );
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    namespace.address("br-phy", address)?;
    namespace.ip(&["link", "set", "br-phy", "up"])?;
    Ok(switch)
}

/// Pings until an answer comes, for a bounded time: the first packets ask for neighbours.
fn reaches(from: &Namespace, to: &str, size: &str) -> Result<()> {
    let words = ["ping", "-c", "3", "-i", "0.2", "-W", "1", "-s", size, to];
    let mut last = String::new();
    for _ in 0..5 {
        match from.exec(&words) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    ensure!(false, "{to} is not reached: {last}");
    Ok(())
}

#[test]
fn the_kernels_vxlan_is_the_other_end() -> Result<()> {
    let (here, there, pod) =
        (Namespace::new("tun-gw")?, Namespace::new("tun-peer")?, Namespace::new("tun-pod")?);
    veth_pair((&here, "eth0"), (&there, "eth0"))?;
    veth_pair((&here, "pod0"), (&pod, "eth0"))?;
    pod.address("eth0", "10.9.0.1/24")?;
    pod.ip(&["link", "set", "eth0", "mtu", "1450"])?;
    there.address("eth0", "192.168.7.2/24")?;
    let words = "link add vx0 type vxlan id 7 dstport 4789 remote 192.168.7.1 local 192.168.7.2";
    there.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    there.address("vx0", "10.9.0.2/24")?;
    there.ip(&["link", "set", "vx0", "up"])?;
    let switch =
        gateway(&here, "192.168.7.1/24", "type=vxlan options:remote_ip=192.168.7.2 options:key=7")?;
    reaches(&pod, "10.9.0.2", "56").with_context(|| switch.log_tail())?;
    // As large as the path takes without fragments.
    reaches(&pod, "10.9.0.2", "1422").with_context(|| switch.log_tail())?;
    reaches(&there, "10.9.0.1", "56")?;
    let neighbours = switch.appctl(&["tnl/neigh/show"])?;
    assert!(neighbours.contains("192.168.7.2"), "{neighbours}");
    let status = switch.vsctl(&["get", "Interface", "tun0", "status"])?;
    assert!(status.contains("tunnel_egress_iface=br-phy"), "{status}");
    // The other end moves to another address, and the tunnel follows its configuration.
    there.ip(&["addr", "add", "192.168.7.3/24", "dev", "eth0"])?;
    there.ip(&["link", "del", "vx0"])?;
    let words = words.replace("local 192.168.7.2", "local 192.168.7.3");
    there.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    there.address("vx0", "10.9.0.2/24")?;
    there.ip(&["link", "set", "vx0", "up"])?;
    switch.vsctl(&["set", "Interface", "tun0", "options:remote_ip=192.168.7.3"])?;
    // The new device has another address than the old one.
    pod.ip(&["neigh", "flush", "all"])?;
    reaches(&pod, "10.9.0.2", "56").with_context(|| switch.log_tail())
}

#[test]
fn two_switches_carry_each_kind_of_tunnel() -> Result<()> {
    let hosts = [Namespace::new("tun-a")?, Namespace::new("tun-b")?];
    let pods = [Namespace::new("tun-pa")?, Namespace::new("tun-pb")?];
    veth_pair((&hosts[0], "eth0"), (&hosts[1], "eth0"))?;
    for (n, (host, pod)) in hosts.iter().zip(&pods).enumerate() {
        veth_pair((host, "pod0"), (pod, "eth0"))?;
        pod.address("eth0", &format!("10.9.0.{}/24", n + 1))?;
        pod.ip(&["link", "set", "eth0", "mtu", "1400"])?;
    }
    let tunnel = |n: u8| format!("type=geneve options:remote_ip=192.168.7.{n} options:key=7");
    let switches = [
        gateway(&hosts[0], "192.168.7.1/24", &tunnel(2))?,
        gateway(&hosts[1], "192.168.7.2/24", &tunnel(1))?,
    ];
    for kind in [
        "type=geneve options:csum=true",
        "type=vxlan options:csum=false",
        "type=gre options:csum=true",
        "type=erspan options:erspan_ver=1 options:erspan_idx=3 options:csum=false",
    ] {
        for (n, switch) in [2, 1].into_iter().zip(&switches) {
            let words =
                format!("set Interface tun0 {kind} options:remote_ip=192.168.7.{n} options:key=7");
            switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
        }
        reaches(&pods[0], "10.9.0.2", "1300")
            .with_context(|| format!("{kind}\n{}", switches[0].log_tail()))?;
    }
    Ok(())
}
