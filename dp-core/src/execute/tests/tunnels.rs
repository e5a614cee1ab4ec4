//! Tunnels: what goes in is sent with its headers, what comes out waits for another pass.

use super::{World, packet};
use crate::action::text::parse_actions;
use crate::action::tunnel::Kind;
use crate::action::{Action, TunnelPush};
use crate::base::{DropReason, MacAddr, PortNo};
use crate::execute::TxBatches;
use crate::execute::tests::frames::{Kind as Frame, frame};
use crate::flow::text::PortNumbers;
use crate::offload;
use crate::packet::{Burst, Offloads, Packet, Pool};
use crate::tunnel::{Body, Flavour, Template};
use crate::wire::checksum::Pseudo;

const TUNNEL: PortNo = PortNo(4789);

fn push() -> Action {
    let template = Template {
        eth_dst: MacAddr::new(2, 0, 0, 0, 0, 2),
        eth_src: MacAddr::new(2, 0, 0, 0, 0, 1),
        ends: Pseudo::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() },
        tos: 0,
        ttl: 64,
        dont_fragment: true,
        label: 0,
        checksum: None,
        body: Body::Vxlan { port: 4789, flags: 0x0800_0000, vni: 7 },
    };
    Action::TunnelPush(Box::new(TunnelPush {
        tunnel_port: TUNNEL,
        out_port: PortNo(1),
        kind: Kind::Vxlan,
        header: template.build().expect("it can be built"),
    }))
}

#[test]
fn what_goes_into_a_tunnel_comes_out_as_it_was() {
    let before = frame(Frame::UdpV4, None, b"");
    let mut world = World::new();
    world.ends.set(TUNNEL, Kind::Vxlan, Flavour::Plain);
    world.run([packet(&before)], &[push(), Action::Output(PortNo(1))]);
    let (port, outer) = world.sent().remove(0);
    assert_eq!((port, outer.len()), (1, before.len() + 50));
    world.run([packet(&outer)], &[Action::TunnelPop(TUNNEL)]);
    let mut again = Burst::default();
    assert_eq!(world.again.next(&mut again), 1);
    let inner = again.get(0).expect("it waits");
    assert_eq!(inner.data(), before);
    assert_eq!((inner.meta().in_port, inner.meta().passes), (TUNNEL, 1));
    assert_eq!(inner.tunnel().map(|tunnel| tunnel.id), Some(7));
    assert_eq!(world.drops.total(), 0);
}

#[test]
fn a_copy_comes_out_where_others_follow() {
    let mut world = World::new();
    world.ends.set(TUNNEL, Kind::Vxlan, Flavour::Plain);
    let before = frame(Frame::UdpV4, None, b"");
    let actions = [push(), Action::TunnelPop(TUNNEL), Action::Output(PortNo(1))];
    world.run([packet(&before)], &actions);
    assert_eq!(world.sent()[0].1.len(), before.len() + 50);
    assert_eq!(world.again.next(&mut Burst::default()), 1);
}

#[test]
fn packets_for_a_tunnel_port_that_is_not_there_are_counted() {
    let mut world = World::new();
    let before = frame(Frame::UdpV4, None, b"");
    world.run([packet(&before)], &[Action::TunnelPop(TUNNEL)]);
    assert_eq!(world.drops.get(DropReason::InvalidTunnelPort), 1);
    world.run([packet(&before)], &[Action::TunnelPop(TUNNEL), Action::Output(PortNo(1))]);
    assert_eq!(world.drops.get(DropReason::InvalidTunnelPort), 2);
    assert_eq!((world.sent().len(), world.drops.total()), (1, 2));
}

#[test]
fn what_is_no_packet_of_the_tunnel_is_counted() {
    let mut world = World::new();
    world.ends.set(TUNNEL, Kind::Vxlan, Flavour::Plain);
    world.run([packet(&frame(Frame::TcpV4, None, b""))], &[Action::TunnelPop(TUNNEL)]);
    assert_eq!((world.drops.get(DropReason::TunnelPopError), world.drops.total()), (1, 1));
}

#[test]
fn a_tunnel_into_itself_ends_at_the_largest_packet_or_at_the_limit_of_passes() {
    let mut world = World::new();
    world.ends.set(TUNNEL, Kind::Vxlan, Flavour::Plain);
    let before = frame(Frame::UdpV4, None, b"");
    // Headers of 50 bytes each: the last ones would make more than an outer header can say.
    let mut layers = vec![push(); 1400];
    layers.push(Action::Output(PortNo(1)));
    world.run([packet(&before)], &layers);
    assert_eq!(world.drops.get(DropReason::TunnelPushError), 1);
    layers.drain(..1397);
    world.run([packet(&before)], &layers);
    let outer = world.sent().remove(0).1;
    // The work list of these tests lets a packet pass twice more, and there are three layers.
    world.run([packet(&outer)], &[Action::TunnelPop(TUNNEL)]);
    let mut burst = Burst::default();
    for _ in 0..2 {
        assert_eq!(world.again.next(&mut burst), 1);
        let extractor = crate::flow::Extractor::default();
        extractor.locate(burst.get_mut(0).expect("it waits"));
        let all = burst.live();
        world.execute(&mut burst, all, None, &[Action::TunnelPop(TUNNEL)]);
    }
    assert!(world.again.is_empty());
    assert_eq!(world.drops.get(DropReason::RecircLimit), 1);
}

