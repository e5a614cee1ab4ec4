//! The pipeline of one packet thread: bursts in, batches by port out.
//!
//! ```text
//!   burst ─► parse ─► cache ─► megaflow ─► upcall       each stage handles what the one before left
//!              │        │         │          │
//!            drop      hit       hit      verdict ──► installed, or for this packet alone
//!                       └────┬────┴──────────┘
//!                          group by flow ─► execute ─► TxBatches
//!                                              │
//!                            again ◄── recirculate (in place, or a work list, until it is empty)
//! ```
//!
//! # The hit ladder
//!
//! | rung | cost | memory | whose |
//! |---|---|---|---|
//! | [`simple`](crate::lookup::simple) | a comparison of four words | 12 KiB | this thread's |
//! | [`guess`](crate::lookup::guess) | a comparison of 64 bytes, mostly | 16 KiB | this thread's |
//! | [`cache`](crate::lookup::emc) | a hash and a comparison of 64 bytes | 640 KiB | this thread's |
//! | [`signatures`](crate::lookup::smc), if on | as much as one subtable | 8 MiB | this thread's |
//! | [`megaflow`](crate::lookup::megaflow) | as much again for each subtable asked | about 550 bytes a flow, its actions and its first key | this thread's |
//! | `upcall` | a translation: microseconds | – | the slow path's, called inline |
//!
//! Nothing on these rungs but the last is shared, locked or written by another thread. What the control
//! side reads while packets flow are the counters ([`PipelineCounters`], [`FlowStats`]): it holds
//! an `Arc` of each and they have one writer. What it changes it asks the owning thread to change,
//! between bursts: [`Pipeline::remove`], [`Pipeline::replace_actions`], [`Pipeline::flush`].
//!
//! # Invariants
//!
//! * Packets of one flow leave by one port in the order they came.
//! * Every packet leaves by a port, waits for another pass within the same call, or is counted
//!   under one drop reason.
//! * The packet that caused a flow's installation is not in the flow's statistics: the slow path
//!   has credited it when it translated.
//!
//! [`FlowStats`]: crate::boundary::FlowStats

/// What steps need to know: borrows the parts of a pipeline that they read.
macro_rules! context {
    ($pipeline:expr, $turn:expr) => {
        crate::execute::Context {
            in_port: $turn.in_port(),
            now: $turn.now,
            sink: $turn.sink,
            extractor: &$pipeline.extractor,
            meters: &$pipeline.meters,
            bonds: &$pipeline.bonds,
            ends: $pipeline.ends.current(),
            conntrack: &$pipeline.conntrack,
        }
    };
}

/// Where packets go: borrows the parts of a pipeline that change on the way.
macro_rules! exits {
    ($pipeline:expr, $out:expr) => {
        crate::execute::Exits {
            out: &mut *$out,
            again: &mut $pipeline.again,
            drops: &$pipeline.counters.drops,
            random: &mut $pipeline.random,
            stay: None,
        }
    };
}

mod cache;
mod counters;
mod flow;
mod glance;
mod group;
mod megaflow;
mod parse;
#[cfg(target_arch = "x86_64")]
mod pass_unsafe;
mod settings;
mod stay;
mod upcall;

pub use counters::PipelineCounters;
pub use flow::Flow;
pub use settings::{Malformed, Parser, Settings};

use cache::Learner;

use core::ops::Range;
use std::sync::Arc;

use crate::action::ActionList;
use crate::base::PortNo;
use crate::base::{BondId, Instant, Random, Ufid};
use crate::bond::{Assignment, BondBytes, Bonds};
use crate::boundary::{DatapathError, FlowDump, FlowPut, PutMode, UpcallSink};
use crate::conntrack::Conntrack;
use crate::execute::{TxBatches, WorkList, execute};
use crate::flow::extract::{Extractor, Pass};
use crate::flow::{BurstKeys, FlowKey, beside, layout};
use crate::lookup::{BurstFlows, Emc, Guesses, Hashes, Kernel, Megaflows, Simple, Smc};
use crate::meter::Meters;
use crate::packet::{Burst, Packet, Slots};
use crate::sync::{Published, Reader};
use crate::tunnel::Ends;

