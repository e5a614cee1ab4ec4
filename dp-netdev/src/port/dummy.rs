//! A port without anything behind it: packets are put in and taken out by hand.
//!
//! For tests, and for the `dummy` interface type whose control commands inject packets and change
//! the link. A [`Hand`] stays with whoever operates the port; it works from any thread, before the
//! port is added to a switch and after it is gone. What is sent is kept, the newest frames only;
//! it can also be written to captures, each frame at once.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use dp_core::base::{Instant, MacAddr};
use dp_core::packet::{Burst, Packet, Pool};

use super::{
    Change, Lost, OpenError, Port, QueueCount, Queues, RxEnd, RxQueue, Sent, Status, TxQueue, fits,
};
use crate::offload::{self, Unfinished};
use crate::pcapfile::{Epoch, Writer, WriterOptions};

/// Packets that wait to be received at most.
const WAITING: usize = 1024;
/// Frames that are kept of those sent.
const KEPT: usize = 1024;
/// The MTU of a new port.
const MTU: u32 = 1500;

/// A dummy port.
#[derive(Debug)]
pub struct Dummy {
    name: String,
    /// The NUMA node it pretends to be on, where it pretends to be polled.
    polled: Option<u32>,
    /// Transmit queues, where it pretends to have that many.
    senders: usize,
    shared: Arc<Shared>,
    rx_tape: Option<Tape>,
    tx_tape: Option<Tape>,
    taken: bool,
}

/// What operates a dummy port.
#[derive(Clone, Debug)]
pub struct Hand(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// By receive queue.
    waiting: Vec<ArrayQueue<Packet>>,
    missed: AtomicU32,
    kept: Mutex<VecDeque<Vec<u8>>>,
    admin_up: AtomicBool,
    link_up: AtomicBool,
    mac: AtomicU64,
    mtu: AtomicU32,
}

/// A capture that two directions may share.
type Tape = Arc<Mutex<(Writer, Epoch)>>;

impl Dummy {
    /// A port that is up, with no address and an MTU of 1,500.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::with_queues(name, 1)
    }

    /// The same with a number of receive queues, at least one.
    #[must_use]
    pub fn with_queues(name: &str, queues: usize) -> Self {
        let shared = Shared {
            waiting: (0..queues.max(1)).map(|_| ArrayQueue::new(WAITING)).collect(),
            missed: AtomicU32::new(0),
            kept: Mutex::default(),
            admin_up: AtomicBool::new(true),
            link_up: AtomicBool::new(true),
            mac: AtomicU64::new(0),
            mtu: AtomicU32::new(MTU),
        };
        let shared = Arc::new(shared);
        Self {
            name: name.to_owned(),
            polled: None,
            senders: 1,
            shared,
            rx_tape: None,
            tx_tape: None,
            taken: false,
        }
    }

    /// Lets it pretend to be a port that must be asked all the time, with a device on a NUMA node
    /// and this many transmit queues.
    #[must_use]
    pub fn polled(mut self, numa: u32, senders: usize) -> Self {
        self.polled = Some(numa);
        self.senders = senders.max(1);
        self
    }

    /// What operates the port.
    #[must_use]
    pub fn hand(&self) -> Hand {
        Hand(Arc::clone(&self.shared))
    }

    /// Adds what comes in and what goes out to one capture.
    ///
    /// # Errors
    ///
    /// When the file cannot be made, or what is there is no capture.
    pub fn capturing(mut self, path: &Path) -> Result<Self, OpenError> {
        let tape = tape(path)?;
        self.rx_tape = Some(Arc::clone(&tape));
        self.tx_tape = Some(tape);
        Ok(self)
    }

    /// Adds what comes in to a capture.
    ///
    /// # Errors
    ///
    /// As [`Self::capturing`].
    pub fn capturing_rx(mut self, path: &Path) -> Result<Self, OpenError> {
        self.rx_tape = Some(tape(path)?);
        Ok(self)
    }

    /// Adds what goes out to a capture.
    ///
    /// # Errors
    ///
    /// As [`Self::capturing`].
    pub fn capturing_tx(mut self, path: &Path) -> Result<Self, OpenError> {
        self.tx_tape = Some(tape(path)?);
        Ok(self)
    }
}

fn tape(path: &Path) -> Result<Tape, OpenError> {
    let options = WriterOptions { append: true, unbuffered: true, ..WriterOptions::default() };
    Ok(Arc::new(Mutex::new((Writer::create(path, options)?, Epoch::default()))))
}

fn record(tape: Option<&Tape>, now: Instant, packet: &Packet) {
    if let Some(tape) = tape {
        let (writer, epoch) = &mut *tape.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the file cannot be written, recording ends; the port goes on.
        let _ = writer.record(epoch.time_of_day(now), packet.data());
    }
}

impl Hand {
    /// Puts a frame in, to be received. `false` if it is lost: too many wait, the frame is larger
    /// than any buffer, or the port is down.
    pub fn inject(&self, frame: &[u8]) -> bool {
        self.inject_to(0, frame)
    }

    /// Puts a frame into a receive queue; `false` if it is lost, as [`Self::inject`].
    pub fn inject_to(&self, queue: usize, frame: &[u8]) -> bool {
        let packet = Pool::for_len(frame.len()).and_then(Pool::alloc).and_then(|mut packet| {
            packet.append(frame.len())?.copy_from_slice(frame);
            Some(packet)
        });
        packet.is_some_and(|packet| self.inject_into(queue, packet))
    }

