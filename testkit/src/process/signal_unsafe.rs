//! The one signal the standard library does not send.
#![expect(unsafe_code, reason = "kill(2)")]

use std::{io, process::Child};

/// Sends `SIGTERM` to the child.
pub(super) fn terminate(child: &Child) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: kill takes two integers and touches no memory of ours. The child has not been waited
    // for (its owner calls this only while `try_wait` says that it runs), so the id is still its own.
    let result = unsafe { libc::kill(pid, libc::SIGTERM) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
