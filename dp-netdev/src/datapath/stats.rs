//! What the packet threads have counted, one by one and all together.

use dp_core::base::DropReason;
use dp_core::pipeline::PipelineCounters;

use super::{Netdev, lock};
use crate::pmd::LoopCounters;

/// Counts of one packet thread, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets received.
    pub received: u64,
    /// Passes beyond a packet's first.
    pub recirculated: u64,
    /// Frames that the vector kernel parsed.
    pub vector_parsed: u64,
    /// Passes that needed no more than the port of entry and the kind of packet.
    pub simple_hits: u64,
    /// Passes that the exact-match cache answered.
    pub emc_hits: u64,
    /// Passes that the signature cache answered.
    pub smc_hits: u64,
    /// Passes that the megaflow table answered.
    pub megaflow_hits: u64,
    /// Subtables asked for that.
    pub masks_probed: u64,
    /// Passes that the slow path answered.
    pub upcalls: u64,
    /// Passes that the slow path did not answer.
    pub upcalls_failed: u64,
    /// Megaflows installed.
    pub installed: u64,
    /// Megaflows now.
    pub flows: u64,
    /// Masks now.
    pub masks: u64,
    /// Verdicts not installed because a table was full.
    pub not_installed: u64,
    /// Malformed packets that were forwarded nevertheless.
    pub malformed_forwarded: u64,
    /// Packets dropped, by reason; in the order of [`DropReason::ALL`].
    pub drops: Vec<(DropReason, u64)>,
}

/// Counts of one packet thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadStats {
    /// Which one.
    pub thread: u32,
    /// What its pipeline did.
    pub totals: Totals,
    /// Turns of its loop.
    pub turns: u64,
    /// Turns in which packets moved.
    pub busy_turns: u64,
    /// Times that it slept.
    pub naps: u64,
    /// Cycles of turns in which packets moved.
    pub busy_cycles: u64,
    /// Cycles of them that upcalls took.
    pub upcall_cycles: u64,
}

impl Totals {
    pub(super) fn of(counters: &PipelineCounters) -> Self {
        Self {
            received: counters.received.get(),
            recirculated: counters.recirculated.get(),
            simple_hits: counters.simple_hits.get(),
            emc_hits: counters.emc_hits.get(),
            smc_hits: counters.smc_hits.get(),
            vector_parsed: counters.vector_parsed.get(),
            megaflow_hits: counters.megaflow_hits.get(),
            masks_probed: counters.masks_probed.get(),
            upcalls: counters.upcalls.get(),
            upcalls_failed: counters.upcalls_failed.get(),
            installed: counters.installed.get(),
            flows: counters.flows.get(),
            masks: counters.masks.get(),
            not_installed: counters.flow_limit_hits.get() + counters.mask_limit_hits.get(),
            malformed_forwarded: counters.malformed_forwarded.get(),
            drops: counters.drops.iter().collect(),
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.received += more.received;
        self.recirculated += more.recirculated;
        self.vector_parsed += more.vector_parsed;
        self.simple_hits += more.simple_hits;
        self.emc_hits += more.emc_hits;
        self.smc_hits += more.smc_hits;
        self.megaflow_hits += more.megaflow_hits;
        self.masks_probed += more.masks_probed;
        self.upcalls += more.upcalls;
        self.upcalls_failed += more.upcalls_failed;
        self.installed += more.installed;
        self.flows += more.flows;
        self.masks += more.masks;
        self.not_installed += more.not_installed;
        self.malformed_forwarded += more.malformed_forwarded;
        if self.drops.is_empty() {
            self.drops.clone_from(&more.drops);
        } else {
            for ((_, sum), (_, count)) in self.drops.iter_mut().zip(&more.drops) {
                *sum += count;
            }
        }
    }

    /// Takes away what had been counted at some time, all but flows and masks, which are not counts.
    pub(super) fn subtract(&mut self, base: &Self) {
        let pairs = [
            (&mut self.received, base.received),
            (&mut self.recirculated, base.recirculated),
            (&mut self.vector_parsed, base.vector_parsed),
            (&mut self.simple_hits, base.simple_hits),
            (&mut self.emc_hits, base.emc_hits),
            (&mut self.smc_hits, base.smc_hits),
            (&mut self.megaflow_hits, base.megaflow_hits),
            (&mut self.masks_probed, base.masks_probed),
            (&mut self.upcalls, base.upcalls),
            (&mut self.upcalls_failed, base.upcalls_failed),
            (&mut self.installed, base.installed),
            (&mut self.not_installed, base.not_installed),
            (&mut self.malformed_forwarded, base.malformed_forwarded),
        ];
        for (value, base) in pairs {
            *value = value.saturating_sub(base);
        }
        for ((_, value), (_, base)) in self.drops.iter_mut().zip(&base.drops) {
            *value = value.saturating_sub(*base);
        }
    }

    /// The same without what only a living thread has.
    pub(super) fn without_gauges(mut self) -> Self {
        (self.flows, self.masks) = (0, 0);
        self
    }

    /// How many packets were dropped for a reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.iter().filter(|(each, _)| *each == reason).map(|(_, count)| count).sum()
    }

    /// Passes that found a megaflow, in whatever way.
    #[must_use]
    pub const fn hits(&self) -> u64 {
        self.simple_hits + self.emc_hits + self.smc_hits + self.megaflow_hits
    }

    /// How many packets were dropped.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().map(|(_, count)| count).sum()
    }
}

impl Netdev {
    /// What each packet thread has counted.
    #[must_use]
    pub fn thread_stats(&self) -> Vec<ThreadStats> {
        let stats =
            |(thread, turns, pipeline): (u32, &LoopCounters, &PipelineCounters)| ThreadStats {
                thread,
                totals: Totals::of(pipeline),
                turns: turns.turns.get(),
                busy_turns: turns.busy.get(),
                naps: turns.naps.get(),
                busy_cycles: turns.busy_cycles.get(),
                upcall_cycles: turns.upcall_cycles.get(),
            };
        let workers = self.workers();
        workers.iter().map(|it| stats((it.id, &it.turns, &it.pipeline))).collect()
    }

    /// What all packet threads have counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = lock(&self.retired).clone();
        for worker in self.workers() {
            totals.add(&Totals::of(&worker.pipeline));
        }
        totals
    }
}
