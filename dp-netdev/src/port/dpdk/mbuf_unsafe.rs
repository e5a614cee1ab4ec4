//! From a packet buffer of libdpdk to a packet, and back.
//!
//! # Invariant (of [`Mbuf`])
//!
//! It is the only handle of a buffer from a pool of [`super::mempool_unsafe`], so its private area
//! holds a [`Header`] whose room is the buffer's.

#![expect(unsafe_code, reason = "fields of libdpdk's buffers are read and written by offset")]

use core::mem;
use core::ptr::NonNull;

use dp_core::packet::{BufferOwner, Header, Metadata, Offloads, Packet, Pool};
use dpdk_sys as sys;

/// A buffer that we hold; dropping it gives it back to its pool.
pub(super) struct Mbuf(NonNull<sys::rte_mbuf>);

/// The owner that headers in buffers of libdpdk name. Not of size zero: its address tells it apart.
pub(super) struct Mbufs(#[expect(dead_code, reason = "gives the owner an address")] u8);

/// The one there is.
pub(super) static MBUFS: Mbufs = Mbufs(0);

// SAFETY: headers that name it lie in private areas of buffers of our pools, and are only given
// back to those; libdpdk accepts that from any thread.
unsafe impl BufferOwner for Mbufs {
    unsafe fn release(&self, header: NonNull<Header>) {
        // SAFETY: the caller's word: the header came out of a packet with this owner.
        drop(unsafe { Mbuf::of_header(header) });
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: the invariant: nobody else holds it.
        unsafe { sys::dpdk_shim_free(self.0.as_ptr()) }
    }
}

/// What the fields of a received buffer say, and what a sender must write: the library's flags.
#[derive(Clone, Copy)]
pub(super) struct Flags(sys::dpdk_shim_flags);

impl Flags {
    /// The library's flags, which differ between versions.
    pub(super) fn read() -> Self {
        // SAFETY: plain numbers, of which zero is one.
        let mut flags: sys::dpdk_shim_flags = unsafe { mem::zeroed() };
        // SAFETY: writes the structure it is given.
        unsafe { sys::dpdk_shim_flags(&raw mut flags) };
        Self(flags)
    }
}

impl core::ops::Deref for Flags {
    type Target = sys::dpdk_shim_flags;

    fn deref(&self) -> &sys::dpdk_shim_flags {
        &self.0
    }
}

/// What became of a buffer that could not simply become a packet.
pub(super) enum Refused {
    /// No buffer could be had for a copy in one piece.
    NoBuffer,
    /// It is larger than any buffer.
    Oversize,
}

impl Mbuf {
    /// Takes hold of a buffer.
    ///
    /// # Safety
    ///
    /// It came from a pool of ours and nobody else holds it.
    #[inline(always)]
    pub(super) unsafe fn new(mbuf: NonNull<sys::rte_mbuf>) -> Self {
        Self(mbuf)
    }

    /// The buffer that a header lies in.
    ///
    /// # Safety
    ///
    /// The header lies in the private area of a buffer of ours that nobody else holds.
    #[inline(always)]
    unsafe fn of_header(header: NonNull<Header>) -> Self {
        let size = sys::DPDK_SHIM_MBUF_SIZE as usize;
        // SAFETY: the private area follows the buffer's own structure.
        Self(unsafe { header.cast::<u8>().sub(size).cast() })
    }

    /// Lets go of it without giving it back: a driver has it now, or its pool.
    #[inline(always)]
    pub(super) fn forget(self) -> NonNull<sys::rte_mbuf> {
        let mbuf = self.0;
        mem::forget(self);
        mbuf
    }

    /// Where its header is.
    #[inline(always)]
    pub(super) fn header(&self) -> NonNull<Header> {
        let size = sys::DPDK_SHIM_MBUF_SIZE as usize;
        // SAFETY: the private area follows the buffer's own structure.
        unsafe { self.0.cast::<u8>().add(size).cast() }
    }

    #[inline(always)]
    fn field<T: Copy>(&self, offset: u32) -> T {
        // SAFETY: offsets are those of fields (`DPDK_SHIM_MBUF_*`), inside the structure.
        let at = unsafe { self.0.cast::<u8>().add(offset as usize).cast::<T>() };
        // SAFETY: as above; drivers keep buffers initialised, and the fields are plain numbers.
        unsafe { at.read_unaligned() }
    }

    #[inline(always)]
    fn set_field<T: Copy>(&mut self, offset: u32, value: T) {
        // SAFETY: as in `field`.
        let at = unsafe { self.0.cast::<u8>().add(offset as usize).cast::<T>() };
        // SAFETY: as above, and this is the buffer's only handle.
        unsafe { at.write_unaligned(value) }
    }

    /// Its memory: where it begins and its length.
    pub(super) fn room(&self) -> (NonNull<u8>, u32) {
        let at: *mut u8 = self.field(sys::DPDK_SHIM_MBUF_BUF_ADDR);
        let len: u16 = self.field(sys::DPDK_SHIM_MBUF_BUF_LEN);
        NonNull::new(at).map_or((NonNull::dangling(), 0), |at| (at, u32::from(len)))
    }

    /// Bytes of its frame, over all segments.
    #[inline(always)]
    pub(super) fn frame_len(&self) -> u32 {
        self.field(sys::DPDK_SHIM_MBUF_PKT_LEN)
    }

    /// Makes a received buffer a packet.
    #[inline(always)]
    pub(super) fn into_packet(self, flags: &Flags) -> Result<Packet, Refused> {
        let found: u64 = self.field(sys::DPDK_SHIM_MBUF_OL_FLAGS);
        let segments: u16 = self.field(sys::DPDK_SHIM_MBUF_NB_SEGS);
        // Most have nothing to say, whatever the flags are.
        if found == 0 && segments == 1 {
            return Ok(self.adopt(Metadata::default()));
        }
        if segments != 1 || found & flags.indirect_or_external != 0 {
            return self.gather(flags);
        }
        let meta = self.metadata(found, flags);
        Ok(self.adopt(meta))
    }

    /// The packet of a buffer in one piece.
    #[inline(always)]
    fn adopt(self, meta: Metadata) -> Packet {
        let start: u16 = self.field(sys::DPDK_SHIM_MBUF_DATA_OFF);
        let len = self.frame_len();
        let mut header = self.header();
        self.forget();
        // SAFETY: the invariant: a valid header of a buffer that we hold alone.
        unsafe { header.as_mut() }.set_extent(u32::from(start), len);
        // SAFETY: as above; the buffer's handle was given up for the packet.
        let mut packet = unsafe { Packet::from_header(header) };
        // All the rest means nothing on a packet's first pass, and stands on another line.
        let place = packet.meta_mut();
        place.offloads = meta.offloads;
        place.rss_hash = meta.rss_hash;
        place.known = meta.known;
        if meta.offloads.contains(Offloads::TSO) {
            place.segment = meta.segment;
        }
        packet
    }

    #[inline(always)]
    fn metadata(&self, found: u64, flags: &Flags) -> Metadata {
        let mut meta = Metadata::default();
        if found == 0 {
            return meta;
        }
        if found & flags.rx_rss_hash != 0 {
            meta.offloads |= Offloads::RSS_VALID;
            meta.rss_hash = self.field(sys::DPDK_SHIM_MBUF_RSS);
        }
        if found & flags.rx_ip_mask == flags.rx_ip_good {
            meta.offloads |= Offloads::RX_IP_CSUM_GOOD;
        }
        if found & flags.rx_l4_mask == flags.rx_l4_good {
            meta.offloads |= Offloads::RX_L4_CSUM_GOOD;
        }
        if found & flags.rx_l4_mask == flags.rx_l4_none {
            // The sender is on this machine and has left it to us.
            meta.offloads |= Offloads::L4_CSUM_PARTIAL;
        }
        if found & flags.rx_lro != 0 {
            meta.offloads |= Offloads::TSO;
            // SAFETY: a buffer that we hold alone.
            meta.segment = unsafe { sys::dpdk_shim_segment(self.0.as_ptr()) };
        }
        meta
    }

    /// A packet of a chain, or of memory that is not the buffer's own: in one piece of ours.
    #[cold]
    fn gather(self, flags: &Flags) -> Result<Packet, Refused> {
        let found: u64 = self.field(sys::DPDK_SHIM_MBUF_OL_FLAGS);
        let own = found & flags.indirect_or_external == 0;
        // SAFETY: a chain that we hold alone.
        if own && unsafe { sys::dpdk_shim_linearize(self.0.as_ptr()) } == 0 {
            let meta = self.metadata(found, flags);
            return Ok(self.adopt(meta));
        }
        let len = self.frame_len() as usize;
        let pool = Pool::for_len(len).ok_or(Refused::Oversize)?;
        let mut packet = pool.alloc().ok_or(Refused::NoBuffer)?;
        let to = packet.append(len).ok_or(Refused::Oversize)?;
        // SAFETY: the slice has room for as many bytes as the chain's frame has.
        unsafe { sys::dpdk_shim_copy_out(self.0.as_ptr(), to.as_mut_ptr()) };
        *packet.meta_mut() = self.metadata(found, flags);
        Ok(packet)
    }

    /// The buffer of a packet, ready to be sent; the packet again if its buffer is not of libdpdk.
    #[inline(always)]
    pub(super) fn of_packet(packet: Packet) -> Result<Self, Packet> {
        if !packet.is_owned_by(&MBUFS) {
            return Err(packet);
        }
        let header = packet.into_header();
        // SAFETY: the packet was the header's only handle, and has become ours.
        let (start, len) = unsafe { header.as_ref() }.extent();
        // SAFETY: the header names `MBUFS` as its owner, so it lies in a buffer of ours.
        let mut mbuf = unsafe { Self::of_header(header) };
        // Starts and lengths are inside a room that a u16 measures.
        mbuf.set_field(sys::DPDK_SHIM_MBUF_DATA_OFF, start as u16);
        mbuf.set_field(sys::DPDK_SHIM_MBUF_DATA_LEN, len as u16);
        mbuf.set_field(sys::DPDK_SHIM_MBUF_PKT_LEN, len);
        mbuf.set_field(sys::DPDK_SHIM_MBUF_OL_FLAGS, 0_u64);
        Ok(mbuf)
    }

    /// Fills a fresh buffer with a frame; `None` if it has no room for it.
    pub(super) fn filled(mut self, frame: &[u8]) -> Option<Self> {
        let (room, room_len) = self.room();
        let start = sys::DPDK_SHIM_HEADROOM;
        let len = u16::try_from(frame.len()).ok()?;
        if start + u32::from(len) > room_len {
            return None;
        }
        // SAFETY: inside the room, asked a moment ago.
        let to = unsafe { room.add(start as usize) };
        // SAFETY: as above; the frame is not in this buffer, which is fresh.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(frame).cast(), usize::from(len)) };
        self.set_field(sys::DPDK_SHIM_MBUF_DATA_OFF, start as u16);
        self.set_field(sys::DPDK_SHIM_MBUF_DATA_LEN, len);
        self.set_field(sys::DPDK_SHIM_MBUF_PKT_LEN, u32::from(len));
        Some(self)
    }

    /// Leaves work to the device: `what` are the library's flags, the lengths those of the headers.
    pub(super) fn leave(&mut self, what: u64, l2: u16, l3: u16, l4: u16, segment: u16) {
        self.set_field(sys::DPDK_SHIM_MBUF_OL_FLAGS, what);
        // SAFETY: a buffer that we hold alone.
        unsafe { sys::dpdk_shim_set_tx_lengths(self.0.as_ptr(), l2, l3, l4, segment) };
    }
}
