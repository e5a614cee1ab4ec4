//! Gateway ports, and ports that wait for their owner.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use ahash::RandomState;
use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::{FlowKey, layout};
use dp_core::route::Prefix;

/// The gateway ports of a router with the networks they are in.
#[derive(Clone, Debug, Default)]
pub struct GatewayPorts(Vec<(Prefix, OfPort)>);

impl GatewayPorts {
    /// A gateway port in this network.
    pub fn add(&mut self, network: Prefix, port: OfPort) {
        self.0.push((network, port));
    }

    /// The gateway port that a service address belongs to: the one in whose network it lies, the
    /// narrowest where networks nest. `None`: it lies in none, and any may serve it.
    #[must_use]
    pub fn of(&self, service: IpAddr) -> Option<OfPort> {
        let holds = self.0.iter().filter(|(network, _)| network.contains(service));
        holds.max_by_key(|(network, _)| network.len()).map(|&(_, port)| port)
    }
}

/// What shows that the owner of a port is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Reverse ARP, as hypervisors send it for a guest that has moved (RFC 903).
    Rarp,
    /// ARP of either kind for the owner's own address (RFC 5227 section 3).
    GratuitousArp,
    /// A neighbour advertisement that nobody asked for (RFC 4861 section 7.2.6).
    UnsolicitedAdvertisement,
}

impl Sign {
    /// Whether a packet, whoever sent it, is this sign.
    fn is(self, flow: &FlowKey) -> bool {
        match self {
            Self::Rarp => flow.eth_type() == 0x8035,
            Self::GratuitousArp => {
                let sender = flow.load(layout::IPV4_SRC);
                flow.eth_type() == 0x0806 && sender != 0 && sender == flow.load(layout::IPV4_DST)
            }
            // To all nodes: an answer to a question goes to who asked it.
            Self::UnsolicitedAdvertisement => {
                let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).to_bits();
                flow.eth_type() == 0x86dd
                    && flow.nw_proto() == 58
                    && flow.load(layout::TP_SRC) == 136
                    && flow.load(layout::IPV6_DST) == all_nodes
            }
        }
    }
}

/// Ports that are bound but stay blocked until their owner is seen on them, by its RARP if nothing else
/// is said, also where this is the only node they are bound to.
#[derive(Clone, Debug, Default)]
pub struct Activation {
    waiting: HashMap<OfPort, (MacAddr, Vec<Sign>), RandomState>,
    activated: u64,
}

impl Activation {
    /// Binds a port whose owner has this MAC: blocked from now on until its RARP.
    pub fn bind(&mut self, port: OfPort, owner: MacAddr) {
        self.bind_until(port, owner, [Sign::Rarp]);
    }

    /// Binds a port whose owner has this MAC: blocked from now on until any of these signs.
    pub fn bind_until(
        &mut self,
        port: OfPort,
        owner: MacAddr,
        signs: impl IntoIterator<Item = Sign>,
    ) {
        self.waiting.insert(port, (owner, signs.into_iter().collect()));
    }

    /// The port is bound no more.
    pub fn unbind(&mut self, port: OfPort) {
        self.waiting.remove(&port);
    }

    /// Whether a port is blocked: nothing goes in or out but what activates it.
    #[must_use]
    pub fn is_blocked(&self, port: OfPort) -> bool {
        self.waiting.contains_key(&port)
    }

    /// A packet came in by a port. `true`: it has activated the port, by being a sign of its owner.
    pub fn see(&mut self, port: OfPort, flow: &FlowKey) -> bool {
        let sender = MacAddr::from_u64(u64::try_from(flow.load(layout::ETH_SRC)).unwrap_or(0));
        let is_it = |(owner, signs): &(MacAddr, Vec<Sign>)| {
            *owner == sender && signs.iter().any(|sign| sign.is(flow))
        };
        if !self.waiting.get(&port).is_some_and(is_it) {
            return false;
        }
        self.waiting.remove(&port);
        self.activated += 1;
        true
    }

