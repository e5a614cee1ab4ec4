//! Layer 2 and what sits between it and IP: Ethernet, 802.3 SNAP, VLAN tags, MPLS labels, ARP.

use std::net::Ipv4Addr;

use super::{Layer, Mac, Place, Spelled, joined, length16};

/// An Ethernet header (IEEE 802.3 clause 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Source.
    pub src: Mac,
    /// Destination.
    pub dst: Mac,
    /// The type or length field; `None` is what the next layer is, or its length before [`Snap`].
    pub ethertype: Option<u16>,
}

impl Ethernet {
    /// A header from `src` to `dst`.
    #[must_use]
    pub fn new(src: impl Spelled<Mac>, dst: impl Spelled<Mac>) -> Self {
        Self { src: src.value(), dst: dst.value(), ethertype: None }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let follows = match place.inner {
            Some(Layer::Snap(_)) => length16(body.len()),
            _ => place.inner_ethertype(),
        };
        let mut octets = [self.dst.0, self.src.0].concat();
        octets.extend(self.ethertype.unwrap_or(follows).to_be_bytes());
        joined(octets, body)
    }
}

/// An LLC header with SNAP, which carries an EtherType in an 802.3 frame (RFC 1042).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snap {
    /// Organization, 0 for EtherTypes.
    pub oui: [u8; 3],
    /// The protocol field; `None` is what the next layer is.
    pub ethertype: Option<u16>,
}

impl Snap {
    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let mut octets = vec![0xaa, 0xaa, 0x03];
        octets.extend(self.oui);
        octets.extend(self.ethertype.unwrap_or(place.inner_ethertype()).to_be_bytes());
        joined(octets, body)
    }
}

/// A VLAN tag (IEEE 802.1Q §9.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// VLAN identifier, 12 bits.
    pub vid: u16,
    /// Priority, 3 bits.
    pub pcp: u8,
    /// Drop eligible, formerly the canonical format indicator.
    pub dei: bool,
    /// The tag's own type: `0x8100` for customer, `0x88a8` for service tags.
    pub tpid: u16,
    /// The type that follows; `None` is what the next layer is.
    pub ethertype: Option<u16>,
}

impl Vlan {
    /// A customer tag of priority 0.
    #[must_use]
    pub fn new(vid: u16) -> Self {
        Self { vid, pcp: 0, dei: false, tpid: 0x8100, ethertype: None }
    }

    /// A service tag (802.1ad) of priority 0.
    #[must_use]
    pub fn service(vid: u16) -> Self {
        Self { tpid: 0x88a8, ..Self::new(vid) }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let tci = u16::from(self.pcp & 7) << 13 | u16::from(self.dei) << 12 | self.vid & 0x0fff;
        let mut octets = tci.to_be_bytes().to_vec();
        octets.extend(self.ethertype.unwrap_or(place.inner_ethertype()).to_be_bytes());
        joined(octets, body)
    }
}

/// An MPLS label stack entry (RFC 3032 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mpls {
    /// Label, 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub tc: u8,
    /// Time to live.
    pub ttl: u8,
    /// Bottom of stack; `None` is whether no further label follows.
    pub bottom: Option<bool>,
}

impl Mpls {
    /// An entry of traffic class 0 and time to live 64.
    #[must_use]
    pub fn new(label: u32) -> Self {
        Self { label, tc: 0, ttl: 64, bottom: None }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let last = !matches!(place.inner, Some(Layer::Mpls(_)));
        let entry = (self.label & 0xf_ffff) << 12
            | u32::from(self.tc & 7) << 9
            | u32::from(self.bottom.unwrap_or(last)) << 8
            | u32::from(self.ttl);
        joined(entry.to_be_bytes().to_vec(), body)
    }
}

/// An ARP message for IPv4 over Ethernet (RFC 826).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// Sender's Ethernet address.
    pub sender_mac: Mac,
    /// Sender's IPv4 address.
    pub sender: Ipv4Addr,
    /// Target's Ethernet address, zero in a request.
    pub target_mac: Mac,
    /// Target's IPv4 address.
    pub target: Ipv4Addr,
    /// Hardware type, 1 for Ethernet.
    pub hardware: u16,
    /// Protocol type, `0x0800` for IPv4.
    pub protocol: u16,
    /// The two address lengths as the message states them.
    pub lengths: [u8; 2],
}

impl Arp {
    /// Who has `target`? Tell `sender`.
    #[must_use]
    pub fn request(
        sender_mac: impl Spelled<Mac>,
        sender: impl Spelled<Ipv4Addr>,
        target: impl Spelled<Ipv4Addr>,
    ) -> Self {
        Self {
            operation: 1,
            sender_mac: sender_mac.value(),
            sender: sender.value(),
            target_mac: Mac::default(),
            target: target.value(),
            hardware: 1,
            protocol: 0x0800,
            lengths: [6, 4],
        }
    }

    /// `sender` is at `sender_mac`, told to the target.
    #[must_use]
    pub fn reply(
        sender_mac: impl Spelled<Mac>,
        sender: impl Spelled<Ipv4Addr>,
        target_mac: impl Spelled<Mac>,
        target: impl Spelled<Ipv4Addr>,
    ) -> Self {
        Self {
            operation: 2,
            target_mac: target_mac.value(),
            ..Self::request(sender_mac, sender, target)
        }
    }

    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut octets = [self.hardware.to_be_bytes(), self.protocol.to_be_bytes()].concat();
        octets.extend(self.lengths);
        octets.extend(self.operation.to_be_bytes());
        octets.extend(self.sender_mac.0);
        octets.extend(self.sender.octets());
        octets.extend(self.target_mac.0);
        octets.extend(self.target.octets());
        joined(octets, body)
    }
}
