//! Tunnels with options drawn at random and packets drawn at random, beside the newest reference:
//! traces, the bytes that enter, and what comes out.
//!
//! A world has tunnels of every kind over either family, but of those that share GRE's protocol one
//! kind only: the reference gives all such packets to one of them. What differs on purpose is in
//! `docs/tunnels.md`; it is recognised here by the tunnel and the packet, never by what differs.
//!
//! `DP_TUNNEL_ROUNDS` asks for more worlds, `DP_TUNNEL_SEED` for the one that is drawn from a seed.

use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use dp_tests::{rules, steps};
use testkit::reference::{BRIDGE, Reference, Setup};
use testkit::seed::{Rng, asked, fresh};

use crate::beside::{with_underlay, without_hash};
use crate::matrix::{arriving, told, without_sum};

/// Tunnels of a world, and packets of each.
const TUNNELS: usize = 24;
const PACKETS: usize = 6;

/// A tunnel.
struct Tunnel {
    number: usize,
    kind: &'static str,
    v6: bool,
    options: Vec<String>,
    remote: String,
    /// The flow says where the other end is.
    flow_remote: bool,
}

fn pick(rng: &mut Rng, of: &[&str]) -> String {
    rng.pick(of).copied().unwrap_or_default().to_owned()
}

impl Tunnel {
    fn draw(rng: &mut Rng, number: usize, gre: &'static str) -> Self {
        let kinds = ["vxlan", "vxlan", "geneve", "geneve", "gtpu", "srv6", gre, gre];
        let kind = rng.pick(&kinds).copied().unwrap_or("vxlan");
        let v6 = match kind {
            "erspan" => false,
            "srv6" | "ip6gre" | "ip6erspan" => true,
            _ => rng.bool(),
        };
        let last = 10 + number;
        let remote = if v6 { format!("2001:cafe::{last}") } else { format!("1.1.2.{last}") };
        let mut tunnel = Self { number, kind, v6, options: Vec::new(), remote, flow_remote: false };
        tunnel.shared(rng);
        tunnel.own(rng);
        tunnel
    }

    fn add(&mut self, option: impl Into<String>) {
        self.options.push(option.into());
    }

    /// Options that all kinds have.
    fn shared(&mut self, rng: &mut Rng) {
        // Tunnels with a port of their own may leave the end to flows: nobody else is there.
        let own_port = matches!(self.kind, "vxlan" | "geneve" | "gtpu");
        self.flow_remote = own_port && rng.one_in(5);
        let remote = if self.flow_remote { "flow".to_owned() } else { self.remote.clone() };
        self.add(format!("remote_ip={remote}"));
        if own_port {
            self.add(format!("dst_port={}", 5000 + self.number));
        }
        let keys: &[&str] = &[
            "",
            "key=0",
            "key=5",
            "key=0x3ff",
            "key=flow",
            "in_key=3 out_key=9",
            "in_key=flow out_key=7",
            "in_key=119",
            "out_key=flow",
        ];
        let here = if self.v6 { "local_ip=2001:cafe::88" } else { "local_ip=1.1.2.88" };
        for of in [
            keys,
            &["", "", "tos=inherit", "tos=0x10", "tos=8", "tos=0xfc", "tos=0"],
            &["", "", "ttl=inherit", "ttl=1", "ttl=64", "ttl=255"],
            &["", "df_default=false", "df_default=true"],
            &["", "", "csum=true", "csum=false"],
            &["", "", "", "egress_pkt_mark=7", "egress_pkt_mark=0"],
            &["", "", here],
        ] {
            for option in pick(rng, of).split_whitespace() {
                self.add(option);
            }
        }
    }

