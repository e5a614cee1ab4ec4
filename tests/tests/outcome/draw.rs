//! Tables with every action in them, and packets for them.

use testkit::packets::{Arp, Icmp, Icmpv6, Ipv4, Ipv6, Mac, Mpls, Packet, Vlan};
use testkit::seed::Rng;

/// Ports of the bridge, numbered from 1.
pub(super) const PORTS: u64 = 4;
/// Tables that packets go through.
pub(super) const TABLES: u64 = 4;

/// Groups and flows, a line each.
pub(super) struct Tables {
    pub(super) groups: Vec<String>,
    pub(super) flows: Vec<String>,
}

/// What a match says of the packet's kind, and so which actions make sense.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Ipv4,
    Ipv6,
    Tcp,
    Udp6,
    Icmp,
    Nd,
    Arp,
    Vlan,
    Mpls,
}

const KINDS: [(Kind, &str); 10] = [
    (Kind::Any, ""),
    (Kind::Ipv4, "ip"),
    (Kind::Ipv6, "ipv6"),
    (Kind::Tcp, "tcp"),
    (Kind::Udp6, "udp6"),
    (Kind::Icmp, "icmp"),
    (Kind::Nd, "icmp6,icmp_type=135,icmp_code=0"),
    (Kind::Arp, "arp"),
    (Kind::Vlan, "vlan_tci=0x1000/0x1000"),
    (Kind::Mpls, "mpls"),
];

fn pick(rng: &mut Rng, from: &[&str]) -> String {
    rng.pick(from).copied().unwrap_or_default().to_owned()
}

fn port(rng: &mut Rng) -> u64 {
    1 + rng.below(PORTS)
}

fn matching(rng: &mut Rng) -> (String, Kind) {
    let (kind, words) = rng.pick(&KINDS).copied().unwrap_or((Kind::Any, ""));
    let mut parts: Vec<String> =
        Some(words.to_owned()).filter(|it| !it.is_empty()).into_iter().collect();
    if rng.one_in(5) {
        parts.push(format!("in_port={}", port(rng)));
    }
    if rng.one_in(6) {
        parts.push(format!("reg{}={}", rng.below(3), rng.below(3)));
    }
    if rng.one_in(8) {
        parts
            .push(pick(rng, &["metadata=0x5/0xf", "metadata=0", "xreg2=0x1/0x1", "xxreg1=0/0xff"]));
    }
    if rng.one_in(8) {
        parts.push("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00".to_owned());
    }
    let more: &[&str] = match kind {
        Kind::Ipv4 => &["ip_frag=no", "nw_tos=0xb8", "nw_ttl=64", "nw_ecn=0", "nw_dst=10.0.0.0/16"],
        Kind::Tcp => {
            &["tcp_flags=+syn-ack", "tp_dst=80", "tp_src=0x3e8/0xfff8", "nw_dst=10.0.0.0/9"]
        }
        Kind::Ipv6 => &["ipv6_label=0x12345/0xff", "ipv6_dst=fd00::/15", "nw_ttl=64", "ip_frag=no"],
        Kind::Udp6 => &["tp_dst=53", "ipv6_src=fd00::1/ffff::3"],
        Kind::Arp => &["arp_op=1", "arp_spa=10.0.0.0/8", "arp_tha=00:00:00:00:00:00"],
        Kind::Nd => &["nd_target=fd00::/16"],
        Kind::Mpls => &["mpls_bos=1", "mpls_bos=0", "mpls_tc=0"],
        Kind::Vlan => &["dl_vlan_pcp=3", "dl_vlan=10"],
        Kind::Any | Kind::Icmp => &[],
    };
    if rng.one_in(3) {
        parts.extend(rng.pick(more).map(|&it| it.to_owned()));
    }
    (parts.join(","), kind)
}

/// Actions for any packet.
fn common(rng: &mut Rng) -> String {
    match rng.below(24) {
        0..=5 => format!("output:{}", port(rng)),
        6 => format!("output(port={},max_len={})", port(rng), 14 + rng.below(100)),
        7 => format!(
            "set_field:02:00:00:00:00:0{}->eth_{}",
            rng.below(9),
            pick(rng, &["src", "dst"])
        ),
        8 => "set_field:01:00:00:00:00:00/01:00:00:00:00:00->eth_dst".to_owned(),
        9 => format!(
            "load:{}->NXM_NX_REG{}[{}..{}]",
            rng.below(4),
            rng.below(3),
            0,
            1 + rng.below(20)
        ),
        10 => pick(
            rng,
            &[
                "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[16..31]",
                "move:NXM_NX_REG0[0..7]->NXM_OF_ETH_DST[8..15]",
                "move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
                "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
            ],
        ),
        11 => pick(rng, &["push_vlan:0x8100", "push_vlan:0x88a8"]),
        12 => format!("set_field:{}->vlan_vid", 4096 + rng.below(4096)),
        13 => pick(rng, &["strip_vlan", "pop_vlan", "set_field:5->vlan_pcp", "mod_vlan_pcp:2"]),
        14 => "push:NXM_OF_ETH_SRC[],push:NXM_NX_REG0[],pop:NXM_NX_REG2[],pop:NXM_OF_ETH_DST[]"
            .to_owned(),
        15 => format!("output:NXM_NX_REG{}[0..1]", rng.below(3)),
        16 => format!("set_field:{}/0xff->metadata", rng.below(9)),
        17 => format!(
            "multipath(symmetric_l4,{},modulo_n,{},0,NXM_NX_REG0[0..3])",
            rng.below(99),
            2 + rng.below(5)
        ),
        18 => format!(
            "bundle({},{},hrw,ofport,members:1,2,3)",
            pick(rng, &["eth_src", "symmetric_l4", "nw_src"]),
            rng.below(20)
        ),
        19 => format!("check_pkt_larger({})->NXM_NX_REG{}[0]", 40 + rng.below(80), rng.below(3)),
        20 => pick(rng, &["IN_PORT", "FLOOD", "ALL"]),
        21 => format!("enqueue:{}:{}", port(rng), rng.below(3)),
        22 => pick(
            rng,
            &["set_queue:3", "pop_queue", "note:01.02", "set_field:7->pkt_mark", "ct_clear"],
        ),
        _ => "drop_nothing".to_owned(),
    }
}

