//! What control asks for beside ports: flows from outside, meters, bonds.

use dp_core::action::Action;
use dp_core::base::{BondId, MeterId};
use dp_core::bond::BUCKETS;
use dp_core::boundary::{FlowPut, PutMode};
use dp_core::flow::{FieldId, FlowMask};
use dp_core::meter::{Band, MeterConfig, MeterError, MeterUnit};
use dp_core::pipeline::Settings;

use super::*;

/// A flow for everything that comes in by port 1.
fn put(actions: &[Action], mode: PutMode) -> FlowPut {
    let (mut key, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
    key.set(FieldId::InPort, 1);
    key.set(FieldId::EthType, 0x0800);
    mask.unwildcard(FieldId::RecircId);
    FlowPut { key, mask, actions: Arc::from(actions), mode, zero_stats: false, now: NOW }
}

fn one_turn(netdev: &Netdev, hands: &[Hand]) -> Vec<usize> {
    for mark in 0..4 {
        assert!(hands[0].inject(&frame(mark)));
    }
    netdev.turn(NOW);
    hands.iter().map(|hand| hand.take_sent().len()).collect()
}

#[test]
fn flows_from_outside_are_in_all_threads_and_may_be_changed() {
    let netdev = Netdev::new(sink(), Config { threads: 2, ..Config::default() }).unwrap();
    let hands = dummies(&netdev, 3);
    let out = |port| [Action::Output(PortNo(port))];
    let missing = netdev.flow_install(&put(&out(3), PutMode::Modify));
    assert_eq!(missing, Err(DatapathError::NoFlow));
    let id = netdev.flow_install(&put(&out(3), PutMode::Create)).unwrap();
    assert_eq!(netdev.flow_count(), 2);
    assert_eq!(one_turn(&netdev, &hands), [0, 0, 4]);
    let again = netdev.flow_install(&put(&out(2), PutMode::Create));
    assert_eq!(again, Err(DatapathError::Exists));
    assert_eq!(netdev.flow_install(&put(&out(2), PutMode::Modify)), Ok(id));
    assert_eq!(one_turn(&netdev, &hands), [0, 4, 0]);
    let shown = netdev.flow_get(id);
    assert_eq!(shown.len(), 2);
    let packets: u64 = shown.iter().map(|flow| flow.stats.snapshot().packets).sum();
    assert_eq!((packets, shown[0].created), (8, NOW));
    // The key is shown as it was given, whatever of it counts.
    assert_eq!(shown[0].key.eth_type(), 0x0800);
    assert_eq!(shown[0].mask.get(FieldId::EthType), 0);
    let anew = FlowPut { zero_stats: true, ..put(&out(2), PutMode::Any) };
    assert_eq!(netdev.flow_install(&anew), Ok(id));
    assert!(netdev.flow_get(id).iter().all(|flow| flow.stats.snapshot().packets == 0));
}

#[test]
fn a_port_can_do_without_the_exact_match_cache() {
    let pipeline = Settings { emc_insert_inv_prob: 1, ..Settings::default() };
    let netdev = Netdev::new(sink(), Config { pipeline, ..Config::default() }).unwrap();
    let hands = dummies(&netdev, 2);
    let mut flow = put(&[Action::Output(PortNo(2))], PutMode::Any);
    // Without it, simpler caches would do.
    flow.mask.unwildcard(FieldId::Ipv4Src);
    netdev.flow_install(&flow).unwrap();
    let hits = || {
        one_turn(&netdev, &hands);
        one_turn(&netdev, &hands);
        netdev.totals().emc_hits
    };
    assert_eq!(netdev.set_emc(PortNo(9), false), None);
    assert_eq!([false, false].map(|yes| netdev.set_emc(PortNo(1), yes)), [Some(true), Some(false)]);
    assert_eq!(hits(), 0);
    assert_eq!(netdev.set_emc(PortNo(1), true), Some(true));
    assert_eq!(hits(), 4);
}

#[test]
fn meters_hold_for_all_threads_and_go() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 2);
    let metered = [Action::Meter(MeterId(1)), Action::Output(PortNo(2))];
    netdev.flow_install(&put(&metered, PutMode::Any)).unwrap();
    assert_eq!(one_turn(&netdev, &hands), [0, 4]);
    let config =
        |rate| MeterConfig { unit: MeterUnit::Packets, bands: vec![Band { rate, burst: Some(1) }] };
    netdev.meter_set(MeterId(1), config(1000), Instant(0)).unwrap();
    assert_eq!(netdev.meter_set(MeterId(2), config(0), NOW), Err(MeterError::Rate));
    assert_eq!(one_turn(&netdev, &hands), [0, 1]);
    let stats = netdev.meter_get(MeterId(1)).unwrap();
    assert_eq!((stats.packets, stats.bands[0].packets), (4, 3));
    assert_eq!(netdev.meter_del(MeterId(1)).map(|stats| stats.packets), Ok(4));
    assert_eq!(netdev.meter_del(MeterId(1)), Err(MeterError::NotFound));
    assert_eq!(netdev.meter_get(MeterId(1)), None);
    assert_eq!(one_turn(&netdev, &hands), [0, 4]);
}

