//! What a bridge learns from the packets that it sees.

mod mac;

pub use mac::{MacChange, MacCounts, MacEntry, MacTable, MacTableConfig};
