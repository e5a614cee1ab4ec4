mod control;
mod storm;

use super::{AddPortError, Config, Netdev, PortEvent, PortEventKind};
use crate::pcapfile;
use crate::pmd::Idle;
use crate::port::dummy::{Dummy, Hand};
use crate::port::pcap::{Pace, Pcap, Repeat};
use crate::port::ring::Ring;
use crate::port::{Port, QueueCount, Queues, RxEnd, RxQueue, TxQueue, Wake};
use crate::system::Clock;
use dp_core::action::Action;
use dp_core::base::{DropReason, Instant, PortNo};
use dp_core::boundary::{
    Datapath, DatapathError, FlowDump, Upcall, UpcallError, UpcallSink, Verdict,
};
use dp_core::flow::{FlowKey, FlowMask, layout};
use dp_core::packet::{Burst, Packet, Pool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Sends what comes in by a port out of its neighbour: 1 to 2, 2 to 1, 3 to 4 …
struct Neighbours {
    upcalls: AtomicUsize,
    install: bool,
}

impl UpcallSink for Neighbours {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        self.upcalls.fetch_add(1, Ordering::Relaxed);
        let PortNo(port) = upcall.key.in_port();
        let out = PortNo(((port - 1) ^ 1) + 1);
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        mask.unwildcard_place(layout::ETH_TYPE);
        let actions = Arc::from([Action::Output(out)]);
        Ok(Verdict { actions, mask, install: self.install })
    }
}

fn sink() -> Arc<Neighbours> {
    Arc::new(Neighbours { upcalls: AtomicUsize::new(0), install: true })
}

fn frame(mark: u8) -> Vec<u8> {
    let mut frame = vec![mark; 60];
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

fn packet(mark: u8) -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(60).unwrap().copy_from_slice(&frame(mark));
    packet
}

fn dummies(netdev: &Netdev, count: u32) -> Vec<Hand> {
    let add = |number| {
        let port = Dummy::new(&format!("p{number}"));
        let hand = port.hand();
        netdev.add_port(PortNo(number), Box::new(port)).unwrap();
        hand
    };
    (1..=count).map(add).collect()
}

fn dump(netdev: &Netdev) -> Vec<FlowDump> {
    let mut flows = Vec::new();
    netdev.flow_dump(&mut |flow| flows.push(flow));
    flows
}

const NOW: Instant = Instant::from_millis(1);

#[test]
fn packets_cross_in_one_turn_and_counters_are_exact() {
    let sink = sink();
    let netdev = Netdev::new(sink.clone(), Config::default()).unwrap();
    let hands = dummies(&netdev, 2);
    for mark in 0..20 {
        assert!(hands[0].inject(&frame(mark)));
    }
    assert_eq!(netdev.turn(NOW), 20);
    assert!(hands[1].inject(&frame(99)));
    assert_eq!(netdev.turn(NOW), 1);
    assert_eq!(netdev.turn(NOW), 0);
    assert_eq!(hands[1].take_sent(), (0..20).map(frame).collect::<Vec<_>>());
    assert_eq!(hands[0].take_sent(), [frame(99)]);
    assert_eq!(sink.upcalls.load(Ordering::Relaxed), 2);

    let ports = netdev.ports();
    let counts: Vec<_> = ports
        .iter()
        .map(|port| {
            (port.stats.rx_packets, port.stats.rx_bytes, port.stats.tx_packets, port.stats.tx_bytes)
        })
        .collect();
    assert_eq!(counts, [(20, 1200, 1, 60), (1, 60, 20, 1200)]);
    assert_eq!((ports[0].name.as_str(), ports[0].kind, ports[0].up), ("p1", "dummy", true));
    let totals = netdev.totals();
    assert_eq!((totals.received, totals.upcalls, totals.installed, totals.flows), (21, 2, 2, 2));
    assert_eq!((totals.emc_hits + totals.megaflow_hits, totals.dropped_in_all()), (19, 0));
    let [thread] = <[_; 1]>::try_from(netdev.thread_stats()).unwrap();
    assert_eq!((thread.turns, thread.busy_turns, thread.totals), (3, 2, totals));
}

