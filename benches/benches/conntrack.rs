//! Connection tracking: what a look-up, a new connection and a flush cost, by one and two threads.
//!
//! The shapes are those by which the reference's own tracker is measured: connections set up in
//! batches, looked up again when they are established, and a zone of them flushed among many. Packets
//! are UDP over IPv4 with checksums that the device has verified, as with a network card; `checked`
//! sums them up as well. Run with `cargo bench -p dp-benches --bench conntrack`.

#![expect(clippy::expect_used, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant as Clock;

use dp_core::action::Ct;
use dp_core::base::{Duration, Instant, PortNo, Zone};
use dp_core::conntrack::Conntrack;
use dp_core::flow::{BurstKeys, Extractor, Pass};
use dp_core::packet::{BURST, Burst, Offloads, Packet, Pool, Slots};

const NOW: Instant = Instant::from_millis(1_000);

fn frame(n: u32, reply: bool) -> Vec<u8> {
    let client = [10, (n >> 16) as u8, (n >> 8) as u8, n as u8];
    let server = [192, 168, 0, 1];
    let (ports, addresses) = if reply {
        ((53, 1024 + (n % 50_000) as u16), (server, client))
    } else {
        ((1024 + (n % 50_000) as u16, 53), (client, server))
    };
    udp(addresses.0, addresses.1, ports.0, ports.1)
}

