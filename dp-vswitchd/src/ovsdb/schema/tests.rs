use serde_json::{Value, json};

use super::{ColumnType, DatabaseSchema, Strength};
use crate::ovsdb::value::NamedUuids;

fn schema(tables: Value) -> Result<DatabaseSchema, super::Error> {
    DatabaseSchema::from_json(&json!({"name": "T", "version": "1.2.3", "tables": tables}))
}

fn column(ty: Value) -> ColumnType {
    ColumnType::from_json(&ty).unwrap()
}

fn refusal(tables: Value) -> String {
    schema(tables).unwrap_err().details.unwrap()
}

#[test]
fn printing_gives_the_shortest_form() {
    let long = json!({
        "A": {"isRoot": true, "maxRows": 2, "indexes": [["n"], ["n", "o"]], "columns": {
            "n": {"type": {"key": {"type": "string"}, "min": 1, "max": 1}, "mutable": true},
            "o": {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 9}, "min": 0,
                           "max": "unlimited"}, "mutable": false},
            "e": {"type": {"key": {"type": "string", "enum": ["set", ["b", "a"]]}}, "ephemeral": true}
        }},
        "B": {"columns": {
            "r": {"type": {"key": "string", "value": {"type": "uuid", "refTable": "A", "refType": "weak"},
                           "min": 0, "max": 5}, "mutable": false}
        }}
    });
    let short = json!({
        "A": {"isRoot": true, "maxRows": 2, "indexes": [["n"], ["n", "o"]], "columns": {
            "n": {"type": "string"},
            "o": {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 9}, "min": 0,
                           "max": "unlimited"}, "mutable": false},
            "e": {"type": {"key": {"type": "string", "enum": ["set", ["a", "b"]]}}, "ephemeral": true}
        }},
        "B": {"columns": {
            "r": {"type": {"key": "string", "value": {"type": "uuid", "refTable": "A", "refType": "weak"},
                           "min": 0, "max": 5}}
        }}
    });
    let read = schema(long).unwrap();
    assert_eq!(read.to_json()["tables"], short);
    let again = DatabaseSchema::from_json(&read.to_json()).unwrap();
    assert_eq!(again, read);
    assert!(!read.table("B").unwrap().is_root);
    let reference = read.table("B").unwrap().column("r").unwrap().ty.value.as_ref().unwrap();
    assert_eq!(reference.reference().unwrap().strength, Strength::Weak);
    assert_eq!(reference.reference().unwrap().index, 0);
}

#[test]
fn without_any_root_table_all_are() {
    let read = schema(json!({"A": {"columns": {"n": {"type": "string"}}}})).unwrap();
    assert!(read.table("A").unwrap().is_root);
    assert_eq!(read.to_json()["tables"]["A"].get("isRoot"), None);
}

#[test]
fn malformed_schemas_are_refused_with_the_reason() {
    let n = json!({"n": {"type": "string"}});
    assert_eq!(refusal(json!({"_A": {"columns": n}})), "names beginning with \"_\" are reserved");
    assert_eq!(refusal(json!({"A": {"columns": {}}})), "table must have at least one column");
    assert_eq!(refusal(json!({"A": {"columns": n, "maxRows": 0}})), "maxRows must be at least 1");
    assert_eq!(
        refusal(
            json!({"A": {"columns": {"r": {"type": {"key": {"type": "uuid", "refTable": "B"}}}}}})
        ),
        "column r key refers to undefined table B"
    );
    assert_eq!(
        refusal(
            json!({"A": {"columns": {"r": {"type": {"key": {"type": "integer", "enum": ["set", [1]],
                "minInteger": 0}}}}}})
        ),
        "Parsing ovsdb type failed: Member 'minInteger' is present but not allowed here."
    );
    assert_eq!(
        refusal(json!({"A": {"columns": {"r": {"type": {"key": "string", "min": 2, "max": 3}}}}})),
        "bad min or max value"
    );
    assert_eq!(
        refusal(
            json!({"A": {"columns": {"r": {"type": {"key": {"type": "integer", "minInteger": 5,
                "maxInteger": 1}}}}}})
        ),
        "minInteger exceeds maxInteger"
    );
    assert_eq!(
        refusal(json!({"A": {"columns": {"e": {"type": "string", "ephemeral": true}},
                       "indexes": [["e"]]}})),
        "ephemeral columns (such as e) may not be indexed"
    );
    assert_eq!(
        DatabaseSchema::from_json(&json!({"name": "T", "version": "1.2", "tables": {}}))
            .unwrap_err()
            .details
            .unwrap(),
        "schema version \"1.2\" not in format x.y.z"
    );
    assert_eq!(
        DatabaseSchema::from_json(&json!({"tables": {}})).unwrap_err().details.unwrap(),
        "Parsing database schema failed: Required 'name' member is missing."
    );
}

