//! Connection tracking as a step among others.

use super::frames::{Kind, frame};
use super::{World, packet};
use crate::action::Action;
use crate::action::ct::{Ct, Nat, NatChoice, NatEnd, NatTarget};
use crate::base::{DropReason, PortNo, RecircId, Zone};
use crate::packet::{Burst, Packet};

#[test]
fn tracked_packets_carry_their_state_to_the_next_pass() {
    let ct = Ct { commit: true, zone: Zone(7), ..Ct::default() };
    let mut world = World::new();
    let actions = [Action::Ct(Box::new(ct)), Action::Recirc(RecircId(5))];
    world.run([packet(&frame(Kind::UdpV4, None, b"data"))], &actions);
    let mut burst = Burst::default();
    assert_eq!(world.again.next(&mut burst), 1);
    let ct = burst.get(0).and_then(Packet::ct).copied().unwrap();
    assert_eq!((ct.state, ct.zone), (0x21, 7));
    assert_eq!(world.conntrack.connections(), 1);
}

#[test]
fn a_connection_that_cannot_be_translated_is_dropped() {
    let host: core::net::IpAddr = [10, 9, 9, 9].into();
    let to = NatTarget {
        end: NatEnd::Src,
        addresses: Some((host, host)),
        ports: Some((7, 7)),
        persistent: false,
        choice: NatChoice::Default,
    };
    let ct = Ct { commit: true, nat: Some(Nat { to: Some(to) }), ..Ct::default() };
    let mut world = World::new();
    let actions = [Action::Ct(Box::new(ct)), Action::Output(PortNo(1))];
    let mut other = frame(Kind::BareUdpV4, None, b"data");
    world.run([packet(&other)], &actions);
    // Another source port, without a checksum that would tell.
    other[34] ^= 1;
    world.run([packet(&other)], &actions);
    assert_eq!(world.sent().len(), 1);
    assert_eq!(world.drops.get(DropReason::NatExhausted), 1);
}
