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

    /// Lets the exact-match cache know the flow that has been noted for `slot`.
    pub(super) fn cache_insert(&mut self, slot: usize) {
        if self.settings.emc_insert_inv_prob == 0 {
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
