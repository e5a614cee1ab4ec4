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
mod histories;
mod lend;
pub mod numbers;
mod ports;
mod run;
mod schedule;
pub mod show;
mod stats;
#[cfg(test)]
mod tests;
mod urgent;
mod worker;

pub use histories::Histories;
pub use ports::{AddPortError, PortEvent, PortEventKind};
pub use run::Running;
pub use schedule::{AutoBalance, Schedule};
pub use stats::{ThreadStats, Totals};
pub use worker::Place;

pub use crate::pmd::suspect::Suspicion;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use dp_core::base::{BondId, Instant, PortNo};
use dp_core::bond::{Assignment, BondBytes};
use dp_core::boundary::UpcallSink;
use dp_core::conntrack::Conntrack;
use dp_core::meter::MeterTable;
use dp_core::pipeline::Settings;
use dp_core::sync::Published;
use dp_core::tunnel::Ends;

use crate::port::Wake;
use crate::system::Clock;
use ports::{Entry, Index};
use run::Run;
use schedule::Scheduling;
use worker::{Common, Worker};

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
    common: Common,
    settings: Mutex<Settings>,
    /// By id. Changed with `ports` locked.
    workers: RwLock<Vec<Arc<Worker>>>,
    ports: Mutex<BTreeMap<PortNo, Entry>>,
    /// What finds them, and room for more. Changed with `ports` locked.
    index: Mutex<Index>,
    scheduling: Mutex<Scheduling>,
    meters: Mutex<MeterTable>,
    bonds: Mutex<BTreeMap<BondId, Bond>>,
    /// Transmit queues that no thread has.
    own_tx: RwLock<BTreeMap<PortNo, Arc<urgent::OwnTx>>>,
    clock: Clock,
    /// Whether threads drive it.
    running: AtomicBool,
    /// How they do.
    run: Mutex<Option<Run>>,
    /// Which turns of threads are to be told of.
    suspicion: Mutex<Suspicion>,
    /// What threads had counted that are gone.
    retired: Mutex<Totals>,
}

/// A bond as all threads are to know it.
struct Bond {
    ports: Assignment,
    /// What each thread counts for it, by id; of those that are gone too.
    bytes: BTreeMap<u32, Arc<BondBytes>>,
}

impl Netdev {
    /// A datapath without ports. What no flow matches is asked of `sink`.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new(sink: Arc<dyn UpcallSink>, config: Config) -> io::Result<Arc<Self>> {
        let common = Common {
            sink,
            conntrack: Arc::new(Conntrack::new(config.pipeline.seed)),
            ends: Arc::new(Published::new(Ends::default())),
        };
        let mut workers = Vec::new();
        for id in (0..u32::MAX).take(config.threads.max(1)) {
            let settings = config.pipeline.clone();
            workers.push(Arc::new(Worker::new(id, Place::Any, settings, &common)?));
        }
        Ok(Arc::new(Self {
            common,
            settings: Mutex::new(config.pipeline),
            workers: RwLock::new(workers),
            ports: Mutex::default(),
            index: Mutex::default(),
            scheduling: Mutex::default(),
            meters: Mutex::default(),
            bonds: Mutex::default(),
            own_tx: RwLock::default(),
            clock: config.clock,
            running: AtomicBool::new(false),
            run: Mutex::default(),
            retired: Mutex::default(),
            suspicion: Mutex::default(),
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
        &self.common.ends
    }

    /// Lets each packet thread that no thread drives take one turn at the time `now`, which must
    /// not run backwards. Returns how many packets moved.
    pub fn turn(&self, now: Instant) -> usize {
        let mut moved = 0;
        for worker in self.workers() {
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
        let wakes = |worker: &Arc<Worker>| worker.at_rest().map(|pmd| pmd.wakes().collect());
        self.workers().iter().filter_map(wakes).flat_map(|wakes: Vec<Wake>| wakes).collect()
    }

    /// Lets transmit queues write out what they have kept back, where no thread drives them.
    pub fn flush(&self) {
        let now = self.clock.now();
        for worker in self.workers() {
            if let Some(mut pmd) = worker.at_rest() {
                pmd.flush_queues(now);
            }
        }
    }

    /// The packet threads there are now.
    fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The guard of a lock that no panic can leave in disorder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
