//! Packets between the bridge and its controllers, and conntrack requests.

use std::collections::BTreeMap;

use dp_core::base::{Instant, OfPort};
use dp_core::flow::{FIELDS, FieldId, FlowKey, Wide, layout};

use super::connection::Connection;
use super::events::is_quiet;
use super::handle::Request;
use super::service::ConnectionId;
use crate::action::{Checker, PacketInReason};
use crate::matching::{Match, MatchBuilder};
use crate::openflow::async_config::AsyncKind;
use crate::openflow::control;
use crate::openflow::ct_flush::CtFlush;
use crate::openflow::flow_mod::action_code;
use crate::openflow::packet::{PacketIn, PacketOut, Resume, reason_on_wire};
use crate::openflow::{Code, Version};

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

impl PacketInEvent {
    /// Where it came in.
    #[must_use]
    pub fn in_port(&self) -> OfPort {
        let (value, mask) = self.metadata.field(FieldId::InPort);
        let number = u16::try_from(value).ok().filter(|_| mask != 0);
        number.map_or(OfPort::NONE, OfPort)
    }

    /// What controllers are told of a packet beside its bytes: the port, and those of the pipeline's
    /// fields that are not zero.
    #[must_use]
    pub fn metadata_of(flow: &FlowKey, in_port: OfPort) -> Match {
        let mut out = MatchBuilder::default();
        out.set(FieldId::InPort, u128::from(in_port.0), u128::MAX);
        let registers = FieldId::Reg0 as usize..=FieldId::Reg15 as usize;
        let registers = FIELDS.get(registers).unwrap_or(&[]).iter().map(|field| field.id);
        for field in TOLD.iter().copied().chain(registers) {
            if flow.get(field) != 0 {
                out.set(field, flow.get(field), u128::MAX);
            }
        }
        if flow.get(FieldId::CtState) != 0 {
            // Without its type what follows could not be read.
            out.set(FieldId::EthType, flow.get(FieldId::EthType), u128::MAX);
            for &field in first_tuple(flow) {
                out.set(field, flow.get(field), u128::MAX);
            }
        }
        let present = flow.load(layout::TUN_METADATA_PRESENT);
        let options = (0..FieldId::TUN_METADATA).filter(|number| present >> number & 1 != 0);
        for field in options.filter_map(FieldId::tun_metadata) {
            out.set_wide(field, flow.get_wide(field), Wide::ONES);
        }
        out.finish()
    }
}

/// The fields that name the first packet of a tracked packet's connection.
fn first_tuple(flow: &FlowKey) -> &'static [FieldId] {
    match flow.eth_type() {
        _ if flow.get(FieldId::CtNwProto) == 0 => &[],
        0x0800 => &[
            FieldId::CtNwSrc,
            FieldId::CtNwDst,
            FieldId::CtNwProto,
            FieldId::CtTpSrc,
            FieldId::CtTpDst,
        ],
        0x86dd => &[
            FieldId::CtIpv6Src,
            FieldId::CtIpv6Dst,
            FieldId::CtNwProto,
            FieldId::CtTpSrc,
            FieldId::CtTpDst,
        ],
        _ => &[],
    }
}

/// Fields of the pipeline that controllers are told, if they are not zero.
const TOLD: [FieldId; 15] = [
    FieldId::PacketType,
    FieldId::TunId,
    FieldId::TunSrc,
    FieldId::TunDst,
    FieldId::TunIpv6Src,
    FieldId::TunIpv6Dst,
    FieldId::TunGbpId,
    FieldId::TunGbpFlags,
    FieldId::TunFlags,
    FieldId::Metadata,
    FieldId::PktMark,
    FieldId::CtState,
    FieldId::CtZone,
    FieldId::CtMark,
    FieldId::CtLabel,
];

/// Sends a packet to every connection that wants it.
///
/// `by_default`: it comes of a miss in a table of which nothing was said. From OpenFlow 1.3 on, such
/// packets are dropped.
pub(super) fn send(
    connections: &mut BTreeMap<ConnectionId, Connection>,
    event: &PacketInEvent,
    by_default: bool,
    now: Instant,
) {
    for connection in connections.values_mut() {
        let Some(version) = connection.version() else { continue };
        if by_default && version >= Version::V13 {
            continue;
        }
        let reason = reason_on_wire(event.reason, version);
        let wants = connection.async_config.wants(connection.role, AsyncKind::PacketIn, reason);
        if is_quiet(connection) || !wants || event.controller_id != connection.controller_id {
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
        let message = message.encode(version, connection.packet_in_format);
        // On the wire a miss is reason 0 in every version.
        let missed = reason == 0;
        connection.push_packet(missed, event.in_port(), message, now);
    }
}

/// Carries out a packet-out.
pub(super) fn packet_out(request: &mut Request<'_>) -> Result<(), Code> {
    let packet = decode_packet_out(request.version, request.body)?;
    request.may_change()?;
    request.host.packet_out(&packet, request.now)
}

/// Reads a packet-out and checks its actions.
pub(super) fn decode_packet_out(version: Version, body: &[u8]) -> Result<PacketOut, Code> {
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
