//! Connection tracking as a step among others.

use super::frames::{Kind, frame};
use super::{World, packet};
use crate::action::Action;
use crate::action::ct::{Ct, Nat, NatChoice, NatEnd, NatTarget};
use crate::base::{DropReason, PortNo, RecircId, Zone};
use crate::packet::{Burst, Packet, Slots};

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
    let ct = Ct { commit: true, nat: Some(Nat { to: Some(to), also: None }), ..Ct::default() };
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

/// What a full table and a full zone do to the packets of two connections, either way of handling it.
#[test]
fn a_connection_beyond_a_bound_goes_on_as_new_or_is_dropped_for_the_bound() {
    let actions = |zone| {
        let ct = Ct { commit: true, zone: Zone(zone), ..Ct::default() };
        [Action::Ct(Box::new(ct)), Action::Output(PortNo(1))]
    };
    let (full, zone_full) = (DropReason::ConntrackFull, DropReason::ConntrackZoneFull);
    for (table_is_full, reason, other) in [(true, full, zone_full), (false, zone_full, full)] {
        let mut world = World::new();
        let mut one = frame(Kind::BareUdpV4, None, b"data");
        if table_is_full {
            world.conntrack.set_max_connections(0);
        } else {
            world.conntrack.set_zone_limit(Zone(3), Some(1));
            world.run([packet(&one)], &actions(3));
            assert_eq!(world.sent().len(), 1);
            // Another source port, without a checksum that would tell.
            one[34] ^= 1;
        }
        let held = world.conntrack.connections();
        world.run([packet(&one)], &actions(3));
        assert_eq!((world.sent().len(), world.drops.get(reason)), (1, 0), "as a new one");
        world.conntrack.set_drops_unentered(true);
        world.run([packet(&one)], &actions(3));
        assert_eq!((world.sent().len(), world.drops.get(reason)), (0, 1), "dropped");
        // Who only asks goes on: nothing was to be entered.
        let asks = [Action::Ct(Box::default()), Action::Output(PortNo(1))];
        world.run([packet(&one)], &asks);
        assert_eq!((world.sent().len(), world.drops.get(reason)), (1, 1));
        assert_eq!(world.drops.get(other), 0);
        assert_eq!(world.conntrack.connections(), held);
    }
}

#[test]
fn fragments_go_on_when_the_last_is_there_and_expire_otherwise() {
    let whole = frame(Kind::BareUdpV4, None, &[1; 1600]);
    let piece = |from: usize, to: usize, more: bool| {
        let mut piece = whole[..34].to_vec();
        piece[16..18].copy_from_slice(&u16::try_from(20 + to - from).unwrap().to_be_bytes());
        let word = u16::try_from(from / 8).unwrap() | if more { 0x2000 } else { 0 };
        piece[20..22].copy_from_slice(&word.to_be_bytes());
        piece[24..26].fill(0);
        let sum = crate::wire::checksum::checksum(&piece[14..34]);
        piece[24..26].copy_from_slice(&sum.to_be_bytes());
        piece.extend(&whole[34 + from..34 + to]);
        piece
    };
    let (first, last) = (piece(0, 1208, true), piece(1208, 1608, false));
    let actions = [Action::Ct(Box::default()), Action::Output(PortNo(1))];
    let mut world = World::new();
    world.run([packet(&first)], &actions);
    assert_eq!(world.sent().len(), 0);
    world.run([packet(&last)], &actions);
    assert_eq!(world.sent(), [(1, first.clone()), (1, last.clone())]);
    // Alone at the end of a list they go the way of all others.
    world.run([packet(&first), packet(&last)], &actions[..1]);
    assert_eq!(world.drops.get(DropReason::Explicit), 2);
    let mut world = World::new();
    let mut burst = Burst::default();
    assert!(burst.push(packet(&first)).is_ok());
    let early = crate::base::Instant(super::NOW.0 - 15_000_000_000);
    world.conntrack.run(&mut burst, Slots::first(1), &Ct::default(), None, early);
    world.run([packet(&last)], &actions);
    assert_eq!(world.drops.get(DropReason::FragmentExpired), 1);
    assert_eq!(world.sent().len(), 0);
}
