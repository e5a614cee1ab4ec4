//! What the slow path remembers of megaflows, while packet threads ask and revalidation forgets.

use std::sync::Arc;

use dp_core::action::ActionList;
use dp_core::base::{Duration, Instant, OfPort, PortNo, Ufid};
use dp_core::boundary::{
    Datapath, DatapathError, FlowDump, FlowStats, PortInfo, Upcall, UpcallSink,
};
use dp_core::flow::{FieldId as F, FlowKey, layout, ufid};
use dp_core::packet::Packet;
use dp_ofproto::bridge::{Bridge, BridgePort, PortMap};
use dp_ofproto::learn::MacTableConfig;
use dp_ofproto::revalidate::{Revalidator, RevalidatorConfig};
use dp_ofproto::table::TablesConfig;
use dp_ofproto::text::{NumbersOnly, parse_file};
use dp_ofproto::upcall::Ofproto;
use races::model;
use shuttle::sync::Mutex;
use shuttle::thread;

const NOW: Instant = Instant::from_millis(1_000_000);

/// Megaflows in a list; changes are in force at once.
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

/// A bridge with a rule that tells sources apart, and its slow path.
fn slow_path() -> (Arc<Bridge>, Arc<Ofproto>, Arc<List>) {
    let bridge = Bridge::new("br0", TablesConfig::default(), MacTableConfig::default());
    let port = |n: u16| BridgePort::new(OfPort(n), PortNo(n.into()), format!("p{n}"));
    bridge.set_ports(PortMap::new((1..=2).map(port)).unwrap());
    let bridge = Arc::new(bridge);
    let rules = "priority=2,dl_src=02:00:00:00:00:99,actions=drop\npriority=1,actions=output:2\n";
    for flow in parse_file("flows", rules, &NumbersOnly).unwrap() {
        bridge.tables().apply(&flow, NOW).unwrap();
    }
    let ofproto = Arc::new(Ofproto::new([Arc::clone(&bridge)]));
    (bridge, ofproto, Arc::new(List(Mutex::new(Vec::new()))))
}

fn key(port: u32, src: u64) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, port.into());
    key.set(F::EthSrc, src.into());
    key.set(F::EthDst, 5);
    key.set(F::EthType, 0x88b5);
    key
}

/// What a packet thread does with a packet: asks, installs, and carries it if the megaflow is there.
fn packet(ofproto: &Ofproto, list: &List, thread: u32, key: &FlowKey) {
    {
        // A packet thread lets go of a megaflow between bursts, never within one.
        let flows = list.0.lock().unwrap();
        let hit = |flow: &&FlowDump| flow.thread == thread && key.agrees(&flow.key, &flow.mask);
        if let Some(flow) = flows.iter().find(hit) {
            flow.stats.credit(1, 60, 0, NOW);
            return;
        }
    }
    let verdict = ofproto.upcall(&Upcall { key, frame: &[0; 60] }, NOW).unwrap();
    if verdict.install {
        list.0.lock().unwrap().push(FlowDump {
            ufid: ufid(key, &verdict.mask),
            thread,
            key: Arc::new(key.masked(&verdict.mask)),
            mask: Arc::new(verdict.mask),
            actions: verdict.actions,
            stats: Arc::<FlowStats>::default(),
            created: NOW,
        });
    }
}

/// Packets and bytes of all rules.
fn counted(bridge: &Bridge) -> (u64, u64) {
    let tables = bridge.tables().snapshot();
    let all = tables.rules().map(|rule| (rule.stats().packets(), rule.stats().bytes()));
    all.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
}

#[test]
fn every_packet_is_credited_once_while_rounds_run_beside_it() {
    model(200, || {
        let (bridge, ofproto, list) = slow_path();
        let threads = [0, 1].map(|number| {
            let (ofproto, list) = (Arc::clone(&ofproto), Arc::clone(&list));
            thread::spawn(move || {
                // Both threads have packets of one megaflow, and each has some of its own.
                for src in [7, 7, 8 + u64::from(number)] {
                    packet(&ofproto, &list, number, &key(1, src));
                }
            })
        });
        let mut revalidator = Revalidator::new(Arc::clone(&ofproto), RevalidatorConfig::default());
        for _ in 0..2 {
            revalidator.run(&*list, NOW);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        revalidator.run(&*list, NOW);
        assert_eq!(counted(&bridge), (6, 360));
        let shares = ofproto.ukeys().shares();
        assert_eq!((ofproto.ukeys().len(), shares.of(PortNo(1))), (3, 3));
        // All of them run out, and nothing stays behind.
        let late = NOW.after(Duration::from_secs(60));
        for _ in 0..2 {
            revalidator.run(&*list, late);
        }
        assert_eq!((list.flow_count(), ofproto.ukeys().len(), shares.of(PortNo(1))), (0, 0, 0));
        assert_eq!(shares.fair(80), 80, "no port counts any more");
        assert_eq!(counted(&bridge), (6, 360));
    });
}

#[test]
fn a_megaflow_that_is_asked_for_again_while_it_leaves_is_known_again() {
    model(200, || {
        let (bridge, ofproto, list) = slow_path();
        packet(&ofproto, &list, 0, &key(1, 7));
        let mut revalidator = Revalidator::new(Arc::clone(&ofproto), RevalidatorConfig::default());
        revalidator.run(&*list, NOW);
        // It has run out; while it leaves, a packet comes.
        let late = NOW.after(Duration::from_secs(11));
        let asks = thread::spawn({
            let (ofproto, list) = (Arc::clone(&ofproto), Arc::clone(&list));
            move || packet(&ofproto, &list, 0, &key(1, 7))
        });
        for _ in 0..2 {
            revalidator.run(&*list, late);
        }
        asks.join().unwrap();
        packet(&ofproto, &list, 0, &key(1, 7));
        for _ in 0..2 {
            revalidator.run(&*list, NOW);
        }
        assert_eq!(counted(&bridge), (3, 180), "each packet counts once");
        assert_eq!(ofproto.ukeys().len(), list.flow_count());
        assert_eq!(ofproto.ukeys().shares().of(PortNo(1)), list.flow_count());
    });
}

#[test]
fn two_ports_never_have_more_than_the_limit_and_one_each_besides() {
    model(200, || {
        let (_, ofproto, list) = slow_path();
        ofproto.set_flow_limit(8);
        let threads = [1, 2].map(|port| {
            let (ofproto, list) = (Arc::clone(&ofproto), Arc::clone(&list));
            thread::spawn(move || {
                for src in 0..8 {
                    packet(&ofproto, &list, port, &key(port, src));
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(list.flow_count() <= 9, "{}", list.flow_count());
        let shares = ofproto.ukeys().shares();
        let held = [1, 2].map(|port| shares.of(PortNo(port)));
        assert_eq!(held.iter().sum::<usize>(), list.flow_count());
        assert!(held.iter().all(|&held| held >= 1), "{held:?}");
    });
}
