//! Sending: batches out of the interface.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::packet::{BURST, Burst, Packet};

use super::send_unsafe::send;
use super::socket_unsafe::{self, bind};
use crate::offload::vnet;
use crate::port::{Sent, TxQueue};
use crate::system::set_option;

/// Bytes that may wait in the socket: as much as a ring of buffers.
const SOCKET_BYTES: i32 = 4 << 20;

/// Opens a socket that sends out of an interface and receives nothing.
pub(super) fn open(ifindex: u32) -> io::Result<OwnedFd> {
    let fd = socket_unsafe::open()?;
    // Privileged processes may exceed the system's limit; others get what it allows.
    if set_option(&fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SOCKET_BYTES).is_err() {
        set_option(&fd, libc::SOL_SOCKET, libc::SO_SNDBUF, SOCKET_BYTES)?;
    }
    bind(&fd, ifindex, 0)?;
    Ok(fd)
}

/// A transmit queue. Those of several threads share a socket: the kernel takes no lock of it to
/// send.
pub(super) struct Tx {
    fd: Arc<OwnedFd>,
    packets: Vec<Packet>,
    headers: [[u8; vnet::LEN]; BURST],
}

impl Tx {
    pub(super) fn new(fd: Arc<OwnedFd>) -> Self {
        Self { fd, packets: Vec::with_capacity(BURST), headers: [[0; vnet::LEN]; BURST] }
    }
}

impl TxQueue for Tx {
    fn transmit(&mut self, batch: &mut Burst, _now: Instant) -> Sent {
        self.packets.clear();
        self.packets.extend(batch.drain());
        for (header, packet) in self.headers.iter_mut().zip(&mut self.packets) {
            *header = vnet::transmit(packet);
        }
        let mut sent = Sent::default();
        let mut rest = &self.packets[..];
        let mut headers = &self.headers[..];
        while !rest.is_empty() {
            let done = match send(&self.fd, headers, rest) {
                Ok(done) => {
                    rest.iter().take(done).for_each(|packet| sent.sent(packet.len()));
                    // The kernel never answers zero to a batch that is none; should it, move on.
                    done.max(1)
                }
                Err(error) => refused(&error, rest.len(), &mut sent),
            };
            rest = rest.get(done..).unwrap_or(&[]);
            headers = headers.get(done..).unwrap_or(&[]);
        }
        self.packets.clear();
        sent
    }
}

/// Counts what an error costs: the packet at the front, or all `left`; returns how many.
fn refused(error: &io::Error, left: usize, sent: &mut Sent) -> usize {
    let all = u32::try_from(left).unwrap_or(u32::MAX);
    match error.raw_os_error() {
        Some(libc::EINTR) => 0,
        Some(libc::EMSGSIZE) => {
            sent.oversize += 1;
            1
        }
        // The queue of the interface took the packets before; it may take the next.
        Some(libc::ENOBUFS) => {
            sent.queue_full += 1;
            1
        }
        // The socket is full, and stays so for a while.
        Some(libc::EAGAIN | libc::ENOMEM) => {
            sent.queue_full += all;
            left
        }
        Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => {
            sent.failed += all;
            left
        }
        _ => {
            sent.failed += 1;
            1
        }
    }
}
