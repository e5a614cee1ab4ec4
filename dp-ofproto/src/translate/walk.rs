//! One list of actions, from its first to its last.

use dp_core::base::OfPort;
use dp_core::flow::FieldId;

use super::Context;
use crate::action::{Action, Subfield};

impl Context<'_> {
    /// Carries out a list; stops early on exit or error.
    pub(super) fn walk(&mut self, actions: &[Action]) {
        for action in actions {
            if self.stopped() {
                return;
            }
            self.recorder.action(self.depth, action);
            self.act(action);
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Output { port, .. } => self.output(*port),
            Action::OutputReg { src, .. } => self.output_from(*src),
            Action::Resubmit { in_port, table, .. } => self.resubmit(*in_port, *table),
            Action::GotoTable(table) => self.goto(*table),
            Action::Exit => self.exit = true,
            Action::ClearActions => {
                self.set.clear();
                self.refresh_actset_output();
            }
            Action::WriteActions(actions) => {
                self.set.write(actions);
                self.refresh_actset_output();
            }
            Action::Note(_) => {}
            Action::StripVlan => self.strip_vlan(),
            Action::PushVlan(tpid) => self.push_vlan(*tpid),
            Action::SetVlanVid(vid) => self.set_vlan_vid(*vid),
            Action::SetVlanPcp(pcp) => self.set_vlan_pcp(*pcp),
            _ => self.write(action),
        }
    }

    /// Actions that write fields.
    fn write(&mut self, action: &Action) {
        match action {
            Action::SetField { field, value, mask } => self.set_field(*field, *value, *mask),
            Action::Load { dst, value } => self.store(*dst, u128::from(*value)),
            Action::Move { src, dst } => self.copy(*src, *dst),
            Action::Push(src) => self.push(*src),
            Action::Pop(dst) => self.pop(*dst),
            Action::SetEthSrc(mac) => self.set_whole(FieldId::EthSrc, mac_value(mac.0)),
            Action::SetEthDst(mac) => self.set_whole(FieldId::EthDst, mac_value(mac.0)),
            Action::SetIpv4Src(addr) => self.set_whole(FieldId::Ipv4Src, addr.to_bits().into()),
            Action::SetIpv4Dst(addr) => self.set_whole(FieldId::Ipv4Dst, addr.to_bits().into()),
            Action::SetTos(tos) => self.set_whole(FieldId::IpDscp, u128::from(tos >> 2)),
            Action::SetEcn(ecn) => self.set_whole(FieldId::NwEcn, u128::from(*ecn)),
            Action::SetTtl(ttl) => self.set_whole(FieldId::NwTtl, u128::from(*ttl)),
            Action::DecTtl(_) => self.dec_ttl(),
            Action::SetL4Src(port) => self.set_l4(true, *port),
            Action::SetL4Dst(port) => self.set_l4(false, *port),
            Action::SetTunnel { id, .. } => self.set_whole(FieldId::TunId, u128::from(*id)),
            Action::WriteMetadata { value, mask } => {
                self.set_field(FieldId::Metadata, u128::from(*value), u128::from(*mask));
            }
            // Everything else has been carried out by `act`.
            _ => {}
        }
    }

    fn output_from(&mut self, src: Subfield) {
        let number = self.read(src);
        if let Ok(port) = u16::try_from(number) {
            self.output(OfPort(port));
        } else if let Some(port) = u32::try_from(number).ok().and_then(OfPort::from_wire32) {
            self.output(port);
        } else {
            self.note("output to a register that holds no port number");
        }
    }
}

fn mac_value([a, b, c, d, e, f]: [u8; 6]) -> u128 {
    u128::from(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}
