//! What is told unasked: to every connection what it wants to know.

use std::collections::BTreeMap;

use dp_core::base::Instant;

use super::connection::{Connection, ConnectionKind};
use super::monitors;
use super::service::{ConnectionId, Shared};
use crate::openflow::async_config::AsyncKind;
use crate::openflow::control::{self, Role};
use crate::openflow::packet::{FlowRemoved, RemovedReason};
use crate::openflow::port::{self, PortDesc, PortReason, state::LIVE};
use crate::openflow::wire::Put;
use crate::openflow::{Version, message_type};
use crate::table::{Change, Removal, Rule};

/// Whose request did something.
pub(super) type Origin = Option<(ConnectionId, u32)>;

/// What has happened.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) changes: Vec<(Vec<Change>, Origin)>,
    ports: Vec<PortEvent>,
    /// A connection has become primary.
    pub(super) new_primary: Option<ConnectionId>,
}

/// What has become of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortChange {
    /// It is new.
    Added(PortDesc),
    /// It is gone.
    Removed(PortDesc),
    /// It has changed.
    Changed {
        /// What it was.
        before: PortDesc,
        /// What it is.
        now: PortDesc,
    },
}

/// What connections are told of a port.
#[derive(Debug)]
struct PortEvent {
    reason: PortReason,
    /// What it was, where it has changed.
    before: Option<PortDesc>,
    port: PortDesc,
}

impl PortEvent {
    /// Whether a version of the protocol can show what has changed.
    fn shows(&self, version: Version) -> bool {
        let shown = |port: &PortDesc| {
            let mut out = Vec::new();
            port.encode(&mut out, version);
            out
        };
        self.before.as_ref().is_none_or(|before| shown(before) != shown(&self.port))
    }
}

impl Events {
    pub(super) fn of_changes(changes: Vec<Change>) -> Self {
        Self { changes: vec![(changes, None)], ..Self::default() }
    }

    /// Told are ports in the steps in which the reference takes them: a port comes before it is alive
    /// and is alive no longer before its link is down.
    pub(super) fn of_ports(changes: Vec<PortChange>) -> Self {
        let (mut events, mut alive) = (Self::default(), Self::default());
        let dead = |port: &PortDesc| PortDesc { state: port.state & !LIVE, ..port.clone() };
        for change in changes {
            match change {
                PortChange::Removed(port) => {
                    events.ports.push(PortEvent { reason: PortReason::Delete, before: None, port });
                }
                PortChange::Added(port) => {
                    let came = dead(&port);
                    let reason = PortReason::Add;
                    events.ports.push(PortEvent { reason, before: None, port: came.clone() });
                    alive.port_modified(came, port);
                }
                PortChange::Changed { before, now } if before.state & !now.state & LIVE != 0 => {
                    let dying = dead(&before);
                    events.port_modified(before, dying.clone());
                    events.port_modified(dying, now);
                }
                PortChange::Changed { before, now } => events.port_modified(before, now),
            }
        }
        events.ports.append(&mut alive.ports);
        events
    }

    fn port_modified(&mut self, before: PortDesc, port: PortDesc) {
        if before != port {
            let before = Some(before);
            self.ports.push(PortEvent { reason: PortReason::Modify, before, port });
        }
    }

    pub(super) fn add_changes(&mut self, changes: Vec<Change>, id: ConnectionId, xid: u32) {
        if !changes.is_empty() {
            self.changes.push((changes, Some((id, xid))));
        }
    }

    /// A controller has configured a port. What comes of it is told when it has.
    pub(super) fn port_configured(&mut self, before: PortDesc, config: u32) {
        let down = config & port::config::DOWN != 0;
        let state = if down { before.state & !LIVE } else { before.state };
        let port = PortDesc { config, state, ..before.clone() };
        self.port_modified(before, port);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.ports.is_empty() && self.new_primary.is_none()
    }
}

