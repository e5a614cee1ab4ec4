//! Ports: where packets come in and go out.
//!
//! A port has a control half, [`Port`], which stays with whoever added it, and queues, which it
//! hands out once: [`RxQueue`]s and [`TxQueue`]s. A queue is owned by one thread at a time, so
//! nothing here takes a lock per packet; several threads share a port by owning different queues
//! of it. Where there are fewer transmit queues than threads, [`SharedTx`] lends one out a batch at
//! a time.
//!
//! ```text
//!   Port ── queues() ──► Queues { rx: [RxQueue…], tx: [TxQueue…] }
//!    │ status, counters, configure           │ receive(burst)   transmit(burst)
//!    ▼ control thread                        ▼ packet threads
//! ```
//!
//! One dynamic call moves up to [`BURST`](dp_core::packet::BURST) packets. Everything that moves
//! packets takes the time as an argument: a port has no clock.
//!
//! | room | what |
//! |---|---|
//! | [`ring`] | in memory, between two switches or a switch and a program: handles, no copies |
//! | [`pcap`] | replays a capture file, writes one |
//! | [`afpacket`] | a network interface through packet sockets |
//! | [`afxdp`] | a network interface past the kernel's stack |
//! | [`tap`] | a network interface that the kernel makes for us |
//! | [`dpdk`] | a device of libdpdk, without the kernel |
//! | [`dummy`] | packets put in and taken out by hand |
//! | [`capture`], [`fault`], [`delay`] | wrap any port: record it, damage its packets, slow it down |
//! | [`PortSpec`] | ports by name, kind and options, as text gives them |
//! | [`OpenError`], [`PortError`] | why a port does not open, why it stopped |

pub mod afpacket;
pub mod afxdp;
pub mod capture;
pub mod delay;
pub mod dpdk;
pub mod dummy;
mod error;
pub mod fault;
pub mod pcap;
pub mod ring;
mod shared;
mod spec;
pub mod tap;

pub use error::{OpenError, PortError};
pub use shared::SharedTx;
pub use spec::PortSpec;

use std::os::fd::RawFd;

use dp_core::base::{DropReason, Instant, MacAddr};
use dp_core::packet::Burst;

use crate::netlink::LinkCounters;
pub use crate::system::LinkMode;
use crate::system::Netif;

/// How many queues the caller can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueCount {
    /// Receive queues.
    pub rx: usize,
    /// Transmit queues: one for each thread that sends.
    pub tx: usize,
}

impl QueueCount {
    /// One of each: all that a switch with one thread needs.
    pub const ONE: Self = Self { rx: 1, tx: 1 };
}

/// The queues of a port.
#[derive(Default)]
pub struct Queues {
    /// Where packets come in. May be none: a port that only sends.
    pub rx: Vec<Box<dyn RxQueue>>,
    /// Where packets go out. May be none: a port that only receives; what is sent to it is dropped.
    pub tx: Vec<Box<dyn TxQueue>>,
}

impl Queues {
    /// One queue each way.
    #[must_use]
    pub fn pair(rx: impl RxQueue + 'static, tx: impl TxQueue + 'static) -> Self {
        Self { rx: vec![Box::new(rx)], tx: vec![Box::new(tx)] }
    }
}

/// What a port is like at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// Whether its owner wants it to work.
    pub admin_up: bool,
    /// Whether there is somebody at the other end.
    pub link_up: bool,
    /// Its Ethernet address; zero if it has none.
    pub mac: MacAddr,
    /// The largest frame it sends, without Ethernet header and VLAN tags, in bytes.
    pub mtu: u32,
    /// The kernel's number of the interface; 0 if the kernel knows nothing of the port.
    pub ifindex: u32,
}

impl Status {
    /// The status of a port that is a thing of this process: always up, no address, any size.
    pub const UP: Self =
        Self { admin_up: true, link_up: true, mac: MacAddr::ZERO, mtu: 65_535, ifindex: 0 };

