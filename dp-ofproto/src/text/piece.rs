//! Pieces of a line that know where they stand, and the grammar that all flow text shares:
//! `key=value`, `key:value`, `key(value)` or `key`, between commas or white space.

use super::error::{Problem, TextError};

/// A piece of a line.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// What it says.
    pub text: &'a str,
    /// Its offset in the line, bytes.
    at: usize,
}

/// One `key`, with or without a value.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The key.
    pub key: Piece<'a>,
    /// The value and how it is written; `None` if the key stands alone.
    pub value: Option<(Form, Piece<'a>)>,
}

/// How a value is attached to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `key=value`
    Equals,
    /// `key:value`
    Colon,
    /// `key(value)`
    Parentheses,
}

impl<'a> Piece<'a> {
    /// A whole line.
    #[must_use]
    pub fn line(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// A fault of this piece.
    #[must_use]
    pub fn error(&self, problem: impl Into<Problem>) -> TextError {
        const LONGEST: usize = 60;
        let mut token: String = self.text.chars().take(LONGEST).collect();
        if token.len() < self.text.len() {
            token.push('…');
        }
        TextError { file: None, line: None, column: self.at + 1, token, problem: problem.into() }
    }

    /// The piece from byte `from` to byte `to`, or less where it is shorter.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        match self.text.get(from..to) {
            Some(text) => Self { text, at: self.at + from },
            None => Self { text: "", at: self.at + self.text.len() },
        }
    }

    /// Without white space at either end.
    #[must_use]
    pub fn trim(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start, start + self.text.trim().len())
    }

    /// The parts before and after the first `separator`.
    #[must_use]
    pub fn split_once(&self, separator: &str) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.slice(0, at), self.slice(at + separator.len(), self.text.len())))
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the next item off the front.
    ///
    /// # Errors
    ///
    /// If a parenthesis is not closed.
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>, TextError> {
        let start = self.text.find(|c| !is_separator(c)).unwrap_or(self.text.len());
        *self = self.slice(start, self.text.len());
        if self.is_empty() {
            return Ok(None);
        }
        let end = self
            .text
            .find(|c| is_separator(c) || matches!(c, '=' | ':' | '('))
            .unwrap_or(self.text.len());
        let key = self.slice(0, end);
        let rest = self.slice(end, self.text.len());
        let (form, value, used) = match rest.text.chars().next() {
            Some('(') => {
                let close = closing(rest).ok_or_else(|| rest.error(Problem::OpenParenthesis))?;
                (Form::Parentheses, rest.slice(1, close), close + 1)
            }
            Some(sign @ ('=' | ':')) => {
                let form = if sign == '=' { Form::Equals } else { Form::Colon };
                let value = rest.slice(1, rest.text.len());
                let len = value_len(value)?;
                (form, value.slice(0, len), len + 1)
            }
            _ => {
                *self = rest;
                return Ok(Some(Item { key, value: None }));
            }
        };
        *self = rest.slice(used, rest.text.len());
        Ok(Some(Item { key, value: Some((form, value)) }))
    }
}

impl<'a> Item<'a> {
    /// The value.
    ///
    /// # Errors
    ///
    /// If there is none, or an empty one; `what` says what was expected.
    pub fn expect(&self, what: &'static str) -> Result<Piece<'a>, TextError> {
        match self.value {
            Some((_, value)) if !value.is_empty() => Ok(value),
            _ => Err(self.key.error(Problem::Missing(what))),
        }
    }

    /// Checks that there is no value.
    ///
    /// # Errors
    ///
    /// If there is one.
    pub fn expect_none(&self) -> Result<(), TextError> {
        match self.value {
            Some((_, value)) => Err(value.error(Problem::NoValue)),
            None => Ok(()),
        }
    }
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

/// Where the parenthesis closes that `piece` starts with.
fn closing(piece: Piece<'_>) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in piece.text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth <= 1 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Length of a value: up to a separator outside parentheses and quotes.
fn value_len(piece: Piece<'_>) -> Result<usize, TextError> {
    let (mut depth, mut quoted) = (0usize, false);
    for (at, c) in piece.text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 && is_separator(c) => return Ok(at),
            _ => {}
        }
    }
    match depth {
        0 => Ok(piece.text.len()),
        _ => Err(piece.error(Problem::OpenParenthesis)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Piece};

    type Read = Vec<(String, Option<(Form, String)>, usize)>;

    fn items(line: &str) -> Read {
        let mut piece = Piece::line(line);
        let mut out = Vec::new();
        while let Some(item) = piece.next_item().unwrap() {
            let value = item.value.map(|(form, value)| (form, value.text.to_owned()));
            out.push((item.key.text.to_owned(), value, item.key.at));
        }
        out
    }

    #[test]
    fn items_of_all_forms_with_their_places() {
        let found = items(" ip,, a=b/c,note:x.y  r(,(3)),e= t=(1,0x2),2");
        let expect = [
            ("ip", None, 1),
            ("a", Some((Form::Equals, "b/c")), 6),
            ("note", Some((Form::Colon, "x.y")), 12),
            ("r", Some((Form::Parentheses, ",(3)")), 22),
            ("e", Some((Form::Equals, "")), 30),
            ("t", Some((Form::Equals, "(1,0x2)")), 33),
            ("2", None, 43),
        ];
        let expect: Vec<_> = expect
            .into_iter()
            .map(|(key, value, at)| {
                (key.to_owned(), value.map(|(form, text)| (form, text.to_owned())), at)
            })
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn open_parentheses_are_reported_where_they_open() {
        for (line, column) in [("x(a,(b)", 2), ("y=(1,2", 3)] {
            let error = Piece::line(line).next_item().unwrap_err();
            assert_eq!(error.column, column);
        }
    }
}
