//! The table against a linear scan, and what readers see while it changes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{collection, option, proptest};

use super::super::{NextHop, Origin, Policy, Prefix, Query, Rank, Route, RouteKey, preferred};
use super::{RouteError, RouteTable};

fn key(prefix: &str) -> RouteKey {
    RouteKey {
        prefix: prefix.parse().expect("a prefix"),
        policy: Policy::Destination,
        origin: Origin::Static,
        protocol: None,
    }
}

fn hop(device: &str) -> NextHop {
    NextHop::new(device, None)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Addresses close to each other, so that prefixes nest and meet.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let four = (any::<u32>(), any::<u32>()).prop_map(|(a, mask)| {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | a & mask & 0x0003_0303))
    });
    let six = (any::<u128>(), any::<u128>()).prop_map(|(a, mask)| {
        let near = 0x2001_0db8_0000_0000_0000_0000_0000_0000 | a & mask & 0x3_0003_0303 << 64;
        IpAddr::V6(Ipv6Addr::from_bits(near | a & 3))
    });
    prop_oneof![four, six]
}

fn keys() -> impl Strategy<Value = RouteKey> {
    let policy = prop_oneof![
        proptest::strategy::Just(Policy::Destination),
        proptest::strategy::Just(Policy::Source)
    ];
    let origin =
        (0..3_u8).prop_map(|n| [Origin::Connected, Origin::Static, Origin::Learned][n as usize]);
    let len = prop_oneof![0..=128_u8, 8..=32_u8, proptest::strategy::Just(0_u8)];
    (addresses(), len, policy, origin, option::of(6..8_u8)).prop_map(
        |(address, len, policy, origin, protocol)| RouteKey {
            prefix: Prefix::new(address, len),
            policy,
            origin,
            protocol,
        },
    )
}

/// The slow and obvious way: every route is asked whether it matches, and all that do compared.
fn scan<'a>(routes: impl Iterator<Item = &'a RouteKey>, query: &Query) -> Option<RouteKey> {
    let matches = |key: &&RouteKey| {
        let family = key.prefix.address().is_ipv4() == query.destination.is_ipv4();
        let address = match key.policy {
            Policy::Destination => Some(query.destination),
            Policy::Source => query.source,
        };
        let protocol = key.protocol.is_none_or(|protocol| query.protocol == Some(protocol));
        family && protocol && address.is_some_and(|address| key.prefix.contains(address))
    };
    routes.filter(matches).min_by(|a, b| preferred((Rank::of(a), a), (Rank::of(b), b))).copied()
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn the_table_agrees_with_a_linear_scan_through_changes(
        steps in collection::vec((keys(), any::<bool>()), 1..60),
        asked in collection::vec((addresses(), option::of(addresses()), option::of(6..8_u8)), 40),
    ) {
        let mut table = RouteTable::default();
        let mut model: Vec<RouteKey> = Vec::new();
        for (at, (key, remove)) in steps.iter().enumerate() {
            if *remove && !model.is_empty() {
                let gone = model.swap_remove(at % model.len());
                assert_eq!(table.remove(&gone, None), Ok(()));
            }
            assert_eq!(table.add(*key, hop("br0")), Ok(()));
            if !model.contains(key) {
                model.push(*key);
            }
            if at % 5 != 4 && at + 1 != steps.len() {
                continue;
            }
            let routes = table.snapshot();
            for &(destination, source, protocol) in &asked {
                let query = Query { source, protocol, ..Query::to(destination) };
                let expected = scan(model.iter(), &query);
                assert_eq!(routes.lookup(&query).map(|route| route.key), expected, "{query:?}");
                let explained = table.explain(&query);
                assert_eq!(explained.first().map(|route| route.key), expected);
            }
        }
        assert_eq!(table.len(), model.len());
    }
}

