//! Receive and transmit queues: of a device, and of whatever else takes libdpdk's buffers ([`Way`]).
//!
//! # Cost
//!
//! A burst is one call of the driver's function; a packet then is four fields of its buffer's first
//! line read and the first line of our header written, and the same the other way.

#![expect(unsafe_code, reason = "calls of drivers' functions")]

use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::packet::{BURST, Burst, Offloads, Packet};
use dpdk_sys as sys;

use super::device_unsafe::{Device, Leaves};
use super::mbuf_unsafe::{Flags, Mbuf, Refused};
use super::mempool_unsafe::Mempool;
use crate::offload::{self, Layout, PENDING, Unfinished};
use crate::port::{Lost, RxEnd, RxQueue, Sent, TxQueue, fits};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A receive queue.
pub(super) struct Rx {
    port: u16,
    queue: u16,
    flags: Flags,
    _device: Arc<Device>,
}

impl Rx {
    /// The receive queue of this number. There must be one of it at most.
    pub(super) fn new(device: Arc<Device>, queue: u16) -> Self {
        Self { port: device.port(), queue, flags: device.flags, _device: device }
    }
}

impl RxQueue for Rx {
    #[inline]
    fn receive(&mut self, burst: &mut Burst, _now: Instant) -> Result<Lost, RxEnd> {
        let room = BURST.saturating_sub(burst.len());
        let mut mbufs = [MaybeUninit::<*mut sys::rte_mbuf>::uninit(); BURST];
        // SAFETY: the device is started as long as we hold it, this is the queue's only user, and
        // there is room for as many pointers.
        let count =
            unsafe { sys::rx_burst(self.port, self.queue, mbufs.as_mut_ptr().cast(), room as u16) };
        let mut lost = Lost::NONE;
        for mbuf in mbufs.iter().take(usize::from(count)) {
            // SAFETY: the driver has written as many pointers as it said.
            let mbuf = unsafe { mbuf.assume_init() };
            // SAFETY: a buffer of the pool that the queue was set up with, given to us.
            unsafe { receive(mbuf, &self.flags, burst, &mut lost) };
        }
        Ok(lost)
    }
}

/// Takes a buffer that was received. There is room in the burst.
///
/// # Safety
///
/// The pointer is null, or a buffer from a pool of ours that nobody else holds.
#[inline(always)]
pub(super) unsafe fn receive(
    mbuf: *mut sys::rte_mbuf,
    flags: &Flags,
    burst: &mut Burst,
    lost: &mut Lost,
) {
    let Some(mbuf) = NonNull::new(mbuf) else { return };
    // SAFETY: the caller's word.
    let mbuf = unsafe { Mbuf::new(mbuf) };
    match mbuf.into_packet(flags) {
        // There is room: no more were asked for.
        Ok(packet) => drop(burst.push(packet)),
        Err(Refused::Oversize) => lost.oversize += 1,
        Err(Refused::NoBuffer) => lost.no_buffer += 1,
    }
}

/// Where buffers go.
///
/// # Safety
///
/// Of the buffers that [`Self::give`] says it has taken, it holds or has freed each; the others it
/// leaves to the caller.
pub(super) unsafe trait Way: Send {
    /// Sends buffers that the caller holds; returns how many, from the first on, were taken.
    fn give(&mut self, mbufs: &mut [*mut sys::rte_mbuf]) -> usize;
    /// Whether there is anybody to take them.
    fn is_there(&self) -> bool;
    /// Where copies of foreign packets come from.
    fn pool(&self) -> Mempool;
    /// The largest frame, without its header.
    fn mtu(&self) -> u32;
    /// What may be left to the other side.
    fn leaves(&self) -> Leaves;
    /// The library's flags.
    fn flags(&self) -> &Flags;
}

/// The way to a device.
pub(super) struct ToDevice {
    port: u16,
    queue: u16,
    device: Arc<Device>,
}

impl ToDevice {
    /// The transmit queue of this number. There must be one of it at most.
    pub(super) fn new(device: Arc<Device>, queue: u16) -> Self {
        Self { port: device.port(), queue, device }
    }
}

// SAFETY: libdpdk's drivers take the first buffers and say how many.
unsafe impl Way for ToDevice {
    #[inline(always)]
    fn give(&mut self, mbufs: &mut [*mut sys::rte_mbuf]) -> usize {
        let count = mbufs.len() as u16;
        // SAFETY: the device is started as long as we hold it, this is the queue's only user, and
        // the pointers are buffers that the caller holds.
        usize::from(unsafe { sys::tx_burst(self.port, self.queue, mbufs.as_mut_ptr(), count) })
    }

    #[inline(always)]
    fn is_there(&self) -> bool {
        true
    }

    #[inline(always)]
    fn pool(&self) -> Mempool {
        self.device.pool()
    }

    #[inline(always)]
    fn mtu(&self) -> u32 {
        self.device.mtu()
    }

    #[inline(always)]
    fn leaves(&self) -> Leaves {
        self.device.leaves
    }

    #[inline(always)]
    fn flags(&self) -> &Flags {
        &self.device.flags
    }
}

/// A transmit queue.
pub(super) struct Tx<W> {
    way: W,
    out: Outgoing,
}

/// Buffers on their way to the driver.
struct Outgoing {
    mbufs: [*mut sys::rte_mbuf; BURST],
    count: usize,
}

// SAFETY: the buffers are held by this queue alone, and any thread may send or free them.
unsafe impl Send for Outgoing {}

