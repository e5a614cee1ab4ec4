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
//! ```

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use dp_core::base::MacAddr;
use dp_core::route::Prefix;

/// A pod: who is behind one interface.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) mac: MacAddr,
    /// It is blocked until its owner's RARP is seen.
    pub(crate) waits: bool,
}

/// A way out.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    pub(crate) name: String,
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

/// The node.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) underlay: (String, IpAddr, u8, MacAddr),
    pub(crate) router: (IpAddr, MacAddr),
    pub(crate) peers: Vec<Peer>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) uplinks: Vec<Uplink>,
    /// Names of uplinks, the preferred one first.
    pub(crate) defaults: Vec<String>,
    pub(crate) sources: Vec<(Prefix, String)>,
    pub(crate) services: Vec<Service>,
    pub(crate) dns: Option<(IpAddr, String, MacAddr)>,
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
}

const ADDRESS: &str = "an IP address";
const MAC: &str = "a MAC address";
const INTERFACE: &str = "an interface";

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (mut underlay, mut router) = (None, None);
        let (mut peers, mut pods, mut uplinks) = (Vec::new(), Vec::new(), Vec::<Uplink>::new());
        let (mut defaults, mut sources) = (Vec::new(), Vec::new());
        let (mut services, mut dns) = (Vec::new(), None);
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
                "router" => router = Some((words.value(ADDRESS)?, words.value(MAC)?)),
                "peer" => {
                    peers.push(Peer { end: words.value(ADDRESS)?, pods: words.value("a prefix")? });
                }
                "pod" => pods.push(Pod {
                    name: words.word(INTERFACE)?.to_owned(),
                    address: words.value(ADDRESS)?,
                    mac: words.value(MAC)?,
                    waits: words.words.next() == Some("waits"),
                }),
                "uplink" => {
                    let name = words.word(INTERFACE)?.to_owned();
                    let (address, len) = words.network()?;
                    let network = Prefix::new(address, len);
                    let (mac, next_hop) = (words.value(MAC)?, words.value(ADDRESS)?);
                    uplinks.push(Uplink { name, address, network, mac, next_hop });
                }
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
                    let address = words.value(ADDRESS)?;
                    dns = Some((address, words.word(INTERFACE)?.to_owned(), words.value(MAC)?));
                }
                other => return Err(PlanError::Unknown(line, other.to_owned())),
            }
        }
        let underlay = underlay.ok_or(PlanError::Without("underlay"))?;
        let router = router.ok_or(PlanError::Without("router"))?;
        Ok(Self { underlay, router, peers, pods, uplinks, defaults, sources, services, dns })
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
        for (line, expected) in [
            ("default out9", "line 7: no uplink is called out9"),
            ("frobnicate", "line 7: `frobnicate` is nothing that a node has"),
            ("pod pod1", "line 7: expected an IP address"),
            ("pod pod1 10.16.1.x", "line 7: 10.16.1.x: expected an IP address"),
        ] {
            let error = format!("{good}{line}").parse::<Plan>().expect_err("it cannot be");
            assert_eq!(error.to_string(), expected);
        }
        let error = "".parse::<Plan>().expect_err("it is nothing");
        assert_eq!(error.to_string(), "the node has no `underlay`");
    }
}
