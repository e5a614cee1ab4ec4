//! Ports for guests at vhost-user sockets: types dpdkvhostuserclient and dpdkvhostuser.
//!
//! A guest decides itself how many rings it has, and may have others the next time it comes. The
//! port's queues stay: a guest's rings are shared out among its receive queues, and a transmit
//! queue has the one ring whose turn it is by number. (libdpdk lets several threads send into a
//! ring.)
//!
//! # Cost
//!
//! Frames are copied into the guest's memory and out of it, by libdpdk. What a guest sends as a
//! large frame, its checksum not computed, travels on so; a large frame for a guest is cut.

#![expect(unsafe_code, reason = "buffers that libdpdk has filled, or is to copy from")]

use core::hash::{BuildHasher, Hasher};
use core::ptr::NonNull;
use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use dp_core::base::{Instant, MacAddr};
use dp_core::packet::{BURST, Burst};
use dpdk_sys as sys;

use super::VhostOptions;
use super::device_unsafe::Leaves;
use super::eal_unsafe::is_running;
use super::guest_unsafe::{Guest, Visitor};
use super::mbuf_unsafe::{Flags, Mbuf};
use super::mempool_unsafe::Mempool;
use super::queue_unsafe::{Tx, Way, receive};
use super::running::offloads;
use crate::port::{
    Change, Lost, OpenError, Port, QueueCount, Queues, RxEnd, RxQueue, Status, TxQueue,
};

/// The NUMA node that buffers come from; the guest's is known only when it is there.
const SOCKET: i32 = 0;
/// The MTU of a port for which none is asked.
const MTU: u16 = 1500;

/// A port for guests.
struct Vhost {
    name: String,
    options: VhostOptions,
    admin_up: bool,
    mac: MacAddr,
    own: Arc<Own>,
    visitor: Visitor,
    queues: Option<(usize, usize)>,
}

/// What the port and its queues share.
struct Own {
    guest: Arc<Guest>,
    pool: Mempool,
    flags: Flags,
    mtu: AtomicU32,
    up: AtomicBool,
    retried: AtomicU64,
}

/// Opens a port for guests. The socket is watched from now on.
///
/// # Errors
///
/// [`OpenError::NoDpdk`], or what libdpdk says of the socket or of memory.
pub fn open_vhost(name: &str, options: &VhostOptions) -> Result<Box<dyn Port>, OpenError> {
    if !is_running() {
        let why = "it is not initialised (other_config:dpdk-init=true)".to_owned();
        return Err(OpenError::NoDpdk { name: name.to_owned(), why });
    }
    let mtu = options.mtu.unwrap_or(MTU);
    let pool = Mempool::for_mtu(SOCKET, mtu).map_err(|error| OpenError::Dpdk {
        name: name.to_owned(),
        step: "make a pool of packet buffers",
        reason: super::eal_unsafe::text_of(error.abs()),
        detail: String::new(),
    })?;
    let guest = Guest::watch(name, options)?;
    let visitor = guest.visitor();
    let own = Arc::new(Own {
        guest,
        pool,
        flags: Flags::read(),
        mtu: AtomicU32::new(u32::from(mtu)),
        up: true.into(),
        retried: AtomicU64::new(0),
    });
    Ok(Box::new(Vhost {
        name: name.to_owned(),
        options: options.clone(),
        admin_up: true,
        mac: some_mac(),
        own,
        visitor,
        queues: None,
    }))
}

