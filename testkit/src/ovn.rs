//! OVN on a switch: its databases, `ovn-northd` and `ovn-controller`, in the switch's folder.
//!
//! The controller that most users have is not one that a test makes up: it sends what it likes, and
//! when one message is refused it begins again, for ever. [`Ovn`] starts Debian's on a [`Reference`],
//! which may as well be the switch under test.
//!
//! # Invariants
//!
//! * All four processes are children of the test and end with the guard, by their own ids.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    packages, patience,
    process::{self, Guarded},
    reference::{BRIDGE, Reference, ReferenceError},
};

/// A running control plane whose only node is one switch.
#[derive(Debug)]
pub struct Ovn {
    // Dropped in this order: whoever asks before whoever answers.
    controller: Guarded,
    northd: Guarded,
    server: Guarded,
    folder: PathBuf,
}

impl Ovn {
    /// Starts it on a switch, whose bridge [`BRIDGE`] becomes the integration bridge. The network is
    /// what these lines of `ovn-nbctl` make, but for those that begin with `#`; the controller starts
    /// when the northbound database has all of it.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] if a package is missing or a daemon does not come up.
    pub fn start(switch: &Reference, network: &str) -> Result<Self, ReferenceError> {
        packages::ensure(&["ovn-central", "ovn-host", "ovn-common"])?;
        let folder = switch.folder().to_owned();
        for (database, schema) in [("nb", "ovn-nb"), ("sb", "ovn-sb")] {
            let mut create = Command::new("ovsdb-tool");
            create.arg("create").arg(folder.join(format!("{database}.db")));
            create.arg(format!("/usr/share/ovn/{schema}.ovsschema"));
            process::run(&mut create)?;
        }
        let socket = |name: &str| format!("unix:{}", folder.join(name).display());
        let control = |name: &str| format!("--unixctl={}", folder.join(name).display());
        let daemon = |program: &str| {
            let mut command = Command::new(program);
            for variable in ["OVS_RUNDIR", "OVN_RUNDIR", "OVS_LOGDIR", "OVN_LOGDIR", "OVN_DBDIR"] {
                command.env(variable, &folder);
            }
            command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::null());
            command.arg(format!("--log-file={}", folder.join(format!("{program}.log")).display()));
            command
        };

        let mut server = daemon("ovsdb-server");
        server.args([folder.join("nb.db"), folder.join("sb.db")]).arg(control("ovn-db.ctl"));
        for name in ["nb.sock", "sb.sock"] {
            server.arg(format!("--remote=p{}", socket(name)));
        }
        // Beside the switch's own, whose name it would have.
        server.arg(format!("--log-file={}", folder.join("ovn-db.log").display()));
        let server = Guarded::spawn(&mut server)?;
        let came = patience::wait(START_LIMIT, || {
            UnixStream::connect(folder.join("sb.sock")).ok().map(drop)
        });
        if came.is_none() {
            return Err(ReferenceError::Start {
                daemon: "ovsdb-server".into(),
                why: format!("no answer within {START_LIMIT:?}"),
                log: fs::read_to_string(folder.join("ovn-db.log")).unwrap_or_default(),
            });
        }

        let bridge = format!("external_ids:ovn-bridge={BRIDGE}");
        let remote = format!("external_ids:ovn-remote={}", socket("sb.sock"));
        switch.vsctl(&[
            "set",
            "Open_vSwitch",
            ".",
            "external_ids:system-id=node1",
            "external_ids:hostname=node1",
            "external_ids:ovn-encap-type=geneve",
            "external_ids:ovn-encap-ip=127.0.0.1",
            "external_ids:ovn-bridge-datapath-type=dummy",
            &bridge,
            &remote,
        ])?;
        let mut northd = daemon("ovn-northd");
        northd.arg(format!("--ovnnb-db={}", socket("nb.sock")));
        northd.arg(format!("--ovnsb-db={}", socket("sb.sock"))).arg(control("northd.ctl"));
        let northd = Guarded::spawn(&mut northd)?;
        for line in network.lines().filter(|line| !line.starts_with('#')) {
            tool(&folder, "ovn-nbctl", "nb.sock", line)?;
        }
        tool(&folder, "ovn-nbctl", "nb.sock", "--wait=sb sync")?;
        let mut controller = daemon("ovn-controller");
        controller.arg(socket("db.sock"));
        controller.arg(format!("--pidfile={}", folder.join("ovn-controller.pid").display()));
        let controller = Guarded::spawn(&mut controller)?;
        Ok(Self { controller, northd, server, folder })
    }

    /// Runs `ovn-nbctl` with these words, quoted as for a shell, and gives its output.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn nbctl(&self, words: &str) -> Result<String, ReferenceError> {
        tool(&self.folder, "ovn-nbctl", "nb.sock", words)
    }

    /// Runs `ovn-sbctl` with these words, quoted as for a shell, and gives its output.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn sbctl(&self, words: &str) -> Result<String, ReferenceError> {
        tool(&self.folder, "ovn-sbctl", "sb.sock", words)
    }

    /// Waits until the controller has put into the switch what the northbound database says.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Start`] with the controller's log if it does not get there.
    pub fn sync(&self) -> Result<(), ReferenceError> {
        self.nbctl("--wait=hv sync").map(drop).map_err(|error| ReferenceError::Start {
            daemon: "ovn-controller".into(),
            why: error.to_string(),
            log: self.log(),
        })
    }

    /// What the controller has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("ovn-controller.log")).unwrap_or_default()
    }
}

/// Runs a tool on one of the databases, with words as for a shell.
fn tool(folder: &Path, program: &str, socket: &str, words: &str) -> Result<String, ReferenceError> {
    let database = folder.join(socket);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("exec {program} --timeout=60 --db=unix:{} {words}", database.display()));
    Ok(process::run(shell.env("OVN_RUNDIR", folder))?)
}

impl Drop for Ovn {
    fn drop(&mut self) {
        for child in [&mut self.controller, &mut self.northd, &mut self.server] {
            if let Err(error) = child.terminate(STOP_LIMIT) {
                eprintln!("{error}");
            }
        }
    }
}

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);
