//! Routing tables under rules: how the switch finds the way to the end of a tunnel.
//!
//! Routes come from three sides. Users add them by hand; the kernel's are followed (*cached*);
//! each address of a device of ours makes its network *local*. They rank as the reference ranks
//! them: by the length of the prefix as an IPv6 one (an IPv4 prefix counts 96 more), plus 64 where
//! the route is local, plus 32 where it is a user's. A mark is part of what a route is for: a
//! route without one is for packets marked 0.
//!
//! Tables are small or large alike: each is a [`RouteTable`], so that following a full Internet
//! table costs no more than its memory.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use super::addresses::Addresses;
use super::hop::{NextHop, pick};
use super::prefix::{Family, Prefix};
use super::rank::{Origin, Policy, Rank, RouteKey};
use super::rules::Rules;
use super::table::{Query, RouteError, RouteTable, Routes};

/// Whose a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The network of a device's own address.
    Local,
    /// A user's.
    User,
    /// The kernel's.
    Kernel,
}

impl Kind {
    const fn bonus(self) -> u16 {
        match self {
            Self::Local => 64,
            Self::User => 32,
            Self::Kernel => 0,
        }
    }

    const fn origin(self) -> Origin {
        match self {
            Self::Local => Origin::Connected,
            Self::User => Origin::Static,
            Self::Kernel => Origin::Learned,
        }
    }
}

/// A route that somebody else keeps: the kernel, or a dummy device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRoute {
    /// What it is for.
    pub prefix: Prefix,
    /// The mark that it is for.
    pub mark: u32,
    /// Its table.
    pub table: u32,
    /// Where it leads.
    pub hops: Vec<NextHop>,
    /// Whether it is the network of a device's own address.
    pub local: bool,
}

/// A route as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is for.
    pub prefix: Prefix,
    /// The mark that it is for.
    pub mark: u32,
    /// Its table.
    pub table: u32,
    /// Whose it is.
    pub kind: Kind,
    /// Where it leads; several share the traffic.
    pub hops: Vec<NextHop>,
}

impl Listed {
    fn key(&self) -> RouteKey {
        RouteKey {
            prefix: self.prefix,
            policy: Policy::Destination,
            origin: self.kind.origin(),
            protocol: None,
        }
    }

    fn rank(&self) -> Rank {
        Rank(mask_len(self.prefix) + self.kind.bonus())
    }

    fn is_same_match(&self, other: &Self) -> bool {
        (self.prefix, self.mark, self.table) == (other.prefix, other.mark, other.table)
    }
}

/// Length of a prefix among IPv6 ones, IPv4 being a part of them.
fn mask_len(prefix: Prefix) -> u16 {
    let outer = if prefix.family() == Family::V4 { 96 } else { 0 };
    outer + u16::from(prefix.len())
}

/// Why a route cannot be added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterError {
    /// The device has no address to send from, or not the one asked for.
    NoSource,
    /// There is no such route.
    NotFound,
    /// The table refuses.
    Table(RouteError),
}

impl core::fmt::Display for RouterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSource => f.write_str("the device has no address that reaches the next hop"),
            Self::NotFound => f.write_str("no such route"),
            Self::Table(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RouterError {}

impl From<RouteError> for RouterError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::NotFound,
            error => Self::Table(error),
        }
    }
}

/// The way to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The device or bridge that packets leave by.
    pub device: Arc<str>,
    /// The router to send to; `None`: the destination itself.
    pub gateway: Option<IpAddr>,
    /// The address to send from.
    pub source: Option<IpAddr>,
    /// Whether the destination's network is one of the switch's own.
    pub local: bool,
    /// The table that had the route.
    pub table: u32,
}

/// What a tunnel says of the address that it sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceNeed {
    /// Whatever the route says.
    Any,
    /// This one; there is no way unless it lies in a network of one of the switch's devices.
    Own(IpAddr),
    /// This one, which a packet has that is only forwarded: routes by source look at it.
    Forwarded(IpAddr),
}

/// Tables, rules and addresses as readers see them.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    tables: HashMap<(u32, u32), Routes, ahash::RandomState>,
    rules: Arc<Rules>,
    addresses: Arc<Addresses>,
}

