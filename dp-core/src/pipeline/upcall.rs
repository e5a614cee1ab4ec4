//! Stage 4: the slow path decides about what no table knows.
//!
//! One packet after another, in order: the flow that the first of a burst installs is found by
//! those that follow it.

use super::{Flow, Pipeline, Turn};
use crate::action::ActionList;
use crate::base::DropReason;
use crate::boundary::{Upcall, Verdict};
use crate::execute::{TxBatches, drop_all, execute};
use crate::flow::FlowKey;
use crate::lookup::{FlowRef, InsertError, Megaflows};
use crate::packet::{Burst, Slots};

/// Where a packet goes from here.
#[derive(Clone, Debug)]
enum Exit {
    /// A packet before it in the burst has installed its flow: to be grouped.
    Known(FlowRef),
    /// These actions are executed on it at once.
    Decided(ActionList),
    /// There is no answer.
    Dropped(DropReason),
}

impl Pipeline {
    /// Asks about each packet in `unknown`; returns those whose flow is known by now.
    #[cold]
    pub(super) fn upcall(
        &mut self,
        burst: &mut Burst,
        unknown: Slots,
        turn: &Turn<'_>,
        out: &mut TxBatches,
    ) -> Slots {
        let mut known = Slots::NONE;
        let installed = self.counters.installed.get();
        for slot in unknown.iter() {
            let mut one = Slots::NONE;
            one.insert(slot);
            let again = self.counters.installed.get() != installed;
            match self.decide(burst, slot, again, turn) {
                Exit::Known(flow) => {
                    if let Some(place) = self.scratch.flows.0.get_mut(slot) {
                        *place = flow.index;
                        known.insert(slot);
                        self.cache_insert(slot);
                    }
                }
                Exit::Decided(actions) => {
                    let context = context!(self, turn);
                    execute(&actions, burst, one, &context, &mut exits!(self, out));
                }
                Exit::Dropped(reason) => drop_all(burst, one, reason, &self.counters.drops),
            }
        }
        known
    }

    /// `again`: flows have been installed since this packet was looked up.
    fn decide(&mut self, burst: &Burst, slot: usize, again: bool, turn: &Turn<'_>) -> Exit {
        let key = self.scratch.keys.key(slot);
        if again && let Some(flow) = self.megaflows.lookup_key(&key) {
            self.counters.megaflow_hits.add(1);
            return Exit::Known(flow);
        }
        let frame = burst.get(slot).map_or(&[][..], |packet| packet.data());
        match turn.sink.upcall(&Upcall { key: &key, frame }, turn.now) {
            Ok(verdict) => {
                self.counters.upcalls.add(1);
                if verdict.install {
                    self.install(slot, &key, &verdict, turn);
                }
                Exit::Decided(verdict.actions)
            }
            Err(error) => {
                self.counters.upcalls_failed.add(1);
                Exit::Dropped(error.drop_reason())
            }
        }
    }

    fn install(&mut self, slot: usize, key: &FlowKey, verdict: &Verdict, turn: &Turn<'_>) {
        let flow = Flow::new(key, ActionList::clone(&verdict.actions), turn.now);
        match self.megaflows.insert(key, &verdict.mask, flow) {
            Ok(inserted) => {
                self.counters.installed.add(1);
                self.count_flows();
                let asked = Megaflows::<Flow>::id(key, &verdict.mask);
                if inserted.ufid != asked {
                    self.counters.widened.add(1);
                    turn.sink.widened(asked, inserted.ufid);
                }
                if let Some(place) = self.scratch.flows.0.get_mut(slot) {
                    *place = inserted.flow.index;
                    self.cache_insert(slot);
                }
            }
            Err(InsertError::Flows) => self.counters.flow_limit_hits.add(1),
            Err(InsertError::Masks) => self.counters.mask_limit_hits.add(1),
        }
    }
}
