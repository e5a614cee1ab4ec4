//! What a client wants to hear of, and the words in which it hears it.
//!
//! | request | updates | of a change |
//! |---|---|---|
//! | `monitor` | `update` | rows before and after |
//! | `monitor_cond` | `update2` | differences, of rows that meet conditions |
//! | `monitor_cond_since` | `update3` | the same, with the transaction's id |

use serde_json::{Map, Value, json};

use crate::ovsdb::condition::Condition;
use crate::ovsdb::database::{Database, Row, RowChange};
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json::{Kind as Json, Members};
use crate::ovsdb::schema::{DatabaseSchema, TableSchema, UUID_COLUMN};
use crate::ovsdb::value::NamedUuids;

/// Which dialect a monitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Plain,
    Conditional,
    Since,
}

/// One monitor of a client.
#[derive(Debug)]
pub(super) struct Monitor {
    /// The client's name of it.
    pub(super) id: Value,
    /// Place of its database.
    pub(super) database: usize,
    pub(super) dialect: Dialect,
    tables: Vec<Watched>,
}

/// A table of a monitor.
#[derive(Debug)]
struct Watched {
    table: usize,
    groups: Vec<Group>,
    /// Rows that meet one of these are shown; none: all rows.
    conditions: Vec<Condition>,
}

/// Columns, and of which changes of them the client wants to hear.
#[derive(Debug)]
struct Group {
    columns: Vec<usize>,
    initial: bool,
    insert: bool,
    delete: bool,
    modify: bool,
}

impl Monitor {
    /// Reads the `<monitor-requests>` of any dialect.
    pub(super) fn parse(
        id: Value,
        database: usize,
        dialect: Dialect,
        schema: &DatabaseSchema,
        requests: &Value,
    ) -> Result<Self, Error> {
        let Some(requests) = requests.as_object() else {
            return Err(Error::syntax(requests, "monitor-requests must be object"));
        };
        let mut tables = Vec::new();
        for (name, json) in requests {
            let missing = || Error::new(Tag::Syntax, format!("no table named {name}"));
            let table = schema.table_index(name).ok_or_else(missing)?;
            let table_schema = schema.tables.get(table).ok_or_else(missing)?;
            tables.push(Watched::parse(table, table_schema, json, dialect)?);
        }
        Ok(Self { id, database, dialect, tables })
    }

    /// All that there is, in the first reply's words.
    pub(super) fn initial(&self, database: &Database) -> Value {
        let mut out = Map::new();
        for watched in &self.tables {
            let Some(schema) = database.schema().tables.get(watched.table) else { continue };
            let mut rows = Map::new();
            for (uuid, row) in database.table(watched.table).rows() {
                let columns = watched.columns(|group| group.initial);
                if columns.is_empty() && !watched.groups.iter().any(|group| group.initial)
                    || !watched.shows(row)
                {
                    continue;
                }
                let update = match self.dialect {
                    Dialect::Plain => json!({"new": row.to_json(schema, columns)}),
                    _ => json!({"initial": without_defaults(schema, row, &columns)}),
                };
                rows.insert(uuid.to_string(), update);
            }
            if !rows.is_empty() {
                out.insert(schema.name.to_string(), Value::Object(rows));
            }
        }
        Value::Object(out)
    }

    /// What changed, as far as the client wants to hear of it; `None`: nothing.
    pub(super) fn updates(&self, schema: &DatabaseSchema, changes: &[RowChange]) -> Option<Value> {
        let mut out: Map<String, Value> = Map::new();
        for change in changes {
            let watched = self.tables.iter().find(|it| it.table == change.table);
            let (Some(watched), Some(table)) = (watched, schema.tables.get(change.table)) else {
                continue;
            };
            let update = match self.dialect {
                Dialect::Plain => watched.plain(table, change),
                _ => watched.difference(table, change),
            };
            if let Some(update) = update {
                let rows = out.entry(table.name.to_string()).or_insert_with(|| json!({}));
                if let Some(rows) = rows.as_object_mut() {
                    rows.insert(change.uuid.to_string(), update);
                }
            }
        }
        (!out.is_empty()).then_some(Value::Object(out))
    }

