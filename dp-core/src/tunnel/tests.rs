//! Bytes in, bytes out: what is pushed is what the reference sends, and what is popped is it again.

use core::net::{Ipv4Addr, Ipv6Addr};

use smallvec::{SmallVec, smallvec};

use super::{Body, BuildError, End, Ends, Erspan, Flavour, FlowLabel, Template, pop, push};
use crate::action::TunnelPush;
use crate::action::tunnel::Kind;
use crate::base::{DropReason, Instant, MacAddr, PortNo};
use crate::flow::layout::TUN_FLAG_GENEVE;
use crate::packet::{Offloads, Packet, Pool, TunnelMeta};
use crate::wire::checksum::Pseudo;

/// An inner frame: Ethernet, IPv4, UDP.
const INNER: &str = "aa55aa660002aa55aa66000108004528005c000000003d11fc15c0a80001c0a8000200070009\
004899f6000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223\
2425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
const ETH4: &str = "f8bc124434b6aa55aa5500000800";
const ETH6: &str = "f8bc124434b6aa55aa55000086dd";
const TUNNEL: PortNo = PortNo(7);
/// In hundreds of microseconds.
const NOW: Instant = Instant(0x1234_5678 * 100_000);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = |pair: &[u8]| String::from_utf8_lossy(pair).into_owned();
    digits.chunks(2).map(|pair| u8::from_str_radix(&text(pair), 16).expect("hex")).collect()
}

fn packet(frame: &[u8], l3: u16) -> Packet {
    let mut packet = Pool::for_len(frame.len()).expect("fits").alloc().expect("a buffer");
    packet.append(frame.len()).expect("room").copy_from_slice(frame);
    (packet.meta_mut().l3, packet.meta_mut().l4) = (l3, 0);
    packet
}

fn v4() -> Pseudo {
    Pseudo::V4 { src: Ipv4Addr::new(1, 1, 2, 88), dst: Ipv4Addr::new(1, 1, 2, 92) }
}

fn v6() -> Pseudo {
    let address = |last| Ipv6Addr::new(0x2001, 0xcafe, 0, 0, 0, 0, 0, last);
    Pseudo::V6 { src: address(0x88), dst: address(0x92) }
}

fn template(ends: Pseudo, body: Body) -> Template {
    Template {
        eth_dst: MacAddr::new(0xf8, 0xbc, 0x12, 0x44, 0x34, 0xb6),
        eth_src: MacAddr::new(0xaa, 0x55, 0xaa, 0x55, 0, 0),
        ends,
        tos: 0,
        ttl: 64,
        dont_fragment: true,
        label: 0,
        checksum: None,
        body,
    }
}

fn action(template: &Template) -> TunnelPush {
    TunnelPush {
        tunnel_port: TUNNEL,
        out_port: PortNo(1),
        kind: template.body.kind(matches!(template.ends, Pseudo::V6 { .. })),
        header: template.build().expect("it can be built"),
    }
}

/// One case: headers, which port takes them off, and what stands before the inner packet.
struct Case {
    name: &'static str,
    template: Template,
    flavour: Flavour,
    /// Outer headers; `....` of a source port is 8891 as the hash of these tests gives.
    expected: String,
    /// Whether the packet goes in without its Ethernet header.
    l3: bool,
    id: u64,
}

