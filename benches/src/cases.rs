//! The cases. Each is set up once and then run for a number of bursts; it counts only the cycles of
//! what it is about.

use std::hint::black_box;

use dp_core::action::{Action, ActionList};
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::execute::TxBatches;
use dp_core::flow::extract::{Extractor, Pass, VlanLimit};
use dp_core::flow::{BurstKeys, FieldId, FlowKey, FlowMask, layout};
use dp_core::lookup::megaflow::Limits;
use dp_core::lookup::{BurstFlows, Emc, FlowRef, Hashes, Kernel, Megaflows};
use dp_core::packet::{BURST, Burst, Slots};
use dp_core::pipeline::{Pipeline, Settings};
use dp_netdev::port::ring::{Receiver, Sender, channel};
use dp_netdev::port::{RxQueue, TxQueue};

use crate::cycles_unsafe::now;
use crate::frames::{Kind, burst};

/// One thing that is measured.
pub struct Case {
    /// Its name.
    pub name: String,
    /// Runs it for so many bursts; returns the cycles that they took.
    pub run: Box<dyn FnMut(u64) -> u64>,
}

/// Packets in flight: as many buffers are touched in turn.
const IN_FLIGHT: u32 = 512;
const NOW: Instant = Instant::from_millis(10_000);
const SEED: u64 = 0x5eed;

/// All cases, with this kernel.
#[must_use]
pub fn all(kernel: Kernel) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Kind::Ipv4, Kind::Vlan, Kind::Ipv6] {
        cases.push(extraction(kind, kernel));
    }
    for (kind, flows) in [(Kind::Ipv4, 1), (Kind::Ipv4, 1000), (Kind::Ipv6, 1000)] {
        cases.push(exact_match(kind, flows, kernel));
    }
    for subtables in [1, 5, 20] {
        cases.push(megaflow(subtables, 1000, kernel));
    }
    for (flows, stage) in
        [(1, Stage::Process), (1, Stage::Whole), (1000, Stage::Process), (1000, Stage::Whole)]
    {
        cases.push(pipeline(Kind::Ipv4, flows, 1, stage, kernel));
    }
    cases.push(pipeline(Kind::Ipv4, 1000, 0, Stage::Process, kernel));
    cases.push(pipeline(Kind::Ipv6, 1000, 1, Stage::Process, kernel));
    cases
}

/// Frames to keys.
#[must_use]
pub fn extraction(kind: Kind, kernel: Kernel) -> Case {
    let extractor = match kernel {
        Kernel::Portable => Extractor::portable(VlanLimit::One),
        _ => Extractor::default(),
    };
    let mut bursts: Vec<Burst> =
        (0..IN_FLIGHT / 32).map(|number| burst(kind, number * 32..(number + 1) * 32)).collect();
    let mut keys = Box::<BurstKeys>::default();
    let run = move |count: u64| {
        let start = now();
        for number in 0..count {
            let at = number as usize % bursts.len();
            let Some(burst) = bursts.get_mut(at) else { continue };
            let first = Pass::First(PortNo(1));
            black_box(extractor.burst(burst, Slots::first(BURST), first, &mut keys));
        }
        now() - start
    };
    Case { name: format!("extract {kind:?}"), run: Box::new(run) }
}

/// The keys of `flows` flows, in bursts.
fn keys(kind: Kind, flows: u32) -> Vec<BurstKeys> {
    let extractor = Extractor::default();
    (0..flows.div_ceil(32))
        .map(|number| {
            let mut keys = BurstKeys::default();
            let mut burst = burst(kind, (number * 32..).map(|flow| flow % flows));
            let first = Pass::First(PortNo(1));
            extractor.burst(&mut burst, Slots::first(BURST), first, &mut keys);
            keys
        })
        .collect()
}

const LIMITS: Limits = Limits { flows: 1 << 20, masks: 1 << 10, budget: 1 << 10 };

/// Keys that are all in the exact-match cache.
#[must_use]
pub fn exact_match(kind: Kind, flows: u32, kernel: Kernel) -> Case {
    let bursts = keys(kind, flows);
    let mut table = Megaflows::new(LIMITS, SEED, kernel);
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard(FieldId::EthType);
    let flow =
        table.insert(&FlowKey::EMPTY, &mask, 0u64).map_or(FlowRef::NONE, |inserted| inserted.flow);
    let mut emc = Emc::new(8192, 1, SEED, kernel);
    let (mut hashes, mut found) = (Hashes::default(), BurstFlows::default());
    for keys in &bursts {
        let all = Slots::first(BURST);
        let _ = emc.lookup(keys, all, table.flows(), &mut hashes, &mut found);
        for (slot, &hash) in hashes.0.iter().enumerate() {
            emc.insert(keys, slot, hash, flow, table.flows());
        }
    }
    let run = move |count: u64| {
        let start = now();
        for number in 0..count {
            let Some(keys) = bursts.get(number as usize % bursts.len()) else { continue };
            let all = Slots::first(BURST);
            let hits = emc.lookup(keys, all, table.flows(), &mut hashes, &mut found);
            assert!(hits.len() > BURST * 3 / 4);
        }
        now() - start
    };
    Case { name: format!("exact match {kind:?}, {flows} flows"), run: Box::new(run) }
}

