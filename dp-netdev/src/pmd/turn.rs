//! One turn: receive, process, send.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Receiver;
use dp_core::action::{ActionList, Userspace};
use dp_core::base::{DropReason, Duration, Instant, PortNo, RecircId, Ufid};
use dp_core::boundary::{FlowDump, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::conntrack::Conntrack;
use dp_core::execute::TxBatches;
use dp_core::packet::{BURST, Burst};
use dp_core::pipeline::{Pipeline, PipelineCounters, Settings};
use dp_core::sync::{Counter, Published};
use dp_core::tunnel::Ends;

use super::command::{Command, Execute, Inbox, Mailbox};
use super::counters::{INTERVAL, LoopCounters, RxCounters, TxCounters};
use super::fairness::{Budget, is_control, is_owed};
use super::perf::Sample;
use crate::port::{PortError, RxEnd, RxQueue, TxQueue, Wake, dpdk};
use crate::qos::gate::{EgressGate, IngressGate};
use crate::system::cycles;

/// How often the pipeline's housekeeping runs.
const TICK: Duration = Duration::from_millis(100);
/// How often connections that are over are looked for, and how many records at most.
const SWEEP: Duration = Duration::from_millis(1);
const SWEEP_MOST: u32 = 1024;
/// How many of them in a turn that moved packets, for the next ones wait for it; and in one that did not.
const SWEEP_BUSY: u32 = 64;
const SWEEP_IDLE: u32 = 256;
/// Commands that are obeyed in a row.
const OBEYED: usize = 16;
/// Slots of flows that one dump command looks at: bounds what a dump costs a turn.
const DUMPED: u32 = 256;

/// A receive queue that a thread serves.
pub(crate) struct RxSlot {
    pub(crate) port: PortNo,
    /// Which of the port's.
    pub(crate) number: u32,
    pub(crate) queue: Box<dyn RxQueue>,
    pub(crate) counters: Arc<RxCounters>,
    pub(crate) end: Arc<End>,
    pub(crate) gate: IngressGate,
    /// Whether packets of the port use the exact-match cache; the port's, read once a burst.
    pub(crate) emc: Arc<AtomicBool>,
    pub(crate) budget: Budget,
    /// What it has taken of the turn, in cycles, and whether it brings all that a burst can hold.
    pub(crate) took: u64,
    pub(crate) full: bool,
}

impl RxSlot {
    /// The queue `number` of a port.
    pub(crate) fn new(
        port: PortNo,
        number: u32,
        queue: Box<dyn RxQueue>,
        counters: Arc<RxCounters>,
        end: Arc<End>,
        gate: IngressGate,
        emc: Arc<AtomicBool>,
    ) -> Self {
        let budget = Budget::new(cycles());
        Self { port, number, queue, counters, end, gate, emc, budget, took: 0, full: false }
    }
}

/// A transmit queue that a thread uses.
pub(crate) struct TxSlot {
    pub(crate) queue: Box<dyn TxQueue>,
    pub(crate) counters: Arc<TxCounters>,
    pub(crate) end: Arc<End>,
    pub(crate) gate: EgressGate,
}

impl TxSlot {
    fn flush(&mut self) {
        if let Err(error) = self.queue.flush() {
            self.end.fail(&error);
        }
    }
}

/// How the queues of a port ended: written by packet threads, read by the control side.
#[derive(Debug, Default)]
pub(crate) struct End(Mutex<EndState>);

#[derive(Debug, Default)]
pub(crate) struct EndState {
    /// Receive queues that have ended.
    pub(crate) ended: usize,
    /// The first failure of any queue.
    pub(crate) failure: Option<String>,
}

impl End {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut EndState) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, end: &RxEnd) {
        self.with(|state| {
            state.ended += 1;
            if let RxEnd::Failed(error) = end {
                state.failure.get_or_insert_with(|| error.to_string());
            }
        });
    }

    fn fail(&self, error: &PortError) {
        self.with(|state| {
            state.failure.get_or_insert_with(|| error.to_string());
        });
    }
}

