//! Meters: packets that exceed one are dropped.

use super::{Context, Exits, Scope, drop_all};
use crate::base::{DropReason, MeterId};
use crate::meter::Lengths;
use crate::packet::{BURST, Burst, Slots};

/// Charges the packets in `slots`; returns those that go on. A meter that is not there lets all pass.
pub(super) fn meter(
    id: MeterId,
    burst: &mut Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &Exits<'_>,
) -> Slots {
    let Some(meter) = context.meters.get(id) else { return slots };
    let mut lengths: Lengths = [0; BURST];
    for slot in slots.iter() {
        if let (Some(packet), Some(place)) = (burst.get(slot), lengths.get_mut(slot)) {
            *place = u32::try_from(scope.sent_len(packet, packet.len())).unwrap_or(u32::MAX);
        }
    }
    let exceeded = meter.charge(slots, &lengths, context.now);
    drop_all(burst, exceeded, DropReason::Meter, exits.drops);
    slots.without(exceeded)
}
