//! Into other bridges: by patch ports, and underneath tunnels.

use std::sync::Arc;

use dp_core::action::Action as DpAction;
use dp_core::base::{DropReason, OfPort};
use dp_core::flow::{FieldId, FlowKey, LANES, Lane, PACKET_LANES, layout};

use super::context::boxed;
use super::encap::Pending;
use super::hooks::{Location, TunnelSend, TunnelSent};
use super::kept::sever;
use super::{Context, Effect, Part};
use crate::bridge::{BridgePort, PacketTypes};

impl Context<'_> {
    pub(super) fn output_patch(&mut self, port: &BridgePort, peer: &str, last: bool) {
        let Some(to) = self.world.peer(&port.name, peer) else {
            self.warn(format_args!("Nonexistent patch port peer"));
            return;
        };
        if self.is_too_deep() {
            return;
        }
        self.count_out(port);
        self.effects.push(Effect::Count(to.bridge.carried(to.port.ofport).rx));
        self.in_other_bridge(&to, last, Self::translate_in_peer);
    }

    /// Whether no other bridge may be entered: translation gives up then. Tunnels count as patches
    /// do, for one may lead into itself.
    pub(super) fn is_too_deep(&mut self) -> bool {
        let limit = self.view.config.limits.depth;
        let too_deep = self.depth >= limit;
        if too_deep {
            self.fail(super::TranslateError::TooDeep);
            self.recorder
                .note(super::Weight::Error, format_args!("over max translation depth {limit}"));
        }
        too_deep
    }

    /// What goes out of a patch or a tunnel is counted here: no device does.
    pub(super) fn count_out(&mut self, port: &BridgePort) {
        self.effects.push(Effect::Count(self.view.bridge.carried(port.ofport).tx));
    }

    pub(super) fn translate_in_peer(&mut self, port: &Arc<BridgePort>, last: bool) {
        if self.consumed(port) {
            return;
        }
        if port.no_receive || !(port.forwards || port.learns) {
            self.note(format_args!("port {} does not receive, dropping", port.name));
            return;
        }
        if self.asks_for_router(port) {
            return;
        }
        let before = self.actions.len();
        self.mirror_ingress(port);
        self.enter_first_table_of_peer(last);
        if !port.forwards {
            self.actions.truncate(before);
        }
    }

    /// Runs something in another bridge and comes back as though nothing had been.
    pub(super) fn in_other_bridge(
        &mut self,
        to: &Location,
        last: bool,
        run: impl FnOnce(&mut Self, &Arc<BridgePort>, bool),
    ) {
        let flow = boxed(&self.flow);
        let stack = std::mem::take(&mut self.stack);
        let set = std::mem::take(&mut self.set);
        let here = (self.table, self.cookie, self.rule.clone(), self.mirrors, self.snaplen);
        let (tracked, mpls) = (self.conntracked, self.was_mpls);
        let view = self.switch_to(&to.bridge);
        self.clear_own_fields();
        self.clear_conntrack();
        sever(&mut self.flow);
        let severed = std::mem::replace(&mut self.severed, true);
        (self.mirrors, self.snaplen) = (0, 0);
        self.set_in_port(to.port.ofport);
        self.depth += 1;
        self.recorder.enter(Part::Bridge(&self.view));
        run(self, &to.port, last);
        self.recorder.leave();
        self.depth -= 1;
        self.severed = severed;
        self.view = view;
        self.flow.clone_from(&flow);
        self.stack = stack;
        self.set = set;
        (self.table, self.cookie, self.rule, self.mirrors, self.snaplen) = here;
        (self.conntracked, self.was_mpls) = (tracked, mpls);
        // What ends in the other bridge does not end here.
        self.exit = false;
    }

    fn clear_lane(&mut self, lane: usize) {
        if !self.flow.lane(lane).is_zero() {
            *self.flow.lane_mut(lane) = Lane::ZERO;
        }
    }

    /// A bridge starts with its own registers and metadata.
    fn clear_own_fields(&mut self) {
        for lane in PACKET_LANES..LANES {
            self.clear_lane(lane);
        }
        self.flow.set(FieldId::ActsetOutput, u128::from(OfPort::UNSET.0));
    }

    pub(super) fn output_tunnel(&mut self, port: &Arc<BridgePort>, last: bool) {
        let Some(tunnels) = self.world.hooks.tunnels.clone() else {
            self.warn(format_args!("Tunneling decided against output"));
            return;
        };
        let flow = self.flow.clone();
        self.without_ethernet(port);
        self.view.bridge.tlv_table().put_options(&mut self.flow);
        let mut send = TunnelSend {
            bridge: &self.view.bridge,
            port,
            received: self.request.key,
            flow: &mut self.flow,
            wc: &mut self.wc,
            now: self.request.now,
            notes: Vec::new(),
        };
        let sent = tunnels.send(&mut send);
        let notes = std::mem::take(&mut send.notes);
        for (warning, text) in notes {
            if warning {
                self.warn(format_args!("{text}"))
            } else {
                self.note(format_args!("{text}"))
            }
        }
        if !matches!(sent, TunnelSent::Refused(..)) && !self.request.waited {
            // What is sent counts, as at the reference, whether or not there is a way.
            self.count_out(port);
        }
        match sent {
            TunnelSent::Refused(why, reason) => {
                self.warn(format_args!("{why}"));
                self.dropped = self.dropped.or(Some(reason));
            }
            TunnelSent::Dropped(why, reason) => {
                if reason == DropReason::TunnelHeaderBuildFailed {
                    self.commit();
                }
                self.warn(format_args!("{why}"));
                self.dropped = self.dropped.or(Some(reason));
            }
            TunnelSent::Waits(_) if !self.request.side_effects => {
                self.dropped = self.dropped.or(Some(DropReason::TunnelNeighbourMiss));
            }
            TunnelSent::Waits(wanted) => {
                self.flow = flow.clone();
                self.pending = Pending::default();
                self.await_neighbour(port, wanted);
            }
            TunnelSent::Actions(steps) => {
                self.sample_exit(port);
                self.commit();
                self.went_out(port);
                self.actions.extend(steps);
            }
            TunnelSent::Native { mut push, outer, underlay } => {
                // And once more with its headers, which are counted where they are put in front.
                let pushed = self.view.bridge.carried(port.ofport).tx;
                self.effects.push(Effect::CountPushed(pushed, push.header.len() as u64));
                self.commit();
                // Where it goes is into the tunnel; what is underneath is no place of its own.
                self.went_out(port);
                let (outputs, went_to) = (std::mem::take(&mut self.outputs), self.went_to);
                push.out_port = underlay.port.port;
                self.send_underneath(push, &outer, &underlay, last);
                (self.outputs, self.went_to) = (outputs, went_to);
            }
        }
        // The mark by which the tunnel is routed is the packet's from now on.
        let mark = self.flow.load(layout::PKT_MARK);
        self.flow = flow;
        if self.flow.load(layout::PKT_MARK) != mark {
            self.flow.store(layout::PKT_MARK, mark);
        }
        if self.base.load(layout::PACKET_TYPE) != 0 && self.flow.load(layout::PACKET_TYPE) == 0 {
            self.pending = Pending::PushEthernet;
        }
    }

    /// Takes the Ethernet header off where the tunnel carries what is behind it only.
    fn without_ethernet(&mut self, port: &BridgePort) {
        if port.packet_types == PacketTypes::LegacyL3 && self.flow.load(layout::PACKET_TYPE) == 0 {
            self.commit();
            let inner = 1 << 16 | u128::from(self.flow.eth_type());
            self.flow.store(layout::PACKET_TYPE, inner);
            self.pending = Pending::PopEthernet;
        }
    }

    /// The packet with its outer headers goes on in the bridge underneath.
    fn send_underneath(
        &mut self,
        push: Box<dp_core::action::TunnelPush>,
        outer: &FlowKey,
        underlay: &Location,
        last: bool,
    ) {
        if self.is_too_deep() {
            return;
        }
        let base = self.base.clone();
        let wc = self.wc.clone();
        let above = std::mem::take(&mut self.actions);
        let inner = std::mem::replace(&mut self.flow, outer.clone());
        self.flow.store(layout::RECIRC_ID, 0);
        self.base = self.flow.clone();
        let pending = std::mem::take(&mut self.pending);
        self.in_other_bridge(underlay, last, Self::translate_in_peer);
        self.pending = pending;
        self.flow = inner;
        self.base = base;
        // What was looked at underneath was the outer headers, which are the same for every packet
        // of the flow.
        self.wc = wc;
        let mut steps = std::mem::replace(&mut self.actions, above);
        if !steps.is_empty() {
            steps.insert(0, DpAction::TunnelPush(push));
            if last {
                self.actions.extend(steps);
            } else {
                self.actions.push(DpAction::Clone(steps.into()));
            }
        }
    }

    /// Whether a packet that is sent to a bridge's own port is for a tunnel that ends there.
    pub(super) fn terminates_tunnel(&mut self, port: &BridgePort) -> bool {
        let Some(tunnels) = self.world.hooks.tunnels.clone() else { return false };
        if port.ofport != OfPort::LOCAL {
            return false;
        }
        let seen = tunnels.snoop(&self.view.bridge, &self.flow, &mut self.wc);
        self.effects.extend(seen.map(Effect::Neighbour));
        let Some(tunnel) = tunnels.terminates(&self.flow, &mut self.wc) else { return false };
        self.commit();
        self.outputs.push(tunnel);
        self.went_to = self.went_to.and(port.ofport);
        self.actions.push(DpAction::TunnelPop(tunnel));
        true
    }

    /// Starts a list with a stack and an action set of its own.
    pub(super) fn with_own_state<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let (stack, set, flow) = (self.stack.clone(), self.set.clone(), boxed(&self.flow));
        let (tracked, mpls) = (self.conntracked, self.was_mpls);
        let result = run(self);
        self.stack = stack;
        self.set = set;
        self.flow.clone_from(&flow);
        (self.conntracked, self.was_mpls) = (tracked, mpls);
        result
    }
}
