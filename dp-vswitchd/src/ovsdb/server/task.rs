//! The server's sockets as a task of the main loop: who is asked to connect, who connects, what is
//! said.
//!
//! Remotes are those of the command line and those of the database's own `Manager` rows, which are
//! looked at after every change: listeners come and go, connections are made to clients that wait
//! for one.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ClientId, Engine};
use crate::event_loop::{Task, Turn, Wants};
use crate::net::{Connecting, Listener, Local, Remote, Stream};
use crate::ovsdb::json_rpc::{Backoff, DEFAULT_PROBE_MS, Limits, Session};
use crate::ovsdb::uuid::Uuid;

/// The server.
pub(crate) struct ServerTask {
    engine: Engine,
    folder: PathBuf,
    /// Listeners of the command line.
    fixed: Vec<Listener>,
    managers: BTreeMap<String, Manager>,
    peers: BTreeMap<ClientId, Peer>,
    next: u64,
    started: Instant,
    buffer: Vec<u8>,
    /// When the rows of managers are looked at again.
    look_at_ms: u64,
}

/// A row of the table `Manager`.
#[derive(Debug)]
struct Manager {
    rows: Vec<Uuid>,
    probe_ms: Option<u64>,
    way: Way,
    told: Option<String>,
}

#[derive(Debug)]
enum Way {
    Passive(Option<Listener>),
    Active {
        remote: Remote,
        backoff: Backoff,
        connecting: Option<Connecting>,
        peer: Option<ClientId>,
    },
    /// The target makes no sense, for this reason.
    Wrong(String),
}

/// A connection.
#[derive(Debug)]
struct Peer {
    name: String,
    stream: Stream,
    session: Session,
    manager: Option<String>,
}

