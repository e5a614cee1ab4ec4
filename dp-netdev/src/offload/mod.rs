//! What a sender left to be done, as ports see it: the core finishes packets in software
//! ([`dp_core::offload`]); here is what is said to a kernel and by it ([`vnet`]), which finishes
//! them itself.

#[cfg(test)]
mod tests;
pub mod vnet;

pub use dp_core::offload::{
    Layout, PENDING, Unfinished, complete_checksum, finish, is_finished, prepare_segmentation,
    segments,
};
