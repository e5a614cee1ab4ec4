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

use dp_core::lookup::Kernel;

pub mod allocations_unsafe;
pub mod cases;
pub mod cycles_unsafe;
pub mod frames;

/// Whether figures are wanted: under `cargo bench`. Under `cargo test` benchmarks only show that
/// they run, unoptimised, and take [`scaled`] sizes.
#[must_use]
pub fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The kernels that are to be measured: the one that `DP_KERNEL` names, `each` of those that the
/// processor runs, or its fastest.
#[must_use]
pub fn kernels() -> Vec<Kernel> {
    let each = || Kernel::available().filter(|kernel| !matches!(kernel, Kernel::Autovalidate(_)));
    match std::env::var("DP_KERNEL").unwrap_or_default().as_str() {
        "each" => each().collect(),
        name => vec![each().find(|kernel| kernel.name() == name).unwrap_or_else(Kernel::best)],
    }
}

/// A size: itself where figures are wanted, a hundredth otherwise.
#[must_use]
pub fn scaled(size: u32) -> u32 {
    if measuring() { size } else { (size / 100).max(1) }
}
