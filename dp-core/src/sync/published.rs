//! A value that one thread replaces as a whole and many read without waiting.
//!
//! A reader keeps the last value that it saw and, before each use, compares one number with the
//! publisher's: in steady state that is a load of a line that nobody writes. Only when the value
//! was replaced does it take a lock, to count itself in, and even then it does not wait: where the
//! lock is taken it goes on with what it has and looks again the next time.

use std::sync::Arc;

use super::machine::{AtomicU64, Mutex, Ordering, PoisonError, TryLockError};

/// A value that is replaced as a whole.
#[derive(Debug, Default)]
pub struct Published<T> {
    version: AtomicU64,
    current: Mutex<Arc<T>>,
}

impl<T> Published<T> {
    /// Publishes a first value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self { version: AtomicU64::new(0), current: Mutex::new(Arc::new(value)) }
    }

    /// Replaces the value. Readers that are in the middle of a use keep the old one until they
    /// are through.
    pub fn publish(&self, value: Arc<T>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, value);
        self.version.fetch_add(1, Ordering::Release);
        drop(current);
        // What may be large is freed outside the lock.
        drop(old);
    }

    /// The value now; for threads that ask rarely.
    #[must_use]
    pub fn load(&self) -> Arc<T> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reader's own view.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Reader<T> {
        let seen = self.version.load(Ordering::Acquire);
        Reader { seen, held: self.load(), source: Arc::clone(self) }
    }
}

/// One thread's view of a [`Published`] value.
#[derive(Debug)]
pub struct Reader<T> {
    source: Arc<Published<T>>,
    seen: u64,
    held: Arc<T>,
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), seen: self.seen, held: Arc::clone(&self.held) }
    }
}

impl<T> Reader<T> {
    /// The newest value that can be had without waiting.
    #[inline]
    pub fn get(&mut self) -> &T {
        if self.source.version.load(Ordering::Acquire) != self.seen {
            self.refresh();
        }
        &self.held
    }

    /// The value that was seen last.
    #[inline(always)]
    #[must_use]
    pub fn current(&self) -> &T {
        &self.held
    }

    #[cold]
    fn refresh(&mut self) {
        let current = match self.source.current.try_lock() {
            Ok(current) => current,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // Under the lock: the version belongs to the value.
        self.seen = self.source.version.load(Ordering::Acquire);
        self.held = Arc::clone(&current);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::Published;

    #[test]
    fn a_reader_sees_what_was_published_last() {
        let published = Arc::new(Published::new(1));
        let mut reader = published.reader();
        assert_eq!(*reader.get(), 1);
        published.publish(Arc::new(2));
        assert_eq!((*reader.get(), *published.load()), (2, 2));
    }

    #[test]
    fn readers_never_see_time_run_backwards() {
        let published = Arc::new(Published::new(0_u64));
        let mut reader = published.reader();
        thread::scope(|scope| {
            scope.spawn(|| (1..=10_000).for_each(|value| published.publish(Arc::new(value))));
            let mut last = 0;
            while last < 10_000 {
                let value = *reader.get();
                assert!(value >= last);
                last = value;
            }
        });
    }
}