/// A frame of TCP that its sender has left to be cut and summed up: `payload` bytes, `segment` at a
/// time.
fn large(payload: usize, segment: u16) -> Packet {
    let total = u16::try_from(40 + payload).expect("it fits").to_be_bytes();
    let mut bytes = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x08, 0, 0x45, 0, total[0], total[1]];
    bytes.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x13, 0x88, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend((0..payload).map(|n| (n % 251) as u8));
    offload::fill_ipv4_header(&mut bytes, 14, 34);
    let mut packet = Pool::for_len(bytes.len()).and_then(Pool::alloc).expect("a buffer");
    packet.append(bytes.len()).expect("room").copy_from_slice(&bytes);
    let meta = packet.meta_mut();
    (meta.l3, meta.l4, meta.segment) = (14, 34, segment);
    meta.offloads |= Offloads::TSO | Offloads::L4_CSUM_PARTIAL;
    packet
}

#[test]
fn what_is_still_to_be_cut_is_cut_before_it_enters_a_tunnel() {
    let mut world = World::new();
    world.ends.set(TUNNEL, Kind::Vxlan, Flavour::Plain);
    world.out = TxBatches::new(4);
    assert!(world.out.add_port(PortNo(1)));
    // More segments than a burst has slots, and an ordinary packet beside.
    let plain = frame(Frame::UdpV4, None, b"");
    let packets = [large(40_000, 1_000), packet(&plain)];
    world.run(packets, &[push(), Action::Output(PortNo(1))]);
    let sent: Vec<Vec<u8>> = world.sent().into_iter().map(|(_, frame)| frame).collect();
    assert_eq!((sent.len(), world.drops.total()), (41, 0));
    let (segments, others): (Vec<_>, Vec<_>) =
        sent.iter().partition(|frame| frame.len() == 50 + 54 + 1_000);
    assert_eq!((segments.len(), others.len()), (40, 1));
    assert_eq!(others[0][50..], plain);
    let mut payload = Vec::new();
    for segment in segments {
        let inner = &segment[50..];
        // Its lengths and checksums are its own.
        let layout = offload::Layout::of(inner).expect("TCP over IPv4");
        assert_eq!(layout.end, inner.len());
        let ends = Pseudo::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
        let tcp = &inner[34..];
        assert!(ends.sum(crate::wire::Protocol(6), tcp.len()).with(tcp).is_valid());
        payload.extend_from_slice(&inner[54..]);
    }
    assert!(payload.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
}

#[test]
fn what_cannot_be_cut_does_not_enter_a_tunnel() {
    let mut world = World::new();
    let mut arp = packet(&[0; 60]);
    arp.meta_mut().offloads |= Offloads::TSO;
    world.run([arp], &[push(), Action::Output(PortNo(1))]);
    assert_eq!((world.sent().len(), world.drops.get(DropReason::TunnelPushError)), (0, 1));
}

/// The class of its commit e52432a8f: headers in text were written beyond their room, and headers that say
/// more than there is of them were read beyond their end.
#[test]
fn headers_of_a_tunnel_that_lie_about_themselves_are_refused_or_do_no_harm() {
    let text = |size: usize, options: &str| {
        format!(
            "tnl_push(tnl_port(6),header(size={size},type=5,eth(dst=02:00:00:00:00:02,\
             src=02:00:00:00:00:01,dl_type=0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,\
             ttl=64,frag=0x4000),udp(src=0,dst=6081,csum=0x0),geneve(vni=0x7{options})),out_port(1))"
        )
    };
    let option =
        |len: usize| format!("{{class=0xffff,type=0x80,len={len},0x{}}}", "ab".repeat(len));
    let parse = |text: &str| parse_actions(text, &PortNumbers).map_err(|error| error.to_string());
    assert!(parse(&text(50, "")).is_ok());
    for size in [0, 13, 49, 51, 512, 65_535, 70_000] {
        assert!(parse(&text(size, "")).is_err(), "{size}");
    }
    // Options have room for 252 bytes, each with its header of four.
    let two = format!(",options({}{})", option(124), option(120));
    assert!(parse(&text(50 + 252, &two)).is_ok());
    for options in [[124, 124], [128, 4], [125, 4]] {
        let options = format!(",options({}{})", option(options[0]), option(options[1]));
        for size in [50, 50 + 252, 50 + 256, 50 + 260] {
            assert!(parse(&text(size, &options)).is_err(), "{options}");
        }
    }
    // Whatever stands in a header, and wherever it ends.
    let Action::TunnelPush(whole) = push() else { unreachable!() };
    let kinds = [
        Kind::Gre,
        Kind::Vxlan,
        Kind::Geneve,
        Kind::Erspan,
        Kind::Ip6Erspan,
        Kind::Ip6Gre,
        Kind::Gtpu,
        Kind::Bareudp,
        Kind::Srv6,
    ];
    let before = frame(Frame::UdpV4, None, b"");
    for kind in kinds {
        for version in [0x45, 0x60, 0x00] {
            for len in 0..=whole.header.len() {
                for proto in [17, 47, 43] {
                    let mut header = whole.header[..len].to_vec();
                    for (at, value) in [(14, version), (20, proto), (23, proto), (34, 0xff)] {
                        header.get_mut(at).into_iter().for_each(|byte| *byte = value);
                    }
                    let header = header.into();
                    let action = TunnelPush { kind, header, ..(*whole).clone() };
                    let mut world = World::new();
                    let actions = [Action::TunnelPush(Box::new(action)), Action::Output(PortNo(1))];
                    world.run([packet(&before)], &actions);
                    let sent = world.sent();
                    let dropped = world.drops.get(DropReason::TunnelPushError);
                    assert_eq!(sent.len() as u64 + dropped, 1, "{kind:?} {len}");
                    assert!(sent.iter().all(|(_, frame)| frame.len() == before.len() + len));
                }
            }
        }
    }
}
