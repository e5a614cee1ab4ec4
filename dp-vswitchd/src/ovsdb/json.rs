//! Reading JSON as OVSDB reads it (RFC 7047, section 3.1).
//!
//! * Numbers: an integral number within 64 bits is an integer however it is written (`1.0`, `1e3`),
//!   everything else is a real. [`parse`] brings a document into that form once, so that nobody
//!   above has to think of it.
//! * Objects: [`Members`] takes members out by name and kind, remembers the first thing that is
//!   wrong, and finds what was not asked for.
//!
//! # Cost
//! One pass over the text to parse and one over the tree to bring numbers into form. Callers bound
//! the size and depth of what they pass (`json_rpc::parser`); the recursion here is limited by the
//! 128 levels that the parser itself accepts.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::error::{Error, Tag};

/// Parses one document and brings its numbers into OVSDB's form.
///
/// # Errors
/// A sentence saying where the text stops being JSON.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::from_slice(text)?;
    normalize(&mut value);
    Ok(value)
}

/// A JSON number for `real`: an integer when it is one, as the reference writes it.
///
/// JSON has no infinities and no NaN; they become null, and no value of the database holds them.
pub fn real(real: f64) -> Value {
    if real.fract() == 0.0 && (INTEGER_MIN..INTEGER_END).contains(&real) {
        #[expect(clippy::cast_possible_truncation, reason = "integral and within range")]
        return Value::from(real as i64);
    }
    Number::from_f64(real).map_or(Value::Null, Value::Number)
}

/// True for an `<id>`: a letter or underscore, then letters, digits and underscores.
pub fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The members of an object, taken out one by one.
///
/// The first error sticks; [`Members::finish`] reports it, or the members nobody asked for.
#[derive(Debug)]
pub struct Members<'a> {
    what: String,
    json: &'a Value,
    object: Option<&'a Map<String, Value>>,
    used: BTreeSet<&'a str>,
    error: Option<Error>,
}

/// What kind of value a member must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Any,
    /// A string.
    String,
    /// A string that is an `<id>`.
    Id,
    /// An array.
    Array,
    /// An object.
    Object,
    /// An integer.
    Integer,
    /// An integer or a real.
    Number,
    /// A boolean.
    Boolean,
    /// A string or an object.
    StringOrObject,
    /// An integer or a string.
    IntegerOrString,
}

impl<'a> Members<'a> {
    /// Begins to read `json`, which is a `what` (for the error sentence).
    pub fn new(json: &'a Value, what: impl Into<String>) -> Self {
        let mut members = Self {
            what: what.into(),
            json,
            object: json.as_object(),
            used: BTreeSet::new(),
            error: None,
        };
        if members.object.is_none() {
            members.fail("Object expected.");
        }
        members
    }

    /// The member `name`, which must be there and of that kind. `None` after any error.
    pub fn required(&mut self, name: &'a str, kind: Kind) -> Option<&'a Value> {
        self.take(name, kind, true)
    }

    /// The member `name`, of that kind where it is there.
    pub fn optional(&mut self, name: &'a str, kind: Kind) -> Option<&'a Value> {
        self.take(name, kind, false)
    }

    /// Records an error about this object, unless there is one already.
    pub fn fail(&mut self, why: &str) {
        if self.error.is_some() {
            return;
        }
        let mut error = Error::new(Tag::Syntax, format!("Parsing {} failed: {why}", self.what));
        if self.object.is_some() {
            error = error.about(self.json);
        }
        self.error = Some(error);
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// The first error met, or members that nobody asked for.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.error.is_none() {
            let object = self.object;
            let mut left = object
                .into_iter()
                .flat_map(Map::keys)
                .filter(|name| !self.used.contains(name.as_str()))
                .map(String::as_str);
            let first = left.next();
            let others = left.count();
            match (first, others) {
                (None, _) => {}
                (Some(name), 0) => {
                    self.fail(&format!("Member '{name}' is present but not allowed here."));
                }
                (Some(name), n) => self.fail(&format!(
                    "Member '{name}' and {n} other member{} are present but not allowed here.",
                    if n == 1 { "" } else { "s" }
                )),
            }
        }
        self.error.map_or(Ok(()), Err)
    }

    fn take(&mut self, name: &'a str, kind: Kind, required: bool) -> Option<&'a Value> {
        let object = self.object?;
        let Some(value) = object.get(name) else {
            if required {
                self.fail(&format!("Required '{name}' member is missing."));
            }
            return None;
        };
        self.used.insert(name);
        if !kind.accepts(value) {
            self.fail(&format!("Type mismatch for member '{name}'."));
            return None;
        }
        Some(value)
    }
}

impl Kind {
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::String => value.is_string(),
            Self::Id => value.as_str().is_some_and(is_id),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::StringOrObject => value.is_string() || value.is_object(),
            Self::IntegerOrString => value.is_i64() || value.is_string(),
        }
    }
}

/// Brings every number of the tree into OVSDB's form: `i64` where it is one, else `f64`.
fn normalize(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() => {
            if let Some(float) = number.as_f64() {
                *value = real(float);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(members) => members.values_mut().for_each(normalize),
        _ => {}
    }
}

/// -2⁶³, the smallest integer, as a real.
const INTEGER_MIN: f64 = -9_223_372_036_854_775_808.0;
/// 2⁶³, the first real beyond the integers.
const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Kind, Members, is_id, parse};

    #[test]
    fn integral_numbers_are_integers_however_written() {
        let value =
            parse(b"[1.50, 1e5, -0.0, 1.0, 9223372036854775807, 9223372036854775808, 2e-1]");
        assert_eq!(
            value.unwrap().to_string(),
            "[1.5,100000,0,1,9223372036854775807,9.223372036854776e+18,0.2]"
        );
    }

    #[test]
    fn what_the_reference_refuses_is_refused() {
        for text in ["[01]", "[tru]", "[1e400]", "{\"a\":1,}", "[\"\\ud83d\"]", "[\"\u{1}\"]", ""] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse(b"[\"a\xffb\"]").is_err());
    }

    #[test]
    fn ids_are_c_identifiers() {
        assert!(is_id("_a9") && is_id("Z") && is_id("a_b"));
        assert!(!is_id("") && !is_id("9a") && !is_id("a-b") && !is_id("a.b") && !is_id("é"));
    }

    #[test]
    fn the_first_error_is_the_one_reported() {
        let json = json!({"a": 1, "b": "x"});
        let mut members = Members::new(&json, "thing");
        assert!(members.required("c", Kind::String).is_none());
        assert!(members.required("a", Kind::String).is_none());
        let error = members.finish().unwrap_err();
        assert_eq!(error.details.unwrap(), "Parsing thing failed: Required 'c' member is missing.");
        assert_eq!(error.syntax.unwrap(), "{\"a\":1,\"b\":\"x\"}");
    }

    #[test]
    fn members_nobody_asked_for_are_named() {
        let json = json!({"a": 1, "b": 2, "c": 3});
        let mut members = Members::new(&json, "thing");
        members.required("a", Kind::Integer);
        let error = members.finish().unwrap_err();
        assert_eq!(
            error.details.unwrap(),
            "Parsing thing failed: Member 'b' and 1 other member are present but not allowed here."
        );
    }

    #[test]
    fn what_is_no_object_is_not_quoted() {
        let json = json!(1);
        let error = Members::new(&json, "thing").finish().unwrap_err();
        assert_eq!(error.details.unwrap(), "Parsing thing failed: Object expected.");
        assert_eq!(error.syntax, None);
    }
}
