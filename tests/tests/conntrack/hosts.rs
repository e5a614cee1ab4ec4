//! Two hosts with our daemon between them, and what they do to each other.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::netns::{Namespace, veth_pair};
use testkit::reference::{BRIDGE, Reference, Setup};

/// Addresses of the hosts in both families.
pub(crate) const LEFT: &str = "10.1.0.1";
pub(crate) const RIGHT: &str = "10.1.0.2";
pub(crate) const LEFT6: &str = "fd00:1::1";
pub(crate) const RIGHT6: &str = "fd00:1::2";
/// An address that nobody has: flows give it to somebody.
pub(crate) const SHARED: &str = "10.1.0.50";
pub(crate) const SHARED6: &str = "fd00:1::50";

/// How long a host waits for an answer that comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a host waits for one that does not.
const SHORT: Duration = Duration::from_millis(400);

pub(crate) const LEFT_MAC: &str = "02:00:00:00:01:01";
pub(crate) const RIGHT_MAC: &str = "02:00:00:00:01:02";

/// The hosts `left` and `right`, whose `eth0` is a port of the switch (1 and 2).
pub(crate) struct Hosts {
    // Dropped in this order: the switch before the namespaces it lives in.
    pub(crate) switch: Reference,
    pub(crate) left: Namespace,
    pub(crate) right: Namespace,
    _middle: Namespace,
}

impl Hosts {
    /// Hosts that reach each other as soon as flows let them.
    pub(crate) fn start() -> Result<Self> {
        let middle = Namespace::quiet("ct-switch")?;
        let (left, right) = (Namespace::new("ct-left")?, Namespace::new("ct-right")?);
        for (host, port) in [(&left, "p1"), (&right, "p2")] {
            veth_pair((&middle, port), (host, "eth0"))?;
        }
        for (host, mac, v4, v6) in
            [(&left, LEFT_MAC, LEFT, LEFT6), (&right, RIGHT_MAC, RIGHT, RIGHT6)]
        {
            host.mac("eth0", mac)?;
            host.address("eth0", &format!("{v4}/24"))?;
            host.address("eth0", &format!("{v6}/64"))?;
        }
        // Nobody answers for an address that nobody has.
        for (host, mac) in [(&left, RIGHT_MAC), (&right, LEFT_MAC)] {
            for address in [SHARED, SHARED6] {
                host.ip(&["neigh", "add", address, "lladdr", mac, "dev", "eth0"])?;
            }
        }
        let switch = Setup::within(&middle).daemon(testkit::daemon::built()?).start()?;
        let words = "add-port br0 p1 -- set Interface p1 ofport_request=1 -- add-port br0 p2 -- set \
                     Interface p2 ofport_request=2";
        switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
        Ok(Self { switch, left, right, _middle: middle })
    }

    /// Replaces all flows by those that find neighbours and these.
    pub(crate) fn flows(&self, flows: &str) -> Result<()> {
        self.switch.ofctl(&["del-flows", BRIDGE])?;
        let mut all = String::new();
        for (from, to) in [(1, 2), (2, 1)] {
            all += &format!("table=0,priority=50,in_port={from},arp,actions={to}\n");
            for kind in [133, 134, 135, 136] {
                all += &format!(
                    "table=0,priority=50,in_port={from},icmp6,icmp_type={kind},actions={to}\n"
                );
            }
        }
        Ok(self.switch.add_flows(BRIDGE, &(all + flows))?)
    }

    /// A counter of the daemon, zero where it has not counted yet.
    pub(crate) fn counted(&self, name: &str) -> Result<u64> {
        let text = self.switch.appctl(&["coverage/read-counter", name])?;
        Ok(text.trim().parse().unwrap_or(0))
    }

    /// The connections that there are.
    pub(crate) fn connections(&self) -> Result<String> {
        Ok(self.switch.appctl(&["dpctl/dump-conntrack"])?)
    }
}

/// A server that says what it has got back, and by which address and port it was asked.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    _thread: JoinHandle<()>,
}

