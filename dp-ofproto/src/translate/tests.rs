//! Translation: what rules make of packets, judged action by action.

mod guard;
mod invariant;
mod limits;
mod normal;
mod skip;
mod steps;
mod thaw;

use std::sync::Arc;

use dp_core::action::set::{Ethernet, Masked, Ports};
use dp_core::action::{Action as Dp, Set};
use dp_core::base::{DropReason, Instant, MacAddr, OfPort, PortNo};
use dp_core::flow::layout::VLAN_PRESENT;
use dp_core::flow::text::{PortNumbers, parse_flow};
use dp_core::flow::{FieldId as F, FlowKey, FlowMask, Wide, layout};

use super::hooks::Location;
use super::{Effect, Silent, Translation, World, translate};
use crate::action::{Action, SetOption, Subfield};
use crate::bridge::{Bridge, BridgePort, PortMap};
use crate::learn::MacTableConfig;
use crate::table::{FlowMod, Match, TablesConfig};
use crate::tlv::{Tlv, TlvTable};

/// Ports 1 to 4; the datapath's numbers are ten more.
fn bridge() -> Arc<Bridge> {
    let bridge = Arc::new(Bridge::new("br0", TablesConfig::default(), MacTableConfig::default()));
    let port = |n: u16| BridgePort::new(OfPort(n), PortNo(u32::from(n) + 10), format!("p{n}"));
    bridge.set_ports(PortMap::new((1..=4).map(port)).unwrap());
    bridge
}

fn add(bridge: &Bridge, table: u8, priority: u16, matching: Match, actions: Vec<Action>) {
    let flow_mod = FlowMod::add(table, priority, matching, actions);
    bridge.tables().apply(&flow_mod, Instant::default()).unwrap();
}

fn run(bridge: &Arc<Bridge>, key: &FlowKey) -> Translation {
    let world = World::of([Arc::clone(bridge)]);
    let location: Location = world.locate(key.in_port()).unwrap();
    translate(&world, &location, key, &mut Silent)
}

/// UDP over IPv4 from port 1.
fn udp() -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, 11);
    for (field, value) in [
        (F::EthSrc, 0x0200_0000_0001),
        (F::EthDst, 0x0200_0000_0002),
        (F::EthType, 0x0800),
        (F::Ipv4Src, 0x0a00_0001),
        (F::Ipv4Dst, 0x0a00_0002),
        (F::NwProto, 17),
        (F::NwTtl, 64),
        (F::UdpSrc, 1000),
        (F::UdpDst, 2000),
    ] {
        key.set(field, value);
    }
    key
}

fn tagged(mut key: FlowKey, tci: u16) -> FlowKey {
    key.set(F::VlanTci, u128::from(tci | VLAN_PRESENT));
    key.store(layout::VLAN_TPID, 0x8100);
    key
}

fn out(port: u32) -> Dp {
    Dp::Output(PortNo(port + 10))
}

fn output(port: u16) -> Action {
    Action::output(OfPort(port))
}

/// What one list of actions makes of a packet.
fn made(key: &FlowKey, actions: Vec<Action>) -> Vec<Dp> {
    let bridge = bridge();
    add(&bridge, 0, 1, Match::any(), actions);
    run(&bridge, key).actions.to_vec()
}

#[test]
fn a_miss_drops_and_rests_on_the_shape_alone() {
    let bridge = bridge();
    let made = run(&bridge, &udp());
    // The miss, and the packet that the switch's own rule for misses counts.
    assert!(made.actions.is_empty() && made.effects.len() == 2);
    assert!(made.effects.iter().any(|effect| matches!(effect, Effect::Miss(_))));
    let mut expected = FlowMask::EMPTY;
    for place in
        [layout::IN_PORT, layout::RECIRC_ID, layout::PACKET_TYPE, layout::ETH_TYPE, layout::NW_FRAG]
    {
        expected.unwildcard_place(place);
    }
    expected.unwildcard_bits(F::VlanTci, 0x1000);
    assert_eq!(made.mask, expected);
}

#[test]
fn outputs_to_the_input_port_need_to_be_asked_for() {
    assert_eq!(made(&udp(), vec![output(2), output(1), output(3)]), [out(2), out(3)]);
    assert_eq!(made(&udp(), vec![Action::output(OfPort::IN_PORT)]), [out(1)]);
    assert_eq!(made(&udp(), vec![output(99)]), []);
}

