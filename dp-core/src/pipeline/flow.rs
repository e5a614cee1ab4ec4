//! What a megaflow carries: what to do, and what it has done.

use std::sync::Arc;

use crate::action::{Action, ActionList};
use crate::base::{Instant, PortNo};
use crate::boundary::FlowStats;

/// The value of a megaflow.
#[derive(Debug)]
pub struct Flow {
    stats: Arc<FlowStats>,
    actions: ActionList,
    plan: Plan,
    created: Instant,
}

/// The shape of an action list, found out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// One output and nothing else: the packets are moved without walking the list.
    Output(PortNo),
    /// Anything else.
    List,
}

impl Flow {
    pub(super) fn new(actions: ActionList, created: Instant) -> Self {
        let plan = Plan::of(&actions);
        Self { stats: Arc::default(), actions, plan, created }
    }

    /// What it has carried.
    #[must_use]
    pub const fn stats(&self) -> &Arc<FlowStats> {
        &self.stats
    }

    /// What it does.
    #[must_use]
    pub const fn actions(&self) -> &ActionList {
        &self.actions
    }

    /// When it was installed.
    #[must_use]
    pub const fn created(&self) -> Instant {
        self.created
    }

    #[inline(always)]
    pub(super) const fn plan(&self) -> Plan {
        self.plan
    }

    pub(super) fn set_actions(&mut self, actions: ActionList) {
        self.plan = Plan::of(&actions);
        self.actions = actions;
    }
}

impl Plan {
    fn of(actions: &[Action]) -> Self {
        match actions {
            [Action::Output(port)] => Self::Output(*port),
            _ => Self::List,
        }
    }
}