/// A slow path whose time is measured, and limited.
struct Timed<'a> {
    sink: &'a dyn UpcallSink,
    counters: &'a LoopCounters,
    /// Cycles that it may take for this burst.
    most: u64,
    asked: Counter,
    spent: Counter,
}

impl UpcallSink for Timed<'_> {
    fn upcall(&self, upcall: &Upcall<'_>, now: Instant) -> Result<Verdict, UpcallError> {
        self.asked.add(1);
        if self.spent.get() >= self.most && !is_control(upcall.key) {
            return Err(UpcallError::Overload);
        }
        let began = cycles();
        let answer = self.sink.upcall(upcall, now);
        let spent = cycles().wrapping_sub(began);
        self.spent.add(spent);
        self.counters.upcall_cycles.add(spent);
        answer
    }

    fn userspace(
        &self,
        request: &Userspace,
        upcall: &Upcall<'_>,
        now: Instant,
    ) -> Option<ActionList> {
        self.sink.userspace(request, upcall, now)
    }

    fn sampled(&self, group: u32, cookie: &[u8], frame: &[u8], now: Instant) {
        self.sink.sampled(group, cookie, frame, now);
    }

    fn passed_too_often(&self, id: RecircId, count: u64, upcall: &Upcall<'_>, now: Instant) {
        self.sink.passed_too_often(id, count, upcall, now);
    }

    fn widened(&self, asked: Ufid, installed: Ufid) {
        self.sink.widened(asked, installed);
    }
}

/// What came of serving a queue.
#[derive(Clone, Copy, Default)]
struct Served {
    packets: usize,
    /// Cycles.
    took: u64,
    /// The queue has come to its end.
    ended: bool,
}

/// All that one packet thread owns.
pub(crate) struct Pmd {
    id: u32,
    pipeline: Pipeline,
    sink: Arc<dyn UpcallSink>,
    mailbox: Arc<Mailbox>,
    commands: Receiver<Command>,
    urgent: Receiver<Execute>,
    executes: VecDeque<Execute>,
    rx: Vec<RxSlot>,
    /// By port number.
    tx: Vec<Option<TxSlot>>,
    out: TxBatches,
    burst: Burst,
    counters: Arc<LoopCounters>,
    next_tick: Instant,
    /// When connections were last looked through.
    swept: Instant,
    /// Records that are to be looked through before that is due again.
    unswept: u32,
    /// When the interval of load that runs ends.
    next_interval: Option<Instant>,
    /// The processor's clock at the end of the last turn.
    mark: u64,
    /// Whether this turn is to be noted, and what there is to note of it.
    noted: bool,
    sample: Sample,
    /// How long packets may wait to leave together, in microseconds; shared with the control side.
    patience: Arc<AtomicU32>,
    /// Packets that have come since the last were sent, and since when some wait.
    waiting: usize,
    waiting_since: Option<Instant>,
    /// Ports whose shapers hold packets.
    shaped: Vec<PortNo>,
}

impl Pmd {
    pub(crate) fn new(
        id: u32,
        settings: Settings,
        conntrack: Arc<Conntrack>,
        sink: Arc<dyn UpcallSink>,
        mailbox: Arc<Mailbox>,
        inbox: Inbox,
    ) -> Self {
        let Inbox { commands, urgent } = inbox;
        let mut pipeline = Pipeline::new(settings);
        pipeline.set_conntrack(conntrack);
        Self {
            id,
            pipeline,
            sink,
            mailbox,
            commands,
            urgent,
            executes: VecDeque::new(),
            rx: Vec::new(),
            tx: Vec::new(),
            out: TxBatches::default(),
            burst: Burst::default(),
            counters: Arc::default(),
            next_tick: Instant::default(),
            swept: Instant::default(),
            unswept: 0,
            next_interval: None,
            mark: cycles(),
            noted: false,
            sample: Sample::default(),
            patience: Arc::default(),
            waiting: 0,
            waiting_since: None,
            shaped: Vec::new(),
        }
    }

