//! Packets that wait for a controller, again and again: what it is told, and where they go then.
//! And monitors of flows that wait for a controller that does not read.

use std::time::Duration;

use anyhow::{Context, Result};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use crate::raw::Peer;
use crate::versions::followed;

const LIMIT: Duration = Duration::from_secs(20);
const PACKET: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),\
    ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=5,dst=80),tcp_flags(0x10)";

/// Flows, and the user data of the packet that is told last.
const CASES: &[(&str, &str)] = &[
    // Twice in a list, and in what goes on after.
    (
        "in_port=1,ip,actions=set_field:1->reg1,controller(pause,userdata=01),mod_nw_tos:4,\
         controller(pause,userdata=02),output:2,resubmit(,1),output:3\n\
         table=1,ip,actions=controller(pause,userdata=99),mod_nw_ttl:9,output:2\n",
        "99",
    ),
    // On the way down and on the way up.
    (
        "in_port=1,ip,actions=resubmit(,1),set_field:9->reg9,controller(pause,userdata=04),\
         resubmit(,2),output:3,controller(userdata=99)\n\
         table=1,ip,actions=mod_nw_ttl:9,resubmit(,2),controller(pause,userdata=03),output:2\n\
         table=2,ip,actions=controller(pause,userdata=02),mod_nw_tos:4,output:2\n",
        "99",
    ),
    // The stack and the action set go along.
    (
        "in_port=1,ip,actions=set_field:5->reg5,push:NXM_NX_REG5[],controller(pause,userdata=01),\
         push:NXM_OF_ETH_SRC[],resubmit(,1),pop:NXM_NX_REG6[],output:2,goto_table:3\n\
         table=1,ip,actions=controller(pause,userdata=02),pop:NXM_OF_ETH_DST[],output:3\n\
         table=3,ip,actions=controller(pause,userdata=03),write_actions(output:3),goto_table:4\n\
         table=4,ip,actions=controller(pause,userdata=99),mod_nw_ttl:7\n",
        "99",
    ),
    // Behind the connection tracker.
    (
        "in_port=1,tcp,ct_state=-trk,actions=controller(pause,userdata=01),ct(table=1,zone=3,commit)\n\
         table=1,tcp,actions=controller(pause,userdata=02),mod_nw_ttl:8,ct(table=2,zone=4)\n\
         table=2,tcp,actions=resubmit(,3),controller(pause,userdata=99),output:2\n\
         table=3,tcp,actions=controller(pause,userdata=04),output:3\n",
        "99",
    ),
];

/// What a controller is told that lets every packet go on, and what flows and ports count then.
fn run(switch: &Reference, flows: &str, last: &str) -> Result<(Vec<String>, Vec<String>)> {
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.add_flows(BRIDGE, flows)?;
    let log = switch.folder().join("followed");
    let act = || -> Result<()> {
        switch.appctl(&["revalidator/wait"])?;
        switch.receive("p1", PACKET)?;
        let ended = || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.contains(&format!("userdata={last}")).then_some(())
        };
        patience::wait(LIMIT, ended)
            .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
    };
    let told = followed(switch, &["-P", "nxt_packet_in2", "monitor", BRIDGE, "resume"], act)?;
    switch.appctl(&["revalidator/purge"])?;
    // How a packet goes on is the switch's own business.
    let told = told.into_iter().filter(|line| !line.contains("continuation."));
    let dump = switch.ofctl(&["--no-names", "--sort", "dump-flows", BRIDGE])?;
    let count = |line: &str| {
        let words = line.split(", ").filter(|it| !it.contains("duration") && !it.contains("age="));
        words.collect::<Vec<_>>().join(", ")
    };
    Ok((told.collect(), dump.lines().map(count).collect()))
}

#[test]
fn packets_pause_again_after_they_went_on() -> Result<()> {
    let switches = [Reference::start()?, Reference::start_ours()?];
    for switch in &switches {
        for (name, number) in [("p1", 1), ("p2", 2), ("p3", 3)] {
            switch.add_dummy_port(name, number)?;
        }
    }
    for (flows, last) in CASES {
        let [theirs, own] = [&switches[0], &switches[1]].map(|switch| run(switch, flows, last));
        assert_eq!(theirs?, own?, "{flows}");
    }
    Ok(())
}

/// The kinds of messages that a monitor gets which reads nothing while flows are added: runs of updates,
/// and the numbers of the messages between them.
fn slow(switch: &Reference) -> Result<Vec<u32>> {
    const STATS_REQUEST: u8 = 16;
    const STATS_REPLY: u8 = 17;
    const NICIRA: [u8; 4] = [0, 0, 0x23, 0x20];
    switch.ofctl(&["del-flows", BRIDGE])?;
    let mut peer = Peer::connect(switch, 1)?;
    let mut request = [&[0xff, 0xff, 0, 0][..], &NICIRA, &[0, 0, 0, 2, 0, 0, 0, 0]].concat();
    // Number 1: all that stands, comes, goes and changes, with actions; any port, match and table.
    request.extend([0, 0, 0, 1, 0, 0x1f, 0xff, 0xff, 0, 0, 0xff, 0, 0, 0, 0, 0]);
    peer.send(STATS_REQUEST, &request)?;
    peer.received()?;
    for table in 0..6 {
        let flow = |n: u32| format!("table={table},priority={n},in_port=1,actions=output:2\n");
        switch.add_flows(BRIDGE, &(1..4000).map(flow).collect::<String>())?;
    }
    let mut kinds = Vec::new();
    let caught_up = patience::wait(LIMIT, || {
        for message in peer.received().ok()? {
            let kind = match message.get(12..16) {
                Some(number) if message[1] != STATS_REPLY => {
                    u32::from_be_bytes([number[0], number[1], number[2], number[3]])
                }
                _ => u32::from(message[1]),
            };
            if kinds.last() != Some(&kind) {
                kinds.push(kind);
            }
        }
        (kinds.len() >= 4).then_some(())
    });
    caught_up.with_context(|| format!("{kinds:?}: {}", switch.log_tail()))?;
    Ok(kinds)
}

#[test]
fn a_monitor_that_does_not_read_is_paused_and_catches_up() -> Result<()> {
    let (theirs, own) = (slow(&Reference::start()?)?, slow(&Reference::start_ours()?)?);
    // Updates, paused, updates, resumed.
    assert_eq!((theirs, own), (vec![17, 22, 17, 23], vec![17, 22, 17, 23]));
    Ok(())
}
