//! Steps with lists of their own, steps that decide, and what goes to the slow path.

use std::sync::Arc;

use super::{IN, NOW, World, packet};
use crate::action::userspace::UserData;
use crate::action::{Action, ActionList, HashAlgorithm, Set, Userspace};
use crate::action::{Masked, SlowReasons};
use crate::base::{BondId, DropReason, MeterId, PortNo, RecircId};
use crate::bond::{BUCKETS, BondBytes};
use crate::execute::tests::frames::{Kind, frame, wrong};
use crate::flow::FieldId;
use crate::meter::{Band, MeterConfig, MeterTable, MeterUnit};
use crate::packet::{Burst, CtMeta, Offloads, Slots};

fn list(actions: &[Action]) -> ActionList {
    ActionList::from(actions)
}

fn out(port: u32) -> Action {
    Action::Output(PortNo(port))
}

fn push_vlan() -> Action {
    Action::PushVlan { tpid: 0x8100, tci: 0x1005 }
}

/// Ports and lengths of what a list sends of one plain frame of 60 bytes.
fn lengths(world: &mut World, actions: &[Action]) -> Vec<(u32, usize)> {
    let before = frame(Kind::UdpV4, None, b"");
    world.run([packet(&before)], actions);
    world.sent().into_iter().map(|(port, frame)| (port, frame.len())).collect()
}

#[test]
fn what_a_clone_does_ends_with_it() {
    let mut world = World::new();
    let inner = list(&[push_vlan(), out(1)]);
    assert_eq!(lengths(&mut world, &[Action::Clone(inner.clone()), out(2)]), [(1, 64), (2, 60)]);
    // As the last step it takes the packet itself.
    assert_eq!(lengths(&mut world, &[push_vlan(), Action::Clone(inner)]), [(1, 68)]);
    assert_eq!(lengths(&mut world, &[Action::Clone(list(&[])), out(2)]), [(2, 60)]);
    assert_eq!(world.drops.total(), 0);
    assert_eq!(lengths(&mut world, &[Action::Clone(list(&[push_vlan()]))]), []);
    assert_eq!((world.drops.get(DropReason::Explicit), world.drops.total()), (1, 1));
}

#[test]
fn lists_nest_as_deep_as_the_bound_and_no_deeper() {
    for (depth, sent) in [(32, 1), (33, 0), (5000, 0)] {
        let mut world = World::new();
        let mut inner = list(&[out(1)]);
        for _ in 0..depth {
            inner = list(&[Action::Clone(inner)]);
        }
        world.run([packet(&frame(Kind::UdpV4, None, b""))], &inner);
        assert_eq!(world.sent().len(), sent, "{depth}");
        assert_eq!(world.drops.get(DropReason::NestedTooDeep), 1 - sent as u64);
        // Arcs in arcs: take them apart one by one, as deep lists come from a stranger's text.
        while let Some(Action::Clone(next)) = inner.first() {
            inner = Arc::clone(next);
        }
    }
}

#[test]
fn a_sample_takes_its_share() {
    let mut world = World::new();
    let actions = list(&[out(1)]);
    let sample = |probability| Action::Sample { probability, actions: actions.clone() };
    assert_eq!(lengths(&mut world, &[sample(u32::MAX), out(2)]), [(1, 60), (2, 60)]);
    assert_eq!(lengths(&mut world, &[sample(0), out(2)]), [(2, 60)]);
    let before = frame(Kind::UdpV4, None, b"");
    let (mut sampled, mut sent) = (0, 0);
    for _ in 0..100 {
        world.run((0..32).map(|_| packet(&before)), &[sample(u32::MAX / 4), out(2)]);
        for (port, _) in world.sent() {
            if port == 1 { sampled += 1 } else { sent += 1 }
        }
    }
    assert_eq!(sent, 3200);
    assert!((700..900).contains(&sampled), "{sampled}");
    // What a last sample leaves out ends there.
    assert_eq!(lengths(&mut world, &[sample(0)]), []);
    assert_eq!(world.drops.get(DropReason::Explicit), 1);
}

