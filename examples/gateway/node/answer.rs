//! What the node does with packets that its tables hand over: questions for addresses are answered,
//! next hops and neighbours are learned, blocked ports wake up, new connections to services get a
//! backend.

use std::net::{IpAddr, Ipv4Addr};

use dp_core::base::{Instant, MacAddr, OfPort, hash_words};
use dp_core::flow::{FlowKey, layout};
use dp_ofproto::upcall::PacketIn;

use super::Node;
use super::flows::UPLINKS;

fn address(flow: &FlowKey, v4: layout::Place, v6: layout::Place) -> IpAddr {
    match flow.load(v6) {
        0 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(flow.load(v4)).unwrap_or(0))),
        six => IpAddr::V6(six.into()),
    }
}

fn mac(flow: &FlowKey, place: layout::Place) -> MacAddr {
    MacAddr::from_u64(u64::try_from(flow.load(place)).unwrap_or(0))
}

impl Node {
    /// Takes a packet of the tables.
    pub(super) fn take(&mut self, packet: &PacketIn, now: Instant) {
        match packet.flow.eth_type() {
            0x0806 => self.arp(packet, now),
            0x8035 => {
                if self.activation.see(packet.in_port, &packet.flow) {
                    self.say(&format!("port {} is active: its owner is here", packet.in_port));
                    self.changed = true;
                }
            }
            _ => self.connection(packet, now),
        }
    }

    fn arp(&mut self, packet: &PacketIn, now: Instant) {
        let flow = &packet.flow;
        let v4 = |place| Ipv4Addr::from_bits(u32::try_from(flow.load(place)).unwrap_or(0));
        let (sender, target) = (IpAddr::V4(v4(layout::IPV4_SRC)), IpAddr::V4(v4(layout::IPV4_DST)));
        if flow.nw_proto() == 2 {
            let name = packet.bridge.name();
            let name = match self.uplink_at(name, packet.in_port) {
                Some(place) => self.plan.uplinks.get(place).map_or("", |it| &it.name).to_owned(),
                None => name.to_owned(),
            };
            self.neighbours.set(&name, sender, mac(flow, layout::ARP_SHA), now);
            self.changed = true;
            return;
        }
        if self.guard.drops(packet.in_port, flow) {
            self.refused += 1;
            return;
        }
        let Some(owner) = self.who_has(packet.bridge.name(), packet.in_port, target) else {
            return;
        };
        let back = format!(
            "move:eth_src[]->eth_dst[],set_field:{owner}->eth_src,set_field:2->arp_op,\
             move:arp_sha[]->arp_tha[],move:arp_spa[]->arp_tpa[],set_field:{owner}->arp_sha,\
             set_field:{target}->arp_spa,IN_PORT"
        );
        let bridge = packet.bridge.clone();
        self.send(&bridge, packet.in_port, &packet.frame, &back, now);
    }

    /// The uplink with this port of the node's bridge.
    fn uplink_at(&self, bridge: &str, port: OfPort) -> Option<usize> {
        let place = usize::from(port.0.checked_sub(UPLINKS)?);
        (bridge == self.bridge.name() && place < self.plan.uplinks.len()).then_some(place)
    }

    /// The MAC that the node answers with where an address is asked for.
    fn who_has(&self, bridge: &str, port: OfPort, target: IpAddr) -> Option<MacAddr> {
        let (_, underlay, _, own) = &self.plan.underlay;
        if bridge != self.bridge.name() {
            return (target == *underlay).then_some(*own);
        }
        if let Some(place) = self.uplink_at(bridge, port) {
            let uplink = self.plan.uplinks.get(place)?;
            let service = self.plan.services.iter().any(|it| it.address.ip() == target)
                && self.gateways.of(target) == Some(port);
            return (target == uplink.address || service).then_some(uplink.mac);
        }
        // Pods reach everything through their router.
        Some(self.plan.router.1)
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
