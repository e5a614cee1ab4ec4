//! Receiving: from the ring into buffers.

use std::io;
use std::sync::Arc;

use dp_core::base::{Duration, Instant};
use dp_core::packet::{Burst, Packet, Pool};

use super::ring_unsafe::{Frame, Ring};
use crate::offload::vnet;
use crate::port::{Lost, PortError, RxEnd, RxQueue, Wake};
use crate::system::Netif;

/// How often a queue that brings nothing is asked whether something is wrong with it.
const CHECK: Duration = Duration::from_millis(10);

/// The receive queue.
pub(super) struct Rx {
    name: String,
    netif: Arc<Netif>,
    ring: Ring,
    next_check: Instant,
    /// Whether the interface went down and has brought nothing since. The kernel tells that once:
    /// it says no more when an interface that is down, as each is before it goes, goes.
    down: bool,
}

impl Rx {
    pub(super) fn new(name: &str, netif: Arc<Netif>, ring: Ring) -> Self {
        Self { name: name.to_owned(), netif, ring, next_check: Instant::default(), down: false }
    }

    /// Asks the kernel for drops, and whether the interface is still there.
    fn check(&mut self, now: Instant, lost: &mut Lost) -> Result<(), RxEnd> {
        if now < self.next_check {
            return Ok(());
        }
        self.next_check = now.after(CHECK);
        lost.missed = lost.missed.saturating_add(self.ring.take_drops());
        match self.ring.take_error() {
            None => {}
            Some(error) if is_down(&error) => self.down = true,
            Some(source) => {
                let name = self.name.clone();
                return Err(RxEnd::Failed(PortError::System { name, step: "receive", source }));
            }
        }
        if self.down && !self.netif.exists() {
            return Err(RxEnd::Failed(PortError::Removed { name: self.name.clone() }));
        }
        // The kernel goes on by itself when the interface is up again.
        Ok(())
    }
}

fn is_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO))
}

impl RxQueue for Rx {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        let mut lost = Lost::NONE;
        let before = burst.len();
        while !burst.is_full() {
            let Some(frame) = self.ring.next() else { break };
            if frame.facts.outgoing {
                continue;
            }
            match packet(&frame) {
                // There is room: the loop's condition.
                Ok(packet) => drop(burst.push(packet)),
                Err(why) => lost.add(why),
            }
        }
        if burst.len() == before && lost == Lost::NONE {
            self.check(now, &mut lost)?;
        } else if now.since(self.next_check) > CHECK {
            self.down = false;
            // Under load there is no idle call to ask in.
            lost.missed = lost.missed.saturating_add(self.ring.take_drops());
            self.next_check = now;
        }
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        Wake::readable(self.ring.fd())
    }
}

/// Copies a frame into a buffer, its tag back in place.
fn packet(frame: &Frame<'_>) -> Result<Packet, Lost> {
    let Frame { bytes, facts } = *frame;
    let oversize = Lost { oversize: 1, ..Lost::NONE };
    if bytes.len() < facts.len {
        return Err(oversize);
    }
    let shift = if facts.tag.is_some() { 4 } else { 0 };
    let pool = Pool::for_len(facts.len + shift).ok_or(oversize)?;
    let no_buffer = Lost { no_buffer: 1, ..Lost::NONE };
    let mut packet = pool.alloc().ok_or(no_buffer)?;
    let room = packet.append(bytes.len() + shift).ok_or(no_buffer)?;
    match (facts.tag, bytes.split_at_checked(12)) {
        (Some((tpid, tci)), Some((addresses, rest))) => {
            let ([a, b], [c, d]) = (tpid.to_be_bytes(), tci.to_be_bytes());
            for (to, from) in room.iter_mut().zip(addresses.iter().chain(&[a, b, c, d])) {
                *to = *from;
            }
            if let Some(behind) = room.get_mut(16..) {
                behind.copy_from_slice(rest);
            }
        }
        _ => room.copy_from_slice(bytes),
    }
    if vnet::receive(&facts.vnet, shift, &mut packet) { Ok(packet) } else { Err(oversize) }
}
