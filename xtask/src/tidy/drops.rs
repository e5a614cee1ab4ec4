//! Every drop reason is raised by the code and named by a test.
//!
//! A reason that nothing raises is a counter that always says zero; one that no test names is a
//! promise nobody checked. *Raised* means a path `DropReason::X` outside the file that defines it
//! and outside test code, unless it is the pattern of a `match` arm. The same holds for an enum
//! named `Counter`, where a crate has one.

use std::collections::BTreeMap;

use proc_macro2::Delimiter;

use super::Report;
use super::source::{Kind, Source, Sources};

/// Enums of which every variant must be raised and tested, with the macro that may define them.
const WATCHED: &[(&str, &str)] = &[("DropReason", "reasons"), ("Counter", "counters")];

/// The file that must define the drop reasons, where there is a `dp-core`.
const DROPS: &str = "dp-core/src/base/drop.rs";

/// Where one variant was seen.
#[derive(Default)]
struct Seen {
    raised: bool,
    tested: bool,
}

/// Adds a finding for each variant that is never raised or never tested.
pub(crate) fn check(sources: &Sources, report: &mut Report) {
    for (name, macro_name) in WATCHED {
        let mut defined = false;
        for source in sources.iter().filter(|s| !s.test && s.package.starts_with("dp-")) {
            let variants = variants(source, name, macro_name);
            defined |= !variants.is_empty();
            check_enum(sources, source, name, &variants, report);
        }
        if *name == "DropReason" && !defined && sources.library("dp-core").next().is_some() {
            report.find(DROPS, 1, "defines no drop reasons that tidy can read");
        }
    }
}

fn check_enum(
    sources: &Sources,
    definition: &Source,
    name: &str,
    variants: &[(String, usize)],
    report: &mut Report,
) {
    if variants.is_empty() {
        return;
    }
    let mut seen: BTreeMap<&str, Seen> =
        variants.iter().map(|(variant, _)| (variant.as_str(), Seen::default())).collect();
    let beside = definition.file.trim_end_matches(".rs");
    for source in sources.iter().filter(|s| !s.file.starts_with(beside)) {
        for path in source.paths() {
            let [.., owner, variant] = path.segments.as_slice() else { continue };
            let Some(seen) = seen.get_mut(variant.as_str()).filter(|_| owner == name) else {
                continue;
            };
            if path.test {
                seen.tested = true;
            } else if !is_pattern(source, path.end) {
                seen.raised = true;
            }
        }
    }
    for (variant, line) in variants {
        let Some(seen) = seen.get(variant.as_str()) else { continue };
        if !seen.raised {
            report.find(&definition.file, *line, format!("{name}::{variant} is never raised"));
        }
        if !seen.tested {
            report.find(&definition.file, *line, format!("{name}::{variant} is named by no test"));
        }
    }
    let raised = seen.values().filter(|s| s.raised && s.tested).count();
    report.figure(format!("{name}: {raised} of {} raised and tested", variants.len()));
}

/// The variants of `enum name {…}` or of `macro_name! {…}` in `source`, with their lines.
fn variants(source: &Source, name: &str, macro_name: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for index in 0..source.tokens.len() {
        let is_enum = source.ident(index) == Some("enum") && source.ident(index + 1) == Some(name);
        let is_call = source.ident(index) == Some(macro_name) && source.punct(index + 1, '!');
        if (is_enum || is_call) && source.opens(index + 2, Delimiter::Brace) {
            found.extend(names_between_commas(source, index + 2));
        }
    }
    found
}

/// The first identifier of each comma-separated entry of the group at `open`, attributes skipped.
fn names_between_commas(source: &Source, open: usize) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let close = source.closing(open);
    let mut index = open + 1;
    let mut at_start = true;
    while index < close {
        if source.punct(index, '#') {
            index += 1; // to the attribute's bracket, skipped below
        } else if source.punct(index, ',') {
            at_start = true;
        } else if at_start {
            if let Some(name) = source.ident(index) {
                found.push((name.to_owned(), source.tokens[index].line));
            }
            at_start = false;
        }
        if matches!(source.tokens[index].kind, Kind::Open(_)) {
            index = source.closing(index);
        }
        index += 1;
    }
    found
}

/// Whether the path that ends before `index` is the pattern of a match arm: `=>` follows, perhaps
/// after alternatives and a guard-less `|`.
fn is_pattern(source: &Source, mut index: usize) -> bool {
    while source.punct(index, '|') {
        index += 1;
        while source.ident(index).is_some() || source.punct(index, ':') {
            index += 1;
        }
    }
    source.punct(index, '=') && source.punct(index + 1, '>')
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const ENUM: &str = "pub enum DropReason {\n    /// One.\n    A,\n    /// Two.\n    B = 2,\n}";
    const MACRO: &str = "macro_rules! reasons { ($($v:ident = $n:literal,)+) => {
        pub enum DropReason { $($v,)+ } } }
        reasons! {\n /// One.\n A = \"a\",\n /// Two.\n B = \"b\",\n}";

    fn findings(definition: &str, files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![(DROPS, definition)];
        all.extend(files);
        let mut report = Report::default();
        let sources = Sources::parse(&Tree::made_up(&all), &mut report);
        check(&sources, &mut report);
        report.findings.into_iter().map(|f| f.text).collect()
    }

    #[test]
    fn raised_and_tested_reasons_pass() {
        let code = "fn f() -> D { if x { DropReason::A } else { crate::base::DropReason::B } }";
        let test = "#[test] fn t() { assert_eq!(f(), DropReason::A); g(DropReason::B); }";
        for definition in [ENUM, MACRO] {
            let files = [("dp-core/src/flow.rs", code), ("dp-core/tests/t.rs", test)];
            assert_eq!(findings(definition, &files), [""; 0]);
        }
    }

    #[test]
    fn a_reason_nobody_raises_or_tests_is_found() {
        let code = "fn f() { drop(DropReason::A); }";
        let found = findings(MACRO, &[("dp-core/src/flow.rs", code)]);
        assert_eq!(
            found,
            [
                "DropReason::A is named by no test",
                "DropReason::B is never raised",
                "DropReason::B is named by no test"
            ]
        );
    }

    #[test]
    fn match_arms_and_the_defining_file_do_not_raise() {
        let own = format!("{ENUM}\nfn all() -> [D; 2] {{ [DropReason::A, DropReason::B] }}");
        let arms = "fn f(d: D) { match d { DropReason::A | DropReason::B => 1 } }";
        let found = findings(&own, &[("dp-core/src/flow.rs", arms)]);
        assert_eq!(found.iter().filter(|f| f.contains("never raised")).count(), 2, "{found:?}");
    }

    #[test]
    fn an_unreadable_definition_is_found() {
        assert_eq!(findings("pub struct Nothing;", &[]).len(), 1);
    }
}
