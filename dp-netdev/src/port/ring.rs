//! Ring ports: two ends joined in memory, one bounded ring each way and queue.
//!
//! Packets change hands as 8-byte handles; nothing is copied, and offload state goes along: a
//! checksum left to be completed stays so. A ring has one producer and one consumer, so a batch
//! costs two atomic loads and one store, whatever its size.
//!
//! Either end can be added to a switch, or kept by a program (a bench, a test, an application that
//! links the switch) and used through its queues. When one end is dropped the other finishes: it
//! delivers what is still in the ring, then [`RxEnd::Finished`]; what it sends is refused.

#[cfg(test)]
mod tests;

use dp_core::base::Instant;
use dp_core::packet::{Burst, Packet};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Lost, OpenError, Port, QueueCount, Queues, RxEnd, RxQueue, Sent, TxQueue};

/// Packets that a ring holds, unless told otherwise.
pub const DEPTH: usize = 2048;

/// One end of a pair of ring ports.
#[derive(Debug)]
pub struct Ring {
    name: String,
    ends: Option<(Vec<Receiver>, Vec<Sender>)>,
}

impl Ring {
    /// Two joined ports with one queue each way, of [`DEPTH`] packets.
    #[must_use]
    pub fn pair(left: &str, right: &str) -> (Self, Self) {
        Self::pair_with(left, right, 1, DEPTH)
    }

    /// Two joined ports with `queues` queues each way (at least one), each of `depth` packets (at
    /// least one).
    #[must_use]
    pub fn pair_with(left: &str, right: &str, queues: usize, depth: usize) -> (Self, Self) {
        let rings = || (0..queues.max(1)).map(|_| channel(depth)).unzip();
        let (to_right, from_left) = rings();
        let (to_left, from_right) = rings();
        (
            Self { name: left.to_owned(), ends: Some((from_right, to_right)) },
            Self { name: right.to_owned(), ends: Some((from_left, to_left)) },
        )
    }

    /// The queues themselves, for a program that stands at this end. `None` if they were handed out.
    #[must_use]
    pub fn into_ends(self) -> Option<(Vec<Receiver>, Vec<Sender>)> {
        self.ends
    }
}

/// One ring: what the sender sends, the receiver receives.
#[must_use]
pub fn channel(depth: usize) -> (Sender, Receiver) {
    let (producer, consumer) = RingBuffer::new(depth.max(1));
    (Sender(producer), Receiver(consumer))
}

impl Port for Ring {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "ring"
    }

    /// All queues are handed out, whatever `want` says: one that nobody serves would swallow what
    /// the other end sends.
    fn queues(&mut self, _want: QueueCount) -> Result<Queues, OpenError> {
        let taken = || OpenError::QueuesTaken { port: self.name.clone() };
        let (rx, tx) = self.ends.take().ok_or_else(taken)?;
        Ok(Queues {
            rx: rx.into_iter().map(|queue| Box::new(queue) as Box<dyn RxQueue>).collect(),
            tx: tx.into_iter().map(|queue| Box::new(queue) as Box<dyn TxQueue>).collect(),
        })
    }
}

/// The receiving end of a ring.
#[derive(Debug)]
pub struct Receiver(Consumer<Packet>);

impl RxQueue for Receiver {
    #[inline]
    fn receive(&mut self, burst: &mut Burst, _now: Instant) -> Result<Lost, RxEnd> {
        // Asked before the look at the ring: nothing is sent after the sender is gone.
        let abandoned = self.0.is_abandoned();
        let ready = self.0.slots();
        if ready == 0 {
            return if abandoned { Err(RxEnd::Finished) } else { Ok(Lost::NONE) };
        }
        let room = dp_core::packet::BURST - burst.len();
        if let Ok(chunk) = self.0.read_chunk(ready.min(room)) {
            for packet in chunk {
                // There is room: the chunk is no larger.
                drop(burst.push(packet));
            }
        }
        Ok(Lost::NONE)
    }
}

/// The sending end of a ring.
#[derive(Debug)]
pub struct Sender(Producer<Packet>);

impl TxQueue for Sender {
    #[inline]
    fn transmit(&mut self, batch: &mut Burst, _now: Instant) -> Sent {
        let mut sent = Sent::default();
        if self.0.is_abandoned() {
            sent.failed = drop_all(batch);
            return sent;
        }
        let free = self.0.slots().min(batch.len());
        if let Ok(chunk) = self.0.write_chunk_uninit(free) {
            let mut packets = batch.drain();
            let taken =
                packets.by_ref().take(free).inspect(|packet| sent.bytes += packet.len() as u64);
            sent.packets = u32::try_from(chunk.fill_from_iter(taken)).unwrap_or(u32::MAX);
            sent.queue_full = u32::try_from(packets.count()).unwrap_or(u32::MAX);
        }
        sent
    }
}

/// Drops a whole batch; returns how many packets that were.
fn drop_all(batch: &mut Burst) -> u32 {
    u32::try_from(batch.drain().count()).unwrap_or(u32::MAX)
}
