//! The invariant that matters most: whatever agrees with a packet in the bits of the mask gets the
//! packet's actions. Random tables, random packets, mutated outside the mask and inside it.

use std::sync::Arc;

use dp_core::action::Action as Dp;
use dp_core::base::{Instant, MacAddr, OfPort, PortNo, RecircId};
use dp_core::flow::{FieldId as F, FlowKey, FlowMask, layout};
use proptest::prelude::*;

use super::super::{Silent, Translation, World, translate};
use super::{bridge, run};
use crate::action::{Action, Ct, HashFields, Multipath, MultipathAlgorithm, Subfield};
use crate::bridge::{Bridge, BridgePort, PortMap, RouterAddresses, VlanMode};
use crate::table::{FlowMod, Match};
use crate::tlv::{Tlv, TlvTable};

/// Values from a few clusters, so that hits, near misses and nested prefixes are common.
fn clustered(bits: u32) -> impl Strategy<Value = u128> {
    let top = u128::MAX >> (128 - bits);
    (0..4u128, 0..bits, any::<bool>()).prop_map(move |(base, flip, keep)| {
        let value = (base << (bits - bits.min(3))) | base;
        (if keep { value } else { value ^ (1 << flip) }) & top
    })
}

fn key() -> impl Strategy<Value = FlowKey> {
    let l2 = (1..=4u32, clustered(48), clustered(48), 0..4u8, clustered(12), 0..5u8);
    let l3 = (clustered(32), clustered(32), 0..4u8, 0..3u8, clustered(8), clustered(8));
    let l4 = (clustered(16), clustered(16), clustered(12), clustered(64));
    let tunnel = (0..4u8, clustered(24), clustered(32));
    (l2, l3, l4, tunnel).prop_map(
        |(
            (port, src, dst, tag, vid, kind),
            (a, b, proto, frag, ttl, tos),
            (sp, dp, flags, wide),
            (options, id, value),
        )| {
            let mut key = FlowKey::EMPTY;
            key.store(layout::IN_PORT, u128::from(port + 10));
            key.set(F::EthSrc, src);
            key.set(F::EthDst, if kind == 4 { 0xffff_ffff_ffff } else { dst });
            if tag == 0 {
                key.set(F::VlanTci, vid | 0x1000 | (ttl & 7) << 13);
                key.store(layout::VLAN_TPID, 0x8100);
            }
            let eth_type = [0x0800, 0x0800, 0x86dd, 0x0806, 0x88b5][usize::from(kind)];
            key.set(F::EthType, eth_type);
            match eth_type {
                0x0800 | 0x86dd => {
                    ip(&mut key, (a, b, wide), proto, frag, (ttl, tos), (sp, dp, flags))
                }
                0x0806 => {
                    for (field, value) in
                        [(F::ArpOp, 1 + ttl % 2), (F::ArpSpa, a), (F::ArpTpa, b), (F::ArpSha, src)]
                    {
                        key.set(field, value);
                    }
                }
                _ => {}
            }
            if options != 0 {
                tunnelled(&mut key, options - 1, id, value);
            }
            key
        },
    )
}

/// The packet came out of a Geneve tunnel, with so many options of the same value.
fn tunnelled(key: &mut FlowKey, options: u8, id: u128, value: u128) {
    key.set(F::TunId, id);
    key.set(F::TunDst, 0x0101_0101);
    key.store(layout::TUN_OPT_LEN, u128::from(options) * 8);
    let place =
        |at: u16| layout::Place { offset: 64 * layout::TUN_OPTIONS_LANE as u16 + at, len: 4 };
    for number in 0..u16::from(options) {
        key.store(place(number * 8), 0xffff_8001 + u128::from(number) * 0x100);
        key.store(place(number * 8 + 4), value);
    }
}

type Triple = (u128, u128, u128);

