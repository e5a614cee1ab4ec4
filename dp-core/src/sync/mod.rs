//! The only atomics and locks of the core.
//!
//! | room | what |
//! |---|---|
//! | [`Bound`] | how many of something there may be, among threads |
//! | [`Counter`] | a statistic that one thread writes and any thread reads |
//! | [`SharedCounter`], [`SharedCell`] | what several threads write |
//! | [`FreeList`] | a shared reserve that threads visit in bulk |
//! | [`Sequence`] | a number that threads take in turn |
//! | [`Published`] | a value that is replaced as a whole, and readers that never wait |

mod bound;
mod counter;
mod free_list;
mod published;
mod sequence;
mod shared;

pub use bound::Bound;
pub use counter::Counter;
pub use free_list::FreeList;
pub use published::{Published, Reader};
pub use sequence::Sequence;
pub use shared::{SharedCell, SharedCounter};
