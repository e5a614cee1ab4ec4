//! The packet handle and the buffer behind it.
//!
//! # Invariants (of [`Header`], on which every block below rests)
//!
//! 1. `room .. room + room_len` is one allocation, initialised, and belongs to this header alone as
//!    long as a [`Packet`] holds the header.
//! 2. `start + len <= room_len`.
//! 3. At most one `Packet` holds a header at a time; `owner.release` gets it when that one drops.
//!
//! # Cost
//!
//! A handle is one pointer. Reading the frame of a packet touches the first line of the header and
//! the frame itself; the second line holds metadata that the first pass does not need, and the lines
//! behind it ([`super::side`]) what connection tracking and tunnels add.

#![expect(unsafe_code, reason = "the packet handle is a pointer into pooled memory")]

use core::fmt;
use core::mem;
use core::ptr::NonNull;

use super::metadata::{Known, Metadata};
use super::pool_unsafe::Pool;
use super::side::{CtMeta, Side, TunnelMeta};

/// Who gets a buffer back when its packet is dropped.
///
/// # Safety
///
/// `release` must accept any header that was put into a [`Packet`] with this owner, from any
/// thread, and must not run the header's frame or metadata as anything but plain bytes.
pub unsafe trait BufferOwner: Sync + 'static {
    /// Takes the buffer back.
    ///
    /// # Safety
    ///
    /// `header` came out of a [`Packet`] whose header names this owner, and nobody uses it any
    /// more.
    unsafe fn release(&self, header: NonNull<Header>);
}

/// What stands behind a [`Packet`]: where its bytes are, whose they are, and its metadata.
#[repr(C, align(64))]
pub struct Header {
    room: NonNull<u8>,
    room_len: u32,
    start: u32,
    len: u32,
    owner: &'static dyn BufferOwner,
    meta: Metadata,
    /// For the few packets that carry more; the two lines before it serve all others.
    side: SideLine,
}

/// Begins at a cache line of its own.
#[repr(C, align(64))]
struct SideLine(Side);

// A driver must find room for it in its buffers' private area. The first two lines are all that
// plain packets use.
const _: () = assert!(core::mem::offset_of!(Header, side) == 128 && size_of::<Header>() == 576);

impl Header {
    /// A header over the `room_len` bytes at `room`, with an empty frame at `start`.
    ///
    /// # Safety
    ///
    /// `room` must be valid for reads and writes of `room_len` initialised bytes as long as the
    /// header is in use, and nothing else may use them while a [`Packet`] holds the header.
    #[must_use]
    pub unsafe fn new(
        room: NonNull<u8>,
        room_len: u32,
        start: u32,
        owner: &'static dyn BufferOwner,
    ) -> Self {
        let start = start.min(room_len);
        let side = SideLine(Side::default());
        Self { room, room_len, start, len: 0, owner, meta: Metadata::default(), side }
    }

    /// Where the frame begins in the room, and how long it is: for drivers that keep the same in
    /// a descriptor of their own.
    #[must_use]
    pub const fn extent(&self) -> (u32, u32) {
        (self.start, self.len)
    }

    /// Says where a driver has put a frame. Values that do not fit the room are cut to it.
    pub fn set_extent(&mut self, start: u32, len: u32) {
        self.start = start.min(self.room_len);
        self.len = len.min(self.room_len - self.start);
    }
}

/// One packet: a frame, room around it, metadata. Owns its buffer.
#[repr(transparent)]
pub struct Packet(NonNull<Header>);

// SAFETY: invariant 3: the handle is the only way to the header and its room, and `BufferOwner` is
// `Sync`, so it may be released from any thread.
unsafe impl Send for Packet {}
// SAFETY: `&Packet` gives shared reads of plain data only.
unsafe impl Sync for Packet {}

impl Packet {
    /// Makes a packet of a buffer.
    ///
    /// # Safety
    ///
    /// `header` points to a valid [`Header`] that no other packet holds.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_header(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// Gives the buffer away without releasing it: for a driver that transmits its own buffers.
    #[inline(always)]
    #[must_use]
    pub fn into_header(self) -> NonNull<Header> {
        let header = self.0;
        mem::forget(self);
        header
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: invariant 3 and `from_header`: valid, and `&self` excludes writers.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: invariant 3 and `from_header`: valid, and `&mut self` is the only access.
        unsafe { self.0.as_mut() }
    }

    /// Where the buffer's header is: lets a driver recognise its own buffers.
    #[inline(always)]
    #[must_use]
    pub fn header_ptr(&self) -> NonNull<Header> {
        self.0
    }

    /// Whether the buffer belongs to `owner`.
    #[inline]
    #[must_use]
    pub fn is_owned_by(&self, owner: &'static dyn BufferOwner) -> bool {
        core::ptr::addr_eq(self.header().owner, owner)
    }

