//! Models of what threads share.
//!
//! | where | what is shown | by |
//! |---|---|---|
//! | `orderings` | each thing of `dp_core::sync`, of which all the rest is made | loom: every interleaving, every value that the memory model allows |
//! | `tests/conntrack.rs` | connections, shards that grow, records used again, zones' limits | shuttle |
//! | `tests/announced.rs` | expected connections, ports of translation, datagrams in pieces | shuttle |
//! | `tests/meters.rs` | buckets and their statistics | shuttle |
//! | `tests/tables.rs` | versions of flow tables, rules' statistics, learned addresses | shuttle |
//! | `tests/ukeys.rs` | what is remembered of megaflows, beside upcalls and revalidation; shares of the table | shuttle |
//!
//! For shuttle, `dp-core` and `dp-ofproto` are compiled here once more with a step of a scheduler
//! before each atomic operation and lock (`dp_stepped`, set by `stepped.rs`): their sources are what
//! is shown, not a copy. Rings between threads and channels are the crates `rtrb` and
//! `crossbeam-channel`, what readers of flow tables load is `arc-swap`'s; what packet threads count
//! is a `Counter` of `dp_core::sync`, and routing tables are `Published` there.
//!
//! ThreadSanitizer runs over the tests that have threads, but says nothing yet: `std` is not compiled
//! for it, so it does not see `std::sync::Mutex` lock and reports what stands behind one (37 reports;
//! those looked at are vectors behind locks and ends of threads). The command, for the day `std` can be:
//!
//! ```text
//! RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' CARGO_TARGET_DIR=target/tsan \
//!     rustup run nightly cargo test --target x86_64-unknown-linux-gnu \
//!     -p dp-core --lib -- sync:: meter:: conntrack::tests::pressure
//! ```
//!
//! `cargo test` runs each model a few hundred times, `MODEL_RUNS=100000 cargo test` longer.

use dp_core::action::Ct;
use dp_core::base::{Instant, PortNo, Zone};
use dp_core::conntrack::{Conntrack, CtState};
use dp_core::flow::{BurstKeys, Extractor, Pass, VlanLimit};
use dp_core::packet::{Burst, Pool, Slots};
use dp_core::wire::checksum::checksum;
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, Runner};

/// How often a model runs, unless the environment says otherwise.
fn runs(few: usize) -> usize {
    std::env::var("MODEL_RUNS").ok().and_then(|it| it.parse().ok()).unwrap_or(few)
}

/// Runs a model under as many schedules; the seed of one that fails is printed.
pub fn model(few: usize, body: impl Fn() + Send + Sync + 'static) {
    run(RandomScheduler::new(runs(few)), body);
}

/// Runs a model under one schedule each with what `prepare` makes outside of it, where nothing costs
/// steps.
pub fn prepared<T: Send + Sync + 'static>(
    few: usize,
    prepare: impl Fn() -> T,
    body: impl Fn(&T) + Send + Sync + Copy + 'static,
) {
    for seed in 0..runs(few) as u64 {
        let it = prepare();
        run(RandomScheduler::new_from_seed(seed, 1), move || body(&it));
    }
}

fn run(scheduler: RandomScheduler, body: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config).run(body);
}

/// A packet of UDP from one end to another, or back.
#[must_use]
pub fn datagram(from: u32, to: u32) -> Burst {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    for end in [from, to] {
        ip.extend(0x0a00_0000_u32.wrapping_add(end >> 8).to_be_bytes());
    }
    let sum = checksum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    frame.extend(ip);
    for end in [from, to] {
        frame.extend((1000 + (end & 0xff) as u16).to_be_bytes());
    }
    frame.extend([0, 8, 0, 0]);
    let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc).expect("a buffer");
    packet.append(frame.len()).expect("room").copy_from_slice(&frame);
    let mut burst = Burst::default();
    assert!(burst.push(packet).is_ok());
    let extractor = Extractor::portable(VlanLimit::One);
    let pass = Pass::First(PortNo(1));
    extractor.burst(&mut burst, Slots::first(1), pass, &mut BurstKeys::default());
    burst
}

/// Runs one packet through the tracker, as new connections are entered; its state.
pub fn track(tracker: &Conntrack, burst: &mut Burst, zone: u16, now: Instant) -> CtState {
    let ct = Ct { commit: true, zone: Zone(zone), ..Ct::default() };
    tracker.run(burst, Slots::first(1), &ct, Some(PortNo(1)), now);
    let found = burst.get(0).and_then(|packet| packet.ct()).expect("tracked");
    CtState::from_bits_retain(found.state)
}
