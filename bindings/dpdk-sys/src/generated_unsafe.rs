//! What bindgen has generated, and receive and transmit over libdpdk's table of driver functions.

#![expect(unsafe_code, reason = "functions and memory of a C library")]

pub use self::generated::*;

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    unused_qualifications,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "generated from C headers; what occurs depends on libdpdk's version"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// Receives up to `count` packets from a queue; returns how many.
///
/// # Safety
///
/// `port` and `queue` must be a receive queue that has been set up, nobody else may use it now, and
/// `mbufs` must have room for `count` pointers.
#[inline(always)]
pub unsafe fn rx_burst(port: u16, queue: u16, mbufs: *mut *mut rte_mbuf, count: u16) -> u16 {
    // SAFETY: the table has an entry for every port number, and it outlives everything.
    let entry = unsafe { &raw const rte_eth_fp_ops[port as usize] };
    // SAFETY: as above; libdpdk changes it only while a port's queues are not in use.
    let entry = unsafe { &*entry };
    let Some(receive) = entry.rx_pkt_burst else { return 0 };
    // SAFETY: the queue has been set up, so the array holds its entry.
    let queue = unsafe { entry.rxq.data.add(queue as usize) };
    // SAFETY: as above.
    let queue = unsafe { queue.read() };
    // SAFETY: the driver's own function with its own queue; the caller grants the rest.
    unsafe { receive(queue, mbufs, count) }
}

/// Sends up to `count` packets through a queue; returns how many the driver has taken.
///
/// # Safety
///
/// As [`rx_burst`], for a transmit queue; the pointers must be packet buffers that the caller owns.
/// Those taken belong to the driver afterwards.
#[inline(always)]
pub unsafe fn tx_burst(port: u16, queue: u16, mbufs: *mut *mut rte_mbuf, count: u16) -> u16 {
    // SAFETY: the table has an entry for every port number, and it outlives everything.
    let entry = unsafe { &raw const rte_eth_fp_ops[port as usize] };
    // SAFETY: as above; libdpdk changes it only while a port's queues are not in use.
    let entry = unsafe { &*entry };
    let Some(transmit) = entry.tx_pkt_burst else { return 0 };
    // SAFETY: the queue has been set up, so the array holds its entry.
    let queue = unsafe { entry.txq.data.add(queue as usize) };
    // SAFETY: as above.
    let queue = unsafe { queue.read() };
    // SAFETY: the driver's own function with its own queue; the caller grants the rest.
    unsafe { transmit(queue, mbufs, count) }
}
