use proptest::prelude::*;

use super::table::{InsertError, Inserted, Limits, Megaflows};
use crate::base::{Instant, Ufid};
use crate::flow::{BurstKeys, FieldId, FlowKey, FlowMask, layout};
use crate::lookup::{BurstFlows, FlowRef, Kernel, Oracle};
use crate::packet::{BURST, Slots};

const LIMITS: Limits = Limits { flows: 100_000, masks: 1000, budget: 1000 };

/// Fields of several lanes; few values each, so that hits, near misses and overlaps are common.
const FIELDS: [(FieldId, u128); 8] = [
    (FieldId::Ipv4Src, 0x0a00_0100),
    (FieldId::Ipv4Dst, 0x0a00_0200),
    (FieldId::TcpSrc, 80),
    (FieldId::EthDst, 0x0200_0000_0100),
    (FieldId::Ipv6Src, 0xfe80 << 112),
    (FieldId::Ipv6Dst, 0xfe80 << 112),
    (FieldId::CtLabel, 1 << 100),
    (FieldId::TunId, 77),
];

fn keys_from(values: &[u8; 8], port: u8) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, u128::from(port));
    for (&(field, base), &value) in FIELDS.iter().zip(values) {
        // Value 0 leaves the lane unused.
        if value != 0 {
            key.set(field, base | u128::from(value));
        }
    }
    key
}

fn mask_from(bits: &[u8; 8], port: bool) -> FlowMask {
    let mut mask = FlowMask::EMPTY;
    if port {
        mask.unwildcard_place(layout::IN_PORT);
    }
    for (&(field, _), &bits) in FIELDS.iter().zip(bits) {
        match bits {
            0 | 1 => {}
            2 => mask.unwildcard(field),
            _ => mask.unwildcard_bits(field, u128::from(bits)),
        }
    }
    mask
}

fn values() -> impl Strategy<Value = [u8; 8]> {
    prop::array::uniform8(0u8..4)
}

fn masks() -> impl Strategy<Value = FlowMask> {
    (prop::array::uniform8(0u8..4), prop::bool::weighted(0.8))
        .prop_map(|(bits, port)| mask_from(&bits, port))
}

fn keys() -> impl Strategy<Value = FlowKey> {
    (values(), 0u8..3).prop_map(|(values, port)| keys_from(&values, port))
}

fn lookup(table: &mut Megaflows<usize>, keys: &[FlowKey]) -> Vec<Option<usize>> {
    let mut burst = BurstKeys::default();
    // What an earlier burst has left must not show.
    for slot in 0..BURST {
        burst.set_key(slot, &keys_from(&[3, 3, 3, 3, 3, 3, 3, 3], 9));
    }
    for (slot, key) in keys.iter().enumerate() {
        burst.set_key(slot, key);
    }
    let mut found = BurstFlows::default();
    let looked = table.lookup(&burst, Slots::first(keys.len()), &mut found);
    (0..keys.len())
        .map(|slot| {
            let flow = || *table.flows().at(found.0[slot]).expect("hits are alive");
            looked.hits.has(slot).then(flow)
        })
        .collect()
}

proptest! {
    #[test]
    fn the_table_finds_what_a_linear_scan_finds(
        installed in prop::collection::vec((keys(), masks()), 0..80),
        removed in prop::collection::vec(0usize..80, 0..40),
        asked in prop::collection::vec(keys(), 1..=BURST),
    ) {
        for kernel in Kernel::available() {
            let mut table = Megaflows::new(LIMITS, 11, kernel);
            let mut oracle = Oracle::default();
            let mut ids: Vec<(Ufid, FlowKey, FlowMask)> = Vec::new();
            for (number, (key, mask)) in installed.iter().enumerate() {
                // Translation never makes flows that overlap.
                if oracle.overlaps(key, mask) { continue; }
                oracle.insert(key, mask, number);
                let Inserted { flow, replaced, .. } = table.insert(key, mask, number).unwrap();
                prop_assert_eq!(replaced, None);
                prop_assert_eq!(table.lookup_key(key), Some(flow));
                ids.push((crate::flow::key::ufid(key, mask), key.clone(), mask.clone()));
            }
            for &at in &removed {
                if at < ids.len() {
                    let (id, key, mask) = ids.swap_remove(at);
                    prop_assert_eq!(table.remove(id), oracle.remove(&key, &mask));
                }
            }
            prop_assert_eq!(table.len(), oracle.len());
            // Every packet asked for, and every installed one with a bit turned: near misses.
            let near = installed.iter().take(BURST).map(|(key, _)| {
                let mut key = key.clone();
                key.set_bits(FieldId::Ipv4Src, !key.get(FieldId::Ipv4Src), 1);
                key
            });
            for chunk in [asked.clone(), near.collect()] {
                let found = lookup(&mut table, &chunk);
                for (key, found) in chunk.iter().zip(found) {
                    let all: Vec<_> = oracle.lookup(key).copied().collect();
                    prop_assert!(all.len() <= 1);
                    prop_assert_eq!(found, all.first().copied());
                    let one = table.lookup_key(key).and_then(|flow| table.get(flow)).copied();
                    prop_assert_eq!(found, one);
                }
            }
            // A dump shows every flow as it was installed.
            let mut dumped: Vec<_> = table.iter().map(|flow| {
                assert_eq!(flow.ufid, crate::flow::key::ufid(&flow.key(), flow.mask));
                (*flow.value, flow.key(), FlowMask::clone(flow.mask))
            }).collect();
            dumped.sort_by_key(|(number, ..)| *number);
            let mut expected: Vec<_> =
                oracle.iter().map(|(key, mask, number)| (*number, key.clone(), mask.clone())).collect();
            expected.sort_by_key(|(number, ..)| *number);
            prop_assert_eq!(dumped, expected);
        }
    }
}