    /// Options of the kind.
    fn own(&mut self, rng: &mut Rng) {
        let of: &[&str] = match self.kind {
            "vxlan" => &[
                "",
                "",
                "exts=gbp",
                "exts=gpe packet_type=ptap",
                "exts=gpe packet_type=legacy_l3",
                "exts=gpe",
                "packet_type=legacy_l2",
            ],
            "geneve" => &["", "packet_type=legacy_l2"],
            "gtpu" => &["", "", "packet_type=legacy_l3"],
            "gre" => &[
                "",
                "seq=true",
                "packet_type=ptap",
                "packet_type=legacy_l3",
                "packet_type=legacy_l3 seq=true",
                "packet_type=legacy_l2",
            ],
            "ip6gre" => &["", "seq=true", "seq=false"],
            "erspan" | "ip6erspan" => &[
                "erspan_ver=1 erspan_idx=3",
                "erspan_ver=1 erspan_idx=0xfffff",
                "erspan_ver=1 erspan_idx=0 seq=true",
                "erspan_ver=2 erspan_dir=1 erspan_hwid=4",
                "erspan_ver=2 erspan_dir=0 erspan_hwid=3f",
                "erspan_ver=1 erspan_idx=flow",
                "erspan_ver=2 erspan_dir=flow erspan_hwid=flow",
            ],
            _ => &[
                "",
                "srv6_segs=REMOTE",
                "srv6_segs=REMOTE,2001:cafe::a",
                "srv6_segs=REMOTE,2001:cafe::a,2001:cafe::b,2001:cafe::c",
                "srv6_flowlabel=zero",
                "srv6_flowlabel=copy",
                "srv6_segs=REMOTE srv6_flowlabel=copy",
            ],
        };
        for option in pick(rng, of).replace("REMOTE", &self.remote).split_whitespace() {
            self.add(option);
        }
    }

    /// Whether it takes no packet with the key that it sends.
    fn is_deaf(&self) -> bool {
        let of = |name: &str| {
            let option = self.options.iter().find_map(|it| it.strip_prefix(name));
            option.map(|value| value.trim_start_matches('='))
        };
        let both = of("key=").map(|key| (key, key));
        let (taken, sent) =
            both.unwrap_or((of("in_key=").unwrap_or("0"), of("out_key=").unwrap_or("0")));
        // The flow says 0x77.
        let number = |key: &str| if key == "flow" { "119".to_owned() } else { key.to_owned() };
        taken != "flow" && number(taken) != number(sent)
    }

    /// What it is told, for a report.
    fn words(&self) -> String {
        format!("{} {}", self.kind, self.options.join(" "))
    }

    /// The flow into it.
    fn flow(&self) -> String {
        let Self { number, remote, .. } = self;
        let end = if self.v6 { "tun_ipv6_dst" } else { "tun_dst" };
        let end =
            if self.flow_remote { format!("set_field:{remote}->{end},") } else { String::new() };
        let erspan = if self.kind.contains("erspan") {
            "set_field:0x9->tun_erspan_idx,set_field:1->tun_erspan_dir,set_field:0x15->tun_erspan_hwid,"
        } else {
            ""
        };
        format!(
            "in_port=1,dl_src=02:00:00:00:{:02x}:{:02x},actions=set_field:0x77->tun_id,{end}{erspan}\
             output:{number}\n",
            number >> 8,
            number & 255
        )
    }
}

/// A world: tunnels, and packets into each.
struct World {
    tunnels: Vec<(Tunnel, Vec<Vec<u8>>)>,
}

