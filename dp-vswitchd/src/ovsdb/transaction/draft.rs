//! The database as a transaction under way sees it: the rows of before, and its own.
//!
//! # Cost
//! A row is copied (pointers to its columns) when it is first written; rows that are only read stay
//! where they are. Dropping the draft undoes everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ovsdb::condition::{Condition, all_hold, picked_row};
use crate::ovsdb::database::{Database, Row};
use crate::ovsdb::uuid::Uuid;

/// Rows written so far, over the rows of before.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) database: &'a Database,
    pub(super) rows: BTreeMap<(usize, Uuid), Entry>,
}

/// One row that the transaction has written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The row before; absent when this transaction inserts it.
    pub(super) old: Option<Arc<Row>>,
    /// The row now; absent when this transaction deletes it.
    pub(super) new: Option<Row>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(database: &'a Database) -> Self {
        Self { database, rows: BTreeMap::new() }
    }

    /// The row as it is now.
    pub(super) fn get(&self, table: usize, uuid: Uuid) -> Option<&Row> {
        match self.rows.get(&(table, uuid)) {
            Some(entry) => entry.new.as_ref(),
            None => self.database.row(table, uuid).map(|row| &**row),
        }
    }

    /// The row, to be written.
    pub(super) fn get_mut(&mut self, table: usize, uuid: Uuid) -> Option<&mut Row> {
        self.entry(table, uuid)?.new.as_mut()
    }

    /// True when a row of that name exists, or existed before this transaction.
    pub(super) fn ever_had(&self, table: usize, uuid: Uuid) -> bool {
        match self.rows.get(&(table, uuid)) {
            Some(entry) => entry.old.is_some() || entry.new.is_some(),
            None => self.database.row(table, uuid).is_some(),
        }
    }

    /// Adds a row, whose name must be new to the table.
    pub(super) fn insert(&mut self, table: usize, row: Row) {
        self.rows.insert((table, row.uuid()), Entry { old: None, new: Some(row) });
    }

    /// Takes a row away.
    pub(super) fn delete(&mut self, table: usize, uuid: Uuid) {
        let Some(entry) = self.entry(table, uuid) else { return };
        entry.new = None;
        if entry.old.is_none() {
            self.rows.remove(&(table, uuid));
        }
    }

    /// The names of the rows that meet all `conditions`.
    pub(super) fn matching(&self, table: usize, conditions: &[Condition]) -> Vec<Uuid> {
        if let Some(uuid) = picked_row(conditions) {
            let meets = self.get(table, uuid).is_some_and(|row| all_hold(conditions, row));
            return meets.then_some(uuid).into_iter().collect();
        }
        self.live(table)
            .filter(|(_, row)| all_hold(conditions, row))
            .map(|(uuid, _)| uuid)
            .collect()
    }

    /// All rows of a table as they are now.
    fn live(&self, table: usize) -> impl Iterator<Item = (Uuid, &Row)> {
        let before = self
            .database
            .table(table)
            .rows()
            .filter(move |(uuid, _)| !self.rows.contains_key(&(table, **uuid)))
            .map(|(uuid, row)| (*uuid, &**row));
        let written = self
            .rows
            .range((table, Uuid::ZERO)..=(table, LAST))
            .filter_map(|((_, uuid), entry)| Some((*uuid, entry.new.as_ref()?)));
        before.chain(written)
    }

    /// The entry of a row that exists or existed; made from the row of before when there is none.
    fn entry(&mut self, table: usize, uuid: Uuid) -> Option<&mut Entry> {
        if !self.rows.contains_key(&(table, uuid)) {
            let old = Arc::clone(self.database.row(table, uuid)?);
            let new = Some((*old).clone());
            self.rows.insert((table, uuid), Entry { old: Some(old), new });
        }
        self.rows.get_mut(&(table, uuid))
    }
}

/// The last of all UUIDs.
const LAST: Uuid = Uuid([0xff; 16]);
