//! A number for each thread, for what threads keep apart.

use std::sync::atomic::{AtomicUsize, Ordering};

static THREADS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// The number of the calling thread, from 0 on in the order in which threads first asked. The number
/// of a thread that has ended is nobody's any more.
#[inline]
#[must_use]
pub fn thread_number() -> usize {
    NUMBER.with(|number| *number)
}
