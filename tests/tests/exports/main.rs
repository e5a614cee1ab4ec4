//! What collectors and neighbours are told: ours beside the reference on the same packets, tshark as
//! judge, and a real LLDP daemon at the other end.

mod collector;
mod decode;
mod discovery;
mod real;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::{Collector, complaints, tshark};
use decode::{Sample, Sflow};
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference};

/// A switch with ports p1 and p2, a tunnel above the bridge `under`, and a bond.
fn with_ports(switch: Reference) -> Result<Reference> {
    let words = "set Interface br0 options:ifindex=1000 -- add-port br0 p1 -- set Interface p1 \
                 type=dummy ofport_request=1 options:ifindex=1001 -- add-port br0 p2 -- set \
                 Interface p2 type=dummy ofport_request=2 options:ifindex=1002 -- add-port br0 p3 \
                 -- set Interface p3 type=dummy ofport_request=3 -- add-bond br0 bond0 b1 b2 \
                 lacp=active bond_mode=active-backup -- set Interface b1 type=dummy \
                 ofport_request=21 options:ifindex=1021 -- set Interface b2 type=dummy \
                 ofport_request=22 options:ifindex=1022 -- set Bridge br0 \
                 other_config:hwaddr=aa:55:aa:55:00:00 -- add-br under -- set Bridge under \
                 datapath_type=dummy other_config:hwaddr=aa:55:aa:55:00:01 -- add-port under u1 -- \
                 set Interface u1 type=dummy";
    vsctl(&switch, words)?;
    switch.appctl(&["netdev-dummy/ip4addr", "under", "1.1.2.88/24"])?;
    switch.appctl(&["ovs/route/add", "1.1.2.92/24", "under"])?;
    vsctl(
        &switch,
        "add-port br0 vx -- set Interface vx type=vxlan options:remote_ip=1.1.2.92 \
         options:key=123 ofport_request=11 -- add-port br0 gre -- set Interface gre type=gre \
         options:remote_ip=1.1.2.92 options:key=9 ofport_request=12",
    )?;
    switch.appctl(&["tnl/neigh/set", "under", "1.1.2.92", "f8:bc:12:44:34:b6"])?;
    switch.time_stop()?;
    Ok(switch)
}

fn vsctl(switch: &Reference, words: &str) -> Result<String> {
    Ok(switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?)
}

fn warp(switch: &Reference, millis: u64) -> Result<()> {
    let step = Duration::from_millis(250);
    Ok(switch.time_warp(Duration::from_millis(millis), Some(step))?)
}

const FLOW: &str = "udp,in_port=1,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:06,\
                    nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_ttl=64,udp_src=1,udp_dst=2";
const PACKET: &str = "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:06),\
                      eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,tos=0,ttl=64,\
                      frag=no),udp(src=1,dst=2)";

/// Gives the bridge these flows, and says what the datapath would do.
fn retable(switch: &Reference, flow: &str) -> Result<String> {
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.add_flow(BRIDGE, flow)?;
    switch.appctl(&["revalidator/wait"])?;
    let trace = switch.trace(BRIDGE, FLOW)?;
    let line = trace.lines().find(|line| line.starts_with("Datapath actions"));
    Ok(line.context("a trace")?.to_owned())
}

/// What flows do, one after the other.
const ACTIONS: &[&str] = &[
    "2",
    "drop",
    "3",
    "2,3",
    "local",
    "in_port",
    "mod_vlan_vid:30,mod_vlan_pcp:3,2",
    "11",
    "12",
    "11,12",
    "2,11",
    "push_mpls:0x8847,set_mpls_label:77,2",
    "push_mpls:0x8847,set_mpls_label:77,push_mpls:0x8847,set_mpls_label:78,2",
    "21",
];

/// The port in a tunnel's record, which the reference swaps the bytes of.
fn sorted_records(sample: &Sample, swapped: bool) -> Vec<String> {
    let mut records: Vec<String> = sample
        .records
        .iter()
        .map(|(format, body)| {
            let mut body = body.clone();
            if swapped && matches!(format, 1023 | 1024) {
                for at in [18, 22] {
                    body.swap(at, at + 1);
                }
            }
            format!("{format} {body:02x?}")
        })
        .collect();
    records.sort();
    records
}

