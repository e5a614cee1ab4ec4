//! Freed memory goes back to the system.
//!
//! The allocator keeps what is freed for whoever comes next; a switch that once held many ports or
//! flows would look large for ever.

#![expect(unsafe_code, reason = "the C library's call has no safe interface")]

/// Gives back what is free at the end of the heap and whole pages inside it. Takes as long as there
/// is memory to look through: milliseconds, on the main thread, off the packets' way.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: `malloc_trim(3)` is safe to call from any thread at any time (MT-Safe); it takes a
        // number, touches free memory alone, and what it returns only says whether there was any.
        unsafe { libc::malloc_trim(0) };
    }
}
