//! LLDP: beside the reference, and with a real daemon as neighbour.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::netns::{Namespace, veth_pair};
use testkit::reference::{BRIDGE, Reference, Setup};

use super::{vsctl, warp};

fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let head = (kind << 9 | u16::try_from(value.len()).unwrap_or(0)).to_be_bytes();
    [&head[..], value].concat()
}

/// A frame of a neighbour: chassis, port, TTL and these.
fn frame(parts: &[Vec<u8>]) -> Vec<u8> {
    let head = [0x01, 0x80, 0xc2, 0, 0, 0x0e, 0, 0x16, 0x3e, 0, 0, 1, 0x88, 0xcc];
    let chassis = tlv(1, &[4, 0, 0x16, 0x3e, 0, 0, 1]);
    let who = [chassis, tlv(2, b"\x05eth0"), tlv(3, &[0, 120])].concat();
    [&head[..], &who, &parts.concat(), &tlv(0, &[])].concat()
}

fn attach(kind: u8, value: &[u8]) -> Vec<u8> {
    tlv(127, &[&[0, 4, 0x0d, kind][..], &[0; 32], value].concat())
}

#[test]
fn lldp_is_spoken_and_understood_as_the_reference_does() -> Result<()> {
    let element = attach(11, &[0x38, 0, 0, 0, 0, 0x16, 0x3e, 0, 0, 1, 0, 0, 0, 0]);
    let texts = [tlv(4, b"port"), tlv(5, b"peer"), tlv(6, b"peer desc"), tlv(7, &[0, 20, 0, 4])];
    let frames = [
        frame(&[]),
        frame(&[texts.concat(), element.clone()]),
        frame(&[
            texts.concat(),
            element.clone(),
            attach(12, &[0x20, 5, 0, 0, 100, 0x30, 6, 0, 0, 200]),
        ]),
        frame(&[texts.concat(), element.clone(), tlv(127, b"xyz1234")]),
        frame(&[tlv(127, b"ab")]),
        frame(&[attach(11, &[0; 5])]),
        frame(&[]).get(..30).context("a prefix")?.to_vec(),
    ];
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        switch.add_dummy_port("p1", 1)?;
        switch.add_dummy_port("p2", 2)?;
        switch.time_stop()?;
        vsctl(&switch, "set Interface p1 lldp:enable=true")?;
        let row = "-- --id=@a create AutoAttach system_name=sysname system_description=sysdesc \
                   -- set Bridge br0 auto_attach=@a";
        vsctl(&switch, row)?;
        vsctl(&switch, "add-aa-mapping br0 100 5")?;
        vsctl(&switch, "add-aa-mapping br0 200 6")?;
        let mut outcome = Vec::new();
        for flow in [
            "in_port=1,dl_dst=01:80:c2:00:00:0e,dl_type=0x88cc",
            "in_port=2,dl_dst=01:80:c2:00:00:0e,dl_type=0x88cc",
        ] {
            let trace = switch.trace(BRIDGE, flow)?;
            let lines = trace.lines().filter(|line| {
                ["Megaflow", "Datapath", "  - "].iter().any(|start| line.starts_with(start))
            });
            outcome.extend(lines.map(str::to_owned));
        }
        for frame in &frames {
            switch.receive_frame("p1", frame)?;
            warp(&switch, 100)?;
            outcome.push(switch.appctl(&["autoattach/status"])?);
            let mut mappings: Vec<String> =
                switch.appctl(&["autoattach/show-isid"])?.lines().map(str::to_owned).collect();
            mappings.sort();
            outcome.extend(mappings);
        }
        let statistics = switch.appctl(&["autoattach/statistics"])?;
        outcome.push(statistics.lines().filter(|it| !it.contains("tx cnt")).collect());
        warp(&switch, 16_000)?;
        let sent = switch.sent("p1")?;
        ensure!((3..=4).contains(&sent.len()), "every five seconds: {}", sent.len());
        outcome.push(format!("{:02x?}", sent.last()));
        assert!(switch.sent("p2")?.is_empty());
        outcomes.push(outcome);
    }
    for (ours, theirs) in outcomes[1].iter().zip(&outcomes[0]) {
        assert_eq!(ours, theirs);
    }
    Ok(())
}