/// The pipeline of one packet thread.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    extractor: Extractor,
    simple: Simple,
    guesses: Guesses,
    emc: Emc,
    /// Whether packets of the port that is served now use it.
    emc_in_use: bool,
    smc: Smc,
    /// Which caches are to know what the megaflow table finds in this pass.
    learner: Learner,
    megaflows: Megaflows<Flow>,
    counters: Arc<PipelineCounters>,
    again: WorkList,
    meters: Arc<Meters>,
    bonds: Bonds,
    ends: Reader<Ends>,
    conntrack: Arc<Conntrack>,
    random: Random,
    scratch: Box<Scratch>,
    /// Packets wait on the list for their further passes, in any case.
    #[cfg(test)]
    queues: bool,
}

/// What a pass works on; kept so that nothing is cleared or allocated for each burst.
#[derive(Debug, Default)]
struct Scratch {
    keys: BurstKeys,
    /// The flow of each slot, as far as it has been found.
    flows: BurstFlows,
    /// Packets whose keys lack what lies beyond the first lane.
    half_keyed: Slots,
    /// For the cache's insertions.
    hashes: Hashes,
    /// Packets of a further pass.
    burst: Burst,
}

/// What a stage needs to know of the call it works for.
#[derive(Clone, Copy)]
struct Turn<'a> {
    now: Instant,
    pass: Pass,
    /// Bytes of the frames of the whole burst; 0 where nobody has counted.
    bytes: u64,
    sink: &'a dyn UpcallSink,
}

impl Turn<'_> {
    /// The port of entry, where the packets' metadata does not have it.
    const fn in_port(&self) -> Option<PortNo> {
        match self.pass {
            Pass::First(port) => Some(port),
            Pass::Again => None,
        }
    }
}

