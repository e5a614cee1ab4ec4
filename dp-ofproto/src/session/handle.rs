//! One message: what it is, and who carries it out.

use dp_core::base::Instant;

use super::connection::{Connection, ConnectionKind, Phase};
use super::events::Events;
use super::host::Host;
use super::service::{ConnectionId, Shared};
use super::{bundles, features, flows, groups, meters, monitors, packets, ports, statistics, tlv};
use crate::bridge::Fragments;
use crate::openflow::control::{self, Role, RoleMessage, SwitchConfig};
use crate::openflow::packet::PacketInFormat;
use crate::openflow::wire::Cursor;
use crate::openflow::{Code, Header, Version, error, experimenter, message_type};

/// A message on its way, with all that carrying it out may need.
pub(super) struct Request<'a> {
    pub(super) shared: &'a mut Shared,
    pub(super) id: ConnectionId,
    pub(super) connection: &'a mut Connection,
    pub(super) host: &'a mut dyn Host,
    pub(super) events: &'a mut Events,
    pub(super) now: Instant,
    pub(super) version: Version,
    pub(super) xid: u32,
    /// What is behind the header.
    pub(super) body: &'a [u8],
}

impl Request<'_> {
    /// Answers with a message of this type.
    pub(super) fn reply(&mut self, ty: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.connection.outbox.push(control::reply(self.version, ty, self.xid, body));
    }

    /// Answers with a message of Nicira's.
    pub(super) fn reply_nicira(&mut self, subtype: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let reply = control::reply_nicira(self.version, subtype, self.xid, body);
        self.connection.outbox.push(reply);
    }

    /// An error unless the connection may change things.
    pub(super) fn may_change(&self) -> Result<(), Code> {
        match self.connection.role {
            Role::Secondary => Err(Code::BrcIsSecondary),
            _ => Ok(()),
        }
    }
}

/// Carries out one message.
pub(super) fn message(
    shared: &mut Shared,
    id: ConnectionId,
    connection: &mut Connection,
    message: &[u8],
    host: &mut dyn Host,
    events: &mut Events,
    now: Instant,
) {
    let Some(header) = Header::peek(message) else { return };
    connection.note_message(header.ty, now);
    let body = message.get(Header::LEN..).unwrap_or(&[]);
    let version = match connection.phase {
        Phase::Hello if header.ty == message_type::HELLO => {
            return connection.negotiate(header.version, body, message);
        }
        Phase::Hello if header.ty == message_type::ERROR => {
            connection.phase = Phase::Closing;
            return;
        }
        Phase::Hello => {
            // The first thing to say is hello.
            let version = Version::from_wire(header.version).unwrap_or(Version::V10);
            connection.outbox.push(error::encode(version, Code::BrcBadType, message));
            connection.phase = Phase::Closing;
            return;
        }
        Phase::Closing => return,
        // Who watches has nothing to say.
        Phase::Open(_) if connection.snoops => return,
        Phase::Open(version) => version,
    };
    if header.version != version as u8 {
        if header.ty != message_type::HELLO && header.ty != message_type::ERROR {
            connection.outbox.push(error::encode(version, Code::BrcBadVersion, message));
        }
        return;
    }
    let mut request =
        Request { shared, id, connection, host, events, now, version, xid: header.xid, body };
    if let Err(code) = dispatch(&mut request, header.ty) {
        request.connection.outbox.push(error::encode(version, code, message));
    }
}

fn dispatch(request: &mut Request<'_>, ty: u8) -> Result<(), Code> {
    match ty {
        message_type::HELLO | message_type::ERROR | message_type::ECHO_REPLY => Ok(()),
        message_type::ECHO_REQUEST => {
            let body = request.body;
            request.reply(message_type::ECHO_REPLY, |out| out.extend_from_slice(body));
            Ok(())
        }
        message_type::EXPERIMENTER => nicira_or_onf(request),
        message_type::FEATURES_REQUEST => features::reply(request),
        message_type::GET_CONFIG_REQUEST => get_config(request),
        message_type::SET_CONFIG => set_config(request),
        message_type::PACKET_OUT => packets::packet_out(request),
        message_type::FLOW_MOD => flows::flow_mod(request),
        _ if request.version == Version::V10 => dispatch10(request, ty),
        _ => dispatch11(request, ty),
    }
}

