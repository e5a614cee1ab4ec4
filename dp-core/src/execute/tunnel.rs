//! Into tunnels and out of them, for the packets of a flow.
//!
//! What comes out of a tunnel waits on the work list, as though it had come in by the tunnel's port.

use super::hash::l4_hash;
use super::{Context, Exits, Scope, drop_all, settle};
use crate::action::{Action, TunnelPush};
use crate::base::{DropCounters, DropReason, PortNo};
use crate::offload::{self, Unfinished};
use crate::packet::{Burst, Offloads, Packet, Slots};
use crate::tunnel;

/// Puts the packets in `slots` into a tunnel; returns those that are in it.
pub(super) fn push(
    action: &TunnelPush,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    drops: &DropCounters,
) -> Slots {
    let mut done = slots;
    for slot in slots.iter() {
        let Some(packet) = burst.get_mut(slot) else {
            done.remove(slot);
            continue;
        };
        settle(packet, context.in_port);
        let hash = l4_hash(packet, 0);
        if let Err(reason) = tunnel::push(packet, action, context.ends, hash, context.now) {
            done.remove(slot);
            drop(burst.take(slot));
            drops.add(reason, 1);
        }
    }
    done
}

/// The packets that are still to be cut into segments: no device looks into a tunnel or behind a
/// label, so that is done before.
pub(super) fn unsegmented(burst: &Burst, slots: Slots) -> Slots {
    let mut large = Slots::NONE;
    for slot in slots.iter() {
        let tso = |packet: &Packet| packet.meta().offloads.contains(Offloads::TSO);
        if burst.get(slot).is_some_and(tso) {
            large.insert(slot);
        }
    }
    large
}

/// Cuts the packets in `slots` into segments ahead of the step `before`; the segments go on in bursts
/// of their own, the packets are gone afterwards.
#[cold]
pub(super) fn segmented<'a>(
    before: &Action,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'a>,
    go_on: impl Fn(&mut Burst, &mut Exits<'a>),
) {
    let mut cut = Burst::default();
    for slot in slots.iter() {
        let Some(mut packet) = burst.take(slot) else { continue };
        settle(&mut packet, context.in_port);
        let done = offload::segments(&packet, &mut |segment| {
            if let Err(segment) = cut.push(segment) {
                go_on(&mut cut, exits);
                cut = Burst::default();
                drop(cut.push(segment));
            }
        });
        match done {
            Ok(()) => {}
            Err(Unfinished::NoBuffer) => exits.drops.add(DropReason::NoBuffer, 1),
            Err(Unfinished::NotSegmentable) => {
                let reason = match before {
                    Action::TunnelPush(_) => DropReason::TunnelPushError,
                    _ => DropReason::ActionError,
                };
                exits.drops.add(reason, 1);
            }
        }
        go_on(&mut cut, exits);
        cut = Burst::default();
    }
}

/// Takes copies of the packets in `slots` out of the tunnel that ends at `port`; they stay.
pub(super) fn copy_out(
    port: PortNo,
    burst: &Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        match packet.copy_first(scope.sent_len(packet, packet.len())) {
            Some(copy) => out(port, copy, context, exits),
            None => exits.drops.add(DropReason::NoBuffer, 1),
        }
    }
}

/// Takes the packets in `slots` themselves out of the tunnel that ends at `port`.
pub(super) fn move_out(
    port: PortNo,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    if context.ends.get(port).is_none() {
        drop_all(burst, slots, DropReason::InvalidTunnelPort, exits.drops);
        return;
    }
    for slot in slots.iter() {
        if let Some(packet) = burst.take(slot) {
            out(port, packet, context, exits);
        }
    }
}

fn out(port: PortNo, mut packet: Packet, context: &Context<'_>, exits: &mut Exits<'_>) {
    settle(&mut packet, context.in_port);
    let l3 = usize::from(packet.meta().l3);
    let Some((port, end)) = context.ends.receiver(port, packet.data(), l3) else {
        exits.drops.add(DropReason::InvalidTunnelPort, 1);
        return;
    };
    if let Err(reason) = tunnel::pop(&mut packet, end) {
        exits.drops.add(reason, 1);
        return;
    }
    if exits.again.reenter(packet, port, false).is_err() {
        exits.drops.add(DropReason::RecircLimit, 1);
    }
}
