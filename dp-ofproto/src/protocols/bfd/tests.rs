use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dp_core::base::{Duration, Instant, MacAddr};

use super::{Config, Control, ControlError, Diagnostic, Event, Flags, Received, Session, State};

const A: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const B: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);

fn keys(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let enable = ("enable", "true");
    let all = pairs.iter().chain([&enable]);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn config(pairs: &[(&str, &str)]) -> Config {
    let mut complaints = Vec::new();
    let config = Config::from_keys(&keys(pairs), &mut complaints).unwrap();
    assert_eq!(complaints, [""; 0]);
    config
}

/// Two sessions with a wire between them, in a time of their own.
struct Pair {
    now: Instant,
    ends: [Session; 2],
    /// Whether frames of each arrive.
    carries: [bool; 2],
    /// Frames that each interface has received.
    rx: [u64; 2],
    sent: [usize; 2],
}

impl Pair {
    fn new(a: &[(&str, &str)], b: &[(&str, &str)]) -> Self {
        let now = Instant::from_millis(1_000_000);
        let ends =
            [Session::new("p0", A, config(a), 1, now), Session::new("p1", B, config(b), 2, now)];
        Self { now, ends, carries: [true; 2], rx: [0; 2], sent: [0; 2] }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now = self.now.after(Duration::from_millis(1));
            for end in 0..2 {
                let now = self.now;
                self.ends[end].run(self.rx[end], now);
                while let Some(frame) = self.ends[end].send(now) {
                    self.sent[end] += 1;
                    if self.carries[end] {
                        self.rx[1 - end] += 1;
                        let received = received(&frame);
                        assert!(self.ends[1 - end].wants(&received));
                        self.ends[1 - end].receive(&received, now);
                    }
                }
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    fn line(&mut self, end: usize, name: &str) -> String {
        let text = self.ends[end].show(self.now);
        let line = text.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    }
}

fn received(frame: &[u8]) -> Received<'_> {
    Received {
        eth_dst: MacAddr(frame[..6].try_into().unwrap()),
        ip_dst: Ipv4Addr::from(<[u8; 4]>::try_from(&frame[30..34]).unwrap()),
        ttl: frame[22],
        udp_dst: u16::from_be_bytes([frame[36], frame[37]]),
        tunnel_key: 0,
        payload: &frame[42..],
    }
}

#[test]
fn two_sessions_come_up_and_agree_on_the_slower_intervals() {
    let fast = [("min_tx", "300"), ("min_rx", "300")];
    let slow = [("min_tx", "500"), ("min_rx", "500")];
    let mut pair = Pair::new(&fast, &slow);
    pair.pass(10_000);
    assert_eq!(pair.states(), [State::Up; 2]);
    for end in 0..2 {
        assert_eq!(pair.line(end, "TX Interval"), "TX Interval: Approx 500ms");
        assert_eq!(pair.line(end, "RX Interval"), "RX Interval: Approx 500ms");
        assert_eq!(pair.line(end, "Local Flags"), "Local Flags: none");
        assert_eq!(pair.line(end, "Forwarding"), "Forwarding: true");
    }
    assert_eq!(pair.line(0, "Local Minimum TX"), "Local Minimum TX Interval: 300ms");
    assert_eq!(pair.line(0, "Remote Minimum RX"), "Remote Minimum RX Interval: 500ms");
    let status = pair.ends[0].status(pair.now);
    assert_eq!(status["state"], "up");
    assert_eq!(status["flap_count"], "1");
}

#[test]
fn a_session_that_is_not_up_sends_once_a_second() {
    let mut pair = Pair::new(&[("min_tx", "10")], &[]);
    pair.carries = [false; 2];
    pair.pass(10_000);
    assert!((10..=14).contains(&pair.sent[0]), "{} packets in ten seconds", pair.sent[0]);
    assert_eq!(pair.line(0, "Local Minimum TX"), "Local Minimum TX Interval: 1000ms");
}

#[test]
fn silence_takes_a_session_down_after_the_peers_multiplier_and_it_recovers() {
    let both = [("min_tx", "100"), ("min_rx", "100"), ("mult", "5")];
    let mut pair = Pair::new(&both, &both);
    pair.pass(5000);
    assert_eq!(pair.states(), [State::Up; 2]);
    pair.ends[0].events();
    pair.carries = [true, false];
    pair.pass(450);
    assert_eq!(pair.ends[0].state(), State::Up, "five packets may be missed");
    pair.pass(100);
    assert_eq!(pair.ends[0].state(), State::Down);
    assert_eq!(
        pair.line(0, "Local Diagnostic"),
        "Local Diagnostic: Control Detection Time Expired"
    );
    assert!(matches!(
        pair.ends[0].events()[0],
        Event::State { local: (State::Up, State::Down), diagnostic: (_, Diagnostic::EXPIRED) }
    ));
    pair.pass(1000);
    assert_ne!(pair.ends[1].state(), State::Up, "the peer was told");
    pair.carries = [true; 2];
    pair.pass(5000);
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.ends[0].status(pair.now)["flap_count"], "3");
}

#[test]
fn a_change_of_intervals_is_polled_for() {
    let mut pair = Pair::new(&[("min_tx", "200"), ("min_rx", "200")], &[("min_rx", "100")]);
    pair.pass(5000);
    assert_eq!(pair.states(), [State::Up; 2]);
    let slower = config(&[("min_tx", "800"), ("min_rx", "900")]);
    pair.ends[0].configure(A, slower, pair.rx[0], pair.now);
    assert_eq!(pair.line(0, "Local Flags"), "Local Flags: poll");
    assert_eq!(pair.line(0, "Local Minimum TX"), "Local Minimum TX Interval: 200ms");
    pair.pass(3000);
    assert_eq!(pair.line(0, "Local Flags"), "Local Flags: none");
    assert_eq!(pair.line(0, "Local Minimum TX"), "Local Minimum TX Interval: 800ms");
    assert_eq!(pair.line(1, "Remote Minimum RX"), "Remote Minimum RX Interval: 900ms");
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn a_concatenated_path_that_is_down_stops_the_peer_from_forwarding() {
    let mut pair = Pair::new(&[], &[]);
    pair.pass(8000);
    pair.ends[0].configure(A, config(&[("cpath_down", "true")]), pair.rx[0], pair.now);
    pair.pass(3000);
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.line(1, "Forwarding"), "Forwarding: false");
    assert_eq!(pair.line(1, "Remote Diagnostic"), "Remote Diagnostic: Concatenated Path Down");
    assert_eq!(pair.line(0, "Forwarding"), "Forwarding: true");
    pair.ends[0].configure(A, config(&[]), pair.rx[0], pair.now);
    pair.pass(3000);
    assert_eq!(pair.line(1, "Forwarding"), "Forwarding: true");
}

#[test]
fn the_receive_interval_decays_without_traffic_and_returns_with_it() {
    let decays = [("min_rx", "300"), ("min_tx", "300"), ("decay_min_rx", "3000")];
    let mut pair = Pair::new(&decays, &[("min_rx", "300"), ("min_tx", "300")]);
    pair.pass(15_000);
    assert_eq!(pair.line(0, "RX Interval"), "RX Interval: Approx 3000ms");
    for _ in 0..1000 {
        pair.rx[0] += 1;
        pair.pass(10);
    }
    assert_eq!(pair.line(0, "RX Interval"), "RX Interval: Approx 300ms");
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn traffic_keeps_forwarding_alive_where_it_may() {
    let both = [("min_rx", "300"), ("min_tx", "300"), ("forwarding_if_rx", "true")];
    let mut pair = Pair::new(&both, &both);
    pair.pass(6000);
    pair.carries = [true, false];
    for _ in 0..200 {
        pair.rx[0] += 1;
        pair.pass(10);
    }
    assert_eq!(pair.ends[0].state(), State::Down);
    assert_eq!(pair.line(0, "Forwarding"), "Forwarding: true");
    pair.pass(2000);
    assert_eq!(pair.line(0, "Forwarding"), "Forwarding: false", "the traffic has stopped");
    for _ in 0..4000 {
        pair.rx[0] += 1;
        pair.pass(10);
    }
    assert_eq!(pair.line(0, "Forwarding"), "Forwarding: false", "no control packet for too long");
}

#[test]
fn an_operator_overrides_forwarding() {
    let mut pair = Pair::new(&[], &[]);
    pair.pass(8000);
    pair.ends[0].set_forwarding(Some(false));
    assert_eq!(pair.line(0, "Forwarding"), "Forwarding: false");
    pair.ends[0].set_forwarding(None);
    assert_eq!(pair.line(0, "Forwarding"), "Forwarding: true");
}

#[test]
fn frames_are_those_of_the_standard() {
    let now = Instant::from_millis(5000);
    let mut session = Session::new("p", A, config(&[("bfd_dst_ip", "10.0.0.9")]), 7, now);
    let frame = session.send(now).unwrap();
    assert_eq!(frame.len(), 66);
    assert_eq!(&frame[..12], &[0, 0x23, 0x20, 0, 0, 1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(dp_core::wire::checksum::checksum(&frame[14..34]), 0);
    assert_eq!(&frame[30..34], &[10, 0, 0, 9]);
    let control = Control::parse(&frame[42..]).unwrap();
    assert_eq!(control.state, State::Down);
    assert_eq!(control.min_tx, 1_000_000);
    assert_eq!(control.min_rx, 1_000_000);
    assert_eq!(control.emit(), frame[42..]);
}

#[test]
fn what_is_no_control_packet_is_refused() {
    let good = Control { mult: 3, my_disc: 9, state: State::Down, ..Control::default() }.emit();
    assert!(Control::parse(&good).is_ok());
    let with = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        Control::parse(&bytes)
    };
    assert_eq!(Control::parse(&good[..23]), Err(ControlError::Truncated));
    assert_eq!(with(0, 0), Err(ControlError::Version(0)));
    assert_eq!(with(3, 200), Err(ControlError::Truncated));
    assert_eq!(with(3, 10), Err(ControlError::Truncated));
    assert_eq!(with(2, 0), Err(ControlError::Zero("detection multiplier")));
    assert_eq!(with(7, 0), Err(ControlError::Zero("discriminator")));
    assert_eq!(with(1, 0x41), Err(ControlError::Multipoint));
    assert_eq!(with(1, 0x44), Err(ControlError::Authentication));
    assert_eq!(with(1, 0xc0), Err(ControlError::Zero("idea of our discriminator")));
    for len in 0..good.len() {
        assert!(Control::parse(&good[..len]).is_err());
    }
}

#[test]
fn packets_from_further_away_or_for_others_change_nothing() {
    let mut pair = Pair::new(&[], &[]);
    let frame = pair.ends[1].send(pair.now).unwrap();
    let far = Received { ttl: 254, ..received(&frame) };
    pair.ends[0].receive(&far, pair.now);
    assert_eq!(pair.ends[0].state(), State::Down);
    let other =
        Control { mult: 3, my_disc: 9, your_disc: 1, state: State::Down, ..Control::default() };
    let bytes = other.emit();
    pair.ends[0].receive(&Received { payload: &bytes, ..received(&frame) }, pair.now);
    assert_eq!(pair.ends[0].state(), State::Down);
    let keyed = Session::new("k", A, config(&[("check_tnl_key", "true")]), 3, pair.now);
    assert!(!keyed.wants(&Received { tunnel_key: 5, ..received(&frame) }));
    assert!(keyed.wants(&received(&frame)));
    let aimed = config(&[("bfd_remote_dst_mac", "02:00:00:00:00:77")]);
    assert!(!Session::new("m", A, aimed, 3, pair.now).wants(&received(&frame)));
}

#[test]
fn a_peer_that_is_held_down_takes_the_session_down() {
    let mut pair = Pair::new(&[], &[]);
    pair.pass(8000);
    let told = Control {
        mult: 3,
        my_disc: 5,
        your_disc: pair.ends[0].disc,
        state: State::AdminDown,
        flags: Flags::POLL,
        ..Control::default()
    };
    let bytes = told.emit();
    let frame = pair.ends[1].send(Instant(u64::MAX / 2)).unwrap();
    pair.ends[0].receive(&Received { payload: &bytes, ..received(&frame) }, pair.now);
    assert_eq!(pair.ends[0].state(), State::Down);
    let answer = pair.ends[0].send(pair.now).unwrap();
    let answer = Control::parse(&answer[42..]).unwrap();
    assert_eq!(answer.flags, Flags::FINAL, "a poll is answered at once");
    assert_eq!(answer.diagnostic, Diagnostic::NEIGHBOUR_DOWN);
}

#[test]
fn values_that_are_none_are_told_and_replaced_by_the_default() {
    let mut complaints = Vec::new();
    let bad = keys(&[("min_tx", "fast"), ("decay_min_rx", "10"), ("mult", "0")]);
    let config = Config::from_keys(&bad, &mut complaints).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(
        complaints,
        ["min_tx: fast is not a value", "decay_min_rx: 10 is less than min_rx 1000"]
    );
    assert_eq!(Config::from_keys(&BTreeMap::new(), &mut complaints), None);
}

#[test]
fn silence_counts_only_where_somebody_has_listened() {
    let fast = [("min_tx", "10"), ("min_rx", "10")];
    let mut pair = Pair::new(&fast, &fast);
    pair.pass(4000);
    assert_eq!(pair.states(), [State::Up; 2]);
    let (heard, rx) = (pair.now, pair.rx[0]);
    let later = |millis| heard.after(Duration::from_millis(millis));
    // The packet threads are behind: the neighbour's packets may lie in their queues.
    assert!(pair.ends[0].run_heard(rx, heard, later(60)), "it asks to be told");
    assert_eq!(pair.ends[0].state(), State::Up);
    // They have looked, and there was nothing.
    assert!(!pair.ends[0].run_heard(rx, later(60), later(61)));
    assert_eq!(pair.ends[0].state(), State::Down);
    // Whoever never looks is not waited for: the other end, without a word of its threads.
    let rx = pair.rx[1];
    assert!(pair.ends[1].run_heard(rx, heard, later(500)));
    pair.ends[1].run_heard(rx, heard, later(600));
    assert_eq!(pair.ends[1].state(), State::Down);
}

/// CVE-2024-2182: whoever sends BFD through a tunnel could bring sessions between hypervisors down.
#[test]
fn cve_2024_2182_packets_from_inside_a_tunnel_are_not_the_neighbours() {
    let mut pair = Pair::new(&[("check_tnl_key", "true")], &[]);
    pair.pass(4000);
    assert_eq!(pair.states(), [State::Up; 2]);
    let now = pair.now;
    let down = Control {
        diagnostic: Diagnostic::NONE,
        state: State::AdminDown,
        flags: Flags::empty(),
        mult: 3,
        my_disc: 0x666,
        your_disc: 0,
        min_tx: 1_000_000,
        min_rx: 1_000_000,
        min_rx_echo: 0,
    };
    let payload = down.emit();
    let forged = Received {
        eth_dst: A,
        ip_dst: Ipv4Addr::new(169, 254, 1, 0),
        ttl: 255,
        udp_dst: super::UDP_PORT,
        tunnel_key: 77,
        payload: &payload,
    };
    assert!(!pair.ends[0].wants(&forged), "a tenant's key is not the switches' own");
    // From more than a hop away, and for another session: taken, and nothing comes of it.
    pair.ends[0].receive(&Received { ttl: 254, tunnel_key: 0, ..forged }, now);
    let other = Control { your_disc: 0x1234, ..down }.emit();
    pair.ends[0].receive(&Received { tunnel_key: 0, payload: &other, ..forged }, now);
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn a_flood_of_bad_packets_is_counted_and_told_once() {
    let mut pair = Pair::new(&[], &[]);
    pair.pass(4000);
    pair.ends[0].events();
    let now = pair.now;
    let received = |payload| Received {
        eth_dst: A,
        ip_dst: Ipv4Addr::new(169, 254, 1, 0),
        ttl: 255,
        udp_dst: super::UDP_PORT,
        tunnel_key: 0,
        payload,
    };
    let noise = [0xff; 24];
    for len in (0..24).cycle().take(10_000) {
        pair.ends[0].receive(&received(&noise[..len]), now);
    }
    assert_eq!(pair.ends[0].bad(), 10_000);
    assert_eq!(pair.ends[0].events().len(), 1);
    assert_eq!(pair.states(), [State::Up; 2]);
}
