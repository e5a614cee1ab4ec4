//! Keys, masks and the tables of them: their algebra, and the megaflow table against a linear scan.

use dp_core::base::Ufid;
use dp_core::flow::{BurstKeys, FIELDS, FieldId, FlowKey, FlowMask, LaneSet, PACKET_LANES};
use dp_core::lookup::megaflow::Limits;
use dp_core::lookup::{BurstFlows, Kernel, Megaflows, Oracle};
use dp_core::packet::{BURST, Slots};

use crate::bytes::Bytes;

/// A few values of a few fields, so that keys meet.
fn key(bytes: &mut Bytes<'_>) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::InPort, u128::from(bytes.below(3)));
    for _ in 0..bytes.below(6) {
        key.set(field(bytes), u128::from(bytes.below(4)) << (bytes.below(3) * 7));
    }
    key
}

fn mask(bytes: &mut Bytes<'_>) -> FlowMask {
    let mut mask = FlowMask::EMPTY;
    if bytes.below(4) != 0 {
        mask.unwildcard_place(dp_core::flow::layout::IN_PORT);
    }
    for _ in 0..bytes.below(6) {
        match bytes.below(3) {
            0 => mask.unwildcard(field(bytes)),
            _ => mask.unwildcard_bits(field(bytes), u128::from(bytes.short())),
        }
    }
    mask
}

/// A field that packets have.
fn field(bytes: &mut Bytes<'_>) -> FieldId {
    let at = usize::from(bytes.byte());
    let packets = FIELDS.iter().filter(|field| field.lane() < PACKET_LANES);
    let all: Vec<_> = packets.map(|field| field.id).collect();
    all[at % all.len()]
}

/// What must hold of any keys and masks.
fn laws(one: &FlowKey, other: &FlowKey, mask: &FlowMask, more: &FlowMask) {
    let masked = one.masked(mask);
    assert_eq!(masked.masked(mask), masked, "masking twice is masking once");
    assert!(one.agrees(&masked, mask));
    let agree = one.agrees(other, mask);
    assert_eq!(agree, masked == other.masked(mask));
    assert_eq!(agree, other.agrees(one, mask));
    let mut both = mask.clone();
    both.or_assign(more);
    assert!(both.covers(mask) && both.covers(more) && mask.covers(mask));
    assert!(!one.agrees(other, &both) || agree, "more bits, fewer that agree");
    assert_eq!(mask.covers(more), both == *mask);
    assert!(mask.live().iter().all(|lane| mask.used().has(lane)));
    assert!(mask.used().iter().all(|lane| mask.live().has(lane) || mask.lane(lane).is_zero()));
    assert_ne!(mask.live(), LaneSet(u16::MAX));
}

/// Flows come and go; keys are looked up by the burst and one by one.
pub fn flow_masks(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let limits = Limits { flows: 64, masks: 1000, budget: usize::from(2 + bytes.below(30)) };
    for kernel in Kernel::available() {
        let mut bytes = Bytes::new(data);
        run(&mut bytes, Megaflows::new(limits, 1, kernel));
    }
}

fn run(bytes: &mut Bytes<'_>, mut table: Megaflows<u8>) {
    let mut oracle: Oracle<u8> = Oracle::default();
    let mut ids: Vec<(Ufid, FlowKey, FlowMask)> = Vec::new();
    let mut keys = Box::new(BurstKeys::default());
    let mut seen = vec![FlowKey::EMPTY];
    while !bytes.is_empty() {
        let (one, mask) = (key(bytes), mask(bytes));
        laws(&one, &seen[usize::from(bytes.byte()) % seen.len()], &mask, &{ mask.clone() });
        match bytes.below(4) {
            0 | 1 => {
                if let Ok(inserted) = table.insert(&one, &mask, 7) {
                    // The table may have widened the mask; it is asked what it has.
                    let flow = table.iter().find(|flow| flow.flow == inserted.flow);
                    assert!(flow.is_some(), "inserted and not there");
                    let Some(flow) = flow else { return };
                    assert!(flow.mask.covers(&packet_part(&mask)));
                    let entry = (inserted.ufid, flow.key(), (**flow.mask).clone());
                    assert_eq!(entry.1, one.masked(&entry.2));
                    oracle.insert(&entry.1, &entry.2, 7);
                    ids.retain(|(id, ..)| *id != entry.0);
                    ids.push(entry);
                }
            }
            2 if !ids.is_empty() => {
                let (id, key, mask) = ids.swap_remove(usize::from(bytes.byte()) % ids.len());
                assert!(table.remove(id).is_some());
                assert!(oracle.remove(&key, &mask).is_some());
            }
            _ => {}
        }
        seen.push(one);
        if seen.len() > BURST {
            seen.remove(0);
        }
        look_up(&seen, &mut keys, &mut table, &oracle);
    }
}

fn packet_part(mask: &FlowMask) -> FlowMask {
    let mut out = FlowMask::EMPTY;
    for lane in mask.live().iter().filter(|&lane| lane < PACKET_LANES) {
        *out.lane_mut(lane) = *mask.lane(lane);
    }
    out
}

fn look_up(seen: &[FlowKey], keys: &mut BurstKeys, table: &mut Megaflows<u8>, oracle: &Oracle<u8>) {
    for (slot, key) in seen.iter().enumerate() {
        keys.set_key(slot, key);
    }
    let mut found = BurstFlows::default();
    let looked = table.lookup(keys, Slots::first(seen.len()), &mut found);
    for (slot, key) in seen.iter().enumerate() {
        let expected = oracle.lookup(key).next().is_some();
        assert_eq!(looked.hits.has(slot), expected);
        assert_eq!(table.lookup_key(key).is_some(), expected);
        if expected {
            assert!(table.matches(found.0[slot], keys, slot));
        }
    }
}
