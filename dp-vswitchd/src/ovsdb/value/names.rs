//! The `uuid-name`s of one transaction (RFC 7047, sections 5.1 and 5.2.1).
//!
//! A name may be used before the insert that introduces it, so the first mention, of either sort,
//! draws the UUID. A name that no insert introduces stays a UUID of no row, and reference checking
//! finds it.

use std::collections::BTreeMap;

use crate::ovsdb::uuid::{Uuid, UuidSource};

/// Names and their UUIDs, or the statement that names have no meaning here.
#[derive(Debug)]
pub struct NamedUuids<'a> {
    scope: Option<Scope<'a>>,
}

/// A name that an earlier insert has introduced already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateName;

#[derive(Debug)]
struct Scope<'a> {
    symbols: BTreeMap<String, Symbol>,
    source: &'a mut UuidSource,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    uuid: Uuid,
    introduced: bool,
}

impl<'a> NamedUuids<'a> {
    /// No names: `["named-uuid", …]` is a syntax error.
    pub fn refused() -> Self {
        Self { scope: None }
    }

    /// The names of one transaction, drawn from `source`.
    pub fn new(source: &'a mut UuidSource) -> Self {
        Self { scope: Some(Scope { symbols: BTreeMap::new(), source }) }
    }

    /// True when names have a meaning.
    pub fn allowed(&self) -> bool {
        self.scope.is_some()
    }

    /// The UUID that `name` stands for; the zero UUID where names are refused.
    pub fn refer(&mut self, name: &str) -> Uuid {
        self.scope.as_mut().map_or(Uuid::ZERO, |scope| scope.symbol(name).uuid)
    }

    /// Introduces `name` for a row to be inserted, with `uuid` if the client chose one.
    ///
    /// # Errors
    /// When the name has been introduced before.
    pub fn introduce(&mut self, name: &str, uuid: Option<Uuid>) -> Result<Uuid, DuplicateName> {
        let Some(scope) = &mut self.scope else { return Err(DuplicateName) };
        let symbol = scope.symbol(name);
        if symbol.introduced {
            return Err(DuplicateName);
        }
        symbol.introduced = true;
        if let Some(uuid) = uuid {
            symbol.uuid = uuid;
        }
        Ok(symbol.uuid)
    }

    /// A UUID for a row without a name; the zero UUID where names are refused.
    pub fn fresh(&mut self) -> Uuid {
        self.scope.as_mut().map_or(Uuid::ZERO, |scope| scope.source.fresh())
    }
}

impl Scope<'_> {
    fn symbol(&mut self, name: &str) -> &mut Symbol {
        let source = &mut *self.source;
        self.symbols
            .entry(name.to_owned())
            .or_insert_with(|| Symbol { uuid: source.fresh(), introduced: false })
    }
}

#[cfg(test)]
mod tests {
    use super::{DuplicateName, NamedUuids};
    use crate::ovsdb::uuid::{Uuid, UuidSource};

    #[test]
    fn a_name_keeps_its_uuid_from_the_first_mention() {
        let mut source = UuidSource::counting(0);
        let mut names = NamedUuids::new(&mut source);
        let mentioned = names.refer("a");
        assert_eq!(names.introduce("a", None), Ok(mentioned));
        assert_eq!(names.introduce("a", None), Err(DuplicateName));
        assert_ne!(names.refer("b"), mentioned);
    }

    #[test]
    fn a_chosen_uuid_is_what_the_name_means_from_then_on() {
        let mut source = UuidSource::counting(0);
        let mut names = NamedUuids::new(&mut source);
        let chosen = Uuid([7; 16]);
        assert_eq!(names.introduce("a", Some(chosen)), Ok(chosen));
        assert_eq!(names.refer("a"), chosen);
    }
}
