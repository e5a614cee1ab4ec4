//! What a column holds: a set of atoms or a map between atoms (RFC 7047, section 5.1).
//!
//! A scalar is a set of one. Contents are sorted and without duplicates, and shared: cloning a
//! datum copies a pointer, so versions of a row cost what differs between them.
//!
//! # Invariants
//! Strictly ascending keys; all keys of one type, all values of one type.
//!
//! # Cost
//! Look-up is binary search; union, difference and comparison walk both sides once.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::atom::Atom;

/// A column's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// A set, ascending.
    Set(Arc<[Atom]>),
    /// A map, ascending by key.
    Map(Arc<[(Atom, Atom)]>),
}

/// Two equal elements of a set, or keys of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate;

impl Datum {
    /// The set of nothing.
    pub fn empty_set() -> Self {
        Self::Set(Arc::default())
    }

    /// The map of nothing.
    pub fn empty_map() -> Self {
        Self::Map(Arc::default())
    }

    /// The set of one atom.
    pub fn scalar(atom: Atom) -> Self {
        Self::Set(Arc::from([atom]))
    }

    /// The set of `atoms`, in any order.
    ///
    /// # Errors
    /// When two are equal.
    pub fn set(mut atoms: Vec<Atom>) -> Result<Self, Duplicate> {
        atoms.sort_unstable();
        if atoms.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Duplicate);
        }
        Ok(Self::Set(Arc::from(atoms)))
    }

    /// The map of `pairs`, in any order.
    ///
    /// # Errors
    /// When two keys are equal.
    pub fn map(mut pairs: Vec<(Atom, Atom)>) -> Result<Self, Duplicate> {
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Duplicate);
        }
        Ok(Self::Map(Arc::from(pairs)))
    }

    /// How many elements or pairs.
    pub fn len(&self) -> usize {
        match self {
            Self::Set(atoms) => atoms.len(),
            Self::Map(pairs) => pairs.len(),
        }
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one atom of a set of one.
    pub fn as_scalar(&self) -> Option<&Atom> {
        match self {
            Self::Set(atoms) => match &**atoms {
                [atom] => Some(atom),
                _ => None,
            },
            Self::Map(_) => None,
        }
    }

    /// The elements of a set; nothing for a map.
    pub fn atoms(&self) -> &[Atom] {
        match self {
            Self::Set(atoms) => atoms,
            Self::Map(_) => &[],
        }
    }

    /// The pairs of a map; nothing for a set.
    pub fn pairs(&self) -> &[(Atom, Atom)] {
        match self {
            Self::Set(_) => &[],
            Self::Map(pairs) => pairs,
        }
    }

    /// The value under `key` in a map.
    pub fn get(&self, key: &Atom) -> Option<&Atom> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|pair| pair.0.cmp(key)).ok()?;
        pairs.get(at).map(|pair| &pair.1)
    }

    /// The string under the string `key` in a map.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|pair| pair.0.as_str().cmp(&Some(key))).ok()?;
        pairs.get(at)?.1.as_str()
    }

    /// True when the set has `atom`, or the map has it as a key.
    pub fn contains(&self, atom: &Atom) -> bool {
        match self {
            Self::Set(atoms) => atoms.binary_search(atom).is_ok(),
            Self::Map(_) => self.get(atom).is_some(),
        }
    }

    /// True when every element (pair) of `other` is in this one.
    pub fn includes_all(&self, other: &Self) -> bool {
        other.atoms().iter().all(|atom| self.contains(atom))
            && other.pairs().iter().all(|(key, value)| self.get(key) == Some(value))
    }

    /// True when no element (pair) of `other` is in this one.
    pub fn excludes_all(&self, other: &Self) -> bool {
        !other.atoms().iter().any(|atom| self.contains(atom))
            && !other.pairs().iter().any(|(key, value)| self.get(key) == Some(value))
    }

    /// This one with what `other` has besides; of a map, keys that are here keep their value.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Set(a), Self::Set(b)) => {
                let mut out = Vec::with_capacity(a.len() + b.len());
                walk(a, b, Ord::cmp, |left, right| out.extend(left.or(right).cloned()));
                Self::Set(Arc::from(out))
            }
            (Self::Map(a), Self::Map(b)) => {
                let mut out = Vec::with_capacity(a.len() + b.len());
                walk(a, b, by_key, |left, right| out.extend(left.or(right).cloned()));
                Self::Map(Arc::from(out))
            }
            _ => self.clone(),
        }
    }

    /// This one without what is in `other`: elements of a set; of a map, equal pairs, or the keys
    /// that `other` lists when it is a set.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Set(a), Self::Set(_)) => {
                Self::Set(a.iter().filter(|atom| !other.contains(atom)).cloned().collect())
            }
            (Self::Map(a), Self::Set(_)) => {
                Self::Map(a.iter().filter(|pair| !other.contains(&pair.0)).cloned().collect())
            }
            (Self::Map(a), Self::Map(_)) => Self::Map(
                a.iter().filter(|pair| other.get(&pair.0) != Some(&pair.1)).cloned().collect(),
            ),
            (Self::Set(_), Self::Map(_)) => self.clone(),
        }
    }

    /// What [`Datum::apply_diff`] turns this one into `new` with.
    ///
    /// Of sets, what is in one only. Of maps, pairs whose key is in one only, and the new pairs
    /// whose value changed.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Self {
        match (self, new) {
            (Self::Set(a), Self::Set(b)) => {
                let mut out = Vec::new();
                walk(a, b, Ord::cmp, |left, right| match (left, right) {
                    (Some(_), Some(_)) => {}
                    (one, other) => out.extend(one.or(other).cloned()),
                });
                Self::Set(Arc::from(out))
            }
            (Self::Map(a), Self::Map(b)) => {
                let mut out = Vec::new();
                walk(a, b, by_key, |left, right| match (left, right) {
                    (Some(left), Some(right)) if left.1 == right.1 => {}
                    (left, right) => out.extend(right.or(left).cloned()),
                });
                Self::Map(Arc::from(out))
            }
            _ => new.clone(),
        }
    }

    /// The new value, from this old one and the [`Datum::diff`] between them.
    #[must_use]
    pub fn apply_diff(&self, diff: &Self) -> Self {
        match (self, diff) {
            (Self::Set(_), Self::Set(_)) => self.diff(diff),
            (Self::Map(a), Self::Map(b)) => {
                let mut out = Vec::with_capacity(a.len() + b.len());
                walk(a, b, by_key, |left, right| match (left, right) {
                    // The same pair again takes it away; another value replaces it.
                    (Some(left), Some(right)) if left.1 == right.1 => {}
                    (left, right) => out.extend(right.or(left).cloned()),
                });
                Self::Map(Arc::from(out))
            }
            _ => diff.clone(),
        }
    }

    /// Calls `visit(element, None, ±1)`, or `visit(key, Some(value), ±1)` of a map, with what `new`
    /// lacks (−1) or has besides (+1). A pair whose value changed is both.
    pub fn for_each_pair_change(
        &self,
        new: &Self,
        mut visit: impl FnMut(&Atom, Option<&Atom>, i32),
    ) {
        match (self, new) {
            (Self::Set(a), Self::Set(b)) => {
                walk(a, b, Ord::cmp, |left, right| match (left, right) {
                    (Some(atom), None) => visit(atom, None, -1),
                    (None, Some(atom)) => visit(atom, None, 1),
                    _ => {}
                });
            }
            (Self::Map(a), Self::Map(b)) => {
                walk(a, b, Ord::cmp, |left, right| match (left, right) {
                    (Some(pair), None) => visit(&pair.0, Some(&pair.1), -1),
                    (None, Some(pair)) => visit(&pair.0, Some(&pair.1), 1),
                    _ => {}
                });
            }
            _ => {}
        }
    }

    /// This one with only the elements (pairs) that `keep` wants.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&Atom, Option<&Atom>) -> bool) -> Self {
        match self {
            Self::Set(atoms) => {
                Self::Set(atoms.iter().filter(|a| keep(a, None)).cloned().collect())
            }
            Self::Map(pairs) => {
                Self::Map(pairs.iter().filter(|p| keep(&p.0, Some(&p.1))).cloned().collect())
            }
        }
    }

    /// The JSON form: a set of one is its element.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Set(atoms) => match &**atoms {
                [atom] => atom.to_json(),
                atoms => tagged("set", atoms.iter().map(Atom::to_json).collect()),
            },
            Self::Map(pairs) => tagged(
                "map",
                pairs
                    .iter()
                    .map(|(key, value)| Value::Array(vec![key.to_json(), value.to_json()]))
                    .collect(),
            ),
        }
    }
}

