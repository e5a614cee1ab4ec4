//! The controller of most users on our switch: OVN's control plane puts into it what it puts into the
//! reference, without an error on either side, and the logical network that comes of it forwards,
//! filters, translates and answers octet for octet alike.
//!
//! One refused message makes `ovn-controller` begin again, for ever, so a network that has every
//! facility (`scripts/ovn.txt`) is the test of the whole protocol.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::ovn::Ovn;
use testkit::packets::{Arp, Icmp, Ipv4, Packet, tcp_flags};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

/// Ports of logical switches, and the outside.
const PORTS: &[&str] = &["lp1", "lp2", "lp3", "ext"];

/// A switch with its control plane.
struct Node {
    // Dropped in this order: the controller before its switch.
    ovn: Ovn,
    switch: Reference,
}

impl Node {
    fn start(switch: Reference) -> Result<Self> {
        switch.vsctl(&[
            "add-br",
            "br-ex",
            "--",
            "set",
            "Bridge",
            "br-ex",
            "datapath_type=dummy",
        ])?;
        switch.vsctl(&[
            "set",
            "Open_vSwitch",
            ".",
            "external_ids:ovn-bridge-mappings=phys:br-ex",
        ])?;
        let capture = format!("options:tx_pcap={}", switch.folder().join("ext-tx.pcap").display());
        switch.add_port("br-ex", "ext", "dummy", 1, &[&capture])?;
        for n in 1..=3 {
            let name = format!("lp{n}");
            switch.add_dummy_port(&name, 10 + n)?;
            switch.vsctl(&["set", "Interface", &name, &format!("external_ids:iface-id={name}")])?;
        }
        let ovn = Ovn::start(&switch, include_str!("../scripts/ovn.txt"))?;
        ovn.sync()?;
        Ok(Self { ovn, switch })
    }

    /// Its flows and groups without what OVN picks at random, sorted.
    fn flows(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for dump in ["dump-flows", "dump-groups", "dump-meters", "dump-tlv-map"] {
            let text = self.switch.ofctl(&["-OOpenFlow15", dump, BRIDGE])?;
            all.extend(text.lines().filter(|line| !line.contains("xid=")).map(settle));
        }
        all.sort();
        Ok(all)
    }

    /// Complaints in the logs of both sides.
    fn complaints(&self) -> Result<Vec<String>> {
        let own = std::fs::read_to_string(self.switch.folder().join("ovs-vswitchd.log"))?;
        let theirs = self.ovn.log();
        let bad = |line: &&str| {
            ["|WARN|", "|ERR|", "|EMER|", "OpenFlow error", "disconnecting"]
                .iter()
                .any(|word| line.contains(word))
                // The machine has no smart network card, and may be slow.
                && !["vif_plug_provider", "Unreasonably long", "poll_loop"]
                    .iter()
                    .any(|word| line.contains(word))
        };
        Ok(own.lines().chain(theirs.lines()).filter(bad).map(str::to_owned).collect())
    }

    /// How often the controller has made connections to the switch.
    fn connections(&self) -> usize {
        let made = format!("{BRIDGE}.mgmt: connected");
        self.ovn.log().lines().filter(|line| line.contains(&made)).count()
    }
}

/// A line without statistics, and without what OVN takes in whatever order its tables give: numbers
/// of zones, groups, conjunctions and recirculations, the order of a group of ports.
fn settle(line: &str) -> String {
    let mut out = Vec::new();
    let mut before = "";
    for word in line.split_inclusive([',', ' ', '(', ')']) {
        let bare = word.trim_end_matches([',', ' ', ')']);
        let counted = COUNTED.iter().any(|start| word.starts_with(start));
        let name = NUMBERED.iter().find(|name| word.contains(**name));
        let register = ["->reg11", "->reg12", "->reg13"].iter().find(|it| bare.ends_with(**it));
        match (name, register) {
            _ if counted
                || before.ends_with("conjunction(")
                || before.ends_with("meter(")
                || before.ends_with("recirc(")
                || before == "cookie " => {}
            (Some(name), _) => out.push(*name),
            (None, Some(register)) => out.push(*register),
            (None, None) => out.push(word),
        }
        before = word;
    }
    if line.contains("reg15=0x800") {
        out.sort_unstable();
    }
    out.concat()
}

/// What is left out.
const COUNTED: &[&str] = &["duration=", "idle_age=", "n_packets=", "n_bytes=", "cookie"];
/// What has a number that is left out.
const NUMBERED: &[&str] = &[
    "group:",
    "group_id=",
    "conj_id=",
    "zone=",
    "meter=",
    "meter:",
    "meter_id=",
    "recirc_id=",
    "rule_cookie=",
    "reg8=",
    "reg11=",
    "reg12=",
    "reg13=",
];

