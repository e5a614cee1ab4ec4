//! What is wrong with a text of the datapath, and where.

use core::fmt;

/// A fault in the text of a key or of actions. It borrows the text, so that it can show the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError<'a> {
    /// Where the token stands, in bytes from the start of the text.
    pub at: usize,
    /// The token; empty at the end of the text.
    pub token: &'a str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No attribute of a key has this name.
    UnknownAttribute,
    /// The attribute has no such part.
    UnknownPart,
    /// No action has this name.
    UnknownAction,
    /// Something else must stand here.
    Expected(&'static str),
    /// The number has more bits than fit.
    TooWide(u8),
    /// The attribute takes no mask.
    NotMaskable,
    /// No port has this name.
    UnknownPort,
    /// The attribute or the part is there a second time.
    Twice,
    /// A parenthesis or brace stays open.
    Open,
    /// More tags, labels, options or bytes than there is room for.
    TooMany,
    /// Lists of actions are nested deeper than this.
    TooDeep(u8),
    /// The key lacks an attribute without which it means nothing: which, and why.
    Missing(&'static str),
    /// The attribute does not belong beside the others: what it needs.
    Needs(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAttribute => f.write_str("no attribute of a flow key has this name"),
            Self::UnknownPart => f.write_str("the attribute has no such part"),
            Self::UnknownAction => f.write_str("no action has this name"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::TooWide(bits) => write!(f, "too large; there are {bits} bits"),
            Self::NotMaskable => f.write_str("takes no mask"),
            Self::UnknownPort => f.write_str("no port has this name"),
            Self::Twice => f.write_str("is there a second time"),
            Self::Open => f.write_str("is not closed"),
            Self::TooMany => f.write_str("there is no room for so many"),
            Self::TooDeep(depth) => write!(f, "lists are nested deeper than {depth}"),
            Self::Missing(what) => write!(f, "lacks {what}"),
            Self::Needs(what) => write!(f, "means nothing without {what}"),
        }
    }
}

impl TextError<'_> {
    /// The text from the attribute on in which the fault lies: what the reference says of one.
    #[must_use]
    pub fn rest<'t>(&self, text: &'t str) -> &'t str {
        let (mut depth, mut start) = (0usize, 0);
        for (at, c) in text.char_indices().take_while(|(at, _)| *at < self.at) {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                c if depth == 0 && (c == ',' || c.is_whitespace()) => start = at + c.len_utf8(),
                _ => {}
            }
        }
        text.get(start..).unwrap_or_default()
    }
}

impl fmt::Display for TextError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        let cut = self.token.char_indices().nth(LONGEST).map_or(self.token.len(), |(at, _)| at);
        let (shown, rest) = self.token.split_at(cut);
        match (shown.is_empty(), rest.is_empty()) {
            (true, _) => write!(f, "at the end (byte {}): {}", self.at, self.problem),
            (_, true) => write!(f, "`{shown}` at byte {}: {}", self.at, self.problem),
            (_, false) => write!(f, "`{shown}…` at byte {}: {}", self.at, self.problem),
        }
    }
}

impl core::error::Error for TextError<'_> {}
