//! The cases. Each is set up once and then run for a number of bursts; it counts only the cycles of
//! what it is about.

use std::hint::black_box;

use dp_core::action::set::{Ipv4, Ports};
use dp_core::action::{Action, ActionList, Masked, Set};
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::execute::TxBatches;
use dp_core::flow::extract::{Extractor, Parser, Pass, VlanLimit};
use dp_core::flow::{BurstKeys, FieldId, FlowKey, FlowMask, Lane, LaneSet, layout};
use dp_core::lookup::megaflow::Limits;
use dp_core::lookup::{BurstFlows, Emc, FlowRef, Hashes, Kernel, Megaflows, Simple, Smc, smc};
use dp_core::packet::{BURST, Burst, Slots, TunnelMeta};
use dp_core::pipeline::{Pipeline, Settings};
use dp_netdev::port::ring::{Receiver, Sender, channel};
use dp_netdev::port::{RxQueue, TxQueue};

use crate::cycles_unsafe::now;
use crate::frames::{Kind, burst, frame, packet};
use crate::scaled;

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

/// Sets a case up.
type Setup = Box<dyn FnOnce() -> Case>;

/// All cases, with this kernel; each is set up when its turn comes, since some are large.
pub fn all(kernel: Kernel) -> impl Iterator<Item = Case> {
    let mut cases: Vec<Setup> = Vec::new();
    for kind in [Kind::Ipv4, Kind::Vlan, Kind::Ipv6] {
        cases.push(Box::new(move || extraction(kind, kernel)));
    }
    for (kind, flows) in [(Kind::Ipv4, 1), (Kind::Ipv4, 1000), (Kind::Ipv6, 1000)] {
        cases.push(Box::new(move || exact_match(kind, flows, kernel)));
    }
    cases.push(Box::new(move || again(kernel)));
    for flows in [1000, 100_000] {
        cases.push(Box::new(move || signatures(flows, kernel)));
    }
    cases.push(Box::new(|| simple(1000)));
    for subtables in [1, 5, 20, 100] {
        for flows in [1000, 10_000, 100_000, 1_000_000] {
            cases.push(Box::new(move || megaflow(subtables, scaled(flows), kernel)));
        }
    }
    cases.push(Box::new(move || masked_set(kernel)));
    for budget in [None, Some(usize::MAX), Some(Settings::default().mask_budget)] {
        cases.push(Box::new(move || attack(budget, kernel)));
    }
    for flows in [1, 1000] {
        for stage in [Stage::Process, Stage::Whole] {
            cases.push(Box::new(move || pipeline(Kind::Ipv4, flows, 1, stage, kernel)));
        }
    }
    cases.push(Box::new(move || pipeline(Kind::Ipv4, 1000, 0, Stage::Process, kernel)));
    cases.push(Box::new(move || pipeline(Kind::Ipv6, 1000, 1, Stage::Process, kernel)));
    cases.into_iter().map(|setup| setup())
}

/// The cases whose instructions are counted: with the portable kernels, and small enough that a
/// processor made of software sets them up in seconds.
pub fn counted() -> impl Iterator<Item = Case> {
    const KERNEL: Kernel = Kernel::Portable;
    let extractions = [Kind::Ipv4, Kind::Vlan, Kind::Ipv6].map(|kind| extraction(kind, KERNEL));
    let caches = [(Kind::Ipv4, 1), (Kind::Ipv4, 1000), (Kind::Ipv6, 1000)]
        .map(|(kind, flows)| exact_match(kind, flows, KERNEL));
    let megaflows = [1, 5, 20, 100].map(|subtables| megaflow(subtables, 1000, KERNEL));
    let pipelines = [(Kind::Ipv4, 1, 1), (Kind::Ipv4, 1000, 1), (Kind::Ipv4, 1000, 0)]
        .into_iter()
        .chain([(Kind::Ipv6, 1000, 1)])
        .map(|(kind, flows, emc)| pipeline(kind, flows, emc, Stage::Whole, KERNEL));
    let others = [again(KERNEL), signatures(1000, KERNEL), simple(1000), masked_set(KERNEL)];
    let attacks = [None, Some(Settings::default().mask_budget)].map(|it| attack(it, KERNEL));
    extractions
        .into_iter()
        .chain(caches)
        .chain(megaflows)
        .chain(others)
        .chain(pipelines)
        .chain(attacks)
}

