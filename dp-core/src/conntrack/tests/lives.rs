//! How long connections live: each key of a timeout policy has its state.

use super::frames::{self, ACK, FIN, PSH, RST, SYN, Tcp, echo, tcp, udp};
use super::{A, B, Lab, commit, look};
use crate::conntrack::{Life, TimeoutPolicy};

/// A policy in which every key says something else.
fn policy() -> TimeoutPolicy {
    let mut policy = TimeoutPolicy::default();
    for (seconds, life) in (100..).zip(Life::ALL).filter(|(_, life)| !life.key().is_empty()) {
        assert!(policy.set(life.key(), seconds));
    }
    policy
}

fn seconds(key: &str) -> u64 {
    let at = Life::ALL.iter().position(|life| life.key() == key).expect("a key");
    100 + at as u64
}

/// The left sends first.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}
use Side::{Left, Right};

fn segment(from: Side, tcp: &Tcp) -> Vec<u8> {
    match from {
        Left => frames::datagram(frames::ip(A), frames::ip(B), 6, tcp.body(100, 200)),
        Right => frames::datagram(frames::ip(B), frames::ip(A), 6, tcp.body(200, 100)),
    }
}

fn data(seq: u32, ack: u32) -> Tcp {
    Tcp { payload: vec![7; 10], ..tcp(PSH | ACK, seq, ack) }
}

/// Gives a tracker segments and says how long the connection lives after the last.
fn lives(lab: &mut Lab, segments: &[(Side, Tcp)]) -> u64 {
    for (nth, (from, tcp)) in segments.iter().enumerate() {
        let ct = if nth == 0 { commit(1) } else { look(1) };
        let state = lab.state(&segment(*from, tcp), &ct);
        assert_ne!(state, "inv", "segment {nth}");
    }
    left(lab)
}

fn left(lab: &Lab) -> u64 {
    let mut timeout = None;
    lab.tracker.dump(None, lab.now, |entry| timeout = Some(entry.timeout));
    timeout.expect("a connection")
}

#[test]
fn every_key_of_a_policy_has_its_state() {
    let open = [
        (Left, tcp(SYN, 1000, 0)),
        (Right, tcp(SYN | ACK, 5000, 1001)),
        (Left, tcp(ACK, 1001, 5001)),
    ];
    let after = |more: &[(Side, Tcp)]| [&open[..], more].concat();
    let fin = |seq, ack| tcp(FIN | ACK, seq, ack);
    let cases: Vec<(&str, Vec<(Side, Tcp)>)> = vec![
        ("tcp_syn_sent", open[..1].to_vec()),
        ("tcp_syn_sent2", vec![(Left, tcp(SYN, 1000, 0)), (Right, tcp(SYN, 5000, 0))]),
        ("tcp_syn_recv", vec![(Left, tcp(SYN, 1000, 0)), (Right, tcp(SYN | ACK, 5000, 900))]),
        ("tcp_established", open.to_vec()),
        ("tcp_fin_wait", after(&[(Left, fin(1001, 5001))])),
        ("tcp_close_wait", after(&[(Left, fin(1001, 5001)), (Right, tcp(ACK, 5001, 1002))])),
        (
            "tcp_last_ack",
            after(&[
                (Left, fin(1001, 5001)),
                (Right, tcp(ACK, 5001, 1002)),
                (Right, fin(5001, 1002)),
            ]),
        ),
        (
            "tcp_time_wait",
            after(&[
                (Left, fin(1001, 5001)),
                (Right, fin(5001, 1002)),
                (Left, tcp(ACK, 1002, 5002)),
            ]),
        ),
        ("tcp_close", after(&[(Left, tcp(RST, 1001, 0))])),
    ];
    for (key, segments) in &cases {
        let mut lab = Lab::new();
        // The two that are no states would hide the others.
        let mut policy = policy();
        for key in ["tcp_retransmit", "tcp_unack"] {
            assert!(policy.set(key, 0));
        }
        lab.tracker.set_zone_timeouts(crate::base::Zone(1), Some(policy));
        assert_eq!(lives(&mut lab, segments), seconds(key), "{key}");
    }
    // Those that are part of another go by its figure where the policy does not name them.
    for (key, whole, segments) in [
        ("tcp_syn_sent2", "tcp_syn_sent", &cases[1].1),
        ("tcp_close_wait", "tcp_fin_wait", &cases[5].1),
        ("tcp_last_ack", "tcp_time_wait", &cases[6].1),
        ("tcp_last_ack", "tcp_close", &cases[7].1),
    ] {
        let mut lab = Lab::new();
        let mut policy = policy();
        for key in ["tcp_retransmit", "tcp_unack", key] {
            assert!(policy.set(key, 0));
        }
        lab.tracker.set_zone_timeouts(crate::base::Zone(1), Some(policy));
        assert_eq!(lives(&mut lab, segments), seconds(whole), "{key} is part of {whole}");
    }
    for (key, frames) in [
        ("udp_first", vec![udp(A, B, 1, 2, b"x")]),
        ("udp_single", vec![udp(A, B, 1, 2, b"x"); 2]),
        ("udp_multiple", vec![udp(A, B, 1, 2, b"x"), udp(B, A, 2, 1, b"x")]),
        ("icmp_first", vec![echo(A, B, 8, 5)]),
        ("icmp_reply", vec![echo(A, B, 8, 5), echo(B, A, 0, 5)]),
    ] {
        let mut lab = Lab::new();
        lab.tracker.set_zone_timeouts(crate::base::Zone(1), Some(policy()));
        for (nth, frame) in frames.iter().enumerate() {
            lab.state(frame, &if nth == 0 { commit(1) } else { look(1) });
        }
        assert_eq!(left(&lab), seconds(key), "{key}");
    }
}

