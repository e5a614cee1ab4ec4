//! What a translation carries along.

use std::sync::Arc;

use dp_core::action::{Action as DpAction, SlowReasons};
use dp_core::base::{DropReason, OfPort, PortNo};
use dp_core::flow::layout;
use dp_core::flow::{FieldId, FlowKey, FlowMask, PACKET_LANES, Wide};
use smallvec::SmallVec;

use super::action_set::ActionSet;
use super::encap::NSH;
use super::freeze::Freezing;
use super::hooks::WentTo;
use super::mpls::LABELS as MPLS;
use super::recirc::RecircRef;
use super::{
    Basis, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_MPLS, ETH_TYPE_NSH, Effect, Effects, Part,
    Recorder, Request, TranslateError, Translation, View, Weight, World,
};
use crate::bridge::{Bridge, BridgePort, PacketTypes, PortKind, asked_for};

pub(super) struct Context<'a> {
    pub(super) world: &'a World,
    pub(super) request: Request<'a>,
    /// The bridge that the packet is in.
    pub(super) view: View,
    /// All bridges that it was in.
    views: SmallVec<[View; 2]>,
    /// The packet as OpenFlow sees it now.
    pub(super) flow: FlowKey,
    /// The packet as the datapath's actions so far have left it.
    pub(super) base: FlowKey,
    pub(super) wc: FlowMask,
    /// Bits that the packet has come back with: they are the same wherever it has this number.
    pub(super) thawed: FlowMask,
    /// Nothing of the packet's own tunnel is seen: it is in another bridge than it came in.
    pub(super) severed: bool,
    pub(super) actions: Vec<DpAction>,
    pub(super) effects: Effects,
    pub(super) table: u8,
    pub(super) cookie: u64,
    /// The rule that acts.
    pub(super) rule: Option<Arc<crate::table::Rule>>,
    pub(super) depth: u32,
    /// Look-ups within which the present one is.
    pub(super) nested: u32,
    pub(super) resubmits: u32,
    pub(super) exit: bool,
    /// The packet came in where a mirror's copies go: it takes part in nothing.
    pub(super) reserved: bool,
    /// The present list has ended before its end.
    pub(super) end_of_list: bool,
    pub(super) error: Option<TranslateError>,
    pub(super) set: ActionSet,
    pub(super) in_set: bool,
    pub(super) in_group: bool,
    pub(super) in_packet_out: bool,
    pub(super) stack: Vec<Wide>,
    pub(super) freezing: Option<Freezing>,
    pub(super) conntracked: bool,
    /// The rule whose list is walked says that its `ct` need not track.
    pub(super) untracked_hint: bool,
    /// Labels have been taken off: what is beneath is not known.
    pub(super) was_mpls: bool,
    pub(super) pending: super::encap::Pending,
    pub(super) mirrors: u32,
    pub(super) snaplen: u16,
    pub(super) recircs: SmallVec<[RecircRef; 1]>,
    pub(super) slow: SlowReasons,
    /// Datapath ports that it went to, for samples.
    pub(super) outputs: Vec<PortNo>,
    /// Where it went, for those who are told of flows.
    pub(super) went_to: WentTo,
    /// Why an output did not happen: the reason of the drop if nothing else does.
    pub(super) dropped: Option<DropReason>,
    pub(super) recorder: &'a mut dyn Recorder,
}

impl<'a> Context<'a> {
    pub(super) fn new(request: Request<'a>, recorder: &'a mut dyn Recorder) -> Self {
        let view = View::of(&request.location.bridge);
        let mut flow = request.key.clone();
        flow.store(layout::IN_PORT, u128::from(request.location.port.ofport.0));
        flow.set(FieldId::ActsetOutput, u128::from(OfPort::UNSET.0));
        view.bridge.tlv_table().fill(&mut flow);
        Self {
            world: request.world,
            views: SmallVec::from_iter([view.clone()]),
            view,
            base: flow.clone(),
            flow,
            wc: FlowMask::EMPTY,
            thawed: FlowMask::EMPTY,
            severed: false,
            actions: Vec::new(),
            effects: Effects::new(),
            table: 0,
            // A controller's own packet is no rule's.
            cookie: if request.actions.is_some() { u64::MAX } else { 0 },
            rule: None,
            depth: 0,
            nested: 0,
            resubmits: 0,
            exit: false,
            reserved: false,
            end_of_list: false,
            error: None,
            set: ActionSet::default(),
            in_set: false,
            in_group: false,
            in_packet_out: request.actions.is_some(),
            stack: Vec::new(),
            freezing: None,
            conntracked: false,
            untracked_hint: false,
            was_mpls: false,
            pending: super::encap::Pending::default(),
            mirrors: 0,
            snaplen: 0,
            recircs: SmallVec::new(),
            slow: SlowReasons::empty(),
            outputs: Vec::new(),
            went_to: WentTo::default(),
            dropped: None,
            recorder,
            request,
        }
    }

