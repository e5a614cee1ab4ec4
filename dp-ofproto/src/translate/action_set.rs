//! The OpenFlow action set (OpenFlow 1.3, section 5.10): collected along the tables, carried out at
//! their end in an order of its own.

use dp_core::base::OfPort;
use dp_core::flow::FieldId;

use super::Context;
use crate::action::Action;

/// At most one action of each kind, and one for each field that is set.
#[derive(Clone, Debug, Default)]
pub(super) struct ActionSet {
    actions: Vec<Action>,
}

/// What two actions of a set may not both be; the order is that in which they are carried out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    PopVlan,
    PushVlan,
    DecTtl,
    Set(FieldId),
    SetTunnel,
    Resubmit,
    Output,
}

fn kind(action: &Action) -> Option<Kind> {
    Some(match action {
        Action::StripVlan => Kind::PopVlan,
        Action::PushVlan(_) => Kind::PushVlan,
        Action::DecTtl(_) => Kind::DecTtl,
        Action::SetField { field, .. } => Kind::Set(*field),
        Action::Load { dst, .. } | Action::Move { dst, .. } => Kind::Set(dst.field),
        Action::SetEthSrc(_) => Kind::Set(FieldId::EthSrc),
        Action::SetEthDst(_) => Kind::Set(FieldId::EthDst),
        Action::SetVlanVid(_) => Kind::Set(FieldId::VlanVid),
        Action::SetVlanPcp(_) => Kind::Set(FieldId::VlanPcp),
        Action::SetIpv4Src(_) => Kind::Set(FieldId::Ipv4Src),
        Action::SetIpv4Dst(_) => Kind::Set(FieldId::Ipv4Dst),
        Action::SetTos(_) => Kind::Set(FieldId::IpDscp),
        Action::SetEcn(_) => Kind::Set(FieldId::NwEcn),
        Action::SetTtl(_) => Kind::Set(FieldId::NwTtl),
        Action::SetL4Src(_) => Kind::Set(FieldId::TcpSrc),
        Action::SetL4Dst(_) => Kind::Set(FieldId::TcpDst),
        Action::SetTunnel { .. } => Kind::SetTunnel,
        Action::Resubmit { .. } => Kind::Resubmit,
        Action::Output { .. } | Action::OutputReg { .. } => Kind::Output,
        _ => return None,
    })
}

impl ActionSet {
    pub(super) fn clear(&mut self) {
        self.actions.clear();
    }

    /// Merges a list: a later action replaces an earlier one of its kind.
    pub(super) fn write(&mut self, actions: &[Action]) {
        for action in actions {
            if let Some(new) = kind(action) {
                self.actions.retain(|old| kind(old) != Some(new));
                self.actions.push(action.clone());
            }
        }
    }

    /// The port it sends to.
    fn output(&self) -> OfPort {
        let port = |action: &Action| match action {
            Action::Output { port, .. } => Some(*port),
            _ => None,
        };
        self.actions.iter().find_map(port).unwrap_or(OfPort::UNSET)
    }
}

impl Context<'_> {
    /// Carries out the action set, unless an error or an `exit` came first. A set that sends
    /// nowhere does nothing.
    pub(super) fn run_action_set(&mut self) {
        if self.stopped() || self.set.actions.is_empty() {
            return;
        }
        let mut actions = std::mem::take(&mut self.set).actions;
        let sends = |action: &Action| matches!(kind(action), Some(Kind::Output | Kind::Resubmit));
        if actions.iter().any(sends) {
            actions.sort_by_key(kind);
            self.walk(&actions);
        }
    }

    /// Keeps `actset_output` true to the action set.
    pub(super) fn refresh_actset_output(&mut self) {
        let port = self.set.output();
        self.flow.set(FieldId::ActsetOutput, u128::from(port.0));
    }
}
