use proptest::prelude::*;

use super::{Emc, Hashes, Kernel};
use crate::flow::{BurstKeys, FieldId, FlowKey, FlowMask};
use crate::lookup::{BurstFlows, FlowRef, Megaflows, megaflow::Limits};
use crate::packet::{BURST, Slots};

const LIMITS: Limits = Limits { flows: 10_000, masks: 10_000, budget: 10_000 };

#[derive(Default)]
struct Answer {
    hits: Slots,
    flows: BurstFlows,
    hashes: Hashes,
}

impl Answer {
    fn of(&mut self, emc: &Emc, keys: &BurstKeys, want: Slots, table: &Megaflows<usize>) {
        self.hits = emc.lookup(keys, want, table.flows(), &mut self.hashes, &mut self.flows);
    }
}

fn key(flow: u128) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::InPort, flow % 3);
    key.set(FieldId::Ipv4Src, 0x0a00_0000 | flow);
    match flow % 4 {
        1 => key.set(FieldId::Ipv6Dst, flow << 64),
        2 => key.set(FieldId::CtLabel, flow),
        3 => {
            key.set(FieldId::Ipv6Dst, flow);
            key.set(FieldId::TunId, flow << 9);
        }
        _ => {}
    }
    key
}

/// Exact flows for `keys`; what each carries is the number of its key.
fn flows(keys: &[FlowKey]) -> (Megaflows<usize>, Vec<FlowRef>) {
    let mut flows = Megaflows::new(LIMITS, 1, Kernel::Portable);
    let mut mask = FlowMask::EMPTY;
    for lane in 0..crate::flow::PACKET_LANES {
        mask.lane_mut(lane).0 = [u64::MAX; 8];
    }
    let refs = keys
        .iter()
        .enumerate()
        .map(|(at, key)| flows.insert(key, &mask, at).unwrap().flow)
        .collect();
    (flows, refs)
}

fn burst(keys: &[FlowKey]) -> (BurstKeys, Slots) {
    let mut burst = BurstKeys::default();
    for (slot, key) in keys.iter().enumerate() {
        burst.set_key(slot, key);
    }
    (burst, Slots::first(keys.len()))
}

#[test]
fn what_was_inserted_is_found_and_nothing_else() {
    for kernel in Kernel::available() {
        let keys: Vec<_> = (0..2 * BURST as u128).map(key).collect();
        let (table, refs) = flows(&keys);
        let mut emc = Emc::new(8192, 1, 3, kernel);
        let (first, second) = keys.split_at(BURST);
        let (burst_keys, want) = burst(first);
        let mut result = Answer::default();
        result.of(&emc, &burst_keys, want, &table);
        assert_eq!(result.hits, Slots::NONE);
        for (slot, &flow) in refs[..BURST].iter().enumerate() {
            emc.insert(&burst_keys, slot, result.hashes.0[slot], flow, table.flows());
        }
        assert_eq!(emc.live(table.flows()), BURST);
        result.of(&emc, &burst_keys, want, &table);
        let found: Vec<_> = result.flows.0.iter().map(|&at| table.flows().reference(at)).collect();
        assert_eq!((result.hits, &found[..]), (want, &refs[..BURST]));
        let (other, want) = burst(second);
        result.of(&emc, &other, want, &table);
        assert_eq!(result.hits, Slots::NONE);
    }
}

