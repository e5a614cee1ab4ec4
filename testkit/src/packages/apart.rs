//! Programs of Debian's next release, beside those of this one.
//!
//! What only a newer reference switch has can be compared with nothing older. Its packages are fetched
//! by `apt-get` with lists of their own, checked by Debian's keys as any, and unpacked into a folder of
//! the clone's `target`; nothing is installed, and neither root nor a changed root is needed. Programs
//! there run under that release's own loader with that release's libraries, so the system's version of
//! the C library does not matter, and they see the same files, namespaces and processes as the test.
//!
//! # Cost
//!
//! Seven seconds and 50 MB once a clone; nothing from then on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{PackageError, run};

/// Programs of another release.
#[derive(Clone, Debug)]
pub struct Apart {
    root: PathBuf,
}

impl Apart {
    /// Debian 13's Open vSwitch, fetched if it is not there.
    ///
    /// # Errors
    ///
    /// [`PackageError`], naming what was not to be had.
    pub fn trixie() -> Result<Self, PackageError> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")).join(RELEASE);
        let file = |path: &Path| {
            let path = path.display().to_string();
            move |source| PackageError::File { path, source }
        };
        let target = root.parent().unwrap_or(&root);
        fs::create_dir_all(target).map_err(file(target))?;
        let lock = root.with_extension("lock");
        let guard = fs::File::create(&lock).map_err(file(&lock))?;
        guard.lock().map_err(file(&lock))?;
        let apart = Self { root };
        if fs::read_to_string(apart.root.join(LIST)).is_ok_and(|list| list == wanted()) {
            return Ok(apart);
        }
        let making = apart.root.with_extension("new");
        for folder in [&apart.root, &making] {
            if folder.exists() {
                fs::remove_dir_all(folder).map_err(file(folder))?;
            }
        }
        fetch(&making)?;
        fs::write(making.join(LIST), wanted()).map_err(file(&making))?;
        // It appears whole or not at all.
        fs::rename(&making, &apart.root).map_err(file(&making))?;
        Ok(apart)
    }

    /// A file of the release, as `usr/share/…`.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The words that start a program of the release, as `ovs-vsctl`, under that name.
    #[must_use]
    pub fn words(&self, program: &str) -> Vec<String> {
        let place = PLACES.iter().map(|place| self.root.join(place).join(program));
        let path = place.into_iter().find(|path| path.exists()).unwrap_or_default();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let libraries = format!("usr/lib/{}-linux-gnu", env::consts::ARCH);
        vec![
            text(self.root.join(LOADER)),
            "--library-path".into(),
            text(self.root.join(libraries)),
            "--argv0".into(),
            program.into(),
            text(path),
        ]
    }
}

/// What the folder holds, for the next who asks.
fn wanted() -> String {
    PACKAGES.join("\n")
}

/// Fetches the packages and unpacks them into this folder.
fn fetch(into: &Path) -> Result<(), PackageError> {
    let apt = into.join("apt");
    let file = |source| PackageError::File { path: apt.display().to_string(), source };
    for folder in ["state/lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(apt.join(folder)).map_err(file)?;
    }
    let sources = format!("deb [signed-by={KEYRING}] {} {RELEASE} main\n", mirror());
    fs::write(apt.join("sources.list"), sources).map_err(file)?;
    apt_get(&apt, "update", &[])?;
    apt_get(&apt, "download", PACKAGES)?;
    for package in fs::read_dir(apt.join("packages")).map_err(file)? {
        let package = package.map_err(file)?.path();
        let mut unpack = Command::new("dpkg-deb");
        let output = run("dpkg-deb", unpack.arg("--extract").args([&package, into]))?;
        if !output.status.success() {
            return Err(PackageError::Apt {
                missing: vec![package.display().to_string()],
                step: "unpack",
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
    }
    fs::remove_dir_all(&apt).map_err(file)
}

/// Runs `apt-get` with lists, cache and state in this folder, where the system's are left alone.
fn apt_get(folder: &Path, step: &'static str, packages: &[&str]) -> Result<(), PackageError> {
    let mut apt = Command::new("apt-get");
    apt.current_dir(folder.join("packages")).arg("--quiet=2");
    for (option, file) in
        [("Etc::SourceList", "sources.list"), ("State", "state"), ("Cache", "cache")]
    {
        apt.arg("-o").arg(format!("Dir::{option}={}", folder.join(file).display()));
    }
    for option in [
        "Dir::Etc::SourceParts=/dev/null",
        "Dir::State::status=/dev/null",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
        "APT::Sandbox::User=root",
    ] {
        apt.args(["-o", option]);
    }
    let output = run("apt-get", apt.arg(step).args(packages).stdin(Stdio::null()))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let missing = PACKAGES.iter().map(|name| format!("{name} ({RELEASE})")).collect();
    Err(PackageError::Apt { missing, step, stderr })
}

/// Where this system's own packages come from; the releases stand beside each other there.
fn mirror() -> String {
    let mut targets = Command::new("apt-get");
    targets.args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        "Label: Debian",
    ]);
    let output = run("apt-get", &mut targets).map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    text.lines().next().filter(|uri| !uri.is_empty()).unwrap_or(MIRROR).to_owned()
}

const RELEASE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Written last, tells what was unpacked.
const LIST: &str = "packages";
const PLACES: &[&str] = &["usr/lib/openvswitch-switch", "usr/bin", "usr/sbin"];
const LOADER: &str = if cfg!(target_arch = "aarch64") {
    "usr/lib/ld-linux-aarch64.so.1"
} else {
    "usr/lib64/ld-linux-x86-64.so.2"
};
/// The switch, and every library that it or its tools load.
const PACKAGES: &[&str] = &[
    "openvswitch-switch",
    "openvswitch-common",
    "libc6",
    "libbpf1",
    "libcap-ng0",
    "libelf1t64",
    "libevent-2.1-7t64",
    "libnuma1",
    "libssl3t64",
    "libunbound8",
    "libxdp1",
    "libzstd1",
    "zlib1g",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    #[test]
    fn programs_of_the_other_release_run_with_libraries_of_their_own() {
        let apart = Apart::trixie().unwrap();
        for program in
            ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"]
        {
            let words = apart.words(program);
            let said = process::run(Command::new(&words[0]).args(&words[1..]).arg("--version"));
            assert!(said.unwrap().starts_with(&format!("{program} (Open vSwitch) 3.5")));
        }
        let loader = apart.words("ovs-vswitchd");
        let mut list = Command::new(&loader[0]);
        list.args(&loader[1..3]).arg("--list").arg(&loader[5]);
        for line in process::run(&mut list).unwrap().lines().filter(|line| line.contains("=>")) {
            assert!(line.contains("/target/trixie/"), "{line}");
        }
    }
}
