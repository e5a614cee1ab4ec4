//! Packet threads on processors of their own, and which receive queues they serve.
//!
//! With a [`Schedule`], ports that must be asked all the time ([`Port::is_poll_mode`]) are served
//! by threads that each have a processor and spin; all other ports stay with the threads that the
//! datapath was made with. The threads there are follow from the schedule and the ports: whenever
//! one of them changes, threads are started and ended and queues dealt again ([`assign`]), and only
//! what differs is moved, between two turns of the threads concerned.
//!
//! [`Port::is_poll_mode`]: crate::port::Port::is_poll_mode

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dp_core::base::{Instant, PortNo};

use super::ports::Entry;
use super::stats::Totals;
use super::worker::{Place, Worker};
use super::{Netdev, lock};
use crate::pmd::assign::{self, Algorithm, Core, Dealt, Note, Wanting};
use crate::pmd::counters::INTERVALS;
use crate::pmd::{Command, RxSlot};
use crate::system::Topology;

/// How packet threads are placed and queues dealt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The processors there are.
    pub topology: Topology,
    /// Those that get a packet thread; the first of each NUMA node if none are named.
    pub cores: Option<BTreeSet<u32>>,
    /// How queues are dealt.
    pub algorithm: Algorithm,
    /// Whether a thread that a queue is pinned to serves no others.
    pub isolate: bool,
    /// How long threads may nap, in microseconds.
    pub max_sleep: u32,
    /// The same for some processors.
    pub max_sleep_of: BTreeMap<u32, u32>,
    /// How long packets may wait to leave together, in microseconds.
    pub tx_flush_interval: u32,
    /// Dealing anew by load, without being asked.
    pub auto: Option<AutoBalance>,
    /// Whether threads with a processor note what their single turns are like.
    pub perf: bool,
}

/// When queues are dealt anew without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoBalance {
    /// How often that is considered.
    pub every: Duration,
    /// Load of some thread, in percent, from which on it is.
    pub load: u64,
    /// By how many percent the variance of loads must shrink.
    pub improvement: u64,
}

impl Schedule {
    /// One thread for each NUMA node, queues dealt by load.
    #[must_use]
    pub const fn new(topology: Topology) -> Self {
        Self {
            topology,
            cores: None,
            algorithm: Algorithm::Cycles,
            isolate: true,
            max_sleep: 0,
            max_sleep_of: BTreeMap::new(),
            tx_flush_interval: 0,
            auto: None,
            perf: false,
        }
    }

    /// The processors that get a thread while there are ports for them.
    fn places(&self) -> Vec<Core> {
        let core = |core: u32| Some(Core { core, numa: self.topology.node_of(core)? });
        match &self.cores {
            Some(cores) => cores.iter().copied().filter_map(core).collect(),
            None => {
                let nodes = self.topology.nodes();
                let firsts = nodes.values().filter_map(|cpus| cpus.first());
                firsts.copied().filter_map(core).collect()
            }
        }
    }

    fn sleep_of(&self, core: u32) -> u32 {
        self.max_sleep_of.get(&core).copied().unwrap_or(self.max_sleep)
    }
}

/// What scheduling knows beside the ports.
#[derive(Debug, Default)]
pub(super) struct Scheduling {
    schedule: Option<Schedule>,
    /// Processors whose threads serve pinned queues only.
    pub(super) isolated: Vec<u32>,
    /// To be told.
    notes: Vec<Note>,
    /// When dealing anew is considered next.
    next_check: Option<Instant>,
}

/// Ids of threads with a processor begin here, so that they never meet those of other threads.
const CORE_IDS: u32 = 1 << 16;

/// The most notes that are kept for somebody to take them.
const NOTES: usize = 10_000;

impl Netdev {
    /// Sets how packet threads are placed and queues dealt, and does so. From the first call on,
    /// ports that must be asked all the time have threads of their own.
    pub fn set_schedule(&self, schedule: Schedule) {
        let mut ports = lock(&self.ports);
        let before = {
            let mut scheduling = lock(&self.scheduling);
            scheduling.next_check = None;
            scheduling.schedule.replace(schedule.clone())
        };
        let same_places = |before: &Schedule| {
            before.topology == schedule.topology
                && before.cores == schedule.cores
                && before.algorithm == schedule.algorithm
                && before.isolate == schedule.isolate
        };
        if before.as_ref().is_some_and(same_places) {
            self.set_naps(&schedule, true);
            return;
        }
        self.unpark_from_any(&mut ports);
        self.reschedule(&mut ports);
    }

