//! Numbers that several threads read and write without a lock.
//!
//! The loads and stores are relaxed unless their names say otherwise: a record made of such words
//! is read as it is, and its reader proves afterwards (by a generation number) that what he read
//! belonged together.

#[cfg(not(dp_loom))]
use zerocopy::FromZeros;

use super::machine::{AtomicU32, AtomicU64, Ordering, constant, fence, spin_loop};

macro_rules! word {
    ($(#[doc = $doc:literal])+ $name:ident, $atomic:ty, $plain:ty) => {
        $(#[doc = $doc])+
        #[derive(Debug, Default)]
        #[cfg_attr(not(dp_loom), derive(FromZeros))]
        #[repr(transparent)]
        pub struct $name($atomic);

        impl $name {
            constant! {
                /// A word that holds `value`.
                #[must_use]
                pub const fn new(value: $plain) -> Self {
                    Self(<$atomic>::new(value))
                }
            }

            /// The value.
            #[inline(always)]
            #[must_use]
            pub fn get(&self) -> $plain {
                self.0.load(Ordering::Relaxed)
            }

            /// Replaces the value.
            #[inline(always)]
            pub fn set(&self, value: $plain) {
                self.0.store(value, Ordering::Relaxed);
            }

            /// The value, and everything that was written before it was published.
            #[inline(always)]
            #[must_use]
            pub fn observe(&self) -> $plain {
                self.0.load(Ordering::Acquire)
            }

            /// Replaces the value; who observes it sees everything written before.
            #[inline(always)]
            pub fn publish(&self, value: $plain) {
                self.0.store(value, Ordering::Release);
            }

            /// Adds and returns what was there before; wraps.
            #[inline(always)]
            pub fn add(&self, by: $plain) -> $plain {
                self.0.fetch_add(by, Ordering::Relaxed)
            }

            /// Subtracts and returns what was there before; wraps.
            #[inline(always)]
            pub fn sub(&self, by: $plain) -> $plain {
                self.0.fetch_sub(by, Ordering::Relaxed)
            }

            /// Sets bits and returns what was there before.
            #[inline(always)]
            pub fn set_bits(&self, bits: $plain) -> $plain {
                self.0.fetch_or(bits, Ordering::AcqRel)
            }

            /// Clears bits and returns what was there before.
            #[inline(always)]
            pub fn clear_bits(&self, bits: $plain) -> $plain {
                self.0.fetch_and(!bits, Ordering::AcqRel)
            }

            /// Replaces `old` by `new` if it is there; says whether it was.
            #[inline(always)]
            #[must_use]
            pub fn replace(&self, old: $plain, new: $plain) -> bool {
                self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            }

            /// Adds one unless that would exceed `limit`; says whether it did. A thread that is
            /// refused leaves the word one too high for a moment.
            #[inline]
            #[must_use]
            pub fn take_one(&self, limit: $plain) -> bool {
                let taken = self.0.fetch_add(1, Ordering::Relaxed);
                if taken >= limit {
                    self.0.fetch_sub(1, Ordering::Relaxed);
                }
                taken < limit
            }
        }
    };
}

word! {
    /// 32 bits.
    Word32, AtomicU32, u32
}

word! {
    /// 64 bits.
    Word64, AtomicU64, u64
}

/// Keeps what was read before it from being read after it: between reading a record and reading its
/// generation number again.
#[inline(always)]
pub fn read_before() {
    fence(Ordering::Acquire);
}

/// Keeps what is written after it from being seen before what was written before it.
#[inline(always)]
pub fn written_before() {
    fence(Ordering::Release);
}

impl Word32 {
    /// Takes the word as a lock (0 free, 1 taken), spinning: for sections of some nanoseconds.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_> {
        while self.0.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spin_loop();
        }
        SpinGuard(self)
    }
}

/// A [`Word32`] taken as a lock; free again when this drops.
#[derive(Debug)]
pub struct SpinGuard<'a>(&'a Word32);

impl Drop for SpinGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.publish(0);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Word32, Word64};

    #[test]
    fn a_limit_is_never_exceeded() {
        let word = Word32::new(0);
        let taken: usize = thread::scope(|scope| {
            let take = || (0..1000).filter(|_| word.take_one(1500)).count();
            let threads = [0; 3].map(|_| scope.spawn(take));
            threads.map(|thread| thread.join().expect("no panic")).into_iter().sum()
        });
        assert_eq!((taken, word.get()), (1500, 1500));
    }

    #[test]
    fn a_word_is_a_lock() {
        let (lock, value) = (Word32::new(0), Word64::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let _guard = lock.lock();
                        value.set(value.get() + 1);
                    }
                });
            }
        });
        assert_eq!((lock.get(), value.get()), (0, 3000));
    }
}
