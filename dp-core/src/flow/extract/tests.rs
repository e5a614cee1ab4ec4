//! Extraction judged by hand-made packets, and the vector kernel judged by the portable parser.

mod frames;
mod glances;
mod lies;
mod shims;

use proptest::prelude::*;

use self::frames::{eth, icmpv6_ns, ipv4, ipv6, tagged, tcp, udp};
use super::{Extractor, Malformed, Parser, Pass, VlanLimit};
use crate::base::{PortNo, RecircId};
use crate::flow::{BurstKeys, FieldId as F, FlowKey};
use crate::packet::{Burst, CtAddrs, CtMeta, Known, Metadata, Packet, Pool, Slots, TunnelMeta};

/// The key of one frame, by way of a burst; the wide way must say the same.
fn extract_with(extractor: &Extractor, frame: &[u8]) -> (Option<FlowKey>, Option<Malformed>) {
    let mut burst = Burst::default();
    let mut packet = Pool::for_len(frame.len()).unwrap().alloc().unwrap();
    packet.append(frame.len()).unwrap().copy_from_slice(frame);
    burst.push(packet).unwrap();
    let mut keys = BurstKeys::default();
    let out = extractor.burst(&mut burst, Slots::first(1), Pass::First(PortNo(7)), &mut keys);
    let why = (!out.malformed.is_empty()).then_some(out.why[0]);
    let key = (!out.parsed.is_empty()).then(|| keys.key(0));
    let meta = Metadata { in_port: PortNo(7), ..Metadata::default() };
    let (wide, wide_why) = extractor.frame(frame, &meta);
    assert_eq!(why, wide_why);
    if let Some(key) = &key {
        assert_eq!(*key, wide);
    }
    (key, why)
}

fn extract(frame: &[u8]) -> (FlowKey, Option<Malformed>) {
    let answers = Parser::available()
        .map(|parser| extract_with(&Extractor::with(VlanLimit::Two, parser), frame))
        .collect::<Vec<_>>();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let (key, why) = answers[0].clone();
    (key.unwrap(), why)
}

fn key_of(frame: &[u8]) -> FlowKey {
    let (key, why) = extract(frame);
    assert_eq!(why, None);
    key
}

fn assert_fields(key: &FlowKey, expected: &[(F, u128)]) {
    for &(field, value) in expected {
        assert_eq!(key.get(field), value, "{field:?}");
    }
}

#[test]
fn a_udp_packet_over_ipv4() {
    let key = key_of(&eth(0x0800, &ipv4(17, &udp(1111, 53, b"question"))));
    assert_fields(
        &key,
        &[
            (F::InPort, 7),
            (F::EthDst, 0x0200_0000_0002),
            (F::EthSrc, 0x0200_0000_0001),
            (F::EthType, 0x0800),
            (F::NwProto, 17),
            (F::IpDscp, 0x2e),
            (F::NwEcn, 1),
            (F::NwTtl, 61),
            (F::IpFrag, 0),
            (F::Ipv4Src, 0x0a00_0001),
            (F::Ipv4Dst, 0x0a00_0002),
            (F::UdpSrc, 1111),
            (F::UdpDst, 53),
            (F::TcpFlags, 0),
            (F::VlanTci, 0),
        ],
    );
    assert_eq!(key.used().0, 1, "one lane");
}

#[test]
fn a_tcp_packet_shows_its_flags_in_both_versions() {
    let v4 = key_of(&eth(0x0800, &ipv4(6, &tcp(80, 4000, 0x912, b"data"))));
    let v6 = key_of(&eth(0x86dd, &ipv6(6, &tcp(80, 4000, 0x912, b"data"))));
    for key in [&v4, &v6] {
        assert_fields(key, &[(F::TcpSrc, 80), (F::TcpDst, 4000), (F::TcpFlags, 0x912)]);
    }
    assert_fields(
        &v6,
        &[
            (F::Ipv6Src, 0xfd00_0000_0000_0000_0000_0000_0000_0001),
            (F::Ipv6Dst, 0xfd00_0000_0000_0000_0000_0000_0000_0002),
            (F::Ipv6Label, 0xbeef5),
            (F::IpDscp, 0x2e),
            (F::NwEcn, 1),
            (F::NwTtl, 61),
        ],
    );
}

