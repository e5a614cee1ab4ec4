//! Listening sockets: `punix:FILE`, `ptcp:[PORT][:HOST]` and `pssl:[PORT][:HOST]`.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

use super::tls::{self, TlsStream};
use super::{RemoteError, Stream};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Local {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address and a port; port 0: any.
    Tcp(IpAddr, u16),
    /// The same for TLS.
    Tls(IpAddr, u16),
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
    Tls(TcpListener),
}

impl Local {
    /// Reads one; `None` if it is not passive. `port` is used where none is given, and relative
    /// files are in `folder`.
    pub(crate) fn parse(text: &str, port: u16, folder: &Path) -> Option<Result<Self, RemoteError>> {
        if let Some(file) = text.strip_prefix("punix:") {
            return Some(Ok(Self::Unix(folder.join(file))));
        }
        let plain = text.strip_prefix("ptcp:");
        let rest = plain.or_else(|| text.strip_prefix("pssl:"))?;
        let wrong = || RemoteError::Listen(text.to_owned());
        let (number, host) = rest.split_once(':').unwrap_or((rest, ""));
        let number = if number.is_empty() { Ok(port) } else { number.parse().map_err(|_| wrong()) };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = match host {
            "" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            host => host.parse().map_err(|_| wrong()),
        };
        let way = if plain.is_some() { Self::Tcp } else { Self::Tls };
        Some(number.and_then(|number| host.map(|host| way(host, number))))
    }

    /// Begins to listen. A socket's file that nobody listens on any more is taken.
    pub(crate) fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Unix(path) => {
                let left_behind = fs::symlink_metadata(path)
                    .is_ok_and(|it| it.file_type().is_socket())
                    && UnixStream::connect(path).is_err();
                if left_behind {
                    fs::remove_file(path)?;
                }
                // From the first moment on nobody but the daemon's user and group may connect.
                let mask = umask(Mode::from_bits_truncate(0o007));
                let listener = UnixListener::bind(path);
                umask(mask);
                let listener = listener?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(listener, path.clone()))
            }
            Self::Tcp(host, port) | Self::Tls(host, port) => {
                let listener = TcpListener::bind(SocketAddr::new(*host, *port))?;
                listener.set_nonblocking(true)?;
                let plain = matches!(self, Self::Tcp(..));
                Ok(if plain { Listener::Tcp(listener) } else { Listener::Tls(listener) })
            }
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "punix:{}", path.display()),
            Self::Tcp(host, port) => write!(f, "ptcp:{port}:{host}"),
            Self::Tls(host, port) => write!(f, "pssl:{port}:{host}"),
        }
    }
}

impl Listener {
    /// The next connection, if one is waiting, and who it is.
    pub(crate) fn accept(&self) -> io::Result<Option<(Stream, String)>> {
        let accepted = match self {
            Self::Unix(listener, _) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok((Stream::Unix(stream), "unix".to_owned()))
            }),
            Self::Tcp(listener) => listener.accept().and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                // Messages are small and waited for.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), format!("tcp:{peer}")))
            }),
            Self::Tls(listener) => return accept_tls(listener),
        };
        match accepted {
            Ok(accepted) => Ok(Some(accepted)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The port that it listens on; 0 for none.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Unix(..) => 0,
            Self::Tcp(listener) | Self::Tls(listener) => {
                listener.local_addr().map_or(0, |it| it.port())
            }
        }
    }
}

/// The next TLS connection. Where there can be none, whoever calls is sent away.
fn accept_tls(listener: &TcpListener) -> io::Result<Option<(Stream, String)>> {
    let (stream, peer) = match listener.accept() {
        Ok(accepted) => accepted,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    // Messages are small and waited for.
    let _ = stream.set_nodelay(true);
    match tls::server() {
        Ok(config) => {
            let stream = TlsStream::server(stream, config)?;
            Ok(Some((Stream::Tls(stream), format!("ssl:{peer}"))))
        }
        Err(why) => {
            log::error!(target: "stream_ssl", rate = 10; "{why}");
            Ok(None)
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener, _) => listener.as_fd(),
            Self::Tcp(listener) | Self::Tls(listener) => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // If it cannot be removed the next listener will.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Local;

    #[test]
    fn places_to_listen_are_read() {
        let read = |text| Local::parse(text, 6640, Path::new("/run"));
        for (text, printed) in [
            ("punix:db.sock", "punix:/run/db.sock"),
            ("ptcp:", "ptcp:6640:0.0.0.0"),
            ("ptcp:1:127.0.0.1", "ptcp:1:127.0.0.1"),
            ("ptcp:0:[::1]", "ptcp:0:::1"),
            ("pssl:6640", "pssl:6640:0.0.0.0"),
        ] {
            assert_eq!(read(text).unwrap().unwrap().to_string(), printed);
        }
        assert!(read("tcp:1.2.3.4").is_none());
        for text in ["ptcp:x", "ptcp:1:x", "pssl:x"] {
            assert!(read(text).unwrap().is_err(), "{text}");
        }
    }
}
