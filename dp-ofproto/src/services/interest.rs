//! Which ports speak what: read by translation for every packet that it looks at, without a lock.
//!
//! Bulk traffic must not wait for whoever holds the lock over the protocols, nor the protocols for bulk
//! traffic: of packets that can belong to none, this says so at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dp_core::base::OfPort;

use super::{Services, State};

/// The bridges on which something is spoken.
#[derive(Debug, Default)]
pub(super) struct Interest {
    bridges: BTreeMap<String, BridgeInterest>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct BridgeInterest {
    /// Ports that speak LACP.
    pub(super) lacp: BTreeSet<String>,
    /// Whether it is part of a spanning tree.
    pub(super) tree: bool,
    /// Ports with CFM or BFD.
    pub(super) watched: BTreeSet<OfPort>,
}

impl Interest {
    /// What is spoken on a bridge, if anything is.
    pub(super) fn of(&self, bridge: &str) -> Option<&BridgeInterest> {
        self.bridges.get(bridge)
    }
}

impl Services {
    /// Makes the index anew: something has been configured.
    pub(super) fn index(&self, state: &State) {
        let mut interest = Interest::default();
        for (bridge, port) in state.aggregates.keys() {
            let entry = interest.bridges.entry(bridge.clone()).or_default();
            entry.lacp.insert(port.clone());
        }
        for bridge in state.trees.keys() {
            interest.bridges.entry(bridge.clone()).or_default().tree = true;
        }
        for (bridge, port) in state.watches.keys() {
            interest.bridges.entry(bridge.clone()).or_default().watched.insert(*port);
        }
        self.interest.store(Arc::new(interest));
    }
}
