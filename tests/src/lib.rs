//! Shared parts of the system tests: the switch under test, stepped by hand; random rules, flows and
//! packets.

pub mod rules;
pub mod steps;
mod switch;

pub use switch::{Switch, SwitchConfig};
