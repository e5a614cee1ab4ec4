//! The control socket's place in the file system.
//!
//! # Invariants
//!
//! * From the moment it exists, nobody but the daemon's user may connect: the mask is set while it
//!   is made, instead of the mode after.
//! * A socket that somebody listens on is not taken from him; one that was left behind is.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, umask};

/// A listening socket that takes its file along when it goes.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and number of the file, so that no other's is removed.
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Makes the socket.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let socket = with_short_path(path, |short| {
            remove_left_behind(short)?;
            let mask = umask(Mode::from_bits_truncate(0o077));
            let socket = UnixListener::bind(short);
            umask(mask);
            socket
        })?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path: path.to_owned(), identity: identity(path) })
    }

    /// The next connection, if one is waiting.
    pub(crate) fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.socket.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The socket, to wait on.
    pub(crate) const fn socket(&self) -> &UnixListener {
        &self.socket
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // If it cannot be removed the next daemon will.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Removes a socket that nobody listens on.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Calls `act` with a name of the same file that fits into a socket's address, which holds 107
/// bytes: longer ones are reached through a descriptor of their folder.
fn with_short_path<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= LONGEST_ADDRESS {
        return act(path);
    }
    let name = path.file_name().unwrap_or(OsStr::from_bytes(b"."));
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path.parent().unwrap_or(Path::new("/")))?;
    act(&Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

const LONGEST_ADDRESS: usize = 107;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use testkit::folder::Folder;

    use super::Listener;

    fn folder(name: &str) -> Folder {
        Folder::new(&format!("ctl-{name}")).unwrap()
    }

    #[test]
    fn the_socket_is_its_owners_alone_and_goes_with_the_daemon() {
        let folder = folder("mode");
        let path = folder.join("ctl");
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_in_use_is_not_taken_but_one_left_behind_is() {
        let folder = folder("stale");
        let path = folder.join("ctl");
        let first = Listener::bind(&path).unwrap();
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        // Its file stays, as after a crash.
        let moved = path.with_extension("moved");
        fs::rename(&path, &moved).unwrap();
        drop(first);
        fs::rename(&moved, &path).unwrap();
        let second = Listener::bind(&path).unwrap();
        assert!(second.accept().unwrap().is_none());
    }

    #[test]
    fn a_path_longer_than_an_address_will_do() {
        let own = folder("long");
        let folder = own.join("x".repeat(100));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("ctl");
        let listener = Listener::bind(&path).unwrap();
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
        assert!(Listener::bind(&folder.join("none").join("ctl")).is_err());
    }
}
