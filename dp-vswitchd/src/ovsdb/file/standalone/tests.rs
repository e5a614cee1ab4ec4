use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{OpenError, Opened, Standalone};
use crate::ovsdb::database::Database;
use crate::ovsdb::database::tests::every_type;
use crate::ovsdb::transaction::{Context, Outcome, execute};
use crate::ovsdb::uuid::UuidSource;

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dp-ovsdb-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("conf.db")
    }

    fn open(&self) -> Opened {
        Standalone::open(&self.file(), &mut UuidSource::counting(1000)).unwrap()
    }

    fn create(&self) -> Opened {
        Standalone::create(&self.file(), every_type().schema()).unwrap();
        self.open()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Executes, stores and applies operations.
fn run(opened: &mut Opened, uuids: &mut UuidSource, operations: Value) -> Vec<Value> {
    let context = Context { owns_lock: &|_| false, waited_ms: 0, read_only: false };
    let outcome = execute(&opened.database, operations.as_array().unwrap(), &context, uuids);
    let Outcome::Done { results, commit } = outcome else { panic!("{outcome:?}") };
    if let Some(commit) = commit {
        opened.file.append(opened.database.schema(), &commit, 1_700_000_000_000).unwrap();
        opened.file.sync().unwrap();
        opened.database.apply(&commit);
    }
    results
}

fn insert(row: Value) -> Value {
    json!({"op": "insert", "table": "Root", "row": row})
}

fn update(row: Value) -> Value {
    json!({"op": "update", "table": "Root", "where": [], "row": row})
}

/// Everything that is stored, as text, without versions.
fn contents(database: &Database) -> String {
    super::record::of_database(database, 0, "").to_string()
}

/// A database with something in it, and what that is.
fn filled(folder: &Folder) -> (Opened, UuidSource, String) {
    let (mut opened, mut uuids) = (folder.create(), UuidSource::counting(0));
    for operations in [
        json!([{"op": "comment", "comment": "first\nsecond"},
               insert(json!({"name": "a", "i": 1, "ss": ["set", ["x", "y"]], "r": 0.1,
                             "m": ["map", [["k", "é\n\"\\"], ["l", "w"]]]}))]),
        json!([insert(json!({"name": "b", "i": 2, "eph": "gone"}))]),
        json!([{"op": "mutate", "table": "Root", "where": [["name", "==", "a"]], "mutations":
                [["ss", "delete", "x"], ["ss", "insert", "z"], ["m", "delete", "l"]]}]),
        json!([{"op": "update", "table": "Root", "where": [["name", "==", "a"]],
                "row": {"oi": 5, "m": ["map", [["k", "new"]]], "eph": "gone too"}}]),
    ] {
        run(&mut opened, &mut uuids, operations);
    }
    let text = contents(&opened.database);
    (opened, uuids, text)
}

#[test]
fn what_was_stored_is_there_again_but_for_ephemeral_columns() {
    let folder = Folder::new("again");
    let (opened, _, text) = filled(&folder);
    drop(opened);
    let opened = folder.open();
    assert_eq!(opened.damage, None);
    assert_eq!(contents(&opened.database), text);
    let schema = opened.database.schema();
    let eph = schema.table("Root").unwrap().column_index("eph").unwrap();
    assert!(opened.database.rows("Root").all(|(_, row)| row.get(eph).is_empty()));
    assert!(!fs::read_to_string(folder.file()).unwrap().contains("gone"));
}

#[test]
fn a_change_of_ephemeral_columns_alone_is_not_written() {
    let folder = Folder::new("ephemeral");
    let (mut opened, mut uuids, _) = filled(&folder);
    let length = opened.file.length();
    run(&mut opened, &mut uuids, json!([update(json!({"eph": "x"}))]));
    assert_eq!(opened.file.length(), length);
}

/// Wherever a write was cut short: every transaction before it is there, the rest is told of.
#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let folder = Folder::new("torn");
    let (opened, ..) = filled(&folder);
    drop(opened);
    let whole = fs::read(folder.file()).unwrap();
    let starts: Vec<usize> =
        whole.windows(6).enumerate().filter(|(_, w)| w == b"OVSDB ").map(|(at, _)| at).collect();
    assert_eq!(starts.len(), 5);
    for cut in (starts[1]..whole.len()).step_by(7) {
        fs::write(folder.file(), &whole[..cut]).unwrap();
        let opened = folder.open();
        let last = starts.iter().copied().filter(|start| *start <= cut).max().unwrap();
        match opened.damage {
            None => assert_eq!(cut, last),
            Some(damage) => {
                assert_eq!((damage.offset, damage.bytes), (last as u64, (cut - last) as u64));
                assert_eq!(damage.saved, None);
            }
        }
        drop(opened.file);
        assert_eq!(fs::read(folder.file()).unwrap(), &whole[..last]);
        assert_eq!(folder.open().damage, None);
    }
}

