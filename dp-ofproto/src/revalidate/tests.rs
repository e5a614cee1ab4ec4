//! Rounds of revalidation, with a datapath made of a list.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dp_core::action::{Action as Dp, ActionList};
use dp_core::base::{Duration, Instant, MacAddr, OfPort, PortNo, Ufid};
use dp_core::boundary::{
    Datapath, DatapathError, FlowDump, FlowStats, PortInfo, Upcall, UpcallSink,
};
use dp_core::flow::{FieldId as F, FlowKey, layout, ufid};
use dp_core::packet::Packet;

use super::{Revalidator, RevalidatorConfig, Round};
use crate::action::{Action, Learn};
use crate::bridge::{Bridge, BridgePort, PortMap};
use crate::learn::MacTableConfig;
use crate::table::{FlowMod, Match, TablesConfig};
use crate::upcall::Ofproto;

/// Megaflows in a list; changes are in force at once.
#[derive(Default)]
struct List(Mutex<Vec<FlowDump>>);

impl Datapath for List {
    fn flow_dump(&self, each: &mut dyn FnMut(FlowDump)) {
        let flows = self.0.lock().unwrap().clone();
        flows.into_iter().for_each(each);
    }

    fn flow_put(&self, thread: u32, id: Ufid, actions: ActionList) -> Result<(), DatapathError> {
        let mut flows = self.0.lock().unwrap();
        let flow = flows.iter_mut().find(|flow| flow.ufid == id && flow.thread == thread);
        flow.ok_or(DatapathError::NoFlow)?.actions = actions;
        Ok(())
    }

    fn flow_del(&self, thread: u32, id: Ufid) -> Result<(), DatapathError> {
        self.0.lock().unwrap().retain(|flow| flow.ufid != id || flow.thread != thread);
        Ok(())
    }

    fn flow_count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn execute(&self, _: Packet, _: &FlowKey, _: ActionList) -> Result<(), DatapathError> {
        Err(DatapathError::NoThread)
    }

    fn ports(&self) -> Vec<PortInfo> {
        Vec::new()
    }
}

struct Switch {
    bridge: Arc<Bridge>,
    ofproto: Arc<Ofproto>,
    datapath: List,
    revalidator: Revalidator,
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn key(port: u32, src: u128, dst: u128) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, u128::from(port));
    key.set(F::EthSrc, src);
    key.set(F::EthDst, dst);
    key.set(F::EthType, 0x88b5);
    key
}

impl Switch {
    fn new() -> Self {
        let bridge = Bridge::new("br0", TablesConfig::default(), MacTableConfig::default());
        let port = |n: u16| BridgePort::new(OfPort(n), PortNo(n.into()), format!("p{n}"));
        bridge.set_ports(PortMap::new((1..=3).map(port)).unwrap());
        let bridge = Arc::new(bridge);
        let ofproto = Arc::new(Ofproto::new([Arc::clone(&bridge)]));
        let revalidator = Revalidator::new(Arc::clone(&ofproto), RevalidatorConfig::default());
        Self { bridge, ofproto, datapath: List::default(), revalidator }
    }

    fn add(&self, priority: u16, matching: Match, actions: Vec<Action>) {
        let flow_mod = FlowMod::add(0, priority, matching, actions);
        self.bridge.tables().apply(&flow_mod, at(0)).unwrap();
    }

    /// What a packet thread does with a miss.
    fn miss(&self, thread: u32, key: &FlowKey, now: Instant) -> Arc<FlowStats> {
        let verdict = self.ofproto.upcall(&Upcall { key, frame: &[0; 60] }, now).unwrap();
        let stats = Arc::<FlowStats>::default();
        if verdict.install {
            self.datapath.0.lock().unwrap().push(FlowDump {
                ufid: ufid(key, &verdict.mask),
                thread,
                key: Arc::new(key.masked(&verdict.mask)),
                mask: Arc::new(verdict.mask),
                actions: verdict.actions,
                stats: Arc::clone(&stats),
                created: now,
            });
        }
        stats
    }

    fn round(&mut self, now: Instant) -> Round {
        self.revalidator.run(&self.datapath, now)
    }

    fn actions(&self) -> Vec<Vec<Dp>> {
        let flows = self.datapath.0.lock().unwrap();
        flows.iter().map(|flow| flow.actions.to_vec()).collect()
    }

    fn rule_packets(&self) -> u64 {
        self.bridge.tables().snapshot().rules().map(|rule| rule.stats().packets()).sum()
    }
}

fn out(port: u32) -> Vec<Dp> {
    vec![Dp::Output(PortNo(port))]
}

const A: u128 = 0x0200_0000_000a;
const B: u128 = 0x0200_0000_000b;

