//! What is known of the kernel's links, addresses, routes and policy rules.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use dp_core::base::MacAddr;
use dp_core::route::{Prefix, Rule, Rules};

use super::message::{self, Message, address, attributes, messages, word};
use super::rule::{self, Said};
use super::socket_unsafe::Socket;

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its address.
    pub mac: MacAddr,
    /// Its MTU; 0 if it tells none.
    pub mtu: u32,
    /// Whether it is up and can carry packets.
    pub up: bool,
}

/// One way of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelHop {
    /// The link.
    pub link: u32,
    /// The router; `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Its share.
    pub weight: u16,
}

/// A route of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// What it is for.
    pub prefix: Prefix,
    /// Its table.
    pub table: u32,
    /// Its preference among routes for the same: lower first.
    pub metric: u32,
    /// Whether it is one of the host's own addresses.
    pub local: bool,
    /// The address that packets leave with, where it says so.
    pub source: Option<IpAddr>,
    /// Where it leads.
    pub hops: Vec<KernelHop>,
}

/// What has changed since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Links.
    pub links: bool,
    /// Addresses.
    pub addresses: bool,
    /// Routes.
    pub routes: bool,
    /// Policy rules.
    pub rules: bool,
}

impl Change {
    /// Whether anything has.
    #[must_use]
    pub const fn any(self) -> bool {
        self.links || self.addresses || self.routes || self.rules
    }
}

type RouteKey = (u32, Prefix, u32, bool);

/// What is known, kept true by events.
#[derive(Debug)]
pub struct Index {
    socket: Socket,
    known: Known,
    dumps: u64,
    sequence: u32,
}

#[derive(Debug, Default)]
struct Known {
    links: BTreeMap<u32, Link>,
    by_name: HashMap<String, u32>,
    addresses: HashMap<u32, Vec<(IpAddr, u8)>>,
    routes: BTreeMap<RouteKey, KernelRoute>,
    rules: Vec<Rule>,
}

/// How long the kernel may take to answer a dump.
const PATIENCE: Duration = Duration::from_secs(10);

impl Index {
    /// Opens a socket and asks for everything.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::open()?;
        let mut index = Self { socket, known: Known::default(), dumps: 0, sequence: 0 };
        index.ask_for_all()?;
        Ok(index)
    }

    fn ask_for_all(&mut self) -> io::Result<()> {
        self.known = Known::default();
        let kinds = [
            (message::GET_LINK, LINK_FIXED),
            (message::GET_ADDR, ADDR_FIXED),
            (message::GET_ROUTE, ROUTE_FIXED),
            (message::GET_RULE, rule::FIXED),
        ];
        for (kind, fixed) in kinds {
            self.sequence = self.sequence.wrapping_add(1);
            self.dumps += 1;
            self.socket.send(&message::dump(kind, fixed, self.sequence))?;
            self.take_dump()?;
        }
        Ok(())
    }

    /// Takes messages until a dump is through.
    fn take_dump(&mut self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(buffer) = self.socket.receive()? else {
                if Instant::now() > until {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                std::thread::sleep(Duration::from_micros(200));
                continue;
            };
            let mut change = Change::default();
            for message in messages(&buffer) {
                match message {
                    Message::Done => return Ok(()),
                    Message::Refused(0) => {}
                    Message::Refused(code) => {
                        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                    }
                    Message::Of(kind, content) => self.known.take(kind, content, &mut change),
                }
            }
        }
    }

    /// Takes the events that have come. Does not wait.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn poll(&mut self) -> io::Result<Change> {
        let mut change = Change::default();
        loop {
            match self.socket.receive() {
                Ok(Some(buffer)) => {
                    for message in messages(&buffer) {
                        if let Message::Of(kind, content) = message {
                            self.known.take(kind, content, &mut change);
                        }
                    }
                }
                Ok(None) => return Ok(change),
                // Events were lost: what is known may be wrong.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.ask_for_all()?;
                    return Ok(Change { links: true, addresses: true, routes: true, rules: true });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What becomes readable when there are events.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    /// How often the kernel was asked for everything of a kind.
    #[must_use]
    pub const fn dumps(&self) -> u64 {
        self.dumps
    }

    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.known.links.get(self.known.by_name.get(name)?)
    }

    /// The link of this number.
    #[must_use]
    pub fn link_by_number(&self, index: u32) -> Option<&Link> {
        self.known.links.get(&index)
    }

    /// All links.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.known.links.values()
    }

    /// The addresses of a device, with the lengths of their networks.
    #[must_use]
    pub fn addresses(&self, name: &str) -> &[(IpAddr, u8)] {
        let index = self.known.by_name.get(name);
        index.and_then(|index| self.known.addresses.get(index)).map_or(&[], |all| all)
    }

    /// The policy rules that can apply to what the switch sends.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.known.rules
    }

    /// All routes.
    pub fn routes(&self) -> impl Iterator<Item = &KernelRoute> {
        self.known.routes.values()
    }
}

const LINK_FIXED: usize = 16;
const ADDR_FIXED: usize = 8;
const ROUTE_FIXED: usize = 12;

impl Known {
    fn take(&mut self, kind: u16, content: &[u8], change: &mut Change) {
        let done = match kind {
            message::NEW_LINK | message::DEL_LINK => {
                self.link(kind == message::NEW_LINK, content).map(|it| change.links |= it)
            }
            message::NEW_ADDR | message::DEL_ADDR => {
                self.addr(kind == message::NEW_ADDR, content).map(|it| change.addresses |= it)
            }
            message::NEW_ROUTE | message::DEL_ROUTE => {
                self.route(kind == message::NEW_ROUTE, content).map(|it| change.routes |= it)
            }
            message::NEW_RULE | message::DEL_RULE => {
                self.rule(kind == message::NEW_RULE, content).map(|it| change.rules |= it)
            }
            _ => None,
        };
        // A message that is no whole message of its kind says nothing.
        let _: Option<()> = done;
    }

