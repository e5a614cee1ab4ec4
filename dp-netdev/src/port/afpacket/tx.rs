//! Sending: batches out of the interface.

use std::collections::BTreeMap;
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
    ifindex: u32,
    /// Sockets whose packets the kernel puts into other queues than the default one.
    by_queue: BTreeMap<u32, OwnedFd>,
    packets: Vec<Packet>,
    headers: [[u8; vnet::LEN]; BURST],
}

impl Tx {
    pub(super) fn new(fd: Arc<OwnedFd>, ifindex: u32) -> Self {
        Self {
            fd,
            ifindex,
            by_queue: BTreeMap::new(),
            packets: Vec::with_capacity(BURST),
            headers: [[0; vnet::LEN]; BURST],
        }
    }

    /// Sends the packets from `start` to `end`, which are all for one queue.
    fn send_run(&mut self, start: usize, end: usize, queue: u32, sent: &mut Sent) {
        if queue != 0 && !self.by_queue.contains_key(&queue) && self.by_queue.len() < QUEUES {
            // Without a socket of its own the queue is the default one.
            if let Ok(fd) = open(self.ifindex)
                && set_option(&fd, libc::SOL_SOCKET, libc::SO_PRIORITY, class_of(queue)).is_ok()
            {
                self.by_queue.insert(queue, fd);
            }
        }
        let fd = self.by_queue.get(&queue).unwrap_or(&self.fd);
        let mut rest = self.packets.get(start..end).unwrap_or(&[]);
        let mut headers = self.headers.get(start..end).unwrap_or(&[]);
        while !rest.is_empty() {
            let done = match send(fd, headers, rest) {
                Ok(done) => {
                    rest.iter().take(done).for_each(|packet| sent.sent(packet.len()));
                    // The kernel never answers zero to a batch that is none; should it, move on.
                    done.max(1)
                }
                Err(error) => refused(&error, rest.len(), sent),
            };
            rest = rest.get(done..).unwrap_or(&[]);
            headers = headers.get(done..).unwrap_or(&[]);
        }
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
        let mut start = 0;
        while let Some(first) = self.packets.get(start) {
            let queue = queue_of(first);
            let run = self.packets.iter().skip(start).take_while(|it| queue_of(it) == queue);
            let end = start + run.count();
            self.send_run(start, end, queue, &mut sent);
            start = end;
        }
        self.packets.clear();
        sent
    }
}

/// Queues that have sockets of their own, at most.
const QUEUES: usize = 64;

fn queue_of(packet: &Packet) -> u32 {
    packet.meta().marks().1
}

/// The kernel's class of a queue: 1:(queue + 1). A priority is a signed number to the socket.
fn class_of(queue: u32) -> i32 {
    (0x1_0000 | (queue.wrapping_add(1) & 0xffff)).cast_signed()
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
