use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::{Atom, Datum, Duplicate};

fn set(items: &[i64]) -> Datum {
    Datum::set(items.iter().map(|&item| Atom::Integer(item)).collect()).unwrap()
}

fn map(items: &[(&str, i64)]) -> Datum {
    Datum::map(items.iter().map(|&(k, v)| (Atom::from(k), Atom::Integer(v))).collect()).unwrap()
}

#[test]
fn sets_sort_and_refuse_duplicates() {
    assert_eq!(set(&[3, 1, 2]).to_json(), json!(["set", [1, 2, 3]]));
    assert_eq!(Datum::set(vec![Atom::Integer(1), Atom::Integer(1)]), Err(Duplicate));
    assert_eq!(
        Datum::map(vec![(Atom::from("a"), Atom::from(1)), (Atom::from("a"), Atom::from(2))]),
        Err(Duplicate)
    );
}

#[test]
fn a_set_of_one_is_written_as_its_element() {
    assert_eq!(set(&[7]).to_json(), json!(7));
    assert_eq!(Datum::empty_set().to_json(), json!(["set", []]));
    assert_eq!(map(&[("k", 1)]).to_json(), json!(["map", [["k", 1]]]));
}

#[test]
fn union_keeps_the_value_that_is_there() {
    assert_eq!(map(&[("a", 1)]).union(&map(&[("a", 2), ("b", 3)])), map(&[("a", 1), ("b", 3)]));
}

#[test]
fn subtract_takes_equal_pairs_or_listed_keys() {
    let old = map(&[("a", 1), ("b", 2), ("c", 3)]);
    assert_eq!(old.subtract(&map(&[("a", 1), ("b", 9)])), map(&[("b", 2), ("c", 3)]));
    let keys = Datum::set(vec![Atom::from("a"), Atom::from("zz")]).unwrap();
    assert_eq!(old.subtract(&keys), map(&[("b", 2), ("c", 3)]));
}

#[test]
fn a_diff_of_maps_holds_new_values_and_lost_pairs() {
    let (old, new) = (map(&[("a", 1), ("b", 2)]), map(&[("b", 3), ("q", 9)]));
    assert_eq!(old.diff(&new), map(&[("a", 1), ("b", 3), ("q", 9)]));
}

#[test]
fn text_is_bare_where_it_can_be() {
    assert_eq!(set(&[1, 2]).to_string(), "[1, 2]");
    assert_eq!(map(&[("a", 1), ("b c", 2)]).to_string(), "{a=1, \"b c\"=2}");
    assert_eq!(Datum::scalar(Atom::from("true")).to_string(), "\"true\"");
    assert_eq!(Datum::scalar(Atom::from("br-int.1")).to_string(), "br-int.1");
}

#[test]
fn strings_are_found_by_key() {
    let options = Datum::map(vec![
        (Atom::from("peer"), Atom::from("p1")),
        (Atom::from("key"), Atom::from("flow")),
    ])
    .unwrap();
    assert_eq!(options.get_str("key"), Some("flow"));
    assert_eq!(options.get_str("kex"), None);
    assert_eq!(set(&[1]).get_str("key"), None);
}

proptest! {
    #[test]
    fn sets_agree_with_the_standard_ones(a: BTreeSet<i8>, b: BTreeSet<i8>) {
        let make = |s: &BTreeSet<i8>| set(&s.iter().map(|&i| i64::from(i)).collect::<Vec<_>>());
        let (x, y) = (make(&a), make(&b));
        prop_assert_eq!(x.union(&y), make(&(&a | &b)));
        prop_assert_eq!(x.subtract(&y), make(&(&a - &b)));
        prop_assert_eq!(x.diff(&y), make(&(&a ^ &b)));
        prop_assert_eq!(x.apply_diff(&x.diff(&y)), y.clone());
        prop_assert_eq!(x.includes_all(&y), a.is_superset(&b));
        prop_assert_eq!(x.excludes_all(&y), a.is_disjoint(&b));
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        x.for_each_pair_change(&y, |i, _, step| {
            if step < 0 { gone.push(i.clone()) } else { come.push(i.clone()) }
        });
        prop_assert_eq!(Datum::set(gone).unwrap(), make(&(&a - &b)));
        prop_assert_eq!(Datum::set(come).unwrap(), make(&(&b - &a)));
    }

    #[test]
    fn a_diff_of_maps_applies(a: BTreeMap<i8, i8>, b: BTreeMap<i8, i8>) {
        let make = |m: &BTreeMap<i8, i8>| {
            Datum::map(
                m.iter().map(|(&k, &v)| (Atom::from(i64::from(k)), Atom::from(i64::from(v)))).collect(),
            )
            .unwrap()
        };
        let (x, y) = (make(&a), make(&b));
        prop_assert_eq!(x.apply_diff(&x.diff(&y)), y.clone());
        prop_assert_eq!(x.diff(&x).is_empty(), true);
    }
}
