//! `<condition>`: a test on one column, and lists of them (RFC 7047, section 5.1).
//!
//! An operation's `where` holds when all of its conditions do; a monitor's when any does. The
//! extensions of the field are here too: a boolean is a condition, and the order comparisons apply
//! to optional numbers, false when there is none.

use serde_json::Value;

use super::database::Row;
use super::error::{Error, Tag};
use super::schema::{ColumnType, TableSchema, UNLIMITED, UUID_COLUMN};
use super::uuid::Uuid;
use super::value::{Atom, AtomType, Datum, NamedUuids};

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always or never.
    Constant(bool),
    /// A test on a column.
    Test {
        /// The column's place.
        column: usize,
        /// How to compare.
        function: Function,
        /// What to compare with.
        value: Datum,
    },
}

/// Comparison functions (RFC 7047, 5.1, `<function>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
    /// `includes`: everything given is in the column.
    Includes,
    /// `excludes`: nothing given is in the column.
    Excludes,
}

impl Function {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "<" => Self::Less,
            "<=" => Self::AtMost,
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            ">=" => Self::AtLeast,
            ">" => Self::Greater,
            "includes" => Self::Includes,
            "excludes" => Self::Excludes,
            _ => return None,
        })
    }

    fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::AtMost | Self::AtLeast | Self::Greater)
    }
}

impl Condition {
    /// Reads a condition on `table`.
    ///
    /// # Errors
    /// `syntax error`, `unknown column`, `unknown function`, or what is wrong with the value.
    pub fn from_json(
        table: &TableSchema,
        json: &Value,
        names: &mut NamedUuids<'_>,
    ) -> Result<Self, Error> {
        if let Some(constant) = json.as_bool() {
            return Ok(Self::Constant(constant));
        }
        let Some([Value::String(name), Value::String(function), value]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(Error::syntax(json, "Parse error in condition."));
        };
        let column = table.require_column(name, json)?;
        let schema = &table.columns[column];
        let Some(op) = Function::from_name(function) else {
            let why = format!("No function named {function}.");
            return Err(Error::new(Tag::UnknownFunction, why));
        };
        let Some(ty) = argument_type(op, &schema.ty) else {
            let why = format!(
                "Type mismatch: \"{function}\" operator may not be applied to column {name} of \
                 type {}.",
                schema.ty
            );
            return Err(Error::syntax(json, why));
        };
        let value = ty.datum_from_json(value, names)?;
        Ok(Self::Test { column, function: op, value })
    }

    /// Reads an array of conditions.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn list_from_json(
        table: &TableSchema,
        json: &Value,
        names: &mut NamedUuids<'_>,
    ) -> Result<Vec<Self>, Error> {
        let items = json.as_array().ok_or_else(|| Error::syntax(json, "array expected"))?;
        items.iter().map(|item| Self::from_json(table, item, names)).collect()
    }

    /// True when `row` meets the condition.
    pub fn holds(&self, row: &Row) -> bool {
        let (column, function, value) = match self {
            Self::Constant(constant) => return *constant,
            Self::Test { column, function, value } => (*column, *function, value),
        };
        let field = row.get(column);
        match function {
            Function::Equal => field == value,
            Function::NotEqual => field != value,
            Function::Includes => field.includes_all(value),
            Function::Excludes => field.excludes_all(value),
            order => match (field.as_scalar(), value.as_scalar()) {
                (Some(field), Some(value)) => compare(order, field, value),
                _ => false,
            },
        }
    }
}

/// The row that the conditions pick by its UUID, if they do.
pub fn picked_row(conditions: &[Condition]) -> Option<Uuid> {
    conditions.iter().find_map(|condition| match condition {
        Condition::Test {
            column: UUID_COLUMN,
            function: Function::Equal | Function::Includes,
            value,
        } => value.as_scalar()?.as_uuid(),
        _ => None,
    })
}

/// True when `row` meets all conditions.
pub fn all_hold(conditions: &[Condition], row: &Row) -> bool {
    conditions.iter().all(|condition| condition.holds(row))
}

/// The type of a function's argument for a column, or nothing when it does not apply.
fn argument_type(function: Function, column: &ColumnType) -> Option<ColumnType> {
    let mut ty = column.clone();
    match function {
        Function::Equal | Function::NotEqual => {}
        Function::Includes => {
            if !column.is_scalar() {
                ty.min = 0;
            }
        }
        Function::Excludes => {
            if !column.is_scalar() {
                ty.min = 0;
                ty.max = UNLIMITED;
            }
        }
        Function::Less | Function::AtMost | Function::AtLeast | Function::Greater => {
            let numeric = matches!(column.key.atom, AtomType::Integer | AtomType::Real);
            if !numeric || !(column.is_scalar() || column.is_optional_scalar()) {
                return None;
            }
            ty.min = 1;
        }
    }
    Some(ty)
}

fn compare(function: Function, field: &Atom, value: &Atom) -> bool {
    debug_assert!(function.is_order());
    match function {
        Function::Less => field < value,
        Function::AtMost => field <= value,
        Function::AtLeast => field >= value,
        _ => field > value,
    }
}
