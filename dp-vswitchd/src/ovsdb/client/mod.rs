//! A replica of a database that a server keeps, and changes to it.
//!
//! ```text
//!   connected → get_schema, lock → monitor_cond_since → replica is true, and stays so by update3
//!                                                   ↘ transact: one at a time, answered in order
//! ```
//!
//! The protocol is a state machine without I/O ([`Client`]); [`link`] moves its bytes and makes the
//! connection again when it is lost. After a reconnection the server is asked for what has happened
//! since the last known transaction; where it does not know that any more the replica is filled
//! anew.
//!
//! # Invariants
//! * The replica shows whole transactions only.
//! * A change that was under way when the connection was lost is reported as lost: it may or may not
//!   have been made.

pub(crate) mod link;
mod updates;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Value, json};

use super::database::Database;
use super::json_rpc::{Message, Session};
use super::schema::DatabaseSchema;
use super::uuid::Uuid;

/// The replica and the state of the conversation about it.
#[derive(Debug)]
pub(crate) struct Client {
    database_name: String,
    lock_name: String,
    stage: Stage,
    replica: Option<Database>,
    last_transaction: Uuid,
    /// Changes when the replica does.
    version: u64,
    lock: Lock,
    next_id: u64,
    /// The transaction that waits for its answer.
    in_flight: Option<u64>,
    results: Vec<Committed>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unconnected,
    Schema,
    Monitor,
    /// The server is too old to know what happened since.
    PlainMonitor,
    Following,
}

/// Whether this process is the one that may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Not known yet.
    Unknown,
    /// It is.
    Held,
    /// Another one is.
    Contended,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Committed {
    /// It was made.
    Yes,
    /// The server refused it, for this reason.
    No(String),
    /// The connection was lost meanwhile.
    Lost,
}

impl Client {
    /// A client of this database that wants this lock.
    pub(crate) fn new(database: &str, lock: &str) -> Self {
        Self {
            database_name: database.to_owned(),
            lock_name: lock.to_owned(),
            stage: Stage::Unconnected,
            replica: None,
            last_transaction: Uuid::ZERO,
            version: 0,
            lock: Lock::Unknown,
            next_id: 0,
            in_flight: None,
            results: Vec::new(),
        }
    }

    /// The replica, if there has been a connection.
    pub(crate) fn replica(&self) -> Option<&Database> {
        self.replica.as_ref()
    }

    /// A number that changes when the replica does.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether this process may act.
    pub(crate) fn lock(&self) -> Lock {
        self.lock
    }

    /// Whether the replica is true.
    pub(crate) fn is_following(&self) -> bool {
        self.stage == Stage::Following
    }

    /// Whether a transaction can be sent now.
    pub(crate) fn is_free(&self) -> bool {
        self.stage == Stage::Following && self.in_flight.is_none()
    }

    /// What became of transactions since the last call.
    pub(crate) fn take_results(&mut self) -> Vec<Committed> {
        std::mem::take(&mut self.results)
    }

    /// A connection was made: asks for the schema and the lock.
    pub(crate) fn connected(&mut self, session: &mut Session) {
        self.stage = Stage::Schema;
        self.lock = Lock::Unknown;
        self.request(session, "get_schema", vec![json!(self.database_name)]);
        let id = json!(LOCK_ID);
        let params = vec![json!(self.lock_name)];
        session.send(Message::Request { method: "lock".into(), params, id });
    }

    /// The connection was lost.
    pub(crate) fn disconnected(&mut self) {
        self.stage = Stage::Unconnected;
        if self.in_flight.take().is_some() {
            self.results.push(Committed::Lost);
        }
    }

    /// Sends a transaction of these operations.
    pub(crate) fn transact(&mut self, session: &mut Session, operations: Vec<Value>) {
        let mut params = vec![json!(self.database_name)];
        params.push(json!({"op": "assert", "lock": self.lock_name}));
        params.extend(operations);
        let id = self.request(session, "transact", params);
        self.in_flight = Some(id);
    }

    /// Takes a message from the server.
    ///
    /// # Errors
    /// When it makes no sense; the connection is to be closed then.
    pub(crate) fn take(&mut self, session: &mut Session, message: Message) -> Result<(), String> {
        match message {
            Message::Notification { method, params } => self.notified(&method, &params),
            Message::Reply { result, id } => self.replied(session, &id, result),
            Message::Error { error, id } => self.failed(session, &id, &error),
            Message::Request { method, id, .. } => {
                session.send(Message::Error { error: json!("unknown method"), id });
                log::debug!(target: "ovsdb_cs", "server asks for {method}, which is not known");
                Ok(())
            }
        }
    }