#[test]
fn drops_are_counted_with_reason_and_port() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 3);
    hands[1].set_link(false);
    assert!(hands[0].inject(&frame(1)));
    // To port 4, which does not exist.
    assert!(hands[2].inject(&frame(1)));
    assert!(!hands[1].inject(&frame(1)));
    netdev.turn(NOW);
    let mut large = frame(1);
    large.resize(1515, 0);
    hands[1].set_link(true);
    assert!(hands[0].inject(&large));
    netdev.turn(NOW);
    let totals = netdev.totals();
    let drops: Vec<_> = totals.drops.iter().filter(|(_, count)| *count != 0).collect();
    let expected = [DropReason::InvalidPort, DropReason::TxFailure, DropReason::TxOversize];
    assert_eq!(drops, expected.map(|reason| (reason, 1)).iter().collect::<Vec<_>>());
    assert_eq!(totals.dropped(DropReason::TxFailure), 1);
    let dropped: Vec<_> =
        netdev.ports().iter().map(|port| (port.stats.rx_dropped, port.stats.tx_dropped)).collect();
    assert_eq!(dropped, [(0, 0), (1, 2), (0, 0)]);
}

/// A port whose rings are so short that most of a burst does not fit.
#[test]
fn a_full_transmit_queue_drops_the_rest() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let (near, far) = Ring::pair_with("near", "far", 1, 4);
    let hands = dummies(&netdev, 1);
    netdev.add_port(PortNo(2), Box::new(near)).unwrap();
    for mark in 0..10 {
        assert!(hands[0].inject(&frame(mark)));
    }
    netdev.turn(NOW);
    assert_eq!(netdev.totals().dropped(DropReason::TxQueueFull), 6);
    let mut burst = Burst::default();
    far.into_ends().unwrap().0[0].receive(&mut burst, NOW).unwrap();
    assert_eq!(burst.len(), 4);
}

#[test]
fn what_is_lost_at_receipt_has_its_reasons() {
    struct Lossy(bool);
    impl Port for Lossy {
        fn name(&self) -> &str {
            "lossy"
        }
        fn kind(&self) -> &'static str {
            "lossy"
        }
        fn queues(&mut self, _: QueueCount) -> Result<Queues, crate::port::OpenError> {
            Ok(Queues { rx: vec![Box::new(Self(true))], tx: vec![] })
        }
    }
    impl RxQueue for Lossy {
        fn receive(&mut self, _: &mut Burst, _: Instant) -> Result<crate::port::Lost, RxEnd> {
            let again = std::mem::replace(&mut self.0, false);
            let count = u32::from(again);
            Ok(crate::port::Lost { oversize: count, no_buffer: 2 * count, missed: 3 * count })
        }
    }
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    assert_eq!(netdev.add_port_anywhere(Box::new(Lossy(true))).unwrap(), PortNo(1));
    netdev.turn(NOW);
    netdev.turn(NOW);
    let totals = netdev.totals();
    assert_eq!(totals.dropped(DropReason::RxOversize), 1);
    assert_eq!(totals.dropped(DropReason::NoBuffer), 2);
    assert_eq!(netdev.ports()[0].stats.rx_dropped, 6);
}

#[test]
fn flows_are_dumped_replaced_and_removed() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 3);
    // One flow for each Ethertype.
    for eth_type in 0..700_u16 {
        let mut frame = frame(0);
        frame[12..14].copy_from_slice(&(0x9000 + eth_type).to_be_bytes());
        assert!(hands[0].inject(&frame));
        netdev.turn(NOW);
    }
    assert_eq!(netdev.flow_count(), 700);
    let flows = dump(&netdev);
    assert_eq!(flows.len(), 700);
    let mut ids: Vec<_> = flows.iter().map(|flow| flow.ufid).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 700, "each once");
    let flow = flows.iter().find(|flow| flow.key.eth_type() == 0x9005).unwrap();
    assert_eq!(
        (flow.thread, flow.created, &*flow.actions),
        (0, NOW, &[Action::Output(PortNo(2))][..])
    );

    let mut again = frame(0);
    again[12..14].copy_from_slice(&0x9005_u16.to_be_bytes());
    netdev.flow_put(0, flow.ufid, Arc::from([Action::Output(PortNo(3))])).unwrap();
    drop((hands[1].take_sent(), hands[2].take_sent()));
    assert!(hands[0].inject(&again));
    netdev.turn(NOW);
    assert_eq!((hands[1].take_sent().len(), hands[2].take_sent().len()), (0, 1));
    assert_eq!(flow.stats.snapshot().packets, 1, "the dump's statistics are the flow's own");

    netdev.flow_del(0, flow.ufid).unwrap();
    assert_eq!(netdev.flow_count(), 699);
    assert_eq!(netdev.flow_flush().unwrap(), 699);
    assert_eq!((netdev.flow_count(), dump(&netdev).len()), (0, 0));
    let nowhere = netdev.flow_del(1, flow.ufid);
    assert_eq!(nowhere, Err(DatapathError::NoThread));
}

