//! What a bridge learns from the packets that it sees.

mod mac;
mod neighbour;

pub use mac::{Gratuitous, MacChange, MacCounts, MacEntry, MacTable, MacTableConfig};
pub use neighbour::{Neighbour, NeighbourLimits, Neighbours, Question};
