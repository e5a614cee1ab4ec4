//! Output: to a port, to a reserved port, to many; queues.

use std::sync::Arc;

use dp_core::action::{Action as DpAction, SlowReasons};
use dp_core::base::OfPort;
use dp_core::flow::{FieldId, Wide, layout};

use super::hooks::WentTo;
use super::{Context, ETH_TYPE_IPV4, ETH_TYPE_IPV6};
use crate::action::{Action, Controller, PacketInReason, PacketType};
use crate::bridge::{BridgePort, PortKind};
use crate::table::Hidden;

impl Context<'_> {
    #[inline(never)]
    pub(super) fn output(&mut self, to: OfPort, max_len: u16, last: bool) {
        match to {
            OfPort::IN_PORT => {
                let port = self.in_port();
                self.output_to(port, last);
            }
            OfPort::NORMAL => self.normal(),
            OfPort::FLOOD => self.flood(false),
            OfPort::ALL => self.flood(true),
            OfPort::TABLE => {
                if self.count_resubmit() {
                    let here = (self.table, self.cookie);
                    self.depth += 1;
                    self.enter_table(0);
                    self.depth -= 1;
                    (self.table, self.cookie) = here;
                }
            }
            OfPort::CONTROLLER => {
                let reason = self.output_reason();
                self.controller(&Controller { max_len, reason, ..Controller::default() });
            }
            OfPort::NONE => {}
            port if port == self.in_port() => {
                self.warn(format_args!("skipping output to input port"));
            }
            port => self.output_to(port, last),
        }
    }

    /// An answer of a DHCP server reaches the host behind the local port whatever the tables say, if
    /// that host needs an address to speak with its controllers.
    pub(super) fn answer_in_band(&mut self) {
        if !self.view.tables.hidden().is_some_and(Hidden::is_in_band) || self.error.is_some() {
            return;
        }
        let key = self.request.key;
        let steps = [
            (layout::ETH_TYPE, u128::from(ETH_TYPE_IPV4)),
            (layout::NW_PROTO, 17),
            (layout::TP_SRC, 67),
            (layout::TP_DST, 68),
        ];
        for (place, wanted) in steps {
            self.wc.unwildcard_place(place);
            if key.load(place) != wanted {
                return;
            }
        }
        let Some(local) = self.port(OfPort::LOCAL) else { return };
        let reached = self.actions.contains(&DpAction::Output(local.port));
        if !reached && self.in_port() != OfPort::LOCAL {
            self.note(format_args!("outputting DHCP packet to local port for in-band control"));
            self.output_port(&local, true);
        }
    }

    /// Why a controller gets what is output to it here.
    pub(super) fn output_reason(&self) -> PacketInReason {
        if self.in_packet_out {
            PacketInReason::PacketOut
        } else if self.in_group {
            PacketInReason::Group
        } else if self.in_set {
            PacketInReason::ActionSet
        } else {
            PacketInReason::Action
        }
    }

    /// To an ordinary port, the input port included.
    fn output_to(&mut self, ofport: OfPort, last: bool) {
        match self.port(ofport) {
            Some(port) => self.output_port(&port, last),
            None => self.warn(format_args!("Nonexistent output port")),
        }
    }

    pub(super) fn output_port(&mut self, port: &Arc<BridgePort>, last: bool) {
        if port.no_forward {
            self.note(format_args!("OFPPC_NO_FWD set, skipping output"));
            return;
        }
        if !port.forwards && !self.is_own_frame(port) {
            self.note(format_args!("STP not in forwarding state, skipping output"));
            return;
        }
        if port.protected && self.port(self.in_port()).is_some_and(|from| from.protected) {
            self.warn(format_args!("Flow is between protected ports, skipping output."));
            return;
        }
        let ethernet = self.flow.load(layout::PACKET_TYPE) == u128::from(PacketType::ETHERNET.0);
        if !ethernet && !matches!(port.kind, PortKind::Patch { .. } | PortKind::Tunnel) {
            self.warn(format_args!(
                "Trying to send non-Ethernet packet through legacy L2 port. Dropping packet."
            ));
            return;
        }
        // Where a patch port leads, the packet goes on: it has not left.
        if let PortKind::Patch { peer } = &port.kind {
            return self.output_patch(port, peer, last);
        }
        let before = self.flow.get(FieldId::IpDscp);
        let marked = self.mark_as_queue(port);
        match &port.kind {
            PortKind::Tunnel => {
                self.cut_copy();
                self.output_tunnel(port, last);
            }
            PortKind::Routed => {
                self.cut_copy();
                self.output_routed(port, last);
            }
            kind => {
                let ends = matches!(kind, PortKind::Internal) && self.terminates_tunnel(port);
                if !ends {
                    self.sample_exit(port);
                    self.commit();
                    self.cut_copy();
                    self.went_out(port);
                    self.actions.push(DpAction::Output(port.port));
                }
            }
        }
        self.mirror_egress(port);
        if marked {
            self.flow.set(FieldId::IpDscp, before);
        }
        self.mirror_egress(port);
    }

    /// Gives an IP packet the code point of the queue that it is in; `false`: it keeps its own.
    fn mark_as_queue(&mut self, port: &BridgePort) -> bool {
        if port.dscps.is_empty() {
            return false;
        }
        self.wc.unwildcard_place(layout::SKB_PRIORITY);
        let queue = u32::try_from(self.flow.load(layout::SKB_PRIORITY)).unwrap_or(u32::MAX);
        let is_ip = matches!(self.flow.eth_type(), ETH_TYPE_IPV4 | ETH_TYPE_IPV6);
        let Some(&dscp) = port.dscps.get(&queue).filter(|_| is_ip) else { return false };
        self.wc.unwildcard(FieldId::IpDscp);
        self.flow.set(FieldId::IpDscp, u128::from(dscp));
        true
    }

    /// Whether a packet is one of a protocol that is spoken by a port: a port that carries nothing else
    /// carries those.
    fn is_own_frame(&mut self, port: &BridgePort) -> bool {
        let Some(protocols) = self.world.hooks.protocols.clone() else { return false };
        !protocols.consumes(&self.view.bridge, port, &self.flow, &mut self.wc).is_empty()
    }

    /// Notes where the packet goes, for those who are told.
    pub(super) fn went_out(&mut self, port: &BridgePort) {
        self.outputs.push(port.port);
        self.went_to = self.went_to.and(port.ofport);
    }

    /// At most this many bytes of the packet; what follows has all of it again.
    #[inline(never)]
    pub(super) fn output_trunc(&mut self, to: OfPort, max_len: u32) {
        let to = match to {
            OfPort::IN_PORT => self.in_port(),
            to if to == self.in_port() => {
                self.warn(format_args!("skipping output to input port"));
                return;
            }
            to => to,
        };
        let allowed = to < OfPort::MAX || matches!(to, OfPort::LOCAL);
        // What leaves a patch port is another bridge's, which the cut would reach too.
        let device =
            |port: &Arc<BridgePort>| allowed && !matches!(port.kind, PortKind::Patch { .. });
        let Some(port) = self.port(to).filter(device) else {
            self.refuse(format_args!("output_trunc does not support patch port {to}"));
            return;
        };
        let before = self.actions.len();
        if !self.world.features.trunc {
            self.slow |= SlowReasons::ACTION;
        }
        self.actions.push(DpAction::Trunc(max_len));
        self.output_port(&port, false);
        if self.actions.len() == before + 1 {
            self.actions.pop();
        }
    }

    /// To every port but the input; without `all`, only to those that take part in flooding.
    fn flood(&mut self, all: bool) {
        self.went_to = WentTo::Flooded;
        let in_port = self.in_port();
        let ports = Arc::clone(&self.view.ports);
        for port in ports.in_flood_order() {
            if port.ofport != in_port && (all || !port.no_flood) {
                self.output_port(port, false);
            }
        }
    }

    pub(super) fn enqueue(&mut self, to: OfPort, queue: u32) {
        if to == OfPort::IN_PORT || to != self.in_port() {
            let before = self.flow.load(layout::SKB_PRIORITY);
            self.set_queue(queue);
            self.output(to, 0, false);
            self.flow.store(layout::SKB_PRIORITY, before);
        }
    }

    pub(super) fn set_queue(&mut self, queue: u32) {
        self.wc.unwildcard_place(layout::SKB_PRIORITY);
        self.flow.store(layout::SKB_PRIORITY, u128::from(queue));
    }

    pub(super) fn pop_queue(&mut self) {
        self.wc.unwildcard_place(layout::SKB_PRIORITY);
        let first = self.request.key.load(layout::SKB_PRIORITY);
        self.flow.store(layout::SKB_PRIORITY, first);
        self.note(format_args!("queue = {first:#x}", first = Plain(first)));
    }

    /// Tunnel metadata that goes is as it was before it came.
    pub(super) fn delete_field(&mut self, field: FieldId) {
        if let Some(number) = field.tun_metadata_number() {
            self.set_option(field, Wide::ZERO, Wide::ONES);
            let present = self.flow.load(layout::TUN_METADATA_PRESENT) & !(1 << number);
            self.flow.store(layout::TUN_METADATA_PRESENT, present);
        } else {
            self.set_whole(field, 0);
        }
        self.note(format_args!("delete {}", field.field().name));
    }

    /// Whether undoing what a list does takes only writing fields. A clone within it undoes its own.
    pub(super) fn reversible(actions: &[Action]) -> bool {
        !actions.iter().any(|action| {
            matches!(
                action,
                Action::Ct(_)
                    | Action::Meter(_)
                    | Action::OutputTrunc { .. }
                    | Action::Encap(_)
                    | Action::Decap(_)
                    | Action::DecNshTtl
            )
        })
    }
}

/// Zero without a prefix.
pub(super) struct Plain(pub(super) u128);

impl std::fmt::LowerHex for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { std::fmt::LowerHex::fmt(&self.0, f) }
    }
}
