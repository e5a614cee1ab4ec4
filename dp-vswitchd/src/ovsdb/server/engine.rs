//! The server without its sockets: requests in, replies and updates out.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::locks::{Locks, Word};
use super::monitor::{Dialect, Monitor};
use super::server_database;
use crate::ovsdb::database::{Commit, Database, RowChange};
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::file::{OpenError, Standalone};
use crate::ovsdb::json::is_id;
use crate::ovsdb::json_rpc::Message;
use crate::ovsdb::transaction::{self, Context, Outcome};
use crate::ovsdb::uuid::{Uuid, UuidSource};

/// A client, by the number of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

/// The databases and what clients want of them.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) databases: Vec<Served>,
    pub(super) uuids: UuidSource,
    id: Uuid,
    locks: Locks,
    pub(super) clients: BTreeMap<ClientId, Client>,
    /// Messages to clients, in order.
    pub(super) out: Vec<(ClientId, Message)>,
    /// Transactions that wait for a condition.
    pub(super) waiting: Vec<Waiting>,
    /// The file cannot be trusted any more: nothing is changed.
    pub(super) broken: Option<String>,
    /// Clients that are to go, and why.
    pub(super) closing: Vec<(ClientId, String)>,
}

/// One database.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) database: Database,
    /// Where it is kept; `None`: in memory alone, for reading.
    pub(super) file: Option<Standalone>,
    pub(super) last: Uuid,
    /// The last transactions, for clients that come back.
    pub(super) history: VecDeque<(Uuid, Arc<Vec<RowChange>>)>,
}

#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) monitors: Vec<Monitor>,
    /// It can be told that a database has changed as a whole.
    pub(super) is_change_aware: bool,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) client: ClientId,
    pub(super) id: Value,
    pub(super) database: usize,
    operations: Vec<Value>,
    since_ms: u64,
    until_ms: Option<u64>,
}

