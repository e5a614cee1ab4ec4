//! The templates of records (RFC 7011 section 3.4.1): which information elements a record has.
//!
//! ```text
//!   number = 256 + (((link · 3 + network) · 5 + transport) · 2 + tunnel) · 2 + direction
//! ```
//!
//! The numbers and the order of elements are the reference's, so that collectors see no difference.
//! Elements are IANA's; those of enterprise 6876 (VMware) tell of tunnels and virtual observation
//! points.

use crate::export::bytes::Put;

/// The enterprise whose elements tell of tunnels.
const ENTERPRISE: u32 = 6876;
/// The length of elements whose length each record says.
const VARIABLE: u16 = u16::MAX;
/// The template of what an exporter tells of itself.
pub(super) const OPTIONS: u16 = 462;

/// What is below the network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    Vlan,
}

/// The network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Unknown,
    Ipv4,
    Ipv6,
}

/// The transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Unknown,
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

/// What kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) link: Link,
    pub(super) network: Network,
    pub(super) transport: Transport,
    pub(super) tunnel: bool,
    pub(super) egress: bool,
}

impl Kind {
    /// All that there are.
    fn all() -> impl Iterator<Item = Self> {
        use Transport::{Icmp, Sctp, Tcp, Udp, Unknown};
        let with = |network: Network| match network {
            Network::Unknown => &[Unknown][..],
            _ => &[Unknown, Tcp, Udp, Sctp, Icmp],
        };
        let networks = [Network::Unknown, Network::Ipv4, Network::Ipv6];
        [Link::Ethernet, Link::Vlan].into_iter().flat_map(move |link| {
            networks.into_iter().flat_map(move |network| {
                with(network).iter().flat_map(move |&transport| {
                    [false, true].into_iter().flat_map(move |tunnel| {
                        [false, true].map(|egress| Self {
                            link,
                            network,
                            transport,
                            tunnel,
                            egress,
                        })
                    })
                })
            })
        })
    }

    /// The number of its template.
    pub(super) const fn number(self) -> u16 {
        let (tunnel, egress) = (self.tunnel as u16, self.egress as u16);
        let (link, network) = (self.link as u16, self.network as u16);
        let place = (link * 3 + network) * 5 + self.transport as u16;
        256 + (place * 2 + tunnel) * 2 + egress
    }

    /// Its elements: number, length, and whether it is the enterprise's.
    fn elements(self, virtual_point: bool) -> Vec<(u16, u16, bool)> {
        let mut all = Vec::with_capacity(64);
        let mut put = |elements: &[(u16, u16)], own: bool| {
            all.extend(elements.iter().map(|&(number, len)| (number, len, own)));
        };
        put(&[(138, 4), (61, 1), (56, 6), (80, 6), (256, 2), (240, 1)], false);
        put(&[(10, 4), (368, 4), (82, VARIABLE), (83, VARIABLE)], false);
        if self.egress {
            put(&[(14, 4), (369, 4), (82, VARIABLE), (83, VARIABLE)], false);
        }
        if self.link == Link::Vlan {
            put(&[(58, 2), (243, 2), (244, 1)], false);
        }
        let ip = [(60, 1), (192, 1), (4, 1), (195, 1), (196, 1), (5, 1)];
        match self.network {
            Network::Unknown => {}
            Network::Ipv4 => {
                put(&ip, false);
                put(&[(8, 4), (12, 4)], false);
            }
            Network::Ipv6 => {
                put(&ip, false);
                put(&[(27, 16), (28, 16), (31, 4)], false);
            }
        }
        match (self.transport, self.network) {
            (Transport::Unknown, _) => {}
            (Transport::Icmp, Network::Ipv6) => put(&[(178, 1), (179, 1)], false),
            (Transport::Icmp, _) => put(&[(176, 1), (177, 1)], false),
            _ => put(&[(7, 2), (11, 2)], false),
        }
        if self.tunnel {
            put(&[(893, 4), (894, 4), (895, 1), (896, 2), (897, 2), (891, 1)], true);
            put(&[(892, VARIABLE)], true);
        }
        if virtual_point {
            put(&[(898, VARIABLE)], true);
        }
        put(&[(158, 4), (159, 4)], false);
        put(
            &[133, 135, 2, 86, 354, 355, 356, 357, 358, 19, 174, 352, 353].map(|it| (it, 8)),
            false,
        );
        put(&[(136, 1)], false);
        if self.network != Network::Unknown {
            put(&[132, 134, 1, 85, 198, 199, 25, 26, 20, 175].map(|it| (it, 8)), false);
        }
        if self.transport == Transport::Tcp {
            put(&[222, 219, 221, 220, 218, 223].map(|it| (it, 8)), false);
        }
        all
    }
}

/// All templates as sets (section 3.3.1) of this many bytes at most.
pub(super) fn sets(virtual_point: bool, most: usize) -> Vec<Vec<u8>> {
    let mut sets: Vec<Vec<u8>> = Vec::new();
    for kind in Kind::all() {
        let elements = kind.elements(virtual_point);
        let mut template = Vec::with_capacity(8 * elements.len());
        template.u16(kind.number());
        template.u16(u16::try_from(elements.len()).unwrap_or(0));
        for (number, len, own) in elements {
            template.u16(if own { number | 0x8000 } else { number });
            template.u16(len);
            if own {
                template.u32(ENTERPRISE);
            }
        }
        match sets.last_mut() {
            Some(set) if set.len() + template.len() <= most => set.append(&mut template),
            _ => {
                let mut set = vec![0, 2, 0, 0];
                set.append(&mut template);
                sets.push(set);
            }
        }
    }
    // What the exporter tells of itself: the process, and what was not sent.
    let mut options = vec![0, 3, 0, 0];
    for word in [OPTIONS, 2, 1, 144, 4, 167, 8] {
        options.u16(word);
    }
    sets.push(options);
    for set in &mut sets {
        let len = u16::try_from(set.len()).unwrap_or(0);
        set.patch16(2, len);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::{Kind, Link, Network, Transport, sets};

    #[test]
    fn templates_have_the_references_numbers() {
        let kind = |link, network, transport, tunnel, egress| {
            Kind { link, network, transport, tunnel, egress }.number()
        };
        use Link::{Ethernet, Vlan};
        use Network::{Ipv4, Ipv6, Unknown};
        assert_eq!(kind(Ethernet, Unknown, Transport::Unknown, false, false), 256);
        assert_eq!(kind(Ethernet, Unknown, Transport::Unknown, true, true), 259);
        assert_eq!(kind(Ethernet, Ipv4, Transport::Tcp, false, false), 280);
        assert_eq!(kind(Ethernet, Ipv4, Transport::Udp, true, false), 286);
        assert_eq!(kind(Ethernet, Ipv6, Transport::Icmp, false, true), 313);
        assert_eq!(kind(Vlan, Ipv4, Transport::Sctp, false, false), 348);
        let mut numbers: Vec<u16> = Kind::all().map(Kind::number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 88);
    }

    #[test]
    fn sets_are_as_long_as_they_say() {
        for virtual_point in [false, true] {
            for set in sets(virtual_point, 1300) {
                assert_eq!(usize::from(u16::from_be_bytes([set[2], set[3]])), set.len());
                assert!(set.len() <= 1300);
            }
        }
    }
}
