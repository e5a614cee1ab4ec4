//! Datapath flows through the installed reference switch and through ours, without any OpenFlow:
//! random flows by `dpctl/add-flow`, random packets, the same packets out of the same ports and the
//! same statistics of every flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use dp_core::action::text::parse_actions;
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, FlowPut, PutMode, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::VlanLimit;
use dp_core::flow::text::{PortTable, parse_flow};
use dp_core::pipeline::{Malformed, Settings};
use dp_netdev::port::dummy::{Dummy, Hand};
use dp_netdev::{Config, Netdev};
use dp_tests::steps::{self, KINDS, is_walked, is_whole, list};
use testkit::frames::assert_frames_eq;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::Seeded;

const PORTS: u16 = steps::PORTS;
const NOW: Instant = Instant::from_millis(1000);

/// What no flow matches is dropped.
struct Nobody;

impl UpcallSink for Nobody {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        Err(UpcallError::NoRoom)
    }
}

struct Pair {
    reference: Reference,
    ours: Arc<Netdev>,
    hands: Vec<Hand>,
    names: PortTable,
    before: BTreeMap<u16, usize>,
}

impl Pair {
    fn start() -> Result<Self> {
        testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
        let reference = Reference::start()?;
        // The slow path keeps out of it: flows stay as they are, and the bridge drops all else.
        reference.appctl(&["revalidator/pause"])?;
        reference.vsctl(&["set", "Bridge", BRIDGE, "fail-mode=secure"])?;
        reference.ofctl(&["del-flows", BRIDGE])?;
        let pipeline = Settings {
            malformed: Malformed::Forward,
            vlan_limit: VlanLimit::One,
            emc_insert_inv_prob: 3,
            ..Settings::default()
        };
        let ours = Netdev::new(Arc::new(Nobody), Config { pipeline, ..Config::default() })?;
        let mut hands = Vec::new();
        let names = (1..=PORTS).map(|n| (PortNo(n.into()), format!("p{n}"))).collect();
        for n in 1..=PORTS {
            reference.add_dummy_port(&format!("p{n}"), n)?;
            let port = Dummy::new(&format!("p{n}"));
            hands.push(port.hand());
            ours.add_port(PortNo(n.into()), Box::new(port))?;
        }
        Ok(Self { reference, ours, hands, names, before: BTreeMap::new() })
    }

    fn clear(&self) -> Result<()> {
        self.reference.appctl(&["dpctl/del-flows"])?;
        self.ours.flow_flush()?;
        Ok(())
    }

    fn add(&self, flow: &str, actions: &str) -> Result<()> {
        self.reference
            .appctl(&["dpctl/add-flow", flow, actions])
            .with_context(|| format!("{flow} {actions}"))?;
        let parsed = parse_flow(flow, &self.names).map_err(|error| anyhow!("{flow}: {error}"))?;
        let list =
            parse_actions(actions, &self.names).map_err(|error| anyhow!("{actions}: {error}"))?;
        let put = FlowPut {
            key: parsed.key,
            mask: parsed.mask,
            actions: list.into(),
            mode: PutMode::Create,
            zero_stats: false,
            now: NOW,
        };
        self.ours.flow_install(&put)?;
        Ok(())
    }

    /// Sends packets through both and compares what leaves; returns how much that was.
    fn compare(&mut self, packets: &[(u16, Vec<u8>)], flows: &str) -> Result<usize> {
        for (port, frame) in packets {
            self.reference.receive_frame(&format!("p{port}"), frame)?;
            let hand = self.hands.get(usize::from(*port) - 1).context("no such port")?;
            ensure!(hand.inject(frame), "queue full");
            self.ours.turn(NOW);
        }
        let mut total = 0;
        for (n, hand) in (1..=PORTS).zip(&self.hands) {
            let all = self.reference.sent(&format!("p{n}"))?;
            let before = self.before.insert(n, all.len()).unwrap_or(0);
            let theirs = all.get(before..).unwrap_or_default();
            let ours = hand.take_sent();
            total += theirs.len();
            if theirs != ours {
                println!("{}", self.explain(packets, flows)?);
            }
            assert_frames_eq(theirs, &ours);
        }
        Ok(total)
    }

