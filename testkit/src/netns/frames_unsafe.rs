//! Raw frames in and out of an interface, by an AF_PACKET socket (packet(7)).
//!
//! The kernel takes the outer VLAN tag out of a received frame and tells it beside the data
//! (`PACKET_AUXDATA`); it is put back here, so that a frame is read as it was sent. Frames that the
//! interface itself sends are not seen.
#![expect(unsafe_code, reason = "socket options, addresses and control messages of AF_PACKET")]

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    time::{Duration, Instant},
};

/// A sender and receiver of raw frames.
#[derive(Debug)]
pub struct FrameSocket {
    socket: OwnedFd,
}

impl FrameSocket {
    /// Opens it on an interface of the current thread's namespace, promiscuous.
    ///
    /// # Errors
    ///
    /// What the system says: no such interface, or no permission.
    pub fn open(interface: &str) -> io::Result<Self> {
        let name = CString::new(interface).map_err(io::Error::other)?;
        // SAFETY: `name` is a string that ends in zero and lives through the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        // Protocol 0 receives nothing until the socket is bound, so that no frame of another
        // interface slips in.
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes three integers and touches no memory of ours.
        let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened and has no other owner.
        let socket = Self { socket: unsafe { OwnedFd::from_raw_fd(descriptor) } };
        socket.option(libc::SOL_PACKET, libc::PACKET_AUXDATA, &1i32)?;
        socket.option(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        socket.option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)?;
        let membership = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        socket.option(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        socket.bind(index)?;
        Ok(socket)
    }

    /// Sends one frame.
    ///
    /// # Errors
    ///
    /// What the system says: the interface is down, or the frame longer than its MTU allows.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and length are those of `frame`, which lives through the call.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        match usize::try_from(sent) {
            Ok(sent) if sent == frame.len() => Ok(()),
            Ok(sent) => Err(io::Error::other(format!("{sent} of {} octets sent", frame.len()))),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// The next frame, or nothing if none comes within the limit.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn receive(&self, limit: Duration) -> io::Result<Option<Vec<u8>>> {
        self.receive_matching(limit, |_| true)
    }

    /// The next frame that is `wanted`; others are passed over.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn receive_matching(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Option<Vec<u8>>> {
        let end = Instant::now() + limit;
        loop {
            match self.take() {
                Ok(frame) if wanted(&frame) => return Ok(Some(frame)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() || !self.wait(left)? {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next `count` frames, or as many as come within the limit.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn receive_up_to(&self, count: usize, limit: Duration) -> io::Result<Vec<Vec<u8>>> {
        let end = Instant::now() + limit;
        let mut frames = Vec::new();
        while frames.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            match self.receive(left)? {
                Some(frame) => frames.push(frame),
                None => break,
            }
        }
        Ok(frames)
    }

    /// Waits until there is something to read; false at the limit.
    fn wait(&self, limit: Duration) -> io::Result<bool> {
        let mut poll =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // Rounded up, so that a short rest is waited for and not spun through.
        let millis = limit.as_millis().saturating_add(1).min(60_000) as libc::c_int;
        // SAFETY: the pointer is to one pollfd, as the count says, and lives through the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
        match ready {
            ..0 => {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted { Ok(true) } else { Err(error) }
            }
            ready => Ok(ready > 0),
        }
    }

    /// One frame that is there already, its VLAN tag put back.
    fn take(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0u8; MAX_FRAME];
        let mut control = Control { octets: [0; CONTROL] };
        let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        // SAFETY: msghdr is plain data of integers and pointers, for which all zero is a value.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = CONTROL;
        // SAFETY: `message` points to one iovec over `frame` and to `control`, with their lengths;
        // all of them live through the call and are not looked at meanwhile.
        let len = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let Ok(len) = usize::try_from(len) else { return Err(io::Error::last_os_error()) };
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(io::Error::other(format!("a frame of more than {MAX_FRAME} octets")));
        }
        frame.truncate(len);
        if let Some(tag) = tag(&message)
            && frame.len() >= 12
        {
            frame.splice(12..12, tag);
        }
        Ok(frame)
    }

    fn bind(&self, index: libc::c_int) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain data of integers, for which all zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer is to a whole sockaddr_ll of that length, which lives through the call.
        let result =
            unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), len) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn option<T>(&self, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        // SAFETY: the pointer is to a whole `T` of that length, which lives through the call; the
        // callers pass the type that the option demands, and the kernel checks the length.
        let result = unsafe {
            libc::setsockopt(self.socket.as_raw_fd(), level, name, ptr::from_ref(value).cast(), len)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// The VLAN tag told beside a received frame, as the four octets of the frame it was.
fn tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: recvmsg has filled `message`; its control buffer is alive, being borrowed with it by
    // the only caller.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or an aligned header within the buffer.
        let told = unsafe { header.read() };
        // SAFETY: CMSG_LEN only computes.
        let wanted = unsafe { libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32) };
        if told.cmsg_level == libc::SOL_PACKET
            && told.cmsg_type == libc::PACKET_AUXDATA
            && told.cmsg_len >= wanted as usize
        {
            // SAFETY: the data of a header within the buffer starts right behind it.
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: the length checked says that a whole tpacket_auxdata is there, written by the
            // kernel; it is read without need of alignment and is plain data of integers.
            let auxiliary = unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
            return tag_of(&auxiliary);
        }
        // SAFETY: as for CMSG_FIRSTHDR; `header` came from the same message.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

fn tag_of(auxiliary: &libc::tpacket_auxdata) -> Option<[u8; 4]> {
    if auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let tpid = if auxiliary.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
        auxiliary.tp_vlan_tpid
    } else {
        0x8100
    };
    let ([a, b], [c, d]) = (tpid.to_be_bytes(), auxiliary.tp_vlan_tci.to_be_bytes());
    Some([a, b, c, d])
}

/// Room for control messages, aligned as their headers demand.
#[repr(C, align(8))]
struct Control {
    octets: [u8; CONTROL],
}

/// More than the one message of 36 octets that is asked for.
const CONTROL: usize = 128;

/// The longest frame: what segmentation offload makes, and more.
const MAX_FRAME: usize = 256 * 1024;

/// Octets the kernel may hold for us, some thousands of small frames.
const RECEIVE_BUFFER: libc::c_int = 8 * 1024 * 1024;
