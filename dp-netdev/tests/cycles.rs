//! Dummy ports added and removed many times beside others that stay: no number, descriptor, thread
//! or memory goes with them.
//!
//! Alone in its program, so that nobody else's are counted. Each cycle adds and removes two ports; the
//! long run, of a million ports:
//!
//! ```sh
//! DP_CYCLES=500000 cargo test --release -p dp-netdev --test cycles -- --nocapture
//! ```

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Instant as Wall;

use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, Upcall, UpcallError, UpcallSink, Verdict};
use dp_netdev::port::dummy::Dummy;
use dp_netdev::{Config, Idle, Netdev};

/// No packet comes.
struct Nobody;

impl UpcallSink for Nobody {
    fn upcall(&self, _upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        Err(UpcallError::NoBridge)
    }
}

/// What a process holds: memory in KiB, descriptors, threads.
fn held() -> (u64, usize, usize) {
    let count = |path| std::fs::read_dir(path).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.trim().trim_end_matches(" kB").parse().unwrap();
    (memory, count("/proc/self/fd"), count("/proc/self/task"))
}

#[test]
fn ports_come_and_go_and_leave_nothing_behind() {
    let cycles = std::env::var("DP_CYCLES").map_or(10_000, |it| it.parse::<u64>().unwrap());
    let netdev = Netdev::new(Arc::new(Nobody), Config::default()).unwrap();
    let add = |name: &str| netdev.add_port_anywhere(Box::new(Dummy::new(name))).unwrap();
    for n in 1..=100 {
        assert_eq!(add(&format!("stays{n}")), PortNo(n));
    }
    // Numbers in between are used again.
    netdev.remove_port(PortNo(50)).unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let (mut half, start) = (None, Wall::now());
    for cycle in 0..cycles {
        if cycle == cycles / 2 {
            half = Some(held());
        }
        let (low, high) = (format!("low{cycle}"), format!("high{cycle}"));
        assert_eq!(add(&low), PortNo(50));
        assert_eq!(add(&high), PortNo(101));
        assert_eq!(netdev.port_named(&high), Some(PortNo(101)));
        netdev.remove_port(PortNo(50)).unwrap();
        netdev.remove_port(PortNo(101)).unwrap();
        assert_eq!(netdev.port_named(&high), None);
    }
    let (before, after) = (half.unwrap(), held());
    println!("{cycles} cycles in {:?}: {before:?} at half, {after:?}", start.elapsed());
    assert!(after.0 <= before.0 + 1024, "memory grows: {before:?}, then {after:?}");
    assert_eq!((after.1, after.2), (before.1, before.2), "descriptors and threads");
    assert_eq!(netdev.ports().len(), 99);
    running.stop();
}
