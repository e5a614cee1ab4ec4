//! OVSDB (RFC 7047 and its extensions): the database that configures the switch.
//!
//! Both sides of the protocol are here: the database served to `ovs-vsctl` and its kin when there
//! is no server beside the switch, and the replica of a database that a server keeps.

pub(crate) mod client;
pub mod condition;
pub mod database;
pub mod error;
pub mod file;
pub mod json;
pub mod json_rpc;
pub mod mutation;
pub mod open_vswitch;
pub mod schema;
pub(crate) mod server;
pub mod transaction;
pub mod uuid;
pub mod value;
