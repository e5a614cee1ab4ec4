//! A packet thread as the control side sees it.

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread::JoinHandle;

use dp_core::boundary::UpcallSink;
use dp_core::conntrack::Conntrack;
use dp_core::pipeline::{PipelineCounters, Settings};
use dp_core::sync::Published;
use dp_core::tunnel::Ends;

use super::lock;
use super::stats::Totals;
use crate::pmd::thread::{self, How};
use crate::pmd::{LoopCounters, Mailbox, NapLimit, Pmd};

/// Where a packet thread belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere: it serves the ports that can tell when there is something to do, and all ports
    /// while there is no schedule.
    Any,
    /// On a processor of its own: it serves ports that must be asked all the time.
    Core {
        /// The processor.
        core: u32,
        /// Its NUMA node.
        numa: u32,
        /// Whether it really runs there; not on processors that were invented.
        pinned: bool,
    },
}

impl Place {
    /// The processor that is its own.
    #[must_use]
    pub const fn core(self) -> Option<u32> {
        match self {
            Self::Any => None,
            Self::Core { core, .. } => Some(core),
        }
    }
}

/// What all packet threads share.
#[derive(Clone)]
pub(super) struct Common {
    /// The slow path.
    pub(super) sink: Arc<dyn UpcallSink>,
    /// The connections.
    pub(super) conntrack: Arc<Conntrack>,
    /// Tunnel ports.
    pub(super) ends: Arc<Published<Ends>>,
}

/// A packet thread.
pub(super) struct Worker {
    /// By which flows name it.
    pub(super) id: u32,
    pub(super) place: Place,
    pub(super) mailbox: Arc<Mailbox>,
    pmd: Arc<Mutex<Pmd>>,
    pub(super) pipeline: Arc<PipelineCounters>,
    pub(super) turns: Arc<LoopCounters>,
    pub(super) naps: NapLimit,
    /// How long packets may wait to leave together, in microseconds.
    pub(super) patience: Arc<AtomicU32>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What it had counted when somebody cleared its statistics.
    pub(super) cleared: Mutex<Cleared>,
}

/// Counts to subtract: nothing but the owner writes the real ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Cleared {
    pub(super) totals: Totals,
    pub(super) turns: u64,
    pub(super) busy_turns: u64,
    pub(super) naps: u64,
    pub(super) nap_micros: u64,
    pub(super) busy_cycles: u64,
    pub(super) idle_cycles: u64,
    pub(super) upcall_cycles: u64,
    pub(super) sent: u64,
    pub(super) batches: u64,
    /// When.
    pub(super) at: Option<std::time::Instant>,
}

impl Cleared {
    /// What has been counted until now.
    pub(super) fn now(pipeline: &PipelineCounters, turns: &LoopCounters) -> Self {
        Self {
            totals: Totals::of(pipeline),
            turns: turns.turns.get(),
            busy_turns: turns.busy.get(),
            naps: turns.naps.get(),
            nap_micros: turns.nap_micros.get(),
            busy_cycles: turns.busy_cycles.get(),
            idle_cycles: turns.idle_cycles.get(),
            upcall_cycles: turns.upcall_cycles.get(),
            sent: turns.sent.get(),
            batches: turns.batches.get(),
            at: Some(std::time::Instant::now()),
        }
    }
}

impl Worker {
    /// A worker that no thread drives yet.
    pub(super) fn new(
        id: u32,
        place: Place,
        settings: Settings,
        common: &Common,
    ) -> io::Result<Self> {
        let (mailbox, inbox) = Mailbox::new()?;
        let mailbox = Arc::new(mailbox);
        let Common { sink, conntrack, ends } = common.clone();
        let mut pmd = Pmd::new(id, settings, conntrack, sink, Arc::clone(&mailbox), inbox);
        pmd.set_ends(&ends);
        let (pipeline, turns) = (pmd.pipeline_counters(), pmd.loop_counters());
        let patience = pmd.patience();
        let cleared = Cleared { at: Some(std::time::Instant::now()), ..Cleared::default() };
        Ok(Self {
            id,
            place,
            mailbox,
            pmd: Arc::new(Mutex::new(pmd)),
            pipeline,
            turns,
            naps: NapLimit::default(),
            patience,
            thread: Mutex::default(),
            cleared: Mutex::new(cleared),
        })
    }

    /// What the thread owns, if no thread runs.
    pub(super) fn at_rest(&self) -> Option<MutexGuard<'_, Pmd>> {
        match self.pmd.try_lock() {
            Ok(pmd) => Some(pmd),
            Err(TryLockError::Poisoned(pmd)) => Some(pmd.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Starts a thread that drives it.
    pub(super) fn start(&self, name: String, how: How) -> io::Result<()> {
        self.mailbox.set_stopping(false);
        let thread = thread::spawn(name, Arc::clone(&self.pmd), how)?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Ends the thread and waits for its end.
    pub(super) fn stop(&self) {
        self.mailbox.set_stopping(true);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
    }
}