    pub(super) fn run(&mut self) {
        self.always_counts();
        let told = self.is_told_of();
        if self.flow.recirc_id().0 != 0 {
            self.resume();
            return;
        }
        self.recorder.enter(Part::Bridge(&self.view));
        let port = Arc::clone(&self.request.location.port);
        let actions = self.request.actions;
        self.settle_tunnel(&port);
        if let Some(reason) = self.dropped {
            let why = match reason {
                DropReason::Congestion => {
                    "dropping tunnel packet marked ECN CE but is not ECN capable"
                }
                _ => "dropping tunnel packet with a critical option that nobody knows",
            };
            self.note(format_args!("{why}"));
        } else if actions.is_none() && (self.consumed(&port) || !port.lets_in()) {
            // A bridge protocol has it, or nobody; the rule that would have had it counts it all the
            // same.
            self.count_in_first_table();
        } else if actions.is_none() && self.asks_for_router(&port) {
            // What the tables hold is not asked.
        } else {
            let at = self.actions.len();
            self.sample_entry(&port);
            let entry = self.actions.len() - at;
            self.mirror_ingress(&port);
            let before = self.actions.len();
            match actions {
                Some(actions) => self.walk(actions, true),
                None => {
                    self.reserved = self.is_mirror_output(&port);
                    self.enter_first_table(0);
                }
            }
            self.end_of_tables();
            if !port.forwards && actions.is_none() {
                // It has been learned from, and nothing else.
                self.actions.truncate(before);
            }
            self.finish_samples(entry);
            if told {
                self.tell_of_flow();
            }
        }
        self.recorder.leave();
    }

    /// What a tunnel says of a packet that came out of it: that it has met congestion, and that it
    /// has no Ethernet header where the port's packets are to have one.
    fn settle_tunnel(&mut self, port: &BridgePort) {
        if port.packet_types == PacketTypes::LegacyL3 && self.flow.load(layout::PACKET_TYPE) != 0 {
            self.flow.store(layout::PACKET_TYPE, 0);
            self.pending = super::encap::Pending::PushEthernet;
        }
        if port.kind == PortKind::Tunnel {
            self.refuse_unknown_critical();
            if self.dropped.is_none() {
                self.effects.push(Effect::Count(self.view.bridge.carried(port.ofport).rx));
            }
            // What makes the packet this port's counts, whoever has found the port.
            if let Some(tunnels) = &self.world.hooks.tunnels {
                let _ = tunnels.receive(self.request.key, &mut self.wc);
            }
        }
        let ip = matches!(self.flow.eth_type(), ETH_TYPE_IPV4 | ETH_TYPE_IPV6);
        let tos = self.flow.load(layout::TUN_TOS);
        // The ways in which what was met outside says more than what stands inside (RFC 6040, 4.2).
        if !ip || !matches!(tos & 3, ECT_1 | CE) {
            return;
        }
        self.wc.unwildcard_place(layout::TUN_TOS);
        self.wc.unwildcard_bits(FieldId::NwEcn, u128::MAX);
        let inner = self.flow.load(layout::NW_TOS);
        match (tos & 3, inner & 3) {
            (CE, 0) => self.dropped = Some(DropReason::Congestion),
            (CE, _) => self.flow.store(layout::NW_TOS, inner | CE),
            (ECT_1, ECT_0) => self.flow.store(layout::NW_TOS, inner & !3 | ECT_1),
            _ => {}
        }
    }

