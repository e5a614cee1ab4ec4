//! Connection tracking: packets go through the tracker and carry what it says to their next pass.

use super::{Context, Exits, drop_all};
use crate::action::Ct;
use crate::base::DropReason;
use crate::packet::{Burst, Slots};

/// Tracks the packets in `slots`; returns those that go on.
pub(super) fn track(
    ct: &Ct,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) -> Slots {
    let refused = context.conntrack.run(burst, slots, ct, context.now);
    if !refused.is_empty() {
        drop_all(burst, refused, DropReason::NatExhausted, exits.drops);
    }
    slots.without(refused).and(burst.live())
}
