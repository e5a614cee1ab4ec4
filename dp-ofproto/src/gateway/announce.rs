//! What a gateway says on the outside of its own accord, and what it does not answer there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::{FlowKey, FlowMask};

use crate::bridge::{RouterAddresses, asked_for};
use crate::tunnel::ask::announcement;

/// An address that is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The frame.
    pub frame: Vec<u8>,
    /// The port that it leaves by.
    pub port: OfPort,
}

/// Gratuitous ARP and unsolicited neighbour advertisements: sent when an address comes or moves.
///
/// Interfaces that carry `external_ids:vendor=kube-ovn` announce nothing on ports to the physical
/// network: whoever made them does so himself.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    known: BTreeMap<IpAddr, MacAddr>,
    left_out: u64,
}

impl Announcements {
    /// An address is at an interface with this MAC. Gives what is to be sent by `localnet`, the port
    /// to the physical network, if the address is new there or has moved.
    pub fn update(
        &mut self,
        address: IpAddr,
        mac: MacAddr,
        external_ids: &BTreeMap<String, String>,
        localnet: OfPort,
    ) -> Option<Announced> {
        if self.known.insert(address, mac) == Some(mac) {
            return None;
        }
        if external_ids.get("vendor").is_some_and(|vendor| vendor == "kube-ovn") {
            self.left_out += 1;
            return None;
        }
        Some(Announced { frame: announcement(mac, address), port: localnet })
    }

    /// How often nothing was said because somebody else does.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether the address is at some interface.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        self.known.contains_key(&address)
    }

    /// Forgets the addresses that are nowhere any more.
    pub fn retain(&mut self, keep: impl Fn(&IpAddr) -> bool) {
        self.known.retain(|address, _| keep(address));
    }

    /// The address is nowhere any more.
    pub fn remove(&mut self, address: IpAddr) {
        self.known.remove(&address);
    }
}

/// Drops ARP and neighbour requests for router addresses that come from the physical network: the
/// router's own gateway ports answer there, nobody else.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    routers: RouterAddresses,
    localnets: BTreeSet<OfPort>,
    gateways: BTreeSet<IpAddr>,
}

impl Guard {
    /// An address of a router; a link-local one is anybody's to ask for.
    pub fn add_router(&mut self, address: IpAddr) {
        self.routers.add(address);
    }

    /// An address of a router's gateway port: asked for from outside, rightly.
    pub fn add_gateway(&mut self, address: IpAddr) {
        self.gateways.insert(address);
    }

    /// A port to the physical network.
    pub fn add_localnet(&mut self, port: OfPort) {
        self.localnets.insert(port);
    }

    /// Whether a packet that comes in by a port is to be dropped.
    #[must_use]
    pub fn drops(&self, port: OfPort, flow: &FlowKey) -> bool {
        if !self.localnets.contains(&port) {
            return false;
        }
        let asked = asked_for(flow, &mut FlowMask::EMPTY.clone());
        asked.is_some_and(|asked| self.routers.contains(&asked) && !self.gateways.contains(&asked))
    }
}

#[cfg(test)]
mod tests {
    use super::{Announcements, BTreeMap, FlowKey, Guard, IpAddr, MacAddr, OfPort};
    use dp_core::flow::layout;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_are_announced_when_they_come_and_when_they_move() {
        let mut announcements = Announcements::default();
        let none = BTreeMap::new();
        let mac = |n| MacAddr::new(2, 0, 0, 0, 0, n);
        let mut update = |address, mac, ids: &_| {
            announcements
                .update(ip(address), mac, ids, OfPort(9))
                .map(|it| (it.port, it.frame.len()))
        };
        assert_eq!(update("10.0.0.1", mac(1), &none), Some((OfPort(9), 42)));
        assert_eq!(update("10.0.0.1", mac(1), &none), None);
        assert_eq!(update("10.0.0.1", mac(2), &none), Some((OfPort(9), 42)));
        assert_eq!(update("fd00::1", mac(1), &none), Some((OfPort(9), 86)));
        let theirs = BTreeMap::from([("vendor".to_owned(), "kube-ovn".to_owned())]);
        assert_eq!(update("10.0.0.2", mac(1), &theirs), None);
        let others = BTreeMap::from([("vendor".to_owned(), "other".to_owned())]);
        assert_eq!(update("10.0.0.3", mac(1), &others), Some((OfPort(9), 42)));
        announcements.remove(ip("10.0.0.1"));
        assert!(announcements.update(ip("10.0.0.1"), mac(2), &none, OfPort(9)).is_some());
    }

    #[test]
    fn questions_for_routers_are_dropped_where_they_come_from_outside() {
        let mut guard = Guard::default();
        for address in ["10.0.0.1", "169.254.0.1", "fd00::1", "fe80::1", "192.0.2.1"] {
            guard.add_router(ip(address));
        }
        guard.add_gateway(ip("192.0.2.1"));
        guard.add_localnet(OfPort(9));
        let arp = |to: &str| {
            let IpAddr::V4(address) = ip(to) else { panic!("IPv4") };
            let mut key = FlowKey::EMPTY;
            key.store(layout::ETH_TYPE, 0x0806);
            key.store(layout::NW_PROTO, 1);
            key.store(layout::IPV4_DST, u128::from(address.to_bits()));
            key
        };
        let nd = |to: &str| {
            let IpAddr::V6(address) = ip(to) else { panic!("IPv6") };
            let mut key = FlowKey::EMPTY;
            key.store(layout::ETH_TYPE, 0x86dd);
            key.store(layout::NW_PROTO, 58);
            key.store(layout::TP_SRC, 135);
            key.store(layout::ND_TARGET, address.to_bits());
            key
        };
        assert!(guard.drops(OfPort(9), &arp("10.0.0.1")) && guard.drops(OfPort(9), &nd("fd00::1")));
        assert!(!guard.drops(OfPort(1), &arp("10.0.0.1")), "from inside");
        assert!(!guard.drops(OfPort(9), &arp("10.0.0.2")), "no router's");
        assert!(!guard.drops(OfPort(9), &arp("192.0.2.1")), "a gateway's");
        assert!(!guard.drops(OfPort(9), &arp("169.254.0.1")), "link-local");
        assert!(!guard.drops(OfPort(9), &nd("fe80::1")), "link-local");
        let mut answer = arp("10.0.0.1");
        answer.store(layout::NW_PROTO, 2);
        assert!(!guard.drops(OfPort(9), &answer), "no question");
    }
}
