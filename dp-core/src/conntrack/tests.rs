//! The tracker under a virtual clock: packets in, `ct_state` and packets out.

mod announced;
mod events;
mod frames;
mod lives;
mod pieces;
mod pressure;
mod scripts;

use frames::{ACK, SYN, echo, error, is_sound, sctp, tcp, udp};

use super::text::Detail;
use super::{Conntrack, CtState, TimeoutPolicy, text};
use crate::action::ct::{NatChoice, NatEnd, NatTarget};
use crate::action::{Ct, Masked, ct::Nat};
use crate::base::{Duration, Instant, PortNo, Zone};
use crate::flow::{BurstKeys, Extractor, Pass};
use crate::packet::{Burst, CtMeta, Packet, Pool, Slots};

/// A tracker and the time.
pub(super) struct Lab {
    pub(super) tracker: Conntrack,
    pub(super) now: Instant,
    extractor: Extractor,
    keys: Box<BurstKeys>,
    released: Vec<Packet>,
    expired: u64,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self {
            tracker: Conntrack::new(0x1234_5678),
            now: Instant::from_millis(1_000_000),
            extractor: Extractor::default(),
            keys: Box::default(),
            released: Vec::new(),
            expired: 0,
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    fn packet(frame: &[u8]) -> Packet {
        let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc).expect("a buffer");
        packet.append(frame.len()).expect("room").copy_from_slice(frame);
        packet
    }

    /// Runs a frame through as it comes in; `None` if it is dropped.
    fn through(&mut self, frame: &[u8], ct: &Ct) -> Option<(CtMeta, Vec<u8>)> {
        self.again(Self::packet(frame), ct).map(|packet| (found(&packet), packet.data().to_vec()))
    }

    /// Runs a packet through, whatever it carries.
    fn again(&mut self, packet: Packet, ct: &Ct) -> Option<Packet> {
        let ct_before = packet.ct().copied();
        let mut burst = Burst::default();
        assert!(burst.push(packet).is_ok());
        let slots = Slots::first(1);
        let keys = &mut self.keys;
        self.extractor.burst(&mut burst, slots, Pass::First(PortNo(1)), keys);
        if let (Some(before), Some(packet)) = (ct_before, burst.get_mut(0)) {
            packet.set_ct(before);
        }
        let tracked = self.tracker.run(&mut burst, slots, ct, Some(PortNo(1)), self.now);
        for mut burst in tracked.released {
            self.released.extend(burst.drain());
        }
        self.expired += tracked.expired;
        if tracked.refused.is_empty() { burst.take(0) } else { None }
    }

    pub(super) fn state(&mut self, frame: &[u8], ct: &Ct) -> String {
        self.through(frame, ct).map_or("dropped".into(), |(meta, _)| names(meta.state))
    }

    pub(super) fn dump(&self, more: bool, statistics: bool) -> String {
        text::dump(&self.tracker, None, Detail { more, statistics }, self.now)
    }
}

fn found(packet: &Packet) -> CtMeta {
    packet.ct().copied().unwrap_or_default()
}

/// State bits by their names, without `trk`.
pub(super) fn names(state: u8) -> String {
    let state = CtState::from_bits_retain(state);
    assert!(state.contains(CtState::TRK));
    let names = [
        (CtState::NEW, "new"),
        (CtState::EST, "est"),
        (CtState::REL, "rel"),
        (CtState::RPL, "rpl"),
        (CtState::INV, "inv"),
        (CtState::SNAT, "snat"),
        (CtState::DNAT, "dnat"),
    ];
    let set: Vec<&str> =
        names.iter().filter(|(bit, _)| state.contains(*bit)).map(|(_, name)| *name).collect();
    set.join("|")
}

fn look(zone: u16) -> Ct {
    Ct { zone: Zone(zone), ..Ct::default() }
}

fn commit(zone: u16) -> Ct {
    Ct { commit: true, ..look(zone) }
}

fn with_nat(ct: Ct) -> Ct {
    Ct { nat: Some(Nat::default()), ..ct }
}