/// UDP over IPv4 with right checksums.
fn udp(src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> Vec<u8> {
    use dp_core::wire::Protocol;
    use dp_core::wire::checksum::{Pseudo, checksum};
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut header = vec![0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0];
    header.extend(src);
    header.extend(dst);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut body = Vec::new();
    body.extend(sport.to_be_bytes());
    body.extend(dport.to_be_bytes());
    body.extend([0, 26, 0, 0]);
    body.extend([7; 18]);
    let pseudo = Pseudo::V4 { src: src.into(), dst: dst.into() };
    let sum = pseudo.sum(Protocol::UDP, body.len()).with(&body).finish();
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    out.extend(header);
    out.extend(body);
    out
}

fn packet(bytes: &[u8], offloads: Offloads) -> Packet {
    let mut packet = Pool::standard().alloc().expect("a buffer");
    packet.append(bytes.len()).expect("room").copy_from_slice(bytes);
    packet.meta_mut().offloads = offloads;
    packet
}

/// Bursts whose headers have been found.
fn bursts(connections: std::ops::Range<u32>, reply: bool, offloads: Offloads) -> Vec<Burst> {
    let all: Vec<u32> = connections.collect();
    all.chunks(BURST)
        .map(|chunk| {
            let mut burst = Burst::default();
            for &n in chunk {
                assert!(burst.push(packet(&frame(n, reply), offloads)).is_ok());
            }
            let slots = Slots::first(burst.len());
            let keys = &mut BurstKeys::default();
            Extractor::default().burst(&mut burst, slots, Pass::First(PortNo(1)), keys);
            burst
        })
        .collect()
}

fn run(tracker: &Conntrack, bursts: &mut [Burst], ct: &Ct, now: Instant) {
    for burst in bursts {
        let slots = Slots::first(burst.len());
        black_box(tracker.run(burst, slots, ct, Some(PortNo(1)), now));
    }
}

/// Median nanoseconds a packet.
fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn commit(zone: u16) -> Ct {
    Ct { commit: true, zone: Zone(zone), ..Ct::default() }
}

fn look(zone: u16) -> Ct {
    Ct { zone: Zone(zone), ..Ct::default() }
}

const GOOD: Offloads = Offloads::RX_IP_CSUM_GOOD.union(Offloads::RX_L4_CSUM_GOOD);
const COUNT: u32 = 10_000;

fn established(name: &str, offloads: Offloads, connections: u32) {
    let tracker = Conntrack::new(7);
    for from in (0..connections).step_by(COUNT as usize) {
        let range = from..from + COUNT;
        run(&tracker, &mut bursts(range.clone(), false, offloads), &commit(1), NOW);
        run(&tracker, &mut bursts(range, true, offloads), &look(1), NOW);
    }
    let sample = connections.min(COUNT);
    let mut there = bursts(0..sample, false, offloads);
    let rounds = (0..101)
        .map(|_| {
            let start = Clock::now();
            run(&tracker, &mut there, &look(1), NOW);
            start.elapsed().as_nanos() as f64 / f64::from(sample)
        })
        .collect();
    println!("{name:<44} {:8.1} ns/packet", median(rounds));
}

/// The same with one burst of packets over and over, whose addresses change: packets are as near as
/// those that a port has just received, connections as far as there are many of them.
fn established_near(connections: u32) {
    let tracker = Conntrack::new(7);
    for from in (0..connections).step_by(COUNT as usize) {
        let range = from..from + COUNT;
        run(&tracker, &mut bursts(range.clone(), false, GOOD), &commit(1), NOW);
        run(&tracker, &mut bursts(range, true, GOOD), &look(1), NOW);
    }
    let mut near = bursts(0..BURST as u32, false, GOOD);
    let sample = connections.min(100_000);
    let mut state = 1u32;
    let rounds = (0..31)
        .map(|_| {
            let start = Clock::now();
            for _ in 0..sample / BURST as u32 {
                for slot in 0..BURST {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let n = (state >> 8) % connections;
                    if let Some(packet) = near[0].get_mut(slot) {
                        let frame = packet.data_mut();
                        frame[27..30].copy_from_slice(&n.to_be_bytes()[1..]);
                        let port = 1024 + (n % 50_000) as u16;
                        frame[34..36].copy_from_slice(&port.to_be_bytes());
                    }
                }
                run(&tracker, &mut near, &look(1), NOW);
            }
            start.elapsed().as_nanos() as f64 / f64::from(sample)
        })
        .collect();
    let name = format!("established look-up, {connections} at random, near");
    println!("{name:<44} {:8.1} ns/packet", median(rounds));
    let state = near[0].get(0).and_then(Packet::ct).map(|ct| ct.state);
    assert_eq!(state, Some(0x22), "established and tracked");
}

/// Rounds of new connections, `threads` at once; nanoseconds a connection. Between rounds they are
/// flushed, as in a table that has been in use for a while.
fn set_up(threads: u32) {
    let tracker = Arc::new(Conntrack::new(7));
    let barrier = Arc::new(std::sync::Barrier::new(threads as usize));
    let work: Vec<_> = (0..threads)
        .map(|thread| {
            let (tracker, barrier) = (Arc::clone(&tracker), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let from = thread * COUNT;
                let mut mine = bursts(from..from + COUNT, false, GOOD);
                let zone = u16::try_from(thread).unwrap_or(0);
                let rounds = (1..=51u64)
                    .map(|round| {
                        let now = Instant::from_millis(round * 1000);
                        barrier.wait();
                        let start = Clock::now();
                        run(&tracker, &mut mine, &commit(zone), now);
                        let spent = start.elapsed().as_nanos() as f64 / f64::from(COUNT);
                        barrier.wait();
                        assert_eq!(tracker.flush(Some(Zone(zone)), now), COUNT as usize);
                        spent
                    })
                    .collect();
                median(rounds)
            })
        })
        .collect();
    let each: Vec<f64> = work.into_iter().map(|it| it.join().expect("no panic")).collect();
    let all = each.iter().sum::<f64>() / each.len() as f64 / f64::from(threads);
    println!("{:<44} {all:8.1} ns/connection", format!("set-up, {threads} threads"));
}

fn established_threads(threads: u32) {
    let tracker = Arc::new(Conntrack::new(7));
    run(&tracker, &mut bursts(0..COUNT * threads, false, GOOD), &commit(1), NOW);
    run(&tracker, &mut bursts(0..COUNT * threads, true, GOOD), &look(1), NOW);
    let barrier = Arc::new(std::sync::Barrier::new(threads as usize));
    let work: Vec<_> = (0..threads)
        .map(|thread| {
            let (tracker, barrier) = (Arc::clone(&tracker), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let from = thread * COUNT;
                let mut mine = bursts(from..from + COUNT, false, GOOD);
                barrier.wait();
                let rounds = (0..101)
                    .map(|_| {
                        let start = Clock::now();
                        run(&tracker, &mut mine, &look(1), NOW);
                        start.elapsed().as_nanos() as f64 / f64::from(COUNT)
                    })
                    .collect();
                median(rounds)
            })
        })
        .collect();
    let each: Vec<f64> = work.into_iter().map(|it| it.join().expect("no panic")).collect();
    let all = each.iter().sum::<f64>() / each.len() as f64 / f64::from(threads);
    println!("{:<44} {all:8.1} ns/packet", format!("established look-up, {threads} threads"));
}

