use super::*;
use crate::{
    packets::{Ipv4, Mac, Packet, Udp, mutate, samples},
    seed::Seeded,
};

/// Whether the fields cover each octet of the frame exactly once.
fn covers(dissection: &Dissection, frame: &[u8]) -> bool {
    let mut at = 0;
    for field in &dissection.fields {
        if field.range.start != at || field.range.is_empty() {
            return false;
        }
        at = field.range.end;
    }
    at == frame.len()
}

fn probe(ttl: u8) -> Vec<u8> {
    Packet::ethernet(Mac::host(1), Mac::host(2))
        .layer(Ipv4 { ttl, ..Ipv4::new("10.0.0.1", "10.0.0.2") })
        .udp(1, 2)
        .payload(b"probe")
        .build_padded()
}

#[test]
fn headers_are_seen_as_the_names_of_the_samples_say() {
    let headers = |name: &str| dissect(&samples::named(name).unwrap()).to_string();
    assert_eq!(headers("arp-request"), "ethernet arp");
    assert_eq!(headers("snap-ipv4-udp"), "ethernet snap ipv4 udp");
    assert_eq!(headers("qinq-ipv4-tcp"), "ethernet vlan vlan ipv4 tcp");
    assert_eq!(headers("mpls-mpls-ipv6-udp"), "ethernet mpls mpls ipv6 udp");
    assert_eq!(
        headers("ipv6-chain-tcp"),
        "ethernet ipv6 hop_by_hop destination authentication tcp"
    );
    assert_eq!(headers("ipv6-segments-udp"), "ethernet ipv6 routing udp");
    assert_eq!(headers("ipv6-neighbor-solicit"), "ethernet ipv6 icmpv6");
    assert_eq!(headers("ipv4-udp-fragment0"), "ethernet ipv4 udp");
    assert_eq!(headers("ipv4-udp-fragment1"), "ethernet ipv4");
    assert_eq!(headers("ipv6-udp-fragment1"), "ethernet ipv6 fragment");
    assert_eq!(headers("geneve-options-ipv4-icmp"), "ethernet ipv4 udp geneve ethernet ipv4 icmp");
    assert_eq!(headers("gre-ipv6-udp"), "ethernet ipv4 gre ipv6 udp");
}

#[test]
fn fields_have_names_and_places() {
    let taken = dissect(&samples::named("vxlan-ipv4-udp").unwrap());
    assert_eq!(taken.field("ipv4.ttl").unwrap().range, 22..23);
    assert_eq!(taken.field("inner.ipv4.ttl").unwrap().range, 50 + 22..50 + 23);
    assert_eq!(taken.field_at(0).unwrap().name, "ethernet.dst");
    let padded = dissect(&probe(64));
    assert_eq!(padded.field("padding").unwrap().range, 14 + 20 + 8 + 5..60);
}

#[test]
fn every_octet_has_one_name_however_damaged_the_frame() {
    let mut rng = Seeded::new(3);
    for sample in samples::all() {
        assert!(covers(&dissect(&sample.frame), &sample.frame), "{}", sample.name);
        for cut in mutate::truncations(&sample.frame) {
            assert!(covers(&dissect(cut), cut), "{} cut to {}", sample.name, cut.len());
        }
        for lie in mutate::lies(&sample.frame) {
            assert!(covers(&dissect(&lie.frame), &lie.frame), "{}: {}", sample.name, lie.claim);
            let _ = faults(&lie.frame);
        }
        for _ in 0..200 {
            let frame = mutate::random(&sample.frame, &mut rng);
            assert!(covers(&dissect(&frame), &frame), "{}: {frame:02x?}", sample.name);
            let _ = faults(&frame);
        }
    }
    for frame in mutate::bare_headers() {
        assert!(covers(&dissect(&frame), &frame));
    }
}

