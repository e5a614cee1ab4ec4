//! Headers pushed and popped in front of what a packet carries: bytes in, bytes out.

use smallvec::SmallVec;

use super::{Kind, Masked, Set, World, differences, frame, one_out, packet};
use crate::action::nsh::{Header, Key};
use crate::action::set::Ethernet;
use crate::action::{Action, ActionList};
use crate::base::{DropReason, MacAddr, PortNo, RecircId};
use crate::packet::{Burst, TunnelMeta};

const OUT: Action = Action::Output(PortNo(1));

fn push_mpls(lse: u32) -> Action {
    Action::PushMpls { lse, eth_type: 0x8847 }
}

#[test]
fn a_label_goes_behind_ethernet_and_tags_and_comes_off_again() {
    for tag in [None, Some(5)] {
        for kind in [Kind::UdpV4, Kind::TcpV6, Kind::Arp] {
            let before = frame(kind, tag, b"some payload");
            let l3 = if tag.is_some() { 18 } else { 14 };
            let after = one_out(packet(&before), &[push_mpls(0x0001_2140), OUT]);
            let mut expected = before.clone();
            let eth_type = [before[l3 - 2], before[l3 - 1]];
            expected[l3 - 2..l3].copy_from_slice(&[0x88, 0x47]);
            expected.splice(l3..l3, [0x00, 0x01, 0x21, 0x40]);
            assert_eq!(after, expected);
            let pop = Action::PopMpls { eth_type: u16::from_be_bytes(eth_type) };
            assert_eq!(one_out(packet(&after), &[pop.clone(), OUT]), before);
            // Twice on, twice off, and the inner headers are known again.
            let inner = Action::PopMpls { eth_type: 0x8847 };
            let ttl = super::ipv4();
            let actions =
                [push_mpls(0x0001_2140), push_mpls(0x0002_2040), inner, pop, Action::Set(ttl), OUT];
            let after = one_out(packet(&before), &actions);
            let expected = one_out(packet(&before), &[Action::Set(super::ipv4()), OUT]);
            assert_eq!(after, expected);
        }
    }
}

#[test]
fn popping_a_label_that_is_not_there_changes_nothing() {
    let before = frame(Kind::UdpV4, None, b"");
    let pop = Action::PopMpls { eth_type: 0x0800 };
    assert_eq!(one_out(packet(&before), &[pop.clone(), OUT]), before);
    let mut cut = before[..17].to_vec();
    cut[12..14].copy_from_slice(&[0x88, 0x47]);
    assert_eq!(one_out(packet(&cut), &[pop, OUT]), cut);
}

#[test]
fn parts_of_the_outermost_label_are_set() {
    let before = one_out(packet(&frame(Kind::UdpV4, None, b"")), &[push_mpls(0x0001_2140), OUT]);
    let set = |value, mask| Action::Set(Set::Mpls(Masked { value, mask }));
    let after = one_out(packet(&before), &[set(0xabcd_e000, 0xffff_f000), OUT]);
    assert_eq!(after[14..18], [0xab, 0xcd, 0xe1, 0x40]);
    let after = one_out(packet(&before), &[set(0x3f, 0xff), OUT]);
    assert_eq!(differences(&before, &after), [17]);
    // Without a label there is nothing to set.
    let plain = frame(Kind::UdpV4, None, b"");
    assert_eq!(one_out(packet(&plain), &[set(1, 1), OUT]), plain);
}

#[test]
fn a_label_in_front_of_the_frame_leaves_no_ethernet_header() {
    let before = frame(Kind::UdpV4, None, b"");
    let add = |behind_ethernet| Action::AddMpls { lse: 0x140, eth_type: 0x8848, behind_ethernet };
    let after = one_out(packet(&before), &[add(false), OUT]);
    assert_eq!((&after[..4], &after[4..]), (&[0, 0, 1, 0x40][..], &before[..]));
    let behind = one_out(packet(&before), &[add(true), OUT]);
    assert_eq!(behind[12..18], [0x88, 0x48, 0, 0, 1, 0x40]);
    // And the Ethernet header of the outer network.
    let header = Ethernet { src: MacAddr([1; 6]), dst: MacAddr([2; 6]) };
    let actions = [add(false), Action::PushEthernet(header), OUT];
    let after = one_out(packet(&before), &actions);
    let outer = [&[2; 6][..], &[1; 6], &[0x88, 0x48, 0, 0, 1, 0x40]].concat();
    assert_eq!((&after[..18], &after[18..]), (&outer[..], &before[..]));
}

#[test]
fn an_ethernet_header_comes_off_with_its_tags_and_another_goes_on() {
    let header = Ethernet { src: MacAddr([0xa; 6]), dst: MacAddr([0xb; 6]) };
    for (tag, l3) in [(None, 14), (Some(9), 18)] {
        let before = frame(Kind::TcpV6, tag, b"xyz");
        let bare = one_out(packet(&before), &[Action::PopEthernet, OUT]);
        assert_eq!(bare, before[l3..]);
        let ports = Set::Tcp(super::ALL_PORTS);
        let actions =
            [Action::PopEthernet, Action::Set(ports.clone()), Action::PushEthernet(header), OUT];
        let after = one_out(packet(&before), &actions);
        let inner = one_out(packet(&before), &[Action::Set(ports), OUT]);
        let expected = [&[0xb; 6][..], &[0xa; 6], &[0x86, 0xdd], &inner[l3..]].concat();
        assert_eq!(after, expected);
    }
    // There is a header already; there is none any more.
    let mut world = World::new();
    world.run([packet(&frame(Kind::Arp, None, b""))], &[Action::PushEthernet(header), OUT]);
    world.run(
        [packet(&frame(Kind::Arp, None, b""))],
        &[Action::PopEthernet, Action::PopEthernet, OUT],
    );
    assert_eq!((world.drops.get(DropReason::ActionError), world.drops.total()), (2, 2));
}

