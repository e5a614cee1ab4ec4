//! Where the daemon's files are: folders of the environment, else those of the system.

use std::env;
use std::path::{Path, PathBuf};

/// The folders.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Sockets and pid files: `OVS_RUNDIR`.
    pub(crate) run: PathBuf,
    /// Logs: `OVS_LOGDIR`.
    pub(crate) log: PathBuf,
    /// The program's name: the last part of `argv[0]`.
    pub(crate) program: String,
    /// The folder that relative names of the command line are meant in.
    pub(crate) start: PathBuf,
    /// The database names sockets of the run folder only: no `--no-self-confinement`.
    pub(crate) confined: bool,
}

impl Paths {
    /// Reads the environment.
    pub(crate) fn from_environment(program: &str) -> Self {
        let folder = |name, default: &str| {
            env::var_os(name).filter(|it| !it.is_empty()).map_or(default.into(), PathBuf::from)
        };
        Self {
            run: folder("OVS_RUNDIR", "/var/run/openvswitch"),
            log: folder("OVS_LOGDIR", "/var/log/openvswitch"),
            program: program.to_owned(),
            start: env::current_dir().unwrap_or_else(|_| "/".into()),
            confined: true,
        }
    }

    /// A file named on the command line or in a setting; a relative one is in the run folder.
    pub(crate) fn in_run_folder(&self, file: impl AsRef<Path>) -> PathBuf {
        self.start.join(&self.run).join(file)
    }

    /// The pid file, given the argument of `--pidfile`.
    pub(crate) fn pidfile(&self, argument: Option<&str>) -> PathBuf {
        match argument {
            Some(file) => self.in_run_folder(file),
            None => self.in_run_folder(format!("{}.pid", self.program)),
        }
    }

    /// The log file, given the argument of `--log-file`.
    pub(crate) fn log_file(&self, argument: Option<&str>) -> PathBuf {
        match argument {
            Some(file) => self.start.join(file),
            None => self.start.join(&self.log).join(format!("{}.log", self.program)),
        }
    }

    /// The control socket, given the argument of `--unixctl`; `None` for `none`.
    pub(crate) fn control_socket(&self, argument: Option<&str>) -> Option<PathBuf> {
        match argument {
            Some("none") => None,
            Some(file) => Some(self.in_run_folder(file)),
            None => {
                let pid = std::process::id();
                Some(self.in_run_folder(format!("{}.{pid}.ctl", self.program)))
            }
        }
    }
}
