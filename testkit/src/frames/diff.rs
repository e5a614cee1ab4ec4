//! Readable differences between frames.

use super::{dissect, names};

/// Fails the test unless both are the same frames in the same order.
///
/// # Panics
///
/// If they differ, with what differs: which frames, which fields, which octets.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion")]
pub fn assert_frames_eq<A: AsRef<[u8]>, B: AsRef<[u8]>>(expected: &[A], actual: &[B]) {
    if let Some(text) = difference(expected, actual) {
        panic!("frames differ\n{text}");
    }
}

/// What differs between two lists of frames, in words; nothing if they are equal.
#[must_use]
pub fn difference<A: AsRef<[u8]>, B: AsRef<[u8]>>(expected: &[A], actual: &[B]) -> Option<String> {
    let mut text = String::new();
    if expected.len() != actual.len() {
        text.push_str(&format!("expected {} frames, got {}\n", expected.len(), actual.len()));
    }
    let mut shown = 0;
    for at in 0..expected.len().max(actual.len()) {
        let wanted = expected.get(at).map(AsRef::as_ref);
        let got = actual.get(at).map(AsRef::as_ref);
        if wanted == got {
            continue;
        }
        shown += 1;
        if shown > MAX_SHOWN {
            text.push_str("… and more\n");
            break;
        }
        match (wanted, got) {
            (Some(wanted), Some(got)) => one(&mut text, at, wanted, got),
            (Some(wanted), None) => alone(&mut text, at, "missing", wanted),
            (None, Some(got)) => alone(&mut text, at, "unexpected", got),
            (None, None) => {}
        }
    }
    (!text.is_empty()).then_some(text)
}

fn one(text: &mut String, at: usize, wanted: &[u8], got: &[u8]) {
    let (names_wanted, names_got) = (dissect(wanted), dissect(got));
    text.push_str(&format!("frame {at}: expected {names_wanted}, {} octets", wanted.len()));
    text.push_str(&format!("; got {names_got}, {} octets\n", got.len()));
    for field in &names_wanted.fields {
        let before = wanted.get(field.range.clone()).unwrap_or_default();
        let after = got.get(field.range.clone());
        if after == Some(before) {
            continue;
        }
        let after =
            after.map_or_else(|| "cut".to_owned(), |after| names::value(&field.name, after));
        text.push_str(&format!(
            "  {} (octet {}): expected {}, got {after}\n",
            field.name,
            field.range.start,
            names::value(&field.name, before),
        ));
    }
    for row in 0..wanted.len().max(got.len()).div_ceil(ROW) {
        let (left, right) = (slice(wanted, row), slice(got, row));
        if left != right {
            text.push_str(&format!("  {:04x} - {}\n", row * ROW, line(left, right)));
            text.push_str(&format!("       + {}\n", line(right, left)));
        }
    }
}

fn alone(text: &mut String, at: usize, what: &str, frame: &[u8]) {
    text.push_str(&format!("frame {at}: {what}: {}, {} octets\n", dissect(frame), frame.len()));
    for row in 0..frame.len().div_ceil(ROW).min(MAX_ROWS) {
        let octets = slice(frame, row);
        text.push_str(&format!("  {:04x}   {}\n", row * ROW, line(octets, octets)));
    }
}

/// One row in hexadecimal; what differs from `other` stands in brackets.
fn line(octets: &[u8], other: &[u8]) -> String {
    let mut text = String::new();
    for (at, octet) in octets.iter().enumerate() {
        let same = other.get(at) == Some(octet);
        let (open, close) = if same { (' ', ' ') } else { ('[', ']') };
        text.push_str(&format!("{open}{octet:02x}{close}"));
    }
    text.trim_end().to_owned()
}

fn slice(frame: &[u8], row: usize) -> &[u8] {
    let start = (row * ROW).min(frame.len());
    frame.get(start..(start + ROW).min(frame.len())).unwrap_or_default()
}

const ROW: usize = 16;
const MAX_ROWS: usize = 8;
const MAX_SHOWN: usize = 8;
