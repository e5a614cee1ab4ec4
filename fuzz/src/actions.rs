//! Actions on whatever a frame is: none reads or writes outside it, no list runs for ever, and every
//! packet leaves by a port or under a reason.

use std::sync::Arc;

use dp_core::action::ct::{Nat, NatEnd, NatTarget};
use dp_core::action::nsh::{Header, Key};
use dp_core::action::set::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Nd, NdExt, Ports};
use dp_core::action::userspace::UserData;
use dp_core::action::{Action, ActionList, Ct, HashAlgorithm, Masked, Set, Userspace};
use dp_core::base::{BondId, DropReason, Instant, MacAddr, MeterId, PortNo, RecircId, Zone};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::execute::TxBatches;
use dp_core::flow::{FieldId, FlowKey};
use dp_core::packet::{Offloads, Pool};
use dp_core::pipeline::{Pipeline, Settings};

use crate::bytes::Bytes;

const NOW: Instant = Instant::from_millis(1000);

/// Answers upcalls with a drop, and packets that are handed over with an output.
struct Slow;

impl UpcallSink for Slow {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        Err(UpcallError::NoBridge)
    }

    fn userspace(&self, _: &Userspace, upcall: &Upcall<'_>, _: Instant) -> Option<ActionList> {
        assert!(upcall.frame.len() <= 70_000);
        Some(Arc::from([Action::PopVlan, Action::Output(PortNo(1))]))
    }
}

/// A list out of the front of the input, on a packet that is the rest.
pub fn action_execution(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut budget = 24;
    let actions = list(&mut bytes, 3, &mut budget);
    let packet_type = [0, 0, 0, 0x1_0800, 0x1_86dd, 0x1_8847, 0x1_894f];
    let packet_type = packet_type[usize::from(bytes.below(7))];
    let offloads = Offloads::from_bits_truncate(bytes.byte());
    let frame = bytes.rest();
    let Some(mut packet) = Pool::for_len(frame.len()).and_then(Pool::alloc) else { return };
    let Some(room) = packet.append(frame.len()) else { return };
    room.copy_from_slice(frame);
    packet.meta_mut().offloads = offloads;
    packet.meta_mut().segment = 100;
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::InPort, 1);
    key.set(FieldId::PacketType, packet_type);
    let mut pipeline = Pipeline::new(Settings { seed: 1, ..Settings::default() });
    let mut out = TxBatches::new(8);
    for port in 0..3 {
        assert!(out.add_port(PortNo(port)));
    }
    pipeline.execute(packet, &key, &actions, NOW, &Slow, &mut out);
    let mut sent = 0;
    out.flush(|_, burst| {
        for packet in burst.drain() {
            assert!(packet.len() <= frame.len() + 8192);
            sent += 1;
        }
    });
    let drops = pipeline.counters().drops.total();
    assert!(sent + drops > 0 || consumes(&actions), "a packet has vanished: {actions:?}");
    assert!(DropReason::ALL.len() > 10);
}

/// Whether a list hands its packet over, so that nothing is to be counted.
fn consumes(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::Psample { .. } | Action::Ct(_) | Action::Userspace(_) => true,
        Action::Clone(list) | Action::Sample { actions: list, .. } | Action::DecTtl(list) => {
            consumes(list)
        }
        Action::CheckPktLen { greater, less_or_equal, .. } => {
            consumes(greater) || consumes(less_or_equal)
        }
        _ => false,
    })
}

fn list(bytes: &mut Bytes<'_>, depth: u8, budget: &mut u8) -> ActionList {
    let mut actions = Vec::new();
    for _ in 0..bytes.below(6) {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        actions.push(action(bytes, depth, budget));
    }
    actions.into()
}

fn mac(bytes: &mut Bytes<'_>) -> MacAddr {
    MacAddr(bytes.number())
}

fn action(bytes: &mut Bytes<'_>, depth: u8, budget: &mut u8) -> Action {
    match bytes.below(26) {
        0 => Action::Output(PortNo(u32::from(bytes.below(5)))),
        1 => Action::LbOutput(BondId(1)),
        2 => Action::Drop(DropReason::Explicit),
        3 => Action::Userspace(Box::new(Userspace {
            pid: 0,
            data: UserData::None,
            with_actions: false,
            tunnel_out: None,
        })),
        4 => Action::Psample { group: 1, cookie: Box::from([1, 2]) },
        5 => Action::PushVlan { tpid: 0x8100, tci: bytes.short() },
        6 => Action::PopVlan,
        7 => Action::PushMpls { lse: bytes.word(), eth_type: 0x8847 },
        8 => Action::AddMpls {
            lse: bytes.word(),
            eth_type: 0x8848,
            behind_ethernet: bytes.below(2) == 0,
        },
        9 => Action::PopMpls { eth_type: [0x0800, 0x86dd, 0x8847][usize::from(bytes.below(3))] },
        10 => Action::PushEthernet(Ethernet { src: mac(bytes), dst: mac(bytes) }),
        11 => Action::PopEthernet,
        12 => {
            let key = Key { mdtype: 1 + bytes.below(2), np: bytes.below(7), ..Key::default() };
            let metadata2 = (0..bytes.below(20)).collect();
            Action::PushNsh(Box::new(Header { key, metadata2 }))
        }
        13 => Action::PopNsh,
        14..=17 => Action::Set(set(bytes)),
        18 => Action::Trunc(u32::from(bytes.short())),
        19 => Action::Hash { algorithm: HashAlgorithm::SymL4, basis: bytes.word() },
        20 => Action::Recirc(RecircId(bytes.word())),
        21 => Action::Meter(MeterId(1)),
        22 => ct(bytes),
        23 => Action::CtClear,
        _ if depth > 0 => nested(bytes, depth - 1, budget),
        _ => Action::PopVlan,
    }
}

