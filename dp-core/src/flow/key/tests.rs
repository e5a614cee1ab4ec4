//! Keys and masks: every field of the table written and read, and the algebra of masks.

use proptest::prelude::*;

use super::{FlowKey, FlowMask, ufid};
use crate::flow::{FIELDS, FieldId, Wide, layout};

#[test]
fn every_field_reads_back_what_was_written_and_touches_nothing_else() {
    for field in FIELDS {
        let value = 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978_u128 | 1;
        let mut key = FlowKey::EMPTY;
        key.set(field.id, value);
        assert_eq!(key.get(field.id), value & field.ones(), "{}", field.name);
        // That an option is there is part of it.
        let there = key.load(layout::TUN_METADATA_PRESENT);
        let number = field.id.tun_metadata_number();
        assert_eq!(there, number.map_or(0, |number| 1 << number), "{}", field.name);
        key.store(layout::TUN_METADATA_PRESENT, 0);
        let beside: u32 = key.wide().iter().map(|(_, word)| word.count_ones()).sum();
        let set_bits = key.bytes().iter().map(|byte| byte.count_ones()).sum::<u32>() + beside;
        assert_eq!(set_bits, (value & field.ones()).count_ones(), "{}", field.name);
        key.set(field.id, 0);
        key.store(layout::TUN_METADATA_PRESENT, 0);
        assert_eq!(key, FlowKey::EMPTY, "{}", field.name);
    }
}

#[test]
fn all_ones_are_all_bits_of_a_field_that_is_wider() {
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard(FieldId::TunMetadata9);
    assert_eq!(mask.get_wide(FieldId::TunMetadata9), Wide::ONES);
    mask.set_bits(FieldId::TunMetadata9, 0, u128::MAX);
    assert!(mask.wide().is_empty());
    let mut key = FlowKey::EMPTY;
    key.set_wide(FieldId::TunMetadata9, Wide::from(1) << 900, Wide::ONES);
    // That the option is there still counts.
    assert!(!key.agrees(&FlowKey::EMPTY, &mask));
    let mut zero = FlowKey::EMPTY;
    zero.set_wide(FieldId::TunMetadata9, Wide::from(0), Wide::ONES);
    assert!(key.agrees(&zero, &mask) && key != zero);
    mask.unwildcard_wide(FieldId::TunMetadata9, Wide::from(1) << 900);
    assert!(!key.agrees(&zero, &mask));
    assert_eq!(key.masked(&mask).get_wide(FieldId::TunMetadata9), Wide::from(1) << 900);
    let mut wider = FlowMask::EMPTY;
    wider.unwildcard_wide(FieldId::TunMetadata9, Wide::ONES);
    assert!(wider.covers(&mask) && !mask.covers(&wider));
}

#[test]
fn xregs_are_the_registers() {
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::Reg2, 0x1111_1111);
    key.set(FieldId::Reg3, 0x2222_2222);
    assert_eq!(key.get(FieldId::Xreg1), 0x1111_1111_2222_2222);
    assert_eq!(key.get(FieldId::Xxreg0), 0x1111_1111_2222_2222);
}

#[test]
fn the_id_depends_on_what_counts_alone() {
    let (mut a, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
    a.set(FieldId::Ipv4Src, 0x0a00_0001);
    mask.unwildcard_bits(FieldId::Ipv4Src, 0xffff_ff00);
    let mut b = a.clone();
    b.set(FieldId::Ipv4Src, 0x0a00_0002);
    b.set(FieldId::Ipv6Label, 7);
    assert!(a.agrees(&b, &mask));
    assert_eq!(ufid(&a, &mask), ufid(&b, &mask));
    b.set(FieldId::Ipv4Src, 0x0a00_0102);
    assert!(!a.agrees(&b, &mask));
    assert_ne!(ufid(&a, &mask), ufid(&b, &mask));
    let mut wider = mask.clone();
    wider.unwildcard(FieldId::Ipv4Dst);
    assert_ne!(ufid(&a, &mask), ufid(&a, &wider));
    assert!(wider.covers(&mask) && !mask.covers(&wider));
}

fn writes() -> impl Strategy<Value = Vec<(usize, u128)>> {
    prop::collection::vec((0..FIELDS.len(), any::<u128>()), 0..12)
}

proptest! {
    #[test]
    fn masking_agreement_and_id_say_the_same(one in writes(), two in writes(), bits in writes()) {
        let (mut a, mut b, mut mask) = (FlowKey::EMPTY, FlowKey::EMPTY, FlowMask::EMPTY);
        for (field, value) in one { a.set(FIELDS[field].id, value); }
        for (field, value) in two { b.set(FIELDS[field].id, value); }
        for (field, value) in bits { mask.unwildcard_bits(FIELDS[field].id, value); }
        let equal = a.masked(&mask) == b.masked(&mask);
        prop_assert_eq!(a.agrees(&b, &mask), equal);
        prop_assert_eq!(ufid(&a, &mask) == ufid(&b, &mask), equal);
        prop_assert_eq!(a.masked(&mask).masked(&mask), a.masked(&mask));
    }
}

/// CVE-2022-32166: comparing masks of different extent read beyond the shorter one. Here they have one
/// size, and lanes that one of them does not use count as zero.
#[test]
fn cve_2022_32166_masks_of_different_extent_compare_as_if_zeros_followed() {
    let mut short = FlowMask::EMPTY;
    short.unwildcard(FieldId::EthType);
    let mut long = short.clone();
    long.unwildcard_bits(FieldId::TunId, 0xff);
    assert_ne!(short, long);
    assert_ne!(long, short);
    assert!(long.covers(&short) && !short.covers(&long));
    long.set_bits(FieldId::TunId, 0, u128::MAX);
    assert_ne!(long.used(), short.used());
    assert_eq!(short, long);
    assert_eq!(long, short);
    assert!(short.covers(&long) && long.covers(&short));
    let mut key = FlowKey::EMPTY;
    key.set(FieldId::TunId, 7);
    assert!(key.agrees(&FlowKey::EMPTY, &short) && key.agrees(&FlowKey::EMPTY, &long));
}