impl Routing {
    /// The way to a destination. `hash` picks among next hops that share the traffic.
    #[must_use]
    pub fn lookup(
        &self,
        destination: IpAddr,
        mark: u32,
        source: SourceNeed,
        hash: u32,
    ) -> Option<Found> {
        let own = match source {
            SourceNeed::Any => None,
            SourceNeed::Own(address) => {
                if !self.is_own(address, mark) {
                    return None;
                }
                Some(address)
            }
            SourceNeed::Forwarded(address) => Some(address),
        };
        let query = Query { source: own, mark, hash, ..Query::to(destination) };
        let mut found = self.ask(&query)?;
        if own.is_some() {
            found.source = own;
        }
        Some(found)
    }

    fn ask(&self, query: &Query) -> Option<Found> {
        let family = Family::of(query.destination);
        self.rules.tables(family, query.source, query.mark).find_map(|rule| {
            let of = |mark| self.tables.get(&(rule.table, mark))?.lookup(query);
            // Where the mark has chosen the table, its routes need not name the mark again.
            let route = of(query.mark).or_else(|| rule.mark.and_then(|_| of(0)))?;
            let hop = pick(&route.hops, query.hash)?;
            Some(Found {
                device: Arc::clone(&hop.device),
                gateway: hop.gateway,
                source: hop.source,
                local: route.key.origin == Origin::Connected,
                table: rule.table,
            })
        })
    }

    /// Whether an address may be sent from: it lies in a network of one of the switch's devices.
    pub(super) fn is_own(&self, address: IpAddr, mark: u32) -> bool {
        let query = Query { mark, ..Query::to(address) };
        self.ask(&query).is_some_and(|found| found.local)
    }

    /// The addresses of devices.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// Tables, rules and addresses, to be changed.
#[derive(Debug, Default)]
pub struct Router {
    tables: HashMap<(u32, u32), RouteTable, ahash::RandomState>,
    listed: Vec<Group>,
    rules: Arc<Rules>,
    addresses: Arc<Addresses>,
}

/// Routes whose prefixes are of one length, in the order in which they came: listings show the
/// group with the best rank first.
#[derive(Debug)]
struct Group {
    mask_len: u16,
    routes: Vec<Listed>,
}

impl Router {
    /// A table's routes for packets with a mark.
    pub(super) fn table(&self, table: u32, mark: u32) -> Option<&RouteTable> {
        self.tables.get(&(table, mark))
    }

    /// The addresses of devices.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The addresses of devices, to be changed.
    pub fn addresses_mut(&mut self) -> &mut Addresses {
        Arc::make_mut(&mut self.addresses)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules, to be changed.
    pub fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }

    /// Adds a user's route, or replaces the one that there is. The source address is the one asked
    /// for, or the one by which the device reaches the next hop; either way the device must have it.
    ///
    /// # Errors
    ///
    /// [`RouterError::NoSource`], [`RouterError::Table`].
    pub fn add_user(
        &mut self,
        prefix: Prefix,
        mark: u32,
        table: u32,
        device: &str,
        gateway: Option<IpAddr>,
        source: Option<IpAddr>,
    ) -> Result<(), RouterError> {
        let target = gateway.unwrap_or_else(|| prefix.address());
        let source = match source {
            None => self.addresses.source_for(device, target),
            Some(wanted) => self.addresses.of(device).iter().find_map(|&(address, len)| {
                (address == wanted && Prefix::new(address, len).contains(target)).then_some(wanted)
            }),
        };
        let source = Some(source.ok_or(RouterError::NoSource)?);
        let hop = NextHop { source, ..NextHop::new(device, gateway) };
        self.put(Listed { prefix, mark, table, kind: Kind::User, hops: vec![hop] })
    }

    /// Removes a user's route.
    ///
    /// # Errors
    ///
    /// [`RouterError::NotFound`].
    pub fn remove_user(
        &mut self,
        prefix: Prefix,
        mark: u32,
        table: u32,
    ) -> Result<(), RouterError> {
        self.take(&Listed { prefix, mark, table, kind: Kind::User, hops: Vec::new() })
    }

