//! Pieces of a text that know where they stand, and the grammar that keys and actions share:
//! `name`, `name(inside)`, `name=value` between commas or white space.

use super::error::{Problem, TextError};

/// A piece of a text.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// What it says.
    pub text: &'a str,
    /// Where it stands in the whole text, bytes.
    pub at: usize,
}

/// One `name`, alone or with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The name.
    pub name: Piece<'a>,
    /// What belongs to it.
    pub value: Value<'a>,
}

/// What belongs to a name.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Nothing.
    None,
    /// `(inside)`
    Inside(Piece<'a>),
    /// `=value`
    Equals(Piece<'a>),
}

impl<'a> Piece<'a> {
    /// A whole text.
    #[must_use]
    pub const fn whole(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// A fault of this piece.
    #[must_use]
    pub const fn error(&self, problem: Problem) -> TextError<'a> {
        TextError { at: self.at, token: self.text, problem }
    }

    /// From byte `from` to byte `to`; empty at the end where there is no such range.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        match self.text.get(from..to) {
            Some(text) => Self { text, at: self.at + from },
            None => Self { text: "", at: self.at + self.text.len() },
        }
    }

    /// From byte `from` on.
    #[must_use]
    pub fn tail(&self, from: usize) -> Self {
        self.slice(from, self.text.len())
    }

    /// Without white space at either end.
    #[must_use]
    pub fn trim(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start, start + self.text.trim().len())
    }

    /// The parts before and after the first `separator`.
    #[must_use]
    pub fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.slice(0, at), self.tail(at + separator.len_utf8())))
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Skips separators; whether anything follows.
    pub fn more(&mut self) -> bool {
        let start = self.text.find(|c| !is_separator(c)).unwrap_or(self.text.len());
        *self = self.tail(start);
        !self.is_empty()
    }

    /// Takes `prefix` off the front if it is there.
    pub fn take(&mut self, prefix: &str) -> bool {
        let there = self.text.starts_with(prefix);
        if there {
            *self = self.tail(prefix.len());
        }
        there
    }

    /// Takes the next item off the front.
    ///
    /// # Errors
    ///
    /// If a parenthesis is not closed.
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>, TextError<'a>> {
        if !self.more() {
            return Ok(None);
        }
        let end = self
            .text
            .find(|c| is_separator(c) || matches!(c, '=' | '(' | ')' | '{' | '}'))
            .unwrap_or(self.text.len());
        let name = self.slice(0, end);
        let rest = self.tail(end);
        match rest.text.chars().next() {
            Some('(') => {
                let (inside, rest) = rest.group('(', ')')?;
                *self = rest;
                Ok(Some(Item { name, value: Value::Inside(inside) }))
            }
            Some('=') => {
                let value = rest.tail(1);
                let len = value_len(value)?;
                *self = value.tail(len);
                Ok(Some(Item { name, value: Value::Equals(value.slice(0, len)) }))
            }
            Some(c) if !is_separator(c) => {
                Err(rest.slice(0, c.len_utf8()).error(Problem::Expected("a name")))
            }
            _ => {
                *self = rest;
                Ok(Some(Item { name, value: Value::None }))
            }
        }
    }

    /// What stands between `open`, which this piece begins with, and its `close`; and what follows.
    ///
    /// # Errors
    ///
    /// If it does not begin so, or never closes.
    pub fn group(&self, open: char, close: char) -> Result<(Self, Self), TextError<'a>> {
        let mut depth = 0usize;
        for (at, c) in self.text.char_indices() {
            if c == open {
                depth += 1;
            } else if c == close {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                if at == 0 {
                    break;
                }
                return Ok((self.slice(open.len_utf8(), at), self.tail(at + close.len_utf8())));
            }
        }
        Err(self.error(Problem::Open))
    }
}

impl<'a> Item<'a> {
    /// What stands in its parentheses.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub fn inside(&self) -> Result<Piece<'a>, TextError<'a>> {
        match self.value {
            Value::Inside(piece) => Ok(piece.trim()),
            _ => Err(self.name.error(Problem::Expected("parentheses behind the name"))),
        }
    }

    /// What stands behind its `=`.
    ///
    /// # Errors
    ///
    /// If there is nothing.
    pub fn equals(&self) -> Result<Piece<'a>, TextError<'a>> {
        match self.value {
            Value::Equals(piece) => Ok(piece.trim()),
            _ => Err(self.name.error(Problem::Expected("`=` and a value behind the name"))),
        }
    }

    /// Checks that it stands alone.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn alone(&self) -> Result<(), TextError<'a>> {
        match self.value {
            Value::None => Ok(()),
            Value::Inside(piece) | Value::Equals(piece) => {
                Err(piece.error(Problem::Expected("nothing behind the name")))
            }
        }
    }
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

/// Length of a value: up to a separator outside parentheses.
fn value_len<'a>(piece: Piece<'a>) -> Result<usize, TextError<'a>> {
    let mut depth = 0usize;
    for (at, c) in piece.text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 && is_separator(c) => return Ok(at),
            _ => {}
        }
    }
    if depth == 0 { Ok(piece.text.len()) } else { Err(piece.error(Problem::Open)) }
}
