//! The ways to the system log: `--syslog-method` and `--syslog-target`.
//!
//! | method | a line as it leaves |
//! |---|---|
//! | `libc` | `<29>Nov 23 09:28:50 ovs-vswitchd: LINE`, a datagram to `/dev/log` |
//! | `unix:FILE` | `<29>LINE`, a datagram to FILE |
//! | `udp:IP:PORT` | `<29>LINE`, a datagram to that address |
//! | `null` | nothing |
//!
//! The first is what the C library's `syslog` sends, written without its global state. A message of
//! several lines is sent as several, for receivers cut them at line ends anyway.
//!
//! # Invariants
//!
//! Logging never blocks on a receiver and never fails: what cannot be sent at once is lost, as
//! there is nowhere to complain.

use std::{
    net::{SocketAddr, UdpSocket},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::SystemTime,
};

use thiserror::Error;

use super::{calendar_unsafe, pattern::Message};

/// How messages reach the system log.
#[derive(Debug)]
pub(super) enum Syslog {
    /// As the C library does.
    Libc(UnixSender),
    /// A datagram socket of the file system.
    Unix(UnixSender),
    /// A datagram socket of the network; `None` if the address made no sense.
    Udp(Option<UdpSender>),
    /// Not at all.
    Null,
}

/// A method that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unsupported syslog method '{0}'")]
pub struct SyslogMethodError(pub String);

impl Syslog {
    /// The method of that name.
    pub(super) fn parse(method: &str) -> Result<Self, SyslogMethodError> {
        if method == "libc" {
            Ok(Self::Libc(UnixSender::new(Path::new("/dev/log"))))
        } else if method == "null" {
            Ok(Self::Null)
        } else if let Some(file) = method.strip_prefix("unix:") {
            Ok(Self::Unix(UnixSender::new(Path::new(file))))
        } else if let Some(address) = method.strip_prefix("udp:") {
            Ok(Self::Udp(address.parse().ok().and_then(UdpSender::new)))
        } else {
            Err(SyslogMethodError(method.to_owned()))
        }
    }

    /// What the method puts before a line, as a pattern, for `vlog/list-pattern`.
    pub(super) const fn prefix(&self) -> &'static str {
        match self {
            Self::Libc(_) => "<%B> %D{%h %e %T} %E %A:",
            Self::Unix(_) | Self::Udp(_) => "<%B>",
            Self::Null => "",
        }
    }

    /// Sends a message that has been formatted.
    pub(super) fn send(&mut self, message: &Message<'_>, formatted: &str) {
        for line in formatted.split('\n').filter(|line| !line.is_empty()) {
            let priority = message.priority();
            match self {
                Self::Libc(socket) => {
                    let date = calendar_unsafe::local(message.time, "%h %e %T");
                    let program = message.program;
                    socket.send(format!("<{priority}>{date} {program}: {line}").as_bytes());
                }
                Self::Unix(socket) => socket.send(format!("<{priority}>{line}").as_bytes()),
                Self::Udp(Some(socket)) => socket.send(format!("<{priority}>{line}").as_bytes()),
                Self::Udp(None) | Self::Null => {}
            }
        }
    }
}

/// A receiver on a path. It may come and go: the socket is connected again when sending fails.
#[derive(Debug)]
pub(super) struct UnixSender {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    retry: Option<SystemTime>,
}

impl UnixSender {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None, retry: None }
    }

    fn send(&mut self, datagram: &[u8]) {
        for _ in 0..2 {
            let Some(socket) = self.connected() else { return };
            match socket.send(datagram) {
                Ok(_) => return,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.socket = None,
            }
        }
    }

    /// The socket, connected at most once a second.
    fn connected(&mut self) -> Option<&UnixDatagram> {
        if self.socket.is_none() {
            let now = SystemTime::now();
            if self
                .retry
                .is_some_and(|last| now.duration_since(last).is_ok_and(|since| since.as_secs() < 1))
            {
                return None;
            }
            self.socket = connect(&self.path);
            self.retry = self.socket.is_none().then_some(now);
        }
        self.socket.as_ref()
    }
}

fn connect(path: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(path).ok()?;
    Some(socket)
}

/// A receiver in the network.
#[derive(Debug)]
pub(super) struct UdpSender {
    socket: UdpSocket,
}

impl UdpSender {
    pub(super) fn new(to: SocketAddr) -> Option<Self> {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.connect(to).ok()?;
        Some(Self { socket })
    }

    pub(super) fn send(&self, datagram: &[u8]) {
        // A receiver that is gone answers an earlier datagram's error: once more clears it.
        if self.socket.send(datagram).is_err() {
            let _ = self.socket.send(datagram);
        }
    }
}

/// The address of `--syslog-target`: `HOST:PORT`, a numeric host, the empty one being this machine.
///
/// # Errors
///
/// What is wrong with it, as an operator reads it.
pub(super) fn parse_target(text: &str) -> Result<SocketAddr, TargetError> {
    let missing = || TargetError::PortMissing(text.to_owned());
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(missing)?,
        None => text.split_once(':').ok_or_else(missing)?,
    };
    if !text.starts_with('[') && port.contains(':') {
        return Err(missing());
    }
    let bad_port = || TargetError::Port { target: text.to_owned(), port: port.to_owned() };
    let port: u16 = port.parse().map_err(|_| bad_port())?;
    let host = match host {
        "" | "localhost" => "127.0.0.1",
        host => host,
    };
    let host = host.parse().map_err(|_| TargetError::Host(text.to_owned()))?;
    Ok(SocketAddr::new(host, port))
}

/// What is wrong with a `--syslog-target`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum TargetError {
    /// No port.
    #[error("{0}: port must be specified")]
    PortMissing(String),
    /// A port that is none.
    #[error("{target}: bad port number \"{port}\"")]
    Port {
        /// The whole.
        target: String,
        /// The port.
        port: String,
    },
    /// A host that is no address.
    #[error("{0}: bad IP address")]
    Host(String),
}

#[cfg(test)]
mod tests {
    use super::{Syslog, parse_target};

    #[test]
    fn an_unknown_method_is_refused() {
        for method in ["", "foo", "unix", "libcx"] {
            let error = Syslog::parse(method).map(|_| ()).map_err(|e| e.to_string());
            assert_eq!(error, Err(format!("unsupported syslog method '{method}'")));
        }
    }

    #[test]
    fn a_target_is_a_numeric_address_with_a_port() {
        for (text, answer) in [
            ("127.0.0.1:514", "127.0.0.1:514"),
            ("[::1]:514", "[::1]:514"),
            (":514", "127.0.0.1:514"),
            ("foo", "foo: port must be specified"),
            ("::1:514", "::1:514: port must be specified"),
            ("127.0.0.1:99999", "127.0.0.1:99999: bad port number \"99999\""),
            ("a:b", "a:b: bad port number \"b\""),
            ("example:514", "example:514: bad IP address"),
        ] {
            let found = parse_target(text).map_or_else(|e| e.to_string(), |a| a.to_string());
            assert_eq!(found, answer, "{text}");
        }
    }
}