fn target(end: NatEnd, first: &str, last: &str, ports: Option<(u16, u16)>) -> Ct {
    let to = NatTarget {
        end,
        addresses: Some((frames::ip(first), frames::ip(last))),
        ports,
        persistent: false,
        choice: NatChoice::Default,
    };
    Ct { nat: Some(Nat { to: Some(to), also: None }), ..commit(1) }
}

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const A6: &str = "fc00::1";
const B6: &str = "fc00::2";

#[test]
fn a_datagram_is_new_until_one_comes_back() {
    let mut lab = Lab::new();
    let (there, back) = (udp(A, B, 1, 2, b"x"), udp(B, A, 2, 1, b"x"));
    assert_eq!(lab.state(&there, &look(1)), "new");
    assert_eq!(lab.tracker.connections(), 0, "nothing is entered without commit");
    assert_eq!(lab.state(&there, &commit(1)), "new");
    assert_eq!(lab.state(&there, &look(1)), "new");
    assert_eq!(lab.state(&back, &look(1)), "est|rpl");
    assert_eq!(lab.state(&there, &look(1)), "est");
    assert_eq!(lab.state(&there, &look(2)), "new", "zones are apart");
    assert_eq!(
        lab.dump(false, true),
        "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),\
         reply=(src=10.0.0.2,dst=10.0.0.1,sport=2,dport=1),zone=1,timeout=30\n"
    );
}

#[test]
fn each_protocol_is_tracked_in_both_families() {
    let mut lab = Lab::new();
    let pairs = [
        (udp(A6, B6, 1, 2, b"x"), udp(B6, A6, 2, 1, b"x")),
        (echo(A, B, 8, 5), echo(B, A, 0, 5)),
        (echo(A6, B6, 128, 5), echo(B6, A6, 129, 5)),
        (sctp(A, B, 5, 6, 1), sctp(B, A, 6, 5, 2)),
        (sctp(A6, B6, 5, 6, 1), sctp(B6, A6, 6, 5, 2)),
        (
            frames::datagram(frames::ip(A), frames::ip(B), 47, vec![0; 20]),
            frames::datagram(frames::ip(B), frames::ip(A), 47, vec![0; 20]),
        ),
    ];
    for (there, back) in &pairs {
        assert_eq!(lab.state(there, &commit(1)), "new");
        assert_eq!(lab.state(back, &look(1)), "est|rpl");
        assert_eq!(lab.state(there, &look(1)), "est");
    }
    assert_eq!(lab.tracker.connections(), pairs.len() as u32);
    let dump = lab.dump(false, false);
    assert!(dump.contains("icmpv6,orig=(src=fc00::1,dst=fc00::2,id=5,type=128,code=0),reply=(src=fc00::2,dst=fc00::1,id=5,type=129,code=0),zone=1\n"), "{dump}");
    assert!(dump.contains("47,orig=(src=10.0.0.1,dst=10.0.0.2,sport=0,dport=0)"), "{dump}");
}

#[test]
fn what_opens_no_connection_is_invalid() {
    let mut lab = Lab::new();
    let bad = |mut frame: Vec<u8>, at: usize| {
        frame[at] ^= 1;
        frame
    };
    let segment =
        |flags| frames::datagram(frames::ip(A), frames::ip(B), 6, tcp(flags, 1, 0).body(7, 8));
    for frame in [
        bad(udp(A, B, 1, 2, b"x"), 40),
        bad(udp(A, B, 1, 2, b"x"), 25),
        bad(segment(SYN), 50),
        bad(sctp(A, B, 5, 6, 1), 44),
        bad(echo(A, B, 8, 5), 36),
        udp(A, B, 0, 2, b"x"),
        udp(A, B, 1, 0, b"x"),
        segment(SYN | ACK),
        segment(SYN | frames::FIN),
        segment(SYN | frames::RST),
        segment(frames::FIN),
        segment(0),
        echo(A, B, 0, 5),
        echo(A, B, 5, 5),
        echo(A6, B6, 129, 5),
        echo(A6, B6, 135, 5),
    ] {
        assert_eq!(lab.state(&frame, &commit(1)), "inv", "{frame:x?}");
    }
    assert_eq!(lab.tracker.connections(), 0);
    let count = |name| lab.tracker.counters().iter().find(|(n, _)| *n == name).map(|(_, c)| c);
    assert_eq!(count("conntrack_l3csum_err"), Some(1));
    assert_eq!(count("conntrack_l4csum_err"), Some(4));
}

