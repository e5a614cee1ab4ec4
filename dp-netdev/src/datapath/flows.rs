//! What the slow path asks of the datapath.

use dp_core::action::ActionList;
use dp_core::base::Ufid;
use dp_core::boundary::{Datapath, DatapathError, FlowDump, PortInfo};
use dp_core::flow::FlowKey;
use dp_core::packet::Packet;
use dp_core::pipeline::Settings;

use super::{Netdev, Worker};
use crate::pmd::Command;
use crate::pmd::command::Execute;

impl Netdev {
    fn worker(&self, thread: u32) -> Result<&Worker, DatapathError> {
        self.workers.get(thread as usize).ok_or(DatapathError::NoThread)
    }

    /// Removes all megaflows of all threads; returns how many there were.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Busy`].
    pub fn flow_flush(&self) -> Result<usize, DatapathError> {
        self.workers.iter().map(|worker| worker.ask(Command::Flush)).sum()
    }

    /// Changes the settings of all pipelines that can be changed in flight.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Busy`].
    pub fn configure(&self, settings: &Settings) -> Result<(), DatapathError> {
        let each = |worker: &Worker| worker.post(Command::Configure(Box::new(settings.clone())));
        self.workers.iter().try_for_each(each)
    }
}

impl Datapath for Netdev {
    fn flow_dump(&self, each: &mut dyn FnMut(FlowDump)) {
        for worker in &self.workers {
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
        let flows = self.workers.iter().map(|worker| worker.pipeline.flows.get()).sum::<u64>();
        usize::try_from(flows).unwrap_or(usize::MAX)
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
