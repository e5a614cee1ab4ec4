//! ICMP for both families, with the messages of neighbor discovery.

use std::net::Ipv6Addr;

use super::{
    Mac, Place, Spelled, checksum, internet_sum, joined, put_checksum, transport::pseudo_checksum,
};

/// An ICMP message (RFC 792). What an error quotes is the next layer or the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The four octets whose meaning depends on the type.
    pub rest: [u8; 4],
    /// The checksum field; `None` is the right one.
    pub checksum: Option<u16>,
}

impl Icmp {
    /// Any message.
    #[must_use]
    pub fn new(kind: u8, code: u8, rest: [u8; 4]) -> Self {
        Self { kind, code, rest, checksum: None }
    }

    /// An echo request.
    #[must_use]
    pub fn echo_request(id: u16, sequence: u16) -> Self {
        Self::new(8, 0, two(id, sequence))
    }

    /// An echo reply.
    #[must_use]
    pub fn echo_reply(id: u16, sequence: u16) -> Self {
        Self::new(0, 0, two(id, sequence))
    }

    /// Destination unreachable: 0 network, 1 host, 3 port, 4 fragmentation needed (with the next
    /// hop's `mtu`, RFC 1191 §4; else 0).
    #[must_use]
    pub fn unreachable(code: u8, mtu: u16) -> Self {
        Self::new(3, code, two(0, mtu))
    }

    /// Time exceeded: 0 in transit, 1 in reassembly.
    #[must_use]
    pub fn time_exceeded(code: u8) -> Self {
        Self::new(11, code, [0; 4])
    }

    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut octets = vec![self.kind, self.code, 0, 0];
        octets.extend(self.rest);
        octets.extend(body);
        let right = checksum::finish(internet_sum(0, &octets));
        put_checksum(&mut octets, 2, self.checksum.unwrap_or(right));
        octets
    }
}

/// An ICMPv6 message (RFC 4443, RFC 4861). What an error quotes is the next layer or the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmpv6 {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The four octets whose meaning depends on the type.
    pub rest: [u8; 4],
    /// What belongs to the message after these: the target and options of neighbor discovery.
    pub body: Vec<u8>,
    /// The checksum field; `None` is the right one.
    pub checksum: Option<u16>,
}

impl Icmpv6 {
    /// Any message.
    #[must_use]
    pub fn new(kind: u8, code: u8, rest: [u8; 4]) -> Self {
        Self { kind, code, rest, body: Vec::new(), checksum: None }
    }

    /// An echo request.
    #[must_use]
    pub fn echo_request(id: u16, sequence: u16) -> Self {
        Self::new(128, 0, two(id, sequence))
    }

    /// An echo reply.
    #[must_use]
    pub fn echo_reply(id: u16, sequence: u16) -> Self {
        Self::new(129, 0, two(id, sequence))
    }

    /// Destination unreachable: 0 no route, 1 prohibited, 3 address, 4 port.
    #[must_use]
    pub fn unreachable(code: u8) -> Self {
        Self::new(1, code, [0; 4])
    }

    /// Packet too big for the next hop's `mtu`.
    #[must_use]
    pub fn packet_too_big(mtu: u32) -> Self {
        Self::new(2, 0, mtu.to_be_bytes())
    }

    /// Time exceeded: 0 in transit, 1 in reassembly.
    #[must_use]
    pub fn time_exceeded(code: u8) -> Self {
        Self::new(3, code, [0; 4])
    }

    /// Router solicitation, with the source link-layer address option if one is given.
    #[must_use]
    pub fn router_solicit(source: Option<Mac>) -> Self {
        Self { body: option(1, source), ..Self::new(133, 0, [0; 4]) }
    }

    /// Neighbor solicitation for `target`, with the source link-layer address option if one is
    /// given. The hop limit of the IPv6 header must be 255.
    #[must_use]
    pub fn neighbor_solicit(target: impl Spelled<Ipv6Addr>, source: Option<Mac>) -> Self {
        let body = joined(target.value().octets().to_vec(), &option(1, source));
        Self { body, ..Self::new(135, 0, [0; 4]) }
    }

    /// Neighbor advertisement for `target` with the flags router (4), solicited (2), override (1),
    /// and the target link-layer address option if one is given. The hop limit must be 255.
    #[must_use]
    pub fn neighbor_advert(
        target: impl Spelled<Ipv6Addr>,
        flags: u8,
        address: Option<Mac>,
    ) -> Self {
        let body = joined(target.value().octets().to_vec(), &option(2, address));
        Self { body, ..Self::new(136, 0, [flags << 5, 0, 0, 0]) }
    }

    /// The solicited-node group of `target`, to which a solicitation goes (RFC 4291 §2.7.1).
    #[must_use]
    pub fn solicited_node(target: impl Spelled<Ipv6Addr>) -> Ipv6Addr {
        let [.., a, b, c] = target.value().octets();
        Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let mut octets = vec![self.kind, self.code, 0, 0];
        octets.extend(self.rest);
        octets.extend(&self.body);
        octets.extend(body);
        let right = pseudo_checksum(place, 58, &octets);
        put_checksum(&mut octets, 2, self.checksum.unwrap_or(right));
        octets
    }
}

fn two(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    [a, b, c, d]
}

/// A link-layer address option (RFC 4861 §4.6.1), eight octets.
fn option(kind: u8, address: Option<Mac>) -> Vec<u8> {
    address.map_or_else(Vec::new, |mac| joined(vec![kind, 1], &mac.0))
}