    /// Puts a packet in, with its metadata; `false` if it is lost, as [`Self::inject`].
    pub fn inject_packet(&self, packet: Packet) -> bool {
        self.inject_into(0, packet)
    }

    /// How many receive queues the port has.
    #[must_use]
    pub fn queues(&self) -> usize {
        self.0.waiting.len()
    }

    /// Puts a packet into a receive queue; `false` if it is lost, as [`Self::inject`].
    pub fn inject_into(&self, queue: usize, packet: Packet) -> bool {
        let queue = self.0.waiting.get(queue).filter(|_| self.0.status().link_up);
        let taken = queue.is_some_and(|queue| queue.push(packet).is_ok());
        if !taken {
            self.0.missed.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Takes out what was sent since the last time, oldest first.
    #[must_use]
    pub fn take_sent(&self) -> Vec<Vec<u8>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// Whether both operate the same port.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many injected packets have not been received yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.iter().map(ArrayQueue::len).sum()
    }

    /// Connects or disconnects the other end.
    pub fn set_link(&self, up: bool) {
        self.0.link_up.store(up, Ordering::Relaxed);
    }

    /// Switches the port on or off: it says so, and carries packets all the same, as scripts know it
    /// of the reference's dummies.
    pub fn set_admin(&self, up: bool) {
        self.0.admin_up.store(up, Ordering::Relaxed);
    }

    /// What the port is like.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }
}

impl Shared {
    fn status(&self) -> Status {
        Status {
            admin_up: self.admin_up.load(Ordering::Relaxed),
            link_up: self.link_up.load(Ordering::Relaxed),
            mac: MacAddr::from_u64(self.mac.load(Ordering::Relaxed)),
            mtu: self.mtu.load(Ordering::Relaxed),
            ifindex: 0,
        }
    }

    fn keep(&self, frame: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(frame.to_vec());
    }
}

impl Port for Dummy {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        if self.polled.is_some() { "dummy-pmd" } else { "dummy" }
    }

    fn is_poll_mode(&self) -> bool {
        self.polled.is_some()
    }

    fn numa_node(&self) -> Option<u32> {
        self.polled
    }

    fn configuration(&self) -> Vec<(&'static str, String)> {
        let Some(numa) = self.polled else { return Vec::new() };
        vec![
            ("n_rxq", self.shared.waiting.len().to_string()),
            ("n_txq", self.senders.to_string()),
            ("numa_id", numa.to_string()),
        ]
    }

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(OpenError::QueuesTaken { port: self.name.clone() });
        }
        let tape = self.rx_tape.take();
        let rx = (0..self.shared.waiting.len()).map(|queue| {
            let (shared, tape) = (Arc::clone(&self.shared), tape.clone());
            Box::new(DummyRx { shared, queue, tape }) as Box<dyn RxQueue>
        });
        let tx_tape = self.tx_tape.take();
        let tx = (0..want.tx.max(1)).map(|_| {
            let (shared, tape) = (Arc::clone(&self.shared), tx_tape.clone());
            Box::new(DummyTx { shared, tape }) as Box<dyn TxQueue>
        });
        Ok(Queues { rx: rx.collect(), tx: tx.collect() })
    }

    fn status(&self) -> Status {
        self.shared.status()
    }

    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        match change {
            Change::AdminUp(up) => self.shared.admin_up.store(up, Ordering::Relaxed),
            Change::Mac(mac) => self.shared.mac.store(mac.to_u64(), Ordering::Relaxed),
            Change::Mtu(mtu) if MTUS.contains(&mtu) => {
                self.shared.mtu.store(mtu, Ordering::Relaxed);
            }
            Change::Mtu(mtu) => {
                return Err(OpenError::BadOption {
                    port: self.name.clone(),
                    option: "mtu_request",
                    value: mtu.to_string(),
                    expected: "an MTU from 68 to 65535",
                });
            }
        }
        Ok(())
    }
}

/// MTUs that a dummy port can have: an IPv4 host's least, and the most that 16 bits say.
const MTUS: RangeInclusive<u32> = 68..=65_535;

struct DummyRx {
    shared: Arc<Shared>,
    queue: usize,
    tape: Option<Tape>,
}

impl RxQueue for DummyRx {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        while !burst.is_full() {
            let queue = self.shared.waiting.get(self.queue);
            let Some(packet) = queue.and_then(ArrayQueue::pop) else { break };
            record(self.tape.as_ref(), now, &packet);
            // There is room: the loop's condition.
            drop(burst.push(packet));
        }
        // Thousands of idle ports are asked in a turn: reading is cheaper than swapping.
        let missed = match self.shared.missed.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.shared.missed.swap(0, Ordering::Relaxed),
        };
        Ok(Lost { missed, ..Lost::NONE })
    }
}

struct DummyTx {
    shared: Arc<Shared>,
    tape: Option<Tape>,
}

impl TxQueue for DummyTx {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        let mut sent = Sent::default();
        let status = self.shared.status();
        for packet in batch.drain() {
            if !status.link_up {
                sent.failed += 1;
                continue;
            }
            let done = offload::finish(packet, &mut |packet| {
                if fits(packet.data(), status.mtu) {
                    record(self.tape.as_ref(), now, &packet);
                    self.shared.keep(packet.data());
                    sent.sent(packet.len());
                } else {
                    sent.oversize += 1;
                }
            });
            match done {
                Ok(()) => {}
                Err(Unfinished::NoBuffer) => sent.no_buffer += 1,
                Err(Unfinished::NotSegmentable) => sent.failed += 1,
            }
        }
        sent
    }
}
