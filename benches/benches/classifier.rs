//! OpenFlow tables: looking up, adding, and the memory of a rule.
//!
//! Rules match on addresses and ports as access lists do, spread evenly over 20 masks. Packets are
//! those of the rules in random order, so that the tables' own cache misses show.

#![expect(missing_docs, reason = "criterion's macros make undocumented items")]
#![expect(clippy::expect_used, reason = "a benchmark may end where it cannot go on")]

use std::hint::black_box;
use std::time::Instant as Clock;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dp_core::base::{Instant, OfPort, mix64};
use dp_core::flow::{FieldId, FlowKey, FlowMask};
use dp_ofproto::action::Action;
use dp_ofproto::table::{FlowMod, Match, TableLimit, Tables};

/// Source and destination prefix, and whether the destination port counts: 20 masks.
fn masks() -> Vec<(u32, u32, bool)> {
    let lengths = [
        (32, 32),
        (24, 32),
        (32, 24),
        (24, 24),
        (16, 32),
        (32, 16),
        (8, 32),
        (32, 8),
        (0, 32),
        (32, 0),
    ];
    lengths.iter().flat_map(|&(src, dst)| [(src, dst, true), (src, dst, false)]).collect()
}

fn random(seed: u64) -> u128 {
    u128::from(mix64(seed.wrapping_add(1), 0x9e37_79b9_7f4a_7c15) & 0xffff_ffff)
}

fn prefix(len: u32) -> u128 {
    u128::from(u32::MAX) ^ u128::from(u32::MAX).checked_shr(len).unwrap_or(0)
}

fn rule(n: u64) -> FlowMod {
    let masks = masks();
    let which = (n % masks.len() as u64) as usize;
    let (src, dst, port) = masks[which];
    let mut matching = Match::build()
        .exact(FieldId::EthType, 0x0800)
        .exact(FieldId::NwProto, 6)
        .masked(FieldId::Ipv4Src, random(2 * n), prefix(src))
        .masked(FieldId::Ipv4Dst, random(2 * n + 1), prefix(dst));
    if port {
        matching = matching.exact(FieldId::TcpDst, u128::from(n & 0xff));
    }
    // Shorter prefixes have lower priorities, as in a routing table.
    let priority = (src + dst) as u16 * 10 + u16::from(port);
    FlowMod::add(0, priority, matching.finish(), vec![Action::output(OfPort(1 + (n & 7) as u16))])
}

fn packet(n: u64) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    for (id, value) in [
        (FieldId::InPort, 1),
        (FieldId::EthDst, 0x0200_0000_0001),
        (FieldId::EthSrc, 0x0200_0000_0002),
        (FieldId::EthType, 0x0800),
        (FieldId::NwProto, 6),
        (FieldId::Ipv4Src, random(2 * n)),
        (FieldId::Ipv4Dst, random(2 * n + 1)),
        (FieldId::TcpSrc, 40_000),
        (FieldId::TcpDst, u128::from(n & 0xff)),
    ] {
        key.set(id, value);
    }
    key
}

fn filled(rules: u64) -> Tables {
    let tables = Tables::default();
    let mut edit = tables.edit();
    for n in 0..rules {
        edit.apply(&rule(n), Instant(0)).expect("a valid rule");
    }
    edit.commit();
    tables
}

fn look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("classifier/look-up");
    group.throughput(Throughput::Elements(1));
    for rules in [1_000, 100_000, 1_000_000] {
        let set = filled(rules).snapshot();
        // Few enough to stay in the cache themselves.
        for (name, from) in [("hit", 0), ("miss", 10 * rules)] {
            let keys: Vec<_> = (0..1024).map(|n| packet(from + n * 7919 % rules)).collect();
            let mut next = keys.iter().cycle();
            group.bench_function(format!("{rules} rules, {name}"), |b| {
                b.iter(|| {
                    let mut wc = FlowMask::EMPTY;
                    let key = next.next().expect("cycles");
                    black_box(set.lookup(0, black_box(key), &mut wc));
                    wc.used()
                });
            });
        }
    }
    group.finish();
}

fn add(c: &mut Criterion) {
    let mut group = c.benchmark_group("classifier/add");
    group.sample_size(10);
    let rules: Vec<_> = (0..100_000).map(rule).collect();
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("100000 rules, published once", |b| {
        b.iter_batched(
            Tables::default,
            |tables| {
                let mut edit = tables.edit();
                for rule in &rules {
                    edit.apply(rule, Instant(0)).expect("a valid rule");
                }
                edit.commit();
                tables
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("100000 rules, each published", |b| {
        b.iter_batched(
            Tables::default,
            |tables| {
                for rule in &rules {
                    tables.apply(rule, Instant(0)).expect("a valid rule");
                }
                tables
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(1));
    for count in [100_000, 1_000_000] {
        let tables = filled(count);
        let mut n = count;
        group.bench_function(format!("1 rule to {count}"), |b| {
            b.iter(|| {
                n += 1;
                tables.apply(&rule(n), Instant(0)).expect("a valid rule")
            });
        });
    }
    let tables = filled(0);
    let limit = TableLimit { rules: Some(100_000), evict: true, groups: Vec::new() };
    tables.set_limits([(0, limit)].into());
    let mortal = |n| FlowMod { idle_timeout: 60, ..rule(n) };
    let mut edit = tables.edit();
    for n in 0..100_000 {
        edit.apply(&mortal(n), Instant(0)).expect("a valid rule");
    }
    edit.commit();
    let mut n = 100_000;
    group.bench_function("1 rule to 100000, the most, another goes", |b| {
        b.iter(|| {
            n += 1;
            tables.apply(&mortal(n), Instant(n)).expect("another goes")
        });
    });
    group.finish();
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// No time but bytes: printed, for criterion measures none.
fn memory(_: &mut Criterion) {
    // A filter asks for something else.
    if std::env::args().skip(1).any(|argument| argument.contains("classifier/")) {
        return;
    }
    let (before, started) = (resident(), Clock::now());
    let tables = Tables::default();
    let mut edit = tables.edit();
    let rules = 1_000_000;
    for n in 0..rules {
        edit.apply(&rule(n), Instant(0)).expect("a valid rule");
        if n % 10_000 == 0 {
            // What changed is told to controllers and forgotten.
            edit.commit();
            edit = tables.edit();
        }
    }
    edit.commit();
    let bytes = resident() - before;
    println!(
        "classifier/memory: {} bytes a rule ({rules} rules over 20 masks, one output action each), \
         added in {:.2} s",
        bytes / rules as usize,
        started.elapsed().as_secs_f64()
    );
}

criterion_group!(benches, memory, look_up, add);
criterion_main!(benches);