fn nsh(mdtype: u8, np: u8, metadata2: &[u8]) -> Header {
    let context = [0x1122_3344, 0x5566_7788, 0x99aa_bbcc, 0xddee_ff00];
    let key = Key { flags: 0, ttl: 63, mdtype, np, spi: 0x0a_0b0c, si: 255, context };
    Header { key, metadata2: SmallVec::from_slice(metadata2) }
}

#[test]
fn a_service_header_goes_in_front_of_the_frame_and_comes_off_again() {
    let before = frame(Kind::UdpV4, Some(3), b"abc");
    let push = |header: Header| Action::PushNsh(Box::new(header));
    let after = one_out(packet(&before), &[push(nsh(1, 3, &[])), OUT]);
    let head = [
        0x0f, 0xc6, 1, 3, 0x0a, 0x0b, 0x0c, 255, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
        0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0,
    ];
    assert_eq!((&after[..24], &after[24..]), (&head[..], &before[..]));
    let tlv = [0, 1, 0x7f, 4, 9, 8, 7, 6];
    let after = one_out(packet(&before), &[push(nsh(2, 3, &tlv)), OUT]);
    assert_eq!(after[..16], [&[0x0f, 0xc4, 2, 3, 0x0a, 0x0b, 0x0c, 255][..], &tlv].concat());
    // Off again: Ethernet behind it is found, and may be changed at once.
    let udp = || Action::Set(Set::Udp(super::ALL_PORTS));
    let changed = one_out(packet(&before), &[udp(), OUT]);
    for header in [nsh(1, 3, &[]), nsh(2, 3, &tlv)] {
        let after = one_out(packet(&before), &[push(header), Action::PopNsh, udp(), OUT]);
        assert_eq!(after, changed);
    }
    // A header in front of a packet without Ethernet.
    let actions = [Action::PopEthernet, push(nsh(1, 1, &[])), Action::PopNsh, udp(), OUT];
    assert_eq!(one_out(packet(&before), &actions), changed[18..]);
}

#[test]
fn service_headers_that_cannot_be_cost_their_packets() {
    let mut world = World::new();
    let push = |header: Header| Action::PushNsh(Box::new(header));
    let some = || packet(&frame(Kind::UdpV4, None, b""));
    world.run([some()], &[push(nsh(2, 3, &[0; 248])), OUT]);
    world.run([some()], &[push(nsh(2, 3, &[0; 3])), OUT]);
    assert_eq!(world.drops.get(DropReason::ActionError), 2);
    // No header to take off; a next protocol that nobody knows.
    world.run([some()], &[Action::PopNsh, OUT]);
    world.run([some()], &[push(nsh(1, 77, &[])), Action::PopNsh, OUT]);
    assert_eq!((world.drops.get(DropReason::NshDecap), world.drops.total()), (2, 4));
}

#[test]
fn fields_of_a_service_header_are_set() {
    let header = Ethernet { src: MacAddr([1; 6]), dst: MacAddr([2; 6]) };
    let carried = [Action::PushNsh(Box::new(nsh(1, 3, &[]))), Action::PushEthernet(header), OUT];
    let before = one_out(packet(&frame(Kind::UdpV4, None, b"")), &carried);
    assert_eq!(before[12..16], [0x89, 0x4f, 0x0f, 0xc6]);
    let none = Key { ttl: 0, ..Key::default() };
    let set = |value: Key, mask: Key| Action::Set(Set::Nsh(Box::new(Masked { value, mask })));
    let value = Key { ttl: 5, si: 7, context: [0, 0, 0, 0x42], ..none };
    let mask = Key { ttl: 63, si: 0xff, context: [0, 0, 0, 0xff], ..none };
    let after = one_out(packet(&before), &[set(value, mask), OUT]);
    let mut expected = before.clone();
    (expected[14], expected[15]) = (0x01, 0x46);
    (expected[21], expected[37]) = (7, 0x42);
    assert_eq!(after, expected);
    let value = Key { flags: 3, spi: 0x01_0203, ..none };
    let mask = Key { flags: 3, spi: 0xff_ffff, ..none };
    let after = one_out(packet(&before), &[set(value, mask), OUT]);
    assert_eq!((after[14] >> 4, &after[18..22]), (3, &[1, 2, 3, 255][..]));
    // Context words of type 2 do not exist.
    let two = [Action::PushNsh(Box::new(nsh(2, 3, &[7; 8]))), Action::PushEthernet(header), OUT];
    let before = one_out(packet(&frame(Kind::UdpV4, None, b"")), &two);
    let mask = Key { context: [u32::MAX; 4], ..none };
    assert_eq!(one_out(packet(&before), &[set(mask, mask), OUT]), before);
}

#[test]
fn tunnel_metadata_is_noted_for_whoever_encapsulates() {
    let mut world = World::new();
    let mut tunnel = TunnelMeta { id: 77, dst: [192, 0, 2, 1].into(), ttl: 64, ..TunnelMeta::NONE };
    tunnel.set_options(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let set = Action::Set(Set::Tunnel(Box::new(tunnel)));
    world.run(
        [packet(&frame(Kind::UdpV4, None, b""))],
        &ActionList::from([set, Action::Recirc(RecircId(1))]),
    );
    let mut again = Burst::default();
    assert_eq!(world.again.next(&mut again), 1);
    let seen: &TunnelMeta = again.get(0).unwrap().tunnel().unwrap();
    assert_eq!((seen.id, seen.ttl, seen.options()), (77, 64, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
    assert_eq!(seen.dst, core::net::Ipv4Addr::new(192, 0, 2, 1));
}
