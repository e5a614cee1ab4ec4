//! One packet of each kind, by name.
//!
//! The ground a parser's tests, fuzz seeds and differential runs start from: every kind of header
//! this laboratory can build, alone and stacked, each right in all its lengths and checksums.

use super::{
    Arp, Extension, Geneve, Gre, Icmp, Icmpv6, Ipv4, Ipv6, Mac, Mpls, Packet, Sctp, Snap, Spelled,
    Tcp, TcpOption, Udp, Vlan, Vxlan, fragment, tcp_flags,
};

/// A packet and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its name, as `vlan-ipv4-udp`.
    pub name: String,
    /// Its octets, not padded.
    pub frame: Vec<u8>,
}

/// All samples, always the same.
#[must_use]
pub fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |name: &str, packet: Packet| {
        samples.push(Sample { name: name.to_owned(), frame: packet.build() });
    };
    link(&mut add);
    ipv4(&mut add);
    ipv6(&mut add);
    tunnels(&mut add);
    fragments(&mut samples);
    samples
}

/// The sample of that name, if there is one.
#[must_use]
pub fn named(name: &str) -> Option<Vec<u8>> {
    all().into_iter().find(|sample| sample.name == name).map(|sample| sample.frame)
}

type Add<'a> = &'a mut dyn FnMut(&str, Packet);

const A4: &str = "10.0.0.1";
const B4: &str = "10.0.0.2";
const A6: &str = "fd00::1";
const B6: &str = "fd00::2";

fn between() -> Packet {
    Packet::ethernet(Mac::host(1), Mac::host(2))
}

fn v4() -> Packet {
    between().ipv4(A4, B4)
}

fn v6() -> Packet {
    between().ipv6(A6, B6)
}

fn link(add: Add<'_>) {
    let to_all = || Packet::ethernet(Mac::host(1), Mac::BROADCAST);
    let who_has = || Arp::request(Mac::host(1), A4, B4);
    add("unknown-type", between().payload([1, 2, 3, 4]));
    add("arp-request", to_all().layer(who_has()));
    add("arp-reply", between().layer(Arp::reply(Mac::host(1), A4, Mac::host(2), B4)));
    add("vlan-arp", to_all().vlan(100).layer(who_has()));
    add("snap-ipv4-udp", between().layer(Snap::default()).ipv4(A4, B4).udp(1, 2).payload(b"snap"));
    let tag = Vlan { pcp: 5, dei: true, ..Vlan::new(4095) };
    add("vlan-ipv4-udp", between().layer(tag).ipv4(A4, B4).udp(1000, 2000).payload(b"tag"));
    let service = between().layer(Vlan::service(200)).vlan(100);
    add("qinq-ipv4-tcp", service.ipv4(A4, B4).tcp(1000, 80, tcp_flags::SYN));
    add("vlan-ipv6-udp", between().vlan(7).ipv6(A6, B6).udp(1000, 2000).payload(b"tag"));
    add("mpls-ipv4-udp", between().layer(Mpls::new(16)).ipv4(A4, B4).udp(1, 2).payload(b"label"));
    let stack = between().layer(Mpls { tc: 3, ..Mpls::new(0xf_ffff) }).layer(Mpls::new(17));
    add("mpls-mpls-ipv6-udp", stack.ipv6(A6, B6).udp(1, 2).payload(b"labels"));
}