#[test]
fn executed_packets_leave_with_the_next_turn_and_are_bounded() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 2);
    let key = FlowKey::default();
    let execute = |mark| netdev.execute(packet(mark), &key, Arc::from([Action::Output(PortNo(2))]));
    execute(7).unwrap();
    assert!(hands[1].take_sent().is_empty());
    assert_eq!(netdev.turn(NOW), 1);
    assert_eq!(hands[1].take_sent(), [frame(7)]);
    let accepted = (0..10_000).take_while(|_| execute(1).is_ok()).count();
    assert_eq!(accepted, crate::pmd::command::EXECUTES);
    assert_eq!(execute(1), Err(DatapathError::Busy));
    netdev.turn(NOW);
    execute(1).unwrap();
}

#[test]
fn numbers_and_names_are_given_once() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let add = |number, name: &str| netdev.add_port(PortNo(number), Box::new(Dummy::new(name)));
    add(2, "a").unwrap();
    assert!(matches!(add(2, "b"), Err(AddPortError::NumberTaken(PortNo(2)))));
    assert!(matches!(add(3, "a"), Err(AddPortError::NameTaken(_))));
    assert!(matches!(add(65_536, "b"), Err(AddPortError::NumberTooLarge(_))));
    add(65_535, "c").unwrap();
    let anywhere = |name: &str| netdev.add_port_anywhere(Box::new(Dummy::new(name))).unwrap();
    assert_eq!((anywhere("d"), anywhere("e")), (PortNo(1), PortNo(3)));
    assert_eq!(netdev.port_named("d"), Some(PortNo(1)));
    netdev.remove_port(PortNo(1)).unwrap();
    assert_eq!(netdev.remove_port(PortNo(1)), Err(DatapathError::NoPort));
    assert_eq!((netdev.port_named("d"), netdev.port_status(PortNo(1))), (None, None));
    let mut spent = Dummy::new("spent");
    drop(spent.queues(QueueCount::ONE).unwrap());
    assert!(matches!(netdev.add_port_anywhere(Box::new(spent)), Err(AddPortError::Open(_))));
}

#[test]
fn events_are_told_once() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 1);
    let path = std::env::temp_dir().join(format!("dp-events-{}.pcap", std::process::id()));
    let mut writer = pcapfile::Writer::create(&path, pcapfile::WriterOptions::default()).unwrap();
    writer.record(0, &frame(1)).unwrap();
    writer.close().unwrap();
    let whole = Pcap::new("whole").replaying(&path, Pace::Full, Repeat::Once).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let cut_path = path.with_extension("cut");
    std::fs::write(&cut_path, [&bytes[..], &bytes[24..bytes.len() - 1]].concat()).unwrap();
    let cut = Pcap::new("cut").replaying(&cut_path, Pace::Full, Repeat::Once).unwrap();
    netdev.add_port(PortNo(2), Box::new(whole)).unwrap();
    netdev.add_port(PortNo(3), Box::new(cut)).unwrap();
    assert_eq!(netdev.events(), []);
    assert_eq!(netdev.turn(NOW), 2);
    assert_eq!(netdev.turn(NOW), 0);
    hands[0].set_link(false);
    let event = |port, name: &str, kind| PortEvent { port: PortNo(port), name: name.into(), kind };
    let why = "truncated in record 2: 1 bytes missing at the end of the file";
    let expected = [
        event(1, "p1", PortEventKind::Down),
        event(2, "whole", PortEventKind::Finished),
        event(3, "cut", PortEventKind::Failed(format!("{}: {why}", cut_path.display()))),
    ];
    assert_eq!(netdev.events(), expected);
    assert_eq!(netdev.events(), []);
    assert!(netdev.is_receiving(), "the dummy can");
    let up: Vec<_> = netdev.ports().iter().map(|port| port.up).collect();
    assert_eq!(up, [false, true, false]);
    hands[0].set_link(true);
    assert_eq!(netdev.events(), [event(1, "p1", PortEventKind::Up)]);
    netdev.remove_port(PortNo(1)).unwrap();
    assert!(!netdev.is_receiving());
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&cut_path).unwrap();
}