#[test]
fn what_is_not_acknowledged_or_said_again_and_again_shortens_a_life() {
    let mut lab = Lab::new();
    let mut policy = TimeoutPolicy::default();
    assert!(policy.set("tcp_unack", 300) && policy.set("tcp_retransmit", 200));
    lab.tracker.set_zone_timeouts(crate::base::Zone(1), Some(policy));
    let open = [
        (Left, tcp(SYN, 1000, 0)),
        (Right, tcp(SYN | ACK, 5000, 1001)),
        (Left, tcp(ACK, 1001, 5001)),
    ];
    assert_eq!(lives(&mut lab, &open), 86_400);
    assert_eq!(lives(&mut lab, &[(Left, data(1001, 5001))]), 300);
    assert_eq!(lives(&mut lab, &[(Right, tcp(ACK, 5001, 1011))]), 86_400);
    assert_eq!(lives(&mut lab, &[(Left, data(1011, 5001)), (Left, data(1011, 5001))]), 300);
    assert_eq!(lives(&mut lab, &[(Left, data(1011, 5001)), (Left, data(1011, 5001))]), 200);
    assert_eq!(lives(&mut lab, &[(Right, data(5001, 1021))]), 300, "the other end has said more");
    assert_eq!(lives(&mut lab, &[(Left, tcp(ACK, 1021, 5011))]), 86_400);
    // Shorter states stay as they are, and others are not watched.
    assert_eq!(lives(&mut lab, &[(Left, tcp(RST, 1021, 0))]), 30);
    let mut lab = Lab::new();
    assert_eq!(lives(&mut lab, &[&open[..], &[(Left, data(1001, 5001))]].concat()), 86_400);
}

#[test]
fn the_default_policy_names_states_too() {
    let mut lab = Lab::new();
    let mut policy = TimeoutPolicy::default();
    assert!(policy.set("tcp_unack", 77) && !policy.set("tcp_nosuch", 1));
    lab.tracker.set_default_timeouts(&policy);
    let segments =
        [(Left, tcp(SYN, 1000, 0)), (Right, tcp(SYN | ACK, 5000, 1001)), (Left, data(1001, 5001))];
    assert_eq!(lives(&mut lab, &segments), 77);
    lab.tracker.set_default_timeouts(&TimeoutPolicy::default());
    assert_eq!(lives(&mut lab, &[(Right, tcp(ACK, 5001, 1011))]), 86_400);
}
