//! What is to be sent, by port: collected during a turn, flushed at its end.
//!
//! A port's batch is a chain of bursts, so that whole bursts go to the port's queue. Bursts are
//! kept for the next turn: in steady state nothing is allocated. A chain is bounded; beyond it
//! packets are dropped as [`TxQueueFull`](crate::base::DropReason::TxQueueFull).

use crate::base::PortNo;
use crate::packet::{BURST, Burst, Packet, Slots};

/// Port numbers that can be sent to lie below this.
const MAX_PORTS: usize = 1 << 16;
/// Bursts that wait for one port at most, unless said otherwise.
const DEFAULT_LIMIT: usize = 64;

/// Packets that wait to be sent, by port.
#[derive(Debug)]
pub struct TxBatches {
    ports: Vec<Option<TxBatch>>,
    /// Ports for which something waits, by first use.
    pending: Vec<PortNo>,
    limit: usize,
}

/// Packets that wait to be sent by one port.
#[derive(Debug)]
pub struct TxBatch {
    bursts: Vec<Burst>,
    /// Bursts in use; the last of them may have room.
    used: usize,
    /// Whether the port is in the list of pending ones.
    pending: bool,
    limit: usize,
}

impl Default for TxBatches {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl TxBatches {
    /// No ports. For each, up to `limit` bursts can wait.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { ports: Vec::new(), pending: Vec::new(), limit }
    }

    /// Lets packets be sent to a port. `false` if its number is too large; no change if it is
    /// there.
    #[must_use]
    pub fn add_port(&mut self, port: PortNo) -> bool {
        let index = port.0 as usize;
        if index >= MAX_PORTS {
            return false;
        }
        if index >= self.ports.len() {
            self.ports.resize_with(index + 1, || None);
        }
        if let Some(place) = self.ports.get_mut(index) {
            place.get_or_insert_with(|| TxBatch {
                bursts: vec![Burst::default()],
                used: 0,
                pending: false,
                limit: self.limit.max(1),
            });
        }
        true
    }

    /// Packets for this port are dropped from now on; those that wait are given back.
    pub fn remove_port(&mut self, port: PortNo) -> Option<TxBatch> {
        self.pending.retain(|&other| other != port);
        self.ports.get_mut(port.0 as usize)?.take()
    }

    /// The batch of a port that can be sent to.
    #[inline(always)]
    pub fn batch(&mut self, port: PortNo) -> Option<&mut TxBatch> {
        let batch = self.ports.get_mut(port.0 as usize)?.as_mut()?;
        if !batch.pending {
            batch.pending = true;
            self.pending.push(port);
        }
        Some(batch)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Calls `send` for each burst that waits, port by port, each port's in order; what it leaves
    /// in the burst is dropped, and counted in the result.
    pub fn flush(&mut self, mut send: impl FnMut(PortNo, &mut Burst)) -> u64 {
        let mut left = 0;
        for port in self.pending.drain(..) {
            let Some(Some(batch)) = self.ports.get_mut(port.0 as usize) else { continue };
            batch.pending = false;
            for burst in batch.bursts.iter_mut().take(core::mem::take(&mut batch.used)) {
                send(port, burst);
                left += burst.live().len() as u64;
                burst.clear();
            }
        }
        left
    }
}

impl TxBatch {
    /// How many packets wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bursts.iter().take(self.used).map(Burst::len).sum()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Appends a packet. `false`: full, and the packet is gone.
    #[inline]
    pub fn push(&mut self, packet: Packet) -> bool {
        self.room().is_some_and(|burst| burst.push(packet).is_ok())
    }

    /// Appends the packets in `slots`, in their order; returns how many had no room and are gone.
    #[inline(always)]
    pub fn take(&mut self, burst: &mut Burst, slots: Slots) -> u64 {
        let mut left = slots;
        while !left.is_empty() {
            let Some(room) = self.room() else { break };
            left = burst.give(left, room);
        }
        for slot in left.iter() {
            drop(burst.take(slot));
        }
        left.len() as u64
    }

    /// A burst with room for a packet.
    #[inline(always)]
    fn room(&mut self) -> Option<&mut Burst> {
        let has_room = self.used > 0
            && self.bursts.get(self.used - 1).is_some_and(|burst| burst.len() < BURST);
        if !has_room {
            if self.used >= self.limit {
                return None;
            }
            if self.used == self.bursts.len() {
                self.bursts.push(Burst::default());
            }
            self.used += 1;
        }
        self.bursts.get_mut(self.used - 1)
    }
}
