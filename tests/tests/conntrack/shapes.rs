//! The reference and ours side by side on what random packets seldom are: errors about translated
//! packets, a protocol without ports, pieces. SCTP is not among them: the installed release does not
//! look at its ports.

use anyhow::{Context, Result};
use testkit::packets::{Icmp, Icmpv6, Ipv4, Packet, Tcp, fragment, tcp_flags};
use testkit::seed::{Rng, Seeded};

use super::random::{Pair, SHOW};

/// A host on each side and who is between them, by family.
pub(crate) struct Ends {
    pub(crate) client: &'static str,
    pub(crate) server: &'static str,
    pub(crate) router: &'static str,
}

pub(crate) const V4: Ends = Ends { client: "10.0.0.1", server: "10.0.0.99", router: "10.0.0.254" };
pub(crate) const V6: Ends = Ends { client: "fc00::1", server: "fc00::99", router: "fc00::fe" };

fn ip(src: &str, dst: &str) -> Packet {
    let packet = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02");
    if src.contains(':') { packet.ipv6(src, dst) } else { packet.ipv4(src, dst) }
}

/// An ICMP error from a router that quotes the beginning of a frame's packet.
pub(crate) fn error(ends: &Ends, dst: &str, quoted: &[u8], rng: &mut Rng) -> Vec<u8> {
    let body = quoted.get(14..).unwrap_or_default();
    let len = if rng.bool() {
        body.len()
    } else {
        body.len().min(if dst.contains(':') { 60 } else { 28 })
    };
    let body = body.get(..len).unwrap_or_default();
    let packet = ip(ends.router, dst);
    if dst.contains(':') {
        let error = match rng.below(3) {
            0 => Icmpv6::unreachable(4),
            1 => Icmpv6::packet_too_big(1280),
            _ => Icmpv6::time_exceeded(0),
        };
        packet.layer(error).payload(body).build()
    } else {
        let error = match rng.below(3) {
            0 => Icmp::unreachable(3, 0),
            1 => Icmp::unreachable(4, 1400),
            _ => Icmp::time_exceeded(0),
        };
        packet.layer(error).payload(body).build()
    }
}

/// A packet of one of a few connections, from either side; the other side knows the client as
/// `public` and the server as `real`.
fn packet(rng: &mut Rng, ends: &Ends, public: &str, real: &str) -> (&'static str, Vec<u8>) {
    let first = rng.bool();
    let port = u16::try_from(1000 + rng.below(4)).unwrap_or(1);
    let (src, dst) = if first { (ends.client, ends.server) } else { (real, public) };
    let (sport, dport) = if first { (port, 80) } else { (80, port) };
    let v6 = src.contains(':');
    let packet = ip(src, dst);
    let packet = match rng.below(4) {
        0 => packet.udp(sport, dport),
        // The installed release does not look at SCTP's ports; a protocol without any is there.
        1 if !v6 => Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02")
            .layer(Ipv4 { protocol: Some(47), ..Ipv4::new(src, dst) }),
        1 | 2 if v6 && first => packet.layer(Icmpv6::echo_request(port, 1)),
        1 | 2 if v6 => packet.layer(Icmpv6::echo_reply(port, 1)),
        1 | 2 if first => packet.layer(Icmp::echo_request(port, 1)),
        1 | 2 => packet.layer(Icmp::echo_reply(port, 1)),
        _ => {
            let flags = if first { tcp_flags::SYN } else { tcp_flags::SYN | tcp_flags::ACK };
            let (sequence, acknowledgment) = if first { (1000, 0) } else { (5000, 1001) };
            packet.layer(Tcp { flags, sequence, acknowledgment, ..Tcp::new(sport, dport) })
        }
    };
    let packet = packet.payload(b"data");
    (if first { "p1" } else { "p2" }, packet.build())
}

/// New ones from the first side are committed; packets of one family in one zone.
fn stateful(nat: &str) -> String {
    let mut out = String::from("table=0,priority=0,actions=drop\n");
    for family in ["ip", "ipv6"] {
        let nat = if (family == "ipv6") == nat.contains(':') { nat } else { "" };
        out += &format!(
            "table=0,priority=1,{family},actions=ct(table=1,zone=5,nat)\n\
             table=1,priority=2,in_port=1,ct_state=+new-inv+trk,{family},\
             actions=ct(commit,zone=5{nat},table=2,exec(set_field:0x7->ct_mark,\
             set_field:0x12345678000000000000000000000009/0xffffffff00000000000000000000000f->ct_label))\n\
             table=1,priority=1,{family},actions=goto_table:2\n\
             table=2,in_port=1,{family},actions={SHOW},2\n\
             table=2,in_port=2,{family},actions={SHOW},1\n"
        );
    }
    out
}