/// What differs between two sorted lists.
fn difference(theirs: &[String], ours: &[String]) -> String {
    let only = |a: &[String], b: &[String]| {
        a.iter().filter(|it| !b.contains(it)).cloned().collect::<Vec<_>>().join("\n")
    };
    format!("--- reference\n{}\n--- ours\n{}", only(theirs, ours), only(ours, theirs))
}

/// How long changes may take to arrive.
const LIMIT: Duration = Duration::from_secs(20);

/// Flows that are traced, and what `ct` finds at each recirculation.
const TRACES: &[(&str, &[&str])] = &[
    (
        "in_port=11,dl_src=02:00:00:00:00:11,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_spa=10.0.0.11,arp_tpa=10.0.0.1,arp_sha=02:00:00:00:00:11",
        &[],
    ),
    (
        "in_port=11,dl_src=02:00:00:00:00:11,dl_dst=02:00:00:00:00:12,tcp,nw_src=10.0.0.11,nw_dst=10.0.0.12,nw_ttl=64,tp_src=1000,tp_dst=22,tcp_flags=syn",
        &["trk,new", "trk,new"],
    ),
    (
        "in_port=11,dl_src=02:00:00:00:00:11,dl_dst=02:00:00:00:00:12,tcp,nw_src=10.0.0.11,nw_dst=10.0.0.12,nw_ttl=64,tp_src=1000,tp_dst=150,tcp_flags=ack",
        &["trk,est", "trk,est"],
    ),
    (
        "in_port=11,dl_src=02:00:00:00:00:11,dl_dst=02:00:00:00:00:12,tcp,nw_src=10.0.0.11,nw_dst=10.0.0.12,nw_ttl=64,tp_src=1000,tp_dst=25,tcp_flags=syn",
        &["trk,new", "trk,new"],
    ),
    (
        "in_port=11,dl_src=02:00:00:00:00:99,dl_dst=02:00:00:00:00:12,tcp,nw_src=10.0.0.11,nw_dst=10.0.0.12,nw_ttl=64,tp_src=1000,tp_dst=22",
        &[],
    ),
    (
        "in_port=11,dl_src=02:00:00:00:00:11,dl_dst=02:00:00:00:01:00,icmp,nw_src=10.0.0.11,nw_dst=10.0.1.13,nw_ttl=64,icmp_type=8",
        &["trk,new", "trk,new", "trk,new"],
    ),
    (
        "in_port=11,dl_src=02:00:00:00:00:11,dl_dst=02:00:00:00:01:00,icmp,nw_src=10.0.0.11,nw_dst=8.8.8.8,nw_ttl=64,icmp_type=8",
        &["trk,new", "trk,new", "trk,new"],
    ),
    (
        "in_port=12,dl_src=02:00:00:00:00:12,dl_dst=02:00:00:00:01:00,tcp,nw_src=10.0.0.12,nw_dst=10.96.0.1,nw_ttl=64,tp_src=5000,tp_dst=80,tcp_flags=syn",
        &["trk,new", "trk,new", "trk,new"],
    ),
    (
        "in_port=13,dl_src=02:00:00:00:00:13,dl_dst=02:00:00:00:01:01,tcp,nw_src=10.0.1.13,nw_dst=10.96.0.1,nw_ttl=64,tp_src=5000,tp_dst=80,tcp_flags=syn",
        &["trk,new", "trk,new", "trk,new"],
    ),
    (
        "in_port=12,dl_src=02:00:00:00:00:12,dl_dst=02:00:00:00:01:00,udp6,ipv6_src=fd00::12,ipv6_dst=fd00::1,nw_ttl=64,udp_src=1,udp_dst=53",
        &["trk,new"],
    ),
];

/// A trace without what [`settle`] leaves out; the order of rules in a table is told by their
/// priority.
fn traced(switch: &Reference, flow: &str, found: &[&str]) -> Result<String> {
    let mut words = vec!["ofproto/trace", BRIDGE, flow];
    words.extend(found.iter().flat_map(|state| ["--ct-next", *state]));
    let text = switch.appctl(&words)?;
    // The reference rewrites ARP in its slow path, ours in the datapath; newer references name the
    // clauses that made a conjunction, as ours does.
    let own = ["This flow is handled by the userspace", "  - Uses action(s) not supported"];
    let left_out = |line: &&str| {
        own.iter().any(|start| line.starts_with(start))
            || line.contains(" -> conj. ")
            // Which bits tell that no rule of a kind applies is the look-up's choice.
            || line.starts_with("Megaflow: ") && line.contains("ipv6")
    };
    let lines = text.lines().filter(|line| !left_out(line));
    Ok(lines.map(settle).collect::<Vec<_>>().join("\n"))
}

