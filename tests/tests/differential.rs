//! The same flows and the same packets through the installed reference switch and through dp: the
//! same packets out of the same ports, in the same order, byte for byte.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use dp_core::pipeline::Malformed;
use dp_ofproto::bridge::VlanMode;
use dp_tests::{Switch, SwitchConfig, rules};
use testkit::frames::assert_frames_eq;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

const PORTS: u16 = 4;

/// The reference with four dummy ports, and ours with as many.
struct Pair {
    reference: Reference,
    ours: Switch,
    /// Frames that the reference had sent by each port before.
    before: BTreeMap<u16, usize>,
}

fn ports() -> Vec<VlanMode> {
    vec![
        VlanMode::default(),
        VlanMode::default(),
        VlanMode::Access(10),
        VlanMode::Trunk([10, 20].into_iter().collect()),
    ]
}

impl Pair {
    fn start() -> Result<Self> {
        testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
        let reference = Reference::start()?;
        for n in 1..=PORTS {
            reference.add_dummy_port(&format!("p{n}"), n)?;
        }
        reference.vsctl(&["set", "Port", "p3", "tag=10"])?;
        reference.vsctl(&["set", "Port", "p4", "trunks=10,20"])?;
        let config =
            SwitchConfig { ports: ports(), malformed: Malformed::Forward, always_move: true };
        Ok(Self { reference, ours: Switch::new(&config)?, before: BTreeMap::new() })
    }

    fn set_flows(&mut self, flows: &str) -> Result<()> {
        self.reference.ofctl(&["del-flows", BRIDGE])?;
        self.reference.appctl(&["fdb/flush", BRIDGE])?;
        for (protocol, part) in ["OpenFlow10", "OpenFlow13"].iter().zip(rules::dialects(flows)) {
            let path = self.reference.folder().join(protocol);
            std::fs::write(&path, &part)?;
            let path = path.to_string_lossy();
            let words = ["-O", protocol, "add-flows", BRIDGE, &path];
            self.reference.ofctl(&words).with_context(|| part.clone())?;
        }
        self.reference.appctl(&["revalidator/purge"])?;
        self.ours.flush_macs();
        self.ours.set_flows(flows)
    }

    /// Sends packets through both and compares what leaves.
    fn compare(&mut self, packets: &[(u16, Vec<u8>)], flows: &str, purge: bool) -> Result<usize> {
        let mut expected = BTreeMap::<u16, Vec<Vec<u8>>>::new();
        for (port, frame) in packets {
            self.reference.receive_frame(&format!("p{port}"), frame)?;
            if purge {
                // What is learned from this packet must be in force for the next.
                self.reference.appctl(&["revalidator/purge"])?;
            }
            for (port, frames) in self.ours.receive(*port, frame)? {
                expected.entry(port).or_default().extend(frames);
            }
        }
        let mut total = 0;
        for n in 1..=PORTS {
            let all = self.reference.sent(&format!("p{n}"))?;
            let before = self.before.insert(n, all.len()).unwrap_or(0);
            let theirs = all.get(before..).unwrap_or_default();
            let ours = expected.remove(&n).unwrap_or_default();
            total += theirs.len();
            if theirs != ours {
                self.explain(packets, flows)?;
            }
            assert_frames_eq(theirs, &ours);
        }
        ensure!(expected.is_empty(), "frames for ports that do not exist");
        Ok(total)
    }
}