fn random(nat: &str, ends: &Ends, public: &str, real: &str, seed: u64) -> Result<()> {
    let pair = Pair::start()?;
    pair.flows(&stateful(nat))?;
    let mut rng = Seeded::new(seed);
    let mut given: Vec<(&str, Vec<u8>)> = Vec::new();
    for _ in 0..120 {
        let (port, frame) = if rng.one_in(3) && !given.is_empty() {
            // What one side has sent comes back as a quotation, as that side sent it or, from beyond
            // the switch, as it left.
            let (port, quoted) = rng.pick(&given).context("a frame")?.clone();
            let at = rng.below(2);
            if port == "p1" && at == 0 {
                let left = pair.0[0].sent("p2")?;
                let left = rng.pick(&left).context("a frame")?.clone();
                ("p2", error(ends, public, &left, &mut rng))
            } else if port == "p2" && at == 0 {
                let left = pair.0[0].sent("p1")?;
                let left = rng.pick(&left).context("a frame")?.clone();
                ("p1", error(ends, ends.server, &left, &mut rng))
            } else if port == "p1" {
                ("p2", error(ends, public, &quoted, &mut rng))
            } else {
                ("p1", error(ends, ends.server, &quoted, &mut rng))
            }
        } else {
            packet(&mut rng, ends, public, real)
        };
        pair.give(port, &frame)?;
        if pair.0[0].sent("p1")?.is_empty() || pair.0[0].sent("p2")?.is_empty() {
            continue;
        }
        given.push((port, frame));
    }
    pair.agree()
}

#[test]
fn errors_about_connections_are_related_alike() -> Result<()> {
    random("", &V4, V4.client, V4.server, 1)?;
    random("", &V6, V6.client, V6.server, 2)
}

#[test]
fn errors_about_translated_sources_are_translated_alike() -> Result<()> {
    // Of IPv6 the reference writes the correction over the MTU, and leaves the checksum as it was.
    random(",nat(src=10.0.0.200)", &V4, "10.0.0.200", V4.server, 3)
}

#[test]
fn errors_about_translated_destinations_are_translated_alike() -> Result<()> {
    random(",nat(dst=10.0.0.50)", &V4, V4.client, "10.0.0.50", 5)
}

#[test]
fn pieces_wait_and_go_on_alike() -> Result<()> {
    for (nat, ends, public) in [
        ("", &V4, V4.client),
        ("", &V6, V6.client),
        (",nat(src=10.0.0.200)", &V4, "10.0.0.200"),
        (",nat(src=fc00::200)", &V6, "fc00::200"),
    ] {
        let pair = Pair::start()?;
        pair.flows(&stateful(nat))?;
        for switch in &pair.0 {
            switch.appctl(&["dpctl/ipf-set-min-frag", "v4", "400"])?;
            switch.appctl(&["dpctl/ipf-set-min-frag", "v6", "400"])?;
        }
        let mut rng = Seeded::new(7);
        for id in 0..7u32 {
            let first = rng.one_in(3) || id == 0;
            let (src, dst, sport, dport) = if first {
                (ends.client, ends.server, 1000, 80)
            } else {
                (ends.server, public, 80, 1000)
            };
            let len = usize::try_from(1200 + rng.below(1500))?;
            let number = u16::try_from(id + 1)?;
            let packet = if src.contains(':') {
                ip(src, dst)
            } else {
                let header = Ipv4 { id: number, ..Ipv4::new(src, dst) };
                Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02").layer(header)
            };
            let whole = packet.udp(sport, dport).payload(vec![b'x'; len]).build();
            let mut pieces = fragment(&whole, 500 + 8 * usize::try_from(rng.below(40))?, id + 1)?;
            if rng.bool() {
                rng.shuffle(&mut pieces);
            }
            if rng.one_in(5) {
                // One is lost, or comes twice.
                let at = rng.index(pieces.len());
                if rng.bool() {
                    pieces.remove(at);
                } else {
                    pieces.push(pieces.get(at).context("a piece")?.clone());
                }
            }
            for piece in &pieces {
                pair.give(if first { "p1" } else { "p2" }, piece)?;
            }
        }
        pair.agree()?;
        pair.say_alike(&["dpctl/ipf-get-status"])?;
    }
    Ok(())
}