fn cases() -> Vec<Case> {
    let v4_ip = |rest: &str| format!("{ETH4}{rest}");
    let case = |name, template, expected: String, id| Case {
        name,
        template,
        flavour: Flavour::Plain,
        expected,
        l3: false,
        id,
    };
    let checked = |template: Template| Template { checksum: Some(true), ..template };
    let ip4_udp = "4500008e00004000401133aa010102580101025c";
    let ip6_udp =
        "60000000007a114020 01cafe0000000000000000000000882001cafe000000000000000000000092";
    let ip6_47 = |len: &str| {
        format!("60000000{len}2f402001cafe0000000000000000000000882001cafe000000000000000000000092")
    };
    let vxlan = |port, flags| Body::Vxlan { port, flags, vni: 123 };
    let geneve = |port, options: SmallVec<[u8; 16]>| Body::Geneve {
        port,
        vni: 123,
        oam: false,
        protocol: 0x6558,
        options,
    };
    let gre = |key, sequence, protocol| Body::Gre { key, sequence, protocol };
    vec![
        case(
            "vxlan",
            template(v4(), vxlan(4789, 0x0800_0000)),
            v4_ip(&format!("{ip4_udp}888812b5007a00000800000000007b00")),
            123,
        ),
        Case {
            flavour: Flavour::GroupPolicy,
            ..case(
                "vxlan with a group policy",
                template(v4(), vxlan(4789, 0x8848_1234)),
                v4_ip(&format!("{ip4_udp}888812b5007a00008848123400007b00")),
                123,
            )
        },
        Case {
            flavour: Flavour::Gpe,
            ..case(
                "vxlan-gpe",
                template(v4(), vxlan(4790, 0x0c00_0003)),
                v4_ip(&format!("{ip4_udp}888812b6007a00000c00000300007b00")),
                123,
            )
        },
        case(
            "vxlan over ipv6",
            template(v6(), vxlan(4789, 0x0800_0000)),
            format!("{ETH6}{ip6_udp}888812b5007aXXXX0800000000007b00"),
            123,
        ),
        case(
            "geneve with a checksum",
            checked(template(v4(), geneve(6081, SmallVec::new()))),
            v4_ip(&format!("{ip4_udp}888817c1007aXXXX0000655800007b00")),
            123,
        ),
        case(
            "geneve with an option",
            template(v4(), geneve(6081, SmallVec::from_slice(&bytes("01028001deadbeef")))),
            v4_ip(
                "4500009600004000401133a2010102580101025c888817c1008200000240655800007b0001028001deadbeef",
            ),
            123,
        ),
        case(
            "gre",
            template(v4(), gre(None, false, 0x6558)),
            v4_ip("4500008200004000402f3398010102580101025c00006558"),
            0,
        ),
        case(
            "gre with checksum, key and sequence",
            checked(template(v4(), gre(Some(5), true, 0x6558))),
            v4_ip("4500008e00004000402f338c010102580101025cb0006558bad300000000000500000000"),
            5,
        ),
        case(
            "gre over ipv6 with checksum and key",
            checked(template(v6(), gre(Some(5), false, 0x6558))),
            format!("{ETH6}{}a0006558cad3000000000005", ip6_47("0076")),
            5,
        ),
        Case {
            l3: true,
            ..case(
                "gre with a payload of ip",
                template(v4(), gre(Some(9), false, 0x0800)),
                v4_ip("4500007800004000402f33a2010102580101025c2000080000000009"),
                9,
            )
        },
        case(
            "erspan version 1",
            template(v4(), Body::Erspan { session: 1, version: Erspan::One { index: 3 } }),
            v4_ip("4500008e00004000402f338c010102580101025c100088be000000001000000100000003"),
            1,
        ),
        case(
            "erspan version 2",
            template(
                v4(),
                Body::Erspan { session: 2, version: Erspan::Two { egress: true, hardware: 4 } },
            ),
            v4_ip(
                "4500009200004000402f3388010102580101025c100022eb0000000020000002 12345678 00000048",
            ),
            2,
        ),
        case(
            "erspan version 1 over ipv6",
            template(v6(), Body::Erspan { session: 1, version: Erspan::One { index: 3 } }),
            format!("{ETH6}{}100088be000000001000000100000003", ip6_47("007a")),
            1,
        ),
        Case {
            l3: true,
            ..case(
                "gtp-u",
                template(v4(), Body::Gtpu { port: 2152, flags: 0x30, message: 255, teid: 0x55 }),
                v4_ip("4500008000004000401133b8010102580101025c88880868006c000030ff005c00000055"),
                0x55,
            )
        },
        Case {
            l3: true,
            ..case(
                "srv6",
                template(
                    v6(),
                    Body::Srv6 {
                        segments: smallvec![Ipv6Addr::new(0x2001, 0xcafe, 0, 0, 0, 0, 0, 0x92)],
                        protocol: 4,
                    },
                ),
                format!(
                    "{ETH6}6000000000742b402001cafe0000000000000000000000882001cafe000000000000000000000092\
                     04020400000000002001cafe000000000000000000000092"
                ),
                0,
            )
        },
        Case {
            l3: true,
            flavour: Flavour::Payload(0x0800),
            ..case(
                "bareudp",
                template(v4(), Body::Bareudp { port: 6636 }),
                v4_ip("4500007800004000401133c0010102580101025c888819ec00640000"),
                0,
            )
        },
    ]
}