    /// Lets threads nap as long as the schedule says; tells of those that change, if asked to.
    fn set_naps(&self, schedule: &Schedule, tell: bool) {
        for worker in self.workers() {
            let Place::Core { core, numa, .. } = worker.place else { continue };
            worker.patience.store(schedule.tx_flush_interval, Ordering::Relaxed);
            worker.turns.perf.switch(schedule.perf);
            worker.turns.perf.watch().set(*lock(&self.suspicion));
            let nap = schedule.sleep_of(core);
            if worker.naps.swap(nap, Ordering::Relaxed) != nap && tell {
                self.tell(
                    false,
                    format!(
                        "PMD thread on numa_id: {numa}, core id: {core:2}, max sleep: {nap:4} us."
                    ),
                );
            }
        }
    }

    /// Pins receive queues of a port to processors, by queue number, in place of what was pinned
    /// before; the rest is dealt. `false` if there is no such port.
    pub fn set_affinity(&self, port: PortNo, cores: &BTreeMap<u32, u32>) -> bool {
        let mut ports = lock(&self.ports);
        let Some(entry) = ports.get_mut(&port) else { return false };
        let mut changed = false;
        for share in &mut entry.rx {
            let pinned = cores.get(&share.number).copied();
            changed |= pinned != share.pinned;
            share.pinned = pinned;
        }
        if changed {
            self.reschedule(&mut ports);
        }
        true
    }

    /// Deals receive queues anew, by the load of the last minute.
    pub fn rebalance(&self) {
        let mut ports = lock(&self.ports);
        self.reschedule(&mut ports);
    }

