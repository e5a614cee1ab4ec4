//! `<type>`: how many atoms a column holds, and of which type (RFC 7047, section 3.2).
//!
//! Here the values themselves are read from JSON, because only the type says how.

use std::fmt;

use serde_json::{Map, Value};

use super::base_type::BaseType;
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::json::{Kind, Members};
use crate::ovsdb::value::{Atom, AtomType, Datum, NamedUuids};

/// The type of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// The type of the elements, or of a map's keys.
    pub key: BaseType,
    /// The type of a map's values; absent for a set.
    pub value: Option<BaseType>,
    /// The fewest elements: 0 or 1.
    pub min: u32,
    /// The most elements, at least 1; [`UNLIMITED`] for no limit.
    pub max: u32,
}

/// The `max` of a column without limit.
pub const UNLIMITED: u32 = u32::MAX;

impl ColumnType {
    /// Exactly one atom.
    pub fn scalar(key: BaseType) -> Self {
        Self { key, value: None, min: 1, max: 1 }
    }

    /// Reads a `<type>`.
    ///
    /// # Errors
    /// `syntax error` for anything that is not one.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        if json.is_string() {
            return Ok(Self::scalar(BaseType::from_json(json)?));
        }
        if !json.is_object() {
            return Err(Error::syntax(json, "ovsdb type expected"));
        }
        let mut members = Members::new(json, "ovsdb type");
        let key = members.required("key", Kind::StringOrObject);
        let value = members.optional("value", Kind::StringOrObject);
        let min = members.optional("min", Kind::Integer);
        let max = members.optional("max", Kind::IntegerOrString);
        members.finish()?;
        let bad = || Error::syntax(json, "bad min or max value");
        let min = min.map_or(Ok(1), |min| min.as_u64().ok_or_else(bad))?;
        let max = match max {
            None => 1,
            Some(max) if max.as_str() == Some("unlimited") => u64::from(UNLIMITED),
            Some(max) => max.as_u64().ok_or_else(bad)?,
        };
        let (Ok(min @ (0 | 1)), Ok(max @ 1..)) = (u32::try_from(min), u32::try_from(max)) else {
            return Err(bad());
        };
        let missing = Value::Null;
        let key = BaseType::from_json(key.unwrap_or(&missing))?;
        let value = value.map(BaseType::from_json).transpose()?;
        Ok(Self { key, value, min, max })
    }

    /// The JSON form, as short as it can be.
    pub fn to_json(&self) -> Value {
        let key = self.key.to_json();
        if self.is_scalar() && self.value.is_none() && key.is_string() {
            return key;
        }
        let mut out = Map::new();
        out.insert("key".into(), key);
        if let Some(value) = &self.value {
            out.insert("value".into(), value.to_json());
        }
        if self.min != 1 {
            out.insert("min".into(), self.min.into());
        }
        match self.max {
            1 => {}
            UNLIMITED => {
                out.insert("max".into(), "unlimited".into());
            }
            max => {
                out.insert("max".into(), max.into());
            }
        }
        Value::Object(out)
    }

    /// Exactly one element.
    pub fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max == 1
    }

    /// One element or none.
    pub fn is_optional_scalar(&self) -> bool {
        self.value.is_none() && self.min == 0 && self.max == 1
    }

    /// Possibly many elements: changes are told as differences rather than as new values.
    pub fn is_composite(&self) -> bool {
        self.max > 1
    }

    /// The value that a column of this type has when nobody gave it one.
    pub fn default_datum(&self) -> Datum {
        match (&self.value, self.min) {
            (None, 0) => Datum::empty_set(),
            (Some(_), 0) => Datum::empty_map(),
            (None, _) => Datum::scalar(self.key.atom.default_atom()),
            (Some(value), _) => {
                Datum::Map([(self.key.atom.default_atom(), value.atom.default_atom())].into())
            }
        }
    }

    /// Reads a value of this type and checks it against its limits.
    ///
    /// # Errors
    /// `syntax error`, `ovsdb error` for duplicates, `constraint violation` for limits.
    pub fn datum_from_json(
        &self,
        json: &Value,
        names: &mut NamedUuids<'_>,
    ) -> Result<Datum, Error> {
        self.read(json, names, self.min, self.max)
    }

    /// As [`Self::datum_from_json`], for what a monitor's or a file's difference holds: any
    /// number of elements.
    ///
    /// # Errors
    /// As there, but for the number of elements.
    pub fn diff_from_json(&self, json: &Value) -> Result<Datum, Error> {
        let (min, max) = if self.is_composite() { (0, UNLIMITED) } else { (self.min, self.max) };
        self.read(json, &mut NamedUuids::refused(), min, max)
    }

    /// Checks every element of `datum` against its limits.
    ///
    /// # Errors
    /// `constraint violation`.
    pub fn check(&self, datum: &Datum) -> Result<(), Error> {
        datum.atoms().iter().try_for_each(|atom| self.key.check(atom))?;
        datum.pairs().iter().try_for_each(|(key, value)| {
            self.key.check(key)?;
            self.value.as_ref().map_or(Ok(()), |ty| ty.check(value))
        })
    }

    fn read(
        &self,
        json: &Value,
        names: &mut NamedUuids<'_>,
        min: u32,
        max: u32,
    ) -> Result<Datum, Error> {
        match &self.value {
            None => set_from_json(&self.key, min, max, json, names),
            Some(value) => map_from_json(&self.key, value, min, max, json, names),
        }
    }
}

