use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, MacAddr, OfPort};

use super::config::path_cost;
use super::{Config, PortConfig, Role, State, Stp};
use crate::protocols::lab::{Lab, RING, Speaker, TWO, WIRINGS, Wire};

fn port(number: u16) -> PortConfig {
    PortConfig {
        up: true,
        name: format!("p{number}"),
        mac: MacAddr::new(2, 0, 0, 0, 1, number as u8),
        priority: 128,
        number: number as u8,
        path_cost: path_cost(0),
    }
}

impl Speaker for Stp {
    fn plug(&mut self, ofport: OfPort, now: Instant) {
        self.put_port(ofport, port(ofport.0), now);
    }

    fn unplug(&mut self, ofport: OfPort, now: Instant) {
        self.remove_port(ofport, now);
    }

    fn pass(&mut self, now: Instant) {
        self.run(now);
    }

    fn frames(&mut self) -> Vec<(OfPort, Vec<u8>)> {
        self.send()
    }

    fn hear(&mut self, ofport: OfPort, llc: &[u8], now: Instant) {
        self.receive(ofport, llc, now);
    }

    fn carries(&self, ofport: OfPort) -> bool {
        self.state(ofport) == Some(State::Forwarding)
    }

    fn flushes(&mut self) -> bool {
        self.take_flush()
    }
}

fn lab(priorities: &[u16], wires: &[Wire]) -> Lab<Stp> {
    let bridge = |(at, priority): (usize, &u16), now| {
        let keys = BTreeMap::from([("stp-priority".to_owned(), priority.to_string())]);
        let mac = MacAddr::new(2, 0, 0, 0, 0, at as u8);
        Stp::new(&format!("br{at}"), Config::from_keys(mac, &keys), now)
    };
    Lab::wired(|now| priorities.iter().enumerate().map(|it| bridge(it, now)).collect(), wires)
}

#[test]
fn a_bridge_alone_is_the_root_and_forwards_after_two_delays() {
    let mut lab = lab(&[32_768], &[[(0, 1), (0, 9)]]);
    lab.wires.clear();
    let state = |lab: &Lab<Stp>| lab.bridges[0].state(OfPort(1)).unwrap();
    assert_eq!(state(&lab), State::Listening);
    lab.pass(16_000);
    assert_eq!(state(&lab), State::Learning);
    assert!(state(&lab).learns() && !state(&lab).forwards());
    lab.pass(15_000);
    assert_eq!(state(&lab), State::Forwarding);
    assert!(lab.bridges[0].is_root());
}

#[test]
fn two_wires_between_two_bridges_carry_by_one() {
    let mut lab = lab(&[32_768, 32_768], &TWO);
    lab.pass(40_000);
    assert!(lab.bridges[0].is_root() && !lab.bridges[1].is_root());
    assert_eq!(lab.bridges[1].role(OfPort(1)), Role::Root);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Alternate);
    assert_eq!(lab.bridges[1].state(OfPort(2)), Some(State::Blocking));
    assert_eq!(lab.bridges[0].role(OfPort(2)), Role::Designated);
    assert_eq!(lab.forwarding(), 1);
    let text = lab.bridges[1].show();
    assert!(text.contains("  root-port       p1\n  root-path-cost  2\n"), "{text}");
    assert!(text.contains("  p2         alternate  blocking   2     128.2\n"), "{text}");
    assert!(lab.bridges[0].show().contains("  This bridge is the root\n"));
}

#[test]
fn a_broken_link_is_replaced_and_addresses_are_forgotten() {
    let mut lab = lab(&[32_768, 32_768], &TWO);
    lab.pass(40_000);
    lab.forget_flushes();
    lab.cut(0);
    assert!(lab.bridges[1].take_flush());
    lab.pass(60_000);
    assert_eq!(lab.forwarding(), 1);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Root);
}

#[test]
fn silence_of_the_root_is_noticed_after_its_max_age() {
    let mut lab = lab(&[4096, 32_768], &[[(0, 1), (1, 1)]]);
    lab.pass(40_000);
    assert!(!lab.bridges[1].is_root());
    // The wire is cut in the middle: both links stay up.
    lab.wires.clear();
    lab.pass(17_000);
    assert!(!lab.bridges[1].is_root());
    lab.pass(5_000);
    assert!(lab.bridges[1].is_root());
}

#[test]
fn the_best_priority_becomes_root_wherever_it_comes_up() {
    let mut lab = lab(&[32_768, 32_768, 32_768], &RING);
    lab.pass(60_000);
    assert!(lab.bridges[0].is_root());
    assert_eq!(lab.forwarding(), 2, "a ring is open at one place");
    let keys = BTreeMap::from([("stp-priority".to_owned(), "0".to_owned())]);
    let mac = MacAddr::new(2, 0, 0, 0, 0, 2);
    let now = lab.now;
    lab.bridges[2].configure(Config::from_keys(mac, &keys), now);
    lab.pass(90_000);
    assert!(lab.bridges[2].is_root());
    assert!(!lab.bridges[0].is_root());
    assert_eq!(lab.forwarding(), 2);
    let (own, root, cost) = lab.bridges[0].status();
    assert_eq!((own.priority(), root.priority(), cost), (32_768, 0, 2));
}

