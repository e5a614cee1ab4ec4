//! What ports and threads ask of the Linux kernel: interfaces, waiting, processors.
//!
//! Thin and typed: each file wraps one family of calls and knows nothing of packets.
//!
//! | room | what |
//! |---|---|
//! | [`Netif`] | a network interface: state, MTU, address |
//! | [`Doorbell`], [`wait`] | sleeping until a descriptor, a moment or another thread |
//! | [`pin_to_cpu`] | keeping a thread on a processor |
//! | [`Clock`] | the monotonic clock as instants |

mod affinity_unsafe;
mod clock;
mod netif_unsafe;
mod options_unsafe;
mod wait_unsafe;

pub use affinity_unsafe::pin_to_cpu;
pub use clock::Clock;
pub use netif_unsafe::{Netif, NetifState};
pub(crate) use options_unsafe::{get_option, set_option, socket};
pub use wait_unsafe::{Doorbell, wait};

#[cfg(test)]
mod tests;
