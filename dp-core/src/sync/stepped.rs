//! The standard library's atomics and locks with a step before each operation, at which the
//! scheduler of a model may go on with another thread.
//!
//! They stay the standard ones inside, so that memory full of zeros is still a table full of them.

use core::sync::atomic as real;
pub use core::sync::atomic::Ordering;
use std::sync::{LockResult, TryLockError, TryLockResult};

use zerocopy::FromZeros;

pub use std::sync::MutexGuard;

/// Lets another thread go on, if the scheduler wants one to.
fn step() {
    // Not a thread of a model: its set-up, or what a thread of the tests leaves at its end.
    if shuttle::current::try_get_current_task().is_some() {
        shuttle::thread::yield_now();
    }
}

/// As the standard library's.
pub fn fence(order: Ordering) {
    step();
    real::fence(order);
}

/// As the standard library's.
pub fn spin_loop() {
    step();
}

macro_rules! stepped {
    ($name:ident, $plain:ty, $($more:item)*) => {
        /// As the standard library's.
        #[derive(Debug, Default, FromZeros)]
        #[repr(transparent)]
        pub struct $name(real::$name);

        #[expect(missing_docs, reason = "as the standard library's")]
        impl $name {
            pub const fn new(value: $plain) -> Self {
                Self(real::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $plain {
                step();
                self.0.load(order)
            }

            pub fn store(&self, value: $plain, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub fn swap(&self, value: $plain, order: Ordering) -> $plain {
                step();
                self.0.swap(value, order)
            }
        }
    };
}

macro_rules! stepped_number {
    ($name:ident, $plain:ty) => {
        stepped!($name, $plain,);

        #[expect(missing_docs, reason = "as the standard library's")]
        impl $name {
            pub fn fetch_add(&self, by: $plain, order: Ordering) -> $plain {
                step();
                self.0.fetch_add(by, order)
            }

            pub fn fetch_sub(&self, by: $plain, order: Ordering) -> $plain {
                step();
                self.0.fetch_sub(by, order)
            }

            pub fn fetch_or(&self, bits: $plain, order: Ordering) -> $plain {
                step();
                self.0.fetch_or(bits, order)
            }

            pub fn fetch_and(&self, bits: $plain, order: Ordering) -> $plain {
                step();
                self.0.fetch_and(bits, order)
            }

            pub fn fetch_max(&self, value: $plain, order: Ordering) -> $plain {
                step();
                self.0.fetch_max(value, order)
            }

            pub fn compare_exchange(
                &self,
                old: $plain,
                new: $plain,
                done: Ordering,
                not: Ordering,
            ) -> Result<$plain, $plain> {
                step();
                self.0.compare_exchange(old, new, done, not)
            }

            pub fn compare_exchange_weak(
                &self,
                old: $plain,
                new: $plain,
                done: Ordering,
                not: Ordering,
            ) -> Result<$plain, $plain> {
                self.compare_exchange(old, new, done, not)
            }

            /// Others may come between the look and the change.
            pub fn fetch_update(
                &self,
                done: Ordering,
                not: Ordering,
                mut change: impl FnMut($plain) -> Option<$plain>,
            ) -> Result<$plain, $plain> {
                let mut old = self.load(not);
                while let Some(new) = change(old) {
                    match self.compare_exchange(old, new, done, not) {
                        Ok(old) => return Ok(old),
                        Err(now) => old = now,
                    }
                }
                Err(old)
            }
        }
    };
}

stepped!(AtomicBool, bool,);
stepped_number!(AtomicU32, u32);
stepped_number!(AtomicU64, u64);
stepped_number!(AtomicUsize, usize);

/// As the standard library's; who waits for it lets others go on.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

#[expect(missing_docs, reason = "as the standard library's")]
impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        loop {
            match self.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }

    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        step();
        self.0.try_lock()
    }
}
