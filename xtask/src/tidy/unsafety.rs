//! `unsafe` stays in files named `*_unsafe.rs`, and each use of it is argued.
//!
//! The name makes a review of the unsafe code a matter of listing files. The argument is a
//! `// SAFETY:` comment directly above the block or the statement that holds it.

use proc_macro2::Delimiter;

use super::Report;
use super::source::{Source, Sources};
use super::tree::Tree;

/// Adds a finding for `unsafe` in other files and for blocks without an argument; lists the files.
pub(crate) fn check(tree: &Tree, sources: &Sources, report: &mut Report) {
    let mut files = 0;
    for source in sources.iter() {
        let lines: Vec<&str> = tree.text(&source.file).unwrap_or_default().lines().collect();
        let named = source.file.ends_with("_unsafe.rs");
        let mut count = 0;
        for line in unsafe_lines(source, named, report) {
            count += 1;
            if !is_argued(&lines, line) {
                report.find(&source.file, line, "unsafe without a `// SAFETY:` comment above it");
            }
        }
        if named {
            files += 1;
            report.figure(format!("unsafe: {count:>4} places in {}", source.file));
            if count == 0 {
                report.find(&source.file, 1, "named for unsafe code and holds none");
            }
        }
    }
    report.figure(format!("unsafe: {files} files"));
}

/// The lines of `unsafe {` and `unsafe impl`; any `unsafe` outside a file named for it is found.
fn unsafe_lines(source: &Source, named: bool, report: &mut Report) -> Vec<usize> {
    let mut lines = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if source.ident(index) != Some("unsafe") {
            continue;
        }
        if !named {
            report.find(&source.file, token.line, "unsafe outside a file named `*_unsafe.rs`");
        }
        let block = source.opens(index + 1, Delimiter::Brace);
        if block || source.ident(index + 1) == Some("impl") {
            lines.push(token.line);
        }
    }
    lines
}

/// Whether the comment above `line` (from 1), or above the statement it is part of, argues safety.
fn is_argued(lines: &[&str], line: usize) -> bool {
    for text in lines.iter().take(line.saturating_sub(1)).rev() {
        let text = text.trim();
        if text.starts_with("//") {
            if text.contains("SAFETY:") {
                return true;
            }
        } else if text.is_empty() || text.ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(file: &str, text: &str) -> Vec<String> {
        let mut report = Report::default();
        let tree = Tree::made_up(&[(file, text)]);
        let sources = Sources::parse(&tree, &mut report);
        check(&tree, &sources, &mut report);
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn argued_blocks_in_named_files_pass() {
        let text = "// SAFETY: T is plain data.\nunsafe impl Send for T {}\n
fn f() -> u8 {
    // SAFETY: `p` is valid:
    // see `new`.
    let x =
        unsafe { *p };
    x
}";
        assert_eq!(findings("dp-core/src/a_unsafe.rs", text), [""; 0]);
    }

    #[test]
    fn a_block_without_argument_is_found() {
        let text = "// SAFETY: of another.\nfn f() {\n    unsafe { g() }\n}";
        assert_eq!(
            findings("dp-core/src/a_unsafe.rs", text),
            ["dp-core/src/a_unsafe.rs:3: unsafe without a `// SAFETY:` comment above it"]
        );
    }

    #[test]
    fn unsafe_elsewhere_is_found_even_when_argued() {
        for text in ["unsafe fn f() {}", "fn f() {\n// SAFETY: none needed.\nunsafe { g() }\n}"] {
            let found = findings("dp-core/src/a.rs", text);
            assert!(found[0].contains("outside a file named"), "{found:?}");
        }
    }

    #[test]
    fn a_named_file_without_unsafe_is_found() {
        assert!(findings("dp-core/src/a_unsafe.rs", "fn f() {}")[0].contains("holds none"));
    }
}
