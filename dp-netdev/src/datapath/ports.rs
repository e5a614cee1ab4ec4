//! The ports of a datapath: adding, removing, watching.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{DatapathError, PortInfo, PortStats};

use super::lend::Ledger;
use super::numbers::{NUMBERS, Numbers};
use super::worker::Place;
use super::{Netdev, lock, urgent};
use crate::pmd::{Command, End, RxCounters, RxSlot, TxCounters};
use crate::port::{Change, LinkMode, OpenError, Port, QueueCount, RxQueue, Status};
use crate::qos::gate::IngressGate;
use crate::qos::police::PolicerConfig;
use crate::qos::{EgressConfig, PortQos, QosReport};

/// A port that has been added.
pub(super) struct Entry {
    pub(super) port: Box<dyn Port>,
    pub(super) rx: Vec<RxShare>,
    pub(super) tx: Ledger,
    pub(super) end: Arc<End>,
    pub(super) qos: Arc<PortQos>,
    /// Whether its packets use the exact-match cache.
    emc: Arc<AtomicBool>,
    /// What has been told of it.
    told_up: bool,
    told_end: bool,
}

/// Finds a port without a look at all.
#[derive(Default)]
pub(super) struct Index {
    by_name: HashMap<String, PortNo>,
    numbers: Numbers,
}

/// A receive queue and the thread that serves it.
pub(super) struct RxShare {
    pub(super) number: u32,
    pub(super) thread: Option<u32>,
    pub(super) counters: Arc<RxCounters>,
    /// The queue itself while nobody serves it.
    pub(super) parked: Option<Box<RxSlot>>,
    /// The processor that it is pinned to.
    pub(super) pinned: Option<u32>,
}

/// Why a port cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum AddPortError {
    /// Another port has this number.
    #[error("port number {0} is taken")]
    NumberTaken(PortNo),
    /// No port can have this number.
    #[error("port number {0} is beyond {last}", last = NUMBERS - 1)]
    NumberTooLarge(PortNo),
    /// All numbers are taken.
    #[error("all {NUMBERS} port numbers are taken")]
    Full,
    /// Another port has this name.
    #[error("{0}: there is a port of this name")]
    NameTaken(String),
    /// The port does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A packet thread does not answer.
    #[error(transparent)]
    Thread(#[from] DatapathError),
}

/// Something that happened to a port by itself. Each is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortEvent {
    /// The port.
    pub port: PortNo,
    /// Its name.
    pub name: String,
    /// What happened.
    pub kind: PortEventKind,
}

/// What happened to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortEventKind {
    /// It can carry packets now.
    Up,
    /// It cannot carry packets for now.
    Down,
    /// It has delivered all it had.
    Finished,
    /// It cannot go on, for this reason.
    Failed(String),
}

impl Entry {
    fn failure(&self) -> Option<String> {
        self.end.with(|end| end.failure.clone())
    }

    /// Whether all of its receive queues have ended.
    fn is_over(&self) -> bool {
        !self.rx.is_empty() && self.end.with(|end| end.ended) >= self.rx.len()
    }

    fn is_up(&self) -> bool {
        self.port.status().up() && self.failure().is_none()
    }

    fn received(&self) -> u64 {
        self.rx.iter().map(|rx| rx.counters.packets.get()).sum()
    }

    fn stats(&self) -> PortStats {
        let rx = |get: fn(&RxCounters) -> u64| self.rx.iter().map(|rx| get(&rx.counters)).sum();
        let tx = |get: fn(&TxCounters) -> u64| self.tx.counters().map(get).sum();
        PortStats {
            rx_packets: rx(|counters| counters.packets.get()),
            rx_bytes: rx(|counters| counters.bytes.get()),
            rx_dropped: rx(|counters| counters.lost.get()),
            tx_packets: tx(|counters| counters.packets.get()),
            tx_bytes: tx(|counters| counters.bytes.get()),
            tx_dropped: tx(|counters| counters.dropped.get()),
        }
    }
}

