//! The database `_Server`: which databases there are, for clients that want to know whom they are
//! talking to.

use std::sync::Arc;

use serde_json::json;

use crate::ovsdb::database::{Database, Row};
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::schema::DatabaseSchema;
use crate::ovsdb::transaction::adopt;
use crate::ovsdb::uuid::UuidSource;
use crate::ovsdb::value::{Atom, Datum};

/// Its name.
pub(super) const NAME: &str = "_Server";

/// The database, with a row for itself and one for each of the others.
pub(super) fn make(others: &[&DatabaseSchema], uuids: &mut UuidSource) -> Result<Database, Error> {
    let optional = |kind: &str| json!({"type": {"key": kind, "min": 0}});
    let models = json!(["set", ["clustered", "relay", "standalone"]]);
    let schema = DatabaseSchema::from_json(&json!({
        "name": NAME,
        "version": "1.2.0",
        "cksum": "3009684573 744",
        "tables": {"Database": {"columns": {
            "name": {"type": "string"},
            "model": {"type": {"key": {"type": "string", "enum": models}}},
            "connected": {"type": "boolean"},
            "leader": {"type": "boolean"},
            "schema": optional("string"),
            "cid": optional("uuid"),
            "sid": optional("uuid"),
            "index": optional("integer"),
        }}},
    }))?;
    let schema = Arc::new(schema);
    let mut database = Database::new(Arc::clone(&schema));
    let table = schema
        .table("Database")
        .ok_or_else(|| Error::new(Tag::Ovsdb, "the schema of _Server has no table"))?;
    let text = |text: &str| Datum::scalar(Atom::String(text.into()));
    let mut rows = Vec::new();
    for other in others.iter().copied().chain([&*schema]) {
        let mut row = Row::new(table, uuids.fresh());
        let mut set = |column: &str, value| {
            if let Some(at) = table.column_index(column) {
                row.set(at, value);
            }
        };
        set("name", text(&other.name));
        set("model", text("standalone"));
        set("connected", Datum::scalar(Atom::Boolean(true)));
        set("leader", Datum::scalar(Atom::Boolean(true)));
        set("schema", text(&other.to_json().to_string()));
        rows.push((0, row));
    }
    let commit = adopt(&database, rows, uuids)?;
    database.apply(&commit);
    Ok(database)
}
