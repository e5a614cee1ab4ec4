//! Damages the packets of any port: loses, doubles, corrupts some of them.
//!
//! Which ones is decided by a generator that the caller seeds, so that a run can be repeated. What
//! is lost here is lost on an imagined wire: it counts as received by nobody and, on the way out,
//! as sent. [`FaultCounts`] says what was done.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dp_core::base::Instant;
use dp_core::packet::{Burst, Packet};

use super::{
    Lost, OpenError, Port, PortError, QueueCount, Queues, RxEnd, RxQueue, Sent, TxQueue, Wake,
};

/// How many packets of a million suffer what. Each is decided by itself, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Lost.
    pub loss: u32,
    /// Followed by a copy of itself.
    pub duplicate: u32,
    /// One bit flipped, anywhere in the frame.
    pub corrupt: u32,
}

/// What was done so far; of both directions.
#[derive(Debug, Default)]
pub struct FaultCounts {
    /// Packets lost.
    pub lost: AtomicU64,
    /// Packets doubled.
    pub duplicated: AtomicU64,
    /// Packets corrupted.
    pub corrupted: AtomicU64,
}

/// A port whose packets suffer.
pub struct Fault {
    inner: Box<dyn Port>,
    rx: Faults,
    tx: Faults,
    seed: u64,
    counts: Arc<FaultCounts>,
}

impl Fault {
    /// Damages what comes in by `rx` and what goes out by `tx`. Queues have generators of their
    /// own, all derived from `seed`.
    #[must_use]
    pub fn new(inner: Box<dyn Port>, rx: Faults, tx: Faults, seed: u64) -> Self {
        Self { inner, rx, tx, seed, counts: Arc::default() }
    }

    /// What is done, to be read at any time.
    #[must_use]
    pub fn counts(&self) -> Arc<FaultCounts> {
        Arc::clone(&self.counts)
    }

    fn dice(&self, faults: Faults, stream: u64) -> Dice {
        let mut state = self.seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        // The first number decides where the stream begins.
        state = splitmix(&mut state);
        Dice { faults, state, counts: Arc::clone(&self.counts) }
    }
}

/// Decides packet by packet.
struct Dice {
    faults: Faults,
    state: u64,
    counts: Arc<FaultCounts>,
}

/// The generator `splitmix64`.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    fn happens(&mut self, per_million: u32) -> bool {
        per_million != 0 && splitmix(&mut self.state) % 1_000_000 < u64::from(per_million)
    }

    /// Lets a packet suffer; what is left of it goes to `pass`.
    fn suffer(&mut self, mut packet: Packet, mut pass: impl FnMut(Packet)) {
        if self.happens(self.faults.loss) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let copy = if self.happens(self.faults.duplicate) { packet.copy() } else { None };
        if self.happens(self.faults.corrupt) && !packet.is_empty() {
            let bit = splitmix(&mut self.state) % (packet.len() as u64 * 8);
            let byte = usize::try_from(bit / 8).unwrap_or(0);
            if let Some(byte) = packet.data_mut().get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
            self.counts.corrupted.fetch_add(1, Ordering::Relaxed);
        }
        pass(packet);
        if let Some(copy) = copy {
            self.counts.duplicated.fetch_add(1, Ordering::Relaxed);
            pass(copy);
        }
    }
}

impl Port for Fault {
    super::left_to_the_inner_port!();

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        let Queues { rx, tx } = self.inner.queues(want)?;
        let mut streams = 1..;
        let mut stream = || streams.next().unwrap_or(0);
        let rx = rx.into_iter().map(|inner| {
            let dice = self.dice(self.rx, stream());
            let (scratch, ready) = (Burst::default(), VecDeque::new());
            Box::new(FaultRx { inner, dice, scratch, ready }) as Box<dyn RxQueue>
        });
        let rx = rx.collect();
        let tx = tx.into_iter().map(|inner| {
            let dice = self.dice(self.tx, stream());
            Box::new(FaultTx { inner, dice, scratch: Burst::default() }) as Box<dyn TxQueue>
        });
        Ok(Queues { rx, tx: tx.collect() })
    }
}

struct FaultRx {
    inner: Box<dyn RxQueue>,
    dice: Dice,
    scratch: Burst,
    /// Packets that have suffered and wait for room: at most two bursts.
    ready: VecDeque<Packet>,
}

impl RxQueue for FaultRx {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        let mut lost = Lost::NONE;
        if self.ready.is_empty() {
            lost = self.inner.receive(&mut self.scratch, now)?;
            for packet in self.scratch.drain() {
                self.dice.suffer(packet, |packet| self.ready.push_back(packet));
            }
        }
        while !burst.is_full() {
            let Some(packet) = self.ready.pop_front() else { break };
            // There is room: the loop's condition.
            drop(burst.push(packet));
        }
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        if self.ready.is_empty() { self.inner.wake() } else { Wake::POLL }
    }
}

struct FaultTx {
    inner: Box<dyn TxQueue>,
    dice: Dice,
    scratch: Burst,
}

impl TxQueue for FaultTx {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        let mut sent = Sent::default();
        for packet in batch.drain() {
            let (len, mut left) = (packet.len(), false);
            let Self { inner, dice, scratch } = self;
            dice.suffer(packet, |packet| {
                left = true;
                if let Err(packet) = scratch.push(packet) {
                    sent.add(inner.transmit(scratch, now));
                    // There is room now.
                    drop(scratch.push(packet));
                }
            });
            if !left {
                sent.sent(len);
            }
        }
        if !self.scratch.is_empty() {
            sent.add(self.inner.transmit(&mut self.scratch, now));
        }
        sent
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.inner.flush()
    }
}