/// A packet into a port: what it is about, where it enters, its octets.
fn packets() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (lp1, lp2, lp3) = ("02:00:00:00:00:11", "02:00:00:00:00:12", "02:00:00:00:00:13");
    let (router, router1, outside) =
        ("02:00:00:00:01:00", "02:00:00:00:01:01", "02:00:00:00:01:02");
    let far = "02:00:00:00:09:09";
    let syn = tcp_flags::SYN;
    let answer = syn | tcp_flags::ACK;
    let ping = |from, to, src: &str, dst: &str| {
        Packet::ethernet(from, to).ipv4(src, dst).layer(Icmp::echo_request(7, 1)).payload([7; 32])
    };
    let tcp = |from, to, src: &str, dst: &str, ports: (u16, u16), flags| {
        Packet::ethernet(from, to).ipv4(src, dst).tcp(ports.0, ports.1, flags).build()
    };
    let mut dhcp = vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78];
    dhcp.resize(28, 0);
    dhcp.extend([2, 0, 0, 0, 0, 0x11]);
    dhcp.resize(236, 0);
    dhcp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 3, 1, 3, 51, 255]);
    let discover = Packet::ethernet(lp1, "ff:ff:ff:ff:ff:ff")
        .ipv4("0.0.0.0", "255.255.255.255")
        .udp(68, 67)
        .payload(&dhcp);
    let question = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01";
    let lookup = Packet::ethernet(lp1, router).ipv4("10.0.0.11", "10.0.0.1").udp(999, 53);
    let old = Packet::ethernet(lp2, router)
        .layer(Ipv4 { ttl: 1, ..Ipv4::new("10.0.0.12", "10.0.1.13") })
        .udp(5, 6);
    let arp = |from: &str, src: &str, dst: &str| {
        let request = Arp::request(from, src, dst);
        Packet::ethernet(from, "ff:ff:ff:ff:ff:ff").layer(request).build()
    };
    let far_reply = Arp::reply(far, "172.16.0.254", outside, "172.16.0.1");
    vec![
        ("the router is asked for", "lp1", arp(lp1, "10.0.0.11", "10.0.0.1")),
        ("a stranger's address is refused", "lp1", arp(far, "10.0.0.99", "10.0.0.1")),
        ("an address is asked for", "lp1", discover.build()),
        ("a name is asked for", "lp1", lookup.payload(question).build()),
        ("the router is pinged", "lp1", ping(lp1, router, "10.0.0.11", "10.0.0.1").build()),
        ("a service is open", "lp1", tcp(lp1, lp2, "10.0.0.11", "10.0.0.12", (1000, 22), syn)),
        ("and answers", "lp2", tcp(lp2, lp1, "10.0.0.12", "10.0.0.11", (22, 1000), answer)),
        ("another is closed", "lp1", tcp(lp1, lp2, "10.0.0.11", "10.0.0.12", (1000, 25), syn)),
        (
            "a third is refused",
            "lp1",
            Packet::ethernet(lp1, lp2)
                .ipv4("10.0.0.11", "10.0.0.12")
                .udp(1, 9)
                .payload(b"hello")
                .build(),
        ),
        ("over the router", "lp1", ping(lp1, router, "10.0.0.11", "10.0.1.13").build()),
        (
            "and back",
            "lp3",
            Packet::ethernet(lp3, router1)
                .ipv4("10.0.1.13", "10.0.0.11")
                .layer(Icmp::echo_reply(7, 1))
                .payload([7; 32])
                .build(),
        ),
        ("the way is too long", "lp2", old.payload([1; 20]).build()),
        (
            "balanced within the switch",
            "lp1",
            tcp(lp1, router, "10.0.0.11", "10.96.0.1", (2000, 80), syn),
        ),
        (
            "balanced by the router",
            "lp3",
            tcp(lp3, router1, "10.0.1.13", "10.96.0.1", (2001, 80), syn),
        ),
        (
            "to the world, whose gateway is asked for",
            "lp1",
            ping(lp1, router, "10.0.0.11", "8.8.8.8").build(),
        ),
        ("the gateway is there", "ext", Packet::ethernet(far, outside).layer(far_reply).build()),
        ("to the world again", "lp1", ping(lp1, router, "10.0.0.11", "8.8.8.8").build()),
        (
            "the world answers",
            "ext",
            Packet::ethernet(far, outside)
                .ipv4("8.8.8.8", "172.16.0.1")
                .layer(Icmp::echo_reply(7, 1))
                .payload([7; 32])
                .build(),
        ),
        ("the world calls", "ext", tcp(far, outside, "8.8.8.8", "172.16.0.12", (3000, 22), syn)),
        ("and is answered", "lp2", tcp(lp2, router, "10.0.0.12", "8.8.8.8", (22, 3000), answer)),
        (
            "too large for the way",
            "lp3",
            ping(lp3, router1, "10.0.1.13", "8.8.8.8").payload([0; 1450]).build(),
        ),
    ]
}

