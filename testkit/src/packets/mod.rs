//! Test packets, layer by layer.
//!
//! A switch is judged by packets, so the packets must not come from the switch. This builder shares
//! no code with it; its own judge is tshark, which finds every checksum and length right.
//!
//! ```
//! use testkit::packets::{Ipv4, Packet};
//!
//! let frame = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02")
//!     .vlan(10)
//!     .layer(Ipv4 { ttl: 3, ..Ipv4::new("10.0.0.1", "10.0.0.2") })
//!     .udp(1000, 53)
//!     .payload(b"question")
//!     .build();
//! assert_eq!(frame.len(), 14 + 4 + 20 + 8 + 8);
//! ```
//!
//! Layers are written from the outside in, addresses from source to destination. Each layer is a
//! plain structure: `new` takes what every packet of the kind needs and fills the rest with what a
//! host would send. Types, lengths and checksums that follow from the other layers are `Option`s;
//! `None` computes the right value and `Some` lies on purpose.

mod address;
mod checksum;
mod fragment;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
pub mod mutate;
pub mod samples;
mod transport;
mod tunnel;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use address::{Mac, Spelled};
pub use checksum::{crc32c, internet_sum};
pub use fragment::{FragmentError, fragment};
pub use icmp::{Icmp, Icmpv6};
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6};
pub use link::{Arp, Ethernet, Mpls, Snap, Vlan};
pub use transport::{Sctp, Tcp, TcpOption, Udp, tcp_flags};
pub use tunnel::{Geneve, Gre, Vxlan};

/// A packet in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    layers: Vec<Layer>,
    payload: Vec<u8>,
}

impl Packet {
    /// An empty packet, for those that do not begin with Ethernet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet that begins with an Ethernet header.
    #[must_use]
    pub fn ethernet(src: impl Spelled<Mac>, dst: impl Spelled<Mac>) -> Self {
        Self::new().layer(Ethernet::new(src, dst))
    }

    /// Adds a layer inside the others.
    #[must_use]
    pub fn layer(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// Adds an 802.1Q tag of priority 0.
    #[must_use]
    pub fn vlan(self, vid: u16) -> Self {
        self.layer(Vlan::new(vid))
    }

    /// Adds an IPv4 header.
    #[must_use]
    pub fn ipv4(self, src: impl Spelled<Ipv4Addr>, dst: impl Spelled<Ipv4Addr>) -> Self {
        self.layer(Ipv4::new(src, dst))
    }

    /// Adds an IPv6 header.
    #[must_use]
    pub fn ipv6(self, src: impl Spelled<Ipv6Addr>, dst: impl Spelled<Ipv6Addr>) -> Self {
        self.layer(Ipv6::new(src, dst))
    }

    /// Adds a UDP header.
    #[must_use]
    pub fn udp(self, src: u16, dst: u16) -> Self {
        self.layer(Udp::new(src, dst))
    }

    /// Adds a TCP header with the flags of [`tcp_flags`].
    #[must_use]
    pub fn tcp(self, src: u16, dst: u16, flags: u16) -> Self {
        self.layer(Tcp { flags, ..Tcp::new(src, dst) })
    }

    /// Adds an SCTP header.
    #[must_use]
    pub fn sctp(self, src: u16, dst: u16) -> Self {
        self.layer(Sctp::new(src, dst))
    }

    /// Sets the octets inside all layers.
    #[must_use]
    pub fn payload(mut self, octets: impl AsRef<[u8]>) -> Self {
        self.payload = octets.as_ref().to_vec();
        self
    }

    /// The octets of the packet, as short as its layers make it.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut body = self.payload.clone();
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let outer = self.layers.get(..at).unwrap_or_default();
            let inner = self.layers.get(at + 1);
            body = layer.encode(&Place { outer, inner }, &body);
        }
        body
    }

    /// The octets of the packet, padded with zeros to the 60 that Ethernet demands.
    #[must_use]
    pub fn build_padded(&self) -> Vec<u8> {
        let mut frame = self.build();
        frame.resize(frame.len().max(60), 0);
        frame
    }
}

/// A header with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the structure of its name")]
pub enum Layer {
    Ethernet(Ethernet),
    Snap(Snap),
    Vlan(Vlan),
    Mpls(Mpls),
    Arp(Arp),
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    Extension(Extension),
    Udp(Udp),
    Tcp(Tcp),
    Sctp(Sctp),
    Icmp(Icmp),
    Icmpv6(Icmpv6),
    Vxlan(Vxlan),
    Geneve(Geneve),
    Gre(Gre),
    /// Octets as they are.
    Raw(Vec<u8>),
}

