//! Random flow tables as text, and packets that come near them.
//!
//! Values are drawn from few clusters, so that rules overlap, prefixes nest, and packets hit, miss
//! narrowly and take different paths through the tables.

use testkit::packets::{
    Arp, Extension, Icmp, Icmpv6, Ipv4, Ipv6, Mac, Packet, Tcp, Udp, Vlan, mutate, samples,
};
use testkit::seed::Rng;

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    let index = usize::try_from(rng.below(from.len() as u64)).unwrap_or(0);
    &from[index]
}

fn one_in(rng: &mut Rng, n: u64) -> bool {
    rng.below(n) == 0
}

fn ipv4(rng: &mut Rng) -> String {
    let third = rng.below(3);
    format!("10.{}.{third}.{}", rng.below(2), 1 + rng.below(4))
}

fn ipv6(rng: &mut Rng) -> String {
    format!("fd0{}::{}", rng.below(2), 1 + rng.below(4))
}

fn mac(rng: &mut Rng) -> String {
    Mac::host(u16::try_from(1 + rng.below(4)).unwrap_or(1)).to_string()
}

fn port(rng: &mut Rng) -> u64 {
    *pick(rng, &[53, 80, 81, 1000, 1001, 4096, 60000])
}

/// Which of OpenFlow's languages a rule can be said in: some actions exist in one of them only, and
/// some may be applied to packets without the header in one of them only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// OpenFlow 1.0 with the Nicira extensions.
    Nxm,
    /// OpenFlow 1.3 and later.
    Oxm,
}

/// The match of a rule, without a comma at its end.
fn matching(rng: &mut Rng, dialect: Dialect) -> String {
    let mut parts = Vec::new();
    if one_in(rng, 3) {
        parts.push(format!("in_port={}", 1 + rng.below(4)));
    }
    if one_in(rng, 4) {
        parts.push(match rng.below(5) {
            0 => format!("dl_src={}", mac(rng)),
            1 => format!("dl_dst={}", mac(rng)),
            2 => format!("dl_vlan={}", pick(rng, &[10, 20, 30])),
            3 => "vlan_tci=0x0000/0x1fff".to_owned(),
            _ => "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00".to_owned(),
        });
    }
    match rng.below(8) {
        0 => {}
        1 => parts.push(arp(rng)),
        2 | 3 => l3(rng, &mut parts, false),
        4 => l3(rng, &mut parts, true),
        _ => {
            let six = one_in(rng, 3);
            let last = if dialect == Dialect::Oxm { "sctp" } else { "tcp" };
            let kind = *pick(rng, &["tcp", "udp", "icmp", last]);
            let kind = if six { format!("{kind}6") } else { kind.to_owned() };
            parts.push(kind.clone());
            address(rng, &mut parts, six);
            l4(rng, &mut parts, &kind);
        }
    }
    parts.join(",")
}

fn arp(rng: &mut Rng) -> String {
    match rng.below(3) {
        0 => "arp".to_owned(),
        1 => format!("arp,arp_tpa={}", ipv4(rng)),
        _ => format!("arp,arp_op={},arp_sha={}", 1 + rng.below(2), mac(rng)),
    }
}

fn l3(rng: &mut Rng, parts: &mut Vec<String>, six: bool) {
    parts.push(if six { "ipv6" } else { "ip" }.to_owned());
    address(rng, parts, six);
    if one_in(rng, 4) {
        parts.push(match rng.below(4) {
            0 => format!("nw_ttl={}", pick(rng, &[1, 64])),
            1 => format!("nw_tos={}", pick(rng, &[0, 184])),
            2 => format!("ip_frag={}", pick(rng, &["no", "yes", "first", "later", "not_later"])),
            _ => format!("nw_proto={}", pick(rng, &[6, 17, 47])),
        });
    }
}

fn address(rng: &mut Rng, parts: &mut Vec<String>, six: bool) {
    let name = pick(rng, &["src", "dst"]);
    if one_in(rng, 3) {
        return;
    }
    parts.push(if six {
        let prefix = pick(rng, &[128, 128, 64, 16, 15]);
        format!("ipv6_{name}={}/{prefix}", ipv6(rng))
    } else if one_in(rng, 6) {
        format!("nw_{name}={}/255.0.255.255", ipv4(rng))
    } else {
        let prefix = pick(rng, &[32, 32, 24, 23, 16, 8]);
        format!("nw_{name}={}/{prefix}", ipv4(rng))
    });
}

