//! Packets for a controller that does not read, or not fast enough.

use dp_core::base::{Duration, Instant, OfPort};
use dp_core::flow::FlowKey;

use super::Session;
use crate::action::PacketInReason;
use crate::openflow::{Header, Version};
use crate::session::{PACKET_QUEUE, PacketInEvent, RateLimit};

fn packet(port: u16) -> PacketInEvent {
    PacketInEvent {
        packet: vec![0; 60],
        max_len: Some(60),
        reason: PacketInReason::Action,
        controller_id: 0,
        table: 0,
        cookie: None,
        metadata: PacketInEvent::metadata_of(&FlowKey::default(), OfPort(port)),
        userdata: Vec::new(),
        continuation: None,
    }
}

/// A session that gets packets.
fn session() -> Session {
    let mut session = Session::new(Version::V10);
    session.received();
    // A tool asks for packets by saying how much of them it wants.
    session.request(9, |out| out.extend([0, 0, 0, 60]));
    session
}

#[test]
fn a_controller_that_does_not_read_is_kept_so_many_packets_and_no_more() {
    let now = Instant::from_millis(1000);
    let mut session = session();
    for _ in 0..1000 {
        session.service.packet_in(&packet(1), now);
    }
    assert_eq!(session.received().len(), PACKET_QUEUE);
    assert_eq!(session.service.connection(session.id).unwrap().dropped(), 900);
    session.service.set_pace(session.id, RateLimit::default(), 3, now);
    for _ in 0..10 {
        session.service.packet_in(&packet(1), now);
    }
    // What is no packet for a controller does not count.
    let mut echo = Vec::new();
    Header::begin(&mut echo, Version::V10, 2, 1);
    Header::end(&mut echo, 0);
    assert_eq!(session.send(&echo).len(), 4);
}

#[test]
fn what_waits_for_its_turn_goes_when_the_service_runs() {
    let now = Instant::from_millis(1000);
    let mut session = session();
    let limit = RateLimit { rate: 100, burst: 25 };
    session.service.set_pace(session.id, limit, PACKET_QUEUE, now);
    for _ in 0..40 {
        session.service.packet_in(&packet(1), now);
    }
    assert_eq!(session.received().len(), 25);
    let due = now.after(Duration::from_millis(10));
    session.service.run(now);
    assert_eq!(session.service.deadline(now), due);
    session.service.run(due);
    assert_eq!(session.received().len(), 1);
    let later = now.after(Duration::from_secs(1));
    session.service.run(later);
    assert_eq!(session.received().len(), 14);
    let stats = session.service.connection(session.id).unwrap().pace_stats().unwrap();
    assert_eq!((stats[1].bypassed, stats[1].queued, stats[1].dropped), (25, 15, 0));
    assert_eq!(stats[0], Default::default());
}
