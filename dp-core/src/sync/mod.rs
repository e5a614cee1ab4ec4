//! The only atomics and locks of the core.
//!
//! | room | what |
//! |---|---|
//! | [`Alarm`] | who sleeps until there is work, and who brings it |
//! | [`Bound`] | how many of something there may be, among threads |
//! | [`Counter`] | a statistic that one thread writes and any thread reads |
//! | [`SharedCounter`], [`SharedCell`] | what several threads write |
//! | [`disagreements`] | how often two kernels differed |
//! | [`FreeList`] | a shared reserve that threads visit in bulk |
//! | [`Sequence`] | a number that threads take in turn |
//! | [`Published`] | a value that is replaced as a whole, and readers that never wait |
//! | [`Locked`] | a value behind a lock |
//! | [`Segments`] | an array that grows and whose elements never move |
//! | [`Stamp`] | whose a record is that is read without a lock |
//! | [`Word32`], [`Word64`] | numbers that several threads read and write |
//! | [`machine`] | the atomics and locks that these are made of |
//!
//! Models of all of them, and of what is made with them, are in `races`.

mod alarm;
mod bound;
mod counter;
mod free_list;
mod locked;
pub mod machine;
mod published;
#[cfg(not(dp_loom))]
mod segments;
mod sequence;
mod shared;
mod stamp;
mod thread;
#[cfg(not(dp_loom))]
mod validation;
mod word;

pub use alarm::Alarm;
pub use bound::Bound;
pub use counter::Counter;
pub use free_list::FreeList;
pub use locked::{Guard, Locked};
pub use published::{Published, Reader};
#[cfg(not(dp_loom))]
pub use segments::Segments;
pub use sequence::Sequence;
pub use shared::{SharedCell, SharedCounter};
pub use stamp::{ALIVE, Stamp};
pub use thread::thread_number;
#[cfg(not(dp_loom))]
pub(crate) use validation::disagree;
#[cfg(not(dp_loom))]
pub use validation::disagreements;
pub use word::{SpinGuard, Word32, Word64, read_before, written_before};
