//! Packets that an action hands to the slow path.
//!
//! It gets the frame and the key as they are at that step. What it wants done with the packet it
//! answers as a list, which is executed on the copy.

use super::{Context, Exits, Scope, nested, settle};
use crate::action::{Action, Userspace};
use crate::base::DropReason;
use crate::boundary::Upcall;
use crate::offload;
use crate::packet::{Burst, Packet, Slots};

/// Hands copies of the packets in `slots` over; they stay.
pub(super) fn copy(
    request: &Userspace,
    burst: &Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        match packet.copy_first(scope.sent_len(packet, packet.len())) {
            Some(copy) => hand_over(request, copy, scope, context, exits),
            None => exits.drops.add(DropReason::NoBuffer, 1),
        }
    }
}

/// Hands the packets in `slots` over themselves.
pub(super) fn move_all(
    request: &Userspace,
    burst: &mut Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    for slot in slots.iter() {
        let Some(mut packet) = burst.take(slot) else { continue };
        packet.truncate(scope.sent_len(&packet, packet.len()));
        hand_over(request, packet, scope, context, exits);
    }
}

fn hand_over(
    request: &Userspace,
    mut packet: Packet,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    settle(&mut packet, context.in_port);
    if offload::is_finished(&packet) {
        hand_over_whole(request, packet, scope, context, exits);
        return;
    }
    // Whoever gets the frame does not get what its metadata say.
    let each = &mut |packet| hand_over_whole(request, packet, scope, context, exits);
    if offload::finish(packet, each).is_err() {
        exits.drops.add(DropReason::NoBuffer, 1);
    }
}

fn hand_over_whole(
    request: &Userspace,
    packet: Packet,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    let (key, _) = context.extractor.packet(&packet);
    let upcall = Upcall { key: &key, frame: packet.data() };
    let Some(actions) = context.sink.userspace(request, &upcall, context.now) else { return };
    let mut one = Burst::default();
    // There is room in an empty burst.
    drop(one.push(packet));
    nested::take(&actions, &mut one, Slots::first(1), scope.uncut(), context, exits);
}

/// Hands samples over to whoever collects them; `take` gives them the packets themselves.
pub(super) fn psample(
    step: &Action,
    burst: &Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
) {
    let Action::Psample { group, cookie } = step else { return };
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        let frame = packet.data();
        let frame = frame.get(..scope.sent_len(packet, frame.len())).unwrap_or(frame);
        context.sink.sampled(*group, cookie, frame, context.now);
    }
}
