//! Flow monitors.
//!
//! A monitor whose peer does not read is paused: it is told so, nothing is kept for it, and when
//! the peer has caught up it is told what has changed meanwhile: everything that changed after the
//! pause, compared with the rules that stand then.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;
use dp_core::base::Instant;

use super::connection::Connection;
use super::events::{Origin, removed_reason};
use super::handle::Request;
use super::service::{ConnectionId, Shared};
use crate::group::GroupId;
use crate::openflow::monitor::{Command, Dialect, Event, MonitorRequest, Update, flag};
use crate::openflow::multipart::{Kind, Reply};
use crate::openflow::{Code, Version, control, experimenter};
use crate::table::{Change, Rule, RuleId, TableSet};

/// A flow monitor.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    request: MonitorRequest,
    dialect: Dialect,
    kind: Kind,
}

/// Monitors that one connection may have.
const MAX: usize = 1024;

/// Begins, changes or ends monitors.
pub(super) fn request(
    request: &mut Request<'_>,
    dialect: Dialect,
    kind: Kind,
    body: &[u8],
) -> Result<(), Code> {
    let asked = MonitorRequest::decode_all(request.version, dialect, body)?;
    let mut monitors = request.connection.monitors.clone();
    let mut fresh = Vec::new();
    for one in asked {
        let id = one.id;
        let known = monitors.contains_key(&id);
        match one.command {
            Command::Add if known => return Err(Code::MofcMonitorExists),
            Command::Add if monitors.len() >= MAX => return Err(Code::MofcUnknown),
            Command::Modify | Command::Delete if !known => return Err(Code::MofcUnknownMonitor),
            Command::Delete => {
                monitors.remove(&id);
            }
            _ => {
                let monitor = Monitor { request: one, dialect, kind };
                fresh.push(monitor.clone());
                monitors.insert(id, monitor);
            }
        }
    }
    request.connection.monitors = monitors;
    let tables = request.shared.bridge.tables().snapshot();
    let mut reply = Reply::new(request.version, request.xid, kind);
    let mut seen: HashSet<RuleId, RandomState> = HashSet::default();
    for monitor in fresh.iter().filter(|it| it.request.flags & flag::INITIAL != 0) {
        for rule in tables.rules().filter(|rule| monitor.covers(rule)) {
            if seen.insert(rule.id()) {
                let whole = monitor.request.flags & flag::INSTRUCTIONS != 0;
                let (version, event) = (request.version, Event::Initial);
                reply.entry(|out| update(rule, event, whole).encode(out, version, dialect));
            }
        }
    }
    for message in reply.finish() {
        request.connection.outbox.push(message);
    }
    Ok(())
}

/// Ends a monitor.
pub(super) fn cancel(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let id = control::decode_u32(body)?;
    match request.connection.monitors.remove(&id) {
        Some(_) => Ok(()),
        None => Err(Code::MofcUnknownMonitor),
    }
}

impl Monitor {
    fn covers(&self, rule: &Rule) -> bool {
        let request = &self.request;
        request.table.is_none_or(|table| table == rule.table())
            && rule.table() < crate::table::INTERNAL_TABLE
            && request.matching.covers(rule.matching())
            && request.out_port.is_none_or(|port| crate::table::outputs_to(rule.actions(), port))
            && request
                .out_group
                .is_none_or(|group: GroupId| crate::table::uses_group(rule.actions(), group))
    }

    fn wants(&self, event: Event) -> bool {
        let bit = match event {
            Event::Initial => flag::INITIAL,
            Event::Added => flag::ADD,
            Event::Removed(_) => flag::REMOVED,
            Event::Modified => flag::MODIFY,
        };
        self.request.flags & bit != 0
    }
}

fn update(rule: &Rule, event: Event, whole: bool) -> Update<'_> {
    Update::Full {
        event,
        table: rule.table(),
        idle_timeout: rule.idle_timeout(),
        hard_timeout: rule.hard_timeout(),
        priority: rule.wire_priority(),
        cookie: rule.cookie(),
        matching: rule.matching(),
        actions: whole.then_some(&**rule.actions()),
    }
}

