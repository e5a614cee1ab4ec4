mod encapsulation;
mod frames;
mod lists;
mod properties;
mod tracking;
mod tunnels;
mod unfinished;

use frames::{Kind, frame, parts, wrong};

use std::sync::Mutex;

use super::{Context, Exits, TxBatches, WorkList, execute};
use crate::action::set::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Nd, NdExt, Ports};
use crate::action::{Action, ActionList, Masked, Set, Userspace};
use crate::base::{DropCounters, DropReason, Instant, MacAddr, PortNo, Random, RecircId};
use crate::bond::Bonds;
use crate::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use crate::conntrack::Conntrack;
use crate::flow::extract::{Extractor, Pass};
use crate::flow::{BurstKeys, FlowKey};
use crate::meter::Meters;
use crate::packet::{BURST, Burst, Offloads, Packet, Pool, Slots};
use crate::tunnel::Ends;

const IN: PortNo = PortNo(7);
const NOW: Instant = Instant::from_millis(100_000);

/// A packet with this frame, its headers found.
fn packet(frame: &[u8]) -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(frame.len()).unwrap().copy_from_slice(frame);
    let mut burst = Burst::default();
    burst.push(packet).unwrap();
    let first = Pass::First(IN);
    Extractor::default().burst(&mut burst, Slots::first(1), first, &mut BurstKeys::default());
    burst.take(0).unwrap()
}

/// Everything that packets can leave a list by.
struct World {
    out: TxBatches,
    again: WorkList,
    drops: DropCounters,
    random: Random,
    meters: Meters,
    bonds: Bonds,
    ends: Ends,
    conntrack: Conntrack,
    slow: Slow,
}

/// A slow path that keeps what it is handed and answers with a list.
#[derive(Default)]
struct Slow {
    answer: Option<ActionList>,
    handed: Mutex<Vec<(Userspace, FlowKey, Vec<u8>)>>,
    samples: Mutex<Vec<(u32, Vec<u8>, usize)>>,
}

impl UpcallSink for Slow {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        Err(UpcallError::NoBridge)
    }

    fn userspace(
        &self,
        request: &Userspace,
        upcall: &Upcall<'_>,
        _: Instant,
    ) -> Option<ActionList> {
        let handed = (request.clone(), upcall.key.clone(), upcall.frame.to_vec());
        self.handed.lock().unwrap().push(handed);
        self.answer.clone()
    }

    fn sampled(&self, group: u32, cookie: &[u8], frame: &[u8], _: Instant) {
        self.samples.lock().unwrap().push((group, cookie.to_vec(), frame.len()));
    }
}

impl World {
    /// Ports 0, 1 and 2; two further passes.
    fn new() -> Self {
        let mut out = TxBatches::new(1);
        assert!((0..3).all(|port| out.add_port(PortNo(port))));
        Self {
            out,
            again: WorkList::new(2),
            drops: DropCounters::default(),
            random: Random::new(1),
            meters: Meters::default(),
            bonds: Bonds::default(),
            ends: Ends::default(),
            conntrack: Conntrack::new(1),
            slow: Slow::default(),
        }
    }

    fn run(&mut self, packets: impl IntoIterator<Item = Packet>, actions: &[Action]) {
        let mut burst = Burst::default();
        for packet in packets {
            burst.push(packet).unwrap();
        }
        let all = Slots::first(burst.len());
        self.execute(&mut burst, all, Some(IN), actions);
        assert!(burst.live().is_empty(), "a packet is left");
    }

    fn execute(
        &mut self,
        burst: &mut Burst,
        slots: Slots,
        in_port: Option<PortNo>,
        actions: &[Action],
    ) {
        let Self { out, again, drops, random, meters, bonds, conntrack, slow, ends } = self;
        let extractor = &Extractor::default();
        let context =
            Context { in_port, now: NOW, sink: slow, extractor, meters, bonds, ends, conntrack };
        execute(
            actions,
            burst,
            slots,
            &context,
            &mut Exits { out, again, drops, random, stay: None },
        );
    }

