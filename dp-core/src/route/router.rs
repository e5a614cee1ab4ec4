//! Routing tables under rules: how the switch finds the way to the end of a tunnel.
//!
//! Routes come from three sides. Users add them by hand; the kernel's are followed (*cached*);
//! each address of a device of ours makes its network *local*. They rank as the reference ranks
//! them: by the length of the prefix as an IPv6 one (an IPv4 prefix counts 96 more), plus 64 where
//! the route is local, plus 32 where it is a user's. A mark is part of what a route is for: a
//! route without one is for packets marked 0. [`Order::DestinationFirst`] ranks them as [`Rank::of`]
//! does instead; the two contradict each other where a user's route is shorter than the kernel's, and
//! where a route by source is longer than one by destination, so it is the operator who chooses.
//!
//! Tables are small or large alike: each is a [`RouteTable`], so that following a full Internet
//! table costs no more than its memory.

use core::net::IpAddr;
use std::collections::{BTreeMap, HashMap};
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

/// In which order the routes of a table that match are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The reference's: a longer prefix first whatever address it looks at, local before user's
    /// before the kernel's as by 64 and 32 bits more.
    #[default]
    PrefixLength,
    /// The gateways': [`Rank::of`], where routes by source go last.
    DestinationFirst,
}

/// Which packets a user's route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// The addresses that it is for.
    pub prefix: Prefix,
    /// Which address of a packet.
    pub policy: Policy,
    /// The mark that it is for.
    pub mark: u32,
    /// Its table.
    pub table: u32,
}

/// A route as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is for.
    pub prefix: Prefix,
    /// Which address of a packet; all but users' look at the destination.
    pub policy: Policy,
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
            policy: self.policy,
            origin: self.kind.origin(),
            protocol: None,
        }
    }

    fn rank(&self, order: Order) -> Rank {
        match order {
            Order::PrefixLength => Rank(mask_len(self.prefix) + self.kind.bonus()),
            Order::DestinationFirst => Rank::of(&self.key()),
        }
    }

    const fn matching(&self) -> RouteMatch {
        let Self { prefix, policy, mark, table, .. } = *self;
        RouteMatch { prefix, policy, mark, table }
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
    order: Order,
    rules: Arc<Rules>,
    addresses: Arc<Addresses>,
}

/// Routes whose prefixes are of one length, in the order in which they came: listings show the
/// group with the best rank first. Adding one and removing one costs the same in a large group as in a
/// small one, about: the kernel may have a million routes.
#[derive(Debug)]
struct Group {
    mask_len: u16,
    /// By the place of what they are for, the better one of those for the same first.
    routes: BTreeMap<(u64, Kind), Listed>,
    places: HashMap<RouteMatch, u64, ahash::RandomState>,
    /// The place that the next has.
    next: u64,
}

impl Group {
    fn new(mask_len: u16) -> Self {
        Self { mask_len, routes: BTreeMap::new(), places: HashMap::default(), next: 0 }
    }

    fn put(&mut self, route: Listed) {
        let place = *self.places.entry(route.matching()).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.routes.insert((place, route.kind), route);
    }

    fn take(&mut self, route: &Listed) {
        let matching = route.matching();
        let Some(&place) = self.places.get(&matching) else { return };
        self.routes.remove(&(place, route.kind));
        if self.routes.range((place, Kind::Local)..=(place, Kind::Kernel)).next().is_none() {
            self.places.remove(&matching);
        }
    }
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

    /// The order in which routes are taken.
    #[must_use]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// Takes routes in another order from now on.
    ///
    /// # Errors
    ///
    /// [`RouterError::Table`].
    pub fn set_order(&mut self, order: Order) -> Result<(), RouterError> {
        if order == self.order {
            return Ok(());
        }
        self.order = order;
        for route in self.listed.iter().flat_map(|group| group.routes.values()) {
            if let Some(table) = self.tables.get_mut(&(route.table, route.mark)) {
                table.set(route.key(), route.rank(order), route.hops.clone())?;
            }
        }
        Ok(())
    }

    /// Adds a user's route, or replaces the one that there is. The source address is the one asked
    /// for, or the one by which the device reaches the next hop; either way the device must have it.
    /// A route by source leads to the destination itself where it names no next hop, so the device
    /// need only have an address of the family.
    ///
    /// # Errors
    ///
    /// [`RouterError::NoSource`], [`RouterError::Table`].
    pub fn add_user(
        &mut self,
        to: RouteMatch,
        device: &str,
        gateway: Option<IpAddr>,
        source: Option<IpAddr>,
    ) -> Result<(), RouterError> {
        let RouteMatch { prefix, policy, mark, table } = to;
        let of_family = |&(address, _): &(IpAddr, u8)| Family::of(address) == prefix.family();
        let anywhere = || self.addresses.of(device).iter().copied().find(of_family);
        let target = match (gateway, policy) {
            (Some(gateway), _) => gateway,
            (None, Policy::Destination) => prefix.address(),
            (None, Policy::Source) => {
                source.or(anywhere().map(|it| it.0)).ok_or(RouterError::NoSource)?
            }
        };
        let source = match source {
            None => self.addresses.source_for(device, target),
            Some(wanted) => self.addresses.of(device).iter().find_map(|&(address, len)| {
                (address == wanted && Prefix::new(address, len).contains(target)).then_some(wanted)
            }),
        };
        let source = Some(source.ok_or(RouterError::NoSource)?);
        let hop = NextHop { source, ..NextHop::new(device, gateway) };
        self.put(Listed { prefix, policy, mark, table, kind: Kind::User, hops: vec![hop] })
    }

    /// Removes a user's route.
    ///
    /// # Errors
    ///
    /// [`RouterError::NotFound`].
    pub fn remove_user(&mut self, to: RouteMatch) -> Result<(), RouterError> {
        let RouteMatch { prefix, policy, mark, table } = to;
        self.take(&Listed { prefix, policy, mark, table, kind: Kind::User, hops: Vec::new() })
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
        let policy = Policy::Destination;
        self.put(Listed { prefix, policy, mark, table, kind, hops })
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
        let policy = Policy::Destination;
        self.take(&Listed { prefix, policy, mark, table, kind, hops: Vec::new() })
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
        table.set(route.key(), route.rank(self.order), route.hops.clone())?;
        let mask_len = mask_len(route.prefix);
        let known = self.listed.iter().position(|group| group.mask_len == mask_len);
        let at = known.unwrap_or_else(|| {
            self.listed.push(Group::new(mask_len));
            self.listed.len() - 1
        });
        if let Some(group) = self.listed.get_mut(at) {
            group.put(route);
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
        let mask_len = mask_len(route.prefix);
        if let Some(at) = self.listed.iter().position(|group| group.mask_len == mask_len)
            && let Some(group) = self.listed.get_mut(at)
        {
            group.take(route);
            if group.routes.is_empty() {
                self.listed.remove(at);
            }
        }
        Ok(())
    }

    /// All routes, in the order of listings: lengths by the best rank that a route of the length
    /// has, routes of one length as they came.
    pub fn list(&self) -> impl Iterator<Item = &Listed> {
        let mut groups: Vec<&Group> = self.listed.iter().collect();
        let best = |group: &&Group| {
            let ranks = group.routes.values().map(|route| route.rank(Order::PrefixLength));
            core::cmp::Reverse(ranks.max())
        };
        groups.sort_by_key(best);
        groups.into_iter().flat_map(|group| group.routes.values())
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
