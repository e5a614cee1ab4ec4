//! Stage 2: the caches.

use super::{Pipeline, Turn};
use crate::flow::extract::Pass;
use crate::lookup::Kernel;
use crate::packet::{BURST, Burst, Slots};

/// Where a packet goes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// Their flow is known: to be grouped.
    pub(super) hit: Slots,
    /// To the megaflow table.
    pub(super) missed: Slots,
}

/// Which cache is to know what the megaflow table finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Learner {
    /// The one for simple flows: the hashes of keys have not been taken.
    Simple,
    /// Those for whole keys.
    #[default]
    Keys,
}

impl Pipeline {
    /// Looks all packets up; notes the flows of the hits.
    #[inline(always)]
    pub(super) fn cache(&mut self, burst: &Burst, parsed: Slots, turn: &Turn<'_>) -> Exit {
        if let Pass::First(port) = turn.pass
            && self.megaflows.is_simple(port)
        {
            return self.simple(parsed);
        }
        self.learner = Learner::Keys;
        let guessed = self.guess(burst, parsed);
        let parsed = parsed.without(guessed);
        if parsed.is_empty() {
            return Exit { hit: guessed, missed: Slots::NONE };
        }
        self.complete(burst, parsed);
        let exit = self.keys(parsed);
        for slot in exit.hit.iter() {
            self.note_guess(slot);
        }
        Exit { hit: exit.hit.or(guessed), ..exit }
    }

    /// Whether guesses come before the exact-match cache. Who has every miss inserted wants that
    /// cache asked, and whoever compares kernels all of them.
    #[inline(always)]
    const fn guesses(&self) -> bool {
        self.settings.guesses
            && self.settings.emc_insert_inv_prob != 1
            && !matches!(self.settings.kernel, Kernel::Autovalidate(_))
    }

    /// Guesses which megaflows the packets match; returns those that do. They count as hits of the
    /// megaflow table.
    #[inline(always)]
    fn guess(&mut self, burst: &Burst, parsed: Slots) -> Slots {
        if !self.guesses() {
            return Slots::NONE;
        }
        if !self.guesses.is_on() {
            self.guesses.pass(parsed.len());
            return Slots::NONE;
        }
        let scratch = &mut *self.scratch;
        let (keys, table) = (&scratch.keys, &self.megaflows);
        let kernel = self.settings.kernel;
        let guessed = self.guesses.lookup(kernel, keys, parsed, table, &mut scratch.flows);
        let mut hits = guessed.hits;
        self.complete(burst, guessed.maybe);
        let (scratch, table) = (&mut *self.scratch, &self.megaflows);
        for slot in guessed.maybe.iter() {
            if table.matches_rest(scratch.flows.0[slot & (BURST - 1)], &scratch.keys, slot) {
                hits.insert(slot);
            }
        }
        self.guesses.judge(parsed.len(), hits.len());
        self.counters.masks_probed.add(hits.len() as u64);
        self.counters.megaflow_hits.add(hits.len() as u64);
        hits
    }

    /// The flow that has been noted for `slot` is the next guess for packets like this one.
    #[inline(always)]
    fn note_guess(&mut self, slot: usize) {
        if self.guesses() && self.guesses.is_on() {
            let scratch = &*self.scratch;
            let index = scratch.flows.0[slot & (BURST - 1)];
            self.guesses.note(&scratch.keys, slot, index, &self.megaflows);
        }
    }

    /// Whether the packets at hand use the exact-match cache.
    #[inline(always)]
    const fn uses_emc(&self) -> bool {
        self.emc_in_use && self.settings.emc_insert_inv_prob != 0
    }

    /// The caches for whole keys.
    #[inline(always)]
    fn keys(&mut self, parsed: Slots) -> Exit {
        let uses_emc = self.uses_emc();
        let scratch = &mut *self.scratch;
        let hit = if !uses_emc {
            if !self.smc.is_on() {
                return Exit { hit: Slots::NONE, missed: parsed };
            }
            self.emc.hash(&scratch.keys, parsed, &mut scratch.hashes);
            Slots::NONE
        } else {
            let hit = self.emc.lookup(
                &scratch.keys,
                parsed,
                self.megaflows.flows(),
                &mut scratch.hashes,
                &mut scratch.flows,
            );
            self.counters.emc_hits.add(hit.len() as u64);
            hit
        };
        let missed = parsed.without(hit);
        if missed.is_empty() || !self.smc.is_on() {
            return Exit { hit, missed };
        }
        self.signatures(hit, missed)
    }

    /// All flows of the port are simple ones.
    #[inline(always)]
    fn simple(&mut self, parsed: Slots) -> Exit {
        self.learner = Learner::Simple;
        let scratch = &mut *self.scratch;
        let flows = self.megaflows.flows();
        let hit = self.simple.lookup(&scratch.keys, parsed, flows, &mut scratch.flows);
        self.counters.simple_hits.add(hit.len() as u64);
        Exit { hit, missed: parsed.without(hit) }
    }

    fn signatures(&mut self, hit: Slots, missed: Slots) -> Exit {
        let scratch = &mut *self.scratch;
        let (keys, found) = (&scratch.keys, &mut scratch.flows);
        let signed = self.smc.lookup(&scratch.hashes, keys, missed, &self.megaflows, found);
        self.counters.smc_hits.add(signed.len() as u64);
        for slot in signed.iter() {
            self.emc_insert(slot);
        }
        Exit { hit: hit.or(signed), missed: missed.without(signed) }
    }

    /// Lets the caches know the flow that has been noted for `slot`.
    pub(super) fn cache_insert(&mut self, slot: usize) {
        let scratch = &*self.scratch;
        let Some(&index) = scratch.flows.0.get(slot) else { return };
        match self.learner {
            Learner::Simple => {
                if self.megaflows.has_simple_mask(index) {
                    let flow = self.megaflows.flows().reference(index);
                    self.simple.insert(&scratch.keys, slot, flow);
                }
            }
            Learner::Keys => {
                if self.smc.is_on()
                    && let Some(&hash) = scratch.hashes.0.get(slot)
                {
                    self.smc.insert(hash, index);
                }
                self.emc_insert(slot);
                self.note_guess(slot);
            }
        }
    }

    /// Lets the exact-match cache know the flow that has been noted for `slot`.
    fn emc_insert(&mut self, slot: usize) {
        if !self.uses_emc() {
            return;
        }
        let scratch = &*self.scratch;
        if let (Some(&hash), Some(&index)) = (scratch.hashes.0.get(slot), scratch.flows.0.get(slot))
        {
            let flow = self.megaflows.flows().reference(index);
            self.emc.insert(&scratch.keys, slot, hash, flow, self.megaflows.flows());
        }
    }
}
