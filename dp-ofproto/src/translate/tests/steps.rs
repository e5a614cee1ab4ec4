//! Actions that need the datapath's help or end in other rooms: labels, headers, groups,
//! connection tracking, patches.

use std::sync::Arc;

use dp_core::action::{Action as Dp, HashAlgorithm, UserData};
use dp_core::base::{DropReason, Instant, OfPort, PortNo};
use dp_core::flow::{FieldId as F, FlowKey, layout};

use super::super::{Silent, TranslateError, World, translate};
use super::{add, bridge, made, out, output, run, udp};
use crate::action::{Action, Ct, Encap, PacketType, Subfield, ZoneSource};
use crate::bridge::{Bridge, BridgePort, PortMap};
use crate::group::{Bucket, Group, GroupId, GroupKind, Selection};
use crate::learn::MacTableConfig;
use crate::table::{FlowMod, Match, TablesConfig};

#[test]
fn a_fourth_label_is_too_many() {
    let bridge = bridge();
    let mut list = vec![Action::PushMpls(0x8847); 4];
    list.push(output(2));
    add(&bridge, 0, 1, Match::any(), list);
    let made = run(&bridge, &udp());
    assert_eq!(made.error, Some(TranslateError::TooManyLabels));
    assert_eq!(made.actions.to_vec(), [Dp::Drop(DropReason::TooManyMplsLabels)]);
}

#[test]
fn labels_take_over_the_ttl_and_come_off_by_parsing_again() {
    let push = made(&udp(), vec![Action::PushMpls(0x8847), Action::SetMplsLabel(5), output(2)]);
    let lse = 5 << 12 | 1 << 8 | 64;
    assert_eq!(push, [Dp::PushMpls { lse, eth_type: 0x8847 }, out(2)]);
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, 11);
    key.set(F::EthType, 0x8847);
    key.store(layout::MPLS0, u128::from(lse));
    let list = vec![Action::PopMpls(0x0800), Action::DecTtl(Box::new([])), output(2)];
    let steps = made(&key, list);
    assert!(matches!(&steps[..], [Dp::PopMpls { eth_type: 0x0800 }, Dp::Recirc(_)]), "{steps:?}");
}

#[test]
fn unknown_headers_are_refused() {
    let bridge = bridge();
    let encap = Encap { packet_type: PacketType::new(1, 0x1234), properties: Box::default() };
    add(&bridge, 0, 1, Match::any(), vec![Action::Encap(Box::new(encap)), output(2)]);
    let made = run(&bridge, &udp());
    assert_eq!(made.actions.to_vec(), [Dp::Drop(DropReason::UnsupportedPacketType)]);
}

#[test]
fn tracked_packets_go_on_in_the_table_that_ct_names() {
    let bridge = bridge();
    let ct = Ct { table: Some(3), zone: ZoneSource::Zone(5), ..Ct::default() };
    add(&bridge, 0, 1, Match::any(), vec![Action::set_field(F::Reg3, 7), Action::Ct(ct.into())]);
    let new = Match::build().masked(F::CtState, 1, 1).exact(F::Reg3, 7).finish();
    add(&bridge, 3, 1, new, vec![output(2)]);
    let world = World::of([Arc::clone(&bridge)]);
    let location = world.locate(PortNo(11)).unwrap();
    let first = translate(&world, &location, &udp(), &mut Silent);
    let [Dp::Ct(step), Dp::Recirc(id)] = &first.actions[..] else { panic!("{:?}", first.actions) };
    assert_eq!(step.zone.0, 5);
    let again = translate(&world, &location, &udp(), &mut Silent);
    assert_eq!(again.actions, first.actions, "the same state has the same number");
    let mut key = udp();
    key.store(layout::RECIRC_ID, u128::from(id.0));
    key.set(F::CtState, 0x21);
    let second = translate(&world, &location, &key, &mut Silent);
    assert_eq!(second.actions.to_vec(), [out(2)]);
    assert_eq!(second.mask.get(F::CtState), 1);
    key.store(layout::RECIRC_ID, 999);
    let lost = translate(&world, &location, &key, &mut Silent);
    assert_eq!(lost.actions.to_vec(), [Dp::Drop(DropReason::NoRecircContext)]);
}

