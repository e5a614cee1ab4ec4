//! Stream sockets to and from other programs: `unix:FILE`, `tcp:HOST:PORT`, `ssl:HOST:PORT` and their
//! passive forms, made without waiting.

pub(crate) mod collectors;
mod listen;
pub(crate) mod tls;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use listen::{Listener, Local};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, getsockopt, socket,
    sockopt,
};
use rustls::ClientConfig;
use thiserror::Error;

use crate::event_loop::Wants;
use tls::TlsStream;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remote {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String, u16),
    /// The same through TLS.
    Tls(String, u16),
}

/// Why a text is no remote.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum RemoteError {
    #[error("{0}: unknown connection method; known are unix:FILE, tcp:HOST:PORT and ssl:HOST:PORT")]
    Method(String),
    #[error("{0}: expected tcp:HOST:PORT or ssl:HOST:PORT")]
    Tcp(String),
    #[error("{0}: expected ptcp:[PORT][:ADDRESS] or pssl:[PORT][:ADDRESS]")]
    Listen(String),
}

/// A connection that is being made.
#[derive(Debug)]
pub(crate) struct Connecting {
    stream: Stream,
    /// What TLS is to begin with, once there is a connection.
    tls: Option<Arc<ClientConfig>>,
}

/// A connection; reading and writing do not wait.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(TlsStream),
}

impl Remote {
    /// Reads one remote; `port` is used where none is given, and relative files are in `folder`.
    pub(crate) fn parse(
        text: &str,
        port: u16,
        folder: &std::path::Path,
    ) -> Result<Self, RemoteError> {
        if let Some(file) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(folder.join(file)));
        }
        let (rest, plain) = match (text.strip_prefix("tcp:"), text.strip_prefix("ssl:")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => return Err(RemoteError::Method(text.to_owned())),
        };
        let wrong = || RemoteError::Tcp(text.to_owned());
        let (host, tail) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
            None => rest.find(':').map_or((rest, ""), |at| rest.split_at(at)),
        };
        if host.is_empty() {
            return Err(wrong());
        }
        let port = match tail.strip_prefix(':') {
            Some(number) => number.parse().map_err(|_| wrong())?,
            None if tail.is_empty() => port,
            None => return Err(wrong()),
        };
        let host = host.to_owned();
        Ok(if plain { Self::Tcp(host, port) } else { Self::Tls(host, port) })
    }

    /// Whether the server is on this machine, so that its silence means nothing.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Begins a connection.
    pub(crate) fn connect(&self) -> io::Result<Connecting> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(Connecting { stream: Stream::Unix(stream), tls: None })
            }
            Self::Tcp(host, port) => {
                Ok(Connecting { stream: Stream::Tcp(begin(host, *port)?), tls: None })
            }
            Self::Tls(host, port) => {
                let config = tls::client().map_err(io::Error::other)?;
                let stream = Stream::Tcp(begin(host, *port)?);
                Ok(Connecting { stream, tls: Some(config) })
            }
        }
    }
}

/// Begins a connection to a host.
fn begin(host: &str, port: u16) -> io::Result<TcpStream> {
    let address = resolve(host, port)?;
    let family = match address.ip() {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    let begun = match address {
        SocketAddr::V4(it) => connect(fd.as_raw_fd(), &SockaddrIn::from(it)),
        SocketAddr::V6(it) => connect(fd.as_raw_fd(), &SockaddrIn6::from(it)),
    };
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(fd);
    // Messages are small and waited for.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The address of a host. Names ask the system's resolver, which may take its time.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if let Ok(ip) = host.parse() {
        return Ok(SocketAddr::new(ip, port));
    }
    let not_found = || io::Error::from(io::ErrorKind::AddrNotAvailable);
    (host, port).to_socket_addrs()?.next().ok_or_else(not_found)
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
            Self::Tls(host, port) if host.contains(':') => write!(f, "ssl:[{host}]:{port}"),
            Self::Tls(host, port) => write!(f, "ssl:{host}:{port}"),
        }
    }
}

impl Connecting {
    /// The connection, or itself while that is not decided.
    pub(crate) fn finish(self) -> io::Result<Result<Stream, Self>> {
        match self.stream {
            Stream::Unix(_) => Ok(Ok(self.stream)),
            Stream::Tls(mut stream) => {
                let open = stream.shake_hands()?;
                let stream = Stream::Tls(stream);
                Ok(if open { Ok(stream) } else { Err(Self { stream, tls: None }) })
            }
            Stream::Tcp(stream) => match getsockopt(&stream, sockopt::SocketError)? {
                0 => match (stream.peer_addr(), self.tls) {
                    (Ok(_), None) => Ok(Ok(Stream::Tcp(stream))),
                    (Ok(_), Some(config)) => {
                        let stream = Stream::Tls(TlsStream::client(stream, config)?);
                        Self { stream, tls: None }.finish()
                    }
                    (Err(error), tls) if error.kind() == io::ErrorKind::NotConnected => {
                        Ok(Err(Self { stream: Stream::Tcp(stream), tls }))
                    }
                    (Err(error), _) => Err(error),
                },
                number => Err(io::Error::from_raw_os_error(number)),
            },
        }
    }

    /// Says what to wake up for.
    pub(crate) fn wait(&self, wants: &mut Wants) {
        match &self.stream {
            // It waits for the other side, unless something is left to be said.
            Stream::Tls(stream) if !stream.wants_write() => wants.read(&self.stream),
            _ => wants.write(&self.stream),
        }
    }
}

impl Stream {
    /// Says what to wake up for: input, if the owner wants it, and room for output, if the owner or
    /// TLS has any.
    pub(crate) fn wait(&self, wants: &mut Wants, input: bool, output: bool) {
        let (own_output, text) = match self {
            Self::Tls(stream) => (stream.wants_write(), stream.has_text()),
            _ => (false, false),
        };
        if input && text {
            wants.immediately();
        }
        // While hands are shaken, input is TLS's own.
        let input = input || matches!(self, Self::Tls(stream) if !stream.is_open());
        match (input, output || own_output) {
            (true, true) => wants.read_or_write(self),
            (true, false) => wants.read(self),
            (false, true) => wants.write(self),
            (false, false) => wants.hang_up(self),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.socket().as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            Self::Unix(_) | Self::Tcp(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Remote;

    #[test]
    fn remotes_are_read_and_printed() {
        let read = |text| Remote::parse(text, 6640, Path::new("/run"));
        for (text, printed) in [
            ("unix:/x/db.sock", "unix:/x/db.sock"),
            ("unix:db.sock", "unix:/run/db.sock"),
            ("tcp:127.0.0.1:1", "tcp:127.0.0.1:1"),
            ("tcp:127.0.0.1", "tcp:127.0.0.1:6640"),
            ("tcp:[::1]:2", "tcp:[::1]:2"),
            ("ssl:[::1]:2", "ssl:[::1]:2"),
            ("ssl:10.0.0.1", "ssl:10.0.0.1:6640"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), printed);
        }
        for text in ["tcp:", "tcp:a:b", "tcp:[::1", "ssl:a:b", "x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