fn ip(
    key: &mut FlowKey,
    (a, b, wide): Triple,
    proto: u8,
    frag: u8,
    (ttl, tos): (u128, u128),
    l4: Triple,
) {
    if key.eth_type() == 0x0800 {
        key.set(F::Ipv4Src, a);
        key.set(F::Ipv4Dst, b);
    } else {
        key.set(F::Ipv6Src, wide << 64 | a);
        key.set(F::Ipv6Dst, wide << 64 | b);
    }
    let icmp = if key.eth_type() == 0x0800 { 1 } else { 58 };
    let proto = [6, 17, icmp, 0][usize::from(proto)];
    key.set(F::NwProto, proto);
    key.set(F::NwTtl, ttl);
    key.store(layout::NW_TOS, tos);
    let frag = [0, 1, 3][usize::from(frag)];
    key.set(F::IpFrag, frag);
    if frag != 3 && proto != 0 {
        let narrow = if proto == icmp { 0xff } else { 0xffff };
        key.set(F::TcpSrc, l4.0 & narrow);
        key.set(F::TcpDst, l4.1 & narrow);
        if proto == 6 {
            key.set(F::TcpFlags, l4.2);
        }
    }
}

const MATCHED: [F; 13] = [
    F::TunId,
    F::EthSrc,
    F::EthDst,
    F::VlanTci,
    F::Ipv4Src,
    F::Ipv4Dst,
    F::Ipv6Dst,
    F::TcpDst,
    F::UdpSrc,
    F::NwTtl,
    F::ArpTpa,
    F::TcpFlags,
    F::Reg0,
];

