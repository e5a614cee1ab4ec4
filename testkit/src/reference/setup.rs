//! Starting the database and the switch.

use std::{
    fs::File,
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{BRIDGE, Reference, ReferenceError, command, dpdk, log_tail};
use crate::{folder::Folder, netns::Namespace, packages, patience, process::Guarded};

/// What to start, and with which settings.
#[derive(Debug)]
pub struct Setup<'a> {
    daemon: PathBuf,
    arguments: Vec<String>,
    settings: Vec<String>,
    datapath: String,
    namespace: Option<&'a Namespace>,
    embedded: bool,
}

impl<'a> Setup<'a> {
    /// Debian's switch with dummy datapath, dummy ports and a clock that can be stopped.
    #[must_use]
    pub fn new() -> Self {
        Self {
            daemon: "/usr/sbin/ovs-vswitchd".into(),
            arguments: ["--enable-dummy", "--disable-system", "--disable-system-route"]
                .map(str::to_owned)
                .to_vec(),
            settings: Vec::new(),
            datapath: "dummy".into(),
            namespace: None,
            embedded: false,
        }
    }

    /// Debian's switch in a namespace, with the userspace datapath on the interfaces that are there.
    /// Its clock is the real one, and it follows the namespace's routes.
    #[must_use]
    pub fn within(namespace: &'a Namespace) -> Self {
        Self {
            arguments: vec!["--disable-system".into()],
            datapath: "netdev".into(),
            namespace: Some(namespace),
            ..Self::new()
        }
    }

    /// Debian's switch built with DPDK. Huge pages are reserved if too few are free, and stay so.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Package`], [`ReferenceError::HugePages`].
    pub fn dpdk() -> Result<Self, ReferenceError> {
        packages::ensure(&["openvswitch-switch-dpdk"])?;
        dpdk::reserve_memory()?;
        Ok(Self {
            daemon: "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk".into(),
            settings: dpdk::settings(),
            datapath: "netdev".into(),
            ..Self::new()
        })
    }

    /// Puts another daemon in the switch's place. It is started as `ovs-vswitchd`, with the same
    /// arguments.
    #[must_use]
    pub fn daemon(mut self, path: impl Into<PathBuf>) -> Self {
        self.daemon = path.into();
        self
    }