#[test]
fn sflow_samples_what_the_reference_samples() -> Result<()> {
    let mut outcomes = Vec::new();
    for (switch, swapped) in [(Reference::start()?, true), (Reference::start_ours()?, false)] {
        let switch = with_ports(switch)?;
        let collector = Collector::new()?;
        let before = retable(&switch, "in_port=1,ip,actions=2")?;
        let create = format!(
            "-- --id=@s create sFlow agent=127.0.0.1 {} header=64 sampling=1 polling=0 -- set \
             Bridge br0 sflow=@s",
            collector.target()?
        );
        vsctl(&switch, &create)?;
        let mut outcome = Vec::new();
        let mut datagrams = Vec::new();
        for actions in ACTIONS {
            let traced = retable(&switch, &format!("in_port=1,ip,actions={actions}"))?;
            // Which port of the datapath a port is may differ.
            let sampling = traced.split_once("userspace").context("it is sampled")?.1;
            let step = sampling.split_once(",actions)").context("with its actions")?.0;
            outcome.push(step.to_owned());
            switch.receive("p1", PACKET)?;
            warp(&switch, 1100)?;
            let got = collector.take()?;
            for datagram in &got {
                for sample in Sflow::read(datagram)?.samples {
                    outcome.push(format!("{actions}: {:x?}", sample.head));
                    outcome.extend(sorted_records(&sample, swapped));
                }
            }
            datagrams.extend(got);
        }
        assert_eq!(complaints(&datagrams, 6343, &[])?, [] as [&str; 0]);
        let fields = ["-Y", "sflow", "-T", "fields", "-e", "sflow_245.version"];
        assert!(tshark(&datagrams, 6343, &fields)?.lines().all(|line| line == "5"));
        vsctl(&switch, "set sFlow . sampling=64").or_else(|_| {
            let id = vsctl(&switch, "--bare get Bridge br0 sflow")?;
            vsctl(&switch, &format!("set sFlow {} sampling=64", id.trim()))
        })?;
        outcome.push(retable(&switch, "in_port=1,ip,actions=2")?);
        vsctl(&switch, "clear Bridge br0 sflow")?;
        // What is off costs no step.
        assert_eq!(retable(&switch, "in_port=1,ip,actions=2")?, before);
        outcomes.push(outcome);
    }
    assert_eq!(outcomes[1], outcomes[0]);
    Ok(())
}

/// Polled counters by source: heads and records, without what differs by process and by run.
fn polled(datagrams: &[Vec<u8>]) -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for datagram in datagrams {
        for sample in Sflow::read(datagram)?.samples.iter().filter(|it| it.kind == 2) {
            let source = sample.head.first().copied().unwrap_or(0);
            for (format, _) in &sample.records {
                let words = sample.words(*format).context("it is there")?;
                let line = match format {
                    2203 => format!("{source:#x} 2203 {}", words.len()),
                    2207 => format!("{source:#x} 2207 {}", words.len()),
                    // LACP: addresses; which member gives the key depends on which comes first.
                    7 => format!("{source:#x} 7 {:x?}", words.get(..4)),
                    _ => format!("{source:#x} {format} {words:x?}"),
                };
                lines.insert(line);
            }
        }
    }
    Ok(lines)
}

#[test]
fn sflow_polls_the_counters_that_the_reference_polls() -> Result<()> {
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        let switch = with_ports(switch)?;
        retable(&switch, "in_port=1,actions=2")?;
        for _ in 0..3 {
            switch.receive("p1", PACKET)?;
        }
        let collector = Collector::new()?;
        let create = format!(
            "-- --id=@s create sFlow agent=127.0.0.1 {} sampling=100000 polling=1 -- set Bridge \
             br0 sflow=@s",
            collector.target()?
        );
        vsctl(&switch, &create)?;
        warp(&switch, 3500)?;
        let datagrams = collector.take()?;
        // Bonds send of their own accord, which the reference's local port counts too.
        let own = ["0x3e8 1 ", "0x3fd 1 ", "0x3fe 1 "];
        let lines = polled(&datagrams)?.into_iter();
        let lines = lines.filter(|line| !own.iter().any(|start| line.starts_with(start)));
        outcomes.push(lines.collect::<Vec<_>>());
        let known = datagrams
            .iter()
            .map(|it| Ok(Sflow::read(it)?.without(&[1004, 1005, 2203, 2207])))
            .collect::<Result<Vec<_>>>()?;
        assert_eq!(complaints(&known, 6343, &[])?, [] as [&str; 0]);
    }
    assert_eq!(outcomes[1], outcomes[0]);
    ensure!(outcomes[1].iter().any(|line| line.starts_with("0x3e9 1 [3e9, 6, 0, 5f5e100")));
    Ok(())
}

