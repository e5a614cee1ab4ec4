//! The classifier against the linear scan, and the invariant that megaflows rest on.

use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::flow::{FieldId as F, FlowKey, FlowMask, LANES};
use proptest::prelude::*;

use super::super::oracle::LinearTable;
use super::super::rule::{RuleFlags, RuleStats};
use super::{Match, PrefixFields, Rule, RuleId, Table};
use crate::table::TablesConfig;

/// Fields of all stages: width, and whether masks are prefixes.
const FIELDS: &[(F, u32, bool)] = &[
    (F::InPort, 16, false),
    (F::Metadata, 64, false),
    (F::Reg0, 32, false),
    (F::EthDst, 48, false),
    (F::EthType, 16, false),
    (F::VlanTci, 16, false),
    (F::NwProto, 8, false),
    (F::Ipv4Src, 32, true),
    (F::Ipv4Dst, 32, true),
    (F::Ipv6Dst, 128, true),
    (F::NwTtl, 8, false),
    (F::TcpSrc, 16, true),
    (F::TcpDst, 16, true),
    (F::TcpFlags, 12, false),
    (F::TunSrc, 32, true),
];

fn rule(id: u64, matching: Match, priority: u16, idle_timeout: u16) -> Rule {
    Rule {
        id: RuleId(id),
        matching,
        actions: Arc::new([]),
        stats: Arc::new(RuleStats::default()),
        cookie: id,
        created: Instant(0),
        modified: Instant(0),
        priority: priority.into(),
        idle_timeout,
        hard_timeout: 0,
        importance: 0,
        table: 0,
        flags: RuleFlags::default(),
        counters: Arc::default(),
    }
}

/// A value near one of a few: hits, near misses and nested prefixes are common.
fn clustered(bits: u32) -> impl Strategy<Value = u128> {
    let ones = u128::MAX >> (128 - bits);
    (0u8..3, 0..bits, any::<bool>()).prop_map(move |(base, flip, keep)| {
        let value = match base {
            0 => 0,
            1 => 0x0a0b_0c0d_0e0f_1011_1213_1415_1617_1819,
            _ => ones,
        };
        (if keep { value } else { value ^ 1 << flip }) & ones
    })
}

fn mask(bits: u32, prefixes: bool) -> impl Strategy<Value = u128> {
    let ones = u128::MAX >> (128 - bits);
    (0u8..4, 1..=bits, 0..bits).prop_map(move |(kind, len, bit)| match kind {
        0 | 1 => ones,
        2 if prefixes => ones ^ ones.checked_shr(len).unwrap_or(0),
        2 => 1 << bit,
        _ => (ones ^ ones.checked_shr(len).unwrap_or(0)) & !(1 << bit),
    })
}

fn matching() -> impl Strategy<Value = Match> {
    let field = (0..FIELDS.len()).prop_flat_map(|at| {
        let (id, bits, prefixes) = FIELDS[at];
        (Just(id), clustered(bits), mask(bits, prefixes))
    });
    prop::collection::vec(field, 0..5).prop_map(|fields| {
        let mut builder = Match::build();
        for (id, value, mask) in fields {
            builder.set(id, value, mask);
        }
        builder.finish()
    })
}

fn key() -> impl Strategy<Value = FlowKey> {
    let values: Vec<_> = FIELDS.iter().map(|&(id, bits, _)| (Just(id), clustered(bits))).collect();
    values.prop_map(|values| {
        let mut key = FlowKey::EMPTY;
        for (id, value) in values {
            key.set(id, value);
        }
        key
    })
}

/// `key` where `mask` counts, `other` elsewhere.
fn mix(key: &FlowKey, other: &FlowKey, mask: &FlowMask) -> FlowKey {
    let mut out = FlowKey::EMPTY;
    for lane in 0..LANES {
        for word in 0..8 {
            let mask = mask.lane(lane).0[word];
            out.lane_mut(lane).0[word] =
                key.lane(lane).0[word] & mask | other.lane(lane).0[word] & !mask;
        }
    }
    out
}

/// A key with every bit set that may be.
fn noise(seed: u64) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    for &(id, _, _) in FIELDS {
        let half = u128::from(dp_core::base::mix64(seed ^ id as u64, 0x9e37_79b9_7f4a_7c15));
        key.set(id, half << 64 | half);
    }
    key
}

