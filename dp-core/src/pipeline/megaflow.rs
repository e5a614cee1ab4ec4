//! Stage 3: the megaflow table.

use super::Pipeline;
use crate::packet::Slots;

/// Where a packet goes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// Their flow is known, and the exact-match cache may know it from now on: to be grouped.
    pub(super) hit: Slots,
    /// To the slow path.
    pub(super) unknown: Slots,
}

impl Pipeline {
    /// Looks up what the cache did not know; notes the flows of the hits.
    pub(super) fn megaflow(&mut self, missed: Slots) -> Exit {
        let scratch = &mut *self.scratch;
        let looked = self.megaflows.lookup(&scratch.keys, missed, &mut scratch.flows);
        let hit = looked.hits;
        self.counters.masks_probed.add(looked.probes);
        self.counters.megaflow_hits.add(hit.len() as u64);
        for slot in hit.iter() {
            self.cache_insert(slot);
        }
        Exit { hit, unknown: missed.without(hit) }
    }
}