#[test]
fn flood_leaves_out_what_does_not_flood_and_all_does_not() {
    let bridge = bridge();
    let mut ports: Vec<BridgePort> = bridge.ports().iter().map(|port| (**port).clone()).collect();
    ports[2].no_flood = true;
    ports[3].no_forward = true;
    bridge.set_ports(PortMap::new(ports).unwrap());
    add(&bridge, 0, 1, Match::any(), vec![Action::output(OfPort::FLOOD)]);
    assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(2)]);
    add(&bridge, 0, 1, Match::any(), vec![Action::output(OfPort::ALL)]);
    assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(2), out(3)]);
}

#[test]
fn a_port_that_does_not_receive_drops_everything() {
    let bridge = bridge();
    let mut ports: Vec<BridgePort> = bridge.ports().iter().map(|port| (**port).clone()).collect();
    ports[0].no_receive = true;
    bridge.set_ports(PortMap::new(ports).unwrap());
    add(&bridge, 0, 1, Match::any(), vec![output(2)]);
    assert!(run(&bridge, &udp()).actions.is_empty());
}

#[test]
fn sets_are_committed_once_before_the_output_that_needs_them() {
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let zero = MacAddr([0; 6]);
    let full = MacAddr([0xff; 6]);
    let set = Dp::Set(Set::Ethernet(Masked {
        value: Ethernet { src: mac, dst: zero },
        mask: Ethernet { src: full, dst: zero },
    }));
    let list = vec![Action::SetEthSrc(mac), output(2), Action::SetEthSrc(mac), output(3)];
    assert_eq!(made(&udp(), list), [set, out(2), out(3)]);
    // Nothing is emitted for a set after the last output, nor for one that changes nothing.
    let same = MacAddr([2, 0, 0, 0, 0, 1]);
    assert_eq!(made(&udp(), vec![Action::SetEthSrc(same), output(2), Action::SetTtl(3)]), [out(2)]);
}

#[test]
fn of_a_deleted_option_nothing_is_left_however_wide_it_was() {
    let field = F::TunMetadata0;
    let option = SetOption { field, value: Wide::ONES, mask: Wide::ONES };
    // The bits 500 to 547 of the option, of which there are 992.
    let src = Subfield { field, start: 500, bits: 48 };
    let dst = Subfield { field: F::EthSrc, start: 0, bits: 48 };
    let source = |list: Vec<Action>| match made(&udp(), list).first() {
        Some(Dp::Set(Set::Ethernet(set))) => set.value.src,
        _ => MacAddr([2, 0, 0, 0, 0, 1]),
    };
    let set = Action::SetOption(Box::new(option));
    let copy = [Action::Move { src, dst }, output(2)];
    let kept = source([std::slice::from_ref(&set), &copy[..]].concat());
    assert_eq!(kept, MacAddr([0xff; 6]));
    let gone = source([&[set, Action::DeleteField(field)], &copy[..]].concat());
    assert_eq!(gone, MacAddr([0; 6]));
}

#[test]
fn what_is_written_counts_in_the_mask() {
    let bridge = bridge();
    add(&bridge, 0, 1, Match::any(), vec![Action::SetL4Dst(53), output(2)]);
    let made = run(&bridge, &udp());
    assert_eq!(made.mask.get(F::UdpDst), 0xffff);
    assert_eq!(made.mask.get(F::NwProto), 0xff);
    assert_eq!(made.mask.get(F::UdpSrc), 0);
    let set = Dp::Set(Set::Udp(Masked {
        value: Ports { src: 0, dst: 53 },
        mask: Ports { src: 0, dst: 0xffff },
    }));
    assert_eq!(made.actions.to_vec(), [set, out(2)]);
}

#[test]
fn fields_that_a_packet_does_not_have_are_not_set() {
    let mut arp = udp();
    arp.set(F::EthType, 0x0806);
    assert_eq!(made(&arp, vec![Action::SetL4Dst(53), Action::SetTtl(1), output(2)]), [out(2)]);
    let mut later = udp();
    later.set(F::IpFrag, 3);
    later.set(F::UdpSrc, 0);
    later.set(F::UdpDst, 0);
    let port = Action::set_field(F::UdpDst, 53);
    assert_eq!(made(&later, vec![port, Action::SetL4Src(1), output(2)]), [out(2)]);
}

