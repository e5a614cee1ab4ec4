//! The power is cut after every step that the server takes on the disk, and in the middle of each
//! write: what comes back is what was acknowledged, and whole transactions only.
//!
//! The model of a disk is a hostile one. What was written and not made durable may be there, or not,
//! or as far as any byte, or as zeros of that length. A rename holds after the folder is durable, and
//! before it may or may not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ClientId, Engine};
use crate::ovsdb::database::tests::every_type;
use crate::ovsdb::file::Standalone;
use crate::ovsdb::file::journal::{self, Noted};
use crate::ovsdb::json_rpc::Message;

/// A file's bytes: those that are safe, and those written since.
#[derive(Clone, Default)]
struct Inode {
    safe: Vec<u8>,
    since: Vec<u8>,
}

/// A folder on a disk.
#[derive(Clone, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    /// The names that a power cut leaves at least.
    safe_names: BTreeMap<PathBuf, usize>,
}

impl Disk {
    fn take(&mut self, step: &Noted) {
        match step {
            Noted::Create(path) => {
                self.inodes.push(Inode::default());
                self.names.insert(path.clone(), self.inodes.len() - 1);
            }
            Noted::Write(path, bytes) => self.inode(path).since.extend(bytes),
            Noted::Sync(path) => {
                let inode = self.inode(path);
                let since = std::mem::take(&mut inode.since);
                inode.safe.extend(since);
            }
            Noted::Rename(from, to) => {
                let inode = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), inode);
            }
            Noted::SyncFolder => self.safe_names = self.names.clone(),
        }
    }

    fn inode(&mut self, path: &Path) -> &mut Inode {
        let at = self.names[path];
        &mut self.inodes[at]
    }

    /// What the file may be after a power cut.
    fn remains(&self, path: &Path) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for names in [&self.safe_names, &self.names] {
            let Some(&at) = names.get(path) else { continue };
            let Inode { safe, since } = &self.inodes[at];
            let mut cuts: Vec<usize> = (0..since.len()).step_by(23).collect();
            cuts.push(since.len());
            out.extend(cuts.iter().map(|cut| [safe, &since[..*cut]].concat()));
            out.push([&safe[..], &vec![0; since.len()]].concat());
        }
        out.sort();
        out.dedup();
        out
    }
}

/// The names of all rows, which say which transactions there were.
fn rows(engine: &Engine) -> Vec<String> {
    let database = engine.database().unwrap();
    let at = database.schema().table("Root").unwrap().column_index("name").unwrap();
    let mut names: Vec<String> =
        database.rows("Root").map(|(_, row)| row.get(at).to_json().to_string()).collect();
    names.sort();
    names
}

#[test]
fn whenever_the_power_is_cut_what_was_acknowledged_is_there() {
    let folder = std::env::temp_dir().join(format!("dp-power-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let (path, cut_path) = (folder.join("db"), folder.join("cut"));
    let schema = every_type();
    let name = schema.schema().name.to_string();
    journal::begin();
    Standalone::create(&path, schema.schema()).unwrap();
    let (mut engine, _) = Engine::open(&path).unwrap();
    engine.connected(ClientId(1));
    // Steps, with the number of transactions that were acknowledged before each.
    let mut steps: Vec<(usize, Noted)> = journal::take().into_iter().map(|it| (0, it)).collect();
    let mut states = vec![rows(&engine)];
    for at in 0..12_usize {
        let change =
            json!({"op": "insert", "table": "Root", "row": {"name": format!("row {at}"), "i": at}});
        let (method, params) = match at {
            // The log is replaced as a whole in between.
            5 => ("convert", vec![json!(name), schema.schema().to_json()]),
            _ => ("transact", vec![json!(name), change]),
        };
        let request = Message::Request { method: method.into(), params, id: json!(at) };
        engine.take(ClientId(1), request, 0);
        let before = states.len() - 1;
        states.push(rows(&engine));
        let replies = engine.take_messages();
        let good = |it: &Message| matches!(it, Message::Reply { result, .. } if is_good(result));
        assert!(replies.iter().any(|(_, it)| good(it)), "{replies:?}");
        // Everything up to here was done before the reply left.
        steps.extend(journal::take().into_iter().map(|it| (before, it)));
        if engine.take_closing().iter().any(|(id, _)| *id == ClientId(1)) {
            engine.disconnected(ClientId(1));
            engine.connected(ClientId(1));
        }
    }
    drop(engine);
    let renames = steps.iter().filter(|(_, it)| matches!(it, Noted::Rename(..))).count();
    assert_eq!(renames, 2, "made once, replaced once");
    let mut disk = Disk::default();
    let mut tried = 0;
    let last = states.len() - 1;
    // After the last step everything has been acknowledged.
    let acknowledged: Vec<usize> = steps.iter().skip(1).map(|it| it.0).chain([last]).collect();
    for ((_, step), acknowledged) in steps.iter().zip(acknowledged) {
        disk.take(step);
        for bytes in disk.remains(&path) {
            tried += 1;
            std::fs::write(&cut_path, &bytes).unwrap();
            // Before the file has its name there is none, and nothing was acknowledged.
            let (engine, _) = Engine::open(&cut_path).unwrap();
            let found = rows(&engine);
            assert!(
                states.iter().skip(acknowledged).any(|it| *it == found),
                "{acknowledged} transactions were acknowledged before {step:?}, and there is {found:?}"
            );
        }
    }
    assert!(tried > 100, "{tried}");
    std::fs::remove_dir_all(&folder).unwrap();
}

fn is_good(result: &Value) -> bool {
    let parts = result.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().all(|it| it.get("error").is_none())
}