    /// From now on these are the tunnel ports.
    pub(crate) fn set_ends(&mut self, ends: &Arc<Published<Ends>>) {
        self.pipeline.set_ends(ends);
    }

    /// What the pipeline counts.
    pub(crate) fn pipeline_counters(&self) -> Arc<PipelineCounters> {
        Arc::clone(self.pipeline.counters())
    }

    /// What the loop counts.
    pub(crate) fn loop_counters(&self) -> Arc<LoopCounters> {
        Arc::clone(&self.counters)
    }

    /// Serves every queue once, and those again that one of the others made wait; returns how many
    /// packets moved.
    pub(crate) fn turn(&mut self, now: Instant) -> usize {
        let began = self.mark;
        self.noted = self.counters.perf.is_on();
        let mut moved = self.run_urgent(now);
        // Commands come by the thousand when flows expire: what keeps a session alive goes between.
        for _ in 0..self.commands.len().div_ceil(OBEYED) {
            self.obey_some(OBEYED);
            moved += self.run_urgent(now);
        }
        moved += self.run_executes(now);
        let (mut ended, mut worst) = (false, 0);
        for index in 0..self.rx.len() {
            let Some(slot) = self.rx.get_mut(index) else { break };
            slot.took = 0;
            let served = self.serve(index, now);
            moved += served.packets;
            ended |= served.ended;
            worst = worst.max(served.took);
            // Bulk traffic that takes the slow path makes turns long: what keeps a session alive leaves
            // between two queues.
            moved += self.run_urgent(now);
        }
        if self.rx.len() > 1 {
            let served = self.serve_owed(worst, now);
            moved += served.packets;
            ended |= served.ended;
        }
        if ended {
            self.rx.retain(|slot| slot.port != PortNo::NONE);
        }
        self.send_when_due(now, moved);
        moved += self.drain(now);
        self.counters.turns.add(1);
        self.counters.looked.store(now.0, Ordering::Relaxed);
        self.mark = cycles();
        let spent = self.mark.wrapping_sub(began);
        if moved != 0 {
            self.counters.busy.add(1);
            self.counters.busy_cycles.add(spent);
        } else {
            self.counters.idle_cycles.add(spent);
        }
        if self.noted {
            self.sample.cycles = spent;
            self.counters.perf.note(now, core::mem::take(&mut self.sample));
        }
        if now >= self.next_tick {
            self.next_tick = now.after(TICK);
            self.pipeline.tick(now);
            self.find_shaped();
            self.close_intervals(now);
        }
        if self.id == 0 {
            self.sweep(now, moved);
        }
        moved
    }

    /// Receives a burst from the queue at this place, and takes it through.
    #[inline]
    fn serve(&mut self, index: usize, now: Instant) -> Served {
        let Some(slot) = self.rx.get_mut(index) else { return Served::default() };
        match slot.queue.receive(&mut self.burst, now) {
            Ok(lost) => {
                if lost.total() != 0 {
                    slot.counters.lose(lost);
                    for (reason, count) in lost.reasons() {
                        self.pipeline.counters().drops.add(reason, count);
                    }
                }
            }
            Err(end) => {
                slot.end.note(&end);
                slot.port = PortNo::NONE;
                return Served { ended: true, ..Served::default() };
            }
        }
        let packets = self.burst.len();
        slot.full = packets == BURST;
        if packets == 0 {
            return Served::default();
        }
        let policed = u64::from(slot.gate.pass(&mut self.burst, now));
        if policed != 0 {
            slot.counters.lost.add(policed);
            self.pipeline.counters().drops.add(DropReason::RxPoliced, policed);
        }
        slot.counters.packets.add(self.burst.len() as u64);
        let sink = Timed {
            sink: &*self.sink,
            counters: &self.counters,
            most: slot.budget.open(self.mark, packets),
            asked: Counter::new(0),
            spent: Counter::new(0),
        };
        self.pipeline.use_emc(slot.emc.load(Ordering::Relaxed));
        let bytes = self.pipeline.process(slot.port, &mut self.burst, now, &sink, &mut self.out);
        slot.counters.bytes.add(bytes);
        slot.budget.close(packets, sink.asked.get(), sink.spent.get());
        if self.noted {
            let left = u64::from(slot.queue.left());
            self.sample.guest_ring = self.sample.guest_ring.max(left);
            self.sample.burst(packets, sink.asked.get(), sink.spent.get());
        }
        let after = cycles();
        let took = after.wrapping_sub(self.mark);
        self.mark = after;
        slot.counters.cycles.add(took);
        slot.took += took;
        Served { packets, took, ended: false }
    }

