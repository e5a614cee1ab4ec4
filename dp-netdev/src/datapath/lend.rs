//! Which packet thread sends by which transmit queue of a port.
//!
//! A port hands its queues out once; threads come and go. Each thread borrows a queue of its own as
//! long as there are enough, and a share in one behind a lock otherwise ([`SharedTx`]); what a
//! thread gives back is lent again. A queue that has been shared stays so.

use std::collections::BTreeMap;
use std::sync::Arc;

use dp_core::base::PortNo;
use dp_core::boundary::DatapathError;

use super::worker::Worker;
use crate::pmd::{Command, End, TxCounters, TxSlot};
use crate::port::{SharedTx, TxQueue};
use crate::qos::PortQos;
use crate::qos::gate::EgressGate;

/// The transmit queues of a port.
#[derive(Default)]
pub(super) struct Ledger {
    /// Queues that nobody has.
    spare: Vec<(usize, Box<dyn TxQueue>)>,
    /// Queues that several may have.
    shared: BTreeMap<usize, SharedTx>,
    /// Who has which, and whether it is their own.
    held: BTreeMap<u32, (usize, bool)>,
    /// What threads have counted, those that are gone included.
    counters: Vec<Arc<TxCounters>>,
    count: usize,
    qos: Arc<PortQos>,
}

impl Ledger {
    pub(super) fn new(queues: Vec<Box<dyn TxQueue>>, qos: &Arc<PortQos>) -> Self {
        let count = queues.len();
        let mut spare: Vec<_> = queues.into_iter().enumerate().collect();
        // The first is lent first.
        spare.reverse();
        Self { spare, count, qos: Arc::clone(qos), ..Self::default() }
    }

    /// Counts what somebody else sends by the port, too.
    pub(super) fn count_with(&mut self, counters: Arc<TxCounters>) {
        self.counters.push(counters);
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = &TxCounters> {
        self.counters.iter().map(Arc::as_ref)
    }

    /// Lends a queue to a worker that has none.
    pub(super) fn lend(
        &mut self,
        port: PortNo,
        end: &Arc<End>,
        worker: &Worker,
        workers: &[Arc<Worker>],
    ) -> Result<(), DatapathError> {
        let (index, own, queue) = if let Some((index, queue)) = self.spare.pop() {
            (index, true, queue)
        } else {
            let Some(index) = self.least_held() else { return Ok(()) };
            let Some(share) = self.share(port, index, workers)? else { return Ok(()) };
            (index, false, Box::new(share) as Box<dyn TxQueue>)
        };
        let counters = Arc::new(TxCounters::default());
        self.counters.push(Arc::clone(&counters));
        let gate = EgressGate::new(&self.qos);
        let slot = TxSlot { queue, counters, end: Arc::clone(end), gate };
        self.held.insert(worker.id, (index, own));
        worker.post(Command::AddTx(port, Box::new(slot)))
    }

    /// Takes back what a worker has.
    pub(super) fn take_back(&mut self, port: PortNo, worker: &Worker) {
        let Some((index, own)) = self.held.remove(&worker.id) else { return };
        // A worker that does not answer keeps its queue; the port has one less then.
        let taken = worker.ask(|answer| Command::TakeTx(port, answer));
        if let (Ok(Some(slot)), true) = (taken, own) {
            self.spare.push((index, slot.queue));
        }
    }

    /// The queue that fewest have.
    fn least_held(&self) -> Option<usize> {
        let holders = |index: &usize| self.held.values().filter(|(held, _)| held == index).count();
        (0..self.count).min_by_key(holders)
    }

    /// A share in a queue; whoever had it alone gets a share instead.
    fn share(
        &mut self,
        port: PortNo,
        index: usize,
        workers: &[Arc<Worker>],
    ) -> Result<Option<SharedTx>, DatapathError> {
        if let Some(shared) = self.shared.get(&index) {
            return Ok(Some(shared.clone()));
        }
        let holder = self.held.iter().find(|(_, (held, _))| *held == index).map(|(id, _)| *id);
        let holder = workers.iter().find(|worker| Some(worker.id) == holder);
        let Some(holder) = holder else { return Ok(None) };
        let taken = holder.ask(|answer| Command::TakeTx(port, answer))?;
        let Some(mut slot) = taken else { return Ok(None) };
        let shared = SharedTx::new(slot.queue);
        slot.queue = Box::new(shared.clone());
        self.held.insert(holder.id, (index, false));
        self.shared.insert(index, shared.clone());
        holder.post(Command::AddTx(port, slot))?;
        Ok(Some(shared))
    }
}
