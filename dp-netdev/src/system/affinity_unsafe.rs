//! Keeping a thread on a processor.
#![expect(unsafe_code, reason = "sched_setaffinity and its set of processors")]

use std::io;

/// Lets the calling thread run on processor `cpu` only.
///
/// # Errors
///
/// What the system says: there is no such processor, or this process may not use it.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: the set is plain bits, of which none set is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `cpu` is a bit of the set, asked above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is read only, of the length given; thread 0 is the calling one.
    let done = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
