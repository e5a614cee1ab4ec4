//! The rows of one database, and the bookkeeping that transactions need.
//!
//! A row is immutable and shared: a transaction builds new rows beside the old ones
//! ([`super::transaction`]), and applying its [`Commit`] swaps pointers. Monitors and the history
//! hold on to old rows as long as they need them, at no cost to anybody else.
//!
//! # Invariants
//! Between commits: every strong reference leads to a row; weak ones do too; index keys are
//! unique; counts and reverse references are those of the rows. [`Database::apply`] trusts the
//! commit, which `transaction::integrity` has checked.
//!
//! # Cost
//! Applying costs what changed: one map operation a row, one for each reference gained or lost.

mod table;

use std::sync::Arc;

use serde_json::{Map, Value};

pub(super) use table::index_key;
pub use table::{IndexKey, Table};

use super::schema::{DatabaseSchema, TableSchema, UUID_COLUMN, VERSION_COLUMN};
use super::uuid::Uuid;
use super::value::Datum;

/// A row: its columns in the schema's order, `_uuid` and `_version` first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    columns: Box<[Datum]>,
}

/// All tables of one database, at one moment.
#[derive(Clone, Debug)]
pub struct Database {
    schema: Arc<DatabaseSchema>,
    tables: Vec<Table>,
}

/// What one transaction does to one row.
#[derive(Clone, Debug)]
pub struct RowChange {
    /// The table's place.
    pub table: usize,
    /// The row's name.
    pub uuid: Uuid,
    /// The row before; absent when it is inserted.
    pub old: Option<Arc<Row>>,
    /// The row after; absent when it is deleted.
    pub new: Option<Arc<Row>>,
}

/// What one transaction does, checked and ready to be stored and applied.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The transaction's own name, for clients that come back and ask what they missed.
    pub id: Uuid,
    /// The rows that differ, by table and UUID, each once.
    pub changes: Vec<RowChange>,
    /// What the client says it is doing.
    pub comment: Option<String>,
}

impl Row {
    /// The row `uuid` of `table` with every column at its default.
    pub fn new(table: &TableSchema, uuid: Uuid) -> Self {
        let mut columns: Box<[Datum]> =
            table.columns.iter().map(|column| column.default.clone()).collect();
        if let Some(cell) = columns.get_mut(UUID_COLUMN) {
            *cell = Datum::scalar(uuid.into());
        }
        Self { columns }
    }

    /// The row's name.
    pub fn uuid(&self) -> Uuid {
        self.columns[UUID_COLUMN].as_scalar().and_then(|atom| atom.as_uuid()).unwrap_or_default()
    }

    /// The value of the column at a place of the table's schema.
    pub fn get(&self, column: usize) -> &Datum {
        &self.columns[column]
    }

    /// Gives a column a value.
    pub fn set(&mut self, column: usize, value: Datum) {
        if let Some(cell) = self.columns.get_mut(column) {
            *cell = value;
        }
    }

    /// Names the row's version.
    pub(super) fn set_version(&mut self, version: Uuid) {
        self.set(VERSION_COLUMN, Datum::scalar(version.into()));
    }

    /// True when all declared columns are equal, whatever the versions.
    pub fn same_contents(&self, other: &Self) -> bool {
        self.columns.get(VERSION_COLUMN + 1..) == other.columns.get(VERSION_COLUMN + 1..)
    }

    /// How many atoms its columns hold, its name and version among them.
    pub fn atoms(&self) -> usize {
        let held = |column: &Datum| column.atoms().len() + 2 * column.pairs().len();
        self.columns.iter().map(held).sum()
    }

    /// The JSON object of the columns at `places`.
    pub fn to_json(&self, table: &TableSchema, places: impl IntoIterator<Item = usize>) -> Value {
        let members: Map<String, Value> = places
            .into_iter()
            .map(|at| (table.columns[at].name.to_string(), self.columns[at].to_json()))
            .collect();
        Value::Object(members)
    }
}

