//! Tunnels: what goes in is sent with its headers, what comes out waits for another pass.

use super::{World, packet};
use crate::action::tunnel::Kind;
use crate::action::{Action, TunnelPush};
use crate::base::{DropReason, MacAddr, PortNo};
use crate::execute::tests::frames::{Kind as Frame, frame};
use crate::packet::Burst;
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
        checksum: false,
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
fn a_tunnel_into_itself_ends_at_the_headroom_or_at_the_limit_of_passes() {
    let mut world = World::new();
    world.ends.set(TUNNEL, Kind::Vxlan, Flavour::Plain);
    let before = frame(Frame::UdpV4, None, b"");
    let mut layers = vec![push(); 6];
    layers.push(Action::Output(PortNo(1)));
    world.run([packet(&before)], &layers);
    assert_eq!(world.drops.get(DropReason::TunnelPushError), 1);
    layers.drain(..3);
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
