//! The schema of the Open_vSwitch database, version 8.8.0.
//!
//! Tables, columns, types and limits are those every tool of the field knows; the file beside this
//! one states them in our own layout, each column in its shortest form. Version and checksum are
//! those of the schema it is equal to, so that programs which compare schemas find no difference.
//! A database of an older version opens as it is: readers tolerate the columns it lacks.

use serde_json::Value;

use super::error::{Error, Tag};
use super::json;
use super::schema::DatabaseSchema;

/// The schema as JSON text.
pub const TEXT: &str = include_str!("open_vswitch.ovsschema");

/// The schema as JSON.
///
/// # Errors
/// None in a program that passes its tests: the text is part of it.
pub fn json() -> Result<Value, Error> {
    json::parse(TEXT.as_bytes()).map_err(|error| Error::new(Tag::Syntax, error.to_string()))
}

/// The schema.
///
/// # Errors
/// None in a program that passes its tests: the text is part of it.
pub fn schema() -> Result<DatabaseSchema, Error> {
    DatabaseSchema::from_json(&json()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::json;
    use super::super::schema::DatabaseSchema;

    #[test]
    fn the_text_is_a_schema_in_its_shortest_form() {
        let schema = super::schema().unwrap();
        assert_eq!(schema.to_json(), super::json().unwrap());
        assert_eq!(schema.tables.len(), 19);
        assert_eq!((&*schema.name, &*schema.version), ("Open_vSwitch", "8.8.0"));
    }

    /// Whatever version of the schema is installed: what both have is the same, and ours lacks
    /// nothing that an older one has.
    #[test]
    fn the_installed_schema_agrees_where_versions_do() {
        let Ok(text) = fs::read("/usr/share/openvswitch/vswitch.ovsschema") else { return };
        let theirs = DatabaseSchema::from_json(&json::parse(&text).unwrap()).unwrap();
        let ours = super::schema().unwrap();
        let mut differing = Vec::new();
        for table in &theirs.tables {
            let mine = ours.table(&table.name).unwrap();
            assert_eq!((mine.is_root, mine.max_rows), (table.is_root, table.max_rows));
            assert_eq!(mine.indexes.len(), table.indexes.len());
            for (_, column) in table.declared_columns() {
                if mine.column(&column.name) != Some(column) {
                    differing.push(format!("{}.{}", table.name, column.name));
                }
            }
        }
        // A flow table's prefixes became four with 8.4.0.
        let widened: &[&str] =
            if theirs.version.as_str() < "8.4" { &["Flow_Table.prefixes"] } else { &[] };
        assert_eq!(differing, widened);
    }
}
