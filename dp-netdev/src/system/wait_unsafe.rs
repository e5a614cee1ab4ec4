//! Sleeping until a descriptor is readable, a moment comes, or another thread rings.
#![expect(unsafe_code, reason = "poll and eventfd")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use dp_core::base::Duration;

/// Waits until one of `fds` is readable or has failed, at most for `limit`. Descriptors that are
/// closed do not disturb. `scratch` is kept by the caller so that nothing is allocated.
pub fn wait(
    fds: impl IntoIterator<Item = RawFd>,
    limit: Duration,
    scratch: &mut Vec<libc::pollfd>,
) {
    scratch.clear();
    let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    scratch.extend(fds.into_iter().map(entry));
    let timeout = libc::timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    let count = scratch.len() as libc::nfds_t;
    // SAFETY: the entries are `count` in number and live through the call; so does the timeout; no
    // signal mask is given. Being interrupted is as good as having waited.
    let _ =
        unsafe { libc::ppoll(scratch.as_mut_ptr(), count, &raw const timeout, std::ptr::null()) };
}

/// Wakes a thread that waits for its descriptor.
#[derive(Debug)]
pub struct Doorbell(File);

impl Doorbell {
    /// A doorbell that has not been rung.
    ///
    /// # Errors
    ///
    /// When the process or the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else knows of it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }.into()))
    }

    /// Makes the descriptor readable.
    pub fn ring(&self) {
        // Fails only if it was rung 2^64 - 2 times; then it is readable.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes the descriptor wait for the next ring.
    pub fn clear(&self) {
        // Fails only if it was not rung.
        let _ = (&self.0).read(&mut [0; 8]);
    }

    /// The descriptor to wait for.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Lets sleeps of the calling thread end within a microsecond of their time, where the kernel can.
pub fn fine_timers() {
    // SAFETY: takes numbers, and changes the calling thread's timer slack only.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000_usize) };
}