#[test]
fn a_datagram_without_a_checksum_is_sound_over_ipv4_alone() {
    let mut lab = Lab::new();
    let mut v4 = udp(A, B, 1, 2, b"x");
    v4[40..42].fill(0);
    assert_eq!(lab.state(&v4, &look(1)), "new");
    let mut v6 = udp(A6, B6, 1, 2, b"x");
    v6[60..62].fill(0);
    assert_eq!(lab.state(&v6, &look(1)), "inv");
}

#[test]
fn an_error_is_related_to_what_it_quotes() {
    let mut lab = Lab::new();
    let there = udp(A, B, 1, 2, b"x");
    assert_eq!(lab.state(&there, &commit(1)), "new");
    assert_eq!(lab.state(&error("10.0.0.9", A, &there), &look(1)), "rel|rpl");
    assert_eq!(lab.state(&error("10.0.0.9", B, &udp(B, A, 2, 1, b"x")), &look(1)), "rel");
    assert_eq!(lab.state(&error("10.0.0.9", A, &udp(A, B, 1, 3, b"x")), &commit(1)), "inv");
    // It goes to who sent what it quotes, or it is made up.
    for to in [B, "10.0.0.9"] {
        assert_eq!(lab.state(&error("10.0.0.9", to, &there), &look(1)), "inv");
    }
    let there = udp(A6, B6, 1, 2, b"x");
    assert_eq!(lab.state(&there, &commit(1)), "new");
    assert_eq!(lab.state(&error("fc00::9", A6, &there), &look(1)), "rel|rpl");
    assert_eq!(lab.state(&error("fc00::9", B6, &there), &look(1)), "inv");
    assert_eq!(lab.tracker.connections(), 2);
}

#[test]
fn marks_and_labels_are_written_under_their_masks_and_carried() {
    let mut lab = Lab::new();
    let frame = udp(A, B, 1, 2, b"x");
    let mark = |value, mask| Ct {
        mark: Some(Masked { value, mask }),
        label: Some(Masked { value: u128::from(value) << 64, mask: u128::from(mask) << 64 }),
        ..commit(1)
    };
    let (meta, _) = lab.through(&frame, &mark(0xab, u32::MAX)).expect("goes on");
    assert_eq!((meta.mark, meta.label), (0xab, 0xab << 64));
    let (meta, _) = lab.through(&frame, &mark(0xc0, 0xf0)).expect("goes on");
    assert_eq!((meta.mark, meta.label), (0xcb, 0xcb << 64));
    let (meta, _) = lab.through(&udp(B, A, 2, 1, b"y"), &look(1)).expect("goes on");
    assert_eq!((meta.mark, meta.label, meta.zone), (0xcb, 0xcb << 64, 1));
    assert_eq!((meta.proto, meta.tp_src, meta.tp_dst), (17, 1, 2), "the original direction");
    assert!(lab.dump(false, false).contains(",mark=203,labels=0xcb0000000000000000\n"));
}

#[test]
fn a_connection_ends_when_its_time_is_over() {
    let mut lab = Lab::new();
    let frame = udp(A, B, 1, 2, b"x");
    lab.state(&frame, &commit(1));
    lab.wait(59);
    assert_eq!(lab.dump(false, true).matches("timeout=1\n").count(), 1);
    lab.wait(1);
    assert_eq!(lab.dump(false, false), "");
    assert_eq!(lab.state(&udp(B, A, 2, 1, b"x"), &look(1)), "new", "an expired one is none");
    lab.state(&frame, &commit(1));
    assert_eq!(lab.tracker.connections(), 1);
    lab.wait(100);
    while !lab.tracker.sweep(lab.now, 1) {}
    assert_eq!(lab.tracker.connections(), 0);
}