impl Pair {
    /// Says which packet the two treat differently, and what the reference makes of it.
    fn explain(&mut self, packets: &[(u16, Vec<u8>)], flows: &str) -> Result<()> {
        println!("flows:\n{flows}");
        for (port, frame) in packets {
            let mut before = Vec::new();
            for n in 1..=PORTS {
                before.push(self.reference.sent(&format!("p{n}"))?.len());
            }
            self.reference.receive_frame(&format!("p{port}"), frame)?;
            self.reference.appctl(&["revalidator/purge"])?;
            let mut ours = self.ours.receive(*port, frame)?;
            for (n, before) in (1..=PORTS).zip(before) {
                let theirs = self.reference.sent(&format!("p{n}"))?.split_off(before);
                let ours = ours.remove(&n).unwrap_or_default();
                if theirs != ours {
                    println!(
                        "p{port} received {frame:02x?}\nours at p{n}: {ours:02x?}\ntheirs: {theirs:02x?}"
                    );
                    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
                    let flow = format!("in_port=p{port}");
                    println!("{}", self.reference.appctl(&["ofproto/trace", BRIDGE, &flow, &hex])?);
                    return Ok(());
                }
            }
        }
        println!("packet by packet they agree: what differs is what is cached");
        Ok(())
    }
}

fn packets(rng: &mut Rng, count: usize) -> Vec<(u16, Vec<u8>)> {
    (0..count)
        .map(|_| (1 + u16::try_from(rng.below(4)).unwrap_or(0), rules::packet(rng)))
        .filter(|(_, frame)| frame.len() >= 14 && !is_later_fragment(frame))
        .collect()
}

/// Whether this is a fragment of an IPv4 datagram without its transport header. The reference takes
/// the payload of such a fragment for a transport header and "corrects" a checksum there when it
/// rewrites addresses, which damages the datagram; ours leaves payload alone.
fn is_later_fragment(frame: &[u8]) -> bool {
    let l3 = match frame.get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) => 18,
        _ => 14,
    };
    let eth_type = frame.get(l3 - 2..l3);
    let offset = frame.get(l3 + 6..l3 + 8).map(|bytes| [bytes[0] & 0x1f, bytes[1]]);
    eth_type == Some(&[8, 0]) && offset.is_some_and(|offset| offset != [0, 0])
}

/// Makes the tests longer by this factor: `DP_TEST_ROUNDS=50`.
const ROUNDS_VARIABLE: &str = "DP_TEST_ROUNDS";

fn run(seed: u64, rounds: usize, normal: bool) -> Result<()> {
    let factor = match std::env::var(ROUNDS_VARIABLE) {
        Ok(text) => text.parse().context(ROUNDS_VARIABLE)?,
        Err(_) => 1,
    };
    let rounds: usize = rounds * factor;
    let mut rng = Seeded::new(seed);
    let mut pair = Pair::start()?;
    let mut total = 0;
    for _ in 0..rounds {
        let flows = rules::table(&mut rng, 30, normal);
        pair.set_flows(&flows)?;
        total += pair.compare(&packets(&mut rng, 60), &flows, normal)?;
    }
    ensure!(total > rounds * 8, "only {total} frames left the switches: nothing is compared");
    Ok(())
}

#[test]
fn random_flows_and_packets() -> Result<()> {
    run(0x0d1f_0001, 12, false)
}

#[test]
fn random_flows_with_learning() -> Result<()> {
    run(0x0d1f_0002, 5, true)
}

#[test]
fn later_fragments_that_are_not_rewritten() -> Result<()> {
    let mut pair = Pair::start()?;
    let flows = "table=0,priority=3,ip,ip_frag=later,actions=output:1,mod_dl_src:50:54:00:00:00:04,output:2\n\
                 table=0,priority=2,ip,ip_frag=not_later,actions=mod_vlan_vid:7,output:3\n\
                 table=0,priority=1,actions=output:4\n";
    pair.set_flows(flows)?;
    let fragments: Vec<_> = testkit::packets::samples::all()
        .into_iter()
        .filter(|sample| sample.name.contains("fragment"))
        .map(|sample| (3, sample.frame))
        .collect();
    ensure!(fragments.iter().any(|(_, frame)| is_later_fragment(frame)), "no later fragment");
    let total = pair.compare(&fragments, flows, false)?;
    ensure!(total >= fragments.len(), "only {total} frames");
    Ok(())
}

#[test]
fn a_fresh_seed_each_time() -> Result<()> {
    let fresh = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    run(u64::try_from(fresh & u128::from(u64::MAX))?, 4, false)
}