/// A hash that gives the source port 0x8888.
const HASH: u32 = 332_330_000;

fn inner(l3: bool) -> Vec<u8> {
    let frame = bytes(INNER);
    if l3 { frame[14..].to_vec() } else { frame }
}

fn pushed(case: &Case, ends: &Ends) -> Packet {
    let mut packet = packet(&inner(case.l3), if case.l3 { 0 } else { 14 });
    let done = push(&mut packet, &action(&case.template), ends, HASH, NOW);
    assert_eq!(done, Ok(()), "{}", case.name);
    packet
}

fn ends(case: &Case) -> Ends {
    let mut ends = Ends::default();
    let over_ipv6 = matches!(case.template.ends, Pseudo::V6 { .. });
    ends.set(TUNNEL, case.template.body.kind(over_ipv6), case.flavour);
    ends
}

#[test]
fn pushed_headers_are_those_of_the_reference() {
    for case in cases() {
        let packet = pushed(&case, &ends(&case));
        let frame = packet.data();
        let at = frame.len() - inner(case.l3).len();
        assert_eq!(frame[at..], inner(case.l3), "{}", case.name);
        let shown: String = frame[..at].iter().map(|byte| format!("{byte:02x}")).collect();
        let expected: String = case.expected.split_whitespace().collect();
        // Checksums that cover the source port are checked by popping.
        let shown = match expected.find("XXXX") {
            Some(place) => format!("{}XXXX{}", &shown[..place], &shown[place + 4..]),
            None => shown,
        };
        assert_eq!(shown, expected, "{}", case.name);
        assert_eq!(
            (packet.meta().l3, usize::from(packet.meta().l4)),
            (14, if at > 60 && matches!(case.template.ends, Pseudo::V6 { .. }) { 54 } else { 34 })
        );
    }
}

#[test]
fn what_is_pushed_is_popped_as_it_was() {
    for case in cases() {
        let ends = ends(&case);
        let mut packet = pushed(&case, &ends);
        // Padding of the medium is no part of the datagram.
        packet.append(5).expect("room").fill(0xee);
        let end = ends.get(TUNNEL).expect("it is there");
        assert_eq!(pop(&mut packet, end), Ok(()), "{}", case.name);
        assert_eq!(packet.data(), inner(case.l3), "{}", case.name);
        let meta = packet.tunnel().expect("it came through one");
        assert_eq!((meta.id, meta.ttl), (case.id, 64), "{}", case.name);
        assert_eq!(packet.meta().outermost(), if case.l3 { 0x1_0800 } else { 0 }, "{}", case.name);
        match case.template.ends {
            Pseudo::V4 { src, dst } => assert_eq!((meta.src, meta.dst), (src, dst)),
            Pseudo::V6 { src, dst } => assert_eq!((meta.ipv6_src, meta.ipv6_dst), (src, dst)),
        }
    }
}

#[test]
fn no_packet_that_is_cut_short_comes_out_of_a_tunnel() {
    for case in cases() {
        let ends = ends(&case);
        let end = ends.get(TUNNEL).expect("it is there");
        let whole = pushed(&case, &ends);
        for len in 14..whole.len() {
            let mut packet = packet(&whole.data()[..len], 14);
            let outcome = pop(&mut packet, end);
            assert_eq!(outcome, Err(DropReason::TunnelPopTruncated), "{} {len}", case.name);
        }
    }
}

#[test]
fn a_changed_bit_in_front_of_the_packet_never_breaks_anything() {
    for case in cases() {
        let ends = ends(&case);
        let end = ends.get(TUNNEL).expect("it is there");
        let whole = pushed(&case, &ends);
        let at = whole.len() - inner(case.l3).len();
        for bit in 14 * 8..at * 8 {
            let mut frame = whole.data().to_vec();
            frame[bit / 8] ^= 1 << (bit % 8);
            let mut packet = packet(&frame, 14);
            if pop(&mut packet, end).is_ok() {
                assert!(packet.len() <= whole.len(), "{} {bit}", case.name);
            }
        }
    }
}