#[test]
fn timeouts_follow_the_policy_that_was_named() {
    let mut lab = Lab::new();
    let mut policy = TimeoutPolicy::default();
    assert!(policy.set("udp_first", 7) && policy.set("udp_multiple", 9));
    lab.tracker.set_timeouts("3", Some(policy));
    let named = Ct { timeout: Some("3".into()), ..commit(1) };
    lab.state(&udp(A, B, 1, 2, b"x"), &named);
    assert!(lab.dump(false, true).ends_with("timeout=7\n"));
    lab.state(&udp(B, A, 2, 1, b"x"), &look(1));
    assert!(lab.dump(false, true).ends_with("timeout=9\n"));
    let mut policy = TimeoutPolicy::default();
    assert!(policy.set("udp_first", 8));
    lab.tracker.set_zone_timeouts(Zone(9), Some(policy));
    lab.state(&udp(A, B, 7, 2, b"x"), &commit(9));
    assert!(lab.dump(false, true).contains("zone=9,timeout=8\n"));
    lab.tracker.set_zone_timeouts(Zone(9), None);
    lab.state(&udp(A, B, 8, 2, b"x"), &commit(9));
    assert!(lab.dump(false, true).contains("zone=9,timeout=60\n"));
    let mut policy = TimeoutPolicy::default();
    assert!(policy.set("udp_first", 5));
    lab.tracker.set_default_timeouts(&policy);
    lab.state(&udp(A, B, 3, 2, b"x"), &commit(1));
    assert!(lab.dump(false, true).contains(
        "sport=3,dport=2),reply=(src=10.0.0.2,dst=10.0.0.1,sport=2,dport=3),zone=1,timeout=5\n"
    ));
}

#[test]
fn a_flush_takes_a_zone_or_all_or_what_is_named() {
    let mut lab = Lab::new();
    for port in 1..=50 {
        for zone in 1..=3 {
            lab.state(&udp(A, B, port, 2, b"x"), &commit(zone));
        }
    }
    assert_eq!(lab.tracker.connections(), 150);
    assert_eq!(lab.tracker.flush(Some(Zone(2)), lab.now), 50);
    assert_eq!(lab.tracker.flush(Some(Zone(2)), lab.now), 0);
    assert_eq!(lab.tracker.zone_limit(Zone(1)).count, 50);
    assert_eq!(lab.tracker.zone_limit(Zone(2)).count, 0);
    let [orig, _] =
        text::tuple_filters(["ct_nw_src=10.0.0.1,ct_nw_proto=17,ct_tp_src=7"]).expect("good");
    let filter = super::dump::Filter { orig, zone: Some(Zone(3)), ..Default::default() };
    assert_eq!(lab.tracker.flush_matching(&filter, lab.now), 1);
    assert_eq!(lab.state(&udp(B, A, 2, 7, b"x"), &look(3)), "new");
    assert_eq!(lab.state(&udp(B, A, 2, 7, b"x"), &look(1)), "est|rpl");
    assert_eq!(lab.tracker.flush(None, lab.now), 99);
    assert_eq!(lab.dump(false, false), "");
}

#[test]
fn force_enters_the_connection_in_the_packets_direction() {
    let mut lab = Lab::new();
    lab.state(&udp(A, B, 1, 2, b"x"), &commit(1));
    let forced = Ct { force: true, ..commit(1) };
    assert_eq!(lab.state(&udp(A, B, 1, 2, b"x"), &forced), "new", "its own direction stays");
    assert_eq!(lab.state(&udp(B, A, 2, 1, b"x"), &forced), "new");
    assert!(lab.dump(false, false).starts_with("udp,orig=(src=10.0.0.2,"));
    assert_eq!(lab.tracker.connections(), 1);
}

