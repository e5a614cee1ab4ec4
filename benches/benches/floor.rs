//! Prints the floor of every case: the smallest cycles a packet of many repetitions.
//!
//! `cargo bench --bench floor [-- FILTER]`. `DP_KERNEL=generic` measures the portable kernels.

use dp_benches::allocations_unsafe::{Counting, so_far};
use dp_benches::cases;
use dp_core::lookup::Kernel;
use dp_core::packet::BURST;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURSTS: u64 = 256;
const REPEATS: u64 = 400;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let name = std::env::var("DP_KERNEL").unwrap_or_default();
    let kernel =
        Kernel::available().find(|kernel| kernel.name() == name).unwrap_or_else(Kernel::best);
    println!("kernel {}; TSC cycles a packet, floor and median of {REPEATS} runs", kernel.name());
    for mut case in cases::all(kernel) {
        if !case.name.contains(&filter) {
            continue;
        }
        (case.run)(BURSTS);
        let before = so_far();
        let mut figures = [0.0; REPEATS as usize];
        for figure in &mut figures {
            *figure = (case.run)(BURSTS) as f64 / (BURSTS * BURST as u64) as f64;
        }
        let allocations = so_far() - before;
        figures.sort_by(f64::total_cmp);
        let (floor, median) = (figures[0], figures[REPEATS as usize / 2]);
        println!("{floor:8.1} {median:8.1}  {}", case.name);
        assert_eq!(allocations, 0, "{} allocates", case.name);
    }
}
