//! What is done to the disk, in order: for tests that cut the power in between.
//!
//! Durability is a matter of order: of what was written, what made it durable, and what was said to
//! clients meanwhile. [`super::log`] notes each step here. Outside of tests nothing is kept.

use std::path::Path;

/// One step.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests keep the steps"))]
pub(super) enum Step<'a> {
    /// A new file is there.
    Create(&'a Path),
    /// These bytes were appended.
    Write(&'a Path, &'a [u8]),
    /// What was written to the file is durable.
    Sync(&'a Path),
    /// A file has another's name.
    Rename(&'a Path, &'a Path),
    /// The names in the folder are durable.
    SyncFolder,
}

/// Notes a step.
#[cfg(not(test))]
pub(super) fn note(_: Step<'_>) {}

#[cfg(test)]
pub(super) use recorded::note;
#[cfg(test)]
pub(in crate::ovsdb) use recorded::{Noted, begin, take};

#[cfg(test)]
mod recorded {
    use std::cell::RefCell;
    use std::path::PathBuf;

    use super::Step;

    /// A step that is kept.
    #[derive(Clone, Debug)]
    pub(in crate::ovsdb) enum Noted {
        Create(PathBuf),
        Write(PathBuf, Vec<u8>),
        Sync(PathBuf),
        Rename(PathBuf, PathBuf),
        SyncFolder,
    }

    thread_local! {
        static STEPS: RefCell<Option<Vec<Noted>>> = const { RefCell::new(None) };
    }

    /// Keeps the steps of this thread from now on.
    pub(in crate::ovsdb) fn begin() {
        STEPS.set(Some(Vec::new()));
    }

    /// The steps since the last call.
    pub(in crate::ovsdb) fn take() -> Vec<Noted> {
        STEPS.with_borrow_mut(|steps| steps.as_mut().map(std::mem::take).unwrap_or_default())
    }

    pub(in crate::ovsdb::file) fn note(step: Step<'_>) {
        STEPS.with_borrow_mut(|steps| {
            let Some(steps) = steps else { return };
            steps.push(match step {
                Step::Create(path) => Noted::Create(path.to_owned()),
                Step::Write(path, bytes) => Noted::Write(path.to_owned(), bytes.to_owned()),
                Step::Sync(path) => Noted::Sync(path.to_owned()),
                Step::Rename(from, to) => Noted::Rename(from.to_owned(), to.to_owned()),
                Step::SyncFolder => Noted::SyncFolder,
            });
        });
    }
}