#[test]
fn a_full_table_and_a_full_zone_count_what_they_refuse() {
    let mut lab = Lab::new();
    let count = |lab: &Lab, name| {
        lab.tracker.counters().iter().find(|(n, _)| *n == name).map(|(_, count)| count)
    };
    lab.tracker.set_zone_limit(Zone(1), Some(2));
    for port in 1..=5 {
        assert_eq!(lab.state(&udp(A, B, port, 2, b"x"), &commit(1)), "new");
    }
    assert_eq!(lab.tracker.zone_limit(Zone(1)).count, 2);
    assert_eq!(count(&lab, "conntrack_zone_full"), Some(3));
    lab.tracker.set_default_zone_limit(1);
    for port in 1..=5 {
        lab.state(&udp(A, B, port, 2, b"x"), &commit(7));
    }
    assert_eq!(
        text::limits(&lab.tracker, &[Zone(1), Zone(7), Zone(9)]),
        "default limit=1\nzone=1,limit=2,count=2\nzone=7,limit=1,count=1\nzone=9,limit=1,count=0\n"
    );
    assert_eq!(text::limits(&lab.tracker, &[]), "default limit=1\nzone=1,limit=2,count=2\n");
    lab.tracker.set_default_zone_limit(0);
    // Those that have a reply stay; those that have none make room.
    for port in [1, 2] {
        lab.state(&udp(B, A, 2, port, b"x"), &look(1));
    }
    lab.tracker.set_max_connections(3);
    lab.state(&udp(A, B, 9, 9, b"x"), &commit(9));
    assert_eq!(lab.tracker.connections(), 3);
    assert_eq!(count(&lab, "conntrack_evicted"), Some(1));
    lab.state(&udp(B, A, 9, 9, b"x"), &look(9));
    lab.state(&udp(A, B, 10, 9, b"x"), &commit(9));
    assert_eq!(lab.tracker.connections(), 3);
    assert_eq!(count(&lab, "conntrack_full"), Some(1));
}

#[test]
fn a_source_is_translated_there_and_back() {
    for (a, b, new, router) in [(A, B, "10.0.0.200", "10.0.0.9"), (A6, B6, "fc00::200", "fc00::9")]
    {
        let mut lab = Lab::new();
        let snat = target(NatEnd::Src, new, new, None);
        let (meta, out) = lab.through(&udp(a, b, 1, 2, b"hi"), &snat).expect("goes on");
        assert_eq!(names(meta.state), "new|snat");
        assert_eq!(out, udp(new, b, 1, 2, b"hi"));
        let (meta, out) =
            lab.through(&udp(b, new, 2, 1, b"yo"), &with_nat(look(1))).expect("goes on");
        assert_eq!(names(meta.state), "est|rpl|dnat");
        assert_eq!(out, udp(b, a, 2, 1, b"yo"));
        let (meta, out) =
            lab.through(&udp(a, b, 1, 2, b"hi"), &with_nat(look(1))).expect("goes on");
        assert_eq!((names(meta.state).as_str(), out), ("est|snat", udp(new, b, 1, 2, b"hi")));
        let (_, out) = lab.through(&udp(a, b, 1, 2, b"hi"), &look(1)).expect("goes on");
        assert_eq!(out, udp(a, b, 1, 2, b"hi"), "without nat nothing is written");
        assert_eq!(lab.state(&udp(b, a, 2, 1, b"x"), &look(1)), "new", "another connection");
        // An error about it, from a router and from the other end.
        for from in [router, b] {
            let quoted = error(from, new, &udp(new, b, 1, 2, b"hi"));
            let (meta, out) = lab.through(&quoted, &with_nat(look(1))).expect("goes on");
            assert_eq!(names(meta.state), "rel|rpl|dnat");
            assert_eq!(out, error(from, a, &udp(a, b, 1, 2, b"hi")));
            assert!(is_sound(&out));
        }
    }
}

