//! Lists that leave the packet as it was: `clone`, and the two ways of `check_pkt_larger`.

use dp_core::action::{Action as DpAction, SlowReasons};

use super::Context;
use super::context::boxed;
use crate::action::{Action, Subfield};

/// A sample of everything stands in for a clone where samples may nest deeper than this.
const SAMPLES_FOR_CLONE: u8 = 3;

impl Context<'_> {
    #[inline(never)]
    pub(super) fn clone_actions(&mut self, actions: &[Action], last: bool) {
        self.with_empty_set(|context| {
            let run = |context: &mut Self, last: bool| {
                context.walk(actions, last);
                context.end_of_tables();
            };
            if last || Self::reversible(actions) {
                run(context, last);
            } else {
                context.in_clone(|context| run(context, true));
            }
        });
    }

    /// Runs something on a copy of the packet.
    pub(super) fn in_clone(&mut self, run: impl FnOnce(&mut Self)) {
        let features = self.world.features;
        if !features.clone && features.sample_nesting <= SAMPLES_FOR_CLONE {
            self.refuse(format_args!("Failed to compose clone action"));
            return;
        }
        self.commit();
        let base = boxed(&self.base);
        let outer = std::mem::take(&mut self.actions);
        run(self);
        let steps = std::mem::replace(&mut self.actions, outer);
        if !steps.is_empty() {
            let step = self.copied(steps);
            self.actions.push(step);
        }
        self.base.clone_from(&base);
        self.pending = super::encap::Pending::default();
    }

    /// A list on a copy of the packet, by what the datapath has for that.
    pub(super) fn copied(&mut self, steps: Vec<DpAction>) -> DpAction {
        let actions = steps.into();
        if self.world.features.clone {
            DpAction::Clone(actions)
        } else {
            DpAction::Sample { probability: u32::MAX, actions }
        }
    }

    /// Writes whether this packet is larger, where the datapath cannot go on by length: then every
    /// packet is looked at here. `false`: it can.
    pub(super) fn is_larger_here(&mut self, len: u16, dst: Subfield) -> bool {
        if self.world.features.check_pkt_len {
            return false;
        }
        self.slow |= SlowReasons::ACTION;
        let larger = self.request.frame.is_some_and(|frame| frame.len() > usize::from(len));
        self.store(dst, u128::from(larger));
        true
    }

    /// What is left of the list is done in both ways: with the bit set for packets that are
    /// larger, clear for the others.
    #[inline(never)]
    pub(super) fn check_pkt_larger(&mut self, len: u16, dst: Subfield, rest: &[Action]) {
        self.commit();
        let base = boxed(&self.base);
        let outer = std::mem::take(&mut self.actions);
        let ways = [1u128, 0].map(|bit| {
            self.base.clone_from(&base);
            self.exit = false;
            self.with_empty_set(|context| {
                context.store(dst, bit);
                context.walk(rest, true);
                context.end_of_tables();
            });
            std::mem::take(&mut self.actions)
        });
        self.actions = outer;
        let [greater, less_or_equal] = ways.map(Into::into);
        self.actions.push(DpAction::CheckPktLen { len, greater, less_or_equal });
        self.base.clone_from(&base);
    }

    /// Starts a list with a stack of its own and an action set in which is nothing yet: what was written
    /// before acts once, in the end.
    fn with_empty_set(&mut self, run: impl FnOnce(&mut Self)) {
        self.with_own_state(|context| {
            context.set.clear();
            run(context);
        });
    }
}
