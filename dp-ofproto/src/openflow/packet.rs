//! Packets between switch and controller: packet-in, packet-out, flow-removed.

use dp_core::base::{Duration, OfPort};
use dp_core::flow::FieldId;

use super::actions::decode_list;
use super::flow_mod::NO_BUFFER;
use super::matches::{self, fixed, flow};
use super::port::put_duration;
use super::stats::Stats;
use super::wire::{Cursor, Put};
use super::{Code, Header, Version, experimenter, message_type};
use crate::action::{Action, PacketInReason};
use crate::matching::Match;

/// How packet-ins are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketInFormat {
    /// As the version's specification has them.
    #[default]
    Standard,
    /// `NXT_PACKET_IN`.
    Nxt,
    /// `NXT_PACKET_IN2`: with userdata and continuation.
    Nxt2,
}

/// A packet on its way to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketIn<'a> {
    /// The packet, or its beginning.
    pub packet: &'a [u8],
    /// Its whole length.
    pub total_len: usize,
    /// Why.
    pub reason: PacketInReason,
    /// The table.
    pub table: u8,
    /// The rule's cookie; `None`: no rule.
    pub cookie: Option<u64>,
    /// What the pipeline knew of it.
    pub metadata: &'a Match,
    /// The action's own bytes.
    pub userdata: &'a [u8],
    /// How it goes on, if it was paused; written by the switch for itself.
    pub continuation: Option<&'a [u8]>,
}

mod property {
    pub(super) const PACKET: u16 = 0;
    pub(super) const FULL_LEN: u16 = 1;
    pub(super) const TABLE_ID: u16 = 3;
    pub(super) const COOKIE: u16 = 4;
    pub(super) const REASON: u16 = 5;
    pub(super) const METADATA: u16 = 6;
    pub(super) const USERDATA: u16 = 7;
    pub(super) const CONTINUATION: u16 = 8;
}

impl PacketIn<'_> {
    /// The whole message.
    #[must_use]
    pub fn encode(&self, version: Version, format: PacketInFormat) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.packet.len());
        match format {
            PacketInFormat::Standard => {
                Header::begin(&mut out, version, message_type::PACKET_IN, 0);
                self.encode_standard(&mut out, version);
            }
            PacketInFormat::Nxt => {
                experimenter::begin(&mut out, version, experimenter::nicira::PACKET_IN, 0);
                self.encode_nxt(&mut out, version);
            }
            PacketInFormat::Nxt2 => {
                experimenter::begin(&mut out, version, experimenter::nicira::PACKET_IN2, 0);
                self.encode_nxt2(&mut out, version);
            }
        }
        Header::end(&mut out, 0);
        out
    }

    fn in_port(&self) -> OfPort {
        let (value, mask) = self.metadata.field(FieldId::InPort);
        match mask {
            0 => OfPort::NONE,
            _ => OfPort(u16::try_from(value).unwrap_or(OfPort::NONE.0)),
        }
    }

    fn reason(&self, version: Version) -> u8 {
        reason_on_wire(self.reason, version)
    }

    fn total_len16(&self) -> u16 {
        u16::try_from(self.total_len).unwrap_or(u16::MAX)
    }

    fn encode_standard(&self, out: &mut Vec<u8>, version: Version) {
        out.put32(NO_BUFFER);
        match version {
            Version::V10 => {
                out.put16(self.total_len16());
                out.put16(self.in_port().0);
                out.put8(self.reason(version));
                out.put8(0);
            }
            Version::V11 => {
                out.put_port(version, self.in_port());
                out.put_port(version, self.in_port());
                out.put16(self.total_len16());
                out.put8(self.reason(version));
                out.put8(self.table);
            }
            _ => {
                out.put16(self.total_len16());
                out.put8(self.reason(version));
                out.put8(self.table);
                if version >= Version::V13 {
                    out.put64(self.cookie.unwrap_or(u64::MAX));
                }
                matches::encode(out, self.metadata, version);
                out.zeros(2);
            }
        }
        out.put(self.packet);
    }

    fn encode_nxt(&self, out: &mut Vec<u8>, version: Version) {
        out.put32(NO_BUFFER);
        out.put16(self.total_len16());
        out.put8(self.reason(version));
        out.put8(self.table);
        out.put64(self.cookie.unwrap_or(u64::MAX));
        let len_at = out.len();
        out.zeros(8);
        let start = out.len();
        flow::encode(out, self.metadata, version);
        out.set16(len_at, u16::try_from(out.len() - start).unwrap_or(u16::MAX));
        out.pad8(start);
        out.zeros(2);
        out.put(self.packet);
    }

    fn encode_nxt2(&self, out: &mut Vec<u8>, version: Version) {
        let at = out.begin_property(property::PACKET);
        out.put(self.packet);
        out.end_property(at);
        if self.packet.len() != self.total_len {
            let at = out.begin_property(property::FULL_LEN);
            out.put32(u32::try_from(self.total_len).unwrap_or(u32::MAX));
            out.end_property(at);
        }
        let at = out.begin_property(property::TABLE_ID);
        out.put8(self.table);
        out.end_property(at);
        if let Some(cookie) = self.cookie {
            let at = out.begin_property(property::COOKIE);
            out.zeros(4);
            out.put64(cookie);
            out.end_property(at);
        }
        let at = out.begin_property(property::REASON);
        out.put8(self.reason(version));
        out.end_property(at);
        let at = out.begin_property(property::METADATA);
        flow::encode(out, self.metadata, version);
        out.end_property(at);
        if !self.userdata.is_empty() {
            let at = out.begin_property(property::USERDATA);
            out.put(self.userdata);
            out.end_property(at);
        }
        if let Some(continuation) = self.continuation {
            // What is inside is aligned to eight bytes of its own.
            let at = out.begin_property(property::CONTINUATION);
            out.zeros(4);
            out.put(continuation);
            out.end_property(at);
        }
    }
}

