//! Whether the attributes of a key fit together.
//!
//! A key for the datapath must be complete: each header that it says is there has its attribute, as
//! a switch that dumps it would print it, and no attribute is there for a header that is not.

use core::fmt;

use super::parse::{LABELS, ParsedFlow};
use super::table::{ATTRS, Attrs};
use crate::flow::layout::{self, FRAG_LATER};

/// Why the attributes of a key do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// An attribute is missing.
    Missing(&'static str, &'static str),
    /// An attribute has no business there.
    Needs(&'static str, &'static str),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what, why) => write!(f, "{what} is missing: {why}"),
            Self::Needs(what, why) => write!(f, "{what} means nothing without {why}"),
        }
    }
}

impl core::error::Error for Misfit {}

/// The least Ethertype.
const ETH_TYPE_MIN: u128 = 0x600;

/// What an Ethertype calls for.
const NETWORK: [(&[u16], Attrs, &str, &str); 5] = [
    (&[0x0800], Attrs::IPV4, "ipv4", "eth_type(0x0800)"),
    (&[0x86dd], Attrs::IPV6, "ipv6", "eth_type(0x86dd)"),
    (&[0x0806, 0x8035], Attrs::ARP, "arp", "eth_type(0x0806)"),
    (&[0x8847, 0x8848], Attrs::MPLS, "mpls", "eth_type(0x8847)"),
    (&[0x894f], Attrs::NSH, "nsh", "eth_type(0x894f)"),
];

/// What an IP protocol calls for: 4 or 6 where only that version has it.
const TRANSPORT: [(u8, u8, Attrs, &str, &str); 5] = [
    (6, 0, Attrs::TCP, "tcp", "proto=6, and not frag=later"),
    (17, 0, Attrs::UDP, "udp", "proto=17, and not frag=later"),
    (132, 0, Attrs::SCTP, "sctp", "proto=132, and not frag=later"),
    (1, 4, Attrs::ICMP, "icmp", "ipv4(proto=1), and not frag=later"),
    (58, 6, Attrs::ICMPV6, "icmpv6", "ipv6(proto=58), and not frag=later"),
];

impl ParsedFlow {
    /// Checks that the attributes fit together, as a datapath wants them.
    ///
    /// # Errors
    ///
    /// The first one that is missing or too many, and why.
    pub fn fits(&self) -> Result<(), Misfit> {
        let has = |attr| self.attrs.contains(attr);
        let key = &self.key;
        let ethernet = key.load(layout::PACKET_TYPE) >> 16 != 1;
        if ethernet && !has(Attrs::ETH) {
            return Err(Misfit::Missing("eth(…)", "the packet is Ethernet"));
        }
        if has(Attrs::VLAN) != has(Attrs::ENCAP) {
            return Err(Misfit::Missing("vlan(…) or encap(…)", "a tag has both"));
        }
        if ethernet && !has(Attrs::ETH_TYPE) {
            return Err(Misfit::Missing("eth_type(…)", "the packet is Ethernet"));
        }
        self.tags_fit()?;
        if has(Attrs::ETH_TYPE) && key.load(layout::ETH_TYPE) < ETH_TYPE_MIN {
            return Err(Misfit::Needs("eth_type", "a value of at least 0x600: below are lengths"));
        }
        let tunnel = [layout::TUN_DST, layout::TUN_IPV6_DST, layout::TUN_SRC, layout::TUN_IPV6_SRC];
        if has(Attrs::TUNNEL) && tunnel.iter().all(|&place| key.load(place) == 0) {
            return Err(Misfit::Missing("dst or ipv6_dst", "tunnel(…) needs an end"));
        }
        if has(Attrs::TUNNEL) && !has(Attrs::TUNNEL_TTL) {
            return Err(Misfit::Missing("ttl", "tunnel(…) has one, be it 0"));
        }
        let eth_type = key.eth_type();
        for (types, attr, name, needs) in NETWORK {
            match (types.contains(&eth_type), has(attr)) {
                (true, false) if self.counts(layout::ETH_TYPE) => {
                    return Err(Misfit::Missing(name, needs));
                }
                (false, true) => return Err(Misfit::Needs(name, needs)),
                (true, true) if !self.is_exact(layout::ETH_TYPE) && self.wants(attr) => {
                    return Err(Misfit::Needs(name, "all bits of eth_type"));
                }
                _ => {}
            }
        }
        self.labels_fit()?;
        self.transport_fits()
    }