#[test]
fn a_changed_table_changes_actions_or_removes_the_megaflow() {
    let mut switch = Switch::new();
    switch.add(1, Match::any(), vec![Action::output(OfPort(2))]);
    switch.miss(0, &key(1, A, B), at(0));
    switch.miss(1, &key(1, A, B), at(0));
    assert_eq!(switch.round(at(1)), Round { flows: 2, ..Round::default() });
    switch.add(1, Match::any(), vec![Action::output(OfPort(3))]);
    assert!(switch.revalidator.due(at(2)));
    let round = switch.round(at(2));
    assert_eq!((round.translated, round.changed), (1, 2), "both threads' copies");
    assert_eq!(switch.actions(), [out(3), out(3)]);
    // Now the destination matters, which the megaflows do not tell apart.
    let to_b = Match::build().exact(F::EthDst, B).finish();
    switch.add(2, to_b, vec![Action::output(OfPort(2))]);
    assert_eq!(switch.round(at(3)).removed, 2);
    assert_eq!(switch.datapath.flow_count(), 0);
    assert!(!switch.revalidator.due(at(4)) && switch.revalidator.due(at(503)));
}

#[test]
fn idle_megaflows_leave_and_busy_ones_stay() {
    let mut switch = Switch::new();
    let busy = switch.miss(0, &key(1, A, B), at(0));
    switch.miss(0, &key(2, A, B), at(0));
    busy.credit(1, 60, 0, at(5_000));
    assert_eq!(switch.round(at(9_999)).idle, 0);
    assert_eq!(switch.round(at(10_000)).idle, 1);
    assert_eq!(switch.round(at(14_999)).idle, 0);
    assert_eq!(switch.round(at(15_000)).idle, 1);
    // What was remembered of them goes too.
    switch.round(at(15_500));
    switch.round(at(20_000));
    assert!(switch.ofproto.ukeys().is_empty());
}

#[test]
fn rules_are_credited_exactly_also_for_what_a_leaving_megaflow_still_carries() {
    let mut switch = Switch::new();
    switch.add(1, Match::any(), vec![Action::output(OfPort(2))]);
    let stats = switch.miss(0, &key(1, A, B), at(0));
    assert_eq!(switch.rule_packets(), 1, "the packet that was asked about");
    stats.credit(10, 600, 0, at(100));
    switch.round(at(200));
    assert_eq!(switch.rule_packets(), 11);
    switch.round(at(300));
    assert_eq!(switch.rule_packets(), 11);
    let to_b = Match::build().exact(F::EthDst, B).finish();
    switch.add(2, to_b, vec![]);
    switch.round(at(400));
    stats.credit(5, 300, 0, at(401));
    switch.round(at(500));
    assert_eq!(switch.rule_packets(), 16);
    switch.round(at(600));
    assert_eq!(switch.rule_packets(), 16);
}

#[test]
fn a_learned_address_moves_the_megaflow_and_traffic_keeps_it_young() {
    let mut switch = Switch::new();
    switch.add(0, Match::any(), vec![Action::output(OfPort::NORMAL)]);
    switch.miss(0, &key(1, A, B), at(0));
    assert_eq!(switch.actions(), [[out(2), out(3)].concat()]);
    switch.miss(0, &key(2, B, A), at(10));
    switch.round(at(20));
    assert_eq!(switch.actions(), [out(2), out(1)]);
    // The address ages unless megaflows carry packets from it.
    let mac = MacAddr([2, 0, 0, 0, 0, 10]);
    switch.round(at(200_000));
    let stats = switch.miss(0, &key(1, A, B), at(250_000));
    stats.credit(1, 60, 0, at(290_000));
    switch.round(at(290_000));
    switch.round(at(500_000));
    assert_eq!(switch.bridge.macs().lookup(0, mac), Some(OfPort(1)));
    switch.round(at(600_000));
    assert_eq!(switch.bridge.macs().lookup(0, mac), None);
}

