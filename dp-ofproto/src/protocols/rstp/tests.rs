use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, MacAddr, OfPort};

use super::config::path_cost;
use super::{Config, PortConfig, Role, Rstp, State};
use crate::protocols::lab::{Lab, RING, Speaker, TWO, WIRINGS, Wire};

fn port(number: u16) -> PortConfig {
    PortConfig {
        up: true,
        name: format!("p{number}"),
        mac: MacAddr::new(2, 0, 0, 0, 1, number as u8),
        priority: 128,
        number,
        path_cost: path_cost(0),
        admin_edge: false,
        auto_edge: true,
        mcheck: false,
    }
}

fn config(at: usize, pairs: &[(&str, &str)]) -> Config {
    let keys: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Config::from_keys(MacAddr::new(2, 0, 0, 0, 0, at as u8), &keys)
}

impl Speaker for Rstp {
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

fn lab(configs: Vec<Config>, wires: &[Wire]) -> Lab<Rstp> {
    let named = |(at, config), now| Rstp::new(&format!("br{at}"), config, now);
    Lab::wired(|now| configs.into_iter().enumerate().map(|it| named(it, now)).collect(), wires)
}

fn plain(bridges: usize, wires: &[Wire]) -> Lab<Rstp> {
    lab((0..bridges).map(|at| config(at, &[])).collect(), wires)
}

#[test]
fn two_bridges_agree_at_once() {
    let mut lab = plain(2, &TWO);
    lab.pass(1000);
    assert!(lab.bridges[0].is_root() && !lab.bridges[1].is_root());
    assert_eq!(lab.forwarding(), 1, "by proposal and agreement, without waiting");
    assert_eq!(lab.bridges[1].role(OfPort(1)), Role::Root);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Alternate);
    lab.pass(30_000);
    assert_eq!(lab.forwarding(), 1);
    let text = lab.bridges[1].show();
    assert!(text.contains("  root-port       p1\n  root-path-cost  2000\n"), "{text}");
    assert!(text.contains("  p2         Alternate  Discarding 2000     128.2\n"), "{text}");
    assert_eq!(lab.bridges[0].role(OfPort(1)), Role::Designated);
}

#[test]
fn the_alternate_port_takes_over_at_once() {
    let mut lab = plain(2, &TWO);
    lab.pass(10_000);
    lab.forget_flushes();
    lab.cut(0);
    lab.pass(500);
    assert_eq!(lab.forwarding(), 1);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Root);
    assert!(lab.bridges[0].take_flush() || lab.bridges[1].take_flush());
}

#[test]
fn a_port_without_a_bridge_behind_it_becomes_an_edge() {
    let mut lab = plain(1, &[[(0, 1), (0, 9)]]);
    lab.wires.clear();
    lab.bridges[0].remove_port(OfPort(9), lab.now);
    lab.pass(2000);
    assert_eq!(lab.bridges[0].state(OfPort(1)), Some(State::Discarding));
    lab.pass(2000);
    assert_eq!(lab.bridges[0].state(OfPort(1)), Some(State::Forwarding));
    let edge = PortConfig { admin_edge: true, ..port(3) };
    lab.bridges[0].put_port(OfPort(3), edge, lab.now);
    assert_eq!(lab.bridges[0].state(OfPort(3)), Some(State::Forwarding), "told to be one");
}

#[test]
fn trees_without_loops_come_of_any_wiring() {
    for (bridges, wires) in WIRINGS {
        let mut lab = plain(*bridges, wires);
        lab.pass(60_000);
        assert_eq!(lab.forwarding(), bridges - 1, "{bridges} bridges, {wires:?}");
        assert!(lab.bridges[0].is_root());
        // And again when a wire of the tree is cut.
        lab.cut(0);
        lab.pass(60_000);
        assert_eq!(lab.forwarding(), bridges - 1, "{bridges} bridges, {wires:?}, first wire cut");
    }
}

#[test]
fn the_best_priority_becomes_root_wherever_it_comes_up() {
    let mut lab = plain(3, &RING);
    lab.pass(20_000);
    let now = lab.now;
    lab.bridges[2].configure(config(2, &[("rstp-priority", "4097")]), now);
    lab.pass(20_000);
    assert!(lab.bridges[2].is_root() && !lab.bridges[0].is_root());
    assert_eq!(lab.forwarding(), 2);
    let status = lab.bridges[0].status();
    assert_eq!(status.bridge_id, "8.000.020000000000");
    assert_eq!(status.root_id, "1.000.020000000002", "priorities are multiples of 4096");
    assert_eq!(status.root_path_cost, 2000);
}

#[test]
fn a_port_wired_to_another_of_the_same_bridge_is_a_backup() {
    let mut lab = plain(1, &[[(0, 1), (0, 2)]]);
    lab.pass(40_000);
    assert_eq!(lab.bridges[0].role(OfPort(1)), Role::Designated);
    assert_eq!(lab.bridges[0].role(OfPort(2)), Role::Backup);
    assert_eq!(lab.bridges[0].state(OfPort(2)), Some(State::Discarding));
}