    /// Serves queues that bring full bursts until they have taken what the costliest took.
    fn serve_owed(&mut self, worst: u64, now: Instant) -> Served {
        let mut all = Served::default();
        for index in 0..self.rx.len() {
            while self.rx.get(index).is_some_and(|it| it.full && is_owed(it.took, worst)) {
                // Room for another burst.
                self.send(now);
                let served = self.serve(index, now);
                all.packets += served.packets;
                all.ended |= served.ended;
                if served.packets == 0 {
                    break;
                }
            }
        }
        all
    }

    /// Ends connections that are over: a few records at a time, so that no packet waits for it.
    fn sweep(&mut self, now: Instant, moved: usize) {
        let conntrack = self.pipeline.conntrack();
        let since = now.since(self.swept);
        if since >= SWEEP {
            self.swept = now;
            let share = self.unswept.saturating_add(conntrack.sweep_share(since));
            self.unswept = share.min(SWEEP_MOST);
            let expired = conntrack.fragments().expire(now);
            if expired != 0 {
                self.pipeline.counters().drops.add(DropReason::FragmentExpired, expired);
            }
        }
        if self.unswept != 0 {
            let most = self.unswept.min(if moved == 0 { SWEEP_IDLE } else { SWEEP_BUSY });
            self.unswept -= most;
            conntrack.sweep(now, most);
        }
    }

    /// Sends what waits, unless it may wait on for more: a burst has not come together, and the
    /// first of it waits less long than is allowed.
    #[inline]
    fn send_when_due(&mut self, now: Instant, moved: usize) {
        let patience = self.patience.load(Ordering::Relaxed);
        if patience == 0 {
            return self.send(now);
        }
        if self.out.is_empty() {
            return;
        }
        self.waiting += moved;
        let since = *self.waiting_since.get_or_insert(now);
        let due = now.since(since) >= Duration::from_micros(u64::from(patience));
        if due || self.waiting >= BURST {
            self.send(now);
        }
    }

    /// Remembers what queues and thread took in the intervals that have ended.
    fn close_intervals(&mut self, now: Instant) {
        let next = *self.next_interval.get_or_insert(now.after(INTERVAL));
        if now < next {
            return;
        }
        self.next_interval = Some(now.after(INTERVAL));
        self.counters.window.close(self.counters.cycles());
        self.counters.busy_window.close(self.counters.busy_cycles.get());
        for slot in &self.rx {
            slot.counters.window.close(slot.counters.cycles.get());
        }
    }

    /// Forgets what queues and thread took of late: other queues make another load.
    fn forget_load(&mut self) {
        self.next_interval = None;
        self.counters.window.reset(self.counters.cycles());
        self.counters.busy_window.reset(self.counters.busy_cycles.get());
        for slot in &self.rx {
            slot.counters.window.reset(slot.counters.cycles.get());
        }
    }

