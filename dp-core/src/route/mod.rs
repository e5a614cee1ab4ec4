//! Routes: which way a packet goes that leaves by the switch's own decision.
//!
//! ```text
//!   Router (writer)   rules ─► tables ─► routes        user, kernel, dummy devices
//!      │ snapshot                                       addresses of devices
//!      ▼
//!   Routing (readers) rule by rule: table ─► best route ─► next hop
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`Prefix`] | prefixes of either family |
//! | [`rank`](Rank) | the order of routes: one number, one comparison |
//! | [`RouteTable`], [`Routes`] | a table to change, and its snapshot to look up in |
//! | [`NextHop`], [`pick`] | where a route leads, and how several next hops share traffic |
//! | [`Rules`], [`Rule`] | which table is asked, by source and mark |
//! | [`Router`], [`Routing`] | tables under rules, user and cached routes, source addresses |
//! | [`Addresses`] | which addresses the devices have |
//! | [`text`] | commands and listings, as `ovs-appctl ovs/route/*` knows them |
//!
//! Gateways use a [`RouteTable`] directly; the switch's tunnels use the [`Router`].

mod addresses;
mod explain;
mod fib;
mod hop;
mod paged;
mod prefix;
mod rank;
mod router;
mod rules;
mod slab;
mod table;
pub mod text;

pub use addresses::Addresses;
pub use explain::{Explanation, WayExplained};
pub use hop::{NextHop, pick};
pub use prefix::{Family, Prefix, PrefixError, left_aligned};
pub use rank::{Origin, Policy, Rank, RouteKey, preferred};
pub use router::{
    CachedRoute, Found, Kind, Listed, Order, RouteMatch, Router, RouterError, Routing, SourceNeed,
};
pub use rules::{Rule, RuleSource, Rules, table_id};
pub use table::{Query, Route, RouteError, RouteTable, Routes};
