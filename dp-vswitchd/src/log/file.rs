//! The file that messages go to.
//!
//! Each line is one append, so that several processes (the daemon and its monitor) may share the
//! file, and a rotated file loses nothing: after `vlog/reopen` lines go to the new one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid};
use thiserror::Error;

/// The file, open or remembered.
#[derive(Debug, Default)]
pub(super) struct LogFile {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl LogFile {
    pub(super) fn open(&mut self, path: &Path) -> io::Result<()> {
        self.path = Some(path.to_owned());
        // For the group too: the mask of the process decides whether it may.
        self.file = None;
        self.file = Some(OpenOptions::new().create(true).append(true).mode(0o660).open(path)?);
        Ok(())
    }

    /// Closes the file but remembers where it was.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    pub(super) fn write(&mut self, line: &str) {
        if let Some(file) = &mut self.file {
            // A full disk must not stop the switch, and there is nowhere else to say it.
            let _ = file.write_all(line.as_bytes());
        }
    }

    pub(super) fn give(&self, user: u32, group: u32) -> io::Result<()> {
        if let Some(file) = &self.file {
            nix::unistd::fchown(
                file.as_fd(),
                Some(Uid::from_raw(user)),
                Some(Gid::from_raw(group)),
            )?;
        }
        Ok(())
    }
}

/// Why a log file was not opened anew.
#[derive(Debug, Error)]
pub enum ReopenError {
    /// `--log-file` was not given.
    #[error("Logging to file not configured")]
    NotConfigured,
    /// The system refuses.
    #[error("{}", crate::errno::text(.0))]
    Open(io::Error),
}
