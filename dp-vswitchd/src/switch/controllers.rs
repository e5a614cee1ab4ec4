//! What is written back about controllers: whether a bridge speaks with them, and since when.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Switch;
use crate::ovsdb::uuid::Uuid;

/// The state of a controller's connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ControllerStatus {
    pub(crate) connected: bool,
    /// `master`, `slave` or `other`, of one that is connected.
    pub(crate) role: Option<String>,
    /// State, times, the last error.
    pub(crate) status: BTreeMap<String, String>,
}

/// Of each bridge, its controllers' rows with their states.
pub(super) type ControllerStates = Mutex<BTreeMap<String, Vec<(Uuid, ControllerStatus)>>>;

impl Switch {
    /// Says how a bridge's controllers are.
    pub(crate) fn set_controller_status(
        &self,
        bridge: &str,
        states: Vec<(Uuid, ControllerStatus)>,
    ) {
        let mut all = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(bridge).map_or(&[][..], Vec::as_slice);
        let same = |a: &(Uuid, ControllerStatus), b: &(Uuid, ControllerStatus)| {
            let kept = |it: &ControllerStatus, key: &str| it.status.get(key).cloned();
            (a.0, a.1.connected, &a.1.role) == (b.0, b.1.connected, &b.1.role)
                && ["state", "last_error"].iter().all(|key| kept(&a.1, key) == kept(&b.1, key))
        };
        // Seconds that pass are written with the statistics; a change of state at once.
        let changed = known.len() != states.len()
            || known.iter().zip(&states).any(|(before, after)| !same(before, after));
        if states.is_empty() {
            all.remove(bridge);
        } else {
            all.insert(bridge.to_owned(), states);
        }
        drop(all);
        if changed {
            self.touch();
        }
    }

    /// How the controllers of all bridges are.
    pub(super) fn controller_status(&self) -> Vec<(Uuid, ControllerStatus)> {
        let all = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().flatten().cloned().collect()
    }
}
