//! The OpenFlow sockets of one bridge.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use dp_core::base::{Instant, OfPort};
use dp_ofproto::action::Action;
use dp_ofproto::matching::Match;
use dp_ofproto::openflow::port::PortDesc;
use dp_ofproto::openflow::{Version, Versions};
use dp_ofproto::session::{ConnectionId, Host, PortChange, Service, Settings};
use dp_ofproto::table::{FlowMod, HiddenRule};
use dp_ofproto::upcall::PacketIn;

use super::controllers::{Controllers, Loss, Wanted};
use super::fail_open::{self, FailOpen};
use super::host::BridgeHost;
use super::in_band::InBand;
use super::packets;
use crate::event_loop::{Turn, Wants};
use crate::net::Stream;
use crate::switch::{RunningBridge, Switch};
use crate::unixctl::listen::Listener;

/// A bridge's sockets and sessions.
pub(super) struct Endpoint {
    bridge: Arc<RunningBridge>,
    service: Service,
    host: BridgeHost,
    management: Option<Listener>,
    snoop: Option<Listener>,
    controllers: Controllers,
    in_band: InBand,
    fail_open: FailOpen,
    /// The rules of the switch itself that are in force, and whether there is in-band control.
    hidden: (Vec<HiddenRule>, bool),
    /// What the fail mode was made of: whether there are controllers, and whether it is secure.
    fail_mode: Option<(bool, bool)>,
    streams: BTreeMap<ConnectionId, Stream>,
    ports: Vec<PortDesc>,
    /// What of the bridge the ports were read at.
    ports_version: Option<u64>,
}

/// Bytes read from a peer at once.
const CHUNK: usize = 64 * 1024;
/// Chunks read from one peer in a turn, so that a flood of one does not hold up the others.
const CHUNKS: usize = 16;
/// Packets that may be said to wait for a controller at most.
const MOST_PACKETS: usize = 512;
/// Connections of tools to a bridge.
const MOST_STREAMS: usize = 256;

impl Endpoint {
    /// The sockets of a bridge that has just come.
    pub(super) fn new(switch: &Arc<Switch>, bridge: &Arc<RunningBridge>) -> Self {
        let management = listen(switch, &format!("{}.mgmt", bridge.name));
        let snoop = listen(switch, &format!("{}.snoop", bridge.name));
        let service = Service::new(Arc::clone(&bridge.bridge), settings(bridge, switch));
        Self {
            bridge: Arc::clone(bridge),
            service,
            host: BridgeHost::new(Arc::clone(bridge), Arc::clone(switch)),
            management,
            snoop,
            controllers: Controllers::default(),
            in_band: InBand::default(),
            fail_open: FailOpen::default(),
            hidden: (Vec::new(), false),
            fail_mode: None,
            streams: BTreeMap::new(),
            ports: Vec::new(),
            ports_version: None,
        }
    }

    /// Whether these are the sockets of that very bridge.
    pub(super) fn is_of(&self, bridge: &Arc<RunningBridge>) -> bool {
        Arc::ptr_eq(&self.bridge, bridge)
    }

