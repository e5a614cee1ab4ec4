//! What is let by, what never is, and that the mask says what the answer rests on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn flow(dst: &str, proto: u8, port: u16) -> FlowKey {
    between("192.168.0.1", dst, proto, port)
}

fn between(src: &str, dst: &str, proto: u8, port: u16) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    let [src, dst]: [IpAddr; 2] = [src, dst].map(|it| it.parse().expect("an address"));
    match dst {
        IpAddr::V4(dst) => {
            key.set(FieldId::EthType, 0x0800);
            key.set(FieldId::Ipv4Dst, dst.to_bits().into());
            if let IpAddr::V4(src) = src {
                key.set(FieldId::Ipv4Src, src.to_bits().into());
            }
        }
        IpAddr::V6(dst) => {
            key.set(FieldId::EthType, 0x86dd);
            key.set(FieldId::Ipv6Dst, dst.to_bits());
            if let IpAddr::V6(src) = src {
                key.set(FieldId::Ipv6Src, src.to_bits());
            }
        }
    }
    key.store(layout::NW_PROTO, proto.into());
    key.store(layout::TP_DST, port.into());
    key
}

fn policy(settings: &[(&'static str, &'static str)]) -> SkipPolicy {
    let policy = SkipPolicy::default();
    let setting = |key| settings.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
    policy.set(from_settings(setting).expect("good settings"));
    policy
}

fn rule_of(policy: &SkipPolicy, flow: &FlowKey) -> Option<String> {
    let question = Question { flow, nat: false, hint: false };
    policy.rules().decide(&question, &mut FlowMask::EMPTY.clone()).map(|rule| rule.name.clone())
}

#[test]
fn settings_make_rules_in_their_order() {
    let policy = policy(&[
        (NODE_LOCAL_DNS, "169.254.20.10,fd00::a"),
        (DESTINATIONS, "10.1.0.0/16, 10.1.2.0/24 fc00:1::/32,0.0.0.0/1"),
        (DIRECT, "192.168.0.0/24"),
        (MULTICAST, "true"),
    ]);
    let name = |dst: &str| rule_of(&policy, &flow(dst, 17, 53));
    assert_eq!(name("169.254.20.10").as_deref(), Some("node-local-dns"));
    assert_eq!(name("fd00::a").as_deref(), Some("node-local-dns"));
    assert_eq!(name("10.1.2.3").as_deref(), Some("dst-cidrs"));
    assert_eq!(name("fc00:1::9").as_deref(), Some("dst-cidrs"));
    assert_eq!(name("192.168.0.77").as_deref(), Some("direct"));
    assert_eq!(name("192.168.1.77"), None);
    assert_eq!(name("169.254.20.11"), None);
    let mut multicast = flow("224.0.0.5", 89, 0);
    multicast.set(FieldId::EthDst, 0x0100_5e00_0005);
    assert_eq!(rule_of(&policy, &multicast).as_deref(), Some("multicast"));
    assert_eq!(
        policy.show().lines().nth(1),
        Some("2: dst-cidrs, dst in {0.0.0.0/1,fc00:1::/32}, both directions, n_packets=0")
    );
    for (key, value) in [(DESTINATIONS, "10.0.0.0/33"), (DIRECT, "true"), (MULTICAST, "yes")] {
        let setting = |it| (it == key).then_some(value);
        assert_eq!(from_settings(setting).map(|_| ()).map_err(|error| error.key), Err(key));
    }
}

#[test]
fn replies_are_let_by_where_the_rule_says_both() {
    let policy = policy(&[(NODE_LOCAL_DNS, "10.96.0.10"), (DIRECT, "10.0.0.0/24")]);
    let reply = between("10.96.0.10", "10.5.0.1", 17, 4000);
    assert_eq!(rule_of(&policy, &reply).as_deref(), Some("node-local-dns"));
    let one_way = SkipPolicy::default();
    let set = Arc::new("10.96.0.10".parse().expect("a set"));
    one_way.set(vec![Rule::new("one", vec![Condition::DestinationIn(set)])]);
    assert_eq!(rule_of(&one_way, &reply), None);
}

