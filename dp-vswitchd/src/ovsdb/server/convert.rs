//! The request `convert`: the database under another schema, while it is served.
//!
//! As `ovsdb-client convert` asks for it: what both schemas have is kept, what only the old one has
//! is gone, what only the new one has begins at its default, and all rules of the new schema hold or
//! nothing happens. The file is replaced as compaction replaces it, so a power cut leaves the old
//! database or the new one.
//!
//! Clients that said that they can (`set_db_change_aware`) stay: their monitors and waiting
//! transactions are cancelled. The others are disconnected after the reply, and find the new schema
//! when they come back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::engine::{ClientId, Engine, wall_ms};
use crate::ovsdb::database::{Commit, Row, RowChange};
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json_rpc::Message;
use crate::ovsdb::schema::DatabaseSchema;
use crate::ovsdb::transaction::converted;
use crate::ovsdb::value::{Atom, Datum};

impl Engine {
    /// Answers a `convert` request.
    pub(super) fn convert(&mut self, params: &[Value], now_ms: u64) -> Result<Value, Error> {
        let at = self.named("convert", params)?;
        let quoted = || Value::Array(params.to_vec());
        let [_, schema] = params else {
            return Err(Error::syntax(&quoted(), "convert request params must be <db> <schema>"));
        };
        let Some(served) = self.databases.get_mut(at) else { return Ok(json!({})) };
        let name = Arc::clone(&served.database.schema().name);
        if schema.as_object().is_none() {
            let why = "Parsing database schema failed: Object expected.";
            return Err(Error::new(Tag::Syntax, why));
        }
        let schema = Arc::new(DatabaseSchema::from_json(schema)?);
        let Some(file) = &mut served.file else {
            let why = format!("conversion is not allowed for read-only database {name}");
            return Err(Error::new(Tag::NotAllowed, why));
        };
        if schema.name != name {
            let why =
                format!("new schema name ({}) does not match database name ({name})", schema.name);
            return Err(Error::new(Tag::InvalidParameters, why));
        }
        if let Some(why) = &self.broken {
            return Err(Error::new(Tag::Io, why.clone()));
        }
        let database = converted(&served.database, Arc::clone(&schema), &mut self.uuids)?;
        file.compact(&database, wall_ms(), COMMENT)
            .map_err(|error| Error::new(Tag::Io, error.to_string()))?;
        served.database = database;
        served.last = self.uuids.fresh();
        served.history.clear();
        self.turn_away(at, &name);
        self.tell_schema(&schema, now_ms);
        Ok(json!({}))
    }

    /// Cancels what clients have under way with a database that is another now.
    fn turn_away(&mut self, at: usize, name: &str) {
        for (client, state) in &mut self.clients {
            if !state.is_change_aware {
                let why = format!("committed {name} database schema conversion");
                self.closing.push((*client, why));
                continue;
            }
            let (gone, kept) =
                std::mem::take(&mut state.monitors).into_iter().partition(|it| it.database == at);
            state.monitors = kept;
            let gone: Vec<super::monitor::Monitor> = gone;
            for monitor in gone {
                let method = "monitor_canceled".to_owned();
                let params = vec![monitor.id];
                self.out.push((*client, Message::Notification { method, params }));
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        for it in waiting {
            if it.database == at {
                self.out.push((it.client, Message::Error { error: json!("canceled"), id: it.id }));
            } else {
                self.waiting.push(it);
            }
        }
    }

    /// Writes the schema into the database that describes the others, which no request can change.
    fn tell_schema(&mut self, schema: &DatabaseSchema, now_ms: u64) {
        let Some(described) = self.databases.get(DESCRIPTIONS) else { return };
        let own = Arc::clone(described.database.schema());
        let Some(table) = own.table_index("Database") else { return };
        let place = |name| own.tables.get(table)?.column_index(name);
        let (Some(name_at), Some(schema_at)) = (place("name"), place("schema")) else { return };
        let is_it =
            |row: &Row| row.get(name_at).as_scalar().and_then(Atom::as_str) == Some(&schema.name);
        let Some((uuid, old)) = described.database.rows("Database").find(|(_, row)| is_it(row))
        else {
            return;
        };
        let mut row = Row::clone(old);
        let text = schema.to_json().to_string();
        row.set(schema_at, Datum::scalar(Atom::String(text.as_str().into())));
        let (uuid, old, new) = (*uuid, Some(Arc::clone(old)), Some(Arc::new(row)));
        let changes = vec![RowChange { table, uuid, old, new }];
        let commit = Commit { id: self.uuids.fresh(), changes, comment: None };
        // In memory alone: nothing that could fail.
        let _ = self.commit(DESCRIPTIONS, &commit, now_ms);
    }

    /// Clients whose connections are to be closed when what waits for them has left, and why.
    pub(crate) fn take_closing(&mut self) -> Vec<(ClientId, String)> {
        std::mem::take(&mut self.closing)
    }
}

/// Where the database `_Server` is among those served.
const DESCRIPTIONS: usize = 1;
/// What the log of the file says of it, in the words of the reference.
const COMMENT: &str = "converted by ovsdb-server";