    /// Which packet the two treat differently, and what each makes of it.
    fn explain(&self, packets: &[(u16, Vec<u8>)], flows: &str) -> Result<String> {
        for (port, frame) in packets {
            let sent = |n: u16| self.reference.sent(&format!("p{n}"));
            let before: Vec<usize> =
                (1..=PORTS).map(|n| Ok(sent(n)?.len())).collect::<Result<_>>()?;
            self.hands.iter().for_each(|hand| drop(hand.take_sent()));
            self.reference.receive_frame(&format!("p{port}"), frame)?;
            if let Some(hand) = self.hands.get(usize::from(*port) - 1) {
                hand.inject(frame);
            }
            self.ours.turn(NOW);
            for ((n, before), hand) in (1..=PORTS).zip(before).zip(&self.hands) {
                let theirs = sent(n)?.split_off(before);
                let ours = hand.take_sent();
                if theirs != ours {
                    let mine: String = flows
                        .lines()
                        .filter(|line| line.contains(&format!("in_port({port})")))
                        .map(|line| format!("{line}\n"))
                        .collect();
                    let dump = self.reference.appctl(&["dpctl/dump-flows"])?;
                    return Ok(format!(
                        "{mine}{dump}p{port} received {frame:02x?}\nours at p{n}: {ours:02x?}\ntheirs: {theirs:02x?}"
                    ));
                }
            }
        }
        Ok("packet by packet they agree".to_owned())
    }

    /// Compares the statistics of every flow; returns how many flows had packets.
    fn compare_statistics(&self) -> Result<usize> {
        let dump = self.reference.appctl(&["dpctl/dump-flows"])?;
        let mut busy = 0;
        for line in dump.lines().filter(|line| line.contains(", packets:")) {
            let (key, rest) = line.split_once(", packets:").context("a flow")?;
            let number = |name: &str| -> Result<u64> {
                let text = rest.split_once(name).map_or(rest, |(_, text)| text);
                let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
                digits.parse().with_context(|| line.to_owned())
            };
            let (packets, bytes) = (number("packets:")?, number("bytes:")?);
            // Megaflows that an unmatched packet left behind are theirs alone.
            if rest.contains("actions:drop") && key.contains("packet_type") {
                continue;
            }
            let parsed = parse_flow(key, &self.names).map_err(|error| anyhow!("{key}: {error}"))?;
            let mut found = None;
            self.ours.flow_dump(&mut |flow| {
                if flow.key.agrees(&parsed.key, &flow.mask) && flow.mask.covers(&parsed.mask) {
                    found = Some(flow.stats.snapshot());
                }
            });
            let ours = found.with_context(|| format!("ours has no flow {key}"))?;
            ensure!((ours.packets, ours.bytes) == (packets, bytes), "{line}\nours: {ours:?}");
            busy += usize::from(packets != 0);
        }
        Ok(busy)
    }
}

fn run(seed: u64, rounds: usize) -> Result<()> {
    let mut rng = Seeded::new(seed);
    let mut pair = Pair::start()?;
    let (mut total, mut busy) = (0, 0);
    for _ in 0..rounds {
        pair.clear()?;
        let mut text = String::new();
        for port in 1..=PORTS {
            for (kind, key) in KINDS {
                for recirc in 0..2 {
                    let flow = format!("recirc_id({recirc:#x}),in_port({port}),eth(),{key}");
                    let depth = if recirc == 0 { 2 } else { 1 };
                    let actions = list(&mut rng, kind, depth);
                    text.push_str(&format!("{flow} {actions}\n"));
                    pair.add(&flow, &actions)?;
                }
            }
        }
        let packets: Vec<_> = (0..80)
            .map(|_| (1 + u16::try_from(rng.below(4)).unwrap_or(0), steps::packet(&mut rng)))
            .filter(|(_, frame)| is_whole(frame) && !is_walked(frame))
            .collect();
        total += pair.compare(&packets, &text)?;
        busy += pair.compare_statistics().with_context(|| text)?;
    }
    ensure!(total > rounds * 40, "only {total} frames left the switches");
    ensure!(busy > rounds * 6, "only {busy} flows had packets");
    Ok(())
}

#[test]
fn random_datapath_flows_and_packets() -> Result<()> {
    run(0x0da7_0001, 6)
}

#[test]
fn random_datapath_flows_with_a_fresh_seed() -> Result<()> {
    let fresh = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    let seed = u64::try_from(fresh & u128::from(u64::MAX))?;
    println!("seed {seed:#x}");
    run(seed, 3)
}