fn dispatch10(request: &mut Request<'_>, ty: u8) -> Result<(), Code> {
    match ty {
        15 => ports::port_mod(request),
        16 => statistics::request(request),
        18 => {
            request.reply(19, |_| {});
            Ok(())
        }
        20 => ports::queue_config(request, 21),
        _ => Err(Code::BrcBadType),
    }
}

fn dispatch11(request: &mut Request<'_>, ty: u8) -> Result<(), Code> {
    let version = request.version;
    match ty {
        15 => groups::group_mod(request),
        16 => ports::port_mod(request),
        17 => features::table_mod(request),
        18 => statistics::request(request),
        20 => {
            request.reply(21, |_| {});
            Ok(())
        }
        22 if version < Version::V14 => ports::queue_config(request, 23),
        24 if version >= Version::V12 => {
            let asked = RoleMessage::decode(request.body)?;
            let told = take_role(request, asked)?;
            request.reply(25, |out| told.encode(out));
            Ok(())
        }
        26 if version >= Version::V13 => {
            let config = request.connection.async_config;
            request.reply(27, |out| config.encode(out, version));
            Ok(())
        }
        28 if version >= Version::V13 => set_async(request, version >= Version::V14),
        29 if version >= Version::V13 => meters::meter_mod(request),
        33 if version >= Version::V14 => bundles::control(request, None),
        34 if version >= Version::V14 => bundles::add(request, request.body),
        _ => Err(Code::BrcBadType),
    }
}

fn nicira_or_onf(request: &mut Request<'_>) -> Result<(), Code> {
    let mut body = Cursor::new(request.body);
    let (vendor, subtype) = (body.u32()?, body.u32()?);
    let rest = body.rest();
    match vendor {
        experimenter::id::NICIRA => nicira(request, subtype, rest),
        experimenter::id::ONF => onf(request, subtype, rest),
        _ => Err(Code::BrcBadVendor),
    }
}

fn onf(request: &mut Request<'_>, subtype: u32, body: &[u8]) -> Result<(), Code> {
    if request.version != Version::V13 {
        return Err(Code::BrcBadSubtype);
    }
    match subtype {
        experimenter::onf::BUNDLE_CONTROL => bundles::control(request, Some(body)),
        experimenter::onf::BUNDLE_ADD => bundles::add(request, body),
        experimenter::onf::FLOW_MONITOR_CANCEL => monitors::cancel(request, body),
        _ => Err(Code::BrcBadSubtype),
    }
}

