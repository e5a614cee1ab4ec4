//! The only atomics and locks of the core.
//!
//! | room | what |
//! |---|---|
//! | [`Counter`] | a statistic that one thread writes and any thread reads |
//! | [`FreeList`] | a shared reserve that threads visit in bulk |

mod counter;
mod free_list;

pub use counter::Counter;
pub use free_list::FreeList;
