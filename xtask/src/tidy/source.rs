//! Rust files as flat token lists, each token knowing its line, its module and whether it is test
//! code.
//!
//! Tokens and not a syntax tree: the checks ask for paths and keywords, also those inside macro
//! calls, which a syntax tree leaves opaque. Comments are not tokens, so words in prose never
//! trip a check.
//!
//! # Invariants
//! Delimiters are balanced: every `Open` has its `Close` at the same depth.

use std::collections::BTreeSet;
use std::str::FromStr;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::Report;
use super::tree::Tree;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident(String),
    /// One character; `true` when the next character follows without a gap.
    Punct(char, bool),
    Literal,
    Open(Delimiter),
    Close(Delimiter),
}

/// One token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// From 1.
    pub(crate) line: usize,
    /// Inside `#[cfg(test)]`, `#[test]`, or a file of tests.
    pub(crate) test: bool,
    /// Index into [`Source::modules`] of the module it stands in.
    module: usize,
}

/// A path as written, after `use` trees were spread out: `a::{b, c}` is two of them.
#[derive(Debug)]
pub(crate) struct PathUse {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
    module: usize,
    /// Index of the token after the path.
    pub(crate) end: usize,
}

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the repository.
    pub(crate) file: String,
    /// The folder of its package: `dp-core`, `xtask`, …
    pub(crate) package: String,
    pub(crate) tokens: Vec<Token>,
    /// Whether all of it is test code: a file of a `tests` folder or module.
    pub(crate) test: bool,
    /// Module paths inside the package's library that tokens stand in; the first is the file's.
    modules: Vec<Vec<String>>,
}

/// All Rust files of a tree.
#[derive(Debug)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    /// Reads every `.rs` file; one that is not Rust becomes a finding.
    pub(crate) fn parse(tree: &Tree, report: &mut Report) -> Self {
        let mut sources = Vec::new();
        let mut test_modules = BTreeSet::new();
        for (file, text) in tree.with_extension("rs") {
            match Source::parse(file, text) {
                Ok(source) => {
                    for module in source.test_module_files() {
                        test_modules.insert((source.package.clone(), module));
                    }
                    sources.push(source);
                }
                Err(line) => report.find(file, line, "not Rust: cannot be split into tokens"),
            }
        }
        for source in &mut sources {
            let path = source.file_module().to_vec();
            let under = |n| test_modules.contains(&(source.package.clone(), path[..n].to_vec()));
            if (1..=path.len()).any(under) {
                source.mark_as_test();
            }
        }
        Self(sources)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The files of one package's library, `src/` only.
    pub(crate) fn library(&self, package: &str) -> impl Iterator<Item = &Source> {
        let folder = format!("{package}/src/");
        self.0.iter().filter(move |s| s.file.starts_with(&folder))
    }
}

