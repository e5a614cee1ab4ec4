//! Pools of packet buffers in our own memory.
//!
//! Three sizes, one pool each for the whole process: ports come and go, buffers stay and are used
//! again, so adding and removing ports can neither leak nor fragment. A pool grows in chunks up to
//! a bound; beyond it allocation fails and the packet is dropped with a reason.
//!
//! Each thread keeps a stock of its own and visits the shared reserve once for hundreds of buffers.
//! The distance between buffers is no power of two, so that headers spread over cache sets.

#![expect(unsafe_code, reason = "buffers are carved out of raw chunks")]

use core::alloc::Layout;
use core::cell::RefCell;
use core::ptr::NonNull;

use super::buffer_unsafe::{BufferOwner, Header, Packet};
use super::burst::Burst;
use crate::sync::{Bound, FreeList};

/// Bytes free in front of a fresh frame: room for tunnel headers of the largest kind.
pub const HEADROOM: u32 = 256;

/// How many buffers a thread fetches, and beyond which number it gives half back.
const BULK: usize = 256;
const STOCK: usize = 2 * BULK;

/// A process-wide pool of buffers of one size.
#[derive(Debug)]
pub struct Pool {
    class: usize,
    data_len: u32,
    chunk: usize,
    made: Bound,
    spare: FreeList<Spare>,
}

/// A header that no packet holds.
#[derive(Debug)]
struct Spare(NonNull<Header>);

// SAFETY: a spare header is plain memory that nobody uses; whoever holds the `Spare` may use it.
unsafe impl Send for Spare {}

const fn pool(class: usize, data_len: u32, chunk: usize, limit: usize) -> Pool {
    Pool { class, data_len, chunk, made: Bound::new(limit), spare: FreeList::new() }
}

/// Ordinary frames, jumbo frames, and segments before segmentation.
static POOLS: [Pool; 3] =
    [pool(0, 2048, 1024, 1 << 18), pool(1, 9984, 128, 1 << 14), pool(2, 65_792, 16, 1 << 11)];

thread_local! {
    static STOCKS: RefCell<Stocks> = const { RefCell::new(Stocks([const { Vec::new() }; 3])) };
}

struct Stocks([Vec<Spare>; 3]);

impl Drop for Stocks {
    fn drop(&mut self) {
        for (stock, pool) in self.0.iter_mut().zip(&POOLS) {
            pool.spare.put(stock, 0);
        }
    }
}

impl Pool {
    /// The pool for ordinary frames: up to 2,048 bytes.
    #[must_use]
    pub fn standard() -> &'static Self {
        &POOLS[0]
    }

    /// The smallest pool whose buffers hold `len` bytes behind the headroom.
    #[must_use]
    pub fn for_len(len: usize) -> Option<&'static Self> {
        POOLS.iter().find(|pool| len <= pool.data_len as usize)
    }

    /// Bytes that a buffer holds behind the headroom.
    #[must_use]
    pub const fn data_len(&self) -> usize {
        self.data_len as usize
    }

    /// Buffers made so far, in use or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.made.taken()
    }

    /// An empty packet with [`HEADROOM`]. `None` when the pool has reached its bound.
    #[must_use]
    pub fn alloc(&'static self) -> Option<Packet> {
        STOCKS
            .try_with(|stocks| {
                let mut stocks = stocks.try_borrow_mut().ok()?;
                self.take(stocks.0.get_mut(self.class)?)
            })
            .ok()
            .flatten()
    }

    /// Appends up to `want` empty packets to a burst, as many as have room there; returns how many.
    pub fn fill(&'static self, burst: &mut Burst, want: usize) -> usize {
        STOCKS
            .try_with(|stocks| {
                let Ok(mut stocks) = stocks.try_borrow_mut() else { return 0 };
                let Some(stock) = stocks.0.get_mut(self.class) else { return 0 };
                for done in 0..want {
                    if burst.is_full() {
                        return done;
                    }
                    let Some(packet) = self.take(stock) else { return done };
                    // There is room: it was asked a moment ago.
                    drop(burst.push(packet));
                }
                want
            })
            .unwrap_or(0)
    }

    #[inline]
    fn take(&'static self, stock: &mut Vec<Spare>) -> Option<Packet> {
        if stock.is_empty() && self.spare.take(stock, BULK) == 0 {
            self.grow(stock)?;
        }
        let mut spare = stock.pop()?;
        // SAFETY: a spare header is valid and held by nobody else.
        let header = unsafe { spare.0.as_mut() };
        header.set_extent(HEADROOM, 0);
        // SAFETY: as above, and the spare ends here.
        let mut packet = unsafe { Packet::from_header(spare.0) };
        *packet.meta_mut() = super::Metadata::default();
        Some(packet)
    }

    /// Makes another chunk of buffers, or says that the bound is reached.
    #[cold]
    fn grow(&'static self, stock: &mut Vec<Spare>) -> Option<()> {
        if !self.made.take(self.chunk) {
            return None;
        }
        let room_len = HEADROOM + self.data_len;
        let stride = size_of::<Header>() + room_len as usize;
        let layout = Layout::from_size_align(stride * self.chunk, align_of::<Header>()).ok()?;
        // SAFETY: the layout is not empty.
        let memory = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        for index in 0..self.chunk {
            // SAFETY: `index * stride` lies inside the chunk, which is never freed.
            let at = unsafe { memory.add(index * stride) };
            // SAFETY: the room follows the header inside the same stride.
            let room = unsafe { at.add(size_of::<Header>()) };
            // SAFETY: zeroed memory of this length that belongs to this header alone, for ever.
            let header = unsafe { Header::new(room, room_len, HEADROOM, self) };
            let at = at.cast::<Header>();
            // SAFETY: the stride is a multiple of the alignment (asserted below).
            unsafe { at.write(header) };
            stock.push(Spare(at));
        }
        self.spare.put(stock, BULK);
        Some(())
    }
}

const _: () = {
    let mut class = 0;
    while class < POOLS_ROOM.len() {
        assert!((size_of::<Header>() + POOLS_ROOM[class]).is_multiple_of(align_of::<Header>()));
        class += 1;
    }
};
const POOLS_ROOM: [usize; 3] = [256 + 2048, 256 + 9984, 256 + 65_792];

// SAFETY: any header that names a pool as its owner was made by `grow`; it is only stored.
unsafe impl BufferOwner for Pool {
    #[inline]
    unsafe fn release(&self, header: NonNull<Header>) {
        let mut spare = Some(Spare(header));
        let stored = STOCKS.try_with(|stocks| {
            let mut stocks = stocks.try_borrow_mut().ok()?;
            let stock = stocks.0.get_mut(self.class)?;
            stock.push(spare.take()?);
            if stock.len() > STOCK {
                self.spare.put(stock, BULK);
            }
            Some(())
        });
        if stored.is_err() || spare.is_some() {
            // The thread is ending and its stock is gone.
            self.spare.put(&mut Vec::from_iter(spare), 0);
        }
    }
}

#[cfg(test)]
mod tests;
