//! The time stamp counter: cycles of a constant clock, not of the core's own.

#![expect(unsafe_code, reason = "the counter is read by an intrinsic")]

/// The counter now. Zero on processors without one.
#[inline(always)]
#[must_use]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}
