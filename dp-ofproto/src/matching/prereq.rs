//! Prerequisites: which fields a match may name, given what else it says.
//!
//! `tcp_dst` means nothing unless the packet is known to be TCP, so a match that names it must say
//! so. The conditions are those of OpenFlow 1.3, section 7.2.3.8, and `ovs-fields(7)`.
//!
//! Several fields share bits of the key (`tcp_dst`, `udp_dst`), so a finished [`Match`] is valid if
//! every bit it looks at belongs to *some* field whose prerequisite it meets; whoever knows the
//! field by name asks [`check`] about that very one.

use dp_core::flow::fields::Prereq;
use dp_core::flow::{FIELDS, FieldId, FlowKey, FlowMask, layout};
use thiserror::Error;

use super::Match;

/// A field was matched without what makes it meaningful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{} can only be matched together with {needs}", .field.field().name)]
pub struct PrereqError {
    /// The field.
    pub field: FieldId,
    /// What the match must say as well, as flow text.
    pub needs: &'static str,
}

/// Checks the prerequisite of one field, whose own value may be in `key` and `mask` already.
///
/// # Errors
///
/// If it is not met; the error says what is missing.
pub fn check(field: FieldId, key: &FlowKey, mask: &FlowMask) -> Result<(), PrereqError> {
    let prereq = field.field().prereq;
    if !met(prereq, key, mask) {
        return Err(PrereqError { field, needs: needs(prereq) });
    }
    let m = View { key, mask };
    // The original tuple is that of the packet's own IP version; its ports are some protocol's.
    let (met, needs) = match field {
        FieldId::CtNwSrc | FieldId::CtNwDst => (met(Prereq::Ipv4, key, mask), needs(Prereq::Ipv4)),
        FieldId::CtIpv6Src | FieldId::CtIpv6Dst => {
            (met(Prereq::Ipv6, key, mask), needs(Prereq::Ipv6))
        }
        FieldId::CtTpSrc | FieldId::CtTpDst => (m.exact(FieldId::CtNwProto), "ct_nw_proto"),
        _ => return Ok(()),
    };
    if met { Ok(()) } else { Err(PrereqError { field, needs }) }
}

impl Match {
    /// Checks that every bit of the match belongs to a field whose prerequisite is met.
    ///
    /// # Errors
    ///
    /// The first field, in the order of the field table, that lacks its prerequisite.
    pub fn validate(&self) -> Result<(), PrereqError> {
        let (key, mask) = self.expand();
        let mut covered = FlowMask::EMPTY;
        let named = || FIELDS.iter().filter(|field| mask.get(field.id) != 0);
        for field in named().filter(|field| check(field.id, &key, &mask).is_ok()) {
            covered.unwildcard(field.id);
        }
        covered.unwildcard_place(layout::TUN_METADATA_PRESENT);
        covered.wide_mut().or_assign(mask.wide());
        if covered.covers(&mask) {
            return Ok(());
        }
        // All fields that have a bit which nobody may own lack their prerequisites.
        let bare = |id| mask.get(id) & !covered.get(id) != 0;
        named().filter(|field| bare(field.id)).try_for_each(|field| check(field.id, &key, &mask))
    }
}

/// Whether a match meets a prerequisite.
#[must_use]
pub fn met(prereq: Prereq, key: &FlowKey, mask: &FlowMask) -> bool {
    let m = View { key, mask };
    match prereq {
        Prereq::None => true,
        Prereq::Ethernet => !m.exact(FieldId::PacketType) || key.get(FieldId::PacketType) == 0,
        Prereq::VlanVid => m.bits(FieldId::VlanTci) & u128::from(layout::VLAN_PRESENT) != 0,
        Prereq::Arp => m.eth_type_in(&[0x0806, 0x8035]),
        Prereq::Ipv4 => m.eth_type_in(&[0x0800]),
        Prereq::Ipv6 => m.eth_type_in(&[0x86dd]),
        Prereq::IpAny => m.is_ip(),
        Prereq::Mpls => m.eth_type_in(&[0x8847, 0x8848]),
        Prereq::Nsh => m.eth_type_in(&[0x894f]),
        Prereq::Tcp => m.is_ip() && m.l4(6),
        Prereq::Udp => m.is_ip() && m.l4(17),
        Prereq::Sctp => m.is_ip() && m.l4(132),
        Prereq::Icmpv4 => m.eth_type_in(&[0x0800]) && m.l4(1),
        Prereq::Icmpv6 => m.is_icmpv6(),
        Prereq::Nd => m.is_nd(&[135, 136]),
        Prereq::NdSolicit => m.is_nd(&[135]),
        Prereq::NdAdvert => m.is_nd(&[136]),
        Prereq::Ct => m.bits(FieldId::CtState) & CT_VALID != 0,
    }
}