fn flow(number: u128) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::Ipv4Src, number);
    key.set(FieldId::Ipv6Src, number / 7);
    key
}

#[test]
fn a_table_of_many_flows_grows_shrinks_and_finds_all() {
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard(FieldId::Ipv4Src);
    mask.unwildcard(FieldId::Ipv6Src);
    let mut table = Megaflows::new(LIMITS, 5, Kernel::available().last().unwrap());
    let refs: Vec<FlowRef> = (0..20_000)
        .map(|number| table.insert(&flow(number), &mask, number as usize).unwrap().flow)
        .collect();
    let check = |table: &mut Megaflows<usize>, gone: &dyn Fn(usize) -> bool| {
        for from in (0..20_000).step_by(BURST) {
            let keys: Vec<_> = (from..from + BURST).map(|number| flow(number as u128)).collect();
            for (number, found) in (from..).zip(lookup(table, &keys)) {
                assert_eq!(found, (!gone(number)).then_some(number));
            }
        }
    };
    check(&mut table, &|_| false);
    for number in (0..20_000).filter(|number| number % 3 != 0) {
        let ufid = crate::flow::key::ufid(&flow(number), &mask);
        assert_eq!(table.remove(ufid), Some(number as usize));
    }
    check(&mut table, &|number| number % 3 != 0);
    assert!(refs.iter().enumerate().all(|(number, &flow)| {
        table.get(flow).copied() == (number % 3 == 0).then_some(number)
    }));
    assert_eq!((table.clear(), table.len(), table.masks()), (6667, 0, 0));
}

#[test]
fn the_bounds_hold_and_an_equal_flow_is_replaced() {
    let limits = Limits { flows: 2, masks: 1, budget: 1000 };
    let mut table = Megaflows::new(limits, 5, Kernel::best());
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard(FieldId::Ipv4Src);
    let first = table.insert(&flow(1), &mask, 1).unwrap().flow;
    let again = table.insert(&flow(1), &mask, 9).unwrap();
    assert_eq!((again.flow, again.replaced), (first, Some(1)));
    let mut other = mask.clone();
    other.unwildcard(FieldId::Ipv4Dst);
    assert_eq!(table.insert(&flow(2), &other, 2), Err(InsertError::Masks));
    table.insert(&flow(2), &mask, 2).unwrap();
    assert_eq!(table.insert(&flow(3), &mask, 3), Err(InsertError::Flows));
    assert_eq!((table.len(), table.masks()), (2, 1));
}

#[test]
fn the_busiest_mask_is_asked_first_after_a_second() {
    let mut table = Megaflows::new(LIMITS, 5, Kernel::best());
    let (mut one, mut two) = (FlowMask::EMPTY, FlowMask::EMPTY);
    one.unwildcard(FieldId::Ipv4Src);
    two.unwildcard(FieldId::Ipv6Src);
    let mut v6 = FlowKey::EMPTY;
    v6.set(FieldId::Ipv6Src, 5);
    table.insert(&flow(1), &one, 1).unwrap();
    table.insert(&v6, &two, 2).unwrap();
    let mut keys = BurstKeys::default();
    keys.set_key(0, &v6);
    let mut found = BurstFlows::default();
    let mut probes = |table: &mut Megaflows<usize>| {
        let looked = table.lookup(&keys, Slots::first(1), &mut found);
        assert_eq!(table.flows().at(found.0[0]), Some(&2));
        looked.probes
    };
    assert_eq!(probes(&mut table), 2);
    table.sort(Instant::from_millis(2000));
    assert_eq!(probes(&mut table), 1);
}

