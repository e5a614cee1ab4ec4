//! Where one JSON text ends and the next begins.
//!
//! JSON-RPC 1.0 puts messages one after the other on a stream, with nothing between them, so the
//! end of one is where the brace that opened it closes. This finds it without parsing, byte by
//! byte as they come, and gives up early on what cannot become a message: the cost of rubbish is
//! bounded before any of it is understood.
//!
//! # Invariants
//!
//! * No byte is looked at twice, however the stream is cut.
//! * At most [`LONGEST`] bytes are held, nested at most [`DEEPEST`] deep.

use thiserror::Error;

/// Collects bytes and gives out texts.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    bytes: Vec<u8>,
    /// Where the current text begins; what stands before has been given out.
    start: usize,
    /// How far has been looked.
    seen: usize,
    depth: usize,
    string: InString,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InString {
    #[default]
    No,
    Yes,
    /// After a backslash.
    Escape,
}

/// Why a stream is not worth reading further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum SplitError {
    /// The text begins with something else than a brace.
    #[error("message is not a JSON object")]
    NotAnObject,
    /// The text is too long.
    #[error("message is longer than {LONGEST} bytes")]
    TooLong,
    /// The text is nested too deeply.
    #[error("message is nested deeper than {DEEPEST} levels")]
    TooDeep,
}

impl Splitter {
    /// Takes bytes as they came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes are held.
    pub(super) const fn held(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next complete text, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, SplitError> {
        while let Some(byte) = self.bytes.get(self.seen).copied() {
            self.seen += 1;
            if self.depth == 0 && byte.is_ascii_whitespace() {
                self.start = self.seen;
            } else if self.see(byte)? {
                let text = self.bytes.get(self.start..self.seen).map(<[u8]>::to_vec);
                self.start = self.seen;
                return Ok(text);
            }
        }
        Ok(None)
    }

    /// Looks at a byte; says whether it ends the text.
    fn see(&mut self, byte: u8) -> Result<bool, SplitError> {
        if self.depth == 0 && byte != b'{' {
            return Err(SplitError::NotAnObject);
        }
        if self.seen - self.start > LONGEST {
            return Err(SplitError::TooLong);
        }
        match (self.string, byte) {
            (InString::Yes, b'"') => self.string = InString::No,
            (InString::Yes, b'\\') => self.string = InString::Escape,
            (InString::Yes, _) => {}
            (InString::Escape, _) => self.string = InString::Yes,
            (InString::No, b'"') => self.string = InString::Yes,
            (InString::No, b'{' | b'[') => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(SplitError::TooDeep);
                }
            }
            (InString::No, b'}' | b']') => self.depth -= 1,
            (InString::No, _) => {}
        }
        Ok(self.depth == 0)
    }
}

/// Longer than any command line the system lets a tool have.
pub(super) const LONGEST: usize = 4 << 20;

/// Deeper than any message that means something; the parser allows 128.
pub(super) const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DEEPEST, LONGEST, SplitError, Splitter};

    fn split(pieces: &[&[u8]]) -> Result<Vec<String>, SplitError> {
        let mut splitter = Splitter::default();
        let mut texts = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            while let Some(text) = splitter.next()? {
                texts.push(String::from_utf8(text).unwrap());
            }
        }
        Ok(texts)
    }

    #[test]
    fn texts_end_where_their_brace_closes() {
        assert_eq!(
            split(&[b" {\"a\":[{}]}{}\n{\"b", b"\":\"}\\\"", b"{\"}x"]),
            Err(SplitError::NotAnObject)
        );
        assert_eq!(
            split(&[b" {\"a\":[{}]}{}\n{\"b", b"\":\"}\\\"", b"{\"} \n"]),
            Ok(vec!["{\"a\":[{}]}".into(), "{}".into(), "{\"b\":\"}\\\"{\"}".into()])
        );
        assert_eq!(split(&[b"", b"{", b"\"a\\"]), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_a_message_is_given_up_at_once() {
        for rubbish in ["[", "5", "x", "\"a\"", "}", "{}]"] {
            assert_eq!(split(&[rubbish.as_bytes()]), Err(SplitError::NotAnObject), "{rubbish}");
        }
    }

    #[test]
    fn a_long_line_costs_no_more_than_the_longest_message() {
        let mut splitter = Splitter::default();
        splitter.push(b"{\"");
        let piece = vec![b'a'; 1 << 16];
        let mut most = 0;
        let error = loop {
            splitter.push(&piece);
            most = most.max(splitter.held());
            if let Err(error) = splitter.next() {
                break error;
            }
        };
        assert_eq!(error, SplitError::TooLong);
        assert!(most <= LONGEST + piece.len());
    }

    #[test]
    fn a_deep_nest_is_given_up() {
        let nest = |depth| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        assert_eq!(split(&[nest(DEEPEST).as_bytes()]), Ok(vec![nest(DEEPEST)]));
        assert_eq!(split(&[nest(DEEPEST + 1).as_bytes()]), Err(SplitError::TooDeep));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_stream_is_cut(
            words in proptest::collection::vec("[\\PC\"\\\\{}]{0,6}", 0..8),
            cut in 1_usize..20,
        ) {
            let texts: Vec<String> =
                words.iter().map(|word| serde_json::json!({ "k": [word] }).to_string()).collect();
            let stream = texts.concat().into_bytes();
            let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
            prop_assert_eq!(split(&pieces), Ok(texts));
        }
    }
}
