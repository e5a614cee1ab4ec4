//! Packets that need not be tracked: where they go on, and what megaflows rest on.

use std::sync::Arc;

use dp_core::action::Action as Dp;
use dp_core::base::Instant;
use dp_core::conntrack::skip::{Condition, Rule, SkipPolicy};
use dp_core::flow::{FieldId as F, FlowKey};

use super::super::hooks::Hooks;
use super::super::{Effect, Silent, Translation, World, translate};
use super::{add, bridge, out, output, udp};
use crate::action::{Action, Ct, Nat};
use crate::bridge::Bridge;
use crate::table::Match;

fn policy() -> Arc<SkipPolicy> {
    let policy = SkipPolicy::default();
    let set = Arc::new("10.0.0.0/24".parse().expect("a set"));
    policy.set(vec![
        Rule::new("near", vec![Condition::DestinationIn(set)]),
        Rule::new("hint", vec![Condition::Hint]),
    ]);
    Arc::new(policy)
}

fn run(bridge: &Arc<Bridge>, policy: &Arc<SkipPolicy>, key: &FlowKey) -> Translation {
    let mut world = World::of([Arc::clone(bridge)]);
    world.hooks = Arc::new(Hooks { skip: Some(Arc::clone(policy)), ..Hooks::default() });
    let location = world.locate(key.in_port()).expect("a port");
    translate(&world, &location, key, &mut Silent)
}

fn tracked(made: &Translation) -> bool {
    made.actions.iter().any(|action| matches!(action, Dp::Ct(_)))
}

/// `ct(table=1)`, and in table 1 one port for what is not tracked.
fn stateful(ct: Ct, before: Vec<Action>) -> Arc<Bridge> {
    let bridge = bridge();
    let mut actions = before;
    actions.push(Action::Ct(Box::new(ct)));
    add(&bridge, 0, 1, Match::any(), actions);
    let untracked = Match::build().masked(F::CtState, 0, 0x20).finish();
    add(&bridge, 1, 1, untracked, vec![output(2)]);
    bridge
}

fn to_table_1() -> Ct {
    Ct { table: Some(1), ..Ct::default() }
}

#[test]
fn a_packet_that_is_let_by_goes_on_in_the_table_untracked() {
    let (bridge, policy) = (stateful(to_table_1(), Vec::new()), policy());
    let made = run(&bridge, &policy, &udp());
    assert_eq!(made.actions.to_vec(), [out(2)]);
    assert!(made.recircs.is_empty());
    for effect in &made.effects {
        effect.apply(&Hooks::default(), 5, 500, 0, Instant::default());
    }
    assert!(made.effects.iter().any(|effect| matches!(effect, Effect::Untracked(_))));
    assert_eq!(policy.rules().iter().next().map(|rule| rule.packets.get()), Some(5));
    assert_eq!(made.mask.get(F::Ipv4Dst), 0xffff_ff00, "as much as the rule looked at");
}

#[test]
fn others_are_tracked_and_the_mask_says_why() {
    let (bridge, policy) = (stateful(to_table_1(), Vec::new()), policy());
    let mut key = udp();
    key.set(F::Ipv4Dst, 0x0a00_0100);
    let made = run(&bridge, &policy, &key);
    assert!(tracked(&made));
    assert_eq!(made.mask.get(F::Ipv4Dst), 0xffff_ff00);
    let nat = Ct { nat: Some(Nat::default()), ..to_table_1() };
    assert!(tracked(&run(&stateful(nat, Vec::new()), &policy, &udp())), "never with nat");
    let mut key = udp();
    key.set(F::CtState, 0x21);
    assert!(tracked(&run(&bridge, &policy, &key)), "never again");
}

#[test]
fn a_flow_may_say_so_itself() {
    let note = Action::Note(b"kube-ovn: skip conntrack"[..].into());
    let policy = policy();
    let mut key = udp();
    key.set(F::Ipv4Dst, 0x0b00_0001);
    let made = run(&stateful(to_table_1(), vec![note]), &policy, &key);
    assert_eq!(made.actions.to_vec(), [out(2)]);
    let other = Action::Note(b"kube-ovn: something else"[..].into());
    assert!(tracked(&run(&stateful(to_table_1(), vec![other]), &policy, &key)));
}

#[test]
fn a_change_of_the_rules_makes_megaflows_be_translated_again() {
    let policy = policy();
    let world = |policy: &Arc<SkipPolicy>| {
        let hooks = Hooks { skip: Some(Arc::clone(policy)), ..Hooks::default() };
        World { hooks: Arc::new(hooks), ..World::default() }.version()
    };
    let before = world(&policy);
    policy.set(Vec::new());
    assert_ne!(world(&policy), before);
    assert!(tracked(&run(&stateful(to_table_1(), Vec::new()), &policy, &udp())));
}