impl Netdev {
    /// Adds a port under a number below 65,536 that no other port has.
    ///
    /// Its receive queues are dealt to the threads that have fewest; every thread can send by it.
    ///
    /// # Errors
    ///
    /// [`AddPortError`]; the port is closed then.
    pub fn add_port(&self, number: PortNo, port: Box<dyn Port>) -> Result<(), AddPortError> {
        let mut ports = lock(&self.ports);
        if number.0 >= NUMBERS {
            return Err(AddPortError::NumberTooLarge(number));
        }
        if ports.contains_key(&number) {
            return Err(AddPortError::NumberTaken(number));
        }
        self.insert(&mut ports, number, port)
    }

    /// Adds a port under the lowest number from 1 on that is free; returns the number.
    ///
    /// # Errors
    ///
    /// As [`Self::add_port`].
    pub fn add_port_anywhere(&self, port: Box<dyn Port>) -> Result<PortNo, AddPortError> {
        let mut ports = lock(&self.ports);
        let number = lock(&self.index).numbers.lowest().ok_or(AddPortError::Full)?;
        self.insert(&mut ports, number, port)?;
        Ok(number)
    }

    fn insert(
        &self,
        ports: &mut BTreeMap<PortNo, Entry>,
        number: PortNo,
        mut port: Box<dyn Port>,
    ) -> Result<(), AddPortError> {
        if lock(&self.index).by_name.contains_key(port.name()) {
            return Err(AddPortError::NameTaken(port.name().to_owned()));
        }
        let threads = self.threads_wanted(port.is_poll_mode());
        let own = usize::from(urgent::may_have_own(&*port));
        let mut queues = port.queues(QueueCount { rx: threads, tx: threads + own })?;
        let own = if queues.tx.len() > threads { queues.tx.pop() } else { None };
        for remark in port.remarks() {
            self.tell(true, format!("{}: {remark}", port.name()));
        }
        let told_up = port.status().up();
        let qos = Arc::new(PortQos::default());
        let mut entry = Entry {
            port,
            rx: Vec::new(),
            tx: Ledger::new(queues.tx, &qos),
            end: Arc::default(),
            qos,
            emc: Arc::new(AtomicBool::new(true)),
            told_up,
            told_end: false,
        };
        if let Some(queue) = own {
            entry.tx.count_with(self.keep_own_tx(number, queue));
        }
        let is_poll_mode = entry.port.is_poll_mode();
        let load = self.load(ports);
        match self.wire(&mut entry, number, queues.rx, load) {
            Ok(()) => {
                {
                    let mut index = lock(&self.index);
                    index.by_name.insert(entry.port.name().to_owned(), number);
                    index.numbers.take(number);
                }
                ports.insert(number, entry);
                // Threads of their own are dealt queues of such ports alone.
                if is_poll_mode {
                    self.reschedule(ports);
                }
                Ok(())
            }
            Err(error) => {
                self.unwire(number);
                Err(error.into())
            }
        }
    }

    /// Hands the queues of a port to the threads: first those to send by, so that no packet comes
    /// in that could not be answered.
    fn wire(
        &self,
        entry: &mut Entry,
        number: PortNo,
        queues: Vec<Box<dyn RxQueue>>,
        mut load: BTreeMap<u32, usize>,
    ) -> Result<(), DatapathError> {
        let workers = self.workers();
        for worker in &workers {
            entry.tx.lend(number, &entry.end, worker, &workers)?;
        }
        let scheduled = self.is_scheduled() && entry.port.is_poll_mode();
        for (queue, index) in queues.into_iter().zip(0..) {
            let counters = Arc::new(RxCounters::default());
            let end = Arc::clone(&entry.end);
            let gate = IngressGate::new(&entry.qos);
            let emc = Arc::clone(&entry.emc);
            let slot = RxSlot::new(number, index, queue, counters, end, gate, emc);
            let mut share = RxShare {
                number: index,
                thread: None,
                counters: Arc::clone(&slot.counters),
                parked: None,
                pinned: None,
            };
            if scheduled {
                // The schedule deals it.
                share.parked = Some(Box::new(slot));
            } else {
                let any = workers.iter().filter(|worker| worker.place == Place::Any);
                let least = any.min_by_key(|worker| load.get(&worker.id).copied().unwrap_or(0));
                let worker = least.ok_or(DatapathError::NoThread)?;
                *load.entry(worker.id).or_default() += 1;
                share.thread = Some(worker.id);
                worker.post(Command::AddRx(Box::new(slot)))?;
            }
            entry.rx.push(share);
        }
        Ok(())
    }