    /// The same, for a bridge behind a plain reference.
    pub(super) fn is_of_name(&self, bridge: &RunningBridge) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.bridge), bridge)
    }

    /// How many connections it has.
    pub(super) fn connections(&self) -> usize {
        self.streams.len()
    }

    /// How many rules the switch itself has put before all others.
    pub(super) fn hidden_rules(&self) -> usize {
        self.hidden.0.len()
    }

    /// Does what can be done now.
    pub(super) fn run(&mut self, switch: &Switch, turn: &Turn<'_>) {
        let now = turn.now();
        let settings = settings(&self.bridge, switch);
        if *self.service.settings() != settings {
            self.service.set_settings(settings);
        }
        if self.bridge.is_to_reconnect() {
            self.reconnect(now);
        }
        self.follow_controllers(switch, now);
        self.follow_ports(now);
        self.accept(now);
        self.service.run(now);
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            self.serve(id, now);
        }
        // What was heard just now is in it.
        let name = &self.bridge.name;
        self.controllers.greet(&mut self.service, name, now);
        let status = self.controllers.status(&mut self.service, now);
        switch.set_controller_status(name, status);
    }

    /// Ends all connections; controllers are called again as after any loss.
    fn reconnect(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.streams).into_keys() {
            self.service.close(id);
            self.controllers.lost(id, &Loss::Asked, &self.bridge.name, now);
        }
    }

    fn accept(&mut self, now: Instant) {
        for (listener, watches) in [(&self.management, false), (&self.snoop, true)] {
            let Some(listener) = listener else { continue };
            while self.streams.len() < MOST_STREAMS {
                match listener.accept() {
                    Ok(Some(stream)) => {
                        let name = format!("{}<->unix", self.bridge.name);
                        let id = match watches {
                            true => self.service.accept_snoop(name, now),
                            false => self.service.accept(name, now),
                        };
                        self.streams.insert(id, Stream::Unix(stream));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        log::warn!(
                            target: "connmgr",
                            "{}: accept failed ({})", self.bridge.name, crate::errno::text(&error)
                        );
                        break;
                    }
                }
            }
        }
    }

    /// Makes connections to controllers as the configuration says, and the flow that a bridge
    /// without any has.
    fn follow_controllers(&mut self, switch: &Switch, now: Instant) {
        let (configs, secure, packet_queue) = {
            let state = self.bridge.state();
            let secure = state.config.fail_mode.as_deref() == Some("secure");
            let queue = state.config.other_config.get("controller-queue-size");
            let queue = queue.and_then(|it| it.trim().parse().ok());
            let queue = queue.filter(|it| (1..=MOST_PACKETS).contains(it));
            (state.config.controllers.clone(), secure, queue)
        };
        let folder = switch.paths.in_run_folder("");
        let bridge = Arc::clone(&self.bridge);
        let name = &bridge.name;
        let confined = switch.paths.confined;
        let controllers = &configs[..];
        let wanted = Wanted { controllers, packet_queue, bridge: name, folder: &folder, confined };
        for id in self.controllers.configure(wanted, &mut self.service, now) {
            self.streams.remove(&id);
            self.service.close(id);
        }
        let outcome = self.controllers.run(&mut self.service, name, now);
        for made in outcome.made {
            self.streams.insert(made.id, made.stream);
        }
        for id in outcome.ended {
            self.streams.remove(&id);
            self.service.close(id);
        }
        let mode = (self.controllers.calls_some(), secure);
        match self.fail_mode.replace(mode) {
            Some(before) if before == mode => {}
            before => self.change_fail_mode(before, mode, now),
        }
        self.follow_hidden(switch, secure, now);
    }

    /// Has the rules that controllers do not make: the way to them, and what stands in for them.
    fn follow_hidden(&mut self, switch: &Switch, secure: bool, now: Instant) {
        let is_open = self.fail_open.is_open();
        let reach = self.controllers.reach(&mut self.service, is_open, now).filter(|_| !secure);
        let opens = self.fail_open.look(reach, &self.bridge.name);
        let mut rules = self.in_band.rules(&self.bridge, switch, now).to_vec();
        let in_band = !rules.is_empty();
        if self.fail_open.is_open() {
            rules.push(fail_open::rule());
        }
        let hidden = (rules, in_band);
        if !opens && hidden == self.hidden {
            return;
        }
        self.hidden = hidden;
        let bridge = Arc::clone(&self.bridge.bridge);
        let mut edit = bridge.tables().edit();
        if opens {
            // Deleting everything cannot be refused.
            let _ = edit.apply(&FlowMod::delete(None, Match::any()), now);
        }
        edit.set_hidden(&self.hidden.0, self.hidden.1, now);
        let changes = edit.commit();
        self.service.changed(changes, now);
    }

    /// A bridge starts without flows when it gets its first controller, loses its last, or changes its
    /// mode while it has none; one without controllers that is not secure has the one that makes it a
    /// switch as any other.
    fn change_fail_mode(&mut self, before: Option<(bool, bool)>, mode: (bool, bool), now: Instant) {
        let (controlled, secure) = mode;
        let stands_alone = !controlled && !secure;
        if before.is_some_and(|before| before.0 == controlled && controlled) {
            return;
        }
        let bridge = Arc::clone(&self.bridge.bridge);
        let mut edit = bridge.tables().edit();
        if before.is_some() {
            // Deleting everything cannot be refused.
            let _ = edit.apply(&FlowMod::delete(None, Match::any()), now);
        }
        if stands_alone {
            let normal = Action::Output { port: OfPort::NORMAL, max_len: 0 };
            if let Err(error) = edit.apply(&FlowMod::add(0, 0, Match::any(), vec![normal]), now) {
                log::error!(target: "ofproto", "{}: {error}", self.bridge.name);
            }
        }
        let changes = edit.commit();
        self.service.changed(changes, now);
    }

    /// A packet of this bridge is for controllers.
    pub(super) fn packet_in(&mut self, packet: PacketIn, now: Instant) {
        let event = packets::event(packet, &mut self.host.held);
        // Who reads has as much room as he asked for, however many come in one turn.
        for (id, stream) in &mut self.streams {
            if self.service.connection(*id).is_some_and(|it| it.has_full_packet_queue()) {
                // A peer that is gone is found out when it is served.
                send(&mut self.service, *id, stream);
            }
        }
        self.service.packet_in(&event, now);
    }

    /// Whether a packet is of this bridge.
    pub(super) fn is_from(&self, packet: &PacketIn) -> bool {
        Arc::ptr_eq(&packet.bridge, &self.bridge.bridge)
    }

    /// Moves bytes between a peer and its session.
    fn serve(&mut self, id: ConnectionId, now: Instant) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let mut buffer = [0; CHUNK];
        let mut loss = None;
        for _ in 0..CHUNKS {
            if !send(&mut self.service, id, stream) {
                loss = Some(Loss::Closed);
                break;
            }
            // What had to wait for room goes on now.
            self.service.work(id, &mut self.host, now);
            let wants = self.service.connection(id).is_some_and(|it| it.wants_input());
            if !wants {
                break;
            }
            match stream.read(&mut buffer) {
                Ok(0) => {
                    loss = Some(Loss::Closed);
                    break;
                }
                Ok(len) => {
                    let bytes = buffer.get(..len).unwrap_or(&[]);
                    self.service.input(id, bytes, &mut self.host, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    loss = Some(Loss::Broken(crate::errno::text(&error)));
                    break;
                }
            }
        }
        if loss.is_none() && !send(&mut self.service, id, stream) {
            loss = Some(Loss::Closed);
        }
        let silent = self.service.connection(id).is_some_and(|it| it.is_silent());
        let over =
            self.service.connection(id).is_none_or(|it| it.is_closing() && it.outbox().is_empty());
        if over {
            loss = loss.or(Some(if silent { Loss::Silent } else { Loss::Refused }));
        }
        if let Some(loss) = loss {
            self.streams.remove(&id);
            self.service.close(id);
            self.controllers.lost(id, &loss, &self.bridge.name, now);
        }
    }

    /// Tells controllers which ports have come, gone and changed.
    fn follow_ports(&mut self, now: Instant) {
        let version = self.bridge.bridge.ports().version();
        if self.ports_version == Some(version) {
            return;
        }
        let ports: Vec<_> = self.host.ports().into_iter().map(|port| port.desc).collect();
        if self.ports_version.replace(version).is_some() {
            let changes = differences(&self.ports, &ports);
            if !changes.is_empty() {
                self.service.ports_changed(changes, now);
            }
        }
        self.ports = ports;
    }

    /// Says what to wake up for.
    pub(super) fn wait(&mut self, wants: &mut Wants, now: Instant) {
        for listener in [&self.management, &self.snoop].into_iter().flatten() {
            if self.streams.len() < MOST_STREAMS {
                wants.read(listener.socket());
            }
        }
        self.controllers.wait(wants);
        self.in_band.deadline().into_iter().for_each(|at| wants.at(at));
        for (id, stream) in &self.streams {
            let Some(connection) = self.service.connection(*id) else { continue };
            stream.wait(wants, connection.wants_input(), !connection.outbox().is_empty());
        }
        wants.at(self.service.deadline(now));
    }
}