/// A port, and the frames that it has sent.
type Sent = (&'static str, BTreeSet<Vec<u8>>);

/// The frames that each port has sent, but for what OVN announces by itself, each once.
fn sent(switch: &Reference) -> Result<Vec<Sent>> {
    let mut all = Vec::new();
    for &port in PORTS {
        let frames = switch.sent(port)?.into_iter().filter(|frame| !is_announcement(frame));
        all.push((port, frames.collect()));
    }
    Ok(all)
}

/// Gratuitous ARP, and what IPv6 routers say unasked.
fn is_announcement(frame: &[u8]) -> bool {
    let arp = frame.get(12..14) == Some(&[0x08, 0x06]);
    arp && frame.get(28..32) == frame.get(38..42) || frame.get(12..14) == Some(&[0x86, 0xdd])
}

/// Gives both switches the same packets, one by one, and compares all that leaves.
fn forward(theirs: &Node, ours: &Node) -> Result<String> {
    let mut report = String::new();
    let mut before = sent(&theirs.switch)?;
    for (what, port, frame) in packets() {
        for node in [theirs, ours] {
            node.switch.receive_frame(port, &frame)?;
            node.ovn.sync()?;
        }
        // What the controller answers comes later, and some packets nobody answers.
        let limit = Duration::from_millis(500);
        patience::wait(limit, || sent(&theirs.switch).ok().filter(|it| *it != before));
        let same = patience::wait(LIMIT, || {
            let expected = sent(&theirs.switch).ok()?;
            (sent(&ours.switch).ok()? == expected).then_some(expected)
        });
        let Some(same) = same else {
            writeln!(report, "{what}:")?;
            let both = sent(&theirs.switch)?.into_iter().zip(sent(&ours.switch)?);
            for ((port, expected), (_, found)) in both {
                for frame in expected.difference(&found) {
                    writeln!(report, "  {port} of the reference alone sent {frame:02x?}")?;
                }
                for frame in found.difference(&expected) {
                    writeln!(report, "  {port} of ours alone sent {frame:02x?}")?;
                }
            }
            return Ok(report);
        };
        before = same;
    }
    let total: usize = before.iter().map(|(_, frames)| frames.len()).sum();
    ensure!(total >= 15, "only {total} frames left the switches");
    Ok(report)
}

#[test]
fn ovn_finds_in_our_switch_what_it_finds_in_the_reference() -> Result<()> {
    let theirs = Node::start(Reference::start()?)?;
    let ours = Node::start(Reference::start_ours()?)?;

    // The way out comes last: OVN makes its patch port when it has seen the rest.
    let whole = |flows: &[String]| {
        flows.iter().any(|it| it.contains("table=65,") && it.contains("reg15=0x4,metadata=0x4"))
    };
    let expected = patience::wait(LIMIT, || theirs.flows().ok().filter(|it| whole(it)));
    let expected = expected.context("the reference has no way out")?;
    ensure!(expected.len() > 800, "only {} flows", expected.len());
    let same = patience::wait(LIMIT, || ours.flows().ok().filter(|it| *it == expected));
    let found = same.map_or_else(|| ours.flows(), Ok)?;
    ensure!(expected == found, "{}", difference(&expected, &found));

    let mut report = String::new();
    for (flow, states) in TRACES {
        let [theirs, ours] = [&theirs, &ours].map(|node| traced(&node.switch, flow, states));
        let (theirs, ours) = (theirs?, ours?);
        if theirs != ours {
            let list = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
            writeln!(report, "{flow}\n{}", difference(&list(&theirs), &list(&ours)))?;
        }
    }
    ensure!(report.is_empty(), "{report}");

    let report = forward(&theirs, &ours)?;
    ensure!(report.is_empty(), "{report}");

    ensure!(ours.complaints()?.is_empty(), "{}", ours.complaints()?.join("\n"));
    ensure!(ours.connections() == theirs.connections(), "{} connections", ours.connections());
    Ok(())
}
