//! Starting the database and the switch.

use std::{
    fs::File,
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::programs::{Programs, environment};
use super::{BRIDGE, Reference, ReferenceError, dpdk, log_tail};
use crate::{
    folder::Folder,
    netns::Namespace,
    packages::{self, Apart},
    patience,
    process::Guarded,
};

/// What to start, and with which settings.
#[derive(Debug)]
pub struct Setup<'a> {
    programs: Programs,
    /// Another in the switch's place.
    daemon: Option<PathBuf>,
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
            programs: Programs::System,
            daemon: None,
            arguments: ["--enable-dummy", "--disable-system", "--disable-system-route"]
                .map(str::to_owned)
                .to_vec(),
            settings: Vec::new(),
            datapath: "dummy".into(),
            namespace: None,
            embedded: false,
        }
    }

    /// The switch of Debian's next release (3.5), with its tools and its database's schema. They judge
    /// another daemon as well: `Setup::newer()?.daemon(testkit::daemon::built()?)`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Package`] if its packages cannot be fetched.
    pub fn newer() -> Result<Self, ReferenceError> {
        Ok(Self { programs: Programs::Newer(Apart::trixie()?), ..Self::new() })
    }

    /// Debian's switch in a namespace, with the userspace datapath on the interfaces that are there.
    /// Its clock is the real one, and it follows the namespace's routes.
    #[must_use]
    pub fn within(namespace: &'a Namespace) -> Self {
        Self::new().and_within(namespace)
    }

    /// As [`Setup::within`], for what has been set up already; it comes before arguments.
    #[must_use]
    pub fn and_within(mut self, namespace: &'a Namespace) -> Self {
        self.arguments = vec!["--disable-system".into()];
        self.datapath = "netdev".into();
        self.namespace = Some(namespace);
        self
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
            daemon: Some("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk".into()),
            settings: dpdk::settings(),
            datapath: "netdev".into(),
            ..Self::new()
        })
    }

    /// Puts another daemon in the switch's place. It is started as `ovs-vswitchd`, with the same
    /// arguments.
    #[must_use]
    pub fn daemon(mut self, path: impl Into<PathBuf>) -> Self {
        self.daemon = Some(path.into());
        self
    }

    /// Starts no database server: the daemon, which is ours, serves the database itself.
    ///
    /// # Errors
    ///
    /// What Cargo says where the daemon cannot be built.
    pub fn embedded() -> Result<Self, ReferenceError> {
        Self::new().and_embedded()
    }

    /// As [`Setup::embedded`], with the tools and the schema that were chosen.
    ///
    /// # Errors
    /// What Cargo says where the daemon cannot be built.
    pub fn and_embedded(self) -> Result<Self, ReferenceError> {
        Ok(Self { embedded: true, ..self.daemon(crate::daemon::built()?) })
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
        create_database(&self.programs, &folder)?;
        let server =
            if self.embedded { None } else { Some(start_server(&self.programs, &folder)?) };
        let words = match &self.daemon {
            Some(path) => vec![path.to_string_lossy().into_owned()],
            None => self.programs.switch(),
        };
        let daemon = self.start_daemon(&words, &folder)?;
        let mut reference = Reference { daemon, server, folder, programs: self.programs };
        reference.await_daemon(Path::new(words.last().map_or("", String::as_str)))?;
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

    fn start_daemon(&self, words: &[String], folder: &Folder) -> Result<Guarded, ReferenceError> {
        let database = format!("unix:{}", folder.join("db.sock").display());
        let mut init = self.programs.command("ovs-vsctl", folder);
        init.args([&format!("--db={database}"), "--timeout=30", "--no-wait", "init"]);
        if !self.settings.is_empty() {
            init.args(["--", "set", "Open_vSwitch", "."]).args(&self.settings);
        }
        if !self.embedded {
            crate::process::run(&mut init)?;
        }

        let none = String::new();
        let mut daemon = match self.namespace {
            // `ip` cannot give a program another name, the shell can; both become what they start.
            Some(namespace) => {
                let mut shell = namespace.command("bash");
                shell.args(["-c", "exec -a ovs-vswitchd \"$0\" \"$@\""]).args(words);
                shell
            }
            None => {
                let (program, arguments) = words.split_first().unwrap_or((&none, &[]));
                let mut daemon = Command::new(program);
                daemon.args(arguments);
                // Its name is that of its sockets, by which the tools find it.
                daemon.arg0("ovs-vswitchd");
                daemon
            }
        };
        daemon.envs(environment(folder));
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

/// An empty database with the release's schema.
fn create_database(programs: &Programs, folder: &Folder) -> Result<(), ReferenceError> {
    let mut create = programs.command("ovsdb-tool", folder);
    create.arg("create").arg(folder.join("conf.db")).arg(programs.schema());
    crate::process::run(&mut create)?;
    Ok(())
}

fn start_server(programs: &Programs, folder: &Folder) -> Result<Guarded, ReferenceError> {
    let database = folder.join("conf.db");
    let mut server = programs.command("ovsdb-server", folder);
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

const START_LIMIT: Duration = Duration::from_secs(60);
