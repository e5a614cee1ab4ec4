//! A shaper: what exceeds a rate waits, in queues.
//!
//! ```text
//!   packet ─ its queue's number ─► [queue 0] min-rate, max-rate, burst, priority ─┐
//!                              └─► [queue n] …                                  ─┴─► max-rate ─► port
//! ```
//!
//! A hierarchical token bucket of two levels. A queue may send as long as its own maximum and the
//! port's allow it. Among those that may, queues below what they are guaranteed come first; then
//! the smaller priority; among equals, those that have sent least for their weight. What a queue
//! takes beyond its guarantee is not charged to the guarantee.
//!
//! Packets may take more tokens than there are and pay later, so that the rate is exact over any
//! time longer than the burst. Queues are bounded: a packet too many is dropped where it comes.
//!
//! *Threads*: all that send by the port share it behind a lock, taken once a burst.
//!
//! *Cost*: a look at each queue in which something waits, for each packet that leaves.

use std::collections::{BTreeMap, VecDeque};

use dp_core::base::Instant;
use dp_core::packet::{Burst, Packet};

use super::bucket::{Bucket, Rate};

/// Packets that a queue holds at most.
pub const QUEUE_LIMIT: usize = 1000;
/// Packets that all queues of a port hold at most.
pub const PORT_LIMIT: usize = 4000;
/// The least burst, in bytes: a large frame.
const LEAST_BURST: u64 = 1522;
/// The default burst is what comes in this part of a second: threads sleep, and are late.
const BURST_PART: u64 = 50;

/// What a queue may have; rates in bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueConfig {
    /// What it is guaranteed; 0: nothing.
    pub min_rate: u64,
    /// What it may have at most; 0: what the port has.
    pub max_rate: u64,
    /// How much it may save up, in bits; 0: a fiftieth of a second.
    pub burst: u64,
    /// The smaller, the sooner it gets what is left over.
    pub priority: u32,
}

/// What a shaper is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShaperConfig {
    /// What the port may send, in bits a second.
    pub max_rate: u64,
    /// Queues by number. There is a queue 0 in any case.
    pub queues: BTreeMap<u32, QueueConfig>,
}

/// What a queue has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// Its number.
    pub queue: u32,
    /// Packets sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets for which it had no room.
    pub dropped: u64,
    /// Packets that wait.
    pub waiting: u64,
    /// Since when it counts.
    pub since: Instant,
}

/// A queue.
#[derive(Debug)]
struct Queue {
    number: u32,
    priority: u32,
    guaranteed: Bucket,
    most: Bucket,
    /// How much it has sent, for its weight.
    served: u64,
    weight: u64,
    waiting: VecDeque<Packet>,
    report: QueueReport,
}

/// The shaper of a port.
#[derive(Debug)]
pub struct Shaper {
    port: Bucket,
    /// By number: the default queue is the first.
    queues: Vec<Queue>,
    /// Places of queues in which something waits.
    busy: Vec<usize>,
    waiting: usize,
    /// How much the queue served last has sent: where a queue begins that was empty.
    served: u64,
    closed: bool,
}

fn rate(bits: u64, burst_bits: u64) -> Rate {
    let bytes = (bits / 8).max(1);
    let default = bytes / BURST_PART;
    let burst = if burst_bits == 0 { default } else { burst_bits / 8 };
    Rate::new(bytes, burst.max(LEAST_BURST))
}

impl Queue {
    fn new(number: u32, config: &QueueConfig, port_rate: u64, now: Instant) -> Self {
        let mut queue = Self {
            number,
            priority: 0,
            guaranteed: Bucket::full(rate(1, 0), now),
            most: Bucket::full(rate(port_rate, 0), now),
            served: 0,
            weight: 1,
            waiting: VecDeque::new(),
            report: QueueReport { queue: number, since: now, ..QueueReport::default() },
        };
        queue.configure(config, port_rate, now);
        queue
    }

    fn configure(&mut self, config: &QueueConfig, port_rate: u64, now: Instant) {
        let most = if config.max_rate == 0 { port_rate } else { config.max_rate };
        self.priority = config.priority;
        self.guaranteed.configure(rate(config.min_rate, config.burst), now);
        self.most.configure(rate(most, config.burst), now);
        // What a queue gets beyond its guarantee is in proportion to the guarantee, within reason.
        self.weight = (config.min_rate / 80).clamp(1_000, 200_000);
    }
}

impl Shaper {
    /// A shaper with empty queues.
    #[must_use]
    pub fn new(config: &ShaperConfig, now: Instant) -> Self {
        let mut shaper = Self {
            port: Bucket::full(rate(config.max_rate, 0), now),
            queues: Vec::new(),
            busy: Vec::new(),
            waiting: 0,
            served: 0,
            closed: false,
        };
        shaper.configure(config, now);
        shaper
    }

