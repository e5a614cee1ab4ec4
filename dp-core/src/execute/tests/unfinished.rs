//! What a sender left to be done, under headers that actions push: whoever finishes the packet
//! afterwards gets what pushing them on finished packets gives.

use super::frames::parts;
use super::{Kind, World, frame, packet};
use crate::action::nsh::{Header, Key};
use crate::action::set::Ethernet;
use crate::action::{Action, ActionList};
use crate::base::{DropReason, MacAddr, PortNo};
use crate::offload;
use crate::packet::{CtMeta, Known, Offloads, Packet, TunnelMeta};

const OUT: Action = Action::Output(PortNo(1));
const SEGMENT: u16 = 7;

/// Every header that a list can put in front, and some together.
fn lists() -> Vec<Vec<Action>> {
    let vlan = |tci| Action::PushVlan { tpid: 0x8100, tci };
    let mpls = |lse| Action::PushMpls { lse, eth_type: 0x8847 };
    let add = |behind_ethernet| Action::AddMpls { lse: 0x140, eth_type: 0x8848, behind_ethernet };
    let key = Key { ttl: 63, mdtype: 1, np: 3, spi: 0x1234, si: 255, ..Key::default() };
    let nsh = || Action::PushNsh(Box::new(Header { key, metadata2: smallvec::SmallVec::new() }));
    let header = Ethernet { src: MacAddr([0xa; 6]), dst: MacAddr([0xb; 6]) };
    let ethernet = || Action::PushEthernet(header);
    let nested: ActionList = vec![mpls(0x140), OUT].into();
    vec![
        vec![],
        vec![vlan(0x1005)],
        vec![vlan(0x1005), Action::PushVlan { tpid: 0x88a8, tci: 0x1006 }],
        vec![mpls(0x140)],
        vec![mpls(0x140), mpls(0x0002_2040)],
        vec![vlan(0x1005), mpls(0x140)],
        vec![add(true)],
        vec![add(false)],
        vec![add(false), ethernet()],
        vec![Action::PopEthernet],
        vec![Action::PopEthernet, ethernet()],
        vec![Action::PopEthernet, ethernet(), vlan(0x1005)],
        vec![nsh()],
        vec![nsh(), ethernet()],
        vec![nsh(), ethernet(), vlan(0x1005)],
        vec![Action::Clone(nested)],
    ]
}

fn unfinished(kind: Kind, tag: Option<u16>, offloads: Offloads) -> Packet {
    let mut bytes = frame(kind, tag, b"a payload of several segments, to be cut");
    let found = parts(&bytes).expect("a transport header");
    let field = found.checksum_at().expect("a checksum");
    let sum = found.partial();
    bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    let mut packet = packet(&bytes);
    let meta = packet.meta_mut();
    meta.offloads |= offloads;
    meta.segment = SEGMENT;
    packet
}

fn finished(packets: Vec<Packet>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for packet in packets {
        let keep = &mut |packet: Packet| all.push(packet.data().to_vec());
        offload::finish(packet, keep).expect("it can be finished");
    }
    all
}

fn sent_packets(packets: Vec<Packet>, list: &[Action]) -> Vec<Packet> {
    let mut world = World::new();
    world.out = crate::execute::TxBatches::new(4);
    assert!(world.out.add_port(PortNo(1)));
    world.run(packets, &[list, &[OUT]].concat());
    let mut all = Vec::new();
    world.out.flush(|_, burst| all.extend(burst.drain()));
    assert_eq!(world.drops.total(), 0, "{list:?}");
    all
}

#[test]
fn pushing_headers_and_finishing_a_packet_are_exchangeable() {
    let kinds = [Kind::TcpV4, Kind::TcpV6, Kind::UdpV4, Kind::UdpV6];
    let partial = Offloads::L4_CSUM_PARTIAL;
    for kind in kinds {
        for tag in [None, Some(9)] {
            for offloads in [partial, partial | Offloads::TSO] {
                for list in lists() {
                    let one = || unfinished(kind, tag, offloads);
                    let mut pushed = finished(sent_packets(vec![one()], &list));
                    // Finished packets, as they would have come in.
                    let whole = finished(vec![one()]);
                    let whole = whole.iter().map(|frame| packet(frame)).collect();
                    let mut expected = finished(sent_packets(whole, &list));
                    // What a nested list sends leaves before or after the rest.
                    expected.sort();
                    pushed.sort();
                    assert!(!pushed.is_empty());
                    assert_eq!(pushed, expected, "{kind:?} {tag:?} {offloads:?} {list:?}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_cut_gets_no_label() {
    let mut world = World::new();
    let mut arp = packet(&frame(Kind::Arp, None, b""));
    arp.meta_mut().offloads |= Offloads::TSO;
    world.run([arp], &[Action::PushMpls { lse: 0x140, eth_type: 0x8847 }, OUT]);
    assert_eq!((world.sent().len(), world.drops.get(DropReason::ActionError)), (0, 1));
}

#[test]
fn segments_know_what_their_packet_knew() {
    let mut large = unfinished(Kind::TcpV4, None, Offloads::L4_CSUM_PARTIAL | Offloads::TSO);
    let ct = CtMeta { mark: 7, zone: 5, state: 3, ..CtMeta::default() };
    let tunnel = TunnelMeta { id: 9, ..TunnelMeta::NONE };
    large.set_ct(ct);
    large.set_tunnel(&tunnel);
    let mut count = 0;
    offload::segments(&large, &mut |segment| {
        count += 1;
        assert_eq!((segment.ct(), segment.tunnel()), (Some(&ct), Some(&tunnel)));
    })
    .expect("it can be cut");
    assert_eq!(count, 6);
    large.clear_ct();
    large.clear_tunnel();
    offload::segments(&large, &mut |segment| {
        assert!(!segment.meta().known.intersects(Known::CT | Known::TUNNEL));
    })
    .expect("it can be cut");
}