    fn request(&mut self, session: &mut Session, method: &str, params: Vec<Value>) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        session.send(Message::Request { method: method.to_owned(), params, id: json!(id) });
        id
    }

    fn notified(&mut self, method: &str, params: &[Value]) -> Result<(), String> {
        match (method, params) {
            ("update3", [_, transaction, tables]) => {
                self.note_transaction(transaction);
                self.update(tables)
            }
            ("update2", [_, tables]) => self.update(tables),
            ("locked", _) => {
                self.lock = Lock::Held;
                self.version += 1;
                Ok(())
            }
            ("stolen", _) => {
                self.lock = Lock::Contended;
                self.version += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn replied(&mut self, session: &mut Session, id: &Value, result: Value) -> Result<(), String> {
        if id == &json!(LOCK_ID) {
            let held = result.get("locked").and_then(Value::as_bool).unwrap_or(false);
            self.lock = if held { Lock::Held } else { Lock::Contended };
            self.version += 1;
            return Ok(());
        }
        match self.stage {
            Stage::Schema => {
                let schema =
                    DatabaseSchema::from_json(&result).map_err(|error| error.to_string())?;
                let schema = Arc::new(schema);
                if self.replica.as_ref().is_none_or(|it| **it.schema() != *schema) {
                    self.replica = Some(Database::new(schema));
                    self.last_transaction = Uuid::ZERO;
                }
                self.ask_for_all(session, Stage::Monitor);
                Ok(())
            }
            Stage::Monitor => {
                let [found, transaction, tables] = result
                    .as_array()
                    .and_then(|parts| <&[Value; 3]>::try_from(parts.as_slice()).ok())
                    .ok_or("monitor_cond_since: reply is not an array of three")?;
                if !found.as_bool().unwrap_or(false) {
                    self.forget();
                }
                self.note_transaction(transaction);
                self.stage = Stage::Following;
                self.update(tables)
            }
            Stage::PlainMonitor => {
                self.forget();
                self.stage = Stage::Following;
                self.update(&result)
            }
            Stage::Following => {
                if self.in_flight.is_some_and(|it| &json!(it) == id) {
                    self.in_flight = None;
                    self.results.push(outcome(&result));
                }
                Ok(())
            }
            Stage::Unconnected => Ok(()),
        }
    }

    fn failed(&mut self, session: &mut Session, id: &Value, error: &Value) -> Result<(), String> {
        match self.stage {
            Stage::Monitor => {
                // A server from before there was `since`.
                self.ask_for_all(session, Stage::PlainMonitor);
                Ok(())
            }
            Stage::Following if self.in_flight.is_some_and(|it| &json!(it) == id) => {
                self.in_flight = None;
                self.results.push(Committed::No(error.to_string()));
                Ok(())
            }
            _ => Err(format!("server answers with an error: {error}")),
        }
    }

    /// Asks for all tables.
    fn ask_for_all(&mut self, session: &mut Session, stage: Stage) {
        let Some(replica) = &self.replica else { return };
        let tables: serde_json::Map<String, Value> = replica
            .schema()
            .tables
            .iter()
            .map(|table| {
                let columns: Vec<_> =
                    table.declared_columns().map(|(_, column)| json!(*column.name)).collect();
                (table.name.to_string(), json!([{ "columns": columns }]))
            })
            .collect();
        let mut params = vec![json!(self.database_name), json!("all"), Value::Object(tables)];
        let method = match stage {
            Stage::PlainMonitor => "monitor_cond",
            _ => {
                params.push(json!(self.last_transaction.to_string()));
                "monitor_cond_since"
            }
        };
        self.stage = stage;
        self.request(session, method, params);
    }

    fn forget(&mut self) {
        if let Some(replica) = &mut self.replica {
            *replica = Database::new(Arc::clone(replica.schema()));
        }
    }

    fn note_transaction(&mut self, transaction: &Value) {
        self.last_transaction = transaction.as_str().and_then(Uuid::parse).unwrap_or(Uuid::ZERO);
    }

    fn update(&mut self, tables: &Value) -> Result<(), String> {
        let Some(replica) = &mut self.replica else { return Ok(()) };
        self.version += 1;
        updates::apply(replica, tables)
    }
}

/// What a transaction's reply says.
fn outcome(result: &Value) -> Committed {
    let parts = result.as_array().map(Vec::as_slice).unwrap_or_default();
    let error = parts.iter().find(|part| part.get("error").is_some());
    match error {
        None => Committed::Yes,
        Some(part) => {
            let text = |name| part.get(name).and_then(Value::as_str).unwrap_or_default();
            Committed::No(format!("{}: {}", text("error"), text("details")))
        }
    }
}

const LOCK_ID: &str = "lock";
