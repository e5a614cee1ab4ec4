//! What is wrong with a flow text, and where.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::action::ActionError;
use crate::matching::PrereqError;

/// A fault in a flow text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The file, if it was one.
    pub file: Option<Arc<str>>,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The column, in bytes from 1.
    pub column: usize,
    /// What stands there.
    pub token: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "column {}: ", self.column)?;
        if !self.token.is_empty() {
            write!(f, "`{}`: ", self.token)?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for TextError {}

/// What is wrong with a piece of text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// Neither a field nor a keyword.
    #[error("no such field or keyword; expected a match field, `ip`, `tcp`, `priority=` …")]
    UnknownKey,
    /// Not an action.
    #[error("unknown action")]
    UnknownAction,
    /// Not an option of this action.
    #[error("no such option")]
    UnknownOption,
    /// Something else stands here than must.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A value is missing.
    #[error("value missing; expected {0}")]
    Missing(&'static str),
    /// A value where none belongs.
    #[error("takes no value")]
    NoValue,
    /// A number is too large.
    #[error("too large; {what} has {bits} bits")]
    TooWide {
        /// What the number is for.
        what: &'static str,
        /// Bits there are.
        bits: u16,
    },
    /// The field takes no mask.
    #[error("{0} cannot be masked")]
    NotMaskable(&'static str),
    /// A port that has no such name or number.
    #[error("no such port; expected a number below 65280, a port name or one of IN_PORT, LOCAL …")]
    UnknownPort,
    /// Two parts of a match exclude each other.
    #[error("contradicts what the match says already")]
    Contradiction,
    /// A prerequisite is missing.
    #[error(transparent)]
    Prerequisite(#[from] PrereqError),
    /// A parenthesis stays open.
    #[error("parenthesis is not closed")]
    OpenParenthesis,
    /// `drop` is not alone.
    #[error("drop must not be accompanied by any other action or instruction")]
    DropNotAlone,
    /// The actions are well spelled and make no sense.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// A keyword that this command has no use for.
    #[error("{0}")]
    NotHere(&'static str),
}
