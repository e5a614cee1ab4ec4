//! The repository as the checks see it: relative paths and their text.
//!
//! A value and not a folder, so that a test can make one up in three lines.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Files by path relative to the top folder, `/` between folders.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// `None` for a file that is no UTF-8 text (captures, corpora).
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// The files that git tracks at `root` or would track (new ones that are not ignored).
    pub(crate) fn of_repository(root: &Path) -> Result<Self> {
        // A clone owned by somebody else (a container's mount) is still this repository.
        let safe = format!("safe.directory={}", root.display());
        let mut git = Command::new("git");
        git.current_dir(root).args(["-c", &safe, "ls-files", "-z"]);
        git.args(["--cached", "--others", "--exclude-standard"]);
        let mut files = BTreeMap::new();
        for path in process::output(&mut git)?.split_terminator('\0') {
            let full = root.join(path);
            if !full.is_file() {
                continue; // removed from the working tree and not yet from the index
            }
            let bytes = std::fs::read(&full).with_context(|| format!("cannot read {path}"))?;
            files.insert(path.to_owned(), String::from_utf8(bytes).ok());
        }
        Ok(Self { files })
    }

    /// The text files with their text, in path order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text files whose name ends with `.extension`.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| {
            path.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'))
        })
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether `path` is a file of the tree, or a folder that holds one.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(format!("{path}/")..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(path))
    }

    /// A made-up tree.
    #[cfg(test)]
    pub(crate) fn made_up(files: &[(&str, &str)]) -> Self {
        let own = |&(path, text): &(&str, &str)| (path.to_owned(), Some(text.to_owned()));
        Self { files: files.iter().map(own).collect() }
    }
}