#[test]
fn netflow_tells_of_flows_as_the_reference_does() -> Result<()> {
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        let switch = with_ports(switch)?;
        // The reference counts headers of tunnels with the bytes of flows.
        vsctl(&switch, "del-port vx -- del-port gre")?;
        let collector = Collector::new()?;
        let create = format!(
            "-- --id=@s create NetFlow {} active_timeout=2 engine_id=7 engine_type=3 \
             add_id_to_interface=true -- set Bridge br0 netflow=@s",
            collector.target()?
        );
        vsctl(&switch, &create)?;
        let mut datagrams = Vec::new();
        let actions =
            ["2", "drop", "in_port", "2,3", "mod_nw_dst:9.9.9.9,2", "normal", "flood", "local"];
        for (number, actions) in actions.into_iter().enumerate() {
            retable(&switch, &format!("in_port=1,ip,actions={actions}"))?;
            let from = format!("src=192.168.0.{number}");
            for protocol in ["proto=17", "proto=6"] {
                let ports = if protocol == "proto=6" { ",tcp(src" } else { ",udp(src" };
                let packet = PACKET
                    .replace("src=192.168.0.1", &from)
                    .replace("proto=17", protocol)
                    .replace(",udp(src", ports);
                for _ in 0..3 {
                    switch.receive("p1", &packet)?;
                }
            }
            warp(&switch, 1000)?;
            datagrams.extend(collector.drain()?);
        }
        warp(&switch, 6000)?;
        datagrams.extend(collector.take()?);
        assert_eq!(complaints(&datagrams, 2055, &[])?, [] as [&str; 0]);
        let fields =
            ["-Y", "cflow", "-T", "fields", "-e", "cflow.version", "-e", "cflow.engine_id"];
        let told = tshark(&datagrams, 2055, &fields)?;
        assert!(told.lines().all(|line| line == "5\t7"), "{told}");
        outcomes.push(decode::netflow(&datagrams)?);
    }
    assert_eq!(outcomes[1].len(), 16);
    assert_eq!(outcomes[1], outcomes[0]);
    Ok(())
}

/// Records with what the switch's clock and the reference's guesses about drops decide taken out.
fn comparable(messages: &[Vec<u8>]) -> Result<Vec<String>> {
    let mut lines: Vec<String> = decode::ipfix(messages)?
        .iter()
        .filter(|record| record.first().is_none_or(|(_, set)| set != "462"))
        .map(|record| {
            let kept = record.iter().filter(|(number, _)| !matches!(number, 158 | 159 | 132..=135));
            kept.map(|(number, value)| format!("{number}={value} ")).collect()
        })
        .collect();
    lines.sort();
    Ok(lines)
}

/// Templates have more fields than tshark keeps by default.
const CFLOW: &[&str] = &["-o", "cflow.max_template_fields:100"];

fn kinds_of_packets() -> Result<Vec<Vec<u8>>> {
    let names = ["ipv4-udp", "ipv4-tcp-syn", "ipv4-icmp-echo", "ipv6-udp", "arp-request"];
    let known = samples::all();
    let found: Vec<Vec<u8>> = known
        .into_iter()
        .filter(|it| names.contains(&it.name.as_str()) || it.name.starts_with("vlan"))
        .map(|it| it.frame)
        .collect();
    ensure!(found.len() >= 4, "samples of that name");
    Ok(found)
}

#[test]
fn ipfix_of_a_bridge_tells_what_the_reference_tells() -> Result<()> {
    let frames = kinds_of_packets()?;
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        let switch = with_ports(switch)?;
        // A bond sends of its own accord.
        vsctl(&switch, "del-port bond0")?;
        let collector = Collector::new()?;
        let create = format!(
            "-- --id=@s create IPFIX {} sampling=1 obs_domain_id=1 obs_point_id=2 \
             other_config:virtual_obs_id=here -- set Bridge br0 ipfix=@s",
            collector.target()?
        );
        vsctl(&switch, &create)?;
        let mut traced = Vec::new();
        let mut messages = Vec::new();
        for actions in ["2", "mod_vlan_vid:30,2", "drop", "2,3"] {
            let line = retable(&switch, &format!("in_port=1,actions={actions}"))?;
            traced.push(line.replace("p1", "1"));
            for frame in &frames {
                switch.receive_frame("p1", frame)?;
            }
            warp(&switch, 500)?;
            messages.extend(collector.take()?);
        }
        let stats = switch.ofctl(&["-O", "OpenFlow10", "dump-ipfix-bridge", BRIDGE])?;
        let stats = stats.split_once("tx pkts").context("statistics")?.0.replace("xid=0x4", "");
        let stats = stats.split_once("bridge ipfix").context("of the bridge")?.1.to_owned();
        // The reference tells of itself in a domain that no template was sent for.
        if !outcomes.is_empty() {
            assert_eq!(complaints(&messages, 4739, CFLOW)?, [] as [&str; 0]);
        }
        let points = ["-Y", "cflow", "-T", "fields", "-e", "cflow.od_id"];
        let domains = tshark(&messages, 4739, &[CFLOW, &points].concat())?;
        assert!(domains.lines().any(|line| line == "1"), "{domains}");
        outcomes.push((traced, comparable(&messages)?, stats));
    }
    assert_eq!(outcomes[1].0, outcomes[0].0);
    assert_eq!(outcomes[1].2, outcomes[0].2);
    assert_eq!(outcomes[1].1, outcomes[0].1);
    ensure!(outcomes[1].1.len() > 20, "{}", outcomes[1].1.len());
    Ok(())
}