#[test]
fn trees_without_loops_come_of_any_wiring() {
    // A tree has one wire fewer than bridges.
    for (bridges, wires) in WIRINGS {
        let mut lab = lab(&vec![32_768; *bridges], wires);
        lab.pass(120_000);
        assert_eq!(lab.forwarding(), bridges - 1, "{bridges} bridges, {wires:?}");
        assert!(lab.bridges[0].is_root());
    }
}

#[test]
fn a_port_wired_to_another_of_the_same_bridge_is_blocked() {
    let mut lab = lab(&[32_768], &[[(0, 1), (0, 2)]]);
    lab.pass(40_000);
    assert_eq!(lab.bridges[0].state(OfPort(1)), Some(State::Forwarding));
    assert_eq!(lab.bridges[0].state(OfPort(2)), Some(State::Blocking));
}

#[test]
fn the_root_tells_everybody_of_a_change() {
    let chain = [[(0, 1), (1, 1)], [(1, 2), (2, 1)]];
    let mut lab = lab(&[0, 32_768, 32_768], &chain);
    lab.pass(80_000);
    lab.forget_flushes();
    let now = lab.now;
    lab.bridges[2].force_topology_change(now);
    lab.pass(5_000);
    assert!(lab.bridges[1].take_flush(), "told by the root");
    lab.pass(60_000);
    assert!(!lab.bridges[1].take_flush(), "and it ends");
}

#[test]
fn damaged_and_old_data_units_are_counted_and_change_nothing() {
    let mut lab = lab(&[32_768, 32_768], &[[(0, 1), (1, 1)]]);
    lab.pass(40_000);
    lab.now = lab.now.after(Duration::from_secs(1));
    lab.bridges[0].send_config(OfPort(1), lab.now);
    let mut frame = lab.bridges[0].send()[0].1.clone();
    let errors =
        |lab: &Lab<Stp>| lab.bridges[1].port_status(OfPort(1), lab.now).unwrap().stats.errors;
    for len in 14..frame.len() {
        lab.bridges[1].receive(OfPort(1), &frame[14..len], lab.now);
    }
    assert_eq!(errors(&lab), (frame.len() - 14) as u64);
    // Message age beyond max age.
    frame[14 + 3 + 27] = 0xff;
    lab.bridges[1].receive(OfPort(1), &frame[14..], lab.now);
    assert_eq!(errors(&lab), (frame.len() - 13) as u64);
    lab.bridges[1].receive(OfPort(7), &frame[14..], lab.now);
    assert_eq!(lab.forwarding(), 1);
}

#[test]
fn times_are_brought_into_the_ranges_of_the_standard() {
    let keys = |pairs: &[(&str, &str)]| {
        let keys: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::from_keys(MacAddr::ZERO, &keys)
    };
    let config = keys(&[("stp-max-age", "99"), ("stp-forward-delay", "4")]);
    assert_eq!(config.max_age, Duration::from_secs(40));
    assert_eq!(config.forward_delay, Duration::from_secs(21), "half the age and one");
    let config = keys(&[("stp-hello-time", "0"), ("stp-system-id", "02:00:00:00:00:07")]);
    assert_eq!(config.hello, Duration::from_secs(1));
    assert_eq!(config.id.to_string(), "8000.020000000007");
    assert_eq!([10, 100, 1000, 10_000, 0].map(path_cost), [100, 19, 4, 2, 2]);
}

#[test]
fn a_port_whose_link_is_down_keeps_its_place_and_says_nothing() {
    let mut lab = lab(&[0, 32_768], &TWO);
    lab.pass(40_000);
    let now = lab.now;
    lab.forget_flushes();
    lab.bridges[1].put_port(OfPort(1), PortConfig { up: false, ..port(1) }, now);
    assert!(lab.bridges[1].take_flush());
    assert_eq!(lab.bridges[1].state(OfPort(1)), Some(State::Disabled));
    lab.pass(60_000);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Root, "the other one takes over");
    let status = lab.bridges[1].port_status(OfPort(1), lab.now).unwrap();
    assert_eq!((status.role, status.seconds), (Role::Designated, 60));
    assert!(!lab.bridges[1].show().contains("p1  "), "{}", lab.bridges[1].show());
    let sent = status.stats.tx;
    lab.pass(20_000);
    let status = lab.bridges[1].port_status(OfPort(1), lab.now).unwrap();
    assert_eq!(status.stats.tx, sent);
    let now = lab.now;
    lab.bridges[1].put_port(OfPort(1), port(1), now);
    lab.pass(60_000);
    assert_eq!(lab.bridges[1].role(OfPort(1)), Role::Root);
    assert_eq!(lab.forwarding(), 1);
}

#[test]
fn a_port_says_no_more_than_one_thing_a_second_and_the_last() {
    let mut lab = lab(&[32_768], &[[(0, 1), (0, 9)]]);
    lab.wires.clear();
    let bridge = &mut lab.bridges[0];
    bridge.remove_port(OfPort(9), lab.now);
    bridge.run(lab.now);
    bridge.send();
    let start = lab.now.after(Duration::from_secs(10));
    for _ in 0..50 {
        bridge.send_config(OfPort(1), start);
    }
    assert_eq!(bridge.send().len(), 1);
    bridge.run(start.after(Duration::from_millis(999)));
    let early = bridge.send().len();
    bridge.run(start.after(Duration::from_secs(1)));
    assert_eq!((early, bridge.send().len()), (0, 1), "what waited is said, once");
}
