//! The vocabulary of the core: small value types that every room above speaks in.

mod mac;

pub use mac::{MacAddr, ParseMacError};