    /// Sends what waits.
    fn send(&mut self, now: Instant) {
        if self.out.is_empty() {
            return;
        }
        self.waiting = 0;
        self.waiting_since = None;
        let Self { out, tx, pipeline, counters, shaped, .. } = self;
        let drops = &pipeline.counters().drops;
        out.flush(|port, batch| {
            let Some(Some(slot)) = tx.get_mut(port.0 as usize) else {
                drops.add(DropReason::InvalidPort, batch.live().len() as u64);
                batch.clear();
                return;
            };
            let (sent, waits) = slot.gate.transmit(&mut *slot.queue, batch, now);
            slot.counters.credit(&sent);
            counters.sent.add(u64::from(sent.packets));
            counters.batches.add(1);
            for (reason, count) in sent.reasons() {
                drops.add(reason, count);
            }
            if waits && !shaped.contains(&port) {
                shaped.push(port);
            }
        });
    }

    /// Sends what shapers let go by now; returns how many packets.
    #[inline]
    fn drain(&mut self, now: Instant) -> usize {
        if self.shaped.is_empty() {
            return 0;
        }
        let Self { tx, pipeline, counters, shaped, .. } = self;
        let mut moved = 0;
        shaped.retain(|port| {
            let Some(Some(slot)) = tx.get_mut(port.0 as usize) else { return false };
            let (sent, waits) = slot.gate.drain(&mut *slot.queue, now);
            slot.counters.credit(&sent);
            counters.sent.add(u64::from(sent.packets));
            for (reason, count) in sent.reasons() {
                pipeline.counters().drops.add(reason, count);
            }
            moved += sent.packets as usize;
            waits
        });
        moved
    }

    /// Finds ports whose shapers hold packets that nobody looks after: the thread that put them
    /// there may be gone.
    fn find_shaped(&mut self) {
        for (slot, number) in self.tx.iter_mut().zip(0..) {
            let Some(slot) = slot else { continue };
            if slot.gate.may_wait() && !self.shaped.contains(&PortNo(number)) {
                self.shaped.push(PortNo(number));
            }
        }
    }

    /// Does what the control side has asked for. Packets to be executed are kept for the turn:
    /// executing may ask the slow path, which may be the one that is asking now.
    pub(crate) fn obey(&mut self) {
        self.obey_some(usize::MAX);
    }

    fn obey_some(&mut self, most: usize) {
        // No more than there are: somebody may send as fast as we obey.
        for _ in 0..self.commands.len().min(most) {
            let Ok(command) = self.commands.try_recv() else { return };
            match command {
                Command::AddRx(slot) => {
                    dpdk::attach_thread();
                    self.rx.push(*slot);
                }
                Command::AddTx(port, slot) => {
                    dpdk::attach_thread();
                    self.add_tx(port, *slot);
                }
                Command::TakeRx(port, number, answer) => {
                    let _ = answer.try_send(self.take_rx(port, number));
                }
                Command::TakeTx(port, answer) => {
                    let _ = answer.try_send(self.take_tx(port));
                }
                Command::ForgetLoad(done) => {
                    self.forget_load();
                    let _ = done.try_send(());
                }
                Command::RemovePort(port, done) => {
                    self.remove_port(port);
                    // Whoever asked may have given up.
                    let _ = done.try_send(());
                }
                Command::FlowInstall(put, done) => {
                    let _ = done.try_send(self.pipeline.put(&put));
                }
                Command::Meters(meters) => self.pipeline.set_meters(meters),
                Command::BondSet(id, ports, bytes) => self.pipeline.set_bond(id, ports, bytes),
                Command::BondDel(id) => {
                    let _ = self.pipeline.remove_bond(id);
                }
                Command::FlowPut(ufid, actions) => {
                    // A flow that has gone meanwhile needs no new actions.
                    let _ = self.pipeline.replace_actions(ufid, actions);
                }
                Command::FlowDel(ufid) => {
                    let _ = self.pipeline.remove(ufid);
                }
                Command::Flush(done) => {
                    let _ = done.try_send(self.pipeline.flush());
                }
                Command::Dump(from, answer) => {
                    let _ = answer.try_send(self.dump(from));
                }
                Command::Execute(execute) => self.executes.push_back(*execute),
                Command::Configure(settings) => self.pipeline.configure(&settings),
            }
        }
    }

