//! The switch under test, for tests that stand outside its crate.
//!
//! A test program knows nothing of other packages' programs, so this asks Cargo for it: built in the
//! same folder and profile as the test, once a process.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

use crate::process::{self, ProcessError};

/// The daemon's file, built if it is not up to date.
///
/// # Errors
///
/// [`ProcessError`] with what Cargo says.
pub fn built() -> Result<PathBuf, ProcessError> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // A test program is `…/target/PROFILE/deps/NAME`.
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().nth(2).map(PathBuf::from).unwrap_or_default();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(["build", "--quiet", "--package", "dp-vswitchd"]);
    command.args(["--bin", "dp-vswitchd"]);
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    process::run(&mut command)?;
    let path = folder.join("dp-vswitchd");
    *built = Some(path.clone());
    Ok(path)
}
