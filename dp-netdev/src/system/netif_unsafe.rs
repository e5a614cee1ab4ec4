//! A network interface, asked and changed through a socket of its network namespace.
//!
//! The interface is held by its number, which survives renaming; the socket stays in the namespace
//! in which it was opened, wherever the thread goes.
#![expect(unsafe_code, reason = "interface ioctls and their unions")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use dp_core::base::MacAddr;

use super::options_unsafe::socket;

/// ARP hardware types that carry Ethernet frames: Ethernet, loopback.
const ETHERNET: [u16; 2] = [libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK];

/// A network interface.
#[derive(Debug)]
pub struct Netif {
    socket: OwnedFd,
    index: i32,
}

/// What an interface is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetifState {
    /// Whether it is switched on.
    pub admin_up: bool,
    /// Whether it has a carrier.
    pub running: bool,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its MTU.
    pub mtu: u32,
    /// The kernel's `ARPHRD_*` number: what kind of frames it carries.
    pub arp_type: u16,
}

impl NetifState {
    /// Whether it carries Ethernet frames.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        ETHERNET.contains(&self.arp_type)
    }
}

impl Netif {
    /// The interface of this name in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none, or the name is no possible name.
    pub fn open(name: &str) -> io::Result<Self> {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        let mut request = request(name)?;
        call(&socket, libc::SIOCGIFINDEX, &mut request)?;
        // SAFETY: the call has filled in the index; any bits are a number.
        let index = unsafe { request.ifr_ifru.ifru_ifindex };
        Ok(Self { socket, index })
    }

    /// The kernel's number of the interface.
    #[must_use]
    pub fn index(&self) -> u32 {
        u32::try_from(self.index).unwrap_or(0)
    }

    /// Whether the interface is still there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.named().is_ok()
    }

    /// What it is like now.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has been removed.
    pub fn state(&self) -> io::Result<NetifState> {
        let mut request = self.named()?;
        call(&self.socket, libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the call has filled in the flags; any bits are a number.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        call(&self.socket, libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: the call has filled in the MTU; any bits are a number.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        call(&self.socket, libc::SIOCGIFHWADDR, &mut request)?;
        // SAFETY: the call has filled in the address; any bits are bytes.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        let [a, b, c, d, e, f, ..] = address.sa_data.map(|byte| byte.to_ne_bytes()[0]);
        Ok(NetifState {
            admin_up: flags & libc::IFF_UP != 0,
            running: flags & libc::IFF_RUNNING != 0,
            mac: MacAddr::new(a, b, c, d, e, f),
            mtu: u32::try_from(mtu).unwrap_or(0),
            arp_type: address.sa_family,
        })
    }

    /// Switches the interface on or off.
    ///
    /// # Errors
    ///
    /// `EPERM` without CAP_NET_ADMIN, `ENODEV` if it has been removed.
    pub fn set_up(&self, up: bool) -> io::Result<()> {
        let mut request = self.named()?;
        call(&self.socket, libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the call has filled in the flags; any bits are a number.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        let bit = i16::try_from(libc::IFF_UP).unwrap_or(1);
        request.ifr_ifru.ifru_flags = if up { flags | bit } else { flags & !bit };
        call(&self.socket, libc::SIOCSIFFLAGS, &mut request)
    }

    /// Sets the MTU.
    ///
    /// # Errors
    ///
    /// As [`Self::set_up`]; `EINVAL` if the interface cannot have it.
    pub fn set_mtu(&self, mtu: u32) -> io::Result<()> {
        let mut request = self.named()?;
        let refused = |_| io::Error::from_raw_os_error(libc::EINVAL);
        request.ifr_ifru.ifru_mtu = i32::try_from(mtu).map_err(refused)?;
        call(&self.socket, libc::SIOCSIFMTU, &mut request)
    }

    /// Sets the Ethernet address.
    ///
    /// # Errors
    ///
    /// As [`Self::set_up`]; `EADDRNOTAVAIL` if it is no address of a station.
    pub fn set_mac(&self, mac: MacAddr) -> io::Result<()> {
        let mut request = self.named()?;
        let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, from) in address.sa_data.iter_mut().zip(mac.as_bytes()) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        request.ifr_ifru.ifru_hwaddr = address;
        call(&self.socket, libc::SIOCSIFHWADDR, &mut request)
    }

    /// A socket of the interface's namespace.
    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// A request with the name that the interface has now.
    pub(super) fn named(&self) -> io::Result<libc::ifreq> {
        let mut request = request("")?;
        request.ifr_ifru.ifru_ifindex = self.index;
        call(&self.socket, libc::SIOCGIFNAME, &mut request)?;
        Ok(request)
    }
}

/// A request about the interface of this name.
pub(super) fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: a name of bytes and a union of numbers, bytes and null pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // A name that does not fit, or would end early, names nothing.
    if name.len() >= request.ifr_name.len() || name.as_bytes().contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok(request)
}

fn call(socket: &OwnedFd, what: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: all calls of this file take an `ifreq`, which they read and write within its bounds;
    // none of those used reads a pointer out of it.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut *request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
