//! The shape of files: none over a thousand lines, each opening with what it is, none a drawer.
//!
//! The share of all lines that stand in big files is the best single figure we know for how hard a
//! code base is to change, so it is printed even while it is zero.

use super::Report;
use super::tree::Tree;

/// Lines a Rust file may have.
const MOST_LINES: usize = 1000;

/// Names that say where a thing was put and not what it is.
const DRAWERS: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

/// Adds a finding for each file that is too long, unexplained or badly named.
pub(crate) fn check(tree: &Tree, report: &mut Report) {
    let (mut total, mut in_big, mut files) = (0, 0, 0);
    let mut longest = (0, "");
    for (file, text) in tree.with_extension("rs") {
        let lines = text.lines().count();
        files += 1;
        total += lines;
        longest = longest.max((lines, file));
        if lines > MOST_LINES {
            in_big += lines;
            let text = format!("{lines} lines: split it, {MOST_LINES} are the most");
            report.find(file, MOST_LINES + 1, text);
        }
        // The name of `foo/tests.rs` says it all: the tests of `foo`.
        if !text.starts_with("//!") && !file.ends_with("/tests.rs") {
            report.find(file, 1, "does not open with `//!`: say what it is and why");
        }
        let parts = file.split('/').map(|part| part.trim_end_matches(".rs"));
        for drawer in parts.filter(|part| DRAWERS.contains(part)) {
            report.find(file, 1, format!("`{drawer}` says nothing: name the idea"));
        }
    }
    let share = 100 * in_big / total.max(1);
    report.figure(format!("Rust: {total} lines in {files} files, {share} % in files over 1,000"));
    report.figure(format!("longest: {} lines in {}", longest.0, longest.1));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(file: &str, text: &str) -> Report {
        let mut report = Report::default();
        check(&Tree::made_up(&[(file, text), ("b.rs", "//! B.\n//! C.\n")]), &mut report);
        report
    }

    #[test]
    fn a_plain_file_passes() {
        assert_eq!(report("dp-core/src/flow/key.rs", "//! Keys.\n").findings, []);
    }

    #[test]
    fn a_long_file_is_found_and_its_share_printed() {
        let report = report("a.rs", &"//! A.\n".repeat(MOST_LINES + 1));
        assert_eq!(report.findings[0].line, MOST_LINES + 1);
        assert!(report.figures[0].contains("99 % in files over"), "{:?}", report.figures);
    }

    #[test]
    fn a_file_without_an_opening_is_found() {
        assert_eq!(report("a.rs", "use std::fmt;\n//! Late.\n").findings.len(), 1);
        assert_eq!(report("a/tests.rs", "use super::*;\n").findings, []);
    }

    #[test]
    fn drawers_are_found_as_files_and_as_folders() {
        assert_eq!(report("dp-core/src/util.rs", "//! U.\n").findings.len(), 1);
        assert_eq!(report("dp-core/src/common/x.rs", "//! U.\n").findings.len(), 1);
    }
}
