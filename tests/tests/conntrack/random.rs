//! Connection tracking in the installed reference switch and in ours: the same packets through the
//! same flows leave as the same packets, with the same `ct_state` and mark, and the same connections
//! are there afterwards.

use anyhow::{Result, ensure};
use testkit::packets::{Icmp, Icmpv6, Packet, Tcp, tcp_flags};
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

/// State and mark are written where the wire shows them.
pub(crate) const SHOW: &str = "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],\
                    move:NXM_NX_CT_MARK[]->NXM_OF_ETH_SRC[16..47]";

pub(crate) struct Pair(pub(crate) [Reference; 2]);

impl Pair {
    pub(crate) fn start() -> Result<Self> {
        testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
        let pair = Self([Reference::start()?, Reference::start_ours()?]);
        for switch in &pair.0 {
            switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=secure"])?;
            switch.add_dummy_port("p1", 1)?;
            switch.add_dummy_port("p2", 2)?;
            switch.time_stop()?;
        }
        Ok(pair)
    }

    pub(crate) fn flows(&self, flows: &str) -> Result<()> {
        self.0.iter().try_for_each(|switch| Ok(switch.add_flows(BRIDGE, flows)?))
    }

    pub(crate) fn give(&self, port: &str, frame: &[u8]) -> Result<()> {
        self.0.iter().try_for_each(|switch| Ok(switch.receive_frame(port, frame)?))
    }

    /// Frames that left and connections that are there, sorted.
    pub(crate) fn agree(&self) -> Result<()> {
        for port in ["p1", "p2"] {
            let [theirs, ours] = self.0.each_ref().map(|switch| switch.sent(port));
            let (theirs, ours) = (theirs?, ours?);
            for (nth, (one, other)) in theirs.iter().zip(&ours).enumerate() {
                ensure!(one == other, "{port}, frame {nth}:\n{one:02x?}\n{other:02x?}");
            }
            ensure!(theirs.len() == ours.len(), "{port}: {} and {}", theirs.len(), ours.len());
        }
        self.say_alike(&["dpctl/dump-conntrack", "-m"])
    }

    /// What a command says, lines sorted.
    pub(crate) fn say_alike(&self, words: &[&str]) -> Result<()> {
        let [theirs, ours] = self.0.each_ref().map(|switch| {
            let text = switch.appctl(words)?;
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            anyhow::Ok(lines)
        });
        let (theirs, ours) = (theirs?, ours?);
        for (one, other) in theirs.iter().zip(&ours) {
            ensure!(one == other, "\n{one}\n{other}");
        }
        ensure!(theirs.len() == ours.len(), "{theirs:#?}\n{ours:#?}");
        Ok(())
    }
}

/// What comes from the first side is committed when it is new; everything goes to the other side.
fn stateful(nat: &str) -> String {
    let mut out = String::from("table=0,priority=0,actions=drop\n");
    for (ip, zone) in [("ip", 5), ("ipv6", 6)] {
        let nat_in = if nat.is_empty() || ip == "ipv6" { "" } else { ",nat" };
        let nat = if ip == "ipv6" { "" } else { nat };
        out += &format!(
            "table=0,priority=1,{ip},actions=ct(table=1,zone={zone}{nat_in})\n\
             table=1,priority=2,in_port=1,ct_state=+new-inv+trk,{ip},\
             actions=ct(commit,zone={zone}{nat},table=2,exec(set_field:0x7->ct_mark))\n\
             table=1,priority=1,{ip},actions=goto_table:2\n\
             table=2,in_port=1,{ip},actions={SHOW},2\n\
             table=2,in_port=2,{ip},actions={SHOW},1\n"
        );
    }
    out
}

