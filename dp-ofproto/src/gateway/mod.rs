//! What a gateway node decides between its own ports and the outside: plain values in, decisions
//! out, for switches that link the libraries.
//!
//! | room | what |
//! |---|---|
//! | [`Owners`] | who owns an address: MAC and port in one look-up, after NAT |
//! | [`Balancer`] | which backend a new connection goes to: near and healthy ones first |
//! | [`GatewayPorts`] | which gateway port a service address belongs to |
//! | [`Activation`] | ports that stay blocked until their owner is seen |
//! | [`Announcements`] | who announces its addresses on the outside |
//! | [`Questions`] | whom a broadcast ARP request or neighbour solicitation concerns |
//! | [`Guard`] | which questions from the outside are not for us to answer |
//! | [`WatchedRoutes`] | routes that follow the state of BFD sessions |

mod announce;
mod balance;
mod owners;
mod ports;
mod questions;
mod routes;

pub use announce::{Announced, Announcements, Guard};
pub use balance::{Backend, Balancer};
pub use owners::{Owner, Owners};
pub use ports::{Activation, GatewayPorts, Sign};
pub use questions::{Concerned, Questions};
pub use routes::WatchedRoutes;
