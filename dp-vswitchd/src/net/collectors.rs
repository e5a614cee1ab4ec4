//! Collectors: where exported datagrams go, over UDP.
//!
//! Nothing waits and nothing is kept: a datagram that cannot be sent is counted and lost. What is
//! wrong with a collector is said once, until it has been right for a while.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use thiserror::Error;

/// Why a text names no collector.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum TargetError {
    #[error("expected ADDRESS:PORT with a numeric address")]
    Address,
    #[error("no port")]
    Port,
}

/// Reads `ADDRESS[:PORT]`; IPv6 addresses with a port are in brackets. Names are not resolved: that
/// would wait.
pub(crate) fn parse_target(
    text: &str,
    default_port: Option<u16>,
) -> Result<SocketAddr, TargetError> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(TargetError::Address)?,
        None if text.matches(':').count() > 1 => (text, ""),
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let address: IpAddr = address.parse().map_err(|_| TargetError::Address)?;
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(TargetError::Port)?,
        None if port.is_empty() => default_port.ok_or(TargetError::Port)?,
        None => return Err(TargetError::Address),
    };
    Ok(SocketAddr::new(address, port))
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Collectors that it was sent to.
    pub(crate) ok: u64,
    /// Collectors that it could not be sent to.
    pub(crate) failed: u64,
}

/// One collector.
#[derive(Debug)]
struct Collector {
    target: String,
    socket: UdpSocket,
    /// Datagrams that went well since something was last said; `None`: nothing was said.
    quiet: Option<u32>,
}

/// The collectors of an exporter.
#[derive(Debug, Default)]
pub(crate) struct Collectors {
    targets: Vec<String>,
    open: Vec<Collector>,
}

impl Collectors {
    /// Opens what can be opened; the rest is said and left out.
    pub(crate) fn open(targets: &[String], default_port: Option<u16>) -> Self {
        let mut open = Vec::new();
        for target in targets {
            let opened = parse_target(target, default_port)
                .map_err(|error| error.to_string())
                .and_then(|to| connect(to).map_err(|error| crate::errno::text(&error)));
            match opened {
                Ok(socket) => {
                    open.push(Collector { target: target.clone(), socket, quiet: None });
                }
                Err(why) => log::warn!(
                    target: "collectors",
                    "couldn't open connection to collector {target} ({why})"
                ),
            }
        }
        Self { targets: targets.to_vec(), open }
    }

    /// The texts that it was opened with.
    pub(crate) fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Sends a datagram to all.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> Sent {
        let mut sent = Sent::default();
        for collector in &mut self.open {
            match collector.send(datagram) {
                Ok(()) => sent.ok += 1,
                Err(()) => sent.failed += 1,
            }
        }
        sent
    }
}

impl Collector {
    fn send(&mut self, datagram: &[u8]) -> Result<(), ()> {
        let result = self.socket.send(datagram);
        match result {
            Ok(_) => {
                self.quiet = self.quiet.and_then(|good| (good < RECOVERED).then_some(good + 1));
                Ok(())
            }
            Err(error) => {
                if self.quiet.replace(0).is_none() {
                    let why = crate::errno::text(&error);
                    log::warn!(
                        target: "collectors",
                        "{}: sending to collector failed ({why})", self.target
                    );
                }
                // The refusal is of an earlier datagram; this one has not been tried.
                if error.kind() == ErrorKind::ConnectionRefused {
                    let _ = self.socket.send(datagram);
                }
                Err(())
            }
        }
    }
}

/// Datagrams that must go well before something is said again.
const RECOVERED: u32 = 100;

fn connect(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::{Collectors, RECOVERED, Sent, TargetError, parse_target};

    #[test]
    fn targets_are_addresses_with_ports() {
        let parse = |text| parse_target(text, Some(9)).map(|it| it.to_string());
        assert_eq!(parse("127.0.0.1:5000").as_deref(), Ok("127.0.0.1:5000"));
        assert_eq!(parse("127.0.0.1").as_deref(), Ok("127.0.0.1:9"));
        assert_eq!(parse("[::1]:5000").as_deref(), Ok("[::1]:5000"));
        assert_eq!(parse("::1").as_deref(), Ok("[::1]:9"));
        assert_eq!(parse_target("127.0.0.1", None), Err(TargetError::Port));
        for text in ["", "collector:5", "127.0.0.1:0", "127.0.0.1:x", "[::1", "[::1]x"] {
            assert!(parse_target(text, Some(9)).is_err(), "{text}");
        }
    }

    #[test]
    fn every_collector_gets_every_datagram() {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let target = there.local_addr().unwrap().to_string();
        let targets = [target.clone(), "nonsense".to_owned(), target];
        let mut collectors = Collectors::open(&targets, None);
        assert_eq!(collectors.send(b"abc"), Sent { ok: 2, failed: 0 });
        let mut buffer = [0; 8];
        for _ in 0..2 {
            assert_eq!(there.recv(&mut buffer).unwrap(), 3);
        }
    }

    #[test]
    fn a_collector_that_refuses_is_counted_and_said_once() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut collectors = Collectors::open(&[gone], None);
        let mut failed = 0;
        for _ in 0..20 {
            failed += collectors.send(b"abc").failed;
        }
        assert!(failed >= 10, "{failed}");
        let quiet = collectors.open.first().and_then(|it| it.quiet);
        assert!(quiet.is_some_and(|good| good < RECOVERED));
    }
}
