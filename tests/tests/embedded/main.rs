//! The daemon with its database inside: no server beside it, the tools unmodified, and nothing lost
//! that was acknowledged.

mod durable;
mod many;
mod moving;
mod protocol;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::process::{Guarded, output, run};
use testkit::seed::Rng;
use testkit::{daemon, patience};

/// A daemon that serves the database in its folder.
struct Embedded {
    folder: Folder,
    program: PathBuf,
    daemon: Option<Guarded>,
}

impl Embedded {
    fn new() -> Result<Self> {
        let folder = Folder::new("embedded")?;
        let mut it = Self { folder, program: daemon::built()?, daemon: None };
        it.start()?;
        Ok(it)
    }

    fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg0("ovs-vswitchd").env("OVS_RUNDIR", self.folder.path());
        command.arg(format!("file:{}", self.folder.join("conf.db").display()));
        command.args(["--enable-dummy", "--disable-system", "--disable-system-route", "--pidfile"]);
        command.args(["-vconsole:off", "--overwrite-pidfile"]);
        command.arg(format!("--log-file={}", self.folder.join("log").display()));
        let daemon = self.daemon.insert(Guarded::spawn(&mut command)?);
        let socket = self.folder.join("db.sock");
        let up = || {
            if daemon.ended().is_ok_and(|it| it.is_some()) {
                return Some(false);
            }
            std::os::unix::net::UnixStream::connect(&socket).ok().map(|_| true)
        };
        let up = patience::wait(Duration::from_secs(10), up);
        ensure!(up.context("the daemon does not listen")?, "the daemon has ended");
        Ok(())
    }

    /// Ends the daemon as a fault would.
    fn kill(&mut self) {
        // Dropping the guard kills it, by its own id.
        self.daemon = None;
    }

    fn vsctl(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ovs-vsctl");
        command.env("OVS_RUNDIR", self.folder.path());
        command.arg(format!("--db=unix:{}", self.folder.join("db.sock").display()));
        command.arg("--timeout=10").args(words);
        command
    }

    /// Waits until what comes in at the port `in` leaves at the port `out`.
    fn passes_a_packet(&self) -> Result<()> {
        run(&mut self.vsctl(&["wait-until", "Interface", "out", "ofport>0"]))?;
        let tool = |program: &str, words: &[&str]| {
            run(Command::new(program).env("OVS_RUNDIR", self.folder.path()).args(words))
        };
        let packet = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),\
                      eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=64,\
                      frag=no),icmp(type=8,code=0)";
        let passed = || {
            tool("ovs-appctl", &["netdev-dummy/receive", "in", packet]).ok()?;
            let counters = tool("ovs-ofctl", &["dump-ports", "br0", "out"]).ok()?;
            let sent = counters.lines().find(|it| it.contains("tx pkts="))?;
            (!sent.contains("pkts=0,")).then_some(())
        };
        patience::wait(Duration::from_secs(10), passed).context("no packet passes")
    }
}

#[test]
fn tools_find_the_database_inside_as_they_find_a_server() -> Result<()> {
    let switch = Embedded::new()?;
    let vsctl = |words: &str| run(&mut switch.vsctl(&words.split_whitespace().collect::<Vec<_>>()));
    vsctl("add-br br0 -- set Bridge br0 datapath_type=dummy")?;
    vsctl("add-port br0 p1 -- set Interface p1 type=dummy ofport_request=7")?;
    assert_eq!(vsctl("get Interface p1 ofport")?.trim(), "7");
    assert_eq!(vsctl("list-ports br0")?.trim(), "p1");
    ensure!(vsctl("add-port br0 p1").is_err());
    let port = "ptcp:0:127.0.0.1";
    vsctl(&format!("set-manager {port}"))?;
    let bound = patience::wait(Duration::from_secs(5), || {
        vsctl(&format!("get Manager {port} status:bound_port")).ok()
    });
    let bound = bound.context("the manager's port is not told")?;
    let remote = format!("tcp:127.0.0.1:{}", bound.trim().trim_matches('"'));
    let dump =
        run(Command::new("ovsdb-client").args(["dump", &remote, "Open_vSwitch", "Port", "name"]))?;
    ensure!(dump.contains("p1"), "{dump}");
    vsctl("wait-until Interface p1 link_state=up")?;
    vsctl("del-br br0")?;
    assert_eq!(vsctl("list-br")?.trim(), "");
    Ok(())
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() -> Result<()> {
    let mut switch = Embedded::new()?;
    let words = "add-br br0 -- set Bridge br0 datapath_type=dummy -- add-port br0 in -- set \
                 Interface in type=dummy -- add-port br0 out -- set Interface out type=dummy";
    run(&mut switch.vsctl(&words.split_whitespace().collect::<Vec<_>>()))?;
    let rounds = std::env::var("DP_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut seed = Rng::new(7);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let commands: Vec<(String, Command)> = (0..50)
            .map(|n| {
                let name = format!("p{}", round * 50 + n);
                let words = ["--no-wait", "add-port", "br0", &name, "--", "set", "Interface"];
                let command = switch.vsctl(&[&words[..], &[&name, "type=dummy"]].concat());
                (name.clone(), command)
            })
            .collect();
        let writer = {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for (name, mut command) in commands {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if output(&mut command).is_ok_and(|it| it.status.success()) {
                        acknowledged.lock().unwrap().push(name);
                    }
                }
            })
        };
        // After a few that were acknowledged, at any moment of the next.
        let enough = acknowledged.lock().unwrap().len() + usize::try_from(seed.below(4))?;
        patience::wait(Duration::from_secs(20), || {
            (acknowledged.lock().unwrap().len() >= enough).then_some(())
        });
        thread::sleep(Duration::from_millis(seed.below(30)));
        switch.kill();
        stop.store(true, Ordering::Relaxed);
        // A tool that was under way goes on with the next daemon.
        switch.start()?;
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        let ports = run(&mut switch.vsctl(&["list-ports", "br0"]))?;
        let there: std::collections::BTreeSet<&str> = ports.lines().collect();
        for name in acknowledged.lock().unwrap().iter() {
            ensure!(
                there.contains(name.as_str()),
                "round {round}: {name} was acknowledged and is gone"
            );
        }
        switch.passes_a_packet().with_context(|| format!("round {round}"))?;
    }
    println!("{} changes acknowledged over {rounds} kills", acknowledged.lock().unwrap().len());
    ensure!(acknowledged.lock().unwrap().len() > 20, "hardly anything was tried");
    Ok(())
}

/// How often the daemon is killed, unless `DP_KILL_ROUNDS` says another number.
const ROUNDS: usize = 20;
