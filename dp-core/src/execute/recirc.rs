//! Recirculation: packets that go through the pipeline again wait on a list.
//!
//! A list instead of a recursion: the depth is a number in the packet, the order is that of a
//! queue, and packets of different flows share bursts again. What one list may hold is bounded, so
//! that steps which copy cannot multiply packets without end. Packets for which recirculation is the
//! last of their steps need not wait: they stay in the burst, and the pipeline goes on with them.

use std::collections::VecDeque;

use super::{Context, Exits, Scope, drop_all};
use crate::base::{DropReason, PortNo, RecircId};
use crate::boundary::Upcall;
use crate::packet::{BURST, Burst, Metadata, Packet, Slots};

/// Packets that wait for another pass.
#[derive(Debug)]
pub struct WorkList {
    waiting: VecDeque<Packet>,
    /// Passes beyond the first that a packet may make.
    depth: u8,
}

/// Packets that a list holds at most.
const BOUND: usize = 64 * BURST;

impl WorkList {
    /// An empty list. A packet may pass again `depth` times.
    #[must_use]
    pub fn new(depth: u8) -> Self {
        Self { waiting: VecDeque::with_capacity(BOUND), depth }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Changes how often a packet may pass again.
    pub fn set_depth(&mut self, depth: u8) {
        self.depth = depth;
    }

    /// Moves the packets that have waited longest into an empty burst; returns how many.
    pub fn next(&mut self, burst: &mut Burst) -> usize {
        burst.clear();
        while !burst.is_full() {
            let Some(packet) = self.waiting.pop_front() else { break };
            // There is room: it was asked a moment ago.
            drop(burst.push(packet));
        }
        burst.len()
    }

    /// Queues a packet that comes in by another port from now on, without a recirculation id: it has
    /// come out of a tunnel. Gives it back when it has passed too often or too many wait.
    ///
    /// # Errors
    ///
    /// The packet.
    pub fn reenter(
        &mut self,
        packet: Packet,
        in_port: PortNo,
        first_pass: bool,
    ) -> Result<(), Packet> {
        let passes = if first_pass { 0 } else { packet.meta().passes };
        let mut packet = packet;
        (packet.meta_mut().in_port, packet.meta_mut().passes) = (in_port, passes);
        self.push(packet, RecircId(0), None)
    }

    /// Queues a packet; gives it back when it has passed too often or too many wait.
    fn push(
        &mut self,
        mut packet: Packet,
        id: RecircId,
        in_port: Option<PortNo>,
    ) -> Result<(), Packet> {
        if self.waiting.len() >= BOUND || !self.enter(packet.meta_mut(), id, in_port) {
            return Err(packet);
        }
        self.waiting.push_back(packet);
        Ok(())
    }

    /// Lets a packet's metadata say that it passes again; `false` if it has passed too often.
    #[inline(always)]
    fn enter(&self, meta: &mut Metadata, id: RecircId, in_port: Option<PortNo>) -> bool {
        if let Some(port) = in_port {
            // The first pass knows the port of entry; whatever the buffer carried before is stale.
            (meta.in_port, meta.passes) = (port, 0);
        }
        if meta.passes >= self.depth {
            return false;
        }
        meta.passes += 1;
        meta.recirc_id = id;
        true
    }
}

/// Queues copies of the packets in `slots`; they stay.
pub(super) fn copy(
    id: RecircId,
    burst: &Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
        let Some(copy) = packet.copy_first(scope.sent_len(packet, packet.len())) else {
            exits.drops.add(DropReason::NoBuffer, 1);
            continue;
        };
        if let Err(refused) = exits.again.push(copy, id, context.in_port) {
            let mut one = Burst::default();
            // There is room in an empty burst.
            drop(one.push(refused));
            refuse(id, &mut one, Slots::first(1), context, exits);
        }
    }
}

/// Lets the packets in `slots` pass again where they are; returns those that may.
#[inline(always)]
pub(super) fn stay(
    id: RecircId,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) -> Slots {
    let mut refused = Slots::NONE;
    for slot in slots.iter() {
        let Some(packet) = burst.get_mut(slot) else { continue };
        if !exits.again.enter(packet.meta_mut(), id, context.in_port) {
            refused.insert(slot);
        }
    }
    if !refused.is_empty() {
        refuse(id, burst, refused, context, exits);
    }
    slots.without(refused)
}

/// Queues the packets in `slots` themselves.
pub(super) fn move_all(
    id: RecircId,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    let mut refused = Slots::NONE;
    for slot in slots.iter() {
        let Some(packet) = burst.take(slot) else { continue };
        if let Err(packet) = exits.again.push(packet, id, context.in_port) {
            burst.put_back(slot, packet);
            refused.insert(slot);
        }
    }
    if !refused.is_empty() {
        refuse(id, burst, refused, context, exits);
    }
}

/// Drops the packets in `slots`, and tells the slow path if they have passed too often: the tables
/// may have a loop. That too many wait says nothing about them.
#[cold]
fn refuse(
    id: RecircId,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    let depth = exits.again.depth;
    let mut often = slots.iter().filter_map(|slot| burst.get(slot));
    let mut often = often.by_ref().filter(|packet| packet.meta().passes >= depth);
    if let Some(first) = often.next() {
        let (key, _) = context.extractor.packet(first);
        let upcall = Upcall { key: &key, frame: first.data() };
        let count = 1 + often.count() as u64;
        context.sink.passed_too_often(id, count, &upcall, context.now);
    }
    drop_all(burst, slots, DropReason::RecircLimit, exits.drops);
}
