//! `cargo xtask test`: every check and test of the repository, in phases, with one sum at the end.
//!
//! The cheap phases come first, but none stops the run: whoever breaks two things sees both. The
//! last line is `N passed, M failed`; a phase that fails without a failing test (a warning, a
//! crash, a missing tool) counts as one failure, and so does an ignored test, so that the last line
//! cannot say 0 while something is wrong. Many tests run whole switches beside each other and wait for
//! what they do; where no more than three fail, they run once more, alone, and one that passes then
//! is counted as passed and named as unsteady.

mod summary;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::{deny, fuzz, instructions, packages, process, tidy};
use summary::Tally;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this phase (may be given several times).
    #[arg(long, value_name = "PHASE")]
    only: Vec<String>,
    /// List the phases and stop.
    #[arg(long)]
    list: bool,
}

/// One step of the run.
struct Phase {
    name: &'static str,
    what: &'static str,
    /// Runs it; the tally holds what its tests counted, the flag whether the phase succeeded.
    run: fn(&Path, &mut Tally) -> Result<bool>,
}

/// In the order they run.
const PHASES: &[Phase] = &[
    Phase { name: "packages", what: "Debian packages the tests use", run: install_packages },
    Phase { name: "fmt", what: "formatting", run: check_format },
    Phase { name: "clippy", what: "lints of every target, warnings denied", run: check_lints },
    Phase { name: "docs", what: "documentation, warnings denied", run: check_docs },
    Phase { name: "tidy", what: "rules of the house", run: check_tidy },
    Phase {
        name: "deny",
        what: "licences, sources and duplicates of dependencies",
        run: check_deny,
    },
    Phase { name: "tests", what: "unit, property, system and documentation tests", run: run_tests },
    Phase { name: "dpdk", what: "lints and tests with the feature dpdk", run: run_dpdk },
    Phase { name: "benches", what: "every benchmark once, as a test", run: run_benches },
    Phase {
        name: "instructions",
        what: "the fast path takes no more instructions than it did",
        run: count_instructions,
    },
    Phase { name: "outside", what: "a crate outside the workspace links dp", run: run_outside },
    Phase { name: "races", what: "models of what threads share", run: run_races },
    Phase { name: "fuzz", what: "a few seconds of each fuzz target", run: run_fuzz },
];

/// How one phase went.
struct Outcome {
    name: &'static str,
    tally: Tally,
    succeeded: bool,
    took: Duration,
}

/// Runs the phases asked for; `Ok(false)` when anything failed.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    if options.list {
        for phase in PHASES {
            println!("{:<12} {}", phase.name, phase.what);
        }
        return Ok(true);
    }
    let outcomes: Vec<Outcome> =
        chosen(&options.only)?.into_iter().map(|phase| run_phase(root, phase)).collect();
    Ok(report(&outcomes))
}

/// The phases named, or all; a name that no phase has is an error.
fn chosen(only: &[String]) -> Result<Vec<&'static Phase>> {
    if let Some(wrong) = only.iter().find(|name| PHASES.iter().all(|p| p.name != **name)) {
        let names: Vec<&str> = PHASES.iter().map(|p| p.name).collect();
        bail!("no phase is called `{wrong}`; there are: {}", names.join(", "));
    }
    let wanted = |phase: &&Phase| only.is_empty() || only.iter().any(|name| name == phase.name);
    Ok(PHASES.iter().filter(wanted).collect())
}

fn run_phase(root: &Path, phase: &Phase) -> Outcome {
    println!("\n=== {}: {}", phase.name, phase.what);
    let start = Instant::now();
    let mut tally = Tally::default();
    let succeeded = (phase.run)(root, &mut tally).unwrap_or_else(|error| {
        println!("error: {error:#}");
        false
    });
    let took = start.elapsed();
    let outcome = Outcome { name: phase.name, tally, succeeded, took };
    println!("=== {}", describe(&outcome));
    outcome
}

/// One line about one phase.
fn describe(outcome: &Outcome) -> String {
    let Outcome { name, tally, took, .. } = outcome;
    let verdict = if failures(outcome) == 0 { "ok" } else { "FAILED" };
    let mut line = format!("{name:<12} {verdict:<6} {:>6.1} s", took.as_secs_f64());
    if tally.results > 0 {
        let Tally { passed, failed, ignored, .. } = tally;
        line += &format!("  {passed} passed, {failed} failed, {ignored} ignored");
    }
    line
}

/// Failed and ignored tests, or one for a phase that failed without any.
fn failures(outcome: &Outcome) -> usize {
    let counted = outcome.tally.failed + outcome.tally.ignored;
    counted.max(usize::from(!outcome.succeeded))
}

/// Prints all phases and, as the last line, the sum; returns whether nothing failed.
fn report(outcomes: &[Outcome]) -> bool {
    println!("\n=== phases");
    for outcome in outcomes {
        println!("{}", describe(outcome));
    }
    for name in outcomes.iter().flat_map(|outcome| &outcome.tally.unsteady) {
        println!("unsteady: {name} failed once and passed alone");
    }
    let passed: usize = outcomes.iter().map(|o| o.tally.passed).sum();
    let failed: usize = outcomes.iter().map(failures).sum();
    println!("{passed} passed, {failed} failed");
    failed == 0
}

