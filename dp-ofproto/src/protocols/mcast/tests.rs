use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::base::{Duration, Instant, OfPort};

use super::{Config, Message, Protocol, Report, Snooping, is_local, parse_igmp, parse_mld};

const NOW: Instant = Instant(1_000_000_000_000);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const P1: OfPort = OfPort(1);
const P2: OfPort = OfPort(2);

fn after(seconds: u64) -> Instant {
    NOW.after(Duration::from_secs(seconds))
}

fn group(last: u8) -> Ipv6Addr {
    Ipv4Addr::new(239, 1, 1, last).to_ipv6_mapped()
}

fn join(group: Ipv6Addr) -> Message {
    Message::Reports(vec![Report { group, joins: true, protocol: Protocol::Igmp2 }])
}

fn leave(group: Ipv6Addr) -> Message {
    Message::Reports(vec![Report { group, joins: false, protocol: Protocol::Igmp2 }])
}

fn igmp(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = dp_core::wire::checksum::checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn listeners_join_stay_leave_and_age() {
    let mut snooping = Snooping::default();
    assert!(snooping.learn(0, P1, false, &join(group(1)), NOW));
    assert!(!snooping.learn(0, P1, false, &join(group(1)), after(100)), "known already");
    assert!(snooping.learn(0, P2, false, &join(group(1)), after(100)));
    assert_eq!(snooping.listeners(0, group(1)), Some(vec![P1, P2]));
    assert_eq!(snooping.listeners(7, group(1)), None, "another VLAN");
    snooping.expire(after(399));
    assert_eq!(snooping.listeners(0, group(1)), Some(vec![P1, P2]));
    assert!(snooping.learn(0, P1, false, &leave(group(1)), after(399)));
    assert_eq!(snooping.listeners(0, group(1)), Some(vec![P2]));
    let version = snooping.version();
    snooping.expire(after(400));
    assert_eq!(snooping.listeners(0, group(1)), None);
    assert_ne!(snooping.version(), version);
}

#[test]
fn one_of_many_behind_a_port_may_leave() {
    let mut snooping = Snooping::default();
    snooping.learn(0, P1, true, &join(group(1)), NOW);
    assert!(!snooping.learn(0, P1, true, &leave(group(1)), NOW));
    assert_eq!(snooping.listeners(0, group(1)), Some(vec![P1]));
}

#[test]
fn routers_are_known_by_their_queries() {
    let mut snooping = Snooping::default();
    assert!(snooping.learn(3, P2, false, &Message::Query { from_router: true }, NOW));
    assert!(!snooping.learn(3, P1, false, &Message::Query { from_router: false }, NOW));
    assert_eq!(snooping.routers().collect::<Vec<_>>(), [(3, P2)]);
    snooping.expire(after(180));
    assert_eq!(snooping.routers().count(), 0);
}

#[test]
fn a_full_table_forgets_what_is_oldest() {
    let keys = BTreeMap::from([("mcast-snooping-table-size".to_owned(), "1".to_owned())]);
    let mut snooping = Snooping::new(Config::from_keys(&keys));
    for last in 0..11 {
        snooping.learn(0, P1, false, &join(group(last)), after(u64::from(last)));
    }
    assert_eq!(snooping.listeners(0, group(0)), None);
    assert_eq!(snooping.evicted(), 1, "ten groups is the least that a table holds");
    assert!((1..11).all(|last| snooping.listeners(0, group(last)).is_some()));
}

#[test]
fn groups_of_the_local_network_are_not_learned() {
    let mut snooping = Snooping::default();
    let local = Ipv4Addr::new(224, 0, 0, 5).to_ipv6_mapped();
    assert!(is_local(local) && !is_local(group(1)));
    assert!(!snooping.learn(0, P1, false, &join(local), NOW));
}

#[test]
fn a_port_that_is_gone_is_forgotten() {
    let mut snooping = Snooping::default();
    snooping.learn(0, P1, false, &join(group(1)), NOW);
    snooping.learn(0, P1, false, &Message::Query { from_router: true }, NOW);
    snooping.forget_port(P1);
    assert_eq!(snooping.listeners(0, group(1)), None);
    assert_eq!(snooping.routers().count(), 0);
}

#[test]
fn the_table_is_shown_in_columns() {
    let mut snooping = Snooping::default();
    snooping.learn(0, P1, false, &join(group(1)), NOW);
    let mld = Report { group: "ff0e::99".parse().unwrap(), joins: true, protocol: Protocol::Mld2 };
    snooping.learn(10, P2, false, &Message::Reports(vec![mld]), NOW);
    snooping.learn(0, P2, false, &Message::Query { from_router: true }, NOW);
    assert_eq!(
        snooping.show(after(2), |port| port.to_string()),
        " port  VLAN  protocol  GROUP                Age\n    \
         1     0  IGMPv2    239.1.1.1           2\n    \
         2    10  MLDv2     ff0e::99           2\n    \
         2     0  UNKNOWN   querier               2\n"
    );
}

#[test]
fn igmp_of_all_versions_is_understood() {
    let plain = |kind: u8| igmp(vec![kind, 0, 0, 0, 239, 1, 1, 9]);
    let one =
        |joins, protocol| Some(Message::Reports(vec![Report { group: group(9), joins, protocol }]));
    assert_eq!(parse_igmp(HOST, &plain(0x12)), one(true, Protocol::Igmp1));
    assert_eq!(parse_igmp(HOST, &plain(0x16)), one(true, Protocol::Igmp2));
    assert_eq!(parse_igmp(HOST, &plain(0x17)), one(false, Protocol::Igmp2));
    assert_eq!(parse_igmp(HOST, &plain(0x11)), Some(Message::Query { from_router: true }));
    let nobody = Ipv4Addr::UNSPECIFIED;
    assert_eq!(parse_igmp(nobody, &plain(0x11)), Some(Message::Query { from_router: false }));
    assert_eq!(parse_igmp(HOST, &plain(0x99)), None);
    let mut v3 = vec![0x22, 0, 0, 0, 0, 0, 0, 4];
    v3.extend([4, 0, 0, 0, 239, 1, 1, 1]);
    v3.extend([3, 0, 0, 0, 239, 1, 1, 2]);
    v3.extend([1, 1, 0, 1, 239, 1, 1, 3, 10, 0, 0, 9, 0xaa, 0xbb, 0xcc, 0xdd]);
    v3.extend([6, 0, 0, 0, 239, 1, 1, 4]);
    let Some(Message::Reports(reports)) = parse_igmp(HOST, &igmp(v3)) else { panic!() };
    let seen: Vec<_> = reports.iter().map(|report| (report.group, report.joins)).collect();
    assert_eq!(seen, [(group(1), true), (group(2), false), (group(3), true)]);
}

#[test]
fn mld_of_both_versions_is_understood() {
    let from = "fe80::1".parse().unwrap();
    let group: Ipv6Addr = "ff0e::77".parse().unwrap();
    let plain = |kind: u8| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat();
    let one =
        |joins| Some(Message::Reports(vec![Report { group, joins, protocol: Protocol::Mld1 }]));
    assert_eq!(parse_mld(from, &plain(131)), one(true));
    assert_eq!(parse_mld(from, &plain(132)), one(false));
    assert_eq!(parse_mld(from, &plain(130)), Some(Message::Query { from_router: true }));
    let record = [&[4, 0, 0, 0][..], &group.octets()].concat();
    let v2 = [&[143, 0, 0, 0, 0, 0, 0, 1][..], &record].concat();
    let report = Report { group, joins: true, protocol: Protocol::Mld2 };
    assert_eq!(parse_mld(from, &v2), Some(Message::Reports(vec![report])));
}

#[test]
fn damaged_messages_teach_nothing_wrong() {
    let good = igmp(vec![0x16, 0, 0, 0, 239, 1, 1, 9]);
    for len in 0..8 {
        assert_eq!(parse_igmp(HOST, &good[..len]), None);
    }
    let mut bad = good;
    bad[7] ^= 1;
    assert_eq!(parse_igmp(HOST, &bad), None, "the checksum is wrong");
    // More records than there are, and one that says it is longer than the packet.
    let lies = igmp(vec![0x22, 0, 0, 0, 0, 0, 0xff, 0xff, 4, 0, 0xff, 0xff, 239, 1, 1, 1]);
    let Some(Message::Reports(reports)) = parse_igmp(HOST, &lies) else { panic!() };
    assert_eq!(reports.len(), 1);
    for len in 0..40 {
        let _ = parse_mld(Ipv6Addr::LOCALHOST, &vec![143; len]);
        let _ = parse_mld(Ipv6Addr::LOCALHOST, &vec![131; len]);
    }
}
