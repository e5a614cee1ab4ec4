//! The only atomics and locks of the core.
//!
//! | room | what |
//! |---|---|
//! | [`Bound`] | how many of something there may be, among threads |
//! | [`Counter`] | a statistic that one thread writes and any thread reads |
//! | [`SharedCounter`], [`SharedCell`] | what several threads write |
//! | [`disagreements`] | how often two kernels differed |
//! | [`FreeList`] | a shared reserve that threads visit in bulk |
//! | [`Sequence`] | a number that threads take in turn |
//! | [`Published`] | a value that is replaced as a whole, and readers that never wait |
//! | [`Locked`] | a value behind a lock |
//! | [`Segments`] | an array that grows and whose elements never move |
//! | [`Word32`], [`Word64`] | numbers that several threads read and write |

mod bound;
mod counter;
mod free_list;
mod locked;
mod published;
mod segments;
mod sequence;
mod shared;
mod validation;
mod word;

pub use bound::Bound;
pub use counter::Counter;
pub use free_list::FreeList;
pub use locked::{Guard, Locked};
pub use published::{Published, Reader};
pub use segments::Segments;
pub use sequence::Sequence;
pub use shared::{SharedCell, SharedCounter};
pub(crate) use validation::disagree;
pub use validation::disagreements;
pub use word::{SpinGuard, Word32, Word64, read_before, written_before};
