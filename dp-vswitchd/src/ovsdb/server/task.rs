//! The server's sockets as a task of the main loop: who is asked to connect, who connects, what is
//! said.
//!
//! Remotes are those of the command line and those of the database's own `Manager` rows
//! ([`super::managers`]): listeners come and go, connections are made to clients that wait for one.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::managers::{Manager, Way};
use super::{ClientId, Engine};
use crate::census::Census;
use crate::event_loop::{Task, Turn, Wants};
use crate::net::{Listener, Local, Stream};
use crate::ovsdb::json_rpc::{DEFAULT_PROBE_MS, Limits, Session};

/// The server.
pub(crate) struct ServerTask {
    pub(super) engine: Engine,
    pub(super) folder: PathBuf,
    /// Listeners of the command line.
    fixed: Vec<Listener>,
    pub(super) managers: BTreeMap<String, Manager>,
    pub(super) peers: BTreeMap<ClientId, Peer>,
    next: u64,
    started: Instant,
    buffer: Vec<u8>,
    /// When the rows of managers are looked at again.
    look_at_ms: u64,
    census: Arc<Census>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    name: String,
    stream: Stream,
    pub(super) session: Session,
    pub(super) manager: Option<String>,
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
            census: Arc::default(),
        })
    }

    /// How many there are of what it keeps, by the names that the reference's server gives them.
    pub(crate) fn census(&self) -> Arc<Census> {
        Arc::clone(&self.census)
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

    pub(super) fn add(
        &mut self,
        stream: Stream,
        name: String,
        manager: Option<String>,
        now: u64,
    ) -> ClientId {
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
                self.note_loss(id, &why);
                self.drop_peer(id, now);
            }
        }
    }

    pub(super) fn drop_peer(&mut self, id: ClientId, now: u64) {
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
        for (id, why) in self.engine.take_closing() {
            if let Some(peer) = self.peers.get(&id) {
                log::info!(target: "jsonrpc", "{}: disconnecting ({why})", peer.name);
                gone.push(id);
            }
        }
        gone.into_iter().for_each(|id| self.drop_peer(id, now));
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
                    Ok(0) => return Err(CLOSED.to_owned()),
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
            self.session.tick(now).map_err(|error| {
                log::error!(target: "reconnect", "{}: {error}", self.name);
                TIMED_OUT.to_owned()
            })?;
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
        self.census.tell(&self.engine.numbers());
        self.census.tell(&[("sessions", self.peers.len())]);
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

/// What has become of a connection that the peer ended.
pub(super) const CLOSED: &str = "End of file";
/// What has become of one whose peer did not answer.
pub(super) const TIMED_OUT: &str = "Connection timed out";
const READ_AT_ONCE: usize = 64 << 10;
/// How often one client is read in a turn.
const READS: usize = 16;
const MOST_CLIENTS: usize = 512;
/// A client for whom so much waits does not read.
const BACKLOG: usize = 256 << 20;
/// How often the rows of managers are looked at.
const LOOK_MS: u64 = 250;
