//! Who owns an address: where a packet goes whose destination NAT has just been undone.
//!
//! Without it such a packet passes the router's and the switch's tables again to find the MAC and the
//! port that one look-up knows.

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;
use dp_core::base::{MacAddr, OfPort};

/// Who owns an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its MAC.
    pub mac: MacAddr,
    /// The port behind which it is.
    pub port: OfPort,
}

/// Owners by address.
#[derive(Clone, Debug, Default)]
pub struct Owners(HashMap<IpAddr, Owner, RandomState>);

impl Owners {
    /// An address is owned by somebody from now on; gives who owned it before.
    pub fn set(&mut self, address: IpAddr, owner: Owner) -> Option<Owner> {
        self.0.insert(address, owner)
    }

    /// Nobody owns an address any more.
    pub fn remove(&mut self, address: IpAddr) -> Option<Owner> {
        self.0.remove(&address)
    }

    /// A port is gone, and the addresses behind it with it.
    pub fn remove_port(&mut self, port: OfPort) {
        self.0.retain(|_, owner| owner.port != port);
    }

    /// Who owns an address.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<Owner> {
        self.0.get(&address).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{IpAddr, MacAddr, OfPort, Owner, Owners};

    #[test]
    fn an_address_leads_to_mac_and_port_in_one_look() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let owner = |n: u8| Owner { mac: MacAddr::new(2, 0, 0, 0, 0, n), port: OfPort(n.into()) };
        let mut owners = Owners::default();
        assert_eq!(owners.set(ip("10.0.0.1"), owner(1)), None);
        assert_eq!(owners.set(ip("10.0.0.1"), owner(2)), Some(owner(1)));
        owners.set(ip("fd00::1"), owner(2));
        owners.set(ip("10.0.0.3"), owner(3));
        assert_eq!(owners.of(ip("10.0.0.1")), Some(owner(2)));
        owners.remove_port(OfPort(2));
        assert_eq!(owners.of(ip("fd00::1")), None);
        assert_eq!(owners.remove(ip("10.0.0.3")), Some(owner(3)));
        assert_eq!(owners.of(ip("10.0.0.3")), None);
    }
}