#[test]
fn a_burst_agrees_with_single_lookups() {
    let mut table = RouteTable::default();
    for n in 0..5000_u32 {
        let bits = n.wrapping_mul(0x9e37_79b9);
        let prefix = Prefix::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), (8 + n % 25) as u8);
        let key = RouteKey { prefix, ..key("0.0.0.0/0") };
        table.add(key, hop("br0")).expect("there is room");
    }
    let routes = table.snapshot();
    let asked: Vec<u32> = (0..32_u32).map(|n| n.wrapping_mul(0x0765_4321)).collect();
    let mut found = [0; 32];
    assert!(routes.burst4(&asked, &mut found));
    for (destination, number) in asked.iter().zip(found) {
        let query = Query::to(IpAddr::V4(Ipv4Addr::from_bits(*destination)));
        assert_eq!(routes.lookup(&query), routes.route(number), "{query:?}");
    }
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut table = RouteTable::default();
    table.add(key("10.0.0.0/8"), hop("old")).expect("there is room");
    let before = table.snapshot();
    table.remove(&key("10.0.0.0/8"), None).expect("it is there");
    table.add(key("0.0.0.0/0"), hop("new")).expect("there is room");
    let after = table.snapshot();
    let device =
        |route: Option<&std::sync::Arc<Route>>| route.map(|r| r.hops[0].device.to_string());
    let query = Query::to(address("10.1.1.1"));
    assert_eq!(device(before.lookup(&query)), Some("old".into()));
    assert_eq!(device(after.lookup(&query)), Some("new".into()));
}

#[test]
fn routes_with_one_key_are_one_with_several_hops() {
    let mut table = RouteTable::default();
    let via = |gateway| NextHop::new("br0", Some(address(gateway)));
    table.add(key("10.0.0.0/8"), via("1.1.1.2")).expect("there is room");
    table.add(key("10.0.0.0/8"), via("1.1.1.1")).expect("there is room");
    table.add(key("10.0.0.0/8"), via("1.1.1.1")).expect("there is room");
    let hops = |table: &RouteTable| -> Vec<NextHop> {
        table.get(&key("10.0.0.0/8")).map_or_else(Vec::new, |route| route.hops.to_vec())
    };
    assert_eq!(hops(&table), [via("1.1.1.1"), via("1.1.1.2")]);
    assert_eq!(table.remove(&key("10.0.0.0/8"), Some(&via("1.1.1.9"))), Err(RouteError::NotFound));
    assert_eq!(table.remove(&key("10.0.0.0/8"), Some(&via("1.1.1.1"))), Ok(()));
    assert_eq!(hops(&table), [via("1.1.1.2")]);
    assert_eq!(table.remove(&key("10.0.0.0/8"), Some(&via("1.1.1.2"))), Ok(()));
    assert!(table.is_empty());
}

#[test]
fn an_impossible_next_hop_is_refused() {
    let mut table = RouteTable::default();
    for gateway in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::"] {
        let hop = NextHop::new("br0", Some(address(gateway)));
        assert_eq!(table.add(key("10.0.0.0/8"), hop), Err(RouteError::ImpossibleHop), "{gateway}");
    }
    let hop = NextHop::new("br0", Some(address("1.1.1.1")));
    assert_eq!(table.add(key("2001:db8::/32"), hop), Err(RouteError::Family));
    assert!(table.is_empty());
}

#[test]
fn a_full_table_refuses_and_stays_whole() {
    let mut table = RouteTable::new(2);
    table.add(key("10.0.0.0/8"), hop("a")).expect("there is room");
    table.add(key("11.0.0.0/8"), hop("a")).expect("there is room");
    assert_eq!(table.add(key("12.0.0.0/8"), hop("a")), Err(RouteError::Full));
    table.add(key("11.0.0.0/8"), hop("b")).expect("a further hop is no further route");
    assert_eq!(table.len(), 2);
}

#[test]
fn chains_that_nobody_uses_are_given_up() {
    let mut table = RouteTable::default();
    table.add(key("0.0.0.0/0"), hop("a")).expect("there is room");
    for n in 0..3000_u32 {
        let prefix = Prefix::new(IpAddr::V4(Ipv4Addr::from_bits(n << 16)), 24);
        let key = RouteKey { prefix, protocol: Some(6), ..key("0.0.0.0/0") };
        table.add(key, hop("b")).expect("there is room");
        table.commit();
        table.remove(&key, None).expect("it is there");
        table.commit();
    }
    assert!(table.store.chain_numbers.len() < 1100, "{}", table.store.chain_numbers.len());
    let routes = table.snapshot();
    assert!(routes.lookup(&Query::to(address("1.2.3.4"))).is_some());
}