    fn link(&mut self, new: bool, content: &[u8]) -> Option<bool> {
        // Events of bridges about their ports are of a family of their own.
        if *content.first()? != 0 {
            return Some(false);
        }
        let (index, flags) = (word(content, 4)?, word(content, 8)?);
        if !new {
            let link = self.links.remove(&index)?;
            self.by_name.remove(&link.name);
            self.addresses.remove(&index);
            return Some(true);
        }
        let up = flags & (libc::IFF_UP | libc::IFF_RUNNING) as u32
            == (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        let mut link = Link { index, name: String::new(), mac: MacAddr::ZERO, mtu: 0, up };
        for (kind, value) in attributes(content.get(LINK_FIXED..)?) {
            match kind {
                1 => link.mac = value.first_chunk().map_or(MacAddr::ZERO, |mac| MacAddr(*mac)),
                3 => {
                    let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
                    link.name = String::from_utf8_lossy(text).into_owned();
                }
                4 => link.mtu = word(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        let old = self.links.insert(index, link.clone());
        if let Some(old) = old.as_ref().filter(|old| old.name != link.name) {
            self.by_name.remove(&old.name);
        }
        self.by_name.insert(link.name.clone(), index);
        Some(old.as_ref() != Some(&link))
    }

    fn addr(&mut self, new: bool, content: &[u8]) -> Option<bool> {
        let (len, index) = (*content.get(1)?, word(content, 4)?);
        let (mut local, mut plain) = (None, None);
        for (kind, value) in attributes(content.get(ADDR_FIXED..)?) {
            match kind {
                1 => plain = address(value),
                2 => local = address(value),
                _ => {}
            }
        }
        // With a peer, the one is the host's and the other the peer's.
        let own = local.or(plain)?;
        let all = self.addresses.entry(index).or_default();
        let before = all.len();
        if !new {
            all.retain(|(other, _)| *other != own);
            return Some(all.len() != before);
        }
        match all.iter_mut().find(|(other, _)| *other == own) {
            Some(known) if known.1 == len => Some(false),
            Some(known) => {
                known.1 = len;
                Some(true)
            }
            None => {
                all.push((own, len));
                Some(true)
            }
        }
    }

    fn rule(&mut self, new: bool, content: &[u8]) -> Option<bool> {
        let Said::Rule(rule) = rule::read(content)? else { return Some(false) };
        let known = self.rules.iter().position(|other| *other == rule);
        match (known, new) {
            (None, true) if self.rules.len() < Rules::LIMIT => self.rules.push(rule),
            (Some(at), false) => drop(self.rules.remove(at)),
            _ => return Some(false),
        }
        Some(true)
    }

    fn route(&mut self, new: bool, content: &[u8]) -> Option<bool> {
        let family = *content.first()?;
        let (len, kind) = (*content.get(1)?, *content.get(7)?);
        // Those that lead somewhere, and the host's own addresses; none that is only cached.
        if !matches!(kind, 1 | 2) || word(content, 8)? & 0x200 != 0 {
            return Some(false);
        }
        let any: IpAddr = match i32::from(family) {
            libc::AF_INET => [0; 4].into(),
            libc::AF_INET6 => [0; 16].into(),
            _ => return Some(false),
        };
        let mut route = KernelRoute {
            prefix: Prefix::new(any, len),
            table: u32::from(*content.get(4)?),
            metric: 0,
            local: kind == 2,
            source: None,
            hops: Vec::new(),
        };
        let (mut link, mut gateway) = (None, None);
        for (kind, value) in attributes(content.get(ROUTE_FIXED..)?) {
            match kind {
                1 => route.prefix = Prefix::new(address(value)?, len),
                4 => link = word(value, 0),
                5 => gateway = address(value),
                6 => route.metric = word(value, 0)?,
                7 => route.source = address(value),
                9 => route.hops = hops(value),
                15 => route.table = word(value, 0)?,
                18 => gateway = via(value),
                _ => {}
            }
        }
        if let Some(link) = link {
            route.hops.push(KernelHop { link, gateway, weight: 1 });
        }
        let key = (route.table, route.prefix, route.metric, route.local);
        if !new {
            return Some(self.routes.remove(&key).is_some());
        }
        if route.hops.is_empty() {
            return Some(false);
        }
        let old = self.routes.insert(key, route.clone());
        Some(old != Some(route))
    }
}

/// A gateway of another family than the route's.
fn via(value: &[u8]) -> Option<IpAddr> {
    address(value.get(2..)?)
}

/// The ways of a route that has several.
fn hops(bytes: &[u8]) -> Vec<KernelHop> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(&[l0, l1, _, weight]) = rest.first_chunk() {
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(hop) = rest.get(..len).filter(|hop| hop.len() >= 8) else { break };
        let Some(link) = word(hop, 4) else { break };
        let mut gateway = None;
        for (kind, value) in attributes(hop.get(8..).unwrap_or_default()) {
            match kind {
                5 => gateway = address(value),
                18 => gateway = via(value),
                _ => {}
            }
        }
        out.push(KernelHop { link, gateway, weight: u16::from(weight) + 1 });
        rest = rest.get((len + 3) & !3..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests;
