//! `cargo xtask instructions`: how many instructions a packet takes in each case of the fast path.
//!
//! Cycles differ from machine to machine and from minute to minute; instructions do not, so a change
//! that makes the fast path longer shows in them on any machine, however loaded. The benchmark
//! `instructions` runs the cases under callgrind; what it counted is compared with
//! `benches/instructions.txt`. A case that has grown by more than [`TOLERANCE`] is a failure; whoever
//! meant it runs `cargo xtask instructions --update` and commits the file with the change.
//!
//! Counts depend on the compiler, which the tolerance has room for, and not on the processor: the
//! portable kernels are counted, and vector units that the C library would choose its copying
//! routines by are hidden from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process;

/// Growth that is let pass, in percent: moving code about and compilers make two or three.
const TOLERANCE: f64 = 5.0;

/// Instructions a packet below which growth is not looked at: of 20, 5 percent is one.
const GRAIN: f64 = 2.0;

/// Where the counts are kept.
const KEPT: &str = "benches/instructions.txt";

/// What to do with the counts.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Write the counts down as those to compare with.
    #[arg(long)]
    update: bool,
}

/// Instructions a packet by case, in the order of the cases' names.
type Counts = BTreeMap<String, f64>;

/// Counts; `Ok(false)` when a case has grown, is new, or is there no more.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let program = build(root)?;
    let counts = count(root, &program)?;
    let path = root.join(KEPT);
    if options.update {
        fs::write(&path, written(&counts)).with_context(|| format!("{}", path.display()))?;
        println!("{KEPT}: {} cases", counts.len());
        return Ok(true);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let (lines, good) = compare(&read(&text)?, &counts);
    print!("{lines}");
    if !good {
        println!("if that is meant: cargo xtask instructions --update");
    }
    Ok(good)
}

/// Builds the benchmark; returns where it is.
fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = process::cargo(root);
    cargo.args(["bench", "--locked", "--package", "dp-benches", "--bench", "instructions"]);
    cargo.args(["--profile", "counted", "--no-run", "--message-format", "json"]);
    let messages = process::output(&mut cargo)?;
    // One JSON object a line; the last executable is the benchmark's.
    let path = messages.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    path.context("cargo has built no benchmark `instructions`")
}

/// Runs the benchmark under callgrind.
fn count(root: &Path, program: &Path) -> Result<Counts> {
    let folder = root.join("target/callgrind");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet"]);
    // Only inside `measured`, and written down each time that ends.
    valgrind.args(["--toggle-collect=instructions::measured", "--collect-atstart=no"]);
    valgrind.arg("--dump-after=instructions::measured");
    valgrind.arg(format!("--callgrind-out-file={}", folder.join("counts").display()));
    // Copying takes as many instructions whatever the processor is.
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM");
    let said = process::output(valgrind.arg(program))?;
    let mut counts = Counts::new();
    for (number, line) in (1..).zip(said.lines()) {
        let (bursts, name) = line.split_once(' ').context("a line without a name")?;
        let packets = bursts.parse::<f64>().context("bursts")? * 32.0;
        let path = folder.join(format!("counts.{number}"));
        let dump =
            fs::read_to_string(&path).with_context(|| format!("{}: no counts", path.display()))?;
        counts.insert(name.to_owned(), total(&dump).context("a dump without totals")? / packets);
    }
    ensure!(!counts.is_empty(), "no case was counted");
    Ok(counts)
}

/// Instructions in a dump.
fn total(dump: &str) -> Option<f64> {
    dump.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// The counts as they are kept.
fn written(counts: &Counts) -> String {
    let mut text =
        "# Instructions a packet, portable kernels. cargo xtask instructions --update\n".to_owned();
    for (name, count) in counts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{count:8.1} {name}");
    }
    text
}

fn read(text: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((count, name)) = line.trim_start().split_once(' ') else {
            bail!("{KEPT}: `{line}` is not a count and a name");
        };
        let count = count.parse().with_context(|| format!("{KEPT}: `{line}`"))?;
        counts.insert(name.to_owned(), count);
    }
    Ok(counts)
}

/// One line a case, and whether none has grown.
fn compare(kept: &Counts, counts: &Counts) -> (String, bool) {
    let (mut text, mut good) = (String::new(), true);
    for (name, &now) in counts {
        let verdict = match kept.get(name) {
            None => "NEW: not in the file".to_owned(),
            Some(&before) if now > (before * (1.0 + TOLERANCE / 100.0)).max(before + GRAIN) => {
                format!("GROWN from {before:.1}")
            }
            Some(&before) => format!("{:+.1} %", (now / before - 1.0) * 100.0),
        };
        good &= !verdict.starts_with(['N', 'G']);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{now:8.1} {name}: {verdict}");
    }
    for name in kept.keys().filter(|name| !counts.contains_key(*name)) {
        good = false;
        let _ = writeln!(text, "       - {name}: GONE, but in the file");
    }
    (text, good)
}

#[cfg(test)]
mod tests {
    use super::{Counts, compare, read, total, written};

    fn counts(all: &[(&str, f64)]) -> Counts {
        all.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let before = counts(&[("extract Ipv4", 81.5), ("megaflow, 1 subtables", 120.0)]);
        assert_eq!(read(&written(&before)).expect("as written"), before);
        assert!(read("many extract\n").is_err());
    }

    #[test]
    fn growth_beyond_the_tolerance_fails_and_shrinking_does_not() {
        let kept = counts(&[("a", 100.0), ("b", 10.0)]);
        assert!(compare(&kept, &counts(&[("a", 104.9), ("b", 11.9)])).1);
        assert!(compare(&kept, &counts(&[("a", 50.0), ("b", 1.0)])).1);
        assert!(!compare(&kept, &counts(&[("a", 105.1), ("b", 10.0)])).1);
        assert!(!compare(&kept, &counts(&[("a", 100.0), ("b", 12.1)])).1);
    }

    #[test]
    fn a_case_that_is_new_or_gone_fails() {
        let kept = counts(&[("a", 100.0)]);
        assert!(!compare(&kept, &counts(&[("a", 100.0), ("b", 1.0)])).1);
        assert!(!compare(&kept, &counts(&[])).1);
    }

    #[test]
    fn totals_are_found_in_a_dump() {
        assert_eq!(total("version: 1\nfn=(1) x\n1 5\n\ntotals: 1234\n"), Some(1234.0));
        assert_eq!(total("version: 1\n"), None);
    }
}