/// A slow path that asks the datapath to change from inside an upcall.
struct Meddler {
    netdev: Mutex<Weak<Netdev>>,
    inner: Neighbours,
}

impl UpcallSink for Meddler {
    fn upcall(&self, upcall: &Upcall<'_>, now: Instant) -> Result<Verdict, UpcallError> {
        if let Some(netdev) = self.netdev.lock().unwrap().upgrade() {
            let ufid = dp_core::base::Ufid(1);
            netdev.flow_del(0, ufid).unwrap();
            netdev
                .execute(packet(200), upcall.key, Arc::from([Action::Output(PortNo(1))]))
                .unwrap();
        }
        self.inner.upcall(upcall, now)
    }
}

#[test]
fn upcalls_may_give_commands() {
    let inner = Neighbours { upcalls: AtomicUsize::new(0), install: true };
    let sink = Arc::new(Meddler { netdev: Mutex::default(), inner });
    let netdev = Netdev::new(sink.clone(), Config::default()).unwrap();
    *sink.netdev.lock().unwrap() = Arc::downgrade(&netdev);
    let hands = dummies(&netdev, 2);
    assert!(hands[0].inject(&frame(1)));
    netdev.turn(NOW);
    netdev.turn(NOW);
    assert_eq!((hands[1].take_sent(), hands[0].take_sent()), (vec![frame(1)], vec![frame(200)]));
    *sink.netdev.lock().unwrap() = Weak::new();
}

fn threads_and_descriptors() -> (usize, usize) {
    let count = |path| std::fs::read_dir(path).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} does not come to pass");
}

#[test]
fn threads_forward_sleep_and_stop() {
    for idle in [Idle::Sleep, Idle::Spin] {
        let netdev = Netdev::new(sink(), Config { threads: 2, ..Config::default() }).unwrap();
        let hands = dummies(&netdev, 4);
        let running = netdev.start(&[0], idle).unwrap();
        assert!(netdev.start(&[], idle).is_err(), "runs already");
        assert_eq!(netdev.turn(NOW), 0, "driven by threads");
        for round in 1..=3 {
            for hand in &hands {
                assert!(hand.inject(&frame(round)));
            }
            for hand in &hands {
                let mut got = Vec::new();
                eventually("forwarding", || {
                    got.extend(hand.take_sent());
                    !got.is_empty()
                });
                assert_eq!(got, [frame(round)]);
            }
        }
        let received: Vec<_> =
            netdev.thread_stats().iter().map(|thread| thread.totals.received).collect();
        assert_eq!(received, [6, 6], "ports are dealt evenly");
        assert_eq!(dump(&netdev).len(), 4);
        if idle == Idle::Sleep {
            eventually("sleep", || netdev.thread_stats().iter().all(|thread| thread.naps > 0));
        }
        running.stop();
        assert!(hands[0].inject(&frame(9)));
        assert_eq!(netdev.turn(netdev.clock().now()), 1, "driven by hand again");
        netdev.start(&[], idle).unwrap().stop();
    }
}

#[test]
fn a_processor_that_does_not_exist_is_an_error() {
    let netdev = Netdev::new(sink(), Config { threads: 2, ..Config::default() }).unwrap();
    assert!(netdev.start(&[0, 1000], Idle::Sleep).is_err());
    netdev.start(&[0], Idle::Sleep).unwrap().stop();
}

