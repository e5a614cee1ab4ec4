//! A datapath that does nothing by itself: one pipeline, which the test or the benchmark gives its
//! bursts, and whose flows revalidation sees. A real one would have threads, and time of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dp_core::action::ActionList;
use dp_core::base::Ufid;
use dp_core::boundary::{Datapath, DatapathError, FlowDump, PortInfo};
use dp_core::flow::FlowKey;
use dp_core::packet::Packet;
use dp_core::pipeline::Pipeline;

/// A pipeline as a datapath of one thread; changes are in force at once.
pub struct Stepped(Mutex<Pipeline>);

impl Stepped {
    /// A datapath of this pipeline.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self(Mutex::new(pipeline))
    }

    /// The pipeline.
    pub fn lock(&self) -> MutexGuard<'_, Pipeline> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Datapath for Stepped {
    fn flow_dump(&self, each: &mut dyn FnMut(FlowDump)) {
        let flows: Vec<_> = self.lock().flows(0).collect();
        flows.into_iter().for_each(each);
    }

    fn flow_put(&self, _: u32, ufid: Ufid, actions: ActionList) -> Result<(), DatapathError> {
        self.lock().replace_actions(ufid, actions).then_some(()).ok_or(DatapathError::NoFlow)
    }

    fn flow_del(&self, _: u32, ufid: Ufid) -> Result<(), DatapathError> {
        self.lock().remove(ufid).then_some(()).ok_or(DatapathError::NoFlow)
    }

    fn flow_count(&self) -> usize {
        self.lock().flow_count()
    }

    fn execute(&self, _: Packet, _: &FlowKey, _: ActionList) -> Result<(), DatapathError> {
        Err(DatapathError::NoThread)
    }

    fn ports(&self) -> Vec<PortInfo> {
        Vec::new()
    }
}