fn flush(zones: u16, each: u32) {
    let tracker = Conntrack::new(7);
    let mut work = bursts(0..each, false, GOOD);
    for zone in 0..zones {
        run(&tracker, &mut work, &commit(zone), NOW);
    }
    let memory = tracker.memory() as f64 / f64::from(tracker.connections());
    let rounds: Vec<f64> = (0..51)
        .map(|round| {
            let zone = Zone(round % zones);
            let start = Clock::now();
            assert_eq!(tracker.flush(Some(zone), NOW), each as usize);
            let spent = start.elapsed().as_nanos() as f64 / 1000.0;
            run(&tracker, &mut work, &commit(zone.0), NOW);
            spent
        })
        .collect();
    let name = format!("flush of {each} connections among {}", u32::from(zones) * each);
    println!("{name:<44} {:8.1} us", median(rounds));
    let rounds = (0..101)
        .map(|_| {
            let start = Clock::now();
            assert_eq!(tracker.flush(Some(Zone(60_000)), NOW), 0);
            start.elapsed().as_nanos() as f64 / 1000.0
        })
        .collect();
    println!("{:<44} {:8.3} us", "flush of an empty zone", median(rounds));
    println!("{:<44} {memory:8.1} bytes/connection", "memory");
}

/// Writes other clients into a burst, `from` and those after it: packets of theirs or, the other way
/// round, for them. Network 10 or, for a flood, another.
fn clients(burst: &mut Burst, from: u32, net: u8, reply: bool) {
    let (address, port) = if reply { (30, 36) } else { (26, 34) };
    for slot in 0..BURST {
        let n = from + slot as u32;
        let Some(packet) = burst.get_mut(slot) else { continue };
        let frame = packet.data_mut();
        frame[address] = net;
        frame[address + 1..address + 4].copy_from_slice(&n.to_be_bytes()[1..]);
        frame[port..port + 2].copy_from_slice(&(1024 + (n % 50_000) as u16).to_be_bytes());
    }
}

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("a figure");
    let pages: u64 = text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a number");
    pages * 4096
}

fn one_burst(reply: bool) -> Vec<Burst> {
    bursts(0..BURST as u32, reply, GOOD)
}

/// Connections of network 10 that have seen packets both ways.
fn establish(tracker: &Conntrack, count: u32) {
    let (mut there, mut back) = (one_burst(false), one_burst(true));
    for n in (0..count).step_by(BURST) {
        clients(&mut there[0], n, 10, false);
        run(tracker, &mut there, &commit(1), NOW);
        clients(&mut back[0], n, 10, true);
        run(tracker, &mut back, &look(1), NOW);
    }
}

