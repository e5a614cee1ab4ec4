//! What a transaction record says (ovsdb(5), "Standalone Format").
//!
//! Changed columns are written as differences (`"_is_diff": true`), as the reference does since
//! 2.17: adding one port to a bridge of thousands is one line, not thousands. Records with whole
//! values, from older writers, are read as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::ovsdb::database::{Commit, Database, Row};
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::schema::{DatabaseSchema, TableSchema};
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::NamedUuids;

/// The rows that records so far make, table by table.
#[derive(Debug)]
pub(super) struct Replay {
    schema: Arc<DatabaseSchema>,
    tables: Vec<BTreeMap<Uuid, Row>>,
}

impl Replay {
    pub(super) fn new(schema: Arc<DatabaseSchema>) -> Self {
        let tables = schema.tables.iter().map(|_| BTreeMap::new()).collect();
        Self { schema, tables }
    }

    /// Takes one transaction record, wholly or not at all.
    pub(super) fn apply(&mut self, record: &Value) -> Result<(), Error> {
        let schema = Arc::clone(&self.schema);
        let members = record.as_object().ok_or_else(|| Error::syntax(record, "object expected"))?;
        let is_diff = members.get("_is_diff").and_then(Value::as_bool).unwrap_or(false);
        let mut steps = Vec::new();
        for (name, rows) in members {
            if name.starts_with('_') {
                continue;
            }
            let Some(at) = schema.table_index(name) else {
                return Err(Error::new(Tag::Syntax, format!("No table named {name}.")));
            };
            let table = &schema.tables[at];
            let rows = rows.as_object().ok_or_else(|| Error::syntax(rows, "object expected"))?;
            for (uuid, json) in rows {
                let uuid = Uuid::parse(uuid).ok_or_else(|| {
                    Error::syntax(json, format!("\"{uuid}\" is not a valid UUID"))
                })?;
                let old = self.tables[at].get(&uuid);
                if json.is_null() {
                    if old.is_none() {
                        let why = format!("transaction deletes row {uuid} that does not exist");
                        return Err(Error::new(Tag::Syntax, why));
                    }
                    steps.push((at, uuid, None));
                } else {
                    steps.push((at, uuid, Some(read_row(table, uuid, old, json, is_diff)?)));
                }
            }
        }
        for (at, uuid, row) in steps {
            match row {
                Some(row) => self.tables[at].insert(uuid, row),
                None => self.tables[at].remove(&uuid),
            };
        }
        Ok(())
    }

    /// All rows, with their tables.
    pub(super) fn rows(self) -> impl Iterator<Item = (usize, Row)> {
        let tables = self.tables.into_iter().enumerate();
        tables.flat_map(|(at, rows)| rows.into_values().map(move |row| (at, row)))
    }
}

fn read_row(
    table: &TableSchema,
    uuid: Uuid,
    old: Option<&Row>,
    json: &Value,
    is_diff: bool,
) -> Result<Row, Error> {
    let members = json.as_object().ok_or_else(|| Error::syntax(json, "object expected"))?;
    let mut row = old.cloned().unwrap_or_else(|| Row::new(table, uuid));
    for (name, json) in members {
        let Some(at) = table.column_index(name).filter(|&at| !table.columns[at].ephemeral) else {
            if table.column(name).is_some() {
                // Ephemeral when it was written or since: its value did not outlive the writer.
                continue;
            }
            let why = format!("No column {name} in table {}.", table.name);
            return Err(Error::new(Tag::UnknownColumn, why));
        };
        let ty = &table.columns[at].ty;
        let value = if is_diff && old.is_some() && ty.is_composite() {
            let new = row.get(at).apply_diff(&ty.diff_from_json(json)?);
            if new.len() < ty.min as usize || new.len() > ty.max as usize {
                let why = format!("Datum created by diff has {} elements", new.len());
                return Err(Error::new(Tag::Constraint, why));
            }
            new
        } else {
            ty.datum_from_json(json, &mut NamedUuids::refused())?
        };
        row.set(at, value);
    }
    Ok(row)
}

/// The record of a commit; none when it changes nothing that is stored.
pub(super) fn of_commit(schema: &DatabaseSchema, commit: &Commit, now_ms: u64) -> Option<Value> {
    let mut tables: BTreeMap<usize, Map<String, Value>> = BTreeMap::new();
    for change in &commit.changes {
        let table = schema.tables.get(change.table)?;
        let json = match (&change.old, &change.new) {
            (_, None) => Value::Null,
            (None, Some(new)) => Value::Object(stored_columns(table, new)),
            (Some(old), Some(new)) => {
                let columns = difference(table, old, new);
                if columns.is_empty() {
                    continue;
                }
                Value::Object(columns)
            }
        };
        tables.entry(change.table).or_default().insert(change.uuid.to_string(), json);
    }
    if tables.is_empty() {
        return None;
    }
    let mut out = header(now_ms, commit.comment.as_deref());
    out.insert("_is_diff".into(), true.into());
    for (at, rows) in tables {
        out.insert(schema.tables[at].name.to_string(), Value::Object(rows));
    }
    Some(Value::Object(out))
}

/// One record that makes the whole database.
pub(super) fn of_database(database: &Database, now_ms: u64, comment: &str) -> Value {
    let mut out = header(now_ms, Some(comment));
    for (at, table) in database.schema().tables.iter().enumerate() {
        let rows: Map<String, Value> = database
            .table(at)
            .rows()
            .map(|(uuid, row)| (uuid.to_string(), Value::Object(stored_columns(table, row))))
            .collect();
        if !rows.is_empty() {
            out.insert(table.name.to_string(), Value::Object(rows));
        }
    }
    Value::Object(out)
}

fn header(now_ms: u64, comment: Option<&str>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("_date".into(), now_ms.into());
    if let Some(comment) = comment.filter(|comment| !comment.is_empty()) {
        out.insert("_comment".into(), comment.into());
    }
    out
}

/// The columns of a new row that are stored and not at their default.
fn stored_columns(table: &TableSchema, row: &Row) -> Map<String, Value> {
    table
        .declared_columns()
        .filter(|(at, column)| !column.ephemeral && *row.get(*at) != column.default)
        .map(|(at, column)| (column.name.to_string(), row.get(at).to_json()))
        .collect()
}

/// The stored columns that changed, as differences.
fn difference(table: &TableSchema, old: &Row, new: &Row) -> Map<String, Value> {
    table
        .declared_columns()
        .filter(|(at, column)| !column.ephemeral && old.get(*at) != new.get(*at))
        .map(|(at, column)| {
            let value = if column.ty.is_composite() {
                old.get(at).diff(new.get(at)).to_json()
            } else {
                new.get(at).to_json()
            };
            (column.name.to_string(), value)
        })
        .collect()
}
