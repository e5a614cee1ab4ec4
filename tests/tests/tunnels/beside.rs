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
pub(crate) fn with_tunnels(switch: Reference) -> Result<Reference> {
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

pub(crate) fn sorted(text: &str) -> BTreeSet<String> {
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

/// An outer frame as the other end would send it: ends swapped, which changes no checksum.
pub(crate) fn turned_round(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let (ip, len) = if frame.get(12) == Some(&0x86) { (22, 16) } else { (26, 4) };
    for (at, len) in [(0, 6), (ip, len)] {
        if let Some(ends) = frame.get_mut(at..at + 2 * len) {
            ends.rotate_left(len);
        }
    }
    frame
}

/// A route of a mark leads through a router; without the mark there is none.
#[test]
fn tunnels_take_the_routes_of_their_mark_as_at_the_reference() -> Result<()> {
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let switches = [with_underlay(Reference::start_newer()?)?, with_underlay(ours)?];
    for switch in &switches {
        switch.appctl(&["ovs/route/add", "1.1.9.0/24", "under", "1.1.2.92", "pkt_mark=7"])?;
        switch.appctl(&["tnl/neigh/set", "under", "1.1.2.92", "f8:bc:12:44:34:b6"])?;
        for (number, kind, mark) in [(11, "vxlan", "7"), (12, "gre", "8"), (13, "geneve", "")] {
            let mark = match mark {
                "" => String::new(),
                mark => format!("options:egress_pkt_mark={mark}"),
            };
            let words = format!(
                "add-port {BRIDGE} t{number} -- set Interface t{number} ofport_request={number} \
                 type={kind} options:remote_ip=1.1.9.92 options:key=6 {mark}"
            );
            switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
        }
        let flows = "in_port=1,udp,tp_dst=11,actions=11\nin_port=1,udp,tp_dst=12,actions=12\n\
                     in_port=1,udp,tp_dst=13,actions=13\n\
                     in_port=1,udp,tp_dst=14,actions=set_field:7->pkt_mark,13\n";
        switch.add_flows(BRIDGE, flows)?;
    }
    let mut taken = 0;
    for port in 11..=14 {
        for mark in ["", ",pkt_mark=7"] {
            let of = |switch: &Reference| -> Result<String> {
                let trace = switch.trace(BRIDGE, &format!("in_port=1,udp,udp_dst={port}{mark}"))?;
                // The mark that was set for nothing: the reference leaves it there.
                let unused = ["set(skb_mark(0x7))\n", "set(skb_mark(0x8))\n"];
                Ok(unused.iter().fold(trace, |text, it| text.replace(it, "drop\n")))
            };
            let (theirs, ours) = (of(&switches[0])?, of(&switches[1])?);
            assert_eq!(ours, theirs, "{port} {mark}");
            taken += usize::from(ours.contains("to f8:bc:12:44:34:b6 1.1.2.92"));
        }
    }
    // By the port's mark twice, by the packet's own once, by the flow's twice.
    assert_eq!(taken, 5);
    Ok(())
}

/// A copy is made where something comes after that wants the packet as it was, and nowhere else.
#[test]
fn only_what_is_not_last_is_done_on_a_copy_as_at_the_reference() -> Result<()> {
    let switches = [with_tunnels(Reference::start()?)?, with_tunnels(Reference::start_ours()?)?];
    let lists = [
        ("11,99", false),
        ("11,mod_nw_ttl:7", false),
        ("11,resubmit(,2)", false),
        ("clone(11),1", false),
        ("mod_nw_ttl:9,11,1", false),
        ("11,11", true),
        ("11,output:IN_PORT", true),
    ];
    for (list, copied) in lists {
        let of = |switch: &Reference| -> Result<String> {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.add_flow(BRIDGE, &format!("in_port=1,ip,actions={list}"))?;
            let trace = switch.trace(BRIDGE, "in_port=1,icmp,nw_ttl=8")?;
            Ok(trace.lines().last().context("it is told")?.to_owned())
        };
        let (theirs, ours) = (of(&switches[0])?, of(&switches[1])?);
        assert_eq!(ours, theirs, "{list}");
        assert_eq!(ours.contains("clone("), copied, "{list}: {ours}");
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
