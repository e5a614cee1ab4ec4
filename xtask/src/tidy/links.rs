//! Relative links in Markdown lead to files and headings that exist, and every document of `docs/`
//! is in its index.

use std::collections::BTreeSet;

use super::Report;
use super::tree::Tree;

/// The index of the documents.
const INDEX: &str = "docs/README.md";

/// Adds a finding for each link to a file or heading that is not there, and each document that the
/// index does not link.
pub(crate) fn check(tree: &Tree, report: &mut Report) {
    check_links(tree, report);
    let linked: BTreeSet<String> = tree
        .text(INDEX)
        .unwrap_or_default()
        .lines()
        .flat_map(targets)
        .filter_map(|target| resolve(INDEX, target.split('#').next()?))
        .collect();
    for (file, _) in tree.with_extension("md") {
        if file.starts_with("docs/") && file != INDEX && !linked.contains(file) {
            report.find(file, 1, format!("is not linked from {INDEX}"));
        }
    }
}

fn check_links(tree: &Tree, report: &mut Report) {
    for (file, text) in tree.with_extension("md") {
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            if is_fence(line) {
                fenced = !fenced;
            }
            for target in targets(line).into_iter().filter(|_| !fenced) {
                if let Some(problem) = problem(tree, file, target) {
                    report.find(file, index + 1, problem);
                }
            }
        }
    }
}

/// The targets of `[text](target)` and `[name]: target` in one line, code spans left out.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for prose in line.split('`').step_by(2) {
        for (at, _) in prose.match_indices("](") {
            let rest = &prose[at + 2..];
            let end = rest.find([')', ' ']).unwrap_or(rest.len());
            found.push(&rest[..end]);
        }
    }
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.push(target.trim());
    }
    found
}

/// What is wrong with `target`, seen from `file`.
fn problem(tree: &Tree, file: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').map_or((target, None), |(p, h)| (p, Some(h)));
    let path = if path.is_empty() { file.to_owned() } else { resolve(file, path)? };
    if !tree.exists(&path) {
        return Some(format!("link to `{target}`: there is no {path}"));
    }
    let (heading, text) = (heading?, tree.text(&path)?);
    let known = path.ends_with(".md") && !headings(text).contains(heading);
    known.then(|| format!("link to `{target}`: {path} has no such heading"))
}

/// `target` relative to the folder of `file`; `None` when it leaves the repository, which is
/// another check's business.
fn resolve(file: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a document's headings, as the usual renderers make them.
fn headings(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        if is_fence(line) {
            fenced = !fenced;
        }
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        anchors.insert(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    anchors
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let tree = Tree::made_up(&[
            ("docs/a.md", text),
            ("docs/b.md", "# One\n## Two words, and `more`\n"),
            ("docs/README.md", "[a](a.md) [b](b.md#one)"),
            ("dp-core/src/lib.rs", ""),
        ]);
        let mut report = Report::default();
        check(&tree, &mut report);
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[b](b.md) [two](b.md#two-words-and-more) [core](../dp-core) [x](https://x.y/z)
[code](../dp-core/src/lib.rs#L1) `[not](a-link)` [me](#here)\n# Here\n[r]: b.md
```\n[fenced](nowhere.md)\n```\n";
        assert_eq!(findings(text), [""; 0]);
    }

    #[test]
    fn a_document_outside_the_index_is_found() {
        let tree = Tree::made_up(&[("docs/README.md", "none"), ("docs/a.md", ""), ("b.md", "")]);
        let mut report = Report::default();
        check(&tree, &mut report);
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].file, "docs/a.md");
    }

    #[test]
    fn dead_links_are_found_at_their_line() {
        let found = findings("\n[c](c.md) and [b](b.md#three)\n[r]: ../gone\n[s](#nowhere)");
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("docs/a.md:2: link to `c.md`"), "{found:?}");
        assert!(found[1].contains("no such heading"), "{found:?}");
    }
}
