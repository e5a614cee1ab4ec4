//! `cargo xtask tidy`: the rules of the house that Cargo and the compiler do not know.
//!
//! Each check is a room of its own under `tidy/`: it reads a [`tree::Tree`] (the repository's files
//! as text) and adds [`Finding`]s. A tree can be made up from strings, so every check is tested on
//! one that breaks it; `tests` runs all of them on the repository itself, which is why
//! `cargo test` fails when the house is untidy.

mod drops;
mod imports;
mod leftovers;
mod links;
mod manifests;
mod outside;
mod purity;
mod rooms;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod unsafety;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use source::Sources;
use tree::Tree;

/// One breach of a rule, at a place an editor can jump to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// What the checks found: breaches of rules, and figures worth reading when nothing is wrong.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    figures: Vec<String>,
}

impl Report {
    fn find(&mut self, file: &str, line: usize, text: impl Into<String>) {
        self.findings.push(Finding { file: file.into(), line, text: text.into() });
    }

    fn figure(&mut self, text: impl Into<String>) {
        self.figures.push(text.into());
    }
}

/// Checks the repository at `root` and prints what was found; `Ok(true)` when nothing was.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let report = check(&Tree::of_repository(root)?);
    for figure in &report.figures {
        println!("{figure}");
    }
    for finding in &report.findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", report.findings.len());
    Ok(report.findings.is_empty())
}

/// Runs every check on `tree`.
fn check(tree: &Tree) -> Report {
    let mut report = Report::default();
    let sources = Sources::parse(tree, &mut report);
    imports::check(&sources, &mut report);
    purity::check(&sources, &mut report);
    unsafety::check(tree, &sources, &mut report);
    drops::check(&sources, &mut report);
    shape::check(tree, &mut report);
    leftovers::check(tree, &sources, &mut report);
    outside::check(tree, &mut report);
    links::check(tree, &mut report);
    manifests::check(tree, &mut report);
    report.findings.sort();
    report.findings.dedup(); // a `use` tree may break one rule several times in a line
    report
}
