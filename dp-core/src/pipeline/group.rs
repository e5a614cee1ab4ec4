//! Stage 5: packets of one flow together, through its actions.

use super::flow::Plan;
use super::{Pipeline, Turn};
use crate::base::DropReason;
use crate::execute::{Exits, TxBatches, drop_all, execute};
use crate::flow::{BurstKeys, layout};
use crate::lookup::FlowRef;
use crate::packet::{BURST, Burst, Slots};

/// Where a flow's packets go from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Through the flow's actions.
    Executed,
    /// The flow is gone. It was there when it was found, and nothing removes flows in between.
    Gone,
}

/// The flows of a burst, each with its slots; in the order of their first packets.
#[derive(Debug)]
pub(super) struct Groups {
    flows: [FlowRef; BURST],
    slots: [Slots; BURST],
    len: usize,
}

impl Default for Groups {
    fn default() -> Self {
        Self { flows: [FlowRef::NONE; BURST], slots: [Slots::NONE; BURST], len: 0 }
    }
}

impl Groups {
    /// Groups the slots in `which` by their flow.
    fn build(&mut self, which: Slots, flows: &[FlowRef; BURST]) {
        self.len = 0;
        for slot in which.iter() {
            let slot = slot & (BURST - 1);
            let flow = flows[slot];
            let known = self.flows[..self.len].iter().rposition(|&other| other == flow);
            let group = known.unwrap_or(self.len) & (BURST - 1);
            if known.is_none() {
                (self.flows[group], self.slots[group]) = (flow, Slots::NONE);
                self.len += 1;
            }
            self.slots[group].insert(slot);
        }
    }
}

impl Pipeline {
    /// Executes the flows of the packets in `which`.
    #[inline]
    pub(super) fn group(
        &mut self,
        burst: &mut Burst,
        which: Slots,
        turn: &Turn<'_>,
        out: &mut TxBatches,
    ) {
        let mut groups = core::mem::take(&mut self.scratch.groups);
        groups.build(which, &self.scratch.emc.flows);
        let mut exits = Exits { out, again: &mut self.again, drops: &self.counters.drops };
        for (flow, slots) in groups.flows.iter().zip(groups.slots).take(groups.len) {
            let exit = match self.megaflows.get(*flow) {
                None => Exit::Gone,
                Some(flow) => {
                    let (bytes, flags) = sums(burst, slots, &self.scratch.keys);
                    flow.stats().credit(slots.len() as u64, bytes, flags, turn.now);
                    match flow.plan() {
                        Plan::Output(port) => exits.output(port, burst, slots),
                        Plan::List => {
                            execute(flow.actions(), burst, slots, turn.in_port(), &mut exits);
                        }
                    }
                    Exit::Executed
                }
            };
            if exit == Exit::Gone {
                drop_all(burst, slots, DropReason::UpcallError, exits.drops);
            }
        }
        self.scratch.groups = groups;
    }
}

/// Bytes of the frames, and the TCP flags seen.
fn sums(burst: &Burst, slots: Slots, keys: &BurstKeys) -> (u64, u16) {
    const FLAGS: usize = layout::TCP_FLAGS.offset as usize;
    let first = keys.lane(0);
    let (mut bytes, mut flags) = (0u64, 0u16);
    for slot in slots.iter() {
        let slot = slot & (BURST - 1);
        bytes += burst.get(slot).map_or(0, |packet| packet.len() as u64);
        let lane = first[slot].bytes();
        flags |= u16::from_be_bytes([lane[FLAGS], lane[FLAGS + 1]]);
    }
    (bytes, flags)
}
