//! The node's flow tables, written as text from its plan and from what is known now.
//!
//! ```text
//!   0 who is it?   ARP, ND ─► this program   pods, uplinks ─► tracked ─► 1    from a peer ─► 1 or 12
//!   1 tracked      new, for a service ─► this program chooses a backend ─► 2
//!                  answers ─► addresses translated back ─► 2   not tracked (name server) ─► 3
//!                  others as they are, so that routes see the source that they are for ─► 2
//!   2 where to?    pods and peers' pods ─► 3    a service's answers ─► 20 + its uplink
//!                  everything else by the routing table, its source translated ─► 20 + uplink
//!   3 owners       address ─► MAC and port in one look     peers' pods ─► the tunnel
//!   12 answers of backends at peers: both translations undone ─► 2
//!   20 + n         out by uplink n, once its next hop's MAC is known
//! ```

use std::fmt::Write;
use std::net::IpAddr;

use dp_core::base::{MacAddr, OfPort};
use dp_core::route::{Policy, Route};
use dp_ofproto::gateway::{Activation, GatewayPorts, Owners};
use dp_ofproto::protocols::bfd;

use super::plan::Plan;

/// OpenFlow numbers of ports: pods from 1 on, uplinks from 101 on.
pub(super) const UPLINKS: u16 = 101;
/// The tunnel's port.
pub(super) const TUNNEL: u16 = 200;
/// The name server's port.
pub(super) const DNS: u16 = 201;
/// The first port of a BFD session.
pub(super) const WATCHES: u16 = 210;
/// What tells the nodes' tunnels from others.
const KEY: u32 = 7;

/// What is known now.
pub(super) struct Known<'a> {
    pub(super) plan: &'a Plan,
    pub(super) owners: &'a Owners,
    pub(super) gateways: &'a GatewayPorts,
    pub(super) activation: &'a Activation,
    /// Routes, and the uplink that each leads by.
    pub(super) routes: &'a [(Route, usize)],
    /// The MACs of the uplinks' next hops.
    pub(super) next_hops: &'a [Option<MacAddr>],
}

/// A match on an address of a packet: `nw_src=…` or `ipv6_dst=…`, with its protocol.
pub(super) fn on(address: impl std::fmt::Display, v4: bool, which: &str) -> String {
    if v4 { format!("ip,nw_{which}={address}") } else { format!("ipv6,ipv6_{which}={address}") }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ipv6" }
}

fn to(address: IpAddr) -> String {
    on(address, address.is_ipv4(), "dst")
}

