//! A guest at a vhost-user socket: a virtual machine or a container, whose rings lie in memory that
//! it shares with us.
//!
//! Guests come, go and come again while the port stays; libdpdk tells so in threads of its own.
//! Nobody may be at a guest's rings when that is told, so whoever uses them goes in by a
//! [`Visitor`], which has a flag of its own:
//!
//! ```text
//!   visitor              libdpdk's thread
//!   inside = true        vid = NONE
//!   read vid             wait until no visitor is inside
//! ```
//!
//! Both sides are sequentially consistent: either the visitor finds no guest, or it is waited for.
//!
//! # Cost
//!
//! Two stores into a line that nobody else writes and one load, for a burst.

#![expect(unsafe_code, reason = "libdpdk's vhost library")]

use core::ffi::{CStr, c_char, c_int};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dpdk_sys as sys;

use super::VhostOptions;
use super::eal_unsafe::{log_mark, said_since};
use crate::port::OpenError;

/// No guest is there.
const NONE: c_int = -1;
/// Rings of a kind that a port can tell apart.
const MOST_RINGS: u16 = 64;

/// What is known of the guest at each socket that is watched.
static GUESTS: Mutex<BTreeMap<String, Arc<Shared>>> = Mutex::new(BTreeMap::new());

/// A socket, and the guest at it while there is one. The socket is given up with the last handle.
pub(super) struct Guest {
    socket: Option<String>,
    shared: Arc<Shared>,
}

/// What libdpdk's threads write and ours read. They hold this alone, never a [`Guest`]: a socket
/// cannot be given up in a thread of libdpdk's.
struct Shared {
    vid: AtomicI32,
    /// Rings that the guest has switched on, a bit each: those it receives from, those it sends to.
    receiving: AtomicU64,
    sending: AtomicU64,
    /// Whether it lets us leave checksums to it.
    takes_partial: AtomicBool,
    inside: Mutex<Vec<Weak<Inside>>>,
}

/// A visitor's flag, on a line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Inside(AtomicBool);

/// One thread's way to the guest.
pub(super) struct Visitor {
    guest: Arc<Guest>,
    inside: Arc<Inside>,
}

/// Takes the visitor out again.
struct Leave<'a>(&'a AtomicBool);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The guest as long as a visitor is with it.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    vid: c_int,
    shared: &'a Shared,
}

impl Guest {
    /// Watches a socket for the port `name`. Without a socket there never is a guest.
    ///
    /// # Errors
    ///
    /// [`OpenError::DeviceInUse`], or that libdpdk cannot use the socket.
    pub(super) fn watch(name: &str, options: &VhostOptions) -> Result<Arc<Self>, OpenError> {
        let refused = |reason: &str, detail: String| OpenError::Dpdk {
            name: name.to_owned(),
            step: "watch the vhost-user socket",
            reason: reason.to_owned(),
            detail,
        };
        let shared = Arc::new(Shared {
            vid: AtomicI32::new(NONE),
            receiving: AtomicU64::new(0),
            sending: AtomicU64::new(0),
            takes_partial: AtomicBool::new(false),
            inside: Mutex::default(),
        });
        let Some(path) = options.socket.clone() else {
            return Ok(Arc::new(Self { socket: None, shared }));
        };
        let socket = CString::new(path.as_str())
            .map_err(|_| refused("its path holds a zero byte", String::new()))?;
        match guests().entry(path.clone()) {
            Entry::Occupied(_) => return Err(refused("another port has it", String::new())),
            Entry::Vacant(place) => place.insert(Arc::clone(&shared)),
        };
        let how = sys::dpdk_shim_vhost {
            client: c_int::from(options.client),
            iommu: c_int::from(options.iommu),
            postcopy: c_int::from(options.postcopy),
        };
        let told = sys::dpdk_shim_guests {
            here: Some(here),
            gone: Some(gone),
            ring: Some(ring),
            left: Some(left),
        };
        let mark = log_mark();
        // SAFETY: a string and two structures that are only read; the functions live for ever.
        let error =
            unsafe { sys::dpdk_shim_vhost_start(socket.as_ptr(), &raw const how, &raw const told) };
        if error != 0 {
            guests().remove(&path);
            return Err(refused("libdpdk cannot use it", said_since(mark)));
        }
        Ok(Arc::new(Self { socket: Some(path), shared }))
    }

