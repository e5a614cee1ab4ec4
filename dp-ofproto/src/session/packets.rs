//! Packets between the bridge and its controllers, and conntrack requests.

use std::collections::BTreeMap;

use dp_core::base::Instant;

use super::connection::{Connection, ConnectionKind};
use super::handle::Request;
use super::service::ConnectionId;
use crate::action::{Checker, PacketInReason};
use crate::matching::Match;
use crate::openflow::Code;
use crate::openflow::async_config::AsyncKind;
use crate::openflow::control;
use crate::openflow::ct_flush::CtFlush;
use crate::openflow::flow_mod::action_code;
use crate::openflow::packet::{PacketIn, PacketInFormat, PacketOut, Resume};

/// A packet for controllers.
#[derive(Clone, Debug)]
pub struct PacketInEvent {
    /// All of it.
    pub packet: Vec<u8>,
    /// How much of it a controller gets, if an action said so; else what the connection asked for.
    pub max_len: Option<u16>,
    /// Why.
    pub reason: PacketInReason,
    /// Which controllers.
    pub controller_id: u16,
    /// The table.
    pub table: u8,
    /// The rule's cookie.
    pub cookie: Option<u64>,
    /// What the pipeline knew.
    pub metadata: Match,
    /// The action's own bytes.
    pub userdata: Vec<u8>,
    /// How it goes on, if it was paused.
    pub continuation: Option<Vec<u8>>,
}

/// Sends a packet to every connection that wants it.
pub(super) fn send(
    connections: &mut BTreeMap<ConnectionId, Connection>,
    event: &PacketInEvent,
    now: Instant,
) {
    for connection in connections.values_mut() {
        let Some(version) = connection.version() else { continue };
        let quiet = connection.kind == ConnectionKind::Service && connection.miss_send_len == 0;
        let reason = event.reason.wire();
        let wants = connection.async_config.wants(connection.role, AsyncKind::PacketIn, reason);
        // A paused packet is of no use to who cannot let it go on.
        let able =
            event.continuation.is_none() || connection.packet_in_format == PacketInFormat::Nxt2;
        if quiet || !wants || !able || event.controller_id != connection.controller_id {
            continue;
        }
        if connection.outbox.is_full() || !connection.take_token(now) {
            connection.dropped += 1;
            continue;
        }
        let len = usize::from(event.max_len.unwrap_or(connection.miss_send_len));
        // A packet that will go on has to come back whole.
        let whole = event.continuation.is_some();
        let kept = if whole { event.packet.len() } else { event.packet.len().min(len) };
        let message = PacketIn {
            packet: event.packet.get(..kept).unwrap_or(&[]),
            total_len: event.packet.len(),
            reason: event.reason,
            table: event.table,
            cookie: event.cookie,
            metadata: &event.metadata,
            userdata: &event.userdata,
            continuation: event.continuation.as_deref(),
        };
        connection.outbox.push(message.encode(version, connection.packet_in_format));
    }
}

/// Carries out a packet-out.
pub(super) fn packet_out(request: &mut Request<'_>) -> Result<(), Code> {
    let packet = decode_packet_out(request.version, request.body)?;
    request.may_change()?;
    request.host.packet_out(&packet, request.now)
}

/// Reads a packet-out and checks its actions.
pub(super) fn decode_packet_out(
    version: crate::openflow::Version,
    body: &[u8],
) -> Result<PacketOut, Code> {
    let packet = PacketOut::decode(version, body)?;
    if packet.buffer_id.is_some() {
        return Err(Code::BrcBufferUnknown);
    }
    let mut checker = Checker::new(None, None);
    packet.actions.iter().try_for_each(|action| checker.next(action)).map_err(action_code)?;
    Ok(packet)
}

/// Lets a packet go on that was paused.
pub(super) fn resume(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let packet = Resume::decode(body)?;
    request.host.resume(&packet, request.now)
}

/// Forgets the connections of a zone.
pub(super) fn flush_zone(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let zone = control::decode_u16_after_zeros(body)?;
    let which = CtFlush { zone: Some(zone), ..CtFlush::default() };
    request.host.flush_connections(&which)
}

/// Forgets connections.
pub(super) fn flush(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let which = CtFlush::decode(body)?;
    request.host.flush_connections(&which)
}
