//! Lists that leave the packet as it was: `clone`, and the two ways of `check_pkt_larger`.

use dp_core::action::{Action as DpAction, SlowReasons};

use super::Context;
use super::context::boxed;
use crate::action::{Action, Subfield};

impl Context<'_> {
    #[inline(never)]
    pub(super) fn clone_actions(&mut self, actions: &[Action], last: bool) {
        self.with_own_state(|context| {
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
        self.exit = false;
    }

    /// Runs something on a copy of the packet.
    pub(super) fn in_clone(&mut self, run: impl FnOnce(&mut Self)) {
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
        let features = self.world.features;
        if !features.clone && features.sample_nesting > 3 {
            return DpAction::Sample { probability: u32::MAX, actions };
        }
        if !features.clone {
            self.slow |= SlowReasons::ACTION;
        }
        DpAction::Clone(actions)
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
            self.with_own_state(|context| {
                context.store(dst, bit);
                context.walk(rest, true);
                context.end_of_tables();
            });
            self.exit = false;
            std::mem::take(&mut self.actions)
        });
        self.actions = outer;
        if !self.world.features.check_pkt_len {
            self.slow |= SlowReasons::ACTION;
        }
        let [greater, less_or_equal] = ways.map(Into::into);
        self.actions.push(DpAction::CheckPktLen { len, greater, less_or_equal });
        self.base.clone_from(&base);
        // The lists that led here have been left in both ways.
        self.set.clear();
    }
}
