//! Finds JSON documents in a stream of bytes, whatever way it is cut, within bounds.
//!
//! Documents follow each other with or without blanks between. A scanner that knows strings,
//! escapes and nesting finds where one ends; only then is it parsed, so a document's bytes are kept
//! once, and nothing is kept of what comes after.
//!
//! # Invariants
//! * The buffer never exceeds [`Limits::bytes`], whoever feeds whatever.
//! * A tree is only built if its estimated size is within [`Limits::memory`]: text of a few bytes
//!   can ask for a hundred times as much (`[{"":0},{"":0}…`), so the estimate is counted while
//!   scanning.
//! * After an error the stream has no meaning any more; the owner closes the connection.
//!
//! # Cost
//! One look at each byte by the scanner, one by the parser.

use serde_json::Value;
use thiserror::Error;

use crate::ovsdb::json;

/// How much a peer may ask for with one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Nested arrays and objects, at most 120.
    pub depth: usize,
    /// Bytes of memory that the tree may need, roughly.
    pub memory: usize,
}

/// Why a stream of bytes has no further meaning.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Something that cannot begin a message.
    #[error("message is not a JSON object")]
    NotAnObject,
    /// More text than allowed.
    #[error("message exceeds {0} bytes")]
    TooLong(usize),
    /// Deeper than allowed.
    #[error("input exceeds maximum nesting depth {0}")]
    TooDeep(usize),
    /// A tree larger than allowed.
    #[error("message needs more than {0} bytes of memory")]
    TooCostly(usize),
    /// Not JSON.
    #[error("{0}")]
    Json(String),
}

/// The state between two reads.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// The document so far.
    buffer: Vec<u8>,
    depth: usize,
    string: InString,
    cost: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// Just after a backslash.
    Escaped,
}

impl Limits {
    /// For clients of a server of ours.
    pub const SERVER: Self = Self { bytes: 64 << 20, depth: 100, memory: 512 << 20 };
    /// For a server that we are a client of, whose database may be large.
    pub const CLIENT: Self = Self { bytes: 512 << 20, depth: 100, memory: 4 << 30 };
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), depth: 0, string: InString::No, cost: 0 }
    }

    /// Reads from the front of `input`, up to the end of a document.
    ///
    /// What it read is cut off `input`. Nothing is returned when all of it was read and the
    /// document goes on; the rest is waited for.
    ///
    /// # Errors
    /// When what was read is not JSON, not an object, or beyond the limits.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Value>, ParseError> {
        if self.depth == 0 {
            *input = input.trim_ascii_start();
            match input.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(_) => return Err(ParseError::NotAnObject),
            }
        }
        let end = self.scan(input)?;
        let (part, rest) = input.split_at(end.unwrap_or(input.len()));
        if self.buffer.len() + part.len() > self.limits.bytes {
            return Err(ParseError::TooLong(self.limits.bytes));
        }
        *input = rest;
        if end.is_none() {
            self.buffer.extend_from_slice(part);
            return Ok(None);
        }
        self.cost = 0;
        let parsed = if self.buffer.is_empty() {
            json::parse(part)
        } else {
            self.buffer.extend_from_slice(part);
            let parsed = json::parse(&self.buffer);
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
            parsed
        };
        parsed.map(Some).map_err(|error| ParseError::Json(error.to_string()))
    }

    /// How many bytes of an unfinished document are held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Looks for the end of the document in `input`: the number of bytes that belong to it.
    fn scan(&mut self, input: &[u8]) -> Result<Option<usize>, ParseError> {
        for (at, &byte) in input.iter().enumerate() {
            self.string = match (self.string, byte) {
                (InString::Escaped, _) => InString::Yes,
                (InString::Yes, b'\\') => InString::Escaped,
                (InString::Yes, b'"') => InString::No,
                (InString::Yes, _) => InString::Yes,
                (InString::No, b'"') => {
                    self.cost += COST_STRING;
                    InString::Yes
                }
                (InString::No, byte) => {
                    match byte {
                        b'{' => self.open(COST_OBJECT)?,
                        b'[' => self.open(COST_ARRAY)?,
                        b',' => self.cost += COST_ITEM,
                        b'}' | b']' => {
                            self.depth = self.depth.saturating_sub(1);
                            if self.depth == 0 {
                                return Ok(Some(at + 1));
                            }
                        }
                        _ => {}
                    }
                    InString::No
                }
            };
            if self.cost > self.limits.memory {
                return Err(ParseError::TooCostly(self.limits.memory));
            }
        }
        Ok(None)
    }

    fn open(&mut self, cost: usize) -> Result<(), ParseError> {
        self.cost += cost;
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(ParseError::TooDeep(self.limits.depth));
        }
        Ok(())
    }
}

/// A buffer larger than this is given back after its document.
const KEPT: usize = 64 << 10;
/// A value in a vector that doubles as it grows.
const COST_ITEM: usize = 64;
/// A vector's first allocation: four values.
const COST_ARRAY: usize = 4 * 32 + 16;
/// A tree node: eleven keys and values, however few there are.
const COST_OBJECT: usize = 11 * (24 + 32) + 48;
/// A string's allocation, besides its text.
const COST_STRING: usize = 32;

#[cfg(test)]
mod tests;
