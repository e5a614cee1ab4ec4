//! Linux capabilities: kept over a change of user, and reduced to those that a switch needs.

#![expect(unsafe_code, reason = "prctl and capset have no safe interface here")]

use nix::errno::Errno;

/// The header of `capset(2)`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// One 32-bit part of the sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Lets the permitted set outlive `setuid`.
pub(super) fn keep() -> Result<(), Errno> {
    let on: libc::c_ulong = 1;
    // SAFETY: this operation takes a number and no pointer.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, on) }).map(drop)
}

/// Reduces the sets to administration of the network, raw sockets, locked memory and changing the
/// owner of sockets' files; `raw_io`: and of ports and memory of devices.
pub(super) fn restrict(raw_io: bool) -> Result<(), Errno> {
    let bits = (1 << CAP_NET_ADMIN)
        | (1 << CAP_NET_RAW)
        | (1 << CAP_NET_BROADCAST)
        | (1 << CAP_IPC_LOCK)
        | (u32::from(raw_io) << CAP_SYS_RAWIO);
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [Data { effective: bits, permitted: bits, inheritable: bits }, Data::default()];
    // SAFETY: version 3 takes a header and two parts; both are of the kernel's layout and outlive
    // the call, which writes to the header only when the version is unknown, and it is known.
    let answer = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    Errno::result(answer).map(drop)
}

const VERSION_3: u32 = 0x2008_0522;
const CAP_NET_BROADCAST: u32 = 11;
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_RAWIO: u32 = 17;