    /// A Geneve option whose sender says that it must not be passed over, and that no field of the
    /// bridge stands for, stops its packet (RFC 8926 section 3.5).
    fn refuse_unknown_critical(&mut self) {
        let len = usize::try_from(self.flow.load(layout::TUN_OPT_LEN)).unwrap_or(0);
        if len == 0 {
            return;
        }
        self.wc.unwildcard_place(layout::TUN_OPT_LEN);
        let table = self.view.bridge.tlv_table();
        let mut at = 0;
        while at + 4 <= len {
            let lane = layout::TUN_OPTIONS_LANE + at / 64;
            let Some(&[c0, c1, kind, size]) =
                self.flow.lane(lane).bytes().get(at % 64..).and_then(<[u8]>::first_chunk)
            else {
                return;
            };
            if let Some(header) = self.wc.lane_mut(lane).bytes_mut().get_mut(at % 64..at % 64 + 4) {
                header.fill(0xff);
            }
            let class = u16::from_be_bytes([c0, c1]);
            let known = |tlv: crate::tlv::Tlv| (tlv.class, tlv.kind) == (class, kind);
            if kind & 0x80 != 0 && !table.iter().any(|(_, tlv)| known(tlv)) {
                self.dropped = Some(DropReason::InvalidTunnelMetadata);
            }
            at += 4 + usize::from(size & 0x1f) * 4;
        }
    }

    /// The action set at the end, or what is left when the datapath must help first.
    pub(super) fn end_of_tables(&mut self) {
        if self.freezing.is_none() {
            self.run_action_set();
        }
        if self.freezing.is_some() {
            self.finish_freezing();
        }
    }

    /// Whether the packet asks for a router's address where that is not to be asked for: it is dropped.
    pub(super) fn asks_for_router(&mut self, port: &BridgePort) -> bool {
        if port.unasked.is_empty() {
            return false;
        }
        let asked = asked_for(&self.flow, &mut self.wc);
        let Some(asked) = asked.filter(|asked| port.unasked.contains(asked)) else { return false };
        let name = &port.name;
        self.note(format_args!(
            "dropping question for router address {asked} received on port {name}"
        ));
        self.dropped = self.dropped.or(Some(DropReason::RouterAsked));
        true
    }

    /// Whether one of the bridge's own protocols takes the packet.
    pub(super) fn consumed(&mut self, port: &BridgePort) -> bool {
        let Some(protocols) = self.world.hooks.protocols.clone() else { return false };
        let reasons = protocols.consumes(&self.view.bridge, port, &self.flow, &mut self.wc);
        if reasons.is_empty() {
            return false;
        }
        self.slow |= reasons;
        if let Some(frame) = self.request.frame.filter(|_| self.request.side_effects) {
            protocols.process(&self.view.bridge, port, &self.flow, frame, self.request.now);
        }
        true
    }