    /// Receive queues by thread.
    fn load(&self, ports: &BTreeMap<PortNo, Entry>) -> BTreeMap<u32, usize> {
        let mut load = BTreeMap::new();
        // Where there is but one thread to choose, nothing has to be weighed.
        if self.workers().iter().filter(|worker| worker.place == Place::Any).count() < 2 {
            return load;
        }
        for thread in ports.values().flat_map(|entry| &entry.rx).filter_map(|rx| rx.thread) {
            *load.entry(thread).or_default() += 1;
        }
        load
    }

    /// Says whether packets that come in by a port use the exact-match cache. Returns whether that
    /// is news; `None` if there is no such port.
    pub fn set_emc(&self, number: PortNo, yes: bool) -> Option<bool> {
        let ports = lock(&self.ports);
        let before = ports.get(&number)?.emc.swap(yes, Ordering::Relaxed);
        Some(before != yes)
    }

    /// Takes the queues of a port from all threads; they are dropped when this returns, but where a
    /// thread does not answer.
    fn unwire(&self, number: PortNo) {
        self.drop_own_tx(number);
        for worker in self.workers() {
            // One that does not answer now will find the command later.
            let _ = worker.ask(|done| Command::RemovePort(number, done));
        }
    }

    /// Removes a port and closes it; says why it has failed, if it has. Megaflows that send to it
    /// drop from now on; that they go is for the slow path to see to.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NoPort`].
    pub fn remove_port(&self, number: PortNo) -> Result<Option<String>, DatapathError> {
        let mut ports = lock(&self.ports);
        let entry = ports.remove(&number).ok_or(DatapathError::NoPort)?;
        {
            let mut index = lock(&self.index);
            index.by_name.remove(entry.port.name());
            index.numbers.give_back(number);
        }
        self.unwire(number);
        let failure = entry.failure();
        drop(entry);
        self.reschedule(&mut ports);
        Ok(failure)
    }

    /// Changes a property of a port.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; `None` if there is no such port.
    pub fn configure_port(&self, number: PortNo, change: Change) -> Option<Result<(), OpenError>> {
        Some(lock(&self.ports).get_mut(&number)?.port.configure(change))
    }

    /// Says how much may come in by a port, and how packets leave it; whether there is such a port.
    pub fn set_port_qos(
        &self,
        number: PortNo,
        ingress: PolicerConfig,
        egress: EgressConfig,
        now: Instant,
    ) -> bool {
        let qos = lock(&self.ports).get(&number).map(|entry| Arc::clone(&entry.qos));
        let Some(qos) = qos else { return false };
        qos.set_ingress(ingress, now);
        qos.set_egress(egress, now);
        true
    }

    /// What policing and shaping have cost a port; `None` if there is no such port.
    #[must_use]
    pub fn port_qos(&self, number: PortNo) -> Option<QosReport> {
        let qos = lock(&self.ports).get(&number).map(|entry| Arc::clone(&entry.qos))?;
        Some(qos.report())
    }

    /// What a port is like; `None` if there is no such port.
    #[must_use]
    pub fn port_status(&self, number: PortNo) -> Option<Status> {
        Some(lock(&self.ports).get(&number)?.port.status())
    }