    /// Starts no database server: the daemon, which is ours, serves the database itself.
    ///
    /// # Errors
    ///
    /// What Cargo says where the daemon cannot be built.
    pub fn embedded() -> Result<Self, ReferenceError> {
        Ok(Self { embedded: true, ..Self::new().daemon(crate::daemon::built()?) })
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a column of the `Open_vSwitch` table before the switch starts, as
    /// `other_config:n-handler-threads=1`.
    #[must_use]
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Starts both daemons and adds the bridge [`BRIDGE`], whose flow table is empty.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`], with the daemon's log if it did not come up.
    pub fn start(self) -> Result<Reference, ReferenceError> {
        packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
        let path = std::env::temp_dir();
        let folder =
            Folder::new("switch").map_err(|source| ReferenceError::File { path, source })?;
        create_database(&folder)?;
        let server = if self.embedded { None } else { Some(start_server(&folder)?) };
        let daemon = self.start_daemon(&folder)?;
        let mut reference = Reference { daemon, server, folder };
        reference.await_daemon(&self.daemon)?;
        let datapath = format!("datapath_type={}", self.datapath);
        reference.vsctl(&[
            "add-br",
            BRIDGE,
            "--",
            "set",
            "bridge",
            BRIDGE,
            &datapath,
            "fail_mode=secure",
        ])?;
        Ok(reference)
    }

    fn start_daemon(&self, folder: &Folder) -> Result<Guarded, ReferenceError> {
        let database = format!("unix:{}", folder.join("db.sock").display());
        let mut init = command("ovs-vsctl", folder);
        init.args([&format!("--db={database}"), "--timeout=30", "--no-wait", "init"]);
        if !self.settings.is_empty() {
            init.args(["--", "set", "Open_vSwitch", "."]).args(&self.settings);
        }
        if !self.embedded {
            crate::process::run(&mut init)?;
        }

        let mut daemon = match self.namespace {
            // `ip` cannot give a program another name, the shell can; both become what they start.
            Some(namespace) => {
                let mut shell = namespace.command("bash");
                shell.args(["-c", "exec -a ovs-vswitchd \"$0\" \"$@\""]).arg(&self.daemon);
                shell
            }
            None => {
                let mut daemon = Command::new(&self.daemon);
                // Its name is that of its sockets, by which the tools find it.
                daemon.arg0("ovs-vswitchd");
                daemon
            }
        };
        let known = command("", folder);
        daemon.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let file = format!("file:{}", folder.join("conf.db").display());
        daemon.arg(if self.embedded { &file } else { &database }).args(&self.arguments);
        daemon.arg(format!("--pidfile={}", folder.join("ovs-vswitchd.pid").display()));
        daemon.arg(format!("--log-file={}", folder.join("ovs-vswitchd.log").display()));
        spawn(daemon, folder, "ovs-vswitchd.out")
    }
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Reference {
    /// Waits until the switch answers commands, or has ended.
    fn await_daemon(&mut self, daemon: &Path) -> Result<(), ReferenceError> {
        let failed = |folder: &Folder, why: String| ReferenceError::Start {
            daemon: daemon.to_owned(),
            why,
            log: log_tail(folder),
        };
        let answer = patience::wait(START_LIMIT, || match self.daemon.ended() {
            Ok(Some(status)) => Some(Err(failed(&self.folder, format!("it ended, {status}")))),
            Err(error) => Some(Err(error.into())),
            Ok(None) => self.settle().ok().map(Ok),
        });
        answer.unwrap_or_else(|| {
            Err(failed(&self.folder, format!("no answer within {START_LIMIT:?}")))
        })
    }
}

/// An empty database with the installed schema.
fn create_database(folder: &Folder) -> Result<(), ReferenceError> {
    let mut create = command("ovsdb-tool", folder);
    create.arg("create").arg(folder.join("conf.db")).arg(SCHEMA);
    crate::process::run(&mut create)?;
    Ok(())
}

fn start_server(folder: &Folder) -> Result<Guarded, ReferenceError> {
    let database = folder.join("conf.db");
    let mut server = command("ovsdb-server", folder);
    server.arg(&database);
    server.arg(format!("--remote=punix:{}", folder.join("db.sock").display()));
    server.arg(format!("--pidfile={}", folder.join("ovsdb-server.pid").display()));
    server.arg(format!("--log-file={}", folder.join("ovsdb-server.log").display()));
    let mut server = spawn(server, folder, "ovsdb-server.out")?;
    // The tools do not wait for a database: they ask once.
    let failed = |why: String| ReferenceError::Start {
        daemon: "ovsdb-server".into(),
        why,
        log: std::fs::read_to_string(folder.join("ovsdb-server.out")).unwrap_or_default(),
    };
    let answer = patience::wait(START_LIMIT, || match server.ended() {
        Ok(Some(status)) => Some(Err(failed(format!("it ended, {status}")))),
        Err(error) => Some(Err(error.into())),
        Ok(None) => UnixStream::connect(folder.join("db.sock")).ok().map(|_| Ok(())),
    });
    answer.unwrap_or_else(|| Err(failed(format!("no answer within {START_LIMIT:?}"))))?;
    Ok(server)
}

/// Starts a daemon that says what it says into a file.
fn spawn(mut command: Command, folder: &Folder, out: &str) -> Result<Guarded, ReferenceError> {
    let path = folder.join(out);
    let file_error = |source| ReferenceError::File { path: path.clone(), source };
    let out = File::create(&path).map_err(file_error)?;
    command.stderr(out.try_clone().map_err(file_error)?).stdout(out);
    command.stdin(std::process::Stdio::null());
    Ok(Guarded::spawn(&mut command)?)
}

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const START_LIMIT: Duration = Duration::from_secs(60);