/// A queue that sleeps until the end of time, and one that nobody can wake.
#[test]
fn sleepers_are_woken_by_commands() {
    struct Silent;
    impl RxQueue for Silent {
        fn receive(&mut self, _: &mut Burst, _: Instant) -> Result<crate::port::Lost, RxEnd> {
            Ok(crate::port::Lost::NONE)
        }
        fn wake(&self) -> Wake {
            Wake::at(Instant(u64::MAX))
        }
    }
    impl Port for Silent {
        fn name(&self) -> &str {
            "silent"
        }
        fn kind(&self) -> &'static str {
            "silent"
        }
        fn queues(&mut self, _: QueueCount) -> Result<Queues, crate::port::OpenError> {
            Ok(Queues { rx: vec![Box::new(Self)], tx: vec![] })
        }
    }
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    netdev.add_port(PortNo(1), Box::new(Silent)).unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let asks = 200;
    let start = std::time::Instant::now();
    for _ in 0..asks {
        assert_eq!(netdev.flow_flush().unwrap(), 0);
        std::thread::sleep(Duration::from_micros(300));
    }
    // Without the doorbell each would take up to a tenth of a second.
    assert!(start.elapsed() < Duration::from_millis(10) * asks, "{:?}", start.elapsed());
    running.stop();
}

#[test]
fn ports_come_and_go_a_thousand_times_under_traffic() {
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 2);
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let mut before = (0, 0);
    let buffers = Pool::standard().total();
    for round in 0..1000 {
        if round == 10 {
            before = threads_and_descriptors();
        }
        let (near, far) = Ring::pair("near", "far");
        netdev.add_port(PortNo(3), Box::new(near)).unwrap();
        netdev.add_port(PortNo(4), Box::new(far)).unwrap();
        assert!(hands[0].inject(&frame(1)));
        netdev.remove_port(PortNo(3)).unwrap();
        netdev.remove_port(PortNo(4)).unwrap();
    }
    let after = threads_and_descriptors();
    // Other tests come and go meanwhile.
    assert!(after.0 < before.0 + 20 && after.1 < before.1 + 200, "{before:?} {after:?}");
    assert!(Pool::standard().total() < buffers + 100_000);
    eventually("all to arrive", || netdev.ports()[1].stats.tx_packets == 1000);
    running.stop();
    assert_eq!(netdev.ports().len(), 2);
}

#[test]
fn shared_queues_lose_nothing_between_threads() {
    // Three threads, and a port with one transmit queue: each sends through a share of it.
    let netdev = Netdev::new(sink(), Config { threads: 3, ..Config::default() }).unwrap();
    let (near, mut far) = Ring::pair_with("near", "far", 3, 1 << 14);
    let mut far = far.queues(QueueCount { rx: 3, tx: 3 }).unwrap();
    netdev.add_port(PortNo(1), Box::new(near)).unwrap();
    let (sink_port, target) = Ring::pair_with("one-queue", "target", 1, 1 << 15);
    netdev.add_port(PortNo(2), Box::new(sink_port)).unwrap();
    let (mut target_rx, _target_tx) = target.into_ends().unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let clock = Clock::start();
    let mut sent = 0;
    for round in 0..100_u8 {
        for queue in &mut far.tx {
            let mut burst = Burst::default();
            (0..32).for_each(|_| burst.push(packet(round)).unwrap());
            sent += queue.transmit(&mut burst, clock.now()).packets as usize;
        }
    }
    assert_eq!(sent, 9600);
    let (mut got, mut burst) = (0, Burst::default());
    eventually("all to arrive", || {
        target_rx[0].receive(&mut burst, clock.now()).unwrap();
        got += burst.drain().count();
        got == sent
    });
    running.stop();
    let by_thread: Vec<_> = netdev.thread_stats().iter().map(|t| t.totals.received).collect();
    assert_eq!(by_thread, [3200; 3]);
}

