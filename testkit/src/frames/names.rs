//! Names of headers, and values of fields as people read them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Kind;

/// The header's name, the first part of its fields' names.
pub(super) fn header(kind: Kind) -> &'static str {
    match kind {
        Kind::Ethernet => "ethernet",
        Kind::Snap => "snap",
        Kind::Vlan => "vlan",
        Kind::Mpls => "mpls",
        Kind::Arp => "arp",
        Kind::Ipv4 => "ipv4",
        Kind::Ipv6 => "ipv6",
        Kind::Extension(0) => "hop_by_hop",
        Kind::Extension(43) => "routing",
        Kind::Extension(44) => "fragment",
        Kind::Extension(51) => "authentication",
        Kind::Extension(_) => "destination",
        Kind::Udp => "udp",
        Kind::Tcp => "tcp",
        Kind::Sctp => "sctp",
        Kind::Icmp => "icmp",
        Kind::Icmpv6 => "icmpv6",
        Kind::Vxlan => "vxlan",
        Kind::Geneve => "geneve",
        Kind::Gre => "gre",
    }
}

/// The value of a field: addresses as addresses, counts in decimal, the rest in hexadecimal.
pub(super) fn value(name: &str, octets: &[u8]) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    let address = matches!(last, "src" | "dst" | "sender" | "target" | "sender_mac" | "target_mac");
    match octets {
        _ if address && octets.len() == 6 => {
            octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
        }
        [a, b, c, d] if address => Ipv4Addr::new(*a, *b, *c, *d).to_string(),
        _ if address && octets.len() == 16 => <[u8; 16]>::try_from(octets)
            .map_or_else(|_| hex(octets), |octets| Ipv6Addr::from(octets).to_string()),
        [hi, lo] if matches!(last, "src" | "dst" | "total_length" | "payload_length") => {
            u16::from_be_bytes([*hi, *lo]).to_string()
        }
        [octet] if matches!(last, "ttl" | "hop_limit" | "protocol" | "next_header") => {
            octet.to_string()
        }
        _ => hex(octets),
    }
}

/// Octets in hexadecimal; of a long run its first ones.
fn hex(octets: &[u8]) -> String {
    let mut text = String::from("0x");
    for octet in octets.iter().take(16) {
        text.push_str(&format!("{octet:02x}"));
    }
    if octets.len() > 16 {
        text.push_str(&format!("… ({} octets)", octets.len()));
    }
    text
}
