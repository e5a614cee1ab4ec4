//! TLS with the reference's tools and the certificates that its own tool makes.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::process::{Guarded, output, run};
use testkit::{daemon, patience};

/// A folder with two authorities and who they have signed; and another pair that nobody trusts.
struct Pki(Folder);

impl Pki {
    fn new() -> Result<Self> {
        let it = Self(Folder::new("tls")?);
        for (pki, names) in [("good", ["sw", "sw2", "ctl"]), ("bad", ["bsw", "bsw2", "bctl"])] {
            it.tool(pki, &["init"])?;
            for (name, class) in names.iter().zip(["switch", "switch", "controller"]) {
                it.tool(pki, &["req+sign", name, class])?;
            }
        }
        Ok(it)
    }

    fn tool(&self, pki: &str, words: &[&str]) -> Result<()> {
        let mut command = Command::new("ovs-pki");
        command.current_dir(self.0.path()).arg("--force").args(words);
        command.arg(format!("--dir={}", self.0.join(pki).display()));
        command.arg(format!("--log={}", self.0.join("pki.log").display()));
        run(&mut command).context("ovs-pki")?;
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The options of somebody who believes this authority.
    fn options(&self, name: &str, authority: &str) -> [String; 3] {
        [
            format!("--private-key={}", self.path(&format!("{name}-privkey.pem"))),
            format!("--certificate={}", self.path(&format!("{name}-cert.pem"))),
            format!("--ca-cert={}", self.path(&format!("{authority}/cacert.pem"))),
        ]
    }

    /// Those of a controller that belongs here.
    fn controller(&self) -> [String; 3] {
        self.options("ctl", "good/switchca")
    }
}

/// The daemon, started in a folder of its own.
struct Switch {
    folder: Folder,
    _daemon: Guarded,
}

impl Switch {
    fn start(database: Option<&str>, options: &[String]) -> Result<Self> {
        let folder = Folder::new("tls-switch")?;
        let mut command = Command::new(daemon::built()?);
        command.arg0("ovs-vswitchd").env("OVS_RUNDIR", folder.path());
        let own = format!("file:{}", folder.join("conf.db").display());
        command.arg(database.unwrap_or(&own)).args(options);
        command.args(["--enable-dummy", "--disable-system", "--disable-system-route"]);
        command.args(["--pidfile", "-vconsole:off"]);
        command.arg(format!("--log-file={}", folder.join("log").display()));
        let daemon = Guarded::spawn(&mut command)?;
        let it = Self { folder, _daemon: daemon };
        if database.is_none() {
            let up = || it.vsctl("show").ok();
            patience::wait(Duration::from_secs(10), up).context("the daemon does not listen")?;
        }
        Ok(it)
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db=unix:{}", self.folder.join("db.sock").display()));
        Ok(run(command.arg("--timeout=10").args(words.split_whitespace()))?)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// Lets a manager be connected to; the remote to do it at.
fn listen(switch: &Switch) -> Result<String> {
    switch.vsctl("set-manager pssl:0:127.0.0.1")?;
    let bound = || switch.vsctl("get Manager . status:bound_port").ok();
    let bound = patience::wait(Duration::from_secs(5), bound).context("no port is told")?;
    Ok(format!("ssl:127.0.0.1:{}", bound.trim().trim_matches('"')))
}

fn dump(remote: &str, options: &[String; 3]) -> Result<bool> {
    let mut command = Command::new("ovsdb-client");
    command.args(["--timeout=10", "dump"]).args(options);
    Ok(output(command.args([remote, "Open_vSwitch", "Bridge", "name"]))?.status.success())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[test]
fn managers_and_controllers_speak_tls_and_strangers_are_refused() -> Result<()> {
    let pki = Pki::new()?;
    let switch = Switch::start(None, &pki.options("sw", "good/controllerca"))?;
    switch.vsctl("add-br br0 -- set Bridge br0 datapath_type=dummy fail_mode=secure")?;
    let remote = listen(&switch)?;
    ensure!(dump(&remote, &pki.controller())?, "{}", switch.log());
    // A stranger; a good one that takes us for a stranger; nobody at all.
    ensure!(!dump(&remote, &pki.options("bctl", "good/switchca"))?);
    ensure!(!dump(&remote, &pki.options("ctl", "bad/switchca"))?);
    let plain = remote.replace("ssl:", "tcp:");
    let mut command = Command::new("ovsdb-client");
    command.args(["--timeout=3", "list-dbs", &plain]);
    ensure!(!output(&mut command)?.status.success());
    ensure!(switch.log().contains("|stream_ssl|WARN|"), "{}", switch.log());

    // OpenFlow, called and calling.
    let port = free_port()?;
    switch.vsctl(&format!("set-controller br0 pssl:{port}:127.0.0.1"))?;
    let show = |options: &[String; 3]| -> Result<bool> {
        let mut command = Command::new("ovs-ofctl");
        command.arg("--timeout=10").args(options);
        command.args(["show", &format!("ssl:127.0.0.1:{port}")]);
        Ok(output(&mut command)?.status.success())
    };
    ensure!(
        patience::wait(Duration::from_secs(5), || show(&pki.controller()).ok()?.then_some(()))
            .is_some()
    );
    ensure!(!show(&pki.options("bctl", "good/switchca"))?);

    // The switch connects to a manager that waits.
    let port = free_port()?;
    switch.vsctl(&format!("set-manager ssl:127.0.0.1:{port}"))?;
    let mut command = Command::new("ovs-vsctl");
    command.args(pki.controller()).arg(format!("--db=pssl:{port}:127.0.0.1"));
    let bridges = run(command.args(["--timeout=20", "list-br"]))?;
    assert_eq!(bridges.trim(), "br0");
    ensure!(dump(&listen(&switch)?, &pki.controller())?, "it still serves");
    Ok(())
}

#[test]
fn files_of_the_database_are_followed_as_they_change() -> Result<()> {
    let pki = Pki::new()?;
    let switch = Switch::start(None, &[])?;
    for name in ["cert", "privkey"] {
        fs::copy(pki.path(&format!("sw-{name}.pem")), pki.path(&format!("now-{name}.pem")))?;
    }
    let remote = listen(&switch)?;
    ensure!(!dump(&remote, &pki.controller())?, "nothing is known of TLS yet");
    ensure!(switch.log().contains("Private key must be configured to use SSL"));
    let (key, certificate) = (pki.path("now-privkey.pem"), pki.path("now-cert.pem"));
    let authority = pki.path("good/controllerca/cacert.pem");
    switch.vsctl(&format!("set-ssl {key} {certificate} {authority}"))?;
    ensure!(dump(&remote, &pki.controller())?, "{}", switch.log());
    // Another certificate that is as good, then one that is not, then the first again.
    for (name, good) in [("sw2", true), ("bsw", false), ("sw", true)] {
        fs::copy(pki.path(&format!("{name}-privkey.pem")), &key)?;
        fs::copy(pki.path(&format!("{name}-cert.pem")), &certificate)?;
        ensure!(dump(&remote, &pki.controller())? == good, "{name}: {}", switch.log());
    }
    let protocols = |words: &str| switch.vsctl(&format!("set SSL . {words}"));
    if protocols("ssl_protocols=TLSv1.3").is_ok() {
        ensure!(dump(&remote, &pki.controller())?, "{}", switch.log());
    }
    switch.vsctl("del-ssl")?;
    ensure!(!dump(&remote, &pki.controller())?);
    Ok(())
}

#[test]
fn the_database_is_reached_through_tls_and_an_authority_is_kept() -> Result<()> {
    let pki = Pki::new()?;
    let folder = Folder::new("tls-server")?;
    let database = folder.join("conf.db");
    let schema = "/usr/share/openvswitch/vswitch.ovsschema";
    run(Command::new("ovsdb-tool").arg("create").arg(&database).arg(schema))?;
    let port = free_port()?;
    let mut server = Command::new("ovsdb-server");
    server.env("OVS_RUNDIR", folder.path()).arg(&database).args(pki.controller());
    server.arg(format!("--peer-ca-cert={}", pki.path("good/controllerca/cacert.pem")));
    server.arg(format!("--remote=punix:{}", folder.join("db.sock").display()));
    server.arg(format!("--remote=pssl:{port}:127.0.0.1"));
    let _server = Guarded::spawn(&mut server)?;
    let vsctl = |words: &str| {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db=unix:{}", folder.join("db.sock").display()));
        run(command.arg("--timeout=20").args(words.split_whitespace()))
    };
    patience::wait(Duration::from_secs(10), || vsctl("--no-wait init").ok())
        .context("no server")?;
    let kept = pki.path("kept.pem");
    let mut options = pki.options("sw", "good/controllerca").to_vec();
    options[2] = format!("--bootstrap-ca-cert={kept}");
    let switch = Switch::start(Some(&format!("ssl:127.0.0.1:{port}")), &options)?;
    // Returns when the change is in force.
    vsctl("add-br br0 -- set Bridge br0 datapath_type=dummy").with_context(|| switch.log())?;
    ensure!(switch.log().contains("successfully bootstrapped CA cert"), "{}", switch.log());
    let der = |path: &str| {
        run(Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-in", path]))
    };
    assert_eq!(der(&kept)?, der(&pki.path("good/controllerca/cacert.pem"))?);
    drop(switch);

    // A server that is not of the authority is left alone.
    let options = pki.options("sw", "bad/controllerca");
    let switch = Switch::start(Some(&format!("ssl:127.0.0.1:{port}")), &options)?;
    let refused = || switch.log().contains("connection attempt failed").then_some(());
    ensure!(patience::wait(Duration::from_secs(10), refused).is_some(), "{}", switch.log());
    ensure!(vsctl("--timeout=2 add-br br1").is_err(), "nobody is there to apply it");
    Ok(())
}

#[test]
fn an_authority_that_the_database_asks_to_keep_is_kept_and_believed() -> Result<()> {
    let pki = Pki::new()?;
    let switch = Switch::start(None, &[])?;
    let (key, certificate) = (pki.path("sw-privkey.pem"), pki.path("sw-cert.pem"));
    let kept = pki.path("kept.pem");
    switch.vsctl(&format!("-- --bootstrap set-ssl {key} {certificate} {kept}"))?;
    let ask = |options: [String; 3]| -> Result<bool> {
        let port = free_port()?;
        switch.vsctl(&format!("set-manager ssl:127.0.0.1:{port}"))?;
        let mut command = Command::new("ovs-vsctl");
        command.args(options).arg(format!("--db=pssl:{port}:127.0.0.1"));
        command.arg(format!("--peer-ca-cert={}", pki.path("good/controllerca/cacert.pem")));
        Ok(output(command.args(["--timeout=6", "list-br"]))?.status.success())
    };
    // The first manager may be lost on the way, as its authority is only taken down.
    let connected = patience::wait(Duration::from_secs(30), || {
        ask(pki.controller()).ok().filter(|done| *done).map(|_| ())
    });
    ensure!(connected.is_some(), "{}", switch.log());
    let print = |path: &str| {
        run(Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-in", path]))
    };
    assert_eq!(print(&kept)?, print(&pki.path("good/controllerca/cacert.pem"))?);
    // From then on no other will do.
    ensure!(!ask(pki.options("bctl", "good/switchca"))?, "{}", switch.log());
    ensure!(ask(pki.controller())?, "{}", switch.log());
    Ok(())
}

#[test]
fn a_controller_that_is_called_is_believed_once_and_then_no_other() -> Result<()> {
    testkit::packages::ensure(&["openvswitch-testcontroller"])?;
    let pki = Pki::new()?;
    let switch = Switch::start(None, &[])?;
    let (key, certificate) = (pki.path("sw-privkey.pem"), pki.path("sw-cert.pem"));
    let kept = pki.path("kept.pem");
    switch.vsctl(&format!("-- --bootstrap set-ssl {key} {certificate} {kept}"))?;
    switch.vsctl("add-br br0 -- set Bridge br0 datapath_type=dummy fail_mode=secure")?;
    let connected = |options: [String; 3], seconds: u64| -> Result<bool> {
        let port = free_port()?;
        let mut command = Command::new("ovs-testcontroller");
        command.env("OVS_RUNDIR", switch.folder.path()).args(options);
        command.arg(format!("--peer-ca-cert={}", pki.path("good/controllerca/cacert.pem")));
        command.arg(format!("--unixctl={}", switch.folder.join("controller.ctl").display()));
        let _controller = Guarded::spawn(command.arg(format!("pssl:{port}:127.0.0.1")))?;
        switch.vsctl(&format!(
            "set-controller br0 ssl:127.0.0.1:{port} -- set Controller br0 max_backoff=1000"
        ))?;
        let is = || {
            let text = switch.vsctl("--bare --columns=is_connected list Controller").ok()?;
            (text.trim() == "true").then_some(())
        };
        Ok(patience::wait(Duration::from_secs(seconds), is).is_some())
    };
    // The first call takes the authority down, the next believes it.
    ensure!(connected(pki.controller(), 30)?, "{}", switch.log());
    let print = |path: &str| {
        run(Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-in", path]))
    };
    assert_eq!(print(&kept)?, print(&pki.path("good/controllerca/cacert.pem"))?);
    ensure!(!connected(pki.options("bctl", "good/switchca"), 4)?, "{}", switch.log());
    ensure!(connected(pki.controller(), 30)?, "{}", switch.log());
    Ok(())
}

#[test]
fn wrong_settings_are_said() -> Result<()> {
    let folder = Folder::new("tls-wrong")?;
    let missing: PathBuf = folder.join("no.pem");
    let options = ["--private-key", "--certificate", "--ca-cert"]
        .map(|it| format!("{it}={}", missing.display()));
    let switch = Switch::start(Some("ssl:127.0.0.1:1"), &options)?;
    let said = || switch.log().contains("no.pem: No such file or directory").then_some(());
    ensure!(patience::wait(Duration::from_secs(10), said).is_some(), "{}", switch.log());
    Ok(())
}