    /// Takes new conditions; what the client sees now and did not before, and the reverse.
    pub(super) fn change(
        &mut self,
        database: &Database,
        id: Value,
        requests: &Value,
    ) -> Result<Option<Value>, Error> {
        let wrong = || Error::syntax(requests, "monitor_cond_change_reqs must be object");
        let requests = requests.as_object().ok_or_else(wrong)?;
        let schema = database.schema();
        let mut fresh = Vec::new();
        for (name, json) in requests {
            let missing = || Error::new(Tag::Syntax, format!("no table named {name}"));
            let table = schema.table_index(name).ok_or_else(missing)?;
            let table_schema = schema.tables.get(table).ok_or_else(missing)?;
            let at = self.tables.iter().position(|it| it.table == table);
            let at = at.ok_or_else(|| {
                Error::new(Tag::Syntax, format!("no table named {name} in monitor session"))
            })?;
            let mut conditions = Vec::new();
            for item in items(json) {
                if let Some(json) = item.get("where") {
                    let names = &mut NamedUuids::refused();
                    conditions.extend(Condition::list_from_json(table_schema, json, names)?);
                }
            }
            fresh.push((at, conditions));
        }
        let mut out = Map::new();
        for (at, conditions) in fresh {
            let Some(watched) = self.tables.get_mut(at) else { continue };
            let Some(table) = schema.tables.get(watched.table) else { continue };
            let old = std::mem::replace(&mut watched.conditions, conditions);
            let mut rows = Map::new();
            for (uuid, row) in database.table(watched.table).rows() {
                let update = match (meets(&old, row), watched.shows(row)) {
                    (false, true) => {
                        let columns = watched.columns(|_| true);
                        json!({"insert": without_defaults(table, row, &columns)})
                    }
                    (true, false) => json!({"delete": null}),
                    _ => continue,
                };
                rows.insert(uuid.to_string(), update);
            }
            if !rows.is_empty() {
                out.insert(table.name.to_string(), Value::Object(rows));
            }
        }
        self.id = id;
        Ok((!out.is_empty()).then_some(Value::Object(out)))
    }
}

impl Watched {
    fn parse(
        table: usize,
        schema: &TableSchema,
        json: &Value,
        dialect: Dialect,
    ) -> Result<Self, Error> {
        let mut watched = Self { table, groups: Vec::new(), conditions: Vec::new() };
        let mut all = false;
        for item in items(json) {
            let (group, conditions) = Group::parse(schema, item, dialect)?;
            for column in &group.columns {
                if watched.groups.iter().any(|it| it.columns.contains(column)) {
                    let name = schema.columns.get(*column).map_or("", |it| &*it.name);
                    let why = format!("column {name} mentioned more than once");
                    return Err(Error::syntax(item.get("columns").unwrap_or(item), why));
                }
            }
            watched.groups.push(group);
            match conditions {
                Some(conditions) if !conditions.is_empty() => watched.conditions.extend(conditions),
                _ => all = true,
            }
        }
        if all {
            watched.conditions.clear();
        }
        Ok(watched)
    }

    /// Whether the client sees a row.
    fn shows(&self, row: &Row) -> bool {
        meets(&self.conditions, row)
    }

    /// The columns of the groups that want to hear of a kind of change.
    fn columns(&self, wants: impl Fn(&Group) -> bool) -> Vec<usize> {
        let groups = self.groups.iter().filter(|group| wants(group));
        groups.flat_map(|group| group.columns.iter().copied()).collect()
    }

    fn wants(&self, wants: impl Fn(&Group) -> bool) -> bool {
        self.groups.iter().any(wants)
    }

