//! The rows of the table `Manager`: where the server listens and whom it calls, and what is written
//! back about that.
//!
//! The rows are looked at a few times a second. A target that stays keeps its connections whatever
//! else of its row changes; `inactivity_probe` and `max_backoff` are in force at once. What passes by
//! itself, the seconds since a connection came or went, is written every few seconds, all else as it
//! happens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ClientId;
use super::task::{CLOSED, Peer, ServerTask, TIMED_OUT};
use crate::net::{Connecting, Listener, Local, Remote};
use crate::ovsdb::json_rpc::{Backoff, DEFAULT_PROBE_MS};
use crate::ovsdb::uuid::Uuid;

/// A row, or several with one target.
#[derive(Debug)]
pub(super) struct Manager {
    rows: Vec<Uuid>,
    /// `inactivity_probe`.
    pub(super) probe_ms: Option<u64>,
    pub(super) way: Way,
    /// What was written of it last, the seconds left out, and when.
    told: Option<(String, u64)>,
}

/// How there can be connections.
#[derive(Debug)]
pub(super) enum Way {
    Passive(Option<Listener>),
    Active {
        remote: Remote,
        backoff: Backoff,
        connecting: Option<Connecting>,
        peer: Option<ClientId>,
        error: Option<String>,
    },
    /// The target makes no sense, for this reason.
    Wrong(String),
}

/// What the rows of one target ask for.
#[derive(Debug, Default)]
struct Wanted {
    rows: Vec<Uuid>,
    probe_ms: Option<u64>,
    max_backoff_ms: Option<u64>,
}

