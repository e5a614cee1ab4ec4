//! Thousands of ports: one more costs what the first ones cost. Alone in its program, so that nobody
//! else takes the processor from it; what is compared are the quickest of several chunks.

use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_netdev::port::dummy::Dummy;
use dp_netdev::{Config, Idle, Netdev};

/// No packet comes.
struct Nobody;

impl UpcallSink for Nobody {
    fn upcall(&self, _upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        Err(UpcallError::NoBridge)
    }
}

/// Ports of a chunk.
const CHUNK: usize = 250;
/// Chunks at the beginning and at the end that are looked at.
const LOOKED: usize = 6;
/// Chunks in all.
const CHUNKS: usize = 64;

#[test]
fn the_sixteen_thousandth_port_costs_what_the_first_did() {
    let netdev = Netdev::new(Arc::new(Nobody), Config::default()).unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let mut times = Vec::new();
    for chunk in 0..CHUNKS {
        let ports: Vec<_> = (0..CHUNK)
            .map(|at| Box::new(Dummy::new(&format!("p{}", chunk * CHUNK + at))))
            .collect();
        let start = Wall::now();
        for port in ports {
            netdev.add_port_anywhere(port).unwrap();
        }
        times.push(start.elapsed());
    }
    let quickest = |times: &[Duration]| times.iter().min().copied().unwrap();
    let (first, last) = (quickest(&times[..LOOKED]), quickest(&times[CHUNKS - LOOKED..]));
    let found = Wall::now();
    assert_eq!(netdev.port_named("p15999"), Some(PortNo(16_000)));
    println!("{CHUNK} ports: {first:?}, then {last:?}; one found in {:?}", found.elapsed());
    assert!(last < first * 4, "{CHUNK} ports took {first:?} at first and {last:?} at last");
    running.stop();
}
