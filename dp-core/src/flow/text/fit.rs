//! Whether the attributes of a key fit together.
//!
//! A key for the datapath must be complete: each header that it says is there has its attribute, as
//! a switch that dumps it would print it, and no attribute is there for a header that is not.

use core::fmt;

use super::parse::ParsedFlow;
use super::table::Attrs;
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
        let tunnel = [layout::TUN_DST, layout::TUN_IPV6_DST, layout::TUN_SRC, layout::TUN_IPV6_SRC];
        if has(Attrs::TUNNEL) && tunnel.iter().all(|&place| key.load(place) == 0) {
            return Err(Misfit::Missing("dst or ipv6_dst", "tunnel(…) needs an end"));
        }
        let eth_type = key.eth_type();
        for (types, attr, name, needs) in NETWORK {
            match (types.contains(&eth_type), has(attr)) {
                (true, false) if self.counts(layout::ETH_TYPE) => {
                    return Err(Misfit::Missing(name, needs));
                }
                (false, true) => return Err(Misfit::Needs(name, needs)),
                _ => {}
            }
        }
        self.transport_fits()
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
        }
        if has(Attrs::TCP_FLAGS) && !(whole && key.nw_proto() == 6) {
            return Err(Misfit::Needs("tcp_flags", "proto=6, and not frag=later"));
        }
        let kind = key.load(layout::TP_SRC);
        let neighbour = has(Attrs::ICMPV6) && (kind == 135 || kind == 136);
        if has(Attrs::ND) && !(neighbour && key.load(layout::TP_DST) == 0) {
            return Err(Misfit::Needs("nd", "icmpv6(type=135,code=0) or icmpv6(type=136,code=0)"));
        }
        if has(Attrs::ND_EXT) && !has(Attrs::ND) {
            return Err(Misfit::Needs("nd_ext", "nd(…)"));
        }
        Ok(())
    }

    /// Whether a place counts at all.
    fn counts(&self, place: layout::Place) -> bool {
        self.mask.load(place) != 0
    }
}