impl Layer {
    /// This header followed by `body`, everything inside it.
    fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Ethernet(layer) => layer.encode(place, body),
            Self::Snap(layer) => layer.encode(place, body),
            Self::Vlan(layer) => layer.encode(place, body),
            Self::Mpls(layer) => layer.encode(place, body),
            Self::Arp(layer) => layer.encode(body),
            Self::Ipv4(layer) => layer.encode(place, body),
            Self::Ipv6(layer) => layer.encode(place, body),
            Self::Extension(layer) => layer.encode(place, body),
            Self::Udp(layer) => layer.encode(place, body),
            Self::Tcp(layer) => layer.encode(place, body),
            Self::Sctp(layer) => layer.encode(body),
            Self::Icmp(layer) => layer.encode(body),
            Self::Icmpv6(layer) => layer.encode(place, body),
            Self::Vxlan(layer) => layer.encode(body),
            Self::Geneve(layer) => layer.encode(place, body),
            Self::Gre(layer) => layer.encode(place, body),
            Self::Raw(octets) => joined(octets.clone(), body),
        }
    }

    /// The EtherType that announces this layer.
    fn ethertype(&self) -> u16 {
        match self {
            Self::Vlan(layer) => layer.tpid,
            Self::Mpls(_) => 0x8847,
            Self::Arp(_) => 0x0806,
            Self::Ipv4(_) => 0x0800,
            Self::Ipv6(_) => 0x86dd,
            Self::Ethernet(_) => 0x6558,
            _ => LOCAL_EXPERIMENT,
        }
    }

    /// The IP protocol number that announces this layer.
    fn protocol(&self) -> u8 {
        match self {
            Self::Icmp(_) => 1,
            Self::Ipv4(_) => 4,
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Ipv6(_) => 41,
            Self::Extension(layer) => layer.protocol(),
            Self::Gre(_) => 47,
            Self::Icmpv6(_) => 58,
            Self::Sctp(_) => 132,
            Self::Mpls(_) => 137,
            Self::Ethernet(_) => 143,
            _ => IP_EXPERIMENT,
        }
    }
}

macro_rules! layer_from {
    ($($name:ident),*) => {
        $(impl From<$name> for Layer {
            fn from(layer: $name) -> Self {
                Self::$name(layer)
            }
        })*
    };
}

layer_from!(
    Ethernet, Snap, Vlan, Mpls, Arp, Ipv4, Ipv6, Extension, Udp, Tcp, Sctp, Icmp, Icmpv6, Vxlan,
    Geneve, Gre
);

impl From<Vec<u8>> for Layer {
    fn from(octets: Vec<u8>) -> Self {
        Self::Raw(octets)
    }
}

/// Where a layer stands: what a header must know of the others to be right.
struct Place<'a> {
    outer: &'a [Layer],
    inner: Option<&'a Layer>,
}

impl Place<'_> {
    fn inner_ethertype(&self) -> u16 {
        self.inner.map_or(LOCAL_EXPERIMENT, Layer::ethertype)
    }

    fn inner_protocol(&self, body: &[u8]) -> u8 {
        match self.inner {
            Some(layer) => layer.protocol(),
            None if body.is_empty() => NO_NEXT_HEADER,
            None => IP_EXPERIMENT,
        }
    }

    /// The sum over the pseudo-header of the network layer around (RFC 1071, RFC 8200 §8.1), or
    /// nothing where there is none.
    fn pseudo_sum(&self, protocol: u8, length: usize) -> Option<u32> {
        let mut last_hop = None;
        for layer in self.outer.iter().rev() {
            match layer {
                // A routing header names where the packet ends up, and that is what is summed.
                Layer::Extension(extension) => {
                    last_hop = extension.final_destination().or(last_hop);
                }
                Layer::Ipv4(ip) => {
                    let mut sum = internet_sum(0, &ip.src.octets());
                    sum = internet_sum(sum, &ip.dst.octets());
                    return Some(sum + u32::from(protocol) + length as u32);
                }
                Layer::Ipv6(ip) => {
                    let mut sum = internet_sum(0, &ip.src.octets());
                    sum = internet_sum(sum, &last_hop.unwrap_or(ip.dst).octets());
                    sum = internet_sum(sum, &(length as u32).to_be_bytes());
                    return Some(sum + u32::from(protocol));
                }
                _ => return None,
            }
        }
        None
    }
}

/// EtherType for local experiments (IEEE 802), where nothing else follows from the layers.
const LOCAL_EXPERIMENT: u16 = 0x88b5;
/// Protocol number for experiments (RFC 3692).
const IP_EXPERIMENT: u8 = 253;
/// IPv6 "no next header" (RFC 8200 §4.7).
const NO_NEXT_HEADER: u8 = 59;

fn joined(mut head: Vec<u8>, tail: &[u8]) -> Vec<u8> {
    head.extend_from_slice(tail);
    head
}

/// A length as its 16-bit field shows it; what does not fit shows as the largest value.
fn length16(octets: usize) -> u16 {
    u16::try_from(octets).unwrap_or(u16::MAX)
}

/// Writes a checksum over `packet` into the two octets at `at`, which must be zero.
fn put_checksum(packet: &mut [u8], at: usize, checksum: u16) {
    if let Some(field) = packet.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}
