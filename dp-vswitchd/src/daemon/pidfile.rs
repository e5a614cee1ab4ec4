//! The pid file: which process is the daemon, and that there is but one.
//!
//! The file is locked as long as the process lives, so one that was left behind by a crash is
//! recognised. It is written beside its place, locked, and moved there: whoever reads it finds a
//! whole number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use thiserror::Error;

/// The pid file of this process, removed when it ends.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

/// Why there is none.
#[derive(Debug, Error)]
pub(crate) enum PidFileError {
    #[error("{path}: already running as pid {pid}, aborting", path = path.display())]
    Running { path: PathBuf, pid: String },
    #[error("{path}: {step} failed ({why})", path = path.display())]
    System { path: PathBuf, step: &'static str, why: String },
}

impl PidFile {
    /// Makes the file, unless another process holds it.
    pub(crate) fn create(path: &Path, overwrite: bool) -> Result<Self, PidFileError> {
        if !overwrite {
            Self::check(path)?;
        }
        let system = |path: &Path, step| {
            let path = path.to_owned();
            move |error: io::Error| {
                let why = crate::errno::text(&error);
                PidFileError::System { path: path.clone(), step, why }
            }
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".tmp{}", std::process::id()));
        let beside = path.with_file_name(name);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&beside)
            .map_err(system(&beside, "create"))?;
        lock(&file).map_err(system(&beside, "fcntl(F_SETLK)"))?;
        let text = format!("{}\n", std::process::id());
        file.write_all(text.as_bytes()).map_err(system(&beside, "write"))?;
        fs::rename(&beside, path).map_err(system(path, "rename"))?;
        Ok(Self { path: path.to_owned(), _file: file })
    }

    /// Refuses when a process holds the file.
    pub(crate) fn check(path: &Path) -> Result<(), PidFileError> {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return Ok(()) };
        match holder(&file) {
            None => Ok(()),
            Some(pid) => Err(PidFileError::Running { path: path.to_owned(), pid }),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // One that cannot be removed is recognised as left behind.
        let _ = fs::remove_file(&self.path);
    }
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind.try_into().unwrap_or_default(),
        l_whence: libc::SEEK_SET.try_into().unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn lock(file: &File) -> io::Result<()> {
    Ok(fcntl(file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))).map(drop)?)
}

/// The process that has locked the file.
fn holder(file: &File) -> Option<String> {
    let mut lock = whole_file(libc::F_WRLCK);
    debug_assert!(file.as_raw_fd() >= 0);
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK).then(|| lock.l_pid.to_string())
}
