//! `dp-core` stays pure: no I/O, no threads, no clock, no output.
//!
//! Purity is what lets every table be tested under a virtual clock and the whole datapath run
//! under an interpreter. The compiler cannot see it, for `std` is always there, so the paths are
//! read. Tests are exempt.

use super::Report;
use super::source::{Source, Sources};

/// Modules of `std` that reach outside, and the names in them that are plain values.
const REACHES_OUT: &[(&str, &[&str])] = &[
    ("env", &[]),
    ("fs", &[]),
    ("io", &[]),
    ("net", &["IpAddr", "Ipv4Addr", "Ipv6Addr"]),
    ("os", &[]),
    ("process", &[]),
    ("thread", &[]),
    ("time", &["Duration"]),
];

/// What any room may take from `std::sync`; atomics and locks are the `sync` room's own.
const SHARED: &[&str] = &["Arc", "LazyLock", "OnceLock", "Weak"];

/// Macros that write to the outside.
const PRINTS: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

/// Adds a finding for each impure path or macro in `dp-core`'s own code.
pub(crate) fn check(sources: &Sources, report: &mut Report) {
    for source in sources.library("dp-core") {
        check_paths(source, report);
        check_macros(source, report);
    }
}

fn check_paths(source: &Source, report: &mut Report) {
    for path in source.paths().iter().filter(|path| !path.test) {
        let names: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let ["std" | "core" | "alloc", module, rest @ ..] = names.as_slice() else { continue };
        let first = rest.first().copied();
        let values = REACHES_OUT.iter().find(|(m, _)| m == module).map(|(_, values)| *values);
        if values.is_some_and(|values| first.is_none_or(|name| !values.contains(&name))) {
            let text = format!("dp-core is pure: `{}` reaches outside", names.join("::"));
            report.find(&source.file, path.line, text);
        }
        let in_sync = source.file_module().first().is_some_and(|room| room == "sync");
        if *module == "sync" && !in_sync && first.is_none_or(|name| !SHARED.contains(&name)) {
            let text = format!("`{}` belongs into dp_core::sync", names.join("::"));
            report.find(&source.file, path.line, text);
        }
    }
}

fn check_macros(source: &Source, report: &mut Report) {
    for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| !token.test) {
        let Some(name) = source.ident(index).filter(|name| PRINTS.contains(name)) else { continue };
        if source.punct(index + 1, '!') {
            let text = format!("dp-core is pure: `{name}!` writes to the outside");
            report.find(&source.file, token.line, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn findings(file: &str, text: &str) -> Vec<String> {
        let mut report = Report::default();
        let sources = Sources::parse(&Tree::made_up(&[(file, text)]), &mut report);
        check(&sources, &mut report);
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn plain_values_pass() {
        let text = "use std::net::Ipv4Addr; use core::time::Duration; use std::sync::Arc;
                    use std::collections::HashMap; use core::fmt;";
        assert_eq!(findings("dp-core/src/flow.rs", text), [""; 0]);
    }

    #[test]
    fn files_threads_clocks_and_prints_are_found() {
        for text in [
            "use std::fs::File;",
            "use std::{io, fmt};",
            "use std::time::{Duration, Instant};",
            "use std::net::*;",
            "fn f() { std::thread::spawn(g); }",
            "fn f() { println!(\"x\"); }",
        ] {
            assert_eq!(findings("dp-core/src/flow.rs", text).len(), 1, "{text}");
            assert_eq!(findings("dp-netdev/src/pmd.rs", text).len(), 0, "{text}");
            let in_test = format!("#[cfg(test)] mod tests {{ {text} }}");
            assert_eq!(findings("dp-core/src/flow.rs", &in_test).len(), 0, "{text}");
        }
    }

    #[test]
    fn atomics_live_in_sync() {
        let text = "use std::sync::atomic::AtomicU64;";
        assert_eq!(findings("dp-core/src/sync/ring.rs", text), [""; 0]);
        assert!(findings("dp-core/src/lookup/emc.rs", text)[0].contains("dp_core::sync"));
    }
}
