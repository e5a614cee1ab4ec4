//! Datapath flows through the installed reference switch and through ours, without any OpenFlow:
//! random flows by `dpctl/add-flow`, random packets, the same packets out of the same ports and the
//! same statistics of every flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use dp_core::action::text::parse_actions;
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, FlowPut, PutMode, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::text::{PortTable, parse_flow};
use dp_core::flow::{Extractor, VlanLimit};
use dp_core::packet::Metadata;
use dp_core::pipeline::{Malformed, Settings};
use dp_netdev::port::dummy::{Dummy, Hand};
use dp_netdev::{Config, Netdev};
use dp_tests::rules;
use testkit::frames::assert_frames_eq;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

const PORTS: u16 = 4;
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

fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    let at = usize::try_from(rng.below(of.len() as u64)).unwrap_or(0);
    &of[at]
}

/// One step, in the reference's words, for packets of this kind. Steps that leave a packet without an
/// Ethernet header are left out: the reference's dummy ports refuse such packets.
fn step(rng: &mut Rng, kind: &str, depth: u8) -> String {
    let port = 1 + rng.below(u64::from(PORTS));
    let tagged = "pop_vlan";
    let common = [
        "set(eth(src=aa:bb:cc:dd:ee:ff))",
        "set(eth(dst=01:00:00:00:00:07/ff:00:00:00:00:0f))",
        "push_vlan(vid=7,pcp=2)",
        "push_vlan(tpid=0x88a8,vid=4095,pcp=0)",
        tagged,
        "ct_clear",
        "set(skb_mark(0x5))",
        "set(skb_priority(0x5/0xf))",
    ];
    let ipv4 = [
        "set(ipv4(src=192.0.2.7))",
        "set(ipv4(dst=0.0.0.9/0.0.0.255,ttl=9))",
        "set(ipv4(tos=0x2c/0xfc))",
        "set(ipv4(src=1.2.3.4,dst=5.6.7.8,tos=0x4,ttl=200))",
    ];
    let ipv6 = [
        "set(ipv6(src=2001:db8::7))",
        "set(ipv6(dst=::9/::ff,hlimit=3))",
        "set(ipv6(label=0x12345,tclass=0x70/0xfc))",
    ];
    match rng.below(10) {
        0 | 1 => port.to_string(),
        2 => (*pick(rng, &common)).to_owned(),
        3 | 4 if kind.starts_with("ipv4") => (*pick(rng, &ipv4)).to_owned(),
        3 | 4 if kind.starts_with("ipv6") => (*pick(rng, &ipv6)).to_owned(),
        5 if kind.ends_with("tcp") => "set(tcp(src=4444,dst=0x10/0xf0))".to_owned(),
        5 if kind.ends_with("udp") => "set(udp(dst=5353))".to_owned(),
        5 if kind.ends_with("icmp") => "set(icmp(type=3,code=1))".to_owned(),
        5 if kind == "arp" => {
            "set(arp(sip=10.9.9.9,tip=0.0.0.8/0.0.0.15,sha=00:01:02:03:04:05))".to_owned()
        }
        // Sent at once: inside a length check the reference forgets that it was to cut.
        6 => format!("trunc({}),{port}", 14 + rng.below(90)),
        7 if depth > 0 => format!("clone({})", list(rng, kind, depth - 1)),
        8 if depth > 0 => format!("sample(sample=100.0%,actions({}))", list(rng, kind, depth - 1)),
        9 if depth > 0 => {
            let (greater, other) = (list(rng, kind, depth - 1), list(rng, kind, depth - 1));
            format!("check_pkt_len(size={},gt({greater}),le({other}))", 40 + rng.below(80))
        }
        _ => (*pick(rng, &common[..5])).to_owned(),
    }
}

fn list(rng: &mut Rng, kind: &str, depth: u8) -> String {
    let steps = 1 + rng.below(4);
    let mut out: Vec<_> = (0..steps).map(|_| step(rng, kind, depth)).collect();
    // Something leaves, so that something can be compared.
    out.push((1 + rng.below(u64::from(PORTS))).to_string());
    // The reference executes further passes at once, ours when the list is through: the same where
    // that is the end of it.
    if depth == 2 && rng.below(4) == 0 {
        out.push("recirc(1)".to_owned());
    }
    out.join(",")
}

/// Keys that packets of all kinds fall under, each under one; `{}` is what stands before.
const KINDS: [(&str, &str); 9] = [
    ("ipv4 tcp", "eth_type(0x0800),ipv4(proto=6,frag=no),tcp()"),
    ("ipv4 udp", "eth_type(0x0800),ipv4(proto=17,frag=no),udp()"),
    ("ipv4 icmp", "eth_type(0x0800),ipv4(proto=1,frag=no),icmp()"),
    ("ipv4", "eth_type(0x0800),ipv4(proto=47)"),
    ("ipv6 tcp", "eth_type(0x86dd),ipv6(proto=6,frag=no),tcp()"),
    ("ipv6 udp", "eth_type(0x86dd),ipv6(proto=17,frag=no),udp()"),
    ("ipv6", "eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6()"),
    ("arp", "eth_type(0x0806),arp(op=1)"),
    ("tagged", "eth_type(0x8100),vlan(vid=10,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))"),
];

/// Whether a routing or fragment header stands in this packet, with the transport header behind it.
/// The reference leaves that one's checksum as it is when it rewrites an address that the checksum
/// covers (RFC 8200 section 8.1); ours keeps it right.
fn is_walked(frame: &[u8]) -> bool {
    let l3 = if matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) { 18 } else { 14 };
    let next = frame.get(l3 + 6).copied();
    frame.get(l3 - 2..l3) == Some(&[0x86, 0xdd]) && matches!(next, Some(43 | 44))
}

/// Whether a frame is what it says. What becomes of others is compared elsewhere, without rewriting:
/// the reference writes where a header would be if it were whole.
fn is_whole(frame: &[u8]) -> bool {
    Extractor::default().frame(frame, &Metadata::default()).1.is_none()
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
            .map(|_| (1 + u16::try_from(rng.below(4)).unwrap_or(0), rules::packet(&mut rng)))
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
