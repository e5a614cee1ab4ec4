//! One routing table: routes by destination and by source, changed in batches, read in snapshots.
//!
//! [`RouteTable`] is the writer's: [`RouteTable::add`] and the like collect changes,
//! [`RouteTable::commit`] builds what they touch, and [`RouteTable::snapshot`] gives what readers
//! look up in ([`Routes`]), shared by reference. Publish it through
//! [`Published`](crate::sync::Published).
//!
//! A leaf of the tries is a route, or a *chain*: the routes that apply there, the preferred one
//! first, as far as the first that takes every packet. Chains exist only where a route is for one
//! protocol.
//!
//! # Cost
//!
//! A look-up in a table of a million IPv4 routes is an entry, one or two nodes and a leaf; adding a
//! route rebuilds the slab around it, of some ten routes in such a table.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use super::fib::{Combine, Fib, Ids, Tree};
use super::hop::NextHop;
use super::paged::Paged;
use super::prefix::{Family, Prefix, left_aligned};
use super::rank::{Policy, Rank, RouteKey, preferred};
use super::slab::Leaf;

/// A route as it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it is for.
    pub key: RouteKey,
    /// How it ranks.
    pub rank: Rank,
    /// Where it leads; never empty. Several share the traffic.
    pub hops: Arc<[NextHop]>,
}

/// What is known of a packet that wants a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its destination.
    pub destination: IpAddr,
    /// Its source, where it has one already.
    pub source: Option<IpAddr>,
    /// Its IP protocol; routes for one protocol match nothing where it is unknown.
    pub protocol: Option<u8>,
    /// Its mark, for rules.
    pub mark: u32,
    /// Its flow's hash: picks among next hops that share the traffic.
    pub hash: u32,
}

impl Query {
    /// A query about a destination alone.
    #[must_use]
    pub const fn to(destination: IpAddr) -> Self {
        Self { destination, source: None, protocol: None, mark: 0, hash: 0 }
    }
}

/// A leaf that is the number of a chain, not of a route.
const CHAIN: Leaf = 1 << 31;
/// Numbers of routes and of chains stay below this.
const MAX_ROUTES: u32 = 1 << 29;

/// Why a table cannot be changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// There is no such route, or it has no such next hop.
    NotFound,
    /// The table holds as many routes as it may.
    Full,
    /// The next hop is of another family than the route.
    Family,
    /// The next hop is one that nothing can be sent to: unspecified, multicast or broadcast.
    ImpossibleHop,
}

impl core::fmt::Display for RouteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no such route",
            Self::Full => "the routing table is full",
            Self::Family => "the next hop is of another address family than the route",
            Self::ImpossibleHop => "the next hop cannot be the address of a neighbour",
        })
    }
}

impl core::error::Error for RouteError {}

/// A table as readers see it. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// By policy, then family.
    fibs: [[Fib; 2]; 2],
    routes: Paged<Option<Arc<Route>>>,
    chains: Paged<Option<Arc<[u32]>>>,
    /// Whether any route is by source.
    by_source: bool,
}

impl Routes {
    /// The route of a packet.
    #[inline]
    #[must_use]
    pub fn lookup(&self, query: &Query) -> Option<&Arc<Route>> {
        let by_destination = self.best(Policy::Destination, query.destination, query);
        let Some(source) = query.source.filter(|_| self.by_source) else { return by_destination };
        if Family::of(source) != Family::of(query.destination) {
            return by_destination;
        }
        let by_source = self.best(Policy::Source, source, query);
        match (by_destination, by_source) {
            (Some(a), Some(b)) => {
                Some(if preferred((a.rank, &a.key), (b.rank, &b.key)).is_le() { a } else { b })
            }
            (a, b) => a.or(b),
        }
    }

