//! Further passes of packets that stay where they are.
//!
//! Tracking does not change a packet, unless it translates addresses: what its next pass matches is
//! the key that stands in its slot, with another recirculation id and what the tracker has found.
//! That goes into lane 0 at once. The rest (label, original direction) few flows look at; it is
//! written when a look-up needs it. Packets that may have changed are parsed again.

use super::{Pipeline, Scratch, Turn};
use crate::base::RecircId;
use crate::conntrack::CtState;
use crate::flow::{LaneSet, beside};
use crate::packet::{BURST, Burst, Packet, Slots};

/// What becomes of the packets of a flow that stay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Staying {
    /// They have the key of their next pass, but for lanes beyond the first.
    keyed: Slots,
    /// They are to be parsed.
    changed: Slots,
}

impl Staying {
    /// All of them.
    #[inline(always)]
    pub(super) const fn all(self) -> Slots {
        self.keyed.or(self.changed)
    }

    /// Whether none may have been changed.
    #[inline(always)]
    pub(super) const fn is_unchanged(self) -> bool {
        self.changed.is_empty()
    }

    /// Packets that may have been changed.
    pub(super) const fn changed(&mut self, slots: Slots) {
        self.changed = self.changed.or(slots);
    }

    /// Packets that have been tracked and nothing else: keys them as far as that goes.
    #[inline(always)]
    pub(super) fn tracked(
        &mut self,
        slots: Slots,
        id: RecircId,
        burst: &Burst,
        scratch: &mut Scratch,
    ) {
        // The lanes of frames alone: what earlier passes have found is not in them.
        const FRAMES: LaneSet = LaneSet(0b11);
        const TRANSLATED: u8 = CtState::SNAT.union(CtState::DNAT).bits();
        for slot in slots.iter() {
            let found = burst.get(slot).and_then(Packet::ct);
            let plain = scratch.keys.used()[slot & (BURST - 1)].0 & !FRAMES.0 == 0;
            match found.filter(|ct| plain && ct.state & TRANSLATED == 0) {
                Some(ct) => {
                    beside::tracked(ct, id, scratch.keys.first_mut(slot));
                    self.keyed.insert(slot);
                }
                None => self.changed.insert(slot),
            }
        }
    }
}

impl Pipeline {
    /// Makes the keys of packets that stay whole as far as look-ups by the first lane need them;
    /// returns those that go on.
    #[inline(always)]
    pub(super) fn rekey(&mut self, burst: &mut Burst, staying: Staying, turn: &Turn<'_>) -> Slots {
        self.counters.recirculated.add(staying.all().len() as u64);
        self.scratch.half_keyed = staying.keyed;
        if staying.changed.is_empty() {
            return staying.keyed;
        }
        self.parse(burst, staying.changed, turn).or(staying.keyed)
    }

    /// Makes the keys of the packets in `slots` whole.
    #[inline(always)]
    pub(super) fn complete(&mut self, burst: &Burst, slots: Slots) {
        let scratch = &mut *self.scratch;
        let half = scratch.half_keyed.and(slots);
        if !half.is_empty() {
            complete(scratch, burst, half);
        }
    }
}

#[inline(never)]
fn complete(scratch: &mut Scratch, burst: &Burst, half: Slots) {
    scratch.half_keyed = scratch.half_keyed.without(half);
    for slot in half.iter() {
        if let Some(packet) = burst.get(slot) {
            beside::into_slot(packet, &mut scratch.keys, slot);
        }
    }
}
