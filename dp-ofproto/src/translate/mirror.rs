//! Copies for mirrors: of what comes in, of what goes out, each packet once a mirror. A packet that
//! an action has changed is another one.

use std::sync::Arc;

use dp_core::action::Action as DpAction;
use dp_core::flow::layout::VLAN_PRESENT;
use dp_core::flow::{FieldId, PACKET_LANES};

use super::effect::Effect;
use super::normal::Vlan;
use super::{Context, ETH_TYPE_IPV4, ETH_TYPE_IPV6};
use crate::action::{Action, Subfield};
use crate::bridge::{BridgePort, Mirror, MirrorOutput};

impl Context<'_> {
    /// Whether a port is where a mirror's copies go: it takes part in nothing else.
    pub(super) fn is_mirror_output(&self, port: &BridgePort) -> bool {
        self.view.mirrors.iter().any(
            |mirror| matches!(&mirror.output, MirrorOutput::Port(name) if *name == port.bundle),
        )
    }

    pub(super) fn mirror_ingress(&mut self, port: &Arc<BridgePort>) {
        self.mirror(port, |mirror, bundle| mirror.src.contains(bundle));
    }

    pub(super) fn mirror_egress(&mut self, port: &Arc<BridgePort>) {
        self.mirror(port, |mirror, bundle| mirror.dst.contains(bundle));
    }

    /// Carries over which mirrors have seen the packet, past an action.
    pub(super) fn mirror_again_after(&mut self, action: &Action) {
        if self.mirrors != 0 && self.makes_another(action) {
            self.mirrors = 0;
        }
    }

    /// Whether an action, if it does anything, changes what mirrors would copy. (Moves between
    /// fields do not count, nor does what is popped into one: so the reference, and who reads its
    /// mirrors.)
    fn makes_another(&self, action: &Action) -> bool {
        match action {
            Action::StripVlan
            | Action::PopVlan
            | Action::PushVlan(_)
            | Action::SetVlanVid(_)
            | Action::SetVlanPcp(_)
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::PushMpls(_)
            | Action::PopMpls(_)
            | Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::DecMplsTtl
            | Action::DecNshTtl
            | Action::DecTtl(_)
            | Action::Encap(_)
            | Action::Decap(_) => true,
            Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => self.flow.eth_type() == ETH_TYPE_IPV4,
            Action::SetTos(_)
            | Action::SetEcn(_)
            | Action::SetTtl(_)
            | Action::SetL4Src(_)
            | Action::SetL4Dst(_) => {
                matches!(self.flow.eth_type(), ETH_TYPE_IPV4 | ETH_TYPE_IPV6)
            }
            Action::SetField { field, .. } | Action::Load { dst: Subfield { field, .. }, .. } => {
                leaves_with_the_packet(*field)
            }
            Action::Ct(ct) => ct.nat.is_some(),
            _ => false,
        }
    }

    /// Cuts what leaves next, if it is a copy that is to be short.
    pub(super) fn cut_copy(&mut self) {
        if self.snaplen != 0 {
            self.commit();
            self.actions.push(DpAction::Trunc(u32::from(self.snaplen)));
        }
    }

    fn mirror(&mut self, port: &Arc<BridgePort>, selects: impl Fn(&Mirror, &str) -> bool) {
        if self.view.mirrors.is_empty() {
            return;
        }
        let mirrors = Arc::clone(&self.view.mirrors);
        let wanted: Vec<usize> = mirrors
            .iter()
            .take(crate::bridge::MAX_MIRRORS)
            .enumerate()
            .filter(|(at, mirror)| self.mirrors & 1 << at == 0 && selects(mirror, &port.bundle))
            .map(|(at, _)| at)
            .collect();
        if wanted.is_empty() || self.is_mirror_output(port) {
            return;
        }
        let Some(vlan) = self.vlan_of(port) else { return };
        for at in wanted {
            let Some(mirror) = mirrors.get(at) else { continue };
            if self.mirrors & 1 << at != 0 {
                continue;
            }
            if let Some(vlans) = &mirror.vlans {
                self.wc.unwildcard_bits(FieldId::VlanTci, u128::from(VLAN_PRESENT | 0x0fff));
                if !vlans.has(vlan.vid) {
                    continue;
                }
            }
            if let Some(filter) = &mirror.filter {
                filter.unwildcard(&mut self.wc);
                if !filter.matches(&self.flow) {
                    continue;
                }
            }
            self.mirrors |= 1 << at;
            self.effects.push(Effect::Count(Arc::clone(&mirror.stats)));
            self.send_copy(mirror, vlan);
        }
    }

    fn send_copy(&mut self, mirror: &Mirror, vlan: Vlan) {
        self.snaplen = mirror.snaplen;
        match &mirror.output {
            MirrorOutput::Port(name) => {
                let ports = Arc::clone(&self.view.ports);
                let out = ports.in_order_of_adding().find(|port| port.bundle == *name);
                if let Some(out) = out
                    && out.ofport != self.in_port()
                {
                    self.send(out, vlan);
                }
            }
            MirrorOutput::Vlan(to) if *to != vlan.vid => {
                let copy = vlan.with_vid(*to);
                let ports = Arc::clone(&self.view.ports);
                let mut last: Option<&str> = None;
                for port in ports.in_order_of_adding() {
                    let wanted = self.carries(port, copy)
                        && last != Some(port.bundle.as_str())
                        && !self.is_mirror_output(port);
                    if wanted {
                        last = Some(&port.bundle);
                        self.send(port, copy);
                    }
                }
            }
            MirrorOutput::Vlan(_) => {}
        }
        self.snaplen = 0;
        // A tunnel that leads nowhere leaves nothing to cut off.
        if matches!(self.actions.last(), Some(DpAction::Trunc(_))) {
            self.actions.pop();
        }
    }
}

/// Whether a field is part of what leaves: of the packet, or of the tunnel header around it.
/// Registers, metadata, options of tunnels and what is kept of connections are this switch's own.
fn leaves_with_the_packet(field: FieldId) -> bool {
    let own = matches!(
        field,
        FieldId::InPort
            | FieldId::InPortOxm
            | FieldId::PktMark
            | FieldId::SkbPriority
            | FieldId::CtMark
            | FieldId::CtLabel
    );
    field.field().place.lane() < PACKET_LANES && !own
}