impl Engine {
    /// Serves the database in a file; says what was cut off its end.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<String>), OpenError> {
        let mut uuids = UuidSource::random().unwrap_or_else(|_| UuidSource::counting(seed()));
        let opened = Standalone::open(path, &mut uuids)?;
        let damage = opened.damage.map(|it| {
            format!(
                "{}: {} bytes from offset {} are damaged and were cut off ({})",
                path.display(),
                it.bytes,
                it.offset,
                it.reason
            )
        });
        let mut databases = vec![Served::new(opened.database, Some(opened.file), Uuid::ZERO)];
        let schemas: Vec<_> = databases.iter().map(|it| Arc::clone(it.database.schema())).collect();
        let schemas: Vec<_> = schemas.iter().map(|it| &**it).collect();
        // Its schema is part of the program; without it clients take the server for an older one.
        if let Ok(server) = server_database::make(&schemas, &mut uuids) {
            databases.push(Served::new(server, None, Uuid::ZERO));
        }
        let id = uuids.fresh();
        let engine = Self {
            databases,
            uuids,
            id,
            locks: Locks::default(),
            clients: BTreeMap::new(),
            out: Vec::new(),
            waiting: Vec::new(),
            broken: None,
            closing: Vec::new(),
        };
        Ok((engine, damage))
    }

    /// The database that is served.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.databases.first().map(|it| &it.database)
    }

    /// How many there are of what costs memory here.
    pub(super) fn numbers(&self) -> [(&'static str, usize); 4] {
        let sum = |count: fn(&Database) -> usize| -> usize {
            self.databases.iter().map(|it| count(&it.database)).sum()
        };
        [
            ("atoms", sum(Database::atoms)),
            ("cells", sum(|it| it.cells(0))),
            ("monitors", self.clients.values().map(|it| it.monitors.len()).sum()),
            ("n-weak-refs", sum(Database::weak_references)),
        ]
    }

    /// A client has come.
    pub(crate) fn connected(&mut self, client: ClientId) {
        self.clients.insert(client, Client::default());
    }

    /// A client has gone.
    pub(crate) fn disconnected(&mut self, client: ClientId) {
        self.clients.remove(&client);
        self.waiting.retain(|it| it.client != client);
        self.out.retain(|(to, _)| *to != client);
        for word in self.locks.forget(client) {
            self.say(word);
        }
    }

    /// Messages to clients, after everything that they speak of is on the disk.
    pub(crate) fn take_messages(&mut self) -> Vec<(ClientId, Message)> {
        self.sync();
        std::mem::take(&mut self.out)
    }

    /// The names of the locks that a client has, waits for, and has lost to another thief.
    pub(super) fn locks_of(&self, client: ClientId) -> [Vec<&str>; 3] {
        self.locks.of(client)
    }

    /// When a waiting transaction is to be given up, in milliseconds of the caller's clock.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.waiting.iter().filter_map(|it| it.until_ms).min()
    }

    /// Lets waiting transactions go on or end.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        if self.deadline().is_some_and(|deadline| now_ms >= deadline) {
            self.retry(now_ms);
        }
    }

    /// Takes a message from a client.
    pub(crate) fn take(&mut self, client: ClientId, message: Message, now_ms: u64) {
        match message {
            Message::Request { method, params, id } => {
                self.request(client, &method, params, id, now_ms);
            }
            Message::Notification { method, params } if method == "cancel" => {
                self.cancel(client, params.first());
            }
            _ => {}
        }
    }

    /// Executes operations on behalf of the server itself.
    pub(crate) fn execute(&mut self, operations: &[Value], now_ms: u64) -> Result<(), String> {
        let context = Context { owns_lock: &|_| true, waited_ms: 0, read_only: false };
        let Some(served) = self.databases.first() else { return Ok(()) };
        match transaction::execute(&served.database, operations, &context, &mut self.uuids) {
            Outcome::Done { results, commit } => {
                if let Some(error) = results.iter().find(|it| it.get("error").is_some()) {
                    return Err(error.to_string());
                }
                if let Some(commit) = commit {
                    self.commit(0, &commit, now_ms).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
            Outcome::Blocked { .. } => Err("an operation waits".to_owned()),
        }
    }

    fn request(
        &mut self,
        client: ClientId,
        method: &str,
        params: Vec<Value>,
        id: Value,
        now_ms: u64,
    ) {
        let result = match method {
            "list_dbs" => {
                Ok(self.databases.iter().map(|it| json!(*it.database.schema().name)).collect())
            }
            "get_schema" => self
                .named("get_schema", &params)
                .map(|at| self.served(at).map_or(Value::Null, |it| it.database.schema().to_json())),
            "get_server_id" => Ok(json!(self.id.to_string())),
            "set_db_change_aware" => match params.as_slice() {
                [Value::Bool(aware)] => {
                    if let Some(state) = self.clients.get_mut(&client) {
                        state.is_change_aware = *aware;
                    }
                    Ok(json!({}))
                }
                _ => Err(Error::syntax(
                    &Value::Array(params),
                    "set_db_change_aware: true or false parameter expected",
                )),
            },
            "transact" => match self.named("transact", &params) {
                Ok(at) => {
                    let operations = params.into_iter().skip(1).collect();
                    return self.transact(client, id, at, operations, (now_ms, now_ms));
                }
                Err(error) => Err(error),
            },
            "monitor" => self.monitor(client, Dialect::Plain, params),
            "monitor_cond" => self.monitor(client, Dialect::Conditional, params),
            "monitor_cond_since" => self.monitor(client, Dialect::Since, params),
            "monitor_cond_change" => self.monitor_change(client, &params),
            "convert" => self.convert(&params, now_ms),
            "monitor_cancel" if params.len() != 1 => {
                return self.reply_error(client, json!("invalid parameters"), id);
            }
            "monitor_cancel" => match self.monitor_cancel(client, params.first()) {
                true => Ok(json!({})),
                false => return self.reply_error(client, json!("unknown monitor"), id),
            },
            "lock" | "steal" => self.lock(client, method, &params),
            "unlock" => self.unlock(client, &params),
            _ => return self.reply_error(client, json!("unknown method"), id),
        };
        match result {
            Ok(result) => self.out.push((client, Message::Reply { result, id })),
            Err(error) => self.reply_error(client, error.to_json(), id),
        }
    }

    fn reply_error(&mut self, client: ClientId, error: Value, id: Value) {
        self.out.push((client, Message::Error { error, id }));
    }

    fn served(&self, at: usize) -> Option<&Served> {
        self.databases.get(at)
    }

    /// The database that a request's first parameter names.
    pub(super) fn named(&self, method: &str, params: &[Value]) -> Result<usize, Error> {
        let quoted = || Value::Array(params.to_vec());
        let name = params.first().and_then(Value::as_str).ok_or_else(|| {
            let why = format!("{method} request params must begin with <db-name>");
            Error::syntax(&quoted(), why)
        })?;
        let at = self.databases.iter().position(|it| &*it.database.schema().name == name);
        at.ok_or_else(|| {
            let why = format!("{method} request specifies unknown database {name}");
            Error::new(Tag::UnknownDatabase, why).about(&quoted())
        })
    }

    /// `times`: when the transaction was first tried, and now.
    fn transact(
        &mut self,
        client: ClientId,
        id: Value,
        at: usize,
        operations: Vec<Value>,
        times: (u64, u64),
    ) {
        let (since_ms, now_ms) = times;
        let Some(served) = self.databases.get(at) else { return };
        let locks = &self.locks;
        let context = Context {
            owns_lock: &|name| locks.owns(client, name),
            waited_ms: now_ms.saturating_sub(since_ms),
            read_only: served.file.is_none() || self.broken.is_some(),
        };
        let outcome =
            transaction::execute(&served.database, &operations, &context, &mut self.uuids);
        match outcome {
            Outcome::Blocked { timeout_ms } => {
                let until_ms = timeout_ms.map(|it| since_ms.saturating_add(it));
                let database = at;
                self.waiting.push(Waiting { client, id, database, operations, since_ms, until_ms });
            }
            Outcome::Done { mut results, commit } => {
                if let Some(commit) = commit
                    && let Err(error) = self.commit(at, &commit, now_ms)
                {
                    results.push(error.to_json());
                }
                self.out.push((client, Message::Reply { result: Value::Array(results), id }));
            }
        }
    }

    /// Stores a commit, makes it the present, and tells whom it concerns.
    pub(super) fn commit(&mut self, at: usize, commit: &Commit, now_ms: u64) -> Result<(), Error> {
        let Some(served) = self.databases.get_mut(at) else { return Ok(()) };
        if let Some(file) = &mut served.file {
            let schema = Arc::clone(served.database.schema());
            if let Err(error) = file.append(&schema, commit, wall_ms()) {
                return Err(Error::new(Tag::Io, error.to_string()));
            }
        }
        served.database.apply(commit);
        served.last = commit.id;
        let changes = Arc::new(commit.changes.clone());
        if served.history.len() >= HISTORY {
            served.history.pop_front();
        }
        served.history.push_back((commit.id, Arc::clone(&changes)));
        let schema = Arc::clone(served.database.schema());
        for (client, state) in &self.clients {
            for monitor in state.monitors.iter().filter(|it| it.database == at) {
                if let Some(updates) = monitor.updates(&schema, &changes) {
                    self.out.push((*client, update(monitor, commit.id, updates)));
                }
            }
        }
        self.retry(now_ms);
        Ok(())
    }

    /// Tries waiting transactions again.
    fn retry(&mut self, now_ms: u64) {
        for it in std::mem::take(&mut self.waiting) {
            let times = (it.since_ms, now_ms);
            self.transact(it.client, it.id, it.database, it.operations, times);
        }
    }

    fn cancel(&mut self, client: ClientId, id: Option<&Value>) {
        let Some(id) = id else { return };
        let before = self.waiting.len();
        self.waiting.retain(|it| it.client != client || it.id != *id);
        if self.waiting.len() != before {
            self.reply_error(client, json!("canceled"), id.clone());
        }
    }

    fn monitor(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        params: Vec<Value>,
    ) -> Result<Value, Error> {
        let at = self.named("monitor", &params)?;
        let mut rest = params.into_iter().skip(1);
        let (id, requests, last) = (rest.next(), rest.next(), rest.next());
        let (Some(id), Some(requests)) = (id, requests) else {
            return Err(Error::new(Tag::Syntax, "monitor requires an id and requests"));
        };
        let known =
            self.clients.get(&client).is_some_and(|it| it.monitors.iter().any(|m| m.id == id));
        if known {
            return Err(Error::syntax(&id, "duplicate monitor ID"));
        }
        let last = match (dialect, last) {
            (Dialect::Since, Some(json)) => {
                let wrong = || Error::syntax(&json, "last-txn-id must be UUID format.");
                Some(json.as_str().and_then(Uuid::parse).ok_or_else(wrong)?)
            }
            (Dialect::Since, None) => {
                return Err(Error::new(Tag::Syntax, "monitor_cond_since requires last-txn-id"));
            }
            _ => None,
        };
        let Some(served) = self.databases.get(at) else { return Ok(json!({})) };
        let schema = Arc::clone(served.database.schema());
        let monitor = Monitor::parse(id, at, dialect, &schema, &requests)?;
        let reply = match dialect {
            Dialect::Since => match last.and_then(|last| served.since(last)) {
                Some(changes) => {
                    let updates = monitor.updates(&schema, &changes).unwrap_or_else(|| json!({}));
                    json!([true, served.last.to_string(), updates])
                }
                None => json!([false, served.last.to_string(), monitor.initial(&served.database)]),
            },
            _ => monitor.initial(&served.database),
        };
        if let Some(state) = self.clients.get_mut(&client) {
            if state.monitors.len() >= MONITORS {
                return Err(Error::new(Tag::ResourcesExhausted, "too many monitors"));
            }
            state.monitors.push(monitor);
        }
        Ok(reply)
    }

    fn monitor_change(&mut self, client: ClientId, params: &[Value]) -> Result<Value, Error> {
        let [old, new, requests] = params else {
            return Err(Error::syntax(&Value::Array(params.to_vec()), "invalid parameters"));
        };
        let unknown = || Error::syntax(old, "unknown monitor session");
        let state = self.clients.get_mut(&client).ok_or_else(unknown)?;
        let monitor = state.monitors.iter_mut().find(|it| it.id == *old).ok_or_else(unknown)?;
        if monitor.dialect == Dialect::Plain {
            return Err(Error::syntax(old, "the monitor has no conditions"));
        }
        let Some(served) = self.databases.get(monitor.database) else { return Ok(json!({})) };
        if let Some(updates) = monitor.change(&served.database, new.clone(), requests)? {
            self.out.push((client, update(monitor, served.last, updates)));
        }
        Ok(json!({}))
    }

    fn monitor_cancel(&mut self, client: ClientId, id: Option<&Value>) -> bool {
        let Some(state) = self.clients.get_mut(&client) else { return false };
        let before = state.monitors.len();
        state.monitors.retain(|it| Some(&it.id) != id);
        state.monitors.len() != before
    }

    fn lock(&mut self, client: ClientId, method: &str, params: &[Value]) -> Result<Value, Error> {
        let quoted = || Value::Array(params.to_vec());
        let name = match params {
            [Value::String(name)] if is_id(name) => name,
            _ => {
                let why = format!("{method} request params must be <id>");
                return Err(Error::syntax(&quoted(), why));
            }
        };
        if self.locks.wants(client, name) {
            let why = format!("must issue \"unlock\" before new \"{method}\"");
            return Err(Error::syntax(&quoted(), why));
        }
        let locked = if method == "steal" {
            if let Some(word) = self.locks.steal(client, name) {
                self.say(word);
            }
            true
        } else {
            self.locks.lock(client, name)
        };
        Ok(json!({"locked": locked}))
    }

    fn unlock(&mut self, client: ClientId, params: &[Value]) -> Result<Value, Error> {
        let quoted = || Value::Array(params.to_vec());
        let name = match params {
            [Value::String(name)] if is_id(name) => name,
            _ => return Err(Error::syntax(&quoted(), "unlock request params must be <id>")),
        };
        if !self.locks.wants(client, name) {
            let why = "unlock: \"unlock\" without \"lock\" or \"steal\"";
            return Err(Error::syntax(&quoted(), why));
        }
        if let Some(word) = self.locks.unlock(client, name) {
            self.say(word);
        }
        Ok(json!({}))
    }

    fn say(&mut self, word: Word) {
        let Word { to, method, lock } = word;
        let params = vec![json!(lock)];
        self.out.push((to, Message::Notification { method: method.to_owned(), params }));
    }

    /// Makes everything durable; a file that cannot be is not changed any more.
    fn sync(&mut self) {
        for served in &mut self.databases {
            let Some(file) = &mut served.file else { continue };
            let mut done = file.sync();
            if done.is_ok() && file.wants_compaction() {
                done = file.compact(&served.database, wall_ms(), "compacting database");
                if let Err(error) = &done {
                    log::warn!(target: "ovsdb_error", "{error}");
                    continue;
                }
            }
            if let Err(error) = done {
                log::error!(target: "ovsdb_error", "{error}; the database is read-only from now on");
                self.broken = Some(error.to_string());
                // What was not made durable must not be acknowledged.
                let lost = json!({"error": "I/O error", "details": error.to_string()});
                for (_, message) in &mut self.out {
                    if let Message::Reply { id, .. } = message {
                        *message = Message::Error { error: lost.clone(), id: id.clone() };
                    }
                }
            }
        }
    }
}

impl Served {
    fn new(database: Database, file: Option<Standalone>, last: Uuid) -> Self {
        Self { database, file, last, history: VecDeque::new() }
    }

    /// What happened after a transaction, a row at a time; `None` if that is not known any more.
    fn since(&self, last: Uuid) -> Option<Vec<RowChange>> {
        if last.is_zero() {
            return None;
        }
        let at = self.history.iter().position(|(id, _)| *id == last)?;
        let mut rows: BTreeMap<(usize, Uuid), RowChange> = BTreeMap::new();
        for (_, changes) in self.history.iter().skip(at + 1) {
            for change in changes.iter() {
                rows.entry((change.table, change.uuid))
                    .and_modify(|it| it.new.clone_from(&change.new))
                    .or_insert_with(|| change.clone());
            }
        }
        Some(rows.into_values().collect())
    }
}

/// The notification that carries updates to a monitor.
fn update(monitor: &Monitor, transaction: Uuid, updates: Value) -> Message {
    let (method, params) = match monitor.dialect {
        Dialect::Plain => ("update", vec![monitor.id.clone(), updates]),
        Dialect::Conditional => ("update2", vec![monitor.id.clone(), updates]),
        Dialect::Since => {
            ("update3", vec![monitor.id.clone(), json!(transaction.to_string()), updates])
        }
    };
    Message::Notification { method: method.to_owned(), params }
}

/// The time of day in milliseconds.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A number for a machine that has no randomness to give.
fn seed() -> u64 {
    wall_ms() ^ u64::from(std::process::id()) << 32
}

/// How many transactions are remembered for clients that come back.
const HISTORY: usize = 100;
/// How many monitors a client may have.
const MONITORS: usize = 64;