impl ServerTask {
    /// A server of these databases, listening at these places.
    ///
    /// # Errors
    /// When one of them cannot be listened at.
    pub(crate) fn new(engine: Engine, places: &[Local], folder: PathBuf) -> io::Result<Self> {
        Ok(Self {
            engine,
            folder,
            fixed: places.iter().map(Local::listen).collect::<io::Result<_>>()?,
            managers: BTreeMap::new(),
            peers: BTreeMap::new(),
            next: 1,
            started: Instant::now(),
            buffer: vec![0; READ_AT_ONCE],
            look_at_ms: 0,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn accept(&mut self, now: u64) {
        let mut accepted = Vec::new();
        let mut from = |listener: &Listener, manager: Option<&String>| {
            loop {
                match listener.accept() {
                    Ok(Some((stream, name))) => accepted.push((stream, name, manager.cloned())),
                    Ok(None) => break,
                    Err(error) => {
                        let why = crate::errno::text(&error);
                        log::warn!(target: "jsonrpc", rate = 5; "accept failed: {why}");
                        break;
                    }
                }
            }
        };
        self.fixed.iter().for_each(|it| from(it, None));
        for (target, manager) in &self.managers {
            if let Way::Passive(Some(listener)) = &manager.way {
                from(listener, Some(target));
            }
        }
        for (stream, name, manager) in accepted {
            self.add(stream, name, manager, now);
        }
    }

    fn add(&mut self, stream: Stream, name: String, manager: Option<String>, now: u64) -> ClientId {
        let id = ClientId(self.next);
        self.next += 1;
        if self.peers.len() >= MOST_CLIENTS {
            log::warn!(target: "jsonrpc", rate = 5; "{name}: too many clients, connection closed");
            return id;
        }
        let known = manager.as_ref().and_then(|it| self.managers.get(it)?.probe_ms);
        let local = matches!(stream, Stream::Unix(_));
        let probe = known.unwrap_or(if local { 0 } else { DEFAULT_PROBE_MS });
        let session = Session::new(Limits::SERVER, probe, now);
        let name = format!("{name}#{}", id.0);
        self.engine.connected(id);
        self.peers.insert(id, Peer { name, stream, session, manager });
        id
    }

    fn serve(&mut self, now: u64) {
        let ids: Vec<ClientId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if let Err(why) = peer.read(&mut self.engine, id, &mut self.buffer, now) {
                log::debug!(target: "jsonrpc", "{}: connection closed ({why})", peer.name);
                self.drop_peer(id, now);
            }
        }
    }

    fn drop_peer(&mut self, id: ClientId, now: u64) {
        self.engine.disconnected(id);
        let Some(peer) = self.peers.remove(&id) else { return };
        if let Some(manager) = peer.manager.and_then(|it| self.managers.get_mut(&it))
            && let Way::Active { backoff, peer, .. } = &mut manager.way
        {
            backoff.disconnected(now);
            *peer = None;
        }
    }

    /// Hands out what the engine has to say.
    fn deliver(&mut self, now: u64) {
        for (to, message) in self.engine.take_messages() {
            if let Some(peer) = self.peers.get_mut(&to) {
                peer.session.send(message);
            }
        }
        let mut gone = Vec::new();
        for (id, peer) in &mut self.peers {
            peer.flush();
            if peer.session.backlog() > BACKLOG {
                log::warn!(target: "jsonrpc", "{}: does not read, connection closed", peer.name);
                gone.push(*id);
            }
        }
        gone.into_iter().for_each(|id| self.drop_peer(id, now));
    }

    /// Makes listeners and connections what the rows of managers say.
    fn look_at_managers(&mut self, now: u64) {
        let Some(database) = self.engine.database() else { return };
        let schema = database.schema();
        let Some(table) = schema.table("Manager") else { return };
        let (target_at, probe_at) =
            (table.column_index("target"), table.column_index("inactivity_probe"));
        let mut wanted: BTreeMap<String, (Vec<Uuid>, Option<u64>)> = BTreeMap::new();
        for (uuid, row) in database.rows("Manager") {
            let text =
                target_at.and_then(|at| row.get(at).as_scalar()?.as_str().map(str::to_owned));
            let probe = probe_at.and_then(|at| row.get(at).as_scalar()?.as_integer());
            let Some(text) = text else { continue };
            let entry = wanted.entry(text).or_default();
            entry.0.push(*uuid);
            entry.1 = probe.and_then(|it| u64::try_from(it).ok());
        }
        let unwanted: Vec<String> =
            self.managers.keys().filter(|it| !wanted.contains_key(*it)).cloned().collect();
        for target in unwanted {
            self.managers.remove(&target);
            let theirs = self.peers.iter().filter(|(_, it)| it.manager.as_ref() == Some(&target));
            let ids: Vec<ClientId> = theirs.map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.drop_peer(id, now));
        }
        for (target, (rows, probe_ms)) in wanted {
            match self.managers.get_mut(&target) {
                Some(manager) => (manager.rows, manager.probe_ms) = (rows, probe_ms),
                None => {
                    let way = self.way(&target, now);
                    let manager = Manager { rows, probe_ms, way, told: None };
                    self.managers.insert(target, manager);
                }
            }
        }
    }

    fn way(&self, target: &str, now: u64) -> Way {
        match Local::parse(target, OVSDB_PORT, &self.folder) {
            Some(Ok(place)) => match place.listen() {
                Ok(listener) => Way::Passive(Some(listener)),
                Err(error) => {
                    let why = crate::errno::text(&error);
                    log::error!(target: "jsonrpc", "{target}: listen failed: {why}");
                    Way::Wrong(why)
                }
            },
            Some(Err(error)) => Way::Wrong(error.to_string()),
            None => match Remote::parse(target, OVSDB_PORT, &self.folder) {
                Ok(remote) => Way::Active {
                    remote,
                    backoff: Backoff::new(LONGEST_WAIT_MS, now),
                    connecting: None,
                    peer: None,
                },
                Err(error) => Way::Wrong(error.to_string()),
            },
        }
    }

    /// Makes the connections that are due.
    fn connect(&mut self, now: u64) {
        let mut made = Vec::new();
        for (target, manager) in &mut self.managers {
            let Way::Active { remote, backoff, connecting, .. } = &mut manager.way else {
                continue;
            };
            if backoff.due(now) {
                backoff.connecting(now);
                match remote.connect() {
                    Ok(begun) => *connecting = Some(begun),
                    Err(_) => backoff.disconnected(now),
                }
            }
            match connecting.take().map(Connecting::finish) {
                None => {}
                Some(Ok(Ok(stream))) => {
                    backoff.connected(now);
                    made.push((stream, target.clone()));
                }
                Some(Ok(Err(unfinished))) if !backoff.attempt_timed_out(now) => {
                    *connecting = Some(unfinished);
                }
                Some(_) => backoff.disconnected(now),
            }
        }
        for (stream, target) in made {
            let id = self.add(stream, target.clone(), Some(target.clone()), now);
            if let Some(Way::Active { peer, .. }) =
                self.managers.get_mut(&target).map(|it| &mut it.way)
            {
                *peer = Some(id);
            }
        }
    }

    /// Writes into the rows of managers how their connections are.
    fn tell_managers(&mut self, now: u64) {
        let mut operations = Vec::new();
        for (target, manager) in &mut self.managers {
            let connections =
                self.peers.values().filter(|it| it.manager.as_ref() == Some(target)).count();
            let mut status = vec![];
            let connected = match &manager.way {
                Way::Passive(Some(listener)) => {
                    if listener.port() != 0 {
                        status.push(json!(["bound_port", listener.port().to_string()]));
                    }
                    if connections > 1 {
                        status.push(json!(["n_connections", connections.to_string()]));
                    }
                    status.push(json!([
                        "state",
                        if connections > 0 { "ACTIVE" } else { "LISTENING" }
                    ]));
                    connections > 0
                }
                Way::Active { backoff, peer, .. } => {
                    status.push(json!(["state", backoff.state_name()]));
                    peer.is_some()
                }
                Way::Wrong(why) => {
                    status.push(json!(["last_error", why]));
                    false
                }
                Way::Passive(None) => false,
            };
            let row = json!({"is_connected": connected, "status": ["map", status]});
            let text = row.to_string();
            if manager.told.as_ref() == Some(&text) {
                continue;
            }
            manager.told = Some(text);
            for uuid in &manager.rows {
                let uuid = json!(["uuid", uuid.to_string()]);
                let condition = json!([["_uuid", "==", uuid]]);
                operations.push(
                    json!({"op": "update", "table": "Manager", "where": condition, "row": row}),
                );
            }
        }
        if !operations.is_empty()
            && let Err(error) = self.engine.execute(&operations, now)
        {
            log::warn!(target: "ovsdb_error", "status of managers: {error}");
        }
    }
}

impl Peer {
    /// Reads and carries out what is there.
    fn read(
        &mut self,
        engine: &mut Engine,
        id: ClientId,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(), String> {
        for _ in 0..READS {
            let mut moved = false;
            if self.session.wants_input() {
                match self.stream.read(buffer) {
                    Ok(0) => return Err("closed by the client".to_owned()),
                    Ok(count) => {
                        self.session.receive(buffer.get(..count).unwrap_or_default(), now);
                        moved = true;
                    }
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                        _ => return Err(crate::errno::text(&error)),
                    },
                }
            }
            self.session.tick(now).map_err(|error| error.to_string())?;
            while let Some(message) = self.session.next_message().map_err(|it| it.to_string())? {
                engine.take(id, message, now);
                moved = true;
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        // What is wrong with the connection is found by reading.
        let _ = self.stream.flush();
        while let Some(bytes) = self.session.output() {
            match self.stream.write(bytes) {
                Ok(0) => break,
                Ok(count) => self.session.wrote(count),
                // What is wrong with the connection is found by reading.
                Err(_) => break,
            }
        }
    }
}

impl Task for ServerTask {
    fn name(&self) -> &'static str {
        "database server"
    }

    fn run(&mut self, _turn: &Turn<'_>) {
        let now = self.now();
        self.accept(now);
        self.engine.tick(now);
        self.serve(now);
        if now >= self.look_at_ms {
            self.look_at_ms = now + LOOK_MS;
            self.look_at_managers(now);
            self.tell_managers(now);
        }
        self.connect(now);
        self.deliver(now);
    }

    fn wait(&mut self, wants: &mut Wants) {
        let now = self.now();
        let mut until = self.look_at_ms;
        let sooner = |until: &mut u64, at: Option<u64>| {
            if let Some(at) = at {
                *until = (*until).min(at);
            }
        };
        sooner(&mut until, self.engine.deadline());
        self.fixed.iter().for_each(|listener| wants.read(listener));
        for manager in self.managers.values() {
            match &manager.way {
                Way::Passive(Some(listener)) => wants.read(listener),
                Way::Active { backoff, connecting, .. } => {
                    sooner(&mut until, backoff.deadline());
                    if let Some(connecting) = connecting {
                        connecting.wait(wants);
                    }
                }
                Way::Passive(None) | Way::Wrong(_) => {}
            }
        }
        for peer in self.peers.values() {
            let output = peer.session.output().is_some();
            peer.stream.wait(wants, peer.session.wants_input(), output);
            sooner(&mut until, peer.session.deadline());
        }
        wants.real(Duration::from_millis(until.saturating_sub(now)));
    }
}

/// The row that a database needs before anything can be configured, where there is none.
pub(crate) fn first_row() -> Vec<Value> {
    vec![json!({"op": "insert", "table": "Open_vSwitch", "row": {}})]
}

const OVSDB_PORT: u16 = 6640;
const READ_AT_ONCE: usize = 64 << 10;
/// How often one client is read in a turn.
const READS: usize = 16;
const MOST_CLIENTS: usize = 512;
/// A client for whom so much waits does not read.
const BACKLOG: usize = 256 << 20;
const LONGEST_WAIT_MS: u64 = 8_000;
/// How often the rows of managers are looked at.
const LOOK_MS: u64 = 250;