    /// How many ports have been activated.
    #[must_use]
    pub const fn activated(&self) -> u64 {
        self.activated
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::{Activation, FlowKey, GatewayPorts, MacAddr, OfPort, Sign, layout};

    #[test]
    fn a_service_belongs_to_the_gateway_port_in_whose_network_it_lies() {
        let mut ports = GatewayPorts::default();
        ports.add("192.0.2.0/24".parse().expect("a prefix"), OfPort(1));
        ports.add("192.0.2.128/25".parse().expect("a prefix"), OfPort(2));
        ports.add("2001:db8::/64".parse().expect("a prefix"), OfPort(3));
        let of = |text: &str| ports.of(text.parse().expect("an address"));
        assert_eq!(of("192.0.2.7"), Some(OfPort(1)));
        assert_eq!(of("192.0.2.200"), Some(OfPort(2)));
        assert_eq!(of("2001:db8::9"), Some(OfPort(3)));
        assert_eq!(of("198.51.100.1"), None);
    }

    #[test]
    fn a_port_is_blocked_until_its_owners_rarp_is_seen() {
        let owner = MacAddr::new(2, 0, 0, 0, 0, 7);
        let mut activation = Activation::default();
        activation.bind(OfPort(1), owner);
        let packet = |ethertype: u16, from: MacAddr| {
            let mut key = FlowKey::EMPTY;
            key.store(layout::ETH_TYPE, u128::from(ethertype));
            key.store(layout::ETH_SRC, u128::from(from.to_u64()));
            key
        };
        assert!(activation.is_blocked(OfPort(1)) && !activation.is_blocked(OfPort(2)));
        assert!(!activation.see(OfPort(1), &packet(0x0806, owner)));
        assert!(!activation.see(OfPort(1), &packet(0x8035, MacAddr::new(2, 0, 0, 0, 0, 8))));
        assert!(!activation.see(OfPort(2), &packet(0x8035, owner)));
        assert!(activation.is_blocked(OfPort(1)));
        assert!(activation.see(OfPort(1), &packet(0x8035, owner)));
        assert!(!activation.is_blocked(OfPort(1)));
        assert_eq!(activation.activated(), 1);
        activation.bind(OfPort(3), owner);
        activation.unbind(OfPort(3));
        assert!(!activation.is_blocked(OfPort(3)));
    }

    #[test]
    fn other_signs_activate_a_port_that_waits_for_them() {
        let owner = MacAddr::new(2, 0, 0, 0, 0, 7);
        let key = |fields: &[(layout::Place, u128)]| {
            let mut key = FlowKey::EMPTY;
            key.store(layout::ETH_SRC, u128::from(owner.to_u64()));
            fields.iter().for_each(|&(place, value)| key.store(place, value));
            key
        };
        let arp = |sender: u128, target: u128| {
            let ends = [(layout::IPV4_SRC, sender), (layout::IPV4_DST, target)];
            key(&[&[(layout::ETH_TYPE, 0x0806)][..], &ends].concat())
        };
        let advertisement = |to: &str| {
            let to: Ipv6Addr = to.parse().expect("an address");
            key(&[
                (layout::ETH_TYPE, 0x86dd),
                (layout::NW_PROTO, 58),
                (layout::TP_SRC, 136),
                (layout::IPV6_DST, to.to_bits()),
            ])
        };
        let rarp = key(&[(layout::ETH_TYPE, 0x8035)]);
        let signs = [
            (Sign::Rarp, rarp),
            (Sign::GratuitousArp, arp(7, 7)),
            (Sign::UnsolicitedAdvertisement, advertisement("ff02::1")),
        ];
        for &(sign, _) in &signs {
            let mut activation = Activation::default();
            activation.bind_until(OfPort(1), owner, [sign]);
            for other in [arp(7, 8), arp(0, 0), advertisement("fd00::1")] {
                assert!(!activation.see(OfPort(1), &other), "{sign:?}");
            }
            for (other, packet) in &signs {
                if *other != sign {
                    assert!(!activation.see(OfPort(1), packet), "{sign:?} by {other:?}");
                }
            }
            let (_, packet) = signs.iter().find(|(it, _)| *it == sign).expect("it is there");
            assert!(activation.see(OfPort(1), packet) && !activation.is_blocked(OfPort(1)));
        }
    }
}