#[test]
fn the_length_decides_between_two_lists() {
    let check = |len| Action::CheckPktLen {
        len,
        greater: list(&[push_vlan(), out(1)]),
        less_or_equal: list(&[out(2)]),
    };
    let mut world = World::new();
    // A datagram of 42 bytes with its Ethernet header, and 18 of padding, which do not count.
    assert_eq!(lengths(&mut world, &[check(41), out(0)]), [(1, 64), (0, 60)]);
    assert_eq!(lengths(&mut world, &[check(42), out(0)]), [(2, 60), (0, 60)]);
    assert_eq!(lengths(&mut world, &[check(41)]), [(1, 64)]);
    assert_eq!(lengths(&mut world, &[check(42)]), [(2, 60)]);
    // Cut down, it is short enough.
    assert_eq!(lengths(&mut world, &[Action::Trunc(40), check(41)]), [(2, 40)]);
    // Of a packet that will leave as segments, the segments count.
    let mut large = packet(&frame(Kind::TcpV4, None, &[7; 1000]));
    large.meta_mut().offloads = Offloads::TSO | Offloads::L4_CSUM_PARTIAL;
    large.meta_mut().segment = 100;
    world.run([large], &[check(154)]);
    assert_eq!(world.sent(), [(2, frame_of_tso())]);
}

fn frame_of_tso() -> Vec<u8> {
    frame(Kind::TcpV4, None, &[7; 1000])
}

#[test]
fn truncation_holds_until_something_is_sent() {
    let mut world = World::new();
    let actions = [Action::Trunc(20), push_vlan(), out(1), out(2)];
    // What is pushed comes on top of what is left.
    assert_eq!(lengths(&mut world, &actions), [(1, 24), (2, 64)]);
    assert_eq!(lengths(&mut world, &[Action::Trunc(20), out(1)]), [(1, 20)]);
    assert_eq!(lengths(&mut world, &[Action::Trunc(2000), out(1)]), [(1, 60)]);
    let inner = Action::Clone(list(&[out(1), out(1)]));
    let actions = [Action::Trunc(30), inner, out(2)];
    assert_eq!(lengths(&mut world, &actions), [(1, 30), (1, 60), (2, 30)]);
    lengths(&mut world, &[Action::Trunc(20), Action::Recirc(RecircId(1)), out(1)]);
    let mut again = Burst::default();
    assert_eq!(world.again.next(&mut again), 1);
    assert_eq!(again.get(0).unwrap().len(), 20);
}

fn slow_path() -> Userspace {
    Userspace {
        pid: 0,
        data: UserData::SlowPath(SlowReasons::CFM),
        with_actions: false,
        tunnel_out: None,
    }
}

#[test]
fn the_slow_path_gets_frame_and_key_as_they_are_at_that_step() {
    let mut world = World::new();
    let step = Action::Userspace(Box::new(slow_path()));
    let mark = Action::Set(Set::PktMark(Masked { value: 9, mask: u32::MAX }));
    let actions = [mark, push_vlan(), Action::Trunc(50), step.clone(), Action::PopVlan, out(1)];
    assert_eq!(lengths(&mut world, &actions), [(1, 60)]);
    let (request, key, seen) = world.slow.handed.get_mut().unwrap().pop().unwrap();
    assert_eq!((request, seen.len()), (slow_path(), 50));
    assert_eq!((key.in_port(), key.recirc_id()), (IN, RecircId(0)));
    assert_eq!((key.get(FieldId::PktMark), key.get(FieldId::VlanVid)), (9, 5));
    // Its answer is executed on the copy; the list goes on.
    world.slow.answer = Some(list(&[push_vlan(), out(2)]));
    assert_eq!(lengths(&mut world, &[step.clone(), out(1)]), [(2, 64), (1, 60)]);
    assert_eq!(lengths(&mut world, std::slice::from_ref(&step)), [(2, 64)]);
    // A slow path that answers with the same again comes to an end.
    world.slow.answer = Some(list(std::slice::from_ref(&step)));
    assert_eq!(lengths(&mut world, &[step]), []);
    assert_eq!((world.drops.get(DropReason::NestedTooDeep), world.drops.total()), (1, 1));
}

