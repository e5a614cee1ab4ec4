//! Multicast snooping (RFC 4541): which ports have listeners to a group, and which lead to routers.
//!
//! ```text
//!   report, leave ─► groups  (VLAN, group) → ports, each with its age
//!   query         ─► routers (VLAN, port), each with its age
//!   data          ─► ports of its group, router ports, ports that want everything
//! ```
//!
//! The table is bounded: a new group takes the place of the one that was refreshed longest ago.

mod message;
mod show;

pub use message::{Message, Protocol, Report, is_local, parse_igmp, parse_mld};

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use ahash::RandomState;
use dp_core::base::{Duration, Instant, OfPort};

/// How long a port counts as leading to a router after its last query.
const ROUTER_AGE: Duration = Duration::from_secs(180);

/// The settings of a bridge's snooping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a port counts as having listeners after their last report.
    pub max_age: Duration,
    /// Groups at most.
    pub table_size: usize,
    /// Data of groups that nobody reported goes everywhere.
    pub flood_unregistered: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(300), table_size: 2048, flood_unregistered: true }
    }
}

impl Config {
    /// The settings with what `Bridge other_config` says; ages are 15 to 3,600 seconds, tables 10 to
    /// 1,000,000 groups.
    #[must_use]
    pub fn from_keys(keys: &BTreeMap<String, String>) -> Self {
        let number = |key: &str| keys.get(key).and_then(|value| value.parse::<u64>().ok());
        let default = Self::default();
        let age = number("mcast-snooping-aging-time").map(|age| age.clamp(15, 3600));
        let size = number("mcast-snooping-table-size").map(|size| size.clamp(10, 1_000_000));
        let disabled = keys.get("mcast-snooping-disable-flood-unregistered");
        Self {
            max_age: age.map_or(default.max_age, Duration::from_secs),
            table_size: size.map_or(default.table_size, |size| size as usize),
            flood_unregistered: disabled.is_none_or(|value| value != "true"),
        }
    }
}

/// A group in a VLAN; IPv4 groups as IPv4-mapped addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    vlan: u16,
    group: Ipv6Addr,
}

/// A port with listeners.
#[derive(Clone, Copy, Debug)]
struct Listener {
    port: OfPort,
    protocol: Protocol,
    refreshed: Instant,
}

/// A port that leads to a router.
#[derive(Clone, Copy, Debug)]
struct Router {
    vlan: u16,
    port: OfPort,
    refreshed: Instant,
}

/// What a bridge knows of multicast listeners and routers.
#[derive(Debug, Default)]
pub struct Snooping {
    config: Config,
    groups: HashMap<Key, Vec<Listener>, RandomState>,
    routers: Vec<Router>,
    version: u64,
    evicted: u64,
}

impl Snooping {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings; groups beyond a smaller table go, oldest first.
    pub fn configure(&mut self, config: Config) {
        if config != self.config {
            self.config = config;
            self.version += 1;
            while self.groups.len() > self.config.table_size && self.evict() {}
        }
    }

    /// Learns from a message that came in by `port`, which may be one that reports are always sent
    /// to: more listeners stand behind such a port than the one that leaves. Returns whether
    /// anything is new.
    pub fn learn(
        &mut self,
        vlan: u16,
        port: OfPort,
        many_behind: bool,
        message: &Message,
        now: Instant,
    ) -> bool {
        match message {
            Message::Query { from_router: false } => false,
            Message::Query { from_router: true } => self.learn_router(vlan, port, now),
            Message::Reports(reports) => reports.iter().fold(false, |any, report| {
                let new = if report.joins {
                    self.join(vlan, port, report, now)
                } else {
                    !many_behind && self.leave(vlan, port, report.group)
                };
                any | new
            }),
        }
    }

    fn learn_router(&mut self, vlan: u16, port: OfPort, now: Instant) -> bool {
        let known = self.routers.iter_mut().find(|r| r.vlan == vlan && r.port == port);
        if let Some(router) = known {
            router.refreshed = now;
            return false;
        }
        // Newest last, as they age.
        self.routers.push(Router { vlan, port, refreshed: now });
        self.version += 1;
        true
    }

    fn join(&mut self, vlan: u16, port: OfPort, report: &Report, now: Instant) -> bool {
        if is_local(report.group) {
            return false;
        }
        let key = Key { vlan, group: report.group };
        if !self.groups.contains_key(&key) && self.groups.len() >= self.config.table_size {
            self.evict();
        }
        let listener = Listener { port, protocol: report.protocol, refreshed: now };
        let listeners = self.groups.entry(key).or_default();
        match listeners.iter_mut().find(|known| known.port == port) {
            Some(known) => {
                *known = listener;
                false
            }
            None => {
                listeners.push(listener);
                self.version += 1;
                true
            }
        }
    }

    fn leave(&mut self, vlan: u16, port: OfPort, group: Ipv6Addr) -> bool {
        let key = Key { vlan, group };
        let Some(listeners) = self.groups.get_mut(&key) else { return false };
        let before = listeners.len();
        listeners.retain(|listener| listener.port != port);
        let left = listeners.len() < before;
        if listeners.is_empty() {
            self.groups.remove(&key);
        }
        self.version += u64::from(left);
        left
    }

    /// Makes room by forgetting the group that was refreshed longest ago.
    fn evict(&mut self) -> bool {
        let newest = |listeners: &Vec<Listener>| listeners.iter().map(|l| l.refreshed).max();
        let oldest = self.groups.iter().min_by_key(|(key, l)| (newest(l), **key));
        let Some(key) = oldest.map(|(key, _)| *key) else { return false };
        self.groups.remove(&key);
        self.evicted += 1;
        self.version += 1;
        true
    }

    /// How many groups made room for others.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Lets go of what is too old.
    pub fn expire(&mut self, now: Instant) {
        let before = self.count();
        let max_age = self.config.max_age;
        self.groups.retain(|_, listeners| {
            listeners.retain(|listener| now.since(listener.refreshed) < max_age);
            !listeners.is_empty()
        });
        self.routers.retain(|router| now.since(router.refreshed) < ROUTER_AGE);
        self.version += u64::from(self.count() != before);
    }

    fn count(&self) -> usize {
        self.groups.values().map(Vec::len).sum::<usize>() + self.routers.len()
    }

    /// Forgets a port that is gone.
    pub fn forget_port(&mut self, port: OfPort) {
        let before = self.count();
        self.groups.retain(|_, listeners| {
            listeners.retain(|listener| listener.port != port);
            !listeners.is_empty()
        });
        self.routers.retain(|router| router.port != port);
        self.version += u64::from(self.count() != before);
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        self.groups.clear();
        self.routers.clear();
        self.version += 1;
    }

    /// The ports with listeners to a group, oldest known first; `None`: nobody reported it.
    #[must_use]
    pub fn listeners(&self, vlan: u16, group: Ipv6Addr) -> Option<Vec<OfPort>> {
        let listeners = self.groups.get(&Key { vlan, group })?;
        Some(listeners.iter().map(|listener| listener.port).collect())
    }

    /// The ports that lead to routers, with their VLANs.
    pub fn routers(&self) -> impl Iterator<Item = (u16, OfPort)> {
        self.routers.iter().map(|router| (router.vlan, router.port))
    }

    /// Moves on whenever an answer may differ.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests;