#[test]
fn bonds_are_assigned_and_count_over_all_threads() {
    let netdev = Netdev::new(sink(), Config { threads: 2, ..Config::default() }).unwrap();
    let hands = dummies(&netdev, 3);
    netdev.flow_install(&put(&[Action::LbOutput(BondId(5))], PutMode::Any)).unwrap();
    assert_eq!(one_turn(&netdev, &hands), [0, 0, 0]);
    netdev.bond_set(BondId(5), &[PortNo(2); BUCKETS]).unwrap();
    assert_eq!(one_turn(&netdev, &hands), [0, 4, 0]);
    netdev.bond_set(BondId(5), &[PortNo(3); BUCKETS]).unwrap();
    assert_eq!(one_turn(&netdev, &hands), [0, 0, 4]);
    let bytes: u64 = netdev.bond_bytes(BondId(5)).unwrap().iter().sum();
    assert_eq!(bytes, 8 * frame(0).len() as u64);
    netdev.bond_del(BondId(5)).unwrap();
    assert_eq!(one_turn(&netdev, &hands), [0, 0, 0]);
    assert_eq!(netdev.bond_bytes(BondId(5)), None);
}

#[test]
fn what_must_not_wait_leaves_before_what_waits_and_is_bounded() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 2);
    let key = FlowKey::default();
    let actions = || Arc::from([Action::Output(PortNo(2))]);
    for mark in 0..3 {
        netdev.execute(packet(mark), &key, actions()).unwrap();
    }
    netdev.execute_urgent(packet(9), &key, actions()).unwrap();
    assert_eq!(netdev.turn(NOW), 4);
    assert_eq!(hands[1].take_sent(), [frame(9), frame(0), frame(1), frame(2)]);
    // However many others wait, there is room.
    while netdev.execute(packet(1), &key, actions()).is_ok() {}
    let room =
        (0..10_000).take_while(|_| netdev.execute_urgent(packet(9), &key, actions()).is_ok());
    assert!((64..10_000).contains(&room.count()));
    assert_eq!(netdev.looked_until(), None, "nobody but us looks");
}

#[test]
fn threads_tell_until_when_they_have_looked() {
    let clock = Clock::start();
    let netdev = Netdev::new(sink(), Config { threads: 2, clock, ..Config::default() }).unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let after = clock.now();
    let start = std::time::Instant::now();
    while netdev.looked_until().is_none_or(|looked| looked < after) {
        netdev.nudge();
        assert!(start.elapsed() < Duration::from_secs(20), "a thread that is woken looks");
        std::thread::yield_now();
    }
    running.stop();
}
