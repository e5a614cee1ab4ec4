//! The daemon beside the reference: traces, listings, bytes and statistics for each kind of tunnel
//! over both families.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
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
    ("gres", "type=gre options:remote_ip=1.1.2.92 options:key=77 options:seq=true"),
    ("grev6", "type=gre options:remote_ip=2001:cafe::92 options:key=78"),
    ("gre6", "type=ip6gre options:remote_ip=2001:cafe::92 options:key=5"),
    (
        "gre6s",
        "type=ip6gre options:remote_ip=2001:cafe::92 options:key=6 options:csum=true \
         options:seq=true",
    ),
    (
        "vxp",
        "type=vxlan options:remote_ip=1.1.2.92 options:key=1 options:exts=gpe \
         options:dst_port=4794 options:packet_type=ptap",
    ),
    (
        "vxp6",
        "type=vxlan options:remote_ip=2001:cafe::92 options:key=1 options:exts=gpe \
         options:dst_port=4795 options:packet_type=legacy_l3",
    ),
    (
        "e1",
        "type=erspan options:remote_ip=1.1.2.92 options:key=1 options:erspan_ver=1 \
         options:erspan_idx=3",
    ),
    (
        "e2",
        "type=erspan options:remote_ip=1.1.2.92 options:key=2 options:erspan_ver=2 \
         options:erspan_dir=1 options:erspan_hwid=4",
    ),
    (
        "e16",
        "type=ip6erspan options:remote_ip=2001:cafe::92 options:key=1 options:erspan_ver=1 \
         options:erspan_idx=3",
    ),
    (
        "e26",
        "type=ip6erspan options:remote_ip=2001:cafe::92 options:key=2 options:erspan_ver=2 \
         options:erspan_dir=1 options:erspan_hwid=4",
    ),
    ("gt", "type=gtpu options:remote_ip=1.1.2.92 options:key=0x55"),
    ("gt6", "type=gtpu options:remote_ip=2001:cafe::92 options:key=0x56 options:dst_port=2153"),
    ("stt", "type=stt options:remote_ip=1.1.2.92"),
    ("lisp", "type=lisp options:remote_ip=1.1.2.92"),
    ("far", "type=vxlan options:remote_ip=9.9.9.9 options:key=1 options:dst_port=4801"),
    ("new", "type=vxlan options:remote_ip=1.1.2.93 options:key=1 options:dst_port=4802"),
];

/// A switch with the bridge `under`, which has addresses.
pub(crate) fn with_underlay(switch: Reference) -> Result<Reference> {
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
    Ok(switch)
}

