//! NORMAL: learning, VLANs, flooding.

use dp_core::action::Action as Dp;
use dp_core::base::{Instant, MacAddr, OfPort};
use dp_core::flow::layout::VLAN_PRESENT;
use dp_core::flow::{FieldId as F, FlowKey, layout};

use std::sync::Arc;

use super::super::hooks::Hooks;
use super::{add, bridge, out, run, tagged, udp};
use crate::action::Action;
use crate::bridge::{Bridge, BridgeConfig, BridgePort, PortMap, VlanMode};
use crate::table::Match;

fn normal() -> Arc<Bridge> {
    let bridge = bridge();
    add(&bridge, 0, 0, Match::any(), vec![Action::output(OfPort::NORMAL)]);
    bridge
}

/// Translates and applies what it wants learned.
fn pass(bridge: &Arc<Bridge>, key: &FlowKey) -> Vec<Dp> {
    let made = run(bridge, key);
    for effect in &made.effects {
        effect.apply(&Hooks::default(), 1, 60, 0, Instant::from_millis(1000));
    }
    made.actions.to_vec()
}

fn from(port: u32, src: u128, dst: u128) -> FlowKey {
    let mut key = udp();
    key.store(layout::IN_PORT, u128::from(port + 10));
    key.set(F::EthSrc, src);
    key.set(F::EthDst, dst);
    key
}

const A: u128 = 0x0200_0000_000a;
const B: u128 = 0x0200_0000_000b;

#[test]
fn unknown_floods_and_known_goes_to_its_port() {
    let bridge = normal();
    assert_eq!(pass(&bridge, &from(1, A, B)), [out(2), out(3), out(4)]);
    assert_eq!(pass(&bridge, &from(2, B, A)), [out(1)]);
    assert_eq!(pass(&bridge, &from(1, A, B)), [out(2)]);
    assert_eq!(pass(&bridge, &from(2, A, B)), [], "known to be behind the input port");
    assert_eq!(pass(&bridge, &from(1, A, 0xffff_ffff_ffff)), [out(2), out(3), out(4)]);
    let made = run(&bridge, &from(1, A, B));
    assert_eq!(
        (made.mask.get(F::EthSrc), made.mask.get(F::EthDst)),
        (0xffff_ffff_ffff, 0xffff_ffff_ffff)
    );
    assert_eq!(made.mask.get(F::VlanTci), 0x1fff);
}

#[test]
fn nothing_is_learned_by_translating_alone() {
    let bridge = normal();
    let _ = run(&bridge, &from(1, A, B));
    assert!(bridge.macs().is_empty());
}

#[test]
fn reserved_destinations_stay_here_unless_told_otherwise() {
    let bridge = normal();
    let stp = from(1, A, 0x0180_c200_0000);
    assert_eq!(pass(&bridge, &stp), []);
    bridge.set_config(BridgeConfig { forward_bpdu: true, ..BridgeConfig::default() });
    assert_eq!(pass(&bridge, &stp).len(), 3);
}

/// Port 1 access 10, 2 access 20, 3 trunk 10 and 20, 4 native-untagged 10 with 30.
fn vlans() -> Arc<Bridge> {
    let bridge = normal();
    let mut ports: Vec<BridgePort> = bridge.ports().iter().map(|port| (**port).clone()).collect();
    ports[0].vlan = VlanMode::Access(10);
    ports[1].vlan = VlanMode::Access(20);
    ports[2].vlan = VlanMode::Trunk([10, 20].into_iter().collect());
    ports[3].vlan = VlanMode::NativeUntagged { tag: 10, trunks: [30].into_iter().collect() };
    bridge.set_ports(PortMap::new(ports).unwrap());
    bridge
}

fn tag(vid: u16) -> Dp {
    Dp::PushVlan { tpid: 0x8100, tci: vid | VLAN_PRESENT }
}

#[test]
fn access_to_trunk_gains_a_tag_and_the_rest_of_the_list_sees_none() {
    let bridge = vlans();
    assert_eq!(
        pass(&bridge, &from(1, A, B)),
        [tag(10), out(3), Dp::PopVlan, out(4)],
        "tagged to the trunk, untagged to the native port, not at all to VLAN 20"
    );
    assert_eq!(pass(&bridge, &from(2, B, A)), [tag(20), out(3)]);
    assert_eq!(bridge.macs().lookup(10, MacAddr([2, 0, 0, 0, 0, 10])), Some(OfPort(1)));
}

#[test]
fn trunk_to_access_loses_the_tag_and_keeps_the_priority_elsewhere() {
    let bridge = vlans();
    assert_eq!(pass(&bridge, &tagged(from(3, A, B), 0xa014)), [Dp::PopVlan, out(2)]);
    assert_eq!(pass(&bridge, &tagged(from(3, A, B), 30)), [], "not a VLAN of that trunk");
    assert_eq!(pass(&bridge, &from(3, A, B)), [], "untagged on a trunk without VLAN 0");
    assert_eq!(pass(&bridge, &tagged(from(1, A, B), 10)), [], "tagged on an access port");
    assert_eq!(
        pass(&bridge, &tagged(from(1, A, B), 0xa000)),
        [Dp::PopVlan, Dp::PushVlan { tpid: 0x8100, tci: 0xb00a }, out(3), Dp::PopVlan, out(4)],
        "priority-tagged belongs to the access VLAN"
    );
}

#[test]
fn a_priority_without_a_vlan_is_kept_between_trunks() {
    let bridge = normal();
    pass(&bridge, &from(2, B, A));
    assert_eq!(pass(&bridge, &tagged(from(1, A, B), 0x6000)), [out(2)]);
    assert_eq!(pass(&bridge, &tagged(from(1, A, B), 0)), [Dp::PopVlan, out(2)]);
}

#[test]
fn addresses_are_apart_by_vlan() {
    let bridge = vlans();
    pass(&bridge, &from(1, A, B));
    assert_eq!(pass(&bridge, &tagged(from(3, B, A), 10)), [Dp::PopVlan, out(1)]);
    assert_eq!(pass(&bridge, &tagged(from(3, B, A), 20)), [Dp::PopVlan, out(2)], "unknown in 20");
}