/// A `cargo` whose result is the same whatever the caller's terminal and cache look like.
fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut cargo = process::cargo(root);
    cargo.args(arguments);
    if std::env::var_os("CI").is_some() {
        // Nobody builds a second time there: bookkeeping for the next build only costs.
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

fn install_packages(_: &Path, _: &mut Tally) -> Result<bool> {
    packages::install().map(|()| true)
}

fn check_format(root: &Path, _: &mut Tally) -> Result<bool> {
    process::run(&mut cargo(root, &["fmt", "--all", "--check"]))
}

fn check_lints(root: &Path, _: &mut Tally) -> Result<bool> {
    let arguments =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    process::run(&mut cargo(root, &arguments))
}

fn check_docs(root: &Path, _: &mut Tally) -> Result<bool> {
    let arguments =
        ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    // Rooms are documented for those who work in them: links to private items are meant.
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    process::run(cargo(root, &arguments).env("RUSTDOCFLAGS", flags))
}

fn check_tidy(root: &Path, _: &mut Tally) -> Result<bool> {
    tidy::run(root)
}

fn check_deny(root: &Path, _: &mut Tally) -> Result<bool> {
    deny::run(root)
}

/// As many tests may fail by chance; with more, something is broken.
const FEW: usize = 3;

fn run_tests(root: &Path, tally: &mut Tally) -> Result<bool> {
    let all = ["test", "--workspace", "--no-fail-fast", "--locked"];
    let mut all = process::run_watching(&mut cargo(root, &all), |line| tally.read(line))?;
    if (1..=FEW).contains(&tally.names.len()) && tally.failed == tally.names.len() {
        let mut again =
            cargo(root, &["test", "--workspace", "--tests", "--no-fail-fast", "--locked"]);
        again.args(["--", "--test-threads=1", "--exact"]).args(&tally.names);
        let mut second = Tally::default();
        let passed = process::run_watching(&mut again, |line| second.read(line))?;
        tally.repeat(second);
        all = passed && tally.failed == 0;
    }
    // Tests within an example are left out there: with them it would not be built as a program, which
    // the tests beside it start.
    let within = ["test", "--package", "dp-examples", "--example", "gateway", "--locked"];
    let within = process::run_watching(&mut cargo(root, &within), |line| tally.read(line))?;
    Ok(all && within)
}

/// What only exists with the feature `dpdk`: the other phases build without it.
fn run_dpdk(root: &Path, tally: &mut Tally) -> Result<bool> {
    const WITH: &[&str] =
        &["--package", "dpdk-sys", "--package", "dp-vswitchd", "--package", "dp-netdev"];
    const FEATURES: &[&str] = &["--features", "dp-netdev/dpdk,dp-vswitchd/dpdk"];
    let lint = [
        &["clippy", "--quiet", "--locked", "--all-targets"],
        WITH,
        FEATURES,
        &["--", "-D", "warnings"],
    ];
    let lint = process::run(&mut cargo(root, &lint.concat()))?;
    let test =
        ["test", "--locked", "--package", "dp-netdev", "--features", "dpdk", "--test", "dpdk"];
    let test = process::run_watching(&mut cargo(root, &test), |line| tally.read(line))?;
    Ok(lint && test)
}

/// Optimised, since some cases take minutes otherwise, and in the profile that the next phase needs
/// anyway.
fn run_benches(root: &Path, tally: &mut Tally) -> Result<bool> {
    let arguments =
        ["test", "--package", "dp-benches", "--benches", "--locked", "--profile", "counted"];
    process::run_watching(&mut cargo(root, &arguments), |line| tally.read(line))
}

fn count_instructions(root: &Path, _: &mut Tally) -> Result<bool> {
    instructions::run(root, &instructions::Options::default())
}

fn run_outside(root: &Path, tally: &mut Tally) -> Result<bool> {
    let folder = root.join("tests/outside");
    let mut cargo = cargo(&folder, &["test", "--no-fail-fast"]);
    process::run_watching(&mut cargo, |line| tally.read(line))
}

fn run_races(root: &Path, tally: &mut Tally) -> Result<bool> {
    let folder = root.join("races");
    let mut cargo = cargo(&folder, &["test", "--workspace", "--no-fail-fast", "--locked"]);
    cargo.env("CARGO_TARGET_DIR", root.join("target/races"));
    process::run_watching(&mut cargo, |line| tally.read(line))
}

fn run_fuzz(root: &Path, _: &mut Tally) -> Result<bool> {
    fuzz::run(root, &fuzz::Options::short())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: usize, failed: usize, ignored: usize, succeeded: bool) -> Outcome {
        let tally = Tally { passed, failed, ignored, results: 1, ..Tally::default() };
        Outcome { name: "x", tally, succeeded, took: Duration::ZERO }
    }

    #[test]
    fn a_phase_that_fails_without_a_test_counts_as_one_failure() {
        assert_eq!(failures(&outcome(3, 0, 0, false)), 1);
        assert_eq!(failures(&outcome(3, 2, 0, false)), 2);
        assert_eq!(failures(&outcome(3, 0, 0, true)), 0);
        assert!(!report(&[outcome(3, 0, 0, true), outcome(0, 0, 0, false)]));
    }

    #[test]
    fn an_ignored_test_counts_as_a_failure() {
        assert_eq!(failures(&outcome(3, 0, 1, true)), 1);
    }

    #[test]
    fn phases_are_chosen_by_name() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            chosen(&only).map(|phases| phases.iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).expect("all").len(), PHASES.len());
        assert_eq!(names(&["tidy", "fmt"]).expect("two"), ["fmt", "tidy"]);
        assert!(names(&["tidi"]).expect_err("no such phase").to_string().contains("`tidi`"));
    }
}