#[test]
fn tags_are_looked_at_as_deep_as_the_limit_says() {
    let mut double = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    double.extend([0x88, 0xa8, 0xa0, 0x64, 0x81, 0x00, 0x20, 0x05, 0x08, 0x00]);
    double.extend(ipv4(17, &udp(1, 2, b"")));
    let (two, _) = extract_with(&Extractor::new(VlanLimit::Two), &double);
    let (one, _) = extract_with(&Extractor::new(VlanLimit::One), &double);
    let (two, one) = (two.unwrap(), one.unwrap());
    for key in [&two, &one] {
        assert_fields(key, &[(F::VlanVid, 0x064), (F::VlanPcp, 5), (F::VlanTci, 0xb064)]);
    }
    assert_fields(&two, &[(F::EthType, 0x0800), (F::UdpDst, 2)]);
    assert_eq!(two.load(crate::flow::layout::VLAN_TCI1), 0x3005);
    assert_fields(&one, &[(F::EthType, 0x8100), (F::UdpDst, 0)]);
}

#[test]
fn llc_without_snap_has_no_ethertype_and_snap_has() {
    let mut frame = eth(38, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]);
    assert_fields(&key_of(&frame), &[(F::EthType, 0x05ff)]);
    frame = eth(60, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
    frame.extend(ipv4(17, &udp(5, 6, b"")));
    assert_fields(&key_of(&frame), &[(F::EthType, 0x0800), (F::UdpDst, 6)]);
}

#[test]
fn arp_fills_addresses_and_operation() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 2];
    arp.extend([2, 0, 0, 0, 0, 9, 10, 0, 0, 9, 2, 0, 0, 0, 0, 8, 10, 0, 0, 8]);
    let key = key_of(&eth(0x0806, &arp));
    assert_fields(
        &key,
        &[
            (F::ArpOp, 2),
            (F::ArpSpa, 0x0a00_0009),
            (F::ArpTpa, 0x0a00_0008),
            (F::ArpSha, 0x0200_0000_0009),
            (F::ArpTha, 0x0200_0000_0008),
        ],
    );
}

#[test]
fn icmp_and_neighbour_discovery() {
    let key = key_of(&eth(0x0800, &ipv4(1, &[8, 3, 0, 0, 0, 1, 0, 2])));
    assert_fields(&key, &[(F::Icmpv4Type, 8), (F::Icmpv4Code, 3)]);
    let key = key_of(&eth(0x86dd, &ipv6(58, &icmpv6_ns())));
    assert_fields(
        &key,
        &[
            (F::Icmpv6Type, 135),
            (F::NdTarget, 0xfd00_0000_0000_0000_0000_0000_0000_0009),
            (F::NdSll, 0x0200_0000_0007),
            (F::NdTll, 0),
        ],
    );
    // ICMPv6 inside IPv4 is nothing.
    let key = key_of(&eth(0x0800, &ipv4(58, &icmpv6_ns())));
    assert_fields(&key, &[(F::NwProto, 58), (F::Icmpv6Type, 0), (F::NdTarget, 0)]);
}

#[test]
fn fragments_of_both_versions() {
    for (offset, frag, port) in [(0x2000_u16, 1, 9), (0x2001, 3, 0), (0x00b9, 3, 0), (0x4000, 0, 9)]
    {
        let mut packet = ipv4(17, &udp(9, 9, b"12345678"));
        packet[6..8].copy_from_slice(&offset.to_be_bytes());
        assert_fields(&key_of(&eth(0x0800, &packet)), &[(F::IpFrag, frag), (F::UdpSrc, port)]);
    }
    for (offset, frag, proto, port) in
        [(1_u16, 1, 17, 9), (8, 3, 44, 0), (9, 3, 44, 0), (0, 0, 17, 9)]
    {
        let mut ext = vec![17, 0];
        ext.extend(offset.to_be_bytes());
        ext.extend([0, 0, 0, 1]);
        ext.extend(udp(9, 9, b"12345678"));
        let key = key_of(&eth(0x86dd, &ipv6(44, &ext)));
        assert_fields(&key, &[(F::IpFrag, frag), (F::NwProto, proto), (F::UdpSrc, port)]);
    }
}

#[test]
fn extension_headers_are_walked() {
    let mut chain = vec![60, 1];
    chain.extend([0; 14]); // hop-by-hop, 16 bytes
    chain.extend([51, 0, 1, 4, 0, 0, 0, 0]); // destination options, 8 bytes
    chain.extend([17, 1]); // authentication, 12 bytes
    chain.extend([0; 10]);
    chain.extend(udp(7, 8, b"x"));
    let key = key_of(&eth(0x86dd, &ipv6(0, &chain)));
    assert_fields(&key, &[(F::NwProto, 17), (F::UdpSrc, 7), (F::UdpDst, 8)]);
}