#[test]
fn mappings_go_from_ports_when_they_are_taken_back() -> Result<()> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("p1", 1)?;
    vsctl(&switch, "set Port p1 trunks=7 -- set Interface p1 lldp:enable=true")?;
    let trunks = |expected: &str| {
        let found = testkit::patience::wait(Duration::from_secs(20), || {
            let text = vsctl(&switch, "get Port p1 trunks").ok()?;
            (text.trim() == expected).then_some(())
        });
        found.with_context(|| format!("trunks {expected}"))
    };
    vsctl(&switch, "-- --id=@a create AutoAttach mappings:100=5 -- set Bridge br0 auto_attach=@a")?;
    trunks("[5, 7]")?;
    vsctl(&switch, "add-aa-mapping br0 200 6")?;
    trunks("[5, 6, 7]")?;
    vsctl(&switch, "del-aa-mapping br0 100 5")?;
    trunks("[6, 7]")?;
    vsctl(&switch, "clear Bridge br0 auto_attach")?;
    trunks("[7]")
}

#[test]
fn neighbours_age_by_the_switchs_clock() -> Result<()> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("p1", 1)?;
    switch.time_stop()?;
    vsctl(&switch, "set Interface p1 lldp:enable=true")?;
    switch.receive_frame("p1", &frame(&[]))?;
    warp(&switch, 1000)?;
    let aged = || {
        Ok::<_, anyhow::Error>(switch.appctl(&["autoattach/statistics"])?.contains("ageout cnt: 1"))
    };
    ensure!(!aged()?);
    switch.time_warp(Duration::from_secs(118), Some(Duration::from_secs(1)))?;
    ensure!(!aged()?);
    switch.time_warp(Duration::from_secs(2), Some(Duration::from_secs(1)))?;
    ensure!(aged()?);
    Ok(())
}

#[test]
fn a_real_daemon_is_our_neighbour_and_we_are_its() -> Result<()> {
    testkit::packages::ensure(&["lldpd"])?;
    let (here, there) = (Namespace::new("lldp-sw")?, Namespace::new("lldp-peer")?);
    veth_pair((&here, "eth0"), (&there, "eth0"))?;
    let switch = Setup::within(&here).daemon(testkit::daemon::built()?).start()?;
    vsctl(
        &switch,
        "add-port br0 eth0 -- set Interface eth0 lldp:enable=true -- --id=@a create AutoAttach \
         system_name=our-switch system_description=ours mappings:100=5 -- set Bridge br0 \
         auto_attach=@a",
    )?;
    let folder = Folder::new("lldpd")?;
    let socket = folder.join("socket");
    let path = socket.to_str().context("a path")?;
    // Nothing of the system's own daemon is touched: its socket and its settings stand elsewhere.
    let words =
        ["lldpd", "-d", "-u", path, "-I", "eth0", "-S", "peer description", "-O", "/dev/null"];
    let daemon = there.spawn(&words)?;
    let ask = |words: &[&str]| {
        let output = Command::new("lldpcli").args(["-u", path]).args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // It is not configured from here: that could pause it again while it starts.
    let patience = Duration::from_secs(60);
    let seen = testkit::patience::wait(patience, || {
        let text = ask(&["-f", "keyvalue", "show", "neighbors"])?;
        text.contains("our-switch").then_some(text)
    });
    let seen = seen.with_context(|| {
        let ours = switch.appctl(&["autoattach/statistics"]);
        let port = vsctl(&switch, "list Interface eth0");
        let links = (here.ip(&["-s", "link"]), there.ip(&["-s", "link"]));
        format!("it sees us: {:?} {ours:?} {port:?} {links:?}", ask(&["show", "interfaces"]))
    })?;
    for line in [
        "chassis.name=our-switch",
        "chassis.descr=ours",
        "port.ifname=eth0",
        "chassis.Bridge.enabled=on",
    ] {
        ensure!(seen.contains(&format!("lldp.eth0.{line}")), "{line} is not in\n{seen}");
    }
    let counted = testkit::patience::wait(patience, || {
        let text = switch.appctl(&["autoattach/statistics"]).ok()?;
        text.contains("insert cnt: 1").then_some(text)
    });
    let counted = counted.context("we see it")?;
    ensure!(counted.contains("rx discarded cnt: 0"), "{counted}");
    drop(daemon);
    Ok(())
}
