//! Who is asked: ARP requests and neighbour solicitations go to whom they concern instead of to all.
//!
//! On a switch with thousands of ports a broadcast from the physical network is copied to each of them,
//! though one will answer. Where it is known who owns which address, the question goes to the owner; one
//! for an address that nobody is known to own goes to those ports alone of which it is not known what
//! they own. Everything else is flooded as ever.

use dp_core::base::OfPort;
use dp_core::flow::{FlowKey, FlowMask, layout};
use std::collections::BTreeSet;

use super::{Owner, Owners};
use crate::bridge::asked_for;

/// What is known of a switch's ports, and whom questions concern.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    localnets: BTreeSet<OfPort>,
    /// Ports whose addresses are not known, and those to the physical network.
    open: BTreeSet<OfPort>,
}

/// To whom a question goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerned {
    /// To the owner of the address alone.
    Owner(Owner),
    /// To these ports, ascending; the one that it came by is not among them.
    Ports(Vec<OfPort>),
}

impl Questions {
    /// A port to the physical network: there is more behind it than is known.
    pub fn add_localnet(&mut self, port: OfPort) {
        self.localnets.insert(port);
        self.open.insert(port);
    }

    /// A port of which it is not known what addresses it has.
    pub fn add_unknown(&mut self, port: OfPort) {
        self.open.insert(port);
    }

    /// A port is gone, or its addresses are known from now on.
    pub fn remove(&mut self, port: OfPort) {
        self.localnets.remove(&port);
        self.open.remove(&port);
    }

    /// Whom a packet concerns that came in by `port`; `None` if it is no question to all, and goes
    /// where such packets go.
    #[must_use]
    pub fn concerned(&self, port: OfPort, flow: &FlowKey, owners: &Owners) -> Option<Concerned> {
        let asked = asked_for(flow, &mut FlowMask::EMPTY.clone())?;
        if flow.load(layout::ETH_DST) >> 40 & 1 == 0 {
            return None;
        }
        let owner = owners.of(asked).filter(|owner| owner.port != port);
        if let Some(owner) = owner.filter(|_| self.localnets.contains(&port)) {
            return Some(Concerned::Owner(owner));
        }
        Some(Concerned::Ports(self.open.iter().copied().filter(|&open| open != port).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Concerned, FlowKey, OfPort, Owner, Owners, Questions, layout};
    use dp_core::base::MacAddr;
    use std::net::IpAddr;

    fn question(to: &str, eth_dst: u64) -> FlowKey {
        let mut key = FlowKey::EMPTY;
        key.store(layout::ETH_DST, eth_dst.into());
        match to.parse().expect("an address") {
            IpAddr::V4(address) => {
                key.store(layout::ETH_TYPE, 0x0806);
                key.store(layout::NW_PROTO, 1);
                key.store(layout::IPV4_DST, address.to_bits().into());
            }
            IpAddr::V6(address) => {
                key.store(layout::ETH_TYPE, 0x86dd);
                key.store(layout::NW_PROTO, 58);
                key.store(layout::TP_SRC, 135);
                key.store(layout::ND_TARGET, address.to_bits());
            }
        }
        key
    }

    const BROADCAST: u64 = 0xffff_ffff_ffff;
    const SOLICITED: u64 = 0x3333_ff00_0001;

    #[test]
    fn a_question_from_outside_goes_to_the_owner_or_to_those_who_may_be() {
        let owner = |n: u16| Owner { mac: MacAddr::new(2, 0, 0, 0, 0, 1), port: OfPort(n) };
        let mut owners = Owners::default();
        for n in 1..=10_000_u16 {
            owners.set(IpAddr::V4((0x0a00_0000 + u32::from(n)).into()), owner(n));
        }
        owners.set("fd00::1".parse().expect("an address"), owner(1));
        let mut questions = Questions::default();
        let (outside, other, unknown) = (OfPort(20_000), OfPort(20_001), OfPort(20_002));
        questions.add_localnet(outside);
        questions.add_localnet(other);
        questions.add_unknown(unknown);
        let ask = |port, to, dst| questions.concerned(port, &question(to, dst), &owners);
        let ports = |ports: &[OfPort]| Some(Concerned::Ports(ports.to_vec()));

        assert_eq!(ask(outside, "10.0.0.7", BROADCAST), Some(Concerned::Owner(owner(7))));
        assert_eq!(ask(outside, "fd00::1", SOLICITED), Some(Concerned::Owner(owner(1))));
        assert_eq!(ask(outside, "10.9.0.7", BROADCAST), ports(&[other, unknown]));
        // From inside, only outside may be more than is known.
        assert_eq!(ask(OfPort(1), "10.0.0.7", BROADCAST), ports(&[outside, other, unknown]));
        assert_eq!(ask(unknown, "10.9.0.7", BROADCAST), ports(&[outside, other]));
        // An answer, and a question to one, go where they are sent.
        assert_eq!(ask(outside, "10.0.0.7", 0x0200_0000_0001), None);
        let mut answer = question("10.0.0.7", BROADCAST);
        answer.store(layout::NW_PROTO, 2);
        assert_eq!(questions.concerned(outside, &answer, &owners), None);

        let mut fewer = questions.clone();
        fewer.remove(unknown);
        fewer.remove(outside);
        let found = fewer.concerned(outside, &question("10.0.0.7", BROADCAST), &owners);
        assert_eq!(found, ports(&[other]));
    }

    #[test]
    fn a_question_for_an_address_behind_its_own_port_is_not_sent_back() {
        let mut owners = Owners::default();
        let owner = Owner { mac: MacAddr::new(2, 0, 0, 0, 0, 1), port: OfPort(9) };
        owners.set("10.0.0.1".parse().expect("an address"), owner);
        let mut questions = Questions::default();
        questions.add_localnet(OfPort(9));
        let found = questions.concerned(OfPort(9), &question("10.0.0.1", BROADCAST), &owners);
        assert_eq!(found, Some(Concerned::Ports(Vec::new())));
    }
}
