//! What a route costs: a million IPv4 routes with the prefix lengths of a full table, random
//! destinations, singly and in bursts of 32; and what a change costs.
//!
//! `cargo bench -p dp-benches --bench routes`

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use dp_core::route::{NextHop, Origin, Policy, Prefix, Query, RouteKey, RouteTable, Routes};

/// Share of each prefix length in a full Internet table, per thousand, roughly.
const LENGTHS: &[(u8, u32)] = &[
    (8, 1),
    (12, 1),
    (14, 2),
    (16, 14),
    (17, 8),
    (18, 14),
    (19, 26),
    (20, 46),
    (21, 54),
    (22, 112),
    (23, 104),
    (24, 610),
    (32, 8),
];

/// How many routes.
const ROUTES: u32 = 1_000_000;

fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*state >> 32).unwrap_or(0)
}

fn length(state: &mut u64) -> u8 {
    let mut point = next(state) % 1000;
    for &(len, share) in LENGTHS {
        if point < share {
            return len;
        }
        point -= share;
    }
    24
}

fn key(state: &mut u64) -> RouteKey {
    // Unicast space only, as a full table.
    let address = Ipv4Addr::from_bits(next(state) % 0xdf00_0000 + 0x0100_0000);
    RouteKey {
        prefix: Prefix::new(IpAddr::V4(address), length(state)),
        policy: Policy::Destination,
        origin: Origin::Learned,
        protocol: None,
    }
}

fn load(table: &mut RouteTable, state: &mut u64) -> Routes {
    let begin = Instant::now();
    let hops: Vec<NextHop> = (1..=64)
        .map(|n| NextHop::new("br0", Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)))))
        .collect();
    while table.len() < dp_benches::scaled(ROUTES) as usize {
        let hop = &hops[next(state) as usize % hops.len()];
        assert_eq!(table.add(key(state), hop.clone()), Ok(()), "there is room");
    }
    let added = begin.elapsed();
    let routes = table.snapshot();
    println!(
        "{} routes: added in {:.2} s, built in {:.2} s, {:.1} MB to look up in",
        table.len(),
        added.as_secs_f64(),
        (begin.elapsed() - added).as_secs_f64(),
        table.size() as f64 / 1e6
    );
    routes
}

fn lookups(routes: &Routes, state: &mut u64) {
    let asked: Vec<u32> = (0..1 << 20).map(|_| next(state)).collect();
    for round in 0..3 {
        let begin = Instant::now();
        let mut found = 0_u64;
        let mut out = [0; 32];
        for burst in asked.chunks_exact(32) {
            assert!(routes.burst4(black_box(burst), &mut out), "destination routes only");
            found += out.iter().filter(|&&number| number != u32::MAX).count() as u64;
        }
        let bursts = begin.elapsed();
        let begin = Instant::now();
        for &destination in &asked {
            let query = Query::to(IpAddr::V4(Ipv4Addr::from_bits(black_box(destination))));
            found += u64::from(routes.lookup(&query).is_some());
        }
        let single = begin.elapsed();
        println!(
            "round {round}: {:.1} ns a look-up in bursts of 32, {:.1} ns singly with the route ({:.0} % hit)",
            bursts.as_nanos() as f64 / asked.len() as f64,
            single.as_nanos() as f64 / asked.len() as f64,
            found as f64 / asked.len() as f64 * 50.0
        );
    }
}

fn changes(table: &mut RouteTable, state: &mut u64) {
    let hop = NextHop::new("br1", None);
    let begin = Instant::now();
    let changes = dp_benches::scaled(10_000);
    for _ in 0..changes {
        assert_eq!(table.add(key(state), hop.clone()), Ok(()), "there is room");
        black_box(table.snapshot());
    }
    let each = begin.elapsed() / changes;
    println!("{:.1} µs a change, each with a snapshot of its own", each.as_nanos() as f64 / 1e3);
    let begin = Instant::now();
    let default = RouteKey {
        prefix: Prefix::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        policy: Policy::Destination,
        origin: Origin::Static,
        protocol: None,
    };
    assert_eq!(table.add(default, hop), Ok(()), "there is room");
    black_box(table.snapshot());
    println!("{:.0} ms to change the default route", begin.elapsed().as_secs_f64() * 1e3);
}

fn main() {
    let mut state = 1;
    let mut table = RouteTable::default();
    let routes = load(&mut table, &mut state);
    lookups(&routes, &mut state);
    changes(&mut table, &mut state);
}
