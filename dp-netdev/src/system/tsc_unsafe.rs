//! The processor's own clock: cycles, for measuring where time goes.
#![expect(unsafe_code, reason = "the instruction that reads the time stamp counter")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The time stamp counter; nanoseconds where the processor has none. Reading it takes some 20
/// cycles and no system call.
#[inline(always)]
#[must_use]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has it, and it reads a counter.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let start = START.get_or_init(Instant::now);
        u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(not(target_arch = "x86_64"))]
static START: OnceLock<Instant> = OnceLock::new();

/// How many of [`cycles`] a second has; measured once, in some milliseconds.
#[must_use]
pub fn cycles_per_second() -> u64 {
    static MEASURED: OnceLock<u64> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let (wall, begin) = (Instant::now(), cycles());
        while wall.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let (passed, nanos) = (cycles().wrapping_sub(begin), wall.elapsed().as_nanos().max(1));
        u64::try_from(u128::from(passed) * 1_000_000_000 / nanos).unwrap_or(u64::MAX).max(1)
    })
}
