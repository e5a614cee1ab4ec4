//! Bundles (OpenFlow 1.4 section 6.8, the foundation's extension to 1.3): requests that are
//! collected and carried out together, or not at all.
//!
//! Requests are read when they are added, so that what is malformed is refused there and then.
//! Committing carries them out in one [`crate::table::Edit`], in their order; ports are changed as
//! they come, and changed back when a later request fails. Packets leave when all has succeeded.

use std::sync::Arc;

use dp_core::base::{Duration, Instant};

use super::connection::Connection;
use super::handle::Request;
use super::{flows, groups, packets, ports};
use crate::openflow::control::{BundleAdd, BundleControl, bundle};
use crate::openflow::flow_mod::{self, FlowModMessage};
use crate::openflow::packet::PacketOut;
use crate::openflow::port::{PortDesc, PortMod};
use crate::openflow::wire::Cursor;
use crate::openflow::{Code, Header, Version, error, experimenter, group_mod, message_type};
use crate::table::GroupMod;

/// A request in a bundle.
#[derive(Debug)]
enum Piece {
    Flow(FlowModMessage),
    Group(GroupMod),
    Port(PortMod),
    Packet(PacketOut),
}

/// A bundle.
#[derive(Debug)]
pub(super) struct Bundle {
    flags: u16,
    closed: bool,
    pieces: Vec<(u32, Piece)>,
    /// Bytes that its requests were long.
    bytes: usize,
    used: Instant,
}

/// Bytes that the requests of all bundles of a connection may be long together.
const MOST_BYTES: usize = 512 << 20;
/// Bundles of a connection.
const MOST_BUNDLES: usize = 64;

/// Opens, closes, commits or discards a bundle; `onf` is the body of the extension's message.
pub(super) fn control(request: &mut Request<'_>, onf: Option<&[u8]>) -> Result<(), Code> {
    let asked = BundleControl::decode(onf.unwrap_or(request.body))?;
    if asked.flags & !(bundle::ATOMIC | bundle::ORDERED) != 0 {
        return Err(Code::BfcBadFlags);
    }
    let idle = request.shared.settings.bundle_idle;
    expire(request.connection, asked.id, idle, request.now);
    match asked.kind {
        bundle::OPEN => open(request, asked)?,
        bundle::CLOSE => close(request, asked)?,
        bundle::COMMIT => commit(request, asked)?,
        bundle::DISCARD => {
            request.connection.bundles.remove(&asked.id).ok_or(Code::BfcBadId)?;
        }
        _ => return Err(Code::BfcBadType),
    }
    let told = BundleControl { kind: asked.kind + 1, ..asked };
    match onf {
        None => request.reply(33, |out| told.encode(out)),
        Some(_) => {
            let mut out = Vec::with_capacity(24);
            let (version, xid) = (request.version, request.xid);
            let (vendor, subtype) = (experimenter::id::ONF, experimenter::onf::BUNDLE_CONTROL);
            experimenter::begin_of(&mut out, version, vendor, subtype, xid);
            told.encode(&mut out);
            Header::end(&mut out, 0);
            request.connection.outbox.push(out);
        }
    }
    Ok(())
}

/// Forgets bundles that nothing has been done with for long.
fn expire(connection: &mut Connection, keep: u32, idle: Duration, now: Instant) {
    connection.bundles.retain(|id, bundle| *id == keep || now.since(bundle.used) < idle);
}

fn fresh(flags: u16, now: Instant) -> Bundle {
    Bundle { flags, closed: false, pieces: Vec::new(), bytes: 0, used: now }
}

fn open(request: &mut Request<'_>, asked: BundleControl) -> Result<(), Code> {
    let bundles = &mut request.connection.bundles;
    if bundles.remove(&asked.id).is_some() {
        return Err(Code::BfcBadId);
    }
    if bundles.len() >= MOST_BUNDLES {
        return Err(Code::BfcOutOfBundles);
    }
    bundles.insert(asked.id, fresh(asked.flags, request.now));
    Ok(())
}

fn close(request: &mut Request<'_>, asked: BundleControl) -> Result<(), Code> {
    let bundles = &mut request.connection.bundles;
    let bundle = bundles.get_mut(&asked.id).ok_or(Code::BfcBadId)?;
    let fault = match () {
        () if bundle.closed => Some(Code::BfcBundleClosed),
        () if bundle.flags != asked.flags => Some(Code::BfcBadFlags),
        () => None,
    };
    match fault {
        Some(fault) => {
            bundles.remove(&asked.id);
            Err(fault)
        }
        None => {
            bundle.closed = true;
            Ok(())
        }
    }
}

