//! The router's commands, against what the reference answers to the same ones.

use core::net::IpAddr;

use super::super::text;
use super::{CachedRoute, Router, SourceNeed};
use crate::route::{NextHop, Order, Prefix, Rules};

/// A router with the dummy device `br0`, which has 1.1.2.88/24 and 2001:cafe::88/64.
fn router() -> Router {
    let mut router = Router::default();
    give(&mut router, "br0", "1.1.2.88/24");
    give(&mut router, "br0", "2001:cafe::88/64");
    router
}

fn give(router: &mut Router, device: &str, text: &str) {
    let prefix: Prefix = text.parse().expect("a prefix");
    let address: IpAddr = text.split('/').next().expect("a part").parse().expect("an address");
    router.addresses_mut().add(device, address, prefix.len());
    let hop = NextHop { source: Some(address), ..NextHop::new(device, None) };
    let route = CachedRoute { prefix, mark: 0, table: Rules::MAIN, hops: vec![hop], local: true };
    router.add_cached(route).expect("there is room");
}

fn add(router: &mut Router, command: &str) -> Result<String, String> {
    text::add(router, &command.split(' ').collect::<Vec<_>>())
}

#[test]
fn the_listing_is_the_references() {
    let mut router = router();
    for command in [
        "1.1.2.92/24 br0",
        "1.1.4.0/24 br0 1.1.2.1",
        "1.1.5.0/24 br0 1.1.2.1 pkt_mark=5",
        "1.1.6.0/24 br0 1.1.2.1 src=1.1.2.88",
        "1.1.7.0/24 br0 pkt_mark=0x7 src=1.1.2.88 1.1.2.1",
        "0.0.0.0/0 br0 1.1.2.1",
        "2001:db8::/32 br0 2001:cafe::1",
        "::/0 br0 2001:cafe::2",
        "1.9.9.0/24 br0 1.1.2.1",
        "1.3.9.0/24 br0 1.1.2.1",
        "1.5.8.0/23 br0 1.1.2.1",
        "1.5.8.0/23 br0 1.1.2.2",
        "1.5.8.0/23 br0 1.1.2.2 pkt_mark=-1",
        "1.1.2.0/25 br0",
    ] {
        assert_eq!(add(&mut router, command), Ok("OK".into()), "{command}");
    }
    let expected = "\
Route Table:
Cached: 1.1.2.0/24 dev br0 SRC 1.1.2.88 local
User: 1.1.2.0/24 dev br0 SRC 1.1.2.88
User: 1.1.4.0/24 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 1.1.5.0/24 MARK 5 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 1.1.6.0/24 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 1.1.7.0/24 MARK 7 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 1.9.9.0/24 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 1.3.9.0/24 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 1.1.2.0/25 dev br0 SRC 1.1.2.88
User: 1.5.8.0/23 dev br0 GW 1.1.2.2 SRC 1.1.2.88
User: 1.5.8.0/23 MARK 4294967295 dev br0 GW 1.1.2.2 SRC 1.1.2.88
Cached: 2001:cafe::/64 dev br0 SRC 2001:cafe::88 local
User: 0.0.0.0/0 dev br0 GW 1.1.2.1 SRC 1.1.2.88
User: 2001:db8::/32 dev br0 GW 2001:cafe::1 SRC 2001:cafe::88
User: ::/0 dev br0 GW 2001:cafe::2 SRC 2001:cafe::88
";
    assert_eq!(text::show(&router, &[]), Ok(expected.into()));
}

#[test]
fn what_the_reference_refuses_is_refused_in_its_words() {
    let mut router = router();
    let inserting = Err("Error while inserting route.".to_string());
    let prefix = Err("Invalid 'ip/plen' parameter".to_string());
    let option = Err("Invalid pkt_mark, IP gateway or src_ip".to_string());
    for (command, answer) in [
        ("1.1.3.0/24 br0", &inserting),
        ("1.1.6.0/24 br0 1.1.2.1 src=1.1.2.89", &inserting),
        ("1.1.7.0/24 br0 pkt_mark=7 src=1.1.2.88", &inserting),
        ("1.1.8.0/24 nodev", &inserting),
        ("1.1.8.0/33 br0", &prefix),
        ("foo br0", &prefix),
        ("1.1.9.0/24 br0 foo", &option),
        ("1.1.9.0/24 br0 2001::1", &option),
        ("1.1.9.0/24 br0 src=foo", &option),
        ("1.1.9.0/24 br0 pkt_mark=foo", &option),
    ] {
        assert_eq!(&add(&mut router, command), answer, "{command}");
    }
    assert_eq!(text::del(&mut router, &["1.1.9.0/24"]), Err("Not found".into()));
    assert_eq!(text::del(&mut router, &["foo"]), Err("Invalid parameters".into()));
    assert_eq!(text::lookup(&mut router, &["foo"]), Err("Invalid parameters".into()));
    let answer = text::lookup(&mut router, &["1.1.5.7", "pkt_mark=foo"]);
    assert_eq!(answer, Err("Invalid pkt_mark".into()));
    assert_eq!(text::lookup(&mut router, &["9.9.9.9"]), Err("Not found".into()));
}