fn ipv4(add: Add<'_>) {
    add("ipv4-udp", v4().udp(1000, 2000).payload(b"odd"));
    add("ipv4-udp-no-checksum", v4().layer(Udp { checksum: Some(0), ..Udp::new(1, 2) }));
    add("ipv4-udp-empty", v4().udp(1000, 2000));
    let full = Tcp {
        sequence: 1,
        acknowledgment: 2,
        flags: tcp_flags::SYN | tcp_flags::ACK | tcp_flags::ECE | tcp_flags::CWR,
        options: vec![
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps(10, 20),
            TcpOption::Nop,
            TcpOption::WindowScale(7),
        ],
        ..Tcp::new(1000, 80)
    };
    add("ipv4-tcp-syn-ack", v4().layer(full));
    add("ipv4-tcp-data", v4().tcp(1000, 80, tcp_flags::PSH | tcp_flags::ACK).payload(b"GET /"));
    add("ipv4-tcp-fin", v4().tcp(1000, 80, tcp_flags::FIN | tcp_flags::ACK));
    add("ipv4-sctp", v4().sctp(1000, 2000).payload(Sctp::chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4])));
    add("ipv4-icmp-echo", v4().layer(Icmp::echo_request(7, 1)).payload(b"ping"));
    add("ipv4-icmp-reply", v4().layer(Icmp::echo_reply(7, 1)).payload(b"ping"));
    let refused = v4().layer(Icmp::unreachable(3, 0)).ipv4(B4, A4).udp(2000, 1000);
    add("ipv4-icmp-unreachable", refused.payload(b"odd"));
    let too_big = v4().layer(Icmp::unreachable(4, 1400)).ipv4(B4, A4);
    add("ipv4-icmp-too-big", too_big.tcp(80, 1000, tcp_flags::ACK));
    let router_alert = Ipv4 { options: vec![0x94, 4, 0, 0], ..Ipv4::new(A4, B4) };
    add("ipv4-options-udp", between().layer(router_alert).udp(1, 2).payload(b"alert"));
    let odd = Ipv4 { tos: 0xb9, id: 0xbeef, df: true, ttl: 1, ..Ipv4::new(A4, B4) };
    add("ipv4-tos-ttl1-udp", between().layer(odd).udp(1, 2).payload(b"last hop"));
    add("ipv4-unknown-protocol", v4().payload(b"experiment"));
    let group = "239.1.2.3".value();
    let many = Packet::ethernet(Mac::host(1), Mac::group4(group)).ipv4(A4, group);
    add("ipv4-multicast-udp", many.udp(5000, 5000).payload(b"all"));
    add("ipv4-ipv4-udp", v4().ipv4("10.1.0.1", "10.1.0.2").udp(1, 2).payload(b"in"));
}

fn ipv6(add: Add<'_>) {
    add("ipv6-udp", v6().udp(1000, 2000).payload(b"odd"));
    add("ipv6-tcp-syn", v6().tcp(1000, 80, tcp_flags::SYN));
    add("ipv6-sctp", v6().sctp(1000, 2000).payload(Sctp::chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4])));
    add("ipv6-icmpv6-echo", v6().layer(Icmpv6::echo_request(7, 1)).payload(b"ping6"));
    add("ipv6-icmpv6-reply", v6().layer(Icmpv6::echo_reply(7, 1)).payload(b"ping6"));
    let refused = v6().layer(Icmpv6::unreachable(4)).ipv6(B6, A6).udp(2000, 1000);
    add("ipv6-icmpv6-unreachable", refused.payload(b"odd"));
    let too_big = v6().layer(Icmpv6::packet_too_big(1400)).ipv6(B6, A6);
    add("ipv6-icmpv6-too-big", too_big.tcp(80, 1000, tcp_flags::ACK));

    let group = Icmpv6::solicited_node(B6);
    let ask = Packet::ethernet(Mac::host(1), Mac::group6(group))
        .layer(Ipv6 { hop_limit: 255, ..Ipv6::new(A6, group) });
    let solicit = Icmpv6::neighbor_solicit(B6, Some(Mac::host(1)));
    add("ipv6-neighbor-solicit", ask.layer(solicit));
    let answer = between().layer(Ipv6 { hop_limit: 255, ..Ipv6::new(A6, B6) });
    let advert = Icmpv6::neighbor_advert(A6, 3, Some(Mac::host(1)));
    add("ipv6-neighbor-advert", answer.layer(advert));
    let routers = "ff02::2".value();
    let ask = Packet::ethernet(Mac::host(1), Mac::group6(routers))
        .layer(Ipv6 { hop_limit: 255, ..Ipv6::new("fe80::1", routers) });
    add("ipv6-router-solicit", ask.layer(Icmpv6::router_solicit(Some(Mac::host(1)))));

    let alert = Extension::HopByHop(vec![5, 2, 0, 0]);
    add("ipv6-hop-by-hop-udp", v6().layer(alert.clone()).udp(1, 2).payload(b"alert"));
    let chain = v6()
        .layer(alert)
        .layer(Extension::Destination(vec![1, 4, 0, 0, 0, 0]))
        .layer(Extension::Authentication { spi: 1, sequence: 2, icv: vec![7; 12] });
    add("ipv6-chain-tcp", chain.tcp(1, 2, tcp_flags::ACK).payload(b"chain"));
    let segments = vec!["fd00::2".value(), "fd00::3".value(), "fd00::4".value()];
    let routed = v6().layer(Extension::SegmentRouting { segments, left: 2 });
    add("ipv6-segments-udp", routed.udp(1, 2).payload(b"route"));
    let whole = v6().layer(Extension::Fragment { offset: 0, more: false, id: 9 });
    add("ipv6-atomic-fragment-udp", whole.udp(1, 2).payload(b"atom"));
    add("ipv6-no-next-header", v6());
    let label =
        Ipv6 { traffic_class: 0xb9, flow_label: 0xa_bcde, hop_limit: 1, ..Ipv6::new(A6, B6) };
    add("ipv6-label-tcp", between().layer(label).tcp(1, 2, tcp_flags::RST));
    add("ipv6-ipv4-udp", v6().ipv4(A4, B4).udp(1, 2).payload(b"4in6"));
}

