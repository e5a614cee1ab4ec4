//! House-keeping commands, run as `cargo xtask COMMAND`.
//!
//! They are Rust and not shell so that they run wherever the workspace builds, are tested like the
//! rest, and need nothing installed beside the toolchain. Continuous integration holds no logic of
//! its own: it calls `cargo xtask test`, which anybody can run.

mod deny;
mod fuzz;
mod instructions;
mod packages;
mod process;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// House-keeping commands of the dp workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check and test, and end with `N passed, M failed`.
    Test(test::Options),
    /// Check what Cargo cannot: imports, unsafe, drop reasons, file sizes, links, dependencies.
    Tidy,
    /// Check licences, sources and duplicates of the dependencies against deny.toml.
    Deny,
    /// Run the libFuzzer targets of `fuzz/` with the nightly compiler.
    Fuzz(fuzz::Options),
    /// Count the instructions of the fast path's cases with callgrind, and compare.
    Instructions(instructions::Options),
    /// Install the Debian packages that the tests use (needs root).
    Packages,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; `Ok(false)` says that it ran and found something wrong, already printed.
fn run(command: Command) -> anyhow::Result<bool> {
    let root = root();
    match command {
        Command::Test(options) => test::run(&root, &options),
        Command::Tidy => tidy::run(&root),
        Command::Deny => deny::run(&root),
        Command::Fuzz(options) => fuzz::run(&root, &options),
        Command::Instructions(options) => instructions::run(&root, &options),
        Command::Packages => packages::install().map(|()| true),
    }
}

/// The top folder of the repository.
///
/// Cargo says where this crate lies when it runs it; the path baked in at compile time would be
/// wrong after the clone was moved.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}
