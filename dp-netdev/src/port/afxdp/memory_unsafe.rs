//! A socket, its memory and its four rings.
//!
//! # Invariants
//!
//! Each ring has one side of ours: we produce on *fill* and *tx*, and consume from *rx* and
//! *completion*. The receiving half owns *fill* and *rx* and the frames of the first half of the
//! memory, the sending half the others; frames go around inside their half. Descriptors from the
//! kernel are checked before they are used as places.

#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapMut, MmapOptions, MmapRaw};

use super::{BIND, Mode};
use crate::system::{get_option, set_option, socket};

/// Bytes of a frame: what the kernel puts there and a little in front.
const FRAME: usize = 4096;
/// Frames of each half.
const FRAMES: u32 = 2048;
/// Entries of each ring.
const RING: u32 = 2048;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    fill: Ring,
    completion: Ring,
    rx: Ring,
    tx: Ring,
}

/// What both halves use.
#[derive(Debug)]
struct Shared {
    fd: OwnedFd,
    /// Registered with the socket: it must live as long.
    memory: Memory,
}

/// The frames.
#[derive(Debug)]
struct Memory {
    map: MmapRaw,
}

/// A ring in memory that the kernel has mapped for us.
#[derive(Debug)]
struct Ring {
    map: MmapRaw,
    producer: usize,
    consumer: usize,
    flags: usize,
    descriptors: usize,
    /// Ours: the next place, as the counters count.
    next: u32,
}

/// The half that receives.
#[derive(Debug)]
pub(super) struct Receiving {
    shared: Arc<Shared>,
    fill: Ring,
    rx: Ring,
}

/// The half that sends.
#[derive(Debug)]
pub(super) struct Sending {
    shared: Arc<Shared>,
    completion: Ring,
    tx: Ring,
    free: Vec<u64>,
    queued: u32,
}

impl Socket {
    /// Opens and binds a socket on a queue of an interface. On failure says what was being done.
    pub(super) fn open(
        ifindex: u32,
        queue: u32,
        mode: Mode,
    ) -> Result<Self, (&'static str, io::Error)> {
        let at = |step| move |error| (step, error);
        let fd = socket(libc::AF_XDP, libc::SOCK_RAW, 0).map_err(at("open AF_XDP socket"))?;
        let length = FRAME * FRAMES as usize * 2;
        let map = MmapMut::map_anon(length).map_err(at("allocate frames"))?;
        let memory = Memory { map: map.into() };
        let register = libc::xdp_umem_reg {
            addr: memory.map.as_ptr() as u64,
            len: length as u64,
            chunk_size: FRAME as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        let set = |name, value: u32, step| {
            let value = value.cast_signed();
            set_option(&fd, libc::SOL_XDP, name, value).map_err(at(step))
        };
        set_option(&fd, libc::SOL_XDP, libc::XDP_UMEM_REG, register)
            .map_err(at("register frames"))?;
        for name in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            set(name, RING, "make rings")?;
        }
        // SAFETY: numbers, of which zero is one.
        let none: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
        let places = get_option(&fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, none)
            .map_err(at("ask where rings are"))?;
        let ring = |place: &libc::xdp_ring_offset, page: u64, entry: usize| {
            Ring::map(&fd, place, page, entry).map_err(at("map rings"))
        };
        let (address, descriptor) = (size_of::<u64>(), size_of::<libc::xdp_desc>());
        let mut fill = ring(&places.fr, libc::XDP_UMEM_PGOFF_FILL_RING, address)?;
        let completion = ring(&places.cr, libc::XDP_UMEM_PGOFF_COMPLETION_RING, address)?;
        let rx = ring(&places.rx, libc::XDP_PGOFF_RX_RING.cast_unsigned(), descriptor)?;
        let tx = ring(&places.tx, libc::XDP_PGOFF_TX_RING.cast_unsigned(), descriptor)?;
        for frame in 0..FRAMES.min(RING) {
            fill.put_address(u64::from(frame) * FRAME as u64);
        }
        fill.publish();
        let copy = if mode == Mode::ZeroCopy { libc::XDP_ZEROCOPY } else { libc::XDP_COPY };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: copy | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: ifindex,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: an address of the length given, which is only read.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        if bound != 0 {
            return Err((BIND, io::Error::last_os_error()));
        }
        Ok(Self { shared: Arc::new(Shared { fd, memory }), fill, completion, rx, tx })
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> RawFd {
        self.shared.fd.as_raw_fd()
    }

    /// The two halves.
    pub(super) fn split(self) -> (Receiving, Sending) {
        let Self { shared, fill, completion, rx, tx } = self;
        let receiving = Receiving { shared: Arc::clone(&shared), fill, rx };
        let first = u64::from(FRAMES);
        let free = (first..first + u64::from(FRAMES)).map(|frame| frame * FRAME as u64).collect();
        (receiving, Sending { shared, completion, tx, free, queued: 0 })
    }
}

impl Memory {
    /// The bytes at a place that the kernel named; `None` if it is not inside one frame.
    fn bytes(&self, address: u64, len: u32) -> Option<NonNull<[u8]>> {
        let (start, len) = (usize::try_from(address).ok()?, usize::try_from(len).ok()?);
        let inside = start % FRAME + len <= FRAME && start.checked_add(len)? <= self.map.len();
        let start = self.map.as_mut_ptr().wrapping_add(start);
        let place = inside.then(|| NonNull::new(start)).flatten()?;
        Some(NonNull::slice_from_raw_parts(place, len))
    }
}

impl Ring {
    fn map(
        fd: &OwnedFd,
        place: &libc::xdp_ring_offset,
        page: u64,
        entry: usize,
    ) -> io::Result<Self> {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let descriptors = at(place.desc);
        let length = descriptors.saturating_add(RING as usize * entry);
        let map = MmapOptions::new().offset(page).len(length).populate().map_raw(fd)?;
        let (producer, consumer) = (at(place.producer), at(place.consumer));
        Ok(Self { map, producer, consumer, flags: at(place.flags), descriptors, next: 0 })
    }

