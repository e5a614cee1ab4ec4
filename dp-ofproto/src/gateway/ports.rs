//! Gateway ports, and ports that wait for their owner.

use std::collections::HashMap;
use std::net::IpAddr;

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

/// Ports that are bound but stay blocked until their owner's RARP is seen on them, also where this
/// is the only node they are bound to.
#[derive(Clone, Debug, Default)]
pub struct Activation {
    waiting: HashMap<OfPort, MacAddr, RandomState>,
    activated: u64,
}

const RARP: u16 = 0x8035;

impl Activation {
    /// Binds a port whose owner has this MAC: blocked from now on.
    pub fn bind(&mut self, port: OfPort, owner: MacAddr) {
        self.waiting.insert(port, owner);
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

    /// A packet came in by a port. `true`: it has activated the port, by being its owner's RARP.
    pub fn see(&mut self, port: OfPort, flow: &FlowKey) -> bool {
        let sender = MacAddr::from_u64(u64::try_from(flow.load(layout::ETH_SRC)).unwrap_or(0));
        if flow.eth_type() != RARP || self.waiting.get(&port) != Some(&sender) {
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
    use super::{Activation, FlowKey, GatewayPorts, MacAddr, OfPort, layout};

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
}