/// What a controller hands back of a packet that was paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The packet, as the controller left it.
    pub packet: Vec<u8>,
    /// The pipeline's fields, as the controller left them.
    pub metadata: Match,
    /// The table, if it is said.
    pub table: Option<u8>,
    /// The cookie, if it is said.
    pub cookie: Option<u64>,
    /// The reason, if it is said.
    pub reason: Option<u8>,
    /// Userdata.
    pub userdata: Vec<u8>,
    /// How it goes on.
    pub continuation: Vec<u8>,
}

impl Resume {
    /// Reads the body behind the subtype.
    ///
    /// # Errors
    ///
    /// What is wrong with it; one without a packet or a continuation.
    pub fn decode(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let (mut packet, mut continuation) = (None, None);
        let mut out = Self {
            packet: Vec::new(),
            metadata: Match::any(),
            table: None,
            cookie: None,
            reason: None,
            userdata: Vec::new(),
            continuation: Vec::new(),
        };
        while let Some((ty, value)) = from.property()? {
            let mut value = value.or(Code::BpcBadLen);
            match ty {
                property::PACKET => packet = Some(value.rest().to_vec()),
                property::TABLE_ID => out.table = Some(value.u8()?),
                property::COOKIE => {
                    value.skip(4)?;
                    out.cookie = Some(value.u64()?);
                }
                property::REASON => out.reason = Some(value.u8()?),
                property::METADATA => {
                    out.metadata = flow::decode(value, flow::Unknown::Skip)?.matching;
                }
                property::USERDATA => out.userdata = value.rest().to_vec(),
                property::CONTINUATION => {
                    value.skip(4)?;
                    continuation = Some(value.rest().to_vec());
                }
                // Those that say nothing to whoever goes on with the packet.
                property::FULL_LEN | 2 => {}
                _ => return Err(Code::BpcBadType),
            }
        }
        out.packet = packet.ok_or(Code::BrcBadLen)?;
        out.continuation = continuation.ok_or(Code::BrcBadLen)?;
        Ok(out)
    }
}

/// A packet from a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOut {
    /// A buffered packet instead of one in the message; there are none.
    pub buffer_id: Option<u32>,
    /// What the pipeline shall know of it; the port it seems to have come in by, at least.
    pub metadata: Match,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet.
    pub packet: Vec<u8>,
}

impl PacketOut {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(version: Version, body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let buffer_id = from.u32()?;
        let port_match =
            |port: OfPort| Match::build().exact(FieldId::InPort, u128::from(port.0)).finish();
        let (metadata, len) = match version {
            Version::V10 => (port_match(OfPort(from.u16()?)), usize::from(from.u16()?)),
            Version::V15 => {
                let len = usize::from(from.u16()?);
                from.skip(2)?;
                let metadata = matches::decode(&mut from)?;
                (metadata, len)
            }
            _ => {
                let port = from.port(version, Code::BrcBadPort)?;
                let len = usize::from(from.u16()?);
                from.skip(6)?;
                (port_match(port), len)
            }
        };
        let in_port = OfPort(u16::try_from(metadata.field(FieldId::InPort).0).unwrap_or(0xffff));
        let reserved = [OfPort::LOCAL, OfPort::NONE, OfPort::CONTROLLER, OfPort::TABLE];
        if in_port >= OfPort::MAX && !reserved.contains(&in_port) {
            return Err(Code::BrcBadPort);
        }
        let actions = decode_list(from.sub(len)?, version)?;
        let buffer_id = (buffer_id != NO_BUFFER).then_some(buffer_id);
        Ok(Self { buffer_id, metadata, actions, packet: from.rest().to_vec() })
    }

