//! Rates by a clock that the tests move.

use dp_core::base::{Duration, Instant};
use dp_core::packet::{Burst, Pool};

use super::police::{EgressPolicer, Policer, PolicerConfig, TrtcmConfig, TwoRates};
use super::shaper::{QUEUE_LIMIT, QueueConfig, Shaper, ShaperConfig};

/// A burst of so many packets of `len` bytes for a queue.
fn burst(count: usize, len: usize, queue: u32) -> Burst {
    let mut burst = Burst::default();
    for _ in 0..count {
        let mut packet = Pool::standard().alloc().unwrap();
        packet.append(len).unwrap().fill(0);
        packet.meta_mut().set_marks(0, queue);
        burst.push(packet).unwrap();
    }
    burst
}

const START: Instant = Instant(1_000_000_000_000);

fn at(micros: u64) -> Instant {
    START.after(Duration::from_micros(micros))
}

/// Whether a number lies within so many per cent of another.
#[track_caller]
fn assert_near(found: u64, wanted: u64, per_cent: u64) {
    assert!(found.abs_diff(wanted) * 100 <= wanted * per_cent, "{found}, not about {wanted}");
}

#[test]
fn policing_lets_in_the_rate_of_bits() {
    for (kbits, len) in [(1_000, 64), (10_000, 1514), (100_000, 700)] {
        let config =
            PolicerConfig { bits: kbits * 1000, bits_burst: 64_000, ..PolicerConfig::default() };
        let policer = Policer::new(config, at(0));
        let mut passed = 0;
        // Four times as much as is allowed, for two seconds.
        let gap = (len as u64 * 8 * 1000 / kbits / 4).max(1);
        let mut micros = 0;
        while micros < 2_000_000 {
            let mut packets = burst(1, len, 0);
            let dropped = policer.police(&mut packets, at(micros));
            assert_eq!(packets.len() + dropped as usize, 1);
            passed += packets.iter().map(|it| (it.len() as u64 - 14) * 8).sum::<u64>();
            micros += gap;
        }
        assert_near(passed, 2 * kbits * 1000 + 64_000, 1);
    }
}

#[test]
fn policing_lets_in_the_rate_of_packets_and_closes_gaps() {
    let config = PolicerConfig { packets: 10_000, packets_burst: 16, ..PolicerConfig::default() };
    let policer = Policer::new(config, at(0));
    let mut first = burst(32, 100, 0);
    assert_eq!(policer.police(&mut first, at(0)), 16);
    assert_eq!((first.len(), first.live().len()), (16, 16));
    let passed: usize = (1..=1000)
        .map(|turn| {
            let mut packets = burst(32, 100, 0);
            policer.police(&mut packets, at(turn * 1000));
            packets.len()
        })
        .sum();
    assert_near(passed as u64, 10_000, 1);
}

#[test]
fn both_limits_of_policing_hold_together() {
    let config =
        PolicerConfig { bits: 8_000_000, bits_burst: 80_000, packets: 500, packets_burst: 1 };
    let policer = Policer::new(config, at(0));
    let count = |len, from: u64| -> u64 {
        let turns = from..from + 1000;
        turns
            .map(|turn| {
                let mut packets = burst(4, len, 0);
                policer.police(&mut packets, at(turn * 1000));
                packets.len() as u64
            })
            .sum()
    };
    assert_near(count(114, 0), 500, 1);
    // 8 Mbit/s are 1000 packets of 1000 bytes: packets are scarcer.
    assert_near(count(1014, 1000), 500, 1);
}

#[test]
fn an_egress_policer_counts_bytes_behind_the_ethernet_header() {
    // The example of the manual: 46,000 bytes are 1,000 packets of 64 with their checksums.
    let rates = TwoRates { cir: 46_000, cbs: 460, ..TwoRates::default() };
    let policer = EgressPolicer::new(&TrtcmConfig { port: rates, queues: vec![] }, at(0));
    let mut passed = 0;
    for turn in 0..10_000 {
        let mut packets = burst(1, 60, 0);
        let dropped = policer.police(&mut packets, at(turn * 100));
        passed += 1 - u64::from(dropped);
    }
    assert_near(passed, 1_010, 1);
}

#[test]
fn three_colours_give_queues_their_rates_and_the_port_its_own() {
    let two = |cir, eir| TwoRates { cir, cbs: 2_000, eir, ebs: 2_000 };
    // Queue 1 may have 50,000 + 50,000 bytes a second, queue 2 half of it, the port 120,000.
    let config = TrtcmConfig {
        port: two(60_000, 60_000),
        queues: vec![(1, two(50_000, 50_000)), (2, two(25_000, 25_000))],
    };
    let policer = EgressPolicer::new(&config, at(0));
    let mut passed = [0_u64; 3];
    let mut offer = |queue: usize, micros| {
        let mut packets = burst(1, 114, queue as u32);
        policer.police(&mut packets, at(micros));
        passed[queue] += packets.iter().map(|it| it.len() as u64 - 14).sum::<u64>();
    };
    for turn in 0..20_000 {
        offer(2, turn * 250);
    }
    for turn in 20_000..40_000 {
        offer(1, turn * 250);
        offer(2, turn * 250 + 100);
    }
    // Alone it had its own rates for five seconds; together with the other the port's bound both.
    assert!(passed[2] >= 250_000, "{passed:?}");
    assert_near(passed[1] + passed[2], 250_000 + 600_000, 3);
}