fn nested(bytes: &mut Bytes<'_>, depth: u8, budget: &mut u8) -> Action {
    match bytes.below(4) {
        0 => Action::Clone(list(bytes, depth, budget)),
        1 => {
            let probability = if bytes.below(2) == 0 { u32::MAX } else { bytes.word() };
            Action::Sample { probability, actions: list(bytes, depth, budget) }
        }
        2 => Action::CheckPktLen {
            len: bytes.short(),
            greater: list(bytes, depth, budget),
            less_or_equal: list(bytes, depth, budget),
        },
        _ => Action::DecTtl(list(bytes, depth, budget)),
    }
}

fn ct(bytes: &mut Bytes<'_>) -> Action {
    let mut ct = Ct { zone: Zone(u16::from(bytes.below(3))), ..Ct::default() };
    ct.commit = bytes.below(2) == 0;
    if bytes.below(2) == 0 {
        let end = if bytes.below(2) == 0 { NatEnd::Src } else { NatEnd::Dst };
        let address = core::net::Ipv4Addr::from(bytes.number::<4>()).into();
        let to = NatTarget {
            end,
            addresses: Some((address, address)),
            ports: None,
            persistent: false,
            choice: dp_core::action::ct::NatChoice::Default,
        };
        let other = if to.end == NatEnd::Src { NatEnd::Dst } else { NatEnd::Src };
        let also = NatTarget { end: other, ..to.clone() };
        let also = Some(also).filter(|_| ct.commit && bytes.below(4) == 0);
        ct.nat = Some(Nat { to: Some(to).filter(|_| ct.commit), also });
    }
    Action::Ct(Box::new(ct))
}

fn set(bytes: &mut Bytes<'_>) -> Set {
    let ports = |bytes: &mut Bytes<'_>| Masked {
        value: Ports { src: bytes.short(), dst: bytes.short() },
        mask: Ports { src: u16::MAX, dst: bytes.short() },
    };
    let icmp = |bytes: &mut Bytes<'_>| Masked {
        value: Icmp { icmp_type: bytes.byte(), code: bytes.byte() },
        mask: Icmp { icmp_type: 0xff, code: 0xff },
    };
    let six = |bytes: &mut Bytes<'_>| core::net::Ipv6Addr::from(bytes.number::<16>());
    match bytes.below(15) {
        0 => Set::Ethernet(Masked {
            value: Ethernet { src: mac(bytes), dst: mac(bytes) },
            mask: Ethernet { src: mac(bytes), dst: mac(bytes) },
        }),
        1 => {
            let header = |bytes: &mut Bytes<'_>| Ipv4 {
                src: bytes.number::<4>().into(),
                dst: bytes.number::<4>().into(),
                tos: bytes.byte(),
                ttl: bytes.byte(),
            };
            Set::Ipv4(Masked { value: header(bytes), mask: header(bytes) })
        }
        2 => {
            let header = |bytes: &mut Bytes<'_>| Ipv6 {
                src: six(bytes),
                dst: six(bytes),
                label: bytes.word(),
                tclass: bytes.byte(),
                hlimit: bytes.byte(),
            };
            Set::Ipv6(Box::new(Masked { value: header(bytes), mask: header(bytes) }))
        }
        3 => Set::Tcp(ports(bytes)),
        4 => Set::Udp(ports(bytes)),
        5 => Set::Sctp(ports(bytes)),
        6 => Set::Icmp(icmp(bytes)),
        7 => Set::Icmpv6(icmp(bytes)),
        8 => {
            let header = |bytes: &mut Bytes<'_>| Arp {
                op: bytes.short(),
                spa: bytes.number::<4>().into(),
                tpa: bytes.number::<4>().into(),
                sha: mac(bytes),
                tha: mac(bytes),
            };
            Set::Arp(Box::new(Masked { value: header(bytes), mask: header(bytes) }))
        }
        9 => {
            let header =
                |bytes: &mut Bytes<'_>| Nd { target: six(bytes), sll: mac(bytes), tll: mac(bytes) };
            Set::Nd(Box::new(Masked { value: header(bytes), mask: header(bytes) }))
        }
        10 => Set::Vlan(Masked { value: bytes.short(), mask: bytes.short() }),
        11 => Set::Mpls(Masked { value: bytes.word(), mask: bytes.word() }),
        12 => {
            let key = |bytes: &mut Bytes<'_>| Key {
                flags: bytes.byte(),
                ttl: bytes.byte(),
                spi: bytes.word(),
                si: bytes.byte(),
                context: [bytes.word(), 0, 0, bytes.word()],
                ..Key::default()
            };
            Set::Nsh(Box::new(Masked { value: key(bytes), mask: key(bytes) }))
        }
        13 => {
            let ext = |bytes: &mut Bytes<'_>| NdExt {
                reserved: bytes.word(),
                options_type: bytes.byte(),
            };
            Set::NdExt(Masked { value: ext(bytes), mask: ext(bytes) })
        }
        _ => Set::PktMark(Masked { value: bytes.word(), mask: bytes.word() }),
    }
}