#[test]
fn tags_are_pushed_popped_and_rewritten() {
    let tag = |tci: u16| Dp::PushVlan { tpid: 0x8100, tci: tci | VLAN_PRESENT };
    assert_eq!(made(&udp(), vec![Action::SetVlanVid(7), output(2)]), [tag(7), out(2)]);
    let packet = tagged(udp(), 0x6005);
    assert_eq!(made(&packet, vec![Action::StripVlan, output(2)]), [Dp::PopVlan, out(2)]);
    assert_eq!(
        made(&packet, vec![Action::SetVlanVid(7), output(2)]),
        [Dp::PopVlan, tag(0x6007), out(2)]
    );
    assert_eq!(
        made(&packet, vec![Action::SetVlanPcp(1), output(2)]),
        [Dp::PopVlan, tag(0x2005), out(2)]
    );
    let push = vec![Action::PushVlan(0x88a8), Action::SetVlanVid(9), output(2)];
    let outer = Dp::PushVlan { tpid: 0x88a8, tci: 9 | VLAN_PRESENT };
    assert_eq!(made(&packet, push), [outer, out(2)]);
    assert_eq!(made(&udp(), vec![Action::StripVlan, output(2)]), [out(2)]);
}

#[test]
fn registers_move_load_stack_and_metadata_stay_inside() {
    let reg = |field, start, bits| Subfield::new(field, start, bits).unwrap();
    let list = vec![
        Action::Load { dst: reg(F::Reg0, 4, 8), value: 0x02 },
        Action::Move { src: reg(F::Reg0, 4, 8), dst: reg(F::Reg1, 0, 8) },
        Action::Push(reg(F::Reg1, 0, 16)),
        Action::Pop(reg(F::Reg2, 0, 16)),
        Action::OutputReg { src: reg(F::Reg2, 0, 16), max_len: 0 },
        Action::WriteMetadata { value: 5, mask: 0xff },
    ];
    let bridge = bridge();
    add(&bridge, 0, 1, Match::any(), list);
    let made = run(&bridge, &udp());
    assert_eq!(made.actions.to_vec(), [out(2)]);
    assert_eq!((made.flow.get(F::Reg1), made.flow.get(F::Metadata)), (2, 5));
    assert_eq!(made.mask.get(F::Reg0), 0);
    assert!(made.mask.live().iter().all(|lane| lane < dp_core::flow::PACKET_LANES));
}

#[test]
fn a_move_makes_both_its_ends_count() {
    let bridge = bridge();
    let (src, dst) = (Subfield::whole(F::Ipv4Src), Subfield::whole(F::Ipv4Dst));
    add(&bridge, 0, 1, Match::any(), vec![Action::Move { src, dst }, output(2)]);
    let mask = run(&bridge, &udp()).mask;
    assert_eq!((mask.get(F::Ipv4Src), mask.get(F::Ipv4Dst)), (0xffff_ffff, 0xffff_ffff));
}

#[test]
fn the_ttl_is_counted_down_and_a_used_up_one_goes_to_controllers() {
    let list = || vec![Action::DecTtl(Box::new([0])), output(2)];
    let mut key = udp();
    assert!(matches!(&made(&key, list())[..], [Dp::Set(Set::Ipv4(set)), _] if set.value.ttl == 63));
    for ttl in [0, 1] {
        key.set(F::NwTtl, ttl);
        // Controllers are told, and nothing else happens.
        assert!(matches!(&made(&key, list())[..], [Dp::Userspace(_)]));
    }
}

#[test]
fn what_else_neighbour_discovery_has_is_written_before_its_addresses() {
    let text = "in_port(11),eth(),eth_type(0x86dd),ipv6(proto=58,hlimit=255,frag=no),\
                icmpv6(type=135,code=0),nd(target=fe80::3,sll=02:00:00:00:00:09),\
                nd_ext(nd_reserved=0,nd_options_type=1)";
    let key = parse_flow(text, &PortNumbers).unwrap().key;
    let set = |field: F, value| Action::SetField {
        field,
        value,
        mask: field.field().ones(),
        named: false,
    };
    let text =
        |list| dp_core::action::text::ActionsText::new(&made(&key, list), &PortNumbers).to_string();
    assert_eq!(
        text(vec![set(F::NdTarget, 7), set(F::NdReserved, 0x6000_0000), output(2)]),
        "set(nd_ext(nd_reserved=0x60000000)),set(nd(target=::7)),12"
    );
    assert_eq!(
        text(vec![set(F::NdOptionsType, 2), output(2)]),
        "set(nd_ext(nd_options_type=2)),12"
    );
}

#[test]
fn resubmit_comes_back_and_goto_does_not() {
    let bridge = bridge();
    let match_port = |port: u16| Match::build().exact(F::InPort, u128::from(port)).finish();
    let resubmit = Action::Resubmit { in_port: Some(OfPort(3)), table: Some(1), ct: false };
    add(&bridge, 0, 1, match_port(1), vec![resubmit, output(2), Action::GotoTable(2)]);
    add(&bridge, 1, 1, match_port(3), vec![Action::output(OfPort::IN_PORT), output(4)]);
    add(&bridge, 2, 1, Match::any(), vec![output(3)]);
    let made = run(&bridge, &udp());
    // The pretended in-port is for the look-up alone.
    assert_eq!(made.actions.to_vec(), [out(1), out(4), out(2), out(3)]);
    assert_eq!(made.effects.len(), 3);
}

