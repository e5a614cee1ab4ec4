//! What the slow path asks of the datapath.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use dp_core::action::ActionList;
use dp_core::base::{BondId, Instant, MeterId, Ufid};
use dp_core::bond::{Assignment, BUCKETS};
use dp_core::boundary::{Datapath, DatapathError, FlowDump, FlowPut, PortInfo};
use dp_core::conntrack::Conntrack;
use dp_core::flow::FlowKey;
use dp_core::meter::{MeterConfig, MeterError, MeterStats, MeterTable};
use dp_core::packet::Packet;
use dp_core::pipeline::Settings;

use super::worker::Worker;
use super::{Bond, Netdev, lock};
use crate::pmd::Command;
use crate::pmd::command::Execute;

impl Netdev {
    pub(super) fn worker(&self, thread: u32) -> Result<Arc<Worker>, DatapathError> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        let found = workers.binary_search_by_key(&thread, |worker| worker.id);
        found.ok().and_then(|at| workers.get(at)).map(Arc::clone).ok_or(DatapathError::NoThread)
    }

    /// Removes all megaflows of all threads; returns how many there were.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Busy`].
    pub fn flow_flush(&self) -> Result<usize, DatapathError> {
        self.workers().iter().map(|worker| worker.ask(Command::Flush)).sum()
    }

    /// Changes the settings of all pipelines that can be changed in flight.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Busy`].
    pub fn configure(&self, settings: &Settings) -> Result<(), DatapathError> {
        lock(&self.settings).clone_from(settings);
        let each =
            |worker: &Arc<Worker>| worker.post(Command::Configure(Box::new(settings.clone())));
        self.workers().iter().try_for_each(each)
    }
}

impl Netdev {
    /// Lets all threads see the meters as they are now.
    fn publish(&self, meters: &MeterTable) -> Result<(), MeterError> {
        let snapshot = meters.snapshot();
        let each = |worker: &Arc<Worker>| worker.post(Command::Meters(Arc::clone(&snapshot)));
        self.workers().iter().try_for_each(each).map_err(|_| MeterError::Busy)
    }

    /// Gives a new thread what all threads share: meters and bonds.
    pub(super) fn equip(&self, worker: &Worker) -> Result<(), DatapathError> {
        worker.post(Command::Meters(lock(&self.meters).snapshot()))?;
        for (id, bond) in lock(&self.bonds).iter_mut() {
            bond.tell(*id, worker)?;
        }
        Ok(())
    }
}

impl Netdev {
    /// The bonds that have a table here, with the port of each bucket.
    #[must_use]
    pub fn bond_assignments(&self) -> Vec<(BondId, Assignment)> {
        lock(&self.bonds).iter().map(|(id, bond)| (*id, bond.ports)).collect()
    }
}

impl Bond {
    /// Tells a thread of it.
    fn tell(&mut self, id: BondId, worker: &Worker) -> Result<(), DatapathError> {
        let bytes = Arc::clone(self.bytes.entry(worker.id).or_default());
        worker.post(Command::BondSet(id, Box::new(self.ports), bytes))
    }
}

impl Datapath for Netdev {
    fn conntrack(&self) -> Option<&Conntrack> {
        Some(&self.common.conntrack)
    }

    fn flow_dump(&self, each: &mut dyn FnMut(FlowDump)) {
        for worker in self.workers() {
            let mut next = Some(0);
            while let Some(from) = next {
                // A thread that does not answer is left out: there is nobody to tell.
                let answer = worker.ask(|answer| Command::Dump(from, answer));
                let Ok((flows, more)) = answer else { break };
                flows.into_iter().for_each(&mut *each);
                next = more;
            }
        }
    }

    fn flow_put(&self, thread: u32, ufid: Ufid, actions: ActionList) -> Result<(), DatapathError> {
        self.worker(thread)?.post(Command::FlowPut(ufid, actions))
    }

    fn flow_del(&self, thread: u32, ufid: Ufid) -> Result<(), DatapathError> {
        self.worker(thread)?.post(Command::FlowDel(ufid))
    }

    fn flow_count(&self) -> usize {
        let flows = self.workers().iter().map(|worker| worker.pipeline.flows.get()).sum::<u64>();
        usize::try_from(flows).unwrap_or(usize::MAX)
    }

    fn flow_install(&self, put: &FlowPut) -> Result<Ufid, DatapathError> {
        let put = Arc::new(put.clone());
        let mut id = Err(DatapathError::NoThread);
        for worker in self.workers() {
            id = worker.ask(|answer| Command::FlowInstall(Arc::clone(&put), answer))?;
            if id.is_err() {
                break;
            }
        }
        id
    }

    fn meter_set(&self, id: MeterId, config: MeterConfig, now: Instant) -> Result<(), MeterError> {
        let mut meters = lock(&self.meters);
        meters.set(id, config, now)?;
        self.publish(&meters)
    }

    fn meter_get(&self, id: MeterId) -> Option<MeterStats> {
        lock(&self.meters).get(id).map(|meter| meter.stats())
    }

    fn meter_del(&self, id: MeterId) -> Result<MeterStats, MeterError> {
        let mut meters = lock(&self.meters);
        let stats = meters.remove(id).ok_or(MeterError::NotFound)?;
        self.publish(&meters)?;
        Ok(stats)
    }

    fn bond_set(&self, id: BondId, ports: &Assignment) -> Result<(), DatapathError> {
        let mut bonds = lock(&self.bonds);
        let bond =
            bonds.entry(id).or_insert_with(|| Bond { ports: *ports, bytes: BTreeMap::new() });
        bond.ports = *ports;
        self.workers().iter().try_for_each(|worker| bond.tell(id, worker))
    }

    fn bond_del(&self, id: BondId) -> Result<(), DatapathError> {
        lock(&self.bonds).remove(&id);
        self.workers().iter().try_for_each(|worker| worker.post(Command::BondDel(id)))
    }

    fn bond_bytes(&self, id: BondId) -> Option<[u64; BUCKETS]> {
        let bonds = lock(&self.bonds);
        let mut sum = [0u64; BUCKETS];
        for bytes in bonds.get(&id)?.bytes.values() {
            for (sum, more) in sum.iter_mut().zip(bytes.snapshot()) {
                *sum = sum.wrapping_add(more);
            }
        }
        Some(sum)
    }

    /// The packet waits for the next turn of the first thread.
    fn execute(
        &self,
        packet: Packet,
        key: &FlowKey,
        actions: ActionList,
    ) -> Result<(), DatapathError> {
        let worker = self.worker(0)?;
        if !worker.mailbox.reserve_execute() {
            return Err(DatapathError::Busy);
        }
        let execute = Execute { packet, key: key.clone(), actions };
        let posted = worker.post(Command::Execute(Box::new(execute)));
        if posted.is_err() {
            worker.mailbox.release_execute();
        }
        posted
    }

    fn ports(&self) -> Vec<PortInfo> {
        self.port_infos()
    }
}