/// The type in words, as error sentences have it: `set of up to 3 strings`.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.atom.as_str();
        if self.is_scalar() {
            return f.write_str(key);
        }
        f.write_str(if self.value.is_some() { "map of " } else { "set of " })?;
        match (self.min, self.max) {
            (0, UNLIMITED) => {}
            (min, UNLIMITED) => write!(f, "{min} or more ")?,
            (0, max) => write!(f, "up to {max} ")?,
            (min, max) => write!(f, "{min} to {max} ")?,
        }
        match &self.value {
            None => write!(f, "{key}s"),
            Some(value) => write!(f, "({key}, {}) pairs", value.atom.as_str()),
        }
    }
}

/// Reads `["set", [...]]` or a single element.
pub(super) fn set_from_json(
    key: &BaseType,
    min: u32,
    max: u32,
    json: &Value,
    names: &mut NamedUuids<'_>,
) -> Result<Datum, Error> {
    let Some(items) = tagged(json, "set")? else {
        return Ok(Datum::scalar(read_atom(key, json, names)?));
    };
    check_count("set", items.len(), min, max, json)?;
    let atoms = items
        .iter()
        .map(|item| read_atom(key, item, names))
        .collect::<Result<Vec<Atom>, Error>>()?;
    Datum::set(atoms).map_err(|_| Error::new(Tag::Ovsdb, "set contains duplicate"))
}

fn map_from_json(
    key: &BaseType,
    value: &BaseType,
    min: u32,
    max: u32,
    json: &Value,
    names: &mut NamedUuids<'_>,
) -> Result<Datum, Error> {
    let Some(items) = tagged(json, "map")? else {
        return Err(Error::syntax(json, "expected [\"map\", <array>]"));
    };
    check_count("map", items.len(), min, max, json)?;
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        let Some([k, v]) = item.as_array().map(Vec::as_slice) else {
            return Err(Error::syntax(item, "expected 2-element array"));
        };
        pairs.push((read_atom(key, k, names)?, read_atom(value, v, names)?));
    }
    Datum::map(pairs).map_err(|_| Error::new(Tag::Ovsdb, "map contains duplicate key"))
}

fn read_atom(ty: &BaseType, json: &Value, names: &mut NamedUuids<'_>) -> Result<Atom, Error> {
    let atom = Atom::from_json(ty.atom, json, names)?;
    ty.check(&atom)?;
    Ok(atom)
}

/// The array in `[tag, array]`, or nothing when the JSON is not tagged so.
fn tagged<'a>(json: &'a Value, tag: &str) -> Result<Option<&'a [Value]>, Error> {
    let Some([first, rest @ ..]) = json.as_array().map(Vec::as_slice) else { return Ok(None) };
    if first.as_str() != Some(tag) {
        return Ok(None);
    }
    match rest {
        [Value::Array(items)] => Ok(Some(items)),
        _ => Err(Error::syntax(json, format!("expected [\"{tag}\", <array>]"))),
    }
}

fn check_count(what: &str, n: usize, min: u32, max: u32, json: &Value) -> Result<(), Error> {
    if n >= min as usize && n <= max as usize {
        return Ok(());
    }
    Err(Error::syntax(
        json,
        if min == max {
            format!("{what} must have exactly one member but {n} are present")
        } else {
            format!("{what} must have {min} to {max} members but {n} are present")
        },
    ))
}

impl From<AtomType> for ColumnType {
    fn from(atom: AtomType) -> Self {
        Self::scalar(BaseType::plain(atom))
    }
}