    /// The routes of several IPv4 destinations, where the table has destination routes for all
    /// protocols only: for gateways that route bursts. `out` holds a number for each
    /// ([`Self::route`]), `u32::MAX` where there is none; `false` if the table has other routes
    /// too and nothing was looked up.
    pub fn burst4(&self, destinations: &[u32], out: &mut [u32]) -> bool {
        if self.by_source {
            return false;
        }
        self.fibs[0][0].burst4(destinations, out);
        let mut chains = 0;
        for leaf in out.iter_mut() {
            chains |= *leaf;
            *leaf = leaf.wrapping_sub(1);
        }
        chains & CHAIN == 0
    }

    /// The route behind a number.
    #[inline]
    #[must_use]
    pub fn route(&self, number: u32) -> Option<&Arc<Route>> {
        self.routes.get(number as usize)?.as_ref()
    }

    #[inline]
    fn best(&self, policy: Policy, address: IpAddr, query: &Query) -> Option<&Arc<Route>> {
        let fibs = &self.fibs[policy as usize];
        let leaf = match address {
            IpAddr::V4(address) => fibs[0].lookup4(address.to_bits()),
            IpAddr::V6(address) => fibs[1].lookup6(address.to_bits()),
        };
        if leaf & CHAIN == 0 {
            return self.route(leaf.wrapping_sub(1));
        }
        let chain = self.chains.get((leaf & !CHAIN) as usize)?.as_ref()?;
        chain.iter().filter_map(|&number| self.route(number)).find(|route| {
            route.key.protocol.is_none_or(|protocol| query.protocol == Some(protocol))
        })
    }
}

/// A table as its writer sees it.
#[derive(Debug)]
pub struct RouteTable {
    /// By policy, then family.
    trees: [[Tree; 2]; 2],
    numbers: HashMap<RouteKey, u32, ahash::RandomState>,
    store: Store,
    limit: usize,
    /// How many routes are by source.
    by_source: usize,
    /// Numbers given up since the last commit: not to be used again before it.
    freed: Vec<u32>,
}

/// What routes and chains are called; also what combines them.
#[derive(Debug, Default)]
struct Store {
    routes: Paged<Option<Arc<Route>>>,
    used: u32,
    free: Vec<u32>,
    chains: Paged<Option<Arc<[u32]>>>,
    chain_numbers: HashMap<Arc<[u32]>, u32, ahash::RandomState>,
}

impl Store {
    fn order(&self, a: u32, b: u32) -> core::cmp::Ordering {
        let route = |number: u32| self.routes.get(number as usize).and_then(Option::as_ref);
        match (route(a), route(b)) {
            (Some(a), Some(b)) => preferred((a.rank, &a.key), (b.rank, &b.key)),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }

    fn takes_all(&self, number: u32) -> bool {
        self.routes
            .get(number as usize)
            .and_then(Option::as_ref)
            .is_some_and(|route| route.key.protocol.is_none())
    }

    fn chain(&self, leaf: Leaf) -> Ids {
        match leaf {
            0 => Ids::new(),
            leaf if leaf & CHAIN == 0 => Ids::from_slice(&[leaf - 1]),
            leaf => self
                .chains
                .get((leaf & !CHAIN) as usize)
                .and_then(Option::as_ref)
                .map_or_else(Ids::new, |chain| Ids::from_slice(chain)),
        }
    }
}

impl Combine for Store {
    fn combine(&mut self, inherited: Leaf, ids: &Ids) -> Leaf {
        if let [only] = ids[..]
            && self.takes_all(only)
            && (inherited == 0 || inherited & CHAIN == 0 && self.order(only, inherited - 1).is_le())
        {
            return only + 1;
        }
        let mut chain = self.chain(inherited);
        chain.extend_from_slice(ids);
        chain.sort_by(|&a, &b| self.order(a, b));
        let end = chain.iter().position(|&number| self.takes_all(number));
        chain.truncate(end.map_or(chain.len(), |end| end + 1));
        if let [only] = chain[..]
            && self.takes_all(only)
        {
            return only + 1;
        }
        let next = u32::try_from(self.chain_numbers.len()).unwrap_or(MAX_ROUTES) % MAX_ROUTES;
        let chain: Arc<[u32]> = chain.to_vec().into();
        if let Some(&number) = self.chain_numbers.get(&chain) {
            return CHAIN | number;
        }
        *self.chains.get_mut(next as usize) = Some(Arc::clone(&chain));
        self.chain_numbers.insert(chain, next);
        CHAIN | next
    }
}

impl Default for RouteTable {
    fn default() -> Self {
        Self::new(4 << 20)
    }
}

impl RouteTable {
    /// An empty table of at most `limit` routes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let pair = || [Tree::new(Family::V4), Tree::new(Family::V6)];
        Self {
            trees: [pair(), pair()],
            numbers: HashMap::default(),
            store: Store::default(),
            limit: limit.min(MAX_ROUTES as usize),
            by_source: 0,
            freed: Vec::new(),
        }
    }

