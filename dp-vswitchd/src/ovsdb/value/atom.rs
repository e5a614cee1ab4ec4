//! One scalar value of the database: integer, real, boolean, string or UUID (RFC 7047, 5.1).
//!
//! Atoms order as the reference orders them, within one type: numbers by value, `false` before
//! `true`, strings and UUIDs bytewise. A set or map is kept sorted by this order, so its text does
//! not depend on how it came to be.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::NamedUuids;
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json::{self, is_id};
use crate::ovsdb::uuid::Uuid;

/// A scalar. The type is never mixed within one column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// A 64-bit signed integer.
    Integer(i64),
    /// A finite real.
    Real(Real),
    /// A boolean.
    Boolean(bool),
    /// A string of Unicode characters without the null character.
    String(Arc<str>),
    /// A UUID.
    Uuid(Uuid),
}

/// The types of atoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AtomType {
    /// `integer`
    Integer,
    /// `real`
    Real,
    /// `boolean`
    Boolean,
    /// `string`
    String,
    /// `uuid`
    Uuid,
}

/// A finite real with a total order; minus zero is zero.
#[derive(Clone, Copy, Debug)]
pub struct Real(f64);

impl AtomType {
    /// The type's name in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Uuid => "uuid",
        }
    }

    /// The type with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "integer" => Self::Integer,
            "real" => Self::Real,
            "boolean" => Self::Boolean,
            "string" => Self::String,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    /// The value that a column without a value has (RFC 7047, 5.2.1).
    pub fn default_atom(self) -> Atom {
        match self {
            Self::Integer => Atom::Integer(0),
            Self::Real => Atom::Real(Real(0.0)),
            Self::Boolean => Atom::Boolean(false),
            Self::String => Atom::String(Arc::from("")),
            Self::Uuid => Atom::Uuid(Uuid::ZERO),
        }
    }
}

impl Atom {
    /// Reads an atom of type `ty`; `["named-uuid", <id>]` is looked up in `names`.
    ///
    /// # Errors
    /// `syntax error` when the JSON is of another type.
    pub fn from_json(
        ty: AtomType,
        json: &Value,
        names: &mut NamedUuids<'_>,
    ) -> Result<Self, Error> {
        let expected = || Error::syntax(json, format!("expected {}", ty.as_str()));
        Ok(match ty {
            AtomType::Integer => Self::Integer(json.as_i64().ok_or_else(expected)?),
            AtomType::Real => {
                let value = json.as_f64().and_then(Real::new).ok_or_else(expected)?;
                Self::Real(value)
            }
            AtomType::Boolean => Self::Boolean(json.as_bool().ok_or_else(expected)?),
            AtomType::String => {
                let text = json.as_str().ok_or_else(expected)?;
                if text.contains('\0') {
                    let why = "null bytes not supported in quoted strings";
                    return Err(Error::new(Tag::Syntax, why));
                }
                Self::String(Arc::from(text))
            }
            AtomType::Uuid => Self::Uuid(uuid_from_json(json, names)?),
        })
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Integer(value) => Value::from(*value),
            Self::Real(value) => json::real(value.0),
            Self::Boolean(value) => Value::from(*value),
            Self::String(value) => Value::from(&**value),
            Self::Uuid(value) => {
                Value::Array(vec![Value::from("uuid"), Value::from(value.to_string())])
            }
        }
    }

    /// The type.
    pub fn ty(&self) -> AtomType {
        match self {
            Self::Integer(_) => AtomType::Integer,
            Self::Real(_) => AtomType::Real,
            Self::Boolean(_) => AtomType::Boolean,
            Self::String(_) => AtomType::String,
            Self::Uuid(_) => AtomType::Uuid,
        }
    }

    /// The string, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The integer, when it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The boolean, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The real, when it is one.
    pub fn as_real(&self) -> Option<f64> {
        match self {
            Self::Real(value) => Some(value.0),
            _ => None,
        }
    }

    /// The UUID, when it is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Self::Uuid(value) => Some(*value),
            _ => None,
        }
    }
}

impl From<&str> for Atom {
    fn from(value: &str) -> Self {
        Self::String(Arc::from(value))
    }
}

impl From<i64> for Atom {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Uuid> for Atom {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

/// The text form that tools and error sentences use: bare where it cannot be mistaken.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{}", value.0),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Uuid(value) => write!(f, "{value}"),
            Self::String(value) if needs_quotes(value) => {
                write!(f, "{}", Value::from(&**value))
            }
            Self::String(value) => f.write_str(value),
        }
    }
}

impl Real {
    /// A real of the database; `None` for infinities and NaN.
    pub fn new(value: f64) -> Option<Self> {
        // Adding zero turns minus zero into zero.
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

fn uuid_from_json(json: &Value, names: &mut NamedUuids<'_>) -> Result<Uuid, Error> {
    if let Some([Value::String(what), Value::String(text)]) = json.as_array().map(Vec::as_slice) {
        match what.as_str() {
            "uuid" => {
                return Uuid::parse(text)
                    .ok_or_else(|| Error::syntax(json, format!("\"{text}\" is not a valid UUID")));
            }
            "named-uuid" if names.allowed() => {
                if !is_id(text) {
                    return Err(Error::syntax(json, "named-uuid string is not a valid <id>"));
                }
                return Ok(names.refer(text));
            }
            _ => {}
        }
    }
    Err(Error::syntax(json, "expected [\"uuid\", <string>]"))
}

/// A string is written in quotes unless it is an `<id>`-like word that is no keyword and no UUID.
fn needs_quotes(text: &str) -> bool {
    let mut bytes = text.bytes();
    let plain = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    !plain || text == "true" || text == "false" || Uuid::parse(text).is_some()
}