fn l4(rng: &mut Rng, parts: &mut Vec<String>, kind: &str) {
    if one_in(rng, 4) {
        return;
    }
    if kind.starts_with("icmp") {
        let value = pick(rng, &[0, 8, 128, 135, 3]);
        parts.push(format!("icmp_type={value}"));
        return;
    }
    let name = pick(rng, &["tp_src", "tp_dst"]);
    let mask = pick(rng, &["", "", "/0xfff0", "/0xff00"]);
    parts.push(format!("{name}={}{mask}", port(rng)));
    if kind == "tcp" && one_in(rng, 4) {
        parts.push(format!("tcp_flags={}", pick(rng, &["+syn-ack", "+ack", "-fin", "+syn+ack"])));
    }
}

/// An action list; `deeper` is the first table that it may resubmit to.
fn actions(rng: &mut Rng, deeper: u64, normal: bool, dialect: Dialect) -> String {
    let mut parts: Vec<String> = Vec::new();
    for _ in 0..rng.below(5) {
        let next = action(rng, deeper, normal, dialect);
        // Two tags more are refused where the match says that there is one already.
        if !(next.starts_with("push_vlan") && parts.iter().any(|part| part.starts_with("push"))) {
            parts.push(next);
        }
    }
    if parts.is_empty() { "drop".to_owned() } else { parts.join(",") }
}

fn action(rng: &mut Rng, deeper: u64, normal: bool, dialect: Dialect) -> String {
    match rng.below(24) {
        0..=5 => format!("output:{}", 1 + rng.below(4)),
        6..=8 if deeper < 6 => format!("resubmit(,{})", deeper + rng.below(6 - deeper)),
        9 if normal => "NORMAL".to_owned(),
        9 | 10 => (*pick(rng, &["FLOOD", "ALL", "IN_PORT"])).to_owned(),
        11 => format!("mod_dl_dst:{}", mac(rng)),
        12 => format!("mod_dl_src:{}", mac(rng)),
        // In OpenFlow 1.3 the tool would turn `mod_vlan_vid` into a push and a set.
        13 | 14 if dialect == Dialect::Oxm => {
            let vid = pick(rng, &[10, 20, 4000]);
            let tpid = pick(rng, &["0x8100", "0x88a8"]);
            format!("push_vlan:{tpid},set_field:{}->vlan_vid", 4096 + vid)
        }
        13 => format!("mod_vlan_vid:{}", pick(rng, &[10, 20, 4000])),
        14 => (*pick(rng, &["strip_vlan", "mod_vlan_pcp:5"])).to_owned(),
        15 if dialect == Dialect::Nxm => "dec_ttl".to_owned(),
        16 => format!("load:{}->NXM_NX_REG0[]", 1 + rng.below(4)),
        17 => "move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31]".to_owned(),
        18 => "output:NXM_NX_REG0[0..15]".to_owned(),
        19 => "exit".to_owned(),
        _ => plain_action(rng, dialect),
    }
}

/// Actions that need nothing of the packet.
fn plain_action(rng: &mut Rng, dialect: Dialect) -> String {
    match rng.below(4) {
        0 => format!("resubmit({},5)", 1 + rng.below(4)),
        1 => format!("load:0x{:x}->NXM_NX_REG2[0..7]", rng.below(256)),
        2 if dialect == Dialect::Oxm => format!("set_field:0x{:x}/0xff->metadata", rng.below(256)),
        _ => "note:00.01.02.03.04.05".to_owned(),
    }
}

/// Sets for a rule whose match says that the header is there.
fn set_for(rng: &mut Rng, matching: &str, dialect: Dialect) -> Option<String> {
    let has = |name: &str| matching.split(',').any(|part| part == name);
    let (v4, v6) = (["ip", "tcp", "udp", "icmp"], ["ipv6", "tcp6", "udp6", "icmp6"]);
    if has("arp") {
        return Some(format!("load:0x{:x}->NXM_OF_ARP_SPA[]", 0x0a00_0000 + rng.below(9)));
    }
    if has("tcp") && one_in(rng, 2) {
        return Some(format!("mod_tp_dst:{}", port(rng)));
    }
    if (has("udp6") || has("udp")) && one_in(rng, 2) {
        return Some(format!("mod_tp_src:{}", port(rng)));
    }
    if v4.iter().any(|name| has(name)) {
        return Some(match rng.below(if dialect == Dialect::Oxm { 5 } else { 4 }) {
            0 => format!("mod_nw_src:{}", ipv4(rng)),
            1 => format!("mod_nw_dst:{}", ipv4(rng)),
            2 => format!("mod_nw_tos:{}", pick(rng, &[0, 184])),
            3 => format!("mod_nw_ttl:{}", pick(rng, &[1, 99])),
            _ => "set_field:172.16.0.0/255.255.0.0->ip_dst".to_owned(),
        });
    }
    (dialect == Dialect::Oxm && v6.iter().any(|name| has(name))).then(|| match rng.below(3) {
        0 => format!("set_field:{}->ipv6_src", ipv6(rng)),
        1 => format!("set_field:{}->ipv6_dst", ipv6(rng)),
        _ => "set_field:0x12345->ipv6_label".to_owned(),
    })
}

