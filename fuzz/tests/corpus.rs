//! Replays every input of the corpus, on the ordinary compiler.

#![expect(clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dp_fuzz::TARGETS;

#[test]
fn every_input_of_the_corpus_passes() {
    for (name, body) in TARGETS {
        let inputs = entries(&corpus().join(name));
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} holds no input");
        for input in inputs {
            println!("{}", input.display()); // shown when the body panics
            body(&fs::read(&input).expect("the input is readable"));
        }
    }
}

#[test]
fn targets_programs_and_corpora_belong_together() {
    let rows: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(rows, stems(&corpus()), "folders of fuzz/corpus");
    assert_eq!(rows, stems(&here.join("targets")), "files of fuzz/targets");
    let manifest = fs::read_to_string(here.join("Cargo.toml")).expect("a manifest");
    for name in &rows {
        let path = format!("path = \"targets/{name}.rs\"");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml has no [[bin]] with {path}");
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn stems(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    entries(folder).iter().map(stem).collect()
}