    /// How many routes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// All routes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.numbers.values().filter_map(|&number| self.get_number(number))
    }

    fn get_number(&self, number: u32) -> Option<&Arc<Route>> {
        self.store.routes.get(number as usize)?.as_ref()
    }

    /// The route with exactly this key.
    #[must_use]
    pub fn get(&self, key: &RouteKey) -> Option<&Arc<Route>> {
        self.get_number(*self.numbers.get(key)?)
    }

    /// Adds a next hop to the route with this key, which is made if it is not there; a next hop
    /// with the same device and gateway is replaced.
    ///
    /// # Errors
    ///
    /// [`RouteError::Full`], [`RouteError::Family`], [`RouteError::ImpossibleHop`].
    pub fn add(&mut self, key: RouteKey, hop: NextHop) -> Result<(), RouteError> {
        let mut hops: Vec<NextHop> =
            self.get(&key).map_or_else(Vec::new, |route| route.hops.to_vec());
        match hops.iter_mut().find(|other| other.is_same_as(&hop)) {
            Some(same) => *same = hop,
            None => hops.push(hop),
        }
        self.set(key, Rank::of(&key), hops)
    }

    /// Makes the route with this key lead to these next hops and no others, under a rank of the
    /// caller's: for tables that order routes by other rules. Without next hops the route goes.
    ///
    /// # Errors
    ///
    /// As [`Self::add`].
    pub fn set(
        &mut self,
        key: RouteKey,
        rank: Rank,
        mut hops: Vec<NextHop>,
    ) -> Result<(), RouteError> {
        for hop in &hops {
            hop.check(key.prefix.family())?;
        }
        if hops.is_empty() {
            let _ = self.remove(&key, None);
            return Ok(());
        }
        // Their order is part of who gets which flow: it must not depend on history.
        hops.sort_by(|a, b| (a.gateway, &a.device).cmp(&(b.gateway, &b.device)));
        let route = Arc::new(Route { key, rank, hops: hops.into() });
        if let Some(&number) = self.numbers.get(&key) {
            if self.get_number(number).is_some_and(|old| old.rank == rank) {
                *self.store.routes.get_mut(number as usize) = Some(route);
                return Ok(());
            }
            // A number stands for a key and a rank, so that equal leaves mean equal choices.
            let _ = self.remove(&key, None);
        }
        if self.numbers.len() >= self.limit {
            return Err(RouteError::Full);
        }
        let number = self.store.free.pop().unwrap_or_else(|| {
            self.store.used += 1;
            self.store.used - 1
        });
        *self.store.routes.get_mut(number as usize) = Some(route);
        self.numbers.insert(key, number);
        self.by_source += usize::from(key.policy == Policy::Source);
        self.relink(&key);
        Ok(())
    }

    /// Removes a next hop of the route with this key, or the whole route; a route without next
    /// hops goes.
    ///
    /// # Errors
    ///
    /// [`RouteError::NotFound`].
    pub fn remove(&mut self, key: &RouteKey, hop: Option<&NextHop>) -> Result<(), RouteError> {
        let number = *self.numbers.get(key).ok_or(RouteError::NotFound)?;
        if let Some(hop) = hop {
            let route = self.get(key).ok_or(RouteError::NotFound)?;
            let left: Vec<NextHop> =
                route.hops.iter().filter(|other| !other.is_same_as(hop)).cloned().collect();
            if left.len() == route.hops.len() {
                return Err(RouteError::NotFound);
            }
            if !left.is_empty() {
                let rank = route.rank;
                return self.set(*key, rank, left);
            }
        }
        self.numbers.remove(key);
        self.relink(key);
        self.by_source -= usize::from(key.policy == Policy::Source);
        *self.store.routes.get_mut(number as usize) = None;
        self.freed.push(number);
        Ok(())
    }

    /// Tells the tree which routes are at a key's prefix now.
    fn relink(&mut self, key: &RouteKey) {
        let tree = &mut self.trees[key.policy as usize][key.prefix.family() as usize];
        let mut ids: Ids = tree
            .at(key.prefix)
            .iter()
            .copied()
            .filter(|number| {
                let route = self.store.routes.get(*number as usize).and_then(Option::as_ref);
                route.is_some_and(|route| route.key != *key)
            })
            .collect();
        ids.extend(self.numbers.get(key).copied());
        tree.set(key.prefix, ids);
    }

    /// Builds what has changed since the last time.
    pub fn commit(&mut self) {
        // Chains that nobody refers to any more are dropped by building everything anew, which
        // is paid for by as many changes as there were chains.
        if self.store.chain_numbers.len() > 1024 + 4 * self.numbers.len() {
            self.store.chains = Paged::default();
            self.store.chain_numbers.clear();
            self.trees.iter_mut().flatten().for_each(Tree::touch_all);
        }
        for tree in self.trees.iter_mut().flatten() {
            tree.commit(&mut self.store);
        }
        self.store.free.append(&mut self.freed);
    }

    /// What readers look up in, after a [`Self::commit`].
    #[must_use]
    pub fn snapshot(&mut self) -> Routes {
        self.commit();
        let fibs = self.trees.each_ref().map(|pair| pair.each_ref().map(|tree| tree.fib().clone()));
        Routes {
            fibs,
            routes: self.store.routes.clone(),
            chains: self.store.chains.clone(),
            by_source: self.by_source > 0,
        }
    }

    /// Bytes that the look-up structures take, nearly.
    #[must_use]
    pub fn size(&self) -> usize {
        self.trees.iter().flatten().map(Tree::size).sum()
    }

    /// All routes that match a packet, the one that is taken first: by asking for every length,
    /// for explanations.
    #[must_use]
    pub fn explain(&self, query: &Query) -> Vec<Arc<Route>> {
        let mut found: Vec<Arc<Route>> = Vec::new();
        let addresses =
            [(Policy::Destination, Some(query.destination)), (Policy::Source, query.source)];
        for (policy, address) in addresses {
            let Some(address) = address else { continue };
            let family = Family::of(address);
            if family != Family::of(query.destination) {
                continue;
            }
            let tree = &self.trees[policy as usize][family as usize];
            for len in 0..=family.width() {
                let numbers = tree.at(Prefix::new(address, len)).iter();
                found.extend(numbers.filter_map(|&number| self.get_number(number)).cloned());
            }
        }
        found.retain(|route| {
            route.key.protocol.is_none_or(|protocol| query.protocol == Some(protocol))
        });
        found.sort_by(|a, b| preferred((a.rank, &a.key), (b.rank, &b.key)));
        found
    }
}

/// Whether an address is one that a packet can be sent to directly.
pub(super) fn is_neighbour(address: IpAddr) -> bool {
    let all_ones = left_aligned(address) >> 96 == u128::from(u32::MAX) && address.is_ipv4();
    !(address.is_unspecified() || address.is_multicast() || all_ones)
}

#[cfg(test)]
mod tests;
