//! Watching a translation.

use crate::action::Action;
use crate::table::Rule;

/// Gets told what translation does, as it does it. `depth` counts nested resubmits from 0.
pub trait Recorder {
    /// A table was looked up; `None`: nothing matched.
    fn table(&mut self, depth: u32, table: u8, rule: Option<&Rule>);
    /// An action is about to act.
    fn action(&mut self, depth: u32, action: &Action);
    /// Something worth saying happened.
    fn note(&mut self, depth: u32, text: &str);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Recorder for Silent {
    fn table(&mut self, _: u32, _: u8, _: Option<&Rule>) {}
    fn action(&mut self, _: u32, _: &Action) {}
    fn note(&mut self, _: u32, _: &str) {}
}
