//! Rows by column name: what is not there, or has another type in this schema, is absent.

use std::collections::BTreeMap;

use crate::ovsdb::database::{Database, Row};
use crate::ovsdb::schema::TableSchema;
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::{Atom, Datum};

/// Text by text, as the database's `map of string` columns hold it.
pub(crate) type Settings = BTreeMap<String, String>;

/// One row of a table.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    database: &'a Database,
    table: &'a TableSchema,
    row: &'a Row,
}

impl<'a> View<'a> {
    /// All rows of a table.
    pub(crate) fn all(database: &'a Database, table: &'a str) -> impl Iterator<Item = Self> {
        let schema = database.schema().table(table);
        database
            .rows(table)
            .filter_map(move |(_, row)| Some(View { database, table: schema?, row }))
    }

    /// A row of a table.
    pub(crate) fn of(database: &'a Database, table: &str, uuid: Uuid) -> Option<Self> {
        let at = database.schema().table_index(table)?;
        let schema = database.schema().tables.get(at)?;
        Some(View { database, table: schema, row: database.row(at, uuid)? })
    }

    /// The row's name in the database.
    pub(crate) fn uuid(&self) -> Uuid {
        self.row.uuid()
    }

    /// A column's value.
    pub(crate) fn datum(&self, column: &str) -> Option<&'a Datum> {
        Some(self.row.get(self.table.column_index(column)?))
    }

    fn scalar(&self, column: &str) -> Option<&'a Atom> {
        self.datum(column)?.as_scalar()
    }

    /// A text.
    pub(crate) fn text(&self, column: &str) -> Option<String> {
        self.scalar(column)?.as_str().map(str::to_owned)
    }

    /// A text, empty where there is none.
    pub(crate) fn text_or_empty(&self, column: &str) -> String {
        self.text(column).unwrap_or_default()
    }

    /// A number.
    pub(crate) fn number(&self, column: &str) -> Option<i64> {
        self.scalar(column)?.as_integer()
    }

    /// A truth value, false where there is none.
    pub(crate) fn truth(&self, column: &str) -> bool {
        self.scalar(column).and_then(Atom::as_bool).unwrap_or(false)
    }

    /// All texts of a set.
    pub(crate) fn texts(&self, column: &str) -> Vec<String> {
        let atoms = self.datum(column).map(Datum::atoms).unwrap_or_default();
        atoms.iter().filter_map(|atom| atom.as_str().map(str::to_owned)).collect()
    }

    /// All numbers of a set.
    pub(crate) fn numbers(&self, column: &str) -> Vec<i64> {
        let atoms = self.datum(column).map(Datum::atoms).unwrap_or_default();
        atoms.iter().filter_map(Atom::as_integer).collect()
    }

    /// A map of texts.
    pub(crate) fn settings(&self, column: &str) -> Settings {
        let pairs = self.datum(column).map(Datum::pairs).unwrap_or_default();
        let text = |atom: &Atom| atom.as_str().map(str::to_owned);
        pairs.iter().filter_map(|(key, value)| Some((text(key)?, text(value)?))).collect()
    }

    /// The rows that a set refers to.
    pub(crate) fn rows(&self, column: &str, table: &str) -> Vec<Self> {
        let atoms = self.datum(column).map(Datum::atoms).unwrap_or_default();
        let row = |atom: &Atom| Self::of(self.database, table, atom.as_uuid()?);
        atoms.iter().filter_map(row).collect()
    }

    /// The row that a column refers to.
    pub(crate) fn row(&self, column: &str, table: &str) -> Option<Self> {
        self.rows(column, table).into_iter().next()
    }

    /// The rows that a map from numbers refers to.
    pub(crate) fn numbered_rows(&self, column: &str, table: &str) -> Vec<(i64, Self)> {
        let pairs = self.datum(column).map(Datum::pairs).unwrap_or_default();
        let row = |(key, value): &(Atom, Atom)| {
            Some((key.as_integer()?, Self::of(self.database, table, value.as_uuid()?)?))
        };
        pairs.iter().filter_map(row).collect()
    }
}