#[test]
fn metadata_of_an_earlier_pass_is_in_the_key() {
    let mut burst = Burst::default();
    let frame = eth(0x0800, &ipv4(17, &udp(1, 2, b"")));
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(frame.len()).unwrap().copy_from_slice(&frame);
    *packet.meta_mut() = Metadata {
        in_port: PortNo(3),
        recirc_id: RecircId(9),
        dp_hash: 0xabcd,
        pkt_mark: 0x11,
        skb_priority: 0x22,
        known: Known::MARKS | Known::DP_HASH,
        ..Metadata::default()
    };
    burst.push(packet).unwrap();
    let mut keys = BurstKeys::default();
    let extractor = Extractor::default();
    extractor.burst(&mut burst, Slots::first(1), Pass::Again, &mut keys);
    let key = keys.key(0);
    assert_fields(
        &key,
        &[
            (F::InPort, 3),
            (F::RecircId, 9),
            (F::DpHash, 0xabcd),
            (F::PktMark, 0x11),
            (F::SkbPriority, 0x22),
            (F::UdpDst, 2),
        ],
    );
    let packet = burst.get(0).unwrap();
    assert_eq!((packet.meta().l3, packet.meta().l4), (14, 34));
}

/// The key that a packet has in a further pass, by every kernel and by the wide way.
fn key_again(packet: Packet) -> FlowKey {
    let (wide, _) = Extractor::new(VlanLimit::Two).packet(&packet);
    let mut burst = Burst::default();
    burst.push(packet).unwrap();
    for extractor in Parser::available().map(|parser| Extractor::with(VlanLimit::Two, parser)) {
        let mut keys = BurstKeys::default();
        // What an earlier burst has left must not show.
        for lane in 0..crate::flow::PACKET_LANES {
            keys.lane_mut(lane)[0] = crate::flow::Lane([u64::MAX; 8]);
        }
        let out = extractor.burst(&mut burst, Slots::first(1), Pass::Again, &mut keys);
        assert_eq!(out.parsed, Slots::first(1));
        assert_eq!(keys.key(0), wide);
    }
    wide
}

fn packet_of(frame: &[u8]) -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(frame.len()).unwrap().copy_from_slice(frame);
    packet.meta_mut().in_port = PortNo(3);
    packet
}

#[test]
fn what_connection_tracking_found_is_in_the_key_of_further_passes() {
    let frame = eth(0x0800, &ipv4(17, &udp(1, 2, b"")));
    let mut packet = packet_of(&frame);
    packet.set_ct(CtMeta {
        label: 0x1234_0000_0000_0000_0000_0000_0000_5678,
        mark: 77,
        zone: 5,
        state: 0x22,
        proto: 17,
        tp_src: 9,
        tp_dst: 10,
        addrs: CtAddrs::V4([10, 9, 8, 7].into(), [6, 5, 4, 3].into()),
    });
    let key = key_again(packet);
    assert_fields(
        &key,
        &[
            (F::CtMark, 77),
            (F::CtZone, 5),
            (F::CtState, 0x22),
            (F::CtLabel, 0x1234_0000_0000_0000_0000_0000_0000_5678),
            (F::CtNwProto, 17),
            (F::CtNwSrc, 0x0a09_0807),
            (F::CtNwDst, 0x0605_0403),
            (F::CtTpSrc, 9),
            (F::CtTpDst, 10),
            (F::UdpDst, 2),
            (F::InPort, 3),
        ],
    );
    let mut packet = packet_of(&eth(0x86dd, &ipv6(17, &udp(1, 2, b""))));
    let addrs = CtAddrs::V6("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    packet.set_ct(CtMeta { state: 1, proto: 6, addrs, ..CtMeta::default() });
    let key = key_again(packet);
    assert_fields(&key, &[(F::CtIpv6Dst, 0xfd00_0000_0000_0000_0000_0000_0000_0002)]);
    assert_fields(&key, &[(F::CtNwProto, 6), (F::CtNwSrc, 0), (F::Ipv6Label, 0xbeef5)]);
    assert_eq!(crate::flow::beside::ct_of(&key).map(|ct| ct.addrs), Some(addrs));
}

#[test]
fn the_tunnel_a_packet_came_through_is_in_the_key_of_further_passes() {
    let mut tunnel = TunnelMeta {
        id: 0x77,
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, 2].into(),
        flags: 0x4,
        ttl: 64,
        tos: 3,
        tp_src: 50_000,
        tp_dst: 6081,
        gtpu_msgtype: 255,
        options_len: 72,
        ..TunnelMeta::NONE
    };
    for (number, byte) in tunnel.options.iter_mut().take(72).enumerate() {
        *byte = u8::try_from(number).unwrap() + 1;
    }
    let mut packet = packet_of(&eth(0x0800, &ipv4(17, &udp(1, 2, b""))));
    packet.set_tunnel(&tunnel);
    let copy = packet.copy().unwrap();
    assert_eq!(copy.tunnel(), Some(&tunnel));
    let key = key_again(packet);
    assert_fields(
        &key,
        &[
            (F::TunId, 0x77),
            (F::TunSrc, 0xc000_0201),
            (F::TunDst, 0xc000_0202),
            (F::TunTtl, 64),
            (F::TunTos, 3),
            (F::TunGtpuMsgtype, 255),
            (F::UdpSrc, 1),
        ],
    );
    assert_eq!((key.lane(5).bytes()[0], key.lane(6).bytes()[7]), (1, 72));
    assert_eq!(crate::flow::beside::tunnel_of(&key), Some(tunnel));
    // And the way back: a packet that is injected takes on what the key says.
    let mut injected = packet_of(&eth(0x0800, &ipv4(17, &udp(1, 2, b""))));
    crate::flow::beside::take_on(&key, &mut injected);
    assert_eq!(key_again(injected), key);
}

