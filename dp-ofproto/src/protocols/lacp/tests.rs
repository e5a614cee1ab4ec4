use dp_core::base::{Duration, Instant, MacAddr, OfPort};

use super::{Config, Info, LEN, Lacp, MemberConfig, Negotiation, Pdu, Slow, State, Status};

fn config(id: u8, active: bool) -> Config {
    let id = MacAddr::new(2, 0, 0, 0, 0, id);
    Config { id, priority: 65_534, active, fast: false, fallback_ab: false }
}

fn member(number: u16) -> MemberConfig {
    MemberConfig {
        name: format!("p{number}"),
        mac: MacAddr::new(2, 0, 0, 0, 1, number as u8),
        id: number,
        priority: 65_535,
        key: 0,
        fast: false,
    }
}

/// Two aggregates of as many members, wired one to one.
struct Pair {
    now: Instant,
    ends: [Lacp; 2],
    cut: Vec<OfPort>,
}

impl Pair {
    fn new(a: Config, b: Config, members: u16) -> Self {
        let now = Instant::from_millis(5000);
        let mut ends = [Lacp::new("a", a), Lacp::new("b", b)];
        for end in &mut ends {
            for number in 1..=members {
                end.put_member(OfPort(number), member(number), now);
                end.carrier_changed(OfPort(number), true, now);
            }
        }
        Self { now, ends, cut: Vec::new() }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.now = self.now.after(Duration::from_millis(100));
            for end in 0..2 {
                self.ends[end].run(self.now);
                for (port, frame) in self.ends[end].send(self.now) {
                    if !self.cut.contains(&port) {
                        self.ends[1 - end].receive(port, &frame[14..], self.now);
                    }
                }
            }
        }
    }

    fn enabled(&self, end: usize) -> Vec<u16> {
        (1..9).filter(|&port| self.ends[end].may_enable(OfPort(port))).collect()
    }
}

#[test]
fn an_active_and_a_passive_end_agree() {
    let mut pair = Pair::new(config(1, true), config(2, false), 2);
    pair.pass(3000);
    for end in 0..2 {
        assert_eq!(pair.ends[end].negotiation(), Negotiation::Negotiated);
        assert_eq!(pair.enabled(end), [1, 2]);
    }
    let text = pair.ends[0].show();
    assert!(
        text.starts_with("---- a ----\n  status: active negotiated\n  sys_id: 02:00:00:00:00:01\n")
    );
    assert!(
        text.contains("  actor state: activity aggregation synchronized collecting distributing\n")
    );
    assert!(text.contains("  partner sys_id: 02:00:00:00:00:02\n"), "{text}");
}

#[test]
fn two_passive_ends_stay_silent() {
    let mut pair = Pair::new(config(1, false), config(2, false), 1);
    pair.pass(10_000);
    assert_eq!(pair.enabled(0), [0; 0]);
    assert_eq!(pair.ends[0].members().next().unwrap().1.stats().tx_pdus, 0);
    assert_eq!(pair.ends[0].negotiation(), Negotiation::Configured);
}

#[test]
fn a_silent_partner_expires_is_given_up_and_comes_back() {
    let mut pair = Pair::new(config(1, true), config(2, true), 2);
    pair.pass(5000);
    pair.cut = vec![OfPort(2)];
    pair.pass(80_000);
    assert_eq!(pair.enabled(0), [1, 2], "three slow intervals have not passed");
    pair.pass(40_000);
    assert_eq!(pair.enabled(0), [1]);
    let status = |pair: &Pair| pair.ends[0].members().nth(1).unwrap().1.status();
    assert_eq!(status(&pair), Status::Defaulted);
    assert!(!pair.ends[0].is_current(OfPort(2)));
    let stats = *pair.ends[0].members().nth(1).unwrap().1.stats();
    assert_eq!((stats.expired, stats.defaulted), (1, 1));
    pair.cut.clear();
    pair.pass(32_000);
    assert_eq!(pair.enabled(0), [1, 2]);
    assert_eq!(status(&pair), Status::Current);
}

#[test]
fn members_of_another_partner_stay_out() {
    let mut pair = Pair::new(config(1, true), config(2, true), 3);
    pair.pass(5000);
    let other = Info {
        sys_priority: 65_534,
        sys_id: MacAddr::new(2, 9, 9, 9, 9, 9),
        key: 7,
        port_priority: 1,
        port_id: 1,
        state: State::ACTIVITY | State::AGGREGATION | State::SYNC,
    };
    let pdu = Pdu { actor: other, partner: Info::default() }.emit();
    pair.ends[0].receive(OfPort(3), &pdu, pair.now);
    assert_eq!(pair.enabled(0), [1, 2]);
}