/// Lines of a flow table that OpenFlow 1.0 with extensions can say, and those that need 1.3.
#[must_use]
pub fn dialects(table: &str) -> [String; 2] {
    let needs_oxm = ["set_field", "push_vlan", "sctp"];
    let (oxm, nxm): (Vec<&str>, Vec<&str>) =
        table.lines().partition(|line| needs_oxm.iter().any(|word| line.contains(word)));
    [nxm, oxm].map(|lines| lines.join("\n"))
}

/// A flow table of `count` lines over six tables.
#[must_use]
pub fn table(rng: &mut Rng, count: usize, normal: bool) -> String {
    let mut lines = String::from("table=0,priority=0,actions=resubmit(,1)\n");
    for index in 0..count {
        let table = if one_in(rng, 2) { 0 } else { rng.below(6) };
        let dialect = if one_in(rng, 2) { Dialect::Oxm } else { Dialect::Nxm };
        let mut matching = matching(rng, dialect);
        let mut actions = actions(rng, table + 1, normal, dialect);
        if let (true, Some(set)) = (one_in(rng, 2), set_for(rng, &matching, dialect)) {
            actions = if actions == "drop" { set } else { format!("{set},{actions}") };
        }
        if !matching.is_empty() {
            matching.push(',');
        }
        // A priority of its own: which of two equal ones wins is not defined.
        let priority = 1 + index;
        lines.push_str(&format!("table={table},priority={priority},{matching}actions={actions}\n"));
    }
    lines
}

/// A packet near the clusters, whole or damaged.
#[must_use]
pub fn packet(rng: &mut Rng) -> Vec<u8> {
    let frame = if one_in(rng, 6) {
        let all = samples::all();
        pick(rng, &all).frame.clone()
    } else {
        near(rng)
    };
    match rng.below(8) {
        0 => mutate::random(&frame, rng),
        1 => {
            let lies = mutate::lies(&frame);
            if lies.is_empty() { frame } else { pick(rng, &lies).frame.clone() }
        }
        2 => mutate::padded(&frame, frame.len() + 9, 0xee),
        _ => frame,
    }
}

fn near(rng: &mut Rng) -> Vec<u8> {
    let host = |rng: &mut Rng| Mac::host(u16::try_from(1 + rng.below(4)).unwrap_or(1));
    let (src, mut dst) = (host(rng), host(rng));
    if one_in(rng, 8) {
        dst = Mac::BROADCAST;
    }
    let mut packet = Packet::ethernet(src, dst);
    if one_in(rng, 4) {
        let vid = *pick(rng, &[0, 10, 20, 30]);
        packet = packet.layer(Vlan { pcp: 3, ..Vlan::new(vid) });
    }
    let ttl = *pick(rng, &[0, 1, 2, 64]);
    match rng.below(8) {
        0 => {
            let addresses: [std::net::Ipv4Addr; 2] =
                [ipv4(rng), ipv4(rng)].map(|text| text.parse().unwrap_or([10, 0, 0, 1].into()));
            packet.layer(Arp::request(src, addresses[0], addresses[1])).build()
        }
        1..=4 => {
            let tos = *pick(rng, &[0, 184]);
            let addresses = [ipv4(rng), ipv4(rng)];
            let [from, to] = addresses.each_ref().map(String::as_str);
            packet = packet.layer(Ipv4 { ttl, tos, ..Ipv4::new(from, to) });
            transport(rng, packet, false)
        }
        _ => {
            let addresses = [ipv6(rng), ipv6(rng)];
            let [from, to] = addresses.each_ref().map(String::as_str);
            packet = packet.layer(Ipv6 { hop_limit: ttl, ..Ipv6::new(from, to) });
            if one_in(rng, 5) {
                packet = packet.layer(Extension::HopByHop(vec![1, 4, 0, 0, 0, 0]));
            }
            transport(rng, packet, true)
        }
    }
}

fn transport(rng: &mut Rng, packet: Packet, six: bool) -> Vec<u8> {
    let ports = [port(rng), port(rng)].map(|port| u16::try_from(port).unwrap_or(1));
    let body = vec![0x5a; usize::try_from(rng.below(40)).unwrap_or(0)];
    match rng.below(5) {
        0 | 1 => {
            let flags = *pick(rng, &[0x02, 0x12, 0x10, 0x18, 0x11]);
            packet.layer(Tcp { flags, ..Tcp::new(ports[0], ports[1]) })
        }
        2 => packet.layer(Udp::new(ports[0], ports[1])),
        3 => packet.sctp(ports[0], ports[1]),
        _ if six => packet.layer(Icmpv6::echo_request(7, 1)),
        _ => packet.layer(Icmp::echo_request(7, 1)),
    }
    .payload(body)
    .build()
}