    /// What every megaflow says: the port, the pass, the shape of the packet.
    fn always_counts(&mut self) {
        self.wc.unwildcard_place(layout::IN_PORT);
        self.wc.unwildcard_place(layout::RECIRC_ID);
        self.wc.unwildcard_place(layout::PACKET_TYPE);
        self.wc.unwildcard_place(layout::ETH_TYPE);
        if matches!(self.flow.eth_type(), ETH_TYPE_IPV4 | ETH_TYPE_IPV6) {
            self.wc.unwildcard_place(layout::NW_FRAG);
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.exit || self.error.is_some()
    }

    pub(super) fn fail(&mut self, error: TranslateError) {
        self.error = Some(error);
    }

    pub(super) fn in_port(&self) -> OfPort {
        OfPort(u16::try_from(self.flow.get(FieldId::InPort)).unwrap_or(OfPort::NONE.0))
    }

    pub(super) fn set_in_port(&mut self, port: OfPort) {
        self.flow.store(layout::IN_PORT, u128::from(port.0));
    }

    pub(super) fn port(&self, ofport: OfPort) -> Option<Arc<BridgePort>> {
        self.view.ports.get(ofport).map(Arc::clone)
    }

    pub(super) fn bridge(&self) -> &Arc<Bridge> {
        &self.view.bridge
    }

    pub(super) fn note(&mut self, text: std::fmt::Arguments<'_>) {
        self.recorder.note(Weight::Detail, text);
    }

    pub(super) fn warn(&mut self, text: std::fmt::Arguments<'_>) {
        self.recorder.note(Weight::Warning, text);
    }

    pub(super) fn refuse(&mut self, text: std::fmt::Arguments<'_>) {
        self.recorder.note(Weight::Error, text);
    }

    /// Goes over to another bridge; gives the view of the one before.
    pub(super) fn switch_to(&mut self, bridge: &Arc<Bridge>) -> View {
        let known = self.views.iter().find(|view| Arc::ptr_eq(&view.bridge, bridge)).cloned();
        let view = known.unwrap_or_else(|| {
            let view = View::of(bridge);
            self.views.push(view.clone());
            view
        });
        std::mem::replace(&mut self.view, view)
    }

    pub(super) fn finish(mut self) -> Translation {
        let full_mask = self.trim_mask();
        if let Some(error) = self.error {
            let counters = self.view.bridge.limit_counters();
            match error {
                TranslateError::TooDeep => counters.hit_depth(),
                TranslateError::TooManyResubmits => counters.hit_resubmits(),
                TranslateError::StackTooDeep => counters.hit_stack(),
                _ => {}
            }
            self.actions = vec![DpAction::Drop(error.drop_reason())];
        }
        if let Some(reason) =
            self.dropped.filter(|_| self.actions.is_empty() && self.world.features.explicit_drop)
        {
            self.actions = vec![DpAction::Drop(reason)];
        }
        if self.actions.len() >= super::resubmit::MOST_ACTIONS {
            self.slow |= SlowReasons::ACTION;
        }
        self.open_last_copy();
        let slow_meter = self.view.bridge.datapath_meter(crate::action::meter_id::SLOWPATH);
        let bases = self.views.iter().map(View::basis);
        Translation {
            basis: Basis::new(bases, self.world.version()),
            actions: self.actions.into(),
            mask: self.wc,
            full_mask,
            effects: self.effects,
            flow: self.flow,
            error: self.error,
            recircs: self.recircs,
            slow: self.slow,
            slow_meter,
        }
    }

    /// The copy that the list ends with needs not be one: nothing comes after that wants the packet as
    /// it was. Which step is the last shows only now, since steps that follow may have come to nothing.
    fn open_last_copy(&mut self) {
        while let Some(DpAction::Clone(steps)) =
            self.actions.pop_if(|action| matches!(action, DpAction::Clone(_)))
        {
            self.actions.extend(steps.iter().cloned());
        }
    }

    /// Takes out of the mask what no packet has: OpenFlow's own fields, and half-used ports.
    /// Returns the mask with OpenFlow's fields.
    fn trim_mask(&mut self) -> FlowMask {
        if self.wc.load(layout::VLAN_TCI) != 0 {
            self.wc.unwildcard_bits(FieldId::VlanTci, u128::from(layout::VLAN_PRESENT));
        }
        // Headers that the packet did not come with have been put on here.
        let key = self.request.key;
        let mpls = ETH_TYPE_MPLS.contains(&key.eth_type());
        let nsh = key.eth_type() == ETH_TYPE_NSH;
        for (places, is_there) in [(&MPLS[..], mpls), (&NSH[..], nsh)] {
            for &place in places.iter().filter(|_| !is_there) {
                if self.wc.load(place) != 0 {
                    self.wc.store(place, 0);
                }
            }
        }
        let full = self.wc.clone();
        let mut mask = FlowMask::EMPTY;
        for lane in self.wc.live().iter().filter(|&lane| lane < PACKET_LANES) {
            *mask.lane_mut(lane) = *self.wc.lane(lane);
        }
        self.view.bridge.tlv_table().unwildcard(self.request.key, &full, &mut mask);
        // Whether there is a tag is part of the shape of a packet.
        mask.unwildcard_bits(FieldId::VlanTci, u128::from(layout::VLAN_PRESENT));
        self.wc = mask;
        full
    }
}

/// Codepoints of congestion notification (RFC 3168).
const ECT_1: u128 = 1;
const ECT_0: u128 = 2;
const CE: u128 = 3;

/// A copy of a flow on the heap, to come back to it. Lists nest: what is on the stack is there once
/// for each of them.
#[inline(never)]
pub(super) fn boxed(flow: &FlowKey) -> Box<FlowKey> {
    Box::new(flow.clone())
}
