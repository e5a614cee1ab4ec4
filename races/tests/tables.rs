//! Flow tables that one thread changes while others look up and count; learned addresses.

use std::sync::Arc;

use dp_core::base::{Instant, MacAddr, OfPort};
use dp_core::flow::{FlowKey, FlowMask};
use dp_ofproto::learn::{MacTable, MacTableConfig};
use dp_ofproto::table::{FlowMod, Tables, TablesConfig};
use dp_ofproto::text::{NumbersOnly, parse_file};
use races::model;
use shuttle::thread;

const NOW: Instant = Instant::from_millis(1_000_000);

fn mods(lines: &str) -> Vec<FlowMod> {
    parse_file("flows", lines, &NumbersOnly).expect("flows")
}

#[test]
fn a_change_of_two_tables_is_seen_whole_or_not_at_all() {
    model(300, || {
        let tables = Arc::new(Tables::new(TablesConfig::default()));
        let change = |cookie: u64| {
            let lines = format!(
                "table=0,cookie={cookie},actions=resubmit(,1)\ntable=1,cookie={cookie},actions=drop\n"
            );
            mods(&lines)
        };
        let apply = |tables: &Tables, mods: &[FlowMod]| {
            let mut edit = tables.edit();
            for one in mods {
                edit.apply(one, NOW).expect("a flow");
            }
            edit.commit();
        };
        apply(&tables, &change(1));
        let writers = [2, 3].map(|cookie| {
            let (tables, mods) = (Arc::clone(&tables), change(cookie));
            thread::spawn(move || apply(&tables, &mods))
        });
        let readers = [(); 2].map(|()| {
            let tables = Arc::clone(&tables);
            thread::spawn(move || {
                let mut version = tables.version();
                for _ in 0..3 {
                    let set = tables.snapshot();
                    let cookies = [0, 1].map(|table| {
                        let rule = set.lookup(table, &FlowKey::EMPTY, &mut FlowMask::EMPTY.clone());
                        let rule = rule.expect("a rule");
                        rule.credit(1, 100, NOW);
                        rule.cookie()
                    });
                    assert_eq!(cookies[0], cookies[1]);
                    assert!(set.version() >= version, "versions only grow");
                    version = set.version();
                }
            })
        });
        writers.into_iter().for_each(|thread| thread.join().unwrap());
        readers.into_iter().for_each(|thread| thread.join().unwrap());
        let set = tables.snapshot();
        assert_eq!(set.rules().count(), 2);
    });
}

#[test]
fn what_threads_count_of_a_rule_adds_up() {
    model(300, || {
        let tables = Arc::new(Tables::new(TablesConfig::default()));
        tables.apply(&mods("actions=drop\n")[0], NOW).expect("a flow");
        let threads = [1_u64, 2, 3].map(|packets| {
            let tables = Arc::clone(&tables);
            thread::spawn(move || {
                let set = tables.snapshot();
                let rule = set.lookup(0, &FlowKey::EMPTY, &mut FlowMask::EMPTY.clone());
                rule.expect("a rule").credit(packets, packets * 100, NOW);
            })
        });
        // A change that keeps the rule keeps what it has counted, also while it is counted.
        tables.apply(&mods("actions=1\n")[0], NOW).expect("a flow");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let rule = tables.snapshot().rules().next().cloned().expect("a rule");
        assert!(rule.stats().packets() <= 6);
        assert_eq!(rule.stats().bytes(), rule.stats().packets() * 100);
    });
}

#[test]
fn addresses_learned_by_two_threads_stay_in_bounds_and_move_the_version() {
    model(500, || {
        let config = MacTableConfig { size: 2, always_move: true, ..MacTableConfig::default() };
        let macs = Arc::new(MacTable::new(config));
        let before = macs.version();
        let threads = [1_u16, 2].map(|port| {
            let macs = Arc::clone(&macs);
            thread::spawn(move || {
                for mac in [1, 1 + u64::from(port)] {
                    macs.learn(0, MacAddr::from_u64(mac), OfPort(port), NOW);
                    assert!(macs.len() <= 2);
                }
            })
        });
        let seen = macs.version();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(macs.len(), 2);
        assert!(before <= seen && seen <= macs.version() && before < macs.version());
        let counts = macs.counts();
        assert_eq!(counts.learned - counts.evicted, 2);
    });
}