/// Tells every connection.
pub(super) fn tell(
    shared: &mut Shared,
    connections: &mut BTreeMap<ConnectionId, Connection>,
    events: Events,
    now: Instant,
) {
    if let Some(primary) = events.new_primary {
        depose(shared, connections, primary);
    }
    for event in events.ports.iter().filter(|event| event.reason == PortReason::Modify) {
        shared.told_ports.insert(event.port.port, event.port.clone());
    }
    for (id, connection) in connections.iter_mut() {
        let Some(version) = connection.version() else { continue };
        for event in events.ports.iter().filter(|event| event.shows(version)) {
            if wants(connection, AsyncKind::PortStatus, event.reason as u8) {
                let status = control::reply(version, message_type::PORT_STATUS, 0, |out| {
                    port::encode_status(out, version, event.reason, &event.port);
                });
                connection.outbox.push(status);
            }
        }
        for (changes, origin) in &events.changes {
            for change in changes {
                if let Change::Removed { rule, reason } = change {
                    tell_removed(connection, version, rule, *reason, now);
                }
            }
            monitors::tell(*id, connection, version, changes, *origin);
        }
    }
    if !events.changes.is_empty() {
        super::tables::tell(shared, connections);
    }
}

/// Whether a connection is told nothing unasked: a tool that has not asked for packets is not.
pub(super) fn is_quiet(connection: &Connection) -> bool {
    let tool = connection.kind == ConnectionKind::Service && connection.miss_send_len == 0;
    connection.quiet || connection.snoops || tool
}

/// Whether a connection is told of something.
pub(super) fn wants(connection: &Connection, kind: AsyncKind, reason: u8) -> bool {
    !is_quiet(connection)
        && !connection.outbox.is_full()
        && connection.async_config.wants(connection.role, kind, reason)
}

fn tell_removed(
    connection: &mut Connection,
    version: Version,
    rule: &Rule,
    reason: Removal,
    now: Instant,
) {
    if !rule.flags().send_flow_removed {
        return;
    }
    let reason = removed_reason(reason);
    if !wants(connection, AsyncKind::FlowRemoved, reason as u8) {
        return;
    }
    let message = FlowRemoved {
        matching: rule.matching(),
        cookie: rule.cookie(),
        priority: rule.wire_priority(),
        reason,
        table: rule.table(),
        duration: now.since(rule.created()),
        idle_timeout: rule.idle_timeout(),
        hard_timeout: rule.hard_timeout(),
        packets: rule.stats().packets(),
        bytes: rule.stats().bytes(),
    };
    connection.outbox.push(message.encode(version, connection.nxm));
}

/// How the wire numbers a reason.
pub(super) fn removed_reason(reason: Removal) -> RemovedReason {
    match reason {
        Removal::Delete => RemovedReason::Delete,
        Removal::IdleTimeout => RemovedReason::IdleTimeout,
        Removal::HardTimeout => RemovedReason::HardTimeout,
        Removal::GroupDelete => RemovedReason::GroupDelete,
        Removal::MeterDelete => RemovedReason::MeterDelete,
        Removal::Eviction => RemovedReason::Eviction,
    }
}

/// There is one primary: the one before becomes secondary, and is told if it wants to know.
fn depose(
    shared: &Shared,
    connections: &mut BTreeMap<ConnectionId, Connection>,
    primary: ConnectionId,
) {
    for (id, connection) in connections.iter_mut() {
        if *id == primary || connection.role != Role::Primary {
            continue;
        }
        // Reason 0: a request of the new one.
        let told = wants(connection, AsyncKind::RoleStatus, 0);
        connection.role = Role::Secondary;
        let Some(version) = connection.version().filter(|version| *version >= Version::V14) else {
            continue;
        };
        if told {
            let status = control::reply(version, ROLE_STATUS, 0, |out| {
                out.put32(Role::Secondary as u32);
                out.put8(0);
                out.zeros(3);
                out.put64(shared.generation.unwrap_or(u64::MAX));
            });
            connection.outbox.push(status);
        }
    }
}

const ROLE_STATUS: u8 = 30;