#[test]
fn damage_in_the_middle_is_saved_before_it_is_cut_off() {
    let folder = Folder::new("middle");
    let (opened, ..) = filled(&folder);
    drop(opened);
    let mut bytes = fs::read(folder.file()).unwrap();
    let at = bytes.windows(10).position(|window| window == b"\"name\":\"b\"").unwrap();
    bytes[at + 8] = b'c';
    fs::write(folder.file(), &bytes).unwrap();
    let opened = folder.open();
    let damage = opened.damage.unwrap();
    assert!(damage.reason.contains("SHA-1"), "{}", damage.reason);
    let saved = fs::read(damage.saved.unwrap()).unwrap();
    assert_eq!([fs::read(folder.file()).unwrap(), saved].concat(), bytes);
    assert_eq!(opened.database.rows("Root").count(), 1);
}

#[test]
fn a_whole_record_that_makes_no_sense_is_saved_too() {
    let folder = Folder::new("nonsense");
    let (opened, _, text) = filled(&folder);
    drop(opened);
    let mut bytes = fs::read(folder.file()).unwrap();
    let nonsense = super::super::log::encode(&json!({"Nowhere": {}}));
    bytes.extend(&nonsense);
    fs::write(folder.file(), &bytes).unwrap();
    let opened = folder.open();
    let damage = opened.damage.unwrap();
    assert!(damage.reason.contains("No table named Nowhere."), "{}", damage.reason);
    assert_eq!(fs::read(damage.saved.unwrap()).unwrap(), nonsense);
    assert_eq!(contents(&opened.database), text);
}

#[test]
fn writing_goes_on_after_a_cut() {
    let folder = Folder::new("goes-on");
    let (opened, mut uuids, text) = filled(&folder);
    drop(opened);
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes.extend_from_slice(b"OVSDB JSON 50 0123");
    fs::write(folder.file(), &bytes).unwrap();
    let mut opened = folder.open();
    assert_eq!(contents(&opened.database), text);
    run(&mut opened, &mut uuids, json!([insert(json!({"name": "c", "i": 3}))]));
    let text = contents(&opened.database);
    drop(opened);
    assert_eq!(contents(&folder.open().database), text);
}

#[test]
fn compaction_keeps_contents_and_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("compact");
    let (mut opened, mut uuids, text) = filled(&folder);
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o600)).unwrap();
    let before = opened.file.length();
    opened.file.compact(&opened.database, 5, "compacting database online").unwrap();
    assert!(opened.file.length() < before);
    assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
    run(&mut opened, &mut uuids, json!([update(json!({"i": 9, "b": true}))]));
    run(&mut opened, &mut uuids, json!([{"op": "delete", "table": "Root", "where": []}]));
    run(&mut opened, &mut uuids, json!([insert(json!({"name": "c", "i": 3}))]));
    let after = contents(&opened.database);
    assert_ne!(after, text);
    drop(opened);
    assert_eq!(contents(&folder.open().database), after);
}

#[test]
fn a_log_that_grows_asks_for_compaction_and_stays_bounded() {
    let folder = Folder::new("grows");
    let (mut opened, mut uuids) = (folder.create(), UuidSource::counting(0));
    let long = "x".repeat(100_000);
    run(&mut opened, &mut uuids, json!([insert(json!({"name": "a"}))]));
    let mut compactions = 0;
    for at in 0..150 {
        run(&mut opened, &mut uuids, json!([update(json!({"name": format!("{at}{long}")}))]));
        if opened.file.wants_compaction() {
            opened.file.compact(&opened.database, 0, "").unwrap();
            compactions += 1;
        }
        assert!(opened.file.length() < 6 << 20);
    }
    assert!((2..=4).contains(&compactions), "{compactions}");
}

#[test]
fn two_programs_do_not_open_one_file_and_other_files_are_refused() {
    let folder = Folder::new("refuse");
    let path = folder.file();
    let open = |path: &Path| Standalone::open(path, &mut UuidSource::counting(0)).unwrap_err();
    assert!(matches!(open(&path), OpenError::Log(_)));
    let refuse = |text: &str| {
        fs::write(&path, text).unwrap();
        open(&path).to_string()
    };
    assert!(refuse("").contains("unexpected end of file reading schema"));
    assert!(
        refuse("OVSDB CLUSTER 3 0000000000000000000000000000000000000000\n{}\n")
            .contains("CLUSTER")
    );
    assert!(refuse("hello\n").contains("failed to read schema"));
    assert!(matches!(Standalone::create(&path, every_type().schema()), Err(OpenError::Log(_))));
}

#[test]
fn rows_that_nobody_refers_to_are_taken_away_for_good() {
    let folder = Folder::new("orphan");
    drop(folder.create());
    let orphan = json!({"Leaf": {"550e8400-e29b-41d4-a716-446655440000": {"name": "orphan"}}});
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes.extend(super::super::log::encode(&orphan));
    fs::write(folder.file(), &bytes).unwrap();
    assert_eq!(folder.open().database.row_count(), 0);
    assert!(!fs::read_to_string(folder.file()).unwrap().contains("orphan"));
}