impl World {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let gre =
            rng.pick(&["gre", "gre", "ip6gre", "erspan", "ip6erspan"]).copied().unwrap_or("gre");
        let mut tunnel = |number: usize| {
            let tunnel = Tunnel::draw(&mut rng, number, gre);
            let mut packets = Vec::new();
            while packets.len() < PACKETS {
                let mut frame = rules::packet(&mut rng);
                // What frames become that are not what they say is compared elsewhere.
                if frame.len() < 14 || !steps::is_whole(&frame) {
                    continue;
                }
                let [high, low] = u16::try_from(number).unwrap_or(0).to_be_bytes();
                frame.splice(6..12, [2, 0, 0, 0, high, low]);
                packets.push(frame);
            }
            (tunnel, packets)
        };
        Self { tunnels: (100..100 + TUNNELS).map(&mut tunnel).collect() }
    }

    fn configure(&self, switch: Reference) -> Result<Reference> {
        let switch = with_underlay(switch)?;
        for network in ["1.1.2.92/24", "2001:cafe::92/64"] {
            switch.appctl(&["ovs/route/add", network, "under", "pkt_mark=7"])?;
        }
        let mut words = Vec::new();
        let mut flows = String::new();
        for (tunnel, _) in &self.tunnels {
            let Tunnel { number, kind, remote, options, .. } = tunnel;
            let options: String = options.iter().map(|it| format!(" options:{it}")).collect();
            words.push(format!(
                "-- add-port {BRIDGE} t{number} -- set Interface t{number} \
                 ofport_request={number} type={kind}{options}"
            ));
            flows += &tunnel.flow();
            let (high, low) = (number >> 8, number & 255);
            flows += &format!(
                "in_port={number},actions=mod_dl_src:02:00:00:00:{high:02x}:{low:02x},output:1\n"
            );
            switch.appctl(&["tnl/neigh/set", "under", remote, "f8:bc:12:44:34:b6"])?;
        }
        let words = words.join(" ");
        // Ports that a switch refuses are in the database with the reason.
        let _ = switch.vsctl(&words.split_whitespace().skip(1).collect::<Vec<_>>());
        for flow in flows.lines() {
            switch.add_flow(BRIDGE, flow).with_context(|| flow.to_owned())?;
        }
        Ok(switch)
    }
}

/// What is compared of a trace. Where no route is for a mark, the reference leaves the mark standing.
fn traced(trace: &str) -> Vec<String> {
    let line = |line: String| match line.ends_with("set(skb_mark(0x7))") {
        true => "Datapath actions: drop".to_owned(),
        false => line,
    };
    told(trace).into_iter().map(line).collect()
}

/// What is compared of a frame that entered a tunnel.
fn plain(frame: &[u8]) -> Vec<u8> {
    without_hash(&without_sum(frame))
}

/// What the packets given to one port make another one send.
fn carried(
    switch: &Reference,
    (from, to): (&str, &str),
    packets: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>> {
    let before = switch.sent(to)?.len();
    switch.receive_frames(from, packets)?;
    Ok(switch.sent(to)?.split_off(before))
}

/// What is inside a packet of GTP-U, as the two see it.
struct InsideGtpu<'a> {
    /// The packet, if it is IP.
    ip: Option<&'a [u8]>,
    /// What the reference takes it for: it judges by the ninth octet, where ours does by the first.
    taken_for: Option<u8>,
    alike: bool,
}

fn inside_gtpu(frame: &[u8]) -> InsideGtpu<'_> {
    let at = if frame.get(12) == Some(&0x86) { 70 } else { 50 };
    let inside = frame.get(at..).unwrap_or_default();
    let version = |place: usize| {
        let version = inside.get(place).map(|octet| octet >> 4);
        version.filter(|version| matches!(version, 4 | 6))
    };
    let (own, taken_for) = (version(0), version(8));
    InsideGtpu { ip: own.map(|_| inside), taken_for, alike: own == taken_for }
}

/// What was compared, and what was found.
#[derive(Default)]
struct Found {
    traces: usize,
    entered: usize,
    left: usize,
    wrong: Vec<String>,
}

impl Found {
    fn differs(&mut self, tunnel: &Tunnel, what: &str, theirs: &impl Debug, ours: &impl Debug) {
        let words = tunnel.words();
        self.wrong.push(format!("{words}: {what}\n  {theirs:02x?}\n  {ours:02x?}"));
    }

