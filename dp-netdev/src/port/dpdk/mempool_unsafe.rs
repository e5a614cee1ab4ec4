//! Pools of packet buffers in libdpdk's memory, one for each NUMA node and size.
//!
//! They are made when first asked for and never freed: a packet that waits somewhere when its port
//! goes keeps a valid buffer. Ports of a size share a pool, so a thousand openings cost one.

#![expect(unsafe_code, reason = "libdpdk's pools, and headers written into their elements")]

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

use dp_core::packet::Header;
use dpdk_sys as sys;

use super::mbuf_unsafe::{MBUFS, Mbuf};
use super::{PoolInfo, eal_unsafe};

/// Buffers of a pool for ordinary frames, tried first; halved until there is memory for them.
const MOST: u32 = 262_144;
/// The same for frames beyond an MTU of 1,500.
const MOST_LARGE: u32 = 16_384;
/// The same where libdpdk's memory cannot grow.
const MOST_FIXED: u32 = 32_768;
/// Below this a port could not even fill its rings.
const LEAST: u32 = 4096;
/// What a thread keeps of its own.
const CACHE: u32 = 512;
/// What is added to the MTU: Ethernet header, two tags, CRC.
const AROUND: usize = 14 + 8 + 4;
/// Rooms are multiples of this, so that ports of similar MTU share a pool.
const GRAIN: usize = 1024;

/// A pool. Handles are copies of one pointer; the pool lives as long as the process.
#[derive(Clone, Copy)]
pub(super) struct Mempool(NonNull<sys::rte_mempool>);

// SAFETY: libdpdk's pools may be used from any thread.
unsafe impl Send for Mempool {}
// SAFETY: as above.
unsafe impl Sync for Mempool {}

/// By NUMA node and room.
static POOLS: Mutex<BTreeMap<(c_int, u16), (Mempool, u32)>> = Mutex::new(BTreeMap::new());

impl Mempool {
    /// The pool on a NUMA node for frames of an MTU; `Err` holds libdpdk's error number.
    pub(super) fn for_mtu(socket: c_int, mtu: u16) -> Result<Self, c_int> {
        let headroom = sys::DPDK_SHIM_HEADROOM as usize;
        let room = (usize::from(mtu) + AROUND).next_multiple_of(GRAIN) + headroom;
        let room = u16::try_from(room).unwrap_or(u16::MAX);
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((pool, _)) = pools.get(&(socket, room)) {
            return Ok(*pool);
        }
        // Without hugepages memory does not grow: leave some to devices and further pools.
        let most = if eal_unsafe::grows() { MOST } else { MOST_FIXED };
        let mut size = if mtu > 1500 { MOST_LARGE } else { most };
        loop {
            match Self::create(socket, room, size) {
                Ok(pool) => {
                    pools.insert((socket, room), (pool, size));
                    return Ok(pool);
                }
                Err(libc::ENOMEM | libc::ENOBUFS) if size / 2 >= LEAST => size /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn create(socket: c_int, room: u16, size: u32) -> Result<Self, c_int> {
        let name = CString::new(name(socket, room)).map_err(|_| libc::EINVAL)?;
        // The private area holds our header and nothing else.
        let private = size_of::<Header>() as u16;
        // SAFETY: the name is a string; everything else are numbers.
        let pool = unsafe {
            sys::rte_pktmbuf_pool_create(name.as_ptr(), size - 1, CACHE, private, room, socket)
        };
        let Some(pool) = NonNull::new(pool) else {
            // SAFETY: reads a number of this thread.
            return Err(unsafe { sys::dpdk_shim_errno() });
        };
        // SAFETY: the pool is whole and nobody else knows it yet; `prepare` fits its elements.
        unsafe {
            sys::rte_mempool_obj_iter(pool.as_ptr(), Some(prepare), core::ptr::null_mut());
        }
        Ok(Self(pool))
    }

    pub(super) fn as_ptr(self) -> *mut sys::rte_mempool {
        self.0.as_ptr()
    }

    /// A fresh buffer; `None` if the pool is exhausted.
    pub(super) fn alloc(self) -> Option<Mbuf> {
        // SAFETY: a pool that lives.
        let mbuf = NonNull::new(unsafe { sys::dpdk_shim_alloc(self.as_ptr()) })?;
        // SAFETY: fresh, from a pool of ours, and nobody else's.
        Some(unsafe { Mbuf::new(mbuf) })
    }
}

fn name(socket: c_int, room: u16) -> String {
    format!("dp-{room}-{socket}")
}

/// All pools there are.
pub(super) fn all() -> Vec<PoolInfo> {
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let info = |(&(socket, room), &(pool, size)): (&(c_int, u16), &(Mempool, u32))| PoolInfo {
        name: name(socket, room),
        socket,
        room,
        size: size - 1,
        // SAFETY: a pool that lives.
        in_use: unsafe { sys::rte_mempool_in_use_count(pool.as_ptr()) },
    };
    pools.iter().map(info).collect()
}

/// Writes our header into the private area of one element.
unsafe extern "C" fn prepare(
    _pool: *mut sys::rte_mempool,
    _opaque: *mut c_void,
    object: *mut c_void,
    _index: u32,
) {
    let Some(mbuf) = NonNull::new(object.cast::<sys::rte_mbuf>()) else { return };
    // SAFETY: called for each element of a fresh pool, which is an mbuf that nobody holds.
    let mbuf = unsafe { Mbuf::new(mbuf) };
    let (room, len) = mbuf.room();
    // SAFETY: the room is the element's own, in memory that was mapped zeroed; only the packet made
    // of this header, or libdpdk while there is none, uses it.
    let header = unsafe { Header::new(room, len, sys::DPDK_SHIM_HEADROOM, &MBUFS) };
    // SAFETY: the private area follows the mbuf, is as large as a header (see `create`), and aligned
    // to a cache line as every mbuf is.
    unsafe { mbuf.header().write(header) };
    mbuf.forget();
}
