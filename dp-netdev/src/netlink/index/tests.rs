//! The index against a kernel in a namespace of its own, and against messages made by hand.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use testkit::netns::Namespace;

use super::{Change, Index, Known, message};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_ne_bytes());
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&u16::try_from(value.len() + 4).expect("short").to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn link(index: u32, name: &str) -> Vec<u8> {
    let mut out = vec![0; 4];
    word(&mut out, index);
    word(&mut out, 0x41);
    word(&mut out, 0);
    attribute(&mut out, 3, format!("{name}\0").as_bytes());
    attribute(&mut out, 1, &[2, 0, 0, 0, 0, 1]);
    out
}

fn addr(index: u32, address: [u8; 4]) -> Vec<u8> {
    let mut out = vec![2, 24, 0, 0];
    word(&mut out, index);
    attribute(&mut out, 1, &address);
    attribute(&mut out, 2, &address);
    out
}

#[test]
fn an_address_of_one_device_among_thousands_is_a_lookup() {
    let mut known = Known::default();
    let mut change = Change::default();
    for n in 0..5_000_u32 {
        known.take(message::NEW_LINK, &link(n + 1, &format!("v{n}")), &mut change);
        let [_, _, c, d] = n.to_be_bytes();
        known.take(message::NEW_ADDR, &addr(n + 1, [10, c, d, 1]), &mut change);
    }
    assert!(change.links && change.addresses && !change.routes);
    let asked = |known: &Known, name: &str| {
        let index = known.by_name.get(name);
        index.and_then(|index| known.addresses.get(index)).cloned().unwrap_or_default()
    };
    assert_eq!(asked(&known, "v4999"), [(ip("10.19.135.1"), 24)]);
    // A device that is gone takes its addresses along.
    known.take(message::DEL_LINK, &link(5_000, "v4999"), &mut change);
    assert!(asked(&known, "v4999").is_empty());
    // The same again is no change.
    let mut again = Change::default();
    known.take(message::NEW_ADDR, &addr(1, [10, 0, 0, 1]), &mut again);
    known.take(message::NEW_LINK, &link(1, "v0"), &mut again);
    assert!(!again.any());
    // A device may get another name.
    known.take(message::NEW_LINK, &link(1, "other"), &mut again);
    assert!(again.links && asked(&known, "v0").is_empty());
    assert_eq!(asked(&known, "other").len(), 1);
}

#[test]
fn messages_cut_short_say_nothing() {
    for (kind, whole) in [
        (message::NEW_LINK, link(1, "v0")),
        (message::NEW_ADDR, addr(1, [10, 0, 0, 1])),
        (message::NEW_ROUTE, vec![2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 1]),
    ] {
        for len in 0..whole.len() {
            let mut known = Known::default();
            known.take(kind, &whole[..len], &mut Change::default());
            assert!(known.routes.is_empty());
        }
    }
}

/// Takes events until something is so, for a bounded time.
fn until(index: &mut Index, wanted: impl Fn(&Index) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while !wanted(index) && Instant::now() < end {
        index.poll().expect("the socket works");
        std::thread::sleep(Duration::from_millis(2));
    }
    wanted(index)
}

#[test]
fn the_kernels_links_addresses_and_routes_are_followed_without_asking_again() {
    let host = Namespace::new("nlindex").expect("a namespace");
    host.ip(&["link", "add", "v0", "type", "veth", "peer", "name", "v1"]).expect("veth");
    host.address("v0", "10.0.0.1/24").expect("an address");
    for name in ["v0", "v1"] {
        host.ip(&["link", "set", name, "up"]).expect("it comes up");
    }
    host.ip(&["route", "add", "10.9.0.0/16", "via", "10.0.0.9"]).expect("a route");
    let mut index = host.within(|| Index::open().expect("it opens")).expect("inside");
    assert_eq!(index.dumps(), 4);
    assert_eq!(index.addresses("v0").first(), Some(&(ip("10.0.0.1"), 24)));
    let route = |index: &Index, text: &str| {
        let prefix = text.parse().expect("a prefix");
        index.routes().find(|route| route.prefix == prefix).cloned()
    };
    let found = route(&index, "10.9.0.0/16").expect("it is there");
    assert_eq!(found.hops[0].gateway, Some(ip("10.0.0.9")));
    assert!(route(&index, "10.0.0.1/32").expect("its own address").local);
    let link = index.link("v0").expect("it is there").clone();
    assert_eq!(index.link_by_number(link.index), Some(&link));

    host.address("v0", "10.1.0.1/16").expect("another address");
    assert!(until(&mut index, |index| index.addresses("v0").contains(&(ip("10.1.0.1"), 16))));
    let several = ["route", "add", "10.8.0.0/16", "nexthop", "via", "10.0.0.8", "weight", "3"];
    let several = [&several[..], &["nexthop", "via", "10.0.0.9"]].concat();
    host.ip(&several).expect("a route");
    assert!(until(&mut index, |index| route(index, "10.8.0.0/16").is_some()));
    let hops = route(&index, "10.8.0.0/16").expect("it is there").hops;
    assert_eq!((hops.len(), hops[0].weight), (2, 3));
    host.ip(&["route", "del", "10.9.0.0/16"]).expect("it was there");
    assert!(until(&mut index, |index| route(index, "10.9.0.0/16").is_none()));
    // The three rules that there always are, for each family that the kernel has; then more.
    let tables = |index: &Index| index.rules().iter().map(|rule| rule.table).collect::<Vec<_>>();
    assert!([255, 254, 253].iter().all(|table| tables(&index).contains(table)), "{index:?}");
    let words =
        ["rule", "add", "from", "10.0.0.1", "fwmark", "5", "priority", "70", "table", "100"];
    host.ip(&words).expect("a rule");
    host.ip(&["rule", "add", "iif", "v0", "table", "101"]).expect("one that cannot apply");
    assert!(until(&mut index, |index| tables(index).contains(&100)));
    let rule = *index.rules().iter().find(|rule| rule.table == 100).expect("it is there");
    assert_eq!((rule.priority, rule.mark), (70, Some((5, u32::MAX))));
    assert_eq!(rule.from, "10.0.0.1/32".parse().ok());
    assert!(!tables(&index).contains(&101));
    host.ip(&["rule", "del", "priority", "70"]).expect("it was there");
    assert!(until(&mut index, |index| !tables(index).contains(&100)));
    host.ip(&["link", "del", "v0"]).expect("it was there");
    assert!(until(&mut index, |index| index.link("v0").is_none()));
    assert!(index.addresses("v0").is_empty());
    assert_eq!(index.dumps(), 4);
}
