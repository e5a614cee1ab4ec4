//! Sockets and their options, by value.
#![expect(unsafe_code, reason = "socket, setsockopt and getsockopt")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libc::c_int;

/// Values that may be socket options: plain data for which every bit pattern is a value.
///
/// # Safety
///
/// As the name says: no padding that matters, no pointers, no invalid bit patterns.
pub(crate) unsafe trait OptionValue: Copy {}

// SAFETY: a number.
unsafe impl OptionValue for c_int {}
// SAFETY: numbers.
unsafe impl OptionValue for libc::tpacket_req3 {}
// SAFETY: numbers.
unsafe impl OptionValue for libc::tpacket_stats_v3 {}
// SAFETY: numbers and bytes.
unsafe impl OptionValue for libc::packet_mreq {}
// SAFETY: numbers.
unsafe impl OptionValue for libc::xdp_umem_reg {}
// SAFETY: numbers.
unsafe impl OptionValue for libc::xdp_mmap_offsets {}
// SAFETY: numbers.
unsafe impl OptionValue for libc::xdp_statistics {}

/// Opens a socket that does not block and is closed on exec.
pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(domain, kind, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option.
pub(crate) fn set_option<T: OptionValue>(
    fd: &impl AsRawFd,
    level: c_int,
    name: c_int,
    value: T,
) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is read only, of the length given, and lives through the call.
    let done =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option; what the kernel does not fill in stays as in `value`.
pub(crate) fn get_option<T: OptionValue>(
    fd: &impl AsRawFd,
    level: c_int,
    name: c_int,
    mut value: T,
) -> io::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most the length given into the value, for which every bit
    // pattern is valid ([`OptionValue`]).
    let done = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len)
    };
    if done == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
