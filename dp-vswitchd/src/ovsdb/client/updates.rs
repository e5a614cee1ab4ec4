//! `update2` and `update3`: what changed, as differences of rows.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::ovsdb::database::{Commit, Database, Row, RowChange};
use crate::ovsdb::schema::TableSchema;
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::NamedUuids;

/// Applies the table updates of one notification to a replica.
///
/// # Errors
/// When they do not fit it.
pub(super) fn apply(replica: &mut Database, tables: &Value) -> Result<(), String> {
    let tables = tables.as_object().ok_or("<table-updates2> is not an object")?;
    let mut changes = Vec::new();
    for (name, rows) in tables {
        let schema = Arc::clone(replica.schema());
        let Some(at) = schema.table_index(name) else { continue };
        let Some(table) = schema.tables.get(at) else { continue };
        let rows = rows.as_object().ok_or("<table-update2> is not an object")?;
        for (uuid, update) in rows {
            let uuid = Uuid::parse(uuid).ok_or_else(|| format!("{uuid} is not a UUID"))?;
            let old = replica.row(at, uuid).cloned();
            let new = new_row(table, uuid, old.as_deref(), update)?;
            changes.push(RowChange { table: at, uuid, old, new: new.map(Arc::new) });
        }
    }
    replica.apply(&Commit { id: Uuid::ZERO, changes, comment: None });
    Ok(())
}

fn new_row(
    table: &TableSchema,
    uuid: Uuid,
    old: Option<&Row>,
    update: &Value,
) -> Result<Option<Row>, String> {
    let part = |name| update.get(name).and_then(Value::as_object);
    if let Some(columns) = part("initial").or_else(|| part("insert")) {
        let mut row = Row::new(table, uuid);
        for (at, json) in known(table, columns) {
            let ty = &table.columns.get(at).ok_or("column is gone")?.ty;
            let datum = ty.datum_from_json(json, &mut NamedUuids::refused());
            row.set(at, datum.map_err(|error| error.to_string())?);
        }
        return Ok(Some(row));
    }
    if let Some(columns) = part("modify") {
        let old = old.ok_or_else(|| format!("{uuid} is modified and does not exist"))?;
        let mut row = old.clone();
        for (at, json) in known(table, columns) {
            let ty = &table.columns.get(at).ok_or("column is gone")?.ty;
            let diff = ty.diff_from_json(json).map_err(|error| error.to_string())?;
            let value = if ty.is_composite() { row.get(at).apply_diff(&diff) } else { diff };
            row.set(at, value);
        }
        return Ok(Some(row));
    }
    match update.get("delete") {
        Some(_) => Ok(None),
        None => Err(format!("{uuid}: neither initial, insert, modify nor delete")),
    }
}

/// The columns that the table has, with their places.
fn known<'a>(
    table: &'a TableSchema,
    columns: &'a Map<String, Value>,
) -> impl Iterator<Item = (usize, &'a Value)> {
    columns.iter().filter_map(|(name, json)| Some((table.column_index(name)?, json)))
}