#[test]
fn a_destination_and_its_port_are_translated_there_and_back() {
    let mut lab = Lab::new();
    let (vip, real) = ("10.0.0.9", "10.0.0.50");
    let dnat = target(NatEnd::Dst, real, real, Some((80, 80)));
    let segment = |src: &str, dst: &str, sport, dport, tcp: &frames::Tcp| {
        frames::datagram(frames::ip(src), frames::ip(dst), 6, tcp.body(sport, dport))
    };
    let syn = tcp(SYN, 1, 0);
    let (meta, out) = lab.through(&segment(A, vip, 100, 200, &syn), &dnat).expect("goes on");
    assert_eq!(names(meta.state), "new|dnat");
    assert_eq!((meta.tp_src, meta.tp_dst), (100, 200));
    assert_eq!(out, segment(A, real, 100, 80, &syn));
    let answer = tcp(SYN | ACK, 1, 2);
    let back = segment(real, A, 80, 100, &answer);
    let (meta, out) = lab.through(&back, &with_nat(look(1))).expect("goes on");
    assert_eq!(names(meta.state), "est|rpl|snat");
    assert_eq!(out, segment(vip, A, 200, 100, &answer));
    // Hairpin: the client is the server itself.
    let (_, out) = lab.through(&segment(real, vip, 9, 200, &syn), &dnat).expect("goes on");
    assert_eq!(out, segment(real, real, 9, 80, &syn));
    assert_eq!(lab.tracker.connections(), 2);
}

#[test]
fn a_taken_port_gives_way_and_a_full_range_drops() {
    let mut lab = Lab::new();
    let snat = target(NatEnd::Src, "10.0.0.200", "10.0.0.200", None);
    for host in 1..=100 {
        let frame = udp(&format!("10.0.1.{host}"), B, 5000, 2, b"x");
        let (_, out) = lab.through(&frame, &snat).expect("goes on");
        assert!(is_sound(&out));
        assert_eq!(out[26..30], [10, 0, 0, 200]);
    }
    assert_eq!(lab.tracker.connections(), 100);
    for host in 1..=20 {
        let (_, out) =
            lab.through(&echo(&format!("10.0.1.{host}"), B, 8, 7), &snat).expect("goes on");
        assert!(is_sound(&out));
    }
    assert_eq!(lab.tracker.connections(), 120, "identifiers of ICMP give way as well");
    let two = target(NatEnd::Src, "10.0.0.201", "10.0.0.201", Some((5000, 5001)));
    let states: Vec<String> =
        (1..=3).map(|port| lab.state(&udp(A, B, port, 2, b"x"), &two)).collect();
    assert_eq!(states, ["new|snat", "new|snat", "dropped"]);
    let count = lab.tracker.counters().nat_exhausted.get();
    assert_eq!(count, 1);
    // Connections that are over leave their ports, though no sweep has come by.
    lab.wait(61);
    let held = lab.tracker.connections();
    let others: Vec<String> =
        (3..=5).map(|port| lab.state(&udp(A, B, port, 2, b"x"), &two)).collect();
    assert_eq!(others, ["new|snat", "new|snat", "dropped"]);
    assert_eq!(lab.tracker.connections(), held);
    lab.tracker.flush(None, lab.now);
    assert_eq!(lab.dump(true, true), "");
    assert_eq!(lab.state(&udp(A, B, 3, 2, b"x"), &two), "new|snat");
}

#[test]
fn zeros_change_a_port_only_where_the_reply_would_be_anothers() {
    let mut lab = Lab::new();
    let zeros = target(NatEnd::Src, "0.0.0.0", "0.0.0.0", None);
    let (_, out) = lab.through(&udp(A, B, 10, 2000, b"x"), &zeros).expect("goes on");
    assert_eq!(out, udp(A, B, 10, 2000, b"x"));
    // Another connection whose reply direction would be the same.
    let dnat = target(NatEnd::Dst, B, B, Some((2000, 2000)));
    let (_, out) = lab.through(&udp(A, "10.0.0.7", 10, 2000, b"x"), &dnat).expect("goes on");
    assert!(out[26..34] == udp(A, B, 10, 2000, b"x")[26..34] && out[34..36] != [0, 10]);
    assert!(is_sound(&out));
    assert_eq!(lab.state(&udp(A, "10.0.0.7", 11, 2000, b"x"), &dnat), "new|dnat");
    let (_, out) = lab.through(&udp(A, B, 11, 2000, b"x"), &zeros).expect("goes on");
    assert_ne!(out, udp(A, B, 11, 2000, b"x"));
    assert!(is_sound(&out));
}