#[test]
fn the_first_pass_forgets_what_a_buffer_carried_before() {
    for extractor in Parser::available().map(|parser| Extractor::with(VlanLimit::One, parser)) {
        let mut packet = packet_of(&eth(0x0800, &ipv4(17, &udp(1, 2, b""))));
        packet.meta_mut().set_marks(1, 2);
        packet.meta_mut().set_hash(3);
        packet.meta_mut().set_outermost(0x1_0800);
        packet.set_ct(CtMeta { state: 1, ..CtMeta::default() });
        packet.set_tunnel(&TunnelMeta::NONE);
        let mut burst = Burst::default();
        burst.push(packet).unwrap();
        let mut keys = BurstKeys::default();
        extractor.burst(&mut burst, Slots::first(1), Pass::First(PortNo(1)), &mut keys);
        let packet = burst.get(0).unwrap();
        assert_eq!(packet.meta().known, Known::empty());
        assert_eq!((packet.ct(), packet.tunnel()), (None, None));
        assert_eq!((packet.meta().marks(), packet.meta().hash()), ((0, 0), 0));
        assert_eq!(keys.key(0).used().0, 1);
    }
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    (0..8u8, any::<[u16; 3]>(), payload, 0..4u8, 0..30usize).prop_map(
        |(kind, n, body, tags, pad)| {
            let (ty, l3) = match kind {
                0 | 1 => (0x0800, ipv4(17, &udp(n[0], n[1], &body))),
                2 | 3 => (0x0800, ipv4(6, &tcp(n[0], n[1], n[2], &body))),
                4 => (0x86dd, ipv6(17, &udp(n[0], n[1], &body))),
                5 => (0x86dd, ipv6(6, &tcp(n[0], n[1], n[2], &body))),
                6 => (0x86dd, ipv6(58, &icmpv6_ns())),
                _ => (n[0], body),
            };
            let mut frame = match tags {
                0 => tagged(0x8100, n[2], ty, &l3),
                1 => tagged(0x88a8, n[2], ty, &l3),
                _ => eth(ty, &l3),
            };
            frame.extend(vec![0xee; pad]);
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The autovalidator: all kernels on the same packets, whole and mutated.
    #[test]
    fn vector_kernels_and_the_portable_parser_agree(
        mut frame in any_packet(),
        edits in prop::collection::vec((0..90usize, any::<u8>()), 0..4),
        cut in prop::option::of(0..100usize),
        limit in prop_oneof![Just(VlanLimit::One), Just(VlanLimit::Two)],
    ) {
        for (at, value) in edits {
            if let Some(byte) = frame.get_mut(at) { *byte = value; }
        }
        if let Some(cut) = cut { frame.truncate(cut); }
        let expected = extract_with(&Extractor::portable(limit), &frame);
        for parser in Parser::available() {
            let fast = Extractor::with(limit, parser);
            prop_assert_eq!(&extract_with(&fast, &frame), &expected, "{}", parser.name());
        }
    }

    /// Bytes behind the IP datagram never show in the key.
    #[test]
    fn padding_does_not_count(body in prop::collection::vec(any::<u8>(), 0..40), pad in prop::collection::vec(any::<u8>(), 1..60)) {
        for (ty, l3) in [(0x0800, ipv4(17, &udp(3, 4, &body))), (0x86dd, ipv6(6, &tcp(3, 4, 2, &body)))] {
            let plain = eth(ty, &l3);
            let mut padded = plain.clone();
            padded.extend(&pad);
            prop_assert_eq!(extract(&plain), extract(&padded));
        }
    }

    #[test]
    fn anything_at_all_is_survived(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let (key, why) = extract_with(&Extractor::default(), &frame);
        prop_assert_eq!(key.is_none(), frame.len() < 14);
        prop_assert_eq!(frame.len() < 14, why == Some(Malformed::TooShort));
    }
}
