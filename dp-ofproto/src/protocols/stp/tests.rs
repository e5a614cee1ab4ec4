use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, MacAddr, OfPort};

use super::config::path_cost;
use super::{Config, PortConfig, Role, State, Stp};

/// Both ends of a wire: bridge and port.
type Wire = [(usize, u16); 2];

/// Bridges with wires between their ports, in a time of their own.
struct Lab {
    now: Instant,
    bridges: Vec<Stp>,
    wires: Vec<Wire>,
}

fn port(number: u16) -> PortConfig {
    PortConfig {
        name: format!("p{number}"),
        mac: MacAddr::new(2, 0, 0, 0, 1, number as u8),
        priority: 128,
        number: number as u8,
        path_cost: path_cost(0),
    }
}

impl Lab {
    fn new(priorities: &[u16], wires: &[Wire]) -> Self {
        let now = Instant::from_millis(10_000);
        let bridge = |(at, priority): (usize, &u16)| {
            let keys = BTreeMap::from([("stp-priority".to_owned(), priority.to_string())]);
            let mac = MacAddr::new(2, 0, 0, 0, 0, at as u8);
            Stp::new(&format!("br{at}"), Config::from_keys(mac, &keys), now)
        };
        let mut bridges: Vec<Stp> = priorities.iter().enumerate().map(bridge).collect();
        for (at, number) in wires.iter().flatten() {
            bridges[*at].put_port(OfPort(*number), port(*number), now);
        }
        Self { now, bridges, wires: wires.to_vec() }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now = self.now.after(Duration::from_millis(100));
            for at in 0..self.bridges.len() {
                self.bridges[at].run(self.now);
            }
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        // What is heard may make somebody speak.
        for _ in 0..20 {
            for at in 0..self.bridges.len() {
                for (from, frame) in self.bridges[at].send() {
                    let ends = self.wires.iter().flat_map(|[a, b]| [(*a, *b), (*b, *a)]);
                    let here = (at, from.0);
                    let there: Vec<_> = ends.filter(|(a, _)| *a == here).map(|(_, b)| b).collect();
                    for (bridge, to) in there {
                        self.bridges[bridge].receive(OfPort(to), &frame[14..], self.now);
                    }
                }
            }
        }
    }

    fn forwarding(&self) -> usize {
        let both = |wire: &&Wire| {
            wire.iter().all(|(at, number)| {
                self.bridges[*at].state(OfPort(*number)) == Some(State::Forwarding)
            })
        };
        self.wires.iter().filter(both).count()
    }

    fn forget_flushes(&mut self) {
        for bridge in &mut self.bridges {
            bridge.take_flush();
        }
    }

    fn cut(&mut self, wire: usize) {
        for (at, number) in self.wires.remove(wire) {
            self.bridges[at].remove_port(OfPort(number), self.now);
        }
    }
}

#[test]
fn a_bridge_alone_is_the_root_and_forwards_after_two_delays() {
    let mut lab = Lab::new(&[32_768], &[[(0, 1), (0, 9)]]);
    lab.wires.clear();
    let state = |lab: &Lab| lab.bridges[0].state(OfPort(1)).unwrap();
    assert_eq!(state(&lab), State::Listening);
    lab.pass(16);
    assert_eq!(state(&lab), State::Learning);
    assert!(state(&lab).learns() && !state(&lab).forwards());
    lab.pass(15);
    assert_eq!(state(&lab), State::Forwarding);
    assert!(lab.bridges[0].is_root());
}

#[test]
fn two_wires_between_two_bridges_carry_by_one() {
    let mut lab = Lab::new(&[32_768, 32_768], &[[(0, 1), (1, 1)], [(0, 2), (1, 2)]]);
    lab.pass(40);
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
    let mut lab = Lab::new(&[32_768, 32_768], &[[(0, 1), (1, 1)], [(0, 2), (1, 2)]]);
    lab.pass(40);
    lab.forget_flushes();
    lab.cut(0);
    assert!(lab.bridges[1].take_flush());
    lab.pass(60);
    assert_eq!(lab.forwarding(), 1);
    assert_eq!(lab.bridges[1].role(OfPort(2)), Role::Root);
}

#[test]
fn silence_of_the_root_is_noticed_after_its_max_age() {
    let mut lab = Lab::new(&[4096, 32_768], &[[(0, 1), (1, 1)]]);
    lab.pass(40);
    assert!(!lab.bridges[1].is_root());
    // The wire is cut in the middle: both links stay up.
    lab.wires.clear();
    lab.pass(17);
    assert!(!lab.bridges[1].is_root());
    lab.pass(5);
    assert!(lab.bridges[1].is_root());
}

