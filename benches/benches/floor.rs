//! Prints the floor of every case: the smallest cycles a packet of many repetitions.
//!
//! `cargo bench --bench floor [-- FILTER]`. `DP_KERNEL=generic` measures the portable kernels,
//! `DP_KERNEL=each` all that the processor runs, beside each other: in one process and by turns, so that
//! what else the machine does meets them alike, each with its own copy of the same tables and packets.

use dp_benches::allocations_unsafe::{Counting, so_far};
use dp_benches::cases::{self, Case};
use dp_benches::{kernels, measuring};
use dp_core::packet::BURST;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURSTS: u64 = 256;
const REPEATS: usize = 400;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let (bursts, repeats) = if measuring() { (BURSTS, REPEATS) } else { (4, 2) };
    let kernels = kernels();
    let names: Vec<_> = kernels.iter().map(|kernel| kernel.name()).collect();
    println!(
        "TSC cycles a packet, floor and median of {repeats} runs; kernels: {}",
        names.join(", ")
    );
    let mut rows: Vec<_> = kernels.iter().map(|&kernel| cases::all(kernel)).collect();
    loop {
        let mut row: Vec<Case> = rows.iter_mut().filter_map(Iterator::next).collect();
        let Some(name) = row.first().map(|case| case.name.clone()) else { break };
        if !name.contains(&filter) {
            continue;
        }
        for case in &mut row {
            (case.run)(bursts);
        }
        let mut figures = vec![[0.0; REPEATS]; row.len()];
        let before = so_far();
        for turn in 0..repeats {
            for (case, figures) in row.iter_mut().zip(&mut figures) {
                figures[turn] = (case.run)(bursts) as f64 / (bursts * BURST as u64) as f64;
            }
        }
        let allocations = so_far() - before;
        for figures in &mut figures {
            figures[..repeats].sort_by(f64::total_cmp);
            print!("{:8.1} {:8.1} ", figures[0], figures[repeats / 2]);
        }
        println!(" {name}");
        assert_eq!(allocations, 0, "{name} allocates");
    }
}
