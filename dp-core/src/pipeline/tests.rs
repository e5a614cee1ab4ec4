use super::{Flow, Parser, Pipeline, Settings};
use crate::action::{Action, ActionList};
use crate::base::{DropReason, Instant, PortNo, RecircId};
use crate::boundary::{FlowPut, PutMode, Upcall, UpcallError, UpcallSink, Verdict};
use crate::execute::TxBatches;
use crate::flow::{FieldId, FlowKey, FlowMask};
use crate::lookup::{Kernel, Megaflows};
use crate::packet::{Burst, Packet, Pool};

use std::sync::Mutex;

mod caches;
mod glances;
mod passes;

/// A slow path that is a function.
struct Slow<F>(F, Mutex<u32>);

impl<F: Fn(&Upcall<'_>) -> Result<Verdict, UpcallError> + Send + Sync> UpcallSink for Slow<F> {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        *self.1.lock().unwrap() += 1;
        (self.0)(upcall)
    }
}

fn udp(src: u8, sport: u16) -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    let frame = packet.append(60).unwrap();
    frame.fill(0);
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    frame[14..34]
        .copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, src, 10, 0, 0, 99]);
    frame[34..36].copy_from_slice(&sport.to_be_bytes());
    frame[36..42].copy_from_slice(&[0, 53, 0, 26, 0, 0]);
    packet
}

fn burst(packets: impl IntoIterator<Item = Packet>) -> Burst {
    let mut burst = Burst::default();
    for packet in packets {
        burst.push(packet).unwrap();
    }
    burst
}

fn ports(count: u32) -> TxBatches {
    let mut out = TxBatches::default();
    for port in 0..count {
        assert!(out.add_port(PortNo(port)));
    }
    out
}

fn sent(out: &mut TxBatches) -> Vec<(u32, Vec<u8>)> {
    let mut all = Vec::new();
    out.flush(|port, burst| {
        all.extend(burst.drain().map(|packet| (port.0, packet.data().to_vec())));
    });
    all
}

fn verdict(actions: Vec<Action>, fields: &[FieldId], install: bool) -> Verdict {
    let mut mask = FlowMask::EMPTY;
    for &field in [FieldId::RecircId, FieldId::EthType].iter().chain(fields) {
        mask.unwildcard(field);
    }
    mask.unwildcard_place(crate::flow::layout::IN_PORT);
    Verdict { actions: ActionList::from(actions), mask, install }
}

fn always() -> Settings {
    Settings { emc_insert_inv_prob: 1, ..Settings::default() }
}

const NOW: Instant = Instant::from_millis(1000);

#[test]
fn the_first_packet_asks_the_second_hits_the_megaflow_the_third_the_cache() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(2))], &[FieldId::Ipv4Src], true)),
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(3);
    for sport in [1, 2, 2] {
        pipeline.process(PortNo(1), &mut burst([udp(5, sport)]), NOW, &slow, &mut out);
    }
    let frames = sent(&mut out);
    assert_eq!(frames.len(), 3);
    assert!(frames.iter().all(|(port, frame)| *port == 2 && frame.len() == 60));
    let counters = pipeline.counters();
    assert_eq!(*slow.1.lock().unwrap(), 1);
    assert_eq!((counters.upcalls.get(), counters.megaflow_hits.get()), (1, 1));
    assert_eq!((counters.emc_hits.get(), counters.received.get()), (1, 3));
    let dump = pipeline.flows(0).next().unwrap();
    let stats = dump.stats.snapshot();
    // The packet that made the flow is the slow path's to credit.
    assert_eq!((stats.packets, stats.bytes, stats.used), (2, 120, Some(NOW)));
    assert_eq!(dump.key.get(FieldId::Ipv4Src), 0x0a00_0005);
    // The key is the first packet's whole; the mask says what of it counts.
    assert_eq!((dump.key.get(FieldId::UdpSrc), dump.mask.get(FieldId::UdpSrc)), (1, 0));
}

