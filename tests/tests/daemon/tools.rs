//! `ovs-tcpdump` and `ovs-pcap`, unmodified.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::patience;
use testkit::process::run;
use testkit::reference::{BRIDGE, Setup};

#[test]
fn a_port_is_watched_by_a_mirror_that_goes_with_the_watcher() -> Result<()> {
    testkit::packages::ensure(&["python3-netifaces", "python3-openvswitch", "tcpdump"])?;
    let (own, left, right) = (
        Namespace::quiet("watch")?,
        Namespace::quiet("watch-left")?,
        Namespace::quiet("watch-right")?,
    );
    veth_pair((&own, "v0"), (&left, "eth0"))?;
    veth_pair((&own, "w0"), (&right, "eth0"))?;
    let switch = Setup::within(&own).daemon(testkit::daemon::built()?).start()?;
    let words = "set-fail-mode br0 standalone -- add-port br0 v0 -- add-port br0 w0";
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let file = switch.folder().join("seen.pcap");
    let database = format!("unix:{}", switch.folder().join("db.sock").display());
    let folder = format!("OVS_RUNDIR={}", switch.folder().display());
    let mut watcher = own.spawn(&[
        "env",
        &folder,
        // Debian's interpreter has the modules of the tool.
        "/usr/bin/python3",
        "/usr/bin/ovs-tcpdump",
        "--db-sock",
        &database,
        "-i",
        "v0",
        "-n",
        "-U",
        "-c",
        "3",
        "-w",
        &file.to_string_lossy(),
        "ether proto 0x1234",
    ])?;
    let mirror = || switch.vsctl(&["--bare", "--columns=name", "list", "Mirror"]).ok();
    let there = || mirror().filter(|text| !text.trim().is_empty()).map(drop);
    patience::wait(LIMIT, there).context("no mirror")?;
    // The capture begins a moment after the mirror.
    let socket = left.frames("eth0")?;
    let header = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x50, 0x54, 0, 0, 0, 9, 0x12, 0x34];
    let ended = patience::wait(LIMIT, || {
        let _ = socket.send(&[&header[..], &[7; 46]].concat());
        watcher.ended().ok().flatten()
    });
    let ended = ended.context("the watcher does not see enough")?;
    ensure!(ended.success(), "{ended}");
    let hex = run(Command::new("/usr/bin/python3").arg("/usr/bin/ovs-pcap").arg(&file))?;
    let frames: Vec<&str> = hex.lines().collect();
    ensure!(frames.len() == 3, "{hex}");
    ensure!(frames.iter().all(|it| it.starts_with("ffffffffffff5054000000091234")), "{hex}");
    ensure!(fs::metadata(&file)?.len() > 24, "an empty capture");
    let gone = || mirror().filter(|text| text.trim().is_empty()).map(drop);
    patience::wait(LIMIT, gone).context("the mirror stays")?;
    ensure!(!switch.vsctl(&["list-ports", BRIDGE])?.contains("mi"), "its port stays");
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(30);
