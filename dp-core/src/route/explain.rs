//! Why a packet takes the route that it takes: every route that matches, in order, with what
//! decided between each and the one that is taken.

use core::fmt;
use std::sync::Arc;

use super::hop::pick;
use super::rank::{Origin, Policy};
use super::table::{Query, Route, RouteTable};

/// The routes that match a packet, the one that is taken first. Printed, it says why.
#[derive(Clone, Debug)]
pub struct Explanation {
    query: Query,
    routes: Vec<Arc<Route>>,
}

impl RouteTable {
    /// Which routes match a packet, and why one of them is taken.
    #[must_use]
    pub fn why(&self, query: &Query) -> Explanation {
        Explanation { query: *query, routes: self.explain(query) }
    }
}

impl Explanation {
    /// The routes considered, the one that is taken first.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }
}

/// What decided for `taken` over `other`: the first difference in the order of ties.
fn reason(taken: &Route, other: &Route) -> String {
    let (a, b) = (&taken.key, &other.key);
    if taken.rank != other.rank {
        format!("rank {} is below {}", other.rank.0, taken.rank.0)
    } else if a.policy != b.policy {
        "a route by destination goes first".into()
    } else if a.prefix.len() != b.prefix.len() {
        "its prefix is shorter".into()
    } else if a.origin != b.origin {
        "its origin is farther".into()
    } else {
        "the taken one is for a protocol, or for a lower one".into()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((taken, others)) = self.routes.split_first() else {
            return f.write_str("no route matches\n");
        };
        write!(f, "taken: {taken}")?;
        if let Some(hop) = pick(&taken.hops, self.query.hash) {
            write!(f, ", by {}", hop.device)?;
            if let Some(gateway) = hop.gateway {
                write!(f, " through {gateway}")?;
            }
            if taken.hops.len() > 1 {
                write!(f, " (hash {:#x} among {} next hops)", self.query.hash, taken.hops.len())?;
            }
        }
        writeln!(f)?;
        for other in others {
            writeln!(f, "passed over: {other}: {}", reason(taken, other))?;
        }
        Ok(())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.key.policy {
            Policy::Destination => "to",
            Policy::Source => "from",
        };
        let origin = match self.key.origin {
            Origin::Connected => "connected",
            Origin::Static => "static",
            Origin::Learned => "learned",
        };
        write!(f, "{policy} {} {origin}", self.key.prefix)?;
        if let Some(protocol) = self.key.protocol {
            write!(f, " protocol {protocol}")?;
        }
        write!(f, " rank {}", self.rank.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::route::{NextHop, Origin, Policy, Query, RouteKey, RouteTable};

    #[test]
    fn a_lookup_says_what_was_considered_and_why_one_won() {
        let mut table = RouteTable::default();
        let mut add = |prefix: &str, policy, origin, protocol| {
            let prefix = prefix.parse().expect("a prefix");
            let key = RouteKey { prefix, policy, origin, protocol };
            table.add(key, NextHop::new("br0", None)).expect("there is room");
        };
        add("10.0.0.0/8", Policy::Destination, Origin::Static, None);
        add("0.0.0.0/0", Policy::Destination, Origin::Static, Some(6));
        add("192.0.2.7/32", Policy::Source, Origin::Static, None);
        let query = |to: &str| Query {
            source: Some("192.0.2.7".parse().expect("an address")),
            protocol: Some(6),
            ..Query::to(to.parse().expect("an address"))
        };
        assert_eq!(
            table.why(&query("10.1.1.1")).to_string(),
            "taken: to 10.0.0.0/8 static rank 68, by br0\n\
             passed over: to 0.0.0.0/0 static protocol 6 rank 5: rank 5 is below 68\n\
             passed over: from 192.0.2.7/32 static rank 5: rank 5 is below 68\n"
        );
        assert_eq!(
            table.why(&query("11.1.1.1")).to_string(),
            "taken: to 0.0.0.0/0 static protocol 6 rank 5, by br0\n\
             passed over: from 192.0.2.7/32 static rank 5: a route by destination goes first\n"
        );
        assert_eq!(
            table.why(&Query::to("::1".parse().expect("an address"))).to_string(),
            "no route matches\n"
        );
    }
}