    fn counter(&self, offset: usize) -> &AtomicU32 {
        let at = self.map.as_mut_ptr().wrapping_add(offset).cast::<AtomicU32>();
        // SAFETY: the kernel named the offset of a counter inside what it mapped, aligned to its
        // size; both sides use it as an atomic number.
        unsafe { &*at }
    }

    fn entry<T>(&self, index: u32) -> *mut T {
        let offset = self.descriptors + (index & (RING - 1)) as usize * size_of::<T>();
        self.map.as_mut_ptr().wrapping_add(offset).cast()
    }

    /// For the consumer: how many entries are there.
    fn ready(&self) -> u32 {
        self.counter(self.producer).load(Ordering::Acquire).wrapping_sub(self.next).min(RING)
    }

    /// For the producer: how many entries there is room for.
    fn room(&self) -> u32 {
        let taken = self.counter(self.consumer).load(Ordering::Acquire);
        RING.saturating_sub(self.next.wrapping_sub(taken))
    }

    /// For the consumer: the next entry. There must be one ([`Self::ready`]).
    fn take<T: Copy>(&mut self) -> T {
        let entry = self.entry::<T>(self.next);
        self.next = self.next.wrapping_add(1);
        // SAFETY: inside the ring, which is mapped as large as this; the kernel has published the
        // entry and does not write it again before it is given back.
        unsafe { entry.read_volatile() }
    }

    /// For the producer: writes the next entry. There must be room ([`Self::room`]).
    fn put<T: Copy>(&mut self, value: T) {
        let entry = self.entry::<T>(self.next);
        self.next = self.next.wrapping_add(1);
        // SAFETY: inside the ring; the kernel reads the entry only once it is published.
        unsafe { entry.write_volatile(value) }
    }

    fn put_address(&mut self, address: u64) {
        self.put(address);
    }

