//! A value behind a lock, for what is changed seldom or for a moment.

use super::machine::{Mutex, MutexGuard, PoisonError, TryLockError, constant};

/// A value that this thread holds; others wait until it drops.
pub type Guard<'a, T> = MutexGuard<'a, T>;

/// A value that one thread at a time works on. A thread that ended while it held the lock leaves
/// the value as it was: whoever changes it keeps it valid at every step.
#[derive(Debug, Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    constant! {
        /// A value behind a lock.
        #[must_use]
        pub const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }
    }

    /// Waits for the value.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, if nobody holds it.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Locked;

    #[test]
    fn a_value_outlives_a_thread_that_held_it() {
        let value = std::sync::Arc::new(Locked::new(1));
        let other = std::sync::Arc::clone(&value);
        let thread = std::thread::spawn(move || {
            let mut guard = other.lock();
            *guard = 2;
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert_eq!(*value.lock(), 2);
    }
}
