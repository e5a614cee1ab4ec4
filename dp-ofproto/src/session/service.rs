//! All connections of a bridge, and what they share.

use std::collections::BTreeMap;
use std::sync::Arc;

use dp_core::base::{Duration, Instant, OfPort};

use super::connection::{Connection, ConnectionKind, Phase};
use super::events::{Events, PortChange};
use super::handle;
use super::host::Host;
use super::meters::Meters;
use super::pace::RateLimit;
use super::tables::TableState;
use crate::action::PacketInReason;
use crate::bridge::{Bridge, TableMiss};
use crate::openflow::port::PortDesc;
use crate::openflow::{Version, Versions};
use crate::table::Change;

/// Names a connection of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What the bridge's configuration says to its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Versions that may be agreed on.
    pub versions: Versions,
    /// The bridge's id.
    pub datapath_id: u64,
    /// After so much silence a tool is asked whether it is there.
    pub service_probe: Duration,
    /// A bundle that nothing has been done with for so long goes.
    pub bundle_idle: Duration,
    /// Names of tables, by number.
    pub table_names: BTreeMap<u8, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            versions: Versions::ALL,
            datapath_id: 0,
            service_probe: Duration::from_secs(60),
            bundle_idle: Duration::from_secs(10),
            table_names: BTreeMap::new(),
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bridge: Arc<Bridge>,
    pub(super) settings: Settings,
    /// The last number by which a role was claimed.
    pub(super) generation: Option<u64>,
    pub(super) meters: Meters,
    /// What a miss in a table does, and vacancy events: what table-mods have said.
    pub(super) tables: BTreeMap<u8, TableState>,
    /// Ports as they were last told of because a controller had changed them.
    pub(super) told_ports: BTreeMap<OfPort, PortDesc>,
}

/// The OpenFlow side of a bridge.
#[derive(Debug)]
pub struct Service {
    shared: Shared,
    connections: BTreeMap<ConnectionId, Connection>,
    next: u64,
    expire_at: Instant,
}

impl Service {
    /// A service without connections.
    #[must_use]
    pub fn new(bridge: Arc<Bridge>, settings: Settings) -> Self {
        bridge.tables().keep_changes(true);
        Self {
            shared: Shared {
                bridge,
                settings,
                generation: None,
                meters: Meters::default(),
                tables: BTreeMap::new(),
                told_ports: BTreeMap::new(),
            },
            connections: BTreeMap::new(),
            next: 0,
            expire_at: Instant(0),
        }
    }

    /// The bridge.
    #[must_use]
    pub fn bridge(&self) -> &Arc<Bridge> {
        &self.shared.bridge
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Changes the settings. Connections whose version is allowed no longer end.
    pub fn set_settings(&mut self, settings: Settings) {
        for connection in self.connections.values_mut() {
            if connection.version().is_some_and(|version| !settings.versions.has(version)) {
                connection.phase = Phase::Closing;
            }
            connection.allowed = settings.versions;
        }
        self.shared.settings = settings;
    }

    /// A tool has connected.
    pub fn accept(&mut self, name: impl Into<String>, now: Instant) -> ConnectionId {
        let probe = self.shared.settings.service_probe;
        self.add(ConnectionKind::Service, name.into(), probe, now)
    }

    /// Somebody has connected who wants to see what goes to and comes from controllers.
    pub fn accept_snoop(&mut self, name: impl Into<String>, now: Instant) -> ConnectionId {
        let id = self.accept(name, now);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.snoops = true;
        }
        id
    }

