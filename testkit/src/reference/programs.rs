//! Whose daemons and tools: the system's, or those of Debian's next release.

use std::{path::PathBuf, process::Command};

use crate::{folder::Folder, packages::Apart};

/// Where the reference's programs are.
#[derive(Clone, Debug)]
pub(super) enum Programs {
    /// Installed.
    System,
    /// Of the next release.
    Newer(Apart),
}

impl Programs {
    /// A command that knows this folder and no other.
    pub(super) fn command(&self, program: &str, folder: &Folder) -> Command {
        let mut command = match self {
            Self::System => Command::new(program),
            Self::Newer(apart) => {
                let mut words = apart.words(program).into_iter();
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words);
                command
            }
        };
        command.envs(environment(folder));
        command
    }

    /// The words that start the switch.
    pub(super) fn switch(&self) -> Vec<String> {
        match self {
            Self::System => vec!["/usr/sbin/ovs-vswitchd".into()],
            Self::Newer(apart) => apart.words("ovs-vswitchd"),
        }
    }

    /// The database's schema.
    pub(super) fn schema(&self) -> PathBuf {
        match self {
            Self::System => PathBuf::from("/").join(SCHEMA),
            Self::Newer(apart) => apart.file(SCHEMA),
        }
    }
}

/// Where a program finds and leaves its files.
pub(super) fn environment(folder: &Folder) -> [(&'static str, PathBuf); 4] {
    ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"]
        .map(|variable| (variable, folder.path().to_owned()))
}

const SCHEMA: &str = "usr/share/openvswitch/vswitch.ovsschema";