impl Database {
    /// An empty database.
    pub fn new(schema: Arc<DatabaseSchema>) -> Self {
        let tables = schema.tables.iter().map(Table::new).collect();
        Self { schema, tables }
    }

    /// Its schema.
    pub fn schema(&self) -> &Arc<DatabaseSchema> {
        &self.schema
    }

    /// The table at a place of the schema.
    pub fn table(&self, table: usize) -> &Table {
        &self.tables[table]
    }

    /// The rows of the table with that name, by UUID; none when there is no such table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (&Uuid, &Arc<Row>)> {
        self.schema.table_index(table).into_iter().flat_map(|at| self.tables[at].rows())
    }

    /// A row.
    pub fn row(&self, table: usize, uuid: Uuid) -> Option<&Arc<Row>> {
        self.tables.get(table)?.row(uuid)
    }

    /// How many rows there are in all tables.
    pub fn row_count(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// How many values its rows have, those of `skip` columns of each left out.
    pub fn cells(&self, skip: usize) -> usize {
        let tables = self.schema.tables.iter().zip(&self.tables);
        tables.map(|(it, rows)| it.columns.len().saturating_sub(skip) * rows.len()).sum()
    }

    /// How many atoms they hold.
    pub fn atoms(&self) -> usize {
        self.tables.iter().map(Table::atoms).sum()
    }

    /// How many weak references its rows have.
    pub fn weak_references(&self) -> usize {
        self.tables.iter().map(Table::weak_references).sum()
    }

    /// Makes a commit the present.
    pub fn apply(&mut self, commit: &Commit) {
        for change in &commit.changes {
            self.apply_change(change);
        }
    }

    fn apply_change(&mut self, change: &RowChange) {
        let schema = Arc::clone(&self.schema);
        let Some(table_schema) = schema.tables.get(change.table) else { return };
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        for_each_reference_change(table_schema, old, new, |reference, uuid, step| {
            if let Some(target) = self.tables.get_mut(reference.table) {
                match reference.strong {
                    // A row's reference to itself does not keep it alive.
                    true if reference.table == change.table && uuid == change.uuid => {}
                    true => target.adjust_strong(uuid, step),
                    false => target.adjust_weak(uuid, (change.table, change.uuid), step),
                }
            }
        });
        if let Some(table) = self.tables.get_mut(change.table) {
            table.replace(table_schema, change);
        }
    }
}

/// A reference column's target, as [`for_each_reference_change`] tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// The table referred to.
    pub(super) table: usize,
    /// Whether the reference is strong.
    pub(super) strong: bool,
    /// The column that refers.
    pub(super) column: usize,
}

/// Calls `visit(target, uuid, ±1)` for every reference that the change of a row takes or adds.
pub(super) fn for_each_reference_change(
    table: &TableSchema,
    old: Option<&Row>,
    new: Option<&Row>,
    mut visit: impl FnMut(Target, Uuid, i32),
) {
    for &(column, key, value) in table.references() {
        let (old, new) = (old.map(|row| row.get(column)), new.map(|row| row.get(column)));
        let nothing = || match old.or(new) {
            Some(Datum::Map(_)) => Datum::empty_map(),
            _ => Datum::empty_set(),
        };
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) if old == new => continue,
            (old, new) => {
                (old.cloned().unwrap_or_else(nothing), new.cloned().unwrap_or_else(nothing))
            }
        };
        let mut side = |item: &crate::ovsdb::value::Atom, end, step| {
            if let (Some(target), Some(uuid)) = (end, item.as_uuid()) {
                let (table, strong): (usize, bool) = target;
                visit(Target { table, strong, column }, uuid, step);
            }
        };
        old.for_each_pair_change(&new, |k, v, step| {
            side(k, key, step);
            if let Some(v) = v {
                side(v, value, step);
            }
        });
    }
}

#[cfg(test)]
pub(crate) mod tests;
