//! `<table-schema>` and `<column-schema>` (RFC 7047, section 3.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::base_type::{BaseType, Strength};
use super::column_type::ColumnType;
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json::{Kind, Members, is_id};
use crate::ovsdb::value::{AtomType, Datum};

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name.
    pub name: Arc<str>,
    /// `_uuid`, `_version`, then the declared columns by name.
    pub columns: Vec<ColumnSchema>,
    /// The most rows it may have after a transaction; `u32::MAX` for no limit.
    pub max_rows: u32,
    /// Rows stay without being referred to.
    pub is_root: bool,
    /// Sets of columns whose values together differ from row to row.
    pub indexes: Vec<Vec<usize>>,
    by_name: BTreeMap<Arc<str>, usize>,
    /// Columns that refer to rows: place, target of the keys, target of the values.
    references: Vec<(usize, Option<End>, Option<End>)>,
}

/// The table that one side of a column refers to, and whether strongly.
pub(crate) type End = (usize, bool);

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: ColumnType,
    /// False when the value stays what it was at the row's insertion.
    pub mutable: bool,
    /// True when the value does not outlive the server.
    pub ephemeral: bool,
    /// The value of a row that was inserted without one.
    pub default: Datum,
}

/// The place of `_uuid` in every table.
pub const UUID_COLUMN: usize = 0;
/// The place of `_version` in every table.
pub const VERSION_COLUMN: usize = 1;
/// The place of the first declared column.
const DECLARED: usize = 2;