/// Actions that a kind of packet has alone.
fn own(rng: &mut Rng, kind: Kind) -> Option<String> {
    let ip4 = ["set_field:10.9.8.7->ip_src", "set_field:0.0.0.9/0.0.0.255->ip_dst"];
    let any_ip = [
        "dec_ttl",
        "set_field:9->nw_ttl",
        "set_field:11->ip_dscp",
        "set_field:1->nw_ecn",
        "mod_nw_tos:32",
    ];
    let tcp = ["set_field:4444->tcp_src", "set_field:0x10/0xf0->tcp_dst", "mod_tp_dst:99"];
    let ip6 = [
        "set_field:fd99::1->ipv6_src",
        "set_field:::9/::ff->ipv6_dst",
        "set_field:0x54321->ipv6_label",
    ];
    let arp = [
        "set_field:2->arp_op",
        "set_field:10.7.7.7->arp_spa",
        "set_field:0.0.0.1/0.0.0.255->arp_tpa",
        "set_field:02:00:00:00:00:77->arp_sha",
        "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
    ];
    let nd = ["set_field:fd77::7->nd_target", "set_field:02:00:00:00:00:77->nd_sll"];
    let mpls = [
        "set_field:77->mpls_label",
        "set_field:5->mpls_tc",
        "set_mpls_ttl(9)",
        "dec_mpls_ttl",
        "pop_mpls:0x0800",
        "pop_mpls:0x8847",
        "push_mpls:0x8848",
    ];
    let mut choices: Vec<&str> = Vec::new();
    if matches!(kind, Kind::Ipv4 | Kind::Tcp | Kind::Icmp) {
        choices.extend(ip4);
        choices.push("push_mpls:0x8847");
    }
    if matches!(kind, Kind::Ipv6 | Kind::Udp6 | Kind::Nd) {
        choices.extend(ip6);
    }
    if matches!(kind, Kind::Ipv4 | Kind::Tcp | Kind::Icmp | Kind::Ipv6 | Kind::Udp6) {
        choices.extend(any_ip);
    }
    choices.extend(match kind {
        Kind::Tcp => &tcp[..],
        Kind::Udp6 => &["set_field:5353->udp_dst", "set_field:0x3/0xf->udp_src"][..],
        Kind::Icmp => &["set_field:3->icmp_type", "set_field:1->icmp_code"][..],
        Kind::Arp => &arp[..],
        Kind::Nd => &nd[..],
        Kind::Mpls => &mpls[..],
        Kind::Vlan => &["pop_vlan", "set_field:4107->vlan_vid", "set_field:1->vlan_pcp"][..],
        _ => &[],
    });
    rng.pick(&choices).map(|&it| it.to_owned())
}

fn simple(rng: &mut Rng, kind: Kind) -> String {
    if rng.bool()
        && let Some(own) = own(rng, kind)
    {
        return own;
    }
    match common(rng) {
        none if none == "drop_nothing" => format!("output:{}", port(rng)),
        some => some,
    }
}

/// An action of any kind, for TCP if for one.
pub(super) fn any(rng: &mut Rng) -> String {
    simple(rng, Kind::Tcp)
}

fn several(rng: &mut Rng, kind: Kind, most: u64) -> String {
    let count = 1 + rng.below(most);
    (0..count).map(|_| simple(rng, kind)).collect::<Vec<_>>().join(",")
}

fn action(rng: &mut Rng, kind: Kind, table: u64) -> String {
    let later = (table + 1 < TABLES).then(|| table + 1 + rng.below(TABLES - table - 1));
    match (rng.below(20), later) {
        (0..=9, _) => simple(rng, kind),
        (10..=12, Some(later)) => format!("resubmit(,{later})"),
        (13, Some(later)) => format!("resubmit({},{later})", port(rng)),
        (14, _) => format!("group:{}", 1 + rng.below(4)),
        (15, _) => format!("clone({})", several(rng, kind, 3)),
        (16, Some(later)) if kind != Kind::Any => format!(
            "ct({}table={later},zone={})",
            pick(rng, &["", "commit,", "commit,exec(set_field:5->ct_mark),"]),
            rng.below(3)
        ),
        (17, _) => format!(
            "learn(table={},priority={},NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->\
             NXM_NX_REG0[0..15],output:NXM_OF_IN_PORT[])",
            TABLES - 1,
            30_000 + rng.below(9)
        ),
        (18, _) => "exit".to_owned(),
        _ => simple(rng, kind),
    }
}

