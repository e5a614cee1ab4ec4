//! The OpenFlow action set (OpenFlow 1.3, section 5.10): collected along the tables, carried out at
//! their end in an order of its own. A group's buckets are action sets too.

use dp_core::base::OfPort;
use dp_core::flow::FieldId;

use super::{Context, Part};
use crate::action::Action;

/// What was written, in the order of writing.
#[derive(Clone, Debug, Default)]
pub(super) struct ActionSet {
    actions: Vec<Action>,
}

/// The order in which a set is carried out. Of each kind but the fields that are set only the last
/// action counts; of the last four only the first one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    StripVlan,
    PopMpls,
    Decap,
    Encap,
    PushMpls,
    PushVlan,
    DecTtl,
    DecMplsTtl,
    DecNshTtl,
    Set,
    SetQueue,
    Group,
    Output,
    Resubmit,
    Ct,
}

fn kind(action: &Action) -> Option<Kind> {
    Some(match action {
        Action::StripVlan | Action::PopVlan => Kind::StripVlan,
        Action::PopMpls(_) => Kind::PopMpls,
        Action::Decap(_) => Kind::Decap,
        Action::Encap(_) => Kind::Encap,
        Action::PushMpls(_) => Kind::PushMpls,
        Action::PushVlan(_) => Kind::PushVlan,
        Action::DecTtl(_) => Kind::DecTtl,
        Action::DecMplsTtl => Kind::DecMplsTtl,
        Action::DecNshTtl => Kind::DecNshTtl,
        Action::SetQueue(_) => Kind::SetQueue,
        Action::Group(_) => Kind::Group,
        Action::Output { .. }
        | Action::OutputReg { .. }
        | Action::OutputTrunc { .. }
        | Action::Controller(_)
        | Action::Bundle(_)
        | Action::Enqueue { .. } => Kind::Output,
        Action::Resubmit { .. } => Kind::Resubmit,
        Action::Ct(_) => Kind::Ct,
        Action::SetField { .. }
        | Action::SetOption(_)
        | Action::Load { .. }
        | Action::Move { .. }
        | Action::SetEthSrc(_)
        | Action::SetEthDst(_)
        | Action::SetVlanVid(_)
        | Action::SetVlanPcp(_)
        | Action::SetIpv4Src(_)
        | Action::SetIpv4Dst(_)
        | Action::SetTos(_)
        | Action::SetEcn(_)
        | Action::SetTtl(_)
        | Action::SetL4Src(_)
        | Action::SetL4Dst(_)
        | Action::SetMplsLabel(_)
        | Action::SetMplsTc(_)
        | Action::SetMplsTtl(_)
        | Action::SetTunnel { .. } => Kind::Set,
        _ => return None,
    })
}

/// A set in the order in which it is carried out; empty if it sends nowhere.
pub(super) fn in_set_order(actions: &[Action]) -> Vec<Action> {
    const ONCE: [Kind; 9] = [
        Kind::StripVlan,
        Kind::PopMpls,
        Kind::Decap,
        Kind::Encap,
        Kind::PushMpls,
        Kind::PushVlan,
        Kind::DecTtl,
        Kind::DecMplsTtl,
        Kind::DecNshTtl,
    ];
    let last = |wanted| actions.iter().rev().find(move |action| kind(action) == Some(wanted));
    let mut list: Vec<Action> = ONCE.into_iter().filter_map(last).cloned().collect();
    list.extend(actions.iter().filter(|action| kind(action) == Some(Kind::Set)).cloned());
    list.extend(last(Kind::SetQueue).cloned());
    let end = [Kind::Group, Kind::Output, Kind::Resubmit, Kind::Ct].into_iter().find_map(last);
    match end {
        Some(end) => list.push(end.clone()),
        None => list.clear(),
    }
    list
}

impl ActionSet {
    pub(super) fn of(actions: &[Action]) -> Self {
        Self { actions: actions.to_vec() }
    }

    pub(super) fn actions(&self) -> &[Action] {
        &self.actions
    }

    pub(super) fn clear(&mut self) {
        self.actions.clear();
    }

    /// Merges a list: a later action replaces an earlier one of its kind.
    pub(super) fn write(&mut self, actions: &[Action]) {
        for action in actions {
            let new = kind(action);
            if !matches!(new, None | Some(Kind::Set)) {
                self.actions.retain(|old| kind(old) != new);
            }
            if new.is_some() {
                self.actions.push(action.clone());
            }
        }
    }

    /// The port it sends to: that of an output, unless there is a group.
    fn output(&self) -> OfPort {
        if self.actions.iter().any(|action| matches!(action, Action::Group(_))) {
            return OfPort::UNSET;
        }
        let port = |action: &Action| match action {
            Action::Output { port, .. } => Some(*port),
            _ => None,
        };
        self.actions.iter().find_map(port).unwrap_or(OfPort::UNSET)
    }
}

impl Context<'_> {
    /// Carries out the action set, unless an error or an `exit` came first: that leaves the set alone.
    /// A set that sends nowhere does nothing.
    pub(super) fn run_action_set(&mut self) {
        if self.error.is_some() || self.set.actions.is_empty() {
            return;
        }
        let actions = in_set_order(&std::mem::take(&mut self.set).actions);
        if actions.is_empty() {
            return;
        }
        self.in_set = true;
        self.recorder.enter(Part::ActionSet);
        self.walk(&actions, true);
        self.recorder.leave();
        self.in_set = false;
    }

    /// Keeps `actset_output` true to the action set.
    pub(super) fn refresh_actset_output(&mut self) {
        let port = self.set.output();
        self.flow.set(FieldId::ActsetOutput, u128::from(port.0));
    }
}