#[test]
fn types_have_the_words_that_sentences_use() {
    for (ty, words) in [
        (json!("string"), "string"),
        (json!({"key": "integer", "min": 0}), "set of up to 1 integers"),
        (json!({"key": "integer", "min": 0, "max": "unlimited"}), "set of integers"),
        (json!({"key": "uuid", "min": 1, "max": "unlimited"}), "set of 1 or more uuids"),
        (json!({"key": "uuid", "min": 1, "max": 4}), "set of 1 to 4 uuids"),
        (
            json!({"key": "string", "value": "integer", "min": 0, "max": "unlimited"}),
            "map of (string, integer) pairs",
        ),
    ] {
        assert_eq!(column(ty).to_string(), words);
    }
}

#[test]
fn values_are_checked_against_their_type() {
    let read = |ty: &Value, json: Value| {
        column(ty.clone())
            .datum_from_json(&json, &mut NamedUuids::refused())
            .map(|datum| datum.to_json())
            .map_err(|error| error.details.unwrap())
    };
    let small =
        json!({"key": {"type": "integer", "minInteger": 1, "maxInteger": 3}, "min": 0, "max": 2});
    assert_eq!(read(&small, json!(["set", [3, 1]])), Ok(json!(["set", [1, 3]])));
    assert_eq!(read(&small, json!(["set", [2]])), Ok(json!(2)));
    assert_eq!(
        read(&small, json!(4)),
        Err("4 is not in the valid range 1 to 3 (inclusive)".into())
    );
    assert_eq!(
        read(&small, json!(["set", [1, 2, 3]])),
        Err("set must have 0 to 2 members but 3 are present".into())
    );
    assert_eq!(read(&small, json!(["set", [1, 1]])), Err("set contains duplicate".into()));
    assert_eq!(read(&small, json!(1.5)), Err("expected integer".into()));
    assert_eq!(read(&small, json!(["set"])), Err("expected [\"set\", <array>]".into()));
    let word = json!({"key": {"type": "string", "minLength": 2, "maxLength": 3}});
    assert_eq!(read(&word, json!("éé")), Ok(json!("éé")));
    assert_eq!(
        read(&word, json!("é")),
        Err("\"é\" length 1 is less than minimum allowed length 2".into())
    );
    assert!(read(&json!("string"), json!("a\u{0}b")).is_err());
    let map = json!({"key": "string", "value": "real", "min": 0, "max": "unlimited"});
    assert_eq!(
        read(&map, json!(["map", [["b", 1], ["a", 0.5]]])),
        Ok(json!(["map", [["a", 0.5], ["b", 1]]]))
    );
    assert_eq!(read(&map, json!(["map", [["a"]]])), Err("expected 2-element array".into()));
    assert_eq!(read(&map, json!([])), Err("expected [\"map\", <array>]".into()));
    assert_eq!(
        read(&json!("uuid"), json!(["named-uuid", "x"])),
        Err("expected [\"uuid\", <string>]".into())
    );
}
