//! What is let by, what never is, and that the mask says what the answer rests on.

use proptest::prelude::*;

use super::*;

fn flow(dst: &str, proto: u8, port: u16) -> FlowKey {
    between("192.168.0.1", dst, proto, port)
}

fn between(src: &str, dst: &str, proto: u8, port: u16) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    let [src, dst]: [std::net::IpAddr; 2] = [src, dst].map(|it| it.parse().expect("an address"));
    match dst {
        std::net::IpAddr::V4(dst) => {
            key.set(FieldId::EthType, 0x0800);
            key.set(FieldId::Ipv4Dst, dst.to_bits().into());
            if let std::net::IpAddr::V4(src) = src {
                key.set(FieldId::Ipv4Src, src.to_bits().into());
            }
        }
        std::net::IpAddr::V6(dst) => {
            key.set(FieldId::EthType, 0x86dd);
            key.set(FieldId::Ipv6Dst, dst.to_bits());
            if let std::net::IpAddr::V6(src) = src {
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

fn address() -> impl Strategy<Value = u32> {
    // Near each other, so that prefixes meet; and some that are link-local.
    prop_oneof![
        (0u32..4, 0u32..8).prop_map(|(a, b)| 0x0a00_0000 | a << 22 | b),
        (0u32..4).prop_map(|low| 0xa9fe_0000 | low << 8 | 10),
        any::<u32>(),
    ]
}

proptest! {
    #[test]
    fn the_mask_covers_what_the_answer_rests_on(
        prefixes in prop::collection::vec((address(), 0u8..=32), 0..6),
        dst in address(),
        src in address(),
        flips in any::<[u32; 2]>(),
        both in any::<bool>(),
        direct in any::<bool>(),
        proto in prop::sample::select(vec![6u8, 17, 1]),
        port in 50u16..56,
    ) {
        let set = PrefixSet::new(
            prefixes.iter().map(|&(bits, len)| (std::net::Ipv4Addr::from_bits(bits).into(), len)),
        );
        let set = Arc::new(set);
        let first = if direct { Condition::Direct(set) } else { Condition::DestinationIn(set) };
        let mut rule = Rule::new(
            "x",
            vec![first, Condition::Protocol { proto: 17, ports: Some((52, 53)) }],
        );
        rule.both_directions = both;
        let policy = SkipPolicy::default();
        policy.set(vec![rule, Rule::new("mcast", vec![Condition::EthernetMulticast])]);
        let rules = policy.rules();
        let text = |bits: u32| std::net::Ipv4Addr::from_bits(bits).to_string();
        let flow = between(&text(src), &text(dst), proto, port);
        let mut wc = FlowMask::EMPTY.clone();
        let answer = rules
            .decide(&Question { flow: &flow, nat: false, hint: false }, &mut wc)
            .map(|rule| rule.name.clone());
        // Whatever agrees in the bits that count gets the same answer.
        let mut other = flow.clone();
        for (field, flip) in [(FieldId::Ipv4Dst, flips[0]), (FieldId::Ipv4Src, flips[1])] {
            let free = !wc.get(field);
            other.set(field, flow.get(field) ^ (u128::from(flip) & free));
        }
        let free_port = !wc.load(layout::TP_DST) & u128::from(flips[0] & 0xffff);
        other.store(layout::TP_DST, flow.load(layout::TP_DST) ^ free_port);
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
        // A link-local destination is inside no prefix, unless it is listed as itself.
        let listed = prefixes.iter().any(|&(bits, len)| bits == dst && len == 32);
        if dst >> 16 == 0xa9fe && !listed && !both {
            prop_assert_eq!(answer, None);
        }
    }
}
