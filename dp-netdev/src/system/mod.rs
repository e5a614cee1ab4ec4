//! What ports and threads ask of the Linux kernel: interfaces, waiting, processors.
//!
//! Thin and typed: each file wraps one family of calls and knows nothing of packets.
//!
//! | room | what |
//! |---|---|
//! | [`Netif`] | a network interface: state, MTU, address |
//! | [`Driver`], [`LinkMode`] | what an interface's driver says |
//! | [`Doorbell`], [`wait`] | sleeping until a descriptor, a moment or another thread |
//! | [`pin_to_cpu`] | keeping a thread on a processor |
//! | [`run_in_real_time`] | running before others |
//! | [`Clock`], [`Ticker`] | the monotonic clock as instants |
//! | [`cycles`] | the processor's own clock |
//! | [`Topology`] | processors and their NUMA nodes |

mod affinity_unsafe;
mod clock;
mod ethtool_unsafe;
mod netif_unsafe;
mod options_unsafe;
mod priority_unsafe;
mod topology;
mod tsc_unsafe;
mod wait_unsafe;

pub use affinity_unsafe::pin_to_cpu;
pub use clock::{Clock, Ticker};
pub use ethtool_unsafe::{Driver, LinkMode};
pub use netif_unsafe::{Netif, NetifState};
pub(crate) use options_unsafe::{get_option, set_option, socket};
pub use priority_unsafe::run_in_real_time;
pub use topology::Topology;
pub use tsc_unsafe::{cycles, cycles_per_second};
pub use wait_unsafe::{Doorbell, fine_timers, wait};

#[cfg(test)]
mod tests;