fn group(bridge: &Bridge, kind: GroupKind, buckets: Vec<(u16, Option<u16>, Vec<Action>)>) {
    let bucket =
        |(at, (weight, watch, actions)): (usize, (u16, Option<u16>, Vec<Action>))| Bucket {
            id: u32::try_from(at).unwrap(),
            weight,
            watch_port: watch.map(OfPort),
            watch_group: None,
            actions: actions.into(),
            stats: Arc::default(),
        };
    let mut edit = bridge.tables().edit();
    edit.put_group(Group {
        id: GroupId(1),
        kind,
        selection: Selection::default(),
        buckets: buckets.into_iter().enumerate().map(bucket).collect(),
        created: Instant::default(),
        modified: Instant::default(),
        stats: Arc::default(),
    });
    edit.commit();
    add(bridge, 0, 1, Match::any(), vec![Action::Group(1), output(4)]);
}

#[test]
fn all_buckets_see_the_packet_as_it_was() {
    let bridge = bridge();
    let write = Action::set_field(F::EthDst, 9);
    let buckets = vec![(0, None, vec![output(2), write]), (0, None, vec![output(3)])];
    group(&bridge, GroupKind::All, buckets);
    let steps = run(&bridge, &udp()).actions.to_vec();
    assert!(
        matches!(&steps[..], [Dp::Set(_), a, Dp::Set(_), b, c] if [a, b, c] == [&out(2), &out(3), &out(4)]),
        "{steps:?}"
    );
}

#[test]
fn the_first_bucket_that_is_alive_takes_over() {
    let bridge = bridge();
    let buckets = vec![(0, Some(2), vec![output(2)]), (0, Some(3), vec![output(3)])];
    group(&bridge, GroupKind::FastFailover, buckets);
    assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(2), out(4)]);
    let down = |port: &Arc<BridgePort>| BridgePort { up: port.ofport.0 != 2, ..(**port).clone() };
    bridge.set_ports(PortMap::new(bridge.ports().iter().map(down)).unwrap());
    assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(3), out(4)]);
}

#[test]
fn a_select_group_hashes_first_and_then_chooses() {
    let bridge = bridge();
    let buckets = vec![(1, None, vec![output(2)]), (2, None, vec![output(3)])];
    group(&bridge, GroupKind::Select, buckets);
    let world = World::of([Arc::clone(&bridge)]);
    let location = world.locate(PortNo(11)).unwrap();
    let first = translate(&world, &location, &udp(), &mut Silent);
    let [Dp::Hash { algorithm: HashAlgorithm::SymL4, basis: 0 }, Dp::Recirc(id)] =
        &first.actions[..]
    else {
        panic!("{:?}", first.actions)
    };
    let mut counts = [0; 2];
    for hash in 1..=16u128 {
        let mut key = udp();
        key.store(layout::RECIRC_ID, u128::from(id.0));
        key.store(layout::DP_HASH, hash);
        let second = translate(&world, &location, &key, &mut Silent);
        assert_eq!(second.mask.get(F::DpHash), 15);
        match &second.actions[..] {
            [a, b] if [a, b] == [&out(2), &out(4)] => counts[0] += 1,
            [a, b] if [a, b] == [&out(3), &out(4)] => counts[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts, [5, 11]);
}

#[test]
fn patches_lead_into_the_other_bridge_and_back_to_the_packet_as_it_was() {
    let bridge = bridge();
    let peer = Arc::new(Bridge::new("br1", TablesConfig::default(), MacTableConfig::default()));
    let mut ports: Vec<_> = bridge.ports().iter().map(|port| (**port).clone()).collect();
    ports.push(BridgePort::new(OfPort(9), PortNo::NONE, "pa").with_peer("pb"));
    bridge.set_ports(PortMap::new(ports).unwrap());
    let ends = [
        BridgePort::new(OfPort(1), PortNo::NONE, "pb").with_peer("pa"),
        BridgePort::new(OfPort(2), PortNo(30), "q"),
    ];
    peer.set_ports(PortMap::new(ends).unwrap());
    let write = Action::set_field(F::EthDst, 9);
    let register = Match::build().exact(F::Reg0, 0).exact(F::InPort, 1).finish();
    add(&peer, 0, 1, register, vec![write, output(2)]);
    let list = vec![Action::set_field(F::Reg0, 5), output(9), output(2)];
    add(&bridge, 0, 1, Match::any(), list);
    let world = World::of([Arc::clone(&bridge), Arc::clone(&peer)]);
    let location = world.locate(PortNo(11)).unwrap();
    let steps = translate(&world, &location, &udp(), &mut Silent).actions.to_vec();
    let [Dp::Set(_), inner, Dp::Set(_), outer] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((inner, outer), (&Dp::Output(PortNo(30)), &out(2)));
}

#[test]
fn both_ways_of_a_length_check_do_what_is_left() {
    let bit = Subfield { field: F::Reg0, start: 0, bits: 1 };
    let bridge = bridge();
    let list = vec![Action::CheckPktLarger { len: 100, dst: bit }, Action::resubmit(1)];
    add(&bridge, 0, 1, Match::any(), list);
    add(&bridge, 1, 1, Match::build().exact(F::Reg0, 1).finish(), vec![output(2)]);
    add(&bridge, 1, 0, Match::any(), vec![output(3)]);
    let steps = run(&bridge, &udp()).actions.to_vec();
    let [Dp::CheckPktLen { len: 100, greater, less_or_equal }] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!((&greater[..], &less_or_equal[..]), (&[out(2)][..], &[out(3)][..]));
}

#[test]
fn a_clause_acts_only_together_with_the_others() {
    let bridge = bridge();
    let clause = |clause| vec![Action::Conjunction { id: 7, clause, clauses: 2 }];
    let ip = || Match::build().exact(F::EthType, 0x0800);
    add(&bridge, 0, 5, ip().exact(F::Ipv4Src, 0x0a00_0001).finish(), clause(0));
    add(&bridge, 0, 5, ip().exact(F::Ipv4Dst, 0x0a00_0002).finish(), clause(1));
    add(&bridge, 0, 5, ip().exact(F::ConjId, 7).finish(), vec![output(2)]);
    add(&bridge, 0, 1, Match::any(), vec![output(3)]);
    assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(2)]);
    let mut other = udp();
    other.set(F::Ipv4Dst, 0x0a00_0003);
    assert_eq!(run(&bridge, &other).actions.to_vec(), [out(3)]);
}

