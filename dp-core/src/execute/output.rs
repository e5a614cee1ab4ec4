//! Output to a port: by copy, or the packet itself where it is the last step.

use super::{Exits, drop_all};
use crate::base::{DropReason, PortNo};
use crate::packet::{Burst, Slots};

/// Sends copies of the packets in `slots`; they stay.
pub(super) fn copy(port: PortNo, burst: &Burst, slots: Slots, exits: &mut Exits<'_>) {
    let Some(batch) = exits.out.batch(port) else {
        exits.drops.add(DropReason::InvalidPort, slots.len() as u64);
        return;
    };
    let (mut no_buffer, mut full) = (0, 0);
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        match packet.copy() {
            Some(copy) => full += u64::from(!batch.push(copy)),
            None => no_buffer += 1,
        }
    }
    if no_buffer != 0 {
        exits.drops.add(DropReason::NoBuffer, no_buffer);
    }
    if full != 0 {
        exits.drops.add(DropReason::TxQueueFull, full);
    }
}

/// Sends the packets in `slots` themselves.
#[inline(always)]
pub(super) fn move_all(port: PortNo, burst: &mut Burst, slots: Slots, exits: &mut Exits<'_>) {
    match exits.out.batch(port) {
        Some(batch) => {
            let full = batch.take(burst, slots);
            if full != 0 {
                exits.drops.add(DropReason::TxQueueFull, full);
            }
        }
        None => drop_all(burst, slots, DropReason::InvalidPort, exits.drops),
    }
}