#[test]
fn an_address_that_is_listed_as_itself_counts_beside_a_prefix_around_it() {
    for (list, address) in [
        ("169.254.0.0/16,169.254.20.10", "169.254.20.10"),
        ("0.0.0.0/0,169.254.20.10", "169.254.20.10"),
        ("fe80::/10,fe80::a", "fe80::a"),
    ] {
        let policy = policy(&[(DESTINATIONS, list)]);
        assert_eq!(
            rule_of(&policy, &flow(address, 17, 53)).as_deref(),
            Some("dst-cidrs"),
            "{list}"
        );
    }
    let policy = policy(&[(DESTINATIONS, "0.0.0.0/0,169.254.20.10")]);
    assert_eq!(rule_of(&policy, &between("169.254.20.12", "169.254.20.11", 17, 53)), None);
}

#[test]
fn protocols_ports_and_hints_are_conditions_too() {
    let policy = SkipPolicy::default();
    let set = Arc::new("10.0.0.0/8".parse().expect("a set"));
    policy.set(vec![
        Rule::new(
            "dns",
            vec![
                Condition::DestinationIn(set),
                Condition::Protocol { proto: 17, ports: Some((53, 54)) },
            ],
        ),
        Rule::new("hint", vec![Condition::Hint]),
    ]);
    assert_eq!(rule_of(&policy, &flow("10.0.0.1", 17, 53)).as_deref(), Some("dns"));
    assert_eq!(rule_of(&policy, &flow("10.0.0.1", 6, 53)), None);
    assert_eq!(rule_of(&policy, &flow("10.0.0.1", 17, 55)), None);
    let flow = flow("10.0.0.1", 6, 1);
    let question = Question { flow: &flow, nat: false, hint: true };
    let mut wc = FlowMask::EMPTY.clone();
    let rules = policy.rules();
    assert_eq!(rules.decide(&question, &mut wc).map(|rule| rule.name.as_str()), Some("hint"));
}

#[test]
fn where_no_rule_matches_the_state_does_not_count() {
    let policy = policy(&[]);
    let mut wc = FlowMask::EMPTY.clone();
    let flow = flow("10.0.0.1", 17, 53);
    let question = Question { flow: &flow, nat: false, hint: false };
    assert!(policy.rules().decide(&question, &mut wc).is_none());
    assert_eq!(wc, FlowMask::EMPTY, "nothing was looked at");
}

#[test]
fn counters_outlive_a_change_of_the_rules() {
    let policy = policy(&[(DESTINATIONS, "10.0.0.0/8")]);
    let version = policy.version();
    policy.rules().iter().next().expect("a rule").packets.add(7);
    let set = Arc::new("11.0.0.0/8".parse().expect("a set"));
    policy.set(vec![Rule::new("dst-cidrs", vec![Condition::DestinationIn(set)])]);
    assert_eq!(policy.rules().iter().next().expect("a rule").packets.get(), 7);
    assert!(policy.version() > version);
}

/// Addresses near each other, so that prefixes meet; and some that are link-local.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = |bits| IpAddr::from(Ipv4Addr::from_bits(bits));
    let v6 = |bits| IpAddr::from(Ipv6Addr::from_bits(bits));
    prop_oneof![
        (0u32..4, 0u32..8).prop_map(move |(a, b)| v4(0x0a00_0000 | a << 22 | b)),
        (0u32..4).prop_map(move |low| v4(0xa9fe_0000 | low << 8 | 10)),
        any::<u32>().prop_map(v4),
        (0u128..4, 0u128..8).prop_map(move |(a, b)| v6(0xfc00 << 112 | a << 70 | b)),
        // With the last, beyond fe80::/10.
        (0u128..4, 0u128..4).prop_map(move |(a, b)| v6((0xfe80 | (a * 0x2a)) << 112 | b)),
        any::<u128>().prop_map(v6),
    ]
}