#[test]
fn fragments_show_their_ports_as_the_bridge_says() {
    use crate::bridge::{BridgeConfig, Fragments};
    let bridge = bridge();
    let ports = |port: u128| {
        Match::build().exact(F::EthType, 0x0800).exact(F::NwProto, 17).exact(F::UdpDst, port)
    };
    add(&bridge, 0, 2, ports(2000).finish(), vec![output(2)]);
    add(&bridge, 0, 2, ports(0).finish(), vec![output(3)]);
    let mut first = udp();
    first.set(F::IpFrag, 1);
    for (fragments, expected) in [
        (Fragments::Normal, vec![out(3)]),
        (Fragments::NxMatch, vec![out(2)]),
        (Fragments::Drop, vec![]),
    ] {
        bridge.set_config(BridgeConfig { fragments, ..BridgeConfig::default() });
        assert_eq!(run(&bridge, &first).actions.to_vec(), expected);
        assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(2)]);
    }
}

#[test]
fn exit_ends_the_lists_that_resubmitted_too() {
    let bridge = bridge();
    add(&bridge, 0, 1, Match::any(), vec![output(2), Action::resubmit(1), output(3)]);
    add(&bridge, 1, 1, Match::any(), vec![output(4), Action::Exit, output(3)]);
    assert_eq!(run(&bridge, &udp()).actions.to_vec(), [out(2), out(4)]);
}

#[test]
fn the_action_set_acts_last_and_in_its_own_order() {
    let bridge = bridge();
    let set: Box<[Action]> = Box::new([output(2), Action::SetTtl(9), Action::StripVlan]);
    add(&bridge, 0, 1, Match::any(), vec![Action::WriteActions(set), Action::GotoTable(1)]);
    add(&bridge, 1, 1, Match::any(), vec![output(3), Action::WriteActions(Box::new([output(4)]))]);
    let key = tagged(udp(), 5);
    let made = run(&bridge, &key).actions.to_vec();
    assert!(
        matches!(&made[..], [first, Dp::Set(Set::Ipv4(_)), Dp::PopVlan, last] if *first == out(3) && *last == out(4)),
        "{made:?}"
    );
    add(&bridge, 1, 1, Match::any(), vec![Action::ClearActions]);
    assert_eq!(run(&bridge, &key).actions.to_vec(), []);
}

#[test]
fn reasons_of_limits_are_drop_reasons() {
    use super::TranslateError as E;
    assert_eq!(E::TooDeep.drop_reason(), DropReason::RecursionTooDeep);
    assert_eq!(E::TooManyResubmits.drop_reason(), DropReason::TooManyResubmits);
}

#[test]
fn options_of_a_tunnel_are_fields_and_count_where_they_stand() {
    let bridge = bridge();
    let mut table = TlvTable::default();
    table.add(0, Tlv { class: 0xffff, kind: 0x80, len: 4 }).unwrap();
    bridge.set_tlv_table(table);
    let options = "{class=0x1,type=0x2,len=4,0x7}{class=0xffff,type=0x80,len=4,0xa0b}";
    let text =
        format!("tunnel(dst=1.1.1.1,ttl=64,geneve({options})),in_port(11),eth(),eth_type(0x1234)");
    let key = parse_flow(&text, &PortNumbers).unwrap().key;
    let wanted = Match::build().masked(F::TunMetadata0, 0x0b, 0xff).finish();
    add(
        &bridge,
        0,
        10,
        wanted,
        vec![
            Action::Move {
                src: Subfield { field: F::TunMetadata0, start: 8, bits: 8 },
                dst: Subfield { field: F::Reg0, start: 0, bits: 8 },
            },
            output(2),
        ],
    );
    let found = run(&bridge, &key);
    assert_eq!(found.actions[..], [out(2)]);
    assert_eq!(found.flow.get(F::Reg0), 0x0a);
    let lane = found.mask.lane(layout::TUN_OPTIONS_LANE).bytes();
    let expect = [0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0xff, 0xff];
    assert_eq!(lane[..16], expect);
    // Without the mapping there is no such field in the packet.
    bridge.set_tlv_table(TlvTable::default());
    assert!(run(&bridge, &key).actions.is_empty());
}