fn check(table: &Table, oracle: &LinearTable, keys: &[FlowKey]) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.len(), oracle.len());
    prop_assert_eq!(table.rules().count(), oracle.len());
    let mut looked_at = FlowMask::EMPTY;
    oracle.iter().for_each(|rule| rule.matching().unwildcard(&mut looked_at));
    for (at, key) in keys.iter().enumerate() {
        let mut wc = FlowMask::EMPTY;
        let found = table.lookup(key, &mut wc);
        let expect = oracle.lookup(key, &mut FlowMask::default());
        prop_assert_eq!(
            found.as_ref().map(|rule| rule.priority()),
            expect.map(|rule| rule.priority())
        );
        prop_assert!(found.as_ref().is_none_or(|rule| rule.matching().matches(key)));
        prop_assert!(looked_at.covers(&wc), "{:?} beyond {:?}", wc, looked_at);
        let others = keys.iter().cloned().chain((0..4).map(|seed| noise(seed + at as u64)));
        for other in others {
            let other = mix(key, &other, &wc);
            let mut wc_again = FlowMask::EMPTY;
            let again = table.lookup(&other, &mut wc_again);
            prop_assert_eq!(
                again.map(|rule| rule.id()),
                found.as_ref().map(|rule| rule.id()),
                "{:?} and {:?} agree in {:?}",
                key,
                other,
                wc
            );
            prop_assert_eq!(&wc_again, &wc);
        }
    }
    Ok(())
}

fn prefixes(which: u8) -> PrefixFields {
    match which {
        0 => PrefixFields::NONE,
        1 => PrefixFields::of(&[F::ArpTpa, F::TunSrc]).unwrap(),
        _ => PrefixFields::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn look_up_finds_what_a_linear_scan_finds_and_rests_on_the_bits_it_says(
        rules in prop::collection::vec((matching(), 0u16..5), 0..60),
        keys in prop::collection::vec(key(), 1..12),
        fields in 0u8..3,
    ) {
        let config = TablesConfig { prefixes: prefixes(fields), ..TablesConfig::default() };
        let mut table = Table::new(&config);
        let mut oracle = LinearTable::default();
        for (id, (matching, priority)) in (0..).zip(rules) {
            let (rule, old) = table.insert(rule(id, matching, priority, 0));
            let expect = oracle.insert(rule);
            prop_assert_eq!(old.map(|rule| rule.id()), expect.map(|rule| rule.id()));
        }
        check(&table, &oracle, &keys)?;
        table.set_prefixes(prefixes((fields + 1) % 3));
        check(&table, &oracle, &keys)?;
    }

    /// Rules come and go; every version stays as it was.
    #[test]
    fn versions_do_not_disturb_each_other(
        pool in prop::collection::vec((matching(), 0u16..4), 1..12),
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..80),
        keys in prop::collection::vec(key(), 1..5),
    ) {
        let mut table = Table::new(&TablesConfig::default());
        let mut oracle = LinearTable::default();
        let mut versions = Vec::new();
        for (id, (add, which)) in (0..).zip(steps) {
            let (matching, priority) = which.get(&pool);
            let new = rule(id, matching.clone(), *priority, u16::from(id % 3 == 0));
            if add {
                let (rule, old) = table.insert(new);
                let expect = oracle.insert(rule);
                prop_assert_eq!(old.map(|rule| rule.id()), expect.map(|rule| rule.id()));
            } else {
                let old = table.remove(&new);
                let expect = oracle.remove(matching, *priority);
                prop_assert_eq!(old.map(|rule| rule.id()), expect.map(|rule| rule.id()));
            }
            versions.push((table.clone(), oracle.clone()));
        }
        for (table, oracle) in &versions {
            check(table, oracle, &keys)?;
            let mortal = oracle.iter().filter(|rule| rule.idle_timeout() != 0).count();
            prop_assert_eq!(table.mortal().count(), mortal);
            for (matching, priority) in &pool {
                let id = |rule: Option<&Arc<Rule>>| rule.map(|rule| rule.id());
                prop_assert_eq!(
                    id(table.get(matching, *priority)),
                    id(oracle.get(matching, *priority))
                );
                let mut covered: Vec<_> = table.covered_by(matching).map(|rule| rule.id()).collect();
                let mut expect: Vec<_> = oracle
                    .iter()
                    .filter(|rule| matching.covers(rule.matching()))
                    .map(|rule| rule.id())
                    .collect();
                covered.sort_unstable();
                expect.sort_unstable();
                prop_assert_eq!(covered, expect);
                let overlaps = oracle.iter().any(|rule| {
                    rule.priority() == u32::from(*priority) && rule.matching().overlaps(matching)
                });
                prop_assert_eq!(table.overlapping(matching, *priority).is_some(), overlaps);
            }
            let mut masks: Vec<_> = oracle.iter().map(|rule| rule.matching().minimask()).collect();
            masks.dedup();
            prop_assert!(table.masks() <= masks.len());
        }
    }
}

fn table_of(rules: &[(Match, u16)]) -> Table {
    let mut table = Table::new(&TablesConfig::default());
    for (id, (matching, priority)) in (0..).zip(rules) {
        table.insert(rule(id, matching.clone(), *priority, 0));
    }
    table
}

