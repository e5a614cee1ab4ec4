//! Ports of libdpdk: network cards without the kernel, and libdpdk's virtual devices.
//!
//! A port is named by its *devargs*: a PCI address (`0000:01:00.0`), or a driver and its options
//! (`net_null1,no-rx=1`, `net_pcap0,rx_pcap=in.pcap`, `net_memif0,role=server`). The device is
//! attached when the port opens and detached when the port and its queues are gone.
//!
//! ```text
//!   one element of a memory pool of libdpdk
//!   │ rte_mbuf, 128 │ packet::Header, 128 │ headroom │ frame │ …
//!      the driver's    ours, in the private area
//! ```
//!
//! A frame stays in the buffer that the driver received it into until a driver takes it to send it:
//! the handle's header lies in the buffer's private area, so that turning one into the other is a
//! subtraction and four fields. Buffers of other origin are copied at transmission.
//!
//! Virtual machines and containers are reached through vhost-user sockets ([`open_vhost`]): their
//! rings are no device, and come and go while the port stays.
//!
//! libdpdk is initialised once in a process ([`init`]), which is costly and cannot be undone. Pools
//! are process-wide and never freed, so no packet can outlive its buffer.
//!
//! Without the feature `dpdk` everything here answers that the program was built without libdpdk.
//!
//! # Threads
//!
//! A thread that moves packets must be known to libdpdk for its per-thread caches
//! ([`attach_thread`]); one that is not works, at two thirds of the speed.

mod options;

#[cfg(feature = "dpdk")]
mod device_unsafe;
#[cfg(feature = "dpdk")]
mod eal_unsafe;
#[cfg(feature = "dpdk")]
mod guest_unsafe;
#[cfg(feature = "dpdk")]
mod mbuf_unsafe;
#[cfg(feature = "dpdk")]
mod mempool_unsafe;
#[cfg(feature = "dpdk")]
mod queue_unsafe;
#[cfg(feature = "dpdk")]
mod report_unsafe;
#[cfg(feature = "dpdk")]
mod running;
#[cfg(feature = "dpdk")]
mod vhost_unsafe;
#[cfg(feature = "dpdk")]
use running as imp;

#[cfg(not(feature = "dpdk"))]
mod absent;
#[cfg(not(feature = "dpdk"))]
use absent as imp;

pub use imp::{
    attach_thread, detach, init, is_running, open, open_vhost, pools, report, set_log, take_log,
    version,
};
pub use options::{EalOptions, Options, Pauses, Steering, VhostOptions};

/// Whether this program was built with libdpdk.
pub const BUILT: bool = cfg!(feature = "dpdk");

/// Why libdpdk does not run in this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// The feature `dpdk` was off.
    #[error("this program was built without DPDK (cargo feature \"dpdk\")")]
    NotBuilt,
    /// An argument cannot be given to it.
    #[error("DPDK argument '{0}' holds a zero byte")]
    Argument(String),
    /// It was initialised before, which can be done once.
    #[error("DPDK was initialised before: it can be once in a process")]
    Twice,
    /// It refused.
    #[error("DPDK cannot be initialised: {reason}{said}{advice}")]
    Refused {
        /// Its error number, as text.
        reason: String,
        /// What it logged last, behind a separator.
        said: String,
        /// What to do about it, behind a separator.
        advice: &'static str,
    },
}

/// A memory pool of packet buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolInfo {
    /// Its name.
    pub name: String,
    /// The NUMA node it lies on; -1 for any.
    pub socket: i32,
    /// Bytes that a buffer holds, headroom included.
    pub room: u16,
    /// Buffers in all.
    pub size: u32,
    /// Buffers that somebody holds, those in caches of threads not counted.
    pub in_use: u32,
}

/// Something that libdpdk tells of itself, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Its heaps.
    Heap,
    /// Its zones of memory.
    Zones,
    /// The processors it knows.
    Processors,
    /// What it logs, by kind.
    Log,
}

/// How much libdpdk logs: messages of this weight and above. The numbers are libdpdk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// The system cannot be used.
    Emergency = 1,
    /// Something must be done at once.
    Alert = 2,
    /// Critical conditions.
    Critical = 3,
    /// Errors.
    Error = 4,
    /// Warnings.
    Warning = 5,
    /// Normal but significant.
    Notice = 6,
    /// Informational.
    Info = 7,
    /// Everything.
    Debug = 8,
}

impl LogLevel {
    /// The level of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "emergency" => Self::Emergency,
            "alert" => Self::Alert,
            "critical" => Self::Critical,
            "error" => Self::Error,
            "warning" => Self::Warning,
            "notice" => Self::Notice,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => return None,
        })
    }
}

/// Why a device is not detached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetachError {
    /// libdpdk has no such device.
    #[error("Device '{0}' not found in DPDK")]
    NotFound(String),
    /// A port has it.
    #[error("Device '{device}' is being used by the following interfaces: {by}")]
    InUse {
        /// The device.
        device: String,
        /// The port.
        by: String,
    },
    /// libdpdk refused.
    #[error("Device '{0}' can not be detached")]
    Refused(String),
}
