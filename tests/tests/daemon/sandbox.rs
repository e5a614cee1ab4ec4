//! `dp-vswitchd sandbox`: a switch of one command, for a user without any privilege.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::folder::Folder;
use testkit::process::{Guarded, run};
use testkit::{daemon, patience};

#[test]
fn a_sandbox_of_nobody_forwards_packets_and_ends_with_an_interrupt() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("sandbox")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
    // Where any user may run it.
    let program = folder.join("dp-vswitchd");
    fs::copy(daemon::built()?, &program)?;
    let place = folder.join("switch");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(&program);
    command.arg("sandbox").arg(&place).stdout(fs::File::create(folder.join("said"))?);
    let mut sandbox = Guarded::spawn(&mut command)?;
    let tool = |program: &str, words: &str| {
        let mut command = Command::new(program);
        command.env("OVS_RUNDIR", &place).args(words.split_whitespace());
        run(&mut command)
    };
    let up = || tool("ovs-vsctl", "--timeout=5 list-br").ok();
    patience::wait(LIMIT, up).context("no switch")?;
    // What it said is what there is to do.
    let said = fs::read_to_string(folder.join("said"))?;
    ensure!(said.contains(&format!("export OVS_RUNDIR={}", place.display())), "{said}");
    let commands = said.lines().map(str::trim).filter(|it| it.starts_with("ovs-"));
    let commands: Vec<_> = commands.filter_map(|it| it.split_once(' ')).collect();
    ensure!(commands.len() >= 4, "{said}");
    for (program, words) in commands {
        tool(program, words).with_context(|| format!("{program} {words}"))?;
    }
    tool("ovs-vsctl", "add-port br0 p2 -- set Interface p2 type=dummy")?;
    tool(
        "ovs-appctl",
        "netdev-dummy/receive p1 in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x1234)",
    )?;
    let counters = tool("ovs-ofctl", "dump-ports br0 p2")?;
    ensure!(counters.contains("tx pkts=1,"), "{counters}");
    let status = fs::read_to_string(format!("/proc/{}/status", sandbox.id()))?;
    ensure!(status.contains("Uid:\t65534\t65534"), "{status}");
    ensure!(status.contains("CapEff:\t0000000000000000"), "{status}");
    run(Command::new("kill").args(["-INT", &sandbox.id().to_string()]))?;
    let ended = sandbox.wait(LIMIT)?;
    ensure!(!place.join("ovs-vswitchd.pid").exists(), "a pid file is left ({ended})");
    ensure!(place.join("conf.db").exists(), "the database is gone");
    Ok(())
}

/// Mebibytes that the process has in memory.
fn resident(id: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse::<u64>()? / 1024)
}

#[test]
fn memory_that_many_flows_took_goes_back_to_the_system_when_they_are_gone() -> Result<()> {
    let switch = testkit::reference::Reference::start_ours()?;
    let bridge = testkit::reference::BRIDGE;
    let flow = |at: u32| {
        let [_, a, b, c] = at.to_be_bytes();
        format!("priority={},ip,nw_dst=10.{a}.{b}.{c},actions=drop\n", at % 7)
    };
    let flows: String = (0..FLOWS).map(flow).collect();
    switch.ofctl(&["dump-flows", bridge])?;
    let before = resident(switch.id())?;
    switch.add_flows(bridge, &flows)?;
    let full = resident(switch.id())?;
    ensure!(full > before + 20, "{FLOWS} flows took {before} to {full} MiB: too little to see");
    switch.ofctl(&["del-flows", bridge])?;
    // It is given back twice a minute.
    switch.time_stop()?;
    let given = || {
        switch.time_warp(Duration::from_secs(31), None).ok()?;
        let now = resident(switch.id()).ok()?;
        (now < before + (full - before) / 3).then_some(now)
    };
    let after = patience::wait(LIMIT, given);
    let now = resident(switch.id())?;
    ensure!(after.is_some(), "{before} MiB, {full} MiB with flows, {now} MiB when they are gone");
    Ok(())
}

const FLOWS: u32 = 60_000;
const LIMIT: Duration = Duration::from_secs(20);
