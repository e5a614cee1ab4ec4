//! The cases under criterion, in TSC cycles a packet: a group for each kernel that the processor runs.

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput};
use dp_benches::{cases, cycles_unsafe};
use dp_core::lookup::Kernel;
use dp_core::packet::BURST;

/// Cycles of the time stamp counter as criterion's clock.
struct Cycles;

impl Measurement for Cycles {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        cycles_unsafe::now()
    }

    fn end(&self, start: u64) -> u64 {
        cycles_unsafe::now() - start
    }

    fn add(&self, one: &u64, two: &u64) -> u64 {
        one + two
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &PerPacket
    }
}

/// An iteration is a burst; figures are a packet's share of it.
struct PerPacket;

impl ValueFormatter for PerPacket {
    fn scale_values(&self, _: f64, values: &mut [f64]) -> &'static str {
        for value in values {
            *value /= BURST as f64;
        }
        "cycles/packet"
    }

    fn scale_throughputs(&self, _: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        for value in values {
            *value = BURST as f64 / *value * 1e6;
        }
        "packets/Mcycle"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "cycles/burst"
    }
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(Cycles).configure_from_args();
    // Of what the processor runs; the autovalidator's cost is nobody's concern.
    let measured = |kernel: &Kernel| !matches!(kernel, Kernel::Autovalidate(_));
    for kernel in Kernel::available().filter(measured) {
        let mut group = criterion.benchmark_group(kernel.name());
        group.throughput(Throughput::Elements(BURST as u64));
        for mut case in cases::all(kernel) {
            group.bench_function(case.name.clone(), |bencher| {
                bencher.iter_custom(|bursts| (case.run)(bursts));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