    /// Packets into a tunnel, and what has become of them back out of it.
    fn carry(&mut self, pair: &[Reference; 2], tunnel: &Tunnel, packets: &[Vec<u8>]) -> Result<()> {
        let into = |switch| carried(switch, ("v2", "p1"), packets);
        let (theirs, ours) = (into(&pair[0])?, into(&pair[1])?);
        let compared = |frames: &[Vec<u8>]| frames.iter().map(|it| plain(it)).collect::<Vec<_>>();
        if compared(&theirs) != compared(&ours) {
            self.differs(tunnel, "into it", &theirs, &ours);
        }
        self.entered += ours.len();

        let arriving = ours.iter().map(|frame| arriving(frame));
        let alike = |frame: &Vec<u8>| tunnel.kind != "gtpu" || inside_gtpu(frame).alike;
        let (alike, apart): (Vec<_>, Vec<_>) = arriving.partition(alike);
        let out = |switch, frames: &[Vec<u8>]| carried(switch, ("p1", "v2"), frames);
        let (theirs, ours) = (out(&pair[0], &alike)?, out(&pair[1], &alike)?);
        if theirs != ours {
            self.differs(tunnel, "out of it", &theirs, &ours);
        }
        self.left += ours.len();

        let (theirs, ours) = (out(&pair[0], &apart)?, out(&pair[1], &apart)?);
        let inner: Vec<&[u8]> = apart.iter().filter_map(|frame| inside_gtpu(frame).ip).collect();
        let came: Vec<&[u8]> = ours.iter().filter_map(|frame| frame.get(14..)).collect();
        let taken = apart.iter().filter(|frame| inside_gtpu(frame).taken_for.is_some()).count();
        // A key that is not the other end's lets nothing out.
        if theirs.len() > taken || came != inner && !(came.is_empty() && tunnel.is_deaf()) {
            self.differs(
                tunnel,
                "out of it where theirs takes it for something else",
                &theirs,
                &came,
            );
        }
        self.left += ours.len();
        Ok(())
    }
}

fn compare(seed: u64, found: &mut Found) -> Result<()> {
    let world = World::draw(seed);
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let pair = [world.configure(Reference::start_newer()?)?, world.configure(ours)?];
    for (tunnel, packets) in &world.tunnels {
        let name = format!("t{}", tunnel.number);
        let error = |switch: &Reference| switch.vsctl(&["get", "Interface", &name, "error"]);
        let (theirs, ours) = (error(&pair[0])?, error(&pair[1])?);
        if theirs != ours {
            found.differs(tunnel, "error", &theirs, &ours);
            continue;
        }
        found.carry(&pair, tunnel, packets)?;
    }
    // Last: the reference takes sequence numbers for traces, too.
    for (tunnel, packets) in &world.tunnels {
        for packet in packets {
            let of = |switch: &Reference| switch.trace_frame(BRIDGE, 1, packet);
            let (theirs, ours) = (traced(&of(&pair[0])?), traced(&of(&pair[1])?));
            found.traces += 1;
            if theirs != ours {
                found.differs(tunnel, &format!("{packet:02x?}"), &theirs, &ours);
            }
        }
    }
    Ok(())
}

#[test]
fn random_tunnels_carry_random_packets_as_the_references_do() -> Result<()> {
    let rounds = asked("DP_TUNNEL_ROUNDS").unwrap_or(1);
    // What was drawn is what is drawn again, and something new each time.
    let fresh = fresh("DP_TUNNEL_SEED");
    let mut found = Found::default();
    for seed in (1..=rounds).chain([fresh]) {
        let before = found.wrong.len();
        compare(seed, &mut found)?;
        if found.wrong.len() != before {
            println!("DP_TUNNEL_SEED={seed}: {} differ", found.wrong.len() - before);
        }
    }
    let Found { traces, entered, left, wrong } = found;
    ensure!(wrong.is_empty(), "DP_TUNNEL_SEED={fresh}\n{}", wrong.join("\n"));
    println!("{traces} traces, {entered} packets that entered, {left} that came out");
    let worlds = usize::try_from(rounds)? + 1;
    ensure!(entered > 60 * worlds && left > 20 * worlds, "{entered} {left}");
    Ok(())
}
