//! Packets between the datapath and controllers.
//!
//! Packet threads put what is for controllers into a queue of fixed length and wake the main loop;
//! what does not fit is dropped and counted. A packet that waits for its controller's word is known
//! by a number, which is all that the controller carries of it: the state itself stays here, for the
//! latest of those packets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::boundary::Datapath as _;
use dp_core::flow::beside::take_on;
use dp_core::flow::extract::Extractor;
use dp_core::flow::{FieldId, FlowKey, layout};
use dp_core::packet::{Metadata, Pool};
use dp_ofproto::action::PacketInReason;
use dp_ofproto::matching::Match;
use dp_ofproto::openflow::Code;
use dp_ofproto::openflow::packet::{PacketOut, Resume};
use dp_ofproto::session::PacketInEvent;
use dp_ofproto::translate::Translation;
use dp_ofproto::translate::recirc::RecircRef;
use dp_ofproto::upcall::{PacketIn, PacketInSink};

use crate::event_loop::Waker;
use crate::switch::RunningBridge;

/// Packets on their way from packet threads to the main loop.
#[derive(Clone)]
pub(super) struct Queue {
    inner: Arc<Mutex<VecDeque<(PacketIn, Instant)>>>,
    waker: Waker,
}

/// Packets that may be on their way at once.
const QUEUE: usize = 4096;

impl Queue {
    pub(super) fn new(waker: Waker) -> Self {
        Self { inner: Arc::default(), waker }
    }

    /// What has come since the last call.
    pub(super) fn take(&self) -> VecDeque<(PacketIn, Instant)> {
        std::mem::take(&mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PacketInSink for Queue {
    fn packet_in(&self, packet_in: PacketIn, now: Instant) {
        let mut queue = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() < QUEUE {
            queue.push_back((packet_in, now));
            drop(queue);
            self.waker.wake();
        }
    }
}

/// Packets that wait for a controller's word, and numbers that the datapath still needs.
#[derive(Default)]
pub(super) struct Held {
    paused: BTreeMap<u64, RecircRef>,
    next: u64,
    /// States that actions on their way to the datapath refer to, and since when.
    on_their_way: VecDeque<(Instant, Vec<RecircRef>)>,
}

/// Packets that may wait for controllers at once.
const PAUSED: usize = 16_384;
/// How long actions may be on their way.
const WAY: std::time::Duration = std::time::Duration::from_secs(5);

impl Held {
    fn pause(&mut self, state: &RecircRef) -> Vec<u8> {
        self.next += 1;
        self.paused.insert(self.next, Arc::clone(state));
        if self.paused.len() > PAUSED {
            self.paused.pop_first();
        }
        // A property that controllers' tools know: the bridge's id, 16 bytes.
        let mut out = vec![0x80, 0x00, 0x00, 0x14, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend_from_slice(&self.next.to_be_bytes());
        out.resize(24, 0);
        out
    }

    fn find(&mut self, continuation: &[u8]) -> Option<RecircRef> {
        let id = u64::from_be_bytes(*continuation.get(12..)?.first_chunk()?);
        self.paused.remove(&id)
    }

    fn keep(&mut self, translation: &Translation, now: Instant) {
        while self.on_their_way.front().is_some_and(|(since, _)| now.since(*since) > WAY) {
            self.on_their_way.pop_front();
        }
        if !translation.recircs.is_empty() && self.on_their_way.len() < PAUSED {
            self.on_their_way.push_back((now, translation.recircs.to_vec()));
        }
    }
}

/// A packet as controllers are told of it.
pub(super) fn event(packet: PacketIn, held: &mut Held) -> PacketInEvent {
    let reason = PacketInReason::ALL
        .iter()
        .find(|row| row.1 == packet.reason)
        .map_or(PacketInReason::Action, |row| row.0);
    PacketInEvent {
        metadata: PacketInEvent::metadata_of(&packet.flow, packet.in_port),
        packet: packet.frame,
        max_len: (reason != PacketInReason::ImplicitMiss).then_some(packet.max_len),
        reason,
        controller_id: packet.controller_id,
        table: packet.table,
        // No rule has sent what a controller sent itself.
        cookie: (packet.cookie != u64::MAX).then_some(packet.cookie),
        userdata: packet.userdata.into_vec(),
        continuation: packet.continuation.as_ref().map(|state| held.pause(state)),
    }
}

/// The key of a frame with what is said beside it.
fn key_of(bridge: &RunningBridge, frame: &[u8], metadata: &Match) -> (FlowKey, OfPort) {
    let (value, mask) = metadata.field(FieldId::InPort);
    let in_port = match mask {
        0 => OfPort::NONE,
        _ => OfPort(u16::try_from(value).unwrap_or(OfPort::NONE.0)),
    };
    let vlan_limit = bridge.datapath.ofproto.world().features.vlan_limit;
    let (mut key, _) = Extractor::new(vlan_limit).frame(frame, &Metadata::default());
    let (said, which) = metadata.expand();
    for lane in which.used().iter() {
        let lane_value = *said.lane(lane);
        for (word, (value, mask)) in
            key.lane_mut(lane).0.iter_mut().zip(lane_value.0.iter().zip(which.lane(lane).0))
        {
            *word = *word & !mask | value & mask;
        }
    }
    key.wide_mut().clone_from(said.wide());
    let port = bridge.bridge.ports().get(in_port).map_or(PortNo::NONE, |port| port.port);
    key.store(layout::IN_PORT, u128::from(port.0));
    (key, in_port)
}

/// Carries out a packet-out.
pub(super) fn packet_out(
    bridge: &RunningBridge,
    held: &mut Held,
    packet: &PacketOut,
    now: Instant,
) -> Result<(), Code> {
    if packet.packet.len() < 14 {
        // Too short to be a frame: there is nothing to send.
        return Ok(());
    }
    let (key, in_port) = key_of(bridge, &packet.packet, &packet.metadata);
    let ofproto = &bridge.datapath.ofproto;
    let (inner, frame, actions) = (&bridge.bridge, &packet.packet, &packet.actions);
    let translation = ofproto.packet_out(inner, in_port, &key, frame, actions, now);
    execute(bridge, held, &packet.packet, &key, &translation, now)
}

/// Lets a packet go on that was paused.
pub(super) fn resume(
    bridge: &RunningBridge,
    held: &mut Held,
    packet: &Resume,
    now: Instant,
) -> Result<(), Code> {
    let state = held.find(&packet.continuation).ok_or(Code::NxrStale)?;
    let frozen = state.frozen().clone();
    let (key, _) = key_of(bridge, &packet.packet, &packet.metadata);
    let translation = bridge.datapath.ofproto.resume(frozen, &key, &packet.packet, now);
    execute(bridge, held, &packet.packet, &key, &translation, now)
}

fn execute(
    bridge: &RunningBridge,
    held: &mut Held,
    frame: &[u8],
    key: &FlowKey,
    translation: &Translation,
    now: Instant,
) -> Result<(), Code> {
    held.keep(translation, now);
    let pool = Pool::for_len(frame.len()).ok_or(Code::BrcBadPacket)?;
    // Without a buffer the packet is lost as on a full queue.
    let Some(mut packet) = pool.alloc() else { return Ok(()) };
    let Some(room) = packet.append(frame.len()) else { return Ok(()) };
    room.copy_from_slice(frame);
    take_on(key, &mut packet);
    if let Err(error) =
        bridge.datapath.netdev.execute(packet, key, Arc::clone(&translation.actions))
    {
        log::debug!(target: "ofproto", "{}: packet not sent: {error}", bridge.name);
    }
    Ok(())
}
