//! The lock that keeps two programs from writing one database.
//!
//! As the reference's: a POSIX record lock on `.NAME.~lock~` beside the file, so that
//! `ovsdb-server`, `ovsdb-tool` and this program exclude each other.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database file at `path`.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it, or what opening the lock file says.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(lock_path(path))?;
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_SETLK(&whole)) {
            Ok(_) => Ok(Self { _file: file }),
            Err(nix::Error::EACCES | nix::Error::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// `.NAME.~lock~` in the folder of the file itself, were `path` a link to it.
fn lock_path(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    real.with_file_name(format!(".{name}.~lock~"))
}
