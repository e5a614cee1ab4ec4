//! What the node does with packets that its tables hand over: questions for addresses are answered
//! (ARP and neighbour discovery alike), next hops and neighbours are learned, blocked ports wake up,
//! new connections to services get a backend.

use std::net::{IpAddr, Ipv4Addr};

use dp_core::base::{Instant, MacAddr, OfPort, hash_words};
use dp_core::flow::{FlowKey, layout};
use dp_ofproto::tunnel::ask;
use dp_ofproto::upcall::PacketIn;

use super::Node;
use super::flows::UPLINKS;
use super::plan::Uplink;

fn address(flow: &FlowKey, v4: layout::Place, v6: layout::Place) -> IpAddr {
    match flow.load(v6) {
        0 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(flow.load(v4)).unwrap_or(0))),
        six => IpAddr::V6(six.into()),
    }
}

fn mac(flow: &FlowKey, place: layout::Place) -> MacAddr {
    MacAddr::from_u64(u64::try_from(flow.load(place)).unwrap_or(0))
}

/// What a packet of ARP or of neighbour discovery says.
struct Said {
    is_answer: bool,
    /// Who says it; in an answer, who is asked for.
    sender: (MacAddr, IpAddr),
    target: IpAddr,
}

impl Said {
    fn of(flow: &FlowKey) -> Option<Self> {
        let v4 =
            |place| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(flow.load(place)).unwrap_or(0)));
        if flow.eth_type() == 0x0806 {
            let sender = (mac(flow, layout::ARP_SHA), v4(layout::IPV4_SRC));
            let is_answer = flow.nw_proto() == 2;
            return Some(Self { is_answer, sender, target: v4(layout::IPV4_DST) });
        }
        let target = IpAddr::V6(flow.load(layout::ND_TARGET).into());
        let is_answer = flow.load(layout::TP_SRC) == 136;
        // Both come with a link-layer address, but in answers to those who have it already.
        let sender = match is_answer {
            true => (mac(flow, layout::ARP_THA), target),
            false => (mac(flow, layout::ARP_SHA), IpAddr::V6(flow.load(layout::IPV6_SRC).into())),
        };
        let unspecified = sender.1.is_unspecified();
        (unspecified || !sender.0.is_zero()).then_some(Self { is_answer, sender, target })
    }
}

impl Node {
    /// Takes a packet of the tables.
    pub(super) fn take(&mut self, packet: &PacketIn, now: Instant) {
        let flow = &packet.flow;
        let here = packet.bridge.name() == self.bridge.name();
        if here && self.activation.is_blocked(packet.in_port) {
            if self.activation.see(packet.in_port, flow) {
                self.say(&format!("port {} is active: its owner is here", packet.in_port));
                self.changed = true;
            }
            return;
        }
        match flow.eth_type() {
            0x0806 => self.neighbour(packet, now),
            0x86dd if flow.nw_proto() == 58 && matches!(flow.load(layout::TP_SRC), 135 | 136) => {
                self.neighbour(packet, now);
            }
            _ if self.watch_at(packet.bridge.name(), packet.in_port).is_some() => {
                self.hear(packet, now);
            }
            // Its owner has been there already.
            0x8035 => {}
            _ => self.connection(packet, now),
        }
    }

    /// ARP and neighbour discovery: answers are learned, questions answered.
    fn neighbour(&mut self, packet: &PacketIn, now: Instant) {
        let Some(said) = Said::of(&packet.flow) else { return };
        let bridge = packet.bridge.name();
        if said.is_answer {
            let name = self.device(bridge, packet.in_port).unwrap_or(bridge).to_owned();
            self.neighbours.set(&name, said.sender.1, said.sender.0, now);
            self.changed = true;
            return;
        }
        if self.guard.drops(packet.in_port, &packet.flow) {
            self.refused += 1;
            return;
        }
        // Who has no address yet asks whether somebody else has it: nobody but its holder answers.
        if said.sender.1.is_unspecified() {
            return;
        }
        let Some(owner) = self.who_has(bridge, packet.in_port, said.target) else { return };
        let Some(frame) = ask::answer(owner, said.target, said.sender) else { return };
        let out = packet.in_port.0.to_string();
        self.send(&packet.bridge, OfPort::NONE, &frame, &out, now);
    }

    /// The interface at a port of the node's bridge whose neighbours are asked for.
    fn device(&self, bridge: &str, port: OfPort) -> Option<&str> {
        let watch = self.watch_at(bridge, port).map(|watch| watch.name.as_str());
        watch.or_else(|| self.uplinks_at(bridge, port).next().map(|uplink| uplink.name.as_str()))
    }

    /// What the plan says of the uplink at a port: a line for each family.
    fn uplinks_at(&self, bridge: &str, port: OfPort) -> impl Iterator<Item = &Uplink> {
        let number = port.0.checked_sub(UPLINKS).filter(|_| bridge == self.bridge.name());
        self.plan.uplinks.iter().filter(move |uplink| Some(uplink.port) == number)
    }

    /// The MAC that the node answers with where an address is asked for.
    fn who_has(&self, bridge: &str, port: OfPort, target: IpAddr) -> Option<MacAddr> {
        let (_, underlay, _, own) = &self.plan.underlay;
        if bridge != self.bridge.name() {
            return (target == *underlay).then_some(*own);
        }
        if let Some(watch) = self.watch_at(bridge, port) {
            return (target == watch.address).then_some(watch.mac);
        }
        if let Some(uplink) = self.uplinks_at(bridge, port).next() {
            let service = self.plan.services.iter().any(|it| it.address.ip() == target)
                && self.gateways.of(target) == Some(port);
            let own = self.uplinks_at(bridge, port).any(|uplink| uplink.address == target);
            return (own || service).then_some(uplink.mac);
        }
        // Pods reach everything through their router.
        self.plan.router(target).map(|(_, mac)| mac)
    }

    /// A new connection to a service: it goes to a backend from now on.
    fn connection(&mut self, packet: &PacketIn, now: Instant) {
        let flow = &packet.flow;
        let target = address(flow, layout::IPV4_DST, layout::IPV6_DST);
        let client = address(flow, layout::IPV4_SRC, layout::IPV6_SRC);
        let ports = [layout::TP_SRC, layout::TP_DST].map(|place| flow.load(place) as u64);
        let service = self.plan.services.iter().position(|service| {
            service.address.ip() == target && u64::from(service.address.port()) == ports[1]
        });
        let Some((place, balancer)) =
            service.and_then(|place| Some((place, self.balancers.get_mut(place)?)))
        else {
            return;
        };
        let words = match client {
            IpAddr::V4(client) => [0, u64::from(client.to_bits()), ports[0]],
            IpAddr::V6(client) => {
                let bits = client.to_bits();
                [(bits >> 64) as u64, (bits & u128::from(u64::MAX)) as u64, ports[0]]
            }
        };
        let hash = (hash_words(&words, place as u64) >> 32) as u32;
        let Some(backend) = balancer.choose(client, hash, now) else {
            self.refused += 1;
            return;
        };
        let actions = format!("ct(commit,zone=1,nat(dst={backend}),table=2)");
        let bridge = packet.bridge.clone();
        self.send(&bridge, packet.in_port, &packet.frame, &actions, now);
    }
}