#[test]
fn thousands_of_clauses_are_one_policy_and_each_pair_of_them_acts() {
    const CLAUSES: u128 = 3000;
    let bridge = bridge();
    let ip = || Match::build().exact(F::EthType, 0x0800);
    let mut edit = bridge.tables().edit();
    // Two conjunctions share their sources and have destinations of their own.
    for n in 0..CLAUSES {
        let sources = [7, 8].map(|id| Action::Conjunction { id, clause: 0, clauses: 2 });
        let id = if n % 2 == 0 { 7 } else { 8 };
        let destination = Action::Conjunction { id, clause: 1, clauses: 2 };
        let from = ip().exact(F::Ipv4Src, 0x0a00_0000 + n).finish();
        let to = ip().exact(F::Ipv4Dst, 0x1400_0000 + n).finish();
        for (matching, actions) in [(from, sources.to_vec()), (to, vec![destination])] {
            edit.apply(&FlowMod::add(0, 5, matching, actions), Instant::default()).unwrap();
        }
    }
    edit.commit();
    for (id, port) in [(7, 2), (8, 3)] {
        add(&bridge, 0, 5, ip().exact(F::ConjId, id).finish(), vec![output(port)]);
    }
    for (src, dst) in [(0, 0), (17, 2999), (2999, 1500), (1234, 1), (3000, 2), (5, 3000)] {
        let mut key = udp();
        key.set(F::Ipv4Src, 0x0a00_0000 + src);
        key.set(F::Ipv4Dst, 0x1400_0000 + dst);
        let made = run(&bridge, &key).actions.to_vec();
        let expect = match (src < CLAUSES && dst < CLAUSES, dst % 2) {
            (true, 0) => vec![out(2)],
            (true, _) => vec![out(3)],
            _ => run(&self::bridge(), &udp()).actions.to_vec(),
        };
        assert_eq!(made, expect, "{src} {dst}");
    }
}

#[test]
fn controllers_get_packets_by_way_of_the_datapath() {
    let steps = made(&udp(), vec![Action::Output { port: OfPort::CONTROLLER, max_len: 100 }]);
    let [Dp::Userspace(ask)] = &steps[..] else { panic!("{steps:?}") };
    assert!(matches!(
        ask.data,
        UserData::Controller { reason: 1, max_len: 100, dont_send: false, .. }
    ));
}
