//! Shared parts of the system tests: the switch under test, stepped by hand; random rules, flows and
//! packets.

pub mod keys;
pub mod lists;
pub mod manual;
pub mod rules;
mod stepped;
pub mod steps;
mod switch;

pub use stepped::Stepped;
pub use switch::{Switch, SwitchConfig};