#[test]
fn packets_of_a_port_without_exact_match_cache_neither_use_nor_fill_it() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(2))], &[FieldId::Ipv4Src], true)),
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(3);
    let mut hits = |uses: bool| {
        pipeline.use_emc(uses);
        for _ in 0..3 {
            pipeline.process(PortNo(1), &mut burst([udp(5, 2)]), NOW, &slow, &mut out);
        }
        sent(&mut out);
        (pipeline.counters().emc_hits.get(), pipeline.counters().megaflow_hits.get())
    };
    assert_eq!(hits(false), (0, 2));
    // The first of these finds nothing there.
    assert_eq!(hits(true), (2, 3));
    assert_eq!(hits(false), (2, 6));
}

#[test]
fn a_burst_of_one_new_flow_asks_once() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(0))], &[FieldId::Ipv4Src], true)),
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(1);
    let packets = (0..32).map(|sport| udp(u8::try_from(sport % 2).unwrap(), sport));
    pipeline.process(PortNo(0), &mut burst(packets), NOW, &slow, &mut out);
    assert_eq!(*slow.1.lock().unwrap(), 2);
    assert_eq!(sent(&mut out).len(), 32);
    assert_eq!(pipeline.flow_count(), 2);
}

#[test]
fn removal_and_replacement_reach_what_the_cache_knows() {
    let slow = Slow(
        |upcall: &Upcall<'_>| {
            assert_eq!(upcall.frame.len(), 60);
            Ok(verdict(vec![Action::Output(PortNo(0))], &[FieldId::Ipv4Src], true))
        },
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(2);
    let mut one = |pipeline: &mut Pipeline| {
        pipeline.process(PortNo(0), &mut burst([udp(1, 1)]), NOW, &slow, &mut out);
        sent(&mut out).into_iter().map(|(port, _)| port).collect::<Vec<_>>()
    };
    one(&mut pipeline);
    one(&mut pipeline);
    let ufid = pipeline.flows(0).next().unwrap().ufid;
    assert!(pipeline.replace_actions(ufid, [Action::Output(PortNo(1))].into()));
    assert_eq!(one(&mut pipeline), [1]);
    assert_eq!(pipeline.counters().emc_hits.get(), 2);
    assert!(pipeline.remove(ufid) && !pipeline.remove(ufid));
    assert_eq!(one(&mut pipeline), [0]);
    assert_eq!((*slow.1.lock().unwrap(), pipeline.flush(), pipeline.flow_count()), (2, 1, 0));
}

#[test]
fn a_port_whose_flows_are_simple_needs_no_keys_and_others_do() {
    let slow = Slow(
        |upcall: &Upcall<'_>| {
            let fields: &[FieldId] =
                if upcall.key.in_port() == PortNo(1) { &[] } else { &[FieldId::Ipv4Src] };
            Ok(verdict(vec![Action::Output(PortNo(0))], fields, true))
        },
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(1);
    for (port, rounds) in [(1, 4), (2, 4)] {
        for round in 0..rounds {
            let packets = (0..8).map(|flow| udp(flow, round));
            pipeline.process(PortNo(port), &mut burst(packets), NOW, &slow, &mut out);
        }
    }
    assert_eq!(sent(&mut out).len(), 64);
    let counters = pipeline.counters();
    // The first packet of the simple port asks, its burst and the next find the megaflow, and all
    // others the cache. On the other port each packet is of another key.
    assert_eq!((counters.simple_hits.get(), counters.upcalls.get()), (16, 1 + 8));
    assert_eq!((counters.megaflow_hits.get(), counters.emc_hits.get()), (7 + 8 + 24, 0));
    // A flow that looks at more ends it.
    let (mut key, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
    key.set(FieldId::InPort, 1);
    key.set(FieldId::EthType, 0x0806);
    mask.unwildcard(FieldId::EthType);
    mask.unwildcard(FieldId::ArpSpa);
    let actions = ActionList::from([]);
    let mode = PutMode::Create;
    let flow = FlowPut { key, mask, actions, mode, zero_stats: false, now: NOW };
    pipeline.put(&flow).unwrap();
    pipeline.process(PortNo(1), &mut burst([udp(1, 1)]), NOW, &slow, &mut out);
    assert_eq!(pipeline.counters().simple_hits.get(), 16);
    // Traffic that is simple but tagged otherwise has a flow of its own.
    assert!(pipeline.remove(Megaflows::<Flow>::id(&flow.key, &{
        let mut mask = flow.mask.clone();
        mask.unwildcard_place(crate::flow::layout::IN_PORT);
        mask
    })));
    pipeline.process(PortNo(1), &mut burst([udp(1, 1)]), NOW, &slow, &mut out);
    assert_eq!(pipeline.counters().simple_hits.get(), 17);
}

#[test]
fn the_signature_cache_answers_where_it_is_on() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(0))], &[FieldId::Ipv4Src], true)),
        Mutex::new(0),
    );
    let settings = Settings { emc_insert_inv_prob: 0, smc: true, guesses: false, ..always() };
    let mut pipeline = Pipeline::new(settings.clone());
    let mut out = ports(1);
    let mut run = |pipeline: &mut Pipeline, packets: u16| {
        for sport in 0..packets {
            pipeline.process(PortNo(0), &mut burst([udp(5, sport)]), NOW, &slow, &mut out);
        }
        sent(&mut out).len()
    };
    assert_eq!((run(&mut pipeline, 20), run(&mut pipeline, 20)), (20, 20));
    let counters = pipeline.counters();
    assert_eq!((counters.upcalls.get(), counters.megaflow_hits.get()), (1, 19));
    assert_eq!((counters.smc_hits.get(), counters.emc_hits.get()), (20, 0));
    // Switched off in flight, and on again: empty then.
    pipeline.configure(&Settings { smc: false, ..settings.clone() });
    assert_eq!(run(&mut pipeline, 5), 5);
    pipeline.configure(&settings);
    assert_eq!(run(&mut pipeline, 5), 5);
    assert_eq!(pipeline.counters().smc_hits.get(), 20);
    assert_eq!(run(&mut pipeline, 5), 5);
    assert_eq!(pipeline.counters().smc_hits.get(), 25);
}