    /// Executes what must not wait, and sends it.
    #[inline]
    fn run_urgent(&mut self, now: Instant) -> usize {
        // Taking from an empty channel costs a fence; looking costs nothing.
        if self.urgent.is_empty() { 0 } else { self.execute_urgent(now) }
    }

    #[cold]
    fn execute_urgent(&mut self, now: Instant) -> usize {
        let mut count = 0;
        // No more than there may be: somebody may leave them as fast as they are sent.
        while count < BURST
            && let Ok(Execute { packet, key, actions }) = self.urgent.try_recv()
        {
            let Self { pipeline, sink, out, .. } = self;
            pipeline.execute(packet, &key, &actions, now, &**sink, out);
            count += 1;
        }
        if count != 0 {
            self.send(now);
        }
        count
    }

    fn run_executes(&mut self, now: Instant) -> usize {
        let count = self.executes.len();
        for Execute { packet, key, actions } in self.executes.drain(..) {
            self.mailbox.release_execute();
            let Self { pipeline, sink, out, .. } = self;
            pipeline.execute(packet, &key, &actions, now, &**sink, out);
        }
        count
    }

    fn add_tx(&mut self, port: PortNo, slot: TxSlot) {
        if !self.out.add_port(port) {
            return;
        }
        let index = port.0 as usize;
        if index >= self.tx.len() {
            self.tx.resize_with(index + 1, || None);
        }
        if let Some(place) = self.tx.get_mut(index) {
            *place = Some(slot);
        }
    }

    fn take_rx(&mut self, port: PortNo, number: u32) -> Option<Box<RxSlot>> {
        let index = self.rx.iter().position(|it| it.port == port && it.number == number)?;
        Some(Box::new(self.rx.remove(index)))
    }

    fn take_tx(&mut self, port: PortNo) -> Option<Box<TxSlot>> {
        if let Some(waiting) = self.out.remove_port(port) {
            let count = waiting.len() as u64;
            self.pipeline.counters().drops.add(DropReason::InvalidPort, count);
        }
        let mut slot = self.tx.get_mut(port.0 as usize)?.take()?;
        slot.flush();
        Some(Box::new(slot))
    }

    fn remove_port(&mut self, port: PortNo) {
        self.rx.retain(|slot| slot.port != port);
        drop(self.take_tx(port));
    }

    fn dump(&self, from: u32) -> (Vec<FlowDump>, Option<u32>) {
        let next = from.saturating_add(DUMPED);
        let flows = self.pipeline.flows_in(from..next, self.id).collect();
        (flows, (next < self.pipeline.flow_slots()).then_some(next))
    }

    /// How long packets may wait to leave together.
    pub(crate) fn patience(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.patience)
    }

    /// What the processor's clock showed when the last turn had sent its packets.
    pub(crate) const fn mark(&self) -> u64 {
        self.mark
    }

    /// Whether it serves any receive queue.
    pub(crate) fn serves(&self) -> bool {
        !self.rx.is_empty()
    }

    /// Whether something waits for the next turn.
    pub(crate) fn has_work(&self) -> bool {
        !self.commands.is_empty() || !self.executes.is_empty() || !self.urgent.is_empty()
    }

    /// Lets transmit queues write out what they have kept back.
    pub(crate) fn flush_queues(&mut self, now: Instant) {
        self.send(now);
        for slot in self.tx.iter_mut().flatten() {
            slot.flush();
        }
    }

    /// What the receive queues wait for.
    pub(crate) fn wakes(&self) -> impl Iterator<Item = Wake> {
        let due = self
            .shaped
            .iter()
            .filter_map(|port| self.tx.get(port.0 as usize)?.as_ref()?.gate.due().map(Wake::at));
        self.rx.iter().map(|slot| slot.queue.wake()).chain(due)
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
}
