use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Context, Outcome, execute};
use crate::ovsdb::database::Database;
use crate::ovsdb::database::tests::{every_type, run};
use crate::ovsdb::uuid::UuidSource;

/// A database and its source of UUIDs, with words for what tests do.
struct Lab {
    database: Database,
    uuids: UuidSource,
}

impl Lab {
    fn new() -> Self {
        Self { database: every_type(), uuids: UuidSource::counting(0) }
    }

    fn run(&mut self, operations: Value) -> Vec<Value> {
        run(&mut self.database, &mut self.uuids, operations)
    }

    /// The sentence of the error that the operations end with.
    fn refusal(&mut self, operations: Value) -> String {
        let rows = self.database.row_count();
        let results = self.run(operations);
        assert_eq!(self.database.row_count(), rows, "a failed transaction has no effect");
        let error = results.iter().find(|result| result.get("error").is_some());
        error.unwrap_or_else(|| panic!("{results:?}"))["details"].as_str().unwrap().to_owned()
    }

    /// The values of one column, over the rows of a table.
    fn column(&mut self, table: &str, column: &str) -> Vec<Value> {
        let select = json!([{"op": "select", "table": table, "where": [], "columns": [column],
                             "sort": [column]}]);
        let results = self.run(select);
        let rows = results[0]["rows"].as_array().unwrap();
        rows.iter().map(|row| row[column].clone()).collect()
    }
}

fn insert(table: &str, row: Value) -> Value {
    json!({"op": "insert", "table": table, "row": row})
}

fn named(name: &str, table: &str, row: Value) -> Value {
    json!({"op": "insert", "table": table, "row": row, "uuid-name": name})
}

fn mutate(mutation: Value) -> Value {
    json!({"op": "mutate", "table": "Root", "where": [], "mutations": [mutation]})
}

fn update(row: Value) -> Value {
    json!({"op": "update", "table": "Root", "where": [], "row": row})
}

fn select(conditions: Value) -> Value {
    json!({"op": "select", "table": "Root", "where": conditions, "columns": ["name"]})
}

fn delete(table: &str) -> Value {
    json!({"op": "delete", "table": table, "where": []})
}

#[test]
fn a_transaction_that_fails_half_way_has_no_effect() {
    let mut lab = Lab::new();
    let results =
        lab.run(json!([insert("Root", json!({"name": "a"})), {"op": "abort"}, delete("Root")]));
    assert!(results[0].get("uuid").is_some());
    assert_eq!(results[1], json!({"error": "aborted", "details": "aborted by request"}));
    assert_eq!(results[2], Value::Null);
    assert_eq!(lab.column("Root", "name"), [Value::Null; 0]);
}

