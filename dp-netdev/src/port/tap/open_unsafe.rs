//! Making a tap interface.
#![expect(unsafe_code, reason = "ioctls of /dev/net/tun")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// `IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`: Ethernet frames, nothing but a virtio-net header in front.
const FLAGS: i32 = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
/// What the kernel may leave to us: checksums, TCP segments.
const OFFLOADS: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// And UDP segments, where it knows how (Linux 6.2).
const UDP_OFFLOADS: u32 = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// Makes the interface; it goes when the file is closed. On failure says what was being done.
pub(super) fn open(name: &str) -> Result<File, (&'static str, io::Error)> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(|error| ("open /dev/net/tun", error))?;
    // SAFETY: a name of bytes and a union of numbers, bytes and null pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() || name.as_bytes().contains(&0) {
        return Err(("make interface", io::Error::from_raw_os_error(libc::EINVAL)));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = i16::try_from(FLAGS).unwrap_or(0);
    // SAFETY: the call reads and writes an `ifreq` within its bounds.
    let made = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if made != 0 {
        return Err(("make interface", io::Error::last_os_error()));
    }
    let offload = |flags: u32| {
        // SAFETY: the call takes a number, no pointer.
        unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(flags)) }
    };
    if offload(OFFLOADS | UDP_OFFLOADS) != 0 && offload(OFFLOADS) != 0 {
        return Err(("set offloads", io::Error::last_os_error()));
    }
    Ok(device)
}
