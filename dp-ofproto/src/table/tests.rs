use dp_core::base::{Instant, OfPort};
use dp_core::flow::{FieldId, FlowKey, FlowMask};

use super::{
    Change, Command, FlowMod, FlowModError, Match, PrefixFields, Removal, RuleFlags, Tables,
    TablesConfig,
};
use crate::action::Action;

const T0: Instant = Instant(0);

fn output(port: u16) -> Vec<Action> {
    vec![Action::output(OfPort(port))]
}

fn in_port(port: u128) -> Match {
    Match::build().exact(FieldId::InPort, port).finish()
}

fn eth_dst(mac: u128) -> Match {
    Match::build().exact(FieldId::InPort, 1).exact(FieldId::EthDst, mac).finish()
}

fn key(port: u128, mac: u128) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::InPort, port);
    key.set(FieldId::EthDst, mac);
    key
}

fn actions(tables: &Tables, table: u8, key: &FlowKey) -> Option<Vec<Action>> {
    let rule = tables.snapshot().lookup(table, key, &mut FlowMask::EMPTY.clone())?;
    Some(rule.actions().to_vec())
}

fn two_rules() -> Tables {
    let tables = Tables::default();
    tables.apply(&FlowMod::add(3, 10, in_port(1), output(1)), T0).unwrap();
    tables.apply(&FlowMod::add(3, 20, eth_dst(5), output(2)), T0).unwrap();
    tables
}

#[test]
fn the_highest_priority_acts() {
    let tables = two_rules();
    assert_eq!(actions(&tables, 3, &key(1, 5)), Some(output(2)));
    assert_eq!(actions(&tables, 3, &key(1, 6)), Some(output(1)));
    assert_eq!(actions(&tables, 3, &key(2, 5)), None);
    assert_eq!(actions(&tables, 4, &key(1, 5)), None);
}

#[test]
fn the_same_match_and_priority_replace() {
    let tables = two_rules();
    let changes = tables.apply(&FlowMod::add(3, 10, in_port(1), output(7)), T0).unwrap();
    assert!(matches!(&changes[..], [Change::Replaced { .. }]));
    assert_eq!(tables.snapshot().len(), 2);
    assert_eq!(actions(&tables, 3, &key(1, 6)), Some(output(7)));
    let changes = tables.apply(&FlowMod::add(3, 11, in_port(1), output(8)), T0).unwrap();
    assert!(matches!(&changes[..], [Change::Added(_)]));
    assert_eq!(actions(&tables, 3, &key(1, 6)), Some(output(8)));
}

#[test]
fn loose_commands_take_all_that_the_match_covers_and_strict_ones_that_very_rule() {
    let tables = two_rules();
    let modify = FlowMod {
        command: Command::Modify,
        matching: in_port(1),
        actions: output(9),
        ..FlowMod::default()
    };
    assert_eq!(tables.apply(&modify, T0).unwrap().len(), 2);
    assert_eq!(actions(&tables, 3, &key(1, 5)), Some(output(9)));

    let strict = FlowMod { command: Command::DeleteStrict, priority: 20, ..modify.clone() };
    assert!(tables.apply(&strict, T0).unwrap().is_empty());
    let changes = tables.apply(&FlowMod { priority: 10, ..strict }, T0).unwrap();
    assert!(matches!(&changes[..], [Change::Removed { reason: Removal::Delete, .. }]));
    assert_eq!(actions(&tables, 3, &key(1, 6)), None);

    assert_eq!(tables.apply(&FlowMod::delete(None, Match::any()), T0).unwrap().len(), 1);
    assert!(tables.snapshot().is_empty());
}

#[test]
fn cookies_and_output_ports_filter() {
    let tables = Tables::default();
    for (port, cookie) in [(1, 0x10), (2, 0x20), (3, 0x21)] {
        let add = FlowMod::add(0, 1, in_port(u128::from(port)), output(port));
        tables.apply(&FlowMod { new_cookie: Some(cookie), ..add }, T0).unwrap();
    }
    let delete = FlowMod::delete(Some(0), Match::any());
    let by_port = FlowMod { out_port: Some(OfPort(1)), ..delete.clone() };
    assert_eq!(tables.apply(&by_port, T0).unwrap().len(), 1);
    let by_cookie = FlowMod { cookie: 0x2f, cookie_mask: 0xf0, ..delete };
    assert_eq!(tables.apply(&by_cookie, T0).unwrap().len(), 2);
}

#[test]
fn a_modification_keeps_number_age_and_counters() {
    let tables = two_rules();
    let find = || tables.snapshot().lookup(3, &key(1, 6), &mut FlowMask::default()).unwrap();
    let old = find();
    old.credit(3, 300, Instant::from_millis(5));
    let modify = FlowMod {
        command: Command::ModifyStrict,
        priority: 10,
        matching: in_port(1),
        actions: output(4),
        ..FlowMod::default()
    };
    tables.apply(&modify, Instant::from_millis(9)).unwrap();
    let new = find();
    // Somebody still holds the old one.
    old.credit(1, 100, Instant::from_millis(6));
    assert_eq!((new.id(), new.created()), (old.id(), T0));
    assert_eq!(new.modified(), Instant::from_millis(9));
    assert_eq!((new.stats().packets(), new.stats().bytes()), (4, 400));
    tables
        .apply(
            &FlowMod { flags: RuleFlags { reset_counts: true, ..RuleFlags::default() }, ..modify },
            T0,
        )
        .unwrap();
    assert_eq!(find().stats().packets(), 0);
}

