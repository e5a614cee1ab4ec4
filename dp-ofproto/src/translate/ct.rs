//! Connection tracking: the datapath's step, and the packet's way afterwards.

use core::net::IpAddr;
use std::sync::Arc;

use dp_core::action::ct::{Helper, Nat as DpNat, NatChoice, NatEnd, NatTarget};
use dp_core::action::{Action as DpAction, Ct as DpCt, Masked};
use dp_core::base::Zone;
use dp_core::conntrack::skip::Question;
use dp_core::flow::{FieldId, layout};

use super::effect::Effect;
use super::recirc::Resume;
use super::{Context, RecircKind};
use crate::action::{Action, Alg, Ct, Nat, NatAddresses, NatKind, ZoneSource};

impl Context<'_> {
    pub(super) fn ct(&mut self, ct: &Ct, last: bool) {
        if self.skips(ct, last) {
            return;
        }
        let zone = match ct.zone {
            ZoneSource::Zone(zone) => zone,
            ZoneSource::Field(src) => u16::try_from(self.read(src) & 0xffff).unwrap_or(0),
        };
        // What is set on the connection is set on the packet's copy of it here, and not passed on.
        let before = [layout::CT_MARK, layout::CT_LABEL].map(|place| self.flow.load(place));
        let mask_before = [layout::CT_MARK, layout::CT_LABEL].map(|place| self.wc.load(place));
        for place in [layout::CT_MARK, layout::CT_LABEL] {
            self.wc.store(place, 0);
        }
        // Whatever the packet needs is done before it is tracked.
        self.commit();
        self.exec(ct);
        let mark = self.changed(FieldId::CtMark);
        let label = self.changed(FieldId::CtLabel);
        let marked = [layout::CT_MARK, layout::CT_LABEL].map(|place| self.flow.load(place));
        for ((place, value), mask) in
            [layout::CT_MARK, layout::CT_LABEL].into_iter().zip(before).zip(mask_before)
        {
            self.flow.store(place, value);
            self.wc.store(place, mask);
        }
        let narrow = |(value, mask): (u128, u128)| Masked {
            value: u32::try_from(value).unwrap_or(0),
            mask: u32::try_from(mask).unwrap_or(0),
        };
        let step = DpCt {
            commit: ct.commit,
            force: ct.force,
            zone: Zone(zone),
            mark: mark.filter(|_| ct.commit).map(narrow),
            label: label.filter(|_| ct.commit).map(|(value, mask)| Masked { value, mask }),
            helper: ct.alg.filter(|_| ct.commit).map(|alg| match alg {
                Alg::Ftp => Helper::Ftp,
                Alg::Tftp => Helper::Tftp,
            }),
            nat: ct.nat.map(|nat| DpNat {
                to: target(&nat).filter(|_| ct.commit),
                also: ct.nat_also.as_ref().and_then(target).filter(|_| ct.commit),
            }),
            timeout: None,
            event_mask: None,
        };
        self.actions.push(DpAction::Ct(Box::new(step)));
        if let Some(table) = ct.table {
            self.note(format_args!(
                "A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table {table}."
            ));
            self.conntracked = true;
            let frozen = self.frozen(Resume::Table(table), None);
            let id = self.freeze_as(frozen);
            self.actions.push(DpAction::Recirc(id));
            let mut flow = self.flow.clone();
            for (place, value) in [layout::CT_MARK, layout::CT_LABEL].into_iter().zip(marked) {
                flow.store(place, value);
            }
            self.recorder.recirculates(RecircKind::Conntrack { zone, nat: ct.nat }, id, &flow);
        }
        self.note(format_args!(
            "Sets the packet to an untracked state, and clears all the conntrack fields."
        ));
        self.clear_conntrack();
        self.base_untracked();
    }

    /// Whether the packet need not be tracked; then it goes on in the table that the action names.
    fn skips(&mut self, ct: &Ct, last: bool) -> bool {
        let Some(policy) = self.world.hooks.skip.clone() else { return false };
        let rules = policy.rules();
        let question =
            Question { flow: &self.flow, nat: ct.nat.is_some(), hint: self.untracked_hint };
        let Some(rule) = rules.decide(&question, &mut self.wc) else { return false };
        self.note(format_args!("not tracked: rule {} of the skip policy", rule.name));
        self.effects.push(Effect::Untracked(Arc::clone(&rule.packets)));
        if let Some(table) = ct.table {
            let resubmit = Action::Resubmit { in_port: None, table: Some(table), ct: false };
            self.clone_actions(&[resubmit], last);
        }
        true
    }

    /// What the list inside a `ct` writes. It is shown with the address translation first.
    fn exec(&mut self, ct: &Ct) {
        for nat in ct.nat.into_iter().chain(ct.nat_also) {
            self.recorder.action(&nat_alone(nat));
        }
        if ct.nat.is_none() || !ct.exec.is_empty() {
            self.walk(&ct.exec, true);
        }
    }

    /// Value and mask of what was written to a field since its mask was cleared.
    fn changed(&self, field: FieldId) -> Option<(u128, u128)> {
        let mask = self.wc.get(field);
        (mask != 0).then(|| (self.flow.get(field) & mask, mask))
    }

    pub(super) fn ct_clear(&mut self) {
        if self.conntracked || self.flow.load(layout::CT_STATE) != 0 {
            // That the packet was tracked is known from where it comes back to.
            if !self.conntracked {
                self.wc.unwildcard_place(layout::CT_STATE);
            }
            if self.world.features.ct_clear {
                self.actions.push(DpAction::CtClear);
            }
            self.clear_conntrack();
            self.base_untracked();
        }
    }

    fn base_untracked(&mut self) {
        let flow = std::mem::take(&mut self.flow);
        self.flow = std::mem::take(&mut self.base);
        let tracked = self.conntracked;
        self.clear_conntrack();
        self.conntracked = tracked;
        self.base = std::mem::replace(&mut self.flow, flow);
    }
}

fn target(nat: &Nat) -> Option<NatTarget> {
    let end = match nat.kind? {
        NatKind::Src => NatEnd::Src,
        NatKind::Dst => NatEnd::Dst,
    };
    let addresses = nat.addresses.map(|addresses| match addresses {
        NatAddresses::V4 { min, max } => (IpAddr::V4(min), IpAddr::V4(max.unwrap_or(min))),
        NatAddresses::V6 { min, max } => (IpAddr::V6(min), IpAddr::V6(max.unwrap_or(min))),
    });
    let choice = match (nat.protocol_hash, nat.protocol_random) {
        (true, _) => NatChoice::Hash,
        (_, true) => NatChoice::Random,
        _ => NatChoice::Default,
    };
    let ports = nat.ports.map(|(min, max)| (min, max.unwrap_or(min)));
    Some(NatTarget { end, addresses, ports, persistent: nat.persistent, choice })
}

/// An address translation, as it is shown inside the list of a `ct`.
fn nat_alone(nat: Nat) -> Action {
    Action::Ct(Box::new(Ct { nat: Some(nat), ..Ct::default() }))
}
