//! What a megaflow carries: what to do, and what it has done.

use std::sync::Arc;

use crate::action::{Action, ActionList};
use crate::base::{Instant, PortNo, RecircId};
use crate::boundary::FlowStats;
use crate::flow::{FlowKey, Lane, LaneSet, PACKET_LANES};

/// The value of a megaflow.
#[derive(Debug)]
pub struct Flow {
    stats: Arc<FlowStats>,
    actions: ActionList,
    plan: Plan,
    origin: Box<Origin>,
}

/// What a megaflow was made for, and when: for those who ask, not for packets.
#[derive(Debug)]
struct Origin {
    created: Instant,
    used: LaneSet,
    /// The lanes in use of the key of the packet that it was made for.
    key: Box<[Lane]>,
}

/// The shape of an action list, found out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// One output and nothing else: the packets are moved without walking the list.
    Output(PortNo),
    /// Tracking, and another pass.
    Track(RecircId),
    /// Anything else.
    List,
}

impl Flow {
    pub(super) fn new(key: &FlowKey, actions: ActionList, created: Instant) -> Self {
        let plan = Plan::of(&actions);
        let mut used = LaneSet::EMPTY;
        let mut lanes = Vec::new();
        for lane in key.used().iter().filter(|&lane| lane < PACKET_LANES) {
            used = used.with(LaneSet::of(lane));
            lanes.push(*key.lane(lane));
        }
        let origin = Box::new(Origin { created, used, key: lanes.into() });
        Self { stats: Arc::default(), actions, plan, origin }
    }

    /// The key of the packet that it was made for.
    #[must_use]
    pub fn key(&self) -> FlowKey {
        let mut key = FlowKey::EMPTY;
        for (lane, value) in self.origin.used.iter().zip(&self.origin.key) {
            *key.lane_mut(lane) = *value;
        }
        key
    }

    /// Begins to count anew.
    pub(super) fn zero_stats(&mut self) {
        self.stats = Arc::default();
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
    pub fn created(&self) -> Instant {
        self.origin.created
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
            [Action::Ct(_), Action::Recirc(id)] => Self::Track(*id),
            _ => Self::List,
        }
    }
}
