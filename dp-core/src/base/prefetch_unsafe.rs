//! Asking the processor to fetch what will be read soon.

#![expect(unsafe_code, reason = "the prefetch instruction takes a pointer")]

/// Asks for the cache line where `item` begins. Has no effect but on caches.
#[inline(always)]
pub fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: prefetching is allowed for any address and has no effect but on caches.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
                core::ptr::from_ref(item).cast(),
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}
