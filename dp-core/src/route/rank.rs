//! Which of several routes that match a packet is taken: one number, one comparison.
//!
//! # The order
//!
//! A route for destinations ranks by 8 × the length of its prefix, plus 6 where the network is
//! connected, 4 where the route is configured, 2 where it was learned, plus 1 where it is for one
//! protocol only. A route by source ranks 5 if it is for a single host, 1 otherwise. Higher wins:
//!
//! ```text
//!   destination, any length ≥ 1        8 × length + 2 … 7         (longer before shorter)
//!   connected default                  6, 7 for one protocol
//!   source, one host                   5
//!   static default                     4, 5 for one protocol
//!   learned default                    2, 3 for one protocol
//!   source, anything wider             1
//! ```
//!
//! One pair of different routes has the same number: a static default for one protocol and a
//! source route for one host (5). The destination route goes first there: it says more about the
//! packet, and a tenant's source route must not take what an operator has pinned by protocol.
//!
//! # Ties
//!
//! Equal numbers are decided in this order, so that the outcome never depends on the order in
//! which routes were added: a route by destination before one by source; the longer prefix; the
//! nearer origin; one for a protocol before one for all, lower protocol numbers first; the lower
//! prefix. What is equal after that is the same route; its next hops share the traffic.

use core::cmp::Ordering;

use super::prefix::Prefix;

/// Which address of a packet a route looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Policy {
    /// The destination.
    Destination,
    /// The source.
    Source,
}

/// Where a route comes from, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The network is on one of the switch's own ports.
    Connected,
    /// It was configured.
    Static,
    /// A routing protocol has said so.
    Learned,
}

/// What tells routes apart: two routes with the same key are one, with more next hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteKey {
    /// The addresses that it is for.
    pub prefix: Prefix,
    /// Which address of the packet.
    pub policy: Policy,
    /// Where it comes from.
    pub origin: Origin,
    /// The one IP protocol that it is for; `None`: all.
    pub protocol: Option<u8>,
}

/// How a route ranks among those that match; higher wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rank(pub u16);

impl Rank {
    /// The rank by the order above.
    #[must_use]
    pub fn of(key: &RouteKey) -> Self {
        match key.policy {
            Policy::Source if key.prefix.is_host() => Self(5),
            Policy::Source => Self(1),
            Policy::Destination => {
                let origin = match key.origin {
                    Origin::Connected => 6,
                    Origin::Static => 4,
                    Origin::Learned => 2,
                };
                Self(8 * u16::from(key.prefix.len()) + origin + u16::from(key.protocol.is_some()))
            }
        }
    }
}

/// The one comparison of routes: `Less` is taken first.
#[must_use]
pub fn preferred(a: (Rank, &RouteKey), b: (Rank, &RouteKey)) -> Ordering {
    let ((rank_a, a), (rank_b, b)) = (a, b);
    rank_b
        .cmp(&rank_a)
        .then(a.policy.cmp(&b.policy))
        .then(b.prefix.len().cmp(&a.prefix.len()))
        .then(a.origin.cmp(&b.origin))
        .then(a.protocol.is_none().cmp(&b.protocol.is_none()))
        .then(a.protocol.cmp(&b.protocol))
        .then(a.prefix.cmp(&b.prefix))
}

#[cfg(test)]
mod tests {
    use core::cmp::Ordering;

    use super::{Origin, Policy, Rank, RouteKey, preferred};

    fn key(prefix: &str, policy: Policy, origin: Origin, protocol: Option<u8>) -> RouteKey {
        RouteKey { prefix: prefix.parse().expect("a prefix"), policy, origin, protocol }
    }

    #[test]
    fn the_order_is_the_documented_one() {
        use Origin::{Connected, Learned, Static};
        use Policy::{Destination, Source};
        let order = [
            key("10.0.0.1/32", Destination, Connected, None),
            key("10.0.0.1/32", Destination, Static, None),
            key("10.0.0.1/32", Destination, Learned, None),
            key("10.0.0.0/24", Destination, Connected, Some(6)),
            key("10.0.0.0/24", Destination, Connected, None),
            key("10.0.0.0/24", Destination, Static, Some(6)),
            key("10.0.0.0/24", Destination, Static, Some(17)),
            key("10.0.0.0/24", Destination, Static, None),
            key("10.0.0.0/24", Destination, Learned, Some(6)),
            key("10.0.0.0/24", Destination, Learned, None),
            key("0.0.0.0/1", Destination, Learned, None),
            key("0.0.0.0/0", Destination, Connected, None),
            // The tie at 5.
            key("0.0.0.0/0", Destination, Static, Some(6)),
            key("192.0.2.7/32", Source, Static, None),
            key("0.0.0.0/0", Destination, Static, None),
            key("0.0.0.0/0", Destination, Learned, Some(6)),
            key("0.0.0.0/0", Destination, Learned, None),
            key("192.0.2.0/24", Source, Connected, None),
            key("192.0.2.0/24", Source, Learned, None),
            key("192.0.0.0/16", Source, Static, None),
            key("0.0.0.0/0", Source, Static, None),
        ];
        for (at, a) in order.iter().enumerate() {
            for (other, b) in order.iter().enumerate() {
                let found = preferred((Rank::of(a), a), (Rank::of(b), b));
                assert_eq!(found, at.cmp(&other), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn ranks_are_the_numbers_of_the_order() {
        use Policy::{Destination, Source};
        let rank =
            |prefix, policy, origin, protocol| Rank::of(&key(prefix, policy, origin, protocol)).0;
        assert_eq!(rank("10.0.0.0/8", Destination, Origin::Connected, None), 70);
        assert_eq!(rank("10.0.0.0/8", Destination, Origin::Static, Some(6)), 69);
        assert_eq!(rank("10.0.0.0/8", Destination, Origin::Learned, None), 66);
        assert_eq!(rank("::1/128", Destination, Origin::Connected, Some(6)), 1031);
        assert_eq!(rank("::1/128", Source, Origin::Connected, None), 5);
        assert_eq!(rank("::/127", Source, Origin::Connected, None), 1);
    }

    #[test]
    fn equal_is_only_what_is_the_same_route() {
        let a = key("10.0.0.0/8", Policy::Source, Origin::Static, None);
        let b = key("11.0.0.0/8", Policy::Source, Origin::Static, None);
        assert_eq!(preferred((Rank::of(&a), &a), (Rank::of(&a), &a)), Ordering::Equal);
        assert_ne!(preferred((Rank::of(&a), &a), (Rank::of(&b), &b)), Ordering::Equal);
    }
}