fn tunnels(add: Add<'_>) {
    let inner = |packet: Packet| {
        packet.layer(super::Ethernet::new(Mac::host(3), Mac::host(4))).ipv4("10.1.0.1", "10.1.0.2")
    };
    let outer = || v4().udp(49_152, 4789);
    add("vxlan-ipv4-udp", inner(outer().layer(Vxlan::new(42))).udp(1, 2).payload(b"deep"));
    let over6 = v6().udp(49_152, 4789).layer(Vxlan::new(0xff_ffff));
    add("vxlan6-ipv4-tcp", inner(over6).tcp(1, 2, tcp_flags::SYN));
    let options = vec![(0x0102, 0x80, vec![0, 0x64, 0, 0x65]), (0xffff, 0x01, vec![1; 8])];
    let geneve = v4().udp(49_152, 6081).layer(Geneve { options, ..Geneve::new(42) });
    add("geneve-options-ipv4-icmp", inner(geneve).layer(Icmp::echo_request(1, 1)));
    let gre = Gre { checksum: true, key: Some(7), sequence: Some(8), ..Gre::default() };
    add("gre-ethernet-ipv4-udp", inner(v4().layer(gre)).udp(1, 2).payload(b"deep"));
    add("gre-ipv6-udp", v4().layer(Gre::default()).ipv6(A6, B6).udp(1, 2).payload(b"deep"));
}

fn fragments(samples: &mut Vec<Sample>) {
    let data: Vec<u8> = (0..=255).cycle().take(300).collect();
    let numbered = between().layer(Ipv4 { id: 77, ..Ipv4::new(A4, B4) });
    let wholes = [
        ("ipv4-udp", numbered.udp(1000, 2000).payload(&data)),
        ("ipv6-udp", v6().udp(1000, 2000).payload(&data)),
        (
            "vlan-ipv4-icmp",
            between().vlan(9).ipv4(A4, B4).layer(Icmp::echo_request(1, 1)).payload(&data),
        ),
    ];
    for (name, whole) in wholes {
        let pieces = fragment(&whole.build(), 160, 77).unwrap_or_default();
        for (at, frame) in pieces.into_iter().enumerate() {
            samples.push(Sample { name: format!("{name}-fragment{at}"), frame });
        }
    }
}
