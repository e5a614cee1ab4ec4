//! The operations of a transaction, one function each (RFC 7047, section 5.2).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Context;
use super::draft::Draft;
use crate::ovsdb::condition::Condition;
use crate::ovsdb::database::Row;
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json::{Kind, Members};
use crate::ovsdb::mutation::Mutation;
use crate::ovsdb::schema::{TableSchema, VERSION_COLUMN};
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::{Atom, Datum, NamedUuids};

/// A transaction under way.
pub(super) struct Run<'a> {
    pub(super) draft: Draft<'a>,
    pub(super) names: NamedUuids<'a>,
    pub(super) context: &'a Context<'a>,
    pub(super) comment: Option<String>,
}

/// What one operation came to.
pub(super) enum Step {
    /// Its result.
    Result(Value),
    /// A `wait` that is not over.
    Blocked { timeout_ms: Option<u64> },
}

/// A table that an operation names.
#[derive(Clone, Copy)]
struct Table<'a> {
    index: usize,
    schema: &'a TableSchema,
}

impl<'a> Run<'a> {
    /// Executes operation number `at` of `total`.
    pub(super) fn operation(
        &mut self,
        json: &Value,
        at: usize,
        total: usize,
    ) -> Result<Step, Error> {
        let mut members = Members::new(json, format!("ovsdb operation {at} of {total}"));
        let name = members.required("op", Kind::String).and_then(Value::as_str);
        let result = match name {
            None => return Err(members.finish().err().unwrap_or_else(|| no_operation(json))),
            Some("insert") => self.insert(members),
            Some("select") => self.select(members),
            Some("update") => self.update(members, json),
            Some("mutate") => self.mutate(members),
            Some("delete") => self.delete(members),
            Some("wait") => return self.wait(members),
            Some("commit") => commit(members),
            Some("abort") => abort(members),
            Some("comment") => self.comment(members),
            Some("assert") => self.assert(members),
            Some(other) => {
                members.fail(&format!("No operation \"{other}\""));
                Err(members.finish().err().unwrap_or_else(|| no_operation(json)))
            }
        }?;
        if let Some(name @ ("insert" | "update" | "mutate" | "delete")) = name {
            self.may_write(name)?;
        }
        Ok(Step::Result(result))
    }

    fn may_write(&self, name: &str) -> Result<(), Error> {
        let database = &self.draft.database.schema().name;
        if database.starts_with('_') {
            let why =
                format!("{name} operation not allowed on table in reserved database {database}");
            return Err(Error::new(Tag::NotAllowed, why));
        }
        if self.context.read_only {
            let why =
                format!("{name} operation not allowed when database server is in read only mode");
            return Err(Error::new(Tag::NotAllowed, why));
        }
        Ok(())
    }

    /// RFC 7047, 5.2.1, and the extension that lets the client choose the row's UUID.
    fn insert(&mut self, mut members: Members<'_>) -> Result<Value, Error> {
        let table = self.table(&mut members);
        let name = members.optional("uuid-name", Kind::Id);
        let chosen = members.optional("uuid", Kind::String);
        let row = members.required("row", Kind::Object);
        members.finish()?;
        let (Some(table), Some(row)) = (table, row) else { return Err(incomplete()) };

        let mut uuid = None;
        if let Some(json) = chosen {
            let text = json.as_str().unwrap_or_default();
            let wanted = Uuid::parse(text).ok_or_else(|| Error::syntax(json, "bad uuid"))?;
            if self.draft.ever_had(table.index, wanted) {
                let why = "This UUID would duplicate a UUID already present within the table or \
                           deleted within the same transaction.";
                return Err(Error::new(Tag::DuplicateUuid, why).about(json));
            }
            uuid = Some(wanted);
        }
        let uuid = match name {
            None => uuid.unwrap_or_else(|| self.names.fresh()),
            Some(json) => {
                let name = json.as_str().unwrap_or_default();
                self.names.introduce(name, uuid).map_err(|_| {
                    let why = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
                    Error::new(Tag::DuplicateUuidName, why).about(json)
                })?
            }
        };
        let mut new = Row::new(table.schema, uuid);
        for (column, value) in row_from_json(table.schema, row, &mut self.names)? {
            if column > VERSION_COLUMN {
                new.set(column, value);
            }
        }
        // The defaults may be what the schema forbids.
        for (at, column) in table.schema.declared_columns() {
            column.ty.check(new.get(at))?;
        }
        self.draft.insert(table.index, new);
        Ok(json!({ "uuid": Atom::Uuid(uuid).to_json() }))
    }

