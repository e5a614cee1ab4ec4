//! Bounds of translation: hit, counted, explained, and never by fan-out.

use std::fmt::Arguments;
use std::sync::Arc;

use dp_core::action::Action as Dp;
use dp_core::base::{DropReason, OfPort, PortNo, RecircId};
use dp_core::flow::FlowKey;

use super::super::{Part, RecircKind, Recorder, TranslateError, Weight, World, translate};
use super::{add, bridge, output, run, udp};
use crate::action::{Action, Subfield};
use crate::bridge::{BridgeConfig, BridgePort, Limits, PortMap};
use crate::table::Match;

#[derive(Default)]
struct Notes(Vec<String>);

impl Recorder for Notes {
    fn enter(&mut self, _: Part<'_>) {}
    fn leave(&mut self) {}
    fn action(&mut self, _: &Action) {}
    fn nothing(&mut self) {}
    fn note(&mut self, _: Weight, text: Arguments<'_>) {
        self.0.push(text.to_string());
    }
    fn line(&mut self, _: Arguments<'_>) {}
    fn recirculates(&mut self, _: RecircKind, _: RecircId, _: &FlowKey) {}
}

fn limits(depth: u32, resubmits: u32) -> BridgeConfig {
    BridgeConfig {
        limits: Limits { depth, resubmits, ..Limits::default() },
        ..BridgeConfig::default()
    }
}

#[test]
fn a_loop_ends_at_the_depth_limit_and_drops_everything() {
    let bridge = bridge();
    add(&bridge, 0, 1, Match::any(), vec![output(2), Action::resubmit(0)]);
    let made = run(&bridge, &udp());
    assert_eq!(made.error, Some(TranslateError::TooDeep));
    assert_eq!(made.actions.to_vec(), [Dp::Drop(DropReason::RecursionTooDeep)]);
    assert_eq!(made.effects.len(), 65);
    assert_eq!((bridge.limit_counters().depth(), bridge.limit_counters().resubmits()), (1, 0));
    bridge.set_config(limits(3, 4096));
    let world = World::of([Arc::clone(&bridge)]);
    let mut notes = Notes::default();
    let location = world.locate(PortNo(11)).unwrap();
    assert_eq!(translate(&world, &location, &udp(), &mut notes).effects.len(), 4);
    assert_eq!(notes.0, ["over max translation depth 3"]);
}

#[test]
fn resubmits_to_later_tables_are_not_deep() {
    let bridge = bridge();
    bridge.set_config(limits(3, 4096));
    for table in 0..200 {
        add(&bridge, table, 1, Match::any(), vec![Action::resubmit(table + 1), output(2)]);
    }
    add(&bridge, 200, 1, Match::any(), vec![output(2)]);
    let made = run(&bridge, &udp());
    assert_eq!((made.error, made.actions.len()), (None, 201));
}

#[test]
fn look_ups_within_look_ups_are_bounded_whatever_the_tables() {
    let bridge = bridge();
    let bit = |at| Subfield::new(dp_core::flow::FieldId::Reg0, at, 1).unwrap();
    // Ways that fork, copies, and back again: what needs most of the stack.
    for table in 0..250 {
        let next = Action::resubmit(table + 1);
        let list = match table % 3 {
            0 => vec![Action::Clone([next, output(2)].into()), output(2)],
            1 => vec![Action::CheckPktLarger { len: 100, dst: bit(0) }, next, output(2)],
            _ => vec![next, output(2)],
        };
        add(&bridge, table, 1, Match::any(), list);
    }
    add(&bridge, 250, 1, Match::any(), vec![Action::resubmit(0), output(2)]);
    let made = run(&bridge, &udp());
    assert_eq!(made.error, Some(TranslateError::TooDeep));
    assert_eq!(bridge.limit_counters().depth(), 1);
}

#[test]
fn resubmits_are_bounded_in_all() {
    let bridge = bridge();
    for table in 0..7 {
        add(&bridge, table, 1, Match::any(), vec![Action::resubmit(table + 1); 4]);
    }
    let made = run(&bridge, &udp());
    assert_eq!(made.error, Some(TranslateError::TooManyResubmits));
    assert_eq!(made.actions.to_vec(), [Dp::Drop(DropReason::TooManyResubmits)]);
    assert_eq!(bridge.limit_counters().resubmits(), 1);
    bridge.set_config(limits(64, 30_000));
    assert_eq!(run(&bridge, &udp()).error, None);
}

#[test]
fn flooding_ten_thousand_ports_is_not_recursion() {
    let bridge = bridge();
    let port = |n: u16| BridgePort::new(OfPort(n), PortNo(u32::from(n) + 10), format!("p{n}"));
    bridge.set_ports(PortMap::new((1..=10_000).map(port)).unwrap());
    for flood in [OfPort::FLOOD, OfPort::ALL, OfPort::NORMAL] {
        add(&bridge, 0, 1, Match::any(), vec![Action::output(flood)]);
        let made = run(&bridge, &udp());
        assert_eq!((made.error, made.actions.len()), (None, 9_999));
    }
}

#[test]
fn what_is_pushed_is_bounded() {
    let bridge = bridge();
    let push = Action::Push(Subfield::whole(dp_core::flow::FieldId::Reg0));
    let mut list = vec![push; 100];
    list.push(Action::resubmit(0));
    add(&bridge, 0, 1, Match::any(), list);
    let limits = Limits { stack_bytes: 8192, ..Limits::default() };
    bridge.set_config(BridgeConfig { limits, ..BridgeConfig::default() });
    let made = run(&bridge, &udp());
    assert_eq!(made.error, Some(TranslateError::StackTooDeep));
    assert_eq!(made.actions.to_vec(), [Dp::Drop(DropReason::StackTooDeep)]);
    assert_eq!(bridge.limit_counters().stack(), 1);
}
