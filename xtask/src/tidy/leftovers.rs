//! Nothing unfinished is left behind: no stub macros, no ignored tests, no notes to self.

use proc_macro2::Delimiter;

use super::Report;
use super::source::{Source, Sources};
use super::tree::Tree;

/// Macros that stand in for code.
const STUBS: &[&str] = &["dbg", "todo", "unimplemented"];

/// Words that mark unfinished work, spelt apart so that this file does not hold them.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX"), concat!("TO", "DO")];

/// Adds a finding for each leftover in code or text.
pub(crate) fn check(tree: &Tree, sources: &Sources, report: &mut Report) {
    for source in sources.iter() {
        check_tokens(source, report);
    }
    for (file, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            for mark in MARKS.iter().filter(|mark| has_word(line, mark)) {
                report.find(file, index + 1, format!("{mark}: finish it or leave it out"));
            }
        }
    }
}

fn check_tokens(source: &Source, report: &mut Report) {
    for (index, token) in source.tokens.iter().enumerate() {
        let Some(name) = source.ident(index) else { continue };
        if STUBS.contains(&name) && source.punct(index + 1, '!') {
            report.find(&source.file, token.line, format!("`{name}!` is left behind"));
        }
        let in_attribute = index >= 2
            && source.opens(index - 1, Delimiter::Bracket)
            && source.punct(index - 2, '#');
        if name == "ignore" && in_attribute {
            report.find(&source.file, token.line, "an ignored test tests nothing");
        }
    }
}

/// Whether `line` holds `word` with no letter, digit or `_` beside it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(file: &str, text: &str) -> usize {
        let mut report = Report::default();
        let tree = Tree::made_up(&[(file, text)]);
        let sources = Sources::parse(&tree, &mut report);
        check(&tree, &sources, &mut report);
        report.findings.len()
    }

    #[test]
    fn stubs_and_ignored_tests_are_found() {
        for name in STUBS {
            assert_eq!(findings("a.rs", &format!("fn f() {{ {name}!() }}")), 1, "{name}");
        }
        assert_eq!(findings("a.rs", "#[ignore = \"slow\"]\n#[test]\nfn t() {}"), 1);
        assert_eq!(findings("a.rs", "fn ignore() {}\nfn todo() {}"), 0);
    }

    #[test]
    fn marks_are_found_in_any_text_as_whole_words() {
        for mark in MARKS {
            assert_eq!(findings("notes.md", &format!("- {mark}: later")), 1, "{mark}");
            assert_eq!(findings("run.sh", &format!("mktemp /tmp/a.{mark}{mark}")), 0, "{mark}");
        }
    }
}