#[test]
fn lookups_tell_source_gateway_and_device_by_mark() {
    let mut router = router();
    add(&mut router, "1.1.5.0/24 br0 1.1.2.1 pkt_mark=5").expect("accepted");
    let direct = text::lookup(&mut router, &["1.1.2.92"]);
    assert_eq!(direct, Ok("src 1.1.2.88\ngateway ::\ndev br0\n".into()));
    let marked = text::lookup(&mut router, &["1.1.5.7", "pkt_mark=5"]);
    assert_eq!(marked, Ok("src 1.1.2.88\ngateway 1.1.2.1\ndev br0\n".into()));
    assert_eq!(text::lookup(&mut router, &["1.1.5.7"]), Err("Not found".into()));
    let own_mark = text::lookup(&mut router, &["1.1.2.92", "pkt_mark=1"]);
    assert_eq!(own_mark, Err("Not found".into()));
}

#[test]
fn a_local_network_ranks_above_a_users_host_route() {
    let mut router = router();
    add(&mut router, "1.1.2.92/32 br0 1.1.2.1").expect("accepted");
    let found = text::lookup(&mut router, &["1.1.2.92"]);
    assert_eq!(found, Ok("src 1.1.2.88\ngateway ::\ndev br0\n".into()));
}

#[test]
fn a_source_in_no_network_of_the_switch_has_no_way() {
    let mut router = router();
    let routing = router.snapshot();
    let to = "1.1.2.92".parse().expect("an address");
    let own = |text: &str| SourceNeed::Own(text.parse().expect("an address"));
    assert!(routing.lookup(to, 0, own("1.1.2.88"), 0).is_some());
    let other = routing.lookup(to, 0, own("1.1.2.77"), 0).expect("a way");
    assert_eq!(other.source, Some("1.1.2.77".parse().expect("an address")));
    assert!(routing.lookup(to, 0, own("9.9.9.9"), 0).is_none());
}

#[test]
fn rules_choose_the_table_by_source() {
    let mut router = router();
    give(&mut router, "br1", "5.5.5.5/24");
    for command in ["9.0.0.0/8 br0 1.1.2.1", "9.0.0.0/8 br1 5.5.5.1 table=10"] {
        assert_eq!(add(&mut router, command), Ok("OK".into()));
    }
    let rule = ["from=5.5.5.0/24", "prio=10", "table=10"];
    assert_eq!(text::rule_add(&mut router, &rule), Ok("OK".into()));
    let shown = "\
Cached: 0: from all lookup local
User: 10: from 5.5.5.0/24 lookup 10
Cached: 32766: from all lookup main
Cached: 32767: from all lookup default
";
    assert_eq!(text::rule_show(&router, &[]), Ok(shown.into()));
    let device = |router: &mut Router, arguments: &[&str]| {
        let text = text::lookup(router, arguments).expect("a way");
        text.lines().last().map(str::to_string)
    };
    assert_eq!(device(&mut router, &["9.1.1.1"]), Some("dev br0".into()));
    assert_eq!(device(&mut router, &["9.1.1.1", "src=5.5.5.5"]), Some("dev br1".into()));
    assert_eq!(device(&mut router, &["9.1.1.1", "src=1.1.2.88"]), Some("dev br0".into()));
    let table = "Route Table #10:\nUser: 9.0.0.0/8 dev br1 GW 5.5.5.1 SRC 5.5.5.5\n";
    assert_eq!(text::show(&router, &["table=10"]), Ok(table.into()));
    assert!(text::show(&router, &["table=all"]).expect("shown").contains("5.5.5.5 table 10\n"));
    assert_eq!(text::rule_del(&mut router, &["from=5.5.5.0/24", "table=10"]), Ok("OK".into()));
    assert_eq!(device(&mut router, &["9.1.1.1", "src=5.5.5.5"]), Some("dev br0".into()));
}