    /// RFC 7047, 5.2.2: each combination of the selected columns once.
    fn select(&mut self, mut members: Members<'_>) -> Result<Value, Error> {
        let table = self.table(&mut members);
        let conditions = members.required("where", Kind::Array);
        let columns = members.optional("columns", Kind::Array);
        let sort = members.optional("sort", Kind::Array);
        members.finish()?;
        let (Some(table), Some(conditions)) = (table, conditions) else { return Err(incomplete()) };
        let conditions = Condition::list_from_json(table.schema, conditions, &mut self.names)?;
        let columns = column_set(table.schema, columns)?;
        let sort = sort.map(|json| table.schema.column_set(json)).transpose()?;

        let mut seen = BTreeSet::new();
        let mut rows: Vec<&Row> = self
            .draft
            .matching(table.index, &conditions)
            .into_iter()
            .filter_map(|uuid| self.draft.get(table.index, uuid))
            .filter(|row| seen.insert(values(row, &columns)))
            .collect();
        if let Some(sort) = sort {
            rows.sort_by_cached_key(|row| values(row, &sort));
        }
        let rows: Vec<Value> =
            rows.iter().map(|row| row.to_json(table.schema, columns.iter().copied())).collect();
        Ok(json!({ "rows": rows }))
    }

    /// RFC 7047, 5.2.3.
    fn update(&mut self, mut members: Members<'_>, json: &Value) -> Result<Value, Error> {
        let table = self.table(&mut members);
        let conditions = members.required("where", Kind::Array);
        let row = members.required("row", Kind::Object);
        members.finish()?;
        let (Some(table), Some(conditions), Some(row)) = (table, conditions, row) else {
            return Err(incomplete());
        };
        let values = row_from_json(table.schema, row, &mut self.names)?;
        for (column, _) in &values {
            let column = &table.schema.columns[*column];
            if !column.mutable {
                let (name, table) = (&column.name, &table.schema.name);
                let why = format!("Cannot update immutable column {name} in table {table}.");
                return Err(Error::new(Tag::Constraint, why).about(json));
            }
        }
        let conditions = Condition::list_from_json(table.schema, conditions, &mut self.names)?;
        let matching = self.draft.matching(table.index, &conditions);
        for &uuid in &matching {
            let Some(row) = self.draft.get_mut(table.index, uuid) else { continue };
            for (column, value) in &values {
                row.set(*column, value.clone());
            }
        }
        Ok(json!({ "count": matching.len() }))
    }

    /// RFC 7047, 5.2.4.
    fn mutate(&mut self, mut members: Members<'_>) -> Result<Value, Error> {
        let table = self.table(&mut members);
        let conditions = members.required("where", Kind::Array);
        let mutations = members.required("mutations", Kind::Array);
        members.finish()?;
        let (Some(table), Some(conditions), Some(mutations)) = (table, conditions, mutations)
        else {
            return Err(incomplete());
        };
        let mutations = mutations
            .as_array()
            .into_iter()
            .flatten()
            .map(|json| Mutation::from_json(table.schema, json, &mut self.names))
            .collect::<Result<Vec<_>, _>>()?;
        let conditions = Condition::list_from_json(table.schema, conditions, &mut self.names)?;
        let matching = self.draft.matching(table.index, &conditions);
        for &uuid in &matching {
            let Some(row) = self.draft.get_mut(table.index, uuid) else { continue };
            for mutation in &mutations {
                let ty = &table.schema.columns[mutation.column].ty;
                let new = mutation.apply(ty, row.get(mutation.column))?;
                row.set(mutation.column, new);
            }
        }
        Ok(json!({ "count": matching.len() }))
    }

    /// RFC 7047, 5.2.5.
    fn delete(&mut self, mut members: Members<'_>) -> Result<Value, Error> {
        let table = self.table(&mut members);
        let conditions = members.required("where", Kind::Array);
        members.finish()?;
        let (Some(table), Some(conditions)) = (table, conditions) else { return Err(incomplete()) };
        let conditions = Condition::list_from_json(table.schema, conditions, &mut self.names)?;
        let matching = self.draft.matching(table.index, &conditions);
        for &uuid in &matching {
            self.draft.delete(table.index, uuid);
        }
        Ok(json!({ "count": matching.len() }))
    }

