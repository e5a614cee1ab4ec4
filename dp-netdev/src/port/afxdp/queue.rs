//! Queues: between frames of a socket's memory and packets.

use std::sync::Arc;

use dp_core::base::{Duration, Instant};
use dp_core::packet::{BURST, Burst, Packet, Pool};

use super::memory_unsafe::{Receiving, Sending};
use super::program_unsafe::Program;
use crate::offload::{self, Unfinished};
use crate::port::{Lost, PortError, RxEnd, RxQueue, Sent, TxQueue, Wake, fits};
use crate::system::Netif;

/// How often the interface is asked whether it is still there, and how large it may send.
const CHECK: Duration = Duration::from_millis(10);

/// A receive queue.
pub(super) struct Rx {
    name: String,
    netif: Arc<Netif>,
    /// Frames come as long as it is attached.
    _program: Arc<Program>,
    socket: Receiving,
    next_check: Instant,
    drops: u64,
}

impl Rx {
    pub(super) fn new(
        name: &str,
        netif: Arc<Netif>,
        program: Arc<Program>,
        socket: Receiving,
    ) -> Self {
        let name = name.to_owned();
        Self { name, netif, _program: program, socket, next_check: Instant::default(), drops: 0 }
    }
}

impl RxQueue for Rx {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        let mut lost = Lost::NONE;
        let room = BURST - burst.len();
        let count = self.socket.receive(room, |bytes| match packet(bytes) {
            // There is room: no more were asked for.
            Some(packet) => drop(burst.push(packet)),
            None => lost.no_buffer += 1,
        });
        if now >= self.next_check {
            self.next_check = now.after(CHECK);
            let drops = self.socket.drops();
            let more = drops.saturating_sub(self.drops);
            self.drops = drops;
            lost.missed = u32::try_from(more).unwrap_or(u32::MAX);
            if count == 0 && !self.netif.exists() {
                return Err(RxEnd::Failed(PortError::Removed { name: self.name.clone() }));
            }
        }
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        Wake::readable(self.socket.fd())
    }
}

fn packet(bytes: &[u8]) -> Option<Packet> {
    let mut packet = Pool::for_len(bytes.len())?.alloc()?;
    packet.append(bytes.len())?.copy_from_slice(bytes);
    Some(packet)
}

/// A transmit queue.
pub(super) struct Tx {
    netif: Arc<Netif>,
    socket: Sending,
    mtu: u32,
    next_check: Instant,
}

impl Tx {
    pub(super) fn new(netif: Arc<Netif>, socket: Sending) -> Self {
        Self { netif, socket, mtu: 0, next_check: Instant::default() }
    }
}

impl TxQueue for Tx {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        if now >= self.next_check {
            self.next_check = now.after(CHECK);
            self.mtu =
                self.netif.state().map_or(0, |state| if state.admin_up { state.mtu } else { 0 });
        }
        let mut sent = Sent::default();
        for packet in batch.drain() {
            let done = offload::finish(packet, &mut |packet| {
                if self.mtu == 0 {
                    sent.failed += 1;
                } else if !fits(packet.data(), self.mtu) {
                    sent.oversize += 1;
                } else if self.socket.queue(packet.data()) {
                    sent.sent(packet.len());
                } else {
                    sent.queue_full += 1;
                }
            });
            match done {
                Ok(()) => {}
                Err(Unfinished::NoBuffer) => sent.no_buffer += 1,
                Err(Unfinished::NotSegmentable) => sent.failed += 1,
            }
        }
        if self.socket.send().is_err() {
            // What was handed over is lost with the interface.
            sent.failed += std::mem::take(&mut sent.packets);
            sent.bytes = 0;
        }
        sent
    }
}