/// The parser that goes with a kernel.
#[must_use]
pub const fn parser(kernel: Kernel) -> Parser {
    match kernel {
        Kernel::Portable => Parser::Scalar,
        Kernel::Avx2(proof) => Parser::Avx2(proof),
        Kernel::Avx512(proof) => Parser::Avx512(proof),
        Kernel::Autovalidate(vectors) => Parser::Autovalidate(vectors),
    }
}

const fn extractor(kernel: Kernel) -> Extractor {
    Extractor::with(VlanLimit::One, parser(kernel))
}

/// Frames to keys.
#[must_use]
pub fn extraction(kind: Kind, kernel: Kernel) -> Case {
    let extractor = extractor(kernel);
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
/// flow is in one subtable alone. Packets are of flows in an order without pattern.
#[must_use]
pub fn megaflow(subtables: u32, flows: u32, kernel: Kernel) -> Case {
    let mut table = Megaflows::new(LIMITS, SEED, kernel);
    let lanes = lanes(flows);
    let mut keys = Box::<BurstKeys>::default();
    for (number, lane) in (0u32..).zip(&lanes) {
        keys.lane_mut(0)[0] = *lane;
        keys.set_used(0, LaneSet::of(0));
        let mask = mask((number * 7 + 3) % subtables);
        // A full table would show as a missing hit.
        let _ = table.insert(&keys.key(0), &mask, number);
    }
    let mut found = BurstFlows::default();
    let mut next = 0u32;
    let run = move |count: u64| {
        let mut cycles = 0;
        for _ in 0..count {
            fill(&mut keys, &lanes, &mut next);
            let start = now();
            let looked = table.lookup(&keys, Slots::first(BURST), &mut found);
            cycles += now() - start;
            assert_eq!(looked.hits, Slots::first(BURST));
        }
        cycles
    };
    Case { name: format!("megaflow, {subtables} subtables, {flows} flows"), run: Box::new(run) }
}

/// Lane 0 of the keys of so many flows.
fn lanes(flows: u32) -> Vec<Lane> {
    let extractor = Extractor::default();
    let mut keys = Box::<BurstKeys>::default();
    let mut lanes = Vec::with_capacity(flows as usize);
    for first in (0..flows).step_by(BURST) {
        let mut burst = burst(Kind::Ipv4, first..first + BURST as u32);
        let pass = Pass::First(PortNo(1));
        extractor.burst(&mut burst, Slots::first(BURST), pass, &mut keys);
        lanes.extend(keys.lane(0));
    }
    lanes.truncate(flows as usize);
    lanes
}

/// The keys of the next flows, in an order without pattern.
fn fill(keys: &mut BurstKeys, lanes: &[Lane], next: &mut u32) {
    for slot in 0..BURST {
        *next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let at = (*next >> 8) as usize % lanes.len();
        if let Some(lane) = lanes.get(at) {
            keys.lane_mut(0)[slot] = *lane;
        }
        keys.set_used(slot, LaneSet::of(0));
    }
}

/// Frames of a further pass that came out of a Geneve tunnel: the frame, and what the tunnel says.
#[must_use]
pub fn again(kernel: Kernel) -> Case {
    let extractor = extractor(kernel);
    let mut burst = burst(Kind::Ipv4, 0..32);
    for slot in 0..BURST {
        if let Some(packet) = burst.get_mut(slot) {
            let dst = [192, 0, 2, 1].into();
            packet.set_tunnel(&TunnelMeta { id: 7, dst, options_len: 8, ..TunnelMeta::NONE });
        }
    }
    let mut keys = Box::<BurstKeys>::default();
    let run = move |count: u64| {
        let start = now();
        for _ in 0..count {
            let slots = Slots::first(BURST);
            black_box(extractor.burst(&mut burst, slots, Pass::Again, &mut keys));
        }
        now() - start
    };
    Case { name: "extract out of a Geneve tunnel".to_owned(), run: Box::new(run) }
}

/// Keys that are all in the signature match cache, of flows in 20 subtables.
#[must_use]
pub fn signatures(flows: u32, kernel: Kernel) -> Case {
    let mut table = Megaflows::new(LIMITS, SEED, kernel);
    let lanes = lanes(flows);
    let emc = Emc::new(64, 0, SEED, kernel);
    let mut smc = Smc::new(smc::DEFAULT_ENTRIES);
    let (mut keys, mut hashes) = (Box::<BurstKeys>::default(), Hashes::default());
    for (number, lane) in (0u32..).zip(&lanes) {
        keys.lane_mut(0)[0] = *lane;
        keys.set_used(0, LaneSet::of(0));
        if let Ok(inserted) = table.insert(&keys.key(0), &mask(number % 20), number) {
            emc.hash(&keys, Slots::first(1), &mut hashes);
            smc.insert(hashes.0[0], inserted.flow.index);
        }
    }
    let (mut found, mut next) = (BurstFlows::default(), 0);
    let run = move |count: u64| {
        let mut cycles = 0;
        for _ in 0..count {
            fill(&mut keys, &lanes, &mut next);
            let all = Slots::first(BURST);
            let start = now();
            emc.hash(&keys, all, &mut hashes);
            let hits = smc.lookup(&hashes, &keys, all, &table, &mut found);
            cycles += now() - start;
            assert!(hits.len() > BURST / 2);
        }
        cycles
    };
    Case { name: format!("signature match, {flows} flows"), run: Box::new(run) }
}

/// Packets of many connections that one simple flow covers.
#[must_use]
pub fn simple(connections: u32) -> Case {
    let bursts = keys(Kind::Ipv4, connections);
    let mut table = Megaflows::new(LIMITS, SEED, Kernel::best());
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard_place(layout::IN_PORT);
    mask.unwildcard(FieldId::EthType);
    let mut simple = Simple::default();
    if let Some(keys) = bursts.first()
        && let Ok(inserted) = table.insert(&keys.key(0), &mask, 0u32)
    {
        simple.insert(keys, 0, inserted.flow);
    }
    let mut found = BurstFlows::default();
    let run = move |count: u64| {
        let start = now();
        for number in 0..count {
            let Some(keys) = bursts.get(number as usize % bursts.len()) else { continue };
            let hits = simple.lookup(keys, Slots::first(BURST), table.flows(), &mut found);
            assert_eq!(hits, Slots::first(BURST));
        }
        now() - start
    };
    Case { name: format!("simple flow, {connections} connections"), run: Box::new(run) }
}

/// Ring to ring through a flow that rewrites addresses, TTL and ports.
#[must_use]
pub fn masked_set(kernel: Kernel) -> Case {
    let ports = |src, dst| Ports { src, dst };
    let address = |last, ttl| Ipv4 { src: [0, 0, 0, last].into(), dst: [0; 4].into(), tos: 0, ttl };
    let actions = ActionList::from([
        Action::Set(Set::Ipv4(Masked { value: address(9, 63), mask: address(255, 255) })),
        Action::Set(Set::Udp(Masked { value: ports(0, 5353), mask: ports(0, 0xffff) })),
        Action::Output(PortNo(2)),
    ]);
    let parser = parser(kernel);
    let settings =
        Settings { emc_insert_inv_prob: 1, seed: SEED, kernel, parser, ..Settings::default() };
    let mut rig = Rig::new(Kind::Ipv4, 1, settings);
    rig.sink = Same(actions);
    rig.run(1000, Stage::Process);
    let run = move |bursts| rig.run(bursts, Stage::Process);
    Case {
        name: "pipeline Ipv4, masked sets of addresses and ports".to_owned(),
        run: Box::new(run),
    }
}

/// An access list of three rules with a wildcard behind them, as translation answers for it: the
/// mask covers as much of each field as tells the packet from the rule.
struct AccessList;

const ALLOWED: [(FieldId, u128, u32); 3] =
    [(FieldId::UdpDst, 53, 16), (FieldId::Ipv4Src, 0x0b00_0001, 32), (FieldId::UdpSrc, 0x3039, 16)];

impl UpcallSink for AccessList {
    fn upcall(&self, upcall: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::EMPTY;
        for place in [layout::IN_PORT, layout::RECIRC_ID, layout::ETH_TYPE] {
            mask.unwildcard_place(place);
        }
        let mut actions = ActionList::from([]);
        for (field, allowed, bits) in ALLOWED {
            let differing = upcall.key.get(field) ^ allowed;
            if differing == 0 {
                mask.unwildcard(field);
                actions = ActionList::from([Action::Output(PortNo(2))]);
                break;
            }
            let first = 127 - differing.leading_zeros();
            let ones = (1u128 << bits) - 1;
            mask.unwildcard_bits(field, ones & !((1u128 << first) - 1));
        }
        Ok(Verdict { actions, mask, install: true })
    }
}

/// Established traffic, of which one packet in 32 is a stranger's who makes the access list yield a
/// mask for each combination of bits (8,192 of them); `None` leaves the stranger out. `budget` is
/// that of masks. The exact-match cache is off: it would hide what the tables do.
#[must_use]
pub fn attack(budget: Option<usize>, kernel: Kernel) -> Case {
    let settings = Settings {
        emc_insert_inv_prob: 0,
        seed: SEED,
        kernel,
        parser: parser(kernel),
        mask_budget: budget.unwrap_or(usize::MAX),
        ..Settings::default()
    };
    let mut pipeline = Pipeline::new(settings);
    let mut out = TxBatches::default();
    let _ = out.add_port(PortNo(2));
    let strangers: Vec<Vec<u8>> = (0..8192u32)
        .map(|number| {
            let mut out = frame(Kind::Ipv4, 0);
            let (dst, src, from) = (number % 16, number / 16 % 32, number / 512);
            let flip = |value: u32, bit: u32| value ^ 1 << bit;
            out[26..30].copy_from_slice(&flip(0x0b00_0001, src).to_be_bytes());
            out[34..36].copy_from_slice(&(flip(0x3039, from) as u16).to_be_bytes());
            out[36..38].copy_from_slice(&(flip(53, dst) as u16).to_be_bytes());
            out
        })
        .collect();
    let established: Vec<Vec<u8>> = (0..32).map(|flow| frame(Kind::Ipv4, flow)).collect();
    let mut burst = Burst::default();
    let mut time = 10_000;
    let mut next = 0;
    let mut turn = move |stranger: bool| {
        next += 1;
        for (at, frame) in established.iter().enumerate() {
            let last = strangers.get(next % strangers.len()).filter(|_| stranger && at == 31);
            drop(packet(last.unwrap_or(frame)).map(|packet| burst.push(packet)));
        }
        time += 1;
        let at = Instant::from_millis(time);
        let start = now();
        pipeline.process(PortNo(1), &mut burst, at, &AccessList, &mut out);
        let cycles = now() - start;
        pipeline.tick(at);
        out.flush(|_, burst| burst.clear());
        cycles
    };
    if budget.is_some() {
        // All masks are there, and the order of subtables has settled.
        for _ in 0..3 * 8192 {
            turn(true);
        }
    } else {
        turn(false);
    }
    let name = match budget {
        None => "access list, no attack".to_owned(),
        Some(usize::MAX) => "access list, under attack, no mask budget".to_owned(),
        Some(budget) => format!("access list, under attack, {budget} masks"),
    };
    let run = move |count: u64| (0..count).map(|_| turn(budget.is_some())).sum();
    Case { name, run: Box::new(run) }
}

/// Which part of the way from ring to ring is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Between receive and transmit.
    Process,
    /// All of it.
    Whole,
}

