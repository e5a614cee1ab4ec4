//! A routing socket that hears events.

#![expect(unsafe_code, reason = "netlink sockets are made and bound by the system's own calls")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A routing socket.
#[derive(Debug)]
pub(super) struct Socket(File);

/// Bytes of messages that are read at once: the kernel sends no more.
const BUFFER: usize = 64 * 1024;

/// The group of changes of IPv6's policy rules (`RTNLGRP_IPV6_RULE`, the nineteenth).
const IPV6_RULE: libc::c_int = 1 << 18;

impl Socket {
    /// A socket that hears of changes of links, addresses, routes and rules, and does not wait.
    pub(super) fn open() -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE
            | libc::RTMGRP_IPV4_RULE
            | IPV6_RULE;
        Self::hearing(groups)
    }

    /// A socket that hears answers alone. The kernel answers before it lets `send` return, so that
    /// nobody has to wait.
    pub(super) fn asking() -> io::Result<Self> {
        Self::hearing(0)
    }

    fn hearing(groups: libc::c_int) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just returned this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all zeros is a valid address of this family.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups as u32;
        let len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is a whole `sockaddr_nl` of the length given.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        // Room for a burst of events; that events were lost is noticed in any case.
        let room: libc::c_int = 4 << 20;
        // SAFETY: the option's value is a whole integer of the length given.
        let _ = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                (&raw const room).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        Ok(Self(File::from(fd)))
    }

    /// Sends a message to the kernel.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_all(message)
    }

    /// The messages that have come; `None` if there are none now.
    pub(super) fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; BUFFER];
        match self.0.read(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                Ok(Some(buffer))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What becomes readable when messages come.
    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