    /// Whether it can carry packets.
    #[must_use]
    pub const fn up(&self) -> bool {
        self.admin_up && self.link_up
    }
}

/// A property of a port that may be changed while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// [`Status::admin_up`].
    AdminUp(bool),
    /// [`Status::mac`].
    Mac(MacAddr),
    /// [`Status::mtu`].
    Mtu(u32),
}

/// What a kernel interface is like now; down if it has gone.
fn netif_status(netif: &Netif) -> Status {
    let ifindex = netif.index();
    match netif.state() {
        Ok(state) => Status {
            admin_up: state.admin_up,
            link_up: state.running,
            mac: state.mac,
            mtu: state.mtu,
            ifindex,
        },
        Err(_) => Status { admin_up: false, link_up: false, mtu: 0, ifindex, ..Status::UP },
    }
}

/// What the driver of a kernel interface says of itself, by the names of the column `status`.
fn netif_details(netif: &Netif) -> Vec<(&'static str, String)> {
    let Ok(driver) = netif.driver() else { return Vec::new() };
    vec![
        ("driver_name", driver.name),
        ("driver_version", driver.version),
        ("firmware_version", driver.firmware),
    ]
}

/// What its link runs at.
fn netif_link(netif: &Netif) -> Option<LinkMode> {
    netif.link_mode().ok().flatten()
}