#[test]
fn an_edit_shows_whole_or_not_at_all() {
    let tables = two_rules();
    let before = tables.version();
    let mut edit = tables.edit();
    edit.apply(&FlowMod::delete(None, Match::any()), T0).unwrap();
    edit.apply(&FlowMod::add(0, 1, in_port(1), output(1)), T0).unwrap();
    assert_eq!(edit.view().len(), 1);
    assert_eq!(tables.snapshot().len(), 2);
    drop(edit);
    assert_eq!((tables.snapshot().len(), tables.version()), (2, before));

    let held = tables.snapshot();
    let mut edit = tables.edit();
    edit.apply(&FlowMod::delete(Some(3), in_port(1)), T0).unwrap();
    assert_eq!(edit.commit().len(), 2);
    assert!(tables.version() > before && tables.snapshot().table_version(3) == tables.version());
    assert_eq!(held.len(), 2);
}

#[test]
fn refusals_leave_everything_as_it_was() {
    let tables = Tables::new(TablesConfig { max_rules: 1, ..TablesConfig::default() });
    tables.apply(&FlowMod::add(0, 10, in_port(1), output(1)), T0).unwrap();
    let version = tables.version();
    let full = tables.apply(&FlowMod::add(0, 11, in_port(1), output(1)), T0);
    assert_eq!(full.unwrap_err(), FlowModError::TableFull { table: 0, limit: 1 });
    let overlap = FlowMod {
        flags: RuleFlags { check_overlap: true, ..RuleFlags::default() },
        ..FlowMod::add(0, 10, Match::build().exact(FieldId::EthDst, 1).finish(), output(1))
    };
    let error = tables.apply(&overlap, T0).unwrap_err();
    assert_eq!(error, FlowModError::Overlap { cookie: 0 });
    let error = tables.apply(&FlowMod::add(255, 1, in_port(1), vec![]), T0).unwrap_err();
    assert_eq!(error, FlowModError::NoSuchTable(255));
    let port = Match::build().exact(FieldId::TcpDst, 80).finish();
    let error = tables.apply(&FlowMod::add(0, 1, port, vec![]), T0).unwrap_err();
    assert!(matches!(error, FlowModError::Match(_)));
    let back = FlowMod::add(0, 10, in_port(1), vec![Action::GotoTable(0)]);
    assert!(matches!(tables.apply(&back, T0).unwrap_err(), FlowModError::Actions(_)));
    assert_eq!(tables.version(), version);
}

#[test]
fn rules_go_when_their_time_is_over() {
    let tables = Tables::default();
    let add = FlowMod::add(0, 1, in_port(1), output(1));
    tables.apply(&FlowMod { idle_timeout: 2, ..add }, T0).unwrap();
    let add = FlowMod::add(0, 1, in_port(2), output(1));
    tables.apply(&FlowMod { hard_timeout: 3, ..add }, T0).unwrap();
    tables.apply(&FlowMod::add(0, 1, in_port(3), output(1)), T0).unwrap();
    let rule = tables.snapshot().lookup(0, &key(1, 0), &mut FlowMask::default()).unwrap();
    rule.credit(1, 64, Instant::from_millis(1500));
    assert!(tables.expire(Instant::from_millis(2900)).is_empty());
    let removed = |now| match &tables.expire(Instant::from_millis(now))[..] {
        [Change::Removed { reason, .. }] => *reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(removed(3400), Removal::HardTimeout);
    assert_eq!(removed(3600), Removal::IdleTimeout);
    assert_eq!(tables.snapshot().len(), 1);
}

#[test]
fn prefix_fields_are_chosen_a_table_at_a_time() {
    let tables = Tables::default();
    let host =
        |n| Match::build().exact(FieldId::EthType, 0x800).exact(FieldId::Ipv4Src, n).finish();
    tables.apply(&FlowMod::add(0, 1, host(1), output(1)), T0).unwrap();
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::EthType, 0x800);
    key.set(FieldId::Ipv4Src, 0x8000_0000);
    let counts = || {
        let mut wc = FlowMask::EMPTY;
        assert!(tables.snapshot().lookup(0, &key, &mut wc).is_none());
        wc.get(FieldId::Ipv4Src)
    };
    assert_eq!(counts(), 0x8000_0000);
    let version = tables.version();
    let mut edit = tables.edit();
    edit.set_prefixes(0, PrefixFields::of(&[FieldId::Ipv4Dst]).unwrap()).unwrap();
    assert!(edit.set_prefixes(255, PrefixFields::NONE).is_err());
    assert!(edit.commit().is_empty());
    assert_eq!(counts(), 0xffff_ffff);
    assert!(tables.version() > version);
    assert_eq!(PrefixFields::of(&[FieldId::EthSrc]), None);
}

/// A writer moves a pair of rules from port to port; a reader never sees half of it.
#[test]
fn readers_see_a_change_whole_while_it_is_made() {
    const ROUNDS: u16 = 2000;
    let tables = Tables::default();
    let pair = |port: u16| [1u128, 2].map(|n| FlowMod::add(0, 1, in_port(n), output(port)));
    let publish = |port| {
        let mut edit = tables.edit();
        pair(port).iter().for_each(|add| edit.apply(add, T0).unwrap());
        edit.commit();
    };
    publish(0);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut version, mut last) = (tables.version(), false);
                    while !last {
                        let set = tables.snapshot();
                        assert!(set.version() >= version);
                        version = set.version();
                        let [one, two] = [1, 2].map(|n| {
                            let rule = set.lookup(0, &key(n, 0), &mut FlowMask::default());
                            rule.unwrap().actions().to_vec()
                        });
                        assert_eq!(one, two);
                        last = one == output(ROUNDS);
                    }
                })
            })
            .collect();
        (1..=ROUNDS).for_each(publish);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