    fn sent(&mut self) -> Vec<(u32, Vec<u8>)> {
        let mut all = Vec::new();
        self.out.flush(|port, burst| {
            all.extend(burst.drain().map(|packet| (port.0, packet.data().to_vec())));
        });
        all
    }
}

/// The frame of the one packet that leaves by port 1.
fn one_out(packet: Packet, actions: &[Action]) -> Vec<u8> {
    let mut world = World::new();
    world.run([packet], actions);
    let mut sent = world.sent();
    assert_eq!((sent.len(), world.drops.total()), (1, 0));
    let (port, frame) = sent.remove(0);
    assert_eq!(port, 1);
    frame
}

/// Executes one set; returns the frame before and after.
fn set(kind: Kind, set: Set) -> (Vec<u8>, Vec<u8>) {
    let before = frame(kind, None, b"some payload");
    let after = one_out(packet(&before), &[Action::Set(set), Action::Output(PortNo(1))]);
    assert_eq!(wrong(&after), Vec::<&str>::new(), "{kind:?}");
    (before, after)
}

/// Where two frames of one length differ.
fn differences(one: &[u8], other: &[u8]) -> Vec<usize> {
    assert_eq!(one.len(), other.len());
    (0..one.len()).filter(|&at| one[at] != other[at]).collect()
}

const ALL_PORTS: Masked<Ports> =
    Masked { value: Ports { src: 0xbeef, dst: 0xcafe }, mask: Ports { src: 0xffff, dst: 0xffff } };

fn ethernet() -> Set {
    Set::Ethernet(Masked {
        value: Ethernet { src: MacAddr([0xaa; 6]), dst: MacAddr([0xbb; 6]) },
        mask: Ethernet { src: MacAddr([0xff; 6]), dst: MacAddr([0, 0, 0, 0, 0, 0x0f]) },
    })
}

fn ipv4() -> Set {
    Set::Ipv4(Masked {
        value: Ipv4 { src: [192, 0, 2, 1].into(), dst: [0, 0, 0, 9].into(), tos: 0x28, ttl: 5 },
        mask: Ipv4 { src: [255; 4].into(), dst: [0, 0, 0, 255].into(), tos: 0xfc, ttl: 255 },
    })
}

fn ipv6() -> Set {
    let value = Ipv6 {
        src: "2001:db8::5".parse().unwrap(),
        dst: "::9".parse().unwrap(),
        label: 0xabcde,
        tclass: 0x5f,
        hlimit: 9,
    };
    let mask = Ipv6 {
        src: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(),
        dst: "::ffff".parse().unwrap(),
        label: 0xfffff,
        tclass: 0xff,
        hlimit: 0xff,
    };
    Set::Ipv6(Box::new(Masked { value, mask }))
}

fn arp() -> Set {
    let ones = MacAddr([0xff; 6]);
    Set::Arp(Box::new(Masked {
        value: Arp {
            op: 2,
            spa: [1, 2, 3, 4].into(),
            tpa: [5, 6, 7, 8].into(),
            sha: MacAddr([0x11; 6]),
            tha: MacAddr([0x22; 6]),
        },
        mask: Arp { op: 0xffff, spa: [255; 4].into(), tpa: [255; 4].into(), sha: ones, tha: ones },
    }))
}

fn nd() -> Set {
    let ones = MacAddr([0xff; 6]);
    Set::Nd(Box::new(Masked {
        value: Nd {
            target: "::77".parse().unwrap(),
            sll: MacAddr([0x33; 6]),
            tll: MacAddr([0x44; 6]),
        },
        mask: Nd { target: "::ff".parse().unwrap(), sll: ones, tll: ones },
    }))
}

fn icmp() -> Masked<Icmp> {
    Masked { value: Icmp { icmp_type: 11, code: 1 }, mask: Icmp { icmp_type: 255, code: 255 } }
}