#[test]
fn ipfix_of_flows_tells_what_the_reference_tells() -> Result<()> {
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        let switch = with_ports(switch)?;
        let collector = Collector::new()?;
        let mut outcome = Vec::new();
        let sample = |rest: &str| {
            format!(
                "sample(probability=65535,collector_set_id=1,obs_domain_id=5,obs_point_id=6{rest})"
            )
        };
        // As long as nobody collects, nothing is sampled.
        outcome.push(retable(&switch, &format!("in_port=1,actions={},2", sample("")))?);
        vsctl(
            &switch,
            &format!(
                "-- --id=@br get Bridge br0 -- --id=@i create IPFIX {} -- create \
                 Flow_Sample_Collector_Set id=1 bridge=@br ipfix=@i",
                collector.target()?
            ),
        )?;
        let mut messages = Vec::new();
        for actions in [
            format!("{},2", sample("")),
            format!("{},2", sample("").replace("65535", "32768")),
            format!("{},2", sample(",sampling_port=1")),
            format!("{},2", sample(",sampling_port=2,ingress")),
            format!("2,{}", sample(",sampling_port=2,egress")),
            format!("{},2", sample(",sampling_port=11,egress")),
            format!("{},2", sample("").replace("collector_set_id=1", "collector_set_id=3")),
            format!("mod_nw_dst:9.9.9.9,{},2", sample("")),
        ] {
            outcome.push(retable(&switch, &format!("in_port=1,ip,actions={actions}"))?);
            if actions.contains("32768") {
                continue;
            }
            switch.receive("p1", PACKET)?;
            warp(&switch, 300)?;
            messages.extend(collector.drain()?);
        }
        warp(&switch, 300)?;
        messages.extend(collector.drain()?);
        if !outcomes.is_empty() {
            assert_eq!(complaints(&messages, 4739, CFLOW)?, [] as [&str; 0]);
        }
        let stats = switch.ofctl(&["dump-ipfix-flow", BRIDGE])?;
        let stats = stats.split_once("tx pkts").context("statistics")?.0.to_owned();
        outcome.push(stats.split_once("id ").context("a set")?.1.to_owned());
        outcome.extend(comparable(&messages)?);
        outcomes.push(outcome);
    }
    assert_eq!(outcomes[1], outcomes[0]);
    Ok(())
}

#[test]
fn a_collector_that_is_not_there_is_counted_and_said_once() -> Result<()> {
    let switch = with_ports(Reference::start_ours()?)?;
    // A port that nobody listens at, and one that is no address; the third works.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let collector = Collector::new()?;
    let there = collector.target()?.replace("targets=", "");
    let targets = format!("targets=[\"{gone}\",\"collector.invalid:1\",{there}]");
    vsctl(
        &switch,
        &format!("-- --id=@s create IPFIX {targets} sampling=1 -- set Bridge br0 ipfix=@s"),
    )?;
    retable(&switch, "in_port=1,actions=2")?;
    for _ in 0..20 {
        switch.receive("p1", PACKET)?;
        warp(&switch, 100)?;
    }
    ensure!(collector.take()?.len() > 20);
    let stats = switch.ofctl(&["dump-ipfix-bridge", BRIDGE])?;
    let errors = stats.split_once("tx errs=").context("statistics")?.1.trim();
    ensure!(errors.parse::<u64>()? >= 10, "{stats}");
    // One of another kind, which has no statistics of its own, is counted all the same.
    let counter = || -> Result<u64> {
        let text = switch.appctl(&["coverage/read-counter", "export_send_failed"])?;
        Ok(text.trim().parse()?)
    };
    let before = counter()?;
    ensure!(before >= 10, "{before}");
    let rows = format!(
        "clear Bridge br0 ipfix -- --id=@s create sFlow agent=127.0.0.1 targets=\"{gone}\" \
         polling=1 -- set Bridge br0 sflow=@s"
    );
    vsctl(&switch, &rows)?;
    warp(&switch, 5000)?;
    ensure!(counter()? > before);
    ensure!(switch.appctl(&["coverage/read-counter", "export_lost"])?.trim() == "0");
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    let lines = |word: &str| log.lines().filter(|line| line.contains(word)).count();
    assert_eq!(lines("sending to collector failed"), 2, "once each: {log}");
    assert_eq!(lines("couldn't open connection to collector collector.invalid:1"), 1, "{log}");
    Ok(())
}
