//! Packets that must not wait, and whether what came in has been looked at.
//!
//! A protocol that watches a link judges silence: it may do so only of what a packet thread has had the
//! time to take in. A thread that is kept busy, or off its processor, has not yet looked at its queues,
//! and a neighbour's message may lie there.
//!
//! What it says itself leaves by a transmit queue that no packet thread has, on the thread of whoever
//! says it, where a port has queues to spare: the kernel's interfaces do. By other ports the first
//! packet thread sends it, before it serves its next queue.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use dp_core::action::{Action, ActionList};
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::DatapathError;
use dp_core::flow::FlowKey;
use dp_core::packet::{Burst, Packet};

use super::{Netdev, lock};
use crate::pmd::TxCounters;
use crate::pmd::command::Execute;
use crate::port::{Port, TxQueue};

/// A transmit queue that no packet thread has.
pub(super) struct OwnTx {
    queue: Mutex<Box<dyn TxQueue>>,
    counters: Arc<TxCounters>,
}

/// Whether a port may be asked for a queue more: those of the kernel cost nothing.
pub(super) fn may_have_own(port: &dyn Port) -> bool {
    matches!(port.kind(), "afpacket" | "tap")
}

impl Netdev {
    /// Until when everything that has come in has been taken in: the beginning of the last turn of
    /// the thread that is farthest behind, by the threads' clock. Without threads, whoever drives the
    /// datapath by hand looks when he likes: `None`.
    #[must_use]
    pub fn looked_until(&self) -> Option<Instant> {
        if !self.running.load(Ordering::Relaxed) {
            return None;
        }
        let workers = self.workers();
        workers.iter().map(|it| Instant(it.turns.looked.load(Ordering::Relaxed))).min()
    }

    /// Has all threads take a turn soon, those that sleep too.
    pub fn nudge(&self) {
        self.workers().iter().for_each(|worker| worker.mailbox.wake());
    }

    /// As [`Datapath::execute`](dp_core::boundary::Datapath::execute), for a packet that waits for no
    /// command and no other packet: the first thread sends it before it serves its next queue.
    ///
    /// # Errors
    ///
    /// [`DatapathError`].
    pub fn execute_urgent(
        &self,
        packet: Packet,
        key: &FlowKey,
        actions: ActionList,
    ) -> Result<(), DatapathError> {
        let packet = match &*actions {
            [Action::Output(port)] => match self.send_by_own(*port, packet) {
                Some(packet) => packet,
                None => return Ok(()),
            },
            _ => packet,
        };
        let execute = Execute { packet, key: key.clone(), actions };
        self.worker(0)?.mailbox.post_urgent(execute)
    }

    /// Sends a packet here and now; gives it back if the port has no queue for that.
    fn send_by_own(&self, port: PortNo, packet: Packet) -> Option<Packet> {
        // Who drives the datapath by hand wants to see the packet in its turn.
        let own = self.running.load(Ordering::Relaxed).then(|| {
            let own = self.own_tx.read().unwrap_or_else(PoisonError::into_inner);
            own.get(&port).cloned()
        });
        let Some(own) = own.flatten() else { return Some(packet) };
        let mut batch = Burst::default();
        if let Err(packet) = batch.push(packet) {
            return Some(packet);
        }
        let mut queue = lock(&own.queue);
        let sent = queue.transmit(&mut batch, self.clock.now());
        // Whoever cannot write it out has nothing kept back to lose.
        let _ = queue.flush();
        own.counters.credit(&sent);
        None
    }

    /// Keeps a queue of a port; what it counts is returned.
    pub(super) fn keep_own_tx(&self, port: PortNo, queue: Box<dyn TxQueue>) -> Arc<TxCounters> {
        let counters = Arc::new(TxCounters::default());
        let own = OwnTx { queue: Mutex::new(queue), counters: Arc::clone(&counters) };
        let mut all = self.own_tx.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(port, Arc::new(own));
        counters
    }

    /// Lets such a queue go.
    pub(super) fn drop_own_tx(&self, port: PortNo) {
        self.own_tx.write().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}
