//! Random datapath flows in the reference's words, and the packets for them.

use dp_core::flow::Extractor;
use dp_core::packet::Metadata;
use testkit::packets::{Mac, Mpls, Packet};
use testkit::seed::Rng;

use crate::rules;

/// Ports that flows send to, numbered from 1.
pub const PORTS: u16 = 4;

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
        // There is no such meter: nothing is dropped.
        "meter(77)",
        "userspace(pid=0,slow_path(action))",
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
    let mpls =
        ["set(mpls(label=77,tc=3,ttl=9,bos=1))", "set(mpls(label=1048575,tc=0,ttl=255,bos=1))"];
    match rng.below(10) {
        0 | 1 => port.to_string(),
        2 => (*pick(rng, &common)).to_owned(),
        3 if kind.starts_with("ipv4") => (*pick(rng, &ipv4)).to_owned(),
        3 if kind.starts_with("ipv6") => (*pick(rng, &ipv6)).to_owned(),
        5 if kind.ends_with("tcp") => "set(tcp(src=4444,dst=0x10/0xf0))".to_owned(),
        5 if kind.ends_with("udp") => "set(udp(dst=5353))".to_owned(),
        5 if kind.ends_with("icmp") => "set(icmp(type=3,code=1))".to_owned(),
        5 if kind.ends_with("sctp") => "set(sctp(src=4444,dst=0x10/0xf0))".to_owned(),
        5 if kind == "mpls" => (*pick(rng, &mpls)).to_owned(),
        4 if kind.starts_with("ipv") && kind.contains(' ') => {
            let commit = *pick(rng, &["", "commit,", "force_commit,"]);
            let mark = if commit.is_empty() { "" } else { *pick(rng, &["", ",mark=0x5/0xff"]) };
            format!("ct({commit}zone={}{mark})", 1 + rng.below(3))
        }
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

/// A list of actions for packets of this kind: something leaves in the end.
pub fn list(rng: &mut Rng, kind: &str, depth: u8) -> String {
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
pub const KINDS: [(&str, &str); 12] = [
    ("ipv4 tcp", "eth_type(0x0800),ipv4(proto=6,frag=no),tcp()"),
    ("ipv4 udp", "eth_type(0x0800),ipv4(proto=17,frag=no),udp()"),
    ("ipv4 icmp", "eth_type(0x0800),ipv4(proto=1,frag=no),icmp()"),
    ("ipv4", "eth_type(0x0800),ipv4(proto=47)"),
    ("ipv4 sctp", "eth_type(0x0800),ipv4(proto=132,frag=no),sctp()"),
    ("ipv6 sctp", "eth_type(0x86dd),ipv6(proto=132,frag=no),sctp()"),
    ("mpls", "eth_type(0x8847),mpls(label=16,tc=0/0,ttl=0/0,bos=1)"),
    ("ipv6 tcp", "eth_type(0x86dd),ipv6(proto=6,frag=no),tcp()"),
    ("ipv6 udp", "eth_type(0x86dd),ipv6(proto=17,frag=no),udp()"),
    ("ipv6", "eth_type(0x86dd),ipv6(proto=58,frag=no),icmpv6()"),
    ("arp", "eth_type(0x0806),arp(op=1)"),
    ("tagged", "eth_type(0x8100),vlan(vid=10,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))"),
];

/// A packet that flows of the kinds above take, or nearly so.
pub fn packet(rng: &mut Rng) -> Vec<u8> {
    let between = || Packet::ethernet(Mac::host(1), Mac::host(2));
    let ports = [80, 1000, 4096];
    let (src, dst) = (*pick(rng, &ports), *pick(rng, &ports));
    let body = vec![0x5a; usize::try_from(rng.below(60)).unwrap_or(0)];
    match rng.below(12) {
        0 => between().ipv4("10.0.0.1", "10.0.1.2").sctp(src, dst),
        1 => between().ipv6("fd00::1", "fd01::2").sctp(src, dst),
        2 | 3 => {
            let ttl = *pick(rng, &[0, 1, 64]);
            let label = *pick(rng, &[16, 16, 16, 17]);
            let labelled = between().layer(Mpls { ttl, ..Mpls::new(label) });
            labelled.ipv4("10.0.0.1", "10.0.1.2").udp(src, dst)
        }
        _ => return rules::packet(rng),
    }
    .payload(body)
    .build()
}

/// Whether a routing or fragment header stands in this packet, with the transport header behind it.
/// The reference leaves that one's checksum as it is when it rewrites an address that the checksum
/// covers (RFC 8200 section 8.1); ours keeps it right.
#[must_use]
pub fn is_walked(frame: &[u8]) -> bool {
    let l3 = if matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) { 18 } else { 14 };
    let next = frame.get(l3 + 6).copied();
    frame.get(l3 - 2..l3) == Some(&[0x86, 0xdd]) && matches!(next, Some(43 | 44))
}

/// Whether a frame is what it says. What becomes of others is compared elsewhere, without rewriting:
/// the reference writes where a header would be if it were whole.
#[must_use]
pub fn is_whole(frame: &[u8]) -> bool {
    Extractor::default().frame(frame, &Metadata::default()).1.is_none()
}
