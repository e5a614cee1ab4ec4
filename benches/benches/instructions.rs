//! Runs cases a few times each, with the portable kernels, for whoever counts the instructions.
//!
//! `cargo xtask instructions` runs this under callgrind, which counts only inside [`measured`] and
//! writes its counts down each time that returns. Names go to the standard output in the same order.
//! Portable kernels, because callgrind knows no AVX-512; what it does know of vectors changes with
//! its version.

use dp_benches::cases::{self, Case};

/// Bursts of 32 packets that are counted: one whole turn of what the cases have in flight.
const BURSTS: u64 = 64;

fn main() {
    for mut case in cases::counted() {
        // Caches and tables are as they will be, and nothing is touched for the first time.
        (case.run)(BURSTS);
        measured(&mut case);
        println!("{BURSTS} {}", case.name);
    }
}

/// What is counted.
#[inline(never)]
fn measured(case: &mut Case) {
    let cycles = (case.run)(BURSTS);
    std::hint::black_box(cycles);
}
