//! Packets that controllers get; samples; meters.

use std::sync::Arc;

use dp_core::action::userspace::SampleDirection as DpDirection;
use dp_core::action::{Action as DpAction, UserData, Userspace};
use dp_core::base::{MeterId, OfPort};

use super::hooks::{EntryEnd, FlowNote};
use super::recirc::{Frozen, Resume};
use super::{Context, Effect};
use crate::action::{self, Controller, PacketInReason, Sample, SampleDirection, SampleNumber};
use crate::bridge::BridgePort;

impl Context<'_> {
    pub(super) fn controller(&mut self, controller: &Controller) {
        if controller.pause {
            self.freeze_for_controller(controller);
            return;
        }
        self.commit();
        let resume = Resume::Actions(Box::default());
        let frozen = self.frozen(resume, Some(Box::new(controller.clone())));
        self.tell_controller(frozen, controller, false);
    }

    /// The packet waits: what is left to do is kept for the controller to let it go on.
    pub(super) fn pause(&mut self, frozen: Frozen, controller: &Controller) {
        self.commit();
        if self.request.side_effects {
            self.tell_controller(frozen, controller, true);
        }
    }

    /// The reason that controllers are told: an action of a table-miss rule is a miss (OpenFlow 1.3
    /// section 5.4).
    fn told(&self, reason: PacketInReason) -> PacketInReason {
        let of_miss = self.rule.as_ref().is_some_and(|rule| rule.is_table_miss());
        if of_miss && reason == PacketInReason::Action {
            PacketInReason::ExplicitMiss
        } else {
            reason
        }
    }

    fn tell_controller(&mut self, frozen: Frozen, controller: &Controller, continuation: bool) {
        let recirc_id = self.freeze_as(frozen).0;
        let data = UserData::Controller {
            reason: self.told(controller.reason).wire(),
            dont_send: !self.request.side_effects,
            continuation,
            recirc_id,
            rule_cookie: self.cookie,
            controller_id: controller.id,
            max_len: controller.max_len,
        };
        let ask = Userspace { pid: 0, data, with_actions: false, tunnel_out: None };
        let step = DpAction::Userspace(Box::new(ask));
        // Without one of its own, the meter of all that goes to controllers.
        let meter = controller.meter.unwrap_or(action::meter_id::CONTROLLER);
        let meter = self.view.bridge.datapath_meter(meter);
        self.actions.push(metered(meter, step));
    }

    pub(super) fn meter(&mut self, meter: u32) {
        if let Some(MeterId(id)) = self.view.bridge.datapath_meter(meter) {
            self.actions.push(DpAction::Meter(MeterId(id)));
        }
    }

    pub(super) fn sample(&mut self, sample: &Sample) {
        let Some(sampling) = self.world.hooks.sampling.clone() else { return };
        let mut number = |number| match number {
            SampleNumber::Value(value) => value,
            SampleNumber::Field(src) => {
                u32::try_from(self.read(src) & 0xffff_ffff).unwrap_or(u32::MAX)
            }
        };
        let obs = (number(sample.obs_domain), number(sample.obs_point));
        let at = sample.sampling_port;
        let out = self.port(at).filter(|port| port.ofport != self.in_port());
        if out.is_none() && at != OfPort::NONE && at != self.in_port() {
            self.warn(format_args!("nonexistent sampling port {at}, not sampling"));
            return;
        }
        let bridge = self.bridge().clone();
        let steps = sampling.flow_sample(&bridge, sample, obs, &self.flow, out.as_deref());
        if let Some(steps) = steps {
            self.commit();
            self.actions.extend(steps);
        }
    }

    pub(super) fn sample_entry(&mut self, port: &BridgePort) {
        if let Some(sampling) = self.world.hooks.sampling.clone() {
            let bridge = self.bridge().clone();
            self.actions.extend(sampling.at_entry(&bridge, port, &self.flow));
        }
    }

    pub(super) fn sample_exit(&mut self, port: &BridgePort) {
        if let Some(sampling) = self.world.hooks.sampling.clone() {
            let bridge = self.bridge().clone();
            let steps = sampling.at_exit(&bridge, port, &self.flow);
            if !steps.is_empty() {
                self.commit();
                self.actions.extend(steps);
            }
        }
    }

    /// Whether somebody is told of flows here; what he is told counts then.
    pub(super) fn is_told_of(&mut self) -> bool {
        let Some(sampling) = &self.world.hooks.sampling else { return false };
        sampling.wants_flows(&self.view.bridge, &self.flow, &mut self.wc)
    }

    /// Has the flow credited with this packet and those that are like it.
    pub(super) fn tell_of_flow(&mut self) {
        let note = FlowNote {
            bridge: Arc::clone(&self.view.bridge),
            in_port: self.request.location.port.ofport,
            flow: self.flow.clone(),
            went_to: self.went_to,
        };
        self.effects.push(Effect::Tell(Box::new(note)));
    }

    pub(super) fn finish_samples(&mut self, entry: usize) {
        if entry > 0
            && let Some(sampling) = self.world.hooks.sampling.clone()
            && let Some((steps, following)) = self.actions.split_at_mut_checked(entry)
        {
            let end =
                EntryEnd { outputs: &self.outputs, vlan_tci: self.base.vlan_tci(), following };
            sampling.finish(&self.view.bridge, steps, &end);
        }
    }
}

/// A step that a meter limits; what the meter drops is the copy for it.
pub(super) fn metered(meter: Option<MeterId>, step: DpAction) -> DpAction {
    match meter {
        Some(meter) => {
            let actions = [DpAction::Meter(meter), step].into();
            DpAction::Sample { probability: u32::MAX, actions }
        }
        None => step,
    }
}

impl From<SampleDirection> for DpDirection {
    fn from(direction: SampleDirection) -> Self {
        match direction {
            SampleDirection::Default => Self::Unspecified,
            SampleDirection::Ingress => Self::Ingress,
            SampleDirection::Egress => Self::Egress,
        }
    }
}