fn vlan() -> Set {
    Set::Vlan(Masked { value: 0x0123, mask: 0x0fff })
}

#[test]
fn ethernet_addresses_are_set_under_the_mask() {
    let (before, after) = set(Kind::UdpV4, ethernet());
    assert_eq!(after[..12], [2, 0, 0, 0, 0, 0x0b, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
    assert_eq!(after[12..], before[12..]);
}

#[test]
fn ipv4_fields_are_set_and_both_checksums_follow() {
    for kind in [Kind::UdpV4, Kind::TcpV4, Kind::IcmpV4, Kind::SctpV4, Kind::BareUdpV4] {
        let (before, after) = set(kind, ipv4());
        // DSCP 10, the ECN bits stay.
        assert_eq!((after[15], after[22]), (0x29, 5), "{kind:?}");
        assert_eq!(after[26..34], [192, 0, 2, 1, 10, 0, 0, 9], "{kind:?}");
        let mut changed = vec![15, 22, 24, 25, 26, 27, 28, 33];
        match kind {
            Kind::UdpV4 => changed.extend([40, 41]),
            Kind::TcpV4 => changed.extend([50, 51]),
            _ => {}
        }
        let stray: Vec<usize> =
            differences(&before, &after).into_iter().filter(|at| !changed.contains(at)).collect();
        assert_eq!(stray, [], "{kind:?}");
    }
}

#[test]
fn ipv6_fields_are_set_and_the_transport_checksum_follows() {
    for kind in [Kind::UdpV6, Kind::TcpV6, Kind::IcmpV6, Kind::SctpV6, Kind::RoutedV6] {
        let (before, after) = set(kind, ipv6());
        assert_eq!(after[14..18], [0x65, 0xfa, 0xbc, 0xde], "{kind:?}");
        assert_eq!(after[21], 9, "{kind:?}");
        assert_eq!(after[22..38], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(after[38..54], [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(after[18..21], before[18..21], "{kind:?}");
    }
}

#[test]
fn ports_are_set_in_the_header_of_their_own_protocol() {
    for (kind, action, at) in [
        (Kind::TcpV4, Set::Tcp(ALL_PORTS), 34),
        (Kind::TcpV6, Set::Tcp(ALL_PORTS), 54),
        (Kind::UdpV4, Set::Udp(ALL_PORTS), 34),
        (Kind::UdpV6, Set::Udp(ALL_PORTS), 54),
        (Kind::RoutedV6, Set::Udp(ALL_PORTS), 78),
        (Kind::SctpV4, Set::Sctp(ALL_PORTS), 34),
        (Kind::SctpV6, Set::Sctp(ALL_PORTS), 54),
    ] {
        let (_, after) = set(kind, action);
        assert_eq!(after[at..at + 4], [0xbe, 0xef, 0xca, 0xfe], "{kind:?}");
    }
}

#[test]
fn a_udp_checksum_of_zero_stays_zero() {
    let (before, after) = set(Kind::BareUdpV4, Set::Udp(ALL_PORTS));
    assert_eq!((&before[40..42], &after[40..42]), (&[0, 0][..], &[0, 0][..]));
}

#[test]
fn icmp_type_and_code_are_set() {
    let (_, after) = set(Kind::IcmpV4, Set::Icmp(icmp()));
    assert_eq!(after[34..36], [11, 1]);
    let (_, after) = set(Kind::IcmpV6, Set::Icmpv6(icmp()));
    assert_eq!(after[54..56], [11, 1]);
}

#[test]
fn arp_fields_are_set() {
    let (before, after) = set(Kind::Arp, arp());
    assert_eq!(after[..20], before[..20]);
    assert_eq!(after[20..22], [0, 2]);
    assert_eq!(after[22..32], [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 1, 2, 3, 4]);
    assert_eq!(after[32..42], [0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 5, 6, 7, 8]);
    assert_eq!(after[42..], before[42..]);
}

#[test]
fn neighbour_discovery_sets_the_target_and_the_option_that_is_there() {
    let (before, after) = set(Kind::SolicitV6, nd());
    assert_eq!(after[62..78], [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77]);
    assert_eq!(after[78..86], [1, 1, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
    assert_eq!(after.len(), before.len());
}

#[test]
fn neighbour_discovery_sets_the_reserved_word_and_the_type_of_the_first_option() {
    let ext = |reserved, options_type| NdExt { reserved, options_type };
    let masked = Masked { value: ext(0x6000_0001, 2), mask: ext(0xf000_000f, 0xff) };
    let (before, after) = set(Kind::SolicitV6, Set::NdExt(masked));
    assert_eq!(after[58..62], [0x60, 0, 0, 1]);
    assert_eq!(after[78..86], [2, 1, 2, 0, 0, 0, 0, 7]);
    assert_eq!(after[62..78], before[62..78]);
    // Bytes behind the packet's end are no option.
    let mut short = before[..78].to_vec();
    short[18..20].copy_from_slice(&24u16.to_be_bytes());
    let trailer = [1, 1, 9, 9, 9, 9, 9, 9];
    short.extend(trailer);
    let actions = [Action::Set(Set::NdExt(masked)), Action::Output(PortNo(1))];
    let after = one_out(packet(&short), &actions);
    assert_eq!(after[58..62], [0x60, 0, 0, 1]);
    assert_eq!(after[78..], trailer);
}

#[test]
fn tags_are_pushed_set_and_popped() {
    let before = frame(Kind::UdpV4, None, b"x");
    let push = Action::PushVlan { tpid: 0x88a8, tci: 0xb064 };
    let send = Action::Output(PortNo(1));
    let pushed = one_out(packet(&before), &[push.clone(), send.clone()]);
    assert_eq!(pushed[..12], before[..12]);
    // The bit that says "present" in a key does not go out.
    assert_eq!(pushed[12..16], [0x88, 0xa8, 0xa0, 0x64]);
    assert_eq!(pushed[16..], before[12..]);

    let set = one_out(packet(&pushed), &[Action::Set(vlan()), send.clone()]);
    assert_eq!(set[12..16], [0x88, 0xa8, 0xa1, 0x23]);
    assert_eq!(differences(&set, &pushed), [14, 15]);

    assert_eq!(one_out(packet(&pushed), &[Action::PopVlan, send.clone()]), before);
    // Nothing to take away.
    assert_eq!(one_out(packet(&before), &[Action::PopVlan, send]), before);
}

#[test]
fn mark_and_priority_travel_with_the_packet() {
    let mut world = World::new();
    let actions = [
        Action::Set(Set::PktMark(Masked { value: 0x12345, mask: 0xff })),
        Action::Set(Set::SkbPriority(Masked { value: 3, mask: u32::MAX })),
        Action::Recirc(RecircId(9)),
    ];
    let mut marked = packet(&frame(Kind::UdpV4, None, b""));
    marked.meta_mut().set_marks(0xab00, 0);
    world.run([marked], &actions);
    let mut burst = Burst::default();
    assert_eq!(world.again.next(&mut burst), 1);
    let meta = burst.get(0).unwrap().meta();
    assert_eq!((meta.pkt_mark, meta.skb_priority), (0xab45, 3));
    assert_eq!((meta.recirc_id, meta.in_port, meta.passes), (RecircId(9), IN, 1));
}

#[test]
fn a_set_of_a_header_that_is_not_there_leaves_the_packet_as_it_is() {
    let sets: [(Set, &[Kind]); 11] = [
        (ipv4(), &[Kind::TcpV6, Kind::Arp]),
        (ipv6(), &[Kind::TcpV4, Kind::Arp]),
        (Set::Tcp(ALL_PORTS), &[Kind::UdpV4, Kind::UdpV6, Kind::IcmpV4, Kind::Arp]),
        (Set::Udp(ALL_PORTS), &[Kind::TcpV4, Kind::SctpV6, Kind::Arp]),
        (Set::Sctp(ALL_PORTS), &[Kind::TcpV4, Kind::UdpV6, Kind::Arp]),
        (Set::Icmp(icmp()), &[Kind::UdpV4, Kind::IcmpV6, Kind::Arp]),
        (Set::Icmpv6(icmp()), &[Kind::UdpV6, Kind::IcmpV4, Kind::Arp]),
        (arp(), &[Kind::UdpV4, Kind::SolicitV6]),
        (nd(), &[Kind::IcmpV6, Kind::IcmpV4, Kind::Arp]),
        (vlan(), &[Kind::UdpV4, Kind::UdpV6, Kind::Arp]),
        (Set::Vlan(Masked { value: 0, mask: 0 }), &[Kind::UdpV4]),
    ];
    for (action, kinds) in sets {
        for &kind in kinds {
            let (before, after) = set(kind, action.clone());
            assert_eq!(before, after, "{kind:?} {action:?}");
        }
    }
}

#[test]
fn a_later_fragment_has_no_transport_header() {
    let mut fragment = frame(Kind::UdpV4, None, b"some payload");
    fragment[21] = 3;
    let sets = [Action::Set(Set::Udp(ALL_PORTS)), Action::Set(ipv4()), Action::Output(PortNo(1))];
    let after = one_out(packet(&fragment), &sets);
    // Neither ports nor what would be the checksum.
    assert_eq!(after[34..], fragment[34..]);
    assert_eq!(after[26..30], [192, 0, 2, 1]);
}

#[test]
fn cut_off_frames_are_left_alone_where_the_header_is_not_whole() {
    for kind in Kind::ALL {
        let whole = frame(kind, None, b"");
        for len in 14..whole.len() {
            let sets = [ipv4(), ipv6(), arp(), nd(), Set::Icmp(icmp()), Set::Icmpv6(icmp())]
                .into_iter()
                .chain([Set::Tcp(ALL_PORTS), Set::Udp(ALL_PORTS), Set::Sctp(ALL_PORTS)]);
            let list: Vec<Action> =
                sets.map(Action::Set).chain([Action::Output(PortNo(1))]).collect();
            let after = one_out(packet(&whole[..len]), &list);
            assert_eq!(after.len(), len, "{kind:?}");
            assert_eq!(after[..14], whole[..14], "{kind:?}");
        }
    }
}

#[test]
fn a_device_that_sums_up_the_segment_gets_the_pseudo_header_alone() {
    let mut before = frame(Kind::TcpV4, None, b"payload");
    let sum = parts(&before).unwrap().partial();
    before[50..52].copy_from_slice(&sum.to_be_bytes());
    let mut packet = packet(&before);
    packet.meta_mut().offloads |= Offloads::L4_CSUM_PARTIAL;
    let sets = [Action::Set(ipv4()), Action::Set(Set::Tcp(ALL_PORTS)), Action::Output(PortNo(1))];
    let after = one_out(packet, &sets);
    assert_eq!(after[34..38], [0xbe, 0xef, 0xca, 0xfe]);
    assert_eq!(after[50..52], parts(&after).unwrap().partial().to_be_bytes());
}

#[test]
fn each_output_sends_the_packet_as_it_is_then() {
    let before = frame(Kind::UdpV4, None, b"x");
    let mut world = World::new();
    let actions = [
        Action::Output(PortNo(0)),
        Action::Set(ethernet()),
        Action::Output(PortNo(1)),
        Action::PushVlan { tpid: 0x8100, tci: 5 },
        Action::Output(PortNo(2)),
        Action::PopVlan,
    ];
    world.run([packet(&before), packet(&before)], &actions);
    let sent = world.sent();
    let order: Vec<(u32, usize)> = sent.iter().map(|(port, frame)| (*port, frame.len())).collect();
    assert_eq!(order, [(0, 60), (0, 60), (1, 60), (1, 60), (2, 64), (2, 64)]);
    assert_eq!(sent[0].1, before);
    assert_eq!(differences(&sent[2].1, &before), [5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(world.drops.total(), 0);
}

#[test]
fn an_empty_list_drops_and_so_does_one_without_an_exit() {
    let mut world = World::new();
    let frame = frame(Kind::UdpV4, None, b"");
    world.run([packet(&frame)], &[]);
    world.run([packet(&frame)], &[Action::PopVlan]);
    assert_eq!(world.drops.get(DropReason::Explicit), 2);
    world.run([packet(&frame)], &[Action::Drop(DropReason::TooManyResubmits)]);
    let both = [Action::Output(PortNo(1)), Action::Drop(DropReason::TooManyResubmits)];
    world.run([packet(&frame)], &both);
    assert_eq!(world.drops.get(DropReason::TooManyResubmits), 2);
    assert_eq!((world.sent().len(), world.drops.total()), (1, 4));
}

#[test]
fn a_port_that_is_not_there_costs_its_packets_alone() {
    let mut world = World::new();
    let before = frame(Kind::UdpV4, None, b"");
    world.run([packet(&before)], &[Action::Output(PortNo(99)), Action::Output(PortNo(1))]);
    world.run([packet(&before)], &[Action::Output(PortNo(99))]);
    assert_eq!(world.sent(), [(1, before)]);
    assert_eq!((world.drops.get(DropReason::InvalidPort), world.drops.total()), (2, 2));
}

#[test]
fn a_batch_takes_what_it_has_room_for() {
    let mut world = World::new();
    let before = frame(Kind::UdpV4, None, b"");
    let some = |count| (0..count).map(|_| packet(&before)).collect::<Vec<_>>();
    // Room for one burst: 20 and 12 of 20 moved, then copies.
    world.run(some(20), &[Action::Output(PortNo(1))]);
    world.run(some(20), &[Action::Output(PortNo(1))]);
    assert_eq!(world.drops.get(DropReason::TxQueueFull), 8);
    world.run(some(3), &[Action::Output(PortNo(1)), Action::Output(PortNo(2))]);
    assert_eq!(world.drops.get(DropReason::TxQueueFull), 11);
    assert_eq!(world.sent().len(), BURST + 3);
    // A batch that was flushed has room again.
    world.run(some(BURST), &[Action::Output(PortNo(1))]);
    assert_eq!((world.sent().len(), world.drops.total()), (BURST, 11));
}

#[test]
fn a_tag_that_finds_no_headroom_costs_that_packet_alone() {
    let mut world = World::new();
    let before = frame(Kind::UdpV4, None, b"");
    let cramped = {
        let mut packet = packet(&before);
        let room = packet.headroom();
        let len = packet.len();
        packet.push_front(room - 2).unwrap();
        packet.truncate(len);
        packet.data_mut().copy_from_slice(&before);
        packet
    };
    let push = Action::PushVlan { tpid: 0x8100, tci: 5 };
    world.run([cramped, packet(&before)], &[push, Action::Output(PortNo(1))]);
    assert_eq!((world.drops.get(DropReason::ActionError), world.drops.total()), (1, 1));
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_packet_passes_again_as_often_as_it_may() {
    let mut world = World::new();
    world.run([packet(&frame(Kind::UdpV4, None, b""))], &[Action::Recirc(RecircId(1))]);
    let mut burst = Burst::default();
    let mut passes = 0;
    while world.again.next(&mut burst) > 0 {
        passes += 1;
        let actions = [Action::Recirc(RecircId(2)), Action::Output(PortNo(1))];
        world.execute(&mut burst, Slots::first(1), None, &actions);
    }
    assert_eq!((passes, world.drops.get(DropReason::RecircLimit)), (2, 1));
    assert_eq!(world.sent().len(), 2);
}
