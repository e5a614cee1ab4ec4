//! The megaflow table of one packet thread: wildcarded flows by tuple-space search.
//!
//! ```text
//!   in_port ──► ranking: subtables, most hits first        (flows that do not match in_port
//!                  │                                         exactly stand in a ranking of
//!                  ▼ one subtable a mask                     their own, looked at last)
//!               subtable: key & mask ──hash──► bucket of 8 tags ──► flow slot (masked key, T)
//! ```
//!
//! Flows do not overlap but where they agree (translation makes them so), hence the first hit is
//! the answer and the order of subtables is a matter of speed alone.
//!
//! | room | what |
//! |---|---|
//! | [`table`] | [`Megaflows`]: insert, remove, look up, dump |
//! | `subtable` | the flows with one mask: a hash table of buckets |
//! | `rank` | the order in which subtables are asked |
//! | `widen` | the mask budget, and what becomes of masks beyond it |
//! | `kernels`, `kernels_unsafe` | looking up a burst in one subtable |

mod kernels;
#[cfg(target_arch = "x86_64")]
mod kernels_unsafe;
mod rank;
mod subtable;
pub mod table;
mod widen;

pub use table::{InsertError, Inserted, Limits, Looked, Megaflow, Megaflows};

#[cfg(test)]
mod tests;