    /// The frame.
    #[inline(always)]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: invariants 1 and 2: the range lies inside the room.
        let start = unsafe { header.room.add(header.start as usize) };
        // SAFETY: invariants 1 and 2: initialised, inside one allocation; `&self` excludes writers.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), header.len as usize) }
    }

    /// The frame, to be changed.
    #[inline(always)]
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let header = self.header_mut();
        // SAFETY: invariants 1 and 2: the range lies inside the room.
        let start = unsafe { header.room.add(header.start as usize) };
        // SAFETY: invariants 1 and 2; `&mut self` is the only access (invariant 3).
        unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), header.len as usize) }
    }

    /// Asks the processor to fetch the header and the frame's first lines.
    #[inline(always)]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            let header = self.header();
            // SAFETY: prefetching has no effect but on caches, for any address.
            unsafe {
                core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
                    header.room.as_ptr().wrapping_add(header.start as usize).cast(),
                );
            }
        }
    }

    /// Length of the frame in bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.header().len as usize
    }

    /// Whether the frame has no bytes.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes free in front of the frame.
    #[inline]
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.header().start as usize
    }

    /// Bytes free behind the frame.
    #[inline]
    #[must_use]
    pub fn tailroom(&self) -> usize {
        let header = self.header();
        (header.room_len - header.start - header.len) as usize
    }

    /// Grows the frame by `bytes` at the front; the new bytes hold anything. `None` without room.
    #[inline]
    pub fn push_front(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let header = self.header_mut();
        let grow = u32::try_from(bytes).ok().filter(|&grow| grow <= header.start)?;
        header.start -= grow;
        header.len += grow;
        self.data_mut().get_mut(..bytes)
    }

    /// Cuts `bytes` off the front; `false` (and no change) if the frame is shorter.
    #[inline]
    #[must_use]
    pub fn pull_front(&mut self, bytes: usize) -> bool {
        let header = self.header_mut();
        match u32::try_from(bytes) {
            Ok(cut) if cut <= header.len => {
                header.start += cut;
                header.len -= cut;
                true
            }
            _ => false,
        }
    }

    /// Grows the frame by `bytes` at the end; the new bytes hold anything. `None` without room.
    #[inline]
    pub fn append(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let free = self.tailroom();
        let header = self.header_mut();
        let grow = u32::try_from(bytes).ok().filter(|_| bytes <= free)?;
        let old = header.len as usize;
        header.len += grow;
        self.data_mut().get_mut(old..)
    }

    /// Cuts the frame to `len` bytes; no change if it is shorter.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        let header = self.header_mut();
        header.len = header.len.min(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// What travels with the packet.
    #[inline(always)]
    #[must_use]
    pub fn meta(&self) -> &Metadata {
        &self.header().meta
    }

    /// What travels with the packet, to be changed.
    #[inline(always)]
    #[must_use]
    pub fn meta_mut(&mut self) -> &mut Metadata {
        &mut self.header_mut().meta
    }

    /// What connection tracking has found out about the packet.
    #[inline]
    #[must_use]
    pub fn ct(&self) -> Option<&CtMeta> {
        let header = self.header();
        header.meta.known.contains(Known::CT).then_some(&header.side.0.ct)
    }

    /// Notes what connection tracking has found out.
    #[inline]
    pub fn set_ct(&mut self, ct: CtMeta) {
        let header = self.header_mut();
        header.side.0.ct = ct;
        header.meta.known |= Known::CT;
    }

    /// Forgets what connection tracking has found out.
    #[inline]
    pub fn clear_ct(&mut self) {
        self.header_mut().meta.known -= Known::CT;
    }

    /// The tunnel that the packet came through, or is to leave by.
    #[inline]
    #[must_use]
    pub fn tunnel(&self) -> Option<&TunnelMeta> {
        let header = self.header();
        header.meta.known.contains(Known::TUNNEL).then_some(&header.side.0.tunnel)
    }

    /// The same, to be changed; there is one from now on, all zeros if there was none.
    #[inline]
    #[must_use]
    pub fn tunnel_mut(&mut self) -> &mut TunnelMeta {
        let header = self.header_mut();
        if !header.meta.known.contains(Known::TUNNEL) {
            header.side.0.tunnel = TunnelMeta::NONE;
            header.meta.known |= Known::TUNNEL;
        }
        &mut header.side.0.tunnel
    }

    /// Notes the tunnel.
    #[inline]
    pub fn set_tunnel(&mut self, tunnel: &TunnelMeta) {
        let header = self.header_mut();
        header.side.0.tunnel = *tunnel;
        header.meta.known |= Known::TUNNEL;
    }

    /// Forgets the tunnel.
    #[inline]
    pub fn clear_tunnel(&mut self) {
        self.header_mut().meta.known -= Known::TUNNEL;
    }

    /// A copy in a buffer of our own pools: the same frame, headroom and metadata. `None` if the
    /// pool is exhausted or the frame larger than any buffer.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        self.copy_first(self.len())
    }

    /// The same of no more than the first `len` bytes.
    #[must_use]
    pub fn copy_first(&self, len: usize) -> Option<Self> {
        let data = self.data().get(..len).unwrap_or(self.data());
        let mut copy = Pool::for_len(data.len())?.alloc()?;
        copy.append(data.len())?.copy_from_slice(data);
        copy.take_metadata(self);
        Some(copy)
    }

    /// Has the other's metadata from now on, the side included.
    pub(super) fn take_metadata(&mut self, other: &Self) {
        *self.meta_mut() = *other.meta();
        if let Some(ct) = other.ct() {
            self.set_ct(*ct);
        }
        if let Some(tunnel) = other.tunnel() {
            self.set_tunnel(tunnel);
        }
    }
}

impl Drop for Packet {
    #[inline]
    fn drop(&mut self) {
        let owner = self.header().owner;
        // SAFETY: the header names this owner and the handle ends here.
        unsafe { owner.release(self.0) }
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("len", &self.len()).field("meta", self.meta()).finish()
    }
}