impl<W: Way> Tx<W> {
    /// A queue over a way that nobody else has.
    pub(super) fn new(way: W) -> Self {
        Self { way, out: Outgoing { mbufs: [core::ptr::null_mut(); BURST], count: 0 } }
    }

    #[inline(always)]
    fn push(&mut self, mbuf: Mbuf, len: usize, sent: &mut Sent) {
        if self.out.count == BURST {
            self.send(sent);
        }
        if let Some(place) = self.out.mbufs.get_mut(self.out.count) {
            *place = mbuf.forget().as_ptr();
            self.out.count += 1;
            sent.sent(len);
        }
    }

    /// Hands what waits to the driver; what it does not take is dropped.
    #[inline(always)]
    fn send(&mut self, sent: &mut Sent) {
        let count = core::mem::take(&mut self.out.count);
        let Some(mbufs) = self.out.mbufs.get_mut(..count) else { return };
        let taken = self.way.give(mbufs);
        if taken < count {
            self.refuse(taken, count, sent);
        }
    }

    #[cold]
    fn refuse(&mut self, taken: usize, count: usize, sent: &mut Sent) {
        let there = self.way.is_there();
        for mbuf in self.out.mbufs.get(taken..count).unwrap_or_default() {
            let Some(mbuf) = NonNull::new(*mbuf) else { continue };
            // SAFETY: it was not taken, so it is still ours.
            let mbuf = unsafe { Mbuf::new(mbuf) };
            sent.packets -= 1;
            sent.bytes -= u64::from(mbuf.frame_len());
            *if there { &mut sent.queue_full } else { &mut sent.failed } += 1;
        }
    }

    /// A packet that is not ready to be sent as it lies: work is left to be done for it.
    #[cold]
    fn finish(&mut self, packet: Packet, sent: &mut Sent) {
        let pending = packet.meta().offloads.intersection(PENDING);
        let leaves = self.way.leaves();
        let segments = pending.contains(Offloads::TSO);
        if (leaves.checksums && !segments) || (leaves.segments && segments) {
            match self.leave(packet, segments, sent) {
                None => return,
                Some(packet) => return self.finish_here(packet, sent),
            }
        }
        self.finish_here(packet, sent);
    }

    /// Leaves the work to the device; the packet again if it is of a kind that the device cannot.
    fn leave(&mut self, packet: Packet, segments: bool, sent: &mut Sent) -> Option<Packet> {
        let flags = *self.way.flags();
        let Some(layout) = Layout::of_packet(&packet) else { return Some(packet) };
        let Some(payload) = layout.payload(packet.data()) else { return Some(packet) };
        let what = match (layout.protocol, segments) {
            (TCP, false) => flags.tx_tcp_csum,
            (UDP, false) => flags.tx_udp_csum,
            (TCP, true) if packet.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL) => {
                flags.tx_tcp_csum | flags.tx_tcp_seg
            }
            _ => return Some(packet),
        };
        let what = match (layout.v6, segments) {
            (true, _) => what | flags.tx_ipv6,
            (false, false) => what | flags.tx_ipv4,
            (false, true) => what | flags.tx_ipv4 | flags.tx_ip_csum,
        };
        let lengths = [layout.l3, layout.l4 - layout.l3, payload - layout.l4];
        let [l2, l3, l4] = lengths.map(|len| u16::try_from(len).unwrap_or(u16::MAX));
        let segment = if segments { packet.meta().segment } else { 0 };
        let len = packet.len();
        if !segments && !fits(packet.data(), self.way.mtu()) {
            sent.oversize += 1;
            return None;
        }
        let mut packet = packet;
        if segments {
            offload::prepare_segmentation(&mut packet, &layout);
        }
        match self.buffer(packet) {
            Some(mut mbuf) => {
                mbuf.leave(what, l2, l3, l4, segment);
                self.push(mbuf, len, sent);
            }
            None => sent.no_buffer += 1,
        }
        None
    }

    fn finish_here(&mut self, packet: Packet, sent: &mut Sent) {
        let mtu = self.way.mtu();
        let done = offload::finish(packet, &mut |packet| self.plain(packet, mtu, sent));
        match done {
            Ok(()) => {}
            Err(Unfinished::NoBuffer) => sent.no_buffer += 1,
            Err(Unfinished::NotSegmentable) => sent.failed += 1,
        }
    }

    /// A packet without work left.
    #[inline(always)]
    fn plain(&mut self, packet: Packet, mtu: u32, sent: &mut Sent) {
        if !fits(packet.data(), mtu) {
            sent.oversize += 1;
            return;
        }
        let len = packet.len();
        match self.buffer(packet) {
            Some(mbuf) => self.push(mbuf, len, sent),
            None => sent.no_buffer += 1,
        }
    }

    /// The packet's own buffer, or a copy in one of the device's.
    #[inline(always)]
    fn buffer(&self, packet: Packet) -> Option<Mbuf> {
        match Mbuf::of_packet(packet) {
            Ok(mbuf) => Some(mbuf),
            Err(foreign) => self.way.pool().alloc()?.filled(foreign.data()),
        }
    }
}

impl<W: Way> TxQueue for Tx<W> {
    #[inline]
    fn transmit(&mut self, batch: &mut Burst, _now: Instant) -> Sent {
        let mut sent = Sent::default();
        let mtu = self.way.mtu();
        for packet in batch.drain() {
            if offload::is_finished(&packet) {
                self.plain(packet, mtu, &mut sent);
            } else {
                self.finish(packet, &mut sent);
            }
        }
        self.send(&mut sent);
        sent
    }
}
