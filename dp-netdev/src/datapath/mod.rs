//! The datapath: ports, packet threads and flows, wired together.
//!
//! [`Netdev`] is what a switch makes, gives ports to, and runs:
//!
//! ```text
//!   let netdev = Netdev::new(sink, Config::default())?;      sink: the slow path
//!   netdev.add_port(PortNo(1), Box::new(port))?;
//!   let running = netdev.start(&[], Idle::Sleep)?;           threads; or netdev.turn(now), by hand
//! ```
//!
//! It implements [`Datapath`](dp_core::boundary::Datapath) for the slow path's other half, which
//! revalidates. All of its methods may be called from any thread, while packets flow.
//!
//! # Who drives the packet threads
//!
//! While [`Running`] lives, threads do. Otherwise whoever calls [`Netdev::turn`]: then nothing
//! happens but in these calls, in a fixed order, at the times given; commands take effect in the
//! call that gives them. That is how tests and single-threaded embedders work.
//!
//! An [`UpcallSink`] is called inside a turn and must not wait for
//! the datapath: it may change flows, which is left for the next turn, but neither dump them nor
//! change ports.

mod commands;
mod flows;
mod ports;
mod run;
mod stats;
#[cfg(test)]
mod tests;

pub use ports::{AddPortError, PortEvent, PortEventKind};
pub use run::Running;
pub use stats::{ThreadStats, Totals};

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use dp_core::base::{BondId, Instant, PortNo};
use dp_core::bond::BondBytes;
use dp_core::boundary::UpcallSink;
use dp_core::conntrack::Conntrack;
use dp_core::meter::MeterTable;
use dp_core::pipeline::{PipelineCounters, Settings};
use dp_core::sync::Published;
use dp_core::tunnel::Ends;

use crate::pmd::{LoopCounters, Mailbox, Pmd};
use crate::port::Wake;
use crate::system::Clock;
use ports::Entry;

/// How a datapath is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// Packet threads: at least one.
    pub threads: usize,
    /// The settings of their pipelines.
    pub pipeline: Settings,
    /// The clock by which threads of its own move packets.
    pub clock: Clock,
}

impl Default for Config {
    fn default() -> Self {
        Self { threads: 1, pipeline: Settings::default(), clock: Clock::start() }
    }
}

/// A userspace datapath.
pub struct Netdev {
    workers: Vec<Worker>,
    /// The connections: of all threads.
    conntrack: Arc<Conntrack>,
    ports: Mutex<BTreeMap<PortNo, Entry>>,
    meters: Mutex<MeterTable>,
    /// What each thread counts for each bond.
    bonds: Mutex<BTreeMap<BondId, Vec<Arc<BondBytes>>>>,
    clock: Clock,
    /// Tunnel ports.
    ends: Arc<Published<Ends>>,
    /// Whether threads drive it.
    running: AtomicBool,
}

/// A packet thread as the control side sees it.
struct Worker {
    mailbox: Arc<Mailbox>,
    pmd: Arc<Mutex<Pmd>>,
    pipeline: Arc<PipelineCounters>,
    turns: Arc<LoopCounters>,
}

impl Netdev {
    /// A datapath without ports. What no flow matches is asked of `sink`.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new(sink: Arc<dyn UpcallSink>, config: Config) -> io::Result<Arc<Self>> {
        let ends = Arc::new(Published::new(Ends::default()));
        let mut workers = Vec::new();
        let conntrack = Arc::new(Conntrack::new(config.pipeline.seed));
        for id in (0..u32::MAX).take(config.threads.max(1)) {
            let (mailbox, commands) = Mailbox::new()?;
            let mailbox = Arc::new(mailbox);
            let (settings, sink) = (config.pipeline.clone(), Arc::clone(&sink));
            let tracker = Arc::clone(&conntrack);
            let mut pmd = Pmd::new(id, settings, tracker, sink, Arc::clone(&mailbox), commands);
            pmd.set_ends(&ends);
            let (pipeline, turns) = (pmd.pipeline_counters(), pmd.loop_counters());
            workers.push(Worker { mailbox, pmd: Arc::new(Mutex::new(pmd)), pipeline, turns });
        }
        Ok(Arc::new(Self {
            workers,
            conntrack,
            ports: Mutex::default(),
            meters: Mutex::default(),
            bonds: Mutex::default(),
            clock: config.clock,
            ends,
            running: AtomicBool::new(false),
        }))
    }

    /// The clock by which its threads move packets.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// The tunnel ports, to be published anew when one comes or goes.
    #[must_use]
    pub const fn ends(&self) -> &Arc<Published<Ends>> {
        &self.ends
    }

    /// Lets each packet thread that no thread drives take one turn at the time `now`, which must
    /// not run backwards. Returns how many packets moved.
    pub fn turn(&self, now: Instant) -> usize {
        let mut moved = 0;
        for worker in &self.workers {
            if let Some(mut pmd) = worker.at_rest() {
                moved += pmd.turn(now);
            }
        }
        moved
    }

    /// What receive queues that no thread drives have to wait for: what whoever calls
    /// [`Self::turn`] sleeps on.
    #[must_use]
    pub fn wakes(&self) -> Vec<Wake> {
        let pmds = self.workers.iter().filter_map(Worker::at_rest);
        pmds.flat_map(|pmd| pmd.wakes().collect::<Vec<_>>()).collect()
    }

    /// Lets transmit queues write out what they have kept back, where no thread drives them.
    pub fn flush(&self) {
        for worker in &self.workers {
            if let Some(mut pmd) = worker.at_rest() {
                pmd.flush_queues();
            }
        }
    }
}

impl Worker {
    /// What the thread owns, if no thread runs.
    fn at_rest(&self) -> Option<MutexGuard<'_, Pmd>> {
        match self.pmd.try_lock() {
            Ok(pmd) => Some(pmd),
            Err(TryLockError::Poisoned(pmd)) => Some(pmd.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// The guard of a lock that no panic can leave in disorder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