/// The text form that tools and error sentences use: `[a, b]`, `{k=v}`, a single element bare.
impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(atoms) => {
                if let [atom] = &**atoms {
                    return write!(f, "{atom}");
                }
                f.write_str("[")?;
                for (at, atom) in atoms.iter().enumerate() {
                    write!(f, "{}{atom}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (at, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key}={value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl From<Atom> for Datum {
    fn from(atom: Atom) -> Self {
        Self::scalar(atom)
    }
}

fn tagged(tag: &str, items: Vec<Value>) -> Value {
    Value::Array(vec![Value::from(tag), Value::Array(items)])
}

fn by_key(a: &(Atom, Atom), b: &(Atom, Atom)) -> Ordering {
    a.0.cmp(&b.0)
}

/// Walks two ascending slices at once; elements that compare equal come together.
fn walk<'a, T>(
    a: &'a [T],
    b: &'a [T],
    order: impl Fn(&T, &T) -> Ordering,
    mut visit: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let turn = match (a.peek(), b.peek()) {
            (Some(left), Some(right)) => order(left, right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match turn {
            Ordering::Less => visit(a.next(), None),
            Ordering::Greater => visit(None, b.next()),
            Ordering::Equal => visit(a.next(), b.next()),
        }
    }
}

#[cfg(test)]
mod tests;