#[test]
fn silence_of_the_root_is_noticed_after_three_hellos() {
    let mut lab = plain(2, &TWO[..1]);
    lab.pass(10_000);
    lab.wires.clear();
    lab.pass(4000);
    assert!(!lab.bridges[1].is_root());
    lab.pass(3000);
    assert!(lab.bridges[1].is_root());
}

#[test]
fn a_bridge_in_stp_mode_is_spoken_to_in_its_own_way() {
    let old = config(1, &[("rstp-force-protocol-version", "0")]);
    let mut lab = lab(vec![config(0, &[]), old], &TWO);
    lab.pass(60_000);
    assert!(lab.bridges[0].is_root() && !lab.bridges[1].is_root());
    assert_eq!(lab.forwarding(), 1);
    let now = lab.now;
    lab.bridges[1].configure(config(1, &[]), now);
    for number in 1..=2 {
        let again = PortConfig { mcheck: true, ..port(number) };
        lab.bridges[0].put_port(OfPort(number), again, now);
    }
    lab.pass(10_000);
    assert_eq!(lab.forwarding(), 1);
}

#[test]
fn a_topology_change_travels_and_ends() {
    let chain = [[(0, 1), (1, 1)], [(1, 2), (2, 1)]];
    let mut lab = plain(3, &chain);
    lab.pass(30_000);
    lab.forget_flushes();
    let now = lab.now;
    lab.bridges[2].force_topology_change(now);
    lab.pass(3000);
    let end = OfPort(9);
    lab.bridges[2].put_port(end, port(9), lab.now);
    lab.bridges[2].put_port(end, PortConfig { auto_edge: false, ..port(9) }, lab.now);
    lab.pass(40_000);
    assert!(lab.bridges[1].take_flush(), "a port that forwards anew is told on");
    lab.pass(40_000);
    assert!(!lab.bridges[1].take_flush(), "and it ends");
}

#[test]
fn a_port_sends_no_more_than_its_hold_count_in_a_second() {
    let mut lab = lab(vec![config(0, &[("rstp-transmit-hold-count", "3")])], &TWO[..0]);
    lab.bridges[0].put_port(OfPort(1), port(1), lab.now);
    let mut sent = 0;
    for cost in 1..100 {
        let other = PortConfig { path_cost: cost, priority: (cost % 8 * 16) as u8, ..port(1) };
        lab.bridges[0].put_port(OfPort(1), other, lab.now);
        sent += lab.bridges[0].send().len();
    }
    assert!((1..=3).contains(&sent), "{sent}");
}

#[test]
fn damaged_and_old_data_units_are_counted_and_change_nothing() {
    let mut lab = plain(2, &TWO);
    lab.pass(10_000);
    let frame = loop {
        lab.now = lab.now.after(Duration::from_secs(1));
        let now = lab.now;
        lab.bridges[0].run(now);
        let sent = lab.bridges[0].send();
        if let Some((_, frame)) = sent.into_iter().find(|(port, _)| *port == OfPort(1)) {
            break frame;
        }
    };
    let errors =
        |lab: &Lab<Rstp>| lab.bridges[1].port_status(OfPort(1), lab.now).unwrap().stats.errors;
    for len in 14..14 + 38 {
        lab.bridges[1].receive(OfPort(1), &frame[14..len], lab.now);
    }
    assert_eq!(errors(&lab), 38);
    let mut old = frame;
    old[14 + 3 + 27] = 0xff;
    lab.bridges[1].receive(OfPort(1), &old[14..], lab.now);
    assert_eq!(errors(&lab), 39);
    assert_eq!(lab.forwarding(), 1);
}

#[test]
fn a_port_whose_link_is_down_keeps_its_place_and_says_nothing() {
    let mut lab = plain(2, &TWO);
    lab.pass(10_000);
    let now = lab.now;
    lab.bridges[1].put_port(OfPort(1), PortConfig { up: false, ..port(1) }, now);
    lab.pass(100);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Root, "the other one takes over at once");
    assert_eq!(lab.bridges[1].role(OfPort(1)), Role::Disabled);
    let sent = |lab: &Lab<Rstp>| lab.bridges[1].port_status(OfPort(1), lab.now).unwrap().stats.tx;
    let before = sent(&lab);
    lab.pass(10_000);
    assert_eq!(sent(&lab), before);
    let now = lab.now;
    lab.bridges[1].put_port(OfPort(1), port(1), now);
    lab.pass(10_000);
    assert_eq!(lab.bridges[1].role(OfPort(1)), Role::Root);
    assert_eq!(lab.forwarding(), 1);
}

#[test]
fn times_that_contradict_each_other_are_left_at_their_defaults() {
    let times = |age: &str, delay: &str| {
        let config = config(0, &[("rstp-max-age", age), ("rstp-forward-delay", delay)]);
        (config.max_age, config.forward_delay)
    };
    assert_eq!(times("28", "15"), (28, 15));
    assert_eq!(times("29", "15"), (20, 15));
    assert_eq!(times("20", "10"), (20, 15));
    assert_eq!(times("40", "4"), (20, 15));
    assert_eq!(times("5", "31"), (20, 15));
    assert_eq!(times("6", "4"), (6, 4));
}