    /// Whether a connection is told nothing unasked.
    pub fn set_quiet(&mut self, id: ConnectionId, quiet: bool) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.quiet = quiet;
        }
    }

    /// Whether a connection is one that others watch, and somebody watches.
    #[must_use]
    pub fn is_watched(&self, id: ConnectionId) -> bool {
        let primary =
            |it: &Connection| it.kind == ConnectionKind::Primary && it.version().is_some();
        self.connections.get(&id).is_some_and(primary)
            && self.connections.values().any(|it| it.snoops)
    }

    /// Shows a message to everybody who watches; who does not read misses it.
    pub fn show(&mut self, message: &[u8]) {
        for watcher in self.connections.values_mut().filter(|it| it.snoops) {
            if watcher.version().is_some() && !watcher.outbox.is_full() {
                watcher.outbox.push(message.to_vec());
            }
        }
    }

    /// A controller that the bridge was configured with has been reached.
    pub fn connect(
        &mut self,
        name: impl Into<String>,
        probe: Duration,
        now: Instant,
    ) -> ConnectionId {
        self.add(ConnectionKind::Primary, name.into(), probe, now)
    }

    /// Says how fast packets go to a controller, and how many may wait to be sent.
    pub fn set_pace(&mut self, id: ConnectionId, limit: RateLimit, queue: usize, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.set_limit(limit, now);
            connection.packet_queue = queue.max(1);
        }
    }

    /// After so much silence a peer is asked whether it is there.
    pub fn set_probe(&mut self, id: ConnectionId, probe: Duration) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.probe = probe;
        }
    }

    fn add(
        &mut self,
        kind: ConnectionKind,
        name: String,
        probe: Duration,
        now: Instant,
    ) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        let versions = self.shared.settings.versions;
        self.connections.insert(id, Connection::new(kind, name, versions, probe, now));
        id
    }

    /// The peer has gone. What it had begun and not committed is as if it had never been.
    pub fn close(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.follow_misses();
    }

    /// Packets that miss in a table of which nothing is said go to controllers as long as there is
    /// one of a version before OpenFlow 1.3, and are dropped otherwise.
    fn follow_misses(&self) {
        let wants = |it: &Connection| {
            it.controller_id == 0 && !it.snoops && it.version().is_none_or(|it| it < Version::V13)
        };
        let miss = match self.connections.values().any(wants) {
            true => TableMiss::Controller,
            false => TableMiss::Drop,
        };
        let mut config = self.shared.bridge.config();
        if config.table_miss != miss {
            config.table_miss = miss;
            self.shared.bridge.set_config(config);
        }
    }

    /// A connection.
    pub fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    /// All connections.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections.iter().map(|(id, connection)| (*id, connection))
    }

    /// Takes what a peer has sent. Returns the messages that were complete, for those who watch.
    pub fn input(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        host: &mut dyn Host,
        now: Instant,
    ) -> usize {
        let Some(connection) = self.connections.get_mut(&id) else { return 0 };
        connection.splitter.feed(bytes);
        connection.heard = now;
        connection.probed = false;
        self.work(id, host, now)
    }

    /// Carries out what is complete, as far as the peer reads the answers.
    pub fn work(&mut self, id: ConnectionId, host: &mut dyn Host, now: Instant) -> usize {
        let mut events = Events::default();
        let mut done = 0;
        let watched = self.is_watched(id);
        let mut shown = Vec::new();
        while let Some(connection) = self.connections.get_mut(&id) {
            if !connection.wants_input() {
                break;
            }
            let mut splitter = std::mem::take(&mut connection.splitter);
            let message = match splitter.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => {
                    connection.splitter = splitter;
                    break;
                }
                Err(_) => {
                    connection.phase = Phase::Closing;
                    break;
                }
            };
            done += 1;
            if watched {
                shown.push(message.to_vec());
            }
            let shared = &mut self.shared;
            handle::message(shared, id, connection, message, host, &mut events, now);
            connection.splitter = splitter;
            if !events.is_empty() {
                self.tell(std::mem::take(&mut events), now);
            }
        }
        for message in shown {
            self.show(&message);
        }
        if done != 0 {
            self.follow_misses();
        }
        done
    }

    /// Tells every connection what has happened.
    fn tell(&mut self, events: Events, now: Instant) {
        super::events::tell(&mut self.shared, &mut self.connections, events, now);
    }

    /// Something else has changed the tables: the switch itself, learning, expiry.
    pub fn changed(&mut self, changes: Vec<Change>, now: Instant) {
        if !changes.is_empty() {
            self.tell(Events::of_changes(changes), now);
        }
    }

    /// Ports have come, gone or changed. What a controller has changed has been told already.
    pub fn ports_changed(&mut self, mut changes: Vec<PortChange>, now: Instant) {
        let told = std::mem::take(&mut self.shared.told_ports);
        for change in &mut changes {
            if let PortChange::Changed { before, now } = change
                && let Some(told) = told.get(&now.port)
            {
                before.clone_from(told);
            }
        }
        self.tell(Events::of_ports(changes), now);
        self.shared.told_ports.clear();
    }

    /// Packets for controllers.
    pub fn packet_in(&mut self, packet: &super::packets::PacketInEvent, now: Instant) {
        let missed = packet.reason == PacketInReason::ImplicitMiss;
        let by_default = missed && !self.shared.bridge.says_table_miss(packet.table);
        super::packets::send(&mut self.connections, packet, by_default, now);
    }

    /// What is due: rules whose time is over, peers that are silent.
    pub fn run(&mut self, now: Instant) {
        if now >= self.expire_at {
            self.expire_at = now.after(EXPIRE_EVERY);
            let changes = self.shared.bridge.tables().expire(now);
            self.changed(changes, now);
        }
        let learned = self.shared.bridge.tables().take_changes();
        self.changed(learned, now);
        for connection in self.connections.values_mut() {
            connection.check_liveness(now);
            connection.release_packets(now);
        }
        super::monitors::resume(&self.shared, &mut self.connections, now);
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        let mortal = self.expire_at;
        self.connections
            .values()
            .flat_map(|it| [it.deadline(), it.release_deadline(now)])
            .flatten()
            .fold(mortal, |first, next| first.min(next))
    }
}

/// How often it is looked whether a rule's time is over.
const EXPIRE_EVERY: Duration = Duration::from_millis(1000);
