//! Flows and packets drawn at random, in the installed reference and in ours: zones one behind another,
//! every form of translation whose choice is determined, marks and labels under masks, commits again and
//! by force, errors that quote what was sent. The same packets leave, with the same state, mark and
//! label, and the same connections are there.
//!
//! Some worlds are the same every time, some are new: `DP_CT_ROUNDS` says how many. The number that they
//! are drawn from is printed, and `DP_CT_SEED` draws them again:
//!
//! ```sh
//! DP_CT_ROUNDS=50 cargo test -p dp-tests --test conntrack mixed
//! ```

use std::fmt::Write;

use anyhow::{Context, Result};
use testkit::packets::{Icmp, Icmpv6, Ipv4, Ipv6, Packet, Tcp, tcp_flags};
use testkit::reference::BRIDGE;
use testkit::seed::{Rng, asked, fresh};

use super::random::{Pair, SHOW};
use super::shapes::{Ends, V4, V6, error};

/// Packets of a world.
const PACKETS: usize = 40;
/// Traffic classes that flows take for a sign: to commit again, and by force.
const AGAIN: u8 = 8;
const FORCE: u8 = 4;

/// What flows do to the packets of one family.
struct World {
    ends: &'static Ends,
    /// The translation of new connections, and what both sides are known by behind it.
    nat: String,
    /// Whether packets of connections that are there are translated as those are.
    follows: bool,
    public: &'static str,
    real: &'static str,
    zone: u64,
    second: Option<u64>,
    marks: [String; 2],
}

/// A value and a mask that covers it.
fn masked(rng: &mut Rng, bits: u32) -> String {
    let mut part = || (u128::from(rng.u64()) << 64 | u128::from(rng.u64())) >> (128 - bits);
    let (value, mask) = (part(), part());
    format!("{:#x}/{mask:#x}", value & mask)
}

fn marks(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => String::new(),
        1 => format!(",exec(set_field:{:#x}->ct_mark)", rng.u32()),
        2 => format!(",exec(set_field:{}->ct_label)", masked(rng, 128)),
        _ => {
            let (mark, label) = (masked(rng, 32), masked(rng, 128));
            format!(",exec(set_field:{mark}->ct_mark,set_field:{label}->ct_label)")
        }
    }
}

impl World {
    fn new(rng: &mut Rng) -> Self {
        let v6 = rng.bool();
        let ends = if v6 { &V6 } else { &V4 };
        let (public, real) =
            if v6 { ("fc00::200", "fc00::50") } else { ("10.0.0.200", "10.0.0.50") };
        let bracketed =
            |address: &str| if v6 { format!("[{address}]") } else { address.to_owned() };
        let (to, from) = (bracketed(real), bracketed(public));
        // Ports are unique among clients, so each keeps its own. Of a range of ports each switch takes one
        // by a hash of its own.
        let way = rng.below(9);
        let (nat, public, real) = match way {
            0 | 1 => (String::new(), ends.client, ends.server),
            2 => (format!(",nat(src={from})"), public, ends.server),
            3 => (format!(",nat(src={from},random)"), public, ends.server),
            4 => (format!(",nat(src={from}-{from},persistent)"), public, ends.server),
            5 => (format!(",nat(src={from},hash)"), public, ends.server),
            6 => (format!(",nat(dst={to})"), ends.client, real),
            7 => (format!(",nat(dst={to}:80)"), ends.client, real),
            // To commit with a bare `nat` makes the reference expect answers from address zero, and the
            // next one ends it.
            _ => (String::new(), ends.client, ends.server),
        };
        let follows = way > 1;
        let zone = 1 + rng.below(3);
        let second = rng.bool().then(|| 10 + rng.below(2));
        Self { ends, nat, follows, public, real, zone, second, marks: [marks(rng), marks(rng)] }
    }

    fn v6(&self) -> bool {
        self.ends.client.contains(':')
    }

    fn translates(&self) -> bool {
        self.nat.contains('=')
    }

    fn flows(&self) -> Result<String> {
        let family = if self.v6() { "ipv6" } else { "ip" };
        let Self { nat, follows, zone, marks: [first, other], .. } = self;
        let nat_in = if *follows { ",nat" } else { "" };
        let mut out = format!(
            "table=0,priority=0,actions=drop\n\
             table=0,priority=1,{family},actions=ct(table=1,zone={zone}{nat_in})\n\
             table=1,priority=2,in_port=1,ct_state=+new-inv+trk,{family},\
             actions=ct(commit,zone={zone},table=2{nat}{first})\n\
             table=1,priority=2,ct_state=+est+trk,{family},nw_tos={AGAIN},\
             actions=ct(commit,zone={zone},table=2{nat_in}{other})\n\
             table=1,priority=1,{family},actions=goto_table:2\n"
        );
        if !self.translates() {
            // Whoever sends it becomes the one who began.
            writeln!(
                out,
                "table=1,priority=3,ct_state=-inv-rel+trk,{family},nw_tos={FORCE},\
                 actions=ct(commit,force,zone={zone},table=2{other})"
            )?;
        }
        if let Some(zone) = self.second {
            writeln!(
                out,
                "table=2,priority=2,in_port=1,ct_state=-inv+trk,{family},\
                 actions=ct(commit,zone={zone},table=3{other})\n\
                 table=2,priority=1,{family},actions=ct(zone={zone},table=3)"
            )?;
        } else {
            writeln!(out, "table=2,{family},actions=goto_table:3")?;
        }
        let label = "move:NXM_NX_CT_LABEL[0..31]->NXM_OF_ETH_DST[0..31]";
        for (from, to) in [(1, 2), (2, 1)] {
            writeln!(out, "table=3,in_port={from},{family},actions={SHOW},{label},{to}")?;
        }
        Ok(out)
    }

