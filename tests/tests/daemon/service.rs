//! The installed scripts (`ovs-ctl`, which service units call) with this switch where the
//! reference's file is: in a mount namespace of the test's own, nothing outside changes.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use testkit::folder::Folder;
use testkit::process::run;
use testkit::{daemon, packages};

/// What a run of the scripts prints, by the heading of each part.
struct Parts(HashMap<String, String>);

impl Parts {
    /// Runs `service.sh` with `words` for `ovs-ctl`; `owner` is whose the folders are.
    fn of(owner: &str, words: &str) -> Result<Self> {
        packages::ensure(&["openvswitch-switch"])?;
        let folder = Folder::new("service")?;
        let script = folder.join("service.sh");
        fs::write(&script, include_str!("service.sh"))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--propagation", "private", "bash"]).arg(&script);
        command.arg(daemon::built()?).arg(folder.path()).args([owner, words]);
        let text = run(&mut command)?;
        let mut parts = HashMap::new();
        for part in text.split("== ").skip(1) {
            let (name, text) = part.split_once('\n').unwrap_or((part, ""));
            parts.insert(name.to_owned(), text.to_owned());
        }
        Ok(Self(parts))
    }

    fn get(&self, name: &str) -> Result<&str> {
        Ok(self.0.get(name).with_context(|| format!("no part {name}: {:?}", self.0))?)
    }

    /// What holds for every user.
    fn check(&self) -> Result<()> {
        ensure!(self.get("start")?.contains("Starting ovs-vswitchd."), "{:?}", self.0);
        ensure!(self.get("start")?.ends_with("status 0\n"), "{:?}", self.0);
        let status = self.get("status")?;
        ensure!(status.contains("ovs-vswitchd is running with pid"), "{status}");
        ensure!(self.get("restart")?.contains("Restoring saved flows."), "{:?}", self.0);
        ensure!(self.get("restart")?.ends_with("status 0\n"), "{:?}", self.0);
        // The process is another, and the flows and groups are there as they were.
        let pids = self.get("pids")?.lines().collect::<Vec<_>>();
        ensure!(pids.len() == 2 && pids[0] != pids[1], "{pids:?}");
        let before = self.get("flows before")?;
        ensure!(before.contains("priority=7,in_port=1"), "{before}");
        ensure!(before.contains("group_id=1"), "{before}");
        assert_eq!(before, self.get("flows after")?);
        assert_eq!(self.get("waits")?.trim(), "");
        ensure!(self.get("stop")?.ends_with("status 0\n"), "{:?}", self.0);
        assert_eq!(self.get("left")?.trim(), "");
        Ok(())
    }
}

#[test]
fn the_installed_scripts_start_restart_and_stop_it_and_flows_survive() -> Result<()> {
    let parts = Parts::of("root:root", "--no-mlockall")?;
    parts.check()?;
    ensure!(parts.get("user")?.starts_with("Uid:\t0"), "{:?}", parts.0);
    Ok(())
}

#[test]
fn the_installed_scripts_run_it_as_another_user_with_the_network_s_privileges() -> Result<()> {
    let words = "--ovs-user=nobody:nogroup --no-self-confinement";
    let parts = Parts::of("nobody:nogroup", words)?;
    parts.check()?;
    let user = parts.get("user")?;
    let nobody = run(Command::new("id").args(["-u", "nobody"]))?;
    ensure!(user.starts_with(&format!("Uid:\t{}\t", nobody.trim())), "{user}");
    // Locked memory, raw sockets, administration of the network, broadcasts.
    ensure!(user.contains("CapEff:\t0000000000007800"), "{user}");
    Ok(())
}