impl ServerTask {
    /// Makes listeners and connections what the rows of managers say.
    pub(super) fn look_at_managers(&mut self, now: u64) {
        let wanted = self.wanted();
        let unwanted: Vec<String> =
            self.managers.keys().filter(|it| !wanted.contains_key(*it)).cloned().collect();
        for target in unwanted {
            self.managers.remove(&target);
            let theirs = self.peers.iter().filter(|(_, it)| it.manager.as_ref() == Some(&target));
            let ids: Vec<ClientId> = theirs.map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.drop_peer(id, now));
        }
        for (target, wanted) in wanted {
            let longest = wanted.max_backoff_ms.unwrap_or(LONGEST_WAIT_MS);
            match self.managers.get_mut(&target) {
                Some(manager) => {
                    manager.rows = wanted.rows;
                    if let Way::Active { backoff, .. } = &mut manager.way {
                        backoff.set_longest(longest);
                    }
                    if manager.probe_ms != wanted.probe_ms {
                        manager.probe_ms = wanted.probe_ms;
                        let probe = wanted.probe_ms.unwrap_or(DEFAULT_PROBE_MS);
                        let of_it = |it: &&mut Peer| it.manager.as_ref() == Some(&target);
                        for peer in self.peers.values_mut().filter(of_it) {
                            peer.session.set_probe(probe);
                        }
                    }
                }
                None => {
                    let way = self.way(&target, longest, now);
                    let Wanted { rows, probe_ms, .. } = wanted;
                    self.managers.insert(target, Manager { rows, probe_ms, way, told: None });
                }
            }
        }
    }

    /// What the rows say, by target.
    fn wanted(&self) -> BTreeMap<String, Wanted> {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        let Some(database) = self.engine.database() else { return wanted };
        let Some(table) = database.schema().table("Manager") else { return wanted };
        let [target, probe, backoff] =
            ["target", "inactivity_probe", "max_backoff"].map(|it| table.column_index(it));
        for (uuid, row) in database.rows("Manager") {
            let text = target.and_then(|at| row.get(at).as_scalar()?.as_str().map(str::to_owned));
            let number = |at: Option<usize>| {
                let number = row.get(at?).as_scalar()?.as_integer()?;
                u64::try_from(number).ok()
            };
            let Some(text) = text else { continue };
            let entry = wanted.entry(text).or_default();
            entry.rows.push(*uuid);
            (entry.probe_ms, entry.max_backoff_ms) = (number(probe), number(backoff));
        }
        wanted
    }

    fn way(&self, target: &str, longest: u64, now: u64) -> Way {
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
                    backoff: Backoff::new(longest, now),
                    connecting: None,
                    peer: None,
                    error: None,
                },
                Err(error) => Way::Wrong(error.to_string()),
            },
        }
    }

    /// Makes the connections that are due.
    pub(super) fn connect(&mut self, now: u64) {
        let mut made = Vec::new();
        for (target, manager) in &mut self.managers {
            let Way::Active { remote, backoff, connecting, error, .. } = &mut manager.way else {
                continue;
            };
            let mut failed = None;
            if backoff.due(now) {
                backoff.connecting(now);
                log::debug!(target: "reconnect", "{target}: connecting...");
                match remote.connect() {
                    Ok(begun) => *connecting = Some(begun),
                    Err(why) => failed = Some(crate::errno::text(&why)),
                }
            }
            match connecting.take().map(Connecting::finish) {
                None => {}
                Some(Ok(Ok(stream))) => {
                    log::info!(target: "reconnect", "{target}: connected");
                    backoff.connected(now);
                    made.push((stream, target.clone()));
                }
                Some(Ok(Err(unfinished))) if !backoff.attempt_timed_out(now) => {
                    *connecting = Some(unfinished);
                }
                Some(Ok(Err(_))) => failed = Some(TIMED_OUT.to_owned()),
                Some(Err(why)) => failed = Some(crate::errno::text(&why)),
            }
            if let Some(why) = failed {
                backoff.disconnected(now);
                log::info!(target: "reconnect", "{target}: connection attempt failed ({why})");
                *error = Some(why);
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

    /// Remembers why a connection to a manager is over, before it is dropped.
    pub(super) fn note_loss(&mut self, id: ClientId, why: &str) {
        let Some(target) = self.peers.get(&id).and_then(|it| it.manager.clone()) else { return };
        if let Some(Way::Active { error, .. }) =
            self.managers.get_mut(&target).map(|it| &mut it.way)
        {
            match why {
                CLOSED => log::info!(target: "reconnect", "{target}: connection closed by peer"),
                TIMED_OUT => log::info!(target: "reconnect", "{target}: connection dropped"),
                _ => log::warn!(target: "reconnect", "{target}: connection dropped ({why})"),
            }
            *error = Some(why.to_owned());
        }
    }

    /// Writes into the rows of managers how their connections are.
    pub(super) fn tell_managers(&mut self, now: u64) {
        let mut operations = Vec::new();
        for (target, manager) in &mut self.managers {
            let mine = |it: &&Peer| it.manager.as_ref() == Some(target);
            let connections = self.peers.values().filter(mine).count();
            let (mut status, mut passing) = (Vec::new(), Vec::new());
            let mut say = |key: &str, value: String| status.push(json!([key, value]));
            let connected = match &manager.way {
                Way::Passive(Some(listener)) => {
                    if listener.port() != 0 {
                        say("bound_port", listener.port().to_string());
                    }
                    if connections > 1 {
                        say("n_connections", connections.to_string());
                    }
                    connections > 0
                }
                Way::Active { backoff, peer, error, .. } => {
                    let session = peer.and_then(|it| self.peers.get(&it)).map(|it| &it.session);
                    let idle = session.is_some_and(|it| it.is_probing());
                    let state = if idle { "IDLE" } else { backoff.state_name() };
                    say("state", state.to_owned());
                    if let Some(why) = error {
                        say("last_error", why.clone());
                    }
                    let locks = peer.map(|it| self.engine.locks_of(it)).unwrap_or_default();
                    for (key, names) in ["held", "waiting", "lost"].iter().zip(locks) {
                        if !names.is_empty() {
                            say(&format!("locks_{key}"), names.join(" "));
                        }
                    }
                    let ago = |at: u64| (now.saturating_sub(at) / 1000).to_string();
                    let times = [
                        ("sec_since_connect", backoff.last_connected_ms()),
                        ("sec_since_disconnect", backoff.last_disconnected_ms()),
                    ];
                    let times = times.into_iter().filter_map(|(key, at)| Some((key, at?)));
                    passing.extend(times.map(|(key, at)| json!([key, ago(at)])));
                    peer.is_some()
                }
                Way::Wrong(why) => {
                    say("last_error", why.clone());
                    false
                }
                Way::Passive(None) => false,
            };
            let text = json!([connected, status, passing.len()]).to_string();
            let is_known = manager.told.as_ref().is_some_and(|(told, at)| {
                *told == text && (passing.is_empty() || now < at + SECONDS_MS)
            });
            if is_known {
                continue;
            }
            manager.told = Some((text, now));
            status.extend(passing);
            let row = json!({"is_connected": connected, "status": ["map", status]});
            operations.extend(manager.rows.iter().map(|uuid| write(*uuid, &row)));
        }
        if !operations.is_empty()
            && let Err(error) = self.engine.execute(&operations, now)
        {
            log::warn!(target: "ovsdb_error", "status of managers: {error}");
        }
    }
}

/// The operation that writes columns of a manager's row.
fn write(uuid: Uuid, row: &Value) -> Value {
    let condition = json!([["_uuid", "==", ["uuid", uuid.to_string()]]]);
    json!({"op": "update", "table": "Manager", "where": condition, "row": row})
}

const OVSDB_PORT: u16 = 6640;
/// The longest wait between attempts, unless `max_backoff` says otherwise.
const LONGEST_WAIT_MS: u64 = 8_000;
/// How often the seconds that pass are written.
const SECONDS_MS: u64 = 5_000;
