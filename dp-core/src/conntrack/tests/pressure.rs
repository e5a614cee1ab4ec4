//! Many connections, floods, and threads that work on the same ones.

use std::thread;

use super::frames::{ACK, PSH, SYN, datagram, echo, ip, tcp, udp};
use super::{A, B, Lab, commit, look, target, with_nat};
use crate::action::Ct;
use crate::action::ct::NatEnd;
use crate::base::{Duration, Instant, PortNo, Zone, mix64};
use crate::conntrack::Conntrack;
use crate::flow::{BurstKeys, Extractor, Pass};
use crate::packet::{Burst, Packet, Slots};

/// Runs one frame through a tracker that others use too; its state bits.
fn through(tracker: &Conntrack, frame: &[u8], ct: &Ct, now: Instant) -> Option<u8> {
    let mut burst = Burst::default();
    assert!(burst.push(Lab::packet(frame)).is_ok());
    let slots = Slots::first(1);
    let keys = &mut BurstKeys::default();
    Extractor::default().burst(&mut burst, slots, Pass::First(PortNo(1)), keys);
    tracker.run(&mut burst, slots, ct, Some(PortNo(1)), now);
    burst.get(0).and_then(Packet::ct).map(|ct| ct.state)
}

#[test]
fn short_connections_leave_memory_as_it_was() {
    let mut lab = Lab::new();
    let mut memory = 0;
    for round in 0..20 {
        for n in 0..2000u32 {
            let port = u16::try_from(1024 + n).expect("small");
            let host = format!("10.{round}.0.1");
            lab.state(&udp(&host, B, port, 53, b"q"), &commit(1));
            lab.state(&udp(B, &host, 53, port, b"a"), &look(1));
        }
        lab.wait(31);
        while !lab.tracker.sweep(lab.now, 4096) {}
        lab.wait(21);
        while !lab.tracker.sweep(lab.now, 4096) {}
        assert_eq!(lab.tracker.connections(), 0);
        if round == 3 {
            memory = lab.tracker.memory();
        }
    }
    assert_eq!(lab.tracker.begun(), 40_000);
    // What one shard had at its fullest it lends to others; some may still meet a fuller moment.
    let now = lab.tracker.memory();
    assert!(now <= memory + memory / 20, "{now} grew from {memory}");
}

#[test]
fn a_flood_of_openings_neither_ends_nor_keeps_out_what_is_established() {
    let mut lab = Lab::new();
    lab.tracker.set_max_connections(500);
    let segment = |src: &str, dst: &str, sport, dport, tcp: &super::frames::Tcp| {
        datagram(ip(src), ip(dst), 6, tcp.body(sport, dport))
    };
    let open = |lab: &mut Lab, port: u16| {
        lab.state(&segment(A, B, port, 80, &tcp(SYN, 1, 0)), &commit(1));
        lab.state(&segment(B, A, 80, port, &tcp(SYN | ACK, 9, 2)), &look(1));
        lab.state(&segment(A, B, port, 80, &tcp(ACK, 2, 10)), &look(1))
    };
    for port in 1000..1100 {
        assert_eq!(open(&mut lab, port), "est");
    }
    for n in 0..5000u32 {
        let host = format!("10.{}.{}.7", 1 + (n >> 8), n & 0xff);
        lab.state(&segment(&host, B, 4000, 80, &tcp(SYN, n, 0)), &commit(1));
        assert!(lab.tracker.connections() <= 500);
    }
    for port in 1000..1100 {
        let data = tcp(PSH | ACK, 2, 10);
        assert_eq!(lab.state(&segment(A, B, port, 80, &data), &look(1)), "est");
    }
    assert_eq!(open(&mut lab, 2000), "est", "who comes during the flood gets in");
    assert_eq!(lab.tracker.counters().full.get(), 0);
    lab.wait(31);
    while !lab.tracker.sweep(lab.now, 100) {}
    assert_eq!(lab.tracker.connections(), 101, "the flood has run out");
}