/// An address of our own making: nobody assigns one to a socket.
fn some_mac() -> MacAddr {
    let [a, b, c, d, e, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    MacAddr([0x02, a, b, c, d, e])
}

impl Port for Vhost {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        if self.options.client { "dpdkvhostuserclient" } else { "dpdkvhostuser" }
    }

    fn is_poll_mode(&self) -> bool {
        true
    }

    fn numa_node(&self) -> Option<u32> {
        self.visitor.visit(|guest| u32::try_from(guest.numa()).ok()).flatten()
    }

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        if self.queues.is_some() {
            return Err(OpenError::QueuesTaken { port: self.name.clone() });
        }
        let shares = self.options.rx_queues.max(1);
        let senders = u16::try_from(want.tx.max(1)).unwrap_or(u16::MAX);
        self.queues = Some((usize::from(shares), usize::from(senders)));
        let own = || (Arc::clone(&self.own), self.own.guest.visitor());
        let rx = (0..shares).map(|share| {
            let (own, visitor) = own();
            Box::new(FromGuest { own, visitor, share: (share, shares) }) as Box<dyn RxQueue>
        });
        let tx = (0..senders).map(|queue| {
            let (own, visitor) = own();
            let retries = self.options.retries;
            Box::new(Tx::new(ToGuest { own, visitor, queue, retries })) as Box<dyn TxQueue>
        });
        Ok(Queues { rx: rx.collect(), tx: tx.collect() })
    }

    fn status(&self) -> Status {
        Status {
            admin_up: self.admin_up,
            link_up: self.own.guest.is_there(),
            mac: self.mac,
            mtu: self.own.mtu.load(Ordering::Relaxed),
            ifindex: 0,
        }
    }

    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        match change {
            Change::AdminUp(up) => {
                self.own.up.store(up, Ordering::Relaxed);
                self.admin_up = up;
            }
            Change::Mac(mac) => self.mac = mac,
            Change::Mtu(mtu) => {
                let small = u16::try_from(mtu).unwrap_or(u16::MAX);
                let same = Mempool::for_mtu(SOCKET, small)
                    .is_ok_and(|pool| pool.as_ptr() == self.own.pool.as_ptr());
                if !same {
                    // Larger buffers would be needed: the port must be opened again.
                    return Err(OpenError::Dpdk {
                        name: self.name.clone(),
                        step: "set MTU",
                        reason: super::eal_unsafe::text_of(libc::EBUSY),
                        detail: String::new(),
                    });
                }
                self.own.mtu.store(mtu, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn counters(&self) -> Vec<(String, u64)> {
        vec![("ovs_tx_retries".to_owned(), self.own.retried.load(Ordering::Relaxed))]
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let there = self.own.guest.is_there();
        let mut details = vec![
            ("mode", if self.options.client { "client" } else { "server" }.to_owned()),
            ("status", if there { "connected" } else { "disconnected" }.to_owned()),
        ];
        let takes = self.visitor.visit(|guest| {
            details.push(("socket", self.options.socket.clone().unwrap_or_default()));
            if let Some((rx, tx)) = self.queues {
                details.extend([("n_rxq", rx.to_string()), ("n_txq", tx.to_string())]);
            }
            let rings = guest.rings();
            details.push(("features", format!("{:#018x}", guest.features())));
            details.push(("num_of_vrings", rings.to_string()));
            details.push(("numa", guest.numa().to_string()));
            for (ring, name) in (0..rings).zip(RING_SIZES) {
                details.push((name, guest.ring_size(ring).to_string()));
            }
            guest.takes_partial()
        });
        details.extend(offloads(takes.unwrap_or(false), false));
        details
    }

    fn remarks(&self) -> Vec<String> {
        let old = "dpdkvhostuser ports are considered deprecated;  please migrate to \
                   dpdkvhostuserclient ports.";
        if self.options.client { Vec::new() } else { vec![old.to_owned()] }
    }

    fn configuration(&self) -> Vec<(&'static str, String)> {
        let socket = self.options.socket.clone().filter(|_| self.options.client);
        socket.map(|it| ("vhost-server-path", it)).into_iter().collect()
    }
}

/// Names of sizes of rings, as the `status` column has them.
const RING_SIZES: [&str; 16] = [
    "vring_0_size",
    "vring_1_size",
    "vring_2_size",
    "vring_3_size",
    "vring_4_size",
    "vring_5_size",
    "vring_6_size",
    "vring_7_size",
    "vring_8_size",
    "vring_9_size",
    "vring_10_size",
    "vring_11_size",
    "vring_12_size",
    "vring_13_size",
    "vring_14_size",
    "vring_15_size",
];

/// A receive queue.
struct FromGuest {
    own: Arc<Own>,
    visitor: Visitor,
    /// Its part of the guest's rings, of how many.
    share: (u16, u16),
}

impl RxQueue for FromGuest {
    #[inline]
    fn receive(&mut self, burst: &mut Burst, _now: Instant) -> Result<Lost, RxEnd> {
        let room = BURST.saturating_sub(burst.len());
        let mut lost = Lost::NONE;
        if !self.own.up.load(Ordering::Relaxed) {
            return Ok(lost);
        }
        let mut mbufs = [core::ptr::null_mut(); BURST];
        let Some(mbufs) = mbufs.get_mut(..room) else { return Ok(lost) };
        let pool = self.own.pool.as_ptr();
        let count = self.visitor.visit(|guest| guest.take(self.share, pool, mbufs)).unwrap_or(0);
        for &mbuf in mbufs.iter().take(count) {
            // SAFETY: buffers of the pool that was said, given to us.
            unsafe { receive(mbuf, &self.own.flags, burst, &mut lost) };
        }
        Ok(lost)
    }

    fn left(&self) -> u32 {
        self.visitor.visit(|guest| guest.left(self.share)).unwrap_or(0)
    }
}

/// The way to a guest.
struct ToGuest {
    own: Arc<Own>,
    visitor: Visitor,
    queue: u16,
    retries: u8,
}

// SAFETY: frames that were given have been copied, and their buffers, the first ones, are freed.
unsafe impl Way for ToGuest {
    fn give(&mut self, mbufs: &mut [*mut sys::rte_mbuf]) -> usize {
        if !self.own.up.load(Ordering::Relaxed) {
            return 0;
        }
        let (queue, retries) = (self.queue, self.retries);
        let given = self.visitor.visit(|guest| {
            let mut given = guest.give(queue, mbufs);
            let mut tries = 0;
            // A guest makes places while we copy; one that makes none has its rings full.
            while given != 0 && given < mbufs.len() && tries < retries {
                let more = guest.give(queue, mbufs.get_mut(given..).unwrap_or_default());
                tries += 1;
                given += more;
                if more == 0 {
                    break;
                }
            }
            (given, tries)
        });
        let Some((given, tries)) = given else { return 0 };
        if tries != 0 {
            self.own.retried.fetch_add(u64::from(tries), Ordering::Relaxed);
        }
        for &mbuf in mbufs.iter().take(given) {
            let Some(mbuf) = NonNull::new(mbuf) else { continue };
            // SAFETY: the caller held it and has given it to us; it was copied.
            drop(unsafe { Mbuf::new(mbuf) });
        }
        given
    }

    #[inline]
    fn is_there(&self) -> bool {
        self.visitor.guest().is_there() && self.own.up.load(Ordering::Relaxed)
    }

    #[inline]
    fn pool(&self) -> Mempool {
        self.own.pool
    }

    #[inline]
    fn mtu(&self) -> u32 {
        self.own.mtu.load(Ordering::Relaxed)
    }

    #[inline]
    fn leaves(&self) -> Leaves {
        let checksums = self.visitor.visit(|guest| guest.takes_partial()).unwrap_or(false);
        Leaves { checksums, segments: false }
    }

    #[inline]
    fn flags(&self) -> &Flags {
        &self.own.flags
    }
}