/// A table as full as it may be, by default: what it takes, and what established connections pay
/// while a flood of a million new ones a second fills it, while the flood goes on, and while it is swept
/// out.
fn full_table(most: u32, kept: u32) {
    let tracker = Conntrack::new(7);
    tracker.set_max_connections(most);
    let (mut there, mut flood) = (one_burst(false), one_burst(false));
    let before = resident();
    let step = BURST as u32;
    establish(&tracker, kept);
    let mut next = 0;
    let mut timed = |now: Instant| {
        clients(&mut there[0], next, 10, false);
        next = (next + step) % kept;
        let start = Clock::now();
        run(&tracker, &mut there, &look(1), now);
        let spent = start.elapsed().as_nanos() as f64 / f64::from(step);
        let state = there[0].get(0).and_then(Packet::ct).map(|ct| ct.state);
        assert_eq!(state, Some(0x22), "established and tracked");
        spent
    };
    let alone = (0..kept / step).map(|_| timed(NOW)).collect();
    let [mut filling, mut beyond, mut new, mut more] = [const { Vec::new() }; 4];
    let mut now = NOW;
    for n in (0..most + most / 2).step_by(BURST) {
        now = NOW.after(Duration::from_micros(n.into()));
        clients(&mut flood[0], n, 11, false);
        let fills = n < most - kept;
        let start = Clock::now();
        run(&tracker, &mut flood, &commit(2), now);
        let spent = start.elapsed().as_nanos() as f64 / f64::from(step);
        if fills { &mut new } else { &mut more }.push(spent);
        if fills { &mut filling } else { &mut beyond }.push(timed(now));
    }
    assert!(tracker.connections() <= most && tracker.connections() > most - most / 10);
    let held = tracker.connections();
    let (memory, process) = (tracker.memory() as u64, resident() - before);
    // What packets of other connections cost those that follow them, without any flood.
    let beside = (0..kept / step)
        .map(|n| {
            clients(&mut flood[0], n * 7 * step % (most / 2), 11, false);
            run(&tracker, &mut flood, &look(2), now);
            timed(now)
        })
        .collect();
    // The flood's time is over; established connections are renewed before theirs is.
    for _ in 0..4 {
        now = now.after(Duration::from_secs(20));
        for _ in 0..=kept / step {
            timed(now);
        }
    }
    let (mut emptying, mut slices) = (Vec::new(), Vec::new());
    while tracker.connections() > kept {
        let start = Clock::now();
        tracker.sweep(now, SLICE);
        slices.push(start.elapsed().as_nanos() as f64 / 1000.0);
        emptying.push(timed(now));
    }
    assert_eq!(tracker.connections(), kept, "only the flood has gone");
    let each = memory as f64 / f64::from(held);
    println!("{:<44} {each:8.1} bytes/connection", format!("{held} connections, table"));
    let each = process as f64 / f64::from(held);
    println!("{:<44} {each:8.1} bytes/connection", format!("{held} connections, process"));
    for (name, rounds) in [
        ("established, alone", alone),
        ("established, among packets of the others", beside),
        ("established, while a flood fills the table", filling),
        ("established, while the full table is flooded", beyond),
        ("established, while the table empties", emptying),
        ("the flood's own, while it fills the table", new),
        ("the flood's own, while the table is full", more),
    ] {
        println!("{name:<44} {:8.1} ns/packet", median(rounds));
    }
    slices.sort_by(f64::total_cmp);
    let at = |part: f64| slices[((slices.len() - 1) as f64 * part) as usize];
    let name = format!("sweep of {SLICE} records");
    let (median, most, longest) = (at(0.5), at(0.999), at(1.0));
    println!(
        "{name:<44} {median:8.1} us median {most:8.1} us of 999 in 1,000 {longest:8.1} us longest"
    );
}

/// What a second packet thread does beside one that has the established connections.
const BESIDE: [&str; 6] = [
    "is idle",
    "has packets of 32 connections",
    "has packets of all connections",
    "is flooded, and fills the table",
    "is flooded, and the table is full",
    "sweeps the table empty",
];