fn geneve_frame(options_words: u8, options: &[u8]) -> Packet {
    let mut payload = vec![options_words, 0, 0x65, 0x58, 0, 0, 7, 0];
    payload.extend_from_slice(options);
    payload.extend_from_slice(&inner(false));
    let template = template(v4(), Body::Bareudp { port: 6081 });
    let mut packet = packet(&payload, 0);
    push(&mut packet, &action(&template), &Ends::default(), 0, NOW).expect("it can be pushed");
    packet
}

#[test]
fn geneve_options_of_wrong_length_are_refused() {
    let end = End::new(Kind::Geneve, Flavour::Plain);
    let option = |len: u8, data: usize| {
        let mut bytes = vec![1, 2, 3, len];
        bytes.resize(4 + data, 0xaa);
        bytes
    };
    let outcome = |words, options: &[u8]| pop(&mut geneve_frame(words, options), &end);
    assert_eq!(outcome(2, &option(1, 4)), Ok(()));
    assert_eq!(outcome(1, &option(0, 0)), Ok(()));
    // All lengths that an option can claim, in room for one word of data.
    for len in (0..32).filter(|&len| len != 1 && len != 0) {
        assert_eq!(outcome(2, &option(len, 4)), Err(DropReason::TunnelPopOptions), "{len}");
    }
    // A word that is left over is an option without data; the next byte decides.
    assert_eq!(outcome(2, &[1, 2, 3, 0, 1, 2, 3, 0]), Ok(()));
    assert_eq!(outcome(2, &[1, 2, 3, 0, 1, 2, 3, 1]), Err(DropReason::TunnelPopOptions));
    // More options than there is frame.
    assert_eq!(outcome(63, &[]), Err(DropReason::TunnelPopTruncated));
    // As many as there can be.
    let full: Vec<u8> = [1, 2, 3, 0].repeat(63);
    let mut packet = geneve_frame(63, &full);
    assert_eq!(pop(&mut packet, &end), Ok(()));
    let meta: &TunnelMeta = packet.tunnel().expect("it came through one");
    assert_eq!(meta.options(), full);
    assert_eq!(meta.flags & TUN_FLAG_GENEVE, TUN_FLAG_GENEVE);
}

#[test]
fn wrong_checksums_are_refused_under_their_reason() {
    for case in cases().iter().filter(|case| case.template.checksum == Some(true)) {
        let ends = ends(case);
        let mut packet = pushed(case, &ends);
        let last = packet.len() - 1;
        packet.data_mut()[last] ^= 1;
        let outcome = pop(&mut packet, ends.get(TUNNEL).expect("it is there"));
        assert_eq!(outcome, Err(DropReason::TunnelPopChecksum), "{}", case.name);
    }
    let case = &cases()[0];
    let ends = ends(case);
    let mut packet = pushed(case, &ends);
    packet.data_mut()[22] ^= 1;
    let outcome = pop(&mut packet, ends.get(TUNNEL).expect("it is there"));
    assert_eq!(outcome, Err(DropReason::TunnelPopChecksum));
}

#[test]
fn packets_of_another_kind_are_refused() {
    for case in cases() {
        let packet = pushed(&case, &ends(&case));
        for kind in [Kind::Gre, Kind::Erspan, Kind::Vxlan, Kind::Geneve, Kind::Gtpu, Kind::Srv6] {
            let same = match case.template.body.kind(false) {
                Kind::Srv6 => kind == Kind::Srv6,
                own => own == kind,
            };
            let mut copy = packet.copy().expect("a buffer");
            copy.meta_mut().l3 = 14;
            let outcome = pop(&mut copy, &End::new(kind, Flavour::Plain));
            if !same && case.template.body.kind(false) != Kind::Bareudp {
                assert!(outcome.is_err(), "{} as {kind:?}", case.name);
            }
        }
    }
}

#[test]
fn sequence_numbers_go_on_from_packet_to_packet() {
    let cases = cases();
    let case = cases.iter().find(|case| case.name.contains("sequence")).expect("there is one");
    let ends = ends(case);
    for number in 0..3_u8 {
        let packet = pushed(case, &ends);
        assert_eq!(packet.data()[14 + 20 + 12..][..4], [0, 0, 0, number]);
    }
}

