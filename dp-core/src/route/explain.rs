//! Why a packet takes the route that it takes: every route that matches, in order, with what
//! decided between each and the one that is taken.

use core::fmt;
use core::net::IpAddr;
use std::sync::Arc;

use super::hop::pick;
use super::prefix::Family;
use super::rank::{Origin, Policy};
use super::router::{Order, Router};
use super::rules::Rule;
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

/// The rules that were asked for the way to a destination, each with the routes of its table; the last
/// one decides. Printed, it says why.
#[derive(Clone, Debug)]
pub struct WayExplained {
    /// The source that is asked for is in no network of ours: nothing is looked up.
    foreign: Option<IpAddr>,
    order: Order,
    asked: Vec<(Rule, Explanation)>,
}

impl Router {
    /// Which rules and routes [`super::Routing::lookup`] considers, and why it takes what it takes.
    #[must_use]
    pub fn why(&mut self, destination: IpAddr, mark: u32, source: Option<IpAddr>) -> WayExplained {
        let routing = self.snapshot();
        let foreign = source.filter(|&address| !routing.is_own(address, mark));
        let mut asked = Vec::new();
        if foreign.is_some() {
            return WayExplained { foreign, order: self.order(), asked };
        }
        let query = Query { source, mark, ..Query::to(destination) };
        for rule in routing.rules().tables(Family::of(destination), source, mark) {
            let of = |mark| match self.table(rule.table, mark) {
                Some(table) => table.why(&query),
                None => Explanation { query, routes: Vec::new() },
            };
            let mut found = of(mark);
            if found.routes.is_empty() && rule.mark.is_some() {
                found = of(0);
            }
            let decides = !found.routes.is_empty();
            asked.push((*rule, found));
            if decides {
                break;
            }
        }
        WayExplained { foreign, order: self.order(), asked }
    }
}

impl fmt::Display for WayExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.foreign {
            return writeln!(f, "{address} is in no network of a device of the switch");
        }
        if self.order == Order::DestinationFirst {
            f.write_str("order: destination-first\n")?;
        }
        for (rule, found) in &self.asked {
            writeln!(f, "rule {rule}")?;
            for line in found.to_string().lines() {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::route::{NextHop, Origin, Policy, Query, RouteKey, RouteTable, Router, text};

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

    #[test]
    fn the_rules_asked_are_told_with_the_routes_of_their_tables() {
        let mut router = Router::default();
        router.addresses_mut().add("br0", "192.0.2.1".parse().expect("an address"), 24);
        let word = |router: &mut Router, words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            text::add(router, &words).expect("it can be")
        };
        word(&mut router, "10.0.0.0/8 br0 192.0.2.7");
        word(&mut router, "10.1.0.0/16 br0 192.0.2.8");
        word(&mut router, "10.0.0.0/8 br0 192.0.2.9 table=70");
        text::rule_add(&mut router, &["from=all", "mark=4", "prio=70", "table=70"]).expect("ok");
        let why = |router: &mut Router, words: &str| {
            text::explain(router, &words.split(' ').collect::<Vec<_>>())
        };
        assert_eq!(
            why(&mut router, "10.1.2.3").expect("it is told"),
            "rule 0: from all lookup local\n  no route matches\n\
             rule 32766: from all lookup main\n\
             \x20 taken: to 10.1.0.0/16 static rank 144, by br0 through 192.0.2.8\n\
             \x20 passed over: to 10.0.0.0/8 static rank 136: rank 136 is below 144\n"
        );
        assert_eq!(
            why(&mut router, "10.1.2.3 pkt_mark=4").expect("it is told"),
            "rule 0: from all lookup local\n  no route matches\n\
             rule 70: from all fwmark 0x4 lookup 70\n\
             \x20 taken: to 10.0.0.0/8 static rank 136, by br0 through 192.0.2.9\n"
        );
        assert_eq!(
            why(&mut router, "10.1.2.3 src=10.9.9.9").expect("it is told"),
            "10.9.9.9 is in no network of a device of the switch\n"
        );
        let last = why(&mut router, "11.1.2.3").expect("it is told");
        assert!(last.ends_with("rule 32767: from all lookup default\n  no route matches\n"));
        assert!(why(&mut router, "10.1.2.3 table=7").is_err());
    }
}
