use std::sync::Arc;

use serde_json::{Value, json};

use super::{Commit, Database};
use crate::ovsdb::json;
use crate::ovsdb::schema::DatabaseSchema;
use crate::ovsdb::transaction::{Context, Outcome, execute};
use crate::ovsdb::uuid::UuidSource;

/// A database over the schema that has a column of every sort.
pub(crate) fn every_type() -> Database {
    let text = include_bytes!("../../../testdata/every_type.ovsschema");
    let schema = DatabaseSchema::from_json(&json::parse(text).unwrap()).unwrap();
    Database::new(Arc::new(schema))
}

/// Executes operations and applies what they commit.
pub(crate) fn run(
    database: &mut Database,
    uuids: &mut UuidSource,
    operations: Value,
) -> Vec<Value> {
    let context = Context { owns_lock: &|lock| lock == "mine", waited_ms: 0, read_only: false };
    match execute(database, operations.as_array().unwrap(), &context, uuids) {
        Outcome::Done { results, commit } => {
            if let Some(commit) = commit {
                database.apply(&commit);
                check_bookkeeping(database);
            }
            results
        }
        Outcome::Blocked { timeout_ms } => vec![json!({ "blocked": timeout_ms })],
    }
}

/// Recounts references and index keys from the rows, and compares with what is kept.
fn check_bookkeeping(database: &Database) {
    let schema = Arc::clone(database.schema());
    let mut fresh = Database::new(Arc::clone(&schema));
    for (at, _) in schema.tables.iter().enumerate() {
        let changes = database
            .table(at)
            .rows()
            .map(|(uuid, row)| super::RowChange {
                table: at,
                uuid: *uuid,
                old: None,
                new: Some(Arc::clone(row)),
            })
            .collect();
        fresh.apply(&Commit { id: Default::default(), changes, comment: None });
    }
    for (at, _) in schema.tables.iter().enumerate() {
        assert_eq!(format!("{:?}", sorted(database, at)), format!("{:?}", sorted(&fresh, at)));
    }
}

fn sorted(database: &Database, table: usize) -> Vec<String> {
    let table = database.table(table);
    let mut out: Vec<String> = table
        .rows()
        .map(|(uuid, _)| {
            let weak: Vec<_> = table.weak_referrers(*uuid).collect();
            format!("{uuid} {} {weak:?}", table.strong_references(*uuid))
        })
        .collect();
    out.sort();
    out
}

#[test]
fn an_index_key_may_move_between_rows_in_one_transaction() {
    let (mut database, mut uuids) = (every_type(), UuidSource::counting(0));
    let insert = |name: &str, i: i64| json!({"op": "insert", "table": "Root", "row": {"name": name, "i": i}});
    run(&mut database, &mut uuids, json!([insert("a", 1), insert("b", 2)]));
    let rename = |from: i64, to: &str| json!({"op": "update", "table": "Root", "where": [["i", "==", from]], "row": {"name": to}});
    let results = run(&mut database, &mut uuids, json!([rename(1, "b"), rename(2, "a")]));
    assert_eq!(results, [json!({"count": 1}), json!({"count": 1})]);
    // Both keys are taken still.
    for name in ["a", "b"] {
        let results = run(&mut database, &mut uuids, json!([insert(name, 9)]));
        assert_eq!(results[1]["error"], "constraint violation", "{name}");
    }
    run(
        &mut database,
        &mut uuids,
        json!([{"op": "delete", "table": "Root", "where": [["name", "==", "a"]]}]),
    );
    assert_eq!(run(&mut database, &mut uuids, json!([insert("a", 9)])).len(), 1);
}
