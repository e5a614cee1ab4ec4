//! One list of actions, from its first to its last.

use dp_core::action::SlowReasons;
use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::{FieldId, Wide};

use super::Context;
use super::action_set::in_set_order;
use crate::action::{Action, Subfield};
use crate::text::{SubfieldText, SubfieldValue};

impl Context<'_> {
    /// Carries out a list; stops early on exit or error, and where the datapath must help first.
    /// `last`: nothing follows it, so that what it does to the packet need not be undone.
    pub(super) fn walk(&mut self, actions: &[Action], last: bool) {
        if core::mem::take(&mut self.reserved) {
            let name = self.request.location.port.name.clone();
            self.refuse(format_args!(
                "dropping packet received on port {name}, which is reserved exclusively for mirroring"
            ));
            self.exit = true;
            return;
        }
        if actions.is_empty() {
            self.recorder.nothing();
        }
        for (at, action) in actions.iter().enumerate() {
            if self.stopped() {
                return;
            }
            let rest = actions.get(at + 1..).unwrap_or_default();
            if self.needs_parsing(action) {
                if matches!(action, Action::Output { .. } | Action::Group(_)) {
                    self.recorder.action(action);
                }
                self.freeze_for_parsing();
                // In one piece: what ends a list ends all that is left of it.
                self.freeze_rest(actions.get(at..).unwrap_or_default());
                return;
            }
            self.recorder.action(action);
            self.mirror_again_after(action);
            if let Action::CheckPktLarger { len, dst } = action {
                if self.is_larger_here(*len, *dst) {
                    continue;
                }
                self.check_pkt_larger(*len, *dst, rest);
                return;
            }
            // What is left is the action set.
            self.act(action, last && rest.is_empty() && self.set.actions().is_empty());
            if std::mem::take(&mut self.end_of_list) {
                return;
            }
            if self.freezing.is_some() {
                // A group that waits for a hash is asked again.
                let again = self.waits_for_hash();
                self.freeze_rest(actions.get(at + usize::from(!again)..).unwrap_or_default());
                return;
            }
        }
    }

    /// Whatever leads to another list is a function of its own, so that the frames of those that
    /// lead to none are not on the stack meanwhile.
    fn act(&mut self, action: &Action, last: bool) {
        match action {
            Action::Output { port, max_len } => self.output(*port, *max_len, last),
            Action::OutputReg { src, max_len } => self.output_from(*src, *max_len, last),
            Action::OutputTrunc { port, max_len } => self.output_trunc(*port, *max_len),
            Action::Group(id) => self.group(*id, last),
            Action::Bundle(bundle) => self.bundle(bundle, last),
            Action::Resubmit { in_port, table, ct } => {
                self.resubmit(*in_port, *table, *ct, last);
            }
            Action::GotoTable(table) => self.goto(*table),
            Action::Clone(actions) => self.clone_actions(actions, last),
            _ => self.act_by_itself(action, last),
        }
    }

    #[inline(never)]
    fn act_by_itself(&mut self, action: &Action, last: bool) {
        match action {
            Action::Controller(controller) => self.controller(controller),
            Action::Enqueue { port, queue } => self.enqueue(*port, *queue),
            Action::SetQueue(queue) => self.set_queue(*queue),
            Action::PopQueue => self.pop_queue(),
            Action::Multipath(multipath) => self.multipath(multipath),
            Action::Exit => self.exit = true,
            Action::ClearActions => {
                self.note_action_set("was");
                self.set.clear();
                self.refresh_actset_output();
            }
            Action::WriteActions(actions) => self.write_actions(actions),
            // The conjunction has been dealt with by the look-up.
            Action::Conjunction { .. } => {}
            Action::Note(text) => self.untracked_hint |= text.starts_with(UNTRACKED_HINT),
            Action::StripVlan | Action::PopVlan => self.strip_vlan(),
            Action::PushVlan(tpid) => self.push_vlan(*tpid),
            Action::SetVlanVid(vid) => self.set_vlan_vid(*vid),
            Action::SetVlanPcp(pcp) => self.set_vlan_pcp(*pcp),
            Action::PushMpls(eth_type) => self.push_mpls(*eth_type),
            Action::PopMpls(eth_type) => self.pop_mpls(*eth_type),
            Action::DecMplsTtl => self.dec_mpls_ttl(),
            Action::DecNshTtl => self.dec_nsh_ttl(),
            Action::Encap(encap) => self.encap(encap),
            Action::Decap(next) => self.decap(*next),
            Action::Ct(ct) => self.ct(ct, last),
            Action::CtClear => self.ct_clear(),
            Action::Learn(learn) => self.learn(learn),
            Action::FinTimeout { idle, hard } => self.fin_timeout(*idle, *hard),
            Action::Sample(sample) => self.sample(sample),
            Action::Meter(meter) => self.meter(*meter),
            Action::DebugSlow => self.slow |= SlowReasons::ACTION,
            Action::DebugRecirc => self.freeze_for_parsing(),
            _ => self.write(action),
        }
    }

    /// Actions that write fields.
    fn write(&mut self, action: &Action) {
        match action {
            Action::SetField { field, value, mask, .. } => self.set_field(*field, *value, *mask),
            Action::SetOption(set) => self.set_option(set.field, set.value, set.mask),
            Action::Load { dst, value } => self.store(*dst, u128::from(*value)),
            Action::Move { src, dst } => {
                let done = self.copy(*src, *dst);
                self.note_value(*dst, done);
            }
            Action::Push(src) => self.push(*src),
            Action::Pop(dst) => {
                let done = self.pop(*dst);
                self.note_value(*dst, done);
            }
            Action::SetEthSrc(mac) => self.set_whole(FieldId::EthSrc, mac_value(*mac)),
            Action::SetEthDst(mac) => self.set_whole(FieldId::EthDst, mac_value(*mac)),
            Action::SetIpv4Src(addr) => self.set_whole(FieldId::Ipv4Src, addr.to_bits().into()),
            Action::SetIpv4Dst(addr) => self.set_whole(FieldId::Ipv4Dst, addr.to_bits().into()),
            Action::SetTos(tos) => self.set_whole(FieldId::IpDscp, u128::from(tos >> 2)),
            Action::SetEcn(ecn) => self.set_whole(FieldId::NwEcn, u128::from(*ecn)),
            Action::SetTtl(ttl) => self.set_whole(FieldId::NwTtl, u128::from(*ttl)),
            Action::DecTtl(controllers) => self.dec_ttl(controllers),
            Action::SetL4Src(port) => self.set_l4(true, *port),
            Action::SetL4Dst(port) => self.set_l4(false, *port),
            Action::SetTunnel { id, .. } => self.set_whole(FieldId::TunId, u128::from(*id)),
            Action::SetMplsLabel(label) => self.set_whole(FieldId::MplsLabel, u128::from(*label)),
            Action::SetMplsTc(tc) => self.set_whole(FieldId::MplsTc, u128::from(*tc)),
            Action::SetMplsTtl(ttl) => self.set_whole(FieldId::MplsTtl, u128::from(*ttl)),
            Action::WriteMetadata { value, mask } => {
                self.set_field(FieldId::Metadata, u128::from(*value), u128::from(*mask));
            }
            Action::DeleteField(field) => self.delete_field(*field),
            // Everything else has been carried out by `act`.
            _ => {}
        }
    }

    fn write_actions(&mut self, actions: &[Action]) {
        self.set.write(actions);
        self.note_action_set("is");
        self.refresh_actset_output();
    }

    /// Tells the action set as it would act.
    fn note_action_set(&mut self, verb: &str) {
        let merged = in_set_order(self.set.actions());
        if merged.is_empty() {
            self.note(format_args!("action set {verb} empty"));
            return;
        }
        let text = crate::text::ActionsText { actions: &merged, names: &crate::text::NumbersOnly };
        self.note(format_args!("action set {verb}: {text}"));
    }

    #[inline(never)]
    fn output_from(&mut self, src: Subfield, max_len: u16, last: bool) {
        let number = self.read(src);
        if let Ok(port) = u16::try_from(number) {
            self.note(format_args!("output port is {}", OfPort(port)));
            self.output(OfPort(port), max_len, last);
        } else if let Some(port) = u32::try_from(number).ok().and_then(OfPort::from_wire32) {
            self.note(format_args!("output port is {port}"));
            self.output(port, max_len, last);
        } else {
            self.warn(format_args!("output port {number} is out of range"));
        }
    }

    pub(super) fn note_now(&mut self, dst: Subfield) {
        let value = self.flow.get_wide(dst.field) >> u32::from(dst.start) & Wide::ones(dst.bits);
        let (place, value) = (SubfieldText(dst), SubfieldValue { place: dst, value });
        self.note(format_args!("{place} is now {value}"));
    }

    fn note_value(&mut self, dst: Subfield, written: bool) {
        if !written {
            return;
        }
        self.note_now(dst);
    }
}

fn mac_value(mac: MacAddr) -> u128 {
    let [a, b, c, d, e, f] = mac.0;
    u128::from(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

/// The note by which a flow says that its `ct` need not track.
const UNTRACKED_HINT: &[u8] = b"kube-ovn: skip conntrack";