fn nicira(request: &mut Request<'_>, subtype: u32, body: &[u8]) -> Result<(), Code> {
    use experimenter::nicira as nx;
    let old = request.version == Version::V10;
    match subtype {
        nx::ROLE_REQUEST => {
            let asked = RoleMessage::decode_nicira(body)?;
            let told = take_role(request, asked)?;
            request.reply_nicira(nx::ROLE_REPLY, |out| told.encode_nicira(out));
            Ok(())
        }
        nx::SET_FLOW_FORMAT if old => match control::decode_u32(body)? {
            // Both are understood at any time; the peer says what it will send, and wants.
            format @ (0 | 2) => {
                request.connection.nxm = format == 2;
                Ok(())
            }
            _ => Err(Code::BrcEperm),
        },
        nx::FLOW_MOD => flows::nicira(request, body),
        nx::FLOW_MOD_TABLE_ID => {
            let mut body = Cursor::new(body);
            let set = body.u8()?;
            body.zeros(7, Code::NxbrcMustBeZero)?;
            request.connection.flow_mod_table_id = set != 0;
            Ok(())
        }
        nx::SET_PACKET_IN_FORMAT => {
            request.connection.packet_in_format = match control::decode_u32(body)? {
                0 => PacketInFormat::Standard,
                1 => PacketInFormat::Nxt,
                2 => PacketInFormat::Nxt2,
                _ => return Err(Code::BrcEperm),
            };
            Ok(())
        }
        nx::FLOW_AGE => Ok(()),
        nx::SET_ASYNC_CONFIG => {
            request.connection.async_config = request.connection.async_config.decode13(body)?;
            request.connection.async_set = true;
            Ok(())
        }
        nx::SET_ASYNC_CONFIG2 if request.version <= Version::V13 => {
            let config = request.connection.async_config.decode14(body, request.version)?;
            request.connection.async_config = config;
            request.connection.async_set = true;
            Ok(())
        }
        nx::SET_CONTROLLER_ID => {
            request.connection.controller_id = control::decode_u16_after_zeros(body)?;
            Ok(())
        }
        nx::FLOW_MONITOR_CANCEL if request.version <= Version::V11 => {
            monitors::cancel(request, body)
        }
        nx::TLV_TABLE_MOD => tlv::modify(request, body),
        nx::TLV_TABLE_REQUEST => tlv::request(request),
        nx::RESUME => packets::resume(request, body),
        nx::CT_FLUSH_ZONE => packets::flush_zone(request, body),
        nx::CT_FLUSH => packets::flush(request, body),
        nx::GROUP_MOD if old => groups::nicira(request, body),
        _ => Err(Code::BrcBadSubtype),
    }
}

fn get_config(request: &mut Request<'_>) -> Result<(), Code> {
    let fragments = match request.shared.bridge.config().fragments {
        Fragments::Normal => 0,
        Fragments::Drop => 1,
        Fragments::NxMatch => 3,
    };
    let config = SwitchConfig {
        fragments,
        invalid_ttl: request.connection.async_config.invalid_ttl(),
        miss_send_len: request.connection.miss_send_len,
    };
    let version = request.version;
    request.reply(message_type::GET_CONFIG_REPLY, |out| config.encode(out, version));
    Ok(())
}

fn set_config(request: &mut Request<'_>) -> Result<(), Code> {
    let config = SwitchConfig::decode(request.version, request.body)?;
    let tool = request.connection.kind == ConnectionKind::Service;
    if tool || request.connection.role != Role::Secondary {
        let fragments = match config.fragments {
            0 => Some(Fragments::Normal),
            1 => Some(Fragments::Drop),
            3 => Some(Fragments::NxMatch),
            // Nothing here puts fragments together for flow tables.
            _ => None,
        };
        let mut settings = request.shared.bridge.config();
        if let Some(fragments) = fragments.filter(|it| *it != settings.fragments) {
            settings.fragments = fragments;
            request.shared.bridge.set_config(settings);
        }
    }
    if request.version < Version::V13 {
        request.connection.async_config.set_invalid_ttl(config.invalid_ttl);
    }
    request.connection.miss_send_len = config.miss_send_len;
    Ok(())
}

fn set_async(request: &mut Request<'_>, properties: bool) -> Result<(), Code> {
    let config = request.connection.async_config;
    request.connection.async_config = match properties {
        true => config.decode14(request.body, request.version)?,
        false => config.decode13(request.body)?,
    };
    request.connection.async_set = true;
    Ok(())
}

/// Gives the connection the role it asks for; a new primary makes the old one secondary.
fn take_role(request: &mut Request<'_>, asked: RoleMessage) -> Result<RoleMessage, Code> {
    if let Some(generation) = asked.generation {
        let stale = request.shared.generation.is_some_and(|last| {
            // Numbers wrap: older is what lies less than half the range behind.
            i64::from_be_bytes(generation.wrapping_sub(last).to_be_bytes()) < 0
        });
        if stale {
            return Err(Code::RrfcStale);
        }
        request.shared.generation = Some(generation);
    }
    if asked.role != Role::NoChange && asked.role != request.connection.role {
        if asked.role == Role::Primary {
            request.events.new_primary = Some(request.id);
        }
        request.connection.role = asked.role;
    }
    let generation = request.shared.generation;
    Ok(RoleMessage { role: request.connection.role, generation })
}
