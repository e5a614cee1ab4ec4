//! `ppoll(2)` on file descriptors given by number.
//!
//! The safe interfaces want every descriptor borrowed for the call, which a list collected from
//! many owners cannot give without tying their lives together. Waiting on a descriptor that was
//! closed meanwhile is harmless: the system reports it as invalid.

#![expect(unsafe_code, reason = "ppoll takes a pointer and a length")]

use std::{io, ptr, time::Duration};

/// Waits until one of `fds` has something to say or `timeout` is over; `None` is for ever. A signal
/// ends the wait early, as if the time were over.
pub(super) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: `fds` points to `count` entries that may be read and written, `timeout` is null or
    // points to a value that outlives the call, and a null signal mask is allowed.
    let answer = unsafe { libc::ppoll(fds.as_mut_ptr(), count, timeout, ptr::null()) };
    if answer >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted {
        // The entries were not written.
        for fd in fds {
            fd.revents = 0;
        }
        return Ok(());
    }
    Err(error)
}
