//! The kernel's links, addresses and routes, followed as they change.
//!
//! ```text
//!   kernel ──events──► socket ──► messages ──► index        asked for an address: a look-up
//! ```
//!
//! The kernel is asked for everything once, when the index is opened, and again only when it says
//! that events were lost. What a device's addresses are is then a look-up, whatever the number of
//! devices: nobody lists all addresses of a host to find those of one.
//!
//! | room | what |
//! |---|---|
//! | `socket_unsafe` | a routing socket that hears events |
//! | `message` | messages and their attributes, checked |
//! | `rule` | policy rules, as far as they can apply |
//! | [`Index`] | what is known |
//! | [`link_counters`] | what the kernel counts of a link |
//! | [`tc`] | queueing disciplines of the kernel |

mod counters;
mod index;
mod message;
mod rule;
mod socket_unsafe;
pub mod tc;

pub use counters::{LinkCounters, link_counters};
pub use index::{Change, Index, KernelHop, KernelRoute, Link};
