//! IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810) as far as a switch listens in.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::wire::checksum::checksum;

/// Which protocol a listener spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IGMP version 1.
    Igmp1,
    /// IGMP version 2.
    Igmp2,
    /// IGMP version 3.
    Igmp3,
    /// MLD version 1.
    Mld1,
    /// MLD version 2.
    Mld2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Igmp1 => "IGMPv1",
            Self::Igmp2 => "IGMPv2",
            Self::Igmp3 => "IGMPv3",
            Self::Mld1 => "MLDv1",
            Self::Mld2 => "MLDv2",
        })
    }
}

/// Somebody listens to a group from now on, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The group; IPv4 groups are IPv4-mapped.
    pub group: Ipv6Addr,
    /// Whether he listens.
    pub joins: bool,
    /// How he said it.
    pub protocol: Protocol,
}

/// What a switch makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks who listens.
    Query {
        /// He has an address: a router, not another switch.
        from_router: bool,
    },
    /// Somebody answers, or leaves.
    Reports(Vec<Report>),
}

/// Records of a report that are looked at.
const MAX_RECORDS: usize = 1024;

/// Reads an IGMP message from the payload of an IPv4 packet from `src`. `None`: damaged, or nothing
/// to learn from.
#[must_use]
pub fn parse_igmp(src: Ipv4Addr, payload: &[u8]) -> Option<Message> {
    let [kind, _, _, _, a, b, c, d, ..] = *payload else { return None };
    if checksum(payload) != 0 {
        return None;
    }
    let group = Ipv4Addr::new(a, b, c, d).to_ipv6_mapped();
    let one = |joins, protocol| Some(Message::Reports(vec![Report { group, joins, protocol }]));
    match kind {
        0x11 => Some(Message::Query { from_router: !src.is_unspecified() }),
        0x12 => one(true, Protocol::Igmp1),
        0x16 => one(true, Protocol::Igmp2),
        0x17 => one(false, Protocol::Igmp2),
        0x22 => records(payload, Protocol::Igmp3, |bytes| {
            let address: [u8; 4] = *bytes.first_chunk()?;
            Some((Ipv4Addr::from(address).to_ipv6_mapped(), 4))
        }),
        _ => None,
    }
}

/// Reads an MLD message from the ICMPv6 packet from `src`, whose checksum has been verified or not.
/// `None`: damaged, or no MLD.
#[must_use]
pub fn parse_mld(src: Ipv6Addr, icmpv6: &[u8]) -> Option<Message> {
    let address = || Some(Ipv6Addr::from(*icmpv6.get(8..)?.first_chunk::<16>()?));
    let one = |joins| {
        let report = Report { group: address()?, joins, protocol: Protocol::Mld1 };
        Some(Message::Reports(vec![report]))
    };
    match *icmpv6.first()? {
        130 => address().map(|_| Message::Query { from_router: !src.is_unspecified() }),
        131 => one(true),
        132 => one(false),
        143 => records(icmpv6, Protocol::Mld2, |bytes| {
            let address: [u8; 16] = *bytes.first_chunk()?;
            Some((Ipv6Addr::from(address), 16))
        }),
        _ => None,
    }
}

/// The records of an IGMPv3 or MLDv2 report, which differ in the length of addresses alone.
///
/// ```text
///  0  type │ - │ checksum │ - │ number of records
///  8  record: type │ words of auxiliary data │ number of sources │ group │ sources … │ data …
/// ```
fn records(
    payload: &[u8],
    protocol: Protocol,
    group_of: impl Fn(&[u8]) -> Option<(Ipv6Addr, usize)>,
) -> Option<Message> {
    let &[high, low] = payload.get(6..8)?.first_chunk()?;
    let count = usize::from(u16::from_be_bytes([high, low])).min(MAX_RECORDS);
    let mut rest = payload.get(8..)?;
    let mut reports = Vec::new();
    for _ in 0..count {
        // What is cut off does not undo what came before it.
        let Some(&[kind, aux, high, low]) = rest.first_chunk() else { break };
        let sources = usize::from(u16::from_be_bytes([high, low]));
        let Some((group, len)) = rest.get(4..).and_then(&group_of) else { break };
        if let Some(joins) = joins(kind, sources) {
            reports.push(Report { group, joins, protocol });
        }
        let record = 4 + len + sources * len + usize::from(aux) * 4;
        let Some(next) = rest.get(record..) else { break };
        rest = next;
    }
    Some(Message::Reports(reports))
}

/// Whether a record means that somebody listens; `None`: nothing changes, or an unknown type.
const fn joins(kind: u8, sources: usize) -> Option<bool> {
    match kind {
        // Is, or becomes: include these sources.
        1 | 3 => Some(sources > 0),
        // Is, or becomes: exclude these sources. Allow these sources.
        2 | 4 | 5 => Some(true),
        _ => None,
    }
}

/// Groups that are never pruned: 224.0.0.0/24 and all nodes (RFC 4541, sections 2.1.2 and 3).
#[must_use]
pub fn is_local(group: Ipv6Addr) -> bool {
    match group.to_ipv4_mapped() {
        Some(group) => matches!(group.octets(), [224, 0, 0, _]),
        None => group == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    }
}