#[test]
fn conditions_compare_as_their_types_do() {
    let mut lab = Lab::new();
    lab.run(json!([
        insert(
            "Root",
            json!({"name": "a", "i": 1, "oi": 5, "si": ["set", [1, 2, 3]],
                              "m": ["map", [["k", "v"], ["x", "y"]]]})
        ),
        insert("Root", json!({"name": "b", "i": 2, "b": true})),
        insert("Root", json!({"name": "c", "i": 3, "oi": 7})),
    ]));
    for (conditions, names) in [
        (json!([]), vec!["a", "b", "c"]),
        (json!([true]), vec!["a", "b", "c"]),
        (json!([["i", "<", 3], false]), vec![]),
        (json!([["i", "<", 3], ["i", ">=", 2]]), vec!["b"]),
        (json!([["i", "!=", 2]]), vec!["a", "c"]),
        (json!([["oi", ">", 5]]), vec!["c"]),
        (json!([["oi", "<=", 5]]), vec!["a"]),
        (json!([["si", "includes", ["set", [1, 3]]]]), vec!["a"]),
        (json!([["si", "includes", ["set", []]]]), vec!["a", "b", "c"]),
        (json!([["si", "excludes", ["set", [9, 2]]]]), vec!["b", "c"]),
        (json!([["m", "includes", ["map", [["k", "v"]]]]]), vec!["a"]),
        (json!([["m", "excludes", ["map", [["k", "w"]]]]]), vec!["a", "b", "c"]),
        (json!([["m", "==", ["map", [["k", "v"]]]]]), vec![]),
        (json!([["b", "includes", true]]), vec!["b"]),
    ] {
        let rows: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        let mut found = lab.run(json!([select(conditions.clone())])).remove(0);
        found["rows"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        assert_eq!(found, json!({"rows": rows}), "{conditions}");
    }
    assert_eq!(
        lab.refusal(json!([select(json!([["name", "<", "x"]]))])),
        "Type mismatch: \"<\" operator may not be applied to column name of type string."
    );
    assert_eq!(lab.refusal(json!([select(json!([["i", "foo", 1]]))])), "No function named foo.");
    assert_eq!(
        lab.refusal(json!([select(json!([["zz", "==", 1]]))])),
        "No column zz in table Root."
    );
    assert_eq!(
        lab.refusal(json!([select(json!([["rng", "==", 100]]))])),
        "100 is not in the valid range 1 to 10 (inclusive)"
    );
}

#[test]
fn mutations_change_what_is_there_and_respect_the_type() {
    let mut lab = Lab::new();
    lab.run(json!([insert(
        "Root",
        json!({"name": "a", "i": 6, "r": 1.5, "oi": 7, "rng": 5,
        "si": ["set", [1, 2]], "m": ["map", [["k", "v"]]]})
    )]));
    for (mutation, column, result) in [
        (json!(["i", "+=", 4]), "i", json!(10)),
        (json!(["i", "%=", 4]), "i", json!(2)),
        (json!(["r", "/=", 2]), "r", json!(0.75)),
        (json!(["si", "*=", 3]), "si", json!(["set", [3, 6]])),
        (json!(["si", "insert", ["set", [2, 3]]]), "si", json!(["set", [1, 2, 3]])),
        (json!(["si", "delete", ["set", [2, 9]]]), "si", json!(1)),
        (
            json!(["m", "insert", ["map", [["k", "w"], ["q", "r"]]]]),
            "m",
            json!(["map", [["k", "v"], ["q", "r"]]]),
        ),
        (json!(["m", "delete", ["map", [["k", "other"]]]]), "m", json!(["map", [["k", "v"]]])),
        (json!(["m", "delete", "k"]), "m", json!(["map", []])),
        (json!(["rng", "-=", 4]), "rng", json!(1)),
    ] {
        let query = json!({"op": "select", "table": "Root", "where": [], "columns": [column]});
        let results = lab.run(json!([mutate(mutation.clone()), query, {"op": "abort"}]));
        assert_eq!(results[1]["rows"][0][column], result, "{mutation}");
    }
    for (mutation, why) in [
        (json!(["i", "/=", 0]), "Division by zero."),
        (json!(["i", "+=", i64::MAX]), "Result of \"+=\" operation is out of range."),
        (json!(["r", "*=", 1.7e308]), "Result of \"*=\" operation is out of range."),
        (json!(["si", "*=", 0]), "Result of \"*=\" operation contains duplicates."),
        (json!(["rng", "+=", 100]), "105 is not in the valid range 1 to 10 (inclusive)"),
        (json!(["oi", "insert", 9]), "Attempted to store 2 elements in set of up to 1 integers."),
        (json!(["imm", "+=", 1]), "Cannot mutate immutable column imm in table Root."),
        (json!(["i", "frob", 1]), "No mutator named frob."),
        (
            json!(["i", "insert", 1]),
            "Type mismatch: \"insert\" operator may not be applied to column i of type integer.",
        ),
        (json!(["i"]), "Parse error in mutation."),
    ] {
        assert_eq!(lab.refusal(json!([mutate(mutation.clone())])), why, "{mutation}");
    }
}

#[test]
fn strong_references_keep_rows_alive_and_must_lead_somewhere() {
    let mut lab = Lab::new();
    lab.run(json!([
        named("l2", "Leaf", json!({"name": "leaf2", "next": ["named-uuid", "l1"]})),
        named("l1", "Leaf", json!({"name": "leaf1"})),
        insert("Leaf", json!({"name": "orphan"})),
        insert("Root", json!({"name": "r", "strong": ["named-uuid", "l2"]})),
    ]));
    assert_eq!(lab.column("Leaf", "name"), ["leaf1", "leaf2"]);
    let why =
        lab.refusal(json!([{"op": "delete", "table": "Leaf", "where": [["name", "==", "leaf1"]]}]));
    assert!(why.ends_with("because of 1 remaining reference(s)"), "{why}");
    let why = lab.refusal(json!([update(json!({"strong": ["named-uuid", "nobody"]}))]));
    assert!(why.contains("references nonexistent row"), "{why}");
    // Taking the last reference away takes the whole chain with it.
    lab.run(json!([update(json!({"strong": ["set", []]}))]));
    assert_eq!(lab.column("Leaf", "name"), [Value::Null; 0]);
}

#[test]
fn a_row_that_refers_to_itself_does_not_keep_itself() {
    let mut lab = Lab::new();
    lab.run(json!([
        named("l", "Leaf", json!({"name": "self", "next": ["named-uuid", "l"]})),
        insert("Root", json!({"name": "r", "strong": ["named-uuid", "l"]})),
    ]));
    assert_eq!(lab.column("Leaf", "name"), ["self"]);
    lab.run(json!([update(json!({"strong": ["set", []]}))]));
    assert_eq!(lab.column("Leaf", "name"), [Value::Null; 0]);
}

#[test]
fn weak_references_go_with_their_row() {
    let mut lab = Lab::new();
    lab.run(json!([
        named("l", "Leaf", json!({"name": "leaf"})),
        insert("Root", json!({"name": "a", "i": 1, "strong": ["named-uuid", "l"]})),
        insert(
            "Root",
            json!({"name": "b", "i": 2, "weak": ["set", [["named-uuid", "l"],
               ["named-uuid", "nobody"], ["uuid", "00000000-0000-0000-0000-000000000000"]]]})
        ),
    ]));
    let weak = lab.column("Root", "weak");
    assert_eq!(weak[1][0], "uuid", "only the reference that leads somewhere is left: {weak:?}");
    lab.run(json!([{"op": "delete", "table": "Root", "where": [["name", "==", "a"]]}]));
    assert_eq!(lab.column("Root", "weak"), [json!(["set", []])]);
    assert_eq!(lab.column("Leaf", "name"), [Value::Null; 0]);
}

#[test]
fn a_weak_reference_that_must_be_there_forbids_the_deletion() {
    let mut lab = Lab::new();
    let why = lab.refusal(json!([insert("Two", json!({"k": 1}))]));
    assert!(why.contains("contained all-zeros UUID"), "{why}");
    lab.run(json!([
        named("q", "Root", json!({"name": "q"})),
        insert("Two", json!({"w": ["named-uuid", "q"]}))
    ]));
    let why = lab.refusal(json!([delete("Root")]));
    assert!(why.starts_with("Deletion of 1 weak reference(s)"), "{why}");
    lab.run(json!([delete("Two"), delete("Root")]));
    assert_eq!(lab.database.row_count(), 0);
}

#[test]
fn the_number_of_rows_is_limited_after_the_transaction() {
    let mut lab = Lab::new();
    let two = |k: i64| insert("Two", json!({"k": k, "w": ["named-uuid", "n"]}));
    let root = named("n", "Root", json!({"name": "n"}));
    assert_eq!(
        lab.refusal(json!([two(1), two(2), two(3), root])),
        "transaction causes \"Two\" table to contain 3 rows, greater than the schema-defined limit \
         of 2 row(s)"
    );
    assert_eq!(lab.run(json!([two(1), two(2), delete("Two"), two(3), two(4), root])).len(), 6);
    assert_eq!(lab.column("Two", "k"), [3, 4]);
}

#[test]
fn index_keys_are_unique_and_the_sentence_tells_whose() {
    let mut lab = Lab::new();
    lab.run(json!([
        insert("Root", json!({"name": "a", "i": 1})),
        insert("Root", json!({"name": "b", "i": 2}))
    ]));
    let why = lab.refusal(json!([update(json!({"i": 5}))]));
    assert!(
        why.contains(
            "have identical values (5 and false) for index on columns \"i\" and \"b\".  First row"
        ),
        "{why}"
    );
    assert!(why.contains("had the following index values before the transaction: 1 and false."));
    let why = lab.refusal(json!([insert("Root", json!({"name": "a", "i": 9}))]));
    assert!(why.contains("(a) for index on column \"name\""), "{why}");
    assert!(why.contains("was inserted by this transaction."), "{why}");
    assert!(why.contains("existed in the database before this transaction and was not modified"));
    let why = lab
        .refusal(json!([update(json!({"oi": 1})), insert("Root", json!({"name": "a", "i": 9}))]));
    assert!(why.contains("modified some of the row's columns but not any columns in this index."));
}

#[test]
fn a_row_uuid_may_be_chosen_once() {
    let mut lab = Lab::new();
    let text = "550e8400-e29b-41d4-a716-446655440000";
    let chosen = json!({"op": "insert", "table": "Root", "row": {"name": "u"}, "uuid": text});
    assert_eq!(lab.run(json!([chosen])), [json!({"uuid": ["uuid", text]})]);
    for operations in [json!([chosen]), json!([delete("Root"), chosen])] {
        assert!(lab.refusal(operations).starts_with("This UUID would duplicate a UUID"));
    }
}

#[test]
fn waits_compare_sets_of_rows_over_the_columns_asked_for() {
    let mut lab = Lab::new();
    lab.run(json!([insert("Root", json!({"name": "a", "i": 1}))]));
    let wait = |until: &str, rows: Value, timeout: Value| {
        let mut op = json!({"op": "wait", "table": "Root", "where": [], "columns": ["name"],
                            "until": until, "rows": rows});
        if !timeout.is_null() {
            op["timeout"] = timeout;
        }
        json!([op])
    };
    let a = json!([{"name": "a", "i": 77}, {"name": "a"}]);
    assert_eq!(lab.run(wait("==", a.clone(), Value::Null)), [json!({})]);
    assert_eq!(lab.run(wait("!=", a.clone(), Value::Null)), [json!({"blocked": null})]);
    assert_eq!(lab.run(wait("!=", a.clone(), json!(5))), [json!({"blocked": 5})]);
    assert_eq!(lab.refusal(wait("!=", a.clone(), json!(0))), "\"where\" clause test failed");
    assert_eq!(lab.refusal(wait("==", a.clone(), json!(-1))), "timeout must be nonnegative");
    assert_eq!(lab.refusal(wait("<", a.clone(), json!(0))), "\"until\" must be \"==\" or \"!=\"");
    let context = Context { owns_lock: &|_| false, waited_ms: 7, read_only: false };
    let operations = wait("!=", a, json!(5));
    let outcome = execute(&lab.database, operations.as_array().unwrap(), &context, &mut lab.uuids);
    let Outcome::Done { results, commit: None } = outcome else { panic!("{outcome:?}") };
    assert_eq!(results[0]["details"], "\"wait\" timed out after 7 ms");
}

#[test]
fn locks_are_asserted_and_comments_joined() {
    let mut lab = Lab::new();
    assert_eq!(lab.run(json!([{"op": "assert", "lock": "mine"}])), [json!({})]);
    assert_eq!(
        lab.refusal(json!([{"op": "assert", "lock": "yours"}])),
        "Asserted lock yours not held."
    );
    let context = Context { owns_lock: &|_| false, waited_ms: 0, read_only: false };
    let operations = json!([{"op": "comment", "comment": "one"}, {"op": "comment", "comment": "two"},
                            insert("Root", json!({"name": "a"}))]);
    let outcome = execute(&lab.database, operations.as_array().unwrap(), &context, &mut lab.uuids);
    let Outcome::Done { commit: Some(commit), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(commit.comment.as_deref(), Some("one\ntwo"));
}

#[test]
fn a_read_only_client_may_look_only() {
    let mut lab = Lab::new();
    let context = Context { owns_lock: &|_| false, waited_ms: 0, read_only: true };
    let operations = json!([select(json!([])), insert("Root", json!({"name": "a"}))]);
    let outcome = execute(&lab.database, operations.as_array().unwrap(), &context, &mut lab.uuids);
    let Outcome::Done { results, commit: None } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        results[1]["details"],
        "insert operation not allowed when database server is in read only mode"
    );
}

#[test]
fn what_changes_nothing_commits_nothing_and_keeps_the_version() {
    let mut lab = Lab::new();
    lab.run(json!([insert("Root", json!({"name": "a"}))]));
    let before = lab.column("Root", "_version");
    lab.run(json!([update(json!({"name": "b"})), update(json!({"name": "a"}))]));
    assert_eq!(lab.column("Root", "_version"), before);
    lab.run(json!([update(json!({"name": "b"}))]));
    assert_ne!(lab.column("Root", "_version"), before);
}

#[test]
fn malformed_operations_name_what_is_wrong() {
    let mut lab = Lab::new();
    for (operation, why) in [
        (json!(1), "Object expected."),
        (json!({}), "Required 'op' member is missing."),
        (json!({"op": 1}), "Type mismatch for member 'op'."),
        (json!({"op": "x"}), "No operation \"x\""),
        (json!({"op": "insert"}), "Required 'table' member is missing."),
        (json!({"op": "insert", "table": "No", "row": {}}), "No table named No."),
        (
            json!({"op": "insert", "table": "Root", "row": {}, "zz": 1}),
            "Member 'zz' is present but not allowed here.",
        ),
        (
            json!({"op": "insert", "table": "Root", "row": {}, "uuid-name": "1"}),
            "Type mismatch for member 'uuid-name'.",
        ),
        (json!({"op": "select", "table": "Root"}), "Required 'where' member is missing."),
        (json!({"op": "commit"}), "Required 'durable' member is missing."),
    ] {
        let expected = format!("Parsing ovsdb operation 1 of 1 failed: {why}");
        assert_eq!(lab.refusal(json!([operation])), expected);
    }
}

#[derive(Clone, Debug)]
enum Action {
    AddLeaf(usize),
    SetStrong(usize, Vec<usize>),
    SetWeak(usize, Vec<usize>),
    DeleteRoot(usize),
    AddRoot(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let some = || prop::collection::vec(0_usize..6, 0..4);
    prop_oneof![
        (0_usize..6).prop_map(Action::AddLeaf),
        (0_usize..4, some()).prop_map(|(root, leaves)| Action::SetStrong(root, leaves)),
        (0_usize..4, some()).prop_map(|(root, leaves)| Action::SetWeak(root, leaves)),
        (0_usize..4).prop_map(Action::DeleteRoot),
        (0_usize..4).prop_map(Action::AddRoot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever transactions come, the rules hold after each: leaves live exactly as long as a root
    /// refers to them strongly, and weak references lead to rows. (`run` recounts the bookkeeping.)
    #[test]
    fn references_stay_true(transactions in prop::collection::vec(prop::collection::vec(action(), 1..5), 1..12)) {
        let mut lab = Lab::new();
        for actions in transactions {
            let mut operations = Vec::new();
            let leaves = |list: &[usize], lab: &mut Lab| {
                let found = lab.run(json!([{"op": "select", "table": "Leaf", "where": [],
                                            "columns": ["_uuid", "n"]}]));
                let rows = found[0]["rows"].as_array().unwrap().clone();
                let mut out: Vec<Value> = rows.iter()
                    .filter(|row| list.contains(&(row["n"].as_i64().unwrap() as usize)))
                    .map(|row| row["_uuid"].clone())
                    .collect();
                out.extend(list.iter().filter(|n| !rows.iter().any(|row| row["n"] == **n))
                    .map(|n| json!(["named-uuid", format!("leaf{n}")])));
                out.sort_by_key(Value::to_string);
                out.dedup();
                json!(["set", out])
            };
            for action in &actions {
                let to_root = |root: &usize, row: Value| {
                    json!({"op": "update", "table": "Root", "where": [["i", "==", root]], "row": row})
                };
                operations.push(match action {
                    Action::AddLeaf(n) => named(&format!("leaf{n}"), "Leaf", json!({"n": n})),
                    Action::SetStrong(root, list) => to_root(root, json!({"strong": leaves(list, &mut lab)})),
                    Action::SetWeak(root, list) => to_root(root, json!({"weak": leaves(list, &mut lab)})),
                    Action::DeleteRoot(root) => json!({"op": "delete", "table": "Root", "where": [["i", "==", root]]}),
                    Action::AddRoot(root) => insert("Root", json!({"i": root, "name": format!("r{root}")})),
                });
            }
            lab.run(Value::Array(operations));
            let mut strong = std::collections::BTreeSet::new();
            for (_, row) in lab.database.rows("Root") {
                let schema = lab.database.schema();
                let table = schema.table("Root").unwrap();
                for (name, kind) in [("strong", true), ("weak", false)] {
                    for atom in row.get(table.column_index(name).unwrap()).atoms() {
                        let uuid = atom.as_uuid().unwrap();
                        prop_assert!(lab.database.row(schema.table_index("Leaf").unwrap(), uuid).is_some());
                        if kind {
                            strong.insert(uuid);
                        }
                    }
                }
            }
            let living: std::collections::BTreeSet<_> =
                lab.database.rows("Leaf").map(|(uuid, _)| *uuid).collect();
            prop_assert_eq!(living, strong);
        }
    }
}
