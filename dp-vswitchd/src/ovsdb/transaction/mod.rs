//! Executing a `transact` request: all of it or nothing (RFC 7047, sections 4.1.3 and 5.2).
//!
//! ```text
//! operations ──► Draft (new rows beside the old ones) ──► integrity ──► Commit
//!                 any error: the draft is dropped,          counts, garbage,
//!                 nothing has happened                      limits, indexes
//! ```
//!
//! The database is only read here. What comes out is the reply, and, when everything succeeded, a
//! [`Commit`] for the caller to store and then apply. A `wait` whose condition does not hold yet
//! ends the execution with [`Outcome::Blocked`]; the caller executes the whole transaction again
//! when the database has changed or the time has passed.

mod draft;
mod integrity;
mod operations;

use std::sync::Arc;

use serde_json::Value;

use super::database::{Commit, Database, Row};
use super::error::Error;
use super::schema::DatabaseSchema;
use super::uuid::UuidSource;
use super::value::NamedUuids;
use draft::Draft;

/// What an execution needs to know besides the database.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Tells whether the client owns a lock.
    pub owns_lock: &'a dyn Fn(&str) -> bool,
    /// How long ago the transaction was first executed, in milliseconds.
    pub waited_ms: u64,
    /// Refuses every operation that could change something.
    pub read_only: bool,
}

/// How an execution ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a reply.
    Done {
        /// One result for each operation; one more when the commit itself failed.
        results: Vec<Value>,
        /// What to store and apply; absent when nothing changes.
        commit: Option<Commit>,
    },
    /// With a `wait` that is not over.
    Blocked {
        /// The wait's time, in milliseconds after the first execution; none for ever.
        timeout_ms: Option<u64>,
    },
}

impl Outcome {
    fn failed(results: Vec<Value>) -> Self {
        Self::Done { results, commit: None }
    }
}

/// Executes `operations` against `database`.
pub fn execute(
    database: &Database,
    operations: &[Value],
    context: &Context<'_>,
    uuids: &mut UuidSource,
) -> Outcome {
    let (id, version) = (uuids.fresh(), uuids.fresh());
    let mut run = operations::Run {
        draft: Draft::new(database),
        names: NamedUuids::new(uuids),
        context,
        comment: None,
    };
    let mut results = Vec::with_capacity(operations.len());
    for (at, operation) in operations.iter().enumerate() {
        match run.operation(operation, at + 1, operations.len()) {
            Ok(operations::Step::Result(result)) => results.push(result),
            Ok(operations::Step::Blocked { timeout_ms }) => return Outcome::Blocked { timeout_ms },
            Err(error) => {
                results.push(error.to_json());
                results.resize(operations.len(), Value::Null);
                return Outcome::failed(results);
            }
        }
    }
    let comment = run.comment.take();
    match integrity::settle(run.draft, version) {
        Ok(changes) if changes.is_empty() => Outcome::Done { results, commit: None },
        Ok(changes) => Outcome::Done { results, commit: Some(Commit { id, changes, comment }) },
        Err(error) => {
            results.push(error.to_json());
            Outcome::failed(results)
        }
    }
}

/// Turns rows from elsewhere (a file, another schema) into a commit on an empty database.
///
/// What the rules say is applied: rows nobody refers to go, weak references to nothing go.
///
/// # Errors
/// When the rows break a rule that cannot be mended so.
pub fn adopt(
    database: &Database,
    rows: impl IntoIterator<Item = (usize, Row)>,
    uuids: &mut UuidSource,
) -> Result<Commit, Error> {
    let mut draft = Draft::new(database);
    for (table, row) in rows {
        draft.insert(table, row);
    }
    let changes = integrity::settle(draft, uuids.fresh())?;
    Ok(Commit { id: uuids.fresh(), changes, comment: None })
}

/// A database with these rows under another schema.
///
/// Tables and columns of the same name keep what they hold, ephemeral ones too; what the schema does
/// not have is left out, what it has beyond them begins at its default.
///
/// # Errors
/// When a value or the rows together break a rule of the schema.
pub fn converted(
    database: &Database,
    schema: Arc<DatabaseSchema>,
    uuids: &mut UuidSource,
) -> Result<Database, Error> {
    let mut rows = Vec::new();
    for (at, old) in database.schema().tables.iter().enumerate() {
        let Some(place) = schema.table_index(&old.name) else { continue };
        let Some(new) = schema.tables.get(place) else { continue };
        for (uuid, row) in database.table(at).rows() {
            let mut made = Row::new(new, *uuid);
            for (column_at, column) in new.declared_columns() {
                let Some(from) = old.column_index(&column.name) else { continue };
                let json = row.get(from).to_json();
                made.set(column_at, column.ty.datum_from_json(&json, &mut NamedUuids::refused())?);
            }
            rows.push((place, made));
        }
    }
    let mut out = Database::new(schema);
    let commit = adopt(&out, rows, uuids)?;
    out.apply(&commit);
    Ok(out)
}

#[cfg(test)]
mod tests;