#[test]
fn a_translated_packet_finds_its_connection_again_in_the_same_zone() {
    let mut lab = Lab::new();
    let snat = target(NatEnd::Src, "10.0.0.200", "10.0.0.200", None);
    let packet = lab.again(Lab::packet(&udp(A, B, 1, 2, b"x")), &snat).expect("goes on");
    let mark = Ct { mark: Some(Masked { value: 5, mask: u32::MAX }), ..commit(1) };
    let packet = lab.again(packet, &mark).expect("goes on");
    assert_eq!(found(&packet).mark, 5);
    assert_eq!(lab.tracker.connections(), 1);
    let packet = lab.again(packet, &with_nat(look(2))).expect("goes on");
    assert_eq!(names(found(&packet).state), "new", "not in another zone");
    // What is said again before an answer has come is translated, committed again, and the same.
    for frame in [udp(A, B, 1, 2, b"x"), echo(A, B, 8, 7), echo(A, B, 8, 7)] {
        let packet = lab.again(Lab::packet(&frame), &with_nat(look(1))).expect("goes on");
        let packet = lab.again(packet, &snat).expect("goes on");
        assert_eq!(names(found(&packet).state), "new|snat");
    }
    assert_eq!(lab.tracker.connections(), 2);
}

#[test]
fn services_with_one_server_are_told_apart_by_the_source_port() {
    let mut lab = Lab::new();
    let dnat = target(NatEnd::Dst, B, B, Some((80, 80)));
    let (first, second) = (udp(A, "10.0.0.8", 5000, 53, b"x"), udp(A, "10.0.0.9", 5000, 53, b"x"));
    let (_, out) = lab.through(&first, &dnat).expect("goes on");
    assert_eq!(out, udp(A, B, 5000, 80, b"x"));
    let (meta, out) = lab.through(&second, &dnat).expect("goes on");
    assert_eq!(names(meta.state), "new|dnat");
    let port = u16::from_be_bytes([out[34], out[35]]);
    assert_ne!(port, 5000);
    // Each answer goes back to the service that was asked.
    let (_, out) = lab.through(&udp(B, A, 80, port, b"y"), &with_nat(look(1))).expect("goes on");
    assert_eq!(out, udp("10.0.0.9", A, 53, 5000, b"y"));
    let (_, out) = lab.through(&udp(B, A, 80, 5000, b"y"), &with_nat(look(1))).expect("goes on");
    assert_eq!(out, udp("10.0.0.8", A, 53, 5000, b"y"));
}

#[test]
fn ends_meet_no_stranger_over_random_changes() {
    use crate::base::mix64;
    // Every connection is found from both sides exactly as long as it is there, NAT or not.
    let mut lab = Lab::new();
    let mut seed = 9u64;
    let mut random = move |below: u64| {
        seed = mix64(seed ^ 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f) ^ seed.rotate_left(9);
        seed % below
    };
    let snat = target(NatEnd::Src, "10.9.0.1", "10.9.0.4", None);
    for _ in 0..4000 {
        let host = random(20) + 1;
        let port = u16::try_from(random(40) + 1).expect("small");
        let zone = u16::try_from(random(3)).expect("small");
        let frame = udp(&format!("10.0.1.{host}"), B, port, 2, b"x");
        let ct = if random(2) == 0 { snat.clone() } else { commit(1) };
        lab.state(&frame, &Ct { zone: Zone(zone), ..ct });
        match random(40) {
            0 => {
                lab.tracker.flush(Some(Zone(zone)), lab.now);
            }
            1 => lab.wait(30),
            2 => while !lab.tracker.sweep(lab.now, 100) {},
            _ => {}
        }
    }
    let mut entries = Vec::new();
    lab.tracker.dump(None, lab.now, |entry| entries.push(entry));
    assert!(entries.len() > 100);
    let zones: u32 = (0..3).map(|zone| lab.tracker.zone_limit(Zone(zone)).count).sum();
    assert_eq!(zones, lab.tracker.connections());
    for entry in entries {
        let at = |tuple: &super::Tuple| {
            let (src, dst) = (tuple.src.to_string(), tuple.dst.to_string());
            udp(&src, &dst, tuple.rest.sport, tuple.rest.dport, b"x")
        };
        let zone = entry.zone().0;
        assert_eq!(lab.state(&at(&entry.reply), &look(zone)), "est|rpl", "{entry:?}");
        assert_eq!(lab.state(&at(&entry.orig), &look(zone)), "est", "{entry:?}");
    }
}

