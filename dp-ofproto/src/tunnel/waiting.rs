//! Packets for tunnels that wait until the neighbour they must be sent to is known.
//!
//! ```text
//!   translation: nobody knows 192.168.7.2 ─► the datapath hands the packet over, as it goes in
//!        hold ──► ┌ br-phy, 192.168.7.2 ─ ■ ■ ■      known   ──► take_ready, translated to its end
//!                 └ br-phy, 192.168.7.9 ─ ■          silent  ──► dropped under its own reason
//! ```
//!
//! Without this the first packets of every flow towards a new node are lost: a ping, or a second of
//! a TCP connection's start. What waits is the packet as it was about to enter the tunnel, so what
//! has been done with it already (copies to other ports, connection tracking) is not done twice.
//!
//! # Bounds
//!
//! Packets for one neighbour, packets and bytes in all, and time: the question is sent again each
//! interval of retransmission, and after the third that nobody answered the packets go. Whoever
//! comes when there is no room is dropped; those who were there first stay.
//!
//! # Threads
//!
//! Packet threads put in, the main loop takes out; one lock, held for as long as a queue is touched.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dp_core::base::{DropCounters, DropReason, Instant};

use crate::learn::Neighbours;
use crate::translate::hooks::Waiting;
use crate::translate::recirc::WantedNeighbour;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingLimits {
    /// Packets for one neighbour.
    pub per_neighbour: usize,
    /// Packets in all.
    pub packets: usize,
    /// Bytes in all.
    pub bytes: usize,
}

impl Default for WaitingLimits {
    fn default() -> Self {
        Self { per_neighbour: 64, packets: 2_048, bytes: 4 << 20 }
    }
}

/// How often a neighbour is asked for on behalf of packets that wait.
const TRIES: u32 = 3;

/// What waits for one neighbour.
#[derive(Debug)]
struct Queue {
    packets: VecDeque<Waiting>,
    bytes: usize,
    /// When it was asked for last on behalf of these packets, and how often.
    asked: Instant,
    times: u32,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<(std::sync::Arc<str>, std::net::IpAddr), (WantedNeighbour, Queue)>,
    packets: usize,
    bytes: usize,
    limits: WaitingLimits,
    held: u64,
    released: u64,
}

/// The packets of a datapath that wait for neighbours.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    state: Mutex<State>,
    /// Written under the lock.
    drops: DropCounters,
}

impl WaitingRoom {
    /// A room of this size.
    #[must_use]
    pub fn new(limits: WaitingLimits) -> Self {
        let state = State { limits, ..State::default() };
        Self { state: Mutex::new(state), drops: DropCounters::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a packet in, or drops it if there is no room.
    pub(super) fn hold(&self, waiting: Waiting, now: Instant) {
        let Some(wanted) = waiting.frozen.neighbour.clone() else { return };
        let mut state = self.state();
        let len = waiting.frame.len();
        let key = (wanted.bridge.clone(), wanted.target);
        let limits = state.limits;
        let there = state.queues.get(&key).map_or(0, |(_, queue)| queue.packets.len());
        let full = there >= limits.per_neighbour
            || state.packets >= limits.packets
            || state.bytes + len > limits.bytes;
        if full {
            self.drops.add(DropReason::TunnelNeighbourQueueFull, 1);
            return;
        }
        let empty = || Queue { packets: VecDeque::new(), bytes: 0, asked: now, times: 1 };
        let (_, queue) = state.queues.entry(key).or_insert_with(|| (wanted, empty()));
        queue.packets.push_back(waiting);
        queue.bytes += len;
        state.packets += 1;
        state.bytes += len;
        state.held += 1;
    }

    /// See [`super::Tunnels::take_ready`].
    pub(super) fn take_ready(&self, neighbours: &Neighbours, now: Instant) -> Vec<Waiting> {
        let mut state = self.state();
        if state.queues.is_empty() {
            return Vec::new();
        }
        let interval = neighbours.retransmit();
        let mut ready = Vec::new();
        let (mut gone, mut bytes) = (0, 0);
        let mut silent = 0;
        state.queues.retain(|(bridge, target), (wanted, queue)| {
            if neighbours.get(bridge, *target, now).is_some() {
                gone += queue.packets.len();
                bytes += queue.bytes;
                ready.extend(queue.packets.drain(..));
                return false;
            }
            if now.since(queue.asked) < interval {
                return true;
            }
            if queue.times >= TRIES {
                gone += queue.packets.len();
                bytes += queue.bytes;
                silent += queue.packets.len();
                return false;
            }
            neighbours.ask(bridge, *target, wanted.source, now);
            (queue.asked, queue.times) = (now, queue.times + 1);
            true
        });
        state.packets -= gone;
        state.bytes -= bytes;
        state.released += ready.len() as u64;
        self.drops.add(DropReason::TunnelNeighbourSilent, silent as u64);
        ready
    }

    /// How many packets wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().packets
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many packets have waited, and how many of them have gone on.
    #[must_use]
    pub fn passed(&self) -> (u64, u64) {
        let state = self.state();
        (state.held, state.released)
    }

    /// Packets that waited in vain, or found no room.
    #[must_use]
    pub const fn drops(&self) -> &DropCounters {
        &self.drops
    }
}

#[cfg(test)]
mod tests;
