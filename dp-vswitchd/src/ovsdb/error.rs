//! The database's `<error>` objects (RFC 7047, section 3.1).
//!
//! An operation that fails answers with `{"error": tag, "details": …, "syntax": …}`. Tags and
//! sentences are those users and tools meet in the field: `ovs-vsctl` prints the details as they
//! come, and scripts compare them.

use std::fmt;

use serde_json::{Map, Value};

/// An error as it goes to the peer: what kind, a sentence, and the JSON that was at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of error, for programs.
    pub tag: Tag,
    /// A sentence for people.
    pub details: Option<String>,
    /// The offending JSON, as text.
    pub syntax: Option<String>,
}

/// The kinds of error, with their text on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The request does not have the form it must have.
    Syntax,
    /// A column that the table does not have.
    UnknownColumn,
    /// A comparison function that does not exist.
    UnknownFunction,
    /// A mutator that does not exist.
    UnknownMutator,
    /// A database that the server does not have.
    UnknownDatabase,
    /// A set or map with a duplicate.
    Ovsdb,
    /// A value outside what the schema allows.
    Constraint,
    /// A reference to a row that does not exist, or the deletion of a row that is referred to.
    Integrity,
    /// Arithmetic beyond the type's range.
    Range,
    /// Division by zero.
    Domain,
    /// A `wait` whose time has passed.
    TimedOut,
    /// The transaction's `abort`.
    Aborted,
    /// An `assert` of a lock that the client does not own.
    NotOwner,
    /// A `uuid-name` used twice.
    DuplicateUuidName,
    /// A row UUID used twice.
    DuplicateUuid,
    /// Something that is not allowed here.
    NotAllowed,
    /// Parameters that contradict each other.
    InvalidParameters,
    /// The database file could not be read or written.
    Io,
    /// A limit of this server.
    ResourcesExhausted,
}

impl Tag {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax error",
            Self::UnknownColumn => "unknown column",
            Self::UnknownFunction => "unknown function",
            Self::UnknownMutator => "unknown mutator",
            Self::UnknownDatabase => "unknown database",
            Self::Ovsdb => "ovsdb error",
            Self::Constraint => "constraint violation",
            Self::Integrity => "referential integrity violation",
            Self::Range => "range error",
            Self::Domain => "domain error",
            Self::TimedOut => "timed out",
            Self::Aborted => "aborted",
            Self::NotOwner => "not owner",
            Self::DuplicateUuidName => "duplicate uuid-name",
            Self::DuplicateUuid => "duplicate uuid",
            Self::NotAllowed => "not allowed",
            Self::InvalidParameters => "invalid parameters",
            Self::Io => "I/O error",
            Self::ResourcesExhausted => "resources exhausted",
        }
    }
}

impl Error {
    /// An error of kind `tag` with a sentence.
    pub fn new(tag: Tag, details: impl Into<String>) -> Self {
        Self { tag, details: Some(details.into()), syntax: None }
    }

    /// A syntax error about `json`.
    pub fn syntax(json: &Value, details: impl Into<String>) -> Self {
        Self::new(Tag::Syntax, details).about(json)
    }

    /// The same error, quoting `json` as the part at fault.
    #[must_use]
    pub fn about(mut self, json: &Value) -> Self {
        self.syntax = Some(json.to_string());
        self
    }

    /// The form on the wire.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("error".into(), self.tag.as_str().into());
        if let Some(details) = &self.details {
            out.insert("details".into(), details.as_str().into());
        }
        if let Some(syntax) = &self.syntax {
            out.insert("syntax".into(), syntax.as_str().into());
        }
        Value::Object(out)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag.as_str())?;
        if let Some(syntax) = &self.syntax {
            write!(f, ": syntax {syntax:?}")?;
        }
        if let Some(details) = &self.details {
            write!(f, ": {details}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Error, Tag};

    #[test]
    fn the_wire_form_has_the_members_that_are_set() {
        let plain = Error::new(Tag::Domain, "Division by zero.");
        assert_eq!(
            plain.to_json(),
            json!({"error": "domain error", "details": "Division by zero."})
        );
        let quoted = Error::syntax(&json!({"b": 1, "a": [true]}), "no");
        assert_eq!(
            quoted.to_json(),
            json!({"error": "syntax error", "details": "no", "syntax": "{\"a\":[true],\"b\":1}"})
        );
    }
}
