//! Running before others.
#![expect(unsafe_code, reason = "sched_setscheduler")]

use std::io;

/// Lets the calling thread run before all that have no real-time priority, as soon as it has
/// something to do: for threads that do little and must do it in time.
///
/// # Errors
///
/// What the system says: this process may not.
pub fn run_in_real_time() -> io::Result<()> {
    // The lowest of these priorities: nobody else's real time is disturbed.
    let param = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter is read only; thread 0 is the calling one.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const param) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
