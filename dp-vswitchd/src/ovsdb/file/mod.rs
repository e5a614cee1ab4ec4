//! The database on disk, in the reference's format for standalone databases (ovsdb(5)).
//!
//! ```text
//! OVSDB JSON <length> <sha1>\n   <schema>\n
//! OVSDB JSON <length> <sha1>\n   {"_date":…,"_comment":…,"Bridge":{"<uuid>":{…}|null}}\n …
//! ```
//!
//! A file moves between `ovsdb-server` and this server as it is. `log` knows records,
//! `record` what is in them, [`Standalone`] the database as a whole.

pub(in crate::ovsdb) mod journal;
mod lock;
mod log;
mod record;
mod standalone;

pub use self::log::{Damage, LogError};
pub use self::standalone::{OpenError, Opened, Standalone};