#[test]
fn the_best_priority_becomes_root_wherever_it_comes_up() {
    let ring = [[(0, 1), (1, 1)], [(1, 2), (2, 1)], [(2, 2), (0, 2)]];
    let mut lab = Lab::new(&[32_768, 32_768, 32_768], &ring);
    lab.pass(60);
    assert!(lab.bridges[0].is_root());
    assert_eq!(lab.forwarding(), 2, "a ring is open at one place");
    let keys = BTreeMap::from([("stp-priority".to_owned(), "0".to_owned())]);
    let mac = MacAddr::new(2, 0, 0, 0, 0, 2);
    let now = lab.now;
    lab.bridges[2].configure(Config::from_keys(mac, &keys), now);
    lab.pass(90);
    assert!(lab.bridges[2].is_root());
    assert!(!lab.bridges[0].is_root());
    assert_eq!(lab.forwarding(), 2);
    let (own, root, cost) = lab.bridges[0].status();
    assert_eq!((own.priority(), root.priority(), cost), (32_768, 0, 2));
}

#[test]
fn trees_without_loops_come_of_any_wiring() {
    // Bridges, wires. The tree has one wire fewer than bridges.
    let wirings: &[(usize, &[Wire])] = &[
        (2, &[[(0, 1), (1, 1)], [(0, 2), (1, 2)], [(0, 3), (1, 3)]]),
        (3, &[[(0, 1), (1, 1)], [(1, 2), (2, 1)], [(2, 2), (0, 2)], [(0, 3), (2, 3)]]),
        (
            4,
            &[
                [(0, 1), (1, 1)],
                [(1, 2), (2, 1)],
                [(2, 2), (3, 1)],
                [(3, 2), (0, 2)],
                [(0, 3), (2, 3)],
                [(1, 3), (3, 3)],
            ],
        ),
        (
            5,
            &[
                [(4, 1), (3, 1)],
                [(3, 2), (2, 1)],
                [(2, 2), (1, 1)],
                [(1, 2), (0, 1)],
                [(0, 2), (4, 2)],
            ],
        ),
    ];
    for (bridges, wires) in wirings {
        let mut lab = Lab::new(&vec![32_768; *bridges], wires);
        lab.pass(120);
        assert_eq!(lab.forwarding(), bridges - 1, "{bridges} bridges, {wires:?}");
        assert!(lab.bridges[0].is_root());
    }
}

#[test]
fn a_port_wired_to_another_of_the_same_bridge_is_blocked() {
    let mut lab = Lab::new(&[32_768], &[[(0, 1), (0, 2)]]);
    lab.pass(40);
    assert_eq!(lab.bridges[0].state(OfPort(1)), Some(State::Forwarding));
    assert_eq!(lab.bridges[0].state(OfPort(2)), Some(State::Blocking));
}

#[test]
fn the_root_tells_everybody_of_a_change() {
    let chain = [[(0, 1), (1, 1)], [(1, 2), (2, 1)]];
    let mut lab = Lab::new(&[0, 32_768, 32_768], &chain);
    lab.pass(80);
    lab.forget_flushes();
    let now = lab.now;
    lab.bridges[2].force_topology_change(now);
    lab.pass(5);
    assert!(lab.bridges[1].take_flush(), "told by the root");
    lab.pass(60);
    assert!(!lab.bridges[1].take_flush(), "and it ends");
}

#[test]
fn damaged_and_old_data_units_are_counted_and_change_nothing() {
    let mut lab = Lab::new(&[32_768, 32_768], &[[(0, 1), (1, 1)]]);
    lab.pass(40);
    lab.now = lab.now.after(Duration::from_secs(1));
    lab.bridges[0].send_config(OfPort(1), lab.now);
    let mut frame = lab.bridges[0].send()[0].1.clone();
    let errors = |lab: &Lab| lab.bridges[1].port_status(OfPort(1), lab.now).unwrap().stats.errors;
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
    assert_eq!(config.forward_delay, Duration::from_secs(4));
    assert_eq!(config.max_age, Duration::from_secs(6), "twice the delay less one");
    let config = keys(&[("stp-hello-time", "0"), ("stp-system-id", "02:00:00:00:00:07")]);
    assert_eq!(config.hello, Duration::from_secs(1));
    assert_eq!(config.id.to_string(), "8000.020000000007");
    assert_eq!([10, 100, 1000, 10_000, 0].map(path_cost), [100, 19, 4, 2, 2]);
}
