//! Output to the switch's routes: a port of the kind `routed` is where they begin.
//!
//! A packet that is output there is forwarded as by a router: the route of its destination, its
//! source and its mark names a bridge and a next hop; the packet gets their addresses and one hop
//! less to live, and goes on in that bridge as though the bridge's own port had sent it. Unlike a
//! tunnel, nothing is put in front of it. One whose neighbour is not known waits for the answer; what
//! is for an address of the host itself goes into that bridge's own port.
//!
//! A kind of port, and not an action, is what every controller and every version of OpenFlow can say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dp_core::base::{DropReason, MacAddr};
use dp_core::flow::{FieldId, layout};

use super::hooks::{RouteAsked, RouteFound};
use super::{Context, ETH_TYPE_IPV4, ETH_TYPE_IPV6};
use crate::bridge::BridgePort;

impl Context<'_> {
    pub(super) fn output_routed(&mut self, port: &Arc<BridgePort>, last: bool) {
        let Some(tunnels) = self.world.hooks.tunnels.clone() else {
            self.warn(format_args!("there are no routes, dropping"));
            return;
        };
        let Some((source, destination)) = self.ip_ends() else {
            self.note(format_args!("only IP packets are routed, dropping"));
            self.dropped = self.dropped.or(Some(DropReason::RoutedNotIp));
            return;
        };
        self.wc.unwildcard(FieldId::PktMark);
        self.wc.unwildcard(FieldId::NwTtl);
        let mark = u32::try_from(self.flow.load(layout::PKT_MARK)).unwrap_or(0);
        let asked = RouteAsked { source, destination, mark, now: self.request.now };
        match tunnels.route(&asked) {
            RouteFound::NoWay => {
                self.warn(format_args!("no route to {destination}, dropping"));
                self.dropped = self.dropped.or(Some(DropReason::TunnelRoutingFailed));
            }
            RouteFound::Waits(wanted) => {
                let what = if wanted.target.is_ipv4() { "ARP" } else { "ND" };
                self.note(format_args!(
                    "neighbor cache miss for {} on bridge {}, sending {what} request",
                    wanted.target, wanted.bridge
                ));
                if self.request.side_effects {
                    self.await_neighbour(port, wanted);
                } else {
                    self.dropped = self.dropped.or(Some(DropReason::TunnelNeighbourMiss));
                }
            }
            RouteFound::Way { device, next, eth_src, eth_dst, is_own } => {
                let ttl = self.flow.get(FieldId::NwTtl);
                if !is_own && ttl <= 1 {
                    self.note(format_args!("its time to live is over, dropping"));
                    self.dropped = self.dropped.or(Some(DropReason::RoutedTtlExpired));
                    return;
                }
                self.note(format_args!("routing to {next} via {}", device.bridge.name()));
                if self.is_too_deep() {
                    return;
                }
                self.count_out(port);
                self.with_own_state(|context| {
                    context.set_whole(FieldId::EthDst, mac(eth_dst));
                    if is_own {
                        context.in_other_bridge(&device, last, Self::output_port);
                    } else {
                        context.set_whole(FieldId::EthSrc, mac(eth_src));
                        context.set_whole(FieldId::NwTtl, ttl - 1);
                        context.in_other_bridge(&device, last, Self::translate_in_peer);
                    }
                });
            }
        }
    }

    /// Source and destination of an IP packet; both count from now on.
    fn ip_ends(&mut self) -> Option<(IpAddr, IpAddr)> {
        let v4 = |value: u128| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(value).unwrap_or(0)));
        let v6 = |value: u128| IpAddr::V6(Ipv6Addr::from_bits(value));
        match self.flow.eth_type() {
            ETH_TYPE_IPV4 => {
                self.wc.unwildcard_place(layout::IPV4_SRC);
                self.wc.unwildcard_place(layout::IPV4_DST);
                let (src, dst) =
                    (self.flow.load(layout::IPV4_SRC), self.flow.load(layout::IPV4_DST));
                Some((v4(src), v4(dst)))
            }
            ETH_TYPE_IPV6 => {
                self.wc.unwildcard_place(layout::IPV6_SRC);
                self.wc.unwildcard_place(layout::IPV6_DST);
                let (src, dst) =
                    (self.flow.load(layout::IPV6_SRC), self.flow.load(layout::IPV6_DST));
                Some((v6(src), v6(dst)))
            }
            _ => None,
        }
    }
}

fn mac(address: MacAddr) -> u128 {
    u128::from(address.to_u64())
}
