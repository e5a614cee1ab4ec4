//! A shared reserve of things, visited in bulk.
//!
//! Threads keep a private stock and come here once every few hundred items, so a plain lock is
//! cheaper than any lock-free stack: it is taken once for the whole bulk.

use super::machine::{Mutex, PoisonError, constant};

/// A stack of spare items shared by threads.
#[derive(Debug)]
pub struct FreeList<T>(Mutex<Vec<T>>);

impl<T> Default for FreeList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FreeList<T> {
    constant! {
        /// An empty reserve.
        #[must_use]
        pub const fn new() -> Self {
            Self(Mutex::new(Vec::new()))
        }
    }

    /// Moves up to `want` items onto `to`; returns how many.
    pub fn take(&self, to: &mut Vec<T>, want: usize) -> usize {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = list.len().saturating_sub(want);
        let before = to.len();
        to.extend(list.drain(from..));
        to.len() - before
    }

    /// Takes back all items of `from` beyond its first `keep`.
    pub fn put(&self, from: &mut Vec<T>, keep: usize) {
        if from.len() > keep {
            let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            list.extend(from.drain(keep..));
        }
    }

    /// How many items are here now.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::FreeList;

    #[test]
    fn bulk_in_bulk_out() {
        let list = FreeList::default();
        let mut mine: Vec<u32> = (0..10).collect();
        list.put(&mut mine, 4);
        assert_eq!((mine.len(), list.len()), (4, 6));
        assert_eq!(list.take(&mut mine, 4), 4);
        assert_eq!(list.take(&mut mine, 4), 2);
        assert_eq!(list.take(&mut mine, 4), 0);
        assert!(list.is_empty());
    }
}