/// What the kernel counts of an interface beyond what we do, by the names of the column `statistics`.
fn netif_counters(all: &LinkCounters) -> Vec<(String, u64)> {
    [
        ("collisions", all.collisions),
        ("rx_crc_err", all.rx_crc_errors),
        ("rx_dropped", all.rx_dropped),
        ("rx_errors", all.rx_errors),
        ("rx_frame_err", all.rx_frame_errors),
        ("rx_missed_errors", all.rx_missed_errors),
        ("rx_multicast_packets", all.multicast),
        ("rx_over_err", all.rx_over_errors),
        ("tx_dropped", all.tx_dropped),
        ("tx_errors", all.tx_errors),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Changes a property of a kernel interface.
fn change_netif(name: &str, netif: &Netif, change: Change) -> Result<(), OpenError> {
    let done = match change {
        Change::AdminUp(up) => netif.set_up(up),
        Change::Mac(mac) => netif.set_mac(mac),
        Change::Mtu(mtu) => netif.set_mtu(mtu),
    };
    let step = match change {
        Change::AdminUp(_) => "switch on or off",
        Change::Mac(_) => "set address",
        Change::Mtu(_) => "set MTU",
    };
    let name = name.to_owned();
    done.map_err(|source| match source.raw_os_error() {
        Some(libc::EPERM) => OpenError::NotPermitted { name, privilege: "CAP_NET_ADMIN" },
        Some(libc::ENODEV) => OpenError::NoInterface { name },
        _ => OpenError::System { name, step, source },
    })
}

/// The control half of a port. Dropping it together with its queues closes the port and gives back
/// whatever it held.
pub trait Port: Send {
    /// Its name: unique in a datapath, that of the kernel's interface where there is one.
    fn name(&self) -> &str;

    /// What kind of port it is, in one word: `pcap`, `ring`, `afpacket` …
    fn kind(&self) -> &'static str;

    /// Hands out the queues: at most as many as `want` says, fewer if the port has fewer. Called
    /// once.
    ///
    /// # Errors
    ///
    /// When the port cannot work after all. The second call answers
    /// [`OpenError::QueuesTaken`].
    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError>;

    /// Whether its queues must be asked all the time, so that a thread of their own is worth it.
    fn is_poll_mode(&self) -> bool {
        false
    }

    /// The NUMA node of its device, where that is known.
    fn numa_node(&self) -> Option<u32> {
        None
    }

    /// Counters of its own, by name, beside those that are counted for every port.
    fn counters(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// What else there is to say of it, by the names of the interface's `status` column.
    fn details(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What its link runs at; `None` where that means nothing or is not known.
    fn link(&self) -> Option<LinkMode> {
        None
    }

    /// How it is set up, as a list of ports shows it; by name.
    fn configuration(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What is to be said of it in the log once its queues are made: what came to nothing of what was
    /// asked, or should be asked in another way.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it is like now. Control side: may ask the kernel.
    fn status(&self) -> Status {
        Status::UP
    }

    /// Changes a property.
    ///
    /// # Errors
    ///
    /// [`OpenError::Unsupported`] unless the port has that property.
    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        let _ = change;
        Err(OpenError::Unsupported { port: self.name().to_owned(), kind: self.kind() })
    }
}

/// What a decorator leaves to the port that it is around: everything but the queues.
macro_rules! left_to_the_inner_port {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn kind(&self) -> &'static str {
            self.inner.kind()
        }

        fn numa_node(&self) -> Option<u32> {
            self.inner.numa_node()
        }

        fn counters(&self) -> Vec<(String, u64)> {
            self.inner.counters()
        }

        fn details(&self) -> Vec<(&'static str, String)> {
            self.inner.details()
        }

        fn link(&self) -> Option<$crate::port::LinkMode> {
            self.inner.link()
        }

        fn configuration(&self) -> Vec<(&'static str, String)> {
            self.inner.configuration()
        }

        fn remarks(&self) -> Vec<String> {
            self.inner.remarks()
        }

        fn status(&self) -> $crate::port::Status {
            self.inner.status()
        }

        fn configure(
            &mut self,
            change: $crate::port::Change,
        ) -> Result<(), $crate::port::OpenError> {
            self.inner.configure(change)
        }
    };
}
use left_to_the_inner_port;

/// What was lost at receipt, since the call before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Frames larger than any buffer.
    pub oversize: u32,
    /// Frames for which no buffer was free.
    pub no_buffer: u32,
    /// Frames that were lost in front of the queue: its ring was full, or the kernel's.
    pub missed: u32,
}

impl Lost {
    /// Nothing.
    pub const NONE: Self = Self { oversize: 0, no_buffer: 0, missed: 0 };

    /// How many frames in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.oversize as u64 + self.no_buffer as u64 + self.missed as u64
    }

    /// Adds another count.
    pub const fn add(&mut self, more: Self) {
        self.oversize = self.oversize.saturating_add(more.oversize);
        self.no_buffer = self.no_buffer.saturating_add(more.no_buffer);
        self.missed = self.missed.saturating_add(more.missed);
    }

    /// The counts with the reasons they go under. What was missed in front of the queue has none:
    /// it never entered, and counts as the port's alone.
    pub fn reasons(&self) -> impl Iterator<Item = (DropReason, u64)> {
        [(DropReason::RxOversize, self.oversize), (DropReason::NoBuffer, self.no_buffer)]
            .into_iter()
            .filter(|&(_, count)| count != 0)
            .map(|(reason, count)| (reason, u64::from(count)))
    }
}

/// Why a receive queue delivers nothing any more.
#[derive(Debug)]
pub enum RxEnd {
    /// It has delivered all it had: a capture was replayed, the other side closed.
    Finished,
    /// It cannot go on.
    Failed(PortError),
}

/// What a thread with nothing to do must wait for before it asks a queue again: whichever comes
/// first. Neither means that nothing tells; ask again soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// The descriptor becomes readable, or fails.
    pub readable: Option<RawFd>,
    /// This moment comes.
    pub at: Option<Instant>,
}

impl Wake {
    /// Nothing tells: ask again soon.
    pub const POLL: Self = Self { readable: None, at: None };

    /// When a descriptor becomes readable, or fails.
    #[must_use]
    pub const fn readable(fd: RawFd) -> Self {
        Self { readable: Some(fd), at: None }
    }

    /// At a moment.
    #[must_use]
    pub const fn at(moment: Instant) -> Self {
        Self { readable: None, at: Some(moment) }
    }
}

