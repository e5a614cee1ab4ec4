//! Bindings to the installed libdpdk: what dp's ports call of it, and no more.
//!
//! Without the feature `dpdk` the crate is empty, so that the workspace builds where there is no
//! libdpdk. With it, `build.rs` finds the library through pkg-config, generates bindings for an
//! allow-list of functions (22.11 and later), and compiles a shim of what cannot be bound: inline
//! functions, the thread-local error number, and structures whose fields move between versions. Of
//! packet buffers only the offsets of some fields are bound (`DPDK_SHIM_MBUF_*`), for their unions
//! are named differently in each version.
//!
//! Receive and transmit go through `rte_eth_fp_ops`, libdpdk's own table of driver functions.

#![cfg(feature = "dpdk")]

mod generated_unsafe;

pub use generated_unsafe::*;
