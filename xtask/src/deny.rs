//! Licences, sources and duplicate versions of the dependencies, judged by `cargo deny`.
//!
//! `deny.toml` holds the rules. A machine without `cargo-deny` gets it built from the registry
//! into `target/tools`, unoptimised and without its git client, which takes about a minute once.
//! The advisory database is a git repository of another host, so advisories are a command of their
//! own (see CONTRIBUTING.md) and not part of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// The version that is built where none is installed.
const VERSION: &str = "0.20.2";

/// Runs the three offline checks; `Ok(false)` when the dependencies break a rule.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let program = find(root)?;
    let mut deny = Command::new(program);
    deny.current_dir(root);
    // No `--offline`: a fresh machine still has to fetch what the lock file names.
    deny.args(["--workspace", "--locked", "check", "licenses", "bans", "sources"]);
    process::run(&mut deny)
}

/// An installed `cargo-deny`, or the one under `target/tools`, built when absent.
fn find(root: &Path) -> Result<PathBuf> {
    if Command::new("cargo-deny").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let tools = root.join("target/tools");
    let built = tools.join("bin/cargo-deny");
    if built.exists() {
        return Ok(built);
    }
    println!("cargo-deny is not installed: building {VERSION} into target/tools");
    let mut install = process::cargo(root);
    install.args(["install", "--quiet", "--locked", "--debug", "--no-default-features"]);
    install.arg("--root").arg(&tools).args(["--version", VERSION, "cargo-deny"]);
    install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_TARGET_DIR", tools.join("build"));
    if !process::run(&mut install)? {
        bail!("cannot build cargo-deny {VERSION}");
    }
    Ok(built)
}