#[test]
fn samples_go_to_their_group_with_their_cookie() {
    let mut world = World::new();
    let step = Action::Psample { group: 7, cookie: [1, 2, 3].into() };
    assert_eq!(lengths(&mut world, &[step.clone(), out(1)]), [(1, 60)]);
    assert_eq!(lengths(&mut world, &[Action::Trunc(33), step]), []);
    let samples = world.slow.samples.get_mut().unwrap();
    assert_eq!(*samples, [(7, vec![1, 2, 3], 60), (7, vec![1, 2, 3], 33)]);
    assert_eq!(world.drops.total(), 0);
}

#[test]
fn an_expired_ttl_takes_the_other_list_and_ends() {
    for kind in [Kind::UdpV4, Kind::TcpV6] {
        let mut world = World::new();
        let step = || Action::DecTtl(list(&[out(2)]));
        let before = frame(kind, None, b"data");
        let at = if kind == Kind::UdpV4 { 22 } else { 21 };
        world.run([packet(&before)], &[step(), out(1)]);
        let (port, after) = world.sent().remove(0);
        assert_eq!((port, after[at]), (1, before[at] - 1));
        assert_eq!(wrong(&after), Vec::<&str>::new());
        for ttl in [0, 1] {
            let mut expired = packet(&before);
            expired.data_mut()[at] = ttl;
            world.run([expired, packet(&before)], &[step(), out(1)]);
            let ports: Vec<_> =
                world.sent().iter().map(|(port, frame)| (*port, frame[at])).collect();
            assert_eq!(ports, [(2, ttl), (1, before[at] - 1)]);
        }
        assert_eq!(world.drops.total(), 0);
    }
    // What has no TTL passes.
    let mut world = World::new();
    world.run([packet(&frame(Kind::Arp, None, b""))], &[Action::DecTtl(list(&[])), out(1)]);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_meter_drops_what_exceeds_it_and_one_that_is_not_there_nothing() {
    let mut world = World::new();
    let mut table = MeterTable::default();
    let bands = vec![Band { rate: 1, burst: Some(3) }];
    let start = crate::base::Instant::from_millis(0);
    table.set(MeterId(4), MeterConfig { unit: MeterUnit::Packets, bands }, start).unwrap();
    world.meters = (*table.snapshot()).clone();
    let before = frame(Kind::UdpV4, None, b"");
    let some = || (0..5).map(|_| packet(&before)).collect::<Vec<_>>();
    world.run(some(), &[Action::Meter(MeterId(4)), out(1)]);
    assert_eq!((world.sent().len(), world.drops.get(DropReason::Meter)), (3, 2));
    world.run(some(), &[Action::Meter(MeterId(5)), out(1)]);
    assert_eq!((world.sent().len(), world.drops.total()), (5, 2));
    let stats = table.get(MeterId(4)).unwrap().stats();
    assert_eq!((stats.packets, stats.bytes, stats.bands[0].bytes), (5, 300, 120));
    assert!(NOW > start);
}

/// Executes a hash; returns it.
fn hash_of(kind: Kind, swap: bool, algorithm: HashAlgorithm, basis: u32) -> u32 {
    let mut world = World::new();
    let mut packet = packet(&frame(kind, None, b""));
    if swap {
        let (l3, l4) = (usize::from(packet.meta().l3), usize::from(packet.meta().l4));
        let data = packet.data_mut();
        let (src, len) = if matches!(kind, Kind::UdpV6) { (8, 16) } else { (12, 4) };
        let (a, b) = data[l3 + src..].split_at_mut(len);
        a.swap_with_slice(&mut b[..len]);
        let (a, b) = data[l4..].split_at_mut(2);
        a.swap_with_slice(&mut b[..2]);
    }
    world.run([packet], &[Action::Hash { algorithm, basis }, Action::Recirc(RecircId(1))]);
    let mut again = Burst::default();
    assert_eq!(world.again.next(&mut again), 1);
    again.get(0).unwrap().meta().hash()
}

#[test]
fn hashes_are_stable_and_symmetric_where_they_are_to_be() {
    for kind in [Kind::UdpV4, Kind::UdpV6] {
        let plain = hash_of(kind, false, HashAlgorithm::L4, 0);
        assert_eq!(plain, hash_of(kind, false, HashAlgorithm::L4, 0));
        assert_ne!(plain, hash_of(kind, true, HashAlgorithm::L4, 0));
        assert_ne!(plain, hash_of(kind, false, HashAlgorithm::L4, 1));
        let both = hash_of(kind, false, HashAlgorithm::SymL4, 5);
        assert_eq!(both, hash_of(kind, true, HashAlgorithm::SymL4, 5));
        assert_ne!(both, hash_of(kind, true, HashAlgorithm::SymL4, 6));
        assert_ne!(plain, 0);
    }
}

#[test]
fn a_bond_sends_a_flow_by_one_member_and_flows_by_several() {
    let mut world = World::new();
    let bytes = Arc::new(BondBytes::default());
    let mut ports = Box::new([PortNo(1); BUCKETS]);
    for (at, port) in ports.iter_mut().enumerate() {
        *port = PortNo(1 + u32::try_from(at % 2).unwrap());
    }
    world.bonds.set(BondId(1), ports, Arc::clone(&bytes));
    let before = frame(Kind::UdpV4, None, b"");
    let flows = |world: &mut World, actions: &[Action]| {
        let packets = (0..32u8).map(|flow| {
            let mut packet = packet(&before);
            packet.data_mut()[35] = flow;
            packet
        });
        world.run(packets, actions);
        let mut sent: Vec<_> = world.sent().iter().map(|(port, data)| (data[35], *port)).collect();
        sent.sort_unstable();
        sent
    };
    let step = || Action::LbOutput(BondId(1));
    let moved = flows(&mut world, &[step()]);
    assert_eq!(moved.len(), 32);
    let first = moved.iter().filter(|(_, port)| *port == 1).count();
    assert!((4..=28).contains(&first), "{first}");
    assert_eq!(bytes.snapshot().iter().sum::<u64>(), 32 * 60);
    let copied = flows(&mut world, &[step(), out(0)]);
    let by_bond: Vec<_> = copied.iter().copied().filter(|(_, port)| *port != 0).collect();
    assert_eq!((by_bond, copied.len()), (moved, 64));
    assert_eq!(flows(&mut world, &[Action::LbOutput(BondId(2))]), []);
    assert_eq!(flows(&mut world, &[Action::LbOutput(BondId(2)), out(0)]).len(), 32);
    assert_eq!((world.drops.get(DropReason::InvalidBond), world.drops.total()), (64, 64));
}

#[test]
fn ct_clear_forgets_what_was_tracked() {
    let mut world = World::new();
    let mut tracked = packet(&frame(Kind::UdpV4, None, b""));
    tracked.set_ct(CtMeta { state: 0x21, zone: 4, ..CtMeta::default() });
    let copy = tracked.copy().unwrap();
    assert_eq!(copy.ct(), tracked.ct());
    let mut burst = Burst::default();
    burst.push(tracked).unwrap();
    let actions = [Action::Recirc(RecircId(1)), Action::CtClear, Action::Recirc(RecircId(2))];
    world.execute(&mut burst, Slots::first(1), None, &actions);
    let mut again = Burst::default();
    assert_eq!(world.again.next(&mut again), 2);
    assert_eq!(again.get(0).unwrap().ct().map(|ct| ct.zone), Some(4));
    assert_eq!(again.get(1).unwrap().ct(), None);
}
