//! Stage 2: the exact-match cache.

use super::Pipeline;
use crate::packet::Slots;

/// Where a packet goes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// Their flow is known: to be grouped.
    pub(super) hit: Slots,
    /// To the megaflow table.
    pub(super) missed: Slots,
}

impl Pipeline {
    /// Looks all packets up; notes the flows of the hits.
    #[inline(always)]
    pub(super) fn cache(&mut self, parsed: Slots) -> Exit {
        if self.settings.emc_insert_inv_prob == 0 {
            return Exit { hit: Slots::NONE, missed: parsed };
        }
        let scratch = &mut *self.scratch;
        let hit = self.emc.lookup(
            &scratch.keys,
            parsed,
            self.megaflows.flows(),
            &mut scratch.hashes,
            &mut scratch.flows,
        );
        self.counters.emc_hits.add(hit.len() as u64);
        Exit { hit, missed: parsed.without(hit) }
    }
}