/// Offers so many bits a second to each queue, in frames of `len`, until the time is over; bytes
/// sent by queue.
fn run(shaper: &mut Shaper, offers: &[(u32, u64)], len: usize, millis: u64) -> Vec<u64> {
    let before: Vec<u64> = shaper.report().iter().map(|it| it.bytes).collect();
    let mut owed = vec![0_u64; offers.len()];
    let mut leaving = Burst::default();
    for step in 0..millis * 10 {
        let now = at(step * 100);
        for (owed, (queue, rate)) in owed.iter_mut().zip(offers) {
            *owed += rate / 10_000;
            while *owed >= len as u64 * 8 {
                *owed -= len as u64 * 8;
                shaper.enqueue(&mut burst(1, len, *queue), now);
            }
        }
        while shaper.release(&mut leaving, now) {
            leaving.clear();
        }
        assert!(!shaper.waits() || shaper.due().is_some_and(|due| due > now));
    }
    shaper.report().iter().zip(before).map(|(it, before)| it.bytes - before).collect()
}

fn queue(min_rate: u64, max_rate: u64, priority: u32) -> QueueConfig {
    QueueConfig { min_rate, max_rate, burst: 0, priority }
}

fn shaper(max_rate: u64, queues: &[(u32, QueueConfig)]) -> Shaper {
    let queues = queues.iter().copied().collect();
    Shaper::new(&ShaperConfig { max_rate, queues }, at(0))
}

#[test]
fn a_shaper_sends_at_the_rate_of_the_port() {
    for (rate, len) in [(1_000_000, 100), (10_000_000, 1514), (100_000_000, 1514)] {
        let mut shaper = shaper(rate, &[]);
        let sent = run(&mut shaper, &[(0, rate * 2)], len, 2_000);
        assert_near(sent[0] * 8, rate * 2, 5);
    }
}

#[test]
fn a_queue_is_held_to_its_maximum_even_if_the_port_is_idle() {
    let mut shaper = shaper(100_000_000, &[(3, queue(0, 5_000_000, 0))]);
    let sent = run(&mut shaper, &[(3, 20_000_000)], 1000, 2_000);
    assert_near(sent[1] * 8, 10_000_000, 5);
}

#[test]
fn guarantees_come_first_then_priorities() {
    let queues = [(1, queue(2_000_000, 0, 5)), (2, queue(3_000_000, 0, 1))];
    let mut shaper = shaper(10_000_000, &queues);
    let offers = [(0, 10_000_000), (1, 10_000_000), (2, 10_000_000)];
    let sent = run(&mut shaper, &offers, 500, 2_000);
    // Queue 0 has the best priority: it gets all that the guarantees leave over.
    assert_near(sent[1] * 8, 4_000_000, 5);
    assert_near(sent[2] * 8, 6_000_000, 5);
    assert_near(sent[0] * 8, 10_000_000, 5);
    // What it leaves goes to the next priority.
    let mut shaper = self::shaper(10_000_000, &queues);
    let sent = run(&mut shaper, &[(0, 1_000_000), (1, 10_000_000), (2, 10_000_000)], 500, 2_000);
    assert_near(sent[1] * 8, 4_000_000, 5);
    assert_near(sent[2] * 8, 14_000_000, 5);
}

#[test]
fn equals_share_by_their_guarantees() {
    let queues = [(1, queue(1_000_000, 0, 0)), (2, queue(3_000_000, 0, 0))];
    let mut shaper = shaper(12_000_000, &queues);
    let sent = run(&mut shaper, &[(1, 12_000_000), (2, 12_000_000)], 500, 2_000);
    assert_near(sent[2], sent[1] * 3, 10);
    assert_near((sent[1] + sent[2]) * 8, 24_000_000, 5);
}

#[test]
fn queues_are_bounded_and_keep_their_order() {
    let mut shaper = shaper(8_000, &[(7, queue(0, 0, 0))]);
    let mut lost = 0;
    for number in 0..QUEUE_LIMIT + 100 {
        let mut packets = burst(1, 100, 7);
        packets.get_mut(0).unwrap().data_mut()[..2].copy_from_slice(&(number as u16).to_be_bytes());
        lost += shaper.enqueue(&mut packets, at(0));
    }
    assert_eq!(lost, 100);
    let report = shaper.report()[1];
    assert_eq!((report.dropped, report.waiting), (100, QUEUE_LIMIT as u64));
    let mut leaving = Burst::default();
    let mut next = 0_u16;
    let mut now = at(0);
    while next < 50 {
        now = shaper.due().unwrap().max(now);
        assert!(shaper.release(&mut leaving, now), "at the moment it names, something leaves");
        for packet in leaving.drain() {
            assert_eq!(packet.data()[..2], next.to_be_bytes());
            next += 1;
        }
    }
}

#[test]
fn what_waits_survives_other_rates_and_other_queues() {
    let mut shaper = shaper(8_000, &[(1, queue(0, 0, 0))]);
    for _ in 0..10 {
        shaper.enqueue(&mut burst(32, 1000, 1), at(0));
    }
    let waiting = |shaper: &Shaper| shaper.report().iter().map(|it| it.waiting).sum::<u64>();
    let config = ShaperConfig { max_rate: 1_000_000_000, queues: [(2, queue(0, 0, 0))].into() };
    shaper.configure(&config, at(1));
    assert_eq!(waiting(&shaper), 320);
    assert_eq!(shaper.report().iter().map(|it| it.queue).collect::<Vec<_>>(), [0, 2]);
    let mut leaving = Burst::default();
    let mut count = 0;
    while shaper.release(&mut leaving, at(1_000_000)) {
        count += leaving.drain().count();
    }
    assert_eq!((count, waiting(&shaper), shaper.waits()), (320, 0, false));
}