#[test]
fn threads_share_connections_and_lose_none() {
    let tracker = Conntrack::new(5);
    tracker.set_max_connections(3000);
    let snat = target(NatEnd::Src, "10.9.0.1", "10.9.0.2", Some((2000, 2400)));
    let start = Instant::from_millis(1000);
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let (tracker, snat) = (&tracker, &snat);
            scope.spawn(move || {
                let mut seed = thread + 1;
                for step in 0..6000u64 {
                    seed = mix64(seed ^ 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f)
                        ^ seed.rotate_left(11);
                    let now = start.after(Duration::from_millis(step * 10));
                    let port = u16::try_from(1 + seed % 200).expect("small");
                    let zone = u16::try_from(seed >> 8 & 3).expect("small");
                    let frame = udp(A, B, port, 53, b"x");
                    let back = udp(B, A, 53, port, b"x");
                    match seed >> 16 & 15 {
                        0 => {
                            tracker.flush(Some(Zone(zone)), now);
                        }
                        1 => {
                            tracker.sweep(now, 64);
                        }
                        2..=5 => {
                            through(tracker, &frame, &Ct { zone: Zone(zone), ..snat.clone() }, now);
                        }
                        6..=9 => {
                            through(tracker, &frame, &commit(zone), now);
                        }
                        10 => {
                            tracker.dump(Some(Zone(zone)), now, |entry| {
                                assert_eq!(entry.zone(), Zone(zone));
                                assert_eq!(entry.orig.rest.dport, 53);
                            });
                        }
                        _ => {
                            through(tracker, &back, &with_nat(look(zone)), now);
                        }
                    }
                }
            });
        }
    });
    let end = start.after(Duration::from_secs(60));
    let zones: u32 = (0..4).map(|zone| tracker.zone_limit(Zone(zone)).count).sum();
    assert_eq!(zones, tracker.connections(), "counts agree");
    let mut entries = Vec::new();
    tracker.dump(None, end, |entry| entries.push(entry));
    for entry in &entries {
        let at = |tuple: &crate::conntrack::Tuple| {
            let (src, dst) = (tuple.src.to_string(), tuple.dst.to_string());
            udp(&src, &dst, tuple.rest.sport, tuple.rest.dport, b"x")
        };
        let state = through(&tracker, &at(&entry.reply), &look(entry.zone().0), end);
        assert_eq!(state, Some(0x2a), "{entry:?} is found from the other side");
    }
    tracker.flush(None, end);
    assert_eq!((tracker.connections(), tracker.occupancy().sum::<usize>()), (0, 0));
}

/// Transport headers that IPv6 packets promise and do not have were read from wherever that led.
#[test]
fn cve_2017_9264_headers_cut_short_are_invalid_and_enter_nothing() {
    let (src, dst) = (ip("2001:db8::1"), ip("2001:db8::2"));
    let frames = [
        datagram(src, dst, 6, tcp(SYN, 1, 0).body(1, 2)),
        udp("2001:db8::1", "2001:db8::2", 1, 2, b"payload"),
        echo("2001:db8::1", "2001:db8::2", 128, 7),
        datagram(ip("192.0.2.1"), ip("192.0.2.2"), 6, tcp(SYN, 1, 0).body(1, 2)),
        udp("192.0.2.1", "192.0.2.2", 1, 2, b"payload"),
        echo("192.0.2.1", "192.0.2.2", 8, 7),
    ];
    for frame in &frames {
        let mut lab = Lab::new();
        for len in 14..frame.len() {
            let state = lab.state(&frame[..len], &commit(1));
            assert!(state.contains("inv") || state == "dropped", "{len}: {state}");
        }
        assert_eq!(lab.tracker.connections(), 0);
        let state = lab.state(frame, &commit(1));
        assert!(state.contains("new"), "{state}");
    }
}
