//! Questions for routers at guarded ports: what is dropped, and what megaflows rest on.

use dp_core::action::Action as Dp;
use dp_core::base::{DropReason, OfPort, PortNo};
use dp_core::flow::{FieldId as F, FlowKey, layout};

use super::{add, bridge, out, output, run, udp};
use crate::bridge::{BridgePort, PortMap, RouterAddresses};
use crate::table::Match;

fn question(target: u32, op: u128) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, 11);
    for (field, value) in
        [(F::EthSrc, 1), (F::EthType, 0x0806), (F::ArpOp, op), (F::ArpTpa, u128::from(target))]
    {
        key.set(field, value);
    }
    key
}

#[test]
fn a_guarded_port_drops_questions_for_routers_and_looks_at_no_more_than_it_needs() {
    let bridge = bridge();
    add(&bridge, 0, 1, Match::any(), vec![output(2)]);
    let open = run(&bridge, &udp()).mask;
    let mut port = BridgePort::new(OfPort(1), PortNo(11), "p1");
    port.unasked = RouterAddresses::from_setting("10.16.1.1").expect("a list");
    let other = BridgePort::new(OfPort(2), PortNo(12), "p2");
    bridge.set_ports(PortMap::new([port, other]).expect("two ports"));

    let made = run(&bridge, &question(0x0a10_0101, 1));
    assert_eq!(made.actions.to_vec(), [Dp::Drop(DropReason::RouterAsked)]);
    assert_eq!(made.mask.load(layout::IPV4_DST), 0xffff_ffff);
    let passed = run(&bridge, &question(0x0a10_0102, 1));
    assert_eq!(passed.actions.to_vec(), [out(2)]);
    assert_eq!(passed.mask.load(layout::IPV4_DST), 0xffff_ffff);
    // An answer rests on being one.
    let answer = run(&bridge, &question(0x0a10_0101, 2));
    assert_eq!(answer.actions.to_vec(), [out(2)]);
    assert_eq!((answer.mask.load(layout::IPV4_DST), answer.mask.load(layout::NW_PROTO)), (0, 0xff));
    // IPv4 needs no look.
    assert_eq!(run(&bridge, &udp()).mask, open);
}
