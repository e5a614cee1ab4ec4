use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Limits, ParseError, Parser};

const SMALL: Limits = Limits { bytes: 1000, depth: 5, memory: 10_000 };

/// Feeds `stream` in pieces of `step` bytes.
fn all(limits: Limits, stream: &[u8], step: usize) -> Result<Vec<Value>, ParseError> {
    let mut parser = Parser::new(limits);
    let mut out = Vec::new();
    for mut piece in stream.chunks(step) {
        while !piece.is_empty() {
            out.extend(parser.feed(&mut piece)?);
        }
        assert!(parser.held() <= limits.bytes);
    }
    Ok(out)
}

#[test]
fn documents_are_found_wherever_the_stream_is_cut() {
    let stream = br#" {"a":"}\"{"}{"b":[1.0,{"c":"\\"}]}
        {"d":"\u00e9"}"#;
    let expected = vec![json!({"a": "}\"{"}), json!({"b": [1, {"c": "\\"}]}), json!({"d": "é"})];
    for step in 1..stream.len() {
        assert_eq!(all(SMALL, stream, step).unwrap(), expected, "pieces of {step}");
    }
}

#[test]
fn half_a_document_waits() {
    let mut parser = Parser::new(SMALL);
    let mut input: &[u8] = b"{\"a\":";
    assert_eq!(parser.feed(&mut input), Ok(None));
    assert_eq!((input.len(), parser.held()), (0, 5));
    let mut input: &[u8] = b"1}{";
    assert_eq!(parser.feed(&mut input), Ok(Some(json!({"a": 1}))));
    assert_eq!((input, parser.held()), (&b"{"[..], 0));
}

#[test]
fn only_objects_begin_a_message() {
    for text in ["5", "[1]", "\"a\"", "x", "}"] {
        assert_eq!(all(SMALL, text.as_bytes(), 1), Err(ParseError::NotAnObject), "{text}");
    }
}

#[test]
fn what_is_not_json_is_an_error_at_its_end() {
    for text in ["{]", "{\"a\":01}", "{\"a\":1,}", "{\"a\" \"b\"}", "{\"a\":\"\u{1}\"}"] {
        assert!(matches!(all(SMALL, text.as_bytes(), 3), Err(ParseError::Json(_))), "{text}");
    }
}

#[test]
fn a_line_without_end_is_cut_off_at_the_limit() {
    let mut parser = Parser::new(SMALL);
    let mut fed = 0;
    let mut first: &[u8] = b"{\"";
    assert_eq!(parser.feed(&mut first), Ok(None));
    let error = loop {
        let mut piece: &[u8] = &[b'x'; 64];
        match parser.feed(&mut piece) {
            Ok(None) => fed += 64,
            Ok(Some(_)) => unreachable!("it never ends"),
            Err(error) => break error,
        }
        assert!(fed < 2 * SMALL.bytes);
    };
    assert_eq!(error, ParseError::TooLong(1000));
    assert!(parser.held() <= 1000);
}

#[test]
fn deep_nests_and_small_bombs_are_refused_while_they_come() {
    let deep = b"{\"a\":[[[[[[";
    assert_eq!(all(SMALL, deep, 2), Err(ParseError::TooDeep(5)));
    let bomb: String = format!("{{\"a\":[{}]}}", "{\"\":0},".repeat(100));
    assert_eq!(all(SMALL, bomb.as_bytes(), 7), Err(ParseError::TooCostly(10_000)));
    let commas = format!("{{\"a\":[{}", "0,".repeat(400));
    assert_eq!(all(SMALL, commas.as_bytes(), 900), Err(ParseError::TooCostly(10_000)));
    // The real limits keep a deep nest from the recursion that parsing is.
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert_eq!(all(Limits::SERVER, deep.as_bytes(), 65536), Err(ParseError::TooDeep(100)));
    let just = format!("{{\"a\":{}{}}}", "[".repeat(99), "]".repeat(99));
    assert_eq!(all(Limits::SERVER, just.as_bytes(), 65536).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_at_all_stay_within_bounds(stream in prop::collection::vec(
        prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b'"'), Just(b'\\'), Just(b','), any::<u8>()],
        0..2000,
    ), step in 1_usize..50) {
        let _ = all(SMALL, &stream, step);
    }
}
