//! What controllers are told unasked, and the numbers of ports.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use super::{both, vsctl};

/// A controller that sends what it is told to send.
struct Puppet {
    child: Child,
    control: String,
}

impl Puppet {
    fn start(switch: &Reference, version: &str) -> Result<Self> {
        let folder = switch.folder();
        let control = folder.join("puppet.ctl").display().to_string();
        let bridge = format!("unix:{}", folder.join(format!("{BRIDGE}.mgmt")).display());
        let child = Command::new("ovs-ofctl")
            .args(["-O", version, "-Popenflow10", "monitor", &bridge, "--unixctl", &control])
            .args(if version == "OpenFlow10" { ["-Fopenflow10"].as_slice() } else { &[] })
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let puppet = Self { child, control };
        let barrier = || puppet.tell(&["ofctl/barrier"]).ok();
        patience::wait(Duration::from_secs(10), barrier).context("the controller is not there")?;
        Ok(puppet)
    }

    fn tell(&self, words: &[&str]) -> Result<()> {
        let done = Command::new("ovs-appctl").args(["-t", &self.control]).args(words).output()?;
        ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// First lines of what the controller is told of some events.
fn told(switch: &Reference, puppet: &Puppet, version: &str) -> Result<Vec<String>> {
    let file = switch.folder().join("told.log");
    let path = file.display().to_string();
    std::fs::write(&file, "")?;
    puppet.tell(&["ofctl/barrier"])?;
    puppet.tell(&["ofctl/set-output-file", &path])?;
    let v = format!("-O{version}");
    let dying =
        "00258 3dfb4000026b98cb0f90800450000 1cb7e20000 0111 0000ac11370dac100002d773003500080000";
    let dying = dying.replace(' ', "");
    for (actions, frame) in [
        ("controller", "0001020304050010203040501234"),
        ("controller(reason=no_match,id=123)", "0001020304050010203040501234"),
        ("dec_ttl", dying.as_str()),
    ] {
        switch.ofctl(&[&v, "packet-out", BRIDGE, "none", actions, frame])?;
    }
    vsctl(switch, &format!("add-port {BRIDGE} t -- set interface t type=dummy ofport_request=9"))?;
    vsctl(switch, &format!("del-port {BRIDGE} t"))?;
    switch.ofctl(&[&v, "add-flow", BRIDGE, "send_flow_rem,actions=drop"])?;
    switch.ofctl(&[&v, "--strict", "del-flows", BRIDGE, ""])?;
    // The reference tells of flows that went in its own time.
    std::thread::sleep(Duration::from_millis(300));
    puppet.tell(&["ofctl/barrier"])?;
    let text = || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("BARRIER_REPLY").then_some(text)
    };
    let text = patience::wait(Duration::from_secs(10), text).context("no answer")?;
    let events = text
        .lines()
        .filter(|line| !line.starts_with(' ') && line.contains("OFPT_") || line.contains("NXT_"));
    let name = |line: &str| {
        let line = line.split(" duration").next().unwrap_or_default();
        let line = line.split(" addr:").next().unwrap_or_default();
        let end = line.find(" (xid").map_or(line, |at| &line[..at]);
        let why = ["via action", "via no_match", "via invalid_ttl", "ADD", "DEL", "reason=delete"];
        let why = why.iter().find(|why| line.contains(**why)).copied().unwrap_or_default();
        format!("{end} {why}")
    };
    // Nor does it matter here how often it tells of a port that comes up.
    let counts = |line: &String| !line.contains("BARRIER") && !line.ends_with("(OF1.2) ");
    let mut lines: Vec<_> = events.map(name).filter(counts).collect();
    lines.sort();
    Ok(lines)
}

#[test]
fn what_is_told_unasked_is_what_was_said_last() -> Result<()> {
    let lines = both(|switch| {
        let mut seen = Vec::new();
        for (version, said) in [
            (
                "OpenFlow10",
                [
                    "",
                    "0109000c0123456700000080",
                    "0109000c0123456700040080",
                    "0104001400000002000023200000000a00000002",
                    "01040028000000020000232000000013000000020000000500000005000000020000000200000005",
                    "01040018000000030000232000000014000000000000007b",
                    "010400180000000300002320000000140000000000000000",
                    "0104001400000002000023200000000a00000001",
                ]
                .as_slice(),
            ),
            (
                "OpenFlow12",
                &[
                    "0309000c0123456700040080",
                    "031800180000000200000003000000000000000000000001",
                    "03040028000000020000232000000013000000020000000500000005000000020000000200000005",
                    "031800180000000400000002000000000000000000000002",
                    "0309000c0123456700000080",
                ],
            ),
        ] {
            let puppet = Puppet::start(switch, version)?;
            for message in said {
                if !message.is_empty() {
                    puppet.tell(&["ofctl/send", message])?;
                }
                seen.push(format!("after {message}"));
                seen.extend(told(switch, &puppet, version)?);
            }
        }
        Ok(seen)
    })?;
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    ensure!(count("invalid_ttl") == 5 && count("OFPT_FLOW_REMOVED") > 3, "{lines:#?}");
    Ok(())
}

#[test]
fn ports_exchange_their_numbers() -> Result<()> {
    let lines = both(|switch| {
        for n in 1..=3 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        let mut seen = Vec::new();
        let ways = ["1 3 2", "2 1 3", "2 3 1", "3 1 2", "3 2 1", "1 2 3", "2 4 1", "1 2 3"];
        for way in ways {
            let wishes = way
                .split(' ')
                .zip(1..)
                .map(|(number, port)| format!("set interface p{port} ofport_request={number}"));
            vsctl(switch, &wishes.collect::<Vec<_>>().join(" -- "))?;
            let gets = (1..=3).map(|port| format!("get interface p{port} ofport"));
            let got = vsctl(switch, &gets.collect::<Vec<_>>().join(" -- "))?;
            seen.push(format!("{way}: {}", got.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        Ok(seen)
    })?;
    for line in &lines {
        let (wished, got) = line.split_once(": ").unwrap_or_default();
        ensure!(wished == got, "{lines:#?}");
    }
    Ok(())
}