    /// Other rates, other queues. What waits in a queue that is no longer wanted goes to the
    /// default queue, as far as there is room.
    pub fn configure(&mut self, config: &ShaperConfig, now: Instant) {
        self.port.configure(rate(config.max_rate, 0), now);
        let mut old: BTreeMap<u32, Queue> =
            self.queues.drain(..).map(|queue| (queue.number, queue)).collect();
        let mut wanted = config.queues.clone();
        wanted.entry(0).or_default();
        for (number, wish) in &wanted {
            let queue = match old.remove(number) {
                Some(mut queue) => {
                    queue.configure(wish, config.max_rate, now);
                    queue
                }
                None => Queue::new(*number, wish, config.max_rate, now),
            };
            self.queues.push(queue);
        }
        let homeless = old.into_values().flat_map(|queue| queue.waiting);
        if let Some(default) = self.queues.first_mut() {
            for packet in homeless {
                if default.waiting.len() < QUEUE_LIMIT {
                    default.waiting.push_back(packet);
                } else {
                    default.report.dropped += 1;
                }
            }
        }
        self.waiting = self.queues.iter().map(|queue| queue.waiting.len()).sum();
        let busy = self.queues.iter().enumerate().filter(|(_, it)| !it.waiting.is_empty());
        self.busy = busy.map(|(place, _)| place).collect();
    }

    /// Takes the packets of a batch into their queues; returns how many had no room and are gone.
    pub fn enqueue(&mut self, batch: &mut Burst, _now: Instant) -> u32 {
        let mut lost = 0;
        for packet in batch.drain() {
            let (_, number) = packet.meta().marks();
            let found = self.queues.binary_search_by_key(&number, |queue| queue.number);
            let place = found.unwrap_or(0);
            let Some(queue) = self.queues.get_mut(place) else { continue };
            if queue.waiting.len() >= QUEUE_LIMIT || self.waiting >= PORT_LIMIT {
                queue.report.dropped += 1;
                lost += 1;
                continue;
            }
            if queue.waiting.is_empty() {
                queue.served = queue.served.max(self.served);
                self.busy.push(place);
            }
            queue.waiting.push_back(packet);
            self.waiting += 1;
        }
        lost
    }

    /// Puts what may leave by now into `leaving`, which is empty, until that is full. `false` if
    /// there is nothing.
    pub fn release(&mut self, leaving: &mut Burst, now: Instant) -> bool {
        while !leaving.is_full() && self.port.is_open(now) {
            let Some((index, guaranteed)) = self.next(now) else { break };
            let Some(packet) = self.take_from(index) else { break };
            let bytes = packet.len() as u64;
            if let Some(queue) = self.busy_queue(index) {
                queue.most.take(bytes, now);
                if guaranteed {
                    queue.guaranteed.take(bytes, now);
                }
                queue.served += bytes * SCALE / queue.weight;
                queue.report.packets += 1;
                queue.report.bytes += bytes;
                self.served = queue.served;
            }
            self.port.take(bytes, now);
            self.forget_if_empty(index);
            // There is room: the loop's condition.
            drop(leaving.push(packet));
        }
        !leaving.is_empty()
    }

    /// The place among the busy queues of the one that is next, and whether by its guarantee.
    fn next(&self, now: Instant) -> Option<(usize, bool)> {
        let open = self.busy.iter().enumerate().filter_map(|(index, place)| {
            let queue = self.queues.get(*place).filter(|queue| queue.most.is_open(now))?;
            let guaranteed = queue.guaranteed.is_open(now);
            Some(((!guaranteed, queue.priority, queue.served), index))
        });
        open.min().map(|((borrows, ..), index)| (index, !borrows))
    }

    fn busy_queue(&mut self, index: usize) -> Option<&mut Queue> {
        self.queues.get_mut(*self.busy.get(index)?)
    }

    fn take_from(&mut self, index: usize) -> Option<Packet> {
        let packet = self.busy_queue(index)?.waiting.pop_front()?;
        self.waiting -= 1;
        Some(packet)
    }

    fn forget_if_empty(&mut self, index: usize) {
        if self.busy_queue(index).is_none_or(|queue| queue.waiting.is_empty()) {
            self.busy.swap_remove(index);
        }
    }

    /// Whether something waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waiting != 0
    }

    /// When the next packet may leave; `None` if none waits.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let busy = self.busy.iter().filter_map(|place| self.queues.get(*place));
        Some(busy.map(|queue| queue.most.opens_at()).min()?.max(self.port.opens_at()))
    }

    /// Takes nothing more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Puts into `leaving`, which is empty, what waits, whether it may leave or not. `false` if
    /// there is nothing.
    pub(super) fn take_any(&mut self, leaving: &mut Burst) -> bool {
        while !leaving.is_full() && !self.busy.is_empty() {
            if let Some(packet) = self.take_from(0) {
                // There is room: the loop's condition.
                drop(leaving.push(packet));
            }
            self.forget_if_empty(0);
        }
        !leaving.is_empty()
    }

    /// What the queues have done.
    #[must_use]
    pub fn report(&self) -> Vec<QueueReport> {
        let report =
            |queue: &Queue| QueueReport { waiting: queue.waiting.len() as u64, ..queue.report };
        self.queues.iter().map(report).collect()
    }
}

/// Keeps weights from rounding bytes away.
const SCALE: u64 = 1 << 10;
