//! Sending a batch of frames with one system call.
#![expect(unsafe_code, reason = "sendmmsg takes arrays of pointers")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use dp_core::packet::{BURST, Packet};

use crate::offload::vnet;

/// Sends packets, each with its virtio-net header in front, as many as the socket takes; returns
/// how many those were. At most [`BURST`] are sent.
///
/// # Errors
///
/// What is wrong with the first of them; none was sent then.
pub(super) fn send(
    fd: &OwnedFd,
    headers: &[[u8; vnet::LEN]],
    packets: &[Packet],
) -> io::Result<usize> {
    let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let mut parts = [[none; 2]; BURST];
    // SAFETY: numbers and null pointers, for which zero is a valid value.
    let mut messages: [libc::mmsghdr; BURST] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    let entries = messages.iter_mut().zip(&mut parts).zip(headers.iter().zip(packets));
    for ((message, parts), (header, packet)) in entries {
        let frame = packet.data();
        // The kernel only reads through these.
        parts[0] = libc::iovec { iov_base: header.as_ptr().cast_mut().cast(), iov_len: vnet::LEN };
        parts[1] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
        message.msg_hdr.msg_iov = parts.as_mut_ptr();
        message.msg_hdr.msg_iovlen = 2;
        count += 1;
    }
    // SAFETY: the first `count` messages point to two parts each, these to headers and frames of
    // the lengths given; all live through the call, and the kernel writes to the messages' own
    // lengths only.
    let sent =
        unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
