//! Packet sockets.
#![expect(unsafe_code, reason = "bind takes an untyped address")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::system::{set_option, socket};

/// A packet socket that receives nothing yet, with virtio-net headers in front of frames.
pub(super) fn open() -> io::Result<OwnedFd> {
    let fd = socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
    set_option(&fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
    Ok(fd)
}

/// Binds a socket to an interface. `protocol` 0 is for sending only.
pub(super) fn bind(fd: &OwnedFd, ifindex: u32, protocol: u16) -> io::Result<()> {
    let no_device = |_| io::Error::from_raw_os_error(libc::ENODEV);
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
        sll_protocol: protocol.to_be(),
        sll_ifindex: i32::try_from(ifindex).map_err(no_device)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is read only, of the length given, and lives through the call.
    let done = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
