//! The values of the database: atoms, and the sets and maps of them that columns hold.

pub mod atom;
pub mod datum;
mod names;

pub use atom::{Atom, AtomType, Real};
pub use datum::{Datum, Duplicate};
pub use names::{DuplicateName, NamedUuids};
