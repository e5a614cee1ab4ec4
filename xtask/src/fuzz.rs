//! `cargo xtask fuzz`: the libFuzzer targets of `fuzz/`, without `cargo-fuzz`.
//!
//! `cargo-fuzz` is a wrapper around a few compiler flags and a folder layout; both stand here, so
//! nothing has to be installed beside a nightly compiler and a C++ one (libFuzzer's runtime).
//!
//! Inputs that a target has learned from live in `fuzz/corpus/TARGET` and are replayed by
//! `cargo test` on the stable compiler. A run only reads them: what it discovers goes to
//! `target/fuzz/corpus/TARGET`, and `--keep` merges the part of that which reaches new code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process;

/// Coverage that libFuzzer steers by, and the address sanitizer as judge.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Which targets, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds to spend on each target.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
    /// Merge what was discovered into `fuzz/corpus`, smallest inputs first.
    #[arg(long)]
    keep: bool,
    /// Print the statistics at the end and nothing before.
    #[arg(long)]
    quiet: bool,
    /// Targets to run; all of them when none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

impl Options {
    /// A few seconds of every target: what the tests run.
    pub(crate) fn short() -> Self {
        Self { seconds: 5, keep: false, quiet: true, targets: Vec::new() }
    }
}

/// Where things lie.
struct Folders {
    built: PathBuf,
    corpus: PathBuf,
    discovered: PathBuf,
    artifacts: PathBuf,
}

/// Builds and runs the targets; `Ok(false)` when one of them found a crash.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let targets = chosen(root, &options.targets)?;
    let programs = build(root)?;
    let mut crashed = Vec::new();
    for target in &targets {
        let folders = Folders::prepare(root, &programs, target)?;
        if !process::run(&mut fuzzing(&folders, options))? {
            crashed.push(target.as_str());
        } else if options.keep && !process::run(&mut merging(&folders))? {
            bail!("cannot merge what {target} discovered");
        }
    }
    if !crashed.is_empty() {
        println!("crashed: {}; the inputs lie in fuzz/artifacts", crashed.join(", "));
        println!("move an input to fuzz/corpus/TARGET and `cargo test -p dp-fuzz` replays it");
    }
    Ok(crashed.is_empty())
}

/// The targets named, or all; a target is a file of `fuzz/targets`.
fn chosen(root: &Path, named: &[String]) -> Result<Vec<String>> {
    let folder = root.join("fuzz/targets");
    let mut all = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs") {
            all.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    all.sort();
    if let Some(wrong) = named.iter().find(|name| !all.contains(name)) {
        bail!("no fuzz target is called `{wrong}`; there are: {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

/// Builds every target with the nightly compiler; returns the folder of the programs.
fn build(root: &Path) -> Result<PathBuf> {
    let mut nightly = Command::new("rustup");
    nightly.args(["run", "nightly", "rustc", "--version", "--verbose"]);
    let version = process::output(&mut nightly).context(
        "fuzzing needs a nightly compiler: `rustup toolchain install nightly --profile minimal`",
    )?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc --version --verbose names no host")?;
    println!("{}", version.lines().next().unwrap_or_default());
    let folder = root.join("target/fuzz");
    let mut cargo = Command::new("rustup");
    cargo.current_dir(root).args(["run", "nightly", "cargo", "build", "--locked"]);
    cargo.args(["--package", "dp-fuzz", "--features", "libfuzzer", "--bins", "--profile", "fuzz"]);
    // With an explicit target the flags do not reach build scripts and derive macros.
    cargo.args(["--target", host]).arg("--target-dir").arg(&folder);
    // The caller's toolchain and cargo must not win over the nightly ones.
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    cargo.env("RUSTFLAGS", FLAGS);
    if !process::run(&mut cargo)? {
        bail!("the fuzz targets do not build");
    }
    Ok(folder.join(host).join("fuzz"))
}

/// The command that fuzzes one target.
fn fuzzing(folders: &Folders, options: &Options) -> Command {
    let mut command = Command::new(&folders.built);
    command.arg(format!("-max_total_time={}", options.seconds));
    command.arg(format!("-verbosity={}", u8::from(!options.quiet)));
    // One input may take this long and all of them this much memory.
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/", folders.artifacts.display()));
    command.arg(&folders.discovered).arg(&folders.corpus);
    command
}

/// The command that adds to the corpus what reaches code the corpus does not.
fn merging(folders: &Folders) -> Command {
    let mut command = Command::new(&folders.built);
    command.arg("-merge=1").arg(&folders.corpus).arg(&folders.discovered);
    command
}

impl Folders {
    fn prepare(root: &Path, programs: &Path, target: &str) -> Result<Self> {
        let folders = Self {
            built: programs.join(target),
            corpus: root.join("fuzz/corpus").join(target),
            discovered: root.join("target/fuzz/corpus").join(target),
            artifacts: root.join("fuzz/artifacts").join(target),
        };
        for folder in [&folders.corpus, &folders.discovered, &folders.artifacts] {
            fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        }
        Ok(folders)
    }
}