/// A receive queue of a port.
pub trait RxQueue: Send {
    /// Appends what is there to `burst`, until it is full; never waits. Says what was lost.
    ///
    /// # Errors
    ///
    /// [`RxEnd`] when nothing will ever come again. A call that answers so appends nothing, and
    /// the queue is not asked again.
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd>;

    /// Packets that a guest has left in the fullest of its rings that this queue serves; 0 where
    /// nobody can tell. For statistics: it may take longer than receiving.
    fn left(&self) -> u32 {
        0
    }

    /// What to wait for when the last call brought nothing.
    fn wake(&self) -> Wake {
        Wake::POLL
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets sent.
    pub packets: u32,
    /// Packets dropped because the queue behind the port was full.
    pub queue_full: u32,
    /// Packets dropped because they were larger than the port may send.
    pub oversize: u32,
    /// Packets dropped because no buffer could be had for a copy.
    pub no_buffer: u32,
    /// Packets dropped because the port is down, gone or refused them.
    pub failed: u32,
    /// Packets dropped by the port's policer.
    pub policed: u32,
    /// Packets dropped because a queue of the port's shaper was full.
    pub overflow: u32,
    /// Bytes of the packets sent.
    pub bytes: u64,
}

impl Sent {
    /// Counts one packet as sent.
    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    /// How many packets were dropped.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.queue_full as u64
            + self.oversize as u64
            + self.no_buffer as u64
            + self.failed as u64
            + self.policed as u64
            + self.overflow as u64
    }

    /// Adds what became of another batch.
    pub const fn add(&mut self, more: Self) {
        self.packets += more.packets;
        self.queue_full += more.queue_full;
        self.oversize += more.oversize;
        self.no_buffer += more.no_buffer;
        self.failed += more.failed;
        self.policed += more.policed;
        self.overflow += more.overflow;
        self.bytes += more.bytes;
    }

    /// The drops with their reasons.
    pub fn reasons(&self) -> impl Iterator<Item = (DropReason, u64)> {
        [
            (DropReason::TxQueueFull, self.queue_full),
            (DropReason::TxOversize, self.oversize),
            (DropReason::NoBuffer, self.no_buffer),
            (DropReason::TxFailure, self.failed),
            (DropReason::TxPoliced, self.policed),
            (DropReason::TxShaperFull, self.overflow),
        ]
        .into_iter()
        .filter(|&(_, count)| count != 0)
        .map(|(reason, count)| (reason, u64::from(count)))
    }
}

/// Whether a frame may leave by a port of this MTU: Ethernet header and one VLAN tag come on top.
#[must_use]
#[inline]
pub fn fits(frame: &[u8], mtu: u32) -> bool {
    // Most frames are short enough, tagged or not.
    if frame.len() <= mtu as usize + 14 {
        return true;
    }
    let tagged = matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
    let most = mtu as usize + 14 + if tagged { 4 } else { 0 };
    frame.len() <= most
}

/// A transmit queue of a port.
pub trait TxQueue: Send {
    /// Sends the packets of a batch, in their order, and leaves it empty; what cannot be sent is
    /// dropped and counted in the answer. Never waits.
    ///
    /// Packets may have checksums or segments left to be done ([`crate::offload::PENDING`]): a
    /// queue that cannot pass that on finishes them ([`crate::offload::finish`]).
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent;

    /// Writes out what the queue has kept back to write together. Called when the thread has
    /// nothing else to do, and before the queue is dropped.
    ///
    /// # Errors
    ///
    /// When packets that counted as sent are lost; the port has failed then.
    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

impl RxQueue for Box<dyn RxQueue> {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        (**self).receive(burst, now)
    }

    fn wake(&self) -> Wake {
        (**self).wake()
    }
}

impl TxQueue for Box<dyn TxQueue> {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        (**self).transmit(batch, now)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        (**self).flush()
    }
}
