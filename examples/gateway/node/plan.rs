//! What a gateway node is told to be: a file of a few lines.
//!
//! ```text
//!   underlay eth0 192.168.7.1/24 02:00:00:00:07:01      tunnels leave here
//!   router 10.16.1.1 02:00:00:00:16:01                  the pods' router, this node's address
//!   peer 192.168.7.2 10.16.2.0/24                       another node and its pods, over Geneve
//!   pod pod1 10.16.1.11 02:00:00:00:16:11               interface, address, MAC
//!   pod pod2 10.16.1.12 02:00:00:00:16:12 waits         blocked until its owner's RARP is seen
//!   uplink out0 192.0.2.10/24 02:00:00:00:99:10 192.0.2.1     interface, SNAT address, MAC, next hop
//!   default out0                                        the way out, the first that works
//!   source 10.16.1.12/32 out1                           a tenant with a way out of its own
//!   service 192.0.2.80:80 10.16.1.11:8080 10.16.2.11:8080     a service and its backends
//!   dns 169.254.20.10 dns0 02:00:00:00:16:53            the node's own name server, not tracked
//!   bfd bfd0 169.254.30.1 02:00:00:00:30:01 169.254.30.2 out0     out0's routes follow this session
//! ```
//!
//! A pod or an uplink with an address of either family has two lines, a router with routers in both
//! as well.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use dp_core::base::MacAddr;
use dp_core::route::Prefix;

/// A pod: who is behind one interface.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// The number of its interface, from 1 on.
    pub(crate) port: u16,
    pub(crate) address: IpAddr,
    pub(crate) mac: MacAddr,
    /// It is blocked until its owner's RARP is seen.
    pub(crate) waits: bool,
}

/// A way out.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    pub(crate) name: String,
    /// The number of its interface among those of uplinks, from 0 on.
    pub(crate) port: u16,
    /// What pods' addresses are translated to.
    pub(crate) address: IpAddr,
    pub(crate) network: Prefix,
    pub(crate) mac: MacAddr,
    /// The router there.
    pub(crate) next_hop: IpAddr,
}

/// Another node.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its end of the tunnel.
    pub(crate) end: IpAddr,
    /// Its pods.
    pub(crate) pods: Prefix,
}

/// A service on the outside.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
}

/// A BFD session on an interface that carries nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: MacAddr,
    pub(crate) peer: Ipv4Addr,
    /// The uplink whose routes follow it.
    pub(crate) uplink: String,
}

/// The node.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) underlay: (String, IpAddr, u8, MacAddr),
    /// The pods' router, with an address of one family or of each.
    pub(crate) routers: Vec<(IpAddr, MacAddr)>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) uplinks: Vec<Uplink>,
    /// Names of uplinks, the preferred one first.
    pub(crate) defaults: Vec<String>,
    pub(crate) sources: Vec<(Prefix, String)>,
    pub(crate) services: Vec<Service>,
    /// The node's own name server, with an address of one family or of each.
    pub(crate) dns: Vec<(IpAddr, String, MacAddr)>,
    pub(crate) watches: Vec<Watch>,
}

impl Plan {
    /// The pods' router in the family of an address.
    pub(crate) fn router(&self, like: IpAddr) -> Option<(IpAddr, MacAddr)> {
        self.routers.iter().copied().find(|(address, _)| address.is_ipv4() == like.is_ipv4())
    }

    /// The interfaces of pods with their numbers, each once.
    pub(crate) fn pod_ports(&self) -> BTreeMap<u16, &str> {
        self.pods.iter().map(|pod| (pod.port, pod.name.as_str())).collect()
    }

    /// The interfaces of uplinks with their numbers, each once.
    pub(crate) fn uplink_ports(&self) -> BTreeMap<u16, &str> {
        self.uplinks.iter().map(|uplink| (uplink.port, uplink.name.as_str())).collect()
    }
}