#[test]
fn both_ends_of_a_connection_are_translated_at_once() {
    let part = |end, first, last, ports| {
        let nat: Ct = target(end, first, last, ports);
        nat.nat.and_then(|nat| nat.to)
    };
    for (a, b, public, real) in
        [(A, B, "10.0.0.200", "10.0.0.50"), (A6, B6, "fc00::200", "fc00::50")]
    {
        let mut lab = Lab::new();
        let src = part(NatEnd::Src, public, public, Some((5000, 5001)));
        let dst = part(NatEnd::Dst, real, real, Some((8080, 8080)));
        let nats = [(src.clone(), dst.clone()), (dst, src)];
        for (nth, (to, also)) in nats.into_iter().enumerate() {
            let both = Ct { nat: Some(Nat { to, also }), ..commit(1) };
            let port = 70 + u16::try_from(nth).expect("small");
            let (meta, out) = lab.through(&udp(a, b, port, 80, b"x"), &both).expect("goes on");
            assert_eq!(names(meta.state), "new|snat|dnat");
            let used = u16::from_be_bytes([out[out.len() - 9], out[out.len() - 8]]);
            assert!((5000..=5001).contains(&used), "{used}");
            assert_eq!(out, udp(public, real, used, 8080, b"x"));
            let (meta, out) = lab
                .through(&udp(real, public, 8080, used, b"y"), &with_nat(look(1)))
                .expect("goes on");
            assert_eq!(names(meta.state), "est|rpl|snat|dnat");
            assert_eq!(out, udp(b, a, 80, port, b"y"));
        }
        // Two ports are two connections to one destination.
        let to = part(NatEnd::Src, public, public, Some((5000, 5001)));
        let also = part(NatEnd::Dst, real, real, Some((8080, 8080)));
        let both = Ct { nat: Some(Nat { to, also }), ..commit(1) };
        assert_eq!(lab.state(&udp(a, b, 72, 80, b"x"), &both), "dropped");
        assert_eq!(lab.tracker.counters().nat_exhausted.get(), 1);
    }
}

#[test]
fn a_source_of_zeros_keeps_its_address_and_changes_its_port_only_if_it_must() {
    let mut lab = Lab::new();
    // The reply to the first is what the second one's would be.
    let dnat = target(NatEnd::Dst, "10.0.0.50", "10.0.0.50", None);
    let (_, out) = lab.through(&udp(A, "10.0.0.9", 7000, 53, b"x"), &dnat).expect("goes on");
    assert_eq!(out, udp(A, "10.0.0.50", 7000, 53, b"x"));
    let zeros = target(NatEnd::Src, "0.0.0.0", "0.0.0.0", None);
    let (meta, out) = lab.through(&udp(A, "10.0.0.50", 7000, 53, b"x"), &zeros).expect("goes on");
    assert_eq!(names(meta.state), "new|snat");
    let port = u16::from_be_bytes([out[34], out[35]]);
    assert!(port != 7000 && port >= 1024, "{port}");
    assert_eq!(out, udp(A, "10.0.0.50", port, 53, b"x"));
    let (_, out) =
        lab.through(&udp("10.0.0.50", A, 53, port, b"y"), &with_nat(look(1))).expect("goes on");
    assert_eq!(out, udp("10.0.0.50", A, 53, 7000, b"y"));
    // Without a conflict nothing changes.
    let (_, out) = lab.through(&udp(A, B, 7001, 53, b"x"), &zeros).expect("goes on");
    assert_eq!(out, udp(A, B, 7001, 53, b"x"));
}
