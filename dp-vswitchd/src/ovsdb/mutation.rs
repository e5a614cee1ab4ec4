//! `<mutation>`: a change computed from a column's value (RFC 7047, section 5.1).

use serde_json::Value;

use super::error::{Error, Tag};
use super::schema::{ColumnType, TableSchema, UNLIMITED};
use super::value::{Atom, AtomType, Datum, NamedUuids, Real};

/// One mutation of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The column's place.
    pub column: usize,
    mutator: Mutator,
    value: Datum,
}

/// Mutators (RFC 7047, 5.1, `<mutator>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Insert,
    Delete,
}

/// Why arithmetic has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    DivisionByZero,
    OutOfRange,
}

impl Mutator {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "+=" => Self::Add,
            "-=" => Self::Subtract,
            "*=" => Self::Multiply,
            "/=" => Self::Divide,
            "%=" => Self::Modulo,
            "insert" => Self::Insert,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Subtract => "-=",
            Self::Multiply => "*=",
            Self::Divide => "/=",
            Self::Modulo => "%=",
            Self::Insert => "insert",
            Self::Delete => "delete",
        }
    }
}

impl Mutation {
    /// Reads a mutation of a row of `table`.
    ///
    /// # Errors
    /// `syntax error`, `unknown column`, `unknown mutator`, `constraint violation` for an immutable
    /// column, or what is wrong with the value.
    pub fn from_json(
        table: &TableSchema,
        json: &Value,
        names: &mut NamedUuids<'_>,
    ) -> Result<Self, Error> {
        let Some([Value::String(name), Value::String(mutator), value]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(Error::syntax(json, "Parse error in mutation."));
        };
        let column = table.require_column(name, json)?;
        let schema = &table.columns[column];
        if !schema.mutable {
            let why = format!("Cannot mutate immutable column {name} in table {}.", table.name);
            return Err(Error::new(Tag::Constraint, why).about(json));
        }
        let Some(op) = Mutator::from_name(mutator) else {
            let why = format!("No mutator named {mutator}.");
            return Err(Error::new(Tag::UnknownMutator, why));
        };
        let mismatch = || {
            let why = format!(
                "Type mismatch: \"{mutator}\" operator may not be applied to column {name} of \
                 type {}.",
                schema.ty
            );
            Error::syntax(json, why)
        };
        let value = match op {
            Mutator::Insert => {
                let ty = any_number(&schema.ty, schema.ty.max).ok_or_else(mismatch)?;
                ty.datum_from_json(value, names)?
            }
            Mutator::Delete => {
                let ty = any_number(&schema.ty, UNLIMITED).ok_or_else(mismatch)?;
                deletion(&ty, value, names)?
            }
            arithmetic => {
                let key = schema.ty.key.atom;
                let applies = schema.ty.value.is_none()
                    && (key == AtomType::Integer
                        || key == AtomType::Real && arithmetic != Mutator::Modulo);
                if !applies {
                    return Err(mismatch());
                }
                // Without the column's limits: what is added need not be storable itself.
                ColumnType::from(key).datum_from_json(value, names)?
            }
        };
        Ok(Self { column, mutator: op, value })
    }

    /// The column's value after the mutation of `old`.
    ///
    /// # Errors
    /// `domain error`, `range error`, or `constraint violation` when the result is not allowed.
    pub fn apply(&self, ty: &ColumnType, old: &Datum) -> Result<Datum, Error> {
        let new = match self.mutator {
            Mutator::Insert => old.union(&self.value),
            Mutator::Delete => old.subtract(&self.value),
            arithmetic => {
                let Some(operand) = self.value.as_scalar() else { return Ok(old.clone()) };
                let atoms = old
                    .atoms()
                    .iter()
                    .map(|atom| calculate(arithmetic, atom, operand))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|why| why.of(arithmetic))?;
                let new = Datum::set(atoms).map_err(|_| {
                    let name = arithmetic.as_str();
                    let why = format!("Result of \"{name}\" operation contains duplicates.");
                    Error::new(Tag::Constraint, why)
                })?;
                ty.check(&new)?;
                new
            }
        };
        if new.len() < ty.min as usize || new.len() > ty.max as usize {
            let why = format!("Attempted to store {} elements in {ty}.", new.len());
            return Err(Error::new(Tag::Constraint, why));
        }
        Ok(new)
    }
}

impl Arithmetic {
    fn of(self, mutator: Mutator) -> Error {
        match self {
            Self::DivisionByZero => Error::new(Tag::Domain, "Division by zero."),
            Self::OutOfRange => {
                let name = mutator.as_str();
                Error::new(Tag::Range, format!("Result of \"{name}\" operation is out of range."))
            }
        }
    }
}

/// The column's type with any number of elements up to `max`; nothing for a scalar, which can
/// neither gain nor lose.
fn any_number(ty: &ColumnType, max: u32) -> Option<ColumnType> {
    (!ty.is_scalar()).then(|| ColumnType { min: 0, max, ..ty.clone() })
}

/// What `delete` takes away: elements, pairs, or of a map the keys alone.
fn deletion(ty: &ColumnType, json: &Value, names: &mut NamedUuids<'_>) -> Result<Datum, Error> {
    match ty.datum_from_json(json, names) {
        Err(_) if ty.value.is_some() => {
            ColumnType { value: None, ..ty.clone() }.datum_from_json(json, names)
        }
        result => result,
    }
}

fn calculate(mutator: Mutator, a: &Atom, b: &Atom) -> Result<Atom, Arithmetic> {
    match (a, b) {
        (Atom::Integer(a), Atom::Integer(b)) => integer(mutator, *a, *b).map(Atom::Integer),
        (Atom::Real(a), Atom::Real(b)) => real(mutator, *a, *b).map(Atom::Real),
        _ => Ok(a.clone()),
    }
}

fn integer(mutator: Mutator, a: i64, b: i64) -> Result<i64, Arithmetic> {
    let result = match mutator {
        Mutator::Add => a.checked_add(b),
        Mutator::Subtract => a.checked_sub(b),
        Mutator::Multiply => a.checked_mul(b),
        Mutator::Divide | Mutator::Modulo if b == 0 => return Err(Arithmetic::DivisionByZero),
        Mutator::Divide => a.checked_div(b),
        Mutator::Modulo => a.checked_rem(b),
        Mutator::Insert | Mutator::Delete => Some(a),
    };
    result.ok_or(Arithmetic::OutOfRange)
}

fn real(mutator: Mutator, a: Real, b: Real) -> Result<Real, Arithmetic> {
    let (a, b) = (a.get(), b.get());
    let result = match mutator {
        Mutator::Add => a + b,
        Mutator::Subtract => a - b,
        Mutator::Multiply => a * b,
        Mutator::Divide if b == 0.0 => return Err(Arithmetic::DivisionByZero),
        Mutator::Divide => a / b,
        Mutator::Modulo | Mutator::Insert | Mutator::Delete => a,
    };
    Real::new(result).ok_or(Arithmetic::OutOfRange)
}