impl TableSchema {
    pub(super) fn from_json(name: &str, json: &Value) -> Result<Self, Error> {
        let mut members = Members::new(json, format!("table schema for table {name}"));
        let columns = members.required("columns", Kind::Object);
        let max_rows = members.optional("maxRows", Kind::Integer);
        let is_root = members.optional("isRoot", Kind::Boolean);
        let indexes = members.optional("indexes", Kind::Array);
        members.finish()?;

        let max_rows = match max_rows {
            None => u32::MAX,
            Some(limit) => match limit.as_i64() {
                Some(n @ 1..) => u32::try_from(n).unwrap_or(u32::MAX),
                _ => return Err(Error::syntax(json, "maxRows must be at least 1")),
            },
        };
        let mut table = Self {
            name: Arc::from(name),
            columns: vec![ColumnSchema::implied("_uuid"), ColumnSchema::implied("_version")],
            max_rows,
            is_root: is_root.and_then(Value::as_bool).unwrap_or(false),
            indexes: Vec::new(),
            by_name: BTreeMap::new(),
            references: Vec::new(),
        };
        for (name, json) in columns.and_then(Value::as_object).into_iter().flatten() {
            if name.starts_with('_') {
                return Err(Error::syntax(json, "names beginning with \"_\" are reserved"));
            }
            if !is_id(name) {
                return Err(Error::syntax(json, "name must be a valid id"));
            }
            table.columns.push(ColumnSchema::from_json(name, json)?);
        }
        if table.columns.len() == DECLARED {
            return Err(Error::syntax(json, "table must have at least one column"));
        }
        if let Some(declared) = table.columns.get_mut(DECLARED..) {
            declared.sort_by(|a, b| a.name.cmp(&b.name));
        }
        table.by_name = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (column.name.clone(), at))
            .collect();
        for index in indexes.and_then(Value::as_array).into_iter().flatten() {
            let columns = table.column_set(index)?;
            table.check_index(index, &columns)?;
            table.indexes.push(columns);
        }
        Ok(table)
    }

    /// The JSON form; `isRoot` is left out where every table is root.
    pub(super) fn to_json(&self, all_root: bool) -> Value {
        let mut out = Map::new();
        if self.is_root && !all_root {
            out.insert("isRoot".into(), true.into());
        }
        if self.max_rows != u32::MAX {
            out.insert("maxRows".into(), self.max_rows.into());
        }
        let columns = self
            .columns
            .iter()
            .skip(DECLARED)
            .map(|column| (column.name.to_string(), column.to_json()))
            .collect();
        out.insert("columns".into(), Value::Object(columns));
        if !self.indexes.is_empty() {
            let names = |index: &Vec<usize>| {
                index.iter().map(|&at| Value::from(&*self.columns[at].name)).collect()
            };
            let indexes = self.indexes.iter().map(|index| Value::Array(names(index))).collect();
            out.insert("indexes".into(), Value::Array(indexes));
        }
        Value::Object(out)
    }

    /// The place of the column with that name, `_uuid` and `_version` among them.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The column with that name.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.get(self.column_index(name)?)
    }

    /// The place of the column called `name`.
    ///
    /// # Errors
    /// `unknown column`, quoting `json`.
    pub fn require_column(&self, name: &str, json: &Value) -> Result<usize, Error> {
        self.column_index(name).ok_or_else(|| {
            let why = format!("No column {name} in table {}.", self.name);
            Error::new(Tag::UnknownColumn, why).about(json)
        })
    }

    /// Reads an array of distinct column names.
    ///
    /// # Errors
    /// `syntax error`.
    pub fn column_set(&self, json: &Value) -> Result<Vec<usize>, Error> {
        let wrong = || Error::syntax(json, "array of distinct column names expected");
        let mut out = Vec::new();
        for item in json.as_array().ok_or_else(wrong)? {
            let name = item.as_str().ok_or_else(wrong)?;
            let Some(at) = self.column_index(name) else {
                return Err(Error::syntax(json, format!("{name} is not a valid column name")));
            };
            if out.contains(&at) {
                return Err(wrong());
            }
            out.push(at);
        }
        Ok(out)
    }

    /// The columns that refer to rows: place, target of the keys, target of the values.
    pub(crate) fn references(&self) -> &[(usize, Option<End>, Option<End>)] {
        &self.references
    }

    /// Notes which columns refer to rows, once every reference is resolved.
    pub(super) fn note_references(&mut self) {
        let end = |base: &BaseType| {
            base.reference().map(|target| (target.index, target.strength == Strength::Strong))
        };
        self.references = self
            .declared_columns()
            .map(|(at, column)| (at, end(&column.ty.key), column.ty.value.as_ref().and_then(end)))
            .filter(|(_, key, value)| key.is_some() || value.is_some())
            .collect();
    }

    /// Places and schemas of the columns that are declared, in order of name.
    pub fn declared_columns(&self) -> impl Iterator<Item = (usize, &ColumnSchema)> {
        self.columns.iter().enumerate().skip(DECLARED)
    }

    pub(super) fn declared_columns_mut(&mut self) -> impl Iterator<Item = &mut ColumnSchema> {
        self.columns.iter_mut().skip(DECLARED)
    }

    fn check_index(&self, json: &Value, columns: &[usize]) -> Result<(), Error> {
        if columns.is_empty() {
            return Err(Error::syntax(json, "index must have at least one column"));
        }
        for &at in columns {
            if self.columns[at].ephemeral {
                let name = &self.columns[at].name;
                let why = format!("ephemeral columns (such as {name}) may not be indexed");
                return Err(Error::syntax(json, why));
            }
        }
        Ok(())
    }
}

impl ColumnSchema {
    fn from_json(name: &str, json: &Value) -> Result<Self, Error> {
        let mut members = Members::new(json, format!("schema for column {name}"));
        let mutable = members.optional("mutable", Kind::Boolean);
        let ephemeral = members.optional("ephemeral", Kind::Boolean);
        let ty = members.required("type", Kind::StringOrObject);
        members.finish()?;
        let ty = ColumnType::from_json(ty.unwrap_or(&Value::Null))?;
        Ok(Self {
            name: Arc::from(name),
            default: ty.default_datum(),
            ty,
            mutable: mutable.and_then(Value::as_bool).unwrap_or(true),
            ephemeral: ephemeral.and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// `_uuid` or `_version`: never declared, never written.
    fn implied(name: &str) -> Self {
        let ty = ColumnType::from(AtomType::Uuid);
        let default = ty.default_datum();
        Self { name: Arc::from(name), ty, mutable: false, ephemeral: true, default }
    }

    fn to_json(&self) -> Value {
        let mut out = Map::new();
        if self.ephemeral {
            out.insert("ephemeral".into(), true.into());
        }
        if !self.mutable {
            out.insert("mutable".into(), false.into());
        }
        out.insert("type".into(), self.ty.to_json());
        Value::Object(out)
    }
}