impl Source {
    /// Splits `text` into tokens; the error is the line where that fails.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, usize> {
        // Only `src` holds code that ships; what stands beside it is tests, benches, examples.
        let (package, inside) = match file.split_once("/src/") {
            Some((package, inside)) => (package, Some(inside)),
            None => (file.split('/').next().unwrap_or(file), None),
        };
        let is_test = inside.is_none() && !file.ends_with("/build.rs")
            || package == "tests"
            || package == "testkit"
            || file.split('/').any(|part| part == "tests" || part == "tests.rs");
        let stream = TokenStream::from_str(text).map_err(|error| error.span().start().line)?;
        let mut source = Self {
            file: file.to_owned(),
            package: package.to_owned(),
            tokens: Vec::new(),
            test: is_test,
            modules: vec![module_of(inside.unwrap_or_default())],
        };
        source.flatten(stream, 0, is_test);
        if source.opens_with_cfg_test() {
            source.mark_as_test();
        }
        Ok(source)
    }

    /// The module that the file is, as names below the crate's root; empty for the root itself.
    pub(crate) fn file_module(&self) -> &[String] {
        self.modules.first().map_or(&[], Vec::as_slice)
    }

    /// `path` as names below the crate's root, or `None` when it leads to another crate or is
    /// relative to a name in scope.
    pub(crate) fn in_crate(&self, path: &PathUse) -> Option<Vec<String>> {
        let mut base = self.modules.get(path.module).cloned().unwrap_or_default();
        let mut rest = path.segments.as_slice();
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            _ => return None,
        }
        while let Some((_, tail)) = rest.split_first().filter(|(first, _)| *first == "super") {
            base.pop();
            rest = tail;
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// Every path of at least two names.
    pub(crate) fn paths(&self) -> Vec<PathUse> {
        let mut found = Vec::new();
        let mut index = 0;
        while index < self.tokens.len() {
            let mut end = index;
            if self.ident(index).is_some() && !self.continues_a_path(index) {
                end = self.spread(index, Vec::new(), &mut found);
            }
            index = end.max(index + 1);
        }
        found
    }

    /// The identifier at `index`.
    pub(crate) fn ident(&self, index: usize) -> Option<&str> {
        match &self.tokens.get(index)?.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the token at `index` is the punctuation `c`.
    pub(crate) fn punct(&self, index: usize, c: char) -> bool {
        matches!(self.tokens.get(index), Some(Token { kind: Kind::Punct(p, _), .. }) if *p == c)
    }

    /// Whether the token at `index` opens a group of `delimiter`.
    pub(crate) fn opens(&self, index: usize, delimiter: Delimiter) -> bool {
        self.tokens.get(index).is_some_and(|t| t.kind == Kind::Open(delimiter))
    }

    /// The index of the `Close` that belongs to the `Open` at `open`.
    pub(crate) fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                Kind::Open(_) => depth += 1,
                Kind::Close(_) => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len()
    }

    /// Whether the two tokens from `index` are `::`.
    fn path_separator(&self, index: usize) -> bool {
        matches!(self.tokens.get(index), Some(Token { kind: Kind::Punct(':', true), .. }))
            && self.punct(index + 1, ':')
    }

    /// Whether the identifier at `index` follows `a::`, `>::` or `.` and so starts no path.
    fn continues_a_path(&self, index: usize) -> bool {
        if index >= 1 && self.punct(index - 1, '.') {
            return true;
        }
        let after_separator = index >= 2 && self.path_separator(index - 2);
        after_separator
            && index >= 3
            && (self.ident(index - 3).is_some_and(|name| name != "use")
                || self.punct(index - 3, '>'))
    }

    /// Reads the path or `use` tree at `index`, which follows `prefix`; returns the index after it.
    fn spread(&self, mut index: usize, prefix: Vec<String>, found: &mut Vec<PathUse>) -> usize {
        let Some(first) = self.tokens.get(index) else { return index };
        let (line, test, module) = (first.line, first.test, first.module);
        let mut segments = prefix;
        loop {
            if let Some(name) = self.ident(index) {
                segments.push(name.to_owned());
            } else if self.punct(index, '*') {
                segments.push("*".to_owned());
            } else if self.opens(index, Delimiter::Brace) {
                return self.spread_group(index, &segments, found);
            } else {
                break; // turbofish: the path ends before its generic arguments
            }
            index += 1;
            if !self.path_separator(index) {
                break;
            }
            index += 2;
        }
        if segments.len() > 1 {
            found.push(PathUse { segments, line, test, module, end: index });
        }
        index
    }

    /// Reads the members of `{…}` after `prefix`; returns the index after the brace.
    fn spread_group(&self, open: usize, prefix: &[String], found: &mut Vec<PathUse>) -> usize {
        let close = self.closing(open);
        let mut index = open + 1;
        while index < close {
            index = self.spread(index, prefix.to_vec(), found).max(index + 1);
            while index < close && !self.punct(index - 1, ',') {
                index += 1;
            }
        }
        close + 1
    }

    /// Appends `stream`, which stands in module `module`.
    fn flatten(&mut self, stream: TokenStream, module: usize, test: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut item_is_test = false;
        for (index, tree) in trees.iter().enumerate() {
            let line = tree.span().start().line;
            item_is_test |= is_test_attribute(&trees, index);
            let test = test || item_is_test;
            let mut push = |kind, line| self.tokens.push(Token { kind, line, test, module });
            match tree {
                TokenTree::Ident(ident) => push(Kind::Ident(ident.to_string()), line),
                TokenTree::Punct(p) => {
                    push(Kind::Punct(p.as_char(), p.spacing() == Spacing::Joint), line);
                }
                TokenTree::Literal(_) => push(Kind::Literal, line),
                TokenTree::Group(group) => {
                    push(Kind::Open(group.delimiter()), line);
                    let inner = self.module_opened_at(&trees, index, module);
                    self.flatten(group.stream(), inner, test);
                    let line = group.span_close().start().line;
                    let kind = Kind::Close(group.delimiter());
                    self.tokens.push(Token { kind, line, test, module });
                }
            }
            if ends_item(tree) {
                item_is_test = false;
            }
        }
    }

    /// The module inside the group at `index`: a new one when `mod name` stands before it.
    fn module_opened_at(&mut self, trees: &[TokenTree], index: usize, module: usize) -> usize {
        let brace =
            matches!(&trees[index], TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        let [TokenTree::Ident(keyword), TokenTree::Ident(name)] =
            &trees[index.saturating_sub(2)..index]
        else {
            return module;
        };
        if !brace || keyword != "mod" {
            return module;
        }
        let mut path = self.modules.get(module).cloned().unwrap_or_default();
        path.push(name.to_string());
        self.modules.push(path);
        self.modules.len() - 1
    }

    /// The modules of this file that are `mod name;` under `#[cfg(test)]`.
    fn test_module_files(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let is_mod = token.test && token.kind == Kind::Ident("mod".to_owned());
            if let Some(name) =
                self.ident(index + 1).filter(|_| is_mod && self.punct(index + 2, ';'))
            {
                let mut path = self.modules.get(token.module).cloned().unwrap_or_default();
                path.push(name.to_owned());
                found.push(path);
            }
        }
        found
    }

    /// Whether the file's first attributes hold `#![cfg(test)]`.
    fn opens_with_cfg_test(&self) -> bool {
        let kinds: Vec<&Kind> = self.tokens.iter().map(|t| &t.kind).collect();
        let ident = |kind: &Kind, name: &str| matches!(kind, Kind::Ident(i) if i == name);
        kinds.windows(6).any(|w| {
            *w[0] == Kind::Punct('#', true)
                && matches!(w[1], Kind::Punct('!', _))
                && ident(w[3], "cfg")
                && ident(w[5], "test")
        })
    }

    fn mark_as_test(&mut self) {
        self.test = true;
        for token in &mut self.tokens {
            token.test = true;
        }
    }
}