/// Tells a connection's monitors what has changed.
pub(super) fn tell(
    id: ConnectionId,
    connection: &mut Connection,
    version: Version,
    changes: &[Change],
    origin: Origin,
) {
    let Some(first) = connection.monitors.values().next() else { return };
    let (dialect, kind) = (first.dialect, first.kind);
    if connection.monitors_paused {
        return;
    }
    if connection.outbox.is_full() {
        connection.monitors_paused = true;
        pause(connection, version, dialect, kind);
        return;
    }
    let own = origin.filter(|(by, _)| *by == id).map(|(_, xid)| xid);
    let mut reply = Reply::new(version, 0, kind);
    let (mut any, mut abbreviated) = (false, false);
    for change in changes {
        let (rule, event) = match change {
            Change::Added(rule) => (rule, Event::Added),
            Change::Replaced { new, .. } => (new, Event::Added),
            Change::Modified { new, .. } => (new, Event::Modified),
            Change::Removed { rule, reason } => {
                (rule, Event::Removed(removed_reason(*reason) as u8))
            }
        };
        let mut flags = 0;
        for monitor in connection.monitors.values() {
            if monitor.wants(event) && monitor.covers(rule) {
                flags |= monitor.request.flags | SOME;
            }
        }
        if flags & SOME == 0 {
            continue;
        }
        any = true;
        match own {
            Some(_) if flags & (flag::NO_ABBREV | flag::OWN) == 0 => abbreviated = true,
            _ => {
                let whole = flags & flag::INSTRUCTIONS != 0;
                reply.entry(|out| update(rule, event, whole).encode(out, version, dialect));
            }
        }
    }
    if let (true, Some(xid)) = (abbreviated, own) {
        reply.entry(|out| Update::Abbreviated { xid }.encode(out, version, dialect));
    }
    if any {
        for message in reply.finish() {
            connection.outbox.push(message);
        }
    }
}

/// Set in collected flags when any monitor is concerned.
const SOME: u16 = 1 << 15;

fn pause(connection: &mut Connection, version: Version, dialect: Dialect, kind: Kind) {
    tell_flow(connection, version, dialect, kind, true);
}

/// Says that from here on something is missing, or nothing is any more.
fn tell_flow(
    connection: &mut Connection,
    version: Version,
    dialect: Dialect,
    kind: Kind,
    paused: bool,
) {
    use experimenter::{id, nicira, onf};
    let message = match (dialect, version) {
        (Dialect::Nicira, _) => {
            let subtype =
                if paused { nicira::FLOW_MONITOR_PAUSED } else { nicira::FLOW_MONITOR_RESUMED };
            control::reply_nicira(version, subtype, 0, |_| {})
        }
        (_, Version::V14 | Version::V15) => {
            let mut reply = Reply::new(version, 0, kind);
            let update = if paused { Update::Paused } else { Update::Resumed };
            reply.entry(|out| update.encode(out, version, dialect));
            for message in reply.finish() {
                connection.outbox.push(message);
            }
            return;
        }
        _ => {
            let subtype = if paused { onf::FLOW_MONITOR_PAUSED } else { onf::FLOW_MONITOR_RESUMED };
            let mut out = Vec::new();
            experimenter::begin_of(&mut out, version, id::ONF, subtype, 0);
            crate::openflow::Header::end(&mut out, 0);
            out
        }
    };
    connection.outbox.push(message);
}

/// Lets monitors go on whose peer has caught up.
pub(super) fn resume(
    shared: &Shared,
    connections: &mut BTreeMap<ConnectionId, Connection>,
    _now: Instant,
) {
    for connection in connections.values_mut() {
        let Some(version) = connection.version() else { continue };
        if !connection.monitors_paused || !connection.outbox.is_empty() {
            continue;
        }
        connection.monitors_paused = false;
        let Some(first) = connection.monitors.values().next().cloned() else { continue };
        let tables = shared.bridge.tables().snapshot();
        catch_up(connection, version, &first, &tables);
        tell_flow(connection, version, first.dialect, first.kind, false);
    }
}

/// Everything that stands now, as added: whoever watches replaces what it knew.
fn catch_up(
    connection: &mut Connection,
    version: Version,
    first: &Monitor,
    tables: &Arc<TableSet>,
) {
    let mut reply = Reply::new(version, 0, first.kind);
    for rule in tables.rules() {
        let concerned: Vec<_> =
            connection.monitors.values().filter(|monitor| monitor.covers(rule)).collect();
        if concerned.is_empty() {
            continue;
        }
        let whole = concerned.iter().any(|it| it.request.flags & flag::INSTRUCTIONS != 0);
        reply.entry(|out| {
            update(rule, Event::Added, whole).encode(out, version, first.dialect);
        });
    }
    for message in reply.finish() {
        connection.outbox.push(message);
    }
}