/// The same with two packet threads, one of which has the established connections and the other the
/// flood: what forwarding by the one pays for what comes to the other.
fn flood_beside(most: u32, kept: u32) {
    let tracker = Conntrack::new(7);
    tracker.set_max_connections(most);
    establish(&tracker, kept);
    let (phase, clock) = (AtomicUsize::new(0), AtomicU64::new(1_000_000));
    let measured = [const { AtomicBool::new(false) }; BESIDE.len()];
    let time = || {
        let passed = clock.load(Ordering::Relaxed) - 1_000_000;
        NOW.after(Duration::from_micros(passed))
    };
    let rounds = std::thread::scope(|threads| {
        let forwarding = threads.spawn(|| {
            let (mut there, mut next) = (one_burst(false), 0);
            let mut rounds = [const { Vec::new() }; BESIDE.len()];
            loop {
                let doing = phase.load(Ordering::Relaxed);
                let Some(rounds) = rounds.get_mut(doing) else { break };
                clients(&mut there[0], next, 10, false);
                next = (next + BURST as u32) % kept;
                let start = Clock::now();
                run(&tracker, &mut there, &look(1), time());
                rounds.push(start.elapsed().as_nanos() as f64 / BURST as f64);
                measured[doing].store(true, Ordering::Relaxed);
                let state = there[0].get(0).and_then(Packet::ct).map(|ct| ct.state);
                assert_eq!(state, Some(0x22), "established and tracked");
            }
            rounds
        });
        // A short run on a busy machine may be over before the other thread has had its turn.
        let enter = |next: usize| {
            let now = phase.load(Ordering::Relaxed);
            let waits = || now != next && !measured[now].load(Ordering::Relaxed);
            while waits() && !forwarding.is_finished() {
                std::thread::yield_now();
            }
            phase.store(next, Ordering::Relaxed);
        };
        let mut flood = one_burst(false);
        let count = most / BURST as u32;
        let millis = if dp_benches::measuring() { 300 } else { 3 };
        std::thread::sleep(Duration::from_millis(millis));
        for (doing, among) in [(1, 1), (2, kept / BURST as u32)] {
            enter(doing);
            for n in 0..count {
                clients(&mut flood[0], (n * 7 % among) * BURST as u32, 10, false);
                run(&tracker, &mut flood, &look(1), time());
            }
        }
        for n in (0..most + most / 2).step_by(BURST) {
            enter(if n < most - kept { 3 } else { 4 });
            clients(&mut flood[0], n, 11, false);
            run(&tracker, &mut flood, &commit(2), time());
            clock.fetch_add(BURST as u64, Ordering::Relaxed);
        }
        // The flood's time is over; established connections are renewed by the other thread meanwhile.
        for _ in 0..80 {
            clock.fetch_add(1_000_000, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(millis / 3));
        }
        enter(5);
        while tracker.connections() > kept {
            tracker.sweep(time(), SLICE);
        }
        enter(BESIDE.len());
        forwarding.join().expect("no panic")
    });
    assert_eq!(tracker.connections(), kept, "only the flood has gone");
    for (what, rounds) in BESIDE.iter().zip(rounds) {
        let name = format!("established; the other thread {what}");
        println!("{name:<62} {:8.1} ns/packet", median(rounds));
    }
}

/// Records that a packet thread sweeps between two bursts.
const SLICE: u32 = 64;

/// Connections of a question and an answer, one after another: memory after each fifth of them.
fn short_lives(count: u32) {
    let tracker = Conntrack::new(7);
    let (mut there, mut back) = (one_burst(false), one_burst(true));
    let mut memory = Vec::new();
    let start = Clock::now();
    for n in (0..count).step_by(BURST) {
        // 50,000 a second, each of which lives for half a minute: some two million at any time.
        let now = Instant::from_millis(1000 + u64::from(n) / 50);
        clients(&mut there[0], n, 10 + (n >> 24) as u8, false);
        run(&tracker, &mut there, &commit(1), now);
        clients(&mut back[0], n, 10 + (n >> 24) as u8, true);
        run(&tracker, &mut back, &look(1), now);
        tracker.sweep(now, 4 * BURST as u32);
        if n % (count / 5) >= count / 5 - BURST as u32 {
            memory.push((tracker.memory() / 1_000_000, resident() / 1_000_000));
        }
    }
    let spent = start.elapsed().as_nanos() as f64 / f64::from(count);
    assert_eq!(tracker.begun(), u64::from(count), "each was entered");
    let name = format!("{count} short connections");
    println!("{name:<44} {spent:8.1} ns/connection with sweep");
    for (table, process) in memory {
        println!("{:<44} {table:8} MB table {process:8} MB process", "memory after a fifth more");
    }
}

/// Whether a part is asked for: all are unless words name some.
fn wanted(part: &str) -> bool {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| part.contains(&word))
}

fn main() {
    let measuring = dp_benches::measuring();
    if wanted("look-up") {
        established("established look-up, 10,000 connections", GOOD, COUNT);
        let million = if measuring { 1_000_000 } else { COUNT };
        established("established look-up, 1,000,000 connections", GOOD, million);
        established_near(1_000);
        if measuring {
            established_near(100_000);
            established_near(1_000_000);
        }
        established("established look-up, checked", Offloads::empty(), COUNT);
        established_threads(2);
    }
    if wanted("set-up") {
        set_up(1);
        set_up(2);
    }
    if wanted("flush") {
        flush(100, 10_000);
        flush(1_000, 1_000);
    }
    if wanted("flood") {
        let (most, kept) = if measuring { (3_000_000, 96_000) } else { (20_000, 640) };
        full_table(most, kept);
        flood_beside(most, kept);
    }
    if wanted("short") {
        short_lives(if measuring { 50_000_000 } else { 20_000 });
    }
}