    /// RFC 7047, 5.2.6.
    fn wait(&mut self, mut members: Members<'_>) -> Result<Step, Error> {
        let timeout = members.optional("timeout", Kind::Number);
        let table = self.table(&mut members);
        let conditions = members.required("where", Kind::Array);
        let columns = members.optional("columns", Kind::Array);
        let until = members.required("until", Kind::String);
        let rows = members.required("rows", Kind::Array);
        members.finish()?;
        let (Some(table), Some(conditions), Some(until), Some(rows)) =
            (table, conditions, until, rows)
        else {
            return Err(incomplete());
        };
        let conditions = Condition::list_from_json(table.schema, conditions, &mut self.names)?;
        let columns = column_set(table.schema, columns)?;
        let equal = match until.as_str() {
            Some("==") => true,
            Some("!=") => false,
            _ => return Err(Error::syntax(until, "\"until\" must be \"==\" or \"!=\"")),
        };
        let timeout_ms = timeout.map(timeout_ms).transpose()?;
        let mut expected = BTreeSet::new();
        for json in rows.as_array().into_iter().flatten() {
            if !json.is_object() {
                return Err(Error::syntax(json, "row must be JSON object"));
            }
            let mut row = Row::new(table.schema, Uuid::ZERO);
            for (column, value) in row_from_json(table.schema, json, &mut self.names)? {
                row.set(column, value);
            }
            expected.insert(values(&row, &columns));
        }
        let found: BTreeSet<Vec<Datum>> = self
            .draft
            .matching(table.index, &conditions)
            .into_iter()
            .filter_map(|uuid| self.draft.get(table.index, uuid))
            .map(|row| values(row, &columns))
            .collect();

        let waited = self.context.waited_ms;
        match timeout_ms {
            _ if (found == expected) == equal => Ok(Step::Result(json!({}))),
            Some(0) => Err(Error::new(Tag::TimedOut, "\"where\" clause test failed")),
            Some(limit) if waited >= limit => {
                Err(Error::new(Tag::TimedOut, format!("\"wait\" timed out after {waited} ms")))
            }
            timeout_ms => Ok(Step::Blocked { timeout_ms }),
        }
    }

    /// RFC 7047, 5.2.9. Several comments make several lines.
    fn comment(&mut self, mut members: Members<'_>) -> Result<Value, Error> {
        let comment = members.required("comment", Kind::String).and_then(Value::as_str);
        members.finish()?;
        if let Some(line) = comment {
            match &mut self.comment {
                Some(lines) => {
                    lines.push('\n');
                    lines.push_str(line);
                }
                none => *none = Some(line.to_owned()),
            }
        }
        Ok(json!({}))
    }

    /// RFC 7047, 5.2.10.
    fn assert(&mut self, mut members: Members<'_>) -> Result<Value, Error> {
        let lock = members.required("lock", Kind::Id).and_then(Value::as_str);
        members.finish()?;
        let lock = lock.ok_or_else(incomplete)?;
        if (self.context.owns_lock)(lock) {
            Ok(json!({}))
        } else {
            Err(Error::new(Tag::NotOwner, format!("Asserted lock {lock} not held.")))
        }
    }

    fn table(&self, members: &mut Members<'_>) -> Option<Table<'a>> {
        let name = members.required("table", Kind::Id)?.as_str()?;
        let schema = self.draft.database.schema();
        match schema.table_index(name) {
            Some(index) => Some(Table { index, schema: schema.tables.get(index)? }),
            None => {
                members.fail(&format!("No table named {name}."));
                None
            }
        }
    }
}

/// RFC 7047, 5.2.7. Every commit is durable before its reply, so there is nothing to ask for.
fn commit(mut members: Members<'_>) -> Result<Value, Error> {
    members.required("durable", Kind::Boolean);
    members.finish()?;
    Ok(json!({}))
}

/// RFC 7047, 5.2.8.
fn abort(members: Members<'_>) -> Result<Value, Error> {
    members.finish()?;
    Err(Error::new(Tag::Aborted, "aborted by request"))
}

/// Reads a `<row>`: the columns it gives, with their values.
fn row_from_json(
    table: &TableSchema,
    json: &Value,
    names: &mut NamedUuids<'_>,
) -> Result<Vec<(usize, Datum)>, Error> {
    let mut out = Vec::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let column = table.require_column(name, json)?;
        out.push((column, table.columns[column].ty.datum_from_json(value, names)?));
    }
    Ok(out)
}

/// The columns listed, or all.
fn column_set(table: &TableSchema, json: Option<&Value>) -> Result<Vec<usize>, Error> {
    match json {
        Some(json) => table.column_set(json),
        None => Ok((0..table.columns.len()).collect()),
    }
}

fn timeout_ms(json: &Value) -> Result<u64, Error> {
    let number = json.as_f64().unwrap_or_default();
    if number < 0.0 {
        return Err(Error::syntax(json, "timeout must be nonnegative"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nonnegative, and more than 64 bits of milliseconds is for ever"
    )]
    Ok(number as u64)
}

fn values(row: &Row, columns: &[usize]) -> Vec<Datum> {
    columns.iter().map(|&column| row.get(column).clone()).collect()
}

fn no_operation(json: &Value) -> Error {
    Error::syntax(json, "operation expected")
}

/// A member that reading found missing without saying so.
fn incomplete() -> Error {
    Error::new(Tag::Syntax, "incomplete operation")
}