/// Adds a request to a bundle, which is opened if there is none.
pub(super) fn add(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let adding = BundleAdd::decode(body)?;
    if adding.flags & !(bundle::ATOMIC | bundle::ORDERED) != 0 {
        return Err(Code::BfcBadFlags);
    }
    let header = Header::peek(adding.message).ok_or(Code::BfcMsgBadLen)?;
    if header.xid != request.xid {
        return Err(Code::BfcMsgBadXid);
    }
    if header.version != request.version as u8 {
        return Err(Code::BfcBadVersion);
    }
    let table_ids = request.connection.flow_mod_table_id;
    let piece = decode(request.version, header.ty, adding.message, table_ids)?;
    let used: usize = request.connection.bundles.values().map(|bundle| bundle.bytes).sum();
    let count = request.connection.bundles.len();
    let bundle = match request.connection.bundles.get_mut(&adding.id) {
        Some(bundle) => bundle,
        None if count >= MOST_BUNDLES => return Err(Code::BfcOutOfBundles),
        None => request
            .connection
            .bundles
            .entry(adding.id)
            .or_insert_with(|| fresh(adding.flags, request.now)),
    };
    let fault = match () {
        () if bundle.closed => Some(Code::BfcBundleClosed),
        () if bundle.flags != adding.flags => Some(Code::BfcBadFlags),
        () if used + adding.message.len() > MOST_BYTES => Some(Code::BfcMsgTooMany),
        () => None,
    };
    if let Some(fault) = fault {
        request.connection.bundles.remove(&adding.id);
        return Err(fault);
    }
    bundle.bytes += adding.message.len();
    bundle.used = request.now;
    bundle.pieces.push((header.xid, piece));
    Ok(())
}

fn decode(version: Version, ty: u8, message: &[u8], table_ids: bool) -> Result<Piece, Code> {
    let body = message.get(Header::LEN..).unwrap_or(&[]);
    match ty {
        message_type::FLOW_MOD => Ok(Piece::Flow(flows::decode(body, version, table_ids)?)),
        message_type::PACKET_OUT => Ok(Piece::Packet(packets::decode_packet_out(version, body)?)),
        15 => Ok(Piece::Group(group_mod::decode(version, body)?)),
        16 => Ok(Piece::Port(PortMod::decode(version, body)?)),
        message_type::EXPERIMENTER => {
            let mut from = Cursor::new(body);
            let (vendor, subtype) = (from.u32()?, from.u32()?);
            let flow = (experimenter::id::NICIRA, experimenter::nicira::FLOW_MOD);
            match (vendor, subtype) == flow {
                true => flow_mod::decode_nicira(from.rest(), table_ids, version).map(Piece::Flow),
                false => Err(Code::BfcMsgUnsup),
            }
        }
        _ => Err(Code::BfcMsgUnsup),
    }
}

fn commit(request: &mut Request<'_>, asked: BundleControl) -> Result<(), Code> {
    let bundle = request.connection.bundles.remove(&asked.id).ok_or(Code::BfcBadId)?;
    if bundle.flags != asked.flags {
        return Err(Code::BfcBadFlags);
    }
    request.may_change()?;
    let tables = Arc::clone(&request.shared.bridge);
    let mut edit = tables.tables().edit();
    let mut undo: Vec<(PortDesc, u32, u32)> = Vec::new();
    let mut fault = None;
    for (xid, piece) in &bundle.pieces {
        let done = match piece {
            Piece::Flow(flow) => flows::apply(request.shared, &mut edit, flow, request.now),
            Piece::Group(group) => groups::apply(&mut edit, group, request.now),
            Piece::Port(port) => change_port(request, port, &mut undo),
            Piece::Packet(_) => Ok(()),
        };
        if let Err(code) = done {
            fault = Some((*xid, code));
            break;
        }
    }
    if let Some((xid, code)) = fault {
        drop(edit);
        for (before, _, mask) in undo.into_iter().rev() {
            // What could be set a moment ago can be set back.
            let _ = request.host.set_port(before.port, before.config & mask, mask);
        }
        let told = error::encode_data(request.version, code, xid, &[]);
        request.connection.outbox.push(told);
        return Err(Code::BfcMsgFailed);
    }
    let changes = edit.commit();
    request.events.add_changes(changes, request.id, request.xid);
    for (before, config, mask) in undo {
        let config = before.config & !mask | config & mask;
        request.events.port_configured(before, config);
    }
    for (_, piece) in &bundle.pieces {
        if let Piece::Packet(packet) = piece
            && let Err(code) = request.host.packet_out(packet, request.now)
        {
            let told = error::encode_data(request.version, code, request.xid, &[]);
            request.connection.outbox.push(told);
        }
    }
    Ok(())
}

/// Changes a port, and notes how it was.
fn change_port(
    request: &mut Request<'_>,
    port: &PortMod,
    undo: &mut Vec<(PortDesc, u32, u32)>,
) -> Result<(), Code> {
    let before = ports::check(request.host, port)?;
    request.host.set_port(port.port, port.config, port.mask)?;
    undo.push((before, port.config, port.mask));
    Ok(())
}
