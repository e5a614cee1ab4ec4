//! The OpenFlow protocol: messages of versions 1.0 to 1.5 and of the Nicira and ONF extensions,
//! between bytes and values.
//!
//! No I/O and no state: what a message means may depend on what a session has said before, so the
//! session says it again with each call. Reading is total: every sequence of bytes is a value or
//! an error [`Code`], never a panic, and never holds more memory than the bytes were long.
//!
//! | room | what |
//! |---|---|
//! | [`version`], [`header`], [`wire`] | versions, message boundaries, primitives |
//! | [`error`] | error codes with their numbers in each version |
//! | [`mod@matches`] | matches: lists of fields, and the old structures |
//! | [`actions`] | actions and instructions |
//! | [`flow_mod`], [`flow_stats`], [`monitor`] | flows: changed, asked about, watched |
//! | [`group_mod`], [`meter`], [`port`], [`queue`], [`table`], [`table_features`] | the other things a switch has |
//! | [`packet`] | packet-in and -out, flow-removed |
//! | [`control`], [`async_config`], [`ct_flush`] | the connection, the tunnel options, conntrack |
//! | [`multipart`], [`stats`] | requests and replies of several parts; OXS |
//! | [`experimenter`] | whose extensions, and their numbers |

pub mod actions;
pub mod async_config;
pub mod control;
pub mod ct_flush;
pub mod error;
mod error_table;
pub mod experimenter;
pub mod flow_mod;
pub mod flow_stats;
pub mod group_mod;
pub mod header;
pub mod matches;
pub mod meter;
pub mod monitor;
pub mod multipart;
pub mod packet;
pub mod port;
pub mod queue;
pub mod stats;
pub mod table;
pub mod table_features;
pub mod version;
pub mod wire;

pub use error::Code;
pub use header::{Header, Splitter, TooShort, message_type};
pub use version::{Version, Versions};