impl Known<'_> {
    /// All flows of the node's bridge.
    pub(super) fn flows(&self) -> String {
        let mut out = String::new();
        self.classify(&mut out);
        self.tracked(&mut out);
        self.whereto(&mut out);
        self.owned(&mut out);
        self.leaving(&mut out);
        out
    }

    fn classify(&self, out: &mut String) {
        for pod in &self.plan.pods {
            let number = pod.port;
            if self.activation.is_blocked(OfPort(number)) {
                let _ = writeln!(
                    out,
                    "priority=301,in_port={number},rarp,actions=CONTROLLER:65535\n\
                     priority=301,in_port={number},icmp6,icmp_type=136,actions=CONTROLLER:65535\n\
                     priority=300,in_port={number},actions=drop"
                );
            }
            let _ = writeln!(
                out,
                "priority=100,in_port={number},{},actions=ct(zone=1,table=1)",
                on(pod.address, pod.address.is_ipv4(), "src")
            );
        }
        out.push_str("priority=250,arp,actions=CONTROLLER:65535\n");
        out.push_str("priority=250,icmp6,icmp_type=135,actions=CONTROLLER:65535\n");
        out.push_str("priority=250,icmp6,icmp_type=136,actions=CONTROLLER:65535\n");
        for (router, _) in &self.plan.routers {
            let own = to(*router);
            let _ = writeln!(
                out,
                "priority=210,in_port={TUNNEL},{own},actions=ct(zone=2,nat,table=12)"
            );
        }
        let _ = writeln!(
            out,
            "priority=200,in_port={TUNNEL},ip,actions=ct(zone=1,table=1)\n\
             priority=200,in_port={TUNNEL},ipv6,actions=ct(zone=1,table=1)\n\
             table=12,actions=ct(zone=1,nat,table=2)"
        );
        for uplink in &self.plan.uplinks {
            let _ = writeln!(
                out,
                "priority=100,in_port={},{},dl_dst={},actions=ct(zone=1,table=1)",
                UPLINKS + uplink.port,
                family(uplink.address),
                uplink.mac
            );
        }
        for (number, watch) in (WATCHES..).zip(&self.plan.watches) {
            let _ = writeln!(
                out,
                "priority=310,in_port={number},udp,nw_dst={},tp_dst={},actions=CONTROLLER:65535\n\
                 priority=309,in_port={number},arp,actions=CONTROLLER:65535\n\
                 priority=308,in_port={number},actions=drop",
                watch.address,
                bfd::UDP_PORT
            );
        }
        for (address, ..) in &self.plan.dns {
            let family = family(*address);
            let _ = writeln!(out, "priority=100,in_port={DNS},{family},actions=ct(zone=1,table=1)");
        }
    }

    fn tracked(&self, out: &mut String) {
        for service in &self.plan.services {
            let address = service.address;
            let family = if address.is_ipv4() { "tcp,nw_dst" } else { "tcp6,ipv6_dst" };
            let _ = writeln!(
                out,
                "table=1,priority=200,ct_state=+trk+new,{family}={},tp_dst={},\
                 actions=CONTROLLER:65535",
                address.ip(),
                address.port()
            );
            let _ = writeln!(
                out,
                "table=1,priority=95,ct_state=+trk,{},actions=ct(zone=1,nat,table=2)",
                to(address.ip())
            );
        }
        out.push_str(
            "table=1,priority=150,ct_state=+trk+inv,actions=drop\n\
             table=1,priority=100,ct_state=-trk,actions=resubmit(,3)\n\
             table=1,priority=80,ct_state=+trk+rpl,actions=ct(zone=1,nat,table=2)\n\
             table=1,priority=70,ct_state=+trk,actions=resubmit(,2)\n",
        );
    }

    fn whereto(&self, out: &mut String) {
        for pod in &self.plan.pods {
            let _ = writeln!(
                out,
                "table=2,priority=2900,ct_state=+trk+new,{},actions=ct(commit,zone=1,table=3)\n\
                 table=2,priority=2899,{0},actions=resubmit(,3)",
                to(pod.address)
            );
        }
        for peer in &self.plan.peers {
            let v4 = peer.pods.address().is_ipv4();
            let pods = on(peer.pods, v4, "dst");
            let Some((router, _)) = self.plan.router(peer.pods.address()) else { continue };
            // A client of a service whose backend is at the peer must come back through this node.
            let _ = writeln!(
                out,
                "table=2,priority=2890,ct_state=+trk+dnat,{pods},\
                 actions=ct(commit,zone=2,nat(src={}),table=3)\n\
                 table=2,priority=2889,ct_state=+trk+new,{pods},actions=ct(commit,zone=1,table=3)\n\
                 table=2,priority=2888,{pods},actions=resubmit(,3)",
                router
            );
        }
        for service in &self.plan.services {
            let address = service.address.ip();
            let Some(OfPort(port)) = self.gateways.of(address) else { continue };
            let from = on(address, address.is_ipv4(), "src");
            let at = |it: &super::plan::Uplink| {
                UPLINKS + it.port == port && it.address.is_ipv4() == address.is_ipv4()
            };
            let Some(place) = self.plan.uplinks.iter().position(at) else { continue };
            let table = 20 + place;
            let _ = writeln!(out, "table=2,priority=2800,{from},actions=resubmit(,{table})");
        }
        for (route, uplink) in self.routes {
            let Some(out_by) = self.plan.uplinks.get(*uplink) else { continue };
            let which = match route.key.policy {
                Policy::Destination => "dst",
                Policy::Source => "src",
            };
            let matching = on(route.key.prefix, route.key.prefix.address().is_ipv4(), which);
            let _ = writeln!(
                out,
                "table=2,priority={},{matching},actions=ct(commit,zone=1,nat(src={}),table={})",
                100 + route.rank.0,
                out_by.address,
                20 + uplink
            );
        }
    }

    fn owned(&self, out: &mut String) {
        let dns = self.plan.dns.iter().map(|(address, ..)| *address);
        for address in self.plan.pods.iter().map(|pod| pod.address).chain(dns) {
            let owner = self.owners.of(address);
            let Some(owner) = owner.filter(|it| !self.activation.is_blocked(it.port)) else {
                continue;
            };
            // The name server needs a router only for its MAC, which every family has.
            let router = self.plan.router(address).or(self.plan.routers.first().copied());
            let Some((_, router)) = router else { continue };
            let _ = writeln!(
                out,
                "table=3,priority=100,{},actions=mod_dl_src:{router},mod_dl_dst:{},output:{}",
                to(address),
                owner.mac,
                owner.port.0
            );
        }
        for peer in &self.plan.peers {
            let pods = on(peer.pods, peer.pods.address().is_ipv4(), "dst");
            let end = if peer.end.is_ipv4() { "tun_dst" } else { "tun_ipv6_dst" };
            let _ = writeln!(
                out,
                "table=3,priority=50,{pods},actions=set_field:{KEY}->tun_id,\
                 set_field:{}->{end},output:{TUNNEL}",
                peer.end
            );
        }
    }

    fn leaving(&self, out: &mut String) {
        for (place, uplink) in self.plan.uplinks.iter().enumerate() {
            let Some(Some(mac)) = self.next_hops.get(place) else { continue };
            let _ = writeln!(
                out,
                "table={},{},actions=mod_dl_src:{},mod_dl_dst:{mac},dec_ttl,output:{}",
                20 + place,
                family(uplink.address),
                uplink.mac,
                UPLINKS + uplink.port
            );
        }
    }
}