    /// What was done since the last call, in words.
    #[must_use]
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut lock(&self.scheduling).notes)
    }

    /// The schedule, if there is one.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        lock(&self.scheduling).schedule.clone()
    }

    /// Where the packet thread of this id belongs.
    #[must_use]
    pub fn place_of(&self, thread: u32) -> Option<Place> {
        self.workers().iter().find(|worker| worker.id == thread).map(|worker| worker.place)
    }

    pub(super) fn is_scheduled(&self) -> bool {
        lock(&self.scheduling).schedule.is_some()
    }

    /// How many threads a port should have queues for.
    pub(super) fn threads_wanted(&self, poll_mode: bool) -> usize {
        let now = self.workers().len();
        let scheduling = lock(&self.scheduling);
        match &scheduling.schedule {
            Some(schedule) if poll_mode => {
                let any = self.workers().iter().filter(|it| it.place == Place::Any).count();
                now.max(any + schedule.places().len())
            }
            _ => now,
        }
    }

    /// Considers dealing anew by load, where the schedule says so; to be called now and then.
    pub fn balance(&self, now: Instant) {
        let auto = {
            let mut scheduling = lock(&self.scheduling);
            let Some(auto) = scheduling.schedule.as_ref().and_then(|it| it.auto) else { return };
            let next = *scheduling.next_check.get_or_insert(now.after(auto.every));
            if now < next {
                return;
            }
            scheduling.next_check = Some(now.after(auto.every));
            auto
        };
        let mut ports = lock(&self.ports);
        if self.would_help(&ports, auto) {
            self.tell(false, "PMD auto load balance detected unbalanced load".to_owned());
            self.reschedule(&mut ports);
        }
    }

    /// Whether dealing anew is worth it: some thread is loaded, and the loads would be more even.
    fn would_help(&self, ports: &BTreeMap<PortNo, Entry>, auto: AutoBalance) -> bool {
        let workers = self.workers();
        let load = |worker: &Arc<Worker>| {
            let all = worker.turns.window.sum(INTERVALS);
            let busy = worker.turns.busy_window.sum(INTERVALS);
            (busy * 100).checked_div(all).unwrap_or(0)
        };
        let cores: Vec<&Arc<Worker>> =
            workers.iter().filter(|worker| worker.place != Place::Any).collect();
        if !cores.iter().any(|worker| load(worker) >= auto.load) {
            return false;
        }
        let capacity = cores.iter().map(|it| it.turns.window.sum(INTERVALS)).max().unwrap_or(0);
        let wanting = wanting(ports);
        let dealt = self.deal(&wanting);
        let shares = |core_of: &dyn Fn(usize, &Wanting) -> Option<u32>| -> Vec<u64> {
            let sum = |core: u32| {
                let mine =
                    wanting.iter().enumerate().filter(|(at, it)| core_of(*at, it) == Some(core));
                let cycles: u64 = mine.map(|(_, queue)| queue.cycles).sum();
                (cycles * 100).checked_div(capacity).unwrap_or(0)
            };
            cores.iter().filter_map(|worker| worker.place.core()).map(sum).collect()
        };
        let current = shares(&|_, queue| self.server_of(ports, &workers, queue));
        let future = shares(&|at, _| dealt.cores.get(at).copied().flatten());
        let (now, then) = (assign::variance(&current), assign::variance(&future));
        let improvement = (now.saturating_sub(then) * 100).checked_div(now).unwrap_or(0);
        then < now && improvement >= auto.improvement
    }

    fn server_of(
        &self,
        ports: &BTreeMap<PortNo, Entry>,
        workers: &[Arc<Worker>],
        queue: &Wanting,
    ) -> Option<u32> {
        let share =
            ports.get(&PortNo(queue.port))?.rx.iter().find(|it| it.number == queue.queue)?;
        workers.iter().find(|worker| Some(worker.id) == share.thread)?.place.core()
    }

    pub(super) fn tell(&self, warning: bool, text: String) {
        let mut scheduling = lock(&self.scheduling);
        if scheduling.notes.len() < NOTES {
            scheduling.notes.push(Note { warning, text });
        }
    }

    /// How queues would be dealt now.
    fn deal(&self, wanting: &[Wanting]) -> Dealt {
        let scheduling = lock(&self.scheduling);
        let Some(schedule) = &scheduling.schedule else { return Dealt::default() };
        let cores = if wanting.is_empty() { Vec::new() } else { schedule.places() };
        // A thread is isolated by what is pinned to it; only one algorithm can do without.
        let isolate = schedule.isolate || schedule.algorithm != Algorithm::Group;
        assign::deal(&cores, wanting, schedule.algorithm, isolate)
    }

    /// Queues of ports that the schedule is now to serve, taken from the threads that did so far.
    fn unpark_from_any(&self, ports: &mut BTreeMap<PortNo, Entry>) {
        let workers = self.workers();
        for (number, entry) in ports.iter_mut().filter(|(_, entry)| entry.port.is_poll_mode()) {
            for share in &mut entry.rx {
                let any =
                    workers.iter().find(|it| it.place == Place::Any && Some(it.id) == share.thread);
                if let Some(worker) = any {
                    let taken = worker.ask(|it| Command::TakeRx(*number, share.number, it));
                    share.parked = taken.ok().flatten();
                    share.thread = None;
                }
            }
        }
    }

    /// Makes threads and queues what the schedule and the ports say.
    pub(super) fn reschedule(&self, ports: &mut BTreeMap<PortNo, Entry>) {
        let Some(schedule) = self.schedule() else { return };
        let wanting = wanting(ports);
        let wanted = if wanting.is_empty() { Vec::new() } else { schedule.places() };
        self.end_threads(ports, &wanted);
        self.begin_threads(ports, &schedule, &wanted);
        self.set_naps(&schedule, false);
        if wanting.is_empty() {
            lock(&self.scheduling).isolated.clear();
            return;
        }
        let dealt = self.deal(&wanting);
        for note in dealt.notes.iter().cloned() {
            self.tell(note.warning, note.text);
        }
        lock(&self.scheduling).isolated.clone_from(&dealt.isolated);
        self.move_queues(ports, &wanting, &dealt);
    }

    /// Ends the threads on processors that are no longer wanted.
    fn end_threads(&self, ports: &mut BTreeMap<PortNo, Entry>, wanted: &[Core]) {
        for worker in self.workers() {
            let Place::Core { core, numa, .. } = worker.place else { continue };
            if wanted.contains(&Core { core, numa }) {
                continue;
            }
            for (number, entry) in ports.iter_mut() {
                for share in entry.rx.iter_mut().filter(|it| it.thread == Some(worker.id)) {
                    let taken = worker.ask(|it| Command::TakeRx(*number, share.number, it));
                    share.parked = taken.ok().flatten();
                    share.thread = None;
                }
                entry.tx.take_back(*number, &worker);
            }
            worker.stop();
            // Its flows go with it; whoever watches them sees that in the next dump.
            lock(&self.retired).add(&Totals::of(&worker.pipeline).without_gauges());
            let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
            workers.retain(|other| other.id != worker.id);
            drop(workers);
            self.tell(
                false,
                format!("PMD thread on numa_id: {numa}, core id: {core:2} destroyed."),
            );
        }
    }

    /// Begins threads on processors that have none yet.
    fn begin_threads(
        &self,
        ports: &mut BTreeMap<PortNo, Entry>,
        schedule: &Schedule,
        wanted: &[Core],
    ) {
        let mut begun = false;
        for &Core { core, numa } in wanted {
            let id = CORE_IDS + core;
            if self.workers().iter().any(|worker| worker.id == id) {
                continue;
            }
            let place = Place::Core { core, numa, pinned: !schedule.topology.is_invented() };
            if let Err(error) = self.begin_thread(ports, id, place) {
                self.tell(true, format!("PMD thread on core {core} cannot be started: {error}"));
                continue;
            }
            begun = true;
            let sleep = schedule.sleep_of(core);
            self.tell(
                false,
                format!(
                    "PMD thread on numa_id: {numa}, core id: {core:2}, max sleep: {sleep:4} us."
                ),
            );
            self.tell(false, format!("PMD thread on numa_id: {numa}, core id: {core:2} created."));
        }
        if begun {
            let mut nodes: BTreeMap<u32, usize> = BTreeMap::new();
            for core in wanted {
                *nodes.entry(core.numa).or_default() += 1;
            }
            for (numa, count) in nodes {
                self.tell(false, format!("There are {count} pmd threads on numa node {numa}"));
            }
        }
    }

    fn begin_thread(
        &self,
        ports: &mut BTreeMap<PortNo, Entry>,
        id: u32,
        place: Place,
    ) -> std::io::Result<()> {
        let settings = lock(&self.settings).clone();
        let worker = Arc::new(Worker::new(id, place, settings, &self.common)?);
        if let Err(error) = self.equip(&worker) {
            self.tell(true, format!("meters and bonds are missing in a thread: {error}"));
        }
        let run = lock(&self.run).clone();
        if let Some(run) = run {
            self.start_worker(&worker, &run)?;
        }
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let at = workers.partition_point(|other| other.id < id);
        workers.insert(at, Arc::clone(&worker));
        let all = workers.clone();
        drop(workers);
        for (number, entry) in ports.iter_mut() {
            let lent = entry.tx.lend(*number, &entry.end, &worker, &all);
            if let Err(error) = lent {
                self.tell(true, format!("port {number}: no transmit queue for a thread: {error}"));
            }
        }
        Ok(())
    }

    /// Moves the queues that another thread is to serve.
    fn move_queues(&self, ports: &mut BTreeMap<PortNo, Entry>, wanting: &[Wanting], dealt: &Dealt) {
        let workers = self.workers();
        let id_of = |core: u32| Some(CORE_IDS + core);
        let mut touched: BTreeSet<u32> = BTreeSet::new();
        let mut waiting: Vec<(u32, Box<RxSlot>)> = Vec::new();
        for (queue, core) in wanting.iter().zip(&dealt.cores) {
            let number = PortNo(queue.port);
            let Some(entry) = ports.get_mut(&number) else { continue };
            let Some(share) = entry.rx.iter_mut().find(|it| it.number == queue.queue) else {
                continue;
            };
            let to = core.and_then(id_of);
            if share.thread == to {
                continue;
            }
            if let Some(from) = workers.iter().find(|it| Some(it.id) == share.thread) {
                let taken = from.ask(|it| Command::TakeRx(number, share.number, it));
                share.parked = taken.ok().flatten();
                share.thread = None;
                touched.insert(from.id);
            }
            // A queue that no thread may serve stays where it is parked.
            if let Some(to) = to
                && let Some(slot) = share.parked.take()
            {
                share.thread = Some(to);
                touched.insert(to);
                waiting.push((to, slot));
            }
        }
        for (to, slot) in waiting {
            if let Some(worker) = workers.iter().find(|it| it.id == to) {
                // It has just been started; where it does not answer, the queue is lost with it.
                let _ = worker.post(Command::AddRx(slot));
            }
        }
        for worker in workers.iter().filter(|it| touched.contains(&it.id)) {
            let _ = worker.ask(Command::ForgetLoad);
        }
    }
}

/// The queues that a schedule serves, by port and number.
fn wanting(ports: &BTreeMap<PortNo, Entry>) -> Vec<Wanting> {
    let mut wanting = Vec::new();
    for (number, entry) in ports.iter().filter(|(_, entry)| entry.port.is_poll_mode()) {
        for share in &entry.rx {
            wanting.push(Wanting {
                port: number.0,
                name: entry.port.name().to_owned(),
                queue: share.number,
                numa: entry.port.numa_node().unwrap_or(0),
                pinned: share.pinned,
                cycles: share.counters.window.sum(INTERVALS),
            });
        }
    }
    wanting
}