impl Echo {
    /// Answers each TCP connection: `PEER NAME\n`, then what comes, until the other end closes.
    pub(crate) fn tcp(host: &Namespace, address: &str, name: &'static str) -> Result<Self> {
        let listener = host.within(|| TcpListener::bind(address))??;
        let address = listener.local_addr()?;
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                thread::spawn(move || drop(serve(stream, name)));
            }
        });
        Ok(Self { address, _thread: thread })
    }

    /// Answers each datagram with itself.
    pub(crate) fn udp(host: &Namespace, address: &str) -> Result<Self> {
        let socket = host.within(|| UdpSocket::bind(address))??;
        let address = socket.local_addr()?;
        let thread = thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok((len, peer)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(bytes.get(..len).unwrap_or_default(), peer);
            }
        });
        Ok(Self { address, _thread: thread })
    }
}

fn serve(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    let peer = stream.peer_addr()?;
    stream.write_all(format!("{peer} {name}\n").as_bytes())?;
    let mut bytes = vec![0; 65_536];
    loop {
        let len = stream.read(&mut bytes)?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(bytes.get(..len).unwrap_or_default())?;
    }
}

/// A TCP connection to an [`Echo`].
pub(crate) struct Client {
    stream: TcpStream,
    /// The client's address, as the server sees it.
    pub(crate) seen: SocketAddr,
    /// The server's name.
    pub(crate) server: String,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(host: &Namespace, to: &str) -> Result<Self> {
        Self::connect_within(host, to, PATIENCE)
    }

    fn connect_within(host: &Namespace, to: &str, limit: Duration) -> Result<Self> {
        let to: SocketAddr = to.parse()?;
        let mut stream = host.within(|| TcpStream::connect_timeout(&to, limit))??;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut greeting = Vec::new();
        let mut byte = [0];
        while byte != [b'\n'] {
            stream.read_exact(&mut byte).context("the greeting")?;
            greeting.extend(byte);
        }
        let greeting = String::from_utf8(greeting)?;
        let (seen, server) = greeting.trim().split_once(' ').context("a greeting")?;
        Ok(Self { seen: seen.parse()?, server: server.to_owned(), stream })
    }

    /// Sends so many bytes and gets them back.
    pub(crate) fn echo(&mut self, len: usize) -> Result<()> {
        let sent: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut writer = self.stream.try_clone()?;
        let mut got = vec![0; len];
        thread::scope(|scope| {
            let sending = scope.spawn(|| writer.write_all(&sent));
            self.stream.read_exact(&mut got).context("what was sent")?;
            sending.join().map_err(|_| anyhow::anyhow!("the sender"))??;
            anyhow::ensure!(got == sent, "what comes back is what was sent");
            Ok(())
        })
    }
}

/// Whether no TCP connection comes about.
pub(crate) fn is_refused(host: &Namespace, to: &str) -> bool {
    Client::connect_within(host, to, SHORT).is_err()
}

/// Sends a datagram and waits for the same one.
pub(crate) fn asks(host: &Namespace, to: &str, len: usize, limit: Duration) -> Result<()> {
    let to: SocketAddr = to.parse()?;
    let any: IpAddr = if to.is_ipv4() { "0.0.0.0".parse()? } else { "::".parse()? };
    let socket = host.within(|| UdpSocket::bind((any, 0)))??;
    socket.set_read_timeout(Some(limit))?;
    socket.connect(to)?;
    let sent: Vec<u8> = (0..len).map(|at| (at % 253) as u8).collect();
    socket.send(&sent)?;
    let mut got = vec![0; 65_536];
    let len = socket.recv(&mut got).context("an answer")?;
    anyhow::ensure!(got.get(..len) == Some(&sent[..]), "the answer is what was sent");
    Ok(())
}

/// As [`asks`], of an answer that does not come.
pub(crate) fn is_not_answered(host: &Namespace, to: &str) -> bool {
    asks(host, to, 10, SHORT).is_err()
}
