//! The words that every level shares: numbers with a meaning, instants, hashing, drop reasons.
//!
//! Nothing here knows of packets. Newtypes make one word for one thing the only spelling that
//! compiles: a datapath port is never an OpenFlow port, a zone is never a recirculation id.

mod drop;
mod hash;
mod ids;
mod mac;
mod prefetch_unsafe;
mod random;
mod time;
mod vector;

pub use drop::{DropCounters, DropReason};
pub use hash::{hash_bytes, hash_words, mix64};
pub use ids::{BondId, MeterId, OfPort, PortNo, RecircId, Ufid, Zone};
pub use mac::{MacAddr, ParseMacError};
pub use prefetch_unsafe::prefetch;
pub use random::Random;
pub use time::{Duration, Instant};
pub use vector::{Avx2, Avx512, Vectors};
