//! `<base-type>`: the type of a key or a value, with what it allows (RFC 7047, section 3.2).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json::{self, Kind, Members};
use crate::ovsdb::value::{Atom, AtomType, Datum, NamedUuids, Real};

/// The type of one side of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseType {
    /// The type of the atoms.
    pub atom: AtomType,
    /// Which of them are allowed.
    pub limits: Limits,
}

/// What a base type allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limits {
    /// Everything of the type.
    None,
    /// The elements of a set.
    Enum(Datum),
    /// Integers within bounds, inclusive.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// Reals within bounds, inclusive; unbounded where absent.
    Real {
        /// The smallest.
        min: Option<Real>,
        /// The largest.
        max: Option<Real>,
    },
    /// Strings by length in characters, inclusive.
    Length {
        /// The shortest.
        min: u32,
        /// The longest; `u32::MAX` for no limit.
        max: u32,
    },
    /// UUIDs of rows of a table.
    Reference(Reference),
}

/// A reference to rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The table's name.
    pub table: Arc<str>,
    /// Its place in the schema; set when the schema is complete.
    pub index: usize,
    /// What the reference means for the row referred to.
    pub strength: Strength,
}

/// The two sorts of references (RFC 7047, section 3.2, `refType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// The row must exist, and lives as long as somebody refers to it (unless its table is root).
    Strong,
    /// The reference goes when the row does.
    Weak,
}

impl BaseType {
    /// A type without limits.
    pub fn plain(atom: AtomType) -> Self {
        Self { atom, limits: Limits::None }
    }