#[test]
fn a_packet_without_room_or_still_to_be_segmented_is_refused() {
    let template = template(v4(), Body::Bareudp { port: 1 });
    let action = action(&template);
    let mut full = Pool::for_len(65_792).expect("a pool").alloc().expect("a buffer");
    let _ = full.push_front(full.headroom());
    let _ = full.append(full.tailroom());
    let outcome = push(&mut full, &action, &Ends::default(), 0, NOW);
    assert_eq!(outcome, Err(DropReason::TunnelPushError));
    let mut large = packet(&[0; 60], 14);
    large.meta_mut().offloads |= Offloads::TSO;
    let outcome = push(&mut large, &action, &Ends::default(), 0, NOW);
    assert_eq!(outcome, Err(DropReason::TunnelPushError));
}

#[test]
fn an_inner_checksum_left_to_a_device_is_completed() {
    let mut frame = bytes(INNER);
    let whole = frame.clone();
    // The field as a sender leaves it: the pseudo header's sum.
    let pseudo =
        Pseudo::V4 { src: Ipv4Addr::new(192, 168, 0, 1), dst: Ipv4Addr::new(192, 168, 0, 2) };
    let sum = !pseudo.sum(crate::wire::Protocol(17), 72).finish();
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
    let mut packet = packet(&frame, 14);
    packet.meta_mut().l4 = 34;
    packet.meta_mut().offloads |= Offloads::L4_CSUM_PARTIAL;
    let action = action(&template(v4(), Body::Bareudp { port: 1 }));
    push(&mut packet, &action, &Ends::default(), 0, NOW).expect("it can be pushed");
    assert_eq!(packet.data()[action.header.len()..], whole);
}

#[test]
fn headers_that_cannot_be_are_not_built() {
    let build = |body| template(v4(), body).build();
    let field = Err(BuildError::Field);
    assert_eq!(build(Body::Vxlan { port: 1, flags: 0, vni: 1 << 24 }), field);
    assert_eq!(build(Body::Erspan { session: 1 << 10, version: Erspan::One { index: 0 } }), field);
    assert_eq!(build(Body::Erspan { session: 0, version: Erspan::One { index: 1 << 20 } }), field);
    let two = Erspan::Two { egress: false, hardware: 64 };
    assert_eq!(build(Body::Erspan { session: 0, version: two }), field);
    let segments =
        |n: u16| (0..n).map(|n| Ipv6Addr::new(0x2001, 0xcafe, 0, 0, 0, 0, n, 0x92)).collect();
    assert_eq!(build(Body::Srv6 { segments: segments(1), protocol: 4 }), field);
    let over6 = |n| template(v6(), Body::Srv6 { segments: segments(n), protocol: 4 }).build();
    assert!(over6(2).is_ok());
    assert_eq!(over6(0), field);
    assert_eq!(over6(100), Err(BuildError::TooLarge));
    let options = |len: usize| Body::Geneve {
        port: 1,
        vni: 1,
        oam: false,
        protocol: 0,
        options: smallvec![0; len],
    };
    assert_eq!(build(options(3)), field);
    assert_eq!(build(options(256)), field);
    assert_eq!(build(options(252)).map(|header| header.len()), Ok(14 + 20 + 8 + 8 + 252));
}

#[test]
fn traffic_that_manages_a_gtp_tunnel_stays_whole() {
    let mut echo = bytes("3001000400000000");
    echo.extend_from_slice(&[0; 4]);
    let mut packet = packet(&echo, 0);
    let template = template(v4(), Body::Bareudp { port: 2152 });
    push(&mut packet, &action(&template), &Ends::default(), 0, NOW).expect("it can be pushed");
    let whole = packet.data().to_vec();
    assert_eq!(pop(&mut packet, &End::new(Kind::Gtpu, Flavour::Plain)), Ok(()));
    assert_eq!(packet.data(), whole);
    assert_eq!(packet.tunnel().map(|meta| meta.gtpu_msgtype), Some(1));
}

