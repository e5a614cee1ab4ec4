//! Connection tracking: packets go through the tracker and carry what it says to their next pass.
//!
//! Fragments wait in the tracker until their datagram is whole. Then they go through the rest of the
//! list in bursts of their own, behind the packets that came with the last of them.

use super::{Context, Exits, drop_all};
use crate::action::Ct;
use crate::base::DropReason;
use crate::packet::{Burst, Slots};

/// Tracks the packets in `slots`; returns those that go on, and further ones that do too.
pub(super) fn track(
    ct: &Ct,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) -> (Slots, Vec<Burst>) {
    track_here(ct, burst, slots, context, exits)
}

/// The same, to be compiled with what its caller is compiled for.
#[inline(always)]
pub(super) fn track_here(
    ct: &Ct,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) -> (Slots, Vec<Burst>) {
    let tracked = context.conntrack.run_here(burst, slots, ct, context.in_port, context.now);
    let mut slots = slots;
    if !tracked.refused.is_empty() {
        for (reason, refused, pieces) in tracked.refused.iter() {
            drop_all(burst, refused, reason, exits.drops);
            exits.drops.add(reason, pieces);
            slots = slots.without(refused);
        }
    }
    if tracked.expired != 0 {
        exits.drops.add(DropReason::FragmentExpired, tracked.expired);
    }
    (slots.and(burst.live()), tracked.released)
}
