//! `<database-schema>`: tables, columns, types and limits (RFC 7047, section 3.2).
//!
//! A schema is read once, checked as a whole (every reference leads to a table), and shared. Tables
//! and columns are kept sorted by name and addressed by their place, so that rows are plain arrays;
//! every table begins with the two columns nobody declares, `_uuid` and `_version`.
//!
//! Printing gives the form the reference prints: as short as possible, members sorted.

pub mod base_type;
pub mod column_type;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use base_type::{BaseType, Limits, Reference, Strength};
pub use column_type::{ColumnType, UNLIMITED};
pub use table::{ColumnSchema, TableSchema, UUID_COLUMN, VERSION_COLUMN};

use super::error::Error;
use super::json::{Kind, Members, is_id};

/// The schema of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSchema {
    /// The database's name.
    pub name: Arc<str>,
    /// `x.y.z`, or empty for schemas from before there were versions.
    pub version: String,
    /// The checksum that the schema's author computed; carried, not checked.
    pub cksum: String,
    /// The tables, by name.
    pub tables: Vec<TableSchema>,
    by_name: BTreeMap<Arc<str>, usize>,
}

impl DatabaseSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// `syntax error` for anything that is not one, or that refers to tables it does not have.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        let mut members = Members::new(json, "database schema");
        let name = members.required("name", Kind::Id);
        let version = members.optional("version", Kind::String);
        let cksum = members.optional("cksum", Kind::String);
        let tables = members.required("tables", Kind::Object);
        members.finish()?;
        let text =
            |json: Option<&Value>| json.and_then(Value::as_str).unwrap_or_default().to_owned();
        let version_text = text(version);
        if let Some(json) = version
            && !is_version(&version_text)
        {
            let why = format!("schema version \"{version_text}\" not in format x.y.z");
            return Err(Error::syntax(json, why));
        }
        let mut schema = Self {
            name: Arc::from(text(name)),
            version: version_text,
            cksum: text(cksum),
            tables: Vec::new(),
            by_name: BTreeMap::new(),
        };
        for (name, json) in tables.and_then(Value::as_object).into_iter().flatten() {
            if name.starts_with('_') {
                return Err(Error::syntax(json, "names beginning with \"_\" are reserved"));
            }
            if !is_id(name) {
                return Err(Error::syntax(json, "name must be a valid id"));
            }
            schema.tables.push(TableSchema::from_json(name, json)?);
        }
        schema.tables.sort_by(|a, b| a.name.cmp(&b.name));
        schema.by_name =
            schema.tables.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect();
        // A schema without any root table is from before there were: then all are.
        if !schema.tables.iter().any(|table| table.is_root) {
            schema.tables.iter_mut().for_each(|table| table.is_root = true);
        }
        schema.resolve_references()?;
        Ok(schema)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("name".into(), (&*self.name).into());
        if !self.version.is_empty() {
            out.insert("version".into(), self.version.as_str().into());
        }
        if !self.cksum.is_empty() {
            out.insert("cksum".into(), self.cksum.as_str().into());
        }
        let all_root = self.tables.iter().all(|table| table.is_root);
        let tables = self
            .tables
            .iter()
            .map(|table| (table.name.to_string(), table.to_json(all_root)))
            .collect();
        out.insert("tables".into(), Value::Object(tables));
        Value::Object(out)
    }

    /// The place of the table with that name.
    pub fn table_index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The table with that name.
    pub fn table(&self, name: &str) -> Option<&TableSchema> {
        self.tables.get(self.table_index(name)?)
    }

    fn resolve_references(&mut self) -> Result<(), Error> {
        let by_name = &self.by_name;
        for table in &mut self.tables {
            for column in table.declared_columns_mut() {
                let ColumnType { key, value, .. } = &mut column.ty;
                for (side, base) in [("key", Some(key)), ("value", value.as_mut())] {
                    let Some(BaseType { limits: Limits::Reference(reference), .. }) = base else {
                        continue;
                    };
                    let Some(&index) = by_name.get(&reference.table) else {
                        let why = format!(
                            "column {} {side} refers to undefined table {}",
                            column.name, reference.table
                        );
                        return Err(Error::new(super::error::Tag::Syntax, why));
                    };
                    reference.index = index;
                    // What its target's deletion changes cannot be immutable.
                    column.mutable |= reference.strength == Strength::Weak;
                }
            }
            table.note_references();
        }
        Ok(())
    }
}

/// True for `x.y.z` with decimal numbers.
fn is_version(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() == 3 && text.split('.').all(number)
}

#[cfg(test)]
mod tests;
