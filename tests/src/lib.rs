//! Shared parts of the system tests: the switch under test, stepped by hand.

pub mod rules;
mod switch;

pub use switch::{Switch, SwitchConfig};