/// The module path of a file given relative to `src`.
fn module_of(inside: &str) -> Vec<String> {
    let mut path: Vec<String> =
        inside.strip_suffix(".rs").unwrap_or(inside).split('/').map(str::to_owned).collect();
    // `a/mod.rs` is module `a`; the crate's roots are no module.
    if path.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main" | "")) {
        path.pop();
    }
    path
}

/// Whether `#[cfg(test)]`, `#[cfg(all(test, …))]` or `#[test]` stands at `index`.
fn is_test_attribute(trees: &[TokenTree], index: usize) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = &trees[index..] else {
        return false;
    };
    if hash.as_char() != '#' {
        return false;
    }
    let words = group.stream().to_string();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    match words.first() {
        Some(&"test") => true,
        Some(&"cfg") => words.contains(&"test") && !words.contains(&"not"),
        _ => false,
    }
}

/// Whether an item ends with this token: `;` or a brace group.
fn ends_item(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Punct(p) => p.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(file: &str, text: &str) -> Vec<(String, usize, bool)> {
        let source = Source::parse(file, text).expect("Rust");
        let show = |p: &PathUse| {
            let absolute = source.in_crate(p).map(|s| format!("crate::{}", s.join("::")));
            (absolute.unwrap_or_else(|| p.segments.join("::")), p.line, p.test)
        };
        source.paths().iter().map(show).collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        let found = paths("dp-core/src/a/b.rs", "use crate::{x::{Y, z::*}, super_::W};\nfn f() {}");
        let names: Vec<&str> = found.iter().map(|(n, ..)| n.as_str()).collect();
        assert_eq!(names, ["crate::x::Y", "crate::x::z::*", "crate::super_::W"]);
    }

    #[test]
    fn super_counts_files_and_inline_modules() {
        let found = paths("dp-core/src/a/b.rs", "mod c {\n use super::super::d::E;\n}");
        assert_eq!(found, [("crate::a::d::E".to_owned(), 2, false)]);
        let found = paths("dp-core/src/a.rs", "use super::d::E; use self::f::G;");
        assert_eq!(found[0].0, "crate::d::E");
        assert_eq!(found[1].0, "crate::a::f::G");
    }

    #[test]
    fn paths_inside_macro_calls_and_expressions_are_seen() {
        let found = paths("dp-core/src/a.rs", "fn f() { assert_eq!(g(), crate::x::y::<u8>()); }");
        assert_eq!(found, [("crate::x::y".to_owned(), 1, false)]);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_paths() {
        let found = paths("dp-core/src/a.rs", "// crate::x::Y\nconst S: &str = \"crate::x::Y\";");
        assert_eq!(found, []);
    }

    #[test]
    fn test_code_is_told_from_the_rest() {
        let text = "use a::B;\n#[cfg(test)]\nmod tests {\n use c::D;\n}\nuse e::F;";
        let found = paths("dp-core/src/a.rs", text);
        let tests: Vec<bool> = found.iter().map(|(.., test)| *test).collect();
        assert_eq!(tests, [false, true, false]);
        assert!(paths("dp-core/src/a.rs", "#[cfg(not(test))]\nuse a::B;").iter().all(|p| !p.2));
        assert!(paths("dp-core/tests/a.rs", "use a::B;")[0].2);
        assert!(paths("dp-core/src/a/tests.rs", "use a::B;")[0].2);
        assert!(paths("dp-core/src/a.rs", "#![cfg(test)]\nuse a::B;")[0].2);
    }

    #[test]
    fn a_module_declared_for_tests_makes_its_file_test_code() {
        let tree = Tree::made_up(&[
            ("dp-core/src/a.rs", "#[cfg(test)]\nmod oracle;"),
            ("dp-core/src/a/oracle.rs", "use b::C;"),
            ("dp-core/src/a/other.rs", "use b::C;"),
        ]);
        let sources = Sources::parse(&tree, &mut Report::default());
        let test: Vec<bool> = sources.iter().map(|s| s.test).collect();
        assert_eq!(test, [false, true, false]);
    }

    #[test]
    fn a_file_that_is_no_rust_is_found_at_its_line() {
        let mut report = Report::default();
        Sources::parse(&Tree::made_up(&[("x/src/a.rs", "fn f() {\n  )\n}")]), &mut report);
        assert_eq!(report.findings[0].line, 2);
    }
}