    /// Reads a `<base-type>`.
    ///
    /// # Errors
    /// `syntax error` for anything that is not one.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        if let Some(name) = json.as_str() {
            return Ok(Self::plain(atom_type(json, name)?));
        }
        let mut members = Members::new(json, "ovsdb type");
        let Some(name) = members.required("type", Kind::String) else {
            return Err(finish_error(members, json));
        };
        let atom = atom_type(name, name.as_str().unwrap_or_default())?;
        let limits = if let Some(listed) = members.optional("enum", Kind::Any) {
            enum_limits(atom, listed)?
        } else {
            match atom {
                AtomType::Integer => integer_limits(&mut members),
                AtomType::Real => real_limits(&mut members),
                AtomType::Boolean => Limits::None,
                AtomType::String => length_limits(&mut members)?,
                AtomType::Uuid => reference(&mut members)?,
            }
        };
        members.finish()?;
        limits.check_order()?;
        Ok(Self { atom, limits })
    }

    /// The JSON form, as short as it can be.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| {
            out.insert(name.to_owned(), value);
        };
        match &self.limits {
            Limits::None => return self.atom.as_str().into(),
            Limits::Enum(allowed) => put("enum", allowed.to_json()),
            Limits::Integer { min, max } => {
                if *min != i64::MIN {
                    put("minInteger", (*min).into());
                }
                if *max != i64::MAX {
                    put("maxInteger", (*max).into());
                }
            }
            Limits::Real { min, max } => {
                if let Some(min) = min {
                    put("minReal", json::real(min.get()));
                }
                if let Some(max) = max {
                    put("maxReal", json::real(max.get()));
                }
            }
            Limits::Length { min, max } => {
                if *min != 0 {
                    put("minLength", (*min).into());
                }
                if *max != u32::MAX {
                    put("maxLength", (*max).into());
                }
            }
            Limits::Reference(reference) => {
                put("refTable", (&*reference.table).into());
                if reference.strength == Strength::Weak {
                    put("refType", "weak".into());
                }
            }
        }
        out.insert("type".into(), self.atom.as_str().into());
        Value::Object(out)
    }

    /// Checks that `atom`, of this type, is allowed.
    ///
    /// # Errors
    /// `constraint violation` naming the limit.
    pub fn check(&self, atom: &Atom) -> Result<(), Error> {
        let violation = |why: String| Err(Error::new(Tag::Constraint, why));
        match (&self.limits, atom) {
            (Limits::Enum(allowed), atom) if !allowed.contains(atom) => {
                let list: Vec<String> = allowed.atoms().iter().map(Atom::to_string).collect();
                let list = list.join(", ");
                violation(format!("{atom} is not one of the allowed values ([{list}])"))
            }
            (Limits::Integer { min, max }, Atom::Integer(value)) if value < min || value > max => {
                violation(out_of_range(
                    &value.to_string(),
                    (*min != i64::MIN).then(|| min.to_string()),
                    (*max != i64::MAX).then(|| max.to_string()),
                ))
            }
            (Limits::Real { min, max }, Atom::Real(value))
                if min.is_some_and(|min| *value < min) || max.is_some_and(|max| *value > max) =>
            {
                violation(out_of_range(
                    &value.get().to_string(),
                    min.map(|min| min.get().to_string()),
                    max.map(|max| max.get().to_string()),
                ))
            }
            (Limits::Length { min, max }, Atom::String(text)) => {
                let length = text.chars().count();
                if length < *min as usize {
                    violation(format!(
                        "\"{text}\" length {length} is less than minimum allowed length {min}"
                    ))
                } else if length > *max as usize {
                    violation(format!(
                        "\"{text}\" length {length} is greater than maximum allowed length {max}"
                    ))
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    /// The reference this type is, if it is one.
    pub fn reference(&self) -> Option<&Reference> {
        match &self.limits {
            Limits::Reference(reference) => Some(reference),
            _ => None,
        }
    }
}

impl Limits {
    /// Bounds the wrong way round allow nothing and are refused.
    fn check_order(&self) -> Result<(), Error> {
        let crossed = match self {
            Self::Integer { min, max } if min > max => "minInteger exceeds maxInteger",
            Self::Real { min: Some(min), max: Some(max) } if min > max => "minReal exceeds maxReal",
            Self::Length { min, max } if min > max => "minLength exceeds maxLength",
            _ => return Ok(()),
        };
        Err(Error::new(Tag::Syntax, crossed))
    }
}

fn atom_type(json: &Value, name: &str) -> Result<AtomType, Error> {
    AtomType::from_name(name)
        .ok_or_else(|| Error::syntax(json, format!("\"{name}\" is not an atomic-type")))
}

fn enum_limits(atom: AtomType, json: &Value) -> Result<Limits, Error> {
    let set = super::column_type::set_from_json(
        &BaseType::plain(atom),
        1,
        u32::MAX,
        json,
        &mut NamedUuids::refused(),
    )?;
    Ok(Limits::Enum(set))
}

fn integer_limits(members: &mut Members<'_>) -> Limits {
    let min = members.optional("minInteger", Kind::Integer).and_then(Value::as_i64);
    let max = members.optional("maxInteger", Kind::Integer).and_then(Value::as_i64);
    if min.is_none() && max.is_none() {
        return Limits::None;
    }
    Limits::Integer { min: min.unwrap_or(i64::MIN), max: max.unwrap_or(i64::MAX) }
}

fn real_limits(members: &mut Members<'_>) -> Limits {
    let mut bound =
        |name| members.optional(name, Kind::Number).and_then(Value::as_f64).and_then(Real::new);
    let (min, max) = (bound("minReal"), bound("maxReal"));
    if min.is_none() && max.is_none() {
        return Limits::None;
    }
    Limits::Real { min, max }
}

fn length_limits(members: &mut Members<'_>) -> Result<Limits, Error> {
    let mut bound = |name| match members.optional(name, Kind::Integer) {
        None => Ok(None),
        Some(json) => {
            let length = json.as_i64().and_then(|length| u32::try_from(length).ok());
            length.map(Some).ok_or_else(|| {
                Error::syntax(json, format!("{name} out of valid range 0 to {}", u32::MAX))
            })
        }
    };
    let (min, max) = (bound("minLength")?, bound("maxLength")?);
    if min.is_none() && max.is_none() {
        return Ok(Limits::None);
    }
    Ok(Limits::Length { min: min.unwrap_or(0), max: max.unwrap_or(u32::MAX) })
}

fn reference(members: &mut Members<'_>) -> Result<Limits, Error> {
    let Some(table) = members.optional("refTable", Kind::Id).and_then(Value::as_str) else {
        return Ok(Limits::None);
    };
    let strength = match members.optional("refType", Kind::String) {
        None => Strength::Strong,
        Some(json) => match json.as_str() {
            Some("strong") => Strength::Strong,
            Some("weak") => Strength::Weak,
            other => {
                let found = other.unwrap_or_default();
                let why = format!("refType must be \"strong\" or \"weak\" (not \"{found}\")");
                return Err(Error::syntax(json, why));
            }
        },
    };
    Ok(Limits::Reference(Reference { table: Arc::from(table), index: usize::MAX, strength }))
}

fn out_of_range(value: &str, min: Option<String>, max: Option<String>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => {
            format!("{value} is not in the valid range {min} to {max} (inclusive)")
        }
        (Some(min), None) => format!("{value} is less than minimum allowed value {min}"),
        (None, Some(max)) => format!("{value} is greater than maximum allowed value {max}"),
        (None, None) => format!("{value} is out of range"),
    }
}

/// The error of a reading that is known to have failed.
fn finish_error(members: Members<'_>, json: &Value) -> Error {
    members.finish().err().unwrap_or_else(|| Error::syntax(json, "malformed"))
}
