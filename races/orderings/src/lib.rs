//! `dp_core::sync` under loom: every interleaving of a few threads, and every value that the memory
//! model lets a load return.
//!
//! The room is compiled here once more, with loom's atomics (`dp_loom`, set by `build.rs`). What is
//! shown is what its users rely on; each model has two or three threads and a handful of operations,
//! which loom tries out whole.

#[path = "../../../dp-core/src/sync/mod.rs"]
pub mod sync;
