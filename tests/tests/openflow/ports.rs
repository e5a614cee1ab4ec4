//! What controllers are told of ports that come, change and go: step by step as by the reference.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use crate::raw::Peer;

const SET_CONFIG: u8 = 9;
const PORT_STATUS: u8 = 12;
const LIMIT: Duration = Duration::from_secs(20);

/// Reason, number, config and state of a port status of OpenFlow 1.0 or of a later one.
fn status(message: &[u8]) -> Result<[u32; 4]> {
    let word = |at: usize| -> Result<u32> {
        let bytes = message.get(at..at + 4).context("a short message")?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let reason = u32::from(*message.get(8).context("no reason")?);
    match message[0] {
        1 => Ok([reason, word(16)? >> 16, word(40)?, word(44)?]),
        _ => Ok([reason, word(16)?, word(48)?, word(52)?]),
    }
}

/// A step, and what a peer is told in it.
type Told = (&'static str, Vec<[u32; 4]>);

/// What peers of three versions are told by each step.
fn run(switch: &Reference) -> Result<Vec<Told>> {
    let versions = "protocols=OpenFlow10,OpenFlow13,OpenFlow14";
    switch.vsctl(&["set", "Bridge", BRIDGE, versions])?;
    let mut peers = Vec::new();
    for version in [1, 4, 5] {
        let mut peer = Peer::connect(switch, version)?;
        // Who says how much of packets it wants is a controller.
        peer.send(SET_CONFIG, &[0, 0, 0, 128])?;
        peer.received()?;
        peers.push(peer);
    }
    let state = |up| -> Result<()> {
        switch.appctl(&["netdev-dummy/set-admin-state", "p1", up])?;
        Ok(())
    };
    let config = |to| -> Result<()> {
        switch.ofctl(&["mod-port", BRIDGE, "p1", to])?;
        Ok(())
    };
    let vsctl = |words: &[&str]| -> Result<()> {
        switch.vsctl(words)?;
        Ok(())
    };
    // Each step, and what is told last of it.
    type Step<'a> = (&'static str, Box<dyn Fn() -> Result<()> + 'a>, [u32; 3]);
    let steps: [Step<'_>; 8] = [
        ("add", Box::new(|| Ok(switch.add_dummy_port("p1", 1)?)), [2, 0, 4]),
        ("down", Box::new(|| state("down")), [2, 1, 1]),
        ("up", Box::new(|| state("up")), [2, 0, 4]),
        ("configured down", Box::new(|| config("down")), [2, 1, 1]),
        ("configured up", Box::new(|| config("up")), [2, 0, 4]),
        (
            "another number",
            Box::new(|| vsctl(&["set", "Interface", "p1", "ofport_request=9"])),
            [2, 0, 4],
        ),
        (
            "no flood, which OpenFlow 1.0 shows alone",
            Box::new(|| {
                config("no-flood")?;
                config("no-packet-in")
            }),
            [2, 64, 4],
        ),
        ("del", Box::new(|| vsctl(&["del-port", BRIDGE, "p1"])), [1, 64, 4]),
    ];
    let mut told = Vec::new();
    for (name, act, last) in steps {
        act()?;
        let mut seen = vec![Vec::new(); peers.len()];
        let done = patience::wait(LIMIT, || {
            for (peer, seen) in peers.iter_mut().zip(&mut seen) {
                let messages = peer.received().ok()?;
                let statuses = messages.iter().filter(|it| it.get(1) == Some(&PORT_STATUS));
                seen.extend(statuses.filter_map(|it| status(it).ok()));
            }
            let newest = seen.last()?.last()?;
            (newest[0] == last[0] && newest[2..] == last[1..]).then_some(())
        });
        ensure!(done.is_some(), "{name}: {seen:?}: {}", switch.log_tail());
        // What came between two looks.
        for (peer, seen) in peers.iter_mut().zip(&mut seen) {
            let messages = peer.received()?;
            let statuses = messages.iter().filter(|it| it.get(1) == Some(&PORT_STATUS));
            seen.extend(statuses.filter_map(|it| status(it).ok()));
        }
        told.extend(seen.into_iter().map(|seen| (name, seen)));
    }
    Ok(told)
}

#[test]
fn controllers_are_told_of_ports_in_the_same_steps() -> Result<()> {
    let (theirs, own) = (run(&Reference::start_newer()?)?, run(&Reference::start_ours()?)?);
    assert_eq!(theirs, own);
    ensure!(own.iter().map(|it| it.1.len()).sum::<usize>() > 25, "{own:?}");
    Ok(())
}

#[test]
fn connections_end_when_the_bridge_gets_another_id() -> Result<()> {
    for switch in [Reference::start()?, Reference::start_ours()?] {
        let mut peer = Peer::connect(&switch, 1)?;
        peer.received()?;
        switch.vsctl(&["set", "Bridge", BRIDGE, "other_config:hwaddr=00:11:22:33:44:77"])?;
        let ended = patience::wait(LIMIT, || peer.received().err());
        ensure!(ended.is_some(), "the connection goes on: {}", switch.log_tail());
    }
    Ok(())
}
