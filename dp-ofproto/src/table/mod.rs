//! Flow tables: rules, and how a packet finds its rule.
//!
//! | room | what |
//! |---|---|
//! | [`rule`] | one line of a table |
//! | [`flow_mod`] | requests to change tables, and what came of them |
//! | [`tables`] | the tables of a bridge: snapshots for readers, one writer |
//! | [`edit`] | a transaction of flow-mods |
//! | [`hidden`] | rules of the switch itself, before all others |
//! | [`group_mod`] | requests to change groups, and carrying them out |
//! | [`classifier`] | one table: how a packet finds its rule |
//! | `subtable`, `shape` | the rules of one mask; which words it looks at in which stage |
//! | [`prefixes`], `prefix_trie` | which prefixes of an address rules match on |
//! | `hash_trie`, `bucket` | the map in which versions share what they have in common |
//! | [`internal`] | the rules of the switch's own table |
//! | `users` | how many rules use a group or a meter |
//! | `overflow` | what a full table does |
//! | `eviction` | the order in which a full table lets rules go |
//! | [`oracle`] | linear scan, the judge of the classifier |
//!
//! ```text
//!   controller ──FlowMod──► Edit ──commit──► Tables ──snapshot──► TableSet ──lookup──► Rule
//!                             │ Vec<Change>                          ▲ version: what
//!                             ▼                                      │ revalidation compares
//!                  flow-removed, monitors                       translation
//! ```

mod bucket;
pub mod classifier;
pub mod edit;
mod eviction;
pub mod flow_mod;
pub mod group_mod;
mod hash_trie;
pub mod hidden;
pub mod internal;
pub mod oracle;
mod overflow;
mod prefix_trie;
pub mod prefixes;
pub mod rule;
mod shape;
mod subtable;
pub mod tables;
mod users;

pub use crate::matching::{Match, MatchBuilder, MiniMask, PrereqError};
pub use classifier::{Found, Table};
pub use edit::{Edit, outputs_to, uses_group, uses_meter};
use eviction::EvictionOrder;
pub use flow_mod::{Change, Command, FlowMod, FlowModError, Removal};
pub use group_mod::{BucketSpec, GroupCommand, GroupMod, GroupModError};
pub use hidden::{Hidden, HiddenRule};
pub use internal::{Internal, InternalRules};
pub use overflow::TableLimit;
pub use prefixes::{PREFIX_FIELDS, PrefixFields};
pub use rule::{Expiry, Rule, RuleFlags, RuleId, RuleStats, TableCounters, Version};
pub use tables::{INTERNAL_TABLE, TABLES, TableSet, Tables, TablesConfig};

#[cfg(test)]
mod tests;