#[test]
fn kernels_and_parsers_are_changed_in_flight_and_agree() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(0))], &[FieldId::Ipv4Src], true)),
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(1);
    for kernel in Kernel::available() {
        assert_eq!(Kernel::named(kernel.name()), Some(kernel));
        for parser in Parser::available() {
            pipeline.configure(&Settings { kernel, parser, ..always() });
            for round in 0..3 {
                let packets = (0..32).map(|flow| udp(flow, round));
                pipeline.process(PortNo(0), &mut burst(packets), NOW, &slow, &mut out);
            }
            assert_eq!(sent(&mut out).len(), 96, "{} {}", kernel.name(), parser.name());
        }
    }
    assert_eq!(crate::lookup::kernel::disagreements(), 0);
    assert_eq!(*slow.1.lock().unwrap(), 32);
}

#[test]
fn a_verdict_that_is_installed_wider_is_told_under_both_ids() {
    struct Widening(Mutex<Vec<(crate::base::Ufid, crate::base::Ufid)>>);
    impl UpcallSink for Widening {
        fn upcall(&self, upcall: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
            let bits = upcall.key.get(FieldId::UdpSrc);
            let mut verdict = verdict(vec![Action::Output(PortNo(0))], &[], true);
            verdict.mask.unwildcard_bits(FieldId::UdpSrc, 0xffff << bits);
            Ok(verdict)
        }

        fn widened(&self, asked: crate::base::Ufid, installed: crate::base::Ufid) {
            self.0.lock().unwrap().push((asked, installed));
        }
    }
    let slow = Widening(Mutex::new(Vec::new()));
    let mut pipeline = Pipeline::new(Settings { mask_budget: 3, ..always() });
    let mut out = ports(1);
    for sport in 0..16 {
        pipeline.process(PortNo(0), &mut burst([udp(1, sport)]), NOW, &slow, &mut out);
    }
    let told = slow.0.lock().unwrap();
    assert!(!told.is_empty());
    let ids: Vec<_> = pipeline.flows(0).map(|flow| flow.ufid).collect();
    assert!(told.iter().all(|(asked, got)| !ids.contains(asked) && ids.contains(got)));
    assert_eq!(pipeline.counters().widened.get(), told.len() as u64);
    assert!(pipeline.counters().masks.get() <= 4);
}

