//! Who depends on whom between packages, and on what outside.
//!
//! Cargo refuses cycles but no direction. The table says which packages of the workspace each one
//! may name; `dp-core` may besides only name crates that do no I/O. What only tests need
//! (`dev-dependencies`) may be anything that stands lower or beside.

use std::collections::BTreeMap;

use super::Report;
use super::tree::Tree;

/// Package and the packages of the workspace that its library may depend on.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("dp-core", &[]),
    ("dp-netdev", &["dp-core", "dpdk-sys"]),
    ("dp-ofproto", &["dp-core"]),
    ("dp-vswitchd", &["dp-core", "dp-netdev", "dp-ofproto"]),
    ("dpdk-sys", &[]),
    ("testkit", &["dp-core", "dp-netdev", "dp-ofproto", "dp-vswitchd"]),
    ("dp-examples", &["dp-core", "dp-netdev", "dp-ofproto", "dp-vswitchd"]),
    ("dp-benches", &["dp-core", "dp-netdev", "dp-ofproto", "dp-vswitchd", "dp-tests", "testkit"]),
    ("dp-tests", &["dp-core", "dp-netdev", "dp-ofproto", "dp-vswitchd", "testkit", "dp-examples"]),
    ("dp-fuzz", &["dp-core", "dp-netdev", "dp-ofproto", "dp-vswitchd"]),
    ("xtask", &[]),
];

/// What `dp-core` may use from outside: containers, hashing, byte views, reclamation.
const PURE: &[&str] = &[
    "ahash",
    "arrayvec",
    "arc-swap",
    "bitflags",
    "crossbeam-epoch",
    "crossbeam-utils",
    "hashbrown",
    "loom",
    "slab",
    "smallvec",
    "zerocopy",
];

/// Crates for programs: a library gives its callers typed errors.
const PROGRAMS_ONLY: &[&str] = &["anyhow", "clap"];

/// The libraries that others link.
const LIBRARIES: &[&str] = &["dp-core", "dp-netdev", "dp-ofproto"];

/// One entry of a dependency table.
struct Dependency {
    name: String,
    line: usize,
}

/// Adds a finding for each dependency that the table does not allow.
pub(crate) fn check(tree: &Tree, report: &mut Report) {
    let mut packages = BTreeMap::new();
    for (file, text) in tree.with_extension("toml") {
        // A crate outside the workspace stands for a user of dp and is bound by nothing here; the
        // models compile dp's own sources with a model checker beside them.
        let apart = ["tests/outside/", "races/"].iter().any(|folder| file.starts_with(folder));
        if !file.ends_with("Cargo.toml") || apart {
            continue;
        }
        match text.parse::<toml::Table>() {
            Ok(table) => {
                let package = table.get("package").and_then(|p| p.get("name"));
                if let Some(name) = package.and_then(toml::Value::as_str) {
                    packages.insert(name.to_owned(), (file, text, table));
                }
            }
            Err(error) => report.find(file, 1, format!("not TOML: {}", error.message())),
        }
    }
    for (package, (file, text, table)) in &packages {
        let Some((_, allowed)) = MAY_DEPEND.iter().find(|(name, _)| name == package) else {
            let text = "unknown to the table in xtask/src/tidy/manifests.rs: add its package";
            report.find(file, 1, text);
            continue;
        };
        for dependency in dependencies(text, table) {
            let ours = packages.contains_key(&dependency.name);
            if let Some(text) = objection(package, &dependency.name, ours, allowed) {
                report.find(file, dependency.line, text);
            }
        }
        if table.get("lints").and_then(|l| l.get("workspace")).is_none() {
            report.find(file, 1, "does not take the workspace's lints");
        }
    }
}

/// Why `package` may not depend on `name`.
fn objection(package: &str, name: &str, ours: bool, allowed: &[&str]) -> Option<String> {
    if ours && !allowed.contains(&name) {
        return Some(format!("{package} may not depend on {name}: imports go downward"));
    }
    if !ours && package == "dp-core" && !PURE.contains(&name) {
        return Some(format!("dp-core is pure: {name} is not on its list of crates without I/O"));
    }
    if LIBRARIES.contains(&package) && PROGRAMS_ONLY.contains(&name) {
        return Some(format!("{name} is for programs: a library has typed errors and no options"));
    }
    None
}

/// The normal and build dependencies of a manifest, those of `[target]` tables included.
fn dependencies(text: &str, table: &toml::Table) -> Vec<Dependency> {
    let mut tables = vec![table];
    if let Some(targets) = table.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let kinds = ["dependencies", "build-dependencies"];
    let entries = tables.iter().flat_map(|t| kinds.map(|kind| t.get(kind)));
    let mut found = Vec::new();
    for (key, value) in entries.flatten().filter_map(toml::Value::as_table).flatten() {
        // `short = { package = "long" }` depends on `long`.
        let name = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
        let line = text.lines().position(|line| line.trim_start().starts_with(key.as_str()));
        found.push(Dependency { name: name.to_owned(), line: line.map_or(1, |l| l + 1) });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(package: &str, body: &str) -> Vec<String> {
        let manifest = |name: &str, body: &str| {
            format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{body}")
        };
        let (this, other) = (manifest(package, body), manifest("dp-netdev", ""));
        let core = manifest("dp-core", "");
        let mut files = vec![("a/Cargo.toml", other.as_str()), ("b/Cargo.toml", core.as_str())];
        files.push(("c/Cargo.toml", &this));
        let mut report = Report::default();
        check(&Tree::made_up(&files), &mut report);
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_allowed_direction_passes() {
        let body = "[dependencies]\ndp-core.workspace = true\nthiserror = \"2\"\n";
        assert_eq!(findings("dp-ofproto", body), [""; 0]);
        let body = "[dependencies]\nsmallvec = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
        assert_eq!(findings("dp-core", body), [""; 0]);
    }

    #[test]
    fn slow_path_and_ports_do_not_know_each_other() {
        let found = findings("dp-ofproto", "[dependencies]\ndp-netdev.workspace = true\n");
        assert_eq!(
            found,
            ["c/Cargo.toml:6: dp-ofproto may not depend on dp-netdev: imports go downward"]
        );
    }

    #[test]
    fn the_core_takes_no_crate_with_io_even_renamed_or_for_one_target() {
        for body in [
            "[dependencies]\nlibc = \"0.2\"\n",
            "[dependencies]\nsmallvec = { package = \"mio\", version = \"1\" }\n",
            "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n",
            "[build-dependencies]\ncc = \"1\"\n",
        ] {
            let found = findings("dp-core", body);
            assert!(found.len() == 1 && found[0].contains("dp-core is pure"), "{found:?}");
        }
    }

    #[test]
    fn libraries_have_typed_errors() {
        let found = findings("dp-ofproto", "[dependencies]\nanyhow = \"1\"\n");
        assert!(found[0].contains("is for programs"), "{found:?}");
    }

    #[test]
    fn packages_without_a_row_or_without_lints_are_found() {
        let found = findings("attic", "");
        assert!(found[0].contains("unknown to the table"), "{found:?}");
        let bare = "[package]\nname = \"xtask\"\n";
        let mut report = Report::default();
        check(&Tree::made_up(&[("xtask/Cargo.toml", bare)]), &mut report);
        assert!(report.findings[0].text.contains("lints"), "{:?}", report.findings);
    }
}