#[test]
fn a_train_has_the_result_of_its_first_packet() {
    // Keys 0, 4 and 8 are of lane 0 alone, 1 is not; 8 has no entry.
    let keys: Vec<_> = [0, 4, 1, 8].map(key).to_vec();
    let (table, refs) = flows(&keys);
    for kernel in Kernel::available() {
        let mut emc = Emc::new(64, 1, 3, kernel);
        let (burst_keys, want) = burst(&keys);
        let mut result = Answer::default();
        result.of(&emc, &burst_keys, want, &table);
        let hashes = result.hashes.0;
        for slot in 0..3 {
            emc.insert(&burst_keys, slot, hashes[slot], refs[slot], table.flows());
        }
        for (engine, behind) in [(0, 1), (0, 2), (0, 3), (2, 0), (3, 0), (3, 2)] {
            for length in 1..=BURST {
                let numbers: Vec<_> =
                    (0..BURST).map(|at| if at < length { engine } else { behind }).collect();
                let (cars, all) =
                    burst(&numbers.iter().map(|&at| keys[at].clone()).collect::<Vec<_>>());
                for want in [all, all.without(Slots::first(1)), Slots(0xaaaa_aaaa)] {
                    let mut result = Answer::default();
                    result.of(&emc, &cars, want, &table);
                    for slot in want.iter() {
                        let number = numbers[slot];
                        assert_eq!(result.hits.has(slot), number != 3, "{slot} of {length}");
                        assert_eq!(result.hashes.0[slot], hashes[number]);
                        if number != 3 {
                            assert_eq!(result.flows.0[slot], refs[number].index);
                        }
                    }
                    assert_eq!(result.hits.without(want), Slots::NONE);
                }
            }
        }
    }
}

#[test]
fn an_entry_dies_with_its_flow_and_its_place_is_used_first() {
    let keys = [key(4), key(8)];
    let (mut table, refs) = flows(&keys);
    // One set.
    let mut emc = Emc::new(4, 1, 3, Kernel::best());
    let (burst_keys, want) = burst(&keys);
    let mut result = Answer::default();
    result.of(&emc, &burst_keys, want, &table);
    for (slot, &flow) in refs.iter().enumerate() {
        emc.insert(&burst_keys, slot, result.hashes.0[slot], flow, table.flows());
    }
    let gone = table.iter().find(|flow| *flow.value == 0).unwrap().ufid;
    table.remove(gone).unwrap();
    result.of(&emc, &burst_keys, want, &table);
    assert_eq!(result.hits, Slots(0b10));
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard(FieldId::Ipv4Src);
    let fresh = key(12);
    let flow = table.insert(&fresh, &mask, 7).unwrap().flow;
    let (burst_keys, want) = burst(&[fresh, keys[1].clone()]);
    result.of(&emc, &burst_keys, want, &table);
    emc.insert(&burst_keys, 0, result.hashes.0[0], flow, table.flows());
    result.of(&emc, &burst_keys, want, &table);
    assert_eq!((result.hits, result.flows.0[0]), (want, flow.index));
}

#[test]
fn chance_decides_how_many_misses_become_entries() {
    let keys = [key(4)];
    let (table, refs) = flows(&keys);
    let (burst_keys, want) = burst(&keys);
    for (inv_prob, expected) in [(0, 0..=0), (1, 10_000..=10_000), (100, 60..=140)] {
        let mut emc = Emc::new(64, inv_prob, 99, Kernel::best());
        let mut result = Answer::default();
        let mut inserted = 0;
        for _ in 0..10_000 {
            emc.clear();
            result.of(&emc, &burst_keys, want, &table);
            emc.insert(&burst_keys, 0, result.hashes.0[0], refs[0], table.flows());
            inserted += emc.live(table.flows());
        }
        assert!(expected.contains(&inserted), "1/{inv_prob}: {inserted}");
    }
}

proptest! {
    /// A cache much smaller than the flows: whatever it answers is the right flow.
    #[test]
    fn hits_are_right_under_eviction(picks in prop::collection::vec(0u128..300, 1..400)) {
        let keys: Vec<_> = (0..300).map(key).collect();
        let (table, refs) = flows(&keys);
        let kernel = Kernel::available().last().unwrap();
        let mut emc = Emc::new(64, 1, 5, kernel);
        let mut result = Answer::default();
        for chunk in picks.chunks(BURST) {
            let picked: Vec<_> = chunk.iter().map(|&flow| key(flow)).collect();
            let (burst_keys, want) = burst(&picked);
            result.of(&emc, &burst_keys, want, &table);
            for (slot, &flow) in chunk.iter().enumerate() {
                let flow = refs[usize::try_from(flow).unwrap()];
                if result.hits.has(slot) {
                    prop_assert_eq!(result.flows.0[slot], flow.index);
                } else {
                    emc.insert(&burst_keys, slot, result.hashes.0[slot], flow, table.flows());
                }
            }
        }
    }
}