#[test]
fn what_cannot_be_written_out_fails_the_port() {
    struct Keeps;
    impl Port for Keeps {
        fn name(&self) -> &str {
            "keeps"
        }
        fn kind(&self) -> &'static str {
            "keeps"
        }
        fn queues(&mut self, _: QueueCount) -> Result<Queues, crate::port::OpenError> {
            Ok(Queues { rx: vec![], tx: vec![Box::new(Self)] })
        }
    }
    impl TxQueue for Keeps {
        fn transmit(&mut self, batch: &mut Burst, _: Instant) -> crate::port::Sent {
            let mut sent = crate::port::Sent::default();
            batch.drain().for_each(|packet| sent.sent(packet.len()));
            sent
        }
        fn flush(&mut self) -> Result<(), crate::port::PortError> {
            let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
            Err(crate::port::PortError::System { name: "keeps".into(), step: "write", source })
        }
    }
    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 1);
    netdev.add_port(PortNo(2), Box::new(Keeps)).unwrap();
    assert!(hands[0].inject(&frame(1)));
    netdev.turn(NOW);
    assert_eq!(netdev.events(), []);
    netdev.flush();
    netdev.flush();
    let why = "keeps: write: No space left on device (os error 28)".to_owned();
    let kinds: Vec<_> = netdev.events().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [PortEventKind::Failed(why.clone())]);
    assert!(!netdev.ports()[1].up);
    assert_eq!(netdev.remove_port(PortNo(2)).unwrap(), Some(why));
    assert_eq!(netdev.remove_port(PortNo(1)).unwrap(), None);
}

/// Rates on a port of a datapath that is driven by hand.
#[test]
fn policing_and_shaping_hold_to_their_rates_and_count_what_they_drop() {
    use crate::qos::EgressConfig;
    use crate::qos::police::{PolicerConfig, TrtcmConfig, TwoRates};
    use crate::qos::shaper::ShaperConfig;

    let netdev = Netdev::new(sink(), Config::default()).unwrap();
    let hands = dummies(&netdev, 2);
    let at = |micros: u64| NOW.after(Duration::from_micros(micros));
    let open = PolicerConfig::default();
    let send = |from: u64| {
        let mut left = 0;
        for milli in from..from + 1000 {
            for mark in 0..10 {
                assert!(hands[0].inject(&frame(mark)));
            }
            netdev.turn(at(milli * 1000));
            left += hands[1].take_sent().len();
        }
        left
    };
    assert_eq!(send(0), 10_000);

    let ingress = PolicerConfig { packets: 1000, packets_burst: 1, ..open };
    assert!(netdev.set_port_qos(PortNo(1), ingress, EgressConfig::Open, at(1_000_000)));
    let passed = send(1000);
    assert!((990..=1010).contains(&passed), "{passed}");
    let dropped = netdev.totals().dropped(DropReason::RxPoliced);
    assert_eq!(dropped, 10_000 - passed as u64);
    assert_eq!(netdev.port_qos(PortNo(1)).unwrap().rx_policed, dropped);
    assert_eq!(netdev.ports()[0].stats.rx_dropped, dropped);

    let rates = TwoRates { cir: 46_000, cbs: 100, ..TwoRates::default() };
    let egress = EgressConfig::Police(TrtcmConfig { port: rates, queues: Vec::new() });
    assert!(netdev.set_port_qos(PortNo(1), open, EgressConfig::Open, at(2_000_000)));
    assert!(netdev.set_port_qos(PortNo(2), open, egress, at(2_000_000)));
    let passed = send(2000);
    assert!((990..=1010).contains(&passed), "{passed}");
    assert_eq!(netdev.totals().dropped(DropReason::TxPoliced), 10_000 - passed as u64);

    // 480,000 bits a second are 1,000 frames of 60 bytes; a second's burst is a fiftieth of it.
    let egress = EgressConfig::Shape(ShaperConfig { max_rate: 480_000, ..ShaperConfig::default() });
    assert!(netdev.set_port_qos(PortNo(2), open, egress, at(3_000_000)));
    let passed = send(3000);
    assert!((980..=1050).contains(&passed), "{passed}");
    let report = netdev.port_qos(PortNo(2)).unwrap();
    let overflow = netdev.totals().dropped(DropReason::TxShaperFull);
    assert_eq!((report.tx_overflow, report.queues[0].dropped), (overflow, overflow));
    assert_eq!(overflow + passed as u64 + report.queues[0].waiting, 10_000);
    assert!(netdev.wakes().iter().any(|wake| wake.at.is_some()), "somebody waits for the rest");

    // What waits leaves as soon as nothing holds it back.
    assert!(netdev.set_port_qos(PortNo(2), open, EgressConfig::Open, at(4_000_000)));
    netdev.turn(at(4_000_001));
    assert_eq!(hands[1].take_sent().len() as u64, report.queues[0].waiting);
    assert_eq!(send(4000), 10_000);
    assert!(!netdev.set_port_qos(PortNo(9), open, EgressConfig::Open, NOW));
}