/// The number of an interface: that of the line which named it before, or the next one.
fn port<'a>(known: impl Iterator<Item = (&'a str, u16)>, name: &str, first: u16) -> u16 {
    let mut next = first;
    for (other, port) in known {
        if other == name {
            return port;
        }
        next = next.max(port.saturating_add(1));
    }
    next
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("line {0}: `{1}` is nothing that a node has")]
    Unknown(usize, String),
    #[error("line {0}: expected {1}")]
    Missing(usize, &'static str),
    #[error("line {0}: {1}: expected {2}")]
    Value(usize, String, &'static str),
    #[error("line {0}: no uplink is called {1}")]
    Uplink(usize, String),
    #[error("the node has no `{0}`")]
    Without(&'static str),
}

/// The words of a line, taken one after the other.
struct Words<'a> {
    line: usize,
    words: std::str::SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn word(&mut self, expected: &'static str) -> Result<&'a str, PlanError> {
        self.words.next().ok_or(PlanError::Missing(self.line, expected))
    }

    fn value<T: FromStr>(&mut self, expected: &'static str) -> Result<T, PlanError> {
        let word = self.word(expected)?;
        word.parse().map_err(|_| PlanError::Value(self.line, word.to_owned(), expected))
    }

    /// An address with the length of its network's prefix.
    fn network(&mut self) -> Result<(IpAddr, u8), PlanError> {
        const EXPECTED: &str = "an address with a length, as 192.0.2.10/24";
        let word = self.word(EXPECTED)?;
        let wrong = || PlanError::Value(self.line, word.to_owned(), EXPECTED);
        let (address, len) = word.split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        Ok((address, len.parse().map_err(|_| wrong())?))
    }

    fn pod(&mut self, known: &[Pod]) -> Result<Pod, PlanError> {
        let name = self.word(INTERFACE)?.to_owned();
        let port = port(known.iter().map(|pod| (pod.name.as_str(), pod.port)), &name, 1);
        let (address, mac) = (self.value(ADDRESS)?, self.value(MAC)?);
        Ok(Pod { name, port, address, mac, waits: self.words.next() == Some("waits") })
    }

    fn uplink(&mut self, known: &[Uplink]) -> Result<Uplink, PlanError> {
        let name = self.word(INTERFACE)?.to_owned();
        let port = port(known.iter().map(|it| (it.name.as_str(), it.port)), &name, 0);
        let (address, len) = self.network()?;
        let network = Prefix::new(address, len);
        let (mac, next_hop) = (self.value(MAC)?, self.value(ADDRESS)?);
        Ok(Uplink { name, port, address, network, mac, next_hop })
    }
}

const ADDRESS: &str = "an IP address";
const MAC: &str = "a MAC address";
const INTERFACE: &str = "an interface";

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (mut underlay, mut routers) = (None, Vec::new());
        let (mut peers, mut pods, mut uplinks) = (Vec::new(), Vec::new(), Vec::<Uplink>::new());
        let (mut defaults, mut sources) = (Vec::new(), Vec::new());
        let (mut services, mut dns, mut watches) = (Vec::new(), Vec::new(), Vec::new());
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split_once('#').map_or(text, |(text, _)| text);
            let mut words = Words { line, words: text.split_whitespace() };
            let Some(what) = words.words.next() else { continue };
            let known =
                |name: &str, uplinks: &[Uplink]| match uplinks.iter().any(|it| it.name == name) {
                    true => Ok(name.to_owned()),
                    false => Err(PlanError::Uplink(line, name.to_owned())),
                };
            match what {
                "underlay" => {
                    let name = words.word(INTERFACE)?.to_owned();
                    let (address, len) = words.network()?;
                    underlay = Some((name, address, len, words.value(MAC)?));
                }
                "router" => routers.push((words.value(ADDRESS)?, words.value(MAC)?)),
                "peer" => {
                    peers.push(Peer { end: words.value(ADDRESS)?, pods: words.value("a prefix")? });
                }
                "pod" => pods.push(words.pod(&pods)?),
                "uplink" => uplinks.push(words.uplink(&uplinks)?),
                "default" => defaults.push(known(words.word("an uplink")?, &uplinks)?),
                "source" => {
                    let prefix = words.value("a prefix")?;
                    sources.push((prefix, known(words.word("an uplink")?, &uplinks)?));
                }
                "service" => {
                    let address = words.value("an address and a port")?;
                    let mut backends = vec![words.value("an address and a port")?];
                    for word in words.words.by_ref() {
                        let wrong =
                            |_| PlanError::Value(line, word.into(), "an address and a port");
                        backends.push(word.parse().map_err(wrong)?);
                    }
                    services.push(Service { address, backends });
                }
                "dns" => {
                    let (address, name) =
                        (words.value(ADDRESS)?, words.word(INTERFACE)?.to_owned());
                    if dns.iter().any(|(_, other, _)| *other != name) {
                        return Err(PlanError::Value(
                            line,
                            name,
                            "the name server's one interface",
                        ));
                    }
                    dns.push((address, name, words.value(MAC)?));
                }
                "bfd" => watches.push(Watch {
                    name: words.word(INTERFACE)?.to_owned(),
                    address: words.value("an IPv4 address")?,
                    mac: words.value(MAC)?,
                    peer: words.value("an IPv4 address")?,
                    uplink: known(words.word("an uplink")?, &uplinks)?,
                }),
                other => return Err(PlanError::Unknown(line, other.to_owned())),
            }
        }
        let underlay = underlay.ok_or(PlanError::Without("underlay"))?;
        if routers.is_empty() {
            return Err(PlanError::Without("router"));
        }
        Ok(Self {
            underlay,
            routers,
            peers,
            pods,
            uplinks,
            defaults,
            sources,
            services,
            dns,
            watches,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn a_node_is_read_and_what_it_cannot_be_is_refused_with_its_line() {
        let good = "underlay eth0 192.168.7.1/24 02:00:00:00:07:01\n\
                    router 10.16.1.1 02:00:00:00:16:01 # the pods' router\n\n\
                    uplink out0 192.0.2.10/24 02:00:00:00:99:10 192.0.2.1\n\
                    default out0\nservice 192.0.2.80:80 10.16.1.11:8080 10.16.2.11:8080\n";
        let plan: Plan = good.parse().expect("it can be");
        assert_eq!((plan.uplinks.len(), plan.services[0].backends.len()), (1, 2));
        let both = "uplink out1 198.51.100.10/24 02:00:00:00:98:10 198.51.100.1\n\
                    uplink out0 2001:db8::10/64 02:00:00:00:99:10 2001:db8::1\n\
                    bfd bfd0 169.254.30.1 02:00:00:00:30:01 169.254.30.2 out1\n";
        let plan: Plan = format!("{good}{both}").parse().expect("it can be");
        assert_eq!(plan.uplinks.iter().map(|it| it.port).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!((plan.uplink_ports().len(), plan.watches.len()), (2, 1));
        for (line, expected) in [
            ("default out9", "line 7: no uplink is called out9"),
            (
                "bfd bfd0 169.254.30.1 02:00:00:00:30:01 169.254.30.2 out9",
                "line 7: no uplink is called out9",
            ),
            ("frobnicate", "line 7: `frobnicate` is nothing that a node has"),
            ("pod pod1", "line 7: expected an IP address"),
            (
                "dns fd53::10 dns0 02:00:00:00:16:53\ndns 169.254.20.10 dns1 02:00:00:00:16:53",
                "line 8: dns1: expected the name server's one interface",
            ),
            ("pod pod1 10.16.1.x", "line 7: 10.16.1.x: expected an IP address"),
        ] {
            let error = format!("{good}{line}").parse::<Plan>().expect_err("it cannot be");
            assert_eq!(error.to_string(), expected);
        }
        let error = "".parse::<Plan>().expect_err("it is nothing");
        assert_eq!(error.to_string(), "the node has no `underlay`");
    }
}
