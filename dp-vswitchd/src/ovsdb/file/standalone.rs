//! A standalone database: the rows in memory, the log that makes them durable.
//!
//! # Guarantee
//! After [`Standalone::append`] and [`Standalone::sync`] have returned well, a power failure does
//! not lose the transaction. The server sends no reply before.
//!
//! # Cost
//! The log grows with what changes. When it is twice what it was after the last compaction, and a
//! good deal in absolute terms, it is replaced by one record of what there is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use super::lock::Lock;
use super::log::{Damage, Log, LogError, Reader, Record};
use super::record::{self, Replay};
use crate::ovsdb::database::{Commit, Database, Row};
use crate::ovsdb::error::Error as DatabaseError;
use crate::ovsdb::schema::DatabaseSchema;
use crate::ovsdb::transaction::adopt;
use crate::ovsdb::uuid::UuidSource;

/// An open database file.
#[derive(Debug)]
pub struct Standalone {
    path: PathBuf,
    log: Log,
    _lock: Lock,
    /// How long the file was after its last compaction.
    compact_length: u64,
    /// Below this length compaction is not tried.
    compact_from: u64,
    dirty: bool,
}

/// What opening a file gives.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: Standalone,
    /// The database that is in it.
    pub database: Database,
    /// What was cut off its end, if anything.
    pub damage: Option<Damage>,
}

/// Why a database cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0}: already opened by another process")]
    Locked(PathBuf),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no schema in it.
    #[error("{path}: failed to read schema ({reason})")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// The rows break the rules of the schema.
    #[error("{path}: {error}")]
    Rows {
        /// The file.
        path: PathBuf,
        /// Which rule.
        error: DatabaseError,
    },
}

impl Standalone {
    /// Makes a new file with an empty database. What is at `path` must not exist.
    ///
    /// # Errors
    /// When the file cannot be written, or exists.
    pub fn create(path: &Path, schema: &DatabaseSchema) -> Result<(), OpenError> {
        let io = |error| LogError::Io { path: path.to_owned(), what: "create", error };
        let _lock = take_lock(path)?;
        if path.exists() {
            return Err(io(std::io::ErrorKind::AlreadyExists.into()).into());
        }
        Log::replace(path, [schema.to_json()])?;
        Ok(())
    }

    /// Opens the file at `path`.
    ///
    /// A torn tail is cut off and told of. What the schema's rules would have taken away (rows that
    /// nobody refers to, weak references to nothing) is taken away, in the file too: the differences
    /// that are appended later are to what is in memory.
    ///
    /// # Errors
    /// When another process has it, when it is no such file, or when its rows break the rules.
    pub fn open(path: &Path, uuids: &mut UuidSource) -> Result<Opened, OpenError> {
        let lock = take_lock(path)?;
        let mut reader = Reader::open(path)?;
        let schema = read_schema(path, &mut reader)?;
        let schema_length = reader.offset();
        let mut replay = Replay::new(Arc::clone(&schema));
        let mut compact_length = schema_length;
        let mut records = 0_usize;
        let reason = loop {
            let start = reader.offset();
            match reader.next()? {
                Record::End => break None,
                Record::Damaged(reason) => break Some((start, reason, false)),
                Record::Json(json) => {
                    if let Err(error) = replay.apply(&json) {
                        break Some((start, error.to_string(), true));
                    }
                    if records == 0 {
                        compact_length = reader.offset();
                    }
                    records += 1;
                }
            }
        };
        let damage =
            reason.map(|(offset, reason, whole)| reader.cut(offset, reason, whole)).transpose()?;
        let mut database = Database::new(schema);
        let rows: Vec<(usize, Row)> = replay.rows().collect();
        let commit = adopt(&database, rows.iter().cloned(), uuids)
            .map_err(|error| OpenError::Rows { path: path.to_owned(), error })?;
        database.apply(&commit);
        let log = Log::open(path)?;
        let mut file = Self {
            path: path.to_owned(),
            log,
            _lock: lock,
            compact_length,
            compact_from: 0,
            dirty: false,
        };
        let kept = |(table, row): &(usize, Row)| {
            database.row(*table, row.uuid()).is_some_and(|now| now.same_contents(row))
        };
        if !rows.iter().all(kept) {
            file.compact(&database, 0, "applying the rules of the schema")?;
        }
        Ok(Opened { file, database, damage })
    }

    /// Writes a commit. It is durable after [`Standalone::sync`].
    ///
    /// # Errors
    /// When it could not be written; the file is as before.
    pub fn append(
        &mut self,
        schema: &DatabaseSchema,
        commit: &Commit,
        now_ms: u64,
    ) -> Result<(), LogError> {
        if let Some(record) = record::of_commit(schema, commit, now_ms) {
            self.log.append(&record)?;
            self.dirty = true;
        }
        Ok(())
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// When the kernel could not: what was written may or may not survive, and nothing more can
    /// be promised about this file.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if self.dirty {
            self.log.sync()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// True when the log has grown so much that it should be compacted.
    pub fn wants_compaction(&self) -> bool {
        let length = self.log.length();
        length >= self.compact_from && length >= 2 * self.compact_length + COMPACT_GROWTH
    }

    /// Replaces the log by one record of `database`, which is what the log makes.
    ///
    /// # Errors
    /// When the new file could not be written; the old one remains in use.
    pub fn compact(
        &mut self,
        database: &Database,
        now_ms: u64,
        comment: &str,
    ) -> Result<(), LogError> {
        let schema = database.schema().to_json();
        let mut records = vec![schema];
        if database.row_count() > 0 {
            records.push(record::of_database(database, now_ms, comment));
        }
        match Log::replace(&self.path, records) {
            Ok(log) => {
                self.compact_length = log.length();
                self.compact_from = 0;
                self.log = log;
                self.dirty = false;
                Ok(())
            }
            Err(error) => {
                // Not again before it has grown as much once more.
                self.compact_from = self.log.length() + COMPACT_GROWTH;
                Err(error)
            }
        }
    }

    /// The file's path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the file is, in bytes.
    pub fn length(&self) -> u64 {
        self.log.length()
    }
}

fn take_lock(path: &Path) -> Result<Lock, OpenError> {
    Lock::take(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => OpenError::Locked(path.to_owned()),
        _ => LogError::Io { path: path.to_owned(), what: "lock", error }.into(),
    })
}

fn read_schema(path: &Path, reader: &mut Reader) -> Result<Arc<DatabaseSchema>, OpenError> {
    let failed = |reason: String| OpenError::Schema { path: path.to_owned(), reason };
    let json: Value = match reader.next()? {
        Record::Json(json) => json,
        Record::Damaged(reason) => return Err(failed(reason)),
        Record::End => return Err(failed("unexpected end of file reading schema".into())),
    };
    let schema = DatabaseSchema::from_json(&json).map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(schema))
}

/// A log that has grown less than this is left alone, in bytes.
const COMPACT_GROWTH: u64 = 4 << 20;

#[cfg(test)]
mod tests;
