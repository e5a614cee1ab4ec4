//! Prints what an attack on one port costs those at another: the real slow path behind one packet thread,
//! an access list of three rules with a wildcard behind them, and a stranger whose packets leave the rules
//! at every combination of bits, from ever new addresses and ports, until his share of the table is full.
//!
//! `cargo bench -p dp-benches --bench attack`. Time is the bench's own: 10 µs a turn. `DP_KERNEL=each`
//! measures every kernel that the processor runs, one after another.

use std::error::Error;
use std::sync::Arc;

use dp_benches::allocations_unsafe::{Counting, held};
use dp_benches::cases::parser;
use dp_benches::cycles_unsafe::now;
use dp_benches::frames::{Kind, frame, packet};
use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::boundary::Datapath;
use dp_core::execute::TxBatches;
use dp_core::lookup::Kernel;
use dp_core::packet::Burst;
use dp_core::pipeline::{Pipeline, Settings};
use dp_ofproto::bridge::{Bridge, BridgePort, PortMap};
use dp_ofproto::learn::MacTableConfig;
use dp_ofproto::revalidate::{Revalidator, RevalidatorConfig};
use dp_ofproto::table::TablesConfig;
use dp_ofproto::text::{NumbersOnly, parse_file};
use dp_ofproto::upcall::Ofproto;
use dp_tests::Stepped;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIST: &str = "priority=9,udp,nw_src=11.0.0.1,actions=drop\n\
                    priority=8,udp,tp_src=12345,actions=drop\n\
                    priority=7,udp,tp_dst=53,actions=output:3\n\
                    priority=1,actions=output:3\n";
const STRANGER: PortNo = PortNo(1);
const NEIGHBOUR: PortNo = PortNo(2);
/// Connections of the neighbour.
const ESTABLISHED: u32 = 1024;
const ROUND: u64 = 500_000_000;

struct Rig {
    ofproto: Arc<Ofproto>,
    datapath: Stepped,
    revalidator: Revalidator,
    out: TxBatches,
    burst: Burst,
    established: Vec<Vec<u8>>,
    state: u64,
    turns: u64,
    time: u64,
    /// Nanoseconds by the clock that the costliest round took.
    round: u128,
}

impl Rig {
    fn new(emc: u32, kernel: Kernel) -> Result<Self, Box<dyn Error>> {
        let bridge = Bridge::new("br0", TablesConfig::default(), MacTableConfig::default());
        let port = |n: u16| BridgePort::new(OfPort(n), PortNo(n.into()), format!("p{n}"));
        bridge.set_ports(PortMap::new((1..=3).map(port))?);
        for flow in parse_file("flows", LIST, &NumbersOnly)? {
            bridge.tables().apply(&flow, Instant::from_millis(1))?;
        }
        let ofproto = Arc::new(Ofproto::new([Arc::new(bridge)]));
        let config = RevalidatorConfig::default();
        let revalidator = Revalidator::new(Arc::clone(&ofproto), config);
        let mut out = TxBatches::default();
        (1..=3).for_each(|n| assert!(out.add_port(PortNo(n))));
        let parser = parser(kernel);
        let settings = Settings { emc_insert_inv_prob: emc, kernel, parser, ..Settings::default() };
        Ok(Self {
            ofproto,
            datapath: Stepped::new(Pipeline::new(settings)),
            revalidator,
            out,
            burst: Burst::default(),
            established: (0..ESTABLISHED).map(|flow| frame(Kind::Ipv4, flow)).collect(),
            state: 7,
            turns: 0,
            time: 1_000_000_000,
            round: 0,
        })
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % below
    }

    /// A value that leaves this one at a bit, and is random below it.
    fn leave(&mut self, value: u64, bits: u64) -> u64 {
        let bit = self.random(bits);
        value ^ 1 << bit ^ self.random(1 << bit)
    }

