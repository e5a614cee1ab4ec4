//! Real neighbours in namespaces of their own: FRR's BFD, and multicast routers and receivers of the
//! kernel.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::netns::{Namespace, veth_pair};
use testkit::process::{self, Guarded};
use testkit::reference::{BRIDGE, Reference, Setup};
use testkit::{packages, patience};

const LIMIT: Duration = Duration::from_secs(30);

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Asks until it is true.
fn await_that(what: &str, mut ask: impl FnMut() -> bool) -> Result<()> {
    patience::wait(LIMIT, || ask().then_some(())).with_context(|| format!("not so: {what}"))
}

/// FRR's BFD daemon in a namespace, with its routing table beside it and a folder of its own.
struct Frr {
    _bfdd: Guarded,
    _zebra: Guarded,
    folder: Folder,
}

/// The session, as FRR's commands name it.
const PEER: &str = "peer 169.254.1.1 local-address 169.254.1.2 interface e0";

impl Frr {
    fn start(namespace: &Namespace) -> Result<Self> {
        packages::ensure(&["frr"])?;
        let folder = Folder::new("frr")?;
        let config = format!(
            "bfd\n {PEER}\n  receive-interval 100\n  transmit-interval 100\n  detect-multiplier 3\n"
        );
        std::fs::write(folder.join("bfdd.conf"), config)?;
        std::fs::write(folder.join("zebra.conf"), "")?;
        // FRR gives its rights up, and then writes here.
        process::run(Command::new("chown").args(["-R", "frr:frr"]).arg(folder.path()))?;
        let start = |daemon: &str, more: &[&str]| -> Result<Guarded> {
            let at = |name: &str| folder.join(name).display().to_string();
            let program = format!("/usr/lib/frr/{daemon}");
            let (zserv, own) = (at("zserv.api"), folder.path().display().to_string());
            let (pid, config) = (at(&format!("{daemon}.pid")), at(&format!("{daemon}.conf")));
            let mut all = vec![program.as_str(), "-u", "frr", "-g", "frr", "-P", "0", "-z", &zserv];
            all.extend(["-i", &pid, "-f", &config, "--vty_socket", &own]);
            all.extend(more);
            Ok(namespace.spawn(&all)?)
        };
        let zebra = start("zebra", &[])?;
        await_that("zebra serves", || folder.join("zserv.api").exists())?;
        let control = folder.join("bfdd.sock").display().to_string();
        let bfdd = start("bfdd", &["--bfdctl", &control])?;
        let frr = Self { _bfdd: bfdd, _zebra: zebra, folder };
        await_that("bfdd answers", || frr.ask(&["show bfd peers"]).is_ok())?;
        Ok(frr)
    }

    fn ask(&self, commands: &[&str]) -> Result<String> {
        let mut vtysh = Command::new("vtysh");
        vtysh.arg("--vty_socket").arg(self.folder.path()).args(["-d", "bfdd"]);
        commands.iter().for_each(|command| _ = vtysh.args(["-c", command]));
        Ok(process::run(&mut vtysh)?)
    }

    /// What it says of a session: `key` of `show bfd peers json`.
    fn says(&self, key: &str, value: &str) -> bool {
        let text = self.ask(&["show bfd peers json"]).unwrap_or_default();
        text.contains(&format!("\"{key}\":\"{value}\""))
            || text.contains(&format!("\"{key}\":{value},"))
    }

    fn shut(&self, shut: bool) -> Result<()> {
        let word = if shut { "shutdown" } else { "no shutdown" };
        self.ask(&["configure terminal", "bfd", PEER, word]).map(drop)
    }
}

fn ours(namespace: &Namespace) -> Result<Reference> {
    Ok(Setup::within(namespace).daemon(testkit::daemon::built()?).start()?)
}

#[test]
fn bfd_sessions_with_frr_come_up_and_flap_from_either_side() -> Result<()> {
    let (a, b) = (Namespace::quiet("bfd")?, Namespace::quiet("frr")?);
    veth_pair((&a, "e1"), (&b, "e0"))?;
    a.mac("e1", "02:00:00:00:00:01")?;
    b.mac("e0", "02:00:00:00:00:02")?;
    b.address("e0", "169.254.1.2/24")?;
    // Nobody answers ARP for a switch's BFD.
    b.ip(&words("neigh add 169.254.1.1 lladdr 02:00:00:00:00:01 dev e0"))?;
    let (frr, switch) = (Frr::start(&b)?, ours(&a)?);
    let session = format!(
        "add-port {BRIDGE} e1 -- set interface e1 bfd:enable=true bfd:min_rx=120 bfd:min_tx=150 \
         bfd:bfd_local_dst_mac=02:00:00:00:00:02 bfd:bfd_src_ip=169.254.1.1 \
         bfd:bfd_dst_ip=169.254.1.2"
    );
    switch.vsctl(&words(&session))?;
    let own = |key: &str| {
        let column = format!("bfd_status:{key}");
        let text = switch.vsctl(&["get", "interface", "e1", &column]).unwrap_or_default();
        text.trim().trim_matches('"').to_owned()
    };
    let both = |state: &str| own("state") == state && frr.says("status", state);
    await_that("the session is up", || both("up"))?;
    await_that("both sides know", || own("remote_state") == "up" && own("forwarding") == "true")?;
    // Intervals are negotiated, each end's own.
    await_that("FRR knows our intervals", || {
        frr.says("remote-receive-interval", "120") && frr.says("remote-transmit-interval", "150")
    })?;
    await_that("we know FRR's", || {
        let text = switch.appctl(&["bfd/show", "e1"]).unwrap_or_default();
        text.contains("Remote Minimum TX Interval: 100ms")
            && text.contains("  TX Interval: Approx 150ms")
    })?;

    // FRR's operator shuts it.
    frr.shut(true)?;
    await_that("FRR has shut it", || own("state") == "down")?;
    await_that("why is told", || {
        own("diagnostic") == "Neighbor Signaled Session Down" && own("forwarding") == "false"
    })?;
    frr.shut(false)?;
    await_that("the session is up again", || both("up"))?;

    // Our operator shuts it.
    switch.vsctl(&words("set interface e1 bfd:enable=false"))?;
    await_that("FRR misses us", || frr.says("status", "down"))?;
    await_that("FRR says why", || frr.says("diagnostic", "control detection time expired"))?;
    switch.vsctl(&words("set interface e1 bfd:enable=true"))?;
    await_that("the session is up a third time", || both("up"))?;

    // The path tells no more: both find out.
    b.ip(&words("link set e0 down"))?;
    await_that("the link is down", || own("state") == "down" && frr.says("status", "down"))?;
    await_that("why is told", || own("diagnostic") == "Control Detection Time Expired")?;
    b.ip(&words("link set e0 up"))?;
    b.ip(&words("neigh replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev e0"))?;
    await_that("the link is back", || both("up"))?;

    // Trouble behind the switch.
    switch.vsctl(&words("set interface e1 bfd:cpath_down=true"))?;
    await_that("FRR hears of it", || frr.says("remote-diagnostic", "concatenated path down"))?;
    ensure!(both("up"), "the session itself goes on");
    Ok(())
}
