//! The bundled capture of mixed traffic is what its description says.

use std::{collections::HashMap, path::Path};

use testkit::{
    frames::{Dissection, Kind, dissect, faults},
    pcap::{self, Record},
};

#[expect(clippy::unwrap_used, reason = "tests")]
fn capture() -> Vec<Record> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    pcap::read(root.join("../examples/gateway/scenario/mixed.pcap")).unwrap()
}

/// The octet at the start of a field.
fn octet(frame: &[u8], taken: &Dissection, name: &str) -> Option<u8> {
    frame.get(taken.field(name)?.range.start).copied()
}

#[test]
fn its_packets_are_whole_and_in_order() {
    let records = capture();
    assert!((2_000..=5_000).contains(&records.len()), "{}", records.len());
    assert!(records.is_sorted_by_key(|record| record.at));
    for record in &records {
        assert_eq!(record.frame.len(), record.original_len as usize);
    }
}

#[test]
fn every_checksum_and_length_is_right() {
    for (at, record) in capture().iter().enumerate() {
        assert_eq!(faults(&record.frame), Vec::<String>::new(), "packet {at}");
    }
}

#[test]
fn every_kind_of_traffic_is_there() {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for record in capture() {
        let taken = dissect(&record.frame);
        *counts.entry(taken.to_string()).or_default() += 1;
        for field in ["icmp.type", "icmpv6.type"] {
            if let Some(kind) = octet(&record.frame, &taken, field) {
                *counts.entry(format!("{field} {kind}")).or_default() += 1;
            }
        }
        let offset = octet(&record.frame, &taken, "ipv4.flags_offset").unwrap_or(0);
        if offset & 0x3f != 0 || taken.header(Kind::Extension(44)).is_some() {
            *counts.entry("fragment".to_owned()).or_default() += 1;
        }
    }
    for wanted in [
        "ethernet arp",
        "ethernet ipv4 udp",
        "ethernet ipv4 tcp",
        "ethernet ipv4 icmp",
        "ethernet ipv6 udp",
        "ethernet ipv6 tcp",
        "ethernet ipv6 icmpv6",
        "ethernet ipv6 hop_by_hop icmpv6",
        "ethernet ipv6 fragment",
        "ethernet vlan arp",
        "ethernet vlan ipv4 tcp",
        "ethernet vlan ipv4 udp",
        "ethernet vlan ipv4 icmp",
        "ethernet vlan ipv6 tcp",
        "ethernet vlan ipv6 icmpv6",
        "ethernet vlan vlan arp",
        "ethernet vlan vlan ipv4 tcp",
        "ethernet vlan vlan ipv6 icmpv6",
        "fragment",
        "icmp.type 0",
        "icmp.type 3",
        "icmp.type 8",
        "icmp.type 11",
        "icmpv6.type 1",
        "icmpv6.type 3",
        "icmpv6.type 128",
        "icmpv6.type 135",
        "icmpv6.type 136",
        "icmpv6.type 143",
    ] {
        assert!(counts.contains_key(wanted), "no {wanted} among {counts:?}");
    }
}
