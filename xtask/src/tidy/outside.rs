//! The text of the repository stands on its own: it names no place outside of it.
//!
//! A path on somebody's machine, or one that climbs out of the clone, means nothing to the next
//! reader and works nowhere else.

use super::Report;
use super::tree::Tree;

/// Folders in which people keep their clones, spelt apart so that this file does not hold them.
const HOMES: &[&str] = &[concat!("/wo", "rk"), concat!("/ho", "me"), concat!("/ro", "ot")];

/// Adds a finding for each path that leads out of the repository.
pub(crate) fn check(tree: &Tree, report: &mut Report) {
    for (file, text) in tree.texts() {
        let depth = file.matches('/').count();
        for (index, line) in text.lines().enumerate() {
            for path in paths(line) {
                if HOMES.iter().any(|home| is_below(path, home)) {
                    report.find(file, index + 1, format!("`{path}` is a place on one machine"));
                } else if climbs(path) > depth {
                    report.find(file, index + 1, format!("`{path}` leads out of the repository"));
                }
            }
        }
    }
}

/// The words of `line` that look like paths.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let part_of_path = |c: char| c.is_alphanumeric() || "/._-~+".contains(c);
    // A full stop after a word ends the sentence, not the path.
    let bare = |word| match str::strip_suffix(word, ".") {
        Some(stem) if !stem.ends_with(['.', '/']) => stem,
        _ => word,
    };
    line.split(move |c| !part_of_path(c)).map(bare).filter(|word| word.contains('/'))
}

/// Whether `path` is absolute and is `folder` or lies in it.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How many folders a relative path climbs before it goes down.
fn climbs(path: &str) -> usize {
    path.split('/').take_while(|part| *part == "..").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(file: &str, text: &str) -> usize {
        let mut report = Report::default();
        check(&Tree::made_up(&[(file, text)]), &mut report);
        report.findings.len()
    }

    #[test]
    fn paths_inside_and_system_paths_pass() {
        let text = "see docs/work/a.md, /var/run/x, /tmp/y, a/../b and ../dp-core/src";
        assert_eq!(findings("docs/b.md", text), 0);
        assert_eq!(findings("docs/b.md", "https://example.org/work/x"), 0);
    }

    #[test]
    fn places_on_one_machine_are_found() {
        for home in HOMES {
            assert_eq!(findings("a.md", &format!("look at `{home}/x/y`")), 1, "{home}");
            assert_eq!(findings("a.rs", &format!("//! In {home}.")), 1, "{home}");
            assert_eq!(findings("a.rs", &format!("//! In {home}s/x.")), 0, "{home}");
        }
    }

    #[test]
    fn climbing_out_is_found_by_depth() {
        assert_eq!(findings("a.md", "read ../x/y.md"), 1);
        assert_eq!(findings("docs/a.md", "read ../x/y.md"), 0);
        assert_eq!(findings("docs/a.md", "read ../../x/y.md"), 1);
    }
}