/// What flow text must say for a prerequisite to be met.
#[must_use]
pub const fn needs(prereq: Prereq) -> &'static str {
    match prereq {
        Prereq::None => "nothing",
        Prereq::Ethernet => "packet_type=(0,0), or no packet_type at all",
        Prereq::VlanVid => "vlan_vid (or vlan_tci=0x1000/0x1000)",
        Prereq::Arp => "arp or rarp",
        Prereq::Ipv4 => "ip (dl_type=0x0800)",
        Prereq::Ipv6 => "ipv6 (dl_type=0x86dd)",
        Prereq::IpAny => "ip or ipv6",
        Prereq::Mpls => "mpls or mplsm",
        Prereq::Nsh => "dl_type=0x894f",
        Prereq::Tcp => "tcp or tcp6, and not ip_frag=later",
        Prereq::Udp => "udp or udp6, and not ip_frag=later",
        Prereq::Sctp => "sctp or sctp6, and not ip_frag=later",
        Prereq::Icmpv4 => "icmp, and not ip_frag=later",
        Prereq::Icmpv6 => "icmp6, and not ip_frag=later",
        Prereq::Nd => "icmp6, icmpv6_type=135 or 136, and no icmpv6_code but 0",
        Prereq::NdSolicit => "icmp6, icmpv6_type=135, and no icmpv6_code but 0",
        Prereq::NdAdvert => "icmp6, icmpv6_type=136, and no icmpv6_code but 0",
        Prereq::Ct => "one of ct_state=+new, +est, +rel, +rpl, +snat, +dnat",
    }
}

/// States of which one must be set for the original tuple to exist: all but `inv` and `trk`.
const CT_VALID: u128 = 0xff & !0x30;

struct View<'a> {
    key: &'a FlowKey,
    mask: &'a FlowMask,
}

impl View<'_> {
    /// Whether all of a field counts.
    fn exact(&self, id: FieldId) -> bool {
        self.mask.get(id) == id.field().ones()
    }

    /// The bits of a field that must be set.
    fn bits(&self, id: FieldId) -> u128 {
        self.key.get(id) & self.mask.get(id)
    }

    fn is(&self, id: FieldId, value: u128) -> bool {
        self.exact(id) && self.key.get(id) == value
    }

    fn eth_type_in(&self, types: &[u16]) -> bool {
        // A packet without an Ethernet header carries its Ethertype in the packet type.
        let packet_type = self.bits(FieldId::PacketType);
        if self.exact(FieldId::PacketType) && packet_type >> 16 == 1 {
            return types.iter().any(|&ty| packet_type & 0xffff == u128::from(ty));
        }
        types.iter().any(|&ty| self.is(FieldId::EthType, u128::from(ty)))
    }

    fn is_ip(&self) -> bool {
        self.eth_type_in(&[0x0800, 0x86dd])
    }

    fn l4(&self, proto: u128) -> bool {
        let later = u128::from(layout::FRAG_LATER);
        self.is(FieldId::NwProto, proto) && self.bits(FieldId::IpFrag) & later == 0
    }

    fn is_icmpv6(&self) -> bool {
        self.eth_type_in(&[0x86dd]) && self.l4(58)
    }

    fn is_nd(&self, types: &[u8]) -> bool {
        // A code that does not count is 0 in the key: a match need not say it, but not another one.
        self.is_icmpv6()
            && self.bits(FieldId::Icmpv6Code) == 0
            && types.iter().any(|&ty| self.is(FieldId::Icmpv6Type, u128::from(ty)))
    }
}

#[cfg(test)]
mod tests {
    use dp_core::flow::FieldId;

    use crate::matching::{Match, MatchBuilder};

    fn tcp() -> MatchBuilder {
        Match::build().exact(FieldId::EthType, 0x800).exact(FieldId::NwProto, 6)
    }

    #[test]
    fn a_port_needs_its_protocol() {
        assert_eq!(tcp().exact(FieldId::TcpDst, 80).finish().validate(), Ok(()));
        let error = Match::build().exact(FieldId::TcpDst, 80).finish().validate().unwrap_err();
        assert_eq!(error.field, FieldId::TcpDst);
        assert_eq!(
            error.to_string(),
            "tcp_dst can only be matched together with tcp or tcp6, and not ip_frag=later"
        );
        let later = tcp().exact(FieldId::TcpDst, 80).exact(FieldId::IpFrag, 3).finish();
        assert!(later.validate().is_err());
    }

    #[test]
    fn shared_places_are_judged_by_whoever_may_own_them() {
        let arp = Match::build().exact(FieldId::EthType, 0x806).exact(FieldId::ArpSpa, 1);
        assert_eq!(arp.clone().finish().validate(), Ok(()));
        // The low byte of the ports alone is ICMP's type, but not for TCP's upper byte.
        let icmp = Match::build()
            .exact(FieldId::EthType, 0x800)
            .exact(FieldId::NwProto, 1)
            .exact(FieldId::TcpSrc, 8);
        assert!(icmp.finish().validate().is_err());
        assert!(arp.exact(FieldId::Ipv6Src, 1).finish().validate().is_err());
    }

    #[test]
    fn neighbour_discovery_needs_a_type_and_no_code_but_zero() {
        let nd = Match::build()
            .exact(FieldId::EthType, 0x86dd)
            .exact(FieldId::NwProto, 58)
            .exact(FieldId::NdTarget, 1);
        assert!(nd.clone().finish().validate().is_err());
        let nd = nd.exact(FieldId::Icmpv6Type, 135);
        assert_eq!(nd.clone().finish().validate(), Ok(()));
        assert!(nd.clone().exact(FieldId::Icmpv6Code, 1).finish().validate().is_err());
        let nd = nd.exact(FieldId::Icmpv6Code, 0);
        assert_eq!(nd.clone().exact(FieldId::NdSll, 2).finish().validate(), Ok(()));
        assert!(nd.exact(FieldId::NdTll, 2).finish().validate().is_err());
    }
}
