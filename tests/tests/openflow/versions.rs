//! Every command that users' scripts send a bridge, in OpenFlow 1.0, 1.3, 1.4 and 1.5: the tool shows
//! the same of our switch as of the reference, and is refused the same.
//!
//! The commands stand in `versions.txt`; `monitor`, which follows a bridge for a while, is started
//! here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference, Setup};

use crate::{said, settle};

const VERSIONS: [&str; 4] = ["10", "13", "14", "15"];

/// What scripts call; each must stand in the list of commands, or be followed below.
const NAMES: &str = "add-flow add-flows dump-flows monitor del-flows packet-out add-group mod-flows \
    compose-packet dump-groups ct-flush queue-stats parse-pcap dump-ports add-tlv-map del-groups \
    insert-buckets replace-flows add-groups mod-table remove-buckets bundle add-meter \
    dump-group-stats mod-port diff-flows queue-get-config del-tlv-map dump-tables \
    dump-table-features show set-frags mod-group dump-aggregate dump-ipfix-flow dump-meters \
    dump-ports-desc meter-stats dump-ipfix-bridge dump-table-desc dump-group-features \
    list-commands ct-flush-zone del-meters probe";

const FOLLOWED: [&str; 1] = ["monitor"];

/// Files that commands read, by the word that stands for them.
const FILES: [(&str, &str); 4] = [
    (
        "FLOWS",
        "table=1,priority=1,tcp,actions=output:1\ntable=1,priority=2,dl_vlan=5,actions=output:2\n\
         table=2,priority=3,arp,actions=drop\ncookie=9,priority=4,ip,actions=NORMAL\n",
    ),
    (
        "GROUPS",
        "group_id=2,type=select,bucket=actions=output:1,bucket=actions=output:2\n\
         group_id=3,type=indirect,bucket=actions=output:1\n",
    ),
    ("BUNDLE", "flow add table=3,priority=1,actions=drop\nflow delete table=2\n"),
    (
        "REFUSED",
        "flow add table=4,priority=1,actions=drop\nflow add table=4,priority=2,ip,actions=group:9\n",
    ),
];

/// The newer reference and ours, with the same tools.
fn pair() -> Result<(Reference, Reference)> {
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let reference = Reference::start_newer()?;
    for switch in [&reference, &ours] {
        switch.add_dummy_port("p1", 1)?;
        switch.add_dummy_port("p2", 2)?;
    }
    Ok((reference, ours))
}

/// The words of a command for one switch.
fn words(switch: &Reference, line: &str) -> Vec<String> {
    let place = |name: &str| switch.folder().join(name).to_string_lossy().into_owned();
    line.split(' ')
        .map(|word| match word {
            "SENT" => place("p1-tx.pcap"),
            word if FILES.iter().any(|(name, _)| *name == word) => place(word),
            word => word.to_owned(),
        })
        .collect()
}

#[test]
fn every_command_of_scripts_is_answered_alike_in_every_version() -> Result<()> {
    let script = include_str!("versions.txt");
    let called: BTreeSet<&str> = script
        .lines()
        .filter_map(|line| line.split(' ').find(|word| !word.starts_with('-')))
        .chain(FOLLOWED)
        .collect();
    let missing: Vec<_> = NAMES.split_whitespace().filter(|name| !called.contains(name)).collect();
    ensure!(missing.is_empty(), "no version of {missing:?} is tried");

    let (reference, ours) = pair()?;
    for switch in [&reference, &ours] {
        for (name, text) in FILES {
            std::fs::write(switch.folder().join(name), text)?;
        }
        // Tools show the age of a change where it differs from that of the flow, in whole seconds.
        switch.time_stop()?;
    }
    let mut report = String::new();
    for version in VERSIONS {
        for line in script.lines() {
            let [theirs, own] = [&reference, &ours].map(|switch| {
                let words = words(switch, line);
                said(switch, version, &words.iter().map(String::as_str).collect::<Vec<_>>())
            });
            if theirs != own {
                writeln!(report, "{version} {line}\n  reference: {theirs:#?}\n  ours: {own:#?}")?;
            }
        }
    }
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

/// What a tool writes that follows a bridge while `act` is done.
pub(crate) fn followed(
    switch: &Reference,
    words: &[&str],
    act: impl Fn() -> Result<()>,
) -> Result<Vec<String>> {
    let (log, socket) = (switch.folder().join("followed"), switch.folder().join("followed.ctl"));
    let _ = std::fs::remove_file(&socket);
    let mut tool = Command::new("ovs-ofctl")
        .args(words)
        .arg(format!("--unixctl={}", socket.display()))
        .env("OVS_RUNDIR", switch.folder())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log)?)
        .spawn()
        .context("ovs-ofctl")?;
    let ask = |what: &str| -> Result<String> {
        let target = socket.to_string_lossy().into_owned();
        let answer = Command::new("ovs-appctl").args(["-t", &target, what]).output()?;
        ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    };
    let outcome = patience::wait(Duration::from_secs(20), || ask("ofctl/barrier").ok())
        .context("no answer of ovs-ofctl")
        .and_then(|_| act())
        .and_then(|()| ask("ofctl/barrier"))
        .and_then(|_| ask("exit"));
    let ended = patience::wait(Duration::from_secs(5), || tool.try_wait().ok().flatten());
    if ended.is_none() {
        tool.kill()?;
        tool.wait()?;
    }
    outcome?;
    Ok(std::fs::read_to_string(&log)?.lines().map(settle).collect())
}

#[test]
fn monitors_are_told_alike_in_every_version() -> Result<()> {
    let (reference, ours) = pair()?;
    let mut lines = 0;
    for version in VERSIONS {
        let option = format!("-OOpenFlow{version}");
        let [theirs, own] = [&reference, &ours].map(|switch| {
            let act = || -> Result<()> {
                let flow = "cookie=5,priority=5,dl_type=0x1234,actions=output:2,controller";
                switch.ofctl(&[&option, "add-flow", BRIDGE, flow])?;
                // What packets did before is forgotten.
                switch.appctl(&["revalidator/wait"])?;
                switch.receive(
                    "p1",
                    "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)",
                )?;
                // It takes its way through other threads.
                let log = switch.folder().join("followed");
                let come = patience::wait(Duration::from_secs(20), || {
                    std::fs::read_to_string(&log).ok().filter(|text| text.contains("PACKET_IN"))
                });
                ensure!(come.is_some(), "{version}: no packet: {}", switch.log_tail());
                switch.ofctl(&[&option, "mod-port", BRIDGE, "p2", "no-flood"])?;
                switch.ofctl(&[&option, "mod-port", BRIDGE, "p2", "flood"])?;
                switch.ofctl(&[&option, "mod-flows", BRIDGE, "dl_type=0x1234,actions=drop"])?;
                switch.ofctl(&[&option, "del-flows", BRIDGE])?;
                Ok(())
            };
            followed(switch, &[&option, "monitor", BRIDGE, "128", "watch:"], act)
        });
        let (theirs, own) = (theirs?, own?);
        ensure!(theirs == own, "{version}\nreference: {theirs:#?}\nours: {own:#?}");
        lines += own.len();
    }
    ensure!(lines > 20, "only {lines} lines");
    Ok(())
}
