//! The atomics and locks that this room is made of.
//!
//! They are the standard library's. The models in `races` compile this room, and the crates above
//! it, twice more: with `loom`'s, which try every order that the memory model allows (`dp_loom`), and
//! with the standard ones behind a scheduler that may switch threads before each step
//! (`dp_stepped`). Both are settings of those crates alone; no program sees them.

#[cfg(not(any(dp_loom, dp_stepped)))]
mod chosen {
    pub use core::hint::spin_loop;
    pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub use std::sync::{Mutex, MutexGuard};
}

#[cfg(dp_loom)]
mod chosen {
    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub use loom::sync::{Mutex, MutexGuard};
    pub use loom::thread::yield_now as spin_loop;
}

#[cfg(dp_stepped)]
#[path = "stepped.rs"]
mod chosen;

pub use chosen::*;
pub use std::sync::{PoisonError, TryLockError};

/// A constructor that is `const`, except where a model's atomics cannot be made so.
macro_rules! constant {
    ($(#[$attribute:meta])* $seen:vis const fn $($rest:tt)*) => {
        #[cfg(not(dp_loom))]
        $(#[$attribute])* $seen const fn $($rest)*
        #[cfg(dp_loom)]
        $(#[$attribute])* $seen fn $($rest)*
    };
}
pub(super) use constant;