#[test]
fn samples_are_sound_and_a_flipped_bit_is_not() {
    for sample in samples::all() {
        assert_eq!(faults(&sample.frame), Vec::<String>::new(), "{}", sample.name);
        let taken = dissect(&sample.frame);
        let summed = |kind| matches!(kind, Kind::Tcp | Kind::Sctp | Kind::Icmp | Kind::Icmpv6);
        let covered = taken.headers.last().is_some_and(|header| summed(header.kind));
        if covered && !sample.name.contains("fragment") {
            let mut damaged = sample.frame.clone();
            *damaged.last_mut().unwrap() ^= 1;
            assert!(!faults(&damaged).is_empty(), "{}", sample.name);
        }
    }
}

#[test]
fn each_kind_of_fault_has_its_name() {
    let build = |ip: Ipv4, udp: Udp| {
        Packet::ethernet(Mac::host(1), Mac::host(2)).layer(ip).layer(udp).payload([7; 30]).build()
    };
    let ip = || Ipv4::new("10.0.0.1", "10.0.0.2");
    let wrong = build(Ipv4 { checksum: Some(1), ..ip() }, Udp::new(1, 2));
    assert_eq!(faults(&wrong), ["ipv4.checksum of the header at 14 is wrong"]);
    let wrong = build(ip(), Udp { checksum: Some(1), ..Udp::new(1, 2) });
    assert_eq!(faults(&wrong), ["udp.checksum is wrong"]);
    let wrong = build(Ipv4 { total_length: Some(99), ..ip() }, Udp::new(1, 2));
    assert_eq!(faults(&wrong), ["ipv4.total_length claims 99 octets where 58 are"]);
    let wrong = build(ip(), Udp { length: Some(99), checksum: Some(0), ..Udp::new(1, 2) });
    assert_eq!(faults(&wrong), ["udp.length claims 99 octets where 38 are"]);
    let absent = Packet::ethernet(Mac::host(1), Mac::host(2))
        .ipv6("fd00::1", "fd00::2")
        .layer(Udp { checksum: Some(0), ..Udp::new(1, 2) });
    assert_eq!(faults(&absent.build()), ["udp.checksum is absent over IPv6"]);
}

#[test]
fn a_difference_is_told_by_field_and_octet() {
    assert_eq!(difference(&[probe(64)], &[probe(64)]), None);
    let text = difference(&[probe(64), probe(63)], &[probe(64), probe(64)]).unwrap();
    assert!(text.contains("frame 1: expected ethernet ipv4 udp, 60 octets"), "{text}");
    assert!(text.contains("ipv4.ttl (octet 22): expected 63, got 64"), "{text}");
    assert!(text.contains("ipv4.checksum (octet 24)"), "{text}");
    assert!(text.contains("[3f]") && text.contains("[40]"), "{text}");
    assert!(!text.contains("frame 0"), "{text}");
}

#[test]
fn missing_unexpected_and_cut_frames_are_told() {
    let none: [Vec<u8>; 0] = [];
    let text = difference(&[probe(1)], &none).unwrap();
    assert!(text.contains("expected 1 frames, got 0"), "{text}");
    assert!(text.contains("frame 0: missing: ethernet ipv4 udp, 60 octets"), "{text}");
    let text = difference(&none, &[probe(1)]).unwrap();
    assert!(text.contains("frame 0: unexpected: ethernet ipv4 udp"), "{text}");
    let text = difference(&[&probe(1)[..]], &[&probe(1)[..30]]).unwrap();
    assert!(text.contains("ipv4.dst (octet 30): expected 10.0.0.2, got cut"), "{text}");
}

#[test]
#[should_panic(expected = "ipv4.ttl (octet 22): expected 63, got 64")]
fn the_assertion_panics_with_the_difference() {
    assert_frames_eq(&[probe(63)], &[probe(64)]);
}

#[test]
#[should_panic(expected = "frame 1 (ethernet ipv4 udp): udp.checksum is wrong")]
fn an_unsound_frame_fails_its_test() {
    let mut damaged = probe(64);
    damaged[42] ^= 1;
    assert_sound(&[probe(64), damaged]);
}