#[test]
fn what_names_a_length_instead_of_a_protocol_does_not_come_out() {
    for (protocol, expected) in
        [("05ff", Err(DropReason::TunnelPopError)), ("0600", Ok(())), ("0800", Ok(()))]
    {
        let mut packet = packet(&bytes("45000014000000004000a6e30a0000010a000002"), 0);
        let gre = Body::Gre {
            key: None,
            sequence: false,
            protocol: u16::from_str_radix(protocol, 16).expect("a number"),
        };
        push(&mut packet, &action(&template(v4(), gre)), &Ends::default(), 0, NOW)
            .expect("it can be pushed");
        assert_eq!(pop(&mut packet, &End::new(Kind::Gre, Flavour::Plain)), expected, "{protocol}");
    }
}

#[test]
fn extension_headers_of_gtp_are_passed_over_and_bounded() {
    let gtp = |extensions: &[u8]| {
        let mut payload = vec![0x34, 255];
        let rest = inner(true);
        let len = u16::try_from(4 + extensions.len() - 1 + rest.len()).expect("short");
        payload.extend_from_slice(&len.to_be_bytes());
        payload.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0]);
        payload.extend_from_slice(extensions);
        payload.extend_from_slice(&rest);
        let mut packet = packet(&payload, 0);
        let template = template(v4(), Body::Bareudp { port: 2152 });
        push(&mut packet, &action(&template), &Ends::default(), 0, NOW).expect("pushed");
        let outcome = pop(&mut packet, &End::new(Kind::Gtpu, Flavour::Plain));
        outcome.map(|()| packet.data() == inner(true))
    };
    assert_eq!(gtp(&[0x85, 1, 0, 0, 0]), Ok(true));
    assert_eq!(gtp(&[0]), Ok(true));
    assert_eq!(gtp(&[0x85, 0, 0, 0, 0]), Err(DropReason::TunnelPopOptions));
    let endless: Vec<u8> = core::iter::once(0x85).chain([1, 0, 0, 0x85].repeat(9)).collect();
    assert_eq!(gtp(&endless), Err(DropReason::TunnelPopOptions));
    assert_eq!(gtp(&[0x85, 255, 0, 0, 0]), Err(DropReason::TunnelPopTruncated));
}

/// A Geneve packet that says it has options of `len` words, with `room` words of which the first
/// claims `claimed` for itself.
fn geneve_with_options(len: u8, room: u8, claimed: u8) -> Packet {
    let mut options = vec![0; usize::from(room) * 4];
    if let Some(first) = options.first_chunk_mut() {
        *first = [0, 1, 1, claimed];
    }
    let none = SmallVec::new();
    let body = Body::Geneve { port: 6081, vni: 7, oam: false, protocol: 0x6558, options: none };
    let mut whole = packet(&bytes(INNER), 14);
    push(&mut whole, &action(&template(v4(), body)), &Ends::default(), 0, NOW).expect("it fits");
    let mut frame = whole.data().to_vec();
    frame.splice(50..50, options);
    frame[42] |= len;
    for (at, from) in [(16, 14), (38, 34)] {
        let length = u16::try_from(frame.len() - from).expect("it fits").to_be_bytes();
        frame[at..at + 2].copy_from_slice(&length);
    }
    crate::offload::fill_ipv4_header(&mut frame, 14, 34);
    packet(&frame, 14)
}

#[test]
fn cve_2023_3966_geneve_options_of_every_wrong_length_are_refused() {
    let end = End::new(Kind::Geneve, Flavour::Plain);
    for room in 0..=63_u8 {
        for claimed in 0..=31_u8 {
            let outcome = pop(&mut geneve_with_options(room, room, claimed), &end);
            // The rest of the room is options without data, a word each.
            let fits = room == 0 || claimed < room;
            let expected = if fits { Ok(()) } else { Err(DropReason::TunnelPopOptions) };
            assert_eq!(outcome, expected, "{claimed} words in a room of {room}");
        }
    }
    // A room larger than the packet.
    let outcome = pop(&mut geneve_with_options(63, 1, 0), &end);
    assert_eq!(outcome, Err(DropReason::TunnelPopTruncated));
    // The version and the reserved bits.
    for first in [0x40, 0x80, 0xc0] {
        let outcome = pop(&mut geneve_with_options(first, 0, 0), &end);
        assert_eq!(outcome, Err(DropReason::TunnelPopError));
    }
}

