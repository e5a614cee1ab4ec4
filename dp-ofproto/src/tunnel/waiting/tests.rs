use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dp_core::base::{DropReason, Instant, MacAddr, OfPort};
use dp_core::flow::FlowKey;

use super::{Neighbours, Waiting, WaitingLimits, WaitingRoom, WantedNeighbour};
use crate::bridge::Bridge;
use crate::learn::MacTableConfig;
use crate::table::TablesConfig;
use crate::translate::recirc::{Frozen, Kept, Resume};

const NOW: Instant = Instant::from_millis(1_000_000);
const MAC: MacAddr = MacAddr::new(0xaa, 0x55, 0xaa, 0x55, 0, 1);

fn later(millis: u64) -> Instant {
    NOW.after(Duration::from_millis(millis))
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 168, 7, last])
}

/// A packet for the neighbour with this address; its first byte tells it from others.
fn waiting(bridge: &Arc<Bridge>, last: u8, mark: u8, len: usize) -> Waiting {
    let wanted = WantedNeighbour { bridge: "br-phy".into(), target: ip(last), source: ip(1) };
    let frozen = Frozen {
        bridge: Arc::clone(bridge),
        in_port: OfPort(1),
        resume: Resume::Table(0),
        kept: Kept::default(),
        stack: Box::default(),
        action_set: Box::default(),
        mirrors: 0,
        conntracked: false,
        controller: None,
        table: 0,
        neighbour: Some(wanted),
    };
    Waiting { frozen, key: FlowKey::EMPTY, frame: vec![mark; len].into() }
}

fn bridge() -> Arc<Bridge> {
    Arc::new(Bridge::new("int", TablesConfig::default(), MacTableConfig::default()))
}

#[test]
fn packets_go_on_in_their_order_when_the_neighbour_answers() {
    let (room, neighbours, bridge) = (WaitingRoom::default(), Neighbours::default(), bridge());
    neighbours.ask("br-phy", ip(2), ip(1), NOW);
    for mark in 0..3 {
        room.hold(waiting(&bridge, 2, mark, 60), NOW);
    }
    room.hold(waiting(&bridge, 3, 9, 60), NOW);
    assert!(room.take_ready(&neighbours, later(10)).is_empty());
    // Known on another bridge is not known here.
    neighbours.set("other", ip(2), MAC, later(11));
    assert!(room.take_ready(&neighbours, later(11)).is_empty());
    neighbours.set("br-phy", ip(2), MAC, later(12));
    let ready = room.take_ready(&neighbours, later(12));
    let marks: Vec<u8> = ready.iter().map(|waiting| waiting.frame[0]).collect();
    assert_eq!(marks, [0, 1, 2]);
    assert_eq!((room.len(), room.passed()), (1, (4, 3)));
    assert_eq!(room.drops().total(), 0);
}

#[test]
fn a_silent_neighbour_is_asked_three_times_and_its_packets_go() {
    let (room, neighbours, bridge) = (WaitingRoom::default(), Neighbours::default(), bridge());
    neighbours.ask("br-phy", ip(2), ip(1), NOW);
    room.hold(waiting(&bridge, 2, 0, 60), NOW);
    room.hold(waiting(&bridge, 2, 1, 60), later(500));
    let mut questions = neighbours.take_questions().len();
    for millis in (0..=4_000).step_by(100) {
        assert!(room.take_ready(&neighbours, later(millis)).is_empty());
        questions += neighbours.take_questions().len();
        assert_eq!(room.is_empty(), millis >= 3_000, "after {millis} ms");
    }
    assert_eq!(questions, 3);
    assert_eq!(room.drops().get(DropReason::TunnelNeighbourSilent), 2);
    // The time between questions is the one that was set.
    neighbours.retransmit_by_text(Some("50")).expect("it is one");
    neighbours.ask("br-phy", ip(4), ip(1), later(5_000));
    room.hold(waiting(&bridge, 4, 0, 60), later(5_000));
    for millis in (5_000..=5_150).step_by(10) {
        assert!(room.take_ready(&neighbours, later(millis)).is_empty());
    }
    assert_eq!(room.drops().get(DropReason::TunnelNeighbourSilent), 3);
}

#[test]
fn what_waits_is_bounded_by_neighbour_packets_and_bytes() {
    let (neighbours, bridge) = (Neighbours::default(), bridge());
    let limits = WaitingLimits { per_neighbour: 2, packets: 3, bytes: 1_000 };
    let room = WaitingRoom::new(limits);
    let full = || room.drops().get(DropReason::TunnelNeighbourQueueFull);
    for _ in 0..3 {
        room.hold(waiting(&bridge, 2, 0, 100), NOW);
    }
    assert_eq!((room.len(), full()), (2, 1), "one neighbour");
    room.hold(waiting(&bridge, 3, 0, 801), NOW);
    assert_eq!((room.len(), full()), (2, 2), "bytes in all");
    room.hold(waiting(&bridge, 3, 0, 800), NOW);
    room.hold(waiting(&bridge, 4, 0, 1), NOW);
    assert_eq!((room.len(), full()), (3, 3), "packets in all");
    // Whoever goes makes room.
    neighbours.set("br-phy", ip(3), MAC, NOW);
    assert_eq!(room.take_ready(&neighbours, NOW).len(), 1);
    room.hold(waiting(&bridge, 4, 0, 800), NOW);
    assert_eq!((room.len(), full()), (3, 3));
}