    /// A packet of one of a few connections, from either side.
    fn packet(&self, rng: &mut Rng) -> (&'static str, Vec<u8>) {
        let first = rng.bool();
        let port = u16::try_from(1000 + rng.below(5)).unwrap_or(1);
        let (src, dst) =
            if first { (self.ends.client, self.ends.server) } else { (self.real, self.public) };
        let (sport, dport) = if first { (port, 80) } else { (80, port) };
        let class = rng.pick(&[0, 0, 0, AGAIN, FORCE]).copied().unwrap_or(0);
        let kind = rng.below(4);
        // Of a SYN from the side that answers the reference keeps no numbers, ours does, and what follows
        // is judged by them. So whoever sends SYNs begins every connection of TCP.
        let class = if kind > 1 && !first && class == FORCE { 0 } else { class };
        let packet = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02");
        let packet = if self.v6() {
            packet.layer(Ipv6 { traffic_class: class, ..Ipv6::new(src, dst) })
        } else {
            packet.layer(Ipv4 { tos: class, ..Ipv4::new(src, dst) })
        };
        let packet = match (kind, self.v6(), first) {
            (0, ..) => packet.udp(sport, dport),
            (1, true, true) => packet.layer(Icmpv6::echo_request(port, 1)),
            (1, true, false) => packet.layer(Icmpv6::echo_reply(port, 1)),
            (1, false, true) => packet.layer(Icmp::echo_request(port, 1)),
            (1, false, false) => packet.layer(Icmp::echo_reply(port, 1)),
            _ => {
                let syn = if first { tcp_flags::SYN } else { tcp_flags::SYN | tcp_flags::ACK };
                let (sequence, acknowledgment) = if first { (1000, 0) } else { (5000, 1001) };
                let tcp = if rng.bool() {
                    Tcp { flags: syn, sequence, acknowledgment, ..Tcp::new(sport, dport) }
                } else {
                    let (sequence, acknowledgment) =
                        if first { (1001, 5001) } else { (5001, 1001) };
                    let flags = tcp_flags::ACK | tcp_flags::PSH;
                    Tcp { flags, sequence, acknowledgment, ..Tcp::new(sport, dport) }
                };
                packet.layer(tcp)
            }
        };
        (if first { "p1" } else { "p2" }, packet.payload(b"data").build())
    }

    /// An error about one of the packets that have been given or, where addresses are translated, of
    /// those that have left: from a router on the side that the packet went to.
    fn error(
        &self,
        rng: &mut Rng,
        pair: &Pair,
        given: &[(&'static str, Vec<u8>)],
    ) -> Result<Option<(&'static str, Vec<u8>)>> {
        let Some((port, frame)) = rng.pick(given) else { return Ok(None) };
        let (back, to) = if *port == "p1" { ("p2", self.public) } else { ("p1", self.ends.server) };
        // Now and then it goes to one who sent nothing.
        let to = if rng.one_in(8) { self.ends.router } else { to };
        if !self.translates() {
            return Ok(Some((back, error(self.ends, to, frame, rng))));
        }
        let left = pair.0[0].sent(back)?;
        let quoted = rng.pick(&left);
        Ok(quoted.map(|quoted| (back, error(self.ends, to, quoted, rng))))
    }

    fn play(&self, pair: &Pair, rng: &mut Rng) -> Result<()> {
        for switch in &pair.0 {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.appctl(&["dpctl/flush-conntrack"])?;
        }
        pair.flows(&self.flows()?)?;
        for switch in &pair.0 {
            // Under a stopped clock the reference would go on with megaflows of the world before.
            switch.appctl(&["revalidator/purge"])?;
        }
        let mut given = Vec::new();
        for _ in 0..PACKETS {
            // Errors about translated packets of IPv6 leave the reference with a wrong checksum.
            let errors = !(self.v6() && self.translates());
            let error = if errors && rng.one_in(5) { self.error(rng, pair, &given)? } else { None };
            let (port, frame) = match error {
                Some(error) => error,
                None => {
                    let packet = self.packet(rng);
                    given.push(packet.clone());
                    packet
                }
            };
            pair.give(port, &frame)?;
        }
        pair.agree()
    }
}

#[test]
fn worlds_drawn_at_random_are_tracked_alike() -> Result<()> {
    let fresh = fresh("DP_CT_SEED");
    let rounds = asked("DP_CT_ROUNDS").unwrap_or(2);
    let pair = Pair::start()?;
    for seed in (0..3).chain((0..rounds).map(|nth| fresh.wrapping_add(nth << 32))) {
        let mut rng = Rng::new(seed ^ 0xc0_77ac);
        let world = World::new(&mut rng);
        world.play(&pair, &mut rng).with_context(|| {
            format!("DP_CT_SEED={fresh}, {seed}:\n{}", world.flows().unwrap_or_default())
        })?;
    }
    Ok(())
}
