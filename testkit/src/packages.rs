//! Debian packages that a test needs.
//!
//! A test says which packages it stands on instead of hoping for them. Where one is missing and the
//! test runs as root, it is installed; where that cannot be, the test fails with its name, and never
//! passes unrun.

mod apart;
#[cfg(test)]
mod tests;

pub use apart::Apart;

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    process::{Command, Output},
    sync::{Mutex, PoisonError},
};

/// Makes sure that the packages are installed.
///
/// Costs one `dpkg-query` where they are. Missing ones are installed by `apt-get`, whose lists are
/// fetched once per process; processes wait for each other.
///
/// # Errors
///
/// [`PackageError`] names what is missing and why it could not be had.
pub fn ensure(packages: &[&str]) -> Result<(), PackageError> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        return Err(PackageError::NotRoot { missing });
    }
    install(&missing)
}

/// Whether this process runs as root, as network namespaces, raw sockets and packages demand.
#[must_use]
pub fn is_root() -> bool {
    // The folder of a process in /proc belongs to its effective user.
    fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}

/// Why packages could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A program could not be started.
    #[error("{program}: {source} (is this a Debian system?)")]
    Start {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Packages are missing and only root may install them.
    #[error("missing packages: {}; run as root, or `apt-get install {}`", missing.join(", "), missing.join(" "))]
    NotRoot {
        /// Their names.
        missing: Vec<String>,
    },
    /// `apt-get` failed.
    #[error("missing packages: {}; `apt-get {step}` failed: {stderr}", missing.join(", "))]
    Apt {
        /// Names of the missing packages.
        missing: Vec<String>,
        /// `update`, `install`, `download` or `unpack`.
        step: &'static str,
        /// Its last words.
        stderr: String,
    },
    /// A file, a folder or the lock that keeps test processes from installing at once.
    #[error("{path}: {source}")]
    File {
        /// Where it is.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Those of the packages that are not installed.
fn missing(packages: &[&str]) -> Result<Vec<String>, PackageError> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${db:Status-Status}\\n"]).args(packages);
    // It fails if it does not know one of the names, and answers for the others all the same.
    let output = run("dpkg-query", &mut query)?;
    let answers = String::from_utf8_lossy(&output.stdout);
    let installed = |package: &str| {
        answers.lines().any(|line| line.split_once(' ') == Some((package, "installed")))
    };
    Ok(packages
        .iter()
        .filter(|package| !installed(package))
        .map(|package| (*package).to_owned())
        .collect())
}

fn install(packages: &[String]) -> Result<(), PackageError> {
    static UPDATED: Mutex<bool> = Mutex::new(false);
    let mut updated = UPDATED.lock().unwrap_or_else(PoisonError::into_inner);
    let path = env::temp_dir().join("dp-testkit-apt.lock");
    let lock_error = |source| PackageError::File { path: path.display().to_string(), source };
    let lock = fs::File::create(&path).map_err(lock_error)?;
    lock.lock().map_err(lock_error)?;

    // Another process may have installed them while this one waited.
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    let missing = missing(&names)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !*updated {
        apt(&["update"], "update", &missing)?;
        *updated = true;
    }
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing.iter().map(String::as_str));
    apt(&arguments, "install", &missing)
}

fn apt(arguments: &[&str], step: &'static str, missing: &[String]) -> Result<(), PackageError> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let output = run("apt-get", &mut command)?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(PackageError::Apt { missing: missing.to_vec(), step, stderr })
}

fn run(program: &'static str, command: &mut Command) -> Result<Output, PackageError> {
    command.env("LC_ALL", "C").output().map_err(|source| PackageError::Start { program, source })
}