/// Whether an address counts as inside, said as the documentation does.
fn is_inside(prefixes: &[(IpAddr, u8)], address: IpAddr) -> bool {
    let within = |base: IpAddr, len: u8| match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(it)) => {
            (base.to_bits() ^ it.to_bits()).leading_zeros() >= u32::from(len.min(32))
        }
        (IpAddr::V6(base), IpAddr::V6(it)) => {
            (base.to_bits() ^ it.to_bits()).leading_zeros() >= u32::from(len)
        }
        _ => false,
    };
    let link_local = match address {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => it.is_unicast_link_local(),
    };
    let whole = if address.is_ipv4() { 32 } else { 128 };
    prefixes
        .iter()
        .any(|&(base, len)| within(base, len) && (!link_local || base == address && len >= whole))
}

proptest! {
    #[test]
    fn the_answer_is_what_is_meant_and_the_mask_covers_what_it_rests_on(
        prefixes in prop::collection::vec((address(), prop_oneof![0u8..=128, Just(32u8), Just(128u8)]), 0..6),
        ends in [address(), address()],
        flips in any::<[u128; 2]>(),
        (both, direct) in any::<(bool, bool)>(),
        proto in prop::sample::select(vec![6u8, 17, 1]),
        ports in [50u16..56, 50u16..56],
        group in any::<bool>(),
    ) {
        let set = Arc::new(PrefixSet::new(prefixes.iter().copied()));
        let first = if direct { Condition::Direct(set) } else { Condition::DestinationIn(set) };
        let mut rule = Rule::new(
            "x",
            vec![first, Condition::Protocol { proto: 17, ports: Some((52, 53)) }],
        );
        rule.both_directions = both;
        let policy = SkipPolicy::default();
        policy.set(vec![rule, Rule::new("mcast", vec![Condition::EthernetMulticast])]);
        let rules = policy.rules();
        let [src, dst] = ends;
        let mut flow = between(&src.to_string(), &dst.to_string(), proto, ports[1]);
        flow.store(layout::TP_SRC, ports[0].into());
        flow.set(FieldId::EthDst, if group { 0x0100_0000_0000 } else { 0 });
        let mut wc = FlowMask::EMPTY.clone();
        let answer = rules
            .decide(&Question { flow: &flow, nat: false, hint: false }, &mut wc)
            .map(|rule| rule.name.clone());
        // Addresses of different families make a packet without the source's.
        let src = if src.is_ipv4() == dst.is_ipv4() {
            src
        } else if dst.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let meant = |src, dst, port| {
            let ends = is_inside(&prefixes, dst) && (!direct || is_inside(&prefixes, src));
            ends && proto == 17 && (52..=53).contains(&port)
        };
        let expected = if meant(src, dst, ports[1]) || both && meant(dst, src, ports[0]) {
            Some("x")
        } else {
            group.then_some("mcast")
        };
        prop_assert_eq!(answer.as_deref(), expected);
        // Whatever agrees in the bits that count gets the same answer.
        let mut other = flow.clone();
        let fields = if dst.is_ipv4() {
            [FieldId::Ipv4Dst, FieldId::Ipv4Src]
        } else {
            [FieldId::Ipv6Dst, FieldId::Ipv6Src]
        };
        for (field, flip) in fields.into_iter().zip(flips) {
            let width = if dst.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX };
            other.set(field, flow.get(field) ^ (flip & width & !wc.get(field)));
        }
        for place in [layout::TP_DST, layout::TP_SRC] {
            let free = !wc.load(place) & flips[0] & 0xffff;
            other.store(place, flow.load(place) ^ free);
        }
        let again = rules
            .decide(&Question { flow: &other, nat: false, hint: false }, &mut FlowMask::EMPTY.clone())
            .map(|rule| rule.name.clone());
        prop_assert_eq!(&again, &answer, "{:?} {:?} {:?}", flow, other, wc);
        // What must never be let by.
        let translated = Question { flow: &flow, nat: true, hint: true };
        prop_assert!(rules.decide(&translated, &mut wc).is_none(), "nat");
        let mut key = flow.clone();
        key.set(FieldId::CtState, u128::from(CtState::TRK.bits()));
        let tracked = Question { flow: &key, nat: false, hint: true };
        prop_assert!(rules.decide(&tracked, &mut wc).is_none(), "tracked");
    }
}