    /// Writes the body of a message.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        out.put32(self.buffer_id.unwrap_or(NO_BUFFER));
        let port = OfPort(u16::try_from(self.metadata.field(FieldId::InPort).0).unwrap_or(0xffff));
        let len_at;
        match version {
            Version::V10 => {
                out.put16(port.0);
                len_at = out.len();
                out.zeros(2);
            }
            Version::V15 => {
                len_at = out.len();
                out.zeros(4);
                matches::encode(out, &self.metadata, version);
            }
            _ => {
                out.put_port(version, port);
                len_at = out.len();
                out.zeros(8);
            }
        }
        let start = out.len();
        super::actions::encode_list(out, &self.actions, version);
        out.set16(len_at, u16::try_from(out.len() - start).unwrap_or(u16::MAX));
        out.put(&self.packet);
    }
}

/// Why a flow went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RemovedReason {
    /// It was idle.
    IdleTimeout = 0,
    /// Its time was over.
    HardTimeout = 1,
    /// It was deleted.
    Delete = 2,
    /// Its group was deleted.
    GroupDelete = 3,
    /// Its meter was deleted.
    MeterDelete = 4,
    /// It made room.
    Eviction = 5,
}

/// What is said of a flow that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRemoved<'a> {
    /// Its match.
    pub matching: &'a Match,
    /// Its cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// Why.
    pub reason: RemovedReason,
    /// Its table.
    pub table: u8,
    /// How long it was there.
    pub duration: Duration,
    /// Its idle timeout.
    pub idle_timeout: u16,
    /// Its hard timeout.
    pub hard_timeout: u16,
    /// What it had matched.
    pub packets: u64,
    /// In bytes.
    pub bytes: u64,
}

impl FlowRemoved<'_> {
    /// The whole message: the extension's where the version is old and the peer wants it.
    #[must_use]
    pub fn encode(&self, version: Version, nicira: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        // Older versions know fewer reasons.
        let reason = match self.reason {
            RemovedReason::GroupDelete if version == Version::V10 => RemovedReason::Delete,
            RemovedReason::MeterDelete if version < Version::V14 => RemovedReason::Delete,
            RemovedReason::Eviction if version < Version::V14 => RemovedReason::Delete,
            reason => reason,
        } as u8;
        if nicira && version <= Version::V11 {
            experimenter::begin(&mut out, version, experimenter::nicira::FLOW_REMOVED, 0);
            out.put64(self.cookie);
            out.put16(self.priority);
            out.put8(reason);
            out.put8(self.table.saturating_add(1));
            put_duration(&mut out, self.duration);
            out.put16(self.idle_timeout);
            let len_at = out.len();
            out.zeros(2);
            out.put64(self.packets);
            out.put64(self.bytes);
            let start = out.len();
            flow::encode(&mut out, self.matching, Version::V10);
            out.set16(len_at, u16::try_from(out.len() - start).unwrap_or(u16::MAX));
            out.pad8(start);
        } else {
            Header::begin(&mut out, version, message_type::FLOW_REMOVED, 0);
            self.encode_standard(&mut out, version, reason);
        }
        Header::end(&mut out, 0);
        out
    }

    fn encode_standard(&self, out: &mut Vec<u8>, version: Version, reason: u8) {
        match version {
            Version::V10 => {
                fixed::encode10(out, self.matching);
                out.put64(self.cookie);
                out.put16(self.priority);
                out.put8(reason);
                out.put8(0);
                put_duration(out, self.duration);
                out.put16(self.idle_timeout);
                out.zeros(2);
                out.put64(self.packets);
                out.put64(self.bytes);
            }
            Version::V15 => {
                out.put8(self.table);
                out.put8(reason);
                out.put16(self.priority);
                out.put16(self.idle_timeout);
                out.put16(self.hard_timeout);
                out.put64(self.cookie);
                matches::encode(out, self.matching, version);
                let stats = Stats {
                    duration: Some(self.duration),
                    packets: Some(self.packets),
                    bytes: Some(self.bytes),
                    ..Stats::default()
                };
                stats.encode(out);
            }
            _ => {
                out.put64(self.cookie);
                out.put16(self.priority);
                out.put8(reason);
                out.put8(self.table);
                put_duration(out, self.duration);
                out.put16(self.idle_timeout);
                out.put16(if version >= Version::V12 { self.hard_timeout } else { 0 });
                out.put64(self.packets);
                out.put64(self.bytes);
                matches::encode(out, self.matching, version);
            }
        }
    }
}

/// A reason's number in a version: older ones know fewer, and none tells kinds of misses apart.
#[must_use]
pub fn reason_on_wire(reason: PacketInReason, version: Version) -> u8 {
    match reason {
        PacketInReason::ExplicitMiss if version < Version::V13 => PacketInReason::Action.wire(),
        PacketInReason::ImplicitMiss | PacketInReason::ExplicitMiss => 0,
        PacketInReason::ActionSet | PacketInReason::Group | PacketInReason::PacketOut
            if version < Version::V14 =>
        {
            PacketInReason::Action.wire()
        }
        reason => reason.wire(),
    }
}
