//! Router addresses that are not asked for by a port: an ARP request or a neighbour solicitation from
//! the physical network for one of them is stopped at the edge, where its sender would else learn of a
//! router that is not for it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use dp_core::flow::{FlowKey, FlowMask, layout};

/// The address that an ARP request or a neighbour solicitation asks for. What is looked at of the packet
/// counts from then on.
#[must_use]
pub fn asked_for(flow: &FlowKey, wc: &mut FlowMask) -> Option<IpAddr> {
    wc.unwildcard_place(layout::ETH_TYPE);
    match flow.eth_type() {
        0x0806 => {
            wc.unwildcard_place(layout::NW_PROTO);
            if flow.nw_proto() != 1 {
                return None;
            }
            wc.unwildcard_place(layout::IPV4_DST);
            let bits = u32::try_from(flow.load(layout::IPV4_DST)).ok()?;
            Some(IpAddr::V4(Ipv4Addr::from_bits(bits)))
        }
        0x86dd => {
            wc.unwildcard_place(layout::NW_FRAG);
            wc.unwildcard_place(layout::NW_PROTO);
            // Nobody asks in fragments (RFC 6980).
            if flow.nw_frag() != 0 || flow.nw_proto() != 58 {
                return None;
            }
            wc.unwildcard_place(layout::TP_SRC);
            if flow.load(layout::TP_SRC) != 135 {
                return None;
            }
            wc.unwildcard_place(layout::ND_TARGET);
            Some(IpAddr::V6(flow.load(layout::ND_TARGET).into()))
        }
        _ => None,
    }
}

/// Addresses of routers. Link-local ones are never among them: each link has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterAddresses(BTreeSet<IpAddr>);

impl RouterAddresses {
    /// The addresses of a list with commas between them, as settings have it.
    ///
    /// # Errors
    ///
    /// The word that is no address, or one of a link's own.
    pub fn from_setting(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word.parse() {
                Ok(address) if all.add(address) => {}
                _ => return Err(word.to_owned()),
            }
        }
        Ok(all)
    }

    /// Adds an address; `false`: it is a link's own, and was not added.
    pub fn add(&mut self, address: IpAddr) -> bool {
        let link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        if !link_local {
            self.0.insert(address);
        }
        !link_local
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.contains(address)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::RouterAddresses;

    #[test]
    fn lists_are_read_and_what_is_no_routers_address_is_named() {
        let read = RouterAddresses::from_setting;
        let both = read("10.16.1.1, fd10:16:1::1").expect("a list");
        for address in ["10.16.1.1", "fd10:16:1::1"] {
            assert!(both.contains(&address.parse().expect("an address")));
        }
        assert!(read("").expect("a list").is_empty());
        for wrong in ["10.16.1", "169.254.1.1", "fe80::1", "10.16.1.0/24"] {
            assert_eq!(read(&format!("10.16.1.1,{wrong}")), Err(wrong.to_owned()));
        }
    }
}
