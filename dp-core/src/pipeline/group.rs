//! Stage 5: packets of one flow together, through its actions.

use super::flow::Plan;
use super::stay::Staying;
use super::{Pipeline, Turn};
use crate::action::Action;
use crate::base::DropReason;
use crate::execute::{TxBatches, drop_all, execute, track};
use crate::flow::{BurstKeys, layout};
use crate::packet::{BURST, Burst, Slots};

/// Where a flow's packets go from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Through the flow's actions.
    Executed,
    /// The flow is gone. It was there when it was found, and nothing removes flows in between.
    Gone,
}

impl Pipeline {
    /// Executes the flows of the packets in `which`, each flow's packets together; flows in the
    /// order of their first packets. Returns the packets that pass again where they are.
    #[inline(always)]
    pub(super) fn group(
        &mut self,
        burst: &mut Burst,
        which: Slots,
        turn: &Turn<'_>,
        out: &mut TxBatches,
    ) -> Staying {
        #[cfg(test)]
        let queues = self.queues;
        #[cfg(not(test))]
        let queues = false;
        let scratch = &mut *self.scratch;
        let context = context!(self, turn);
        let mut exits = exits!(self, out);
        let mut staying = Staying::default();
        let mut left = which;
        while let Some(first) = left.lowest() {
            let index = scratch.flows.0[first & (BURST - 1)];
            let slots = scratch.flows.with(index).and(left);
            left = left.without(slots);
            let exit = match self.megaflows.flows().at(index) {
                None => Exit::Gone,
                Some(flow) => {
                    let all = slots == Slots::first(burst.len());
                    let flags = tcp_flags(slots, all, &scratch.keys);
                    let bytes =
                        if all && turn.bytes != 0 { turn.bytes } else { bytes(burst, slots) };
                    flow.stats().credit(slots.len() as u64, bytes, flags, turn.now);
                    match flow.plan() {
                        Plan::Output(port) => exits.output(port, burst, slots),
                        Plan::Track(id) if !queues => {
                            if let Some(Action::Ct(ct)) = flow.actions().first() {
                                let left = track((ct, id), burst, slots, &context, &mut exits);
                                staying.tracked(left, id, burst, scratch);
                            }
                        }
                        Plan::List | Plan::Track(_) => {
                            exits.stay = (!queues).then_some(Slots::NONE);
                            execute(flow.actions(), burst, slots, &context, &mut exits);
                            staying.changed(exits.stay.take().unwrap_or(Slots::NONE));
                        }
                    }
                    Exit::Executed
                }
            };
            if exit == Exit::Gone {
                drop_all(burst, slots, DropReason::UpcallError, exits.drops);
            }
        }
        staying
    }
}

/// Bytes of the frames.
#[inline(always)]
pub(super) fn bytes(burst: &Burst, slots: Slots) -> u64 {
    slots.iter().filter_map(|slot| burst.get(slot)).map(|packet| packet.len() as u64).sum()
}

/// TCP flags seen; `all`: the packets in `slots` have the first slots, and no other follows.
#[inline(always)]
fn tcp_flags(slots: Slots, all: bool, keys: &BurstKeys) -> u16 {
    const FLAGS: usize = layout::TCP_FLAGS.offset as usize;
    let first = keys.lane(0);
    let flags = |flags, slot: usize| {
        let lane = first[slot & (BURST - 1)].bytes();
        flags | u16::from_ne_bytes([lane[FLAGS], lane[FLAGS + 1]])
    };
    // Without gaps there is less to be done for each.
    let seen = if all { (0..slots.len()).fold(0, flags) } else { slots.iter().fold(0, flags) };
    u16::from_be(seen)
}
