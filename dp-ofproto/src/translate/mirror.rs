//! Copies for mirrors: of what comes in, of what goes out, each packet once a mirror.

use std::sync::Arc;

use dp_core::action::Action as DpAction;
use dp_core::flow::FieldId;
use dp_core::flow::layout::VLAN_PRESENT;

use super::Context;
use super::effect::Effect;
use super::normal::Vlan;
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
            self.send_copy(mirror, port, vlan);
        }
    }

    fn send_copy(&mut self, mirror: &Mirror, from: &Arc<BridgePort>, vlan: Vlan) {
        let before = self.actions.len();
        if mirror.snaplen != 0 {
            self.commit();
            self.actions.push(DpAction::Trunc(u32::from(mirror.snaplen)));
        }
        let marked = self.actions.len();
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
                    let wanted = port.vlan.carries(*to)
                        && last != Some(port.bundle.as_str())
                        && !self.is_mirror_output(port);
                    if wanted && port.bundle != from.bundle {
                        last = Some(&port.bundle);
                        self.send(port, copy);
                    }
                }
            }
            MirrorOutput::Vlan(_) => {}
        }
        if self.actions.len() == marked {
            self.actions.truncate(before);
        }
    }
}
