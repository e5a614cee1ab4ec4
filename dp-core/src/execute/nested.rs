//! Lists inside steps: clone, sample, by length, on an expired TTL.
//!
//! Where the step is the last of its list the inner list takes the packets themselves; elsewhere it
//! takes copies, and the packets go on as they were. Lists nest as deep as [`MAX_DEPTH`]; beyond it
//! packets are dropped, so the stack has a bound that no flow can move.

use super::bytes::read;
use super::transport::{ETH_TYPE_IPV4, ETH_TYPE_IPV6, TCP, network, transport};
use super::{Context, Exits, Scope, drop_all, ipv4, ipv6, run};
use crate::action::set::{Ipv4, Ipv6};
use crate::action::{Action, Masked};
use crate::base::DropReason;
use crate::packet::{Burst, Offloads, Packet, Slots};

/// How deep lists may nest.
pub(super) const MAX_DEPTH: u8 = 32;

/// Runs an inner list on the packets in `slots` themselves, which are gone afterwards.
pub(super) fn take(
    actions: &[Action],
    burst: &mut Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    if slots.is_empty() {
        return;
    }
    let Some(scope) = scope.deeper() else {
        drop_all(burst, slots, DropReason::NestedTooDeep, exits.drops);
        return;
    };
    run(actions, burst, slots, scope, context, exits);
}

/// Runs an inner list on copies of the packets in `slots`; they stay.
pub(super) fn copy(
    actions: &[Action],
    burst: &Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    if slots.is_empty() || actions.is_empty() {
        return;
    }
    let mut copies = Burst::default();
    let mut no_buffer = 0;
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        match packet.copy() {
            // There is room for as many as a burst has slots.
            Some(copy) => drop(copies.push(copy)),
            None => no_buffer += 1,
        }
    }
    if no_buffer != 0 {
        exits.drops.add(DropReason::NoBuffer, no_buffer);
    }
    let all = Slots::first(copies.len());
    take(actions, &mut copies, all, scope, context, exits);
}

/// The packets that chance selects.
pub(super) fn sampled(slots: Slots, probability: u32, exits: &mut Exits<'_>) -> Slots {
    if probability == u32::MAX {
        return slots;
    }
    let mut chosen = Slots::NONE;
    for slot in slots.iter() {
        if exits.random.next_u32() < probability {
            chosen.insert(slot);
        }
    }
    chosen
}

/// The packets that are longer than `len` bytes, as far as they will be sent. Padding behind an IP
/// datagram does not count.
pub(super) fn longer(burst: &Burst, slots: Slots, len: u16, scope: Scope) -> Slots {
    let mut longer = Slots::NONE;
    for slot in slots.iter() {
        let Some(packet) = burst.get(slot) else { continue };
        let sent = scope.sent_len(packet, segment_len(packet));
        if sent.saturating_sub(padding(packet)) > usize::from(len) {
            longer.insert(slot);
        }
    }
    longer
}

/// Bytes behind the IP datagram of a frame.
fn padding(packet: &Packet) -> usize {
    let number = |at| read(packet.data(), at).map(|bytes| usize::from(u16::from_be_bytes(bytes)));
    let end = match network(packet) {
        Some((ETH_TYPE_IPV4, l3)) => number(l3 + 2).map(|len| l3 + len),
        Some((ETH_TYPE_IPV6, l3)) => number(l3 + 4).map(|len| l3 + 40 + len),
        _ => None,
    };
    // A length that cannot be says nothing about padding.
    let begin = usize::from(packet.meta().l3) + 20;
    end.filter(|&end| end >= begin).map_or(0, |end| packet.len().saturating_sub(end))
}

/// The length of the frame, or of the frames that it will leave as.
fn segment_len(packet: &Packet) -> usize {
    let meta = packet.meta();
    if !meta.offloads.contains(Offloads::TSO) {
        return packet.len();
    }
    let l4 = usize::from(meta.l4);
    let header = match transport(packet) {
        Some(found) if found.proto == TCP => read(packet.data(), l4 + 12)
            .map_or(20, |[offset]: [u8; 1]| usize::from(offset >> 4) * 4),
        _ => 8,
    };
    packet.len().min(l4 + header + usize::from(meta.segment))
}

/// Lowers the TTL of the packets in `slots` by one; returns those that cannot be lowered, which are
/// as they were.
pub(super) fn lower_ttl(burst: &mut Burst, slots: Slots) -> Slots {
    let mut expired = Slots::NONE;
    for slot in slots.iter() {
        if burst.get_mut(slot).and_then(lower) == Some(false) {
            expired.insert(slot);
        }
    }
    expired
}

/// `None`: no IP header whose TTL could be lowered.
fn lower(packet: &mut Packet) -> Option<bool> {
    let (eth_type, l3) = network(packet)?;
    match eth_type {
        ETH_TYPE_IPV4 => {
            let [ttl]: [u8; 1] = read(packet.data(), l3 + 8)?;
            if ttl <= 1 {
                return Some(false);
            }
            let header = |ttl| Ipv4 { src: [0; 4].into(), dst: [0; 4].into(), tos: 0, ttl };
            ipv4::set(packet, &Masked { value: header(ttl - 1), mask: header(0xff) })?;
        }
        ETH_TYPE_IPV6 => {
            let [hlimit]: [u8; 1] = read(packet.data(), l3 + 7)?;
            if hlimit <= 1 {
                return Some(false);
            }
            let none = [0; 16].into();
            let header = |hlimit| Ipv6 { src: none, dst: none, label: 0, tclass: 0, hlimit };
            ipv6::set(packet, &Masked { value: header(hlimit - 1), mask: header(0xff) })?;
        }
        _ => return None,
    }
    Some(true)
}