    /// For the producer: what was put is the kernel's now.
    fn publish(&self) {
        self.counter(self.producer).store(self.next, Ordering::Release);
    }

    /// For the consumer: what was taken may be written again.
    fn give_back(&self) {
        self.counter(self.consumer).store(self.next, Ordering::Release);
    }

    /// Whether the kernel sleeps and must be woken to go on.
    fn sleeps(&self) -> bool {
        self.counter(self.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

impl Receiving {
    pub(super) fn fd(&self) -> RawFd {
        self.shared.fd.as_raw_fd()
    }

    /// Calls `each` for up to `most` frames, in their order; returns how many there were.
    pub(super) fn receive(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> usize {
        let count = (self.rx.ready() as usize).min(most);
        for _ in 0..count {
            let descriptor: libc::xdp_desc = self.rx.take();
            if let Some(place) = self.shared.memory.bytes(descriptor.addr, descriptor.len) {
                // SAFETY: inside a frame that the kernel has handed over and does not touch until
                // it is given back below.
                each(unsafe { place.as_ref() });
            }
            // Frames go around: as many were taken from the ring as are given back to it.
            self.fill.put_address(descriptor.addr / FRAME as u64 * FRAME as u64);
        }
        if count != 0 {
            self.rx.give_back();
            self.fill.publish();
        }
        if self.fill.sleeps() {
            self.wake();
        }
        count
    }

    /// Lets the kernel look at the fill ring.
    fn wake(&self) {
        let null = std::ptr::null_mut();
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: no memory is given.
        let _ = unsafe { libc::recvfrom(self.fd(), null, 0, flags, null.cast(), null.cast()) };
    }

    /// How many frames the kernel has dropped so far because a ring was full or empty.
    pub(super) fn drops(&self) -> u64 {
        // SAFETY: numbers, of which zero is one.
        let none: libc::xdp_statistics = unsafe { std::mem::zeroed() };
        get_option(&self.shared.fd, libc::SOL_XDP, libc::XDP_STATISTICS, none)
            .map_or(0, |it| it.rx_dropped + it.rx_ring_full + it.rx_fill_ring_empty_descs)
    }
}

impl Sending {
    /// Queues a frame; `false` if there is no room, or it is larger than any frame.
    pub(super) fn queue(&mut self, bytes: &[u8]) -> bool {
        let Ok(len) = u32::try_from(bytes.len()) else { return false };
        if self.free.is_empty() || self.tx.room() == 0 {
            self.reclaim();
        }
        if self.tx.room() == 0 {
            return false;
        }
        let Some(address) = self.free.pop() else { return false };
        let Some(mut place) = self.shared.memory.bytes(address, len) else {
            self.free.push(address);
            return false;
        };
        // SAFETY: inside a frame of this half that the kernel does not have: it was free.
        unsafe { place.as_mut() }.copy_from_slice(bytes);
        self.tx.put(libc::xdp_desc { addr: address, len, options: 0 });
        self.queued += 1;
        true
    }

    /// Hands over what was queued.
    pub(super) fn send(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.queued) == 0 {
            return Ok(());
        }
        self.tx.publish();
        let mut done = Ok(());
        if self.tx.sleeps() {
            done = self.kick();
        }
        self.reclaim();
        done
    }

    fn kick(&self) -> io::Result<()> {
        let (fd, null) = (self.shared.fd.as_raw_fd(), std::ptr::null());
        // SAFETY: no memory is given.
        let sent = unsafe { libc::sendto(fd, null, 0, libc::MSG_DONTWAIT, null.cast(), 0) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // The kernel is at it already, or has no room just now: it goes on later.
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS) => Ok(()),
            _ => Err(error),
        }
    }

    /// Takes back frames that have left.
    fn reclaim(&mut self) {
        let ready = self.completion.ready();
        for _ in 0..ready {
            let address: u64 = self.completion.take();
            self.free.push(address / FRAME as u64 * FRAME as u64);
        }
        if ready != 0 {
            self.completion.give_back();
        }
    }
}