/// Sends what waits, as far as the peer takes it; false if it is gone.
fn send(service: &mut Service, id: ConnectionId, stream: &mut Stream) -> bool {
    let watched = service.is_watched(id);
    let mut shown = Vec::new();
    let alive = send_all(service, id, stream, watched.then_some(&mut shown));
    for message in shown {
        service.show(&message);
    }
    alive
}

fn send_all(
    service: &mut Service,
    id: ConnectionId,
    stream: &mut Stream,
    mut shown: Option<&mut Vec<Vec<u8>>>,
) -> bool {
    let Some(connection) = service.connection(id) else { return false };
    let outbox = connection.outbox();
    if stream.flush().is_err() {
        return false;
    }
    loop {
        let bytes = outbox.front();
        if bytes.is_empty() {
            return true;
        }
        match stream.write(bytes) {
            Ok(0) => return false,
            Ok(sent) => {
                if let (Some(message), Some(shown)) = (outbox.advance(sent), shown.as_mut()) {
                    shown.push(message);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// A socket of tools in the run folder.
fn listen(switch: &Switch, name: &str) -> Option<Listener> {
    let path = switch.paths.in_run_folder(name);
    Listener::bind(&path)
        .inspect_err(|error| {
            log::error!(
                target: "connmgr",
                "failed to listen on {}: {}", path.display(), crate::errno::text(error)
            );
        })
        .ok()
}

/// What a bridge's configuration says to its sessions.
fn settings(bridge: &RunningBridge, switch: &Switch) -> Settings {
    let state = bridge.state();
    let versions: Versions =
        state.config.protocols.iter().filter_map(|name| Version::by_name(name)).collect();
    let names = state.config.flow_tables.iter();
    Settings {
        versions: if versions.is_empty() { Versions::ALL } else { versions },
        datapath_id: state.datapath_id,
        table_names: names.filter_map(|(table, it)| Some((*table, it.name.clone()?))).collect(),
        bundle_idle: switch.bundle_idle().unwrap_or(Settings::default().bundle_idle),
        ..Settings::default()
    }
}

/// What has changed between two lists of ports.
fn differences(before: &[PortDesc], after: &[PortDesc]) -> Vec<PortChange> {
    let key = |port: &PortDesc| (port.port, port.name.clone());
    let index = |list: &[PortDesc]| -> BTreeMap<(OfPort, String), PortDesc> {
        list.iter().map(|port| (key(port), port.clone())).collect()
    };
    let (old, new) = (index(before), index(after));
    let gone = before.iter().filter(|port| !new.contains_key(&key(port)));
    let gone = gone.map(|port| PortChange::Removed(port.clone()));
    let rest = after.iter().filter_map(|port| match old.get(&key(port)) {
        None => Some(PortChange::Added(port.clone())),
        Some(known) if known != port => {
            Some(PortChange::Changed { before: known.clone(), now: port.clone() })
        }
        Some(_) => None,
    });
    gone.chain(rest).collect()
}