#[test]
fn who_makes_rounds_is_called_once_when_a_packet_changes_what_megaflows_rest_on() {
    let mut switch = Switch::new();
    switch.add(0, Match::any(), vec![Action::output(OfPort::NORMAL)]);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    switch.ofproto.set_reviser(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let calls = || calls.load(Ordering::Relaxed);
    // Two addresses are learned; one call is enough until a round begins.
    switch.miss(0, &key(1, A, B), at(0));
    switch.miss(0, &key(2, B, A), at(0));
    assert_eq!(calls(), 1);
    switch.round(at(20));
    // What is known already changes nothing.
    switch.miss(1, &key(1, A, B), at(30));
    assert_eq!(calls(), 1);
    // An address moves.
    switch.miss(1, &key(3, A, B), at(12_000));
    assert_eq!(calls(), 2);
    // So does a rule that a packet adds.
    switch.round(at(12_010));
    let learn = Learn { table: 1, ..Learn::default() };
    switch.add(1, Match::any(), vec![Action::Learn(Box::new(learn))]);
    switch.round(at(12_020));
    switch.miss(1, &key(2, B, A), at(12_030));
    assert_eq!(calls(), 3);
}

#[test]
fn megaflows_of_a_port_that_is_gone_go() {
    let mut switch = Switch::new();
    switch.miss(0, &key(3, A, B), at(0));
    let ports: Vec<_> = switch.bridge.ports().iter().take(2).map(|port| (**port).clone()).collect();
    switch.bridge.set_ports(PortMap::new(ports).unwrap());
    assert_eq!(switch.round(at(1)).removed, 1);
}

#[test]
fn beyond_the_flow_limit_packets_are_answered_one_by_one() {
    let switch = Switch::new();
    switch.ofproto.set_flow_limit(1);
    switch.miss(0, &key(1, A, B), at(0));
    switch.miss(0, &key(2, A, B), at(0));
    assert_eq!(switch.datapath.flow_count(), 1);
    assert_eq!(switch.ofproto.counters().over_limit(), 1);
}

/// A table that tells sources apart, and room for 80 megaflows.
fn crowded() -> Switch {
    let switch = Switch::new();
    switch.add(1, Match::build().exact(F::EthSrc, A).finish(), vec![]);
    switch.ofproto.set_flow_limit(80);
    switch
}

/// How many megaflows a port has.
fn held(switch: &Switch, port: u32) -> usize {
    let flows = switch.datapath.0.lock().unwrap();
    flows.iter().filter(|flow| flow.key.in_port() == PortNo(port)).count()
}

#[test]
fn the_last_eighth_is_for_ports_below_their_share() {
    let switch = crowded();
    for n in 0..200 {
        switch.miss(0, &key(1, n, B), at(0));
    }
    assert_eq!(held(&switch, 1), 70);
    for n in 0..200 {
        switch.miss(0, &key(2, n, B), at(0));
    }
    assert_eq!((held(&switch, 1), held(&switch, 2)), (70, 10));
    assert_eq!(switch.ofproto.ukeys().len(), 80);
    assert_eq!(switch.ofproto.counters().over_limit(), 130 + 190);
}

#[test]
fn what_is_beyond_a_share_makes_room_the_longest_unused_first() {
    let mut switch = crowded();
    let stats: Vec<_> = (0..70).map(|n| switch.miss(0, &key(1, n, B), at(0))).collect();
    // All but those of the first ten have talked.
    stats.iter().skip(10).for_each(|stats| stats.credit(1, 60, 0, at(5)));
    let fills =
        |switch: &Switch, now| {
            for n in 0..200 {
                let known =
                    switch.datapath.0.lock().unwrap().iter().any(|flow| {
                        flow.key.in_port() == PortNo(2) && flow.key.get(F::EthSrc) == n
                    });
                if !known {
                    switch.miss(0, &key(2, n, B), at(now));
                }
            }
        };
    fills(&switch, 6);
    assert_eq!(switch.round(at(10)).crowded, 10);
    assert_eq!((held(&switch, 1), held(&switch, 2)), (60, 10));
    for n in 0..10 {
        let flows = switch.datapath.0.lock().unwrap();
        assert!(!flows.iter().any(|flow| *flow.key == key(1, n, B).masked(&flow.mask)));
    }
    // The next round knows that they have left. It goes on until both have their share.
    let mut now = 500;
    for _ in 0..10 {
        assert_eq!(switch.round(at(now)).idle, 0);
        fills(&switch, now + 1);
        now += 500;
    }
    assert!(held(&switch, 2) >= 80 / 3, "{}", held(&switch, 2));
    assert!(held(&switch, 1) >= 80 / 3, "{}", held(&switch, 1));
    let ofproto = Arc::clone(&switch.ofproto);
    let shares = ofproto.ukeys().shares();
    assert_eq!(shares.of(PortNo(1)) + shares.of(PortNo(2)), ofproto.ukeys().len());
    // Who alone is there counts for himself, and for one who may come.
    switch.round(at(60_000));
    switch.round(at(60_500));
    switch.round(at(63_000));
    assert_eq!((shares.of(PortNo(1)), shares.fair(80)), (0, 80));
}

#[test]
fn a_megaflow_that_nobody_knows_is_removed() {
    let mut switch = Switch::new();
    switch.miss(0, &key(1, A, B), at(0));
    switch.ofproto.ukeys().retain(|_, _| false);
    assert_eq!(switch.round(at(1)).removed, 1);
    assert_eq!(RevalidatorConfig::default().max_idle, Duration::from_secs(10));
}