#[test]
fn gre_and_erspan_beside_each_other_get_their_own_packets() {
    let mut ends = Ends::default();
    for (number, kind) in
        [(3, Kind::Gre), (4, Kind::Ip6Gre), (5, Kind::Erspan), (6, Kind::Ip6Erspan)]
    {
        ends.set(PortNo(number), kind, Flavour::Plain);
    }
    let gre = Body::Gre { key: None, sequence: false, protocol: 0x6558 };
    let erspan = Body::Erspan { session: 1, version: Erspan::One { index: 3 } };
    for (outer, body, own) in
        [(v4(), &gre, 3), (v6(), &gre, 4), (v4(), &erspan, 5), (v6(), &erspan, 6)]
    {
        let mut packet = packet(&bytes(INNER), 14);
        let action = action(&template(outer, body.clone()));
        push(&mut packet, &action, &Ends::default(), 0, NOW).expect("it can be pushed");
        // Whichever of the family listens.
        let listening = if own % 2 == 1 { [3, 5] } else { [4, 6] };
        for port in listening {
            let (found, end) =
                ends.receiver(PortNo(port), packet.data(), 14).expect("there is one");
            assert_eq!(found, PortNo(own), "{body:?} at {port}");
            let mut copy = packet.copy().expect("a buffer");
            copy.meta_mut().l3 = 14;
            assert_eq!(pop(&mut copy, end), Ok(()));
        }
    }
    assert!(ends.receiver(PortNo(9), &[], 14).is_none());
    // Where there is no other, the one that listens gets it, and says what is wrong with it.
    ends.remove(PortNo(5));
    ends.remove(PortNo(6));
    let mut packet = packet(&bytes(INNER), 14);
    let action = action(&template(v4(), erspan));
    push(&mut packet, &action, &Ends::default(), 0, NOW).expect("it can be pushed");
    let (found, end) = ends.receiver(PortNo(3), packet.data(), 14).expect("there is one");
    assert_eq!((found, pop(&mut packet, end)), (PortNo(3), Err(DropReason::TunnelPopError)));
}

#[test]
fn the_flow_label_of_srv6_is_made_for_each_packet() {
    let body = |protocol| {
        let stop = Ipv6Addr::new(0x2001, 0xcafe, 0, 0, 0, 0, 0, 0x92);
        Body::Srv6 { segments: [stop].as_slice().into(), protocol }
    };
    let label = |made: FlowLabel, inner: &[u8], protocol, hash| {
        let made = Template { label: made as u32, ..template(v6(), body(protocol)) };
        let mut packet = packet(inner, 0);
        push(&mut packet, &action(&made), &Ends::default(), hash, NOW).expect("it can be pushed");
        let &word = packet.data()[14..].first_chunk::<4>().expect("it is there");
        u32::from_be_bytes(word) & 0xf_ffff
    };
    let mut v6 = vec![0x60, 0x01, 0x23, 0x45];
    v6.resize(48, 0);
    let mut v4 = vec![0x45, 0, 0, 28];
    v4.resize(28, 0);
    assert_eq!(label(FlowLabel::Copy, &v6, 41, 0xabcd_e123), 0x12345);
    assert_eq!(label(FlowLabel::Copy, &v4, 4, 0xabcd_e123), 0);
    assert_eq!(label(FlowLabel::Zero, &v6, 41, 0xabcd_e123), 0);
    assert_eq!(label(FlowLabel::Compute, &v6, 41, 0xabcd_e123), 0xd_e123);
}

#[test]
fn a_tunnel_header_with_nothing_behind_it_is_refused() {
    let none = SmallVec::new();
    let gre = Body::Gre { key: None, sequence: false, protocol: 0x0800 };
    let geneve = Body::Geneve { port: 6081, vni: 7, oam: false, protocol: 0x8847, options: none };
    for (body, kind) in [(gre, Kind::Gre), (geneve, Kind::Geneve)] {
        let mut empty = packet(&[], 0);
        push(&mut empty, &action(&template(v4(), body)), &Ends::default(), 0, NOW)
            .expect("it fits");
        let outcome = pop(&mut empty, &End::new(kind, Flavour::Plain));
        assert_eq!(outcome, Err(DropReason::TunnelPopTruncated), "{kind:?}");
    }
}