    /// Cycles of what is in the burst.
    fn process(&mut self, port: PortNo) -> u64 {
        let mut pipeline = self.datapath.lock();
        let (at, start) = (Instant(self.time), now());
        pipeline.process(port, &mut self.burst, at, &*self.ofproto, &mut self.out);
        let cycles = now() - start;
        drop(pipeline);
        self.out.flush(|_, burst| burst.clear());
        cycles
    }

    /// A burst of the neighbour's established traffic.
    fn talk(&mut self) -> u64 {
        for at in 0..32 {
            let number =
                (self.turns * 32 + at).wrapping_mul(2_654_435_761) % u64::from(ESTABLISHED);
            let frame = self.established.get(number as usize);
            drop(frame.and_then(|frame| packet(frame)).map(|packet| self.burst.push(packet)));
        }
        self.process(NEIGHBOUR)
    }

    /// A packet of the attack.
    fn attack(&mut self) -> u64 {
        let mut out = frame(Kind::Ipv4, 0);
        let (src, from, to) =
            (self.leave(0x0b00_0001, 32), self.leave(12345, 16), self.leave(53, 16));
        out[26..30].copy_from_slice(&(src as u32).to_be_bytes());
        out[34..36].copy_from_slice(&(from as u16).to_be_bytes());
        out[36..38].copy_from_slice(&(to as u16).to_be_bytes());
        drop(packet(&out).map(|packet| self.burst.push(packet)));
        self.process(STRANGER)
    }

    /// Time goes on; what is due is done.
    fn turn(&mut self) {
        self.turns += 1;
        self.time += 10_000;
        if self.time % ROUND < 10_000 {
            let start = std::time::Instant::now();
            self.revalidator.run(&self.datapath, Instant(self.time));
            self.round = self.round.max(start.elapsed().as_nanos());
            self.datapath.lock().tick(Instant(self.time));
        }
    }

    /// Median cycles a packet of the neighbour's and a packet of the attack, if there is one.
    fn measure(&mut self, turns: u32, attack: bool) -> (f64, u64) {
        let (mut calm, mut hostile) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            calm.push(self.talk());
            hostile.push(if attack { self.attack() } else { 0 });
            self.turn();
        }
        calm.sort_unstable();
        hostile.sort_unstable();
        let middle = calm.len() / 2;
        (calm[middle] as f64 / 32.0, hostile[middle])
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let turns = dp_benches::scaled(100_000);
    let caches = [(1, "in the exact-match cache"), (0, "without that cache")];
    let kernels = dp_benches::kernels();
    for (kernel, (emc, name)) in
        kernels.into_iter().flat_map(|kernel| caches.map(|cache| (kernel, cache)))
    {
        let mut rig = Rig::new(emc, kernel)?;
        rig.measure(turns, false);
        let (before, _) = rig.measure(turns, false);
        let memory = held();
        let mut filling = Vec::new();
        // Until the table takes no more of his.
        while rig.ofproto.counters().over_limit() == 0 && filling.len() < turns as usize * 10 {
            filling.push(rig.attack());
            if filling.len() % 8 == 0 {
                rig.talk();
            }
            // He is faster than megaflows run out.
            rig.time += 1_000;
        }
        let flows = rig.datapath.flow_count();
        let taken = (held() - memory) / flows.max(1);
        let masks = rig.datapath.lock().counters().masks.get();
        rig.round = 0;
        let (during, hostile) = rig.measure(turns, true);
        filling.sort_unstable();
        let filled = filling[filling.len() / 2];
        println!("1,024 connections {name}, kernel {}: cycles a packet, median", kernel.name());
        println!("{before:10.1}  before the attack");
        println!("{during:10.1}  during it, {flows} megaflows and {masks} masks");
        println!("{filled:10}  a packet of the attack that gets a megaflow");
        println!("{hostile:10}  one that gets none");
        println!("{taken:10}  bytes a megaflow of the attack, with what the slow path remembers");
        println!("{:10.1}  ms, the longest round of revalidation", rig.round as f64 / 1e6);
    }
    Ok(())
}