fn matching() -> impl Strategy<Value = Match> {
    let field = (0..MATCHED.len(), clustered(128), 0..3u8, any::<u128>(), 0..129u32);
    let option = prop::option::of((any::<bool>(), clustered(32), 0..3u8));
    (prop::collection::vec(field, 0..3), prop::option::of(1..=4u128), 0..6u8, option).prop_map(
        |(fields, port, kind, option)| {
            let mut build = Match::build();
            if let Some((first, value, how)) = option {
                let mask = [0xffff_ffff, 0xff, 0x8000_0000][usize::from(how)];
                let field = if first { F::TunMetadata0 } else { F::TunMetadata1 };
                build.set(field, value & mask, mask);
            }
            if let Some(port) = port {
                build.set(F::InPort, port, u128::MAX);
            }
            let (eth_type, proto) =
                [(0, 0), (0x0800, 0), (0x0800, 6), (0x0800, 17), (0x86dd, 6), (0x0806, 0)]
                    [usize::from(kind)];
            if eth_type != 0 {
                build.set(F::EthType, eth_type, u128::MAX);
            }
            if proto != 0 {
                build.set(F::NwProto, proto, u128::MAX);
            }
            for (index, value, how, random, prefix) in fields {
                let field = MATCHED[index].field();
                let bits = u32::from(field.bits);
                let mask = match how {
                    0 => field.ones(),
                    1 => field.ones() & !(field.ones() >> (prefix % bits)),
                    _ => random & field.ones(),
                };
                let mut trial = build.clone();
                trial.set(field.id, value & mask, mask);
                if trial.finish().validate().is_ok() {
                    build = trial;
                }
            }
            build.finish()
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let sub = |field| Subfield::whole(field);
    prop_oneof![
        4 => (1..=5u16).prop_map(|port| Action::output(OfPort(port))),
        2 => Just(Action::output(OfPort::NORMAL)),
        1 => Just(Action::output(OfPort::FLOOD)),
        1 => Just(Action::output(OfPort::IN_PORT)),
        3 => (prop::option::of(1..=4u16), 1..4u8).prop_map(|(port, table)| Action::Resubmit { in_port: port.map(OfPort), table: Some(table), ct: false }),
        1 => clustered(48).prop_map(|v| Action::set_field(F::EthDst, v)),
        1 => (clustered(32), any::<u32>()).prop_map(|(v, m)| Action::SetField { field: F::Ipv4Dst, value: v & u128::from(m), mask: m.into(), named: false }),
        1 => clustered(16).prop_map(|v| Action::set_field(F::TcpDst, v)),
        1 => clustered(16).prop_map(|v| Action::SetL4Src(u16::try_from(v).unwrap())),
        1 => clustered(12).prop_map(|v| Action::SetVlanVid(u16::try_from(v).unwrap())),
        1 => (0..8u8).prop_map(Action::SetVlanPcp),
        1 => Just(Action::StripVlan),
        1 => Just(Action::PushVlan(0x8100)),
        1 => Just(Action::DecTtl(Box::new([0]))),
        1 => Just(Action::Move { src: sub(F::Ipv4Src), dst: sub(F::Reg0) }),
        1 => Just(Action::Move { src: sub(F::Ipv4Src), dst: sub(F::Ipv4Dst) }),
        1 => Just(Action::Move { src: sub(F::NwTtl), dst: Subfield::new(F::Reg0, 8, 8).unwrap() }),
        1 => clustered(32).prop_map(|v| Action::set_field(F::Reg0, v)),
        1 => clustered(128).prop_map(|v| Action::set_field(F::Ipv6Src, v)),
        1 => clustered(8).prop_map(|v| Action::SetTos(u8::try_from(v).unwrap() & 0xfc)),
        1 => clustered(32).prop_map(|v| Action::set_field(F::ArpSpa, v)),
        1 => Just(Action::Clone([Action::set_field(F::EthDst, 3), Action::output(OfPort(2))].into())),
        1 => clustered(24).prop_map(|v| Action::set_field(F::TunId, v)),
        1 => Just(Action::SetField { field: F::TunMetadata0, value: 0x5, mask: 0xff, named: false }),
        1 => clustered(32).prop_map(|v| Action::set_field(F::TunMetadata1, v)),
        1 => Just(Action::Move {
            src: Subfield::new(F::TunMetadata0, 0, 16).unwrap(),
            dst: Subfield::new(F::Reg0, 0, 16).unwrap(),
        }),
        1 => Just(Action::PushMpls(0x8847)),
        1 => Just(Action::SetMplsTtl(9)),
        1 => Just(Action::PopMpls(0x0800)),
        1 => (0..7usize, 0..3usize).prop_map(|(fields, algorithm)| Action::Multipath(Box::new(Multipath {
            fields: HashFields::ALL[fields].0,
            basis: 3,
            algorithm: MultipathAlgorithm::ALL[algorithm].0,
            max_link: 4,
            arg: 0,
            dst: Subfield::whole(F::Reg0),
        }))),
        1 => Just(Action::SetQueue(5)),
        1 => Just(Action::Ct(Box::new(Ct { table: Some(3), ..Ct::default() }))),
        1 => Just(Action::Output { port: OfPort::CONTROLLER, max_len: 60 }),
        1 => Just(Action::WriteActions([Action::set_field(F::NwTtl, 7), Action::output(OfPort(3))].into())),
        1 => Just(Action::CheckPktLarger { len: 100, dst: Subfield::new(F::Reg0, 0, 1).unwrap() }),
        1 => Just(Action::OutputReg { src: Subfield::new(F::Reg0, 0, 3).unwrap(), max_len: 0 }),
    ]
}

fn rules() -> impl Strategy<Value = Vec<FlowMod>> {
    let rule = (0..4u8, 0..6u16, matching(), prop::collection::vec(action(), 0..5));
    let rule = rule.prop_map(|(table, priority, matching, actions)| {
        FlowMod::add(table, priority, matching, actions)
    });
    prop::collection::vec(rule, 1..24)
}

/// A bridge with access and trunk ports, these rules, and a few learned addresses.
fn switch(rules: &[FlowMod], learned: &[(u16, u128, u16)]) -> Arc<Bridge> {
    let bridge = bridge();
    let modes = [
        VlanMode::Access(1),
        VlanMode::default(),
        VlanMode::Trunk([1, 2].into_iter().collect()),
        VlanMode::Access(0),
    ];
    let ports = modes.into_iter().zip(1..).map(|(mode, n): (_, u16)| {
        let port = BridgePort::new(OfPort(n), PortNo(u32::from(n) + 10), format!("p{n}"));
        // Values of the clusters: some questions are dropped at one of the ports.
        let guard = if n == 2 { "32.0.0.1,64.0.0.2" } else { "" };
        let unasked = RouterAddresses::from_setting(guard).expect("a list");
        BridgePort { unasked, ..port }.with_vlan(mode)
    });
    bridge.set_ports(PortMap::new(ports).unwrap());
    let mut options = TlvTable::default();
    for (index, kind) in [(0, 0x80), (1, 0x81)] {
        options.add(index, Tlv { class: 0xffff, kind, len: 4 }).unwrap();
    }
    bridge.set_tlv_table(options);
    for rule in rules {
        // Some lists make no sense for their match and are refused; the rest is the table.
        let _ = bridge.tables().apply(rule, Instant::default());
    }
    for &(vlan, mac, port) in learned {
        let mac = MacAddr(*mac.to_be_bytes().last_chunk().unwrap());
        bridge.macs().learn(vlan, mac, OfPort(port), Instant::default());
    }
    bridge
}

/// `key` where the mask counts, `other` elsewhere: only in fields that a packet of this shape has.
fn mutated(key: &FlowKey, mask: &FlowMask, other: &FlowKey) -> FlowKey {
    let mut out = key.clone();
    for lane in 0..dp_core::flow::PACKET_LANES {
        for word in 0..8 {
            let counts = mask.lane(lane).0[word];
            let value = key.lane(lane).0[word] & counts | other.lane(lane).0[word] & !counts;
            if value != out.lane(lane).0[word] {
                out.lane_mut(lane).0[word] = value;
            }
        }
    }
    out
}

/// What a packet gets in a world of its own.
fn first(bridge: &Arc<Bridge>, packet: &FlowKey) -> (World, Translation) {
    let world = World::of([Arc::clone(bridge)]);
    let location = world.locate(packet.in_port()).unwrap();
    let made = translate(&world, &location, packet, &mut Silent);
    (world, made)
}

/// What a packet gets when it comes back with a number, and what it is then; numbers aside, also those
/// under which a controller's packet keeps its state, so the steps are given as text.
fn second(world: &World, id: RecircId, packet: &FlowKey) -> (String, FlowKey, FlowMask) {
    let mut key = packet.clone();
    key.store(layout::RECIRC_ID, u128::from(id.0));
    let (location, _) = world.find(&key).unwrap();
    let made = translate(world, &location, &key, &mut Silent);
    let mut flow = made.flow;
    flow.store(layout::RECIRC_ID, 0);
    (without_numbers(&format!("{:?}", made.actions)), flow, made.mask)
}

fn without_numbers(steps: &str) -> String {
    let mut out = String::new();
    let mut rest = steps;
    let starts = ["RecircId(", "recirc_id: "];
    while let Some(at) = starts.iter().filter_map(|s| Some(rest.find(s)? + s.len())).min() {
        out.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}

fn number(made: &Translation) -> Option<RecircId> {
    made.actions.iter().find_map(|action| match action {
        Dp::Recirc(id) => Some(*id),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_megaflow_covers_gets_its_actions(
        rules in rules(),
        learned in prop::collection::vec((0..3u16, clustered(48), 1..=4u16), 0..6),
        packets in prop::collection::vec(key(), 2..8),
    ) {
        let bridge = switch(&rules, &learned);
        for packet in &packets {
            let (world, made) = first(&bridge, packet);
            for other in &packets {
                // Another packet of the same kind differs as much as the mask lets it.
                if other.eth_type() != packet.eth_type() {
                    continue;
                }
                let near = mutated(packet, &made.mask, other);
                prop_assert!(packet.agrees(&near, &made.mask));
                let (fresh, again) = first(&bridge, &near);
                prop_assert_eq!(
                    &again.actions, &made.actions,
                    "\npacket {:?}\nnear {:?}\nmask {:?}", packet, near, made.mask
                );
                prop_assert_eq!(&again.mask, &made.mask);
                // A packet that comes back is treated as though its own translation had been stopped.
                if let (Some(id), Some(own)) = (number(&made), number(&again)) {
                    let (theirs, flow, mask) = second(&world, id, &near);
                    let (alone, own_flow, _) = second(&fresh, own, &near);
                    prop_assert_eq!(&theirs, &alone, "back {:?}\nfirst {:?}", near, packet);
                    prop_assert_eq!(flow, own_flow, "back {:?}\nfirst {:?}", near, packet);
                    let further = mutated(&near, &mask, other);
                    prop_assert_eq!(&second(&world, id, &further).0, &theirs);
                }
                // What revalidation does: the masked key gives the same answer.
                let masked = packet.masked(&made.mask);
                prop_assert_eq!(&run(&bridge, &masked).actions, &made.actions, "masked {:?}", masked);
            }
        }
    }
}