    /// Adds a route that somebody else keeps, or replaces the one that there is. A next hop without
    /// a source address gets that by which its device reaches it; devices that give none give none
    /// here either.
    ///
    /// # Errors
    ///
    /// [`RouterError::Table`].
    pub fn add_cached(&mut self, route: CachedRoute) -> Result<(), RouterError> {
        let CachedRoute { prefix, mark, table, mut hops, local } = route;
        for hop in &mut hops {
            if self.addresses.is_silent(&hop.device) {
                hop.source = None;
            } else if hop.source.is_none() {
                let target = hop.gateway.unwrap_or_else(|| prefix.address());
                hop.source = self.addresses.source_for(&hop.device, target);
            }
        }
        let kind = if local { Kind::Local } else { Kind::Kernel };
        self.put(Listed { prefix, mark, table, kind, hops })
    }

    /// Removes a route that somebody else keeps.
    ///
    /// # Errors
    ///
    /// [`RouterError::NotFound`].
    pub fn remove_cached(
        &mut self,
        prefix: Prefix,
        mark: u32,
        table: u32,
        local: bool,
    ) -> Result<(), RouterError> {
        let kind = if local { Kind::Local } else { Kind::Kernel };
        self.take(&Listed { prefix, mark, table, kind, hops: Vec::new() })
    }

    /// Removes all routes that somebody else keeps.
    pub fn flush_cached(&mut self) {
        let cached: Vec<Listed> =
            self.list().filter(|route| route.kind != Kind::User).cloned().collect();
        for route in cached {
            let _ = self.take(&route);
        }
    }

    fn put(&mut self, route: Listed) -> Result<(), RouterError> {
        let table = self.tables.entry((route.table, route.mark)).or_default();
        table.set(route.key(), route.rank(), route.hops.clone())?;
        let mask_len = mask_len(route.prefix);
        let group = match self.listed.iter_mut().find(|group| group.mask_len == mask_len) {
            Some(group) => group,
            None => {
                self.listed.push(Group { mask_len, routes: Vec::new() });
                let Some(group) = self.listed.last_mut() else { return Ok(()) };
                group
            }
        };
        let same = |other: &Listed| other.is_same_match(&route);
        let Some(first) = group.routes.iter().position(same) else {
            group.routes.push(route);
            return Ok(());
        };
        // Routes for the same packets stand together, the better one first.
        let better = |other: &&Listed| other.is_same_match(&route) && other.kind < route.kind;
        let at = first + group.routes.iter().skip(first).take_while(better).count();
        match group.routes.get_mut(at) {
            Some(old) if old.is_same_match(&route) && old.kind == route.kind => *old = route,
            _ => group.routes.insert(at, route),
        }
        Ok(())
    }

    fn take(&mut self, route: &Listed) -> Result<(), RouterError> {
        let key = (route.table, route.mark);
        let table = self.tables.get_mut(&key).ok_or(RouterError::NotFound)?;
        table.remove(&route.key(), None)?;
        if table.is_empty() {
            self.tables.remove(&key);
        }
        for group in &mut self.listed {
            group.routes.retain(|other| !(other.is_same_match(route) && other.kind == route.kind));
        }
        self.listed.retain(|group| !group.routes.is_empty());
        Ok(())
    }

    /// All routes, in the order of listings: lengths by the best rank that a route of the length
    /// has, routes of one length as they came.
    pub fn list(&self) -> impl Iterator<Item = &Listed> {
        let mut groups: Vec<&Group> = self.listed.iter().collect();
        groups.sort_by_key(|group| core::cmp::Reverse(group.routes.iter().map(Listed::rank).max()));
        groups.into_iter().flat_map(|group| &group.routes)
    }

    /// What readers look up in.
    #[must_use]
    pub fn snapshot(&mut self) -> Routing {
        let tables = self.tables.iter_mut().map(|(&key, table)| (key, table.snapshot())).collect();
        Routing { tables, rules: Arc::clone(&self.rules), addresses: Arc::clone(&self.addresses) }
    }
}

#[cfg(test)]
mod tests;