#[test]
fn kube_ipvs0_is_routed_to_without_its_addresses() {
    let mut router = Router::default();
    let service: IpAddr = "10.96.0.1".parse().expect("an address");
    router.addresses_mut().add("kube-ipvs0", service, 32);
    let hop = NextHop { source: Some(service), ..NextHop::new("kube-ipvs0", None) };
    let prefix = Prefix::host(service);
    let route = CachedRoute { prefix, mark: 0, table: Rules::MAIN, hops: vec![hop], local: true };
    router.add_cached(route).expect("there is room");
    let shown = "Route Table:\nCached: 10.96.0.1/32 dev kube-ipvs0 local\n";
    assert_eq!(text::show(&router, &[]), Ok(shown.into()));
    let found = router.snapshot().lookup(service, 0, SourceNeed::Any, 0).expect("a way");
    assert_eq!(found.source, None);
}

/// A tenant's way out beside a default and a route of a network.
#[test]
fn routes_by_source_go_where_the_order_puts_them() {
    let mut router = router();
    give(&mut router, "br1", "9.9.0.1/16");
    for command in [
        "0.0.0.0/0 br0 1.1.2.1",
        "9.9.0.1/32 br1 9.9.0.254 policy=src-ip",
        "9.9.0.0/16 br1 9.9.0.253 policy=src-ip",
        "172.16.0.0/12 br0 1.1.2.3 policy=dst-ip",
        "2001:db8::/32 br0 2001:cafe::1",
        "2001:cafe::/64 br0 2001:cafe::2 policy=src-ip",
        "2001:cafe::88/128 br0 policy=src-ip",
    ] {
        assert_eq!(add(&mut router, command), Ok("OK".into()), "{command}");
    }
    assert!(add(&mut router, "9.9.0.1/32 br1 policy=source").is_err());
    assert!(add(&mut router, "9.9.0.1/32 none policy=src-ip").is_err());
    let via = |router: &mut Router, to: &str, source: &str| {
        let need = SourceNeed::Own(source.parse().expect("an address"));
        let found = router.snapshot().lookup(to.parse().expect("an address"), 0, need, 0);
        found.and_then(|found| found.gateway).map(|gateway| gateway.to_string())
    };
    // As the reference ranks: by length, whichever address a route looks at.
    let by_length = [
        ("8.8.8.8", "9.9.0.1", Some("9.9.0.254")),
        ("8.8.8.8", "9.9.0.7", Some("9.9.0.253")),
        ("172.16.5.5", "9.9.0.1", Some("9.9.0.254")),
        ("2001:db8::1", "2001:cafe::88", None),
        ("2001:db8::1", "2001:cafe::89", Some("2001:cafe::2")),
    ];
    // A host's route by source goes before a static default alone, a wider one before nothing.
    let destination_first = [
        ("8.8.8.8", "9.9.0.1", Some("9.9.0.254")),
        ("8.8.8.8", "9.9.0.7", Some("1.1.2.1")),
        ("172.16.5.5", "9.9.0.1", Some("1.1.2.3")),
        ("2001:db8::1", "2001:cafe::88", Some("2001:cafe::1")),
        ("2001:db8::1", "2001:cafe::89", Some("2001:cafe::1")),
    ];
    let all = |router: &mut Router, expected: &[(&str, &str, Option<&str>)]| {
        for (to, source, gateway) in expected {
            assert_eq!(via(router, to, source).as_deref(), *gateway, "{to} from {source}");
        }
    };
    all(&mut router, &by_length);
    router.set_order(Order::DestinationFirst).expect("there is room");
    all(&mut router, &destination_first);
    // What is added later is ranked alike, and a user's route is no better than its length.
    assert_eq!(add(&mut router, "9.0.0.0/8 br0 1.1.2.9"), Ok("OK".into()));
    assert_eq!(via(&mut router, "9.9.7.7", "9.9.0.1"), None, "the connected network is longer");
    router.set_order(Order::PrefixLength).expect("there is room");
    all(&mut router, &by_length);
    let listed = text::show(&router, &[]).expect("it can be");
    assert!(listed.contains("User: 9.9.0.1/32 dev br1 GW 9.9.0.254 SRC 9.9.0.1 policy src-ip\n"));
    let del = |router: &mut Router, words: &[&str]| text::del(router, words);
    assert!(del(&mut router, &["9.9.0.1/32"]).is_err(), "there is none by destination");
    assert_eq!(del(&mut router, &["9.9.0.1/32", "policy=src-ip"]), Ok("OK".into()));
    assert_eq!(via(&mut router, "8.8.8.8", "9.9.0.1").as_deref(), Some("9.9.0.253"));
}