/// A switch with tunnels in the bridge above.
fn with_tunnels(switch: Reference) -> Result<Reference> {
    let switch = with_underlay(switch)?;
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

/// What does not depend on the flow's hash or on the time: everything but UDP's source port and
/// checksum.
pub(crate) fn without_hash(frame: &[u8]) -> Vec<u8> {
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
    // The time in ERSPAN's second version.
    if frame.get(protocol) == Some(&47)
        && frame.get(l4 + 2..l4 + 4) == Some(&[0x22, 0xeb])
        && let Some(stamp) = frame.get_mut(l4 + 12..l4 + 16)
    {
        stamp.fill(0);
    }
    frame
}

#[test]
fn packets_enter_tunnels_as_the_references_do_and_come_back_as_they_were() -> Result<()> {
    let switches = [with_tunnels(Reference::start()?)?, with_tunnels(Reference::start_ours()?)?];
    let frame = samples::named("ipv4-udp").context("a sample")?;
    // A source address for each tunnel: nothing has to be changed between them.
    let framed = |number: u8| {
        let mut frame = frame.clone();
        frame.splice(6..12, [2, 0, 0, 0, 0, number]);
        frame
    };
    for switch in &switches {
        let each = |(number, _)| {
            format!(
                "in_port=1,dl_src=02:00:00:00:00:{number:02x},actions={number}\n\
                 in_port={number},actions=1\n"
            )
        };
        switch.add_flows(BRIDGE, &(11_u8..).zip(TUNNELS).map(each).collect::<String>())?;
    }
    for (number, (name, _)) in (11_u8..).zip(TUNNELS) {
        let sent = |switch: &Reference| -> Result<Vec<Vec<u8>>> {
            let before = switch.sent("p1")?.len();
            switch.receive_frame("v2", &framed(number))?;
            let frames = switch.sent("p1")?.split_off(before);
            Ok(frames.iter().map(|frame| without_hash(frame)).collect())
        };
        let (reference, own) = (sent(&switches[0])?, sent(&switches[1])?);
        assert_eq!(own, reference, "{name}");
        // What came out of the tunnel goes back into the switch as its other end would send it.
        if matches!(*name, "vx" | "gn" | "gre" | "grek" | "gres" | "e1" | "e2") {
            let before = switches[1].sent("v2")?.len();
            let outer = own.first().context("it was sent")?;
            switches[1].receive_frame("p1", &turned_round(outer))?;
            let came = switches[1].sent("v2")?.split_off(before);
            assert_eq!(came, [framed(number)], "{name}");
        }
    }
    // And once more, by the megaflows that there are now.
    for switch in &switches {
        for (number, _) in (11_u8..).zip(TUNNELS) {
            switch.receive_frame("v2", &framed(number))?;
        }
        switch.appctl(&["revalidator/wait"])?;
    }
    for (number, (name, _)) in (11_u8..).zip(TUNNELS) {
        let counted = |switch: &Reference| -> Result<String> {
            let ports = switch.ofctl(&["dump-ports", BRIDGE, &number.to_string()])?;
            let line = ports.lines().find(|line| line.contains("tx pkts"));
            Ok(line.context("it is there")?.trim().to_owned())
        };
        assert_eq!(counted(&switches[1])?, counted(&switches[0])?, "{name}");
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

/// Commands about routes, neighbours and source ports, good ones and bad ones.
const COMMANDS: &[&str] = &[
    "ovs/route/add 10.1.0.0/16 under",
    "ovs/route/add 10.2.0.0/16 under 1.1.2.1",
    "ovs/route/add 10.2.0.0/24 under 1.1.2.1 pkt_mark=5",
    "ovs/route/add 10.4.0.0/24 nobr 1.1.2.1",
    "ovs/route/add 2001:db8::/32 under 2001:cafe::1",
    "ovs/route/lookup 10.2.0.7",
    "ovs/route/lookup 10.2.0.7 pkt_mark=5",
    "ovs/route/lookup 10.2.1.7 pkt_mark=5",
    "ovs/route/lookup 9.9.9.9",
    "ovs/route/lookup foo",
    "ovs/route/lookup 2001:db8::5",
    "ovs/route/del 10.2.0.0/24",
    "ovs/route/del 10.2.0.0/24 pkt_mark=5",
    "ovs/route/del 10.9.0.0/24",
    "ovs/route/del foo",
    "tnl/neigh/set under foo f8:bc:12:44:34:b7",
    "tnl/neigh/set under 1.1.2.93 foo",
    "tnl/neigh/set under 1.1.2.93",
    "tnl/arp/set under 1.1.2.94 f8:bc:12:44:34:b8",
    "tnl/arp/show",
    "tnl/neigh/aging",
    "tnl/neigh/aging 0",
    "tnl/neigh/aging x",
    "tnl/neigh/aging 3601",
    "tnl/neigh/aging 12",
    "tnl/arp/aging",
    "tnl/arp/flush",
    "tnl/neigh/show",
    "tnl/neigh/flush x",
    "tnl/egress_port_range",
    "tnl/egress_port_range 35190 36190",
    "tnl/egress_port_range 60000 35190",
    "tnl/egress_port_range 0 5",
    "tnl/egress_port_range x y",
    "tnl/egress_port_range 5",
    "tnl/egress_port_range",
    "tnl/ports/show x",
];

#[test]
fn commands_answer_as_the_references_do() -> Result<()> {
    let switches = [with_tunnels(Reference::start()?)?, with_tunnels(Reference::start_ours()?)?];
    for command in COMMANDS {
        let words: Vec<&str> = command.split_whitespace().collect();
        let answer = |switch: &Reference| match switch.appctl(&words) {
            Ok(text) => sorted(&text),
            Err(error) => {
                let text = format!("{error:#}");
                // What the tool says around the answer names the switch's own folder.
                let own = |line: &&str| !line.contains("server returned an error");
                let folder = switch.folder().display().to_string();
                text.lines().filter(own).map(|line| line.replace(&folder, "")).collect()
            }
        };
        let own = answer(&switches[1]);
        assert_eq!(own, answer(&switches[0]), "{command}");
        // What is refused is refused in words, not by silence.
        assert!(
            *command != "ovs/route/del foo"
                || own.iter().any(|line| line.contains("Invalid parameters")),
            "{own:?}"
        );
    }
    Ok(())
}

#[test]
fn dummies_that_replace_everything_replace_tunnels_too() -> Result<()> {
    let setups = [Setup::new(), Setup::new().daemon(testkit::daemon::built()?)];
    let outcome = |setup: Setup<'_>| -> Result<Vec<String>> {
        let switch = setup.argument("--enable-dummy=override").start()?;
        switch.add_dummy_port("v2", 1)?;
        // What is no tunnel needs nothing that a tunnel needs.
        for words in [
            "vx -- set Interface vx ofport_request=2 type=vxlan options:remote_ip=1.1.2.92",
            "gn -- set Interface gn ofport_request=3 type=geneve",
        ] {
            let words: Vec<&str> =
                ["add-port", BRIDGE].into_iter().chain(words.split(' ')).collect();
            switch.vsctl(&words)?;
        }
        switch.add_flows(BRIDGE, "in_port=1,actions=2\nin_port=2,actions=3\n")?;
        let frame = samples::named("ipv4-udp").context("a sample")?;
        switch.receive_frame("v2", &frame)?;
        switch.receive_frame("vx", &frame)?;
        switch.appctl(&["revalidator/wait"])?;
        let mut found = vec![switch.appctl(&["dpif/show"])?];
        for number in 1..=3 {
            let ports = switch.ofctl(&["dump-ports", BRIDGE, &number.to_string()])?;
            let of_port = |line: &&str| line.contains("pkts=");
            found.extend(ports.lines().filter(of_port).map(|line| line.trim().to_owned()));
            let trace = switch.trace(BRIDGE, &format!("in_port={number},ip"))?;
            found.push(trace);
        }
        for column in ["link_state", "admin_state", "mtu", "error"] {
            found.push(switch.vsctl(&["get", "Interface", "vx", column])?);
        }
        Ok(found)
    };
    let [theirs, ours] = setups.map(outcome);
    let (theirs, ours) = (theirs?, ours?);
    // Hits and misses above the list are the datapath's own affair.
    let listed = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains(": (")).map(str::to_owned).collect()
    };
    let first = |found: &[String]| listed(found.first().map_or("", String::as_str));
    assert_eq!(first(&ours), first(&theirs));
    assert!(first(&ours).iter().any(|line| line.contains("(vxlan)")), "{ours:?}");
    assert_eq!(ours.get(1..), theirs.get(1..));
    Ok(())
}