/// The actions and instructions of a flow.
fn list(rng: &mut Rng, kind: Kind, table: u64) -> String {
    let count = rng.below(6);
    let mut all: Vec<String> = (0..count).map(|_| action(rng, kind, table)).collect();
    if rng.one_in(6) {
        all.push("clear_actions".to_owned());
    }
    if rng.one_in(4) {
        let set = several(rng, kind, 2);
        let out = port(rng);
        all.push(format!("write_actions({set},output:{out})"));
    }
    if rng.one_in(6) {
        all.push(format!("write_metadata:{}/0xf", rng.below(16)));
    }
    if table + 1 < TABLES && rng.bool() {
        all.push(format!("goto_table:{}", table + 1 + rng.below(TABLES - table - 1)));
    }
    if all.is_empty() { "drop".to_owned() } else { all.join(",") }
}

pub(super) fn tables(rng: &mut Rng) -> Tables {
    let mut bucket = |id: u64, extra: &str| {
        let (actions, out) = (several(rng, Kind::Any, 2), port(rng));
        format!("bucket=bucket_id:{id},{extra}actions={actions},output:{out}")
    };
    let groups = vec![
        format!("group_id=1,type=all,{},{}", bucket(0, ""), bucket(1, "")),
        format!("group_id=2,type=indirect,{}", bucket(0, "")),
        format!("group_id=3,type=ff,{},{}", bucket(0, "watch_port:1,"), bucket(1, "watch_port:2,")),
        format!(
            "group_id=4,type=select,selection_method=hash,selection_method_param=7,fields(eth_src,\
             vlan_vid,ip_src),{},{},{}",
            bucket(0, "weight:1,"),
            bucket(1, "weight:2,"),
            bucket(2, "weight:5,")
        ),
    ];
    let mut flows = Vec::new();
    for table in 0..TABLES {
        for _ in 0..4 + rng.below(6) {
            // A priority of its own: which of two equal ones wins is nobody's promise.
            let priority = flows.len() + 1;
            let (matching, kind) = matching(rng);
            let comma = if matching.is_empty() { "" } else { "," };
            let list = list(rng, kind, table);
            flows
                .push(format!("table={table},priority={priority}{comma}{matching},actions={list}"));
        }
    }
    Tables { groups, flows }
}

/// A packet near what the tables look at.
pub(super) fn packet(rng: &mut Rng) -> Vec<u8> {
    let host = |rng: &mut Rng| Mac::host(u16::try_from(1 + rng.below(4)).unwrap_or(1));
    let (from, to) = (host(rng), host(rng));
    let mut packet = Packet::ethernet(from, to);
    for _ in 0..rng.pick(&[0, 0, 0, 1, 1, 2]).copied().unwrap_or(0) {
        packet = packet.layer(Vlan { pcp: 3, ..Vlan::new(10) });
    }
    for _ in 0..rng.pick(&[0, 0, 0, 1, 2]).copied().unwrap_or(0) {
        packet = packet.layer(Mpls::new(u32::try_from(rng.below(99)).unwrap_or(1)));
    }
    let v4 = |rng: &mut Rng| format!("10.{}.0.{}", rng.below(2), 1 + rng.below(4));
    let v6 = |rng: &mut Rng| format!("fd0{}::{}", rng.below(2), 1 + rng.below(4));
    match rng.below(6) {
        0 => {
            let [sender, target] = [v4(rng), v4(rng)];
            packet.layer(Arp::request(from, sender.as_str(), target.as_str())).build()
        }
        1 => {
            let [sender, target] = [v6(rng), v6(rng)];
            let asks = Icmpv6::neighbor_solicit(target.as_str(), Some(from));
            let ip = Ipv6 { hop_limit: 255, ..Ipv6::new(sender.as_str(), target.as_str()) };
            packet.layer(ip).layer(asks).build()
        }
        2 => {
            let ends = [v6(rng), v6(rng)];
            packet.ipv6(ends[0].as_str(), ends[1].as_str()).udp(1000, 53).payload(b"ask").build()
        }
        3 => {
            let ends = [v4(rng), v4(rng)];
            packet.ipv4(ends[0].as_str(), ends[1].as_str()).layer(Icmp::echo_request(7, 1)).build()
        }
        _ => {
            let ends = [v4(rng), v4(rng)];
            let ttl = rng.pick(&[1, 2, 64]).copied().unwrap_or(64);
            let ip = Ipv4 { ttl, tos: 184, ..Ipv4::new(ends[0].as_str(), ends[1].as_str()) };
            packet.layer(ip).tcp(1000, 80, 2).payload(b"hello").build()
        }
    }
}