#[test]
fn recirculated_packets_come_back_with_their_id_until_the_limit() {
    let slow = Slow(
        |upcall: &Upcall<'_>| {
            assert_eq!(upcall.key.in_port(), PortNo(7));
            let next = upcall.key.recirc_id().0 + 1;
            Ok(verdict(vec![Action::Output(PortNo(1)), Action::Recirc(RecircId(next))], &[], true))
        },
        Mutex::new(0),
    );
    let settings = Settings { recirc_limit: 3, ..always() };
    let mut pipeline = Pipeline::new(settings);
    let mut out = ports(2);
    for _ in 0..2 {
        pipeline.process(PortNo(7), &mut burst([udp(1, 1), udp(1, 2)]), NOW, &slow, &mut out);
        assert_eq!(sent(&mut out).len(), 8);
    }
    let counters = pipeline.counters();
    assert_eq!(counters.recirculated.get(), 12);
    assert_eq!(counters.drops.get(DropReason::RecircLimit), 4);
    assert_eq!(*slow.1.lock().unwrap(), 4);
}

#[test]
fn what_has_no_room_is_executed_but_not_installed() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(0))], &[FieldId::Ipv4Src], true)),
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(Settings { flow_limit: 1, ..always() });
    let mut out = ports(1);
    for src in 0..4 {
        pipeline.process(PortNo(0), &mut burst([udp(src, 1)]), NOW, &slow, &mut out);
    }
    assert_eq!(sent(&mut out).len(), 4);
    assert_eq!((pipeline.flow_count(), pipeline.counters().flow_limit_hits.get()), (1, 3));
}

#[test]
fn every_drop_has_its_reason() {
    let slow = Slow(
        |upcall: &Upcall<'_>| match upcall.key.get(FieldId::Ipv4Src) & 0xff {
            1 => Err(UpcallError::NoBridge),
            2 => Ok(verdict(vec![], &[FieldId::Ipv4Src], true)),
            3 => Ok(verdict(vec![Action::Output(PortNo(9))], &[FieldId::Ipv4Src], true)),
            5 => Err(UpcallError::NoRecircContext),
            6 => Err(UpcallError::NoRoom),
            _ => Ok(verdict(
                vec![Action::Drop(DropReason::RecursionTooDeep)],
                &[FieldId::Ipv4Src],
                false,
            )),
        },
        Mutex::new(0),
    );
    let mut pipeline = Pipeline::new(always());
    let mut out = ports(1);
    let mut short = Pool::standard().alloc().unwrap();
    short.append(10).unwrap().fill(0);
    let mut lying = udp(1, 1);
    lying.data_mut()[16] = 0xff;
    let [one, two, three, four, five, six] = [1, 2, 3, 4, 5, 6].map(|src| udp(src, 1));
    let packets = [one, two, three, four, five, six, short, lying];
    pipeline.process(PortNo(0), &mut burst(packets), NOW, &slow, &mut out);
    let drops = &pipeline.counters().drops;
    for reason in [
        DropReason::BridgeNotFound,
        DropReason::Explicit,
        DropReason::InvalidPort,
        DropReason::NoRecircContext,
        DropReason::RecursionTooDeep,
        DropReason::UpcallError,
        DropReason::RxTooShort,
        DropReason::RxIpv4Length,
    ] {
        assert_eq!(drops.get(reason), 1, "{reason}");
    }
    assert_eq!((drops.total(), sent(&mut out).len()), (8, 0));
}

#[test]
fn a_lenient_pipeline_forwards_what_a_strict_one_drops() {
    let slow = Slow(
        |_: &Upcall<'_>| Ok(verdict(vec![Action::Output(PortNo(0))], &[], true)),
        Mutex::new(0),
    );
    let settings = Settings { malformed: super::Malformed::Forward, ..always() };
    let mut pipeline = Pipeline::new(settings);
    let mut out = ports(1);
    let mut lying = udp(1, 1);
    lying.data_mut()[16] = 0xff;
    pipeline.process(PortNo(0), &mut burst([lying]), NOW, &slow, &mut out);
    assert_eq!(sent(&mut out).len(), 1);
    assert_eq!(pipeline.counters().malformed_forwarded.get(), 1);
    assert_eq!(pipeline.counters().drops.total(), 0);
}
