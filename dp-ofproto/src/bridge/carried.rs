//! What ports have carried that no device counts for: patches and tunnels. Translation credits them
//! as it credits rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use dp_core::base::OfPort;

use crate::group::GroupStats;

/// What one port has carried.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// In.
    pub rx: Arc<GroupStats>,
    /// Out.
    pub tx: Arc<GroupStats>,
}

/// What all such ports of a bridge have carried.
#[derive(Debug, Default)]
pub(super) struct CarriedPorts(Mutex<HashMap<OfPort, Carried, RandomState>>);

impl CarriedPorts {
    fn ports(&self) -> MutexGuard<'_, HashMap<OfPort, Carried, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of a port, from zero on if it is new.
    pub(super) fn of(&self, port: OfPort) -> Carried {
        self.ports().entry(port).or_default().clone()
    }

    /// Forgets ports.
    pub(super) fn retain(&self, keep: impl Fn(OfPort) -> bool) {
        self.ports().retain(|port, _| keep(*port));
    }
}

#[cfg(test)]
mod tests {
    use super::{CarriedPorts, OfPort};

    #[test]
    fn counters_are_a_ports_own_as_long_as_it_is_there() {
        let ports = CarriedPorts::default();
        ports.of(OfPort(1)).rx.credit(2, 100);
        ports.of(OfPort(2)).tx.credit(1, 50);
        assert_eq!(ports.of(OfPort(1)).rx.packets(), 2);
        assert_eq!(ports.of(OfPort(1)).tx.packets(), 0);
        ports.retain(|port| port == OfPort(2));
        assert_eq!(ports.of(OfPort(1)).rx.packets(), 0);
        assert_eq!(ports.of(OfPort(2)).tx.bytes(), 50);
    }
}
