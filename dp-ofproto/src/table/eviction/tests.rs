use std::collections::HashMap;
use std::sync::Arc;

use dp_core::base::{Duration, Instant};
use dp_core::flow::FieldId;
use proptest::prelude::*;

use crate::action::{Action, Subfield};
use crate::table::{Change, Command, FlowMod, Match, Removal, Rule, RuleId, TableLimit, Tables};

const FULL: usize = 6;

/// What may happen to a table.
#[derive(Clone, Debug)]
enum Step {
    /// A flow-mod: port, address, idle and hard timeout, importance.
    Change(Command, u128, u128, u16, u16, u16),
    /// Some rule sees a packet, is kept alive, or its timeouts become shorter.
    Packet(usize),
    Refresh(usize),
    Hasten(usize, u16),
    /// A bundle that is given up after it let rules go.
    GivenUp(u128, u128),
    /// Seconds pass.
    Wait(u64),
    /// Groups by the port or not.
    Group(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let timeout = || prop_oneof![Just(0u16), 1u16..50];
    let command = prop_oneof![
        8 => Just(Command::Add),
        1 => Just(Command::ModifyStrict),
        1 => Just(Command::DeleteStrict),
    ];
    let step = prop_oneof![
        8 => (command, 0u128..3, 0u128..9, timeout(), timeout(), 0u16..2)
            .prop_map(|(command, port, dst, idle, hard, importance)| {
                Step::Change(command, port, dst, idle, hard, importance)
            }),
        3 => (0..FULL).prop_map(Step::Packet),
        1 => (0..FULL).prop_map(Step::Refresh),
        1 => (0..FULL, 1u16..9).prop_map(|(rule, to)| Step::Hasten(rule, to)),
        1 => (0u128..3, 0u128..9).prop_map(|(port, dst)| Step::GivenUp(port, dst)),
        2 => (1u64..20).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Group),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Every third address has rules that get a timeout when a connection ends.
fn flow(port: u128, dst: u128) -> FlowMod {
    let matching = Match::build().exact(FieldId::InPort, port).exact(FieldId::EthDst, dst);
    let fin = Action::FinTimeout { idle: 1, hard: 0 };
    FlowMod::add(
        0,
        1,
        matching.finish(),
        if dst.is_multiple_of(3) { vec![fin] } else { Vec::new() },
    )
}

/// Size of a rule's group, and (less goes first) its importance and end.
type Rank = (usize, (u16, Instant));

/// The groups and ranks of all rules that may go, found by looking at each of them.
fn ranks(rules: &[Arc<Rule>], by_port: bool) -> HashMap<RuleId, (u128, Rank)> {
    let group = |rule: &Rule| match by_port {
        true => rule.matching().field(FieldId::InPort).0,
        false => 0,
    };
    let mut sizes: HashMap<u128, usize> = HashMap::new();
    for rule in rules.iter().filter(|rule| rule.ends().is_some()) {
        *sizes.entry(group(rule)).or_default() += 1;
    }
    let rank = |rule: &Arc<Rule>| {
        let (group, ends) = (group(rule), rule.ends()?);
        Some((rule.id(), (group, (sizes[&group], (rule.importance(), ends)))))
    };
    rules.iter().filter_map(rank).collect()
}

proptest! {
    #[test]
    fn what_goes_is_what_a_search_finds(steps in steps()) {
        let tables = Tables::default();
        let limit = |by_port| {
            let groups = if by_port { vec![Subfield::whole(FieldId::InPort)] } else { Vec::new() };
            TableLimit { rules: Some(FULL), evict: true, groups }
        };
        let (mut by_port, mut now) = (false, Instant(0));
        tables.set_limits([(0, limit(by_port))].into());
        for step in steps {
            let rules: Vec<_> = tables.snapshot().rules().cloned().collect();
            let ranks = ranks(&rules, by_port);
            match step {
                Step::Change(command, port, dst, idle_timeout, hard_timeout, importance) => {
                    let flow_mod = FlowMod {
                        command, idle_timeout, hard_timeout, importance, ..flow(port, dst)
                    };
                    let there = tables.snapshot().table(0).is_some_and(|table| {
                        table.get(&flow_mod.matching, flow_mod.priority).is_some()
                    });
                    let full = command == Command::Add && !there && rules.len() == FULL;
                    match tables.apply(&flow_mod, now) {
                        Ok(changes) => {
                            let gone = changes.iter().find_map(|change| match change {
                                Change::Removed { rule, reason: Removal::Eviction } => Some(rule),
                                _ => None,
                            });
                            prop_assert_eq!(gone.is_some(), full);
                            if let Some(gone) = gone {
                                let (group, (size, rank)) = ranks[&gone.id()];
                                let all = || ranks.values().copied();
                                prop_assert_eq!(Some(size), all().map(|it| it.1.0).max());
                                let first = all().filter(|it| it.0 == group).map(|it| it.1.1).min();
                                prop_assert_eq!(Some(rank), first);
                            }
                        }
                        Err(_) => prop_assert!(full && ranks.is_empty()),
                    }
                }
                Step::Packet(at) => {
                    rules.get(at).inspect(|rule| rule.credit(1, 60, now));
                }
                Step::Refresh(at) => {
                    rules.get(at).inspect(|rule| rule.refresh(now));
                }
                Step::Hasten(at, to) => {
                    let may = rules.get(at).filter(|rule| rule.is_mortal());
                    may.inspect(|rule| rule.shorten_timeouts(to, 0));
                }
                Step::GivenUp(port, dst) => {
                    let mut edit = tables.edit();
                    for more in 0..3 {
                        let _ = edit.apply(&FlowMod { idle_timeout: 9, ..flow(port, dst + more) }, now);
                    }
                }
                Step::Wait(seconds) => now = now.after(Duration::from_secs(seconds)),
                Step::Group(ports) => {
                    by_port = ports;
                    tables.set_limits([(0, limit(by_port))].into());
                }
            }
        }
    }
}

#[test]
fn a_full_table_is_replaced_oldest_first() {
    let tables = Tables::default();
    let evict = |rules| TableLimit { rules: Some(rules), evict: true, groups: Vec::new() };
    let most = 2_000;
    tables.set_limits([(0, evict(most))].into());
    let mut edit = tables.edit();
    for n in 0..most as u128 {
        edit.apply(&FlowMod { idle_timeout: 60, ..flow(1, n) }, Instant(0)).unwrap();
    }
    edit.commit();
    for n in 0..most as u128 {
        let new = FlowMod { idle_timeout: 60, ..flow(2, n) };
        assert_eq!(tables.apply(&new, Instant(1)).unwrap().len(), 2);
    }
    let set = tables.snapshot();
    let left = set.rules().filter(|rule| rule.matching().field(FieldId::InPort).0 == 1).count();
    assert_eq!((set.len(), left), (most, 0));
}

#[test]
fn a_rule_without_timeout_ends_after_the_connection_it_stands_for() {
    let tables = Tables::default();
    tables.apply(&flow(1, 3), Instant(0)).unwrap();
    let rule = Arc::clone(tables.snapshot().rules().next().unwrap());
    let later = Instant(0).after(Duration::from_secs(1000));
    assert!(tables.expire(later).is_empty());
    rule.credit(1, 60, later);
    rule.shorten_timeouts(1, 0);
    assert!(tables.expire(later).is_empty());
    assert!(
        tables.expire(later.after(Duration::from_secs(1))).is_empty(),
        "not in the last moment"
    );
    assert_eq!(tables.expire(later.after(Duration::from_millis(1001))).len(), 1);
}

#[test]
fn a_rule_that_is_added_again_has_the_timeouts_it_is_added_with() {
    let tables = Tables::default();
    let add = |idle_timeout| tables.apply(&FlowMod { idle_timeout, ..flow(1, 3) }, Instant(0));
    add(60).unwrap();
    tables.snapshot().rules().next().unwrap().shorten_timeouts(1, 0);
    let timeout = || tables.snapshot().rules().next().unwrap().idle_timeout();
    assert_eq!(timeout(), 1);
    let modify = FlowMod { command: Command::Modify, ..flow(1, 3) };
    tables.apply(&modify, Instant(0)).unwrap();
    assert_eq!(timeout(), 1, "modified, it keeps them");
    for idle in [30, 0] {
        add(idle).unwrap();
        assert_eq!(timeout(), idle);
    }
}