#[test]
fn a_flow_of_one_port_is_not_looked_for_at_another() {
    let mut table = Megaflows::new(LIMITS, 5, Kernel::best());
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard_place(layout::IN_PORT);
    table.insert(&keys_from(&[0; 8], 1), &mask, 1).unwrap();
    let mut keys = BurstKeys::default();
    keys.set_key(0, &keys_from(&[0; 8], 2));
    keys.set_key(1, &keys_from(&[0; 8], 1));
    let found = table.lookup(&keys, Slots::first(2), &mut BurstFlows::default());
    assert_eq!((found.hits, found.probes), (Slots(0b10), 1));
}

/// CVE-2019-25076: masks that a stranger provokes are bounded, and what the table says stays right.
#[test]
fn cve_2019_25076_masks_beyond_the_budget_join_wider_ones() {
    let limits = Limits { budget: 8, ..LIMITS };
    let mut table = Megaflows::new(limits, 5, Kernel::best());
    let mut asked: Vec<(FlowKey, FlowMask)> = Vec::new();
    let (mut widened, mut state) = (0, 7u64);
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    // An access list's shadow: for each length of a common prefix a mask of its own, twice over.
    let flow = |src_len: u32, dst_len: u32| {
        let (mut key, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
        mask.unwildcard_place(layout::IN_PORT);
        key.store(layout::IN_PORT, 1);
        for (field, len) in [(FieldId::Ipv4Src, src_len), (FieldId::Ipv4Dst, dst_len)] {
            let bits = u32::MAX << (32 - len);
            key.set(field, u128::from(0x0a00_0001 ^ (1u32 << (32 - len))));
            mask.unwildcard_bits(field, bits.into());
        }
        (key, mask)
    };
    for _ in 0..2000 {
        let src = u32::try_from(random(32)).unwrap() + 1;
        let dst = u32::try_from(random(32)).unwrap() + 1;
        let (mut key, mask) = flow(src, dst);
        key.set(FieldId::TcpSrc, random(4).into());
        if table.lookup_key(&key).is_some() {
            continue;
        }
        let number = asked.len();
        asked.push((key.clone(), mask.clone()));
        let inserted = table.insert(&key, &mask, number).unwrap();
        widened += usize::from(inserted.ufid != Megaflows::<usize>::id(&key, &mask));
        assert_eq!(table.lookup_key(&key), Some(inserted.flow));
        assert_eq!(table.get(inserted.flow), Some(&number));
        // A neighbour that the mask as asked would have covered is a stranger, or has this flow.
        let mut other = key.clone();
        other.set(FieldId::TcpSrc, random(4).into());
        if let Some(found) = table.lookup_key(&other).and_then(|flow| table.get(flow)) {
            let (asked_key, asked_mask) = &asked[*found];
            assert!(other.agrees(asked_key, asked_mask));
        }
    }
    assert!(widened > 500, "{widened}");
    // The budget, one for whole keys, and no more.
    assert!(table.masks() <= 10, "{}", table.masks());
}

#[test]
fn a_wider_mask_that_is_there_is_taken_before_whole_keys() {
    let limits = Limits { budget: 2, ..LIMITS };
    let mut table = Megaflows::new(limits, 5, Kernel::best());
    let key = keys_from(&[1, 1, 1, 1, 0, 0, 0, 0], 1);
    let mask = |fields: &[FieldId]| {
        let mut mask = FlowMask::EMPTY;
        mask.unwildcard_place(layout::IN_PORT);
        fields.iter().for_each(|&field| mask.unwildcard(field));
        mask
    };
    let (src, both) =
        (mask(&[FieldId::Ipv4Src]), mask(&[FieldId::Ipv4Src, FieldId::Ipv4Dst, FieldId::TcpSrc]));
    table.insert(&key, &src, 1).unwrap();
    table.insert(&keys_from(&[2, 1, 1, 1, 0, 0, 0, 0], 1), &both, 2).unwrap();
    let third = keys_from(&[3, 2, 1, 1, 0, 0, 0, 0], 1);
    let inserted = table.insert(&third, &mask(&[FieldId::Ipv4Dst]), 3).unwrap();
    assert_eq!(inserted.ufid, Megaflows::<usize>::id(&third, &both));
    // None covers the Ethernet address: the whole key it is, but for what changes in a connection.
    let fourth = keys_from(&[3, 3, 1, 2, 0, 0, 0, 0], 1);
    let inserted = table.insert(&fourth, &mask(&[FieldId::EthDst]), 4).unwrap();
    assert_eq!(table.masks(), 3);
    let megaflow = table.iter().find(|flow| flow.flow == inserted.flow).unwrap();
    assert_eq!(megaflow.mask.get(FieldId::Ipv4Dst), 0xffff_ffff);
    assert_eq!(megaflow.mask.get(FieldId::TcpFlags), 0);
    // Masks that are there already are used as they are, and other ports have budgets of their own.
    let more = keys_from(&[1, 1, 1, 1, 0, 0, 0, 0], 2);
    assert_eq!(table.insert(&more, &src, 5).unwrap().ufid, Megaflows::<usize>::id(&more, &src));
}
