//! Prints the floor of every case: the smallest cycles a packet of many repetitions.
//!
//! `cargo bench --bench floor [-- FILTER]`. `DP_KERNEL=generic` measures the portable kernels.

use dp_benches::allocations_unsafe::{Counting, so_far};
use dp_benches::{cases, measuring};
use dp_core::lookup::Kernel;
use dp_core::packet::BURST;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURSTS: u64 = 256;
const REPEATS: usize = 400;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let (bursts, repeats) = if measuring() { (BURSTS, REPEATS) } else { (4, 2) };
    let name = std::env::var("DP_KERNEL").unwrap_or_default();
    let kernel =
        Kernel::available().find(|kernel| kernel.name() == name).unwrap_or_else(Kernel::best);
    println!("kernel {}; TSC cycles a packet, floor and median of {repeats} runs", kernel.name());
    for mut case in cases::all(kernel) {
        if !case.name.contains(&filter) {
            continue;
        }
        (case.run)(bursts);
        let before = so_far();
        let mut figures = [0.0; REPEATS];
        for figure in figures.iter_mut().take(repeats) {
            *figure = (case.run)(bursts) as f64 / (bursts * BURST as u64) as f64;
        }
        let allocations = so_far() - before;
        figures[..repeats].sort_by(f64::total_cmp);
        let (floor, median) = (figures[0], figures[repeats / 2]);
        println!("{floor:8.1} {median:8.1}  {}", case.name);
        assert_eq!(allocations, 0, "{} allocates", case.name);
    }
}
