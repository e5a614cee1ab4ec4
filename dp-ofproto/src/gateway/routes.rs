//! Routes that follow the state of BFD sessions: a next hop whose session is down carries nothing,
//! and a route without any other next hop is not there until the session is up again.

use std::collections::BTreeMap;

use dp_core::route::{NextHop, Rank, RouteError, RouteKey, RouteTable};

#[derive(Clone, Debug)]
struct Watched {
    key: RouteKey,
    hop: NextHop,
    session: Option<u32>,
}

/// A route table some of whose next hops are watched by sessions.
#[derive(Debug, Default)]
pub struct WatchedRoutes {
    table: RouteTable,
    hops: Vec<Watched>,
    up: BTreeMap<u32, bool>,
}

impl WatchedRoutes {
    /// The table as it is now.
    pub const fn table(&mut self) -> &mut RouteTable {
        &mut self.table
    }

    /// Adds a next hop. With a session it carries nothing until the session is up.
    ///
    /// # Errors
    ///
    /// Those of [`RouteTable::add`].
    pub fn add(
        &mut self,
        key: RouteKey,
        hop: NextHop,
        session: Option<u32>,
    ) -> Result<(), RouteError> {
        let before = self.hops.len();
        self.hops.retain(|watched| !(watched.key == key && watched.hop.is_same_as(&hop)));
        let replaced = self.hops.len() < before;
        self.hops.push(Watched { key, hop, session });
        let done = self.settle(key);
        if done.is_err() && !replaced {
            self.hops.pop();
        }
        done
    }

    /// Removes a next hop.
    ///
    /// # Errors
    ///
    /// [`RouteError::NotFound`].
    pub fn remove(&mut self, key: RouteKey, hop: &NextHop) -> Result<(), RouteError> {
        let before = self.hops.len();
        self.hops.retain(|watched| !(watched.key == key && watched.hop.is_same_as(hop)));
        if self.hops.len() == before {
            return Err(RouteError::NotFound);
        }
        self.settle(key)
    }

    /// A session has gone up or down. Readers see it with the table's next snapshot.
    ///
    /// # Errors
    ///
    /// Those of [`RouteTable::add`]: a table may be full when routes come back.
    pub fn session(&mut self, session: u32, up: bool) -> Result<(), RouteError> {
        if self.up.insert(session, up) == Some(up) {
            return Ok(());
        }
        let follows = self.hops.iter().filter(|watched| watched.session == Some(session));
        let mut keys: Vec<RouteKey> = follows.map(|watched| watched.key).collect();
        keys.dedup();
        keys.into_iter().try_for_each(|key| self.settle(key))
    }

    /// Makes a route lead to those of its next hops that can carry something.
    fn settle(&mut self, key: RouteKey) -> Result<(), RouteError> {
        let carries = |watched: &&Watched| {
            watched.key == key
                && watched.session.is_none_or(|it| self.up.get(&it).copied().unwrap_or(false))
        };
        let hops = self.hops.iter().filter(carries).map(|watched| watched.hop.clone()).collect();
        self.table.set(key, Rank::of(&key), hops)
    }
}

#[cfg(test)]
mod tests {
    use dp_core::route::{NextHop, Origin, Policy, Query, RouteError, RouteKey};

    use super::WatchedRoutes;

    fn key(prefix: &str) -> RouteKey {
        RouteKey {
            prefix: prefix.parse().expect("a prefix"),
            policy: Policy::Destination,
            origin: Origin::Static,
            protocol: None,
        }
    }

    #[test]
    fn routes_follow_their_sessions() {
        let mut routes = WatchedRoutes::default();
        let hop = |last: u8| NextHop::new("out", Some(std::net::IpAddr::from([10, 0, 0, last])));
        routes.add(key("0.0.0.0/0"), hop(1), Some(1)).expect("there is room");
        routes.add(key("0.0.0.0/0"), hop(2), Some(2)).expect("there is room");
        routes.add(key("192.0.2.0/24"), hop(3), None).expect("there is room");
        let hops = |routes: &mut WatchedRoutes, to: &str| {
            let query = Query::to(to.parse().expect("an address"));
            let table = routes.table().snapshot();
            table.lookup(&query).map_or(0, |route| route.hops.len())
        };
        assert_eq!((hops(&mut routes, "8.8.8.8"), hops(&mut routes, "192.0.2.1")), (0, 1));
        routes.session(1, true).expect("there is room");
        assert_eq!(hops(&mut routes, "8.8.8.8"), 1);
        routes.session(2, true).expect("there is room");
        assert_eq!(hops(&mut routes, "8.8.8.8"), 2);
        routes.session(1, false).expect("there is room");
        assert_eq!(hops(&mut routes, "8.8.8.8"), 1);
        assert_eq!(routes.remove(key("0.0.0.0/0"), &hop(2)), Ok(()));
        assert_eq!(hops(&mut routes, "8.8.8.8"), 0);
        assert_eq!(routes.remove(key("0.0.0.0/0"), &hop(2)), Err(RouteError::NotFound));
    }

    #[test]
    fn what_cannot_be_a_next_hop_leaves_nothing_behind() {
        let mut routes = WatchedRoutes::default();
        let bad = NextHop::new("out", Some(std::net::IpAddr::from([224, 0, 0, 1])));
        assert_eq!(routes.add(key("0.0.0.0/0"), bad, None), Err(RouteError::ImpossibleHop));
        assert!(routes.hops.is_empty() && routes.table().is_empty());
    }
}
