//! Output to a port: by copy, or the packet itself where it is the last step.

use super::hash::l4_hash;
use super::{Context, Exits, Scope, drop_all};
use crate::base::{BondId, DropReason, PortNo};
use crate::packet::{Burst, Slots};

/// Sends copies of the packets in `slots`; they stay.
pub(super) fn copy(port: PortNo, burst: &Burst, slots: Slots, scope: Scope, exits: &mut Exits<'_>) {
    let Some(batch) = exits.out.batch(port) else {
        exits.drops.add(DropReason::InvalidPort, slots.len() as u64);
        return;
    };
    let (mut no_buffer, mut full) = (0, 0);
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        match packet.copy_first(scope.sent_len(packet, packet.len())) {
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

/// Says of each packet in `slots` what it loses when it is sent, so that `len` bytes are left; what is
/// pushed or popped before makes more or less of them.
pub(super) fn mark_cut(burst: &mut Burst, slots: Slots, len: u32) {
    for slot in slots.iter() {
        if let Some(packet) = burst.get_mut(slot) {
            let beyond = packet.len().saturating_sub(len as usize);
            packet.meta_mut().cut = u16::try_from(beyond).unwrap_or(u16::MAX);
        }
    }
}

/// Cuts the packets in `slots` down to what the list sends of them.
pub(super) fn cut(burst: &mut Burst, slots: Slots, scope: Scope) {
    if scope.cuts {
        for slot in slots.iter() {
            if let Some(packet) = burst.get_mut(slot) {
                packet.truncate(scope.sent_len(packet, packet.len()));
            }
        }
    }
}

/// The port of each packet in `slots` by the bond's buckets, in the order of the packets: calls
/// `send` for all packets of one port together. Those without a member are returned.
pub(super) fn by_member(
    bond: BondId,
    burst: &Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    mut send: impl FnMut(PortNo, Slots),
) -> Slots {
    let mut ports = [PortNo::NONE; crate::packet::BURST];
    let mut homeless = Slots::NONE;
    for slot in slots.iter() {
        let (Some(packet), Some(place)) = (burst.get(slot), ports.get_mut(slot)) else { continue };
        let hash = l4_hash(packet, 0);
        match context.bonds.member(bond, hash, scope.sent_len(packet, packet.len())) {
            Some(port) => *place = port,
            None => homeless.insert(slot),
        }
    }
    let mut left = slots.without(homeless);
    while let Some(first) = left.lowest() {
        let port = ports.get(first).copied().unwrap_or(PortNo::NONE);
        let mut same = Slots::NONE;
        for slot in left.iter().filter(|&slot| ports.get(slot) == Some(&port)) {
            same.insert(slot);
        }
        left = left.without(same);
        send(port, same);
    }
    homeless
}