/// A mask that covers the flow's fields and, to be one of many, some bits of the Ethernet address.
fn mask(number: u32) -> FlowMask {
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard_place(layout::IN_PORT);
    for field in [FieldId::RecircId, FieldId::EthType, FieldId::NwProto, FieldId::UdpDst] {
        mask.unwildcard(field);
    }
    mask.unwildcard(FieldId::Ipv4Src);
    mask.unwildcard_bits(FieldId::EthSrc, u128::from(number));
    mask
}

/// Keys that the megaflow table knows, evenly spread over its masks. The masks overlap, so each
/// flow is in one subtable alone.
#[must_use]
pub fn megaflow(subtables: u32, flows: u32, kernel: Kernel) -> Case {
    let mut bursts = keys(Kind::Ipv4, flows);
    // Flows meet in no order of masks.
    let mut table = Megaflows::new(LIMITS, SEED, kernel);
    for (at, keys) in bursts.iter_mut().enumerate() {
        for slot in 0..BURST {
            let number = (at * BURST + slot) as u32;
            let mask = mask((number * 7 + 3) % subtables);
            // A full table would show as a missing hit.
            let _ = table.insert(&keys.key(slot), &mask, number);
        }
    }
    let mut found = BurstFlows::default();
    let run = move |count: u64| {
        let start = now();
        for number in 0..count {
            let Some(keys) = bursts.get(number as usize % bursts.len()) else { continue };
            let looked = table.lookup(keys, Slots::first(BURST), &mut found);
            assert_eq!(looked.hits, Slots::first(BURST));
        }
        now() - start
    };
    Case { name: format!("megaflow, {subtables} subtables"), run: Box::new(run) }
}

/// Which part of the way from ring to ring is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Between receive and transmit.
    Process,
    /// All of it.
    Whole,
}

/// A slow path that sends everything to one port.
struct ToPort(PortNo);

impl UpcallSink for ToPort {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        let actions = ActionList::from([Action::Output(self.0)]);
        Ok(Verdict { actions, mask: mask(0), install: true })
    }
}

/// A switch of one thread between two rings that are joined behind it.
pub struct Rig {
    pipeline: Pipeline,
    out: TxBatches,
    tx: Sender,
    rx: Receiver,
    burst: Burst,
}

impl Rig {
    /// A rig with `IN_FLIGHT` packets of `flows` flows under way.
    #[must_use]
    pub fn new(kind: Kind, flows: u32, settings: Settings) -> Self {
        let (mut tx, rx) = channel(2 * IN_FLIGHT as usize);
        let mut out = TxBatches::default();
        let _ = out.add_port(PortNo(2));
        let packets = IN_FLIGHT.max(flows.next_multiple_of(32)).min(1024);
        for first in (0..packets).step_by(32) {
            let numbers = first..first + 32;
            // Flows come in an order without pattern.
            let flows = numbers.map(|number| number.wrapping_mul(2_654_435_761) % flows);
            tx.transmit(&mut burst(kind, flows), NOW);
        }
        let pipeline = Pipeline::new(settings);
        Self { pipeline, out, tx, rx, burst: Burst::default() }
    }

    /// Takes bursts once around; returns the cycles of the part that counts.
    pub fn run(&mut self, bursts: u64, stage: Stage) -> u64 {
        let sink = ToPort(PortNo(2));
        // The counter is read inside the loop only where that is what is asked: it costs too.
        let clock = || if stage == Stage::Process { now() } else { 0 };
        let (mut cycles, begin) = (0, now());
        for _ in 0..bursts {
            let _ = self.rx.receive(&mut self.burst, NOW);
            let received = clock();
            self.pipeline.process(PortNo(1), &mut self.burst, NOW, &sink, &mut self.out);
            cycles += clock() - received;
            self.out.flush(|_, burst| {
                self.tx.transmit(burst, NOW);
            });
        }
        match stage {
            Stage::Process => cycles,
            Stage::Whole => now() - begin,
        }
    }

    /// The pipeline, to be asked.
    #[must_use]
    pub const fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}

/// Ring to ring through a pipeline that knows the flows.
#[must_use]
pub fn pipeline(kind: Kind, flows: u32, emc: u32, stage: Stage, kernel: Kernel) -> Case {
    let settings = Settings { emc_insert_inv_prob: emc, seed: SEED, kernel, ..Settings::default() };
    let mut rig = Rig::new(kind, flows, settings);
    rig.run(1000, stage);
    let name = format!(
        "pipeline {kind:?}, {flows} flows, {}, {}",
        if emc == 0 { "megaflow hit" } else { "exact-match hit" },
        if stage == Stage::Whole { "ring to ring" } else { "receive to transmit" }
    );
    Case { name, run: Box::new(move |bursts| rig.run(bursts, stage)) }
}