impl Pipeline {
    /// A pipeline without flows.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            extractor: settings.extractor(),
            simple: Simple::default(),
            guesses: Guesses::new(settings.seed),
            emc_in_use: true,
            smc: Smc::new(settings.smc_entries()),
            learner: Learner::default(),
            emc: Emc::new(
                settings.emc_entries,
                settings.emc_insert_inv_prob,
                settings.seed,
                settings.kernel,
            ),
            megaflows: Megaflows::new(settings.limits(), settings.seed, settings.kernel),
            counters: Arc::default(),
            again: WorkList::new(settings.recirc_limit),
            meters: Arc::default(),
            ends: Arc::new(Published::new(Ends::default())).reader(),
            conntrack: Arc::new(Conntrack::new(settings.seed)),
            bonds: Bonds::default(),
            random: Random::new(settings.seed),
            scratch: Box::default(),
            #[cfg(test)]
            queues: false,
            settings,
        }
    }

    /// What it counts; to be read by any thread.
    #[must_use]
    pub const fn counters(&self) -> &Arc<PipelineCounters> {
        &self.counters
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings that can be changed in flight: all but the exact-match cache's size and
    /// the seed, which stay as they were.
    pub fn configure(&mut self, settings: &Settings) {
        self.settings = Settings {
            emc_entries: self.settings.emc_entries,
            seed: self.settings.seed,
            ..settings.clone()
        };
        self.emc.set_kernel(self.settings.kernel);
        self.megaflows.set_kernel(self.settings.kernel);
        self.smc.resize(self.settings.smc_entries());
        self.extractor = self.settings.extractor();
        self.emc.set_insert_inv_prob(self.settings.emc_insert_inv_prob);
        self.megaflows.set_limits(self.settings.limits());
        self.again.set_depth(self.settings.recirc_limit);
    }

    /// Takes a burst that has just come in by `in_port` through to its end: afterwards the burst
    /// is empty, and what is to be sent waits in `out`. Returns how many bytes the frames had.
    pub fn process(
        &mut self,
        in_port: PortNo,
        burst: &mut Burst,
        now: Instant,
        sink: &dyn UpcallSink,
        out: &mut TxBatches,
    ) -> u64 {
        self.counters.received.add(burst.len() as u64);
        let _ = self.ends.get();
        let bytes = burst.iter().map(|packet| packet.len() as u64).sum();
        let turn = Turn { now, pass: Pass::First(in_port), bytes, sink };
        self.pass(burst, &turn, out);
        burst.clear();
        self.run_again(now, sink, out);
        bytes
    }

    /// Executes actions on one packet that is as `key` says beside its frame (port of entry, marks,
    /// tunnel …), recirculations included: for packets that the control side sends.
    pub fn execute(
        &mut self,
        mut packet: Packet,
        key: &FlowKey,
        actions: &ActionList,
        now: Instant,
        sink: &dyn UpcallSink,
        out: &mut TxBatches,
    ) {
        let mut burst = core::mem::take(&mut self.scratch.burst);
        burst.clear();
        let _ = self.ends.get();
        beside::take_on(key, &mut packet);
        self.extractor.locate(&mut packet);
        // There is room in an empty burst.
        drop(burst.push(packet));
        let turn = Turn { now, pass: Pass::Again, bytes: 0, sink };
        let context = context!(self, turn);
        execute(actions, &mut burst, Slots::first(1), &context, &mut exits!(self, out));
        self.scratch.burst = burst;
        self.run_again(now, sink, out);
    }

    /// Whether the packets of the bursts that follow use the exact-match cache; they do at first.
    /// It costs nothing to say so before each burst.
    pub const fn use_emc(&mut self, yes: bool) {
        self.emc_in_use = yes;
    }

    /// From now on these are the tunnel ports, as they are published.
    pub fn set_ends(&mut self, ends: &Arc<Published<Ends>>) {
        self.ends = ends.reader();
    }

    /// From now on these are the connections: those that all pipelines of a datapath share.
    pub fn set_conntrack(&mut self, conntrack: Arc<Conntrack>) {
        self.conntrack = conntrack;
    }

    /// The connections.
    #[must_use]
    pub const fn conntrack(&self) -> &Arc<Conntrack> {
        &self.conntrack
    }

    /// From now on these are the meters.
    pub fn set_meters(&mut self, meters: Arc<Meters>) {
        self.meters = meters;
    }

    /// Assigns the buckets of a bond, new or known; `bytes` counts what they carry.
    pub fn set_bond(&mut self, id: BondId, ports: Box<Assignment>, bytes: Arc<BondBytes>) {
        self.bonds.set(id, ports, bytes);
    }

    /// Forgets a bond. `false`: there is none.
    pub fn remove_bond(&mut self, id: BondId) -> bool {
        self.bonds.remove(id)
    }

    /// Runs further passes until no packet waits for one.
    fn run_again(&mut self, now: Instant, sink: &dyn UpcallSink, out: &mut TxBatches) {
        if self.again.is_empty() {
            return;
        }
        let mut burst = core::mem::take(&mut self.scratch.burst);
        while self.again.next(&mut burst) > 0 {
            self.counters.recirculated.add(burst.len() as u64);
            let turn = Turn { now, pass: Pass::Again, bytes: 0, sink };
            self.pass(&mut burst, &turn, out);
        }
        burst.clear();
        self.scratch.burst = burst;
    }

    /// One pass of a burst, by the kernel of the settings.
    fn pass(&mut self, burst: &mut Burst, turn: &Turn<'_>, out: &mut TxBatches) {
        match self.settings.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(proof) => pass_unsafe::stages_avx2(proof, self, burst, turn, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(proof) => pass_unsafe::stages_avx512(proof, self, burst, turn, out),
            _ => self.stages(burst, turn, out),
        }
    }

    /// The stages in order.
    #[inline(always)]
    fn stages(&mut self, burst: &mut Burst, turn: &Turn<'_>, out: &mut TxBatches) {
        if self.glance(burst, turn, out) {
            return;
        }
        let mut turn = *turn;
        let mut keyed = self.parse(burst, Slots::first(burst.len()), &turn);
        self.scratch.half_keyed = Slots::NONE;
        loop {
            let known = self.find(burst, keyed, &turn, out);
            let staying = self.group(burst, known, &turn, out);
            if staying.all().is_empty() {
                return;
            }
            turn.pass = Pass::Again;
            if !staying.is_unchanged() {
                turn.bytes = 0;
            }
            keyed = self.rekey(burst, staying, &turn);
        }
    }

    /// Finds the flows of the packets in `keyed`; returns those whose flow is known, or has been made
    /// known by a packet before them.
    #[inline(always)]
    fn find(
        &mut self,
        burst: &mut Burst,
        keyed: Slots,
        turn: &Turn<'_>,
        out: &mut TxBatches,
    ) -> Slots {
        let cached = self.cache(burst, keyed, turn);
        if cached.missed.is_empty() {
            return cached.hit;
        }
        let found = self.megaflow(cached.missed);
        let known = cached.hit.or(found.hit);
        if found.unknown.is_empty() {
            return known;
        }
        known.or(self.upcall(burst, found.unknown, turn, out))
    }

    /// Housekeeping: to be called now and then between bursts. Reconsiders the order of subtables
    /// once a second.
    pub fn tick(&mut self, now: Instant) {
        self.megaflows.sort(now);
        self.counters.flows.set(self.megaflows.len() as u64);
        self.counters.masks.set(self.megaflows.masks() as u64);
    }

    /// Installs or changes a flow that did not come of an upcall.
    ///
    /// # Errors
    ///
    /// What its mode forbids, or a full table.
    pub fn put(&mut self, put: &FlowPut) -> Result<Ufid, DatapathError> {
        let mut mask = put.mask.clone();
        mask.unwildcard_place(layout::IN_PORT);
        let id = Megaflows::<Flow>::id(&put.key, &mask);
        let known = self.megaflows.lookup_ufid(id);
        match (known.and_then(|flow| self.megaflows.get_mut(flow)), put.mode) {
            (Some(_), PutMode::Create) => return Err(DatapathError::Exists),
            (None, PutMode::Modify) => return Err(DatapathError::NoFlow),
            (Some(flow), _) => {
                flow.set_actions(Arc::clone(&put.actions));
                if put.zero_stats {
                    flow.zero_stats();
                }
            }
            (None, _) => {
                let flow = Flow::new(&put.key, Arc::clone(&put.actions), put.now);
                if self.megaflows.insert(&put.key, &mask, flow).is_err() {
                    return Err(DatapathError::Full);
                }
                self.counters.installed.add(1);
                self.count_flows();
            }
        }
        Ok(id)
    }

    /// Removes a flow. `false`: there is none with this id.
    pub fn remove(&mut self, ufid: Ufid) -> bool {
        let removed = self.megaflows.remove(ufid).is_some();
        self.count_flows();
        removed
    }

    /// Replaces what a flow does; its statistics go on. `false`: there is none with this id.
    pub fn replace_actions(&mut self, ufid: Ufid, actions: ActionList) -> bool {
        let flow = self.megaflows.lookup_ufid(ufid);
        flow.and_then(|flow| self.megaflows.get_mut(flow)).is_some_and(|flow| {
            flow.set_actions(actions);
            true
        })
    }

    /// Removes all flows; returns how many there were.
    pub fn flush(&mut self) -> usize {
        let removed = self.megaflows.clear();
        self.count_flows();
        removed
    }

    /// How many flows there are.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.megaflows.len()
    }

    /// The flow that a packet with this key would take.
    #[must_use]
    pub fn lookup(&self, key: &FlowKey) -> Option<&Flow> {
        self.megaflows.get(self.megaflows.lookup_key(key)?)
    }

    /// All flows, as dumps show them; `thread` is what to call this thread.
    pub fn flows(&self, thread: u32) -> impl Iterator<Item = FlowDump> {
        self.flows_in(0..self.flow_slots(), thread)
    }

    /// The flows in a range of slots below [`Self::flow_slots`], for dumps that pause between
    /// parts: a flow that is there all the time is dumped once.
    pub fn flows_in(&self, slots: Range<u32>, thread: u32) -> impl Iterator<Item = FlowDump> {
        self.megaflows.range(slots).map(move |megaflow| FlowDump {
            ufid: megaflow.ufid,
            thread,
            key: Arc::new(megaflow.value.key()),
            mask: Arc::clone(megaflow.mask),
            actions: Arc::clone(megaflow.value.actions()),
            stats: Arc::clone(megaflow.value.stats()),
            created: megaflow.value.created(),
        })
    }

    /// How many slots there are for flows, in use or not.
    #[must_use]
    pub fn flow_slots(&self) -> u32 {
        self.megaflows.flows().slot_count()
    }

    fn count_flows(&self) {
        self.counters.flows.set(self.megaflows.len() as u64);
        self.counters.masks.set(self.megaflows.masks() as u64);
    }
}

#[cfg(test)]
mod tests;