    /// A change as rows before and after.
    fn plain(&self, table: &TableSchema, change: &RowChange) -> Option<Value> {
        match (&change.old, &change.new) {
            (None, Some(new)) => self
                .wants(|it| it.insert)
                .then(|| json!({"new": new.to_json(table, self.columns(|it| it.insert))})),
            (Some(old), None) => self
                .wants(|it| it.delete)
                .then(|| json!({"old": old.to_json(table, self.columns(|it| it.delete))})),
            (Some(old), Some(new)) => {
                let columns = self.columns(|it| it.modify);
                let differs = |at: &usize| old.get(*at) != new.get(*at);
                let changed: Vec<usize> = columns.iter().copied().filter(differs).collect();
                (!changed.is_empty()).then(|| {
                    json!({"old": old.to_json(table, changed), "new": new.to_json(table, columns)})
                })
            }
            (None, None) => None,
        }
    }

    /// A change as a difference of what the client sees.
    fn difference(&self, table: &TableSchema, change: &RowChange) -> Option<Value> {
        let old = change.old.as_deref().filter(|row| self.shows(row));
        let new = change.new.as_deref().filter(|row| self.shows(row));
        match (old, new) {
            (None, Some(new)) => self.wants(|it| it.insert).then(|| {
                let columns = self.columns(|it| it.insert);
                json!({"insert": without_defaults(table, new, &columns)})
            }),
            (Some(_), None) => self.wants(|it| it.delete).then(|| json!({"delete": null})),
            (Some(old), Some(new)) => {
                let mut out = Map::new();
                for at in self.columns(|it| it.modify) {
                    let (before, after) = (old.get(at), new.get(at));
                    let Some(column) = table.columns.get(at).filter(|_| before != after) else {
                        continue;
                    };
                    let value = if column.ty.is_composite() {
                        before.diff(after).to_json()
                    } else {
                        after.to_json()
                    };
                    out.insert(column.name.to_string(), value);
                }
                (!out.is_empty()).then(|| json!({"modify": out}))
            }
            (None, None) => None,
        }
    }
}

impl Group {
    fn parse(
        table: &TableSchema,
        json: &Value,
        dialect: Dialect,
    ) -> Result<(Self, Option<Vec<Condition>>), Error> {
        let mut members = Members::new(json, format!("table {}", table.name));
        let columns = members.optional("columns", Json::Array);
        let select = members.optional("select", Json::Object);
        let condition = match dialect {
            Dialect::Plain => None,
            _ => members.optional("where", Json::Array),
        };
        members.finish()?;
        let columns = match columns {
            Some(json) => table.column_set(json)?,
            None => (0..table.columns.len()).filter(|at| *at != UUID_COLUMN).collect(),
        };
        let mut group = Self { columns, initial: true, insert: true, delete: true, modify: true };
        if let Some(json) = select {
            let mut members = Members::new(json, format!("table {} select", table.name));
            let mut read = |name| {
                let value = members.optional(name, Json::Boolean);
                value.and_then(Value::as_bool).unwrap_or(true)
            };
            group.initial = read("initial");
            group.insert = read("insert");
            group.delete = read("delete");
            group.modify = read("modify");
            members.finish()?;
        }
        let read = |json| Condition::list_from_json(table, json, &mut NamedUuids::refused());
        Ok((group, condition.map(read).transpose()?))
    }
}

/// The requests about one table: an array of them, or one.
fn items(json: &Value) -> Vec<&Value> {
    match json {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

/// Whether a row meets one of the conditions; without conditions every row does.
fn meets(conditions: &[Condition], row: &Row) -> bool {
    conditions.is_empty() || conditions.iter().any(|condition| condition.holds(row))
}

/// The columns that differ from what a new row has.
fn without_defaults(table: &TableSchema, row: &Row, columns: &[usize]) -> Value {
    let mut out = Map::new();
    for at in columns {
        if let Some(column) = table.columns.get(*at)
            && *row.get(*at) != column.default
        {
            out.insert(column.name.to_string(), row.get(*at).to_json());
        }
    }
    Value::Object(out)
}