    /// A way to the guest for one thread.
    pub(super) fn visitor(self: &Arc<Self>) -> Visitor {
        let inside = Arc::new(Inside::default());
        let mut all = self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| it.strong_count() > 0);
        all.push(Arc::downgrade(&inside));
        Visitor { guest: Arc::clone(self), inside }
    }

    /// Whether a guest is there.
    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.shared.vid.load(Ordering::Relaxed) != NONE
    }
}

impl Shared {
    /// Sends the guest away from us: returns when no visitor is inside any more.
    fn part(&self) {
        self.vid.store(NONE, Ordering::SeqCst);
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for visitor in inside.iter().filter_map(Weak::upgrade) {
            while visitor.0.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(path) = &self.socket else { return };
        // The list is free meanwhile: libdpdk's threads may need it to come to an end.
        if let Ok(socket) = CString::new(path.as_str()) {
            // SAFETY: a string; nobody visits the guest, for visitors hold this.
            let _ = unsafe { sys::dpdk_shim_vhost_stop(socket.as_ptr()) };
        }
        guests().remove(path);
    }
}

fn guests() -> MutexGuard<'static, BTreeMap<String, Arc<Shared>>> {
    GUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Visitor {
    /// Does something with the guest, unless there is none.
    #[inline]
    pub(super) fn visit<R>(&self, with: impl FnOnce(Present<'_>) -> R) -> Option<R> {
        let inside = &self.inside.0;
        inside.store(true, Ordering::SeqCst);
        let _leave = Leave(inside);
        let vid = self.guest.shared.vid.load(Ordering::SeqCst);
        (vid != NONE).then(|| with(Present { vid, shared: &self.guest.shared }))
    }

    /// The guest visited.
    #[inline]
    pub(super) fn guest(&self) -> &Guest {
        &self.guest
    }
}

impl Present<'_> {
    /// Whether checksums may be left to it.
    #[inline]
    pub(super) fn takes_partial(self) -> bool {
        self.shared.takes_partial.load(Ordering::Relaxed)
    }

    /// Takes packets that the guest sends, from those of its rings that are the `share`-th part of
    /// `shares`; each place of `mbufs` that is said to be filled holds a buffer that is ours.
    #[inline]
    pub(super) fn take(
        self,
        (share, shares): (u16, u16),
        pool: *mut sys::rte_mempool,
        mbufs: &mut [*mut sys::rte_mbuf],
    ) -> usize {
        let mut rings = self.shared.sending.load(Ordering::Relaxed);
        let mut count = 0;
        let mut number = 0;
        while rings != 0 && count < mbufs.len() {
            let ring = rings.trailing_zeros() as u16;
            rings &= rings - 1;
            if number % shares.max(1) == share {
                let room = mbufs.get_mut(count..).unwrap_or_default();
                // SAFETY: the guest is there until the visit ends, the pool is never freed, and
                // there is room for as many pointers.
                let taken = unsafe {
                    sys::rte_vhost_dequeue_burst(
                        self.vid,
                        2 * ring + 1,
                        pool,
                        room.as_mut_ptr(),
                        room.len() as u16,
                    )
                };
                count += usize::from(taken).min(room.len());
            }
            number += 1;
        }
        count
    }

    /// How many packets wait in the fullest of the rings that are the `share`-th part of `shares`.
    pub(super) fn left(self, (share, shares): (u16, u16)) -> u32 {
        let mut rings = self.shared.sending.load(Ordering::Relaxed);
        let (mut most, mut number) = (0, 0);
        while rings != 0 {
            let ring = rings.trailing_zeros() as u16;
            rings &= rings - 1;
            if number % shares.max(1) == share {
                // SAFETY: the guest is there until the visit ends; libdpdk checks the ring's number.
                let left = unsafe { sys::rte_vhost_rx_queue_count(self.vid, 2 * ring + 1) };
                most = most.max(left);
            }
            number += 1;
        }
        most
    }

    /// Copies frames into the ring that is this queue's; returns how many there was room for. The
    /// buffers stay the caller's.
    #[inline]
    pub(super) fn give(self, queue: u16, mbufs: &mut [*mut sys::rte_mbuf]) -> usize {
        let rings = self.shared.receiving.load(Ordering::Relaxed);
        if rings == 0 {
            return 0;
        }
        let mut left = rings;
        for _ in 0..u32::from(queue) % rings.count_ones() {
            left &= left - 1;
        }
        let ring = left.trailing_zeros() as u16;
        // SAFETY: the guest is there until the visit ends; the pointers are buffers that the caller
        // holds, and are only read.
        let given = unsafe {
            sys::rte_vhost_enqueue_burst(self.vid, 2 * ring, mbufs.as_mut_ptr(), mbufs.len() as u16)
        };
        usize::from(given).min(mbufs.len())
    }

    /// Rings that the guest has, both ways.
    pub(super) fn rings(self) -> u16 {
        // SAFETY: a guest that is there.
        unsafe { sys::rte_vhost_get_vring_num(self.vid) }
    }

    /// Places that a ring has.
    pub(super) fn ring_size(self, ring: u16) -> u32 {
        // SAFETY: a guest that is there; a ring that it does not have has no places.
        unsafe { sys::dpdk_shim_vhost_ring_size(self.vid, ring) }
    }

    /// The NUMA node that its memory lies on; negative if that is unknown.
    pub(super) fn numa(self) -> c_int {
        // SAFETY: a guest that is there.
        unsafe { sys::rte_vhost_get_numa_node(self.vid) }
    }

    /// What was agreed upon: the virtio standard's feature bits.
    pub(super) fn features(self) -> u64 {
        // SAFETY: a guest that is there.
        unsafe { sys::dpdk_shim_vhost_features(self.vid) }
    }
}

/// What is known of the guest at a socket that is watched.
///
/// # Safety
///
/// A string.
unsafe fn find(path: *const c_char) -> Option<Arc<Shared>> {
    // SAFETY: the caller's word.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    guests().get(path.as_ref()).cloned()
}

unsafe extern "C" fn here(path: *const c_char, vid: c_int) {
    // SAFETY: libdpdk's string.
    let Some(guest) = (unsafe { find(path) }) else { return };
    // SAFETY: a guest that is being made known.
    let partial = unsafe { sys::dpdk_shim_vhost_takes_partial(vid) } != 0;
    guest.takes_partial.store(partial, Ordering::Relaxed);
    guest.vid.store(vid, Ordering::SeqCst);
}

unsafe extern "C" fn gone(path: *const c_char) {
    // SAFETY: libdpdk's string.
    if let Some(guest) = unsafe { find(path) } {
        guest.part();
    }
}

unsafe extern "C" fn ring(path: *const c_char, ring: u16, on: c_int) {
    // SAFETY: libdpdk's string.
    let Some(guest) = (unsafe { find(path) }) else { return };
    if ring / 2 >= MOST_RINGS {
        return;
    }
    // Rings go in pairs: the guest receives from the even ones.
    let rings = if ring.is_multiple_of(2) { &guest.receiving } else { &guest.sending };
    let bit = 1_u64 << (ring / 2);
    if on != 0 {
        rings.fetch_or(bit, Ordering::Relaxed);
    } else {
        rings.fetch_and(!bit, Ordering::Relaxed);
    }
}

unsafe extern "C" fn left(path: *const c_char) {
    // SAFETY: libdpdk's string.
    let Some(guest) = (unsafe { find(path) }) else { return };
    guest.receiving.store(0, Ordering::Relaxed);
    guest.sending.store(0, Ordering::Relaxed);
}