/// One packet of a few connections, sound or not, from either side.
fn packet(rng: &mut Rng, public: Option<&str>) -> (&'static str, Vec<u8>) {
    let first = rng.bool();
    let host = rng.below(3) + 1;
    let port = u16::try_from(host * 1000 + rng.below(3)).unwrap_or(1);
    let v6 = rng.one_in(3);
    let (client, server) = if v6 {
        (format!("fc00::{host}"), "fc00::99".to_owned())
    } else {
        let client = match public {
            Some(public) if !first => public.to_owned(),
            _ => format!("10.0.0.{host}"),
        };
        (client, "10.0.0.99".to_owned())
    };
    let (src, dst) = if first { (&client, &server) } else { (&server, &client) };
    let packet = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02");
    let packet = if v6 {
        packet.ipv6(src.as_str(), dst.as_str())
    } else {
        packet.ipv4(src.as_str(), dst.as_str())
    };
    let (sport, dport) = if first { (port, 80) } else { (80, port) };
    let packet = match rng.below(4) {
        0 => packet.udp(sport, dport),
        1 if v6 && first => packet.layer(Icmpv6::echo_request(port, 1)),
        1 if v6 => packet.layer(Icmpv6::echo_reply(port, 1)),
        1 if first => packet.layer(Icmp::echo_request(port, 1)),
        1 => packet.layer(Icmp::echo_reply(port, 1)),
        _ => {
            let flags = [
                tcp_flags::SYN,
                tcp_flags::SYN | tcp_flags::ACK,
                tcp_flags::ACK,
                tcp_flags::ACK | tcp_flags::PSH,
                tcp_flags::ACK | tcp_flags::FIN,
                tcp_flags::RST,
                tcp_flags::FIN,
            ];
            // A connection that comes again at once has its port back here, and another one there.
            let usual = if public.is_some() { &flags[..4] } else { &flags[..] };
            // Of a simultaneous open we know where the second SYN stands; the reference does not, and
            // takes what follows for invalid where numbers are far apart.
            let usual = if first { usual } else { &usual[1..] };
            let flags = rng.pick(usual).copied().unwrap_or(0);
            let near = |rng: &mut Rng, base: u32| base + u32::try_from(rng.below(4)).unwrap_or(0);
            let [mine, theirs] = if first { [1000, 5000] } else { [5000, 1000] };
            let (sequence, acknowledgment) = (near(rng, mine), near(rng, theirs));
            packet.layer(Tcp { flags, sequence, acknowledgment, ..Tcp::new(sport, dport) })
        }
    };
    let mut frame = packet.payload(b"data").build();
    if rng.one_in(12)
        && let Some(last) = frame.last_mut()
    {
        // The checksum no longer fits.
        *last ^= 1;
    }
    (if first { "p1" } else { "p2" }, frame)
}

fn random_packets(nat: &str, public: Option<&str>) -> Result<()> {
    let pair = Pair::start()?;
    pair.flows(&stateful(nat))?;
    let mut seeded = Seeded::new(0xc0_77ac);
    for _ in 0..150 {
        let (port, frame) = packet(&mut seeded, public);
        pair.give(port, &frame)?;
    }
    pair.agree()
}

#[test]
fn random_packets_have_the_same_states_and_leave_the_same_connections() -> Result<()> {
    random_packets("", None)
}

#[test]
fn random_packets_are_translated_alike() -> Result<()> {
    random_packets(",nat(src=10.0.0.200)", Some("10.0.0.200"))
}

#[test]
fn commands_about_connections_answer_alike() -> Result<()> {
    let pair = Pair::start()?;
    for words in [
        &["dpctl/ct-set-limits", "default=10", "zone=1,limit=5"][..],
        &["dpctl/ct-get-limits"],
        &["dpctl/ct-get-limits", "zone=1,7"],
        &["dpctl/ct-del-limits", "zone=1"],
        &["dpctl/ct-get-limits"],
        &["dpctl/ct-get-maxconns"],
        &["dpctl/ct-set-maxconns", "17"],
        &["dpctl/ct-get-maxconns"],
        &["dpctl/ct-get-nconns"],
        &["dpctl/ct-disable-tcp-seq-chk"],
        &["dpctl/ct-get-tcp-seq-chk"],
        &["dpctl/ct-stats-show"],
        &["dpctl/flush-conntrack", "zone=3"],
        &["dpctl/flush-conntrack", "ct_nw_src=10.0.0.1,ct_nw_proto=17"],
        &["dpctl/ipf-set-min-frag", "v4", "500"],
        &["dpctl/ipf-set-max-nfrags", "500"],
        &["dpctl/ipf-set-disabled", "v6"],
        &["dpctl/ipf-get-status"],
    ] {
        let [theirs, ours] = pair.0.each_ref().map(|switch| switch.appctl(words));
        let (theirs, ours) = (theirs?, ours?);
        ensure!(theirs == ours, "{words:?}:\n{theirs}\n{ours}");
    }
    for words in [
        &["dpctl/ct-set-limits", "zone=1"][..],
        &["dpctl/ct-set-maxconns", "x"],
        &["dpctl/flush-conntrack", "ct_nw_src=1"],
        &["dpctl/flush-conntrack", "ct_nw_src=10.0.0.1,foo=1"],
        &["dpctl/ipf-set-min-frag", "v4", "10"],
        &["dpctl/ipf-set-enabled", "v5"],
        &["dpctl/dump-conntrack", "nosuch"],
    ] {
        for switch in &pair.0 {
            ensure!(switch.appctl(words).is_err(), "{words:?} is refused");
        }
    }
    Ok(())
}
