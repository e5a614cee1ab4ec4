//! What a bridge learns from the packets that it sees.

mod mac;

pub use mac::{MacEntry, MacTable, MacTableConfig};