/// A slow path that does the same with everything.
struct Same(ActionList);

impl UpcallSink for Same {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        Ok(Verdict { actions: ActionList::clone(&self.0), mask: mask(0), install: true })
    }
}

/// A switch of one thread between two rings that are joined behind it.
pub struct Rig {
    pipeline: Pipeline,
    out: TxBatches,
    tx: Sender,
    rx: Receiver,
    burst: Burst,
    /// What flows do: send to port 2, unless it is said otherwise.
    sink: Same,
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
        let sink = Same(ActionList::from([Action::Output(PortNo(2))]));
        Self { pipeline, out, tx, rx, burst: Burst::default(), sink }
    }

    /// Takes bursts once around; returns the cycles of the part that counts.
    pub fn run(&mut self, bursts: u64, stage: Stage) -> u64 {
        // The counter is read inside the loop only where that is what is asked: it costs too.
        let clock = || if stage == Stage::Process { now() } else { 0 };
        let (mut cycles, begin) = (0, now());
        for _ in 0..bursts {
            let _ = self.rx.receive(&mut self.burst, NOW);
            let received = clock();
            self.pipeline.process(PortNo(1), &mut self.burst, NOW, &self.sink, &mut self.out);
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
    let settings = Settings {
        emc_insert_inv_prob: emc,
        seed: SEED,
        kernel,
        parser: parser(kernel),
        ..Settings::default()
    };
    let mut rig = Rig::new(kind, flows, settings);
    rig.run(1000, stage);
    let name = format!(
        "pipeline {kind:?}, {flows} flows, {}, {}",
        if emc == 0 { "megaflow hit" } else { "exact-match hit" },
        if stage == Stage::Whole { "ring to ring" } else { "receive to transmit" }
    );
    Case { name, run: Box::new(move |bursts| rig.run(bursts, stage)) }
}