    /// The innermost label says that it is, and no other; of three the third may have more below it.
    fn labels_fit(&self) -> Result<(), Misfit> {
        if !self.attrs.contains(Attrs::MPLS) {
            return Ok(());
        }
        let entries = LABELS.map(|place| self.key.load(place));
        let bottom = entries.iter().position(|lse| lse >> 8 & 1 != 0);
        match (bottom, &entries) {
            (Some(at), _) if LABELS.iter().skip(at + 1).any(|&place| self.says(place)) => {
                Err(Misfit::Needs("a label below another", "bos=0 in those above it"))
            }
            (None, [.., 0]) => {
                Err(Misfit::Missing("bos=1", "the innermost label of a stack has it"))
            }
            _ => Ok(()),
        }
    }

    /// A tag is there, and says so in front of it.
    fn tags_fit(&self) -> Result<(), Misfit> {
        const TYPES: [u128; 2] = [0x8100, 0x88a8];
        if !self.attrs.contains(Attrs::VLAN) && TYPES.contains(&self.key.load(layout::ETH_TYPE)) {
            return Err(Misfit::Missing(
                "vlan(…) and encap(…)",
                "eth_type says that there is a tag",
            ));
        }
        let tags = [
            (Attrs::VLAN, layout::VLAN_TPID, layout::VLAN_TCI),
            (Attrs::VLAN1, layout::VLAN_TPID1, layout::VLAN_TCI1),
        ];
        for (attr, tpid, tci) in tags {
            if !self.attrs.contains(attr) {
                continue;
            }
            if self.counts(tpid) && !TYPES.contains(&self.key.load(tpid)) {
                return Err(Misfit::Needs("vlan", "eth_type(0x8100) or eth_type(0x88a8)"));
            }
            if self.key.load(tci) & u128::from(layout::VLAN_PRESENT) == 0 {
                return Err(Misfit::Needs("vlan", "cfi=1: there is a tag"));
            }
        }
        Ok(())
    }

    fn transport_fits(&self) -> Result<(), Misfit> {
        let has = |attr| self.attrs.contains(attr);
        let key = &self.key;
        let version = match key.eth_type() {
            0x0800 => 4,
            0x86dd => 6,
            _ => 0,
        };
        let whole = version != 0 && key.nw_frag() & FRAG_LATER == 0;
        for (proto, only, attr, name, needs) in TRANSPORT {
            let there = whole && key.nw_proto() == proto && (only == 0 || only == version);
            if has(attr) && !there {
                return Err(Misfit::Needs(name, needs));
            }
            if has(attr) && self.wants(attr) && !self.is_exact(layout::NW_PROTO) {
                return Err(Misfit::Needs(name, "all bits of proto"));
            }
        }
        if has(Attrs::TCP_FLAGS) && !(whole && key.nw_proto() == 6) {
            return Err(Misfit::Needs("tcp_flags", "proto=6, and not frag=later"));
        }
        if has(Attrs::TCP_FLAGS) && !has(Attrs::TCP) {
            return Err(Misfit::Needs("tcp_flags", "tcp(…)"));
        }
        let kind = key.load(layout::TP_SRC);
        let neighbour = has(Attrs::ICMPV6) && (kind == 135 || kind == 136);
        if has(Attrs::ND) && !(neighbour && key.load(layout::TP_DST) == 0) {
            return Err(Misfit::Needs("nd", "icmpv6(type=135,code=0) or icmpv6(type=136,code=0)"));
        }
        // It lies in the lower byte of the port.
        let exact = self.mask.load(layout::TP_SRC) & 0xff == 0xff;
        if has(Attrs::ND) && self.wants(Attrs::ND) && !exact {
            return Err(Misfit::Needs("nd", "all bits of icmpv6(type=…)"));
        }
        if has(Attrs::ND_EXT) && !has(Attrs::ND) {
            return Err(Misfit::Needs("nd_ext", "nd(…)"));
        }
        Ok(())
    }

    /// Whether anything is said of a place.
    fn says(&self, place: layout::Place) -> bool {
        self.counts(place) || self.key.load(place) != 0
    }

    /// Whether an attribute has bits that count.
    fn wants(&self, attr: Attrs) -> bool {
        let row = ATTRS.iter().find(|row| row.id == attr);
        let labels = attr == Attrs::MPLS && LABELS.iter().any(|&place| self.counts(place));
        labels || row.is_some_and(|row| row.parts.iter().any(|part| self.counts(part.place)))
    }

    /// Whether all bits of a place count.
    fn is_exact(&self, place: layout::Place) -> bool {
        self.mask.load(place) == u128::MAX >> (128 - u32::from(place.len) * 8)
    }

    /// Whether a place counts at all.
    fn counts(&self, place: layout::Place) -> bool {
        self.mask.load(place) != 0
    }
}
