//! Benchmarks of the dp datapath: what they measure, and with what.
//!
//! Everything is counted in TSC cycles a packet. `cargo bench --bench floor` prints the smallest
//! figure of many repetitions for every case: on a machine shared with others that is the one that
//! says most about the code. `cargo bench --bench datapath` runs the same cases under criterion,
//! which keeps a history and tells by how much a change has moved them.
//!
//! | room | what |
//! |---|---|
//! | [`cycles_unsafe`] | the time stamp counter |
//! | [`frames`] | 64-byte packets of many flows |
//! | [`cases`] | the cases: extraction, caches, the whole pipeline over rings |
//! | [`allocations_unsafe`] | an allocator that counts |

pub mod allocations_unsafe;
pub mod cases;
pub mod cycles_unsafe;
pub mod frames;