    /// What every port is like and how many packets it has received, in the order of their numbers.
    #[must_use]
    pub fn looks(&self) -> Vec<(PortNo, Status, u64)> {
        let look =
            |(number, entry): (&PortNo, &Entry)| (*number, entry.port.status(), entry.received());
        lock(&self.ports).iter().map(look).collect()
    }

    /// How many packets a port has received; `None` if there is no such port.
    #[must_use]
    pub fn port_received(&self, number: PortNo) -> Option<u64> {
        Some(lock(&self.ports).get(&number)?.received())
    }

    /// Changes when a port says something else of itself: its status, and of ports that packet threads
    /// ask all the time their details. Counters do not count.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        for (number, entry) in lock(&self.ports).iter() {
            (number.0, entry.port.status()).hash(&mut hasher);
            if entry.port.is_poll_mode() {
                entry.port.details().hash(&mut hasher);
                entry.port.link().hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// How a port is set up; nothing if there is no such port.
    #[must_use]
    pub fn port_configuration(&self, number: PortNo) -> Vec<(&'static str, String)> {
        lock(&self.ports).get(&number).map(|it| it.port.configuration()).unwrap_or_default()
    }

    /// What a port says of itself beyond its status; nothing if there is no such port.
    #[must_use]
    pub fn port_details(&self, number: PortNo) -> Vec<(&'static str, String)> {
        lock(&self.ports).get(&number).map(|it| it.port.details()).unwrap_or_default()
    }

    /// What a port's link runs at; `None` if that is not known, or there is no such port.
    #[must_use]
    pub fn port_link(&self, number: PortNo) -> Option<LinkMode> {
        lock(&self.ports).get(&number)?.port.link()
    }

    /// What a port counts itself, by name; nothing if there is no such port.
    #[must_use]
    pub fn port_counters(&self, number: PortNo) -> Vec<(String, u64)> {
        lock(&self.ports).get(&number).map(|it| it.port.counters()).unwrap_or_default()
    }

    /// The number of the port of this name.
    #[must_use]
    pub fn port_named(&self, name: &str) -> Option<PortNo> {
        lock(&self.index).by_name.get(name).copied()
    }

    /// Whether some port can still receive: `false` when all captures have been replayed and all
    /// interfaces are gone.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        lock(&self.ports).values().any(|entry| !entry.rx.is_empty() && !entry.is_over())
    }

    /// What has happened to ports by themselves since the last call, ports ascending. Asks the
    /// kernel about each interface: to be called some times a second at most.
    #[must_use]
    pub fn events(&self) -> Vec<PortEvent> {
        let mut events = Vec::new();
        for (number, entry) in lock(&self.ports).iter_mut() {
            let mut tell = |kind| {
                let name = entry.port.name().to_owned();
                events.push(PortEvent { port: *number, name, kind });
            };
            let failure = entry.failure();
            let up = failure.is_none() && entry.port.status().up();
            match failure {
                Some(why) if !entry.told_end => {
                    (entry.told_end, entry.told_up) = (true, false);
                    tell(PortEventKind::Failed(why));
                }
                None if !entry.told_end && entry.is_over() => {
                    entry.told_end = true;
                    tell(PortEventKind::Finished);
                }
                _ => {}
            }
            if up != entry.told_up {
                entry.told_up = up;
                tell(if up { PortEventKind::Up } else { PortEventKind::Down });
            }
        }
        events
    }

    pub(super) fn port_infos(&self) -> Vec<PortInfo> {
        let info = |(number, entry): (&PortNo, &Entry)| PortInfo {
            port: *number,
            name: entry.port.name().to_owned(),
            kind: entry.port.kind(),
            stats: entry.stats(),
            up: entry.is_up(),
        };
        lock(&self.ports).iter().map(info).collect()
    }
}