#[test]
fn other_keys_stay_out_too() {
    let mut pair = Pair::new(config(1, true), config(2, true), 2);
    let keyed = MemberConfig { key: 77, ..member(2) };
    pair.ends[1].put_member(OfPort(2), keyed, pair.now);
    pair.pass(5000);
    assert_eq!(pair.enabled(0), [1]);
}

#[test]
fn without_a_partner_nothing_carries_unless_there_is_a_fallback() {
    let mut alone = Pair::new(config(1, true), config(2, true), 2);
    alone.cut = vec![OfPort(1), OfPort(2)];
    alone.pass(10_000);
    assert_eq!(alone.enabled(0), [0; 0]);
    assert!(alone.ends[0].show().contains("  status: active\n"));
    let fallback = Config { fallback_ab: true, ..config(1, true) };
    alone.ends[0].configure(fallback, alone.now);
    assert_eq!(alone.enabled(0), [1, 2]);
}

#[test]
fn a_link_that_goes_down_starts_anew() {
    let mut pair = Pair::new(config(1, true), config(2, true), 2);
    pair.pass(5000);
    pair.ends[0].carrier_changed(OfPort(1), false, pair.now);
    assert_eq!(pair.enabled(0), [2]);
    pair.ends[0].carrier_changed(OfPort(1), true, pair.now);
    pair.pass(2000);
    assert_eq!(pair.enabled(0), [1, 2]);
    assert!(pair.ends[0].show_stats().contains("  Carrier Status Changed: 2\n"));
}

#[test]
fn a_partner_that_wants_them_often_gets_them_every_second() {
    let fast = Config { fast: true, ..config(2, true) };
    let mut pair = Pair::new(config(1, true), fast, 1);
    pair.pass(5000);
    let sent = |pair: &Pair| pair.ends[0].members().next().unwrap().1.stats().tx_pdus;
    let before = sent(&pair);
    pair.pass(60_000);
    assert_eq!(sent(&pair) - before, 60);
    let slow = pair.ends[1].members().next().unwrap().1.stats().tx_pdus;
    assert!(slow < 12, "{slow} data units to an end that wants few");
}

#[test]
fn damaged_frames_are_counted_and_change_nothing() {
    let mut pair = Pair::new(config(1, true), config(2, true), 1);
    pair.pass(5000);
    let good = Pdu::default().emit();
    let mut frames: Vec<Vec<u8>> = (0..LEN).map(|len| good[..len].to_vec()).collect();
    for at in [0, 2, 3, 22, 23] {
        let mut bad = good.to_vec();
        bad[at] = 99;
        frames.push(bad);
    }
    let all = frames.len() as u64;
    for frame in frames {
        pair.ends[0].receive(OfPort(1), &frame, pair.now);
    }
    pair.ends[0].receive(OfPort(1), &[2, 1], pair.now);
    pair.ends[0].receive(OfPort(9), &good, pair.now);
    let stats = *pair.ends[0].members().next().unwrap().1.stats();
    assert_eq!((stats.rx_bad, stats.rx_marker), (all, 1));
    assert_eq!(pair.enabled(0), [1]);
}

#[test]
fn data_units_are_read_as_they_are_written() {
    let end = |seed: u8| Info {
        sys_priority: 0x0100 + u16::from(seed),
        sys_id: MacAddr::new(2, 1, 2, 3, 4, seed),
        key: 0x0a0b,
        port_priority: 0x0c0d,
        port_id: 0x0e0f,
        state: State::from_bits_retain(seed),
    };
    let pdu = Pdu { actor: end(0x3d), partner: end(0xc2) };
    let frame = pdu.frame(MacAddr::new(2, 0, 0, 0, 0, 9));
    assert_eq!(frame.len(), 124);
    assert_eq!(frame[..6], [1, 0x80, 0xc2, 0, 0, 2]);
    assert_eq!(frame[12..18], [0x88, 0x09, 1, 1, 1, 20]);
    assert_eq!(Pdu::parse(&frame[14..]), Slow::Lacp(pdu));
}

#[test]
fn a_partner_that_speaks_every_second_is_missed_after_three() {
    let fast = |id| Config { fast: true, ..config(id, true) };
    let mut pair = Pair::new(fast(1), fast(2), 2);
    for end in &mut pair.ends {
        for number in 1..=2 {
            let config = MemberConfig { fast: true, ..member(number) };
            end.put_member(OfPort(number), config, pair.now);
        }
    }
    pair.pass(5000);
    assert_eq!(pair.enabled(0), [1, 2]);
    pair.cut = vec![OfPort(1)];
    pair.pass(1900);
    assert_eq!(pair.enabled(0), [1, 2]);
    pair.pass(5000);
    assert_eq!(pair.enabled(0), [2]);
    let stats = *pair.ends[0].members().next().unwrap().1.stats();
    assert_eq!((stats.expired, stats.defaulted), (1, 1));
}