fn packet(dst: u128, port: u128) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    for (id, value) in [
        (F::InPort, 1),
        (F::EthType, 0x0800),
        (F::NwProto, 6),
        (F::Ipv4Dst, dst),
        (F::TcpDst, port),
    ] {
        key.set(id, value);
    }
    key
}

fn to(dst: u128, len: u32) -> crate::matching::MatchBuilder {
    let mask = u128::from(u32::MAX) ^ u128::from(u32::MAX).checked_shr(len).unwrap_or(0);
    Match::build().exact(F::EthType, 0x0800).masked(F::Ipv4Dst, dst, mask)
}

#[test]
fn a_miss_on_an_early_stage_leaves_later_ones_alone() {
    let other =
        Match::build().exact(F::InPort, 2).exact(F::EthDst, 5).exact(F::Ipv4Dst, 1).finish();
    let table = table_of(&[(other, 1)]);
    let mut wc = FlowMask::EMPTY;
    assert!(table.lookup(&packet(7, 80), &mut wc).is_none());
    assert_eq!((wc.get(F::InPort), wc.get(F::EthDst), wc.get(F::Ipv4Dst)), (0xffff, 0, 0));
}

#[test]
fn addresses_count_only_as_far_as_they_tell() {
    let hosts = [0x0a00_0001, 0x0a00_0002, 0x0a01_0001].map(|host| (to(host, 32).finish(), 2));
    let mut rules = hosts.to_vec();
    rules.push((to(0x0a00_0000, 8).finish(), 1));
    let table = table_of(&rules);
    let count = |dst| {
        let mut wc = FlowMask::EMPTY;
        let rule = table.lookup(&packet(dst, 80), &mut wc);
        (rule.map(|rule| rule.priority()), wc.get(F::Ipv4Dst))
    };
    assert_eq!(count(0x0a00_0001), (Some(2), 0xffff_ffff));
    // 10.2/16 is told from 10.0/15 by its fifteenth bit.
    assert_eq!(count(0x0a02_0001), (Some(1), 0xfffe_0000));
    // 192/2 is told from 10/8 by its first.
    assert_eq!(count(0xc000_0001), (None, 0x8000_0000));
}

#[test]
fn ports_count_only_as_far_as_they_tell() {
    let port = to(0x0a00_0001, 32).exact(F::NwProto, 6).exact(F::TcpDst, 80).finish();
    let table = table_of(&[(port, 2)]);
    let mut wc = FlowMask::EMPTY;
    assert!(table.lookup(&packet(0x0a00_0001, 0x8000), &mut wc).is_none());
    assert_eq!(wc.get(F::TcpDst), 0x8000);
}

#[test]
fn what_other_masks_say_of_ports_does_not_matter() {
    let here = to(0x0a00_0001, 32).exact(F::NwProto, 6).exact(F::TcpDst, 80).finish();
    let elsewhere = Match::build().exact(F::InPort, 9).exact(F::TcpDst, 0x8000).finish();
    let table = table_of(&[(here, 2), (elsewhere, 1)]);
    let mut wc = FlowMask::EMPTY;
    assert!(table.lookup(&packet(0x0a00_0001, 0x8000), &mut wc).is_none());
    assert_eq!(wc.get(F::TcpDst), 0x8000);
}

#[test]
fn a_better_rule_ends_the_search() {
    let port = to(0x0a00_0001, 32).exact(F::NwProto, 6).exact(F::TcpDst, 80).finish();
    let table = table_of(&[(to(0x0a00_0001, 32).finish(), 9), (port, 2)]);
    let mut wc = FlowMask::EMPTY;
    assert_eq!(
        table.lookup(&packet(0x0a00_0001, 80), &mut wc).map(|rule| rule.priority()),
        Some(9)
    );
    assert_eq!((wc.get(F::NwProto), wc.get(F::TcpDst)), (0, 0));
}

#[test]
fn a_rule_that_went_leaves_nothing_behind() {
    let stays = Match::build().exact(F::InPort, 2).exact(F::Ipv4Dst, 1).finish();
    let goes = Match::build().exact(F::InPort, 1).exact(F::Ipv4Dst, 0xff).finish();
    let mut table = table_of(&[(stays, 1), (goes.clone(), 1)]);
    let looked_at = |table: &Table| {
        let mut wc = FlowMask::EMPTY;
        assert!(table.lookup(&packet(7, 80), &mut wc).is_none());
        wc.get(F::Ipv4Dst)
    };
    assert_eq!(looked_at(&table), 0xffff_fffc);
    table.remove(&rule(9, goes, 1, 0)).unwrap();
    assert_eq!(looked_at(&table), 0);
}
